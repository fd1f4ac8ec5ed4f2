"""Where jobs run: the file, and whether the jobs of a suite can be shared so."""

import pytest
import yaml

from dctdiff.params.machine import MACHINE, Machine, check_machine, read_machine
from dctdiff.params.suite import load_suite
from dctdiff.pipeline.errors import UserError
from engines import ROOT

SUITES = yaml.safe_load((ROOT / "params.yaml").read_text())["suites"]


@pytest.fixture
def suite(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump({"suites": {"micro": SUITES["micro"]}, "suite": SUITES["micro"]}))
    return load_suite(path)


def test_the_file_says_the_defaults():
    assert read_machine(ROOT / MACHINE) == Machine() == read_machine("absent.yaml")


def test_a_run_or_cell_may_differ():
    machine = Machine(processes_per_run=2, runs={"a": 4}, cells={"c": 8})
    assert [machine.of_run("a"), machine.of_run("b"), machine.of_cell("c"), machine.of_cell("a")] == [4, 2, 8, 1]


WRONG = [
    ("processes_per_run: 3", "runs.micro32-dctdiff: batch_size 8 is not divisible by 3 processes"),
    ("cells: {micro-dct-dpm: 17}", "cells.micro-dct-dpm: 17 processes, but there are only 16 images to share"),
    ("runs: {micro32-dctdif: 2}", "runs.micro32-dctdif is in no suite of params.yaml; correct the name or remove it"),
    ("runs: {micro32-dctdiff: 0}", "runs.micro32-dctdiff is 0, but should be at least 1 (line 1)"),
    (
        "{gpus_per_node: 3, cells: {micro-dct-dpm: 5}}",
        "cells.micro-dct-dpm: 5 processes cannot be spread evenly over 2 nodes",
    ),
    (
        "{gpus_per_node: 2, processes_per_cell: 3, cells: {micro-dct-dpm: 2}}",
        "processes_per_cell: 3 processes cannot be",
    ),
    ("procesess_per_run: 1", "procesess_per_run is unknown; did you mean processes_per_run?"),
    ("limit_minutes: 1.5", "limit_minutes is 1.5, but should be a whole number"),
]


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[text for text, _ in WRONG])
def test_a_mistake_is_one_line(tmp_path, suite, text, message):
    path = tmp_path / "machine.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        check_machine(read_machine(path), suite, SUITES, path)
    assert str(caught.value).startswith(f"{path}: ") and message in str(caught.value)


def test_names_of_other_suites_may_stand_in_it(suite):
    check_machine(Machine(runs={"ffhq256-dctdiff-m": 4}), suite, SUITES)
