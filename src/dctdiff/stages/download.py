"""Fetch the images of a dataset, check their digests and pack them as they are.

The archive holds ``train/...`` and, if the source has its own split, ``heldout/...``.
"""

from dctdiff.archive import write_archive
from dctdiff.command import parse_command, run_stage
from dctdiff.params.download import Download
from dctdiff.photographs import read_photographs
from dctdiff.sources import read_files


def entries(download: Download):
    if download.source == "scikit-image":
        for name, content in read_photographs():
            yield f"train/{name}", content
        return
    for split, path, digest in (
        ("heldout", download.heldout, download.heldout_sha256),
        ("train", download.train, download.train_sha256),
    ):
        for name, content in read_files(path, digest):
            yield f"{split}/{name}", content


def main() -> None:
    paths, download = parse_command(__doc__, {"out_source": "archive of the untouched images"}, Download)
    record = {"stage": "download", **download.model_dump(exclude_none=True)}
    write_archive(paths.out_source, entries(download), record)


if __name__ == "__main__":
    run_stage(main)
