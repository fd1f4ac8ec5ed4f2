"""Measure the power of each frequency of a dataset, clean and along the forward process."""

from argparse import Namespace
from collections.abc import Iterable

import numpy as np
import torch

from dctdiff.analysis.spectrum import CoefficientPower, RadialPower, crossing_times, snr
from dctdiff.data.archive import count_images, image_batches
from dctdiff.diffusion.draws import normal_per_image
from dctdiff.diffusion.schedule import Schedule
from dctdiff.params.forms import MeasuredCodec
from dctdiff.params.spectrum import Spectrum
from dctdiff.pipeline.command import run_stage
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import read_json, sha256, write_json
from dctdiff.pipeline.progress import progress
from dctdiff.spaces.colour import ycbcr_planes
from dctdiff.spaces.dct import DCTCodec

PATHS = {
    "images": "archive of the training images",
    "statistics": "statistics of the codec",
    "out_spectrum": "power spectra and signal-to-noise ratios, JSON",
}

BATCH_SIZE = 50
PIXEL_SCALE = 127.5  # pixel diffusion sees values in [-1, 1] (protocol point 7)
PIXEL_SCHEDULE = Schedule(1.0)  # and leaves the signal-to-noise ratio as it is


def measure(
    batches: Iterable[np.ndarray], resolution: int, codec: DCTCodec | None, params: Spectrum
) -> tuple[list[RadialPower], CoefficientPower | None]:
    """Powers of the luma at each time (0 first), and of the coefficients of a DCT codec.

    ``batches``: (n, R, R, 3) uint8. The luma is diffused as a grey image would be: its noise has
    variance 1.
    """
    times = torch.tensor([0.0, *params.times], dtype=torch.float64)
    luma_powers = [RadialPower(resolution) for _ in times]
    coefficient_power = CoefficientPower(codec.block_size**2) if codec else None
    done = 0
    with progress("spectrum", params.n_images, "images") as bar:
        for batch in batches:
            images = torch.from_numpy(batch)
            luma = (ycbcr_planes(images)[:, 0] + 128.0) / PIXEL_SCALE - 1.0  # (n, R, R)
            noise = normal_per_image(params.seed, "spectrum", range(done, done + len(batch)), luma.shape[1:]).double()
            for power, t in zip(luma_powers, times, strict=True):
                power.update(PIXEL_SCHEDULE.diffuse(luma, noise, t.expand(len(luma))))
            if codec:
                coefficient_power.update(codec.coefficients(images))
            done += len(batch)
            bar.update(len(batch))
    return luma_powers, coefficient_power


def luma_record(powers: list[RadialPower], times: list[float]) -> dict:
    clean, *noisy = powers
    noise = PIXEL_SCHEDULE.noise(torch.tensor(times, dtype=torch.float64))
    return {
        "cycles_per_image": list(range(len(clean.sizes()))),
        "frequencies": clean.sizes().tolist(),
        "clean": clean.mean().tolist(),
        "noisy": [power.mean().tolist() for power in noisy],
        "noise": noise.square().tolist(),
    }


def dct_record(power: CoefficientPower, codec: DCTCodec, params: Spectrum) -> dict:
    schedule = Schedule(params.snr_scale)
    channels = {}
    for name, squares in power.mean().items():
        scaled = squares / codec.eta**2
        channels[name] = {
            "power": scaled.tolist(),
            "snr": snr(scaled, schedule, params.times).tolist(),
            "crossing_times": crossing_times(scaled, schedule).tolist(),
        }
    return {
        "block_size": codec.block_size,
        "kept_coefficients": codec.kept_coefficients,
        "eta": codec.eta,
        "channels": channels,
    }


def main(paths: Namespace, params: Spectrum) -> None:
    statistics = read_json(paths.statistics, MeasuredCodec)
    n_images = count_images(paths.images, params.n_images)
    resolution = next(image_batches(paths.images, 1, 1)).shape[1]
    if resolution != statistics["resolution"]:
        raise UserError(
            f"{paths.images} has images of {resolution} pixels, but {paths.statistics} is of "
            f"{statistics['resolution']}; run the statistics stage again"
        )
    codec = None
    if statistics["space"] == "dct":
        codec = DCTCodec(*(statistics[key] for key in ("resolution", "block_size", "kept_coefficients", "eta")))
    batches = image_batches(paths.images, BATCH_SIZE, n_images)
    luma_powers, coefficient_power = measure(batches, resolution, codec, params)
    write_json(
        paths.out_spectrum,
        {
            **params.model_dump(),
            "images_sha256": sha256(paths.images),
            "statistics_sha256": sha256(paths.statistics),
            "resolution": resolution,
            "luma": luma_record(luma_powers, params.times),
            **({"dct": dct_record(coefficient_power, codec, params)} if codec else {}),
        },
    )


if __name__ == "__main__":
    run_stage(main, PATHS, Spectrum)
