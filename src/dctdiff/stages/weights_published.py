"""Import the weights that the authors have published of one run, in the place of its training.

Images are only read to count the classes of a conditional model, statistics never: eta and the
rest of the codec are those of the release.
"""

import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import torch

from dctdiff.data.archive import class_labels, image_names
from dctdiff.data.fetching import WEIGHTS, obtain_weights, of_url
from dctdiff.models.config import ModelConfig, model_config
from dctdiff.models.release import check_file, check_own_file, check_weights, read_state_dict
from dctdiff.models.weights import save_model, write_checkpoints
from dctdiff.params.autoencoder import Autoencoder
from dctdiff.params.jobs import choices
from dctdiff.params.release import Release
from dctdiff.params.train import Import, Run
from dctdiff.pipeline.command import run_stage
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import write_text
from dctdiff.pipeline.record import Used

PATHS = {
    "images": "archive of the training images; read only if num_classes is set",
    "pixels": "not read: nothing is trained",
    "latents": "not read, as the pixels",
    "statistics": "not read: the release brings its own scale",
    "out_weights": "the weights, safetensors",
    "out_checkpoints": "folder with the same weights: the only candidate of a selection",
    "out_log": "a line that says where they come from, JSON lines",
}

UNKNOWN_STEP = 0  # names the checkpoint of a release whose steps are not known


def place(release: Release | Autoencoder) -> Path:
    """Where the file of a release lies, or that of an autoencoder, or will once it is fetched."""
    return Path(release.file) if release.url is None else of_url(release.url, WEIGHTS).target


def checked(release: Release) -> tuple[Path, str]:
    """The file, fetched if need be, and its SHA-256."""
    check_it = check_own_file if release.is_own else check_file
    if release.url is None:
        return place(release), check_it(release.file, release.sha256)

    def check(path: Path, shown: str, remedy: str) -> None:
        check_it(path, release.sha256, shown, remedy)

    return obtain_weights(release.url, check), release.sha256


def class_counts(images: str, num_classes: int | None) -> tuple[int, ...] | None:
    """Training images of each label; None for an unconditional model."""
    if num_classes is None:
        return None
    labels, classes = class_labels(image_names(images))
    if len(classes) != num_classes:
        raise UserError(f"{images} has {len(classes)} classes, but num_classes is {num_classes}; correct one of them")
    return tuple(np.bincount(labels).tolist())


def released_model(run: Run | Import, counts: tuple[int, ...] | None) -> ModelConfig:
    """The network is that of the run, the codec that of the release."""
    release: Release = run.release
    codec = release.model_dump(exclude_none=True)
    return model_config(run, {**codec, "space": release.space}, counts)


def read_authors(path: Path, run: Run, images: str) -> tuple[dict[str, torch.Tensor], ModelConfig]:
    """Weights of the authors' file; their config is what params.yaml says, and the images count the classes."""
    return read_state_dict(path), released_model(run, class_counts(images, run.num_classes))


def log_line(run: Run | Import, digest: str) -> str:
    steps = run.release.train_steps
    line = {
        "step": steps,
        "images": steps and steps * run.batch_size,
        "loss": None,
        "source": "published weights",
        "sha256": digest,
    }
    return json.dumps(line) + "\n"


def main(paths: Namespace, run: Run) -> Used:
    if run.weights != "published":
        raise UserError(f"weights is {run.weights}, but this stage imports; run dctdiff.stages.weights_{run.weights}")
    path, digest = checked(run.release)
    return written(paths, run, path, digest, *read_authors(path, run, paths.images))


def written(
    paths: Namespace, run: Run | Import, path: Path, digest: str, weights: dict[str, torch.Tensor], config: ModelConfig
) -> Used:
    """Write a model that was read from ``path`` in the place of a trained one."""
    check_weights(path, weights, config)
    save_model(paths.out_weights, weights, config)
    write_checkpoints(paths.out_checkpoints, {run.release.train_steps or UNKNOWN_STEP: Path(paths.out_weights)})
    write_text(paths.out_log, log_line(run, digest))
    return Used(choices(config.space, run.network, run.framework), (path,))


if __name__ == "__main__":
    run_stage(main, PATHS, Run)
