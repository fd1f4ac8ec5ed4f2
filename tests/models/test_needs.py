"""What jobs are given on a cluster, from the plan and the machine."""

import json
from argparse import Namespace

import pytest

from dctdiff.models.needs import START_MINUTES, needs_of
from dctdiff.params.jobs import jobs_of
from dctdiff.params.machine import Machine
from dctdiff.params.suite import planned, read_params, validated
from dctdiff.stages import evaluate, reference, sample, select, weights_trained
from engines import ROOT

INCEPTION = {"extractor": "inception", "feature_resolution": 299, "batch_size": 50}
RUN = ("weights", "ffhq256-dctdiff-m")


@pytest.fixture(scope="module")
def suites():
    params = read_params(ROOT / "params.yaml")
    return {name: validated({**params, "suite": suite}).suite for name, suite in params["suites"].items()}


@pytest.fixture(scope="module")
def plan(suites):
    return planned(suites["paper"])


def test_every_job_that_a_scheduler_is_given_has_needs(suites):
    for suite in suites.values():
        needs = needs_of(planned(suite), suite.extractor.model_dump(), Machine())
        here = {"plan", "download", "import_reference", "import_weights", "tables", "report"}
        jobs = {job for job in jobs_of(suite.model_dump()) if job[0] not in here}
        assert jobs <= needs.keys()
        assert all(need.minutes >= START_MINUTES and need.memory_mb > 0 for need in needs.values())


def test_a_training_has_twice_the_time_that_was_measured(plan):
    """docs/bench: images per second of an H100."""
    [bench] = [
        model
        for model in json.loads((ROOT / "docs/bench/nvidia-h100-80gb-hbm3/training.json").read_text())["models"]
        if model["run"] == RUN[1]
    ]
    run = plan["runs"][RUN[1]]
    measured = run["train_steps"] * run["batch_size"] / bench["images_per_second"]
    needs = needs_of(plan, INCEPTION, Machine(limit_minutes=10**6))[RUN]
    assert needs.forecast_seconds == pytest.approx(measured, rel=0.3)
    assert needs.minutes * 60 > 1.5 * measured


def test_processes_share_time_and_multiply_what_each_has(plan):
    one, four = (needs_of(plan, INCEPTION, Machine(processes_per_run=n, limit_minutes=10**6))[RUN] for n in (1, 4))
    assert four.forecast_seconds == pytest.approx(one.forecast_seconds / 4)
    assert (four.gpus, four.nodes, four.cpus_per_node) == (4, 1, 4 * one.cpus_per_node)
    assert four.memory_mb == pytest.approx(4 * one.memory_mb, abs=4)


def test_a_stage_starts_the_processes_that_a_scheduler_was_asked_for(plan, tmp_path, monkeypatch):
    """Else it would look in vain for GPUs, or leave some idle."""
    run, cell, dataset = RUN[1], "cifar10-dctdiff-m-dpm-50", "cifar10"
    machine = Machine(processes_per_run=3, runs={run: 4}, processes_per_cell=2, cells={cell: 5})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "workflow").mkdir()
    (tmp_path / "workflow/machine.yaml").write_text(json.dumps(machine.model_dump()))
    started = {
        ("weights", run): weights_trained.processes(Namespace(out_weights=f"results/runs/{run}/last.safetensors")),
        ("select", run): select.processes(Namespace(out_weights=f"results/runs/{run}/best.safetensors")),
        ("sample", cell): sample.processes(Namespace(out_samples=f"results/samples/{cell}.zip")),
        ("evaluate", cell): evaluate.processes(Namespace(out_evaluation=f"results/evaluations/cells/{cell}.json")),
        ("evaluate_heldout", dataset): evaluate.processes(
            Namespace(out_evaluation=f"results/evaluations/heldout/{dataset}.json")
        ),
        ("reference", dataset): reference.processes(Namespace(out_reference=f"data/{dataset}/reference.npz")),
    }
    needs = needs_of(plan, INCEPTION, machine)
    assert {job: needs[job].processes for job in started} == started
    assert list(started.values()) == [4, 4, 5, 5, 2, 2]


def test_more_processes_than_a_node_has_gpus_are_spread_evenly(plan):
    needs = needs_of(plan, INCEPTION, Machine(processes_per_run=16, gpus_per_node=8))[RUN]
    assert (needs.gpus, needs.nodes, needs.cpus_per_node) == (16, 2, 32)


def test_the_limit_of_the_partition_and_the_speed_count(plan):
    assert needs_of(plan, INCEPTION, Machine(limit_minutes=60))[RUN].minutes == 60
    fast, slow = (needs_of(plan, INCEPTION, Machine(speed=speed))[RUN] for speed in (1.0, 0.25))
    assert slow.forecast_seconds == pytest.approx(4 * fast.forecast_seconds)


def test_gpus_are_for_networks_only(plan):
    needs = needs_of(plan, INCEPTION, Machine())
    assert {stage for (stage, _), need in needs.items() if need.gpus == 0} == {
        "crop", "pack", "statistics", "spectrum", "round_trip"
    }  # fmt: skip
    assert not any(need.gpus for need in needs_of(plan, INCEPTION, Machine(gpus_per_node=0)).values())
