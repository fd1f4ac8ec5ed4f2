"""Distortion: how far changed images lie from their originals, and pictures of both.

The changed images go through JPEG, as the originals did (protocol points 1, 44 and 47).
"""

import io
from collections.abc import Callable, Hashable, Iterable

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from dctdiff.data.archive import encode_jpeg
from dctdiff.metrics.features import Extractor
from dctdiff.metrics.frechet import Moments, frechet_distance

N_PICTURES = 5
PICTURE_SIDE = 192  # pixels on the screen
CROP_SIDE = 96  # pixels of a large image that are shown: its middle
LABEL_WIDTH = 104  # pixels left of the pictures


def jpeg_round_trip(images: np.ndarray, quality: int) -> np.ndarray:
    """``(N, R, R, 3)`` uint8 -> the same, encoded as JPEG and decoded in memory."""
    decoded = [np.asarray(Image.open(io.BytesIO(encode_jpeg(image, quality)))) for image in images]
    return np.stack(decoded)


def distances(
    batches: Iterable[np.ndarray],
    change: Callable[[np.ndarray], Iterable[tuple[Hashable, np.ndarray]]],
    jpeg_quality: int,
    extractor: Extractor,
    device: torch.device,
    on_batch: Callable[[int], None],
) -> dict[Hashable, float]:
    """Frechet distance of each kind of changed images to the originals, in one pass over ``batches``.

    ``batches``: (n, R, R, 3) uint8 each; ``change`` makes of one some (name, (n, R, R, 3) uint8). The
    originals are measured as they are, the others after JPEG. ``on_batch`` is told each n.
    """
    originals, changed = Moments(), {}
    for images in batches:
        originals.update(extractor.features([images], device, lambda n: None))
        for name, others in change(images):
            features = extractor.features([jpeg_round_trip(others, jpeg_quality)], device, lambda n: None)
            changed.setdefault(name, Moments()).update(features)
        on_batch(len(images))
    reference = originals.gaussian()
    return {name: frechet_distance(moments.gaussian(), reference) for name, moments in changed.items()}


def labelled_rows(rows: dict[str, np.ndarray]) -> Image.Image:
    """One row of pictures per label: small images magnified, of large ones the middle.

    ``rows``: label -> (N, R, R, 3) uint8, where R is one resolution or half of it.
    """
    full = max(images.shape[1] for images in rows.values())
    pictures = {label: _visible(images, full) for label, images in rows.items()}
    n_images, side = next(iter(pictures.values())).shape[:2]
    canvas = Image.new("RGB", (LABEL_WIDTH + n_images * (side + 2) - 2, len(rows) * (side + 2) - 2), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=15)
    for row, (label, images) in enumerate(pictures.items()):
        top = row * (side + 2)
        draw.text((4, top + side // 2), label, fill="black", font=font, anchor="lm")
        for column, image in enumerate(images):
            canvas.paste(Image.fromarray(image), (LABEL_WIDTH + column * (side + 2), top))
    return canvas


def _visible(images: np.ndarray, full: int) -> np.ndarray:
    """``(N, H, H, 3)`` -> the middle of each, as large as that of ``full`` pixels (H or 2H)."""
    ratio = full // images.shape[1]
    shown = min(full, CROP_SIDE) // ratio
    start = (images.shape[1] - shown) // 2
    middle = images[:, start : start + shown, start : start + shown]
    zoom = PICTURE_SIDE // (shown * ratio) * ratio
    return middle.repeat(zoom, axis=1).repeat(zoom, axis=2)
