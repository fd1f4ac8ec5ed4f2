"""Measure an image set against a reference (Frechet distance, KID, precision, recall), with the protocol."""

import contextlib
import json
import zipfile
from argparse import Namespace
from collections.abc import Iterator

import numpy as np
import torch

from dctdiff.data.archive import count_images, image_batches, image_format, read_record
from dctdiff.metrics.features import MAX_COMPARED, evenly_spaced, load_extractor
from dctdiff.metrics.frechet import Gaussian, fit, frechet_distance
from dctdiff.metrics.kid import kernel_distance
from dctdiff.metrics.precision_recall import NEIGHBOURS, precision_recall
from dctdiff.params.evaluate import Extractor
from dctdiff.pipeline import hardware
from dctdiff.pipeline.command import run_stage
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import existing_file, sha256, write_json
from dctdiff.pipeline.progress import progress

PATHS = {
    "images": "archive of the images",
    "reference": "npz of the reference stage",
    "out_evaluation": "values and protocol, JSON",
}


def load_reference(path: str) -> tuple[Gaussian, dict]:
    """The fit of a reference and its protocol."""
    with reading(path) as file:
        protocol = json.loads(str(file["protocol"]))
        return Gaussian(file["mu"], file["sigma"], protocol["reference_n_images"]), protocol


def load_reference_features(path: str) -> np.ndarray | None:
    """At most 10,000 features of a reference: (M, D) float32; None if it was imported."""
    with reading(path) as file:
        return file.get("features")


@contextlib.contextmanager
def reading(path: str) -> Iterator[np.lib.npyio.NpzFile]:
    try:
        with np.load(existing_file(path)) as file:
            yield file
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is not a reference of this project ({error}); run its stage again") from None


def compare(features: np.ndarray, reference: np.ndarray | None, device: torch.device) -> dict:
    """KID, precision and recall from at most 10,000 features of each set, or the reason for none."""
    values = {"kid": None, "precision": None, "recall": None}
    if reference is None:
        return {**values, "reason": "imported statistics have no features to compare with"}
    features = features[evenly_spaced(len(features), MAX_COMPARED)]
    if min(len(features), len(reference)) <= NEIGHBOURS:
        return {**values, "reason": f"each set needs more than {NEIGHBOURS} images"}
    values["kid"] = kernel_distance(features, reference, device)
    values["precision"], values["recall"] = precision_recall(features, reference, device)
    return {**values, "compared": {"images": len(features), "reference": len(reference)}}


def main(paths: Namespace, params: Extractor) -> None:
    device = hardware.default_device()
    reference, protocol = load_reference(paths.reference)
    extractor = load_extractor(params.extractor, params.feature_resolution, device)
    here = (extractor.sha256, params.feature_resolution)
    if here != (protocol["extractor_sha256"], protocol["feature_resolution"]):
        raise UserError(f"{paths.reference} was made with another extractor; run the reference stage again")

    n_images = count_images(paths.images)
    with progress("evaluate", n_images, "images") as bar:
        features = extractor.features(image_batches(paths.images, params.batch_size), device, bar.update)
    write_json(
        paths.out_evaluation,
        {
            "value": frechet_distance(fit(features), reference),
            **compare(features, load_reference_features(paths.reference), device),
            "n_images": n_images,
            "image_format": image_format(paths.images),
            "protocol": {**protocol, "reference_sha256": sha256(paths.reference)},
            "images": read_record(paths.images),
            "images_sha256": sha256(paths.images),
            "versions": hardware.versions(),
        },
    )


if __name__ == "__main__":
    run_stage(main, PATHS, Extractor)
