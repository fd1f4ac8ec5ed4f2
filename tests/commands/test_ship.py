"""A model of this project in one small file: written, described, imported, and sampled as the trained one."""

import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from dctdiff.commands import ship
from dctdiff.models.config import ModelConfig
from dctdiff.models.sampling import sample_images
from dctdiff.models.weights import load_model, read_model, save_model
from dctdiff.params.jobs import flags
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import sha256
from dctdiff.stages import import_weights
from engines import ROOT, call

CONFIG = ModelConfig(
    "dct", 32, 16, 2, 2, 4.0, block_size=4, kept_coefficients=9, eta=241.98373413085938, prediction="velocity",
    class_counts=(5, 3, 4),
)  # fmt: skip
LOG = {"step": 6, "images": 48, "loss": 0.5, "seconds": 7200.0, "precision": "bf16", "device": "NVIDIA Z9"}
EVALUATION = {
    "value": 12.345, "n_images": 10_000, "images_sha256": "0" * 64, "versions": {},
    "images": {"precision": "bf16", "sampler": "dpm_solver", "nfe": 50},
    "protocol": {
        "metric": "FD (EfficientNet-Lite0)", "extractor_sha256": "1" * 64, "feature_resolution": 224,
        "reference_n_images": 50_000, "reference_sha256": "2" * 64,
    },
}  # fmt: skip
RECORD = {
    "params": [], "inputs": {}, "outputs": {}, "code": "c", "code_that_ran": "c", "commit": "abcdef",
    "date": "2026-11-29", "host": "h", "processes": 1,
}  # fmt: skip


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder as the suite leaves it: the run micro32-dctdiff with labels, and its cell."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ship, "whys_stale", lambda suite: defaultdict(lambda: None))
    suite = yaml.safe_load((ROOT / "params.yaml").read_text())["suites"]["micro"]
    run = suite["runs"]["micro32-dctdiff"]
    run |= {"prediction": "velocity", "num_classes": 3, "embed_dim": 16, "depth": 2, "num_heads": 2, "snr_scale": 4.0}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"suites": {"micro": suite}, "suite": suite}))
    network = CONFIG.network()
    network.initialise(torch.Generator().manual_seed(0))
    for name, content in (
        ("training/micro32-dctdiff.jsonl", LOG),
        ("evaluations/cells/micro-dct-dpm.json", EVALUATION),
        ("records/weights/micro32-dctdiff.json", RECORD),
    ):
        path = tmp_path / "results" / name
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(content) + "\n")
    save_model("results/runs/micro32-dctdiff/last.safetensors", network.state_dict(), CONFIG)
    return tmp_path


def shipped(monkeypatch, path: str = "data/shipped/small.safetensors", cell: str = "micro-dct-dpm") -> dict:
    """The run that the card tells to write."""
    monkeypatch.setattr(sys, "argv", ["ship", "--cell", cell, "--out_model", path])
    ship.main()
    text = Path(path).with_suffix(".md").read_text()
    return yaml.safe_load(text.partition("```yaml\n")[2].partition("```")[0])


def imported(monkeypatch, run: dict) -> None:
    words = flags(run)
    paths = ["--out_weights", "out/last.safetensors", "--out_checkpoints", "out/checkpoints", "--out_log", "out/log"]
    monkeypatch.setattr(sys, "argv", ["import_weights", *words, *paths])
    call(import_weights)


def images(path: str) -> np.ndarray:
    network, config = load_model(path, torch.device("cpu"))
    return np.concatenate([batch for _, batch in sample_images(network, config, "dpm_solver", 5, 1, range(8), 8)])


def test_what_is_shipped_gives_the_images_of_the_training(project, monkeypatch, capsys):
    imported(monkeypatch, shipped(monkeypatch))
    trained, config = read_model("results/runs/micro32-dctdiff/last.safetensors")
    arrived, same = read_model("out/last.safetensors")
    assert same == config == CONFIG
    assert arrived["proj.weight"].dtype == torch.float32
    for name, tensor in trained.items():
        assert (arrived[name] - tensor).abs().max() <= 2**-11 * tensor.abs().max(), name
    ours, theirs = images("results/runs/micro32-dctdiff/last.safetensors").astype(int), images("out/last.safetensors")
    assert ours.std() > 10 and np.abs(ours - theirs).max() <= 1  # grey levels
    np.testing.assert_array_equal(images("data/shipped/small.safetensors"), theirs)


def test_the_card_tells_what_the_records_hold(project, monkeypatch, capsys):
    run = shipped(monkeypatch)
    text = capsys.readouterr().out
    assert run["release"]["sha256"] == sha256("data/shipped/small.safetensors") and run["release"]["train_steps"] == 6
    assert text.count(run["release"]["sha256"]) == 2
    n = sum(weight.numel() for weight in CONFIG.network().parameters()) / 1e6
    for words in (
        f"{n:.2f} million parameters", "3 classes", "6 steps of 8 images", "2.00 hours, bf16, on 1 x NVIDIA Z9",
        "12.35, of 10,000 samples in bf16 (dpm_solver, NFE 50)", "against 50,000 training images", "commit abcdef",
    ):  # fmt: skip
        assert words in text
    half = (project / "data/shipped/small.safetensors").stat().st_size
    whole = (project / "results/runs/micro32-dctdiff/last.safetensors").stat().st_size
    assert n * 2e6 < half < 0.75 * whole  # names and config take as much in both


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"release": {"sha256": "1" * 64}}, r"small.safetensors has the SHA-256 .* but release.sha256 is 1{64}"),
        ({"release": {"sha256": None}}, r"release.sha256 is missing; .*small.safetensors has the SHA-256"),
        ({"release": {"eta": 240.0}}, r"its eta is 241.98.*, that of the run is 240.0; correct the run"),
        ({"release": {"resolution": 64}}, r"its resolution is 32, that of the run is 64"),
        ({"prediction": None}, r"its prediction is velocity, that of the run is noise"),
        ({"num_classes": 4}, r"its num_classes is 3, that of the run is 4"),
        ({"num_classes": None}, r"its num_classes is 3, that of the run is None"),
        ({"embed_dim": 32, "depth": 4}, r"its embed_dim is 16, that of the run is 32; its depth is 2, that of the run"),
        ({"release": {"file": "absent.safetensors"}}, r"absent.safetensors .*not"),
    ],
)
def test_a_run_that_says_otherwise_is_refused(project, monkeypatch, changes, message):
    run = shipped(monkeypatch)
    for key, value in changes.items():
        target, pairs = (run[key], value.items()) if isinstance(value, dict) else (run, [(key, value)])
        for inner, new in pairs:
            target.pop(inner, None) if new is None else target.update({inner: new})
    with pytest.raises(UserError, match=message) as caught:
        imported(monkeypatch, run)
    assert "\n" not in str(caught.value) and not (project / "out").exists()


def test_a_damaged_file_is_noticed_even_if_its_digest_is_believed(project, monkeypatch):
    run = shipped(monkeypatch)
    path = project / run["release"]["file"]
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    run["release"]["sha256"] = sha256(path)
    with pytest.raises(UserError, match="is damaged: it does not have"):
        imported(monkeypatch, run)


def test_what_cannot_be_shipped(project, monkeypatch):
    for arguments, message in (
        ({"path": "a.pth"}, "--out_model is a.pth, but should end in .safetensors"),
        ({"cell": "other"}, "--cell is other, but should be one of micro-dct-best, micro-dct-dpm"),
    ):
        with pytest.raises(UserError, match=message):
            shipped(monkeypatch, **arguments)
    weights, config = read_model("results/runs/micro32-dctdiff/last.safetensors")
    weights["norm.bias"][0] = 1e5
    save_model("results/runs/micro32-dctdiff/last.safetensors", weights, config)
    with pytest.raises(UserError, match=r"norm\.bias has values above 65504"):
        shipped(monkeypatch)
    monkeypatch.undo()
    monkeypatch.chdir(project)
    with pytest.raises(UserError, match="the cell micro-dct-dpm is not of now"):
        shipped(monkeypatch)
