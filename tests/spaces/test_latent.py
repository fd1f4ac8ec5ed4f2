"""Latents: what diffusers gives when it is called by hand, of images and of their mirror images."""

import numpy as np
import pytest
import torch

from dctdiff.models.autoencoder import random_autoencoder
from dctdiff.spaces import latent
from dctdiff.spaces.latent import LatentCodec, drawn

AUTOENCODER = random_autoencoder(1).eval()
IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8))


@pytest.fixture
def codec(monkeypatch):
    """Which gives the autoencoder two images at a time."""
    monkeypatch.setattr(latent, "MOST_PIXELS", 2 * 32**2)
    return LatentCodec(32, lambda device: AUTOENCODER)


@torch.no_grad()
def by_hand(images: torch.Tensor):
    """The distribution of diffusers, of one image after the other."""
    inputs = 2 * images.movedim(3, 1).double() / 255 - 1
    return [AUTOENCODER.encode(one[None].float()).latent_dist for one in inputs]


def test_moments_are_those_of_diffusers(codec):
    for images in (IMAGES, IMAGES.flip(2)):
        found = codec.moments(images)
        assert found.shape == (5, 8, 4, 4) and found.dtype == torch.float32
        expected = torch.cat([torch.cat([of.mean, of.logvar], dim=1) for of in by_hand(images)])
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_an_image_is_encoded_as_its_scaled_mean(codec):
    expected = torch.cat([of.mean * 0.18215 for of in by_hand(IMAGES)])
    torch.testing.assert_close(codec.encode(IMAGES), expected, rtol=0, atol=1e-5)
    assert codec.encode(IMAGES).shape[1:] == codec.shape == (4, 4, 4)


def test_what_is_drawn_is_what_diffusers_would_draw(codec):
    noise = torch.randn(5, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    expected = [0.18215 * (of.mean + of.std * own) for of, own in zip(by_hand(IMAGES), noise, strict=True)]
    torch.testing.assert_close(drawn(codec.moments(IMAGES), noise), torch.cat(expected), rtol=0, atol=1e-5)


@torch.no_grad()
def test_images_are_rounded_from_what_diffusers_decodes(codec):
    latents = torch.randn(5, *codec.shape, generator=torch.Generator().manual_seed(0))
    expected = AUTOENCODER.decode(latents / 0.18215).sample
    expected = ((expected + 1) / 2 * 255).clamp(0, 255).movedim(1, 3)
    found = codec.decode(latents)
    assert found.dtype == torch.uint8 and found.shape == (5, 32, 32, 3)
    assert (found - expected).abs().max() < 0.51


def test_the_shape_needs_no_autoencoder():
    assert LatentCodec(512, None).shape == (4, 64, 64)
