"""What each step of training is given: images in their order, and random draws.

Everything comes from (seed, step), so a run that goes on needs no state of a generator.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from dctdiff.diffusion.draws import batch_indices, torch_generator
from dctdiff.params.train import Run
from dctdiff.spaces.codec import Codec
from dctdiff.spaces.latent import LatentCodec, drawn

FLIP_PROBABILITY = 0.5  # protocol point 6


def loaded_batches(
    run: Run, local: slice, first_step: int, images: np.ndarray, labels: np.ndarray | None, pinned: bool
) -> Iterator[tuple[torch.Tensor, torch.Tensor | None]]:
    """Images (uint8) and labels of one process, step after step; a thread loads the next ones meanwhile."""

    def load(step: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        chosen = batch_indices(run.seed, step, run.batch_size, len(images))[local]
        batch = torch.from_numpy(np.take(images, chosen, axis=0))
        y = None if labels is None else torch.from_numpy(labels[chosen])
        # Only from pinned memory does a copy to the GPU go on beside the program.
        return (batch.pin_memory(), y if y is None else y.pin_memory()) if pinned else (batch, y)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(load, first_step)
        for step in range(first_step, run.train_steps):
            batch = waiting.result()
            if step + 1 < run.train_steps:
                waiting = pool.submit(load, step + 1)
            yield batch


def training_batch(
    run: Run,
    step: int,
    local: slice,
    images: torch.Tensor,
    y: torch.Tensor | None,
    shape: tuple[int, ...],
    device: torch.device,
) -> tuple[torch.Tensor, ...]:
    """Images, flips, noise of ``shape``, times (and labels) of one process's part of the batch of ``step``."""
    # Every process draws for the global batch, and takes its part.
    generator = torch_generator(run.seed, "step", step, device)
    if run.t_logit is None:
        t = torch.rand(run.batch_size, generator=generator, device=device)
    else:
        mean, std = run.t_logit
        t = torch.sigmoid(mean + std * torch.randn(run.batch_size, generator=generator, device=device))
    eps = torch.randn(run.batch_size, *shape, generator=generator, device=device)
    flip = torch.rand(run.batch_size, generator=generator, device=device) < FLIP_PROBABILITY
    batch = (images.to(device, non_blocking=True), flip[local], eps[local], t[local])
    return batch if y is None else (*batch, y.to(device, non_blocking=True))


def as_loaded(run: Run, step: int, local: slice, codec: Codec, images: torch.Tensor, flip: torch.Tensor):
    """``images``."""
    return images


def as_latents(
    run: Run, step: int, local: slice, codec: LatentCodec, images: torch.Tensor, flip: torch.Tensor
) -> torch.Tensor:
    """Latents ``(n, 4, r, r)`` float32, mirrored where ``flip``, drawn from what the autoencoder says of each image.

    ``images``: ``(n, R, R, 3)`` uint8, which are encoded now; or ``(n, 2, 8, r, r)`` float32, of the stage latents.
    """
    if images.is_floating_point():
        moments = images[torch.arange(len(images), device=images.device), flip.long()]
    else:
        moments = codec.moments(torch.where(flip[:, None, None, None], images.flip(2), images))
    generator = torch_generator(run.seed, "posterior", step, images.device)
    noise = torch.randn(run.batch_size, *codec.shape, generator=generator, device=images.device)
    return drawn(moments, noise[local])


# By what training reads: what the images of a step become before the part of it that is recorded.
GIVEN = {"images": as_loaded, "latents": as_latents}
