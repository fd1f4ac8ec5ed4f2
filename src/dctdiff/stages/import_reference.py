"""Import statistics that come as a file: what distances are measured against where the images are not."""

from argparse import Namespace

import torch

from dctdiff.metrics.features import load_extractor
from dctdiff.params.evaluate import ImportedReferenceSet
from dctdiff.pipeline.command import run_stage
from dctdiff.pipeline.record import Used
from dctdiff.stages.reference import from_file, write_reference

PATHS = {"out_reference": "mean and covariance, npz"}


def main(paths: Namespace, params: ImportedReferenceSet) -> Used:
    extractor = load_extractor(params.extractor, params.feature_resolution, torch.device("cpu"))
    write_reference(paths.out_reference, extractor, params, *from_file(extractor, params))
    return Used({"EXTRACTORS": params.extractor}, (params.file,))


if __name__ == "__main__":
    run_stage(main, PATHS, ImportedReferenceSet)
