"""Precision and recall: loops over pairs, and sets whose overlap is known."""

import numpy as np
import pytest
import torch

from dctdiff.metrics import precision_recall as module
from dctdiff.metrics.precision_recall import precision_recall

CPU = torch.device("cpu")


def normal(seed: int, n: int, dim: int = 6, shift: float = 0.0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(n, dim)) + shift).astype(np.float32)


def by_loops(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Equations 1 and 2 of the paper, one pair after the other."""

    def distance(a, b):
        return sum((float(u) - float(v)) ** 2 for u, v in zip(a, b, strict=True)) ** 0.5

    def radius(index, points):
        return sorted(distance(points[index], points[other]) for other in range(len(points)) if other != index)[2]

    def share(points, centres):
        radii = [radius(index, centres) for index in range(len(centres))]
        inside = [any(distance(p, c) <= r for c, r in zip(centres, radii, strict=True)) for p in points]
        return sum(inside) / len(inside)

    return share(x, y), share(y, x)


@pytest.mark.parametrize("rows", [1, 7, 1000])
@pytest.mark.parametrize("shift", [0.0, 0.8, 1.6])
def test_equals_a_loop_over_pairs(rows, shift, monkeypatch):
    monkeypatch.setattr(module, "ROWS_AT_A_TIME", rows)
    x, y = normal(0, 25), normal(1, 31, shift=shift)
    value = precision_recall(x, y, CPU)
    assert value == by_loops(x, y)
    assert 0 < value[0] < 1 or shift != 0.8


def test_identical_sets_have_one_and_one():
    x = normal(0, 50)
    assert precision_recall(x, np.random.default_rng(1).permutation(x), CPU) == (1.0, 1.0)


def test_copies_of_one_image_are_on_its_manifold():
    """Four copies make a ball of radius 0; what rounding adds to a distance must not leave it."""
    x = normal(0, 12, dim=512).repeat(4, axis=0)
    noise = np.random.default_rng(1).normal(size=x.shape) * 1e-6
    assert precision_recall((x * (1 + noise)).astype(np.float32), x, CPU) == (1.0, 1.0)


def test_disjoint_sets_have_zero_and_zero():
    assert precision_recall(normal(0, 40), normal(1, 40, shift=50.0), CPU) == (0.0, 0.0)


def test_a_part_of_the_modes_has_precision_without_recall():
    modes = np.concatenate([normal(0, 60), normal(1, 60, shift=50.0)])
    precision, recall = precision_recall(normal(2, 60), modes, CPU)
    assert precision > 0.7
    assert recall < 0.5
    assert precision_recall(modes, normal(2, 60), CPU) == (recall, precision)


def test_does_not_depend_on_the_order():
    x, y = normal(0, 70), normal(1, 90, shift=0.7)
    shuffled = np.random.default_rng(2).permutation(x)
    assert precision_recall(shuffled, y[::-1].copy(), CPU) == precision_recall(x, y, CPU)
