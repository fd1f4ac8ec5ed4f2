"""Write down what the suite consists of: the sections that tables and report show."""

from dctdiff.params.suite import load_suite
from dctdiff.pipeline.command import parse_command, run_stage
from dctdiff.pipeline.files import write_json

SECTIONS = {
    "datasets", "codecs", "truncations", "upsamplings", "spectra", "runs", "selections", "cells", "published",
}  # fmt: skip


def main() -> None:
    paths, _ = parse_command(
        __doc__, {"params": "params.yaml", "out_plan": "these sections, in the order of the tables"}
    )
    write_json(paths.out_plan, load_suite(paths.params).model_dump(exclude_none=True, include=SECTIONS))


if __name__ == "__main__":
    run_stage(main)
