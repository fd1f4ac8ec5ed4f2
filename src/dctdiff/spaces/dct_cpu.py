"""The DCT codec on one CPU core, compiled by numba at the first call.

Letters: N images, R resolution, B block side, S = R / 2B tokens across, T = S^2, K kept coefficients.

Images are worked on in strips of one row of tokens, which stay in the nearest cache. A strip has
three parts of ``(B, R)`` float32, each of 2S blocks side by side: the upper blocks of Y, the lower
ones, and the blocks of Cb with those of Cr to their right. All of them are centred on 0.
The inner loops run over pixels or blocks, which LLVM does 8 or more at a time; for that the loops
over one block must be unrolled, so B, K, R and the matrices are constants of a compiled kernel.
Parts are laid flat, since numba does not know the strides of a reshaped array.
"""

import functools
import os
from collections.abc import Callable
from pathlib import Path

# Beside params.yaml, like other caches: neither the code's folder nor a home need be writable.
os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(".cache/numba").absolute()))

import numba
import numpy as np

# "contract" lets a product and a sum be one instruction; the order of the sums stays as written.
_compiled = functools.partial(numba.njit, nogil=True, fastmath={"contract"})
_inlined = functools.partial(_compiled, forceinline=True)

ZERO, ONE_QUARTER, THREE_QUARTERS, CENTRE, WHITE = np.array([0, 0.25, 0.75, 128, 255], np.float32)


def encoder(resolution: int, matrix: np.ndarray, order: np.ndarray, ycbcr_from_rgb: np.ndarray) -> Callable:
    """The kernel ``encode(images, eta, tokens)`` of one codec, which fills ``tokens``.

    ``matrix``: DCT-II, (B, B) float64; ``order``: row-major indices of the kept coefficients, (K,) int;
    ``ycbcr_from_rgb``: (3, 3) float32, whose rows sum to 1, 0 and 0.
    The kernel's ``images``: (N, R, 3R) uint8, C-contiguous; ``eta``: float32;
    ``tokens``: (N, T, 6K) float32, C-contiguous, not clipped.
    """
    side, across, starts = _layout(resolution, matrix, order)
    area = side * resolution
    matrix = _whole_mean(matrix)

    def encode(images, eta, tokens):
        strip = np.empty(3 * area, np.float32)
        chroma = np.empty(2 * resolution, np.float32)  # Cb and Cr of two rows of pixels added
        halfway = np.empty(area, np.float32)
        spectrum = np.empty(area, np.float32)
        for n in range(len(images)):
            for s in range(across):
                for r in range(side):
                    y, start = 2 * (s * side + r), 2 * r * resolution
                    luma = strip[start : start + 2 * resolution]
                    _from_rgb(ycbcr_from_rgb, images[n, y], images[n, y + 1], luma, chroma, resolution)
                    _halve(chroma, strip[2 * area + r * resolution :], resolution)
                for part in range(3):
                    _dct(matrix, strip[part * area :], halfway, eta * np.float32(side), spectrum, side, resolution)
                    _write_part(spectrum, starts, part, across, tokens[n, s * across :])

    return _cached(encode, resolution, matrix, order)


def decoder(
    resolution: int, matrix: np.ndarray, order: np.ndarray, rgb_from_ycbcr: np.ndarray, bound: np.float32
) -> Callable:
    """The kernel ``decode(tokens, eta, images)`` of one codec, which fills ``images``.

    ``rgb_from_ycbcr``: (3, 3) float32 with Y in full and without Cb in red and Cr in blue;
    tokens are clipped to +-``bound``; the rest is as for ``encoder``.
    """
    side, across, starts = _layout(resolution, matrix, order)
    area, half = side * resolution, resolution // 2
    inverse = np.ascontiguousarray(_whole_mean(matrix).T)

    def decode(tokens, eta, images):
        plane = np.empty(area, np.float32)
        # Of a whole image, since doubling crosses blocks: R / 2 rows of Cb, doubled in width, and of Cr.
        chroma = np.empty(half * 2 * resolution, np.float32)
        halfway = np.empty(area, np.float32)
        spectrum = np.zeros(area, np.float32)  # and so it stays where no coefficient is kept
        for n in range(len(images)):
            for s in range(across):
                _read_part(tokens[n, s * across :], 2, across, bound, eta / np.float32(side), starts, spectrum)
                _inverse_dct(inverse, spectrum, halfway, plane, side, resolution)
                for row in range(2 * side):  # of Cb or Cr
                    _double(plane[row * half :], chroma[(s * 2 * side + row) * resolution :], half)
            for s in range(across):
                for part in range(2):
                    _read_part(tokens[n, s * across :], part, across, bound, eta / np.float32(side), starts, spectrum)
                    _inverse_dct(inverse, spectrum, halfway, plane, side, resolution)
                    for r in range(side):
                        y = (2 * s + part) * side + r
                        near = y // 2
                        far = min(near + 1, half - 1) if y % 2 else max(near - 1, 0)
                        near_row, far_row = chroma[near * 2 * resolution :], chroma[far * 2 * resolution :]
                        _to_rgb(rgb_from_ycbcr, plane[r * resolution :], near_row, far_row, images[n, y], resolution)

    return _cached(decode, resolution, matrix, order)


def _cached(kernel: Callable, resolution: int, matrix: np.ndarray, order: np.ndarray) -> Callable:
    """``kernel`` compiled, with a cache file of its own: numba names them by function, and in one
    file for all codecs two processes could each take the other's kernel for theirs.
    """
    kernel.__qualname__ += f"-{resolution}-{len(matrix)}-{len(order)}"
    return _compiled(cache=True)(kernel)


def _layout(resolution: int, matrix: np.ndarray, order: np.ndarray) -> tuple[int, int, np.ndarray]:
    """B, S and where each kept coefficient begins in a spectrum, which is ordered by column, row and block."""
    side = len(matrix)
    if resolution % (2 * side):
        raise ValueError(f"{resolution} pixels are not divisible by tokens of {2 * side}")
    rows, columns = np.divmod(order, side)
    across = resolution // (2 * side)
    return side, across, (columns * side + rows) * 2 * across


def _whole_mean(matrix: np.ndarray) -> np.ndarray:
    """``matrix`` times the root of B, float32: ones for the mean, so that what is whole stays whole in all sums.

    Two of them, for rows and columns, make the transform B times what it is.
    """
    return (matrix * np.sqrt(len(matrix))).astype(np.float32)


@_inlined
def _from_rgb(matrix, upper, lower, luma, chroma, length):
    """Two rows of pixels, (3L,) uint8, -> Y - 128 of each, (2L,), and Cb - 128 and Cr - 128 of their sum, (2L,)."""
    for x in range(length):
        # By differences to green, which are whole: grey has exactly its luma and no chroma.
        upper_green, lower_green = np.float32(upper[3 * x + 1]), np.float32(lower[3 * x + 1])
        upper_red, upper_blue = np.float32(upper[3 * x]) - upper_green, np.float32(upper[3 * x + 2]) - upper_green
        lower_red, lower_blue = np.float32(lower[3 * x]) - lower_green, np.float32(lower[3 * x + 2]) - lower_green
        luma[x] = upper_green - CENTRE + matrix[0, 0] * upper_red + matrix[0, 2] * upper_blue
        luma[x + length] = lower_green - CENTRE + matrix[0, 0] * lower_red + matrix[0, 2] * lower_blue
        red, blue = upper_red + lower_red, upper_blue + lower_blue
        chroma[x] = matrix[1, 0] * red + matrix[1, 2] * blue
        chroma[x + length] = matrix[2, 0] * red + matrix[2, 2] * blue


@_inlined
def _halve(sums, means, length):
    """Sums of two pixels, (2L,), -> means of four, (L,)."""
    for x in range(length):
        means[x] = ONE_QUARTER * (sums[2 * x] + sums[2 * x + 1])


@_inlined
def _dct(matrix, source, halfway, divisor, spectrum, side, length):
    """One part of a strip, (B, L), -> its spectrum over ``divisor``, (B, L), both laid flat."""
    _mix(matrix, source, 1, length, halfway, 1, length, side, length)
    _mix(matrix, halfway, side, 1, spectrum, 1, length, side, length)  # blocks of all rows, one after the other
    for x in range(side * length):
        spectrum[x] /= divisor


@_inlined
def _inverse_dct(inverse, spectrum, halfway, target, side, length):
    """The spectrum of one part of a strip, (B, L), -> the part, (B, L), both laid flat."""
    _mix(inverse, spectrum, 1, length, halfway, side, 1, side, length)
    _mix(inverse, halfway, 1, length, target, 1, length, side, length)


@_inlined
def _mix(matrix, source, source_next, source_step, target, target_next, target_step, side, length):
    """``matrix``, (B, B), times each of ``length`` vectors, laid flat.

    The values of a vector are ``_step`` apart, and each vector begins ``_next`` after the one before.
    """
    for x in range(length):
        for u in range(side):
            total = ZERO
            for r in range(side):
                total += matrix[u, r] * source[x * source_next + r * source_step]
            target[x * target_next + u * target_step] = total


@_inlined
def _write_part(spectrum, starts, part, across, tokens):
    """The kept coefficients of one part of a strip -> their third of ``tokens``: (S, 6K)."""
    kept = len(starts)
    next_token, next_block = _steps(part, across)
    for t in range(across):
        token = tokens[t]
        for j in range(2):
            for k in range(kept):
                token[(2 * part + j) * kept + k] = spectrum[starts[k] + t * next_token + j * next_block]


@_inlined
def _read_part(tokens, part, across, bound, scale, starts, spectrum):
    """The reverse of ``_write_part``; clips to +-``bound`` and multiplies by ``scale``."""
    kept = len(starts)
    next_token, next_block = _steps(part, across)
    for t in range(across):
        token = tokens[t]
        for j in range(2):
            for k in range(kept):
                spectrum[starts[k] + t * next_token + j * next_block] = token[(2 * part + j) * kept + k]
    for x in range(len(spectrum)):
        spectrum[x] = scale * min(max(spectrum[x], -bound), bound)


@_inlined
def _steps(part, across):
    """From a block of a part to the same of the next token, and to the other block of the token."""
    return (2, 1) if part < 2 else (1, across)


@_inlined
def _double(row, target, length):
    """(L,) -> (2L,): weights 3/4 and 1/4, edges replicated."""
    target[0] = row[0]
    for x in range(length - 1):
        target[2 * x + 1] = THREE_QUARTERS * row[x] + ONE_QUARTER * row[x + 1]
        target[2 * x + 2] = THREE_QUARTERS * row[x + 1] + ONE_QUARTER * row[x]
    target[2 * length - 1] = row[length - 1]


@_inlined
def _to_rgb(matrix, luma, near, far, pixels, length):
    """Centred Y, (L,), and Cb and Cr of the nearer and the farther row, (2L,), -> (3L,) uint8.

    In float32, where the sum swallows a chroma of 1e-7: grey is not truncated to one level less.
    """
    for x in range(length):
        y = luma[x] + CENTRE
        cb = THREE_QUARTERS * near[x] + ONE_QUARTER * far[x]
        cr = THREE_QUARTERS * near[length + x] + ONE_QUARTER * far[length + x]
        pixels[3 * x] = _byte(y + matrix[0, 2] * cr)
        pixels[3 * x + 1] = _byte(y + matrix[1, 1] * cb + matrix[1, 2] * cr)
        pixels[3 * x + 2] = _byte(y + matrix[2, 1] * cb)


@_inlined
def _byte(value):
    """Truncates, as the paper's code does."""
    return np.uint8(np.int32(min(max(value, ZERO), WHITE)))
