"""Fit the features of the training images: what all distances of a dataset are measured against."""

import json

import numpy as np

import dctdiff.hardware
from dctdiff.archive import read_images
from dctdiff.command import parse_command, run_stage
from dctdiff.features import load_extractor
from dctdiff.files import replacing, sha256
from dctdiff.frechet import fit
from dctdiff.params.evaluate import ReferenceSet
from dctdiff.progress import progress


def main() -> None:
    paths, params = parse_command(
        __doc__,
        {"images": "archive of the training images", "out_reference": "mean and covariance, npz"},
        ReferenceSet,
    )
    device = dctdiff.hardware.default_device()
    extractor = load_extractor(params.extractor, params.feature_resolution, device)
    images = read_images(paths.images, params.n_images)
    with progress("reference", len(images), "images") as bar:
        gaussian = fit(extractor.features(images, params.batch_size, device, bar.update))
    protocol = {
        "metric": extractor.metric,
        "extractor_sha256": extractor.sha256,
        "feature_resolution": params.feature_resolution,
        "reference_n_images": gaussian.n,
        "reference_images_sha256": sha256(paths.images),
    }
    with replacing(paths.out_reference) as temporary:
        # The names mu and sigma are pytorch-fid's: it can read this file.
        np.savez(temporary, mu=gaussian.mean, sigma=gaussian.covariance, protocol=json.dumps(protocol))


if __name__ == "__main__":
    run_stage(main)
