"""The statistics of a reference in float16: nearly the same distances."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dctdiff.commands.ship import N_FEATURES, write_rounded_reference
from dctdiff.metrics.features import Extractor
from dctdiff.metrics.frechet import Gaussian, fit, frechet_distance
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import sha256
from dctdiff.stages import reference
from dctdiff.stages.evaluate import load_reference_features

DIM = 40
PROTOCOL = {"metric": "FD", "extractor_sha256": "a", "feature_resolution": 96, "reference_n_images": 3000}


@pytest.fixture
def exact(tmp_path, monkeypatch):
    """The fit whose statistics were rounded into rounded.npz."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    features = random.normal(size=(3000, DIM)) * random.uniform(0.05, 3, DIM) + 1
    gaussian = fit(features)
    write("reference.npz", gaussian, gaussian.covariance, features.astype(np.float32))
    write_rounded_reference(Path("rounded.npz"), Path("reference.npz"))
    return gaussian


def write(path: str, gaussian: Gaussian, covariance: np.ndarray, features: np.ndarray) -> None:
    np.savez(path, mu=gaussian.mean, sigma=covariance, features=features, protocol=json.dumps(PROTOCOL))


def read(resolution: int = 96, extractor: str = "a") -> Gaussian:
    params = SimpleNamespace(feature_resolution=resolution)
    return reference.published("rounded.npz", sha256("rounded.npz"), Extractor("FD", extractor, DIM, None), params)


def test_distances_to_rounded_statistics_are_nearly_the_same(exact):
    found = read()
    assert found.n == 3000
    random = np.random.default_rng(1)
    other = fit(random.normal(size=(200, DIM)) * 1.5 + 0.8)
    assert frechet_distance(other, found) == pytest.approx(frechet_distance(other, exact), rel=1e-3)
    assert found.mean.dtype == found.covariance.dtype == np.float64 and not np.array_equal(found.mean, exact.mean)


def test_some_features_are_shipped_for_kid(exact):
    found, all_of_them = load_reference_features("rounded.npz", DIM), load_reference_features("reference.npz", DIM)
    assert len(found) == N_FEATURES and found.dtype == np.float32
    chosen = all_of_them[:: 3000 // N_FEATURES]
    np.testing.assert_allclose(found, chosen, rtol=2**-11, atol=1e-6)  # evenly spaced


def test_published_statistics_without_features_are_shipped_without(exact):
    arrays = {"mu": exact.mean, "sigma": exact.covariance, "protocol": json.dumps(PROTOCOL)}
    np.savez("published.npz", **arrays)
    write_rounded_reference(Path("rounded.npz"), Path("published.npz"))
    assert read().n == 3000 and load_reference_features("rounded.npz", DIM) is None


@pytest.mark.parametrize("other", [{"resolution": 224}, {"extractor": "b"}])
def test_statistics_of_another_extractor_are_refused(exact, other):
    with pytest.raises(UserError, match=r"rounded\.npz was made with another extractor"):
        read(**other)


def test_statistics_that_float16_cannot_hold_are_refused(exact):
    write("wide.npz", exact, exact.covariance * 1e6, np.zeros((3, DIM), np.float32))
    with pytest.raises(UserError, match="above 65504"):
        write_rounded_reference(Path("wide-rounded.npz"), Path("wide.npz"))
    assert not Path("wide-rounded.npz").exists()
