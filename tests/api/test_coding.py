"""Encoding and decoding of the public API, and what is said of clipped values."""

import io
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

import dctdiff
from dctdiff.analysis.truncation import truncated
from dctdiff.pipeline.errors import UserError
from dctdiff.spaces.dct import DCTCodec
from dctdiff.spaces.dct_full import dct_rgb
from dctdiff.spaces.pixel import PixelCodec
from synthetic import image

IMAGES = np.stack([np.asarray(image(index, 32, 32)) for index in range(3)])


@pytest.mark.parametrize(("block_size", "drop"), [(2, 0), (4, 7)])
def test_dropped_coefficients_are_those_of_the_paper(block_size, drop):
    """Beside the truncation, which is computed from the definition in float64."""
    codec = dctdiff.dct_codec(32, block_size, drop)
    values = dctdiff.encode(IMAGES, codec)
    assert values.shape == (3, *codec.shape) and values.dtype == np.float32
    [(_, expected)] = truncated(torch.from_numpy(IMAGES), block_size, [block_size**2 - drop])
    found = dctdiff.decode(values, codec)
    assert found.dtype == np.uint8
    difference = np.abs(found.astype(int) - expected.numpy())
    assert difference.max() <= 1 and difference.mean() < 0.01


@pytest.mark.parametrize("block_size", [1, 4])
def test_without_an_eta_no_coefficient_is_beyond_one(block_size):
    """Of black and white, the images with the largest."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 2, (8, 32 // block_size, 32 // block_size, 3), dtype=np.uint8) * np.uint8(255)
    fine = rng.integers(0, 2, (8, 32, 32, 3), dtype=np.uint8) * np.uint8(255)
    images = np.concatenate([coarse.repeat(block_size, axis=1).repeat(block_size, axis=2), fine])
    values = dctdiff.encode(images, dctdiff.dct_codec(32, block_size))
    assert 0.99 < np.abs(values).max() <= 1 + 1e-6


@pytest.mark.parametrize("made", [DCTCodec, dct_rgb])
def test_clipped_values_are_counted_and_said(made):
    whole, wrong = made(32, 4, 16, 1.0), made(32, 4, 16, 50.0)
    expected = (np.abs(dctdiff.encode(IMAGES, whole)) > 100).mean()
    assert expected > 1e-3
    values = dctdiff.encode(IMAGES, wrong)
    assert dctdiff.clipped_share(values, wrong) == pytest.approx(expected)
    with pytest.warns(UserWarning, match=f"{expected:.1%} of the coefficients lie beyond 2 eta"):
        dctdiff.decode(values, wrong)


def test_nothing_is_said_where_all_is_well():
    buffer = io.BytesIO()
    Image.fromarray(IMAGES[0]).save(buffer, "PNG")
    read_only = np.asarray(Image.open(buffer))[None]
    with warnings.catch_warnings(action="error"):
        for codec in (dctdiff.dct_codec(32, 4, 3), PixelCodec(32)):
            values = dctdiff.encode(read_only, codec)
            assert dctdiff.clipped_share(values, codec) == 0
            assert np.abs(dctdiff.decode(values, codec).astype(int) - read_only).mean() < 10


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((30, 4), "take a multiple of 8 pixels"),
        ((32, 0), "take a multiple of 2 pixels"),
        ((0, 2), "take a multiple of 4 pixels"),
        ((32, 2, 4), "drop is 4, but a block has 4 coefficients; drop 0 to 3"),
        ((32, 2, -1), "drop is -1"),
        ((32, 2, 0, 0.0), "eta is 0.0, but a finite number above 0 is expected"),
        ((32, 2, 0, float("nan")), "eta is nan"),
    ],
)
def test_numbers_that_make_no_codec_are_refused(numbers, message):
    with pytest.raises(UserError, match=message):
        dctdiff.dct_codec(*numbers)


def test_arrays_of_another_kind_are_refused():
    codec = dctdiff.dct_codec(32, 4, 7)
    values = dctdiff.encode(IMAGES, codec)
    for images in (IMAGES[0], IMAGES[:, :16], IMAGES.astype(np.float32), IMAGES[..., :1]):
        with pytest.raises(UserError, match=r"but uint8 \(N, 32, 32, 3\) is expected"):
            dctdiff.encode(images, codec)
    for other in (values[0], values[:, 1:], values[..., 1:], values.astype(np.float64)):
        with pytest.raises(UserError, match=r"but float32 \(N, 16, 54\) is expected"):
            dctdiff.decode(other, codec)
