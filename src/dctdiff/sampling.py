"""Sampling: images from noise. Image i depends on (weights, sampler, seed, i) and nothing else."""

from collections.abc import Iterator

import numpy as np
import torch

from dctdiff.draws import normal_per_image
from dctdiff.model import ModelConfig
from dctdiff.samplers import SAMPLERS
from dctdiff.schedule import NETWORK_TIME


@torch.inference_mode()
def sample_images(
    network: torch.nn.Module,
    config: ModelConfig,
    sampler: str,
    nfe: int,
    seed: int,
    indices: range,
    batch_size: int,
) -> Iterator[tuple[range, np.ndarray]]:
    """Yield (indices, ``(N, R, R, 3)`` uint8) of one batch after the other."""
    codec, schedule = config.codec(), config.schedule()
    device = next(network.parameters()).device

    def predict_noise(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        time = torch.full((len(x),), t.item() * NETWORK_TIME, device=device)
        return network(x, time)

    for start in range(0, len(indices), batch_size):
        batch = indices[start : start + batch_size]
        noise = normal_per_image(seed, "noise", batch, codec.shape).to(device)
        encoded = SAMPLERS[sampler](predict_noise, noise, schedule, nfe)
        yield batch, codec.decode(encoded).cpu().numpy()
