"""Inception Score: the definition, and sets whose score is known."""

import math

import numpy as np
import pytest
import torch

from dctdiff.metrics import inception_score as module
from dctdiff.metrics.inception_score import inception_score

CPU = torch.device("cpu")


def by_loops(logits: np.ndarray) -> float:
    """exp(E KL(p(y|x) || p(y))), one class after the other."""
    p = [[math.exp(v) / math.fsum(math.exp(u) for u in row) for v in row] for row in logits]
    marginal = [math.fsum(column) / len(p) for column in zip(*p, strict=True)]
    divergences = [
        math.fsum(v * math.log(v / m) for v, m in zip(row, marginal, strict=True)) for row in p
    ]  # fmt: skip
    return math.exp(math.fsum(divergences) / len(p))


def test_equals_the_definition_and_is_the_mean_of_its_parts(monkeypatch):
    rng = np.random.default_rng(0)
    features, classes = rng.normal(size=(12, 5)).astype(np.float32), rng.normal(size=(7, 5)).astype(np.float32)
    logits = features.astype(float) @ classes.T.astype(float)
    assert inception_score(features, classes, CPU) == pytest.approx(by_loops(logits), rel=1e-12)
    monkeypatch.setattr(module, "PART", 5)  # 5, 5 and the rest
    expected = np.mean([by_loops(logits[:5]), by_loops(logits[5:10]), by_loops(logits[10:])])
    assert inception_score(features, classes, CPU) == pytest.approx(expected, rel=1e-12)


def test_sure_images_of_all_classes_have_as_many_and_unsure_or_equal_ones_have_one():
    classes = np.eye(10, dtype=np.float32)
    sure = 2000 * np.tile(classes, (3, 1))  # the other probabilities are 0 in float64
    assert inception_score(sure, classes, CPU) == pytest.approx(10, rel=1e-12)
    assert inception_score(0 * sure, classes, CPU) == pytest.approx(1, rel=1e-12)
    assert inception_score(sure[:1].repeat(8, axis=0), classes, CPU) == pytest.approx(1, rel=1e-12)
