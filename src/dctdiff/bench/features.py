"""Features of 50,000 images of 32 pixels and the distance, and how far the GPU's value is from that of a CPU."""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from skimage.data import astronaut, chelsea, coffee, rocket

from dctdiff.archive import encode_jpeg, image_batches, write_archive
from dctdiff.bench.measuring import write_result
from dctdiff.features import load_extractor
from dctdiff.frechet import Moments, fit, frechet_distance
from dctdiff.hardware import default_device

N_IMAGES, N_COMPARED, SIDE = 50_000, 500, 32
NAME, RESOLUTION, BATCH = "efficientnet-lite0", 224, 250


def crops(n_images: int) -> np.ndarray:
    """Crops of photographs that come with scikit-image: (n_images, 32, 32, 3) uint8."""
    generator = np.random.default_rng(0)
    photographs = [photograph() for photograph in (astronaut, chelsea, coffee, rocket)]
    made = np.empty((n_images, SIDE, SIDE, 3), dtype=np.uint8)
    for index in range(n_images):
        photograph = photographs[index % len(photographs)]
        top, left = (generator.integers(size - 2 * SIDE) for size in photograph.shape[:2])
        made[index] = photograph[top : top + 2 * SIDE : 2, left : left + 2 * SIDE : 2]
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    out = parser.parse_args().out
    images, device = crops(N_IMAGES), default_device()
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "images.zip"
        write_archive(archive, ((f"{i:06d}.jpg", encode_jpeg(image, 95)) for i, image in enumerate(images)), {})
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
