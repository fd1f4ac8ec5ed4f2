"""Spaces beside that of the paper, to tell what in it helps: blocks of three planes in full, none of them halved.

As JPEG has it, 4:4:4 instead of 4:2:0; the planes are Y, Cb and Cr, or red, green and blue. With all coefficients
the latter is a rotation of the pixels of a patch, over eta: what a linear embedding of it can do, one of pixels can.
Those pixels are a space too, so that a network can be given the one and the other in the same tokens.

Letters: N images, B block side, T = (R / 2B)^2 tokens, K kept coefficients, R resolution.
"""

import functools
import math
from collections.abc import Callable

import torch

from dctdiff.spaces.blocks import dct_matrix
from dctdiff.spaces.colour import RGB_FROM_YCBCR, YCBCR_FROM_RGB
from dctdiff.spaces.dct import SAMPLE_BOUND
from dctdiff.spaces.zigzag import zigzag

Matrix = tuple[tuple[float, ...], ...]
# B -> an orthonormal (B, B) float64, which rows and columns of a block go through.
OfBlock = Callable[[int], torch.Tensor]

UNCHANGED: Matrix = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
WHOLE = 2.0**-9  # added before values are truncated, so that rounding of float32 makes no whole one less


class FullDCTCodec:
    """RGB images <-> tokens of twelve blocks, scaled by eta: four of each plane, of the DCT or ``of_block``."""

    def __init__(
        self,
        resolution: int,
        block_size: int,
        kept_coefficients: int,
        eta: float,
        from_rgb: Matrix,
        to_rgb: Matrix,
        of_block: OfBlock = dct_matrix,
    ):
        self.resolution = resolution
        self.block_size = block_size
        self.kept_coefficients = kept_coefficients
        self.eta = eta
        self.from_rgb = from_rgb
        self.to_rgb = to_rgb
        self.of_block = of_block
        self.shape = ((resolution // (2 * block_size)) ** 2, 12 * kept_coefficients)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """``(N, R, R, 3)`` uint8 -> ``(N, T, 12K)`` float32, nothing clipped."""
        return self._blocks(images, self.kept_coefficients) / self.eta

    def coefficients(self, images: torch.Tensor) -> torch.Tensor:
        """``(N, R, R, 3)`` uint8 -> ``(N, T, 12 B*B)`` float32: all coefficients, unscaled."""
        return self._blocks(images, self.block_size**2)

    def decode(self, tokens: torch.Tensor) -> torch.Tensor:
        """``(N, T, 12K)`` float -> ``(N, R, R, 3)`` uint8, clipped and truncated as in the paper's space."""
        side, across = 2 * self.block_size, math.isqrt(tokens.shape[1])
        values = tokens.float().clamp(-SAMPLE_BOUND, SAMPLE_BOUND) * self.eta
        # The transform is orthonormal, so its transpose is the way back.
        weight = patch_matrix(self.block_size, self.kept_coefficients, UNCHANGED, self.of_block, tokens.device)
        patches = (values @ weight.T).unflatten(2, (side, side, 3)).unflatten(1, (across, across))
        planes = patches.transpose(2, 3).flatten(3, 4).flatten(1, 2)  # (N, R, R, 3)
        pixels = torch.stack([_mixed(planes, row) for row in self.to_rgb], dim=-1) + 128.0
        return (pixels + WHOLE).clamp(0, 255).to(torch.uint8)

    def _blocks(self, images: torch.Tensor, kept: int) -> torch.Tensor:
        side = 2 * self.block_size
        across = images.shape[1] // side
        patches = (images.float() - 128.0).unflatten(2, (across, side)).unflatten(1, (across, side)).transpose(2, 3)
        weight = patch_matrix(self.block_size, kept, self.from_rgb, self.of_block, images.device)
        return patches.flatten(3).flatten(1, 2) @ weight


def dct_444(resolution: int, block_size: int, kept_coefficients: int, eta: float) -> FullDCTCodec:
    """Of Y, Cb and Cr."""
    return FullDCTCodec(resolution, block_size, kept_coefficients, eta, YCBCR_FROM_RGB, RGB_FROM_YCBCR)


def dct_rgb(resolution: int, block_size: int, kept_coefficients: int, eta: float) -> FullDCTCodec:
    """Of red, green and blue."""
    return FullDCTCodec(resolution, block_size, kept_coefficients, eta, UNCHANGED, UNCHANGED)


def patch_rgb(resolution: int, block_size: int, kept_coefficients: int, eta: float) -> FullDCTCodec:
    """Of red, green and blue without a DCT: the pixels of a patch, in the order of the coefficients of ``dct_rgb``."""
    return FullDCTCodec(resolution, block_size, kept_coefficients, eta, UNCHANGED, UNCHANGED, pixels_of_block)


def pixels_of_block(block_size: int) -> torch.Tensor:
    return torch.eye(block_size, dtype=torch.float64)


@functools.lru_cache(maxsize=16)
def patch_matrix(block_size: int, kept: int, from_rgb: Matrix, of_block: OfBlock, device: torch.device) -> torch.Tensor:
    """The blocks of a patch of pixels minus 128: ``(2B * 2B * 3, 12K)`` float32.

    Rows: row, column, channel. Columns: plane, block (top-left, top-right, bottom-left, bottom-right), coefficient
    in zigzag order.
    """
    one_block = of_block(block_size)
    two_blocks = torch.block_diag(one_block, one_block).unflatten(0, (2, -1))  # (2, B, 2B): block, frequency, position
    basis = torch.einsum("iup,jvq->ijuvpq", two_blocks, two_blocks).flatten(2, 3).flatten(0, 1)
    basis = basis[:, zigzag(block_size)[:kept]]  # (4, K, 2B, 2B)
    colour = torch.tensor(from_rgb, dtype=one_block.dtype)  # plane x channel
    return torch.einsum("bkpq,dc->pqcdbk", basis, colour).flatten(3).flatten(0, 2).float().to(device)


def _mixed(planes: torch.Tensor, row: tuple[float, ...]) -> torch.Tensor:
    """A sum of planes in float32, where a matrix product on a GPU may be one of TF32."""
    return sum(weight * plane for weight, plane in zip(row, planes.unbind(-1), strict=True) if weight)
