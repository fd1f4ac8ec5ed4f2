"""Random draws: each comes from (seed, purpose, index), never from global state.

A purpose is a word ("crop", "noise", ...), an index a global image number, epoch or step. So
neither the number of processes nor the batch size changes what is drawn, and a resumed run
needs no generator state.
"""

import functools
import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import torch


def seed_from(seed: int, purpose: str, index: int) -> int:
    """A 63-bit seed; independent for different arguments."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{index}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def numpy_generator(seed: int, purpose: str, index: int) -> np.random.Generator:
    return np.random.default_rng(seed_from(seed, purpose, index))


def torch_generator(seed: int, purpose: str, index: int, device="cpu") -> torch.Generator:
    return torch.Generator(device).manual_seed(seed_from(seed, purpose, index))


def normal_streams(
    seed: int, purpose: str, indices: Sequence[int], shape: tuple[int, ...]
) -> Callable[[], torch.Tensor]:
    """A function whose calls go on along one stream per image.

    Each call gives standard normal noise ``(len(indices), *shape)`` float32 on the CPU, so that
    it depends neither on the batch nor on the device.
    """
    generators = [torch_generator(seed, purpose, index) for index in indices]
    return lambda: torch.stack([torch.randn(shape, generator=generator) for generator in generators])


def normal_per_image(seed: int, purpose: str, indices: Sequence[int], shape: tuple[int, ...]) -> torch.Tensor:
    """Standard normal noise ``(len(indices), *shape)`` float32 on the CPU, one stream per image."""
    return normal_streams(seed, purpose, indices, shape)()


def label_per_image(seed: int, indices: Sequence[int], class_counts: Sequence[int]) -> np.ndarray:
    """Labels ``(len(indices),)`` int64 at the frequencies of ``class_counts`` (protocol point 33)."""
    ends = np.cumsum(class_counts)
    draws = [numpy_generator(seed, "label", index).integers(ends[-1]) for index in indices]
    return np.searchsorted(ends, np.array(draws, dtype=np.int64), side="right").astype(np.int64)


@functools.lru_cache(maxsize=1)
def epoch_order(seed: int, epoch: int, n_images: int) -> np.ndarray:
    return numpy_generator(seed, "epoch", epoch).permutation(n_images)


def batch_indices(seed: int, step: int, batch_size: int, n_images: int) -> np.ndarray:
    """Image indices of the global batch of ``step``: shuffled epochs, the rest dropped (point 6)."""
    epoch, position = divmod(step, n_images // batch_size)
    order = epoch_order(seed, epoch, n_images)
    return order[position * batch_size : (position + 1) * batch_size]
