"""Images to what a network sees, and back.

Letters: N images, R resolution, B block side, T = (R / 2B)^2 tokens, m dropped and K = B*B - m kept coefficients.
"""

import warnings

import numpy as np
import torch

from dctdiff.pipeline.errors import UserError
from dctdiff.spaces.codec import Codec
from dctdiff.spaces.dct import SAMPLE_BOUND, DCTCodec

LARGEST_PIXEL = 128  # of a centred channel
SMALL_SHARE = 1e-3  # of clipped values, of which nobody is told


def dct_codec(resolution: int, block_size: int, drop: int = 0, eta: float | None = None) -> DCTCodec:
    """The codec of DCTdiff (paper section 4), by its numbers.

    ``resolution``: side of the images in pixels, a multiple of 2B. ``block_size``: B. ``drop``: m, the coefficients
    of the highest frequencies of each block that are left out, 0 to B*B - 1. ``eta``: what all coefficients are
    divided by, above 0; None: 128 B, the largest that there can be. A ``UserError`` for other numbers.
    """
    if block_size < 1 or resolution < 1 or resolution % (2 * block_size):
        raise UserError(
            f"resolution is {resolution} and block_size {block_size}, but images consist of tokens of 2 x 2 blocks; "
            f"take a multiple of {2 * max(block_size, 1)} pixels"
        )
    if not 0 <= drop < block_size**2:
        raise UserError(f"drop is {drop}, but a block has {block_size**2} coefficients; drop 0 to {block_size**2 - 1}")
    if eta is not None and not 0 < eta < float("inf"):
        raise UserError(f"eta is {eta}, but a finite number above 0 is expected")
    scale = LARGEST_PIXEL * block_size if eta is None else eta
    return DCTCodec(resolution, block_size, block_size**2 - drop, float(scale))


def encode(images: np.ndarray, codec: Codec) -> np.ndarray:
    """``(N, R, R, 3)`` uint8 -> ``(N, *codec.shape)`` float32.

    Of DCTdiff (``dct_codec``) ``codec.shape`` is (T, 6K): tokens of the blocks Y, Y, Y, Y, Cb, Cr, each of K
    coefficients from low frequencies to high, over eta, nothing clipped. Of pixels it is (3, R, R), in [-1, 1]. A
    ``UserError`` for another dtype or shape.
    """
    checked(images, np.uint8, (codec.resolution, codec.resolution, 3), "images")
    return codec.encode(torch.tensor(np.ascontiguousarray(images))).numpy()


def decode(values: np.ndarray, codec: Codec) -> np.ndarray:
    """``(N, *codec.shape)`` float32, as of ``encode`` -> ``(N, R, R, 3)`` uint8.

    Coefficients beyond -2 and 2 are clipped, as in the paper; a warning says so if they are more than one in a
    thousand, which is the sign of a wrong eta. A ``UserError`` for another dtype or shape.
    """
    share = clipped_share(values, codec)
    if share > SMALL_SHARE:
        warnings.warn(clipped_words(share, codec), stacklevel=2)
    return codec.decode(torch.tensor(np.ascontiguousarray(values))).numpy()


def clipped_share(values: np.ndarray, codec: Codec) -> float:
    """Share of ``values``, ``(N, *codec.shape)`` float32, that ``decode`` clips: 0 to 1; 0 for pixels and latents.

    A ``UserError`` for another dtype or shape.
    """
    checked(values, np.float32, codec.shape, "values")
    if not hasattr(codec, "block_size") or not values.size:
        return 0.0
    return float((np.abs(values) > SAMPLE_BOUND).mean())


def clipped_words(share: float, codec: Codec) -> str:
    return (
        f"{share:.1%} of the coefficients lie beyond {SAMPLE_BOUND:g} eta and are clipped, so the images differ; eta "
        f"is {codec.eta:g}: encode with that of the data, or with {LARGEST_PIXEL * codec.block_size}, where none is"
    )


def checked(array: np.ndarray, dtype: type, shape: tuple[int, ...], name: str) -> None:
    """A ``UserError`` unless ``array`` is (N, *shape) of ``dtype``: kernels do not look at shapes."""
    if array.dtype != dtype or array.shape[1:] != shape or array.ndim != 1 + len(shape):
        expected = ", ".join(map(str, shape))
        raise UserError(f"{name} are {array.dtype} {array.shape}, but {np.dtype(dtype)} (N, {expected}) is expected")
