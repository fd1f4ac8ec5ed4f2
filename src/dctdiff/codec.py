"""Codecs: fixed linear maps between RGB images and what the networks see.

Letters: N images, B block side, T = (R / 2B)^2 tokens, K kept coefficients,
P patch side, R resolution.

Both codecs take and give ``(N, R, R, 3)`` uint8 and share one interface:
``encode``, ``decode``, ``coefficients`` (before scaling, for the statistics)
and ``shape`` (of one encoded image).
"""

import functools
import math

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
    """The whole encoder of one ``2B x 2B`` patch as a matrix (protocol points 8 to 13).

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


def encoding_offset(block_size: int) -> torch.Tensor:
    """Offset of the encoder: ``(6, B*B)`` float64.

    Subtracting 128 moves only the DC of Y: Cb and Cr are already centred by it.
    """
    offset = torch.zeros(6, block_size**2, dtype=torch.float64)
    offset[:4, 0] = -128.0 * block_size
    return offset


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
        weight, bias = _encoder(self.block_size, self.kept_coefficients, images.device)
        return _strided_product(images, weight / self.eta, bias / self.eta)

    def coefficients(self, images: torch.Tensor) -> torch.Tensor:
        """``(N, R, R, 3)`` uint8 -> ``(N, T, 6 B*B)`` float32: all coefficients, unscaled."""
        return _strided_product(images, *_encoder(self.block_size, self.block_size**2, images.device))

    def decode(self, tokens: torch.Tensor) -> torch.Tensor:
        """``(N, T, 6K)`` float32 -> ``(N, R, R, 3)`` uint8 (protocol points 14 to 16)."""
        n_images, n_tokens, _ = tokens.shape
        side = math.isqrt(n_tokens)
        values = tokens.float().clamp(-SAMPLE_BOUND, SAMPLE_BOUND) * self.eta
        values = values.mT.unflatten(1, (6, -1)).unflatten(3, (side, side))  # (N, 6, K, h, w)
        luma_basis, chroma_basis = _decoder(self.block_size, self.kept_coefficients, tokens.device)
        luma = F.conv_transpose2d(values[:, :4].flatten(1, 2), luma_basis, stride=2 * self.block_size)
        chroma = F.conv_transpose2d(values[:, 4:].flatten(0, 1), chroma_basis, stride=self.block_size).unflatten(
            0, (n_images, 2)
        )[:, :, 0]  # (N, 2, R/2, R/2)
        return rgb_images(torch.cat([luma, doubled(chroma)], dim=1))  # doubling alone crosses blocks


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


def _strided_product(images: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """One matrix product per non-overlapping patch: ``(N, R, R, 3)`` -> ``(N, T, D)``."""
    side = weight.shape[-1]
    pixels = images.permute(0, 3, 1, 2).float()
    patches = F.pixel_unshuffle(pixels, side).flatten(2).mT  # (N, T, 3 * side * side)
    return F.linear(patches, weight.flatten(1), bias)


@functools.lru_cache(maxsize=16)
def _encoder(block_size: int, kept: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight ``(6K, 3, 2B, 2B)`` and bias ``(6K,)`` of the encoder, float32."""
    weight = encoding_matrix(block_size)[:, :kept].flatten(0, 1)
    bias = encoding_offset(block_size)[:, :kept].flatten()
    return weight.float().to(device), bias.float().to(device)


@functools.lru_cache(maxsize=16)
def _decoder(block_size: int, kept: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Inverse DCT bases: Y ``(4K, 1, 2B, 2B)`` and chroma ``(K, 1, B, B)``, float32."""
    dct = dct_matrix(block_size)
    basis = torch.einsum("up,vq->uvpq", dct, dct).flatten(0, 1)[zigzag(block_size)[:kept]]  # (K, B, B)
    luma = torch.zeros(2, 2, kept, 2, block_size, 2, block_size, dtype=dct.dtype)
    for row in range(2):
        for column in range(2):
            luma[row, column, :, row, :, column] = basis
    luma = luma.reshape(4 * kept, 1, 2 * block_size, 2 * block_size)
    return luma.float().to(device), basis[:, None].float().to(device)
