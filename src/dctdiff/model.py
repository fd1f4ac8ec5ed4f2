"""Models: a network with the codec and schedule that it was trained for, in one file.

Weights are safetensors whose metadata hold the ``ModelConfig``, so that sampling needs nothing
else and no params of the training.
"""

import dataclasses
import json
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

    def codec(self) -> DCTCodec | PixelCodec:
        if self.space == "pixel":
            return PixelCodec(self.resolution)
        return DCTCodec(self.resolution, self.block_size, self.kept_coefficients, self.eta)

    def schedule(self) -> Schedule:
        return Schedule(self.snr_scale)

    def network(self) -> DCTUViT | PixelUViT:
        shape = self.codec().shape
        if self.space == "pixel":
            return PixelUViT(shape, self.patch_size, self.embed_dim, self.depth, self.num_heads)
        return DCTUViT(shape, self.embed_dim, self.depth, self.num_heads)


def save_model(path: str | Path, weights: dict[str, torch.Tensor], config: ModelConfig) -> None:
    """Write float32 weights and config, atomically; equal content gives equal bytes."""
    tensors = {name: tensor.detach().float().cpu().contiguous() for name, tensor in weights.items()}
    with replacing(path) as temporary:
        save_file(tensors, temporary, {METADATA_KEY: json.dumps(dataclasses.asdict(config))})


def load_model(path: str | Path, device: torch.device) -> tuple[torch.nn.Module, ModelConfig]:
    """The network in eval mode on ``device``, and its config."""
    try:
        with safe_open(existing_file(path), framework="pt") as file:
            config = ModelConfig(**json.loads(file.metadata()[METADATA_KEY]))
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a model of this project ({error}); train it again") from None
    network = config.network()
    network.load_state_dict(weights)
    return network.eval().to(device), config
