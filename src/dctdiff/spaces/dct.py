"""DCT space: tokens of truncated DCT blocks of YCbCr, a fixed linear map of the pixels.

It is computed twice: by the kernels of ``dct_cpu`` on the CPU, by torch elsewhere.

Letters: N images, B block side, T = (R / 2B)^2 tokens, K kept coefficients, R resolution.
"""

import functools
import math
from collections.abc import Callable

import numpy as np
import torch

from dctdiff.spaces.blocks import dct_matrix
from dctdiff.spaces.colour import RGB_FROM_YCBCR, YCBCR_FROM_RGB
from dctdiff.spaces.zigzag import zigzag

SAMPLE_BOUND = 2.0  # generated coefficients are clipped to +-2 eta (protocol point 14)


def encoding_matrix(block_size: int) -> torch.Tensor:
    """The whole encoder of one ``2B x 2B`` patch of pixels minus 128 as a matrix (protocol points 8 to 13).

    Subtracting 128 from red, green and blue subtracts it from Y; Cb and Cr are already centred by it.

    Returns ``(6, B*B, 3, 2B, 2B)`` float64: block (Y top-left, Y top-right, Y bottom-left,
    Y bottom-right, Cb, Cr), coefficient in zigzag order, RGB channel, row, column.
    """
    dct = dct_matrix(block_size)
    two_blocks = torch.block_diag(dct, dct)  # (2B, 2B): [block, frequency] x position
    pairs = torch.kron(torch.eye(block_size, dtype=dct.dtype), torch.full((1, 2), 0.5))
    halved = dct @ pairs.to(dct.dtype)  # (B, 2B): mean of two pixels, then DCT

    luma = torch.einsum("up,vq->uvpq", two_blocks, two_blocks)
    luma = luma.unflatten(1, (2, -1)).unflatten(0, (2, -1)).transpose(1, 2)
    luma = luma.reshape(4, block_size**2, 2 * block_size, 2 * block_size)
    chroma = torch.einsum("up,vq->uvpq", halved, halved).flatten(0, 1)[None].expand(2, -1, -1, -1)
    planes = torch.cat([luma, chroma])[:, zigzag(block_size)]  # (6, B*B, 2B, 2B)

    colour = torch.tensor(YCBCR_FROM_RGB, dtype=dct.dtype)[[0, 0, 0, 0, 1, 2]]  # (6, 3)
    return torch.einsum("bkpq,bc->bkcpq", planes, colour)


class DCTCodec:
    """RGB images <-> tokens of six truncated DCT blocks, scaled by eta (paper section 4)."""

    def __init__(self, resolution: int, block_size: int, kept_coefficients: int, eta: float):
        self.resolution = resolution
        self.block_size = block_size
        self.kept_coefficients = kept_coefficients
        self.eta = eta
        self.shape = ((resolution // (2 * block_size)) ** 2, 6 * kept_coefficients)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """``(N, R, R, 3)`` uint8 -> ``(N, T, 6K)`` float32, nothing clipped (point 12)."""
        return _encode(images, self.block_size, self.kept_coefficients, self.eta)

    def coefficients(self, images: torch.Tensor) -> torch.Tensor:
        """``(N, R, R, 3)`` uint8 -> ``(N, T, 6 B*B)`` float32: all coefficients, unscaled."""
        return _encode(images, self.block_size, self.block_size**2, 1.0)

    def decode(self, tokens: torch.Tensor) -> torch.Tensor:
        """``(N, T, 6K)`` float -> ``(N, R, R, 3)`` uint8 (protocol points 14 to 16)."""
        path = _decode_compiled if tokens.device.type == "cpu" else _decode_torch
        return path(tokens, self.block_size, self.kept_coefficients, self.eta)


def _encode(images: torch.Tensor, block_size: int, kept: int, eta: float) -> torch.Tensor:
    path = _encode_compiled if images.device.type == "cpu" else _encode_torch
    return path(images, block_size, kept, eta)


def _encode_compiled(images: torch.Tensor, block_size: int, kept: int, eta: float) -> torch.Tensor:
    n_images, resolution = images.shape[:2]
    tokens = torch.empty(n_images, (resolution // (2 * block_size)) ** 2, 6 * kept)
    encode = _encode_kernel(resolution, block_size, kept)
    rows = images.reshape(n_images, resolution, 3 * resolution).contiguous()
    encode(rows.numpy(), np.float32(eta), tokens.numpy())
    return tokens


def _decode_compiled(tokens: torch.Tensor, block_size: int, kept: int, eta: float) -> torch.Tensor:
    n_images, n_tokens, _ = tokens.shape
    resolution = 2 * block_size * math.isqrt(n_tokens)
    images = torch.empty(n_images, resolution, 3 * resolution, dtype=torch.uint8)
    decode = _decode_kernel(resolution, block_size, kept)
    tokens = tokens.detach().float().reshape(n_images, n_tokens, 6 * kept).contiguous()  # kernels do not look at shapes
    decode(tokens.numpy(), np.float32(eta), images.numpy())
    return images.unflatten(-1, (resolution, 3))


@functools.lru_cache(maxsize=16)
def _encode_kernel(resolution: int, block_size: int, kept: int) -> Callable:
    from dctdiff.spaces import dct_cpu  # here: most stages need no compiler

    to_ycbcr = np.array(YCBCR_FROM_RGB, np.float32)
    return dct_cpu.encoder(resolution, dct_matrix(block_size).numpy(), _order(block_size, kept), to_ycbcr)


@functools.lru_cache(maxsize=16)
def _decode_kernel(resolution: int, block_size: int, kept: int) -> Callable:
    from dctdiff.spaces import dct_cpu

    matrix, to_rgb = dct_matrix(block_size).numpy(), np.array(RGB_FROM_YCBCR, np.float32)
    return dct_cpu.decoder(resolution, matrix, _order(block_size, kept), to_rgb, np.float32(SAMPLE_BOUND))


def _order(block_size: int, kept: int) -> np.ndarray:
    """Row-major indices of the kept coefficients."""
    return np.array(zigzag(block_size)[:kept])


def _encode_torch(images: torch.Tensor, block_size: int, kept: int, eta: float) -> torch.Tensor:
    """One matrix product of all patches: ``(N, R, R, 3)`` uint8 -> ``(N, T, 6K)`` float32."""
    side = 2 * block_size
    n_images, across = len(images), images.shape[1] // side
    pixels = images.unflatten(2, (across, side)).unflatten(1, (across, side)).transpose(2, 3)  # (N, S, S, 2B, 2B, 3)
    # One pass over the pixels, which puts patches into rows.
    patches = torch.empty(pixels.shape, dtype=torch.float32, device=images.device)
    torch.sub(pixels, 128.0, out=patches)
    weight = _encoder(block_size, kept, eta, images.device)
    return (patches.view(-1, len(weight)) @ weight).unflatten(0, (n_images, -1))


def _decode_torch(tokens: torch.Tensor, block_size: int, kept: int, eta: float) -> torch.Tensor:
    """One matrix product of all blocks, then doubling and colours: ``(N, T, 6K)`` -> ``(N, R, R, 3)`` uint8."""
    n_images, n_tokens, _ = tokens.shape
    across = math.isqrt(n_tokens)
    values = tokens.float().clamp(-SAMPLE_BOUND, SAMPLE_BOUND)
    blocks = values.flatten(0, 1) @ _decoder(block_size, kept, eta, tokens.device)
    blocks = blocks.view(n_images, across, across, 6, block_size, block_size)
    luma = blocks[:, :, :, :4].unflatten(3, (2, 2)).permute(0, 1, 3, 5, 2, 4, 6)  # (N, S, 2, B, S, 2, B)
    chroma = blocks[:, :, :, 4:].permute(0, 3, 1, 4, 2, 5)  # (N, 2, S, B, S, B)
    resolution = 2 * block_size * across
    luma = luma.reshape(n_images, resolution, resolution) + 128.0
    chroma = chroma.reshape(n_images, 2, resolution // 2, -1)
    cb, cr = _doubled_rows(_doubled_rows(chroma.mT).mT).unbind(1)  # doubling alone crosses blocks
    # By sums in float32, not by rgb_images: float64 is slow on a GPU, and a product there may be TF32.
    (_, _, red), (_, green_cb, green_cr), (_, blue, _) = RGB_FROM_YCBCR
    channels = luma + red * cr, luma + green_cb * cb + green_cr * cr, luma + blue * cb
    return torch.stack(channels, dim=-1).clamp(0, 255).to(torch.uint8)


def _doubled_rows(planes: torch.Tensor) -> torch.Tensor:
    """``(..., h, w)`` -> ``(..., 2h, w)``: ``doubled`` of one side.

    PyTorch's interpolation gives each thread of a GPU one pixel of all planes, which for many small ones is slow.
    """
    before = torch.cat([planes[..., :1, :], planes[..., :-1, :]], dim=-2)
    after = torch.cat([planes[..., 1:, :], planes[..., -1:, :]], dim=-2)
    rows = torch.stack([torch.lerp(planes, before, 0.25), torch.lerp(planes, after, 0.25)], dim=-2)
    return rows.flatten(-3, -2)


@functools.lru_cache(maxsize=16)
def _encoder(block_size: int, kept: int, eta: float, device: torch.device) -> torch.Tensor:
    """``encoding_matrix`` over eta, of pixels in (row, column, channel) order: ``(2B * 2B * 3, 6K)`` float32."""
    weight = encoding_matrix(block_size)[:, :kept].flatten(0, 1) / eta
    return weight.permute(2, 3, 1, 0).flatten(0, 2).float().to(device)


@functools.lru_cache(maxsize=16)
def _decoder(block_size: int, kept: int, eta: float, device: torch.device) -> torch.Tensor:
    """Inverse DCT of the six blocks of a token, times eta: ``(6K, 6 B*B)`` float32."""
    dct = dct_matrix(block_size)
    basis = torch.einsum("up,vq->uvpq", dct, dct).flatten(2).flatten(0, 1)[zigzag(block_size)[:kept]]
    # Mostly zeros, but one product of many rows; six times as many rows of K values take far longer.
    return torch.block_diag(*[eta * basis] * 6).float().to(device)
