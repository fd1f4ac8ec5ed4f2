"""make own: what it chooses for a folder, and that params.yaml keeps every other line."""

import io
import shutil
import sys
from collections import Counter

import pytest
import torch
import yaml
from PIL import Image

from dctdiff.commands import own
from dctdiff.params.document import read_document
from dctdiff.params.suite import load_suite
from dctdiff.pipeline.errors import UserError
from engines import ROOT


def png(width: int, height: int, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with params.yaml and 24 photographs of several sizes."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "photos/cat").mkdir(parents=True)
    for number in range(24):
        (tmp_path / f"photos/cat/{number}.png").write_bytes(png(40 + number, 90 - number))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(own, "default_device", lambda: torch.device("cpu"))
    return tmp_path


def make_own(monkeypatch, folder: str) -> None:
    monkeypatch.setattr(sys, "argv", ["own", folder])
    own.main()


def test_the_suite_is_valid_and_chosen_and_all_other_lines_stay(project, monkeypatch, capsys):
    before = (project / "params.yaml").read_text().splitlines()
    make_own(monkeypatch, "photos")
    after = (project / "params.yaml").read_text().splitlines()
    start = after.index("  own: &own") - 1
    end = len(after) - 1
    assert after[:start] + after[end:] == [*before[:-1], "suite: *own"]
    suite = load_suite("params.yaml")
    assert (suite.datasets["own"].crop.resolution, suite.codecs["own"].block_size) == (32, 4)
    assert suite.datasets["own"].download.unfit == "strict"
    assert suite.runs["own"].batch_size == 24 and suite.truncations["own"].n_images == 24
    assert suite.runs["own"].train_steps == 400  # each image 400 times
    said = capsys.readouterr().out
    assert "24" in said and "short sides 40 to 63 pixels" in said and said.endswith("make reproduce\n")
    with pytest.raises(UserError, match="has a suite own already; remove it, or rename it"):
        make_own(monkeypatch, "photos")


def test_images_that_need_a_policy_get_one(project, monkeypatch):
    (project / "photos/a.png").write_bytes(png(50, 50, "RGBA"))
    (project / "photos/b.jpg").write_bytes(b"")
    (project / "photos/c.webp").write_bytes(b"RIFF1234WEBP")
    (project / "photos/note.txt").write_text("no image")
    found = own.look(project / "photos")
    assert (len(found.short_sides), found.n_lost) == (25, 2)
    assert found.unfit == Counter({"has the mode RGBA": 1, "is empty": 1, "is .webp, not JPEG or PNG": 1})
    make_own(monkeypatch, "photos")
    download = load_suite("params.yaml").datasets["own"].download
    assert (download.unfit, download.background) == ("convert", "white")
    (project / "photos/a.png").unlink()
    lost = own.suite_of("photos", own.look(project / "photos"), "cpu")
    assert lost["datasets"]["own"]["download"] == {"source": "files", "train": "photos", "unfit": "skip"}


@pytest.mark.parametrize(
    ("sides", "device", "expected"),
    [
        ([20] * 100, "cpu", (16, 2, 32)),
        ([8] * 100, "cpu", (16, 2, 32)),  # they are enlarged
        ([16] * 9 + [500] * 91, "cpu", (32, 4, 32)),  # a few small ones do not count
        ([500] * 1000, "cuda", (128, 4, 256)),
        ([64] * 100, "cuda", (64, 2, 100)),
    ],
)
def test_sizes_follow_the_images_and_the_device(sides, device, expected):
    suite = own.suite_of("photos", own.Look(sorted(sides), Counter(), 0), device)
    found = suite["datasets"]["own"]["crop"]["resolution"], suite["codecs"]["own"]["block_size"]
    assert (*found, suite["runs"]["own"]["batch_size"]) == expected
    run = suite["runs"]["own"]
    assert run["train_steps"] * run["batch_size"] / len(sides) <= 400 + run["batch_size"] / len(sides)
    assert run["train_steps"] <= own.SIZES[device].steps


def test_what_cannot_be_done_is_said_in_one_line_and_nothing_is_written(project, monkeypatch):
    text = (project / "params.yaml").read_text()
    (project / "few").mkdir()
    for folder, message in {
        "": "IMAGES is missing; run make own IMAGES=<folder>",
        "absent": "absent is no folder",
        "params.yaml": "params.yaml is no folder",
        "few": "few holds 0 images that can be used, and 0 others, but 20 are needed at least; add images",
    }.items():
        with pytest.raises(UserError, match=message):
            make_own(monkeypatch, folder)
    (project / "photos").rename(project / "pho{to}s")
    with pytest.raises(UserError, match="without braces"):
        make_own(monkeypatch, "pho{to}s")
    assert (project / "params.yaml").read_text() == text


def test_an_edited_file_keeps_its_comments(project, monkeypatch):
    text = "# mine\n" + (project / "params.yaml").read_text().replace("suite: *demo", "suite: *cifar10  # for now")
    (project / "params.yaml").write_text(text)
    make_own(monkeypatch, "photos")
    after = (project / "params.yaml").read_text()
    assert after.startswith("# mine\n") and after.endswith("suite: *own  # for now\n")
    assert read_document("params.yaml")["suites"].keys() == {*yaml.safe_load(text)["suites"], "own"}
    assert all(line in after for line in text.splitlines()[:-1])
