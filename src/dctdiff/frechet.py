"""Frechet distance between Gaussians fitted to features (Heusel et al. 2017, arXiv 1706.08500)."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Gaussian:
    """Mean ``(D,)`` and covariance ``(D, D)`` of features, float64, and their number."""

    mean: np.ndarray
    covariance: np.ndarray
    n: int


def fit(features: np.ndarray) -> Gaussian:
    """Fit to ``features``: (N, D), N >= 2. The covariance is the unbiased one (N - 1)."""
    if len(features) < 2:
        raise ValueError(f"a covariance needs at least 2 images, found {len(features)}")
    features = features.astype(np.float64)
    mean = features.mean(axis=0)
    centred = features - mean
    return Gaussian(mean, centred.T @ centred / (len(features) - 1), len(features))


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
