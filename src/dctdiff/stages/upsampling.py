"""Halve images, double them again in several ways, and measure the distance to the originals."""

from argparse import Namespace
from collections.abc import Iterable

import numpy as np
import torch

from dctdiff.analysis.distortion import N_PICTURES, jpeg_round_trip, labelled_rows
from dctdiff.analysis.measurement import measured_distances
from dctdiff.analysis.upsampling import doubled_by_all, halved
from dctdiff.data.archive import read_images
from dctdiff.params.upsampling import MeasuredUpsampling
from dctdiff.pipeline.command import run_stage
from dctdiff.pipeline.files import replacing, write_json
from dctdiff.pipeline.record import Used

PATHS = {
    "images": "archive of the training images",
    "out_upsampling": "distance of each method, JSON",
    "out_grid": "picture of some images, halved and doubled again",
}

LABELS = {"nearest": "nearest", "bicubic": "bicubic", "lanczos": "Lanczos", "dct": "DCT"}


def picture_rows(images: np.ndarray, params: MeasuredUpsampling) -> dict[str, np.ndarray]:
    small = halved(images)
    doubled = doubled_by_all(small, params.block_size)
    results = {LABELS[name]: jpeg_round_trip(changed, params.jpeg_quality) for name, changed in doubled.items()}
    return {"original": images, "halved": small, **results}


def main(paths: Namespace, params: MeasuredUpsampling) -> Used:

    def change(images: np.ndarray, device: torch.device) -> Iterable[tuple[str, np.ndarray]]:
        return doubled_by_all(halved(images), params.block_size).items()

    values, record = measured_distances(paths.images, params, "upsampling", change)
    write_json(
        paths.out_upsampling,
        {
            **params.model_dump(include={"dataset", "block_size", "n_images", "jpeg_quality"}),
            "values": values,
            **record,
        },
    )
    pictures = read_images(paths.images, min(N_PICTURES, params.n_images))
    with replacing(paths.out_grid) as temporary:
        labelled_rows(picture_rows(pictures, params)).save(temporary, "PNG", optimize=True)
    return Used({"EXTRACTORS": params.extractor})


if __name__ == "__main__":
    run_stage(main, PATHS, MeasuredUpsampling, on_gpu=True)
