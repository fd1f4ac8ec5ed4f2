"""Measure the Frechet distance of an image set to a reference; write it with its protocol."""

import json
import zipfile

import numpy as np

import dctdiff.hardware
from dctdiff.archive import image_format, read_images, read_record
from dctdiff.command import parse_command, run_stage
from dctdiff.errors import UserError
from dctdiff.features import load_extractor
from dctdiff.files import existing_file, sha256, write_json
from dctdiff.frechet import Gaussian, fit, frechet_distance
from dctdiff.params.evaluate import Extractor
from dctdiff.progress import progress


def load_reference(path: str) -> tuple[Gaussian, dict]:
    try:
        with np.load(existing_file(path)) as file:
            protocol = json.loads(str(file["protocol"]))
            return Gaussian(file["mu"], file["sigma"], protocol["reference_n_images"]), protocol
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is not a reference of this project ({error}); run its stage again") from None


def main() -> None:
    paths, params = parse_command(
        __doc__,
        {
            "images": "archive of the images",
            "reference": "npz of the reference stage",
            "out_evaluation": "value and protocol, JSON",
        },
        Extractor,
    )
    device = dctdiff.hardware.default_device()
    reference, protocol = load_reference(paths.reference)
    extractor = load_extractor(params.extractor, params.feature_resolution, device)
    here = (extractor.sha256, params.feature_resolution)
    if here != (protocol["extractor_sha256"], protocol["feature_resolution"]):
        raise UserError(f"{paths.reference} was made with another extractor; run the reference stage again")

    images = read_images(paths.images)
    with progress("evaluate", len(images), "images") as bar:
        features = extractor.features(images, params.batch_size, device, bar.update)
    write_json(
        paths.out_evaluation,
        {
            "value": frechet_distance(fit(features), reference),
            "n_images": len(images),
            "image_format": image_format(paths.images),
            "protocol": {**protocol, "reference_sha256": sha256(paths.reference)},
            "images": read_record(paths.images),
            "images_sha256": sha256(paths.images),
            "versions": dctdiff.hardware.versions(),
        },
    )


if __name__ == "__main__":
    run_stage(main)
