"""DiT: names of the published state dicts, and its forward computed a second time from the paper."""

import dataclasses
import math

import pytest
import torch

from dctdiff.networks.dit import positions
from networks.test_uvit import CONFIGS as UVITS
from networks.test_uvit import IDS, inputs

CONFIGS = [dataclasses.replace(config, network_kind="dit", framework="discrete") for config in UVITS]
DCT, PIXEL, CONDITIONAL_DCT, CONDITIONAL_PIXEL = CONFIGS


def network_of(config):
    """With weights of which none is zero."""
    network, generator = config.network().eval(), torch.Generator().manual_seed(0)
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.1, generator=generator)
    return network


def test_names_are_those_of_the_published_state_dicts():
    layers = {"attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2", "adaLN_modulation.1"}
    named = {f"blocks.{index}.{layer}" for index in range(2) for layer in layers}
    named |= {"x_embedder", "t_embedder.mlp.0", "t_embedder.mlp.2", "final_layer.linear"}
    named |= {"final_layer.adaLN_modulation.1"}
    names = {f"{layer}.{kind}" for layer in named for kind in ("weight", "bias")} | {"pos_embed"}
    label = {"y_embedder.embedding_table.weight"}
    patches = {name.replace("x_embedder", "x_embedder.proj") for name in names}
    assert set(DCT.network().state_dict()) == names
    assert set(PIXEL.network().state_dict()) == patches
    assert set(CONDITIONAL_DCT.network().state_dict()) == names | label
    assert set(CONDITIONAL_PIXEL.network().state_dict()) == patches | label
    assert "pos_embed" not in dict(DCT.network().named_parameters())  # it is fixed


def waves(value: float, n: int, first, second) -> list[float]:
    """Of longer and longer periods, up to 10,000 times as long."""
    angles = [value * 10_000 ** (-index / n) for index in range(n)]
    return [wave(angle) for wave in (first, second) for angle in angles]


def test_positions_written_out():
    for index, found in enumerate(positions((3, 2), 8)):
        row, column = divmod(index, 2)
        expected = waves(column, 2, math.sin, math.cos) + waves(row, 2, math.sin, math.cos)
        assert found.tolist() == pytest.approx(expected, abs=1e-6)


def silu(x):
    return x / (1 + torch.exp(-x))


def gelu(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def norm(x):
    """Each token with mean 0 and variance 1."""
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()


def attention(x, w, name, num_heads):
    """(T, D), head by head."""
    q, k, v = (x @ w[f"{name}.qkv.weight"].T + w[f"{name}.qkv.bias"]).chunk(3, dim=1)
    parts = []
    for of_q, of_k, of_v in zip(*(values.chunk(num_heads, dim=1) for values in (q, k, v)), strict=True):
        scores = torch.exp(of_q @ of_k.T / of_q.shape[1] ** 0.5)
        parts.append(scores / scores.sum(1, keepdim=True) @ of_v)
    return torch.cat(parts, 1) @ w[f"{name}.proj.weight"].T + w[f"{name}.proj.bias"]


def tokens_of_image(w, config, tokens, t, y):
    """Peebles and Xie 2022, sections 3.2 and figure 3 (adaLN-Zero), of one image: (T, D) -> (T, values), in float64."""
    layer = lambda name, x: x @ w[f"{name}.weight"].T + w[f"{name}.bias"]  # noqa: E731
    time = torch.tensor(waves(t, 128, math.cos, math.sin), dtype=torch.float64)
    condition = layer("t_embedder.mlp.2", silu(layer("t_embedder.mlp.0", time)))
    if y is not None:
        condition = condition + w["y_embedder.embedding_table.weight"][y]
    x = tokens + w["pos_embed"][0]
    for index in range(config.depth):
        name = f"blocks.{index}"
        shift1, scale1, gate1, shift2, scale2, gate2 = layer(f"{name}.adaLN_modulation.1", silu(condition)).chunk(6)
        seen = norm(x) * (1 + scale1) + shift1
        x = x + gate1 * attention(seen, w, f"{name}.attn", config.num_heads)
        seen = norm(x) * (1 + scale2) + shift2
        x = x + gate2 * layer(f"{name}.mlp.fc2", gelu(layer(f"{name}.mlp.fc1", seen)))
    shift, scale = layer("final_layer.adaLN_modulation.1", silu(condition)).chunk(2)
    return layer("final_layer.linear", norm(x) * (1 + scale) + shift)


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
def test_the_forward_by_another_way(config):
    network = network_of(config)
    w = {name: weight.double() for name, weight in network.state_dict().items()}
    x, t, y = inputs(config, 3)
    with torch.no_grad():
        found = network(x, t, y)
    assert found.shape == (3, 2, *config.codec().shape)
    for image in range(3):
        label = None if y is None else y[image]
        if config.space == "dct":
            tokens = x[image].double() @ w["x_embedder.weight"].T + w["x_embedder.bias"]
            given = tokens_of_image(w, config, tokens, t[image].item(), label)
            expected = torch.stack(given.chunk(2, dim=1))
        else:
            patches = [x[image, :, i : i + 4, j : j + 4] for i in range(0, 16, 4) for j in range(0, 16, 4)]
            kernel = w["x_embedder.proj.weight"]
            tokens = torch.stack([(kernel * patch.double()).sum((1, 2, 3)) for patch in patches])
            given = tokens_of_image(w, config, tokens + w["x_embedder.proj.bias"], t[image].item(), label)
            expected = torch.empty(2, 3, 16, 16, dtype=torch.float64)
            for number, token in enumerate(given):  # of a patch row by row; of a pixel noise, then variance
                i, j = divmod(number, 4)
                part = token.reshape(4, 4, 2, 3).permute(2, 3, 0, 1)
                expected[:, :, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4] = part
        assert (found[image] - expected).abs().max() < 1e-5 * expected.abs().max()


def test_of_the_continuous_framework_it_gives_one_value_for_each():
    config = dataclasses.replace(DCT, framework="continuous")
    x, t, _ = inputs(config, 3)
    assert network_of(config)(x, t).shape == x.shape


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
def test_it_begins_as_nothing_with_blocks_that_do_nothing(config):
    torch.manual_seed(0)
    first, second = config.network(), config.network()
    for network in (first, second):
        network.initialise(torch.Generator().manual_seed(7))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    x, t, y = inputs(config, 3)
    seen = []
    first.final_layer.register_forward_pre_hook(lambda layer, arguments: seen.append(arguments[0]))
    with torch.no_grad():
        assert first(x, t, y).abs().max() == 0
        assert torch.equal(seen[0], first.x_embedder(x) + first.pos_embed)
    assert 0.5 < first.x_embedder(x).std() < 2  # Glorot's bounds keep the variance, about


@pytest.mark.parametrize("config", [CONDITIONAL_DCT, CONDITIONAL_PIXEL], ids=IDS[2:])
def test_the_label_matters_and_is_needed(config):
    network = network_of(config)
    x, t, y = inputs(config, 3)
    with torch.no_grad():
        assert (network(x, t, y) - network(x, t, (y + 1) % 3)).abs().flatten(1).amax(1).min() > 1e-3
        with pytest.raises(TypeError):
            network(x, t)
    with pytest.raises(TypeError):
        network_of(DCT)(inputs(DCT, 3)[0], t, y)


def test_blocks_hand_on_the_precision_they_compute_in():
    network, seen = network_of(CONDITIONAL_DCT), []
    for block in network.blocks:
        block.register_forward_hook(lambda block, inputs, output: seen.append(output.dtype))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        network(*inputs(CONDITIONAL_DCT, 3))
    assert seen == [torch.bfloat16] * 2
