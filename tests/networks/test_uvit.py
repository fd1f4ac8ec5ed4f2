"""Networks: published sizes and names, and what must not change the output."""

import dataclasses

import pytest
import torch

from dctdiff.models.config import ModelConfig
from dctdiff.networks.uvit import time_embedding

SMALL = {"embed_dim": 32, "depth": 2, "num_heads": 2, "snr_scale": 1.0}
DCT = ModelConfig(space="dct", resolution=16, block_size=2, kept_coefficients=4, eta=240.0, **SMALL)
PIXEL = ModelConfig(space="pixel", resolution=16, patch_size=4, **SMALL)
CLASSES = (3, 2, 4)  # images of each
CONDITIONAL_DCT = dataclasses.replace(DCT, class_counts=CLASSES)
CONDITIONAL_PIXEL = dataclasses.replace(PIXEL, class_counts=CLASSES)
CONFIGS = [DCT, PIXEL, CONDITIONAL_DCT, CONDITIONAL_PIXEL]
IDS = ["dct", "pixel", "conditional dct", "conditional pixel"]


def network_of(config):
    network = config.network().eval()
    network.initialise(torch.Generator().manual_seed(0))
    return network


def inputs(config, n_images):
    """Noise, network times and labels (or None) of ``n_images``."""
    x = torch.randn(n_images, *config.codec().shape, generator=torch.Generator().manual_seed(1))
    y = torch.arange(n_images) % config.num_classes if config.num_classes else None
    return x, torch.linspace(0, 999, n_images), y


def block_keys(prefix: str) -> set[str]:
    linears = {"attn.proj", "mlp.fc1", "mlp.fc2", "norm1", "norm2"}
    return {f"{prefix}.attn.qkv.weight"} | {
        f"{prefix}.{name}.{kind}" for name in linears for kind in ("weight", "bias")
    }


def test_names_are_those_of_the_published_state_dicts():
    """Protocol points 29 and 30."""
    trunk = block_keys("in_blocks.0") | block_keys("mid_block") | block_keys("out_blocks.0") | {
        "pos_embed", "norm.weight", "norm.bias", "decoder_pred.weight", "decoder_pred.bias",
        "out_blocks.0.skip_linear.weight", "out_blocks.0.skip_linear.bias",
    }  # fmt: skip
    dct = {"proj.weight", "proj.bias"}
    pixel = {"patch_embed.proj.weight", "patch_embed.proj.bias", "final_layer.weight", "final_layer.bias"}
    assert set(DCT.network().state_dict()) == trunk | dct
    assert set(PIXEL.network().state_dict()) == trunk | pixel
    assert set(CONDITIONAL_DCT.network().state_dict()) == trunk | dct | {"label_emb.weight"}
    assert set(CONDITIONAL_PIXEL.network().state_dict()) == trunk | pixel | {"label_emb.weight"}


def test_a_conditional_network_has_one_position_and_one_row_per_class_more():
    """Protocol point 29: pos_embed (1, e + T, D), label_emb (K, D)."""
    plain, conditional = DCT.network().state_dict(), CONDITIONAL_DCT.network().state_dict()
    assert plain["pos_embed"].shape == (1, 1 + 16, 32)
    assert conditional["pos_embed"].shape == (1, 2 + 16, 32)
    assert conditional["label_emb.weight"].shape == (3, 32)


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
def test_an_image_does_not_see_its_batch(config):
    network = network_of(config)
    x, t, y = inputs(config, 5)
    with torch.no_grad():
        together = network(x, t, y)
        alone = torch.cat([network(x[[i]], t[[i]], None if y is None else y[[i]]) for i in range(5)])
    assert together.shape == x.shape
    assert torch.allclose(together, alone, atol=1e-5)


def test_extra_tokens_are_label_then_time():
    """Protocol point 31, read off what enters the first block."""
    network = network_of(CONDITIONAL_DCT)
    seen = []
    network.in_blocks[0].register_forward_pre_hook(lambda block, arguments: seen.append(arguments[0]))
    x, t, y = inputs(CONDITIONAL_DCT, 3)
    with torch.no_grad():
        network(x, t, y)
        tokens = seen[0] - network.pos_embed
    assert torch.allclose(tokens[:, 0], network.label_emb.weight[y], atol=1e-6)
    assert torch.allclose(tokens[:, 1], time_embedding(t, 32), atol=1e-6)
    assert torch.allclose(tokens[:, 2:], network.proj(x), atol=1e-6)


@pytest.mark.parametrize("config", [CONDITIONAL_DCT, CONDITIONAL_PIXEL], ids=IDS[2:])
def test_the_label_matters_and_is_needed(config):
    network = network_of(config)
    x, t, y = inputs(config, 3)
    with torch.no_grad():
        assert (network(x, t, y) - network(x, t, (y + 1) % 3)).abs().amax(dim=tuple(range(1, x.dim()))).min() > 1e-3
        with pytest.raises(RuntimeError):
            network(x, t)


def test_an_unconditional_network_takes_no_label():
    x, t, _ = inputs(DCT, 3)
    with pytest.raises(TypeError):
        network_of(DCT)(x, t, torch.zeros(3, dtype=torch.int64))


def test_the_time_is_not_rounded_in_half_precision():
    """Protocol point 25: the embedding of the time is float32 also under autocast; only the sum is rounded."""
    network = network_of(DCT)
    seen = []
    network.in_blocks[0].register_forward_pre_hook(lambda block, arguments: seen.append(arguments[0]))
    x, t, _ = inputs(DCT, 3)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        network(x, t)
    exact = time_embedding(t, 32) + network.pos_embed[0, 0]
    assert torch.equal(seen[0][:, 0], exact.bfloat16())


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
def test_initialisation_depends_on_the_seed_only(config):
    torch.manual_seed(0)
    first = config.network()
    first.initialise(torch.Generator().manual_seed(7))
    torch.manual_seed(1)
    second = config.network()
    second.initialise(torch.Generator().manual_seed(7))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_pixels_come_back_where_they_were():
    """With the identity as decoder, patches return to their places: (row, column, channel) order."""
    network = ModelConfig(space="pixel", resolution=8, patch_size=4, **SMALL).network()
    tokens = torch.arange(4 * 48.0).reshape(1, 4, 48)
    network.transform = lambda x, t, y: tokens
    network.final_layer = torch.nn.Identity()
    image = network(torch.zeros(1, 3, 8, 8), torch.zeros(1))
    assert image[0, :, 0, 0].tolist() == [0, 1, 2]
    assert image[0, :, 0, 1].tolist() == [3, 4, 5]
    assert image[0, :, 1, 0].tolist() == [12, 13, 14]
    assert image[0, :, 0, 4].tolist() == [48, 49, 50]
    assert image[0, :, 4, 0].tolist() == [96, 97, 98]
