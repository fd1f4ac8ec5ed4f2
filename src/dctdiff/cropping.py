"""Random square crops of photographs at several scales."""

import numpy as np
from PIL import Image

from dctdiff.draws import numpy_generator
from dctdiff.errors import UserError


def random_crop(
    photographs: list[tuple[str, Image.Image]], crop_sides: list[int], resolution: int, seed: int, index: int
) -> tuple[str, np.ndarray]:
    """Crop ``index``: the photograph's name and ``(resolution, resolution, 3)`` uint8.

    Photograph, side and place are uniform; the crop is resized with PIL's (antialiased) bicubic
    filter, as the paper's CelebA (protocol point 3).
    """
    generator = numpy_generator(seed, "crop", index)
    name, photograph = photographs[generator.integers(len(photographs))]
    side = crop_sides[generator.integers(len(crop_sides))]
    if side > min(photograph.size):
        raise UserError(
            f"{name} has {photograph.width} x {photograph.height} pixels, but crop_sides holds {side}; "
            f"use sides of at most {min(photograph.size)}"
        )
    left = generator.integers(photograph.width - side + 1)
    top = generator.integers(photograph.height - side + 1)
    box = (left, top, left + side, top + side)
    crop = photograph.resize((resolution, resolution), Image.Resampling.BICUBIC, box=box)
    return name, np.asarray(crop)
