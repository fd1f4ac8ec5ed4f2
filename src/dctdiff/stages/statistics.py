"""Count the coefficients of a dataset: eta, entropies and histograms of one codec."""

import numpy as np
import torch

from dctdiff import statistics
from dctdiff.archive import read_images
from dctdiff.codec import DCTCodec, zigzag
from dctdiff.command import parse_command, run_stage
from dctdiff.errors import UserError
from dctdiff.files import sha256, write_json
from dctdiff.params.statistics import Codec
from dctdiff.progress import progress

BATCH_SIZE = 500
PIXEL_ETA = 127.5  # pixels are scaled to [-1, 1] whatever their distribution


def channels_of(images: np.ndarray, block_size: int | None) -> dict[str, np.ndarray]:
    """Unscaled values per channel: name -> (M, coefficients), row-major within a block."""
    if block_size is None:
        values = images.reshape(-1, 3).astype(np.float32) - PIXEL_ETA
        return {name: values[:, [index]] for index, name in enumerate("rgb")}
    codec = DCTCodec(images.shape[1], block_size, block_size**2, eta=1.0)
    values = codec.coefficients(torch.from_numpy(images)).unflatten(-1, (6, -1))
    row_major = values[..., np.argsort(zigzag(block_size))].numpy()
    blocks = {"y": slice(0, 4), "cb": slice(4, 5), "cr": slice(5, 6)}
    return {name: row_major[:, :, part].reshape(-1, block_size**2) for name, part in blocks.items()}


def count(images: np.ndarray, codec: Codec) -> dict[str, statistics.CoefficientCounts]:
    n_coefficients = codec.block_size**2 if codec.space == "dct" else 1
    names = ("y", "cb", "cr") if codec.space == "dct" else ("r", "g", "b")
    counts = {name: statistics.CoefficientCounts(n_coefficients) for name in names}
    with progress("statistics", len(images), "images") as bar:
        for start in range(0, len(images), BATCH_SIZE):
            batch = images[start : start + BATCH_SIZE]
            for name, values in channels_of(batch, codec.block_size).items():
                counts[name].update(values)
            bar.update(len(batch))
    return counts


def main() -> None:
    paths, codec = parse_command(
        __doc__,
        {"images": "archive of the training images", "out_statistics": "statistics, as JSON"},
        Codec,
    )
    images = read_images(paths.images, codec.n_images)
    resolution = images.shape[1]
    if resolution % codec.token_side:
        raise UserError(f"{paths.images}: {resolution} pixels are not divisible by tokens of {codec.token_side}")
    counts = count(images, codec)
    luma = counts["y"].distribution(0) if codec.space == "dct" else None
    eta = statistics.eta(*luma, codec.tau) if luma else PIXEL_ETA
    write_json(
        paths.out_statistics,
        {
            **codec.model_dump(exclude_none=True),
            "images_sha256": sha256(paths.images),
            "resolution": resolution,
            "eta": eta,
            "channels": {name: c.summary(codec.tau, eta) for name, c in counts.items()},
        },
    )


if __name__ == "__main__":
    run_stage(main)
