"""Training images, or their latents, as one array file, which training maps into memory: no start decodes them again.

Processes of one machine share the mapped pages, and images that no memory would hold stay on disk.
"""

import itertools
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from dctdiff.data.archive import BATCH_SIZE, count_images, image_batches, read_images
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import existing_file, replacing
from dctdiff.pipeline.progress import progress

N_COMPARED = 8  # images of a file and its archive


def write_pixels(path: str | Path, images: str | Path) -> None:
    """Decode an archive into ``(N, R, R, 3)`` uint8 in the order of its names, as ``np.save`` would write it."""
    write_array(path, image_batches(images, BATCH_SIZE), count_images(images), "pack")


def write_array(path: str | Path, batches: Iterable[np.ndarray], n_images: int, label: str) -> None:
    """Write ``batches`` of ``n_images`` in all, one at least, as ``np.save`` would write them together.

    Batches are appended, as a full disk is an error to a write but kills a process that writes to a map.
    """
    batches = iter(batches)
    first = next(batches)
    header = {"descr": first.dtype.str, "fortran_order": False, "shape": (n_images, *first.shape[1:])}
    with replacing(path) as temporary, open(temporary, "wb") as file, progress(label, n_images, "images") as bar:
        np.lib.format.write_array_header_1_0(file, header)
        for batch in itertools.chain([first], batches):
            file.write(np.ascontiguousarray(batch))
            bar.update(len(batch))


def open_pixels(path: str | Path, images: str | Path, resolution: int) -> np.ndarray:
    """The pixels of an archive as a read-only map, once they fit its number of images and ``resolution``."""
    pixels = _mapped(path, images, "pack", (resolution, resolution, 3), np.uint8)
    n_compared = min(N_COMPARED, len(pixels))  # the size alone would also fit other images
    places = np.arange(n_compared) * len(pixels) // n_compared  # those of read_images
    if not np.array_equal(pixels[places], read_images(images, n_compared)):
        raise UserError(f"{path} holds other images than {images}; delete it and run the stage pack again")
    return pixels


def open_latents(path: str | Path, images: str | Path, shape: tuple[int, int, int]) -> np.ndarray:
    """What the stage latents has made of an archive, for latents of ``shape`` (C, r, r): a read-only map.

    ``(N, 2, 2 C, r, r)`` float32: means and log-variances of each image, then of its mirror image.
    """
    channels, *sides = shape
    return _mapped(path, images, "latents", (2, 2 * channels, *sides), np.float32)


def _mapped(path: str | Path, images: str | Path, stage: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """A map of what ``stage`` has written, an array of ``shape`` for each image of an archive."""
    expected = (count_images(images), *shape)
    again = f"delete it and run the stage {stage} again"
    try:
        array = np.lib.format.open_memmap(existing_file(path), mode="r")
    except ValueError as error:  # no npy file, or its end is missing
        raise UserError(f"{path} cannot be mapped ({error}); {again}") from None
    if (array.shape, array.dtype) != (expected, dtype):
        raise UserError(
            f"{path} holds {array.dtype} {array.shape}, but {images} makes {np.dtype(dtype)} {expected}; {again}"
        )
    return array
