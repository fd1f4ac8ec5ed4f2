"""Sampling: images from noise. Image i depends on (weights, sampler, seed, i), rounding apart, and nothing else."""

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from dctdiff.diffusion.draws import label_per_image, normal_per_image, normal_streams
from dctdiff.models.config import ModelConfig
from dctdiff.models.execution import compiles, precision, prepared_for_sampling
from dctdiff.params.execution import Execution
from dctdiff.params.sample import wrong_sampler
from dctdiff.pipeline.errors import UserError
from dctdiff.registry.samplers import SAMPLERS


@torch.inference_mode()
def sample_images(
    network: torch.nn.Module,
    config: ModelConfig,
    sampler: str,
    nfe: int,
    seed: int,
    indices: Sequence[int],
    batch_size: int,
    execution: Execution = Execution(),  # noqa: B008 (frozen)
) -> Iterator[tuple[Sequence[int], np.ndarray]]:
    """Yield (indices, ``(N, R, R, 3)`` uint8) of one batch after the other.

    A conditional model gets the labels of ``image_labels``. A UserError if the model has no such sampler.
    """
    for problem in wrong_sampler(config.framework, sampler, nfe):
        raise UserError(problem)
    codec, diffusion = config.codec(), config.diffusion()
    solver = getattr(SAMPLERS[sampler], config.framework).imported()
    device = next(network.parameters()).device
    predict = prepared_for_sampling(network, execution)
    batch_size = max(1, min(batch_size, len(indices)))

    def encoded_batch(batch: Sequence[int]) -> torch.Tensor:
        labels = image_labels(config, seed, batch)
        y = () if labels is None else (torch.from_numpy(labels).to(device),)
        draw = normal_streams(seed, "step noise", batch, codec.shape)

        def given(x: torch.Tensor, network_time: float) -> torch.Tensor:
            # A copy, since what a recorded network gives is overwritten by the next call.
            return predict(x, torch.full((len(x),), network_time, device=device), *y).clone()

        noise = normal_per_image(seed, "noise", batch, codec.shape).to(device)
        return diffusion.sampled(solver, given, noise, nfe, lambda: draw().to(device))

    def generated(batch: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Images, and whether all of them are of finite values."""
        filled = list(batch)
        if compiles(execution, device):  # the last batch too has the shape that was compiled
            filled += filled[-1:] * (batch_size - len(batch))
        encoded = encoded_batch(filled)
        return codec.decode(encoded)[: len(batch)], torch.isfinite(encoded).all()

    def checked(images: Fetch, finite: Fetch) -> np.ndarray:
        if not finite.array():
            arithmetic = precision(execution, device)
            wider = {"fp16": "use mixed_precision bf16 or float32", "bf16": "use mixed_precision float32"}
            raise UserError(
                f"samples are not finite in {arithmetic}; {wider.get(arithmetic, 'train again with a lower lr')}"
            )
        return images.array()

    # A GPU is given the next batch before the last one is fetched, so that it never waits for the CPU.
    ahead = 1 if device.type == "cuda" else 0
    begun: deque[tuple[Sequence[int], Fetch, Fetch]] = deque()
    for start in range(0, len(indices), batch_size):
        batch = indices[start : start + batch_size]
        begun.append((batch, *map(Fetch, generated(batch))))
        if len(begun) > ahead:
            batch, *fetched = begun.popleft()
            yield batch, checked(*fetched)
    for batch, *fetched in begun:
        yield batch, checked(*fetched)


class Fetch:
    """A copy from the GPU to the CPU that goes on while the CPU does something else."""

    def __init__(self, values: torch.Tensor):
        self.values = values
        self.done: torch.cuda.Event | None = None
        if values.is_cuda:
            self.values = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self.values.copy_(values, non_blocking=True)
            self.done = torch.cuda.Event()
            self.done.record()

    def array(self) -> np.ndarray:
        if self.done is not None:
            self.done.synchronize()
        return self.values.numpy()


def image_labels(config: ModelConfig, seed: int, indices: Sequence[int]) -> np.ndarray | None:
    """Labels ``(len(indices),)`` int64 at the training frequencies (protocol point 33), None without classes."""
    return None if config.class_counts is None else label_per_image(seed, indices, config.class_counts)
