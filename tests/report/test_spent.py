"""What jobs have cost: known sums of lines as the ledger holds them."""

import json

import pytest
import yaml

from dctdiff.params.suite import Suite, planned
from dctdiff.pipeline.ledger import Line, UsedGPU, read_lines
from dctdiff.report.spent import Spent, attempts_of, hardware_note, rows_table, spent_on, stages_table, together
from engines import ROOT

SUITE = yaml.safe_load((ROOT / "params.yaml").read_text())["suites"]["micro"]
PLAN = planned(Suite.model_validate(SUITE))


def line(event: str, process: int = 1, seconds: float = 0.0, **facts) -> Line:
    return Line(event=event, host="node", process=process, cpu="EPYC", seconds=seconds, **facts)


def gpu(joules: int | None = None, memory_bytes: int = 10) -> UsedGPU:
    return UsedGPU(model="H100", memory_bytes=memory_bytes, joules=joules)


def test_a_job_that_ends_well():
    lines = [line("start"), line("running", seconds=10, memory_bytes=5), line("done", seconds=30, memory_bytes=7)]
    assert spent_on(lines) == Spent(jobs=1, attempts=1, seconds=30, memory_bytes=7, hardware=("EPYC",))


def test_nothing_was_spent_on_a_job_that_has_not_run():
    assert spent_on([]) == Spent(jobs=1)
    assert together([]) == Spent()


def test_a_killed_attempt_and_its_retry():
    lines = [
        line("start"), line("running", seconds=10), line("running", seconds=20),
        line("start", 2), line("done", 2, seconds=50, steps_lost=300),
    ]  # fmt: skip
    spent = spent_on(lines)
    assert (spent.attempts, spent.retries, spent.lost, spent.seconds, spent.steps_lost) == (2, 1, 1, 70, 300)


def test_an_attempt_that_is_under_way_is_not_lost():
    spent = spent_on([line("start"), line("error", seconds=5), line("start", 2), line("running", 2, seconds=10)])
    assert (spent.attempts, spent.retries, spent.lost, spent.seconds) == (2, 1, 0, 15)


@pytest.mark.parametrize(("event", "retries"), [("done", 0), ("error", 1), ("interrupted", 1)])
def test_what_is_made_again_after_an_edit_is_no_retry(event, retries):
    spent = spent_on([line("start"), line(event, seconds=5), line("start", 2), line("done", 2, seconds=6)])
    assert (spent.attempts, spent.retries, spent.lost, spent.seconds) == (2, retries, 0, 11)


def test_two_gpus():
    """A process for each, and the one that has started them, which says the time of the job."""
    lines = [
        line("start"),
        line("running", 2, seconds=50, gpus=[gpu(1)]),
        line("done", 2, seconds=90, memory_bytes=4, gpus=[gpu(6000, memory_bytes=10)]),
        line("done", 3, seconds=80, memory_bytes=5, gpus=[gpu(7000, memory_bytes=20)]),
        line("done", 1, seconds=100, memory_bytes=1),
    ]
    assert spent_on(lines) == Spent(
        jobs=1, attempts=1, seconds=100, gpu_seconds=170, joules=13_000, memory_bytes=10, gpu_memory_bytes=20,
        hardware=("2 x H100",),
    )  # fmt: skip


def test_a_process_that_waited_for_another_is_an_attempt_of_its_own():
    lines = [line("start", 1), line("start", 2), line("done", 1, seconds=60), line("interrupted", 2, seconds=9)]
    assert [attempt.ending for attempt in attempts_of(lines)] == ["done", "interrupted"]
    assert spent_on(lines).lost == 0 and spent_on(lines).seconds == 69


def test_a_number_of_a_process_that_comes_again_is_another_process():
    """In a container each job has the same."""
    lines = [line("start"), line("error", seconds=5), line("start"), line("done", seconds=6)]
    assert [attempt.ending for attempt in attempts_of(lines)] == ["error", "done"]


def test_energy_that_is_not_known_is_not_zero():
    assert spent_on([line("start"), line("done", gpus=[gpu()])]).joules is None
    known, unknown = Spent(joules=5), Spent()
    assert together([known, unknown, known]).joules == 10
    assert together([unknown]).joules is None


def test_a_torn_line_is_left_out(tmp_path):
    whole = [line("start"), line("done", seconds=3)]
    text = [json.dumps(found.model_dump()) for found in whole]
    (tmp_path / "a.jsonl").write_text(f"{text[0]}\n{text[1][:20]}\n{text[1]}\n{text[1][:-1]}")
    assert read_lines(tmp_path / "a.jsonl") == whole
    assert read_lines(tmp_path / "absent.jsonl") == []


def ended(seconds: float, *gpus: UsedGPU) -> list[Line]:
    return [line("start"), line("done", seconds=seconds, gpus=list(gpus))]


LEDGER = {
    ("download", "micro32"): ended(1),
    ("crop", "micro32"): ended(2),
    ("pack", "micro32"): ended(4),
    ("reference", "micro32"): ended(8),
    ("statistics", "micro32-dct"): ended(16),
    ("statistics", "micro32-pixel"): ended(32),
    ("weights", "micro32-dctdiff"): [line("start"), *ended(3600, gpu(7_200_000))],
    ("select", "micro32-dctdiff"): ended(64),
    ("sample", "micro-dct-dpm"): ended(100, gpu(3_600_000)),
    ("evaluate", "micro-dct-dpm"): ended(28),
    ("sample", "of another suite"): ended(10_000),
}


def test_a_stage_has_the_sum_of_its_jobs():
    table = stages_table(PLAN, LEDGER).set_index("stage")
    assert list(table.index) == ["download", "crop", "pack", "statistics", "reference", "weights", "select", "sample",
                                 "evaluate", "all"]  # fmt: skip
    assert table.loc["statistics", ["jobs", "attempts", "time", "GPU time"]].tolist() == [2, 2, "0:00:48", "n/a"]
    weights = table.loc["weights", ["attempts", "retries", "killed", "time", "GPU time", "energy (kWh)"]]
    assert weights.tolist() == [2, 1, 1, "1:00:00", "1:00:00", "2"]
    assert table.loc["all", ["jobs", "time", "GPU time", "energy (kWh)"]].tolist() == [10, "1:04:15", "1:01:40", "3"]
    assert hardware_note(PLAN, LEDGER) == "Ran on 1 x H100, EPYC."


def test_a_row_has_its_own_jobs_and_those_that_it_was_made_from():
    table = rows_table(PLAN, LEDGER)
    assert len(table) == len(PLAN["datasets"]) + len(PLAN["codecs"]) + len(PLAN["cells"])
    rows = table.set_index(["images", "checkpoint"])
    whole = "with training and data: "
    made = ["time", "energy (kWh)", f"{whole}time", f"{whole}energy (kWh)"]
    of = "micro32-dctdiff"
    assert rows.loc[(of, "last"), made].tolist() == ["0:02:08", "1", "1:02:39", "3"]
    assert rows.loc[(of, "best"), ["attempts", *made]].tolist() == ["not run", "n/a", "n/a", "1:01:35", "2"]
    assert rows.loc[("held-out images through micro32-pixel", "n/a"), f"{whole}time"] == "0:00:43"


def test_without_a_gpu_nothing_is_said_of_one():
    ledger = {job: ended(1) for job in LEDGER}
    for table in (stages_table(PLAN, ledger), rows_table(PLAN, ledger)):
        assert not [name for name in table.columns if "GPU" in name or "energy" in name]
