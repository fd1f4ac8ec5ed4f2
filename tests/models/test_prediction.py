"""Noise or velocity: two ways to say the same, in the loss and in sampling."""

import dataclasses
import functools

import numpy as np
import pytest
import torch

from dctdiff.diffusion.discrete import alpha_bars
from dctdiff.diffusion.loss import PredictionLoss
from dctdiff.diffusion.schedule import NETWORK_TIME, Schedule
from dctdiff.models.config import ModelConfig
from dctdiff.models.sampling import sample_images
from dctdiff.params.execution import Execution
from dctdiff.params.train import Import, Run
from dctdiff.pipeline.errors import UserError

CONFIG = ModelConfig(space="pixel", resolution=8, patch_size=4, embed_dim=8, depth=2, num_heads=1, snr_scale=4.0)
SCHEDULE = CONFIG.schedule()


class Oracle(torch.nn.Module):
    """Knows that all images are one, whose noise or velocity it tells from x."""

    def __init__(self, prediction: str):
        super().__init__()
        self.prediction = prediction
        self.x0 = torch.nn.Parameter(torch.linspace(-1, 1, 3 * 8 * 8).reshape(1, 3, 8, 8))

    def attend_with(self, attend):
        pass

    def forward(self, x, t, y=None):
        t = (t / NETWORK_TIME).reshape(-1, 1, 1, 1).double()
        eps = (x - SCHEDULE.signal(t) * self.x0) / SCHEDULE.noise(t)
        velocity = SCHEDULE.signal(t) * eps - SCHEDULE.noise(t) * self.x0
        return (eps if self.prediction == "noise" else velocity).float()


@pytest.mark.parametrize("snr_scale", [1.0, 4.0])
def test_x_and_its_velocity_give_the_noise_and_the_image(snr_scale):
    schedule = Schedule(snr_scale)
    x0, eps = torch.randn(2, 50, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    t = torch.linspace(0.001, 1, 50, dtype=torch.float64)
    x, velocity = schedule.diffuse(x0, eps, t), schedule.velocity(x0, eps, t)
    signal, noise = schedule.signal(t)[:, None], schedule.noise(t)[:, None]
    assert torch.allclose(noise * x + signal * velocity, eps)
    assert torch.allclose(signal * x - noise * velocity, x0)


@pytest.mark.parametrize("prediction", ["noise", "velocity"])
def test_what_is_predicted_is_what_the_loss_wants(prediction):
    oracle, other = Oracle(prediction), Oracle({"noise": "velocity", "velocity": "noise"}[prediction])
    eps = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    t = torch.linspace(0.05, 1, 6)
    loss = PredictionLoss(SCHEDULE, prediction, torch.ones(()))
    with torch.no_grad():
        assert loss(oracle, oracle.x0.expand_as(eps), eps, t) < 1e-6
        assert loss(other, oracle.x0.expand_as(eps), eps, t) > 0.1


@pytest.mark.parametrize("sampler", ["dpm_solver", "euler_ode", "ddim", "ddpm"])
@pytest.mark.parametrize("prediction", ["noise", "velocity"])
def test_samples_are_the_image_that_the_network_knows(sampler, prediction):
    config = dataclasses.replace(CONFIG, prediction=prediction)
    oracle = Oracle(prediction)
    ((_, images),) = sample_images(oracle, config, sampler, 20, seed=1, indices=range(3), batch_size=3)
    expected = config.codec().decode(oracle.x0.detach()).numpy()
    assert np.abs(images.astype(int) - expected).max() <= 2  # grey levels


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
@pytest.mark.parametrize("compile", ["never", "always"])
def test_samples_of_a_chain_are_the_image_that_the_network_knows(monkeypatch, sampler, compile):
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    config = dataclasses.replace(CONFIG, network_kind="dit", framework="discrete")
    powers = alpha_bars(config.snr_scale)

    class ChainOracle(Oracle):
        def forward(self, x, t, y=None):
            power = powers[t.long()].reshape(-1, 1, 1, 1)
            eps = (x - power.sqrt() * self.x0) / (1 - power).sqrt()
            return torch.stack([eps, torch.full_like(eps, 0.3)], dim=1).float()

    oracle = ChainOracle("noise")
    how = Execution(compile=compile)
    batches = sample_images(oracle, config, sampler, 20, seed=1, indices=range(3), batch_size=2, execution=how)
    images = np.concatenate([images for _, images in batches])
    expected = config.codec().decode(oracle.x0.detach()).numpy()
    assert np.abs(images.astype(int) - expected).max() <= 2  # grey levels


@pytest.mark.parametrize(
    ("sampler", "nfe", "message"),
    [
        ("dpm_solver", 10, "sampler is dpm_solver, but framework discrete offers ddim, ddpm"),
        ("ddpm", 1001, "nfe is 1001, but framework discrete has 1000 steps"),
    ],
)
def test_a_chain_is_not_sampled_otherwise(sampler, nfe, message):
    config = dataclasses.replace(CONFIG, network_kind="dit", framework="discrete")
    with pytest.raises(UserError, match=message):
        next(sample_images(config.network(), config, sampler, nfe, seed=1, indices=range(3), batch_size=2))


def test_networks_of_the_authors_predict_noise():
    keys = {
        "dataset": "d", "codec": "c", "weights": "published",
        "release": {"file": "x", "resolution": 8, "patch_size": 4},
        "embed_dim": 8, "depth": 2, "num_heads": 1, "snr_scale": 1.0, "train_steps": 1, "batch_size": 1, "lr": 1.0,
        "weight_decay": 0.0, "betas": [0.9, 0.9], "warmup_steps": 0, "ema_rate": 0.9, "seed": 1, "log_steps": 1,
    }  # fmt: skip
    Run.model_validate(keys)
    with pytest.raises(ValueError, match="prediction is velocity, but the authors' networks predict noise; remove it"):
        Run.model_validate({**keys, "prediction": "velocity"})
    own = {**keys["release"], "file": "x.safetensors"}
    with pytest.raises(ValueError, match=r"is a \.safetensors file of this project; put it under imports"):
        Run.model_validate({**keys, "release": own})
    sizes = {key: keys[key] for key in ("weights", "embed_dim", "depth", "num_heads", "snr_scale", "batch_size")}
    assert Import.model_validate({**sizes, "prediction": "velocity", "release": own}).prediction == "velocity"
