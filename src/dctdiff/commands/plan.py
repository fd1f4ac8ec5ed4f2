"""Say what a run of the suite will cost before it starts: jobs, GPU hours and disk, of what is not yet there.

``make plan`` calls it. Trainings of docs/bench are forecast from the images per second that were measured there on
one H100, other networks from their operations; workflow/machine.yaml says how fast the GPUs are and how many
share a job.
"""

import math
from collections.abc import Iterator
from pathlib import Path

from tabulate import tabulate

from dctdiff.models.config import config_of
from dctdiff.models.cost import forward_flops
from dctdiff.models.needs import needs_of
from dctdiff.params.machine import Machine, check_machine, read_machine
from dctdiff.params.resources import Job, Needs
from dctdiff.params.status import whys_stale
from dctdiff.params.suite import planned, read_params, validated
from dctdiff.pipeline.command import run_command
from dctdiff.pipeline.files import read_json

MEASURED = Path("docs/bench/nvidia-h100-80gb-hbm3/training.json")
MB_PER_GB = 1000


def measured_rates(plan: dict, path: Path = MEASURED) -> dict[str, float]:
    """Run -> images per second of its training on one H100, of those whose network was measured."""
    measured = read_json(path)["models"] if path.exists() else []
    rates = {
        (forward_flops(config_of(plan, model["run"])), plan["runs"][model["run"]]["codec"]): model["images_per_second"]
        for model in measured
        if model["run"] in plan["runs"]
    }
    trained = [name for name, run in plan["runs"].items() if run["weights"] == "trained"]
    found = {name: rates.get((forward_flops(config_of(plan, name)), plan["runs"][name]["codec"])) for name in trained}
    return {name: rate for name, rate in found.items() if rate is not None}


def gpu_hours(plan: dict, needs: dict[Job, Needs], machine: Machine, rates: dict[str, float]) -> dict[Job, float]:
    """Of each job that runs a network; on several GPUs those of all together, as if they shared without loss."""
    hours = {job: need.forecast_seconds * need.processes / 3600 for job, need in needs.items()}
    for name, rate in rates.items():
        images = plan["runs"][name]["train_steps"] * plan["runs"][name]["batch_size"]
        if ("weights", name) in hours:
            hours["weights", name] = images / rate / machine.speed / 3600
    return {job: value for job, value in hours.items() if value > 0}


def by_stage(needs: dict[Job, Needs], hours: dict[Job, float]) -> list[list]:
    """Rows: stage, jobs, GPU hours, GB on disk; the last row is all of them."""
    rows: dict[str, list] = {}
    for job, need in needs.items():
        for name in (job[0], "all"):
            row = rows.setdefault(name, [name, 0, 0.0, 0.0])
            row[1] += 1
            row[2] += hours.get(job, 0.0)
            row[3] += need.disk_mb / MB_PER_GB
    rows["all"] = rows.pop("all")
    return [[stage, n_jobs, short(total), short(gb)] for stage, n_jobs, total, gb in rows.values()]


def trainings(needs: dict[Job, Needs], hours: dict[Job, float], machine: Machine, rates: dict) -> Iterator[list]:
    """Rows: run, GPUs, hours on the clock, jobs one after the other, and how it is known."""
    for job, need in needs.items():
        if job[0] == "weights" and job in hours:
            clock = hours[job] / need.processes
            n_jobs = math.ceil(clock * 60 / machine.limit_minutes)
            known = "measured on an H100" if job[1] in rates else "from its operations"
            yield [job[1], need.processes, short(clock), n_jobs, known]


def short(value: float) -> str:
    """Three digits at most, but all before the point; nothing for none."""
    if value == 0:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def main() -> None:
    params, machine = read_params("params.yaml"), read_machine()
    suite = validated(params).suite
    check_machine(machine, suite, params["suites"])
    plan = planned(suite)
    rates = measured_rates(plan)
    every = needs_of(plan, suite.extractor.model_dump(), machine)
    stale = [job for job, reason in whys_stale(params["suite"]).items() if reason]
    needs = {job: every[job] for job in stale if job in every}
    if not needs:
        print("Nothing is to be run: all results are those of now.")
        return
    hours = gpu_hours(plan, needs, machine, rates)
    print(tabulate(by_stage(needs, hours), ["jobs of", "jobs", "GPU hours", "GB"], colalign=("left", *3 * ["right"])))
    rows = list(trainings(needs, hours, machine, rates))
    if rows:
        headers = ["training", "processes", "hours on the clock", "jobs in turn", "forecast"]
        print("", tabulate(rows, headers, colalign=("left", *3 * ["right"], "left")), sep="\n")
    print(
        f"\nGPU hours are of GPUs of {machine.speed:g} H100 (speed in workflow/machine.yaml). Not counted: downloads",
        "and CPU work, starts, waiting in a queue, what several GPUs lose to each other, lost work, fp16 for bf16.",
        sep="\n",
    )


if __name__ == "__main__":
    run_command(main)
