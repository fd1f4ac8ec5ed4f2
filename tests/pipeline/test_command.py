"""The command line of a stage: groups as dotted flags, and one error however many processes run."""

import shlex
import sys

import pytest
from dvc.parsing.interpolate import to_str
from pydantic import Field

from dctdiff.pipeline.command import parse_command
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.slice import Slice
from engines import run


class Point(Slice):
    name: str = Field(description="a word")
    scale: float = Field(gt=0, description="a number")
    sides: list[int] = Field(None, description="numbers")


class Example(Slice):
    count: int = Field(description="a number")
    limit: int | None = Field(None, ge=1, description="a number or none")
    sides: list[int] | None = Field(None, description="numbers or none")
    kept: bool = Field(False, description="true or false")
    here: Point = Field(description="a group")
    there: Point | None = Field(None, description="a group or none")


HERE = {"name": "two words", "scale": 242.382}
EXAMPLES = [
    {"count": 1, "here": HERE},
    {"count": 1, "limit": None, "kept": True, "here": HERE},
    {"count": 1, "kept": False, "here": HERE},
    {"count": -1, "sides": None, "here": HERE},
    {"count": 1, "sides": [-3, 4], "here": HERE},
    {"count": 1, "limit": 7, "sides": [3], "here": HERE | {"sides": [1, 2]}, "there": HERE},
]


def parse(monkeypatch, words: str):
    monkeypatch.setattr(sys, "argv", ["stage", "--out", "path", *shlex.split(words)])
    command = parse_command("An example.", {"out": "a file"}, Example)
    assert vars(command.paths) == {"out": "path"}
    assert command.words == shlex.split(words) and command.record is None
    return command.params


@pytest.mark.parametrize("document", EXAMPLES)
def test_what_dvc_writes_of_a_slice_is_read_back(monkeypatch, document):
    assert parse(monkeypatch, to_str(document)) == Example.model_validate(document)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("--there.name n", "--there.scale is missing"),
        ("--there.name n --there.scale x", "--there.scale is 'x', but should be a number"),
        ("--there.name n --there.scale 0", "--there.scale is '0', but should be more than 0"),
        ("--there.nme n", "unrecognized arguments: --there.nme n; see --help"),
        ("--here.scale None", "--here.scale is 'None', but should be a number"),
        ("--limit 0", "--limit is '0', but should be at least 1"),
    ],
)
def test_a_mistake_in_a_group_names_the_dotted_flag(monkeypatch, change, message):
    with pytest.raises(UserError) as caught:
        parse(monkeypatch, f"--count 1 --here.name n --here.scale 2 {change}")
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_flag_of_a_group_that_must_be_there_is_named(monkeypatch):
    with pytest.raises(UserError, match=r"required: --here\.scale"):
        parse(monkeypatch, "--count 1 --here.name n")


def test_paths_are_told_from_params(monkeypatch):
    words = [
        "--out=path",
        "--count",
        "1",
        "--out_record",
        "r.json",
        "--here.name",
        "out",
        "--here.scale",
        "1",
        "--kept",
    ]
    monkeypatch.setattr(sys, "argv", ["stage", *words])
    command = parse_command("An example.", {"out": "a file"}, Example)
    assert (command.paths.out, command.record) == ("path", "r.json")
    assert command.words == ["--count", "1", "--here.name", "out", "--here.scale", "1", "--kept"]


STAGE = """
import os
import sys
from dctdiff.pipeline.command import run_command
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.environment import process_rank
from dctdiff.pipeline.launch import launch

def main():
    launch(2)
    if sys.argv[1] == "user error":
        raise UserError("this file is missing; put it there")
    if sys.argv[1] == "crash" and process_rank() == 1:
        raise RuntimeError("a defect")
    os.write(1, f"rank {process_rank()}\\n".encode())  # whole: print writes its parts one by one

run_command(main)
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src/stage.py").write_text(STAGE)
    return tmp_path


def test_two_processes_say_a_user_error_once(folder):
    output = run(folder, "python", "-m", "stage", "user error", fails=True)
    assert output == "error: this file is missing; put it there\n"


def test_a_defect_of_one_process_keeps_its_traceback(folder):
    output = run(folder, "python", "-m", "stage", "crash", fails=True)
    assert "RuntimeError: a defect" in output
    assert output.endswith("error: process 1 of 2 ended with status 1; its output is above\n")
    assert "ChildFailedError" not in output


def test_two_processes_succeed(folder):
    assert sorted(run(folder, "python", "-m", "stage", "work").split("\n")) == ["", "rank 0", "rank 1"]
