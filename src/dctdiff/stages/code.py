"""Write down what the code of every stage means, for DVC: one digest per stage, or per job where they differ.

Snakemake computes the same digests when it reads the Snakefile. DVC cannot, so its stages depend on
these files: an edit reruns just the jobs whose numbers it can change, and a comment reruns none.
"""

import shutil
from argparse import Namespace
from pathlib import Path

from dctdiff.params.jobs import CHOOSING, STAGES, job_code, module_of
from dctdiff.params.suite import read_params
from dctdiff.pipeline.command import run_stage
from dctdiff.pipeline.files import write_text

PATHS = {
    "params": "params.yaml",
    "out_code": "folder of the digests",
}


def digests(suite: dict) -> dict[str, str]:
    """Name of a file -> digest."""
    found = {module_of(suite, stage): job_code(suite, stage) for stage in STAGES if stage not in CHOOSING}
    for stage in CHOOSING:
        found |= {f"{stage}/{name}": job_code(suite, stage, name) for name in suite[STAGES[stage].section]}
    return found


def main(paths: Namespace) -> None:
    folder = Path(paths.out_code)
    shutil.rmtree(folder, ignore_errors=True)
    for name, digest in digests(read_params(paths.params)["suite"]).items():
        write_text(folder / f"{name}.txt", f"{digest}\n")


if __name__ == "__main__":
    run_stage(main, PATHS)
