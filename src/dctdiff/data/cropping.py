"""Square crops: random ones of photographs at several scales, and one box for all images of a set."""

import numpy as np
from PIL import Image

from dctdiff.data.archive import BadImage
from dctdiff.diffusion.draws import numpy_generator
from dctdiff.pipeline.errors import UserError


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


def box_crop(image: np.ndarray, box: list[int], resolution: int, name: str) -> np.ndarray:
    """The square ``box`` (left, top, right, bottom) of ``(H, W, 3)`` uint8, resized: ``(resolution, resolution, 3)``.

    Cut first and resized then with PIL's (antialiased) bicubic filter, so no pixel outside the box
    counts (protocol point 3). ``name`` is for the error.
    """
    height, width = image.shape[:2]
    if box[2] > width or box[3] > height:
        raise BadImage(
            f"{name} has {width} x {height} pixels, but box reaches {box[2]} x {box[3]}",
            "correct the box or replace what is smaller",
        )
    crop = Image.fromarray(image).crop(tuple(box))
    return np.asarray(crop.resize((resolution, resolution), Image.Resampling.BICUBIC))
