"""Image archives: the one format of every image set, data and samples alike.

An archive is an uncompressed zip of image files (``class/number.jpg``), sorted by name, with a
JSON record of where they come from as the zip comment. Equal images give equal bytes. Unzip it
to use the images elsewhere, e.g. with ``python -m pytorch_fid``.
"""

import contextlib
import errno
import io
import json
import os
import threading
import zipfile
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import existing_file, parsed_json, replacing
from dctdiff.pipeline.slice import together

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
IMAGE_MODES = ("RGB", "L")
FORMATS = ("JPEG", "PNG")  # others are not opened: Pillow hands some to other programs
# What Pillow raises at broken bytes; SyntaxError comes from its PNG reader.
BROKEN_IMAGE = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)
# What zipfile raises at broken bytes: also of a compression or an encryption that it does not know.
BROKEN_ZIP = (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, RuntimeError, zlib.error, OSError)
BATCH_SIZE = 100  # images decoded at a time when all are wanted
MAX_THREADS = 16  # that decode
# Pillow lets go of the interpreter's lock while it decodes, but not before and after: more threads
# than this only wait for it. At 32 pixels 16 threads took thrice as long as one, on as many cores.
SIDE_PER_THREAD = 64  # pixels
GRID_COLUMNS, GRID_ROWS, GRID_CLASSES = 10, 5, 10  # at most
GRID_SIDE = 1100  # pixels, at most
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold: archives carry no dates


def write_archive(path: str | Path, entries: Iterable[tuple[str, bytes]], record: dict) -> None:
    """Write ``entries`` (name, file bytes) and their ``record``, atomically."""
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, content in entries:
            archive.writestr(zipfile.ZipInfo(name, EPOCH), content)
        archive.comment = json.dumps(record, sort_keys=True).encode()


def open_archive(path: str | Path) -> zipfile.ZipFile:
    existing_file(path)
    with _broken_named(path):
        return zipfile.ZipFile(path)


def read_record(path: str | Path) -> dict:
    with open_archive(path) as archive:
        again = "delete it and run its stage again"
        return parsed_json(archive.comment or b"{}", f"{path}: its comment:", dict, again)


def read_entries(path: str | Path) -> Iterable[tuple[str, bytes]]:
    """Name and file bytes of each image, sorted by name."""
    with open_archive(path) as archive:
        for name in sorted(archive.namelist()):
            yield name, read_member(archive, name)


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """File bytes of an image."""
    with _broken_named(archive.filename):
        return archive.read(name)


@contextlib.contextmanager
def _broken_named(path: str | Path) -> Iterator[None]:
    try:
        yield
    except BROKEN_ZIP as error:
        raise_of_system(error, path)
        raise UserError(f"{path}: {error}; delete it and run its stage again") from None


def raise_of_system(error: Exception, path: str | Path) -> None:
    """Raise an OSError again that tells of rights or a disk, not of the bytes of ``path``; it gets a name."""
    if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # EINVAL: of a place before the start
        error.filename = error.filename or str(path)
        raise error


def image_format(path: str | Path) -> str:
    """Pillow's name ("JPEG", "PNG", ...) of the format of the first image."""
    _, content = next(iter(read_entries(path)))
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        return image.format


def image_names(path: str | Path, n_images: int | None = None) -> list[str]:
    """Names in order, at least one; ``n_images`` of them (None: all), evenly spaced."""
    with open_archive(path) as archive:
        names = sorted(archive.namelist())
    if not names:
        raise UserError(f"{path} holds no image; run the stage that writes it again")
    if n_images is None:
        return names
    if n_images > len(names):
        raise UserError(f"{path} holds {len(names)} images, but n_images is {n_images}; lower it")
    return [names[index * len(names) // n_images] for index in range(n_images)]


def count_images(path: str | Path, n_images: int | None = None) -> int:
    """How many images ``image_batches`` gives in all; a UserError if there are fewer than ``n_images``."""
    return len(image_names(path, n_images))


def image_batches(
    path: str | Path, batch_size: int, n_images: int | None = None, turns: slice = slice(None)
) -> Iterator[np.ndarray]:
    """Decode the images of ``image_names`` in order: ``(n, R, R, 3)`` uint8, n = ``batch_size`` or the rest.

    Threads decode one batch ahead, so two are held at a time. All images must have one size.
    ``turns``: which of the batches; no others are read.
    """
    names = image_names(path, n_images)
    batches = [names[start : start + batch_size] for start in range(0, len(names), batch_size)]
    return _decoded_batches(path, names[0], batches[turns])


def _decoded_batches(path: str | Path, first_name: str, batches: list[list[str]]) -> Iterator[np.ndarray]:
    with open_archive(path) as archive, contextlib.ExitStack() as ending:
        shape = decode_image(read_member(archive, first_name), f"{path}: {first_name}").shape
        n_threads = coding_threads(shape[1])
        pool = ending.enter_context(ThreadPoolExecutor(n_threads, thread_name_prefix="decode"))
        reading = threading.Lock()  # zipfile does not promise that threads may read side by side

        def decode(images: np.ndarray, names_of_images: list[str]) -> None:
            for index, name in enumerate(names_of_images):
                with reading:
                    content = read_member(archive, name)
                image = decode_image(content, f"{path}: {name}")
                if image.shape != shape:
                    raise UserError(
                        f"{path}: {name} has the shape {image.shape}, but {first_name} has {shape}; "
                        "all images of a set need one size: crop them first"
                    )
                images[index] = image

        def begun(chosen: list[str]) -> tuple[np.ndarray, list[Future]]:
            """A batch and its parts, neighbours each, that threads decode."""
            images = np.empty((len(chosen), *shape), dtype=np.uint8)
            size = -(-len(chosen) // n_threads)
            parts = [slice(first, first + size) for first in range(0, len(chosen), size)]
            return images, [pool.submit(decode, images[part], chosen[part]) for part in parts]

        ahead = deque(map(begun, batches[:1]))
        for chosen in batches[1:]:
            images = _finished(*ahead.popleft())
            ahead.append(begun(chosen))
            yield images
        for batch in ahead:
            yield _finished(*batch)


def _finished(images: np.ndarray, parts: list[Future]) -> np.ndarray:
    """``images`` once all parts are done, or the error of the first image that has one."""
    for part in parts:
        part.result()
    return images


def coding_threads(side: int) -> int:
    """How many threads decode or encode images of ``side`` pixels fastest."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cpus, MAX_THREADS, side // SIDE_PER_THREAD))


def read_images(path: str | Path, n_images: int | None = None) -> np.ndarray:
    """All images of ``image_batches`` at once: ``(N, R, R, 3)`` uint8."""
    images, done = None, 0
    for batch in image_batches(path, BATCH_SIZE, n_images):
        if images is None:
            images = np.empty((count_images(path, n_images), *batch.shape[1:]), dtype=np.uint8)
        images[done : done + len(batch)] = batch
        done += len(batch)
    return images


class BadImage(UserError):
    """Of one image among many: ``what`` is wrong with it, and the ``remedy``."""

    def __init__(self, what: str, remedy: str):
        super().__init__(f"{what}; {remedy}")
        self.what = what
        self.remedy = remedy


def bad_images(path: str | Path, bad: list[BadImage]) -> UserError:
    """All of them in one line, each remedy once."""
    remedies = dict.fromkeys(error.remedy for error in bad)
    return UserError(f"{path}: {together([error.what for error in bad])}; {', or '.join(remedies)}")


def decode_image(content: bytes, name: str) -> np.ndarray:
    """``(H, W, 3)`` uint8 of an RGB or grey image file; ``name`` is for the error.

    Other modes (transparency, palettes, CMYK, 16 bit) have no RGB values of their own: what a
    conversion gives depends on the program, so it is left to whoever owns the images.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.mode not in IMAGE_MODES:
                raise BadImage(
                    f"{name} has the mode {image.mode}, but {' or '.join(IMAGE_MODES)} is expected",
                    "convert to RGB or grey of 8 bit",
                )
            return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    except BROKEN_IMAGE as error:
        raise BadImage(f"{name} cannot be decoded ({error})", "replace or remove what is broken") from None


def class_labels(names: list[str]) -> tuple[np.ndarray, list[str]]:
    """Labels ``(len(names),)`` int64 of image names, and the class of each label (protocol point 4).

    The class is the top folder of a name, or without a folder the part before the first "_".
    Labels count the sorted classes.
    """
    classes_of_names = [_class_of(name) for name in names]
    classes = sorted(set(classes_of_names))
    label = {name: index for index, name in enumerate(classes)}
    return np.array([label[name] for name in classes_of_names], dtype=np.int64), classes


def _class_of(name: str) -> str:
    separator = "/" if "/" in name else "_"
    class_name, found, _ = name.partition(separator)
    if not (class_name and found):
        raise UserError(
            f"{name} does not tell its class; put it into a folder named after the class, or name it class_number.jpg"
        )
    return class_name


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
    """A PNG of some images of an archive to look at; small images are drawn larger, of large ones fewer."""
    n_images = count_images(archive)
    side = next(image_batches(archive, 1, 1)).shape[1]
    zoom = max(1, 64 // side)
    fitting = max(1, GRID_SIDE // (zoom * (side + 1)))
    columns, rows = min(GRID_COLUMNS, fitting), min(GRID_ROWS, fitting)
    images = read_images(archive, min(columns * rows, n_images))
    with replacing(path) as temporary:
        image_grid(images, columns, zoom).save(temporary, "PNG", optimize=True)


def write_class_grid(path: str | Path, archive: str | Path) -> None:
    """The same with a row for each class: its first images, and white where it has no more."""
    names = image_names(archive)
    labels, classes = class_labels(names)
    side = next(image_batches(archive, 1, 1)).shape[1]
    zoom = max(1, 64 // side)
    fitting = max(1, GRID_SIDE // (zoom * (side + 1)))
    columns, rows = min(GRID_COLUMNS, fitting), min(GRID_CLASSES, fitting, len(classes))
    images = np.full((rows, columns, side, side, 3), 255, dtype=np.uint8)
    with open_archive(archive) as opened:
        for row in range(rows):
            for column, index in enumerate(np.flatnonzero(labels == row)[:columns]):
                images[row, column] = decode_image(read_member(opened, names[index]), f"{archive}: {names[index]}")
    with replacing(path) as temporary:
        image_grid(images.reshape(-1, side, side, 3), columns, zoom).save(temporary, "PNG", optimize=True)
