"""Networks: published sizes and names, and what must not change the output."""

import pytest
import torch

from dctdiff.model import ModelConfig

SMALL = {"embed_dim": 32, "depth": 2, "num_heads": 2, "snr_scale": 1.0}
DCT = ModelConfig(space="dct", resolution=16, block_size=2, kept_coefficients=4, eta=240.0, **SMALL)
PIXEL = ModelConfig(space="pixel", resolution=16, patch_size=4, **SMALL)
S = {"embed_dim": 512, "depth": 12, "num_heads": 8, "snr_scale": 4.0}


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        (ModelConfig(space="dct", resolution=32, block_size=2, kept_coefficients=4, eta=242.382, **S), 44_169_240),
        (ModelConfig(space="dct", resolution=64, block_size=2, kept_coefficients=4, eta=244.925, **S), 44_267_544),
        (ModelConfig(space="pixel", resolution=32, patch_size=4, **S), 44_193_924),
    ],
    ids=["cifar10 DCTdiff S", "celeba64 DCTdiff S", "cifar10 U-ViT S"],
)
def test_parameter_counts_are_the_published_ones(config, parameters):
    with torch.device("meta"):
        network = config.network()
    assert sum(weight.numel() for weight in network.parameters()) == parameters


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
    assert set(DCT.network().state_dict()) == trunk | {"proj.weight", "proj.bias"}
    pixel = {"patch_embed.proj.weight", "patch_embed.proj.bias", "final_layer.weight", "final_layer.bias"}
    assert set(PIXEL.network().state_dict()) == trunk | pixel


@pytest.mark.parametrize("config", [DCT, PIXEL], ids=["dct", "pixel"])
def test_an_image_does_not_see_its_batch(config):
    network = config.network().eval()
    network.initialise(torch.Generator().manual_seed(0))
    x = torch.randn(5, *config.codec().shape, generator=torch.Generator().manual_seed(1))
    t = torch.linspace(0, 999, 5)
    with torch.no_grad():
        together = network(x, t)
        alone = torch.cat([network(x[[i]], t[[i]]) for i in range(5)])
    assert together.shape == x.shape
    assert torch.allclose(together, alone, atol=1e-5)


def test_initialisation_depends_on_the_seed_only():
    torch.manual_seed(0)
    first = PIXEL.network()
    first.initialise(torch.Generator().manual_seed(7))
    torch.manual_seed(1)
    second = PIXEL.network()
    second.initialise(torch.Generator().manual_seed(7))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_pixels_come_back_where_they_were():
    """With the identity as decoder, patches return to their places: (row, column, channel) order."""
    network = ModelConfig(space="pixel", resolution=8, patch_size=4, **SMALL).network()
    tokens = torch.arange(4 * 48.0).reshape(1, 4, 48)
    network.transform = lambda x, t: tokens
    network.final_layer = torch.nn.Identity()
    image = network(torch.zeros(1, 3, 8, 8), torch.zeros(1))
    assert image[0, :, 0, 0].tolist() == [0, 1, 2]
    assert image[0, :, 0, 1].tolist() == [3, 4, 5]
    assert image[0, :, 1, 0].tolist() == [12, 13, 14]
    assert image[0, :, 0, 4].tolist() == [48, 49, 50]
    assert image[0, :, 4, 0].tolist() == [96, 97, 98]
