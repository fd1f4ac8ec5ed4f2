"""What is left of a run, by how long its jobs took last."""

import json
import os
from pathlib import Path

import pytest

from dctdiff.pipeline.estimate import expect, left, remaining, rounded

JOB = Path("tables")
JOBS = {"crop/a": 10.0, "weights/a": 100.0, "weights/b": 300.0}


def test_one_job_after_the_other():
    assert remaining(JOBS, {"crop/a"}, elapsed=10.0) == 100 + 300
    assert remaining(JOBS, set(JOBS), elapsed=710.0) is None


def test_jobs_that_run_side_by_side():
    assert remaining(JOBS, {"crop/a", "weights/b"}, elapsed=155.0) == pytest.approx(100 / 2)


def test_a_first_run_has_no_estimate():
    assert remaining({"crop/a": None, "weights/a": 3.0}, set(), 1.0) is None
    assert remaining({"crop/a": None, "weights/a": 3.0}, {"crop/a"}, 1.0) == 3.0


def test_what_is_done_since_the_start_counts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert left(JOB) is None
    os.makedirs("results/ledger/sample"), os.makedirs("results/records/sample")
    for name in ("a", "b"):
        line = {"event": "done", "host": "here", "process": 1, "seconds": 90.0}
        (tmp_path / f"results/ledger/sample/{name}.jsonl").write_text(json.dumps(line) + "\n")
    old = tmp_path / "results/records/sample/a.json"
    old.write_text("{}")
    os.utime(old, (1, 1))
    expect([("sample", "a"), ("sample", "new"), ("tables",)])
    assert left(JOB) == "0 of 3 jobs done"  # the tables have never been made
    (tmp_path / "results/records/tables.json").write_text("{}")
    assert left(JOB) == "1 of 3 jobs done, about 3 min left"
    old.write_text("{}")
    assert left(JOB).startswith("2 of 3 jobs done, about ")
    (tmp_path / "results/records/sample/new.json").write_text("{}")
    assert left(JOB) == "3 of 3 jobs done"
    assert left(Path("validate")) is None  # which the engine has not begun with
    (tmp_path / ".cache/estimate.json").write_text("{")
    assert left(JOB) is None


def test_minutes_are_rounded():
    assert [rounded(seconds) for seconds in (4.4, 600, 36_000)] == ["4 s", "10 min", "10.0 h"]
