"""Kernel distance of two sets of features: KID (Binkowski et al. 2018, arXiv 1801.01401)."""

import numpy as np
import torch

KERNEL_DEGREE = 3
ROWS_AT_A_TIME = 1000  # rows of the kernel matrix held together


def kernel_distance(features: np.ndarray, reference: np.ndarray, device: torch.device) -> float:
    """Unbiased estimate of the squared maximum mean discrepancy, from all pairs.

    ``features``: (N, D), ``reference``: (M, D), N and M >= 2. Expected to be 0 for samples of one
    distribution, so it can come out slightly below. Kernel and sums are float64.
    """
    x, y = (torch.from_numpy(a).to(device, torch.float64) for a in (features, reference))
    within = [
        (_kernel_sum(a, a) - kernel((a * a).sum(dim=1), a.shape[1]).sum()) / (len(a) * (len(a) - 1)) for a in (x, y)
    ]
    return float(within[0] + within[1] - 2 * _kernel_sum(x, y) / (len(x) * len(y)))


def kernel(products: torch.Tensor, dim: int) -> torch.Tensor:
    """(x.y / D + 1)^3 of the inner products x.y."""
    return (products / dim + 1) ** KERNEL_DEGREE


def _kernel_sum(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Sum of the kernel over all pairs of rows of ``x`` (N, D) and ``y`` (M, D)."""
    return sum(kernel(rows @ y.T, x.shape[1]).sum() for rows in x.split(ROWS_AT_A_TIME))
