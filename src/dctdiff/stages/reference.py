"""Fit the features of the training images: what all distances of a dataset are measured against.

With ``file`` the fit is not made but read: published statistics, in the form of pytorch-fid. What this stage has
written, or ``dctdiff.commands.ship`` of it, is such a file, too, and says by which extractor it was made.
"""

import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import torch

from dctdiff.data.archive import count_images
from dctdiff.metrics.features import Extractor, load_extractor
from dctdiff.metrics.frechet import Gaussian
from dctdiff.params.evaluate import ReferenceSet
from dctdiff.params.machine import read_machine
from dctdiff.pipeline.arrays import holds_array, read_arrays
from dctdiff.pipeline.command import run_stage
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import replacing, sha256
from dctdiff.pipeline.record import Used
from dctdiff.pipeline.turns import is_first, meet
from dctdiff.stages.evaluate import check_extractor, load_reference, load_reference_features, measured

PATHS = {
    "images": "archive of the training images; not read if file is given",
    "out_reference": "mean, covariance and features, npz",
}

SYMMETRY = 1e-6  # how far from symmetric a covariance may be, in terms of its largest entry
FID_STATS = "the folder fid_stats (https://drive.google.com/drive/folders/1WvLoI73O1HXyleg2jWzginlFJ5eJ_s-b)"


def published(path: str, expected_sha256: str | None, extractor: Extractor, params) -> Gaussian:
    """Mean and covariance of a file of pytorch-fid (protocol point 37), once it is the right one."""
    if not Path(path).is_file():
        raise UserError(
            f"{path} does not exist; download it from {FID_STATS} that the README of "
            "github.com/forever208/DCTdiff links, and put it there"
        )
    found = sha256(path)
    if expected_sha256 is None:
        raise UserError(
            f"reference.sha256 is missing; {path} has the SHA-256 {found}: "
            "if you trust this file, write that into params.yaml"
        )
    if found != expected_sha256:
        raise UserError(
            f"{path} has the SHA-256 {found}, but reference.sha256 is {expected_sha256}; download it again (Google "
            "Drive sends a web page when its quota is exceeded), or correct the digest if you trust this file"
        )
    arrays = read_arrays(path, ("mu", "sigma"), "take a file of pytorch-fid")
    if not all(array.dtype.kind in "fiu" for array in arrays.values()):
        raise UserError(f"{path} is not an npz with mu and sigma of numbers; take a file of pytorch-fid")
    mean, covariance = (arrays[name].astype(np.float64) for name in ("mu", "sigma"))
    check_statistics(path, mean, covariance, extractor)
    if not holds_array(path, "protocol", "take a file of pytorch-fid"):
        return Gaussian(mean, covariance, None)
    stored, protocol = load_reference(path)
    check_extractor(path, stored, protocol, extractor, params)
    return Gaussian(mean, covariance, stored.n)


def check_statistics(path: str, mean: np.ndarray, covariance: np.ndarray, extractor: Extractor) -> None:
    if mean.ndim != 1 or covariance.shape != (*mean.shape, *mean.shape):
        raise UserError(
            f"{path}: mu has the shape {mean.shape} and sigma {covariance.shape}, but (D,) and (D, D) are expected; "
            "take a file of pytorch-fid"
        )
    if len(mean) != extractor.dim:
        raise UserError(
            f"{path} is about {len(mean)} features, but the extractor has {extractor.dim}; "
            "published FID statistics (2048) need extractor: inception"
        )
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise UserError(f"{path} holds values that are not finite; download it again")
    asymmetry, largest = np.abs(covariance - covariance.T).max(), np.abs(covariance).max()
    if asymmetry > SYMMETRY * largest or covariance.diagonal().min() < 0:
        raise UserError(f"{path}: sigma is not a covariance (symmetric, no negative variance); download it again")


def processes(paths: Namespace) -> int:
    """Processes that share the images: as many as cells have."""
    return read_machine().processes_per_cell


def from_file(extractor: Extractor, params) -> tuple[Gaussian, dict, dict]:
    """The fit of a file, the features if it has some, and where it comes from."""
    gaussian = published(params.file, params.sha256, extractor, params)
    origin = {"reference_file": Path(params.file).name, "reference_file_sha256": params.sha256}
    features = load_reference_features(params.file, extractor.dim)
    return gaussian, {} if features is None else {"features": features}, origin


def from_images(
    images: str, extractor: Extractor, params: ReferenceSet, device: torch.device
) -> tuple[Gaussian, dict, dict] | None:
    """The fit of the features of images, those that KID compares, and where they come from; None if another process
    has them.
    """
    found = measured(images, count_images(images, params.n_images), extractor, params, "reference", device)
    if found is None:
        return None
    moments, compared = found
    return moments.gaussian(), {"features": compared}, {"reference_images_sha256": sha256(images)}


def write_reference(
    path: str, extractor: Extractor, params, gaussian: Gaussian, features: dict[str, np.ndarray], origin: dict
) -> None:
    """As pytorch-fid can read it: the names mu and sigma are its."""
    protocol = {
        "metric": extractor.metric,
        "extractor_sha256": extractor.sha256,
        "feature_resolution": params.feature_resolution,
        "reference_n_images": gaussian.n,
        **origin,
    }
    with replacing(path) as temporary:
        np.savez(temporary, mu=gaussian.mean, sigma=gaussian.covariance, **features, protocol=json.dumps(protocol))


def main(paths: Namespace, params: ReferenceSet) -> Used | None:
    device = meet()
    extractor = load_extractor(params.extractor, params.feature_resolution, device)
    if params.file:
        found = from_file(extractor, params) if is_first() else None
    else:
        found = from_images(paths.images, extractor, params, device)
    if found is None:
        return None
    write_reference(paths.out_reference, extractor, params, *found)
    return Used({"EXTRACTORS": params.extractor}, (params.file,) if params.file else ())


if __name__ == "__main__":
    run_stage(main, PATHS, ReferenceSet, on_gpu=True, processes=processes)
