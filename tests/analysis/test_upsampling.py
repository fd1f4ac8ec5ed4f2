"""DCT upsampling: the theorem, the protocol computed slowly, and the stage."""

import json
import math
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from dctdiff.analysis.upsampling import dct_upsampled, doubled_by_all, halved, upsampling_matrix
from dctdiff.data.archive import encode_jpeg, write_archive
from dctdiff.metrics.features import Extractor
from dctdiff.params.upsampling import Upsampling
from dctdiff.pipeline.errors import UserError
from dctdiff.spaces.blocks import dct_matrix, transform_blocks
from dctdiff.stages import upsampling as stage
from engines import call


def random_images(n: int, resolution: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, resolution, resolution, 3), dtype=np.uint8)


def basis(side: int, u: int, v: int) -> np.ndarray:
    """The orthonormal cosine of frequencies (u, v) on a block, by its definition."""
    wave = np.array(
        [
            [
                math.cos((2 * x + 1) * u * math.pi / 2 / side) * math.cos((2 * y + 1) * v * math.pi / 2 / side)
                for y in range(side)
            ]
            for x in range(side)
        ]
    )
    return wave / math.sqrt((wave**2).sum())


def slow_plane(plane: np.ndarray) -> np.ndarray:
    """Protocol point 47 of one plane, with its own numbers: B = 4, pi / 16."""
    result = np.zeros((2 * len(plane), 2 * len(plane)))
    for top in range(0, len(plane), 4):
        for left in range(0, len(plane), 4):
            block = plane[top : top + 4, left : left + 4]
            for i in range(4):
                for j in range(4):
                    d = (basis(4, i, j) * block).sum()
                    d /= 0.5 * math.cos(math.pi * i / 16) * math.cos(math.pi * j / 16)
                    result[2 * top : 2 * top + 8, 2 * left : 2 * left + 8] += d * basis(8, i, j)
    return result


def test_dct_upsampling_is_the_protocol_computed_slowly():
    image = random_images(1, 8)
    red, green, blue = image[0].astype(np.float64).transpose(2, 0, 1)
    y = slow_plane(0.299 * red + 0.587 * green + 0.114 * blue - 128) + 128
    cb = slow_plane(-0.168736 * red - 0.331264 * green + 0.5 * blue)
    cr = slow_plane(0.5 * red - 0.418688 * green - 0.081312 * blue)
    slow = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=-1).clip(0, 255)
    fast = dct_upsampled(torch.from_numpy(image), 4)[0].numpy()
    assert fast.shape == (16, 16, 3)
    assert np.all(fast < slow + 1e-4)  # truncated, not rounded
    assert np.all(fast > slow - 1 - 1e-4)


@pytest.mark.parametrize("block_size", [2, 4, 8])
def test_the_means_of_the_doubled_pixels_are_the_pixels(block_size):
    matrix = upsampling_matrix(block_size)
    pixels = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, 16, 16)))
    doubled = transform_blocks(pixels, matrix)
    assert doubled.shape == (2, 3, 32, 32)
    assert torch.allclose(torch.nn.functional.avg_pool2d(doubled, 2), pixels, atol=1e-12)


@pytest.mark.parametrize("block_size", [2, 4, 8])
def test_a_band_limited_block_comes_back_exactly(block_size):
    """The theorem: halved by means and doubled, low frequencies of 2B x 2B are what they were."""
    coefficients = torch.zeros(1, 1, 2 * block_size, 2 * block_size, dtype=torch.float64)
    coefficients[..., :block_size, :block_size] = torch.from_numpy(
        np.random.default_rng(1).normal(size=(block_size, block_size))
    )
    block = transform_blocks(coefficients, dct_matrix(2 * block_size).T)
    small = torch.nn.functional.avg_pool2d(block, 2)
    assert torch.allclose(transform_blocks(small, upsampling_matrix(block_size)), block, atol=1e-12)


def test_a_cosine_is_drawn_at_twice_the_pixels():
    """cos(pi (2n + 1) k / 2B) of B pixels is that cosine at 2B pixels, over cos(pi k / 4B)."""
    for k in range(4):
        small = torch.cos(math.pi * (2 * torch.arange(4, dtype=torch.float64) + 1) * k / 8)
        large = torch.cos(math.pi * (2 * torch.arange(8, dtype=torch.float64) + 1) * k / 16)
        assert torch.allclose(upsampling_matrix(4) @ small, large / math.cos(math.pi * k / 16), atol=1e-12)


@pytest.mark.parametrize("block_size", [2, 4, 8])
@pytest.mark.parametrize("value", [0, 1, 100, 255])
def test_a_constant_grey_image_stays_constant(block_size, value):
    grey = np.full((1, 16, 16, 3), value, dtype=np.uint8)
    for name, doubled in doubled_by_all(grey, block_size).items():
        assert np.array_equal(doubled, np.full((1, 32, 32, 3), value)), name


def test_the_filters_are_pillow_s():
    images = random_images(2, 8)
    doubled = doubled_by_all(images, 4)
    for name, resampling in (("bicubic", Image.BICUBIC), ("lanczos", Image.LANCZOS)):
        expected = np.asarray(Image.fromarray(images[1]).resize((16, 16), resampling))
        assert np.array_equal(doubled[name][1], expected)
    assert np.array_equal(doubled["nearest"], images.repeat(2, axis=1).repeat(2, axis=2))
    expected = np.asarray(Image.fromarray(images[1]).resize((4, 4), Image.BICUBIC))
    assert np.array_equal(halved(images)[1], expected)


MEAN_COLOURS = Extractor("FD (mean colours)", "0" * 64, 3, lambda images: images.float().mean(dim=(1, 2)))


def measure(monkeypatch, folder, resolution: int, *flags: str) -> None:
    """The stage on noise, within this process and on features that are quick to compute."""
    entries = [(f"{i:02d}.jpg", encode_jpeg(image, 75)) for i, image in enumerate(random_images(6, resolution))]
    write_archive(folder / "a.zip", entries, {})
    monkeypatch.setattr("dctdiff.analysis.measurement.load_extractor", lambda name, resolution, device: MEAN_COLOURS)
    monkeypatch.chdir(folder)
    command = ["upsampling", "--images", "a.zip", "--dataset", "d", "--n_images", "5", *flags]
    extractor = ["--extractor", "efficientnet-lite0", "--feature_resolution", "32", "--batch_size", "2"]
    outputs = ["--out_upsampling", "u.json", "--out_grid", "u.png"]
    monkeypatch.setattr(sys, "argv", [*command, *extractor, *outputs])
    call(stage)


def test_the_stage_measures_every_method(tmp_path, monkeypatch):
    measure(monkeypatch, tmp_path, 32)
    result = json.loads((tmp_path / "u.json").read_text())
    assert set(result["values"]) == {"nearest", "bicubic", "lanczos", "dct"}
    assert len(set(result["values"].values())) == 4 and min(result["values"].values()) > 0
    assert (result["block_size"], result["n_images"], result["jpeg_quality"], result["resolution"]) == (4, 5, 75, 32)
    assert result["protocol"]["metric"] == "FD (mean colours)"
    assert Image.open(tmp_path / "u.png").size == (104 + 5 * 194 - 2, 6 * 194 - 2)


def test_a_wrong_size_ends_in_one_line(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"a\.zip: 20 pixels are not divisible by 2 \* block_size = 8; choose"):
        measure(monkeypatch, tmp_path, 20)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip"]


def test_the_defaults_are_the_paper():
    upsampling = Upsampling(dataset="d", n_images=50_000)
    assert (upsampling.block_size, upsampling.jpeg_quality) == (4, 75)
