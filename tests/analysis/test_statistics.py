"""Statistics against numpy on the plain values, and against the published values of CIFAR-10."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dctdiff.analysis import statistics
from dctdiff.data.archive import decode_image
from dctdiff.data.sources import Wanted, read_files
from dctdiff.params.published import FILE, load_published
from dctdiff.stages.statistics import count
from engines import ROOT

CIFAR10_TRAIN = os.environ.get("CIFAR10_TRAIN", "")
PUBLISHED = load_published(ROOT / FILE, "cifar10").statistics["cifar10-dct"]


def counted(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    counts = statistics.CoefficientCounts(1)
    counts.update(values[:, None])
    return counts.distribution(0)


@given(st.lists(st.floats(-1000, 1000), min_size=2, max_size=60), st.floats(50, 100))
def test_percentiles_equal_numpy_on_float16_values(values, percent):
    values = np.array(values)
    expected = np.percentile(values.astype(np.float16).astype(np.float64), percent)
    assert statistics.percentile(*counted(values), percent) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_entropy_equals_the_protocol_on_plain_values():
    values = np.random.default_rng(0).normal(0, 60, 20_000).astype(np.float16).astype(np.float64)
    low, high = np.percentile(values, [1.75, 98.25])
    inside = values[(values > low) & (values < high)] / 150
    histogram, _ = np.histogram(inside, bins=100, range=(-1, 1))
    p = histogram / histogram.sum()
    expected = -(p * np.log2(p + 1e-9)).sum()
    assert statistics.entropy(*counted(values), 98.25, 150) == pytest.approx(expected, abs=6e-4)


def test_eta_is_the_larger_absolute_bound():
    values = np.concatenate([np.full(50, -300.0), np.linspace(0, 100, 50)])
    assert statistics.eta(*counted(values), 98.25) == 300.0


def test_counting_in_parts_equals_counting_at_once():
    values = np.random.default_rng(1).normal(0, 10, (1000, 1))
    whole, parts = statistics.CoefficientCounts(1), statistics.CoefficientCounts(1)
    whole.update(values)
    parts.update(values[:300])
    parts.update(values[300:])
    assert np.array_equal(whole.counts, parts.counts)


def test_loss_weights_have_mean_one_and_follow_the_entropies():
    weights = statistics.loss_weights([6.0, 3.0, 2.0, 1.0], kept_coefficients=3)
    assert sum(weights) / 3 == pytest.approx(1)
    assert weights[0] / weights[1] == pytest.approx(2)
    assert statistics.loss_weights([0.0, 0.0], 2) == [1.0, 1.0]


@pytest.mark.skipif(not CIFAR10_TRAIN, reason="set CIFAR10_TRAIN to an archive of the CIFAR-10 training JPEGs")
def test_cifar10_gives_the_published_statistics():
    from dctdiff.params.statistics import Codec

    entries = read_files([Path(CIFAR10_TRAIN)], Wanted())
    images = np.stack([decode_image(content, name) for name, content in entries])
    codec = Codec(dataset="cifar10", space="dct", block_size=2, kept_coefficients=4, n_images=len(images))
    counts = count(np.split(images, 100), len(images), codec)
    eta = statistics.eta(*counts["y"].distribution(0), codec.tau)
    assert len(images) == 50_000
    assert eta == pytest.approx(242.375, abs=0.13)
    for name, tolerance in (("y", 0.005), ("cb", 0.05), ("cr", 0.05)):
        entropies = counts[name].summary(codec.tau, eta)["entropy"]
        assert entropies == pytest.approx(getattr(PUBLISHED, f"entropy_{name}"), abs=tolerance)
