"""KID: loops over pairs, and what the estimate must and must not depend on."""

import numpy as np
import pytest
import torch

from dctdiff.metrics import kid
from dctdiff.metrics.kid import kernel_distance

CPU = torch.device("cpu")


def normal(seed: int, n: int, dim: int = 16, shift: float = 0.0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(n, dim)) + shift).astype(np.float32)


def by_loops(x: np.ndarray, y: np.ndarray) -> float:
    """Equation 4 of the paper, one pair after the other."""

    def k(a, b):
        return (sum(float(u) * float(v) for u, v in zip(a, b, strict=True)) / len(a) + 1) ** 3

    within_x = sum(k(x[i], x[j]) for i in range(len(x)) for j in range(len(x)) if i != j) / (len(x) * (len(x) - 1))
    within_y = sum(k(y[i], y[j]) for i in range(len(y)) for j in range(len(y)) if i != j) / (len(y) * (len(y) - 1))
    return within_x + within_y - 2 * sum(k(a, b) for a in x for b in y) / (len(x) * len(y))


@pytest.mark.parametrize("rows", [1, 4, 1000])
def test_equals_a_loop_over_pairs(rows, monkeypatch):
    monkeypatch.setattr(kid, "ROWS_AT_A_TIME", rows)
    x, y = normal(0, 9, 5), normal(1, 13, 5, shift=0.4)
    assert kernel_distance(x, y, CPU) == pytest.approx(by_loops(x, y), rel=1e-12)


def test_does_not_depend_on_the_order_and_is_symmetric():
    x, y = normal(0, 60), normal(1, 80, shift=0.3)
    value = kernel_distance(x, y, CPU)
    shuffled = np.random.default_rng(2).permutation(x)
    assert kernel_distance(shuffled, y[::-1].copy(), CPU) == pytest.approx(value, rel=1e-12)
    assert kernel_distance(y, x, CPU) == pytest.approx(value, rel=1e-12)


def test_halves_of_one_set_are_near_zero_and_a_shift_is_not():
    x = normal(0, 2000)
    values = [kernel_distance(x[:1000], x[1000:] + np.float32(shift), CPU) for shift in (0.0, 0.1, 0.2, 0.4)]
    assert abs(values[0]) < 1e-2  # its standard deviation is 0.0023
    assert values == sorted(values)
    assert values[1] > 5 * abs(values[0])


def test_is_unbiased():
    """Over many small samples of one distribution the estimates lie around 0, on both sides."""
    values = np.array([kernel_distance(normal(2 * i, 10), normal(2 * i + 1, 10), CPU) for i in range(300)])
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(300)
    assert values.min() < 0 < values.max()


def test_large_features_keep_their_digits():
    """The kernel of features of size 30 is near 1e9; the difference of the sums must survive."""
    x, y = 30 * normal(0, 8, 4), 30 * normal(1, 8, 4)
    assert kernel_distance(x, y, CPU) == pytest.approx(by_loops(x, y), rel=1e-10)
