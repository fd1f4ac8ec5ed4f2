"""Work that processes do in turn: in order, and ended by all once one of them has ended."""

import time

import pytest

from dctdiff.pipeline import turns
from dctdiff.pipeline.turns import in_order, own, parts_of
from engines import run

STAGE = """
'A stage.'
import os
import sys
import time
from argparse import Namespace
from dctdiff.pipeline.command import run_stage
from dctdiff.pipeline.environment import process_rank
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.turns import first_says, in_order, is_first, meet, own, parts_of

def results(parts):
    for number, part in enumerate(parts):
        if os.environ["WHO"] == str(process_rank()) and number == 1:
            if os.environ["HOW"] == "error":
                raise UserError("this image is damaged; replace it")
            os.kill(os.getpid(), 9)
        yield [process_rank(), *part]

def main(paths: Namespace) -> None:
    meet()
    parts = parts_of(range(11), 2)
    found = list(in_order(results(parts[own()]), len(parts)))
    said = first_says(lambda: len(found))
    if is_first():
        open(paths.out_file, "w").write(f"{found} {said}")
    else:
        assert (found, said) == ([], len(parts))

if __name__ == "__main__":
    run_stage(main, {"out_file": "a file"}, processes=lambda paths: 3)
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src/stage.py").write_text(STAGE)
    return tmp_path


def ended(folder, who: str, how: str = "", fails: bool = True) -> str:
    return run(folder, "python", "-m", "stage", "--out_file", "out", fails=fails, WHO=who, HOW=how)


def test_the_first_process_has_all_results_in_order(folder):
    assert ended(folder, "nobody", fails=False) == ""
    assert (folder / "out").read_text() == "[[0, 0, 1], [1, 2, 3], [2, 4, 5], [0, 6, 7], [1, 8, 9], [2, 10]] 6"


@pytest.mark.parametrize("who", ["0", "2"])
def test_an_error_of_one_process_is_one_line(folder, who):
    """Be it the one that receives or one that sends."""
    assert ended(folder, who, "error") == "error: this image is damaged; replace it\n"
    assert not (folder / "out").exists()


@pytest.mark.parametrize("who", ["0", "2"])
def test_a_killed_process_ends_the_others_at_once(folder, who):
    started = time.monotonic()
    output = ended(folder, who, "kill")
    assert output.startswith(("error: process", "error: another process")) and output.count("\n") == 1
    assert time.monotonic() - started < 120
    assert not (folder / "out").exists()


def test_parts_leave_no_process_without_work(monkeypatch):
    for processes, lengths in ((1, [5, 2]), (2, [4, 3]), (4, [2, 2, 2, 1])):
        monkeypatch.setattr(turns, "n_processes", lambda n=processes: n)
        parts = parts_of(range(7), 5)
        assert [len(part) for part in parts] == lengths
        assert [index for part in parts for index in part] == list(range(7))


def test_one_process_does_all_of_it():
    parts = parts_of("abcde", 2)
    assert list(in_order(parts[own()], len(parts))) == ["ab", "cd", "e"]
