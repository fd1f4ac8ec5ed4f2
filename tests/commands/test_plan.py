"""What a run of the suite will cost, before it starts."""

import pytest

from dctdiff.commands import plan as command
from dctdiff.models.needs import needs_of
from dctdiff.params.machine import Machine
from dctdiff.params.suite import planned, read_params, validated
from engines import ROOT, copy_project, run

INCEPTION = {"extractor": "inception", "feature_resolution": 299, "batch_size": 50}


def plan_of(suite: str) -> dict:
    params = read_params(ROOT / "params.yaml")
    return planned(validated({**params, "suite": params["suites"][suite]}).suite)


@pytest.fixture(scope="module")
def plan():
    return plan_of("paper")


def hours(plan, **machine):
    machine = Machine(**machine)
    needs = needs_of(plan, INCEPTION, machine)
    return needs, command.gpu_hours(plan, needs, machine, command.measured_rates(plan, ROOT / command.MEASURED))


def test_what_was_measured_is_taken_as_it_was(plan):
    """docs/bench: 400.9 images per second at 256 pixels, for every run of that network."""
    _, found = hours(plan)
    for name in ("ffhq256-dctdiff-m", "ffhq256-dctdiff-m-snr1"):
        assert found["weights", name] == pytest.approx(500_000 * 256 / 400.94 / 3600, rel=1e-4)


def test_all_trainings_of_the_paper_take_some_900_hours_of_an_h100(plan):
    """876 were estimated by hand from other measurements, without those on latents."""
    _, found = hours(plan)
    trainings = sum(value for (stage, name), value in found.items() if stage == "weights" and "latent" not in name)
    assert trainings == pytest.approx(876, rel=0.15)


def test_the_cells_of_released_weights_take_an_afternoon_of_an_h100():
    """By hand, without attention: 410 evaluations of 8.4 GMACs (CIFAR-10), 100 of 2.9, 100 of 33, 350 of 133."""
    _, found = hours(plan_of("paper-released"))
    by_hand = 50_000 * 2e9 * (410 * 8.4 + 100 * 2.9 + 100 * 33 + 350 * 133) / (781e12 * 0.45) / 3600
    assert by_hand == pytest.approx(4.25, abs=0.05)
    assert sum(found.values()) == pytest.approx(by_hand, rel=0.25)
    assert {stage for stage, _ in found} == {"sample", "evaluate", "evaluate_heldout", "evaluate_round_trip"}


def test_gpu_hours_follow_the_speed_and_not_the_number_of_gpus(plan):
    _, one = hours(plan)
    for machine, factor in (({"speed": 0.5}, 2), ({"processes_per_run": 4}, 1)):
        assert sum(hours(plan, **machine)[1].values()) == pytest.approx(factor * sum(one.values()))


def test_a_training_beyond_the_limit_takes_several_jobs(plan):
    machine = Machine(processes_per_run=2, limit_minutes=600)
    needs, found = hours(plan, processes_per_run=2, limit_minutes=600)
    [row] = [row for row in command.trainings(needs, found, machine, {}) if row[0] == "ffhq256-dctdiff-m"]
    assert row == ["ffhq256-dctdiff-m", 2, "44.3", 5, "from its operations"]


def test_the_last_row_is_the_sum(plan):
    needs, found = hours(plan)
    *stages, total = command.by_stage(needs, found)
    assert total[0] == "all" and total[1] == sum(row[1] for row in stages) == len(needs)


def test_only_what_is_to_be_run_is_counted(tmp_path):
    folder = copy_project(tmp_path)
    output = run(folder, "python", "-m", "dctdiff.commands.plan")
    assert "micro32-dctdiff" in output and "GPU hours are of GPUs of 1 H100" in output
    run(folder, "snakemake", "--cores", "2", "data/micro32/train.zip")
    rows = {line.split()[0] for line in run(folder, "python", "-m", "dctdiff.commands.plan").splitlines() if line}
    assert "pack" in rows and "crop" not in rows
