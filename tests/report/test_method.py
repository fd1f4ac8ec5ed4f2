"""The figure of the method: it shows what the codec makes, and its words do not lie over each other."""

import itertools

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg

from dctdiff.report.method import method
from dctdiff.spaces.dct import DCTCodec

IMAGE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def figure():
    drawn = method(IMAGE, block_size=4, kept=9, patch=(2, 1))
    FigureCanvasAgg(drawn).draw()
    return drawn


def test_the_token_and_the_last_image_are_those_of_the_codec(figure):
    pictures = [np.asarray(image.get_array()) for axes in figure.axes for image in axes.get_images()]
    whole = DCTCodec(32, 4, 16, 1.0).encode(torch.tensor(IMAGE)[None])
    codec = DCTCodec(32, 4, 9, whole[0, :, 0].abs().max().item())
    tokens = codec.encode(torch.tensor(IMAGE)[None])
    [token] = [picture for picture in pictures if picture.shape == (6, 9)]
    expected = tokens[0, 2 * 4 + 1].reshape(6, 9).numpy()  # four tokens to a row
    assert np.sign(token) * token**2 == pytest.approx(expected, abs=1e-6)
    assert np.array_equal(pictures[-1], codec.decode(tokens)[0].numpy())


def test_the_six_blocks_are_the_pixels_of_the_patch(figure):
    blocks = [np.asarray(image.get_array()) for axes in figure.axes for image in axes.get_images()]
    blocks = [block for block in blocks if block.shape == (4, 4)][:6]
    patch = IMAGE[16:24, 8:16].astype(float)
    luma = patch @ [0.299, 0.587, 0.114]
    red = (patch @ [0.5, -0.418688, -0.081312] + 128).reshape(4, 2, 4, 2).mean(axis=(1, 3))
    assert np.block([[blocks[0], blocks[1]], [blocks[2], blocks[3]]]) == pytest.approx(luma, abs=1e-3)
    assert blocks[5] == pytest.approx(red, abs=1e-3)


def test_words_are_inside_and_apart(figure):
    texts = [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]
    boxes = [text.get_window_extent() for text in texts]
    assert len(boxes) == 8 + 3 + 3 + 6 + 6 + 1
    assert all(figure.bbox.containsx(box.x0) and figure.bbox.containsx(box.x1) for box in boxes)
    assert all(figure.bbox.containsy(box.y0) and figure.bbox.containsy(box.y1) for box in boxes)
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
