"""The ledger of a job: a line at its start, others while it runs, and one however it ends."""

import json
import signal
import subprocess
import sys

import pytest

from dctdiff.pipeline.ledger import read_lines
from engines import ROOT, copy_project, environment_of, run

JOB = """
import os
import signal
import sys
import time
from dctdiff.pipeline import ledger
from dctdiff.pipeline.command import run_command
from dctdiff.pipeline.errors import Interrupted, UserError
from dctdiff.pipeline.launch import launch
from dctdiff.pipeline.signals import stop_on_signals

def work(how):
    if how == "two processes":
        launch(2)
    if how == "user error":
        raise UserError("this file is missing; put it there")
    if how == "defect":
        raise RuntimeError("a defect")
    if how == "exit":
        sys.exit()
    if how == "SIGTERM":
        stop = stop_on_signals()
        os.kill(os.getpid(), signal.SIGTERM)
        while not stop():
            time.sleep(0.01)
        raise Interrupted("stopped; the same command goes on")
    if how == "SIGINT":
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
    if how == "kill -9":
        ledger.note(steps_lost=7)
        time.sleep(1)
        os.kill(os.getpid(), signal.SIGKILL)

def main():
    if sys.argv[1] == "kill -9":
        ledger.SECONDS_BETWEEN_LINES = 0.1
    with ledger.accounted(sys.argv[2]):
        work(sys.argv[1])

run_command(main)
"""
RECORD = "results/records/sample/a.json"
LEDGER = "results/ledger/sample/a.jsonl"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src/job.py").write_text(JOB)
    return tmp_path


def ended(folder, how: str, record: str = RECORD) -> subprocess.CompletedProcess:
    environment = environment_of(folder)
    environment["PYTHONPATH"] += f":{ROOT / 'src'}"
    words = [sys.executable, "-m", "job", how, record]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("how", "code", "event"),
    [
        ("well", 0, "done"),
        ("exit", 0, "done"),
        ("user error", 1, "error"),
        ("defect", 1, "error"),
        ("SIGTERM", 75, "interrupted"),
        ("SIGINT", 75, "interrupted"),
    ],
)
def test_a_job_has_a_start_and_an_end(folder, how, code, event):
    assert ended(folder, how).returncode == code
    start, end = (json.loads(line) for line in (folder / LEDGER).read_text().splitlines())
    assert (start["event"], start["attempt"], end["event"]) == ("start", 1, event)
    assert (start["host"], start["process"]) == (end["host"], end["process"])
    assert start["date"].endswith("+00:00") and start["cpu"] and start["scheduler_job"] is None
    assert 0 <= end["seconds"] < 60 and end["memory_bytes"] > 1e6 and end["gpus"] == []


def test_what_a_killed_job_had_used_is_known(folder):
    assert ended(folder, "kill -9").returncode == -signal.SIGKILL
    start, *running = read_lines(folder / LEDGER)
    assert start.event == "start" and {line.event for line in running} == {"running"}
    assert running[-1].seconds > 0.1 and running[-1].steps_lost == 7
    assert len(running) <= 4  # the intervals grow
    assert ended(folder, "well").returncode == 0
    assert [json.loads(line).get("attempt") for line in (folder / LEDGER).read_text().splitlines()][-2:] == [2, None]


@pytest.mark.parametrize("torn", [b'{"event": "start", "ho', b"\xff\x00", b'{"event": "start"}\n'])
def test_half_a_line_spoils_no_other(folder, torn):
    ended(folder, "well")
    before = (folder / LEDGER).read_bytes()
    (folder / LEDGER).write_bytes(before + torn)
    ended(folder, "user error")
    assert (folder / LEDGER).read_bytes().startswith(before + torn)
    assert [line.event for line in read_lines(folder / LEDGER)] == ["start", "done", "start", "error"]


def test_a_ledger_that_cannot_be_written_fails_no_job(folder):
    (folder / "results").mkdir()
    (folder / "results/ledger").write_text("in the way")
    done = ended(folder, "well")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith(f"warning: {LEDGER} cannot be written (") and done.stderr.count("\n") == 1


def test_a_job_without_a_record_has_no_ledger(folder):
    assert ended(folder, "well", "elsewhere/a.json").returncode == 0
    assert not (folder / "results").exists()


def test_each_of_two_processes_says_what_it_has_used(folder):
    done = ended(folder, "two processes")
    assert done.returncode == 0, done.stderr
    start, *rest = read_lines(folder / LEDGER)
    assert start.event == "start"
    assert {line.event for line in rest} <= {"running", "done"}
    ends = [line for line in rest if line.event == "done"]
    assert len({line.process for line in ends}) == 3 and ends[-1].process == start.process


def test_records_and_outputs_are_the_same_with_and_without(tmp_path):
    folder = copy_project(tmp_path)
    words = ["python", "-m", "dctdiff.stages.plan", "--params", "params.yaml", "--out_plan", "results/plan.json"]
    words += ["--out_record", "results/records/plan.json"]
    found = []
    for blocked in (False, True):
        if blocked:
            (folder / "results/ledger/plan.jsonl").unlink()
            (folder / "results/ledger/plan.jsonl").mkdir()
        run(folder, *words)
        record = json.loads((folder / "results/records/plan.json").read_text())
        found.append(((folder / "results/plan.json").read_bytes(), record | {"date": "", "seconds": 0}))
        if not blocked:
            assert [line.event for line in read_lines(folder / "results/ledger/plan.jsonl")] == ["start", "done"]
    assert found[0] == found[1]
