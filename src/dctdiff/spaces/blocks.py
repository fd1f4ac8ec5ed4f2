"""Blocks of ``B x B`` values and their DCT."""

import math

import torch


def dct_matrix(block_size: int) -> torch.Tensor:
    """Orthonormal DCT-II: ``(B, B)`` float64, rows are frequencies (protocol point 10)."""
    frequency = torch.arange(block_size, dtype=torch.float64)[:, None]
    position = torch.arange(block_size, dtype=torch.float64)[None, :]
    basis = torch.cos(math.pi * (2 * position + 1) * frequency / (2 * block_size))
    basis[0] /= math.sqrt(2)
    return basis * math.sqrt(2 / block_size)


def transform_blocks(planes: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Replace each block X of ``planes`` by M X M^T.

    ``planes``: (N, C, h B, w B) and ``matrix``: M (P, B), both float64 -> (N, C, h P, w P) float64.
    """
    out, side = matrix.shape
    n_images, channels, height, width = planes.shape
    blocks = planes.reshape(n_images, channels, height // side, side, width // side, side)
    blocks = torch.einsum("pu,ncaubv,qv->ncapbq", matrix, blocks, matrix)
    return blocks.reshape(n_images, channels, height // side * out, width // side * out)
