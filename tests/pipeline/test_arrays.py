"""Arrays of an npz: what is broken, or says that it is large, is refused before it takes memory."""

import io
import zipfile

import numpy as np
import pytest
from numpy.lib import format as npy

from dctdiff.pipeline.arrays import holds_array, read_arrays
from dctdiff.pipeline.errors import UserError

AGAIN = "take another file"


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_back_as_they_were(tmp_path, save):
    arrays = {"mu": np.arange(3.0), "zeros": np.zeros((500, 500), np.float32), "protocol": np.array('{"a": 1}')}
    save(tmp_path / "a.npz", **arrays)
    found = read_arrays(tmp_path / "a.npz", arrays, AGAIN)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype and np.array_equal(found[name], array)
    assert holds_array(tmp_path / "a.npz", "mu", AGAIN) and not holds_array(tmp_path / "a.npz", "features", AGAIN)


def member(shape: tuple[int, ...], n_bytes: int) -> bytes:
    """An array whose header declares a shape of float64, with so many bytes of values."""
    file = io.BytesIO()
    npy.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return file.getvalue() + bytes(n_bytes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (member((10**12,), 80), r"mu says that it has 8e\+12 bytes, which are not there"),
        (member((10,), 88), "mu says that it has 80 bytes, which are not there"),
        (member((-3,), 80), "mu says that it has -24 bytes, which are not there"),
        (b"", "EOF"),
        (b"<html>", "magic"),
        (b"\x93NUMPY\x07\x00", "version"),
    ],
)
def test_a_size_that_is_not_there_is_refused_first(tmp_path, content, message):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("mu.npy", content)
    with pytest.raises(UserError, match=rf"a\.npz is not an npz with mu \(.*{message}.*\); {AGAIN}$"):
        read_arrays(tmp_path / "a.npz", ["mu"], AGAIN)


def test_a_size_that_both_headers_declare_is_compared_with_the_file(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        content = member((500_000_000,), 8)  # 4 GB: more than deflate could make of these bytes
        archive.writestr("mu.npy", content)
    stored = len(content).to_bytes(4, "little")
    declared = (4_000_000_000 + len(content) - 8).to_bytes(4, "little")
    before, _, directory = path.read_bytes().rpartition(stored)
    path.write_bytes(before + declared + directory)
    with zipfile.ZipFile(path) as archive:
        assert archive.getinfo("mu.npy").file_size > 4_000_000_000
    with pytest.raises(UserError, match=r"mu says that it has 4e\+09 bytes, which are not there"):
        read_arrays(path, ["mu"], AGAIN)


def test_a_missing_array_is_named(tmp_path):
    np.savez(tmp_path / "a.npz", mu=np.zeros(3))
    with pytest.raises(UserError, match=r"a\.npz is not an npz with mu and sigma \(.*'sigma\.npy'.*\); take"):
        read_arrays(tmp_path / "a.npz", ["mu", "sigma"], AGAIN)
