"""Samples side by side: the parts of a picture are the images of its archive."""

import numpy as np
import pytest
from PIL import Image

from dctdiff.data.archive import encode_jpeg, read_images, write_archive, write_class_grid, write_grid
from dctdiff.report.samples import COMPARED, compared

RUN = {"dataset": "d", "codec": "c", "embed_dim": 8, "depth": 2, "num_heads": 1, "snr_scale": 1.0,
       "prediction": "noise", "network": "uvit", "framework": "continuous"}  # fmt: skip
CELL = {"run": "r", "reference": "d", "seed": 1}


def plan(side: int, n_images: int) -> dict:
    cell = CELL | {"n_images": n_images}
    return {
        "datasets": {"d": {"crop": {"resolution": side}}},
        "codecs": {"c": {"space": "pixel", "patch_size": 1}},
        "runs": {"r": {**RUN}},
        "imports": {},
        "cells": {"a": cell, "b": cell, "alone": cell | {"seed": 2}},
    }


@pytest.mark.parametrize(("side", "n_images"), [(16, 30), (32, 3), (128, 9), (600, 2)])
def test_the_parts_are_the_first_images(tmp_path, side, n_images):
    random = np.random.default_rng(0)
    images = random.integers(256, size=(n_images, side, side, 3), dtype=np.uint8)
    write_archive(tmp_path / "a.zip", ((f"{i}.jpg", encode_jpeg(image, 95)) for i, image in enumerate(images)), {})
    write_grid(tmp_path / "a.png", tmp_path / "a.zip")
    with Image.open(tmp_path / "a.png") as grid:
        shown = plan(side, n_images)
        groups = compared(shown, dict.fromkeys(shown["cells"], grid.size))
        boxes = groups[0]["cells"]["a"]
        parts = [grid.crop((left, top, left + size, top + size)).resize((side, side), 0) for left, top, size in boxes]
    assert len(boxes) == min(COMPARED, n_images, 1 if side == 600 else COMPARED)
    np.testing.assert_array_equal(np.stack(parts), read_images(tmp_path / "a.zip")[: len(parts)])


def test_of_a_model_with_classes_the_parts_are_the_first_image_of_each(tmp_path):
    """12 images of class 0, one of class 1, none of class 2, two of class 3."""
    labels = [0] * 12 + [1, 3, 3]
    random = np.random.default_rng(0)
    images = random.integers(256, size=(15, 32, 32, 3), dtype=np.uint8)
    files = [(f"{label:04d}_{i:08d}.jpg", encode_jpeg(images[i], 95)) for i, label in enumerate(labels)]
    write_archive(tmp_path / "a.zip", files, {})
    write_class_grid(tmp_path / "a.png", tmp_path / "a.zip")
    shown = plan(32, 15)
    shown["runs"]["r"]["num_classes"] = 4
    with Image.open(tmp_path / "a.png") as grid:
        assert grid.size == (658, 196)  # 10 x 3, twice as large
        group = compared(shown, dict.fromkeys(shown["cells"], grid.size))[0]
        boxes = group["cells"]["a"]
        parts = [grid.crop((left, top, left + size, top + size)).resize((32, 32), 0) for left, top, size in boxes]
        white = grid.crop((66, 66, 658, 130))  # of class 1 beside its only image
        assert white.getextrema() == ((255, 255),) * 3
    assert group["runs"] == ["r"]
    np.testing.assert_array_equal(np.stack(parts), read_images(tmp_path / "a.zip")[[0, 12, 13]])


def test_only_cells_of_one_seed_stand_side_by_side():
    groups = compared(plan(16, 30), dict.fromkeys(("a", "b", "alone"), (676, 336)))
    assert [(group["dataset"], group["seed"], list(group["cells"])) for group in groups] == [("d", 1, ["a", "b"])]
