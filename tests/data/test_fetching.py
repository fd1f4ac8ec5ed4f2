"""Archives from the network: resumed transfers, wrong answers, and clients without an account."""

import contextlib
import hashlib
import os
import socket

import gdown
import pytest

from dctdiff.data import fetching
from dctdiff.data.fetching import Remote, obtain, of_url
from dctdiff.data.sources import check
from dctdiff.params.download import Download
from dctdiff.pipeline.errors import UserError
from dctdiff.stages.download import remote_of
from engines import run
from server import serving
from synthetic import encoded, write_source, write_zip

PAGE = b"<!DOCTYPE html><html><title>Quota exceeded</title></html>"
DRIVE, KAGGLE = (
    remote_of(Download.model_validate({"n_train": 1, **given}), given["train"])
    for given in (
        {"source": "gdrive", "train": "0B7EVK8", "filename": "a.zip"},
        {"source": "kaggle", "train": "someone/some-set"},
    )
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fetching, "PAUSE", 0.0)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "data/sources"


@pytest.fixture
def archive(tmp_path) -> bytes:
    write_zip(tmp_path / "made.zip", {f"{i}.png": encoded(i, 64, 64, "PNG") for i in range(20)})
    content = (tmp_path / "made.zip").read_bytes()
    assert len(content) > 100_000
    return content


@pytest.fixture
def server(archive):
    with serving(archive) as server:
        yield server


def checked(content: bytes | None = None):
    """The check of the download stage; with a digest if the content is known."""
    digest = hashlib.md5(content).hexdigest() if content else None
    return lambda path, shown, remedy: check(path, {"md5": digest}, shown, remedy)


def fails(remote: Remote, message: str, content: bytes | None = None) -> None:
    with pytest.raises(UserError, match=message) as caught:
        obtain(remote, checked(content))
    assert "\n" not in str(caught.value)
    assert f"download {remote.page} with a browser and put it at {remote.target}" in str(caught.value)
    assert not remote.target.exists()


# HTTP


def test_an_archive_is_fetched_once(folder, server, archive):
    remote = of_url(server.url)
    for _ in range(2):
        assert obtain(remote, checked(archive)) == remote.target
    assert remote.target.read_bytes() == archive
    assert os.listdir(folder) == ["a set.zip"] and server.ranges == [None]


def test_a_cut_transfer_is_resumed(folder, server, archive):
    server.cuts = [50_000, 0, 30_000]
    assert obtain(of_url(server.url), checked(archive)).read_bytes() == archive
    assert server.ranges == [None, "bytes=50000-", "bytes=50000-", "bytes=80000-"]


def test_a_cut_transfer_is_resumed_where_another_address_sends_it(folder, server, archive):
    """As Hugging Face does; what is asked for must not be lost on the way."""
    server.moves, server.cuts = True, [50_000]
    assert obtain(of_url(server.url), checked(archive)).read_bytes() == archive
    assert server.ranges == [None, None, "bytes=50000-", "bytes=50000-"]


def test_what_has_come_is_kept_for_the_next_run(folder, server, archive, monkeypatch):
    monkeypatch.setattr(fetching, "TRIES", 1)
    server.cuts = [50_000]
    remote = of_url(server.url)
    fails(remote, rf"cut after 50000 of {len(archive)} bytes\); run again \(what has come is kept\), or download")
    assert os.listdir(folder) == ["a set.zip.part"]
    assert obtain(remote, checked(archive)).read_bytes() == archive
    assert server.ranges == [None, "bytes=50000-"] and os.listdir(folder) == ["a set.zip"]


def test_a_server_without_ranges_starts_again(folder, server, archive):
    server.has_ranges = False
    server.cuts = [50_000, 60_000]
    assert obtain(of_url(server.url), checked(archive)).read_bytes() == archive
    assert server.ranges == [None, "bytes=50000-", "bytes=60000-"]


@pytest.mark.parametrize("extra", [b"", b"x" * 1000], ids=["whole", "longer"])
def test_a_part_that_is_whole_or_too_long(folder, server, archive, extra):
    folder.mkdir(parents=True)
    (folder / "a set.zip.part").write_bytes(archive + extra)
    assert obtain(of_url(server.url), checked(archive)).read_bytes() == archive
    assert len(server.ranges) == (2 if extra else 1)


def test_a_busy_server_is_asked_again(folder, server, archive):
    server.states = [503, 429]
    assert obtain(of_url(server.url), checked(archive)).read_bytes() == archive
    server.states = [503] * 10
    fails(of_url(server.url.replace("set", "")), r"\(HTTP 503 Service Unavailable\); run again, or download")
    assert len(server.ranges) == 3 + fetching.TRIES


def test_a_missing_file_is_named_at_once(folder, server):
    server.states = [404]
    fails(of_url(server.url), r"cannot be fetched \(HTTP 404 Not Found\)")
    assert len(server.ranges) == 1 and os.listdir(folder) == []


def test_no_server_is_named_at_once(folder):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # without listening
        fails(of_url(f"http://127.0.0.1:{unused.getsockname()[1]}/a.zip"), "Connection refused")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (PAGE, r"http://127\S* is an HTML page \(of a login, a quota or an error\), not an archive"),
        (b"not found", r"http://127\S* is neither a folder nor a zip or tar archive"),
        (None, r"http://127\S* has the MD5 \w+, but params\.yaml expects \w+"),
    ],
    ids=["page", "text", "digest"],
)
def test_a_wrong_answer_is_removed(folder, server, answer, message, archive):
    server.content = answer or archive
    fails(of_url(server.url), message, content=b"another")
    assert os.listdir(folder) == []


def test_a_wrong_archive_put_there_by_hand_is_named_and_kept(folder):
    folder.mkdir(parents=True)
    (folder / "a.zip").write_bytes(PAGE)
    with pytest.raises(
        UserError, match=r"^data/sources/a\.zip is an HTML page .*; remove it and run again, or download"
    ):
        obtain(DRIVE, checked())
    assert (folder / "a.zip").read_bytes() == PAGE


# Google Drive and Kaggle


def test_drive_gives_the_archive(folder, monkeypatch, archive):
    def download(id, output, progress, **_):
        assert id == "0B7EVK8"
        with open(output, "wb") as file:
            file.write(archive)
        progress(len(archive), len(archive))
        return output

    monkeypatch.setattr(gdown, "download", download)
    assert obtain(DRIVE, checked(archive)).read_bytes() == archive
    assert os.listdir(folder) == ["a.zip"]
    monkeypatch.setattr(gdown, "download", None)
    assert obtain(DRIVE, checked(archive)) == DRIVE.target


def test_the_quota_of_drive_is_one_line(folder, monkeypatch):
    def download(**_):
        raise gdown.exceptions.FileURLRetrievalError(
            "Failed to retrieve file url:\n\n\tToo many users\n\n" + "x " * 500
        )

    monkeypatch.setattr(gdown, "download", download)
    fails(
        DRIVE,
        r"Google Drive does not give 0B7EVK8 \(Failed to retrieve file url: Too many users x .*\.\.\.\); run again",
    )
    assert os.listdir(folder) == []


def test_a_page_from_drive_is_removed(folder, monkeypatch):
    def download(output, **_):
        with open(output, "wb") as file:
            file.write(PAGE)

    monkeypatch.setattr(gdown, "download", download)
    fails(DRIVE, "is an HTML page")
    assert os.listdir(folder / "a.zip.parts") == []


def test_drive_without_a_network_is_one_line(folder, monkeypatch):
    """The real client, with a proxy that is not there."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("HOME", str(folder))
    fails(DRIVE, "Google Drive does not give 0B7EVK8 .*proxy")


@pytest.fixture
def kaggle(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KAGGLE_USERNAME", "someone")
    monkeypatch.setenv("KAGGLE_KEY", "key")
    monkeypatch.delenv("KAGGLE_API_TOKEN", raising=False)
    with contextlib.redirect_stdout(None):
        from kaggle import api
    return api


def test_kaggle_gives_the_archive(folder, monkeypatch, kaggle, archive):
    def download(dataset, path, **_):
        assert dataset == "someone/some-set"
        for name, content in (("some-set.zip", archive), ("some-set.zip.kaggle-partial", b"{}")):
            with open(f"{path}/{name}", "wb") as file:
                file.write(content)

    monkeypatch.setattr(kaggle, "dataset_download_files", download)
    assert obtain(KAGGLE, checked(archive)).read_bytes() == archive
    assert os.listdir(folder) == ["some-set.zip"]


def test_a_cut_transfer_from_kaggle_is_no_archive(folder, monkeypatch, kaggle, archive):
    def download(dataset, path, **_):
        with open(f"{path}/some-set.zip", "wb") as file:
            file.write(archive[:1000])
        raise ValueError("Downloaded file size (1000) does not match\nexpected size")

    monkeypatch.setattr(kaggle, "dataset_download_files", download)
    fails(KAGGLE, r"Kaggle does not give someone/some-set \(Downloaded .* match expected size\); run again, or")
    assert os.listdir(folder) == ["some-set.zip.parts"]


def test_kaggle_without_a_network_is_one_line(folder, monkeypatch, kaggle):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    fails(KAGGLE, "Kaggle does not give someone/some-set .*proxy")


def test_kaggle_without_an_account_is_one_line(tmp_path):
    """The real client in a process of its own: it prints a page of help and exits."""
    output = run(
        tmp_path, "python", "-m", "dctdiff.stages.download", "--source", "kaggle", "--train", "someone/some-set",
        "--n_train", "3", "--out_source", "source.zip", fails=True,
    )  # fmt: skip
    assert output.strip() == (
        "error: Kaggle gives someone/some-set to its users only; run kaggle auth login, or save a token from "
        "https://www.kaggle.com/settings/api in ~/.kaggle/access_token, or download "
        "https://www.kaggle.com/datasets/someone/some-set with a browser and put it at data/sources/some-set.zip"
    )
    assert not (tmp_path / "source.zip").exists()


def test_an_archive_put_there_by_hand_needs_no_account(tmp_path):
    keys = write_source("ffhq128", tmp_path / "data/sources", 2)
    run(
        tmp_path, "python", "-m", "dctdiff.stages.download", "--source", "kaggle", "--train", keys["train"],
        "--n_train", "2", "--out_source", "source.zip",
    )  # fmt: skip
    assert (tmp_path / "source.zip").exists()
