"""Write a model of this project as a state dict that the authors' code loads.

Not a stage: no result depends on it. ``python -m dctdiff.commands.export --weights
results/runs/<run>/last.safetensors --out_state_dict <name>.pth``
"""

from argparse import Namespace

import torch

from dctdiff.models.release import write_state_dict
from dctdiff.models.weights import load_model
from dctdiff.pipeline.command import run_stage
from dctdiff.pipeline.errors import UserError

PATHS = {
    "weights": "model, safetensors",
    "out_state_dict": "state dict for the authors' code, .pth",
}


def main(paths: Namespace) -> None:
    network, config = load_model(paths.weights, torch.device("cpu"))
    if config.network_kind != "uvit":
        raise UserError(f"{paths.weights} is a {config.network_kind}, but the authors' code loads U-ViTs")
    if config.prediction != "noise":
        raise UserError(f"{paths.weights} predicts the {config.prediction}, which the authors' samplers take for noise")
    write_state_dict(paths.out_state_dict, network.state_dict())


if __name__ == "__main__":
    run_stage(main, PATHS)
