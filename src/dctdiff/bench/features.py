"""Features of 50,000 images of 32 pixels and the distance, and how far the GPU's value is from that of a CPU."""

import argparse
import io
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from PIL import Image

from dctdiff.bench.measuring import write_result
from dctdiff.data.archive import encode_jpeg, image_batches, write_archive
from dctdiff.data.cropping import random_crop
from dctdiff.data.photographs import read_photographs
from dctdiff.metrics.features import load_extractor
from dctdiff.metrics.frechet import Moments, fit, frechet_distance
from dctdiff.pipeline.hardware import default_device

N_IMAGES, N_COMPARED, SIDE = 50_000, 500, 32
NAME, RESOLUTION, BATCH = "efficientnet-lite0", 224, 250


def crops(n_images: int) -> Iterator[tuple[str, bytes]]:
    """Name and JPEG of each image: crops of the photographs that come with scikit-image."""
    photographs = [(name, Image.open(io.BytesIO(content))) for name, content in read_photographs()]
    photographs = [(name, image.convert("RGB")) for name, image in photographs]
    for index in range(n_images):
        _, image = random_crop(photographs, [2 * SIDE], SIDE, seed=0, index=index)
        yield f"{index:06d}.jpg", encode_jpeg(image, 95)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    out = parser.parse_args().out
    device = default_device()
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "images.zip"
        write_archive(archive, crops(N_IMAGES), {})
        started = time.monotonic()
        extractor, moments = load_extractor(NAME, RESOLUTION, device), Moments()
        for features in extractor.feature_batches(image_batches(archive, BATCH), device, lambda n: None):
            moments.update(features)
        gaussian = moments.gaussian()
        distance = frechet_distance(gaussian, gaussian)
        seconds = time.monotonic() - started
        some = [next(image_batches(archive, N_COMPARED))]
    here = frechet_distance(fit(extractor.features(some, device, lambda n: None)), gaussian)
    cpu = torch.device("cpu")
    exact = frechet_distance(fit(load_extractor(NAME, RESOLUTION, cpu).features(some, cpu, lambda n: None)), gaussian)
    write_result(
        out,
        {
            "n_images": N_IMAGES,
            "extractor": NAME,
            "feature_resolution": RESOLUTION,
            "seconds": seconds,
            "distance_to_itself": distance,
            "distance_of_some": here,
            "distance_of_some_cpu_float32": exact,
            "relative_difference": abs(here / exact - 1),
        },
    )


if __name__ == "__main__":
    main()
