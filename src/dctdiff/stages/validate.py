"""Check the whole suite of params.yaml.

Under DVC everything else waits for the marker, whose content never changes: a wrong key stops the
pipeline before any work, and a right one reruns nothing. Snakemake checks before it plans. Both write down for DVC what
a grid stands for; DVC, which has read that before, then has to be started again.
"""

from argparse import Namespace

from dctdiff.params.document import read_document
from dctdiff.params.grid import FILE, tell_dvc
from dctdiff.params.published import load_published
from dctdiff.params.suite import check_published, load_suite
from dctdiff.pipeline.command import run_stage
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import write_text
from dctdiff.registry.known import check_registries

PATHS = {
    "params": "params.yaml",
    "published": "published numbers, YAML",
    "out_valid": "marker that the params are valid",
}


def main(paths: Namespace) -> None:
    check_registries()
    suite = load_suite(paths.params)
    check_published(suite, load_published(paths.published, suite.published), paths.published)
    if tell_dvc(read_document(paths.params)["suite"]):
        raise UserError(f"DVC did not know the grid of {paths.params} yet; {FILE} tells it now: start it once more")
    write_text(paths.out_valid, "valid\n")


if __name__ == "__main__":
    run_stage(main, PATHS)
