"""Write down what the code of every stage means, for DVC: one digest per stage.

Snakemake follows imports when it reads the Snakefile. DVC cannot, so its stages depend on these
files instead: an edit reruns just the stages that import it, and a comment reruns none.
"""

from pathlib import Path

from dctdiff.closure import PACKAGE, code_fingerprint
from dctdiff.command import parse_command, run_stage
from dctdiff.files import write_text


def main() -> None:
    paths, _ = parse_command(__doc__, {"out_code": "folder of the digests, <stage>.txt"})
    stages = sorted(path.stem for path in (PACKAGE / "stages").glob("*.py") if path.stem != "__init__")
    for stage in stages:
        write_text(Path(paths.out_code) / f"{stage}.txt", f"{code_fingerprint(f'dctdiff.stages.{stage}')}\n")


if __name__ == "__main__":
    run_stage(main)
