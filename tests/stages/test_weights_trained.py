"""The training stage as a process: killed, resumed, on two processes, and what its fingerprint covers."""

import json
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dctdiff.data.archive import encode_jpeg, write_archive
from dctdiff.data.packing import write_pixels
from dctdiff.models.config import model_config
from dctdiff.models.weights import load_model
from dctdiff.params.jobs import choices
from dctdiff.params.train import Run
from dctdiff.pipeline import owner
from dctdiff.pipeline.code import code_behind
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import read_json, write_json
from dctdiff.pipeline.owner import Owner
from dctdiff.stages import weights_trained
from dctdiff.stages.weights_trained import token_weights, training_labels
from engines import call, run

STATISTICS = {
    "space": "dct", "resolution": 8, "block_size": 2, "kept_coefficients": 3, "eta": 240.0,
    "channels": {name: {"entropy": [6.0, 3.0, 2.0, 1.0]} for name in ("y", "cb", "cr")},
}  # fmt: skip
SLICE = {
    "dataset": "d", "codec": "c", "weights": "trained", "embed_dim": 16, "depth": 2, "num_heads": 2, "snr_scale": 4.0,
    "train_steps": 300,
    "batch_size": 4, "lr": 0.001, "weight_decay": 0.0, "betas": [0.9, 0.99], "warmup_steps": 0, "ema_rate": 0.9,
    "seed": 1, "log_steps": 50,
}  # fmt: skip
RELEASE = {"file": "x.pth", "resolution": 8, "patch_size": 2}
SECONDS = 180  # to end in; 30 are promised, of a machine that does nothing else


@pytest.fixture
def folder(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    names = [f"{'cat' if i % 3 else 'ape'}/{i:02d}.jpg" for i in range(len(images))]
    write_archive(
        tmp_path / "train.zip", ((name, encode_jpeg(x, 95)) for name, x in zip(names, images, strict=True)), {}
    )
    write_pixels(tmp_path / "train.npy", tmp_path / "train.zip")
    (tmp_path / "statistics.json").write_text(json.dumps(STATISTICS))
    return tmp_path


def command(name: str, **changes) -> list[str]:
    words = [
        "python",
        "-m",
        "dctdiff.stages.weights_trained",
        "--images",
        "train.zip",
        "--pixels",
        "train.npy",
        "--latents",
        "absent.npy",
        "--statistics",
        "statistics.json",
    ]
    for key, value in {**SLICE, **changes}.items():
        words += [f"--{key}", *map(str, value if isinstance(value, list) else [value])]
    words += ["--out_weights", f"{name}/last.safetensors", "--out_checkpoints", f"{name}/checkpoints"]
    return [*words, "--out_log", f"{name}/log.jsonl"]


def started(folder, name: str, **changes) -> subprocess.Popen:
    """The stage in a process of its own, once it has logged its first line: it trains."""
    words = [sys.executable, *command(name, **changes)[1:]]
    process = subprocess.Popen(words, cwd=folder, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if any(path.read_text() for path in folder.glob(f"{name}/state/*/log.jsonl")):
            break
        time.sleep(0.01)
    return process


def share(folder, name: str, processes: int) -> None:
    """Let so many processes share a run."""
    (folder / "workflow").mkdir(exist_ok=True)
    (folder / "workflow/machine.yaml").write_text(f"runs: {{{name}: {processes}}}\n")


@pytest.fixture
def straight(folder):
    run(folder, *command("straight"))
    return (folder / "straight/last.safetensors").read_bytes()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP"])
def test_a_signal_saves_the_state_and_the_same_command_goes_on(folder, straight, name):
    process = started(folder, "killed")
    process.send_signal(signal.Signals[name])
    _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 75
    assert "error: stopped after step" in errors and "Traceback" not in errors
    assert not (folder / "killed/last.safetensors").exists()

    run(folder, *command("killed"))
    assert (folder / "killed/last.safetensors").read_bytes() == straight


def test_a_kill_and_the_steps_that_it_lost_stand_in_the_ledger(folder):
    record = {"out_record": "results/records/weights/killed.json"}
    process = started(folder, "killed", **record)
    process.kill()
    process.communicate()
    run(folder, *command("killed", **record))
    lines = [json.loads(line) for line in (folder / "results/ledger/weights/killed.jsonl").read_text().splitlines()]
    lines = [line for line in lines if line["event"] != "running"]
    assert [(line["event"], line.get("attempt")) for line in lines] == [("start", 1), ("start", 2), ("done", None)]
    assert lines[-1]["resumed_from"] == 0 and lines[-1]["steps_lost"] in range(50, 301, 50)


SLOW = """
'The stage, with steps of a second and little patience with another owner.'
import time
from dctdiff.models.step import Learner
from dctdiff.pipeline import owner
from dctdiff.pipeline.command import run_stage
from dctdiff.stages import weights_trained

def slow_step(*arguments, step=Learner.step):
    time.sleep(1)
    return step(*arguments)

Learner.step, owner.SILENCE_SECONDS = slow_step, 2.0
if __name__ == "__main__":
    stage = weights_trained
    run_stage(stage.main, stage.PATHS, stage.Run, processes=stage.processes)
"""


def slow(folder, *launcher: str, **changes) -> subprocess.Popen:
    """The stage on two processes, of which none will log a line."""
    share(folder, "r", 2)
    (folder / "slow.py").write_text(SLOW)
    words = [*launcher, "-m", "slow", *command("r", train_steps=100_000, log_steps=100_000)[3:]]
    return subprocess.Popen([sys.executable, *words], cwd=folder, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP"])
def test_two_processes_save_their_state_at_a_signal(folder, name):
    """However long a step takes, and though the next line of the log is far away."""
    process = slow(folder)
    deadline = time.monotonic() + SECONDS
    while not list(folder.glob("r/state/*/log.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(2)  # some steps
    process.send_signal(signal.Signals[name])
    _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 75 and errors.count("error: ") == 1 and "Traceback" not in errors
    assert re.search(r"^error: stopped after step \d; the same command goes on from there$", errors, re.MULTILINE)
    assert list(folder.glob("r/state/*/step-*.pt")) and read_json(folder / "r/state/owner.json")["released"]


@pytest.mark.parametrize("launcher", [(), ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")])
def test_an_owner_on_another_machine_ends_all_processes(folder, monkeypatch, launcher):
    """Whether the stage has started them or torchrun."""
    monkeypatch.setattr(owner, "BEAT_SECONDS", 0.2)
    (folder / "r/state").mkdir(parents=True)
    other = Owner(folder / "r/state")
    other.name = other.name.model_copy(update={"boot": "of another machine"})
    with other.beating():
        process = slow(folder, *launcher)
        _, errors = process.communicate(timeout=SECONDS)
    said = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert process.returncode == 1 and len(said) == 1 and "which is alive; wait until it ends, or kill" in said[0]
    assert {path.name for path in (folder / "r/state").iterdir()} == {"lock", "owner.json"}


def test_a_training_that_was_taken_over_stops_and_writes_no_output(folder, monkeypatch):
    """Though the next time that it writes is far away."""
    monkeypatch.setattr(owner, "BEAT_SECONDS", 0.05)

    def train(*arguments):
        stop, check_owner = arguments[-2:]
        check_owner()
        other = Owner(folder / "r/state")
        write_json(folder / "r/state/owner.json", other.name.model_dump())
        deadline = time.monotonic() + SECONDS
        while not stop() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert stop()
        return {}, []

    monkeypatch.chdir(folder)
    monkeypatch.setattr(weights_trained, "train", train)
    monkeypatch.setattr(weights_trained, "stop_on_signals", lambda: lambda: 0)
    monkeypatch.setattr(sys, "argv", ["stage", *command("r")[3:]])
    with pytest.raises(UserError, match="r/state was taken over by process"):
        call(weights_trained)
    assert [path.name for path in (folder / "r").iterdir()] == ["state"]


def test_a_second_process_waits_for_an_orphan_of_the_first(folder):
    orphan = started(folder, "twice", train_steps=100_000)
    second = subprocess.Popen([sys.executable, *command("twice")[1:]], cwd=folder, stderr=subprocess.PIPE, text=True)
    said = second.stderr.readline()
    assert f"twice/state is in use by process {orphan.pid} on" in said and "waits for it" in said
    second.send_signal(signal.SIGTERM)
    assert second.wait(timeout=SECONDS) == 75
    orphan.kill()
    orphan.communicate()
    assert "waits for it" not in run(folder, *command("twice"))


HOSTILE = {
    "the rank of another launcher": {"RANK": "1"},
    "half a launcher": {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2"},
    "a launcher of one": {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "a", "MASTER_PORT": "1"},
    "a job of Slurm": {"SLURM_JOB_ID": "7", "SLURM_PROCID": "1", "SLURM_NTASKS": "2", "SLURM_LOCALID": "1"},
    "a job of MPI": {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2", "PMI_RANK": "1", "PMI_SIZE": "2"},
    "accelerate's config": {"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4", "ACCELERATE_MIXED_PRECISION": "bf16"},
    "a notebook": {"MPLBACKEND": "module://absent.backend", "PYTHONHASHSEED": "5"},
    "kernels of another machine": {
        "ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE", "ONEDNN_MAX_CPU_ISA": "SSE41",
        "OPENBLAS_CORETYPE": "Prescott", "NPY_DISABLE_CPU_FEATURES": "X86_V3",
    },
    "no home": {"HOME": "/proc/none", "XDG_CACHE_HOME": "/proc/none", "CUDA_VISIBLE_DEVICES": "", "LC_ALL": "C"},
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_the_environment_does_not_change_the_weights(folder, straight, name):
    run(folder, *command("r"), **HOSTILE[name])
    assert (folder / "r/last.safetensors").read_bytes() == straight


def test_processes_that_cannot_share_a_step_evenly_are_an_error(folder):
    share(folder, "r", 3)
    output = run(folder, *command("r"), fails=True)
    expected = "batch_size 4 is not divisible by 3 processes; correct workflow/machine.yaml or params.yaml"
    assert output == f"error: {expected}\n"


def test_a_run_moves_from_one_process_to_two_and_back(folder):
    """Each time it goes on from its state; only the rounding of sums differs."""
    run(folder, *command("straight", train_steps=30, log_steps=10))
    for processes, train_steps in ((1, 10), (2, 20), (1, 30)):
        share(folder, "moved", processes)
        output = run(folder, *command("moved", train_steps=train_steps, log_steps=10))
        assert train_steps == 10 or f" {train_steps - 10}/{train_steps} " in output  # of the progress
    lines = [json.loads(line) for line in (folder / "moved/log.jsonl").read_text().splitlines()]
    assert [(line["step"], line["processes"]) for line in lines] == [(10, 1), (20, 2), (30, 1)]
    straight, moved = load_file(folder / "straight/last.safetensors"), load_file(folder / "moved/last.safetensors")
    assert all(torch.allclose(straight[name], moved[name], atol=1e-4) for name in straight)
    assert len(list(folder.glob("moved/state/*/identity.json"))) == 1


def test_a_killed_process_owns_nothing(folder, straight):
    process = started(folder, "killed", checkpoint_minutes=0.01)
    process.kill()
    process.communicate()
    assert "waits for it" not in run(folder, *command("killed", checkpoint_minutes=0.01))
    assert (folder / "killed/last.safetensors").read_bytes() == straight


def test_checkpoints_of_a_conditional_run_and_of_the_same_run_lowered(folder):
    options = {"num_classes": 2, "candidate_steps": 4, "checkpoint_minutes": 0, "kept_states": 6}
    run(folder, *command("r", train_steps=9, **options))
    checkpoints = folder / "r/checkpoints"
    steps = [4, 8, 9]
    assert sorted(path.name for path in checkpoints.iterdir()) == [f"{step:09d}.safetensors" for step in steps]
    last = (folder / "r/last.safetensors").read_bytes()
    assert (checkpoints / "000000009.safetensors").read_bytes() == last
    assert load_model(folder / "r/last.safetensors", torch.device("cpu"))[1].class_counts == (4, 8)
    fourth = (checkpoints / "000000004.safetensors").read_bytes()

    run(folder, *command("r", train_steps=5, **options))
    assert sorted(path.name for path in checkpoints.iterdir()) == ["000000004.safetensors", "000000005.safetensors"]
    assert (checkpoints / "000000004.safetensors").read_bytes() == fourth
    assert len(list(folder.glob("r/state/*/identity.json"))) == 1


def test_labels_are_the_classes_of_the_archive(folder):
    assert training_labels(folder / "train.zip", None) is None
    assert training_labels(folder / "train.zip", 2).tolist() == [0] * 4 + [1] * 8  # in the order of the names
    with pytest.raises(UserError, match=r"train\.zip holds 2 classes \(ape, cat\), but num_classes is 10"):
        training_labels(folder / "train.zip", 10)


def test_pixels_of_other_images_stop_the_stage(folder):
    np.save(folder / "train.npy", np.zeros((11, 8, 8, 3), dtype=np.uint8))
    output = run(folder, *command("r"), fails=True)
    assert "train.npy holds uint8 (11, 8, 8, 3)" in output and "run the stage pack again" in output
    assert "Traceback" not in output and not list(folder.glob("r/state/*/"))


def test_published_weights_are_not_trained(folder, monkeypatch):
    monkeypatch.chdir(folder)
    release = {f"release.{key}": value for key, value in RELEASE.items()}
    monkeypatch.setattr(sys, "argv", ["stage", *command("r", weights="published", **release)[3:]])
    with pytest.raises(UserError, match="weights is published, but this stage trains"):
        call(weights_trained)
    assert not (folder / "r").exists()


def test_published_weights_need_a_release():
    with pytest.raises(ValueError, match="weights is published, but there is no release"):
        Run.model_validate({**SLICE, "weights": "published"})


@pytest.mark.parametrize("accumulation_steps", [1, 2])
def test_two_processes_train_like_one(folder, accumulation_steps):
    """Each process adds its parts up before the processes add up theirs."""
    run(folder, *command("one", train_steps=20))
    share(folder, "two", 2)
    two = command("two", train_steps=20, accumulation_steps=accumulation_steps)
    run(folder, *two, "--out_record", "two/record.json")
    record = json.loads((folder / "two/record.json").read_text())  # of the job, not of each process
    assert record["code_that_ran"] == code_behind(
        "dctdiff.stages.weights_trained.main", choices("dct", "uvit", "continuous", "adamw")
    )
    assert record["processes"] == 2
    assert "--seed" in record["params"] and set(record["outputs"]) == {
        "two/last.safetensors", "two/checkpoints", "two/log.jsonl"
    }  # fmt: skip
    # Without candidates the last step is the only checkpoint.
    assert [path.name for path in (folder / "two/checkpoints").iterdir()] == ["000000020.safetensors"]
    one, two = load_file(folder / "one/last.safetensors"), load_file(folder / "two/last.safetensors")
    assert all(torch.allclose(one[name], two[name], atol=1e-4) for name in one)
    losses = [
        json.loads((folder / f"{name}/log.jsonl").read_text().splitlines()[-1])["loss"] for name in ("one", "two")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_loss_weights_are_entropies_in_zigzag_order_by_channel():
    """Protocol point 22."""
    run = Run(**SLICE)
    weights = token_weights(run, model_config(run, STATISTICS), STATISTICS)
    assert weights == pytest.approx([6 / (11 / 3), 3 / (11 / 3), 2 / (11 / 3)] * 6)
    uniform = run.model_copy(update={"loss_weights": "uniform"})
    assert token_weights(uniform, model_config(run, STATISTICS), STATISTICS) == [1.0]
    full = STATISTICS | {"space": "dct_444"}
    assert token_weights(run, model_config(run, full), full) == pytest.approx(
        [6 / (11 / 3), 3 / (11 / 3), 2 / (11 / 3)] * 12
    )
