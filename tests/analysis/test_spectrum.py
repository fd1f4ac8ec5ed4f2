"""Power spectra: Parseval, white noise, single waves, and the signal-to-noise ratio."""

import json
import math
import sys

import numpy as np
import pytest
import torch

from dctdiff.analysis.spectrum import CoefficientPower, RadialPower, crossing_times, snr
from dctdiff.data.archive import encode_jpeg, read_images, write_archive
from dctdiff.diffusion.schedule import Schedule
from dctdiff.pipeline.errors import UserError
from dctdiff.spaces.dct import DCTCodec
from dctdiff.stages import spectrum as stage
from engines import call


def radial(planes: np.ndarray) -> RadialPower:
    power = RadialPower(planes.shape[1])
    power.update(torch.from_numpy(planes))
    return power


@pytest.mark.parametrize("resolution", [8, 9])
def test_the_mean_power_is_the_mean_square_of_the_pixels(resolution):
    planes = np.random.default_rng(0).normal(0.3, 1.0, (3, resolution, resolution))
    power = radial(planes)
    assert power.sizes().sum() == resolution**2
    assert (power.mean() * power.sizes()).sum() / resolution**2 == pytest.approx((planes**2).mean())
    # Without the mean, i.e. without ring 0, it is the variance.
    centred = radial(planes - planes.mean(axis=(1, 2), keepdims=True))
    assert centred.mean()[0] == pytest.approx(0, abs=1e-20)
    variance = planes.var(axis=(1, 2)).mean()
    assert (power.mean() * power.sizes())[1:].sum() / resolution**2 == pytest.approx(variance)


def test_a_wave_has_its_power_at_its_frequency():
    x = np.arange(16)
    wave = np.cos(2 * np.pi * (3 * x[:, None] + 4 * x[None, :]) / 16)
    power = radial(wave[None])
    energy = power.mean() * power.sizes()
    assert energy[5] == pytest.approx(16**2 / 2)  # sqrt(3^2 + 4^2) cycles per image
    assert np.delete(energy, 5) == pytest.approx(0, abs=1e-20)


def test_rings_are_counted_one_frequency_after_the_other():
    sizes = [0] * 12
    for row in range(16):
        for column in range(16):
            vertical, horizontal = min(row, 16 - row), min(column, 16 - column)
            sizes[round(math.hypot(vertical, horizontal))] += 1
    assert RadialPower(16).sizes().tolist() == sizes


def test_white_noise_has_its_variance_at_every_frequency():
    planes = np.random.default_rng(0).normal(0, 0.5, (400, 16, 16))
    power = radial(planes)
    tolerance = 5 * 0.25 * np.sqrt(2 / (400 * power.sizes()))  # five standard errors
    assert np.all(np.abs(power.mean() - 0.25) < tolerance)


def test_batches_add_up():
    planes = np.random.default_rng(0).normal(size=(5, 8, 8))
    parts = RadialPower(8)
    parts.update(torch.from_numpy(planes[:2]))
    parts.update(torch.from_numpy(planes[2:]))
    assert parts.mean() == pytest.approx(radial(planes).mean())


def test_coefficient_power_is_the_mean_square_per_channel():
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8))
    tokens = DCTCodec(16, 2, 4, eta=1.0).coefficients(images)  # (3, 16, 24)
    power = CoefficientPower(4)
    power.update(tokens[:1])
    power.update(tokens[1:])
    for channel, blocks in (("y", range(4)), ("cb", [4]), ("cr", [5])):
        for place in range(4):
            values = [tokens[n, t, 4 * b + place].item() ** 2 for n in range(3) for t in range(16) for b in blocks]
            assert power.mean()[channel][place] == pytest.approx(sum(values) / len(values), rel=1e-5)


@pytest.mark.parametrize("snr_scale", [1.0, 4.0])
def test_snr_is_measured_power_over_measured_noise(snr_scale):
    schedule, times = Schedule(snr_scale), [0.05, 0.4, 1.0]
    power = np.array([2.0, 0.01])
    for row, t in zip(snr(power, schedule, times), times, strict=True):
        at = torch.tensor(t, dtype=torch.float64)
        assert row == pytest.approx(schedule.signal(at).item() ** 2 * power / schedule.noise(at).item() ** 2)
    assert snr(power, schedule, times) == pytest.approx(snr_scale * snr(power, Schedule(1.0), times))


def test_the_snr_is_one_at_the_crossing_time():
    power, schedule = np.array([0.5, 1e-3, 1e-6]), Schedule(4.0)
    times = crossing_times(power, schedule)
    assert np.all(np.diff(times) < 0)  # less power drowns earlier
    assert np.diag(snr(power, schedule, times.tolist())) == pytest.approx(1)
    assert crossing_times(np.array([0.0]), schedule) == [0]


STATISTICS = {"resolution": 16, "space": "dct", "block_size": 2, "kept_coefficients": 3, "eta": 200.0}


def measure(monkeypatch, folder, statistics: dict, *flags: str) -> dict:
    """The stage on smooth ramps, within this process."""
    ramp = np.linspace(0, 200, 16, dtype=np.uint8)
    images = [np.broadcast_to(ramp[:, None, None] + np.uint8(i), (16, 16, 3)) for i in range(8)]
    write_archive(folder / "a.zip", [(f"{i}.jpg", encode_jpeg(image, 75)) for i, image in enumerate(images)], {})
    (folder / "s.json").write_text(json.dumps(statistics))
    monkeypatch.chdir(folder)
    command = ["spectrum", "--images", "a.zip", "--statistics", "s.json", "--dataset", "d", "--codec", "c"]
    defaults = ["--snr_scale", "4", "--n_images", "6", "--seed", "1", "--times", "0.1", "1.0"]
    monkeypatch.setattr(sys, "argv", [*command, *defaults, *flags, "--out_spectrum", "p.json"])
    call(stage)
    return json.loads((folder / "p.json").read_text())


def test_the_stage_measures_the_images_and_their_coefficients(tmp_path, monkeypatch):
    result = measure(monkeypatch, tmp_path, STATISTICS)
    images = read_images(tmp_path / "a.zip", 6).astype(np.float64)
    luma = result["luma"]
    sizes, clean = np.array(luma["frequencies"]), np.array(luma["clean"])
    y = (0.299 * images[..., 0] + 0.587 * images[..., 1] + 0.114 * images[..., 2]) / 127.5 - 1
    assert (clean * sizes).sum() / 256 == pytest.approx((y**2).mean())
    assert luma["cycles_per_image"] == list(range(len(sizes)))

    at = torch.tensor([0.1, 1.0], dtype=torch.float64)
    signal, noise = Schedule(1.0).signal(at).numpy() ** 2, Schedule(1.0).noise(at).numpy() ** 2
    assert luma["noise"] == pytest.approx(noise)
    for row in range(2):
        noisy = np.array(luma["noisy"][row])
        expected = signal[row] * clean + noise[row]
        many = sizes > 20  # there the mean over six images is within 5 standard errors of 8 percent
        assert noisy[many] == pytest.approx(expected[many], rel=0.4)
        assert noisy @ sizes == pytest.approx(expected @ sizes, rel=0.15)

    tokens = DCTCodec(16, 2, 4, eta=200.0).encode(torch.from_numpy(images.astype(np.uint8))).unflatten(-1, (6, 4))
    channels = result["dct"]["channels"]
    assert channels["y"]["power"] == pytest.approx(tokens[:, :, :4].square().mean(dim=(0, 1, 2)).tolist(), rel=1e-4)
    assert channels["cr"]["power"] == pytest.approx(tokens[:, :, 5].square().mean(dim=(0, 1)).tolist(), abs=1e-9)
    assert np.array(channels["y"]["snr"]).shape == (2, 4)
    assert channels["y"]["snr"][0] == pytest.approx(
        snr(np.array(channels["y"]["power"]), Schedule(4.0), [0.1])[0].tolist()
    )
    assert (result["dct"]["kept_coefficients"], result["dct"]["eta"], result["n_images"]) == (3, 200.0, 6)


def test_noise_depends_on_the_seed_and_not_on_the_batch(tmp_path, monkeypatch):
    whole = measure(monkeypatch, tmp_path, STATISTICS)
    monkeypatch.setattr(stage, "BATCH_SIZE", 4)
    assert measure(monkeypatch, tmp_path, STATISTICS)["luma"]["noisy"][1] == pytest.approx(whole["luma"]["noisy"][1])
    assert measure(monkeypatch, tmp_path, STATISTICS, "--seed", "2")["luma"]["noisy"] != whole["luma"]["noisy"]


def test_a_pixel_codec_has_no_coefficients(tmp_path, monkeypatch):
    result = measure(monkeypatch, tmp_path, {"resolution": 16, "space": "pixel", "patch_size": 4, "eta": 127.5})
    assert "dct" not in result


@pytest.mark.parametrize(
    ("statistics", "flags", "message"),
    [
        (STATISTICS | {"resolution": 32}, "", "has images of 16 pixels, but s.json is of 32"),
        (STATISTICS, "--times 0.5 0.1", "in rising order"),
        (STATISTICS, "--times 0", "--times.0 is '0', but should be more than 0.0"),
        (STATISTICS, "--n_images 9", "a.zip holds 8 images, but n_images is 9"),
    ],
)
def test_wrong_input_ends_in_one_line(tmp_path, monkeypatch, statistics, flags, message):
    with pytest.raises(UserError) as caught:
        measure(monkeypatch, tmp_path, statistics, *flags.split())
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "p.json").exists()
