"""Released weights from the network: fetched once, resumed, checked, and every fault in one line."""

import hashlib
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from dctdiff.data import fetching
from dctdiff.params.release import Release
from dctdiff.pipeline.errors import UserError
from dctdiff.stages.weights_published import checked
from server import serving

LOCK = ".lock"  # stays in the folder


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fetching, "PAUSE", 0.0)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "data/sources/weights"


def saved(path: Path, **options) -> bytes:
    torch.save({"a": torch.arange(50_000.0)}, path, **options)
    return path.read_bytes()


@pytest.fixture
def content(tmp_path) -> bytes:
    return saved(tmp_path / "saved.pth")


@pytest.fixture
def server(content):
    with serving(content) as server:
        yield server


def release_of(server, content: bytes) -> Release:
    url = f"http://127.0.0.1:{server.server_port}/some/mid.pth"
    return Release(url=url, sha256=hashlib.sha256(content).hexdigest(), resolution=8, patch_size=4)


def fails(release: Release, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        checked(release)
    assert "\n" not in str(caught.value) and f"download {release.url} with a browser and put it at" in str(caught.value)


def test_weights_are_fetched_once_and_then_need_no_network(folder, content):
    with serving(content) as server:
        release = release_of(server, content)
        path, digest = checked(release)
        assert (path.resolve(), digest) == (folder / "mid.pth", release.sha256)
        assert path.read_bytes() == content and server.ranges == [None]
    assert checked(release) == (path, digest)
    assert sorted(os.listdir(folder)) == [LOCK, "mid.pth"] and os.listdir(folder.parent) == ["weights"]


def test_a_cut_transfer_is_resumed_by_the_next_run(folder, server, content, monkeypatch):
    monkeypatch.setattr(fetching, "TRIES", 1)
    server.cuts = [70_000]
    release = release_of(server, content)
    fails(release, rf"cut after 70000 of {len(content)} bytes\); run again \(what has come is kept\)")
    assert checked(release)[0].read_bytes() == content
    assert server.ranges == [None, "bytes=70000-"]


def test_two_runs_of_one_file_fetch_it_once(folder, server, content):
    """Both at once; each would append to what the other has fetched."""
    release, start = release_of(server, content), threading.Barrier(4)

    def one(_):
        start.wait()
        return checked(release)[0].read_bytes()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, range(4))) == 4 * [content]
    assert server.ranges == [None]


def test_a_missing_file_is_named_at_once(folder, server, content):
    server.states = [404]
    fails(release_of(server, content), r"^http://127\S*/some/mid\.pth cannot be fetched \(HTTP 404 Not Found\)")
    assert os.listdir(folder) == [LOCK] and len(server.ranges) == 1


def test_no_network_is_named_at_once(folder, content):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # without listening
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/mid.pth"
        fails(Release(url=url, sha256="0" * 64, resolution=8, patch_size=4), "Connection refused")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"<!doctype html><title>Sign in</title>", r"^http://127\S*mid\.pth is a web page, not weights"),
        (b"not found", r"^http://127\S*mid\.pth is incomplete or not a file of torch\.save"),
        (None, r"^http://127\S*mid\.pth has the SHA-256 \w{64}, but release\.sha256 is \w{64}; run again later"),
    ],
    ids=["page", "text", "digest"],
)
def test_a_wrong_answer_is_removed(folder, server, content, answer, message):
    server.content = answer or content
    fails(release_of(server, b"another"), message)
    assert os.listdir(folder) == [LOCK]


def test_the_old_format_is_named_before_it_is_opened(folder, server, tmp_path, monkeypatch):
    server.content = saved(tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("opened"))
    with pytest.raises(UserError, match=r"^http://127\S*mid\.pth is in the format of torch before 1\.6"):
        checked(release_of(server, server.content))


def test_another_digest_does_not_take_what_lies_there(folder, server, content):
    """As after an edit of params.yaml: nobody's file is removed, nor taken for another."""
    checked(release_of(server, content))
    fails(
        release_of(server, b"another"),
        r"^data/sources/weights/mid\.pth has the SHA-256 \w+, but release\.sha256 is \w+; remove it and run again",
    )
    assert (folder / "mid.pth").read_bytes() == content and server.ranges == [None]
