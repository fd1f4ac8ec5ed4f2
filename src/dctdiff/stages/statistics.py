"""Count the coefficients of a dataset, or its latents: eta, entropies and histograms of one codec."""

from argparse import Namespace
from collections.abc import Iterable, Iterator
from types import SimpleNamespace

import numpy as np
import torch

from dctdiff.analysis import statistics
from dctdiff.data.archive import count_images, image_batches
from dctdiff.data.packing import open_latents
from dctdiff.models.config import codec_of
from dctdiff.params.statistics import Codec
from dctdiff.pipeline.command import run_stage
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import sha256, write_json
from dctdiff.pipeline.progress import progress
from dctdiff.pipeline.record import Used
from dctdiff.registry.spaces import SPACES
from dctdiff.spaces import latent
from dctdiff.spaces.zigzag import zigzag

PATHS = {
    "images": "archive of the training images",
    "latents": "the same images, encoded; read only for a latent space",
    "out_statistics": "statistics, as JSON",
}

BATCH_SIZE = 500  # images, at most
BATCH_PIXELS = BATCH_SIZE * 64**2  # at most: large images go in smaller batches


def channels_of(images: np.ndarray, space: str, block_size: int | None) -> dict[str, np.ndarray]:
    """Unscaled values per channel: name -> (M, coefficients), row-major within a block.

    ``images``: (n, R, R, 3) uint8, or of a latent space means (n, 4, r, r) float32.
    """
    names = SPACES[space].channels
    if not SPACES[space].has_blocks:
        planes = images if SPACES[space].stored == "latents" else _values(images, space=space)
        return {name: planes[:, index].reshape(-1, 1) for index, name in enumerate(names)}
    sizes = {"block_size": block_size, "kept_coefficients": block_size**2, "eta": 1.0}
    values = _values(images, space=space, **sizes)
    values = values.reshape(*values.shape[:2], -1, block_size**2)[..., np.argsort(zigzag(block_size))]
    parts = np.split(values, np.cumsum(list(names.values()))[:-1], axis=2)
    return {name: part.reshape(-1, block_size**2) for name, part in zip(names, parts, strict=True)}


def _values(images: np.ndarray, **sizes) -> np.ndarray:
    codec = codec_of(SimpleNamespace(resolution=images.shape[1], **sizes))
    return codec.coefficients(torch.from_numpy(images)).numpy()


def count(batches: Iterable[np.ndarray], n_images: int, codec: Codec) -> dict[str, statistics.CoefficientCounts]:
    """Count the values of each channel of ``n_images`` images, batches as in ``channels_of``."""
    space = SPACES[codec.space]
    n_coefficients = codec.block_size**2 if space.has_blocks else 1
    counts = {name: statistics.CoefficientCounts(n_coefficients) for name in space.channels}
    with progress("statistics", n_images, "images") as bar:
        for batch in batches:
            for name, values in channels_of(batch, codec.space, codec.block_size).items():
                counts[name].update(values)
            bar.update(len(batch))
    return counts


def scale(counts: dict[str, statistics.CoefficientCounts], codec: Codec) -> float:
    """eta: the largest of the channels that it is measured of; pixels have theirs whatever their distribution."""
    space = SPACES[codec.space]
    if space.eta is not None:
        return space.eta
    return max(statistics.eta(*counts[name].distribution(0), codec.tau) for name in space.scaled_by)


def latent_means(paths: Namespace, resolution: int, n_images: int, batch_size: int) -> Iterator[np.ndarray]:
    """Means (n, 4, r, r) of the ``n_images`` images that ``image_batches`` takes, without their mirror images."""
    shape = (latent.CHANNELS, resolution // latent.FACTOR, resolution // latent.FACTOR)
    stored = open_latents(paths.latents, paths.images, shape)
    places = np.arange(n_images) * len(stored) // n_images
    for start in range(0, n_images, batch_size):
        yield stored[places[start : start + batch_size], 0, : latent.CHANNELS]


def main(paths: Namespace, codec: Codec) -> Used:
    resolution = next(image_batches(paths.images, 1, codec.n_images)).shape[1]
    if resolution % codec.token_side:
        raise UserError(f"{paths.images}: {resolution} pixels are not divisible by tokens of {codec.token_side}")
    batch_size = max(1, min(BATCH_SIZE, BATCH_PIXELS // resolution**2))
    n_images = count_images(paths.images, codec.n_images)
    if SPACES[codec.space].stored == "latents":
        batches = latent_means(paths, resolution, n_images, batch_size)
    else:
        batches = image_batches(paths.images, batch_size, n_images)
    counts = count(batches, n_images, codec)
    eta = scale(counts, codec)
    write_json(
        paths.out_statistics,
        {
            **codec.model_dump(exclude_none=True),
            "n_images": n_images,
            "images_sha256": sha256(paths.images),
            "resolution": resolution,
            "eta": eta,
            "channels": {name: c.summary(codec.tau, eta) for name, c in counts.items()},
        },
    )
    return Used({"SPACES": codec.space})


if __name__ == "__main__":
    run_stage(main, PATHS, Codec)
