"""Best of k checkpoints: the right one, by the value that a cell would have, and none evaluated twice."""

import json
import sys

import numpy as np
import pytest
import torch

from dctdiff.metrics.features import Extractor
from dctdiff.metrics.frechet import fit
from dctdiff.models.config import ModelConfig
from dctdiff.models.weights import save_model
from dctdiff.pipeline.errors import UserError
from dctdiff.stages import evaluate, sample, select
from engines import call

CONFIG = ModelConfig(
    space="dct", resolution=8, block_size=2, kept_coefficients=4, eta=240.0,
    embed_dim=16, depth=2, num_heads=2, snr_scale=4.0,
)  # fmt: skip
STEPS = (100, 200, 300)
NEAREST = 200
SAMPLING = {"sampler": "euler_ode", "nfe": 2, "n_images": 20, "jpeg_quality": 95, "seed": 1}
EXTRACTOR = {"extractor": "efficientnet-lite0", "feature_resolution": 32, "batch_size": 3}
PARAMS = {"reference": "d", **SAMPLING, "sample_batch_size": 4, **EXTRACTOR}


def mean_colours(images: torch.Tensor) -> torch.Tensor:
    """(N, 8, 8, 3) uint8 -> (N, 12): features in no time, and a covariance of full rank."""
    return images.float().unflatten(1, (2, 4)).unflatten(3, (2, 4)).mean(dim=(2, 4)).flatten(1)


def call_with(monkeypatch, module, **arguments) -> None:
    words = [word for key, value in arguments.items() for word in (f"--{key}", str(value))]
    monkeypatch.setattr(sys, "argv", [module.__name__, *words])
    call(module)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three checkpoints, and as the reference what the one in the middle generates."""
    monkeypatch.chdir(tmp_path)
    extractor = Extractor("FD (mean colours)", "e" * 64, 12, mean_colours)
    for module in (select, evaluate):
        monkeypatch.setattr(module, "load_extractor", lambda *_: extractor)
    for step in STEPS:
        network = CONFIG.network()
        network.initialise(torch.Generator().manual_seed(step))
        torch.nn.init.normal_(network.decoder_pred.bias, std=0.5, generator=torch.Generator().manual_seed(step))
        save_model(f"checkpoints/{step:09d}.safetensors", network.state_dict(), CONFIG)
    params = select.SelectionSet(**PARAMS)
    nearest, every = tmp_path / f"checkpoints/{NEAREST:09d}.safetensors", [range(params.n_images)]
    gaussian = fit(mean_colours(torch.from_numpy(*select.sampled_batches(nearest, params, "cpu", every))).numpy())
    protocol = {
        "metric": extractor.metric, "extractor_sha256": extractor.sha256, "feature_resolution": 32,
        "reference_n_images": 20, "reference_images_sha256": "0",
    }  # fmt: skip
    np.savez("reference.npz", mu=gaussian.mean, sigma=gaussian.covariance, protocol=json.dumps(protocol))
    return tmp_path


def choose(monkeypatch, folder, **changes) -> dict:
    call_with(
        monkeypatch, select, checkpoints="checkpoints", reference_file="reference.npz", **{**PARAMS, **changes},
        out_weights="run/best.safetensors", out_selection="selection.json",
    )  # fmt: skip
    return json.loads((folder / "selection.json").read_text())


def test_the_nearest_is_chosen_and_the_choice_is_told(monkeypatch, folder):
    selection = choose(monkeypatch, folder)
    assert (selection["label"], selection["k"], selection["step"]) == ("best of 3", 3, NEAREST)
    values = {candidate["step"]: candidate["value"] for candidate in selection["candidates"]}
    assert list(values) == list(STEPS)
    assert selection["value"] == values[NEAREST] == pytest.approx(0, abs=1e-3)
    assert min(values[100], values[300]) > 1
    chosen = folder / f"checkpoints/{NEAREST:09d}.safetensors"
    assert (folder / "run/best.safetensors").read_bytes() == chosen.read_bytes()
    assert selection["weights_sha256"] == select.sha256(chosen)
    assert selection["protocol"]["metric"] == "FD (mean colours)"
    assert {key: selection[key] for key in SAMPLING} == SAMPLING


def test_a_value_is_that_of_a_cell(monkeypatch, folder):
    """The stages sample and evaluate, with other batches, give the same number."""
    selection = choose(monkeypatch, folder)
    call_with(
        monkeypatch, sample, weights=f"checkpoints/{STEPS[0]:09d}.safetensors", run="r", reference="d",
        checkpoint="last", **SAMPLING, batch_size=7, out_samples="samples.zip", out_grid="grid.png",
    )  # fmt: skip
    call_with(
        monkeypatch, evaluate, images="samples.zip", reference="reference.npz", **{**EXTRACTOR, "batch_size": 5},
        out_evaluation="evaluation.json",
    )  # fmt: skip
    value = json.loads((folder / "evaluation.json").read_text())["value"]
    assert selection["candidates"][0]["value"] == pytest.approx(value, rel=1e-5)


def test_no_checkpoint_is_evaluated_twice(monkeypatch, folder):
    evaluated, distance = [], select.distance

    def interrupted(weights, *others):
        if len(evaluated) == 2:
            raise KeyboardInterrupt
        evaluated.append(weights.name)
        return distance(weights, *others)

    monkeypatch.setattr(select, "distance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        choose(monkeypatch, folder)
    assert not (folder / "run/best.safetensors").exists() and not (folder / "selection.json").exists()

    def counted(weights, *others):
        evaluated.append(weights.name)
        return distance(weights, *others)

    monkeypatch.setattr(select, "distance", counted)
    selection = choose(monkeypatch, folder)
    assert evaluated == [f"{step:09d}.safetensors" for step in STEPS]
    assert choose(monkeypatch, folder, batch_size=2, sample_batch_size=7) == selection
    assert len(evaluated) == 3  # neither batch changes a value
    assert choose(monkeypatch, folder, seed=2)["candidates"] != selection["candidates"]
    assert len(evaluated) == 6


def test_what_a_value_depends_on_makes_another_cache():
    def of(reference="a", **changes):
        return select.fingerprint(select.SelectionSet(**{**PARAMS, **changes}), reference, {"SAMPLERS": "ddim"})

    changes = {"sampler": "ddim", "nfe": 3, "n_images": 8, "jpeg_quality": 75, "seed": 2, "feature_resolution": 64}
    others = [of(reference="b"), *(of(**{key: value}) for key, value in changes.items())]
    assert len({of(), *others}) == len(others) + 1
    assert of() == of(batch_size=9, sample_batch_size=9)


def test_a_single_checkpoint_is_copied_without_sampling(monkeypatch, folder):
    for step in (200, 300):
        (folder / f"checkpoints/{step:09d}.safetensors").unlink()
    monkeypatch.setattr(select, "values_of", lambda *_: pytest.fail("evaluated"))
    selection = choose(monkeypatch, folder)
    assert (selection["label"], selection["k"], selection["step"], selection["value"]) == ("best of 1", 1, 100, None)
    assert select.sha256(folder / "run/best.safetensors") == selection["weights_sha256"]


def test_a_release_of_unknown_steps_has_no_step(monkeypatch, folder):
    for step in (200, 300):
        (folder / f"checkpoints/{step:09d}.safetensors").unlink()
    (folder / "checkpoints/000000100.safetensors").rename(folder / "checkpoints/000000000.safetensors")
    assert choose(monkeypatch, folder)["step"] is None


def test_a_folder_without_checkpoints_is_named(monkeypatch, folder):
    (folder / "empty").mkdir()
    with pytest.raises(UserError, match="empty holds no checkpoint; run the stage weights again"):
        call_with(
            monkeypatch, select, checkpoints="empty", reference_file="reference.npz", **PARAMS,
            out_weights="run/best.safetensors", out_selection="selection.json",
        )  # fmt: skip


def test_a_reference_of_another_extractor_is_refused(monkeypatch, folder):
    with pytest.raises(UserError, match=r"reference.npz was made with another extractor"):
        choose(monkeypatch, folder, feature_resolution=64)
