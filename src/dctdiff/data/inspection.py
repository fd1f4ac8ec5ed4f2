"""What keeps an image file from being read as it is, found without decoding it."""

import io

from PIL import Image, UnidentifiedImageError

from dctdiff.data.archive import BROKEN_IMAGE, FORMATS, IMAGE_MODES

# Suffixes of images that are refused rather than left out.
OTHER_SUFFIXES = (
    ".avif", ".bmp", ".dds", ".dng", ".eps", ".gif", ".heic", ".heif", ".ico", ".jfif", ".jp2", ".jpe", ".jxl", ".pbm",
    ".pgm", ".pnm", ".ppm", ".psd", ".raw", ".svg", ".tga", ".tif", ".tiff", ".webp",
)  # fmt: skip
# What files of a kind begin with; the second bytes stand from the place on.
STARTS = (
    (b"\xff\xd8\xff", 0, b"", "JPEG"), (b"\x89PNG", 0, b"", "PNG"), (b"GIF8", 0, b"", "GIF"),
    (b"II*\0", 0, b"", "TIFF"), (b"MM\0*", 0, b"", "TIFF"), (b"%!PS", 0, b"", "EPS"), (b"RIFF", 8, b"WEBP", "WebP"),
    (b"", 4, b"ftypavif", "AVIF"), (b"", 4, b"ftypheic", "HEIC"), (b"\0\0\0\x0cjP", 0, b"", "JPEG 2000"),
    (b"BM", 6, bytes(4), "BMP"),
)  # fmt: skip
START_BYTES = 12
PNG_DEPTH = 24  # place of the bits per value in a PNG


def kind_by_start(start: bytes) -> str | None:
    """The kind of image that begins with these ``START_BYTES``; None if it is no image that is known."""
    for first, place, second, kind in STARTS:
        if start.startswith(first) and start[place:].startswith(second):
            return kind
    return None


def problem(content: bytes) -> str | None:
    """Why the bytes of a file are no image that is read as it is; None if they are."""
    if not content:
        return "is empty"
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            return _problem_of(image, content)
    except UnidentifiedImageError:
        kind = kind_by_start(content[:START_BYTES])
        return "cannot be read" if kind in FORMATS else f"is {kind or 'no image'}, not JPEG or PNG"
    except BROKEN_IMAGE as error:
        return f"cannot be read ({error})"


def _problem_of(image: Image.Image, content: bytes) -> str | None:
    """Other modes have no RGB values of their own: what a conversion gives depends on the program."""
    if image.mode not in IMAGE_MODES:
        return f"has the mode {image.mode}"
    if "transparency" in image.info:
        return "has a transparent colour"
    if image.format == "PNG" and content[PNG_DEPTH] > 8:
        return f"has {content[PNG_DEPTH]} bits per value"
    if image.format == "PNG" and image.n_frames > 1:  # a JPEG may hold previews behind its image
        return f"holds {image.n_frames} pictures"
    end = b"IEND" if image.format == "PNG" else b"\xff\xd9"
    return None if end in content else "is cut"
