"""Square crops of photographs: random ones at several scales, one box for all images of a set, or the middle."""

import io

import numpy as np
from PIL import Image

from dctdiff.data.archive import FORMATS, BadImage, decode_image
from dctdiff.diffusion.draws import numpy_generator
from dctdiff.pipeline.errors import UserError

ORIENTATION = 0x0112  # of EXIF
# What makes an image upright; 1 is upright, and other values, such as the 0 of some cameras, say nothing.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip


def orientation(content: bytes) -> int | None:
    """The EXIF orientation of an image file that can be decoded, if it is a turned one."""
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        found = image.getexif().get(ORIENTATION)
    return found if found in TURNS else None


def photograph(content: bytes, name: str) -> Image.Image:
    """An RGB or grey image file as it is looked at, upright, RGB; ``name`` is for the error."""
    image = Image.fromarray(decode_image(content, name))
    turned = orientation(content)
    return image if turned is None else image.transpose(TURNS[turned])


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


def center_crop(image: np.ndarray, resolution: int) -> np.ndarray:
    """The square in the middle of ``(H, W, 3)`` uint8, whose side is the shorter one: ``(resolution, resolution, 3)``.

    As if the image were resized first (PIL's antialiased bicubic filter): pixels beside the square count at its edge.
    """
    height, width = image.shape[:2]
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    box = (left, top, left + side, top + side)
    return np.asarray(Image.fromarray(image).resize((resolution, resolution), Image.Resampling.BICUBIC, box=box))


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
