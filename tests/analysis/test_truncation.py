"""Truncation and m*: against a slow computation of the protocol, and the stage as a process."""

import io
import itertools
import json
import math
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from dctdiff.analysis.distortion import distances, jpeg_round_trip, labelled_rows
from dctdiff.analysis.truncation import m_star, truncated, usual_bound
from dctdiff.data.archive import encode_jpeg, read_images, write_archive
from dctdiff.metrics.features import Extractor
from dctdiff.metrics.frechet import fit, frechet_distance
from dctdiff.params.truncation import MeasuredTruncation, Truncation
from dctdiff.pipeline.errors import UserError
from dctdiff.spaces.dct import DCTCodec
from dctdiff.spaces.zigzag import zigzag
from dctdiff.stages import truncation as stage
from engines import call

CPU = torch.device("cpu")
EXTRACTOR = ["--extractor", "efficientnet-lite0", "--feature_resolution", "32", "--batch_size", "5"]


def random_images(n: int, resolution: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, resolution, resolution, 3), dtype=np.uint8)


def smooth_images(n: int, resolution: int) -> np.ndarray:
    """Coarse noise, enlarged: most of its power lies at low frequencies."""
    small = [Image.fromarray(image) for image in random_images(n, 4)]
    return np.stack([np.asarray(image.resize((resolution, resolution), Image.Resampling.BICUBIC)) for image in small])


def reconstructed(images: torch.Tensor, block_size: int, kept: int) -> torch.Tensor:
    """``truncated`` for a single count."""
    return dict(truncated(images, block_size, [kept]))[kept]


def slow_plane(plane: np.ndarray, block_size: int, kept: int) -> np.ndarray:
    """Sum of the first ``kept`` cosines of every block, each with its own loop."""
    result = np.zeros_like(plane)
    for top in range(0, len(plane), block_size):
        for left in range(0, len(plane), block_size):
            block = plane[top : top + block_size, left : left + block_size]
            for index in zigzag(block_size)[:kept]:
                u, v = divmod(index, block_size)
                wave = np.array(
                    [
                        [
                            math.cos((2 * x + 1) * u * math.pi / 2 / block_size)
                            * math.cos((2 * y + 1) * v * math.pi / 2 / block_size)
                            for y in range(block_size)
                        ]
                        for x in range(block_size)
                    ]
                )
                wave /= math.sqrt((wave**2).sum())
                result[top : top + block_size, left : left + block_size] += (wave * block).sum() * wave
    return result


def slow_doubled(plane: np.ndarray) -> np.ndarray:
    """Protocol point 15, pixel by pixel."""
    side = len(plane)
    result = np.zeros((2 * side, 2 * side))
    for y in range(2 * side):
        for x in range(2 * side):
            for row, vertical in ((y // 2, 0.75), (y // 2 + (1 if y % 2 else -1), 0.25)):
                for column, horizontal in ((x // 2, 0.75), (x // 2 + (1 if x % 2 else -1), 0.25)):
                    at = min(max(row, 0), side - 1), min(max(column, 0), side - 1)
                    result[y, x] += vertical * horizontal * plane[at]
    return result


def slow_truncated(image: np.ndarray, block_size: int, kept: int) -> np.ndarray:
    """Protocol point 44 before it truncates to bytes."""
    red, green, blue = image.astype(np.float64).transpose(2, 0, 1)
    y = slow_plane(0.299 * red + 0.587 * green + 0.114 * blue - 128, block_size, kept) + 128
    chroma = (-0.168736 * red - 0.331264 * green + 0.5 * blue, 0.5 * red - 0.418688 * green - 0.081312 * blue)
    side = len(image) // 2
    halves = [c.reshape(side, 2, side, 2).mean(axis=(1, 3)) for c in chroma]
    cb, cr = (slow_doubled(slow_plane(half, block_size, kept)) for half in halves)
    return np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=-1).clip(0, 255)


@pytest.mark.parametrize(("block_size", "kept"), [(2, 3), (4, 9), (8, 18)])
def test_truncation_is_the_protocol_computed_slowly(block_size, kept):
    image = smooth_images(1, 4 * block_size)
    fast = reconstructed(torch.from_numpy(image), block_size, kept)[0].numpy()
    slow = slow_truncated(image[0], block_size, kept)
    assert np.all(fast < slow + 1e-4)  # truncated, not rounded; a whole number may come out just below
    assert np.all(fast > slow - 1 - 1e-4)


@pytest.mark.parametrize("block_size", [2, 4, 8])
def test_the_codec_of_the_networks_agrees_but_for_rounding(block_size):
    images = torch.from_numpy(smooth_images(4, 32))
    for kept, changed in truncated(images, block_size, [1, block_size**2]):
        codec = DCTCodec(32, block_size, kept, eta=128.0 * block_size)  # so large that nothing is clipped
        difference = changed.int() - codec.decode(codec.encode(images)).int()
        assert difference.abs().max() <= 1
        assert (difference != 0).float().mean() < 0.02


@pytest.mark.parametrize("block_size", [2, 4, 8])
def test_all_coefficients_of_grey_images_lose_nothing(block_size):
    grey = torch.from_numpy(random_images(10, 32)[..., :1]).expand(-1, -1, -1, 3)
    assert torch.equal(reconstructed(grey, block_size, block_size**2), grey)


@pytest.mark.parametrize("value", [0, 1, 77, 128, 254, 255])
def test_a_constant_grey_image_survives_any_truncation(value):
    grey = torch.full((1, 16, 16, 3), value, dtype=torch.uint8)
    for _, changed in truncated(grey, 4, [1, 7, 16]):
        assert torch.equal(changed, grey)


def test_the_error_falls_with_every_coefficient_kept():
    images = torch.from_numpy(smooth_images(8, 32))
    changed = dict(truncated(images, 4, range(1, 17)))
    errors = [(changed[kept].double() - images.double()).square().mean().item() for kept in range(1, 17)]
    # Bytes are truncated and clipped after the projection, which alone would never add an error.
    assert all(after < 1.01 * before for before, after in itertools.pairwise(errors))
    assert errors[0] > 50 * errors[-1]


def test_m_star_is_the_largest_m_below_the_bound():
    assert m_star({0: 0.1, 3: 0.2, 7: 0.49, 8: 0.5, 9: 0.7}, 0.5) == 7
    assert m_star({0: 0.1, 3: 0.6, 7: 0.4}, 0.5) == 7  # a single excess below does not count
    assert m_star({0: 0.6, 3: 0.7}, 0.5) is None


def mean_colours(images: torch.Tensor) -> torch.Tensor:
    """A feature network that can be computed by hand."""
    return images.float().mean(dim=(1, 2))


MEAN_COLOURS = Extractor("FD (mean colours)", "0" * 64, 3, mean_colours)


def test_distances_are_those_of_whole_sets_after_jpeg():
    images = smooth_images(9, 16)
    seen = []
    found = distances(
        [images[:4], images[4:]],
        lambda batch: [("dark", batch // 2), ("same", batch)],
        75,
        MEAN_COLOURS,
        CPU,
        seen.append,
    )
    features = {
        name: mean_colours(torch.from_numpy(changed)).numpy()
        for name, changed in {
            "originals": images,
            "dark": jpeg_round_trip(images // 2, 75),
            "same": jpeg_round_trip(images, 75),
        }.items()
    }
    for name in ("dark", "same"):
        expected = frechet_distance(fit(features[name]), fit(features["originals"]))
        assert found[name] == pytest.approx(expected, rel=1e-6)
    assert found["dark"] > found["same"] > 0
    assert seen == [4, 5]


def test_jpeg_round_trip_is_the_file_that_would_be_written():
    images = smooth_images(2, 16)
    expected = np.asarray(Image.open(io.BytesIO(encode_jpeg(images[1], 75))))
    assert np.array_equal(jpeg_round_trip(images, 75)[1], expected)


def test_pictures_of_full_and_half_size_show_the_same_place():
    image = np.zeros((1, 256, 256, 3), dtype=np.uint8)
    image[:, 100:120, 130:140] = 255
    canvas = np.asarray(labelled_rows({"full": image, "half": image[:, ::2, ::2]}))
    assert canvas.shape == (2 * 194 - 2, 104 + 192, 3)
    assert np.array_equal(canvas[:192, 104:], canvas[194:, 104:])
    assert canvas[40:80, 204:224].min() == 255  # (100 - 80) * 2 from the top, (130 - 80) * 2 from the left
    assert canvas[39, 204:224].max() == 0


def test_small_images_are_magnified_and_rows_are_chosen_evenly():
    params = MeasuredTruncation(
        dataset="d", jpeg_quality=75, block_size=4, kept_coefficients=list(range(1, 17)), n_images=2,
        extractor="efficientnet-lite0", feature_resolution=32, batch_size=2,
    )  # fmt: skip
    rows = stage.picture_rows(smooth_images(2, 32), params)
    assert [label.split("\n")[0] for label in rows] == [
        "original", "m = 0", "m = 3", "m = 6", "m = 9", "m = 12", "m = 15",
    ]  # fmt: skip
    assert labelled_rows(rows).size == (104 + 2 * 194 - 2, 7 * 194 - 2)


def archive(path, n: int, resolution: int, record: dict | None = None):
    images = smooth_images(n, resolution)
    write_archive(path, [(f"{i:02d}.jpg", encode_jpeg(image, 75)) for i, image in enumerate(images)], record or {})


def measure(monkeypatch, folder, *flags: str) -> None:
    """The stage with ``flags``, within this process, on features that are quick to compute."""
    monkeypatch.setattr("dctdiff.analysis.measurement.load_extractor", lambda name, resolution, device: MEAN_COLOURS)
    monkeypatch.chdir(folder)
    command = ["truncation", "--images", "a.zip", "--dataset", "d", *flags, *EXTRACTOR]
    monkeypatch.setattr(sys, "argv", [*command, "--out_truncation", "t.json", "--out_grid", "t.png"])
    call(stage)


def test_the_stage_writes_the_curve_and_m_star(tmp_path, monkeypatch):
    archive(tmp_path / "a.zip", 12, 16)
    flags = "--block_size 4 --kept_coefficients 1 16 6 --n_images 7 --bound 1"
    measure(monkeypatch, tmp_path, *flags.split())
    result = json.loads((tmp_path / "t.json").read_text())
    assert [(point["m"], point["kept"]) for point in result["curve"]] == [(0, 16), (10, 6), (15, 1)]
    values = [point["value"] for point in result["curve"]]
    assert 0 < values[0] < values[2]
    assert result["m_star"] == max(point["m"] for point in result["curve"] if point["value"] < 1)
    assert (result["n_images"], result["bound"], result["jpeg_quality"], result["resolution"]) == (7, 1, 75, 16)
    assert result["protocol"]["metric"] == "FD (mean colours)"
    assert Image.open(tmp_path / "t.png").size == (104 + 5 * 194 - 2, 4 * 194 - 2)

    # The same number from whole arrays.
    images = read_images(tmp_path / "a.zip", 7)
    changed = jpeg_round_trip(reconstructed(torch.from_numpy(images), 4, 6).numpy(), 75)
    ends = [fit(MEAN_COLOURS.features([x], CPU, lambda n: None)) for x in (changed, images)]
    assert values[1] == pytest.approx(frechet_distance(*ends), rel=1e-6)


@pytest.mark.parametrize(
    ("resolution", "flags", "message"),
    [
        (12, "--block_size 4 --kept_coefficients 16", "12 pixels are not divisible by 2 * block_size = 8"),
        (16, "--block_size 2 --kept_coefficients 5", "kept_coefficients holds 5, but should hold at most 4"),
        (16, "--block_size 2 --kept_coefficients 3 3", "name each number once"),
        (16, "--block_size 2 --kept_coefficients 0", "kept_coefficients.0 is '0'"),
    ],
)
def test_a_wrong_size_or_count_ends_in_one_line(tmp_path, monkeypatch, resolution, flags, message):
    archive(tmp_path / "a.zip", 2, resolution)
    with pytest.raises(UserError) as caught:
        measure(monkeypatch, tmp_path, *flags.split(), "--n_images", "2")
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip"]


def test_the_bound_is_the_papers_on_the_scale_of_the_paper_only():
    curve = {0: 14.6, 1: 20.0, 2: 40.0}
    assert usual_bound(curve, "FID", 50_000) == 0.5
    for metric, n_images in (("FID", 49_999), ("FD (EfficientNet-Lite0)", 50_000)):
        assert m_star(curve, usual_bound(curve, metric, n_images)) == 1
    assert m_star({0: 0.203, 1: 0.552}, usual_bound({0: 0.203}, "FD", 10_000)) == 0  # CIFAR-10, as in the paper


@pytest.mark.parametrize(("record", "quality"), [({}, 75), ({"jpeg_quality": 90}, 90)])
def test_without_keys_the_quality_is_that_of_the_crops_and_the_bound_from_m_0(tmp_path, monkeypatch, record, quality):
    archive(tmp_path / "a.zip", 12, 16, record)
    results = []
    for flags in ("", f"--jpeg_quality {quality} --bound 1000"):
        measure(monkeypatch, tmp_path, *f"--block_size 4 --kept_coefficients 1 16 6 --n_images 7 {flags}".split())
        results.append(json.loads((tmp_path / "t.json").read_text()))
    usual, given = results
    assert usual["curve"] == given["curve"] and usual["jpeg_quality"] == quality and given["bound"] == 1000
    assert usual["bound"] == 2 * usual["curve"][0]["value"] and usual["m_star"] is not None
    assert given["m_star"] == 15


def test_without_a_bound_m_0_is_needed():
    with pytest.raises(ValidationError, match="judged against m = 0, but kept_coefficients has no 16; add it, or give"):
        Truncation(dataset="d", block_size=4, kept_coefficients=[8], n_images=50_000)
    assert Truncation(dataset="d", block_size=4, kept_coefficients=[8], n_images=50_000, bound=0.5).bound == 0.5
