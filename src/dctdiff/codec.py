"""Codecs: fixed linear maps between RGB images and what the networks see.

The DCT codec is computed twice: by the kernels of ``codec_cpu`` on the CPU, by torch elsewhere.

Letters: N images, B block side, T = (R / 2B)^2 tokens, K kept coefficients,
P patch side, R resolution.

Both codecs take and give ``(N, R, R, 3)`` uint8 and share one interface:
``encode``, ``decode``, ``coefficients`` (before scaling, for the statistics)
and ``shape`` (of one encoded image).
"""

import functools
import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

# ITU-R BT.601 full range, the JPEG colour space (protocol points 8 and 16).
YCBCR_FROM_RGB = (
    (0.299, 0.587, 0.114),
    (-0.168736, -0.331264, 0.5),
    (0.5, -0.418688, -0.081312),
)
RGB_FROM_YCBCR = (
    (1.0, 0.0, 1.402),
    (1.0, -0.344136, -0.714136),
    (1.0, 1.772, 0.0),
)
SAMPLE_BOUND = 2.0  # generated coefficients are clipped to +-2 eta (protocol point 14)


def zigzag(block_size: int) -> list[int]:
    """Row-major indices of a ``B x B`` block from low to high frequency (protocol point 13)."""

    def diagonal(index: int) -> tuple[int, int]:
        row, column = divmod(index, block_size)
        total = row + column
        return total, row if total % 2 else column

    # Odd diagonals run downwards, even ones upwards: 0, 1, B, 2B, B + 1, 2, ...
    return sorted(range(block_size**2), key=diagonal)


def dct_matrix(block_size: int) -> torch.Tensor:
    """Orthonormal DCT-II: ``(B, B)`` float64, rows are frequencies (protocol point 10)."""
    frequency = torch.arange(block_size, dtype=torch.float64)[:, None]
    position = torch.arange(block_size, dtype=torch.float64)[None, :]
    basis = torch.cos(math.pi * (2 * position + 1) * frequency / (2 * block_size))
    basis[0] /= math.sqrt(2)
    return basis * math.sqrt(2 / block_size)


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


def ycbcr_planes(images: torch.Tensor) -> torch.Tensor:
    """``(N, R, R, 3)`` uint8 -> ``(N, 3, R, R)`` float64: Y, Cb and Cr, each minus 128 (protocol points 8 and 10)."""
    planes = torch.einsum("nhwc,dc->ndhw", images.double(), _float64(YCBCR_FROM_RGB, images.device))
    planes[:, 1:] += 128.0
    # Through float32, as in the paper's code: grey has no chroma, not even 1e-14 of it.
    return planes.float().double() - 128.0


def rgb_images(planes: torch.Tensor) -> torch.Tensor:
    """``(N, 3, R, R)`` float, centred Y, Cb, Cr -> ``(N, R, R, 3)`` uint8 (protocol point 16)."""
    centre = planes.new_tensor([128.0, 0.0, 0.0])[:, None, None]
    # Through float32 again: what is whole in exact arithmetic is not truncated to one level less.
    ycbcr = (planes + centre).float().double()
    rgb = torch.einsum("nchw,dc->nhwd", ycbcr, _float64(RGB_FROM_YCBCR, planes.device))
    return rgb.clamp(0, 255).to(torch.uint8)  # truncates, as the paper's code does


def doubled(planes: torch.Tensor) -> torch.Tensor:
    """``(N, C, h, w)`` -> ``(N, C, 2h, 2w)``: weights 1/4 and 3/4, edges replicated (protocol point 15)."""
    return F.interpolate(planes, scale_factor=2, mode="bilinear", align_corners=False)


def transform_blocks(planes: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Replace each block X of ``planes`` by M X M^T.

    ``planes``: (N, C, h B, w B) and ``matrix``: M (P, B), both float64 -> (N, C, h P, w P) float64.
    """
    out, side = matrix.shape
    n_images, channels, height, width = planes.shape
    blocks = planes.reshape(n_images, channels, height // side, side, width // side, side)
    blocks = torch.einsum("pu,ncaubv,qv->ncapbq", matrix, blocks, matrix)
    return blocks.reshape(n_images, channels, height // side * out, width // side * out)


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


class PixelCodec:
    """RGB images <-> ``(3, R, R)`` in [-1, 1], for the U-ViT baseline (protocol point 7)."""

    def __init__(self, resolution: int):
        self.resolution = resolution
        self.shape = (3, resolution, resolution)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """``(N, R, R, 3)`` uint8 -> ``(N, 3, R, R)`` float32 in [-1, 1]."""
        return images.permute(0, 3, 1, 2).float() / 127.5 - 1.0

    def decode(self, pixels: torch.Tensor) -> torch.Tensor:
        """``(N, 3, R, R)`` float32 -> ``(N, R, R, 3)`` uint8, rounded (protocol point 17)."""
        values = (pixels.float() + 1.0) * 127.5
        return values.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def _float64(matrix: tuple[tuple[float, ...], ...], device: torch.device) -> torch.Tensor:
    return torch.tensor(matrix, dtype=torch.float64, device=device)


def _encode(images: torch.Tensor, block_size: int, kept: int, eta: float) -> torch.Tensor:
    path = _encode_compiled if images.device.type == "cpu" else _encode_torch
    return path(images, block_size, kept, eta)


def _encode_compiled(images: torch.Tensor, block_size: int, kept: int, eta: float) -> torch.Tensor:
    n_images, resolution = images.shape[:2]
    tokens = torch.empty(n_images, (resolution // (2 * block_size)) ** 2, 6 * kept)
    encode, _ = _kernels(resolution, block_size, kept)
    rows = images.reshape(n_images, resolution, 3 * resolution).contiguous()
    encode(rows.numpy(), np.float32(eta), tokens.numpy())
    return tokens


def _decode_compiled(tokens: torch.Tensor, block_size: int, kept: int, eta: float) -> torch.Tensor:
    n_images, n_tokens, _ = tokens.shape
    resolution = 2 * block_size * math.isqrt(n_tokens)
    images = torch.empty(n_images, resolution, 3 * resolution, dtype=torch.uint8)
    _, decode = _kernels(resolution, block_size, kept)
    tokens = tokens.detach().float().reshape(n_images, n_tokens, 6 * kept).contiguous()  # kernels do not look at shapes
    decode(tokens.numpy(), np.float32(eta), images.numpy())
    return images.unflatten(-1, (resolution, 3))


@functools.lru_cache(maxsize=16)
def _kernels(resolution: int, block_size: int, kept: int) -> tuple[Callable, Callable]:
    """Encoder and decoder of ``codec_cpu``."""
    from dctdiff import codec_cpu  # here: most stages need no compiler

    matrix, order = dct_matrix(block_size).numpy(), np.array(zigzag(block_size)[:kept])
    to_ycbcr, to_rgb = np.array(YCBCR_FROM_RGB, np.float32), np.array(RGB_FROM_YCBCR, np.float32)
    return (
        codec_cpu.encoder(resolution, matrix, order, to_ycbcr),
        codec_cpu.decoder(resolution, matrix, order, to_rgb, np.float32(SAMPLE_BOUND)),
    )


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
