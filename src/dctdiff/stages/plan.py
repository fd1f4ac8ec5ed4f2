"""Write down what the suite consists of: the sections that tables and report show."""

from argparse import Namespace

from dctdiff.params.suite import load_suite, planned
from dctdiff.pipeline.command import run_stage
from dctdiff.pipeline.files import write_json

PATHS = {
    "params": "params.yaml",
    "out_plan": "these sections, in the order of the tables",
}


def main(paths: Namespace) -> None:
    write_json(paths.out_plan, planned(load_suite(paths.params)))


if __name__ == "__main__":
    run_stage(main, PATHS)
