"""What made a number: every row of every table has its job, and files lead from one job to the other."""

import pytest
import yaml

from dctdiff.params.grid import with_grid
from dctdiff.params.published import load_published
from dctdiff.params.suite import Suite, planned
from dctdiff.report.provenance import jobs_behind, made, pairs
from dctdiff.report.tables.suite import build_tables
from engines import ROOT

SUITES = yaml.safe_load((ROOT / "params.yaml").read_text())["suites"]
NOTHING = {kind: {} for kind in ("heldout", "round_trip", "truncations", "upsamplings", "selections", "cells")}


GRID = {"micro32-dctdiff": {"lr": [0.001, 0.002], "seed": [1, 2]}}


@pytest.mark.parametrize("suite", [*SUITES, "with a grid"])
def test_every_row_of_every_table_has_its_job(suite):
    params = SUITES[suite] if suite in SUITES else with_grid(SUITES["micro"] | {"grid": GRID})
    plan = planned(Suite.model_validate(params))
    published = load_published(ROOT / "data/published.yaml", plan.get("published"))
    plan |= {"published": published.model_dump(exclude_none=True)}
    behind = jobs_behind(plan, NOTHING)
    for name, (table, _) in build_tables(plan, NOTHING, {}, {}).items():
        assert len(behind[name]) == len(table), name
        for job, (_, row) in zip(behind[name], table.iterrows(), strict=True):
            stage, of = job or (None, None)
            if stage == "evaluate" and name not in ("grid", "seeds"):
                shown = row.get("images", row.get("model"))
                assert plan["cells"][of]["run"] == shown.removesuffix(" (our reading)"), name
            if name == "grid":
                assert str(plan["runs"][plan["cells"][of]["run"]]["lr"]) == row["lr"]
            if name == "seeds":
                assert plan["cells"][of]["run"] == row["first run"]
            if stage in ("weights", "statistics"):
                assert of == row.get("run", row.get("codec")), name


def record(command: str | None, inputs: dict, outputs: dict) -> dict:
    return {
        "module": "dctdiff.stages.x", "params": ["--nfe", "20", "--times", "0.1", "0.5", "--flag"], "inputs": inputs,
        "outputs": outputs, "code": "c", "commit": None, "date": "2020-01-01", "host": "h", "seconds": 1.0,
    } | ({"command": command} if command else {})  # fmt: skip


def test_files_lead_to_the_job_that_made_them():
    records = {
        ("crop", "d"): record(None, {"source.zip": "s"}, {"d/train.zip": "t"}),
        ("weights", "r"): record("python -m x", {"d/train.zip": "t", "folder/a": None}, {"w": "w"}),
        ("tables", None): record(None, {"w": "w", "w2": "w"}, {"folder": None}),
    }
    crop, weights, tables = made(records)
    assert [job["id"] for job in (crop, weights, tables)] == ["made-crop-d", "made-weights-r", "made-tables"]
    assert [file["made"] for file in weights["inputs"]] == ["made-crop-d", "made-tables"]
    assert [file["made"] for file in (*crop["inputs"], *tables["inputs"])] == [None, "made-weights-r", None]
    assert weights["command"] == "python -m x"
    assert crop["command"] == "python -m dctdiff.stages.x --nfe 20 --times 0.1 0.5 --flag"  # of an early version


def test_params_are_read_from_the_words_of_a_command():
    assert pairs(["--nfe", "20", "--times", "0.1", "0.5", "--flag"]) == [
        ("nfe", "20"), ("times", "0.1 0.5"), ("flag", "true"),
    ]  # fmt: skip
    assert pairs(["--weight", "-1"]) == [("weight", "-1")]
