"""Measure what dropping high frequencies costs: the distance of reconstructions, and m*."""

from argparse import Namespace
from collections.abc import Iterator

import numpy as np
import torch

from dctdiff.analysis.distortion import N_PICTURES, jpeg_round_trip, labelled_rows
from dctdiff.analysis.measurement import measured_distances
from dctdiff.analysis.truncation import m_star, truncated, usual_bound
from dctdiff.data.archive import read_images, read_record
from dctdiff.params.truncation import MeasuredTruncation
from dctdiff.pipeline.command import run_stage
from dctdiff.pipeline.files import replacing, write_json
from dctdiff.pipeline.record import Used

PATHS = {
    "images": "archive of the training images",
    "out_truncation": "distance for each m, and m*, JSON",
    "out_grid": "picture of some images and their reconstructions",
}

PILLOW_QUALITY = 75  # of the paper's images, which say none
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


def main(paths: Namespace, params: MeasuredTruncation) -> Used:

    def change(images: np.ndarray, device: torch.device) -> Iterator[tuple[int, np.ndarray]]:
        batch = torch.from_numpy(images).to(device)
        for kept, changed in truncated(batch, params.block_size, params.kept_coefficients):
            yield params.block_size**2 - kept, changed.cpu().numpy()

    quality = params.jpeg_quality or read_record(paths.images).get("jpeg_quality", PILLOW_QUALITY)
    params = params.model_copy(update={"jpeg_quality": quality})
    curve, record = measured_distances(paths.images, params, "truncation", change)
    bound = params.bound or usual_bound(curve, record["protocol"]["metric"], params.n_images)
    write_json(
        paths.out_truncation,
        {
            **params.model_dump(include={"dataset", "block_size", "n_images", "jpeg_quality"}),
            "bound": bound,
            "curve": [{"m": m, "kept": params.block_size**2 - m, "value": curve[m]} for m in sorted(curve)],
            "m_star": m_star(curve, bound),
            **record,
        },
    )
    pictures = read_images(paths.images, min(N_PICTURES, params.n_images))
    with replacing(paths.out_grid) as temporary:
        labelled_rows(picture_rows(pictures, params)).save(temporary, "PNG", optimize=True)
    return Used({"EXTRACTORS": params.extractor})


if __name__ == "__main__":
    run_stage(main, PATHS, MeasuredTruncation, on_gpu=True)
