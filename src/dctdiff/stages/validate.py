"""Check the whole suite of params.yaml.

Under DVC everything else waits for the marker, whose content never changes: a wrong key stops the
pipeline before any work, and a right one reruns nothing. Snakemake checks before it plans.
"""

from argparse import Namespace

from dctdiff.params.published import load_published
from dctdiff.params.suite import check_published, load_suite
from dctdiff.pipeline.command import run_stage
from dctdiff.pipeline.files import write_text

PATHS = {
    "params": "params.yaml",
    "published": "published numbers, YAML",
    "out_valid": "marker that the params are valid",
}


def main(paths: Namespace) -> None:
    suite = load_suite(paths.params)
    check_published(suite, load_published(paths.published, suite.published), paths.published)
    write_text(paths.out_valid, "valid\n")


if __name__ == "__main__":
    run_stage(main, PATHS)
