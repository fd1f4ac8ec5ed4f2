"""Training images as one array file, which training maps into memory: no start decodes them again.

Processes of one machine share the mapped pages, and images that no memory would hold stay on disk.
"""

from pathlib import Path

import numpy as np

from dctdiff.data.archive import BATCH_SIZE, count_images, image_batches, read_images
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import existing_file, replacing
from dctdiff.pipeline.progress import progress

N_COMPARED = 8  # images of a file and its archive


def write_pixels(path: str | Path, images: str | Path) -> None:
    """Decode an archive into ``(N, R, R, 3)`` uint8 in the order of its names, as ``np.save`` would write it.

    Batches are appended, as a full disk is an error to a write but kills a process that writes to a map.
    """
    n_images = count_images(images)
    shape = (n_images, *next(image_batches(images, 1, 1)).shape[1:])
    header = {"descr": np.dtype(np.uint8).str, "fortran_order": False, "shape": shape}
    with replacing(path) as temporary, open(temporary, "wb") as file, progress("pack", n_images, "images") as bar:
        np.lib.format.write_array_header_1_0(file, header)
        for batch in image_batches(images, BATCH_SIZE):
            file.write(batch)
            bar.update(len(batch))


def open_pixels(path: str | Path, images: str | Path, resolution: int) -> np.ndarray:
    """The pixels of an archive as a read-only map, once they fit its number of images and ``resolution``."""
    expected = (count_images(images), resolution, resolution, 3)
    again = "delete it and run the stage pack again"
    try:
        pixels = np.lib.format.open_memmap(existing_file(path), mode="r")
    except ValueError as error:  # no npy file, or its end is missing
        raise UserError(f"{path} cannot be mapped ({error}); {again}") from None
    if (pixels.shape, pixels.dtype) != (expected, np.uint8):
        raise UserError(
            f"{path} holds {pixels.dtype} {pixels.shape}, but {images} of {resolution} pixels makes uint8 {expected}; "
            f"{again}"
        )
    n_compared = min(N_COMPARED, len(pixels))  # the size alone would also fit other images
    places = np.arange(n_compared) * len(pixels) // n_compared  # those of read_images
    if not np.array_equal(pixels[places], read_images(images, n_compared)):
        raise UserError(f"{path} holds other images than {images}; {again}")
    return pixels
