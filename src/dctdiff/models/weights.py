"""Weights on disk: a model in one file, and the checkpoints of a run in one folder.

Weights are safetensors whose metadata hold the ``ModelConfig``, so that sampling needs nothing
else and no params of the training, and a digest of both, so that a flipped bit is noticed.
"""

import contextlib
import hashlib
import json
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
from dctdiff.registry.known import check_known

METADATA_KEY = "dctdiff"  # the only one: safetensors writes several in an order of chance
AGAIN = "delete it, and run the stage that writes it again"


def save_model(
    path: str | Path, weights: dict[str, torch.Tensor], config: ModelConfig, dtype: torch.dtype = torch.float32
) -> None:
    """Write weights as ``dtype``, and config, atomically; equal content gives equal bytes."""
    tensors = {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in weights.items()}
    signed = {"config": config.to_json(), "sha256": _digest(tensors, config.to_json())}
    with replacing(path) as temporary:
        save_file(tensors, temporary, {METADATA_KEY: json.dumps(signed)})


def _digest(tensors: dict[str, torch.Tensor], config: str) -> str:
    """SHA-256 of a model as it is in memory."""
    digest = hashlib.sha256(config.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().data)
    return digest.hexdigest()


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
        return ModelConfig.from_json(_signed(file)["config"])


def load_model(path: str | Path, device: torch.device) -> tuple[torch.nn.Module, ModelConfig]:
    """The network in eval mode on ``device``, and its config."""
    weights, config = read_model(path)
    network = config.network()
    network.load_state_dict(weights)
    return network.eval().to(device), config


def read_model(path: str | Path) -> tuple[dict[str, torch.Tensor], ModelConfig]:
    """Weights on the CPU and config of a whole file, a UserError if it is damaged."""
    with _opened(path) as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        signed = _signed(file)
        if signed["sha256"] not in (None, _digest(weights, signed["config"])):
            raise UserError(f"{path} is damaged: it does not have the digest that it was written with; {AGAIN}")
        return weights, ModelConfig.from_json(signed["config"])


def _signed(file: safe_open) -> dict[str, str | None]:
    """ "config", JSON, and "sha256" of a file, which those of earlier versions lack."""
    text = file.metadata()[METADATA_KEY]
    found = json.loads(text)
    signed = found if "config" in found else {"config": text, "sha256": None}
    check_known(json.loads(signed["config"]))
    return signed


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[safe_open]:
    try:
        with safe_open(existing_file(path), framework="pt") as file:
            yield file
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is not a model of this project ({error}); {AGAIN}") from None
