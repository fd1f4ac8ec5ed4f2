"""Measure what dropping high frequencies costs: the distance of reconstructions, and m*."""

from collections.abc import Iterator

import numpy as np
import torch

import dctdiff.hardware
from dctdiff.archive import count_images, image_batches, read_images
from dctdiff.command import parse_command, run_stage
from dctdiff.distortion import N_PICTURES, distances, jpeg_round_trip, labelled_rows
from dctdiff.errors import UserError
from dctdiff.features import load_extractor
from dctdiff.files import replacing, sha256, write_json
from dctdiff.params.truncation import MeasuredTruncation
from dctdiff.progress import progress
from dctdiff.truncation import m_star, truncated

N_ROWS = 6  # of the picture, beside the originals


def picture_rows(images: np.ndarray, params: MeasuredTruncation) -> dict[str, np.ndarray]:
    """The originals, and what some of the kept counts leave of them, from many to few."""
    counts = sorted(params.kept_coefficients, reverse=True)
    n_rows = min(N_ROWS, len(counts))
    chosen = [counts[round(row * (len(counts) - 1) / max(1, n_rows - 1))] for row in range(n_rows)]
    rows = {"original": images}
    for kept, changed in truncated(torch.from_numpy(images), params.block_size, chosen):
        label = f"m = {params.block_size**2 - kept}\n({kept} kept)"
        rows[label] = jpeg_round_trip(changed.numpy(), params.jpeg_quality)
    return rows


def main() -> None:
    paths, params = parse_command(
        __doc__,
        {
            "images": "archive of the training images",
            "out_truncation": "distance for each m, and m*, JSON",
            "out_grid": "picture of some images and their reconstructions",
        },
        MeasuredTruncation,
    )
    n_images = count_images(paths.images, params.n_images)
    pictures = read_images(paths.images, min(N_PICTURES, n_images))
    resolution = pictures.shape[1]
    if resolution % (2 * params.block_size):
        raise UserError(
            f"{paths.images}: {resolution} pixels are not divisible by 2 * block_size = {2 * params.block_size}; "
            "choose another block_size"
        )
    device = dctdiff.hardware.default_device()
    extractor = load_extractor(params.extractor, params.feature_resolution, device)

    def change(images: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        batch = torch.from_numpy(images).to(device)
        for kept, changed in truncated(batch, params.block_size, params.kept_coefficients):
            yield params.block_size**2 - kept, changed.cpu().numpy()

    batches = image_batches(paths.images, params.batch_size, n_images)
    with progress("truncation", n_images, "images") as bar:
        curve = distances(batches, change, params.jpeg_quality, extractor, device, bar.update)
    write_json(
        paths.out_truncation,
        {
            **params.model_dump(include={"dataset", "block_size", "bound", "n_images", "jpeg_quality"}),
            "resolution": resolution,
            "curve": [{"m": m, "kept": params.block_size**2 - m, "value": curve[m]} for m in sorted(curve)],
            "m_star": m_star(curve, params.bound),
            "protocol": {
                "metric": extractor.metric,
                "extractor_sha256": extractor.sha256,
                "feature_resolution": params.feature_resolution,
            },
            "images_sha256": sha256(paths.images),
            "versions": dctdiff.hardware.versions(),
        },
    )
    with replacing(paths.out_grid) as temporary:
        labelled_rows(picture_rows(pictures, params)).save(temporary, "PNG", optimize=True)


if __name__ == "__main__":
    run_stage(main)
