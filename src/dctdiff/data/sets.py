"""A set of images as a person has it: a folder of image files, or an archive."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dctdiff.data.archive import IMAGE_SUFFIXES, count_images, decode_image, image_batches
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import existing, walk


def count_set(path: str | Path) -> int:
    """Images of a set; a UserError if there is none."""
    return len(_files(Path(path))) if existing(path).is_dir() else count_images(path)


def set_batches(path: str | Path, batch_size: int) -> Iterator[np.ndarray]:
    """The images in the order of their names: ``(n, H, W, 3)`` uint8, n = ``batch_size`` or the rest; of one size."""
    return _folder_batches(Path(path), batch_size) if existing(path).is_dir() else image_batches(path, batch_size)


def _files(folder: Path) -> list[Path]:
    found = [path for path in walk(folder) if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()]
    if not found:
        raise UserError(f"{folder} holds no image; name a folder of {', '.join(IMAGE_SUFFIXES)} files")
    return found


def _folder_batches(folder: Path, batch_size: int) -> Iterator[np.ndarray]:
    files = _files(folder)
    shape = decode_image(files[0].read_bytes(), str(files[0])).shape
    for start in range(0, len(files), batch_size):
        yield np.stack([_of_shape(path, shape, files[0]) for path in files[start : start + batch_size]])


def _of_shape(path: Path, shape: tuple[int, ...], first: Path) -> np.ndarray:
    image = decode_image(path.read_bytes(), str(path))
    if image.shape != shape:
        raise UserError(
            f"{path} has the shape {image.shape}, but {first.name} has {shape}; all images of a set need one size: "
            "crop them first"
        )
    return image
