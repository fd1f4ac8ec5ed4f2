"""Spaces of full planes: against blocks written out, and as what they are said to be."""

import math

import numpy as np
import pytest
import torch

from dctdiff.spaces.blocks import dct_matrix
from dctdiff.spaces.dct import DCTCodec
from dctdiff.spaces.dct_full import dct_444, dct_rgb, patch_rgb
from dctdiff.spaces.zigzag import zigzag
from spaces.test_codec import random_images, slow_dct, smooth_images

SPACES = {"dct_444": dct_444, "dct_rgb": dct_rgb}


def slow_planes(image: np.ndarray, space: str) -> list[np.ndarray]:
    red, green, blue = image.astype(np.float64).transpose(2, 0, 1)
    if space == "dct_rgb":
        return [red - 128, green - 128, blue - 128]
    luma = 0.299 * red + 0.587 * green + 0.114 * blue - 128
    return [luma, -0.168736 * red - 0.331264 * green + 0.5 * blue, 0.5 * red - 0.418688 * green - 0.081312 * blue]


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize(("block_size", "kept"), [(2, 4), (2, 3), (4, 9)])
def test_tokens_are_four_blocks_of_each_plane(space, block_size, kept):
    [image] = random_images(1, 4 * block_size).numpy()
    codec = SPACES[space](len(image), block_size, kept, 100.0)
    expected = []
    for top in range(0, len(image), 2 * block_size):
        for left in range(0, len(image), 2 * block_size):
            token = []
            for plane in slow_planes(image, space):
                for i in (top, top + block_size):
                    for j in (left, left + block_size):
                        block = plane[i : i + block_size, j : j + block_size]
                        token.append(slow_dct(block).ravel()[zigzag(block_size)[:kept]])
            expected.append(np.concatenate(token) / 100.0)
    [tokens] = codec.encode(torch.from_numpy(image)[None]).numpy()
    assert tokens.dtype == np.float32 and tokens.shape == codec.shape
    assert np.abs(tokens - np.array(expected)).max() < 1e-5


@pytest.mark.parametrize("block_size", [2, 4])
def test_rgb_with_all_coefficients_is_a_rotation_of_the_pixels_and_comes_back_exactly(block_size):
    images = random_images(3, 8 * block_size)
    codec = dct_rgb(images.shape[1], block_size, block_size**2, 128.0 * block_size)
    pixels = (images.double() - 128).square().sum().item()
    assert codec.coefficients(images).double().square().sum().item() == pytest.approx(pixels, rel=1e-6)
    assert torch.equal(codec.decode(codec.encode(images)), images)


def test_patches_are_the_pixels_that_the_dct_of_rgb_rotates():
    images = random_images(2, 8)
    codec = patch_rgb(8, 2, 4, 128.0)
    first = codec.encode(images)[0, 0].unflatten(0, (3, 2, 2, 2, 2))  # plane, block and pixel: row, column
    patch = first.permute(1, 3, 2, 4, 0).reshape(4, 4, 3) * 128 + 128
    assert torch.equal(patch, images[0, :4, :4].float())
    assert torch.equal(codec.decode(codec.encode(images)), images)
    rotated = first.unflatten(0, (3,)).flatten(3) @ torch.from_numpy(np.kron(*2 * [dct_matrix(2)])).float().T
    assert torch.allclose(rotated.flatten(), dct_rgb(8, 2, 4, 128.0).encode(images)[0, 0], atol=1e-6)


def test_luma_is_that_of_the_paper_and_grey_has_no_chroma():
    images = smooth_images(2, 32)
    ours, paper = dct_444(32, 2, 4, 242.0).encode(images), DCTCodec(32, 2, 4, 242.0).encode(images)
    assert (ours[..., :16] - paper[..., :16]).abs().max() < 2e-6
    grey = images[..., :1].expand(-1, -1, -1, 3).contiguous()
    assert dct_444(32, 2, 4, 242.0).encode(grey)[..., 16:].abs().max() < 1e-6
    # Halving loses what only full chroma holds, and the mean of a chroma block is the same in both.
    means = ours[..., 16::4].unflatten(-1, (2, 4)).mean(dim=-1)
    assert torch.allclose(means, paper[..., [16, 20]], atol=2e-6)


def test_full_chroma_comes_back_to_a_level():
    images = random_images(3, 16)
    difference = dct_444(16, 2, 4, 255.0).decode(dct_444(16, 2, 4, 255.0).encode(images)).int() - images.int()
    assert difference.abs().max() <= 1 and math.isclose(difference.float().mean().item(), 0.0, abs_tol=0.5)


@pytest.mark.parametrize("space", SPACES)
def test_samples_are_clipped_like_those_of_the_paper(space):
    codec = SPACES[space](8, 2, 4, 64.0)
    bright = torch.full((1, *codec.shape), 1e6)
    assert torch.equal(codec.decode(bright), codec.decode(torch.full((1, *codec.shape), 2.0)))
