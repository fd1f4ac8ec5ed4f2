"""Records of jobs: what they say of the files that others use."""

import os

import pytest

from dctdiff.pipeline.digests import REMEMBERED_BYTES, digest, digests
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.record import check_whole, record_path, write_record


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """A large file that a job has written, with its record."""
    monkeypatch.chdir(tmp_path)
    os.mkdir("data")
    with open("data/train.zip", "wb") as file:
        file.write(bytes(2 * REMEMBERED_BYTES))
    files = {"inputs": {}, "outputs": digests(["data/train.zip"])}
    write_record(record_path("crop", "photos"), "m", [], files, "c", 1.0)
    return tmp_path / "data/train.zip"


def flip_a_bit(path):
    """As a disk does: nothing else about the file changes."""
    looks = path.stat()
    with open(path, "r+b") as file:
        file.seek(REMEMBERED_BYTES)
        file.write(b"\x01")
    os.utime(path, ns=(looks.st_atime_ns, looks.st_mtime_ns))


def test_a_file_that_is_what_its_job_wrote_is_taken(archive):
    check_whole(digests(["data/train.zip", "elsewhere.zip", "data"], anew=True))


@pytest.mark.parametrize("used", ["data/train.zip", "data"])
def test_a_bit_that_flipped_on_the_disk_is_noticed_by_whoever_uses_the_file(archive, used):
    before = digest("data/train.zip")
    flip_a_bit(archive)
    assert digest("data/train.zip") == before  # remembered: it looks the same
    with pytest.raises(UserError, match=r"data/train.zip is not what crop/photos wrote at 20.*: delete it and start"):
        check_whole(digests([used], anew=True))
    assert digest("data/train.zip") != before  # now also the memory knows


def test_a_broken_record_says_nothing(archive):
    record_path("crop", "photos").write_text("{")
    flip_a_bit(archive)
    check_whole(digests(["data/train.zip"], anew=True))
