"""Batch files of CIFAR-10 and of downsampled ImageNet: pickles (or npz) of pixels and labels.

A pickle can run any code when it is loaded. These are read with nothing but plain Python values
and two records of ours in the place of numpy's types; whatever else a pickle asks for is an error.
"""

import pickle
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np

from dctdiff.data.archive import encode_jpeg, raise_of_system
from dctdiff.pipeline.arrays import BROKEN, arrays_in
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import writing

JPEG_QUALITY = 75  # PIL's default, which the paper's scripts use (protocol points 2 and 4)
CHUNK = 2**20  # bytes
# In the order of the labels.
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True)
class Batches:
    """What the batch files of a dataset are called, and what they hold."""

    members: dict[str, str]  # split -> pattern of the names of its files
    side: int  # pixels
    labels: range
    image_name: str  # pattern of class (or label) and number, from 1; the name tells the class
    classes: tuple[str, ...] = ()

    def name(self, label: int, number: int) -> str:
        return self.image_name.format(label=self.classes[label] if self.classes else label, number=number)


BATCHES = {
    "cifar10": Batches(
        members={"train": r"data_batch_\d+", "heldout": "test_batch"},
        side=32,
        labels=range(10),
        image_name="{label}/{number:05d}.jpg",
        classes=CIFAR10_CLASSES,
    ),
    "imagenet64": Batches(
        members={"train": r"train_data_batch_\d+(\.npz)?", "heldout": r"val_data(\.npz)?"},
        side=64,
        labels=range(1, 1001),
        image_name="{label}_img_{number}.jpg",  # protocol point 4
    ),
}


def batch_order(name: str) -> tuple[int, str]:
    """Sorts batch 10 behind batch 9."""
    number = re.search(r"\d+", PurePosixPath(name).name)
    return int(number[0]) if number else 0, name


def decode_batch(file: BinaryIO, name: str, batches: Batches) -> tuple[np.ndarray, list[int]]:
    """Pixels ``(n, side, side, 3)`` uint8 and labels of a batch file; ``name`` is for the errors."""
    content = _npz(file, name) if name.endswith(".npz") else _unpickled(file, name)
    pixels, labels = content.get("data"), content.get("labels")
    if isinstance(pixels, PickledArray):
        pixels = pixels.bytes_array()
    n_values = 3 * batches.side**2
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[1:] != (n_values,):
        raise UserError(
            f"{name} holds no data of n x {n_values} bytes; it is no batch file of {batches.side} x {batches.side} "
            "pixels: download it again from the official site"
        )
    labels = labels.tolist() if isinstance(labels, np.ndarray) else labels
    if not _are_labels(labels, len(pixels), batches.labels):
        raise UserError(
            f"{name} should hold {len(pixels)} labels from {batches.labels[0]} to {batches.labels[-1]}; "
            "download it again from the official site"
        )
    return pixels.reshape(-1, 3, batches.side, batches.side).transpose(0, 2, 3, 1), labels


def jpeg_entries(pixels: np.ndarray, labels: list[int], first: int, batches: Batches) -> Iterator[tuple[str, bytes]]:
    """Name and JPEG bytes of each image of a batch, numbered from ``first``."""
    for number, (image, label) in enumerate(zip(pixels, labels, strict=True), start=first):
        yield batches.name(label, number), encode_jpeg(np.ascontiguousarray(image), JPEG_QUALITY)


def _are_labels(labels, n_images: int, known: range) -> bool:
    return (
        isinstance(labels, list)
        and len(labels) == n_images
        and all(isinstance(label, int) and label in known for label in labels)
    )


class PickledType:
    """Stands for ``numpy.dtype``: keeps the code of the type, e.g. ``u1``."""

    def __init__(self, code: bytes | str, *_):
        self.code = code.decode() if isinstance(code, bytes) else code

    def __setstate__(self, state):
        pass  # byte order and alignment; only single bytes are wanted


class PickledArray:
    """Stands for ``numpy.ndarray``: keeps the state that numpy would build an array from."""

    def __init__(self, *_):
        self.state = None

    def __setstate__(self, state):
        self.state = state

    def bytes_array(self) -> np.ndarray | None:
        """The array if it is one of bytes, else None."""
        try:
            _, shape, kind, is_fortran, content = self.state
            if kind.code.lstrip("|") != "u1":
                return None
            return np.frombuffer(content, dtype=np.uint8).reshape(shape, order="F" if is_fortran else "C")
        except (TypeError, ValueError, AttributeError):
            return None


ADMITTED = {
    ("numpy", "ndarray"): "ndarray",  # only named as the type to make
    ("numpy", "dtype"): PickledType,
    ("numpy.core.multiarray", "_reconstruct"): PickledArray,
    ("numpy._core.multiarray", "_reconstruct"): PickledArray,
}


class BatchUnpickler(pickle.Unpickler):
    """Admits what an array of bytes consists of, as numpy 1 and 2 write it, and no other name."""

    def find_class(self, module: str, name: str):
        try:
            return ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it asks for {f'{module}.{name}'!r}, which no batch of images needs"
            ) from None


def _unpickled(file: BinaryIO, name: str) -> dict:
    try:
        # Python 2 wrote CIFAR-10: its strings are bytes.
        content = BatchUnpickler(file, encoding="bytes").load()
        while file.read(CHUNK):  # a zip checks a member's sum at its end
            pass
        return {key.decode() if isinstance(key, bytes) else key: value for key, value in content.items()}
    # Broken bytes end in any of these, as the opcodes they happen to form.
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, LookupError, MemoryError) as error:
        raise _no_batch(name, error) from None


def _npz(file: BinaryIO, name: str) -> dict[str, np.ndarray]:
    copy = Path(tempfile.gettempdir(), f"a copy of {PurePosixPath(name).name}")  # what to call it if the disk is full
    with writing(copy), tempfile.TemporaryFile() as seekable:
        shutil.copyfileobj(file, seekable)
        try:
            with zipfile.ZipFile(seekable) as archive:
                return arrays_in(archive, ("data", "labels"))
        except BROKEN as error:
            raise_of_system(error, name)
            raise _no_batch(name, error) from None


def _no_batch(name: str, error: Exception) -> UserError:
    reason = " ".join(str(error).split())  # pickle has one of two lines
    again = "do not use it, download it again from the official site"
    return UserError(f"{name} is no batch of images ({reason}); {again}")
