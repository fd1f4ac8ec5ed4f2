"""Image archives: the one format of every image set, data and samples alike.

An archive is an uncompressed zip of image files (``class/number.jpg``), sorted by name, with a
JSON record of where they come from as the zip comment. Equal images give equal bytes. Unzip it
to use the images elsewhere, e.g. with ``python -m pytorch_fid``.
"""

import io
import json
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from dctdiff.errors import UserError
from dctdiff.files import existing_file, replacing

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
N_GRID, GRID_COLUMNS = 50, 10
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold: archives carry no dates


def write_archive(path: str | Path, entries: Iterable[tuple[str, bytes]], record: dict) -> None:
    """Write ``entries`` (name, file bytes) and their ``record``, atomically."""
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, content in entries:
            archive.writestr(zipfile.ZipInfo(name, EPOCH), content)
        archive.comment = json.dumps(record, sort_keys=True).encode()


def open_archive(path: str | Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(existing_file(path))
    except zipfile.BadZipFile:
        raise UserError(f"{path} is not a zip archive; delete it and run its stage again") from None


def read_record(path: str | Path) -> dict:
    with open_archive(path) as archive:
        return json.loads(archive.comment or b"{}")


def read_entries(path: str | Path) -> Iterable[tuple[str, bytes]]:
    """Name and file bytes of each image, sorted by name."""
    with open_archive(path) as archive:
        for name in sorted(archive.namelist()):
            yield name, _member(archive, name)


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        return archive.read(name)
    except zipfile.BadZipFile as error:
        raise UserError(f"{archive.filename}: {error}; delete it and run its stage again") from None


def image_format(path: str | Path) -> str:
    """Pillow's name ("JPEG", "PNG", ...) of the format of the first image."""
    _, content = next(iter(read_entries(path)))
    with Image.open(io.BytesIO(content)) as image:
        return image.format


def read_images(path: str | Path, n_images: int | None = None) -> np.ndarray:
    """Decode ``n_images`` (None: all), evenly spaced by name: ``(N, H, W, 3)`` uint8."""
    with open_archive(path) as archive:
        names = sorted(archive.namelist())
        if not names:
            raise UserError(f"{path} holds no image; run the stage that writes it again")
        if n_images is not None:
            if n_images > len(names):
                raise UserError(f"{path} holds {len(names)} images, but n_images is {n_images}; lower it")
            names = [names[index * len(names) // n_images] for index in range(n_images)]
        first = decode_image(_member(archive, names[0]), names[0])
        images = np.empty((len(names), *first.shape), dtype=np.uint8)
        for index, name in enumerate(names):
            image = decode_image(_member(archive, name), name)
            if image.shape != first.shape:
                raise UserError(
                    f"{path}: {name} has the shape {image.shape}, but {names[0]} has {first.shape}; "
                    "all images of a set need one size: crop them first"
                )
            images[index] = image
    return images


def decode_image(content: bytes, name: str) -> np.ndarray:
    """``(H, W, 3)`` uint8 of any file that Pillow reads; ``name`` is for the error."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError) as error:
        raise UserError(f"{name} cannot be decoded ({error}); replace or remove this file") from None


def encode_jpeg(image: np.ndarray, quality: int) -> bytes:
    """JPEG bytes of ``(H, W, 3)`` uint8, chroma 4:2:0 (protocol points 2 and 17)."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return buffer.getvalue()


def image_grid(images: np.ndarray, columns: int, zoom: int) -> Image.Image:
    """Tile ``(N, H, W, 3)`` uint8 with a gap of one pixel; ``zoom`` repeats pixels."""
    n_images, height, width, _ = images.shape
    rows = -(-n_images // columns)
    canvas = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1, 3), 255, dtype=np.uint8)
    for index, image in enumerate(images):
        top, left = index // columns * (height + 1), index % columns * (width + 1)
        canvas[top : top + height, left : left + width] = image
    return Image.fromarray(canvas.repeat(zoom, axis=0).repeat(zoom, axis=1))


def write_grid(path: str | Path, archive: str | Path) -> None:
    """A PNG of at most 50 images of an archive to look at; small images are drawn larger."""
    with open_archive(archive) as file:
        n_images = min(N_GRID, len(file.namelist()))
    images = read_images(archive, n_images)
    zoom = max(1, 64 // images.shape[1])
    with replacing(path) as temporary:
        image_grid(images, GRID_COLUMNS, zoom).save(temporary, "PNG", optimize=True)
