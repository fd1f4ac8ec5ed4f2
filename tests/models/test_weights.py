"""Weights on disk: whole, or refused."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from dctdiff.models.config import ModelConfig
from dctdiff.models.weights import load_model, read_model, save_model
from dctdiff.pipeline.errors import UserError

CONFIG = ModelConfig("pixel", resolution=4, embed_dim=8, depth=2, num_heads=2, snr_scale=1.0, patch_size=2)


@pytest.fixture(scope="module")
def weights():
    torch.manual_seed(0)
    return CONFIG.network().state_dict()


def test_a_model_is_what_was_saved(tmp_path, weights):
    save_model(tmp_path / "a.safetensors", weights, CONFIG)
    save_model(tmp_path / "b.safetensors", dict(reversed(weights.items())), CONFIG)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    network, config = load_model(tmp_path / "a.safetensors", torch.device("cpu"))
    assert config == CONFIG
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())


def test_a_flipped_bit_is_noticed_or_harmless(tmp_path, weights):
    """In the header, in the config and in the numbers; in the name of the digest it changes nothing."""
    path = tmp_path / "a.safetensors"
    save_model(path, weights, CONFIG)
    whole, noticed = path.read_bytes(), 0
    places = np.random.default_rng(1).integers(8 * len(whole), size=400)
    for place in places.tolist():
        content = bytearray(whole)
        content[place // 8] ^= 1 << place % 8
        path.write_bytes(content)
        try:
            found, config = read_model(path)
        except UserError:
            noticed += 1
        else:
            assert config == CONFIG and found.keys() == weights.keys()
            assert all(torch.equal(found[name], value) for name, value in weights.items())
    assert noticed > 0.95 * len(places)


@pytest.mark.parametrize("size", [0, 7, 8, 100, -1])
def test_a_cut_model_is_refused(tmp_path, weights, size):
    path = tmp_path / "a.safetensors"
    save_model(path, weights, CONFIG)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(UserError, match="is not a model of this project"):
        read_model(path)


def test_a_model_of_an_earlier_version_has_no_digest(tmp_path, weights):
    save_model(tmp_path / "a.safetensors", weights, CONFIG)
    save_file(load_file(tmp_path / "a.safetensors"), tmp_path / "old.safetensors", {"dctdiff": CONFIG.to_json()})
    found, config = read_model(tmp_path / "old.safetensors")
    assert found.keys() == weights.keys() and config == CONFIG


def test_the_config_is_under_the_digest(tmp_path, weights):
    save_model(tmp_path / "a.safetensors", weights, CONFIG)
    path = tmp_path / "a.safetensors"
    content = path.read_bytes()
    other = content.replace(b"1.0", b"4.0")
    assert len(other) == len(content) and other != content
    path.write_bytes(other)
    with pytest.raises(UserError, match="is damaged: it does not have the digest"):
        read_model(tmp_path / "a.safetensors")
