"""Write down what the code of every stage means, for DVC: one digest per stage, or per job where they differ.

Snakemake computes the same digests when it reads the Snakefile. DVC cannot, so its stages depend on
these files: an edit reruns just the jobs whose numbers it can change, and a comment reruns none.
"""

import shutil
from pathlib import Path

from dctdiff.params.jobs import CHOOSING, job_code
from dctdiff.params.suite import read_params
from dctdiff.pipeline.command import parse_command, run_stage
from dctdiff.pipeline.files import write_text

STAGES = Path(__file__).parent


def digests(suite: dict) -> dict[str, str]:
    """Name of a file -> digest."""
    stages = [path.stem for path in STAGES.glob("*.py") if not path.stem.startswith(("__", "code", "weights_"))]
    found = {stage: job_code(suite, stage) for stage in stages if stage not in CHOOSING}
    for stage, section in CHOOSING.items():
        found |= {f"{stage}/{name}": job_code(suite, stage, name) for name in suite[section]}
    return found


def main() -> None:
    paths, _ = parse_command(__doc__, {"params": "params.yaml", "out_code": "folder of the digests"})
    folder = Path(paths.out_code)
    shutil.rmtree(folder, ignore_errors=True)
    for name, digest in digests(read_params(paths.params)["suite"]).items():
        write_text(folder / f"{name}.txt", f"{digest}\n")


if __name__ == "__main__":
    run_stage(main)
