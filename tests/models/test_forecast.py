"""What the jobs of a plan will need."""

import json

import pytest

from dctdiff.models.config import config_of
from dctdiff.models.cost import forward_flops, parameters
from dctdiff.models.forecast import H100_FLOP_S, REACHED, disk_bytes, network_flops
from dctdiff.params.suite import planned, read_params, validated
from engines import ROOT

INCEPTION = {"extractor": "inception", "feature_resolution": 299, "batch_size": 50}


@pytest.fixture(scope="module")
def plans():
    params = read_params(ROOT / "params.yaml")
    return {name: planned(validated({**params, "suite": suite}).suite) for name, suite in params["suites"].items()}


def test_the_forecast_of_training_is_near_what_was_measured(plans):
    """On the H100 of docs/bench, for each shape that was measured there."""
    ceiling = json.loads((ROOT / "docs/bench/nvidia-h100-80gb-hbm3/ceilings.json").read_text())["matrix_tflop_s"] * 1e12
    assert pytest.approx(ceiling, rel=0.01) == H100_FLOP_S
    rate = ceiling * REACHED["cuda"]
    flops = network_flops(plans["paper"], INCEPTION)
    for model in json.loads((ROOT / "docs/bench/nvidia-h100-80gb-hbm3/training.json").read_text())["models"]:
        run = plans["paper"]["runs"][model["run"]]
        measured = run["train_steps"] * run["batch_size"] / model["images_per_second"]
        assert flops["weights", model["run"]] / rate == pytest.approx(measured, rel=0.3)


def test_operations_are_counted_by_the_numbers_of_the_plan(plans):
    plan = plans["micro"]
    flops = network_flops(plan, INCEPTION)
    cell = plan["cells"]["micro-dct-dpm"]
    forward = forward_flops(config_of(plan, cell["run"]))
    assert flops["sample", "micro-dct-dpm"] == cell["n_images"] * cell["nfe"] * forward
    assert flops["evaluate", "micro-dct-dpm"] == pytest.approx(cell["n_images"] * 11.4e9)
    clip = network_flops(plan, {"extractor": "clip", "feature_resolution": 336, "batch_size": 50})
    assert clip["evaluate", "micro-dct-dpm"] == cell["n_images"] * 382e9
    run = plan["runs"][cell["run"]]
    assert flops["weights", cell["run"]] == 3 * forward * run["batch_size"] * run["train_steps"]
    assert ("weights", "published") not in flops


def test_released_weights_cost_no_training_and_are_one_checkpoint(plans):
    plan = plans["paper-released"]
    assert not [job for job in network_flops(plan, INCEPTION) if job[0] == "weights"]
    sizes = disk_bytes(plan)
    assert sizes["weights", "released-ffhq128-dctdiff-m"] == 2 * 4 * 130_180_662  # last and the only candidate


def test_a_run_keeps_as_many_candidates_as_it_has_steps_for(plans):
    plan = plans["paper"]
    name, run = next((name, run) for name, run in plan["runs"].items() if run.get("candidate_steps"))
    copies = 1 + run["train_steps"] // run["candidate_steps"] + 4 * run["kept_states"]
    assert disk_bytes(plan)["weights", name] == 4 * parameters(config_of(plan, name)) * copies


def test_bytes_are_those_of_arrays_and_states(plans):
    plan = plans["cifar10-minutes"]
    sizes = disk_bytes(plan)
    assert sizes["pack", "cifar10"] == 50_000 * 32 * 32 * 3
    run = plan["runs"]["minutes-dctdiff-s-long"]
    copies = 1 + 1 + 4 * run["kept_states"]  # itself and the only candidate
    assert (
        sizes["weights", "minutes-dctdiff-s-long"] == 4 * parameters(config_of(plan, "minutes-dctdiff-s-long")) * copies
    )
