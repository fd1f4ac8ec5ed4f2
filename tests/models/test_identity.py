"""The identity of a run: the code that a step of training calls, and params that shape it."""

import ast
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from dctdiff.diffusion import draws
from dctdiff.models import identity
from dctdiff.models.config import model_config
from dctdiff.models.identity import run_identity, same_images, same_params, training_code
from dctdiff.models.training import train
from dctdiff.params.train import NOT_IN_IDENTITY, Run
from dctdiff.pipeline import code
from dctdiff.pipeline.code import differences

RUN = Run(
    dataset="d", codec="c", weights="trained", embed_dim=16, depth=2, num_heads=2, snr_scale=4.0, train_steps=3,
    batch_size=4, lr=1e-3, weight_decay=0.01, betas=[0.9, 0.99], warmup_steps=3, ema_rate=0.9, seed=5, log_steps=2,
    num_classes=2, candidate_steps=2,
)  # fmt: skip
STATISTICS = {"space": "dct", "resolution": 8, "block_size": 2, "kept_coefficients": 4, "eta": 240.0}
PIXEL_STATISTICS = {"space": "pixel", "resolution": 8, "patch_size": 4}
LATENT_STATISTICS = {"space": "latent", "resolution": 8, "patch_size": 1, "autoencoder": {"seed": 1}}
RELEASE = {"file": "x.pth", "resolution": 8, "patch_size": 2}
RUNS = {
    "dct": RUN,
    "pixel": RUN,
    "latent": RUN,
    "dit": RUN.model_copy(update={"network": "dit", "framework": "discrete"}),
}
CONFIGS = {
    "dct": model_config(RUN, STATISTICS, (10, 10)),
    "pixel": model_config(RUN, PIXEL_STATISTICS, (10, 10)),
    "dit": model_config(RUNS["dit"], STATISTICS, (10, 10)),
    "latent": model_config(RUN, LATENT_STATISTICS, (10, 10)),
}
OWN = {  # what such a run is known by
    "dct": {"diffusion.loss.PredictionLoss.__call__", "networks.uvit.Block.forward"},
    "pixel": {"diffusion.loss.PredictionLoss.__call__", "networks.uvit.Block.forward"},
    "latent": {"diffusion.loss.PredictionLoss.__call__", "networks.uvit.Block.forward"},
    "dit": {"diffusion.discrete.HybridLoss.__call__", "networks.dit.Block.forward"},
}
# Functions of the numerical path that this machine, or this run, does not call.
ELSEWHERE = {
    "networks.attention._check_xformers", "networks.attention.math", "networks.attention.xformers",
    "networks.uvit.gelu_linear", "models.execution.compiled", "models.execution._has_c_compiler",
    "models.execution.RecordedGraph.__init__", "models.execution.RecordedGraph.__call__",
    "models.execution.RecordedGraph._called", "models.execution.RecordedGraph._record",
    "models.execution.RecordedGraph.reset", "models.step.Learner._load", "models.step.summed_over_processes",
    "diffusion.schedule.Schedule.velocity", "spaces.dct._encode_torch", "spaces.dct._encoder",
    "spaces.dct.encoding_matrix", "spaces.latent.LatentCodec.encode",
}  # fmt: skip
# Called when the kernels of the CPU are compiled, before anyone looks; the kernels themselves cannot be seen.
COMPILED = (
    "spaces.dct_cpu.", "spaces.dct._order", "spaces.dct._encode_kernel", "spaces.blocks.dct_matrix", "spaces.zigzag.",
)  # fmt: skip
READING = ("models.autoencoder.", "models.release.")  # an autoencoder, once for all runs of a process
INTERFACE = {f"spaces.codec.Codec.{name}" for name in ("encode", "decode", "coefficients")}  # says nothing


def functions_of(path: Path) -> dict[str, ast.AST]:
    """Name ("diffusion.loss.PredictionLoss.__call__") -> node of each function and method of a module."""
    module = ".".join(path.relative_to(code.PACKAGE).with_suffix("").parts)
    found = {}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            found[f"{module}.{node.name}"] = node
        elif isinstance(node, ast.ClassDef):
            found |= {f"{module}.{node.name}.{f.name}": f for f in node.body if isinstance(f, ast.FunctionDef)}
    return found


FUNCTIONS = {name: node for path in sorted(code.PACKAGE.rglob("*.py")) for name, node in functions_of(path).items()}


def called_by_training(folder: Path, model: str) -> set[str]:
    """Every function of the package that a short run calls."""
    called = set()

    def look(frame, event, argument):
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(code.PACKAGE):
            module = ".".join(path.relative_to(code.PACKAGE).with_suffix("").parts)
            called.add(f"{module}.{frame.f_code.co_qualname}".partition(".<locals>")[0])

    config = CONFIGS[model]
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    weights = [1.0] if model == "pixel" else [1.0] * 24
    config.codec().encode(torch.from_numpy(images))  # compiles, which is slow to look at
    draws.epoch_order.cache_clear()
    threading.setprofile(look)
    sys.setprofile(look)
    try:
        train(RUNS[model], config, weights, images, np.arange(20) % 2, folder, lambda: False)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return called & FUNCTIONS.keys()


LOOP = {f"models.{name}" for name in (
    "training.train", "training.Progress.add", "training.Progress.mean_loss", "training.Progress.end_line",
    "training.Progress.go_on_with", "training.check_finite",
    "training.log_line", "identity.training_code", "state.load_state", "state.save_state", "state.candidate_path",
    "state.latest_step", "state.logged_step", "state._last_line", "state.states_in", "state._step",
    "step.Learner.state", "step.Learner.log_entries", "step.Learner.close",
    "weights.save_model", "weights._digest", "weights.checkpoint_name",
    "config.ModelConfig.to_json",
)} | {"params.jobs.choices"}  # fmt: skip


@pytest.mark.parametrize("model", CONFIGS)
def test_all_that_a_step_calls_counts_and_nothing_else(tmp_path, model):
    called = {name for name in called_by_training(tmp_path, model) if not name.startswith("pipeline.")}
    counted = training_code(RUNS[model], CONFIGS[model]).keys() & FUNCTIONS.keys()
    assert OWN[model] <= called
    assert called - counted <= LOOP
    unseen = {name for name in counted - called if not name.startswith(COMPILED + READING)}
    assert unseen <= ELSEWHERE | INTERFACE


def perturbed(monkeypatch, name: str) -> None:
    """Let a function do something else, as the analysis reads it."""
    node = FUNCTIONS[name]
    module = name.rpartition(".")[0]
    paths = [code.PACKAGE.joinpath(*module.split(".")[:n]).with_suffix(".py") for n in range(1, module.count(".") + 2)]
    path = next(path for path in paths if path.is_file())
    lines = path.read_text().splitlines(keepends=True)
    last = node.body[-1]
    lines.insert(last.lineno - 1, " " * last.col_offset + "perturbed = 1\n")
    original = code._text
    monkeypatch.setattr(code, "_text", lambda file: "".join(lines) if file == path else original(file))


@pytest.mark.parametrize("model", ["dct", "pixel", "dit"])
def test_an_edit_of_a_function_moves_the_code_of_a_run_if_it_counts_and_else_not(monkeypatch, model):
    before = training_code(RUNS[model], CONFIGS[model])
    moved = set()
    for name in FUNCTIONS:
        with monkeypatch.context() as patch:
            perturbed(patch, name)
            if differences(before, training_code(RUNS[model], CONFIGS[model])):
                moved.add(name)
    assert moved == before.keys() & FUNCTIONS.keys()
    assert {"models.step.Learner.optimise", "diffusion.draws.seed_from", "models.optimiser.update_ema"} <= moved
    rooms = {name.partition(".")[0] for name in moved}
    assert rooms == {"registry", "spaces", "diffusion", "networks", "models"}
    assert not {name for name in moved if "samplers" in name or "decode" in name.lower()} - INTERFACE
    other = "dct" if model == "pixel" else "pixel"
    assert not [name for name in moved if name.startswith((f"spaces.{other}", f"models.config.{other}"))]
    others = set.union(*OWN.values()) - OWN[model]
    assert not moved & others


def of(images_sha256="i", statistics=STATISTICS, class_counts=None, of_loss=(1.0,), **changes):
    run = Run.model_validate({**RUN.model_dump(exclude_none=True), **changes})
    return run_identity(
        run, model_config(run, statistics, class_counts), list(of_loss), images_sha256, {"stage": "crop"}
    )


SHAPING = {
    "lr": 0.002, "seed": 2, "batch_size": 8, "ema_rate": 0.8, "depth": 4, "mixed_precision": "bf16",
    "candidate_steps": 100, "num_classes": 3, "prediction": "velocity", "encode_each_step": True,
}  # fmt: skip
UNSHAPING = {
    "train_steps": 9, "checkpoint_minutes": 9.0, "release": RELEASE, "weights": "trained",
    "attention": "math", "compile": "never", "gradient_checkpointing": True, "accumulation_steps": 2,
    "ask_above_steps": 7, "kept_states": 3, "log_steps": 7, "dataset": "e",
    "codec": "f",
}  # fmt: skip


def test_what_shapes_a_run_makes_another_one():
    for key, value in SHAPING.items():
        other = of(**{key: value})
        assert not same_params(of(), other) and not same_params(other, of())


def test_other_images_are_told_from_other_params():
    others = [of(images_sha256="j"), of(statistics={**STATISTICS, "eta": 241.0}), of(class_counts=(6, 6))]
    for other in [*others, of(of_loss=(2.0,))]:
        assert same_params(of(), other) and not same_images(of(), other) and not same_images(other, of())
    assert same_images(of(), of(lr=0.002))


def test_of_the_autoencoder_its_digest_counts_and_not_its_place():
    def by(**autoencoder):
        return of(statistics={**LATENT_STATISTICS, "autoencoder": autoencoder})

    here = by(sha256="a", file="a.pth")
    assert here == by(sha256="a", url="https://a/a.pth")
    assert not same_params(here, by(sha256="b", file="a.pth"))
    assert not same_params(by(seed=1), by(seed=2))


def test_what_does_not_shape_a_run_leaves_it_the_same():
    assert UNSHAPING.keys() == NOT_IN_IDENTITY
    for key, value in UNSHAPING.items():
        assert of(**{key: value}) == of()


def test_a_key_that_is_newer_than_a_state_had_its_default(monkeypatch):
    old = of()
    del old["run"]["skip_bias_std"], old["model"]["prediction"], old["run"]["prediction"]
    del old["run"]["network"], old["model"]["network_kind"], old["run"]["framework"], old["model"]["framework"]
    assert same_params(old, of())
    assert not same_params(old, of(network="dit"))
    assert not same_params(old, of(network="dit", framework="discrete"))
    assert not same_params(old, of(skip_bias_std=1.0))
    assert not same_params(old, of(prediction="velocity"))


def test_the_order_of_keys_does_not_matter():
    turned = {key: of()[key] for key in reversed(of())}
    assert same_params(turned, of())


def test_a_root_of_the_numerical_path_cannot_disappear(monkeypatch):
    monkeypatch.setattr(identity, "STEP", ("dctdiff.models.step.Learner.leap",))
    with pytest.raises(ValueError, match="is not defined"):
        training_code(RUN, CONFIGS["dct"])
