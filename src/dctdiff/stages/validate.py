"""Check the whole suite of params.yaml.

Under DVC everything else waits for the marker, whose content never changes: a wrong key stops the
pipeline before any work, and a right one reruns nothing. Snakemake checks before it plans.
"""

from dctdiff.params.suite import load_suite
from dctdiff.pipeline.command import parse_command, run_stage
from dctdiff.pipeline.files import write_text


def main() -> None:
    paths, _ = parse_command(__doc__, {"params": "params.yaml", "out_valid": "marker that the params are valid"})
    load_suite(paths.params)
    write_text(paths.out_valid, "valid\n")


if __name__ == "__main__":
    run_stage(main)
