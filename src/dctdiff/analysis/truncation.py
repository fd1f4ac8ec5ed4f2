"""Truncation: images without their highest frequencies, and m*, how many of them may go (equation 6 of the paper).

Computed in float64 from the definition, not with a codec: nothing is scaled or clipped here
(protocol point 44), and what is whole in exact arithmetic is not lost to the truncation to bytes.
"""

from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F

from dctdiff.spaces.blocks import dct_matrix, transform_blocks
from dctdiff.spaces.colour import doubled, rgb_images, ycbcr_planes
from dctdiff.spaces.zigzag import zigzag

PAPER_BOUND, PAPER_IMAGES = 0.5, 50_000  # on the scale of FID
EXCESS = 2  # elsewhere: how many times the distance at m = 0


def truncated(images: torch.Tensor, block_size: int, kept_counts: Iterable[int]) -> Iterator[tuple[int, torch.Tensor]]:
    """Reconstruct ``images`` from the first coefficients of each block (protocol points 8 to 16 and 44).

    ``images``: (N, R, R, 3) uint8 with R divisible by 2B. Yields each kept count with the same;
    chroma is halved whatever the count.
    """
    dct = dct_matrix(block_size).to(images.device)
    planes = ycbcr_planes(images)
    luma = transform_blocks(planes[:, :1], dct)
    chroma = transform_blocks(F.avg_pool2d(planes[:, 1:], 2), dct)
    for kept in kept_counts:
        yield kept, _reconstructed(luma, chroma, dct, kept)


def usual_bound(distances: dict[int, float], metric: str, n_images: int) -> float:
    """The bound of the paper where the distances are on its scale, else one from the distance at m = 0.

    That one holds what no m avoids, halved chroma and JPEG, and grows as the others do where there are fewer images.
    """
    is_of_the_paper = metric == "FID" and n_images >= PAPER_IMAGES
    return PAPER_BOUND if is_of_the_paper else EXCESS * distances[0]


def m_star(distances: dict[int, float], bound: float) -> int | None:
    """The largest m whose distance is below ``bound``; None if none is (protocol point 44).

    ``distances``: number m of dropped coefficients -> distance to the originals.
    """
    return max((m for m, distance in distances.items() if distance < bound), default=None)


def _reconstructed(luma: torch.Tensor, chroma: torch.Tensor, dct: torch.Tensor, kept: int) -> torch.Tensor:
    """Coefficients (N, 1, R, R) of Y and (N, 2, R/2, R/2) of Cb, Cr -> (N, R, R, 3) uint8."""
    block_size = len(dct)
    mask = torch.zeros(block_size**2, dtype=dct.dtype, device=dct.device)
    mask[zigzag(block_size)[:kept]] = 1
    mask = mask.unflatten(0, (block_size, block_size))

    def inverse(coefficients: torch.Tensor) -> torch.Tensor:
        blocks = coefficients.shape[-1] // block_size
        return transform_blocks(coefficients * mask.repeat(blocks, blocks), dct.T)

    return rgb_images(torch.cat([inverse(luma), doubled(inverse(chroma))], dim=1))
