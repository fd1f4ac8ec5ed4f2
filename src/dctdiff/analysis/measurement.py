"""Measurement of a distortion over an archive: what the stages truncation and upsampling share."""

from collections.abc import Callable, Hashable, Iterable

import numpy as np
import torch

from dctdiff.analysis.distortion import distances
from dctdiff.data.archive import count_images, image_batches, read_images
from dctdiff.metrics.features import load_extractor
from dctdiff.pipeline import hardware
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import sha256
from dctdiff.pipeline.progress import progress

Change = Callable[[np.ndarray, torch.device], Iterable[tuple[Hashable, np.ndarray]]]


def measured_distances(path: str, params, stage: str, change: Change) -> tuple[dict[Hashable, float], dict]:
    """Distance of each kind of changed images to the originals in ``path``, and the record of how.

    ``params``: block_size, n_images and jpeg_quality, and the extractor of the suite; ``change`` is
    called with (n, R, R, 3) uint8 and the device, as in ``distortion.distances``.
    """
    n_images = count_images(path, params.n_images)
    resolution = read_images(path, 1).shape[1]
    if resolution % (2 * params.block_size):
        raise UserError(
            f"{path}: {resolution} pixels are not divisible by 2 * block_size = {2 * params.block_size}; "
            "choose another block_size"
        )
    device = hardware.default_device()
    extractor = load_extractor(params.extractor, params.feature_resolution, device)
    batches = image_batches(path, params.batch_size, n_images)
    with progress(stage, n_images, "images") as bar:
        values = distances(
            batches, lambda images: change(images, device), params.jpeg_quality, extractor, device, bar.update
        )
    return values, {
        "resolution": resolution,
        "protocol": {
            "metric": extractor.metric,
            "extractor_sha256": extractor.sha256,
            "feature_resolution": params.feature_resolution,
        },
        "images_sha256": sha256(path),
        "versions": hardware.versions(),
    }
