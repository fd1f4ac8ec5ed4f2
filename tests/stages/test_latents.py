"""Latents of a dataset: those of each image and of its mirror image, stored once, and what training makes of them."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from dctdiff.data.archive import encode_jpeg, image_batches, read_images, write_archive
from dctdiff.data.packing import open_latents
from dctdiff.diffusion.draws import batch_indices, torch_generator
from dctdiff.models.autoencoder import random_autoencoder
from dctdiff.models.batches import as_latents
from dctdiff.models.config import Autoencoder, ModelConfig
from dctdiff.models.step import encoded
from dctdiff.models.training import train
from dctdiff.params.train import Run
from dctdiff.pipeline.errors import Interrupted, UserError
from dctdiff.spaces.latent import SCALE
from dctdiff.stages import latents, statistics
from engines import call

CODEC = {"dataset": "d", "space": "latent", "patch_size": "1", "autoencoder.seed": "1"}
CONFIG = ModelConfig(
    space="latent", resolution=16, patch_size=1, embed_dim=16, depth=2, num_heads=2, snr_scale=1.0,
    autoencoder=Autoencoder(seed=1),
)  # fmt: skip
RUN = Run(
    dataset="d", codec="c", weights="trained", embed_dim=16, depth=2, num_heads=2, snr_scale=1.0, train_steps=6,
    batch_size=4, lr=1e-3, weight_decay=0.01, betas=[0.9, 0.99], warmup_steps=0, ema_rate=0.9, seed=5, log_steps=2,
    checkpoint_minutes=0,
)  # fmt: skip


def stage(module, monkeypatch, **arguments) -> None:
    monkeypatch.setattr(sys, "argv", [module.__name__, *(f"--{name}={value}" for name, value in arguments.items())])
    call(module)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(latents, "BATCH_SIZE", 4)
    images = np.random.default_rng(0).integers(0, 256, (10, 16, 16, 3), dtype=np.uint8)
    write_archive("train.zip", ((f"{i:02d}.jpg", encode_jpeg(x, 95)) for i, x in enumerate(images)), {})
    return tmp_path


@pytest.fixture
def stored(folder, monkeypatch):
    stage(latents, monkeypatch, images="train.zip", **CODEC, out_latents="latents.npy")
    return open_latents("latents.npy", "train.zip", (4, 2, 2))


def test_each_image_and_its_mirror_image_are_encoded(stored):
    autoencoder = random_autoencoder(1).eval()
    images = torch.from_numpy(read_images("train.zip"))
    assert stored.shape == (10, 2, 8, 2, 2) and stored.dtype == np.float32
    for index, whole in enumerate((images, images.flip(2))):
        with torch.no_grad():
            of = autoencoder.encode(whole.movedim(3, 1).float() / 127.5 - 1).latent_dist
        expected = torch.cat([of.mean, of.logvar], dim=1).numpy()
        np.testing.assert_allclose(stored[:, index], expected, rtol=0, atol=1e-5)
    assert np.abs(stored[:, 0] - stored[:, 1]).max() > 0.01  # a mirrored latent would not do


def test_an_interruption_leaves_the_old_file(stored, folder, monkeypatch):
    before = (folder / "latents.npy").read_bytes()

    def interrupted(path, batch_size, n_images=None):
        yield from list(image_batches(path, batch_size, n_images))[:2]
        raise KeyboardInterrupt

    monkeypatch.setattr(latents, "image_batches", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stage(latents, monkeypatch, images="train.zip", **CODEC, out_latents="latents.npy")
    assert (folder / "latents.npy").read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == ["latents.npy", "train.zip"]


def test_of_another_space_the_file_is_empty(folder, monkeypatch):
    stage(latents, monkeypatch, images="train.zip", dataset="d", space="pixel", patch_size=4, out_latents="latents.npy")
    assert (folder / "latents.npy").read_bytes() == b""
    with pytest.raises(UserError, match=r"latents\.npy cannot be mapped .*; delete it and run the stage latents again"):
        open_latents("latents.npy", "train.zip", (4, 2, 2))


def test_latents_of_other_sizes_are_refused(stored):
    with pytest.raises(UserError, match=r"float32 \(10, 2, 8, 2, 2\), but train\.zip makes float32 \(10, 2, 8, 4, 4\)"):
        open_latents("latents.npy", "train.zip", (4, 4, 4))


def test_statistics_are_of_the_means(stored, monkeypatch):
    """eta is the bound of the widest channel; the mirror images do not count."""
    paths = {"images": "train.zip", "latents": "latents.npy", "out_statistics": "statistics.json"}
    stage(statistics, monkeypatch, **paths, **CODEC, n_images=5, tau=90.0)
    found = json.loads(Path("statistics.json").read_text())
    means = stored[::2, 0, :4].astype(np.float16).astype(np.float64)
    bounds = np.abs(np.percentile(means.transpose(1, 0, 2, 3).reshape(4, -1), [10, 90], axis=1))
    assert found["eta"] == round(bounds.max(), 3)
    assert list(found["channels"]) == ["z1", "z2", "z3", "z4"] and found["n_images"] == 5
    assert found["autoencoder"] == {"seed": 1}


def batch_of(step: int, images: np.ndarray, run: Run = RUN, local: slice = slice(None), flip=None) -> torch.Tensor:
    flip = torch.tensor([True, False, True, False]) if flip is None else flip
    chosen = batch_indices(run.seed, step, run.batch_size, len(images))
    loaded = torch.from_numpy(images[chosen])[local]
    return as_latents(run, step, local, CONFIG.codec(), loaded, flip[local])


def test_a_step_draws_from_the_posterior_by_seed_step_and_index(stored):
    noise = torch.randn(4, 4, 2, 2, generator=torch_generator(RUN.seed, "posterior", 3))
    chosen = batch_indices(RUN.seed, 3, 4, 10)
    moments = torch.from_numpy(stored[chosen, [1, 0, 1, 0]])
    expected = SCALE * (moments[:, :4] + moments[:, 4:].mul(0.5).exp() * noise)
    torch.testing.assert_close(batch_of(3, stored), expected, rtol=1e-6, atol=1e-6)
    assert torch.equal(batch_of(3, stored)[2:], batch_of(3, stored, local=slice(2, 4)))  # of the second process
    assert not torch.equal(batch_of(3, stored), batch_of(3, stored, RUN.model_copy(update={"seed": 6})))
    latent = batch_of(3, stored)
    assert encoded(CONFIG.codec(), latent, torch.ones(4, dtype=torch.bool)) is latent  # and not mirrored again


def test_images_encoded_at_each_step_give_the_same_latents(stored):
    images = read_images("train.zip")
    for step in range(3):
        torch.testing.assert_close(batch_of(step, images), batch_of(step, stored), rtol=0, atol=1e-5)


@pytest.mark.parametrize("each_step", [False, True])
def test_an_interrupted_run_draws_what_a_straight_one_does(stored, folder, each_step):
    images = read_images("train.zip") if each_step else stored
    run = RUN.model_copy(update={"encode_each_step": each_step})

    def trained(name: str, stop_after: int | None = None) -> dict[str, torch.Tensor]:
        asked = iter(range(1, 100))
        return train(run, CONFIG, [1.0], images, None, folder / name, lambda: next(asked) == stop_after)[0]

    straight = trained("straight")
    with pytest.raises(Interrupted):
        trained("pieces", stop_after=3)
    pieces = trained("pieces")
    assert all(torch.equal(straight[name], pieces[name]) for name in straight)


def test_a_model_on_latents_comes_back_from_its_config():
    assert ModelConfig.from_json(CONFIG.to_json()) == CONFIG
    file = dataclasses.replace(CONFIG, autoencoder=Autoencoder(64 * "a", url="https://x/a.pth"))
    assert ModelConfig.from_json(file.to_json()) == file
