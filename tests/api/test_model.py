"""Samples of the public API."""

import dataclasses

import numpy as np
import pytest
import torch

import dctdiff
from dctdiff.models.config import ModelConfig
from dctdiff.models.sampling import image_labels
from dctdiff.models.weights import save_model
from dctdiff.pipeline.errors import UserError
from engines import ROOT

CONFIG = ModelConfig(
    space="dct", resolution=8, block_size=2, kept_coefficients=4, eta=240.0,
    embed_dim=16, depth=2, num_heads=2, snr_scale=4.0,
)  # fmt: skip
CONDITIONAL = dataclasses.replace(CONFIG, class_counts=(3, 1, 2))


def loaded(folder, config: ModelConfig):
    """A model of random weights, by way of its file."""
    network = config.network()
    network.initialise(torch.Generator().manual_seed(0))
    with torch.no_grad():  # so that labels matter, as they come to do in a training
        for weight in network.parameters():
            weight += 0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel()))
    save_model(folder / "model.safetensors", network.state_dict(), config)
    return dctdiff.load_model(folder / "model.safetensors", "cpu")


def test_a_class_is_the_one_that_training_counts(tmp_path):
    """Image i of a class is image i of all classes, if that was drawn to be of it."""
    model, told = loaded(tmp_path, CONDITIONAL), []
    mixed = dctdiff.sample(model, 12, nfe=3, seed=4, batch_size=5, on_batch=told.append)
    assert mixed.shape == (12, 8, 8, 3) and mixed.dtype == np.uint8 and told == [5, 5, 2]
    labels = image_labels(CONDITIONAL, 4, range(12))
    assert set(labels) == {0, 1, 2}
    for label in range(3):
        of_label = dctdiff.sample(model, 12, nfe=3, seed=4, label=label)
        same = [np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(mixed, of_label, strict=True)]
        assert all(same[i] for i in range(12) if labels[i] == label) and not all(same)


def test_images_differ_by_seed_and_sampler_and_come_again(tmp_path):
    model = loaded(tmp_path, CONFIG)
    first = dctdiff.sample(model, 2, nfe=3)
    assert np.array_equal(first, dctdiff.sample(model, 2, nfe=3))
    for change in ({"seed": 1}, {"sampler": "ddpm"}, {"nfe": 4}):
        assert not np.array_equal(first, dctdiff.sample(model, 2, **{"nfe": 3, **change}))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("nfe", [5, 50])
def test_the_shipped_model_gives_the_same_images_on_a_gpu(nfe):
    path = ROOT / "data/shipped/cifar10-dctdiff.safetensors"
    images = {name: dctdiff.sample(dctdiff.load_model(path, name), 10, nfe=nfe, seed=1) for name in ("cpu", "cuda")}
    difference = np.abs(images["cpu"].astype(int) - images["cuda"])
    assert (difference <= 1).mean() > 0.999 and difference.max() <= 8


def test_the_codec_of_a_model_takes_its_images(tmp_path):
    model = loaded(tmp_path, CONFIG)
    images = dctdiff.sample(model, 2, nfe=1)
    assert dctdiff.encode(images, model.codec).shape == (2, 4, 24)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n is 0, but at least 1 is expected"),
        ({"nfe": 0}, "nfe is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"sampler": "dpm"}, "sampler is 'dpm', but one of dpm_solver, "),
        ({"label": 3}, "label is 3, but the model has the classes 0 to 2"),
        ({"label": -1}, "label is -1"),
    ],
)
def test_other_arguments_are_refused(tmp_path, arguments, message):
    with pytest.raises(UserError, match=message):
        dctdiff.sample(loaded(tmp_path, CONDITIONAL), **{"n": 1, **arguments})


def test_a_model_without_classes_takes_none(tmp_path):
    with pytest.raises(UserError, match="trained without classes; leave it out"):
        dctdiff.sample(loaded(tmp_path, CONFIG), 1, label=0)
