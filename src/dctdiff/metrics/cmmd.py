"""Kernel distance of CLIP embeddings: CMMD (Jayasumana et al. 2024, arXiv 2401.09603)."""

import numpy as np
import torch
import torch.nn.functional as F

SIGMA = 10  # of the Gaussian kernel
SCALE = 1000
ROWS_AT_A_TIME = 1000  # rows of the kernel matrix held together


def cmmd(embeddings: np.ndarray, reference: np.ndarray, device: torch.device) -> float:
    """1000 times the squared maximum mean discrepancy of the directions of (N, D) and (M, D) embeddings.

    The biased estimate, as in the code of its authors (protocol point 39): a row is also a pair with
    itself. So equal sets are at 0, and no two below. Kernel and sums are float64.
    """
    x, y = (F.normalize(torch.from_numpy(a).to(device, torch.float64), dim=1) for a in (embeddings, reference))
    return float(SCALE * (_mean_kernel(x, x) + _mean_kernel(y, y) - 2 * _mean_kernel(x, y)))


def _mean_kernel(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """exp(-|x - y|^2 / (2 sigma^2)), where |x - y|^2 = 2 - 2 x.y, over all pairs of rows of unit length."""
    sums = [((rows @ y.T - 1) / SIGMA**2).exp().sum() for rows in x.split(ROWS_AT_A_TIME)]
    return sum(sums) / (len(x) * len(y))
