"""Arrays of an npz, whose sizes are looked at before memory is taken: a small file may say that it holds terabytes."""

import contextlib
import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import existing_file

HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
MOST_PER_BYTE = 1032  # bytes that deflate makes of one
# What broken bytes end in; RuntimeError is an encrypted member, NotImplementedError an unknown compression.
# SyntaxError and TokenError are of the header of an array, which NumPy reads as Python.
BROKEN = (
    ValueError, KeyError, EOFError, OSError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error,
    SyntaxError, tokenize.TokenError,
)  # fmt: skip


def read_arrays(path: str | Path, names: Iterable[str], again: str) -> dict[str, np.ndarray]:
    """Arrays of numbers or text by their names; a UserError that ends with ``again`` if one is missing or broken."""
    with _opened(path, f"with {' and '.join(names)}", again) as archive:
        return arrays_in(archive, names)


def arrays_in(archive: zipfile.ZipFile, names: Iterable[str]) -> dict[str, np.ndarray]:
    """The same of a zip that is open: one of ``BROKEN`` if one is missing or broken."""
    members = {name: archive.getinfo(f"{name}.npy") for name in names}
    for name, member in members.items():
        _check_size(archive, name, member)
    return {name: _array(archive, member) for name, member in members.items()}


def holds_array(path: str | Path, name: str, again: str) -> bool:
    with _opened(path, f"with {name}", again) as archive:
        return f"{name}.npy" in archive.namelist()


@contextlib.contextmanager
def _opened(path: str | Path, what: str, again: str) -> Iterator[zipfile.ZipFile]:
    with open(existing_file(path), "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                yield archive
        except BROKEN as error:
            reason = error.args[0] if isinstance(error, KeyError) else error
            raise UserError(f"{path} is not an npz {what} ({reason}); {again}") from None


def _check_size(archive: zipfile.ZipFile, name: str, member: zipfile.ZipInfo) -> None:
    """A ValueError unless the size that the header of an array declares is the one of its bytes."""
    with archive.open(member) as file:
        version = npy.read_magic(file)
        if version not in HEADERS:
            raise ValueError(f"{name} has the version {version} of the format")
        shape, _, dtype = HEADERS[version](file)
        stored = member.file_size - file.tell()
    if dtype.hasobject:
        raise ValueError(f"{name} holds Python objects, which may be code")
    declared = math.prod(shape) * dtype.itemsize
    if declared != stored or member.file_size > MOST_PER_BYTE * max(1, member.compress_size):
        raise ValueError(f"{name} says that it has {declared:.3g} bytes, which are not there")


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as file:
        return npy.read_array(file, allow_pickle=False)
