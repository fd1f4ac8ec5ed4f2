"""What the optimiser holds, and the averaged weights."""

import pytest
import torch

from dctdiff.models.config import ModelConfig
from dctdiff.models.optimiser import update_ema
from dctdiff.models.step import Learner, accelerator_of
from dctdiff.params.train import Run

CONFIG = ModelConfig(space="pixel", resolution=8, patch_size=4, embed_dim=8, depth=2, num_heads=1, snr_scale=1.0)
RUN = Run(
    dataset="d", codec="c", weights="trained", embed_dim=8, depth=2, num_heads=1, snr_scale=1.0, train_steps=1,
    batch_size=4, lr=1e-3, weight_decay=0.03, betas=[0.9, 0.99], warmup_steps=0, ema_rate=0.9, seed=5, log_steps=1,
)  # fmt: skip


def test_the_average_is_that_of_all_weights_so_far():
    """Protocol point 24: after three steps, what was at the start counts rate^3, the last step 1 - rate."""
    values, rate = [1.0, -2.0, 4.0, 8.0], 0.9
    ema = {"w": torch.tensor([values[0]])}
    for value in values[1:]:
        update_ema(ema, {"w": torch.tensor([value])}, rate)
    expected = rate**3 * 1.0 + (1 - rate) * (rate**2 * -2.0 + rate * 4.0 + 8.0)
    assert ema["w"].item() == pytest.approx(expected, rel=1e-6)


def test_the_average_begins_as_a_copy():
    learner = Learner(RUN, CONFIG, [1.0], accelerator_of(RUN), None)
    assert learner.ema.keys() == learner.live.keys()
    for name, weight in learner.live.items():
        assert torch.equal(learner.ema[name], weight) and learner.ema[name].data_ptr() != weight.data_ptr()


def test_every_parameter_decays():
    """Protocol point 23: positions, biases and norms, too."""
    learner = Learner(RUN, CONFIG, [1.0], accelerator_of(RUN), None)
    groups = [group for optimiser in learner.optimisers for group in optimiser.param_groups]
    assert {group["weight_decay"] for group in groups} == {0.03}
    assert {id(weight) for group in groups for weight in group["params"]} == {
        id(weight) for weight in learner.network.parameters()
    }
