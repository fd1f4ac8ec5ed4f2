"""Packed pixels: the archive's images as one array, whole or not there, and never those of other images."""

import os
import sys

import numpy as np
import pytest

from dctdiff.data.archive import encode_jpeg, read_images, write_archive
from dctdiff.data.packing import open_pixels, write_pixels
from dctdiff.pipeline.errors import UserError
from dctdiff.stages import pack
from engines import call


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """Runs the stage on images.zip and gives the path of its output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dctdiff.data.packing.BATCH_SIZE", 3)

    def run():
        monkeypatch.setattr(sys, "argv", ["pack", "--images", "images.zip", "--out_pixels", "train.npy"])
        call(pack)
        return tmp_path / "train.npy"

    return run


def write_images(folder, n_images: int, broken: int | None = None) -> None:
    images = np.random.default_rng(0).integers(0, 256, (n_images, 8, 8, 3), dtype=np.uint8)
    contents = [b"broken" if index == broken else encode_jpeg(image, 95) for index, image in enumerate(images)]
    names = [f"{'ab'[index % 2]}/{index:02d}.jpg" for index in range(n_images)]
    write_archive(folder / "images.zip", reversed(list(zip(names, contents, strict=True))), {})


def test_the_array_is_what_numpy_saves_of_the_images_in_order(stage, tmp_path):
    write_images(tmp_path, 10)
    path = stage()
    expected = read_images(tmp_path / "images.zip")
    np.save(tmp_path / "expected.npy", expected)
    assert path.read_bytes() == (tmp_path / "expected.npy").read_bytes()
    pixels = open_pixels(path, tmp_path / "images.zip", 8)
    assert isinstance(pixels, np.memmap) and not pixels.flags.writeable
    assert np.array_equal(pixels, expected)


def test_a_broken_image_stops_it_and_leaves_no_file(stage, tmp_path):
    write_images(tmp_path, 10, broken=7)
    with pytest.raises(UserError, match=r"^images\.zip: b/07\.jpg cannot be decoded \(.*\); replace or remove"):
        stage()
    assert os.listdir(tmp_path) == ["images.zip"]


def test_an_interruption_leaves_the_old_file(stage, tmp_path, monkeypatch):
    write_images(tmp_path, 10)
    before = stage().read_bytes()
    write_images(tmp_path, 9)

    def interrupted(images, batch_size, n_images=None):
        yield np.zeros((batch_size, 8, 8, 3), dtype=np.uint8)
        raise KeyboardInterrupt

    monkeypatch.setattr("dctdiff.data.packing.image_batches", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stage()
    assert sorted(os.listdir(tmp_path)) == ["images.zip", "train.npy"]
    assert (tmp_path / "train.npy").read_bytes() == before


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.zeros((9, 8, 8, 3), np.uint8), r"uint8 \(9, 8, 8, 3\)"),
        (np.zeros((10, 16, 16, 3), np.uint8), r"uint8 \(10, 16, 16, 3\)"),
        (np.zeros((10, 8, 8, 3), np.float32), r"float32 \(10, 8, 8, 3\)"),
    ],
    ids=["number", "resolution", "dtype"],
)
def test_pixels_that_do_not_fit_are_refused(tmp_path, array, found):
    write_images(tmp_path, 10)
    np.save(tmp_path / "train.npy", array)
    message = rf"train\.npy holds {found}, but .*images\.zip makes uint8 \(10, 8, 8, 3\); delete it and run"
    with pytest.raises(UserError, match=message):
        open_pixels(tmp_path / "train.npy", tmp_path / "images.zip", 8)


@pytest.mark.parametrize("damage", ["empty", "header", "pixels", "archive", "objects"])
def test_a_file_that_is_no_whole_array_is_refused(stage, tmp_path, damage):
    write_images(tmp_path, 10)
    path = stage()
    whole = path.read_bytes()
    if damage == "objects":
        np.save(path, np.array([None]), allow_pickle=True)
    else:
        contents = {"empty": b"", "header": whole[:50], "pixels": whole[:-1], "archive": b"PK\3\4" * 99}
        path.write_bytes(contents[damage])
    message = r"train\.npy cannot be mapped \([^\n]*\); delete it and run the stage pack again$"
    with pytest.raises(UserError, match=message):
        open_pixels(path, tmp_path / "images.zip", 8)


def test_a_missing_file_is_named(tmp_path):
    write_images(tmp_path, 2)
    with pytest.raises(UserError, match=r"train\.npy does not exist; run the stage that writes it"):
        open_pixels(tmp_path / "train.npy", tmp_path / "images.zip", 8)


def test_pixels_of_as_many_other_images_are_refused(tmp_path):
    for name, seed in (("these", 1), ("others", 2)):
        images = np.random.default_rng(seed).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
        entries = ((f"{index}.jpg", encode_jpeg(image, 95)) for index, image in enumerate(images))
        write_archive(tmp_path / f"{name}.zip", entries, {})
        write_pixels(tmp_path / f"{name}.npy", tmp_path / f"{name}.zip")
    assert len(open_pixels(tmp_path / "these.npy", tmp_path / "these.zip", 8)) == 5
    with pytest.raises(
        UserError, match=r"others\.npy holds other images than .*these\.zip; delete it and run the stage"
    ):
        open_pixels(tmp_path / "others.npy", tmp_path / "these.zip", 8)
