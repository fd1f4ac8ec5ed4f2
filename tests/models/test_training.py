"""Training: any way of stopping and going on gives the same weights, bit for bit."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from dctdiff.diffusion.draws import batch_indices, torch_generator
from dctdiff.models import training
from dctdiff.models.batches import loaded_batches, training_batch
from dctdiff.models.config import ModelConfig, model_config
from dctdiff.models.optimiser import learning_rate
from dctdiff.models.sampling import image_labels, sample_images
from dctdiff.models.state import candidates, states_in
from dctdiff.models.step import accelerator_of, encoded
from dctdiff.models.training import train
from dctdiff.models.weights import load_model, save_model, write_checkpoints
from dctdiff.params.train import Run
from dctdiff.pipeline import ledger
from dctdiff.pipeline.errors import Interrupted, UserError
from dctdiff.registry.samplers import offered

CONFIG = ModelConfig(
    space="dct", resolution=8, block_size=2, kept_coefficients=4, eta=240.0,
    embed_dim=16, depth=2, num_heads=2, snr_scale=4.0,
)  # fmt: skip
CONDITIONAL = dataclasses.replace(CONFIG, class_counts=(10, 10))
LABELS = np.arange(20) % 2
WEIGHTS = [1.0] * 24
IMAGES = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
RUN = Run(
    dataset="d", codec="c", weights="trained", embed_dim=16, depth=2, num_heads=2, snr_scale=4.0, train_steps=12,
    batch_size=4, lr=1e-3, weight_decay=0.01, betas=[0.9, 0.99], warmup_steps=3, ema_rate=0.9, seed=5, log_steps=4,
    checkpoint_minutes=0,
)  # fmt: skip


def trained(folder, run=RUN, stop_after=None, config=CONFIG, labels=None):
    asked = iter(range(1, 10_000))
    return train(run, config, WEIGHTS, IMAGES, labels, folder, lambda: next(asked) == stop_after)


def lines(log):
    """The log without what differs from run to run."""
    return [json.loads(line) | {"seconds": 0} for line in log]


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def same_run(a, b):
    return same(a[0], b[0]) and lines(a[1]) == lines(b[1])


def batch_of(run, step, local, labels, codec):
    """What a step is given: encoded images, noise, times (and labels)."""
    run = run.model_copy(update={"train_steps": step + 1})
    images, y = next(loaded_batches(run, local, step, IMAGES, labels, pinned=False))
    images, flip, *drawn = training_batch(run, step, local, images, y, codec.shape, torch.device("cpu"))
    return encoded(codec, images, flip), *drawn


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


@pytest.mark.parametrize(("logged", "lost"), [(None, 0), (5, 0), (9, 3), (99, 6)])
def test_steps_that_were_logged_but_not_saved_are_lost(straight, tmp_path, logged, lost):
    """No more of them than are trained again: a lowered train_steps loses none."""
    with pytest.raises(Interrupted):
        trained(tmp_path, stop_after=6)
    if logged:
        line = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
        with open(tmp_path / "log.jsonl", "a") as file:
            file.write(json.dumps(line | {"step": logged}) + "\n")
    assert same_run(trained(tmp_path), straight)
    assert dict(ledger.NOTES) == {"resumed_from": 6, "steps_lost": lost}


def test_a_finished_run_trains_nothing(straight, tmp_path, monkeypatch):
    trained(tmp_path)
    monkeypatch.setattr("dctdiff.models.step.training_batch", None)
    assert same_run(trained(tmp_path), straight)


CANDIDATE_RUN = RUN.model_copy(update={"candidate_steps": 4, "train_steps": 10})


@pytest.mark.parametrize("stop_after", [None, 4, 9])
def test_candidates_are_the_weights_that_a_run_of_that_length_ends_with(tmp_path, stop_after):
    """However the run was interrupted."""
    if stop_after:
        with pytest.raises(Interrupted):
            trained(tmp_path / "run", CANDIDATE_RUN, stop_after)
    trained(tmp_path / "run", CANDIDATE_RUN)
    kept = candidates(CANDIDATE_RUN, tmp_path / "run")
    assert list(kept) == [4, 8]
    for step, path in kept.items():
        ema, _ = trained(tmp_path / str(step), RUN.model_copy(update={"train_steps": step}))
        network, config = load_model(path, torch.device("cpu"))
        assert config == CONFIG
        assert same(network.state_dict(), ema)


def test_keeping_candidates_does_not_change_the_run(tmp_path):
    plain = trained(tmp_path / "plain", CANDIDATE_RUN.model_copy(update={"candidate_steps": None}))
    assert same_run(trained(tmp_path / "candidates", CANDIDATE_RUN), plain)
    assert not (tmp_path / "plain/candidates").exists()


def test_candidates_of_a_shorter_run_are_those_up_to_its_end(tmp_path):
    trained(tmp_path, CANDIDATE_RUN)
    shorter = CANDIDATE_RUN.model_copy(update={"train_steps": 4})
    assert list(candidates(shorter, tmp_path)) == [4]
    assert candidates(CANDIDATE_RUN.model_copy(update={"candidate_steps": None}), tmp_path) == {}


@pytest.mark.parametrize("what", ["gone", "damaged"])
def test_a_candidate_that_is_not_whole_is_an_error(tmp_path, what):
    trained(tmp_path, CANDIDATE_RUN)
    path = candidates(CANDIDATE_RUN, tmp_path)[4]
    if what == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=rf"000000004\.safetensors is {what}, but the run has passed it; put a copy"):
        candidates(CANDIDATE_RUN, tmp_path)


def test_a_checkpoints_folder_holds_what_it_was_given_and_keeps_it(tmp_path):
    state, folder = tmp_path / "state", tmp_path / "run/checkpoints"
    for step in (1, 2, 3):
        save_model(state / str(step), CONFIG.network().state_dict(), CONFIG)
    before = (state / "1").read_bytes()
    write_checkpoints(folder, {1: state / "1", 2: state / "2"})
    write_checkpoints(folder, {1: state / "1", 3: state / "3"})
    assert sorted(path.name for path in folder.iterdir()) == ["000000001.safetensors", "000000003.safetensors"]
    assert [path.name for path in folder.parent.iterdir()] == ["checkpoints"]

    save_model(state / "1", CONFIG.network().state_dict(), CONFIG)  # other random weights
    assert (state / "1").read_bytes() != before
    assert (folder / "000000001.safetensors").read_bytes() == before


def test_a_checkpoints_folder_stays_as_it_was_if_a_file_is_missing(tmp_path):
    save_model(tmp_path / "1", CONFIG.network().state_dict(), CONFIG)
    write_checkpoints(tmp_path / "checkpoints", {1: tmp_path / "1"})
    with pytest.raises(UserError, match="does not exist"):
        write_checkpoints(tmp_path / "checkpoints", {1: tmp_path / "1", 2: tmp_path / "2"})
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["000000001.safetensors"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "checkpoints"]


def test_an_interrupted_conditional_run_ends_like_a_straight_one(tmp_path):
    straight = trained(tmp_path / "straight", config=CONDITIONAL, labels=LABELS)
    with pytest.raises(Interrupted):
        trained(tmp_path / "stopped", stop_after=6, config=CONDITIONAL, labels=LABELS)
    assert same_run(trained(tmp_path / "stopped", config=CONDITIONAL, labels=LABELS), straight)


def test_each_image_is_trained_with_its_own_label():
    """Labels that number the images tell which images a batch holds."""
    numbers = np.arange(20)
    codec, run = CONFIG.codec(), RUN.model_copy(update={"batch_size": 20})
    x0, *_, y = batch_of(run, 0, slice(5, 12), numbers, codec)
    plain, flipped = (codec.encode(torch.from_numpy(IMAGES[y][:, :, ::step].copy())) for step in (1, -1))
    matches = torch.stack([torch.isclose(x0, images, atol=1e-5).all(dim=(1, 2)) for images in (plain, flipped)])
    assert y.dtype == torch.int64 and len(y) == 7
    assert matches.any(dim=0).all()


def test_labels_do_not_change_the_other_draws():
    codec = CONFIG.codec()
    with_labels = batch_of(RUN, 3, slice(None), LABELS, codec)
    without = batch_of(RUN, 3, slice(None), None, codec)
    assert all(torch.equal(a, b) for a, b in zip(with_labels[:3], without[:3], strict=True))
    assert len(without) == 3


def test_a_step_moves_the_embeddings_of_its_labels_only(tmp_path):
    run = RUN.model_copy(update={"train_steps": 1, "warmup_steps": 0, "weight_decay": 0.0})
    config = dataclasses.replace(CONFIG, class_counts=(1,) * 20)
    ema, _ = trained(tmp_path, run, config=config, labels=np.arange(20))
    before = config.network()
    before.initialise(torch_generator(run.seed, "weights", 0))
    moved = (ema["label_emb.weight"] != before.label_emb.weight).any(dim=1).nonzero().flatten()
    assert moved.tolist() == sorted(batch_indices(run.seed, 0, 4, 20).tolist())


def test_a_broken_temporary_state_is_not_taken(straight, tmp_path):
    with pytest.raises(Interrupted):
        trained(tmp_path, stop_after=6)
    (tmp_path / ".state.tmp").write_bytes(b"half")
    assert same_run(trained(tmp_path), straight)


@pytest.mark.parametrize("damage", ["a flipped bit", "cut", "empty", "junk"])
def test_a_damaged_state_is_passed_over(straight, tmp_path, capsys, damage):
    with pytest.raises(Interrupted):
        trained(tmp_path, stop_after=11)  # each step leaves a state
    first, second = states_in(tmp_path)
    content = bytearray(second.read_bytes())
    content[len(content) // 2] ^= 4
    half = content[: len(content) // 2]
    second.write_bytes({"a flipped bit": content, "cut": half, "empty": b"", "junk": b"junk"}[damage])
    assert same_run(trained(tmp_path), straight)
    assert f"{second} is damaged, and is passed over" in capsys.readouterr().err
    assert first.name.startswith("step-000000010-") and second.name.startswith("step-000000011-")


def test_a_long_training_whose_states_are_all_damaged_does_not_start_anew(tmp_path):
    run = RUN.model_copy(update={"ask_above_steps": 9})
    with pytest.raises(Interrupted):
        trained(tmp_path, run, stop_after=11)
    for path in states_in(tmp_path):
        path.write_bytes(b"junk")
    with pytest.raises(UserError, match="keeps no state that is whole: 11 steps are damaged; put a copy of one back"):
        trained(tmp_path, run)


def test_states_are_saved_by_time_whatever_the_steps(straight, tmp_path, monkeypatch):
    """A clock that gains a minute each time that it is looked at, by the bar too: about one state in three steps."""
    clock = iter(range(0, 10**6, 60))
    monkeypatch.setattr(training.time, "monotonic", lambda: float(next(clock)))
    saved = []
    monkeypatch.setattr(training, "save_state", lambda folder, state, kept: saved.append(state["progress"]["step"]))
    weights, _ = trained(tmp_path, RUN.model_copy(update={"checkpoint_minutes": 9, "log_steps": 100}))
    assert 2 < len(saved) < 6 and saved[-1] == RUN.train_steps
    assert same(weights, straight[0])


def test_nothing_is_written_after_another_process_has_taken_the_folder_over(tmp_path):
    """At a step with a line, a candidate and a state."""
    run, asked, left = RUN.model_copy(update={"candidate_steps": 2}), [], {}

    def files():
        return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def stop():
        asked.append(True)
        if len(asked) == 8:
            left.update(files())
        return len(asked) == 9

    def check_owner():
        if left:
            raise UserError("was taken over")

    with pytest.raises(UserError, match="was taken over"):
        train(run, CONFIG, WEIGHTS, IMAGES, None, tmp_path, stop, check_owner)
    assert len(asked) == 8 and files() == left
    assert {path.name for path in left} > {"log.jsonl", "000000006.safetensors"} and states_in(tmp_path)


def test_so_many_states_are_kept(tmp_path):
    trained(tmp_path, RUN.model_copy(update={"kept_states": 3}))
    assert [path.name[:14] for path in states_in(tmp_path)] == [f"step-{step:09d}" for step in (10, 11, 12)]


def test_a_state_of_an_earlier_version_is_read(straight, tmp_path):
    with pytest.raises(Interrupted):
        trained(tmp_path, stop_after=6)
    for path in states_in(tmp_path):
        path.rename(tmp_path / f"{path.name[:14]}.pt")  # without a digest
    assert same_run(trained(tmp_path), straight)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_state(tmp_path):
    trained(tmp_path, RUN.model_copy(update={"train_steps": 5}))
    wild = RUN.model_copy(update={"lr": 1e30, "warmup_steps": 0, "checkpoint_minutes": 10})
    with pytest.raises(UserError, match="the loss is not finite at step 8; the state of step 5 is kept; lower lr"):
        trained(tmp_path, wild)


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    wild = RUN.model_copy(update={"lr": 1e38, "warmup_steps": 0, "train_steps": 1, "weight_decay": 10.0})
    with pytest.raises(UserError, match="not finite at step 1; no state is saved yet"):
        trained(tmp_path, wild)
    assert not list(tmp_path.glob("*.pt"))


def test_the_loss_falls(tmp_path):
    run = RUN.model_copy(update={"train_steps": 150, "lr": 3e-3, "log_steps": 30, "checkpoint_minutes": 10})
    losses = [line["loss"] for line in lines(trained(tmp_path, run)[1])]
    assert losses[-1] < 0.8 * losses[0]


def test_more_images_per_step_than_there_are_is_an_error(tmp_path):
    with pytest.raises(UserError, match="batch_size is 32, but there are only 20 images"):
        trained(tmp_path, RUN.model_copy(update={"batch_size": 32}))


def test_warm_up_starts_at_zero():
    assert [learning_rate(RUN, step) for step in (0, 1, 3, 9)] == pytest.approx([0, 1e-3 / 3, 1e-3, 1e-3])
    assert learning_rate(RUN.model_copy(update={"warmup_steps": 0}), 0) == 1e-3


def test_the_learning_rate_falls_to_zero_at_its_end():
    run = RUN.model_copy(update={"lr_end_step": 13})  # 3 of warm-up, 10 of fall
    rates = [learning_rate(run, step) for step in (0, 1, 3, 4, 8, 13)]
    assert rates == pytest.approx([0, 1e-3 / 3, 1e-3, 9e-4, 5e-4, 0])
    whole = run.model_copy(update={"warmup_steps": 0})
    assert [learning_rate(whole, step) for step in (0, 13)] == pytest.approx([1e-3, 0])


def test_a_run_does_not_go_on_after_its_learning_rate_has_ended():
    fields = {**RUN.model_dump(), "train_steps": 9}
    assert Run(**{**fields, "lr_end_step": 9}).lr_end_step == 9
    with pytest.raises(ValueError, match="lr_end_step is 8, but should be train_steps 9 or more"):
        Run(**{**fields, "lr_end_step": 8})
    with pytest.raises(ValueError, match="more than warmup_steps 9"):
        Run(**{**fields, "warmup_steps": 9, "lr_end_step": 9})


def test_half_of_the_images_are_flipped():
    codec = CONFIG.codec()
    run = RUN.model_copy(update={"batch_size": 20})
    plain = {tuple(row) for row in codec.encode(torch.from_numpy(IMAGES)).flatten(1)[:, :6].tolist()}
    flipped = 0
    for step in range(20):
        x0, *_ = batch_of(run, step, slice(None), None, codec)
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


def test_the_config_of_a_conditional_model_comes_back(tmp_path):
    save_model(tmp_path / "a", CONDITIONAL.network().state_dict(), CONDITIONAL)
    assert load_model(tmp_path / "a", torch.device("cpu"))[1] == CONDITIONAL


def test_the_model_of_a_run_is_that_of_its_statistics():
    dct = {"space": "dct", "resolution": 8, "block_size": 2, "kept_coefficients": 4, "eta": 240.0, "tau": 98.25}
    assert model_config(RUN, dct) == CONFIG
    assert model_config(RUN, dct, (10, 10)) == CONDITIONAL
    pixel = model_config(RUN, {"space": "pixel", "resolution": 8, "patch_size": 4, "eta": 127.5})
    assert (pixel.space, pixel.patch_size, pixel.eta) == ("pixel", 4, None)


@pytest.mark.parametrize("config", [CONFIG, CONDITIONAL], ids=["unconditional", "conditional"])
@pytest.mark.parametrize("sampler", offered("continuous"))
def test_images_do_not_depend_on_their_batch(config, sampler):
    network = config.network().eval()
    network.initialise(torch.Generator().manual_seed(0))

    def images(batch_size, indices=range(7)):
        batches = sample_images(network, config, sampler, 6, 1, indices, batch_size)
        return np.concatenate([batch for _, batch in batches]).astype(int)

    # Float sums may differ in the last bit.
    assert np.abs(images(7) - images(2)).max() <= 1
    assert np.abs(images(7)[3:] - images(7, range(3, 7))).max() <= 1
    assert np.abs(images(7)[[6, 1]] - images(2, [6, 1])).max() <= 1
    assert np.abs(images(7)[0] - images(7)[1]).max() > 1


def test_a_conditional_model_learns_its_classes(tmp_path):
    """Dark and bright images: samples with a label have the brightness of its class."""
    config = ModelConfig(
        space="pixel", resolution=8, patch_size=2, embed_dim=32, depth=2, num_heads=2, snr_scale=1.0,
        class_counts=(10, 10),
    )  # fmt: skip
    run = RUN.model_copy(
        update={
            "num_classes": 2, "embed_dim": 32, "skip_bias_std": 3.0, "train_steps": 500, "batch_size": 20, "lr": 3e-3,
            "ema_rate": 0.95, "checkpoint_minutes": 10,
        },
    )  # fmt: skip
    images = np.repeat(np.array([40, 215], np.uint8), 10)[:, None, None, None].repeat(8, 1).repeat(8, 2).repeat(3, 3)
    weights, _ = train(run, config, [1.0], images, np.repeat([0, 1], 10), tmp_path, lambda: False)
    network = config.network().eval()
    network.load_state_dict(weights)
    _, samples = next(iter(sample_images(network, config, "dpm_solver", 20, 1, range(40), 40)))
    drawn = np.array(image_labels(config, 1, range(40)))
    brightness = samples.mean(axis=(1, 2, 3))
    assert 10 < drawn.sum() < 30  # both classes, at their frequency in training
    assert brightness[drawn == 0].mean() + 50 < brightness[drawn == 1].mean()


@pytest.fixture
def overflowing(monkeypatch):
    """The scale of fp16 for float32, and so large that this overflows at first."""

    def scaled(run):
        accelerator = accelerator_of(run)
        accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, growth_interval=1000)
        return accelerator

    monkeypatch.setattr(training, "accelerator_of", scaled)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_steps_that_overflow_are_skipped_counted_and_part_of_the_state(tmp_path, overflowing, optimizer):
    """As in fp16, by a scale so large that float32 overflows, until it has been halved often enough."""
    run = RUN.model_copy(update={"optimizer": optimizer, "log_steps": 1, "warmup_steps": 0})
    weights = [30.0] * 24  # whose gradients times 2^127 are beyond float32
    straight, log = train(run, CONFIG, weights, IMAGES, None, tmp_path / "straight", lambda: False)
    found = [json.loads(line) for line in log]
    skipped = [line["skipped_steps"] for line in found]
    assert 2 <= skipped[-1] < RUN.train_steps and skipped[:2] == [1, 2]
    assert [line["loss_scale"] for line in found] == [2.0 ** (127 - n) for n in skipped]
    with pytest.raises(Interrupted):
        asked = iter(range(1, 10_000))
        train(run, CONFIG, weights, IMAGES, None, tmp_path / "pieces", lambda: next(asked) == 2)
    assert same_run((straight, log), train(run, CONFIG, weights, IMAGES, None, tmp_path / "pieces", lambda: False))


def test_a_skipped_step_moves_no_weight(tmp_path, overflowing):
    network = CONFIG.network()
    network.initialise(torch_generator(RUN.seed, "weights", 0))
    for optimizer in ("adamw", "muon"):
        run = RUN.model_copy(update={"optimizer": optimizer, "train_steps": 2, "warmup_steps": 0})
        ema, _ = train(run, CONFIG, [1e4] * 24, IMAGES, None, tmp_path / optimizer, lambda: False)
        assert same(ema, network.state_dict())


def test_times_have_the_distribution_that_the_run_says():
    codec = CONFIG.codec()
    for t_logit in (None, [-1.2, 1.6]):
        run = RUN.model_copy(update={"batch_size": 20_000, "t_logit": t_logit})
        images = torch.zeros(20_000, 8, 8, 3, dtype=torch.uint8)
        t = training_batch(run, 3, slice(None), images, None, codec.shape, torch.device("cpu"))[3]
        assert ((t > 0) & (t < 1)).all()
        drawn = t if t_logit is None else torch.logit(t.double())
        mean, std = (0.5, 12**-0.5) if t_logit is None else t_logit
        assert drawn.mean().item() == pytest.approx(mean, abs=0.03 * std)
        assert drawn.std().item() == pytest.approx(std, rel=0.03)
