"""The distance of two sets of images."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dctdiff.api.coding import checked
from dctdiff.data.sets import set_batches
from dctdiff.metrics.features import Extractor, load_extractor
from dctdiff.metrics.frechet import added_up, frechet_distance
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.hardware import default_device
from dctdiff.registry.extractors import EXTRACTORS

BATCH_SIZE = 50

Images = np.ndarray | str | Path


class Distance(NamedTuple):
    """``value`` of a ``metric`` ("FID", "FD (EfficientNet-Lite0)"), and how many images each set has."""

    metric: str
    value: float
    n_images: int
    n_reference: int


def distance(
    images: Images,
    reference: Images,
    extractor: str = "efficientnet-lite0",
    on_batch: Callable[[int], None] = lambda n: None,
) -> Distance:
    """Frechet distance of two sets of images: (metric, value, n_images, n_reference); 0 for equal sets.

    A set is an array ``(N, H, W, 3)`` uint8, a folder of JPEG and PNG files, or an archive of the pipeline
    (``data/<dataset>/train.zip``, ``results/samples/<cell>.zip``): at least 2 images of one size. ``extractor``:
    "efficientnet-lite0" (comes with this package, images resized to 224), "inception" (FID), "inception-spatial"
    (sFID) or "clip" (FD of CLIP embeddings; CMMD is for the pipeline to measure); the weights of these are fetched
    once. Values of few images are too high: compare at equal numbers. ``on_batch`` is told the size of each batch
    when it is done. A ``UserError`` for a set or an extractor that is none.
    """
    if extractor not in EXTRACTORS:
        raise UserError(f"extractor is {extractor!r}, but one of {', '.join(EXTRACTORS)} is expected")
    device = default_device()
    loaded: Extractor = load_extractor(extractor, EXTRACTORS[extractor].resolution, device)
    a, b = (
        added_up(loaded.feature_batches(batches, device, on_batch)).gaussian()
        for batches in (batches_of(images), batches_of(reference))
    )
    return Distance(loaded.metric, frechet_distance(a, b), a.n, b.n)


def batches_of(images: Images) -> Iterable[np.ndarray]:
    """``(n, H, W, 3)`` uint8 each."""
    if not isinstance(images, np.ndarray):
        return set_batches(images, BATCH_SIZE)
    checked(images, np.uint8, (*images.shape[1:3], 3), "images")
    return (images[start : start + BATCH_SIZE].copy() for start in range(0, len(images), BATCH_SIZE))
