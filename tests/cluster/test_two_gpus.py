"""Training, sampling and measuring on two GPUs of one host, for a machine that has them."""

import json
import signal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dctdiff.data.archive import read_images
from engines import run
from stages.test_sample import CONDITIONAL, sampled
from stages.test_shared_images import folder as measured  # noqa: F401 (a fixture)
from stages.test_shared_images import results
from stages.test_weights_trained import SECONDS, command, folder, share, started  # noqa: F401 (a fixture)

pytestmark = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
FLOAT32 = {"mixed_precision": "float32", "log_steps": 10}


def test_a_training_on_two_gpus_is_stopped_and_goes_on_on_two_and_on_one(folder):  # noqa: F811
    """With the course of one GPU, but for the rounding of sums."""
    run(folder, *command("one", train_steps=200, **FLOAT32))
    share(folder, "moved", 2)
    process = started(folder, "moved", train_steps=100_000, **FLOAT32)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 75 and "stopped after step" in errors
    reached = int(errors.rpartition("stopped after step ")[2].split(";")[0])
    run(folder, *command("moved", train_steps=reached + 20, **FLOAT32))
    share(folder, "moved", 1)
    run(folder, *command("moved", train_steps=reached + 40, **FLOAT32))
    lines = [json.loads(line) for line in (folder / "moved/log.jsonl").read_text().splitlines()]
    assert {line["processes"] for line in lines} == {1, 2}
    alone = [json.loads(line) for line in (folder / "one/log.jsonl").read_text().splitlines()]
    for one, moved in zip(alone[:5], lines[:5], strict=True):
        assert moved["loss"] == pytest.approx(one["loss"], rel=1e-2)
    assert load_file(folder / "moved/last.safetensors")


def test_two_gpus_sample_the_images_of_one(tmp_path):
    one, two = (read_images(sampled(tmp_path, CONDITIONAL, processes, sampler="ddpm")) for processes in (1, 2))
    assert np.abs(one.astype(int) - two).mean() < 0.5


def test_two_gpus_measure_what_one_does(measured):  # noqa: F811
    one, two = (results(measured, processes) for processes in (1, 2))
    for name in ("evaluation.json", "selection.json"):
        assert json.loads(two[name])["value"] == pytest.approx(json.loads(one[name])["value"], rel=1e-3)
