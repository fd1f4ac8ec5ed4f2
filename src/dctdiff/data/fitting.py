"""Images that cannot be used as they are: left out, or converted to RGB of 8 bit."""

import io

import numpy as np
from PIL import Image, ImageOps

from dctdiff.data.archive import BROKEN_IMAGE, FORMATS, decode_image
from dctdiff.data.inspection import problem
from dctdiff.pipeline.errors import UserError

DEEP_GREY = "I;16"  # Pillow clips these values instead of scaling them


def settled(content: bytes, background: str | None) -> tuple[bytes | None, str | None]:
    """The file to use (None: leave the image out), and what was wrong with it (None: nothing, it is the same).

    ``background``: colour behind what is transparent; None: nothing is converted. Every image is
    decoded, so that what is broken inside is found too.
    """
    why = problem(content)
    try:
        if why is None:
            decode_image(content, "it")
            return content, None
        return (None if background is None else converted(content, background)), why
    except (*BROKEN_IMAGE, UserError) as error:
        return None, why or str(error)


def converted(content: bytes, background: str) -> bytes:
    """A PNG, RGB of 8 bit, of the first picture of a file, upright and on ``background``; raises ``BROKEN_IMAGE``."""
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith(DEEP_GREY):
        upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
    if upright.mode == "CMYK":
        upright = upright.convert("RGB")
    opaque = Image.new("RGBA", upright.size, background)
    opaque.alpha_composite(upright.convert("RGBA"))
    buffer = io.BytesIO()
    opaque.convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()
