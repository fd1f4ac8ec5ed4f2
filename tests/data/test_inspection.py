"""What keeps an image file from being read: found for all files at once, without decoding them."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from dctdiff.data.inspection import problem

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)


def saved(mode="RGB", kind="PNG", **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def png_16_bit() -> bytes:
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 9, 9, 16, 2, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + bytes(9 * 6) for _ in range(9)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(kind="JPEG", exif=exif)


BAD = {
    "empty": (b"", "is empty"),
    "cut JPEG": (saved(kind="JPEG")[:-100], "is cut"),
    "cut PNG": (saved()[:-15], "is cut"),
    "CMYK": (saved("CMYK", "JPEG"), "has the mode CMYK"),
    "palette": (saved("P"), "has the mode P"),
    "alpha": (saved("RGBA"), "has the mode RGBA"),
    "one bit": (saved("1"), "has the mode 1"),
    "16 bit grey": (saved("I;16"), "has the mode I;16"),
    "16 bit colour": (png_16_bit(), "has 16 bits per value"),
    "transparent colour": (saved(transparency=(1, 2, 3)), "has a transparent colour"),
    "animation": (saved(save_all=True, append_images=[Image.new("RGB", (9, 9))]), "holds 2 pictures"),
    "EPS": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is EPS, not JPEG or PNG"),
    "GIF": (saved("P", "GIF"), "is GIF, not JPEG or PNG"),
    "BMP": (saved(kind="BMP"), "is BMP, not JPEG or PNG"),
    "WebP": (saved(kind="WEBP"), "is WebP, not JPEG or PNG"),
    "TIFF": (saved(kind="TIFF"), "is TIFF, not JPEG or PNG"),
    "page": (b"<html>not found</html>", "is no image, not JPEG or PNG"),
    "huge": (saved().replace(struct.pack(">II", 9, 9), struct.pack(">II", 10**5, 10**5)), "cannot be read"),
}


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD)
def test_what_is_wrong_with_an_image_is_named(content, message):
    assert (problem(content) or "").startswith(message)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_what_is_read_has_no_problem(mode, kind):
    assert problem(saved(mode, kind)) is None
    assert problem(saved(mode, kind) + b"more") is None  # what some cameras write behind the image


@pytest.mark.parametrize(
    "content",
    [turned(0), turned(1), turned(6), saved(kind="MPO", save_all=True, append_images=[Image.new("RGB", (9, 9))])],
    ids=["no orientation", "upright", "turned", "preview behind the image"],
)
def test_what_cameras_write_into_a_jpeg_is_no_problem(content):
    assert problem(content) is None
