"""Samples side by side: the parts of a picture are the images of its archive."""

import numpy as np
import pytest
from PIL import Image

from dctdiff.data.archive import encode_jpeg, read_images, write_archive, write_grid
from dctdiff.report.samples import COMPARED, compared

CELL = {"run": "r", "reference": "d", "seed": 1}


def plan(side: int, n_images: int) -> dict:
    cell = CELL | {"n_images": n_images}
    return {
        "datasets": {"d": {"crop": {"resolution": side}}},
        "runs": {"r": {"dataset": "d"}},
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


def test_only_cells_of_one_seed_stand_side_by_side():
    groups = compared(plan(16, 30), dict.fromkeys(("a", "b", "alone"), (676, 336)))
    assert [(group["dataset"], group["seed"], list(group["cells"])) for group in groups] == [("d", 1, ["a", "b"])]
