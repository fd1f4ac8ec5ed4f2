"""Import a model of this project that comes as a file, which says what it is: no images, codec or statistics."""

from argparse import Namespace

from dctdiff.params.train import Import
from dctdiff.pipeline.command import run_stage
from dctdiff.pipeline.record import Used
from dctdiff.stages.weights_published import checked, read_own, written

PATHS = {
    "out_weights": "the weights, safetensors",
    "out_checkpoints": "folder with the same weights",
    "out_log": "a line that says where they come from, JSON lines",
}


def main(paths: Namespace, run: Import) -> Used:
    path, digest = checked(run.release)
    return written(paths, run, path, digest, *read_own(path, run))


if __name__ == "__main__":
    run_stage(main, PATHS, Import)
