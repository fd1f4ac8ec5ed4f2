"""Weights on disk: a model in one file, and the checkpoints of a run in one folder.

Weights are safetensors whose metadata hold the ``ModelConfig``, so that sampling needs nothing
else and no params of the training.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from dctdiff.models.config import ModelConfig
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import existing_file, replacing

METADATA_KEY = "dctdiff"


def save_model(path: str | Path, weights: dict[str, torch.Tensor], config: ModelConfig) -> None:
    """Write float32 weights and config, atomically; equal content gives equal bytes."""
    tensors = {name: tensor.detach().float().cpu().contiguous() for name, tensor in weights.items()}
    with replacing(path) as temporary:
        save_file(tensors, temporary, {METADATA_KEY: config.to_json()})


def checkpoint_name(step: int) -> str:
    return f"{step:09d}.safetensors"


def write_checkpoints(folder: str | Path, weights: dict[int, Path]) -> None:
    """Make ``folder`` hold exactly the files ``weights`` (step -> file), by one rename.

    They are hard links where the file system has them. Weights are only ever replaced
    (``save_model``), never changed in place, so a link keeps what it was made of.
    """
    folder = Path(folder)
    made, old = (folder.with_name(f".{folder.name}.{suffix}") for suffix in ("tmp", "old"))
    for left_over in (made, old):  # of a killed process
        shutil.rmtree(left_over, ignore_errors=True)
    made.mkdir(parents=True)
    try:
        for step, path in weights.items():
            link_or_copy(existing_file(path), made / checkpoint_name(step))
        if folder.exists():
            os.replace(folder, old)
        os.replace(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def read_config(path: str | Path) -> ModelConfig:
    with _opened(path) as file:
        return ModelConfig.from_json(file.metadata()[METADATA_KEY])


def load_model(path: str | Path, device: torch.device) -> tuple[torch.nn.Module, ModelConfig]:
    """The network in eval mode on ``device``, and its config."""
    config = read_config(path)
    with _opened(path) as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    network = config.network()
    network.load_state_dict(weights)
    return network.eval().to(device), config


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[safe_open]:
    try:
        with safe_open(existing_file(path), framework="pt") as file:
            yield file
    except (SafetensorError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a model of this project ({error}); train it again") from None
