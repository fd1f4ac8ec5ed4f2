"""Check params.yaml and write down what the suite consists of.

The first stage: everything else waits for ``valid``, whose content never changes, so that a
wrong key stops the pipeline before any work and a right one reruns nothing.
"""

from dctdiff.command import parse_command, run_stage
from dctdiff.files import write_json, write_text
from dctdiff.params.suite import load_suite


def main() -> None:
    paths, _ = parse_command(
        __doc__,
        {
            "params": "params.yaml",
            "out_valid": "marker that the params are valid",
            "out_plan": "the datasets, codecs, runs and cells, in the order of the tables",
        },
    )
    suite = load_suite(paths.params)
    parts = suite.model_dump(exclude_none=True, include={"datasets", "codecs", "runs", "cells"})
    write_json(paths.out_plan, parts)
    write_text(paths.out_valid, "valid\n")


if __name__ == "__main__":
    run_stage(main)
