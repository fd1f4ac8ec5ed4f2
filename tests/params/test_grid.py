"""Grids: which runs and cells they stand for, by what names, and that a wrong one is one line."""

import pytest
import yaml

from dctdiff.params import grid
from dctdiff.params.grid import additions, combinations, tell_dvc
from dctdiff.params.suite import load_suite, planned, read_params
from dctdiff.pipeline.errors import UserError
from engines import ROOT

MICRO = yaml.safe_load((ROOT / "params.yaml").read_text())["suites"]["micro"]
BASE = "micro32-dctdiff"


def of(keys: dict) -> dict:
    return {**MICRO, "grid": {BASE: keys}}


def read(folder, suite: dict):
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump({"suites": {"micro": suite}, "suite": suite}))
    return load_suite(path)


def test_three_learning_rates_by_two_seeds(tmp_path):
    suite = read(tmp_path, of({"lr": [0.001, 0.002, 0.004], "seed": [1, 2]}))
    runs = {name: run for name, run in suite.runs.items() if name.startswith(BASE)}
    assert {(run.lr, run.seed) for run in runs.values()} == {(lr, s) for lr in (0.001, 0.002, 0.004) for s in (1, 2)}
    assert len(runs) == 6 and (suite.runs[BASE].lr, suite.runs[BASE].seed) == (0.001, 1)  # its own is trained once
    assert runs[f"{BASE}-lr0_004-seed2"].train_steps == runs[BASE].train_steps
    assert suite.cells["micro-dct-best-lr0_004-seed2"].run == f"{BASE}-lr0_004-seed2"
    assert len(suite.cells) == len(MICRO["cells"]) + 5 * 2
    assert suite.selections.keys() == runs.keys()
    assert planned(suite)["grid"] == {BASE: {"lr": [0.001, 0.002, 0.004], "seed": [1, 2]}}


def test_defaults_count_as_what_a_run_has():
    found = combinations("a", {"lr": 0.1}, {"prediction": ["noise", "velocity"], "t_logit": [None, [-1.2, 1.6]]})
    assert list(found) == ["a", "a-predictionnoise-t_logit-1_2_1_6", "a-predictionvelocity-t_logitnone",
                           "a-predictionvelocity-t_logit-1_2_1_6"]  # fmt: skip


MISTAKES = [
    ({"nobody": {"lr": [1.0]}}, "grid has the key 'nobody', but its keys should be among micro32-dctdiff"),
    ({BASE: {"lrr": [0.1]}}, "lrr is unknown; did you mean lr?"),
    ({BASE: {"lr": [0.1, "fast"]}}, "lr is 'fast', but should be a number"),
    ({BASE: {"lr": []}}, "suite.grid.micro32-dctdiff.lr is [], but should be 1 entries or more"),
    ({BASE: {"lr": 0.1}}, "suite.grid.micro32-dctdiff.lr is 0.1, but should be a list"),
    ({BASE: {}}, "suite.grid.micro32-dctdiff is {}, but should be 1 entries or more"),
    ([BASE], "suite.grid is ['micro32-dctdiff'], but should be a group of keys"),
    ({BASE: {"lr": [0.1, 0.1]}}, "gives two runs the name micro32-dctdiff-lr0_1; remove one"),
]


@pytest.mark.parametrize(("wrong", "message"), MISTAKES)
def test_a_wrong_grid_is_one_line(tmp_path, wrong, message):
    with pytest.raises(UserError) as caught:
        read(tmp_path, {**MICRO, "grid": wrong})
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_run_of_that_name_is_not_replaced(tmp_path):
    suite = of({"seed": [2]})
    with pytest.raises(UserError, match="makes the run micro32-dctdiff-seed2, which is there"):
        read(tmp_path, {**suite, "runs": {**suite["runs"], f"{BASE}-seed2": suite["runs"][BASE]}})


def test_dvc_is_told_once(tmp_path, monkeypatch):
    monkeypatch.setattr(grid, "FILE", tmp_path / "grid.yaml")
    suite = of({"seed": [2]})
    assert tell_dvc(suite) and not tell_dvc(suite)
    found = yaml.safe_load((tmp_path / "grid.yaml").read_text())["suite"]
    assert found == {section: entries for section, entries in additions(suite).items() if entries}
    assert tell_dvc(MICRO) and yaml.safe_load((tmp_path / "grid.yaml").read_text()) == {"suite": {}}


def test_the_file_of_the_project_is_current():
    """Of the default suite, as it is cloned."""
    text = (ROOT / grid.FILE).read_text()
    suite = yaml.safe_load((ROOT / "params.yaml").read_text())["suite"]
    expected = {section: entries for section, entries in additions(suite).items() if entries}
    assert yaml.safe_load(text) == {"suite": expected} and text.startswith(grid.HEAD)
    assert read_params(ROOT / "params.yaml")["suite"]["runs"].keys() == suite["runs"].keys() | expected.get("runs", {})
