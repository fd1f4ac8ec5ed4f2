"""The statistics of a reference in float16: nearly the same distances."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dctdiff.commands.ship import write_rounded_reference
from dctdiff.metrics.features import Extractor
from dctdiff.metrics.frechet import Gaussian, fit, frechet_distance
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import sha256
from dctdiff.stages import reference

DIM = 40
PROTOCOL = {"metric": "FD", "extractor_sha256": "a", "feature_resolution": 96, "reference_n_images": 3000}


@pytest.fixture
def exact(tmp_path, monkeypatch):
    """The fit whose statistics were rounded into rounded.npz."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    gaussian = fit(random.normal(size=(3000, DIM)) * random.uniform(0.05, 3, DIM) + 1)
    np.savez("reference.npz", mu=gaussian.mean, sigma=gaussian.covariance, protocol=json.dumps(PROTOCOL))
    write_rounded_reference(Path("rounded.npz"), Path("reference.npz"))
    return gaussian


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


@pytest.mark.parametrize("other", [{"resolution": 224}, {"extractor": "b"}])
def test_statistics_of_another_extractor_are_refused(exact, other):
    with pytest.raises(UserError, match=r"rounded\.npz was made with another extractor"):
        read(**other)


def test_statistics_that_float16_cannot_hold_are_refused(exact):
    np.savez("wide.npz", mu=exact.mean, sigma=exact.covariance * 1e6, protocol=json.dumps(PROTOCOL))
    with pytest.raises(UserError, match="above 65504"):
        write_rounded_reference(Path("wide-rounded.npz"), Path("wide.npz"))
    assert not Path("wide-rounded.npz").exists()
