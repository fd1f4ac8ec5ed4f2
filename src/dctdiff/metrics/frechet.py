"""Frechet distance between Gaussians fitted to features (Heusel et al. 2017, arXiv 1706.08500)."""

import dataclasses
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from dctdiff.pipeline.errors import UserError

ROWS_AT_A_TIME = 1000  # rows turned into float64 together


@dataclasses.dataclass(frozen=True)
class Gaussian:
    """Mean ``(D,)`` and covariance ``(D, D)`` of features, float64, and their number (None: not known)."""

    mean: np.ndarray
    covariance: np.ndarray
    n: int | None


class Moments:
    """Mean and covariance of features that arrive in batches, in the memory of one covariance.

    The sums are taken about the first features, so that nothing is lost where the mean is large.
    """

    def __init__(self):
        self.n = 0
        self.origin: np.ndarray | None = None

    def update(self, features: np.ndarray) -> None:
        """Add ``features``: (n, D)."""
        features = features.astype(np.float64)
        if self.origin is None:
            self.origin = features[0].copy()
            self.sum = np.zeros_like(self.origin)
            self.products = np.zeros((len(self.origin), len(self.origin)))
        features -= self.origin
        self.n += len(features)
        self.sum += features.sum(axis=0)
        self.products += features.T @ features

    def gaussian(self) -> Gaussian:
        """The covariance is the unbiased one (N - 1); a UserError for fewer than two images or values not finite."""
        if self.n < 2:
            raise UserError(f"a Frechet distance needs at least 2 images, found {self.n}; give it more (n_images)")
        mean = self.sum / self.n
        if not np.isfinite(mean).all():  # nor is the covariance then
            raise UserError(
                f"the features of {self.n} images are not all finite, so they have no distance; the weights of the "
                "extractor are damaged, or the device is at fault: fetch them again, or run on the CPU"
            )
        covariance = (self.products - self.n * np.outer(mean, mean)) / (self.n - 1)
        return Gaussian(self.origin + mean, covariance, self.n)


def fit(features: np.ndarray) -> Gaussian:
    """Fit to ``features``: (N, D), N >= 2."""
    return added_up([features]).gaussian()


def added_up(batches: Iterable[np.ndarray]) -> Moments:
    """Moments of ``batches``, (n, D) each: of any size with the same result, and added up while the next are made."""
    moments = Moments()
    with ThreadPoolExecutor(1, thread_name_prefix="moments") as beside:
        last = None
        for rows in _blocks(batches):
            if last:
                last.result()
            last = beside.submit(moments.update, rows)
        if last:
            last.result()
    return moments


def _blocks(batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The same rows in order, ``ROWS_AT_A_TIME`` or the rest."""
    rest = None
    for batch in batches:
        rest = batch if rest is None else np.concatenate([rest, batch])
        while len(rest) >= ROWS_AT_A_TIME:
            yield rest[:ROWS_AT_A_TIME]
            rest = rest[ROWS_AT_A_TIME:]
    if rest is not None and len(rest):
        yield rest


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """|mu_a - mu_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)).

    The trace of the matrix root equals the sum of the roots of the eigenvalues of
    C_a^(1/2) C_b C_a^(1/2), which is symmetric: two float64 eigendecompositions, no complex
    numbers, and no failure on singular covariances (fewer images than features).
    """
    root = _symmetric_root(a.covariance)
    eigenvalues = np.linalg.eigvalsh(root @ b.covariance @ root)
    trace_of_root = np.sqrt(np.clip(eigenvalues, 0, None)).sum()
    difference = a.mean - b.mean
    distance = difference @ difference + np.trace(a.covariance) + np.trace(b.covariance)
    return float(distance - 2 * trace_of_root)


def _symmetric_root(matrix: np.ndarray) -> np.ndarray:
    eigenvalues, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.clip(eigenvalues, 0, None))) @ vectors.T
