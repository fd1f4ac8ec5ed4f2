"""What tables and report are built from: a file that is not of its form is named."""

import json

import pytest
import yaml

from dctdiff.params.suite import Suite, planned
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import write_json
from dctdiff.stages.report import read_table, spent_tables
from dctdiff.stages.tables import read_plan, read_results
from engines import ROOT

DOCUMENT = yaml.safe_load((ROOT / "params.yaml").read_text())


@pytest.mark.parametrize("suite", DOCUMENT["suites"])
def test_the_plan_of_each_suite_has_the_form_of_a_plan(tmp_path, suite):
    plan = planned(Suite.model_validate(DOCUMENT["suites"][suite]))
    write_json(tmp_path / "plan.json", plan)
    found = read_plan(tmp_path / "plan.json", ROOT / "data/published.yaml")
    assert found | {"published": plan.get("published")} == plan | {"published": plan.get("published")}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [("cells", [], "cells is "), ("runs", {"a": {}}, "runs.a.dataset is missing"), ("other", 1, "other is unknown")],
)
def test_a_plan_of_another_form_is_named(tmp_path, key, value, message):
    write_json(tmp_path / "plan.json", planned(Suite.model_validate(DOCUMENT["suites"]["micro"])) | {key: value})
    with pytest.raises(UserError, match=rf"plan\.json: {message}.*; delete it and run again"):
        read_plan(tmp_path / "plan.json", ROOT / "data/published.yaml")


@pytest.mark.parametrize(
    "file",
    ["evaluations/heldout/a.json", "evaluations/round_trip/a.json", "evaluations/truncations/a.json",
     "evaluations/upsamplings/a.json", "evaluations/selections/a.json", "evaluations/cells/a.json",
     "statistics/codecs/a.json", "logs/a.jsonl"],
)  # fmt: skip
def test_results_of_another_form_are_named(tmp_path, file):
    sections = ("datasets", "codecs", "truncations", "upsamplings", "selections", "cells", "runs", "imports")
    plan = {section: {"a": {}} for section in sections}
    write_json(tmp_path / file, {})
    with pytest.raises(UserError, match=rf"{file}.* is missing; delete it and run again"):
        read_results(plan, *(f"{tmp_path}/{folder}" for folder in ("evaluations", "statistics", "logs")))


@pytest.mark.parametrize(("rows", "text"), [(b"", b"c"), (b'a,b\n"1', b"c"), (b"a\n\xff", b"c"), (b"a\n1", b"\xff")])
def test_a_table_that_cannot_be_read_is_named(tmp_path, rows, text):
    (tmp_path / "quality.csv").write_bytes(rows)
    (tmp_path / "quality.md").write_bytes(text)
    with pytest.raises(UserError, match=r"quality\.csv or quality\.md is not a table .*; delete both") as error:
        read_table(str(tmp_path), "quality")
    assert "\n" not in str(error.value)


def test_without_a_ledger_nothing_is_said_of_costs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = planned(Suite.model_validate(DOCUMENT["suites"]["micro"]))
    assert spent_tables(plan) == {}
    (tmp_path / "results/ledger").mkdir(parents=True)
    started = {"event": "start", "host": "h", "process": 1, "cpu": "EPYC"}
    (tmp_path / "results/ledger/plan.jsonl").write_text(json.dumps(started) + "\n")
    stages = spent_tables(plan)["stages"]
    assert [row[0] for row in stages["rows"]] == ["plan", "all"] and stages["caption"] == "Ran on EPYC."
    assert len(stages["numeric"]) == len(stages["columns"]) == len(stages["rows"][0])
