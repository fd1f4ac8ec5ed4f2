"""Fetch the images of a dataset, check their digests or counts and pack them as they are.

The archive holds ``train/...`` and, if the source has its own split, ``heldout/...``.
"""

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from dctdiff.data.archive import write_archive
from dctdiff.data.fetching import FOLDER, RENEW, Remote, file_name, obtain
from dctdiff.data.sources import AGAIN, CORRECT, Wanted, check
from dctdiff.params.download import Download
from dctdiff.pipeline.command import run_stage
from dctdiff.pipeline.record import Used
from dctdiff.registry.sources import SOURCES

PATHS = {
    "out_source": "archive of the untouched images",
}


def sources(download: Download) -> tuple[Path, ...]:
    """The archives and folders that are read, where they lie."""
    addresses = [*(download.train or []), *(download.heldout or [])]
    if SOURCES[download.source].fetch is None:
        return tuple(Path(address).expanduser() for address in addresses)
    return tuple(remote_of(download, address).target for address in addresses)


def remote_of(download: Download, address: str) -> Remote:
    source = SOURCES[download.source]
    target = FOLDER / (download.filename or f"{file_name(address)}{source.suffix}")
    return Remote(address, target, source.page.format(address), source.fetch.imported())


def place_of(download: Download, address: str, digests: dict[str, str]) -> Path:
    """Where an archive or folder lies, once it is fetched and checked."""
    if SOURCES[download.source].fetch is None:
        place = Path(address).expanduser()
        check(place, digests, remedy=CORRECT if place.is_dir() else AGAIN)
        return place
    return obtain(remote_of(download, address), lambda path, shown, remedy: check(path, digests, shown, remedy))


def entries(download: Download, counts: dict[str, int]) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each image; to ``counts`` is added what becomes of those that cannot be used as they are."""
    source = SOURCES[download.source]
    digests = {"sha256": download.train_sha256, "md5": download.train_md5}
    places = [place_of(download, address, digests) for address in download.train or []]
    policy = {"unfit": download.unfit, "background": download.background}
    splits = [(places, Wanted(download.format, "train", download.train_folder, download.n_train, **policy))]
    if download.has_heldout:
        digests = {"sha256": download.heldout_sha256}
        places = [place_of(download, address, digests) for address in download.heldout or []] or places
        heldout = Wanted(download.format, "heldout", download.heldout_folder, download.n_heldout, **policy)
        splits.append((places, heldout))
    for places, wanted in reversed(splits):  # in the order of the names
        remedy = RENEW if source.fetch else CORRECT if places and places[0].is_dir() else AGAIN
        for name, content in source.read.imported()(places, wanted, remedy, counts):
            yield f"{wanted.split}/{name}", content


def main(paths: Namespace, download: Download) -> Used:
    record = {"stage": "download", **download.model_dump(exclude_none=True, exclude={"unfit", "background"})}
    write_archive(paths.out_source, entries(download, record), record)  # the record is written last, with the counts
    return Used({"SOURCES": download.source}, sources(download))


if __name__ == "__main__":
    run_stage(main, PATHS, Download)
