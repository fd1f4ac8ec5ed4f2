"""The codec against an independent computation, written with loops from the protocol's words."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dctdiff.spaces.blocks import dct_matrix, transform_blocks
from dctdiff.spaces.colour import doubled, rgb_images, ycbcr_planes
from dctdiff.spaces.dct import (
    SAMPLE_BOUND,
    DCTCodec,
    _decode_compiled,
    _decode_torch,
    _encode_compiled,
    _encode_torch,
    encoding_matrix,
)
from dctdiff.spaces.pixel import PixelCodec
from dctdiff.spaces.zigzag import zigzag


def random_images(n: int, resolution: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (n, resolution, resolution, 3), dtype=np.uint8))


def slow_dct(block: np.ndarray) -> np.ndarray:
    """Orthonormal two-dimensional DCT-II by its definition."""
    side = len(block)
    result = np.zeros((side, side))
    for u in range(side):
        for v in range(side):
            scale = math.sqrt((1 if u == 0 else 2) * (1 if v == 0 else 2)) / side
            for x in range(side):
                for y in range(side):
                    wave = math.cos((2 * x + 1) * u * math.pi / 2 / side) * math.cos(
                        (2 * y + 1) * v * math.pi / 2 / side
                    )
                    result[u, v] += scale * wave * block[x, y]
    return result


def slow_encode(image: np.ndarray, block_size: int, kept: int, eta: float) -> np.ndarray:
    """Protocol points 8 to 13, one token after the other."""
    red, green, blue = image.astype(np.float64).transpose(2, 0, 1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    cb = -0.168736 * red - 0.331264 * green + 0.5 * blue + 128
    cr = 0.5 * red - 0.418688 * green - 0.081312 * blue + 128
    half = [c.reshape(len(c) // 2, 2, len(c) // 2, 2).mean(axis=(1, 3)) for c in (cb, cr)]
    tokens = []
    for top in range(0, len(image), 2 * block_size):
        for left in range(0, len(image), 2 * block_size):
            blocks = [
                luma[top + i : top + i + block_size, left + j : left + j + block_size]
                for i in (0, block_size)
                for j in (0, block_size)
            ]
            blocks += [c[top // 2 : top // 2 + block_size, left // 2 : left // 2 + block_size] for c in half]
            flat = [slow_dct(block - 128).ravel()[zigzag(block_size)[:kept]] for block in blocks]
            tokens.append(np.concatenate(flat) / eta)
    return np.array(tokens)


def smooth_images(n: int, resolution: int) -> torch.Tensor:
    """Colours that change slowly, and some noise: as in photographs, most chroma is small."""
    rng = torch.Generator().manual_seed(0)
    colours = torch.rand(n, 3, 3, 3, generator=rng) * 300 - 20
    planes = F.interpolate(colours, size=(resolution, resolution), mode="bicubic")
    planes += 5 * torch.randn(n, 1, resolution, resolution, generator=rng)
    return planes.clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def exact_encode(images: torch.Tensor, block_size: int, kept: int, eta: float) -> torch.Tensor:
    """The definition in float64."""
    weight = encoding_matrix(block_size)[:, :kept].flatten(0, 1)
    patches = (images.double() - 128).unflatten(2, (-1, 2 * block_size)).unflatten(1, (-1, 2 * block_size))
    return torch.einsum("napbqc,dcpq->nabd", patches, weight).flatten(1, 2) / eta


def exact_decode(tokens: torch.Tensor, block_size: int, kept: int, eta: float) -> torch.Tensor:
    """Clip, inverse DCT, doubling and colours in float64."""
    across = math.isqrt(tokens.shape[1])
    spectra = torch.zeros(len(tokens), across, across, 6, block_size**2, dtype=torch.float64)
    values = tokens.double().clamp(-SAMPLE_BOUND, SAMPLE_BOUND) * eta
    spectra[..., zigzag(block_size)[:kept]] = values.view(*spectra.shape[:4], kept)
    luma = spectra[..., :4, :].unflatten(-1, (block_size, block_size)).unflatten(3, (2, 2))
    luma = luma.permute(0, 1, 3, 5, 2, 4, 6).flatten(4, 6).flatten(1, 3)[:, None]
    chroma = spectra[..., 4:, :].unflatten(-1, (block_size, block_size)).permute(0, 3, 1, 4, 2, 5)
    inverse = dct_matrix(block_size).T
    chroma = transform_blocks(chroma.flatten(4, 5).flatten(2, 3), inverse)
    return rgb_images(torch.cat([transform_blocks(luma, inverse), doubled(chroma)], dim=1))


SIZES = [(1, 1, 6), (2, 3, 4), (2, 4, 32), (3, 5, 12), (4, 9, 32), (4, 8, 64), (8, 18, 48), (8, 64, 16)]
each_size = pytest.mark.parametrize(("block_size", "kept", "resolution"), SIZES)
each_encoder = pytest.mark.parametrize("encode", [_encode_compiled, _encode_torch])
each_decoder = pytest.mark.parametrize("decode", [_decode_compiled, _decode_torch])


@each_size
@each_encoder
@pytest.mark.parametrize("images_of", [random_images, smooth_images])
def test_encode_is_the_definition(encode, images_of, block_size, kept, resolution):
    images, eta = images_of(3, resolution), 120.0 * block_size
    tokens = encode(images, block_size, kept, eta)
    assert tokens.dtype == torch.float32
    assert tokens.shape == DCTCodec(resolution, block_size, kept, eta).encode(images).shape
    assert (tokens.double() - exact_encode(images, block_size, kept, eta)).abs().max() < 2e-6


@each_size
@each_decoder
def test_decode_is_the_definition(decode, block_size, kept, resolution):
    n_images, eta = 2 + 3 * 2**16 // resolution**2, 120.0 * block_size
    tokens = exact_encode(smooth_images(n_images, resolution), block_size, kept, eta).float()
    tokens += 0.02 * torch.randn(tokens.shape, generator=torch.Generator().manual_seed(1))
    images = decode(tokens, block_size, kept, eta)
    assert images.dtype == torch.uint8
    error = (images.int() - exact_decode(tokens, block_size, kept, eta).int()).abs()
    assert error.max() <= 1
    assert (error > 0).double().mean() <= 2e-4  # truncation of what is nearly whole


@each_size
def test_the_two_paths_agree(block_size, kept, resolution):
    """Also where every bound is met: of the tokens and of the bytes."""
    images, eta = random_images(2, resolution), 120.0 * block_size
    compiled, by_torch = (encode(images, block_size, kept, eta) for encode in (_encode_compiled, _encode_torch))
    assert (compiled - by_torch).abs().max() < 2e-6
    tokens = 2 * torch.randn(compiled.shape, generator=torch.Generator().manual_seed(0))
    compiled, by_torch = (decode(tokens, block_size, kept, eta) for decode in (_decode_compiled, _decode_torch))
    assert compiled.min() == 0 and compiled.max() == 255
    error = (compiled.int() - by_torch.int()).abs()
    assert error.max() <= 1 and error.sum() <= 1 + 2e-4 * error.numel()


@each_encoder
def test_images_of_any_layout_are_encoded(encode):
    images = random_images(6, 16)
    expected = encode(images, 2, 3, 100.0)
    assert torch.equal(encode(images.transpose(1, 2).contiguous().transpose(1, 2), 2, 3, 100.0), expected)
    assert torch.equal(encode(images.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1), 2, 3, 100.0), expected)
    assert (encode(images[::2], 2, 3, 100.0) - expected[::2]).abs().max() < 2e-6


@each_decoder
def test_tokens_of_any_layout_and_precision_are_decoded(decode):
    tokens = torch.randn(2, 16, 18, generator=torch.Generator().manual_seed(0)).bfloat16()
    expected = decode(tokens.float(), 2, 3, 100.0)
    assert torch.equal(decode(tokens, 2, 3, 100.0), expected)
    assert torch.equal(decode(tokens.double(), 2, 3, 100.0), expected)
    assert torch.equal(decode(tokens.mT.contiguous().mT, 2, 3, 100.0), expected)


def test_an_image_does_not_depend_on_its_batch():
    codec, images = DCTCodec(32, 4, 9, eta=400.0), random_images(5, 32)
    tokens = codec.encode(images)
    assert torch.equal(codec.encode(images[3:4])[0], tokens[3])
    assert torch.equal(codec.decode(tokens[3:4])[0], codec.decode(tokens)[3])
    assert codec.encode(images[:0]).shape == (0, *codec.shape)
    assert codec.decode(tokens[:0]).shape == (0, 32, 32, 3)


def test_what_does_not_fit_is_refused():
    codec = DCTCodec(16, 4, 9, eta=400.0)
    with pytest.raises(RuntimeError, match="invalid for input of size"):
        codec.decode(torch.zeros(1, 4, 6 * 8))
    with pytest.raises(RuntimeError, match="invalid for input of size"):
        codec.encode(random_images(1, 16)[:, :8])
    with pytest.raises(ValueError, match="12 pixels are not divisible by tokens of 8"):
        codec.encode(random_images(1, 12))


def test_coefficients_are_all_and_unscaled():
    images = smooth_images(2, 16)
    expected = exact_encode(images, 4, 16, 1.0)
    assert DCTCodec(16, 4, 9, eta=400.0).coefficients(images).numpy() == pytest.approx(expected.numpy(), abs=4e-4)


@pytest.mark.parametrize("block_size", [1, 2, 4, 8])
def test_grey_has_no_chroma_at_all(block_size):
    greys = torch.arange(256, dtype=torch.uint8)[:, None, None, None].expand(-1, 2 * block_size, 2 * block_size, 3)
    codec = DCTCodec(2 * block_size, block_size, block_size**2, eta=128.0 * block_size)
    tokens = codec.encode(greys)
    assert not tokens.unflatten(-1, (6, -1))[:, :, 4:].any()
    assert tokens.unflatten(-1, (6, -1))[:, 0, :4, 0].numpy() == pytest.approx(
        ((torch.arange(256.0) - 128) / 128)[:, None].expand(-1, 4).numpy(), abs=1e-6
    )
    lost = greys.int() - codec.decode(tokens).int()
    assert lost.min() >= 0 and lost.max() <= 1  # by truncation
    assert not lost[[0, 128, 255]].any()


@pytest.mark.parametrize(("block_size", "kept"), [(2, 4), (4, 9), (8, 18)])
def test_encode_equals_the_protocol_computed_slowly(block_size, kept):
    image = random_images(1, 4 * block_size)
    fast = DCTCodec(4 * block_size, block_size, kept, eta=240.0).encode(image)[0].numpy()
    assert fast == pytest.approx(slow_encode(image[0].numpy(), block_size, kept, 240.0), abs=3e-6)


def test_zigzag_is_the_published_order():
    assert zigzag(2) == [0, 1, 2, 3]
    assert zigzag(4) == [0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15]
    assert zigzag(8)[:10] == [0, 1, 8, 16, 9, 2, 3, 10, 17, 24]
    assert sorted(zigzag(8)) == list(range(64))


def test_grey_is_only_the_dc_of_luma():
    grey = torch.full((1, 8, 8, 3), 200, dtype=torch.uint8)
    tokens = DCTCodec(8, 2, 4, eta=100.0).encode(grey).unflatten(-1, (6, 4))
    assert tokens[:, :, :4, 0].numpy() == pytest.approx(2 * (200 - 128) / 100, abs=1e-5)
    tokens[:, :, :4, 0] = 0
    assert tokens.abs().max() < 1e-5


def test_luma_rows_are_orthogonal():
    """The four Y blocks of a patch of grey pixels are an orthonormal basis."""
    rows = encoding_matrix(4)[:4].sum(dim=2).flatten(2).flatten(0, 1)
    assert torch.allclose(rows @ rows.T, torch.eye(len(rows), dtype=rows.dtype), atol=1e-12)


@pytest.mark.parametrize("block_size", [2, 4, 8])
def test_decode_inverts_encode_of_grey_images(block_size):
    grey = random_images(2, 32)[..., :1].expand(-1, -1, -1, 3)
    codec = DCTCodec(32, block_size, block_size**2, eta=1000.0 * block_size)
    error = codec.decode(codec.encode(grey)).int() - grey.int()
    assert error.min() >= -1  # truncation may lose one level, and nothing else is lost
    assert error.max() <= 0


def test_chroma_is_upsampled_with_quarter_weights():
    """Two chroma columns a, b become a, (3a+b)/4, (a+3b)/4, b (protocol point 15)."""
    codec = DCTCodec(4, 2, 4, eta=100.0)
    tokens = torch.zeros(1, 1, 24)
    # Cr = 128 +- c in the two columns: the horizontal frequency of the 2 x 2 block is 2c.
    tokens[0, 0, 5 * 4 + 1] = 2 * 20 / 100
    red = codec.decode(tokens)[0, 0, :, 0].tolist()
    assert red == [int(128 + 1.402 * c) for c in (20, 10, -10, -20)]


def test_decode_clips_to_twice_eta_and_to_bytes():
    codec = DCTCodec(4, 2, 4, eta=50.0)
    tokens = torch.zeros(1, 1, 24)
    tokens[..., 0] = 9.0  # DC of the first block: clipped to 2 eta = 100, i.e. 50 grey levels
    assert codec.decode(tokens)[0, 0, 0].tolist() == [178, 178, 178]
    codec = DCTCodec(4, 2, 4, eta=1000.0)
    assert codec.decode(torch.full((1, 1, 24), 2.0)).max() == 255


def test_dropping_high_frequencies_keeps_the_mean():
    images = random_images(2, 32)[..., :1].expand(-1, -1, -1, 3)
    codec = DCTCodec(32, 8, 1, eta=8000.0)
    decoded = codec.decode(codec.encode(images)).float()
    blocks = images.float()[:, :8, :8].mean(dim=(1, 2))
    assert (decoded[:, 0, 0] - blocks).abs().max() <= 1.0


def test_pixels_round_trip_exactly():
    images = random_images(2, 8)
    codec = PixelCodec(8)
    encoded = codec.encode(images)
    assert encoded.min() >= -1 and encoded.max() <= 1
    assert torch.equal(codec.decode(encoded), images)


def test_planes_are_centred_and_come_back():
    images = random_images(2, 6)
    red, green, blue = images[1, 2, 3].tolist()
    y, cb, cr = ycbcr_planes(images)[1, :, 2, 3].tolist()
    assert y == pytest.approx(0.299 * red + 0.587 * green + 0.114 * blue - 128, abs=1e-5)
    assert cb == pytest.approx(-0.168736 * red - 0.331264 * green + 0.5 * blue, abs=1e-5)
    assert cr == pytest.approx(0.5 * red - 0.418688 * green - 0.081312 * blue, abs=1e-5)
    lost = images.int() - rgb_images(ycbcr_planes(images)).int()
    assert lost.min() >= 0 and lost.max() <= 1  # the matrices are inverse to six digits, and bytes are truncated
    grey = images[..., :1].expand(-1, -1, -1, 3)
    assert torch.equal(rgb_images(ycbcr_planes(grey)), grey)


def test_each_block_is_transformed_on_its_own():
    rng = np.random.default_rng(0)
    planes, matrix = rng.normal(size=(2, 3, 6, 9)), rng.normal(size=(2, 3))
    result = transform_blocks(torch.from_numpy(planes), torch.from_numpy(matrix)).numpy()
    assert result.shape == (2, 3, 4, 6)
    for row in range(2):
        for column in range(3):
            block = planes[1, 2, 3 * row : 3 * row + 3, 3 * column : 3 * column + 3]
            expected = matrix @ block @ matrix.T
            assert result[1, 2, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2] == pytest.approx(expected)


def test_doubling_replicates_edges():
    row = doubled(torch.tensor([[[[0.0, 4.0, 8.0]]]]))[0, 0]
    assert row[0].tolist() == row[1].tolist() == [0, 1, 3, 5, 7, 8]
