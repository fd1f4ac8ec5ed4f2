"""CMMD: the sum over pairs, and what is known of it."""

import math

import numpy as np
import pytest
import torch

from dctdiff.metrics import cmmd as module
from dctdiff.metrics.cmmd import cmmd

CPU = torch.device("cpu")


def normal(seed: int, n: int, dim: int = 16, shift: float = 0.0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(n, dim)) + shift).astype(np.float32)


def by_loops(x: np.ndarray, y: np.ndarray) -> float:
    """1000 MMD^2 of equation 5 of Gretton et al. 2012 with a kernel of sigma 10, one pair after the other."""

    def unit(rows):
        return [[float(v) / math.sqrt(sum(float(u) ** 2 for u in row)) for v in row] for row in rows]

    def mean(a, b):
        squares = [sum((u - v) ** 2 for u, v in zip(p, q, strict=True)) for p in a for q in b]
        return math.fsum(math.exp(-square / 200) for square in squares) / len(squares)

    x, y = unit(x), unit(y)
    return 1000 * (mean(x, x) + mean(y, y) - 2 * mean(x, y))


@pytest.mark.parametrize("rows", [1, 4, 1000])
def test_equals_a_loop_over_pairs(rows, monkeypatch):
    monkeypatch.setattr(module, "ROWS_AT_A_TIME", rows)
    x, y = normal(0, 9, 5), normal(1, 13, 5, shift=0.4)
    assert cmmd(x, y, CPU) == pytest.approx(by_loops(x, y), rel=1e-9)


def test_a_set_is_at_zero_from_itself_and_from_its_multiples():
    x = normal(0, 50)
    assert cmmd(x, x, CPU) == pytest.approx(0, abs=1e-9)
    assert cmmd(x, 3 * x[::-1].copy(), CPU) == pytest.approx(0, abs=1e-9)


def test_opposite_points_are_at_the_known_distance():
    """Two single points: 1 + 1 - 2 exp(-|x - y|^2 / 200), with |x - y|^2 = 4."""
    x = np.array([[3.0, 0.0]], np.float32)
    assert cmmd(x, -x, CPU) == pytest.approx(2000 * (1 - math.exp(-4 / 200)), rel=1e-12)


def test_directions_of_two_gaussians_are_at_the_distance_of_their_integral():
    """Angles of N(0, s^2) and N(a, s^2): as |x - y|^2 = 2 - 2 cos(difference), whose terms have known means.

    The kernel is exp((cos d - 1) / 100); E cos(k d) = cos(k a) exp(-k^2 s^2) for independent angles at distance a,
    and exp(z cos d) = I_0(z) + 2 sum_k I_k(z) cos(k d).
    """
    z, s, a, n = 1 / 100, 0.3, 0.8, 20_000
    bessel = [sum((z / 2) ** (2 * j + k) / math.factorial(j) / math.factorial(j + k) for j in range(5)) for k in (1, 2)]

    def mean(distance):
        return sum(2 * i * math.cos(k * distance) * math.exp(-((k * s) ** 2)) for k, i in enumerate(bessel, start=1))

    expected = 1000 * math.exp(-z) * 2 * (mean(0) - mean(a))
    angles = np.random.default_rng(0).normal([0, a], s, size=(n, 2))
    x, y = (np.stack([np.cos(column), np.sin(column)], axis=1) for column in angles.T)
    assert cmmd(x, y, CPU) == pytest.approx(expected, rel=0.02)


def test_it_is_biased_by_what_a_row_is_to_itself():
    """The mean over small samples of one distribution is the mean of 1 - k over pairs, (1 / N + 1 / M) times."""
    values = [cmmd(normal(2 * i, 10), normal(2 * i + 1, 20), CPU) for i in range(200)]
    many = normal(999, 1000)
    unit = many / np.linalg.norm(many, axis=1, keepdims=True)
    pairs = np.exp((unit @ unit.T - 1) / 100)[~np.eye(len(many), dtype=bool)]
    assert np.mean(values) == pytest.approx(1000 * (1 / 10 + 1 / 20) * (1 - pairs.mean()), rel=0.05)
    assert min(values) > 0
