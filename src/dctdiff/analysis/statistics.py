"""Statistics of DCT coefficients: the scale eta and the entropies (paper sections 4.2 and 4.3).

Coefficients are stored as float16 (protocol point 41), so each takes one of 65,536 values and a
histogram over the bit patterns holds everything: percentiles and entropies come out exactly, in
one pass and constant memory, whatever the size of the data set.
"""

import numpy as np

N_FLOAT16 = 1 << 16
ENTROPY_BINS = 100


class CoefficientCounts:
    """How often each float16 value occurs, per coefficient of one channel."""

    def __init__(self, n_coefficients: int):
        self.counts = np.zeros((n_coefficients, N_FLOAT16), dtype=np.int64)

    def update(self, values: np.ndarray) -> None:
        """Add ``values``: (M, n_coefficients) float, within the range of float16."""
        for counts, column in zip(self.counts, values.T, strict=True):
            patterns = column.astype(np.float16).view(np.uint16)
            counts += np.bincount(patterns, minlength=N_FLOAT16)

    def distribution(self, coefficient: int) -> tuple[np.ndarray, np.ndarray]:
        """The distinct values in rising order, float64, and how often each occurs."""
        counts = self.counts[coefficient]
        patterns = np.flatnonzero(counts)
        values = patterns.astype(np.uint16).view(np.float16).astype(np.float64)
        order = np.argsort(values, kind="stable")
        return values[order], counts[patterns][order]

    def summary(self, tau: float, scale: float) -> dict[str, list]:
        """Entropy, bounds and histogram of each coefficient, in the order of ``values``."""
        distributions = [self.distribution(index) for index in range(len(self.counts))]
        return {
            "entropy": [entropy(*d, tau, scale) for d in distributions],
            "bounds": [bounds(*d, tau) for d in distributions],
            "histogram": [histogram(*d, scale).tolist() for d in distributions],
        }


def percentile(values: np.ndarray, counts: np.ndarray, percent: float) -> float:
    """``np.percentile`` (linear) of a sample given as sorted distinct values and their counts."""
    rank = percent / 100 * (counts.sum() - 1)
    below = int(np.floor(rank))
    ends = np.cumsum(counts)
    low = values[np.searchsorted(ends, below, side="right")]
    high = values[np.searchsorted(ends, min(below + 1, ends[-1] - 1), side="right")]
    return float(low + (high - low) * (rank - below))


def bounds(values: np.ndarray, counts: np.ndarray, tau: float) -> tuple[float, float]:
    """The percentiles 100 - tau and tau (protocol point 42)."""
    return percentile(values, counts, 100 - tau), percentile(values, counts, tau)


def eta(values: np.ndarray, counts: np.ndarray, tau: float) -> float:
    """Scale of all coefficients: the larger absolute bound of the DC of Y (protocol point 42)."""
    return round(max(abs(bound) for bound in bounds(values, counts, tau)), 3)


def histogram(values: np.ndarray, counts: np.ndarray, scale: float) -> np.ndarray:
    """Counts of ``values / scale`` in 100 bins over [-1, 1] (protocol point 43)."""
    return np.histogram(values / scale, bins=ENTROPY_BINS, range=(-1, 1), weights=counts)[0]


def entropy(values: np.ndarray, counts: np.ndarray, tau: float, scale: float) -> float:
    """Entropy in bits of the values strictly between the bounds (protocol point 43)."""
    low, high = bounds(values, counts, tau)
    inside = (values > low) & (values < high)
    binned = histogram(values[inside], counts[inside], scale)
    if not binned.sum():
        return 0.0  # a constant coefficient carries nothing
    p = binned / binned.sum()
    return round(float(-np.sum(p * np.log2(p + 1e-9))), 3)


def loss_weights(entropies: list[float], kept_coefficients: int) -> list[float]:
    """Weights of the first K coefficients of one channel, mean 1 (protocol point 22).

    ``entropies`` stand in zigzag order.
    """
    kept = entropies[:kept_coefficients]
    mean = sum(kept) / len(kept)
    if mean <= 0:
        return [1.0] * len(kept)  # a channel without information, e.g. Cb of grey images
    return [value / mean for value in kept]
