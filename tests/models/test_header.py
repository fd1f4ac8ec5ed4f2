"""What is read of a weights file without torch is what torch reads."""

import dataclasses
import json

import pytest
import torch
from safetensors.torch import save_file

from dctdiff.models.config import ModelConfig
from dctdiff.models.cost import parameters
from dctdiff.models.header import read_header
from dctdiff.models.weights import read_config, save_model
from dctdiff.pipeline.errors import UserError

CONFIG = ModelConfig(
    "dct", 8, 8, 2, 2, 1.0, block_size=2, kept_coefficients=3, eta=240.0, class_counts=(3, 1), prediction="velocity"
)


@pytest.mark.parametrize("signed", [True, False])
def test_a_header_is_the_config_and_the_size(tmp_path, signed):
    path, weights = tmp_path / "a.safetensors", CONFIG.network().state_dict()
    if signed:
        save_model(path, weights, CONFIG)
    else:  # of an earlier version
        save_file(weights, path, {"dctdiff": CONFIG.to_json()})
    config, n_parameters = read_header(path)
    assert config == json.loads(json.dumps(dataclasses.asdict(read_config(path))))
    assert n_parameters == parameters(CONFIG)


def test_a_file_of_before_there_were_several_networks_is_of_a_uvit(tmp_path):
    path, config = tmp_path / "a.safetensors", json.loads(CONFIG.to_json())
    del config["network_kind"], config["framework"]
    save_file(CONFIG.network().state_dict(), path, {"dctdiff": json.dumps(config)})
    assert read_config(path) == CONFIG


def test_another_file_is_named(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"x": torch.zeros(2)}, path, {"format": "pt"})
    for content in (path.read_bytes(), b"", b"{}" * 50):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"a\.safetensors is not a model of this project"):
            read_header(path)
