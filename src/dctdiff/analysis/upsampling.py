"""Doubling the resolution: in the DCT domain (the paper's DCT upsampling), and as Pillow does it.

Let x be a block of 2B x 2B pixels whose DCT X has only its lowest B x B frequencies, and y the
B x B block of the means of 2 x 2 pixels. In one dimension, with s_k the norm of the k-th basis
vector of length 2B (that of length B is sqrt(2) s_k),

    y[n] = (x[2n] + x[2n + 1]) / 2
         = sum_k s_k X_k (cos(pi (4n + 1) k / 4B) + cos(pi (4n + 3) k / 4B)) / 2
         = sum_k s_k X_k cos(pi k / 4B) cos(pi (2n + 1) k / 2B),

so the DCT of y is Y_k = X_k cos(pi k / 4B) / sqrt(2), and in two dimensions

    X_ij = Y_ij / (0.5 cos(pi i / 4B) cos(pi j / 4B)).

This is exact for such blocks, and gives for every y the one band-limited x whose means it is. With
B = 4 the cosines are those of pi i / 16 in protocol point 47.
"""

import math

import numpy as np
import torch
from PIL import Image

from dctdiff.spaces.blocks import dct_matrix, transform_blocks
from dctdiff.spaces.colour import rgb_images, ycbcr_planes

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def halved(images: np.ndarray) -> np.ndarray:
    """``(N, R, R, 3)`` uint8 -> ``(N, R/2, R/2, 3)`` by Pillow's antialiased bicubic (protocol point 47)."""
    return _resized(images, images.shape[1] // 2, Image.Resampling.BICUBIC)


def doubled_by_all(images: np.ndarray, block_size: int) -> dict[str, np.ndarray]:
    """Method -> ``(N, 2R, 2R, 3)`` uint8 of ``images``: (N, R, R, 3) uint8 with R divisible by B."""
    doubled = {name: _resized(images, 2 * images.shape[1], resampling) for name, resampling in FILTERS.items()}
    return {**doubled, "dct": dct_upsampled(torch.from_numpy(images), block_size).numpy()}


def dct_upsampled(images: torch.Tensor, block_size: int) -> torch.Tensor:
    """``(N, R, R, 3)`` uint8 -> ``(N, 2R, 2R, 3)`` uint8; Y, Cb and Cr at full resolution (protocol point 47)."""
    matrix = upsampling_matrix(block_size).to(images.device)
    return rgb_images(transform_blocks(ycbcr_planes(images), matrix))


def upsampling_matrix(block_size: int) -> torch.Tensor:
    """``(2B, B)`` float64: DCT of length B, the division above, inverse DCT of length 2B."""
    frequency = torch.arange(block_size, dtype=torch.float64)
    gain = math.sqrt(2) / torch.cos(math.pi * frequency / (4 * block_size))
    return (dct_matrix(2 * block_size)[:block_size].T * gain) @ dct_matrix(block_size)


def _resized(images: np.ndarray, side: int, resampling: Image.Resampling) -> np.ndarray:
    return np.stack([np.asarray(Image.fromarray(image).resize((side, side), resampling)) for image in images])
