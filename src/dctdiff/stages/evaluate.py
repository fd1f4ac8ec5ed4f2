"""Measure an image set against a reference (Frechet distance, KID, precision, recall), with the protocol."""

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from dctdiff.data.archive import count_images, image_batches, image_format, read_record
from dctdiff.metrics.features import MAX_COMPARED, evenly_spaced, load_extractor
from dctdiff.metrics.features import Extractor as LoadedExtractor
from dctdiff.metrics.frechet import Gaussian, Moments, added_up, frechet_distance
from dctdiff.metrics.kid import kernel_distance
from dctdiff.metrics.precision_recall import NEIGHBOURS, precision_recall
from dctdiff.params.evaluate import Extractor
from dctdiff.params.forms import ReferenceProtocol
from dctdiff.params.machine import read_machine
from dctdiff.pipeline import hardware
from dctdiff.pipeline.arrays import holds_array, read_arrays
from dctdiff.pipeline.command import run_stage
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import parsed_json, sha256, write_json
from dctdiff.pipeline.progress import progress
from dctdiff.pipeline.record import Used
from dctdiff.pipeline.turns import in_order, is_first, meet, own

PATHS = {
    "images": "archive of the images",
    "reference": "npz of the reference stage",
    "out_evaluation": "values and protocol, JSON",
}

AGAIN = "run the reference stage again"


def load_reference(path: str) -> tuple[Gaussian, dict]:
    """The fit of a reference and its protocol."""
    arrays = read_arrays(path, ("mu", "sigma", "protocol"), AGAIN)
    mean, covariance = arrays["mu"], arrays["sigma"]
    if mean.dtype.kind != "f" or covariance.dtype.kind != "f" or covariance.shape != (*mean.shape, *mean.shape):
        raise UserError(
            f"{path}: mu is {described(mean)} and sigma {described(covariance)}, but floats (D,) and (D, D) are "
            f"expected; {AGAIN}"
        )
    protocol = parsed_json(str(arrays["protocol"]).encode(), f"{path}: protocol:", ReferenceProtocol, AGAIN)
    return Gaussian(mean, covariance, protocol["reference_n_images"]), protocol


def load_reference_features(path: str, dim: int) -> np.ndarray | None:
    """At most 10,000 features of a reference: (M, dim) float32; None if it was imported and has none."""
    if not holds_array(path, "features", AGAIN):
        return None
    features = read_arrays(path, ["features"], AGAIN)["features"]
    if features.dtype not in (np.float32, np.float16) or features.shape[1:] != (dim,):
        raise UserError(f"{path}: features is {described(features)}, but float32 (M, {dim}) is expected; {AGAIN}")
    return features.astype(np.float32, copy=False)


def described(array: np.ndarray) -> str:
    return f"{array.dtype} {array.shape}"


def check_extractor(path: str, reference: Gaussian, protocol: dict, extractor: LoadedExtractor, params) -> None:
    """A UserError unless a reference was made with ``extractor`` at the feature_resolution of ``params``."""
    here = (extractor.sha256, params.feature_resolution, extractor.dim)
    if here != (protocol["extractor_sha256"], protocol["feature_resolution"], len(reference.mean)):
        raise UserError(f"{path} was made with another extractor; {AGAIN}")


def compare(features: np.ndarray, reference: np.ndarray | None, device: torch.device) -> dict:
    """KID, precision and recall from at most 10,000 features of each set, (M, dim), or the reason for none."""
    values = {"kid": None, "precision": None, "recall": None}
    if reference is None:
        return {**values, "reason": "imported statistics have no features to compare with"}
    if min(len(features), len(reference)) <= NEIGHBOURS:
        return {**values, "reason": f"each set needs more than {NEIGHBOURS} images"}
    values["kid"] = kernel_distance(features, reference, device)
    values["precision"], values["recall"] = precision_recall(features, reference, device)
    return {**values, "compared": {"images": len(features), "reference": len(reference)}}


def measured(
    images: str, n_images: int, extractor: LoadedExtractor, params, label: str, device: torch.device
) -> tuple[Moments, np.ndarray] | None:
    """Sums of the features of an archive, and at most 10,000 of them to compare one by one: (M, dim) float32.

    The processes share the batches; only the first gets the features, and the others None.
    """
    chosen = np.zeros(n_images, dtype=bool)
    chosen[evenly_spaced(n_images, MAX_COMPARED)] = True
    compared, n_batches = [], -(-n_images // params.batch_size)

    def arriving(bar) -> Iterator[np.ndarray]:
        batches, done = image_batches(images, params.batch_size, n_images, own()), 0
        for features in in_order(extractor.feature_batches(batches, device, lambda n: None), n_batches):
            compared.append(features[chosen[done : done + len(features)]])
            done += len(features)
            bar.update(len(features))
            yield features

    with progress(label, n_images, "images") as bar:
        moments = added_up(arriving(bar))
    return (moments, np.concatenate(compared)) if is_first() else None


def processes(paths: Namespace) -> int:
    """Processes that share the images: as many as their sampling has."""
    return read_machine().of_cell(Path(paths.out_evaluation).stem)


def main(paths: Namespace, params: Extractor) -> Used | None:
    device = meet()
    reference, protocol = load_reference(paths.reference)
    extractor = load_extractor(params.extractor, params.feature_resolution, device)
    check_extractor(paths.reference, reference, protocol, extractor, params)

    n_images = count_images(paths.images)
    found = measured(paths.images, n_images, extractor, params, "evaluate", device)
    if found is None:
        return None
    moments, features = found
    others = load_reference_features(paths.reference, extractor.dim)
    write_json(
        paths.out_evaluation,
        {
            "value": frechet_distance(moments.gaussian(), reference),
            **compare(features, others, device),
            "further": extractor.further(features, others, device),
            "n_images": n_images,
            "image_format": image_format(paths.images),
            "protocol": {**protocol, "reference_sha256": sha256(paths.reference)},
            "images": read_record(paths.images),
            "images_sha256": sha256(paths.images),
            "versions": hardware.versions(),
        },
    )
    return Used({"EXTRACTORS": params.extractor})


if __name__ == "__main__":
    run_stage(main, PATHS, Extractor, on_gpu=True, processes=processes)
