"""Look at the local images of every dataset, for DVC: one digest per dataset, which download depends on.

DVC sees an edit in a folder or archive only if a stage names it, and it has no conditions, so this
stage runs at each ``dvc repro``, and says what else is to be run, for the estimate of the time left. Snakemake looks at
the same files when it reads the Snakefile.
"""

from argparse import Namespace
from pathlib import Path

from dctdiff.params.download import Download
from dctdiff.params.status import whys_stale
from dctdiff.params.suite import read_params
from dctdiff.pipeline.command import run_stage
from dctdiff.pipeline.digests import digests
from dctdiff.pipeline.estimate import expect
from dctdiff.pipeline.files import write_text
from dctdiff.registry.sources import SOURCES
from dctdiff.stages.download import sources

PATHS = {
    "params": "params.yaml",
    "out_sources": "folder of the digests",
}


def described(download: Download) -> str | None:
    """A line for each local folder or archive; None if one is not there: it has not changed, then."""
    if SOURCES[download.source].fetch or not SOURCES[download.source].address:
        return "checked when it is fetched\n"
    found = digests(sources(download))
    return None if None in found.values() else "".join(f"{sha256}  {path}\n" for path, sha256 in found.items())


def main(paths: Namespace) -> None:
    suite = read_params(paths.params)["suite"]
    expect(job for job, why in whys_stale(suite).items() if why)
    for name, dataset in suite["datasets"].items():
        path = Path(paths.out_sources) / f"{name}.txt"
        text = described(Download.model_validate(dataset["download"]))
        if text is not None or not path.exists():
            write_text(path, text or "not there\n")


if __name__ == "__main__":
    run_stage(main, PATHS)
