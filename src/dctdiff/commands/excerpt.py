"""Write what a suite needs of a data set that it cannot fetch: a few images, and the statistics of all of them.

Not a stage: no result depends on it. Images are evenly spaced, as files they stay as they are; statistics are rounded
to float16. What the repository holds of CIFAR-10 was made so: data/shipped/README.md has the commands.
"""

from argparse import Namespace

import numpy as np

from dctdiff.data.archive import image_names, open_archive, read_member, write_archive
from dctdiff.pipeline.arrays import read_arrays
from dctdiff.pipeline.command import run_stage
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import replacing, sha256
from dctdiff.stages.evaluate import AGAIN

PATHS = {
    "train": "archive of the training images",
    "heldout": "archive of the held-out images",
    "reference": "npz of the reference stage",
    "out_train": "a few of the training images, zip",
    "out_heldout": "a few of the held-out images, zip",
    "out_reference": "mean and covariance in float16, npz",
}
N_TRAIN, N_HELDOUT = 500, 200


def write_few(path: str, archive: str, n_images: int) -> None:
    """``n_images`` of an archive, evenly spaced by name, and so of all classes."""
    with open_archive(archive) as opened:
        entries = [(name, read_member(opened, name)) for name in image_names(archive, n_images)]
    write_archive(path, entries, {"excerpt_of_sha256": sha256(archive)})


def write_rounded(path: str, reference: str) -> None:
    """Without the features, which are most of the bytes."""
    arrays = read_arrays(reference, ("mu", "sigma", "protocol"), AGAIN)
    halves = {name: arrays[name].astype(np.float16) for name in ("mu", "sigma")}
    if not all(np.isfinite(half).all() for half in halves.values()):
        raise UserError(f"{reference} holds values above 65504, the largest of float16; keep the file as it is")
    with replacing(path) as temporary:
        np.savez_compressed(temporary, **halves, protocol=arrays["protocol"])


def main(paths: Namespace) -> None:
    write_few(paths.out_train, paths.train, N_TRAIN)
    write_few(paths.out_heldout, paths.heldout, N_HELDOUT)
    write_rounded(paths.out_reference, paths.reference)


if __name__ == "__main__":
    run_stage(main, PATHS)
