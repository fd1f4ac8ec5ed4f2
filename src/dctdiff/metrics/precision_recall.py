"""Improved precision and recall of features (Kynkaanniemi et al. 2019, arXiv 1904.06991).

The manifold of a set is the union of balls around its features, each as large as the distance to
the third nearest other feature (protocol point 38).
"""

from collections.abc import Iterator

import numpy as np
import torch

NEIGHBOURS = 3
ROWS_AT_A_TIME = 1000  # rows of the distance matrix held together
# Below this share of |x|^2 + |y|^2 a squared distance is rounding: float32 features of equal images
# differ so much from batch to batch.
SAME = 1e-10


def precision_recall(features: np.ndarray, reference: np.ndarray, device: torch.device) -> tuple[float, float]:
    """Share of ``features`` (N, D) on the manifold of ``reference`` (M, D), and the reverse.

    N and M > 3. Both values are in [0, 1]; they depend on N and M, so compare at equal numbers.
    """
    x, y = (torch.from_numpy(a).to(device, torch.float64) for a in (features, reference))
    x_radii, y_radii = _radii(x), _radii(y)
    precise, recalled = [], torch.zeros(len(y), dtype=torch.bool, device=device)
    for radii, distances in zip(x_radii.split(ROWS_AT_A_TIME), _squared_distances(x, y), strict=True):
        precise.append((distances <= y_radii).any(dim=1))
        recalled |= (distances <= radii[:, None]).any(dim=0)
    return _share(torch.cat(precise)), _share(recalled)


def _radii(x: torch.Tensor) -> torch.Tensor:
    """Squared distance of each row to its third nearest other row: (N, D) -> (N,)."""
    nearest = NEIGHBOURS + 1  # the very nearest is the row itself
    return torch.cat([distances.kthvalue(nearest, dim=1).values for distances in _squared_distances(x, x)])


def _squared_distances(x: torch.Tensor, y: torch.Tensor) -> Iterator[torch.Tensor]:
    """Squared distances of all rows of ``x`` (N, D) and ``y`` (M, D): blocks of rows of (N, M)."""
    y_norms = (y * y).sum(dim=1)
    for rows in x.split(ROWS_AT_A_TIME):
        norms = (rows * rows).sum(dim=1, keepdim=True) + y_norms
        squared = norms - 2 * rows @ y.T
        yield squared.where(squared > SAME * norms, 0.0)


def _share(inside: torch.Tensor) -> float:
    return inside.double().mean().item()
