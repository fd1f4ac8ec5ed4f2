"""Import a model of this project that comes as a file, which says what it is: no images, codec or statistics."""

import dataclasses
from argparse import Namespace
from pathlib import Path

import torch

from dctdiff.models.config import ModelConfig
from dctdiff.models.weights import read_model
from dctdiff.params.train import Import
from dctdiff.pipeline.command import run_stage
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.record import Used
from dctdiff.pipeline.slice import together
from dctdiff.stages.weights_published import checked, released_model, written

PATHS = {
    "out_weights": "the weights, safetensors",
    "out_checkpoints": "folder with the same weights",
    "out_log": "a line that says where they come from, JSON lines",
}


def read_own(path: Path, run: Import) -> tuple[dict[str, torch.Tensor], ModelConfig]:
    """Weights and config of a file of this project; a UserError if the run says otherwise."""
    weights, config = read_model(path)
    found, expected = (sizes(model) for model in (config, released_model(run, config.class_counts)))
    expected |= {"num_classes": run.num_classes, "eta": run.release.eta or config.eta}
    wrong = [
        f"its {key} is {found[key]}, that of the run is {expected[key]}" for key in found if found[key] != expected[key]
    ]
    if wrong:
        raise UserError(f"{path} does not fit the run: {together(wrong)}; correct the run or take another file")
    return weights, config


def sizes(config: ModelConfig) -> dict:
    """The fields of a config, with the number of classes in place of their images."""
    fields = dataclasses.asdict(config) | {"num_classes": config.num_classes}
    del fields["class_counts"]
    return fields


def main(paths: Namespace, run: Import) -> Used:
    path, digest = checked(run.release)
    return written(paths, run, path, digest, *read_own(path, run))


if __name__ == "__main__":
    run_stage(main, PATHS, Import)
