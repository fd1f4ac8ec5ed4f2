"""Sizes: the published parameter counts and multiply-accumulates."""

import pytest

from dctdiff.models.config import Autoencoder, ModelConfig
from dctdiff.models.cost import decoder_gmacs, encoder_gmacs, forward_flops, gmacs, n_tokens, parameters
from dctdiff.models.forecast import DECODER_GMACS, ENCODER_GMACS
from dctdiff.report.tables.costs import OTHER_GMACS, other_gmacs

S = {"embed_dim": 512, "depth": 12, "num_heads": 8, "snr_scale": 4.0}
M = {"embed_dim": 768, "depth": 16, "num_heads": 12, "snr_scale": 4.0}
M18 = {**M, "depth": 18}
M20 = {**M, "depth": 20}
CLASSES = {"class_counts": (1,) * 1000}


def dct(resolution, block_size, kept_coefficients, **sizes):
    return ModelConfig(
        space="dct", resolution=resolution, block_size=block_size, kept_coefficients=kept_coefficients, **sizes
    )


def pixel(resolution, patch_size, **sizes):
    return ModelConfig(space="pixel", resolution=resolution, patch_size=patch_size, **sizes)


def latent(resolution, patch_size, **sizes):
    which = Autoencoder(sha256="0" * 64, file="nowhere.pth")
    return ModelConfig(space="latent", resolution=resolution, patch_size=patch_size, autoencoder=which, **sizes)


# Parameters, and 1e9 multiply-accumulates to three decimals, as derived from the published configs.
PUBLISHED = {
    "cifar10 DCTdiff S": (dct(32, 2, 4, **S), 44_169_240, 2.864),
    "cifar10 DCTdiff M": (dct(32, 2, 4, **M), 129_987_096, 8.437),
    "cifar10 DCTdiff M-deep": (dct(32, 2, 4, **M20), 160_690_200, 10.430),
    "celeba64 DCTdiff S": (dct(64, 2, 4, **S), 44_267_544, 11.325),
    "celeba64 DCTdiff S B=4": (dct(64, 4, 13, **S), 44_224_590, 2.868),
    "imagenet64 DCTdiff S": (dct(64, 2, 4, **S, **CLASSES), 44_780_056, 11.369),
    "imagenet64 DCTdiff M": (dct(64, 2, 4, **M, **CLASSES), 130_903_320, 33.488),
    "imagenet64 DCTdiff M-deep": (dct(64, 2, 4, **M18, **CLASSES), 146_254_872, 37.444),
    "ffhq128 DCTdiff S": (dct(128, 4, 9, **S), 44_298_294, 11.333),
    "ffhq128 DCTdiff M-deep": (dct(128, 4, 9, **M18), 145_532_214, 37.311),
    "ffhq256 DCTdiff M": (dct(256, 4, 8, **M), 130_761_264, 133.081),
    "ffhq256 DCTdiff M B=8": (dct(256, 8, 28, **M), 130_355_880, 33.415),
    "ffhq512 and afhq512 DCTdiff M": (dct(512, 8, 18, **M), 130_853_484, 133.175),
    "cifar10 U-ViT S": (pixel(32, 4, **S), 44_193_924, 2.866),
    "cifar10 U-ViT S P=2": (pixel(32, 2, **S), 44_255_328, 11.322),
    "celeba64 U-ViT S": (pixel(64, 4, **S), 44_292_228, 11.331),
    "imagenet64 U-ViT S": (pixel(64, 4, **S, **CLASSES), 44_804_740, 11.375),
    "imagenet64 U-ViT M": (pixel(64, 4, **M, **CLASSES), 130_940_292, 33.498),
    "ffhq128 U-ViT M-deep": (pixel(128, 8, **M18), 145_744_404, 37.367),
    "ffhq256 U-ViT M": (pixel(256, 8, **M), 130_982_676, 133.313),
    "ffhq256 latent U-ViT M": (latent(256, 2, **M), 130_122_404, 33.355),
    "ffhq512 and afhq512 latent U-ViT M": (latent(512, 4, **M), 130_196_180, 33.374),
}


@pytest.mark.parametrize(("config", "n_parameters", "n_gmacs"), PUBLISHED.values(), ids=PUBLISHED)
def test_costs_are_the_published_ones(config, n_parameters, n_gmacs):
    assert parameters(config) == n_parameters
    assert gmacs(config) == pytest.approx(n_gmacs, abs=5e-4)


def test_multiply_accumulates_written_out():
    """A network small enough to count by hand: one block in, in the middle and out."""
    config = dct(8, 2, 1, embed_dim=16, depth=2, num_heads=2, snr_scale=1.0)
    tokens, width, values = 1 + 4, 16, 6
    block = width * 3 * width + width * width + 2 * width * 4 * width
    trunk = tokens * (3 * block + 2 * width * width)
    assert gmacs(config) * 1e9 == pytest.approx(trunk + 4 * values * width + tokens * width * values)


# Peebles and Xie 2022, tables 1 and 4, of patches of 2 on latents of 32 x 32: millions of parameters, and 1e9
# multiply-accumulates with those of the attention. Three channels for their four make no difference here.
DITS = {
    "S": (384, 12, 6, 33, 6.06),
    "B": (768, 12, 12, 130, 23.01),
    "L": (1024, 24, 16, 458, 80.71),
    "XL": (1152, 28, 16, 675, 118.64),
}


@pytest.mark.parametrize("size", DITS)
def test_costs_of_dits_are_the_published_ones(size):
    embed_dim, depth, num_heads, n_millions, n_gmacs = DITS[size]
    sizes = {"embed_dim": embed_dim, "depth": depth, "num_heads": num_heads, "snr_scale": 1.0}
    config = pixel(32, 2, **sizes, **CLASSES, network_kind="dit", framework="discrete")
    assert parameters(config) / 1e6 == pytest.approx(n_millions, rel=0.01)
    assert forward_flops(config) / 2e9 == pytest.approx(n_gmacs, rel=0.005)
    assert n_tokens(config) == 256


def test_the_published_cost_of_latents_is_one_forward_with_the_encoder():
    """575 GMACs beside 133 of the DCT: a quarter. Of nothing else is it one."""
    dct_m, latent_m = dct(512, 8, 18, **M), latent(512, 4, **M)
    assert encoder_gmacs(latent_m) == pytest.approx(541.149, abs=5e-4)
    assert decoder_gmacs(latent_m) == pytest.approx(1240.080, abs=5e-4)
    assert encoder_gmacs(dct_m) == decoder_gmacs(dct_m) == 0
    found = {space: {key: float(value) for key, value in other_gmacs(config).items()}
             for space, config in (("dct", dct_m), ("latent", latent_m))}  # fmt: skip
    assert list(found["latent"].values()) == pytest.approx([574.524, 33.374, 641.272, 4577.5], abs=0.05)
    assert list(found["dct"].values()) == pytest.approx([133.175, 133.175, 399.524, 13317.5], abs=0.05)
    assert round(found["latent"]["forward, encoder each step"]) == 575
    ratios = [found["dct"][key] / found["latent"][key] for key in OTHER_GMACS]
    assert ratios == pytest.approx([0.232, 3.990, 0.623, 2.909], abs=1e-3)


def test_the_forecast_counts_the_autoencoder_as_it_is():
    for resolution in (256, 512):
        config = latent(resolution, 4, **M)
        assert ENCODER_GMACS * resolution**2 == pytest.approx(encoder_gmacs(config), rel=1e-3)
        assert DECODER_GMACS * resolution**2 == pytest.approx(decoder_gmacs(config), rel=1e-3)
