"""Halve images, double them again in several ways, and measure the distance to the originals."""

from collections.abc import Iterable

import numpy as np

import dctdiff.hardware
from dctdiff.archive import count_images, image_batches, read_images
from dctdiff.command import parse_command, run_stage
from dctdiff.distortion import N_PICTURES, distances, jpeg_round_trip, labelled_rows
from dctdiff.errors import UserError
from dctdiff.features import load_extractor
from dctdiff.files import replacing, sha256, write_json
from dctdiff.params.upsampling import MeasuredUpsampling
from dctdiff.progress import progress
from dctdiff.upsampling import doubled_by_all, halved

LABELS = {"nearest": "nearest", "bicubic": "bicubic", "lanczos": "Lanczos", "dct": "DCT"}


def picture_rows(images: np.ndarray, params: MeasuredUpsampling) -> dict[str, np.ndarray]:
    small = halved(images)
    doubled = doubled_by_all(small, params.block_size)
    results = {LABELS[name]: jpeg_round_trip(changed, params.jpeg_quality) for name, changed in doubled.items()}
    return {"original": images, "halved": small, **results}


def main() -> None:
    paths, params = parse_command(
        __doc__,
        {
            "images": "archive of the training images",
            "out_upsampling": "distance of each method, JSON",
            "out_grid": "picture of some images, halved and doubled again",
        },
        MeasuredUpsampling,
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

    def change(images: np.ndarray) -> Iterable[tuple[str, np.ndarray]]:
        return doubled_by_all(halved(images), params.block_size).items()

    batches = image_batches(paths.images, params.batch_size, n_images)
    with progress("upsampling", n_images, "images") as bar:
        values = distances(batches, change, params.jpeg_quality, extractor, device, bar.update)
    write_json(
        paths.out_upsampling,
        {
            **params.model_dump(include={"dataset", "block_size", "n_images", "jpeg_quality"}),
            "resolution": resolution,
            "values": values,
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
