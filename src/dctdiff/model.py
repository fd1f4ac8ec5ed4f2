"""Models: a network with the codec and schedule that it was trained for, in one file.

Weights are safetensors whose metadata hold the ``ModelConfig``, so that sampling needs nothing
else and no params of the training.
"""

import dataclasses
import json
import os
import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from dctdiff.codec import DCTCodec, PixelCodec
from dctdiff.errors import UserError
from dctdiff.files import existing_file, replacing
from dctdiff.schedule import Schedule
from dctdiff.uvit import DCTUViT, PixelUViT

METADATA_KEY = "dctdiff"


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Everything that defines the map from noise to images, apart from the weights."""

    space: str  # "dct" or "pixel"
    resolution: int
    embed_dim: int
    depth: int
    num_heads: int
    snr_scale: float
    block_size: int | None = None  # dct
    kept_coefficients: int | None = None  # dct
    eta: float | None = None  # dct
    patch_size: int | None = None  # pixel
    prediction: str = "noise"  # or "velocity": what the network gives
    class_counts: tuple[int, ...] | None = None  # training images of each label; None: unconditional

    @property
    def num_classes(self) -> int | None:
        return None if self.class_counts is None else len(self.class_counts)

    def codec(self) -> DCTCodec | PixelCodec:
        if self.space == "pixel":
            return PixelCodec(self.resolution)
        return DCTCodec(self.resolution, self.block_size, self.kept_coefficients, self.eta)

    def schedule(self) -> Schedule:
        return Schedule(self.snr_scale)

    def network(self) -> DCTUViT | PixelUViT:
        shape = self.codec().shape
        sizes = (self.embed_dim, self.depth, self.num_heads, self.num_classes)
        if self.space == "pixel":
            return PixelUViT(shape, self.patch_size, *sizes)
        return DCTUViT(shape, *sizes)

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "ModelConfig":
        config = cls(**json.loads(text))
        if config.class_counts is None:
            return config
        return dataclasses.replace(config, class_counts=tuple(config.class_counts))  # JSON has lists only


def model_config(run, statistics: dict, class_counts: tuple[int, ...] | None = None) -> ModelConfig:
    """The model of ``run`` (its embed_dim, depth, num_heads and snr_scale) on the codec of ``statistics``."""
    codec_keys = ("space", "resolution", "block_size", "kept_coefficients", "patch_size")
    codec = {key: statistics[key] for key in codec_keys if key in statistics}
    if codec["space"] == "dct":
        codec["eta"] = statistics.get("eta")
    return ModelConfig(
        **codec,
        embed_dim=run.embed_dim,
        depth=run.depth,
        num_heads=run.num_heads,
        snr_scale=run.snr_scale,
        prediction=run.prediction,
        class_counts=class_counts,
    )


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
            _link_or_copy(existing_file(path), made / checkpoint_name(step))
        if folder.exists():
            os.replace(folder, old)
        os.replace(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def load_model(path: str | Path, device: torch.device) -> tuple[torch.nn.Module, ModelConfig]:
    """The network in eval mode on ``device``, and its config."""
    try:
        with safe_open(existing_file(path), framework="pt") as file:
            config = ModelConfig.from_json(file.metadata()[METADATA_KEY])
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a model of this project ({error}); train it again") from None
    network = config.network()
    network.load_state_dict(weights)
    return network.eval().to(device), config
