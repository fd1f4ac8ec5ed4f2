"""Results that one person pushes to a DVC remote and another pulls, as docs/sharing.md says."""

import hashlib
import re
import shutil
from pathlib import Path

import pytest

from engines import COPIED, edit, run, take_over
from test_engines import RESULTS, dvc_runs, edit_micro, snakemake_would_run

PIXELS = "data/micro32/train.npy"
STATUS = ("python", "-m", "dctdiff.commands.status")
ONE_RUN = ("codec: micro32-pixel\n        snr_scale", "codec: micro32-pixel\n        lr: 0.002\n        snr_scale")


def git(folder: Path, *words: str) -> None:
    run(folder, "git", "-c", "user.name=a", "-c", "user.email=a@b", *words)


@pytest.fixture(scope="module")
def people(made, tmp_path_factory):
    """The folders of one person, who has made the suite by Snakemake, and of another, who has pulled it."""
    folder = tmp_path_factory.mktemp("people")
    shutil.copytree(made[0], folder / "first", symlinks=True)
    take_over(folder / "first")
    return shared(folder)


def shared(root: Path) -> tuple[Path, Path]:
    first, second = root / "first", root / "second"
    run(first, "dvc", "remote", "add", "--default", "shared", str(root / "remote"))
    git(first, "add", "dvc.lock", *COPIED)
    git(first, "commit", "--quiet", "--message", "results")
    run(first, "dvc", "push")
    run(root, "git", "clone", "--quiet", str(first), str(second))
    run(second, "dvc", "pull")
    return first, second


@pytest.fixture
def second(people, tmp_path):
    """A copy of the second one's, to be changed."""
    return Path(shutil.copytree(people[1], tmp_path / "second", symlinks=True))


def check_nothing_to_do(first: Path, second: Path) -> None:
    assert not (second / PIXELS).exists()
    assert snakemake_would_run(second) == set()
    assert dvc_runs(second, "--dry", "--allow-missing") == set()
    assert ", 0 stale, 0 missing" in run(second, *STATUS)
    for path in (first / "results/tables").iterdir():
        assert (second / "results/tables" / path.name).read_bytes() == path.read_bytes()


def test_who_pulls_has_nothing_to_do(people):
    check_nothing_to_do(*people)


def test_who_pulls_from_dvc_has_nothing_to_do(made, tmp_path):
    shutil.copytree(made[1], tmp_path / "first", symlinks=True)
    check_nothing_to_do(*shared(tmp_path))


def test_packed_images_take_no_room_in_cache_and_remote(people):
    content = (people[0] / PIXELS).read_bytes()
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    assert not list(people[0].parent.rglob(f"files/md5/{digest[:2]}/{digest[2:]}"))


def test_an_edit_of_a_cell_needs_no_packed_images_and_can_be_shared_in_turn(second):
    edit_micro(second, "nfe: 2", "nfe: 4")
    changed = {"plan", "sample", "evaluate", *RESULTS}
    assert snakemake_would_run(second) == changed
    run(second, "snakemake", "--cores", "2")
    take_over(second)
    assert dvc_runs(second, "--dry", "--allow-missing") == set()
    run(second, "dvc", "push")
    assert not (second / PIXELS).exists()


def test_an_edit_of_a_run_packs_the_images_and_trains_no_other(people, second):
    edit_micro(second, *ONE_RUN)
    output = run(second, "snakemake", "--cores", "2", "--until", "weights")
    assert len(re.findall(r"Job \d+: weights ", output)) == 1 and re.search(r"Job \d+: pack ", output)
    assert (second / PIXELS).read_bytes() == (people[0] / PIXELS).read_bytes()
    assert snakemake_would_run(second) == {"plan", "sample", "evaluate", *RESULTS}
    take_over(second)


def test_dvc_packs_the_images_and_trains_no_other_run(people, second):
    edit_micro(second, *ONE_RUN)
    output = run(second, "dvc", "repro", "weights")
    assert output.count("Running stage 'weights@") == 1 and "Running stage 'pack@micro32'" in output
    assert (second / PIXELS).read_bytes() == (people[0] / PIXELS).read_bytes()


def test_results_need_no_images(second):
    """As for someone who may not have them, or no room for them."""
    for path in (second / "data/micro32").glob("*.zip"):
        path.unlink()
    assert snakemake_would_run(second) == set()
    assert dvc_runs(second, "--dry", "--allow-missing") == set()
    edit_micro(second, "nfe: 2", "nfe: 4")
    assert snakemake_would_run(second) == {"plan", "sample", "evaluate", *RESULTS}


def test_dvc_takes_over_nothing_by_halves(second):
    """Weights of which it cannot know from which images they were trained."""
    edit(second / "dvc.lock", "weights@micro32-uvit", "weights@micro32-other")
    output = run(second, "python", "-m", "dctdiff.commands.commit", fails=True)
    assert f"DVC cannot take over results/runs/micro32-uvit/last.safetensors, since {PIXELS} is gone" in output
    assert "Traceback" not in output
