"""The Frechet distance: closed forms, and pytorch-fid's own formula."""

import numpy as np
import pytest

from dctdiff.metrics.frechet import Gaussian, Moments, fit, frechet_distance
from dctdiff.pipeline.errors import UserError


def random_gaussian(seed: int, dim: int, n: int) -> Gaussian:
    generator = np.random.default_rng(seed)
    return fit(generator.normal(size=(n, dim)) @ generator.normal(size=(dim, dim)) + generator.normal(size=dim))


def test_diagonal_gaussians_have_a_closed_form():
    a = Gaussian(np.array([0.0, 1.0]), np.diag([4.0, 9.0]), 10)
    b = Gaussian(np.array([3.0, 1.0]), np.diag([1.0, 25.0]), 10)
    assert frechet_distance(a, b) == pytest.approx(9 + (2 - 1) ** 2 + (3 - 5) ** 2)


def test_zero_for_itself_and_symmetric():
    a, b = random_gaussian(0, 20, 100), random_gaussian(1, 20, 100)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-10)


# Up to scipy 1.17 (the lock has it) sqrtm takes the argument that pytorch-fid 0.3.0 gives it.
@pytest.mark.filterwarnings("ignore:The `disp` argument is deprecated:DeprecationWarning")
@pytest.mark.parametrize("n", [200, 12], ids=["regular", "singular"])
def test_equals_pytorch_fid(n):
    from dctdiff.pipeline.hardware import import_torchvision

    import_torchvision()
    from pytorch_fid.fid_score import calculate_frechet_distance

    a, b = random_gaussian(0, 24, n), random_gaussian(1, 24, n)
    expected = calculate_frechet_distance(a.mean, a.covariance, b.mean, b.covariance)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-5)


def test_fit_is_numpys_covariance():
    features = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    gaussian = fit(features)
    assert gaussian.covariance == pytest.approx(np.cov(features.astype(np.float64), rowvar=False))
    assert gaussian.mean == pytest.approx(features.astype(np.float64).mean(axis=0))


def test_features_that_arrive_in_batches_give_the_same_fit():
    features = (np.random.default_rng(0).normal(size=(2500, 6)) + 1e5).astype(np.float32)
    untouched = features.copy()
    whole = fit(features)
    for batch_size in (1, 7, 1000):
        moments = Moments()
        for start in range(0, len(features), batch_size):
            moments.update(features[start : start + batch_size])
        parts = moments.gaussian()
        assert parts.covariance == pytest.approx(np.cov(features.astype(np.float64), rowvar=False), rel=1e-9)
        assert parts.covariance == pytest.approx(whole.covariance, rel=1e-9)
        assert parts.mean == pytest.approx(whole.mean, rel=1e-12)
        assert parts.n == 2500
    assert np.array_equal(features, untouched)


def test_one_image_is_refused():
    with pytest.raises(UserError, match="at least 2 images, found 1; give it more"):
        fit(np.zeros((1, 4)))


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_features_that_are_not_finite_have_no_distance(wrong):
    features = np.random.default_rng(0).normal(size=(5, 3))
    features[2, 1] = wrong
    with np.errstate(invalid="ignore"), pytest.raises(UserError, match="features of 5 images are not all finite"):
        fit(features)
