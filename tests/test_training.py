"""Training: any way of stopping and going on gives the same weights, bit for bit."""

import json

import numpy as np
import pytest
import torch

from dctdiff.errors import UserError
from dctdiff.model import ModelConfig, load_model, save_model
from dctdiff.params.train import Run
from dctdiff.sampling import sample_images
from dctdiff.training import Interrupted, learning_rate, train, training_batch

CONFIG = ModelConfig(
    space="dct", resolution=8, block_size=2, kept_coefficients=4, eta=240.0,
    embed_dim=16, depth=2, num_heads=2, snr_scale=4.0,
)  # fmt: skip
WEIGHTS = [1.0] * 24
IMAGES = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
RUN = Run(
    dataset="d", codec="c", embed_dim=16, depth=2, num_heads=2, snr_scale=4.0, train_steps=12, batch_size=4,
    lr=1e-3, weight_decay=0.01, betas=[0.9, 0.99], warmup_steps=3, ema_rate=0.9, seed=5, log_steps=4,
    checkpoint_steps=5,
)  # fmt: skip


def trained(folder, run=RUN, stop_after=None):
    asked = iter(range(1, 10_000))
    return train(run, CONFIG, WEIGHTS, IMAGES, folder, lambda: next(asked) == stop_after)


def lines(log):
    """The log without what differs from run to run."""
    return [json.loads(line) | {"seconds": 0} for line in log]


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def same_run(a, b):
    return same(a[0], b[0]) and lines(a[1]) == lines(b[1])


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    torch.manual_seed(123)  # global state must not matter
    return trained(tmp_path_factory.mktemp("straight"))


@pytest.mark.parametrize("stop_after", [1, 6, 10])
def test_an_interrupted_run_ends_like_a_straight_one(straight, tmp_path, stop_after):
    with pytest.raises(Interrupted, match=f"stopped after step {stop_after}"):
        trained(tmp_path, stop_after=stop_after)
    assert same_run(trained(tmp_path), straight)


def test_raising_and_lowering_train_steps_gives_the_run_of_that_length(straight, tmp_path):
    short = RUN.model_copy(update={"train_steps": 7})
    first = trained(tmp_path, short)
    assert [line["step"] for line in lines(first[1])] == [4, 7]
    assert same_run(trained(tmp_path), straight)
    assert same_run(trained(tmp_path, short), first)
    assert same_run(trained(tmp_path), straight)


def test_a_finished_run_trains_nothing(straight, tmp_path, monkeypatch):
    trained(tmp_path)
    monkeypatch.setattr("dctdiff.training.training_batch", None)
    assert same_run(trained(tmp_path), straight)


def test_a_broken_temporary_state_is_not_taken(straight, tmp_path):
    with pytest.raises(Interrupted):
        trained(tmp_path, stop_after=6)
    (tmp_path / ".step-000000011.pt.99.tmp.pt").write_bytes(b"half")
    assert same_run(trained(tmp_path), straight)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_state(tmp_path):
    trained(tmp_path, RUN.model_copy(update={"train_steps": 5}))
    wild = RUN.model_copy(update={"lr": 1e30, "warmup_steps": 0})
    with pytest.raises(UserError, match="the loss is not finite at step 8; the state of step 5 is kept; lower lr"):
        trained(tmp_path, wild)


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    wild = RUN.model_copy(update={"lr": 1e38, "warmup_steps": 0, "train_steps": 1, "weight_decay": 10.0})
    with pytest.raises(UserError, match="not finite at step 1; no state is saved yet"):
        trained(tmp_path, wild)
    assert not list(tmp_path.glob("*.pt"))


def test_the_loss_falls(tmp_path):
    run = RUN.model_copy(update={"train_steps": 150, "lr": 3e-3, "log_steps": 30})
    losses = [line["loss"] for line in lines(trained(tmp_path, run)[1])]
    assert losses[-1] < 0.8 * losses[0]


def test_more_images_per_step_than_there_are_is_an_error(tmp_path):
    with pytest.raises(UserError, match="batch_size is 32, but there are only 20 images"):
        trained(tmp_path, RUN.model_copy(update={"batch_size": 32}))


def test_warm_up_starts_at_zero():
    assert [learning_rate(RUN, step) for step in (0, 1, 3, 9)] == pytest.approx([0, 1e-3 / 3, 1e-3, 1e-3])
    assert learning_rate(RUN.model_copy(update={"warmup_steps": 0}), 0) == 1e-3


def test_half_of_the_images_are_flipped():
    codec = CONFIG.codec()
    run = RUN.model_copy(update={"batch_size": 20})
    plain = {tuple(row) for row in codec.encode(torch.from_numpy(IMAGES)).flatten(1)[:, :6].tolist()}
    flipped = 0
    for step in range(20):
        x0, _, _ = training_batch(run, step, slice(None), IMAGES, codec, torch.device("cpu"))
        flipped += sum(tuple(row) not in plain for row in x0.flatten(1)[:, :6].tolist())
    assert 140 < flipped < 260


def test_weights_file_is_deterministic_and_carries_its_config(straight, tmp_path):
    for name in ("a", "b"):
        save_model(tmp_path / name, straight[0], CONFIG)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    network, config = load_model(tmp_path / "a", torch.device("cpu"))
    assert config == CONFIG
    assert same(network.state_dict(), straight[0])
    (tmp_path / "a").write_bytes(b"junk")
    with pytest.raises(UserError, match="not a model of this project"):
        load_model(tmp_path / "a", torch.device("cpu"))


def test_images_do_not_depend_on_the_batch_size(straight, tmp_path):
    network = CONFIG.network().eval()
    network.load_state_dict(straight[0])

    def images(batch_size, indices=range(7)):
        batches = sample_images(network, CONFIG, "dpm_solver", 6, 1, indices, batch_size)
        return np.concatenate([batch for _, batch in batches]).astype(int)

    assert np.abs(images(7) - images(2)).max() <= 1  # float sums may differ in the last bit
    assert np.abs(images(7)[3:] - images(7, range(3, 7))).max() <= 1
