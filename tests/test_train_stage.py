"""The train stage as a process: killed, resumed, on two processes, and what its fingerprint covers."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dctdiff.archive import encode_jpeg, write_archive
from dctdiff.params.train import NOT_IN_FINGERPRINT, Run
from dctdiff.stages.train import fingerprint, model_config, token_weights
from engines import run

STATISTICS = {
    "space": "dct", "resolution": 8, "block_size": 2, "kept_coefficients": 3, "eta": 240.0,
    "channels": {name: {"entropy": [6.0, 3.0, 2.0, 1.0]} for name in ("y", "cb", "cr")},
}  # fmt: skip
SLICE = {
    "dataset": "d", "codec": "c", "embed_dim": 16, "depth": 2, "num_heads": 2, "snr_scale": 4.0, "train_steps": 300,
    "batch_size": 4, "lr": 0.001, "weight_decay": 0.0, "betas": [0.9, 0.99], "warmup_steps": 0, "ema_rate": 0.9,
    "seed": 1, "log_steps": 50, "checkpoint_steps": 1000,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    write_archive(tmp_path / "train.zip", ((f"{i}.jpg", encode_jpeg(x, 95)) for i, x in enumerate(images)), {})
    (tmp_path / "statistics.json").write_text(json.dumps(STATISTICS))
    return tmp_path


def command(name: str, **changes) -> list[str]:
    words = ["python", "-m", "dctdiff.stages.train", "--images", "train.zip", "--statistics", "statistics.json"]
    for key, value in {**SLICE, **changes}.items():
        words += [f"--{key}", *map(str, value if isinstance(value, list) else [value])]
    return [*words, "--out_weights", f"{name}/ema.safetensors", "--out_log", f"{name}/log.jsonl"]


def test_sigterm_saves_the_state_and_the_same_command_goes_on(folder):
    run(folder, *command("straight"))
    process = subprocess.Popen([sys.executable, *command("killed")[1:]], cwd=folder, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if any(path.read_text() for path in folder.glob("killed/state/*/log.jsonl")):
            break  # the first line of the log: it trains
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "error: stopped after step" in errors and "Traceback" not in errors
    assert not (folder / "killed/ema.safetensors").exists()

    run(folder, *command("killed"))
    assert (folder / "killed/ema.safetensors").read_bytes() == (folder / "straight/ema.safetensors").read_bytes()


def test_two_processes_train_like_one(folder):
    run(folder, *command("one", train_steps=20))
    run(folder, *command("two", train_steps=20, processes=2))
    one, two = load_file(folder / "one/ema.safetensors"), load_file(folder / "two/ema.safetensors")
    assert all(torch.allclose(one[name], two[name], atol=1e-4) for name in one)
    losses = [
        json.loads((folder / f"{name}/log.jsonl").read_text().splitlines()[-1])["loss"] for name in ("one", "two")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_the_fingerprint_covers_what_shapes_the_run():
    def of(images_sha256="i", statistics=STATISTICS, **changes):
        run = Run.model_validate({**SLICE, **changes})
        config = model_config(run, statistics)
        return fingerprint(run, config, token_weights(config, statistics), images_sha256)

    base = of()
    shaping = {"lr": 0.002, "seed": 2, "batch_size": 8, "ema_rate": 0.8, "depth": 4, "mixed_precision": "bf16"}
    others = [of(**{key: value}) for key, value in shaping.items()]
    others += [of(images_sha256="j"), of(statistics={**STATISTICS, "eta": 241.0})]
    assert len({base, *others}) == len(others) + 1
    assert {of(**{key: 2}) for key in NOT_IN_FINGERPRINT} == {base}


def test_loss_weights_are_entropies_in_zigzag_order_by_channel():
    """Protocol point 22."""
    weights = token_weights(model_config(Run(**SLICE), STATISTICS), STATISTICS)
    assert weights == pytest.approx([6 / (11 / 3), 3 / (11 / 3), 2 / (11 / 3)] * 6)
