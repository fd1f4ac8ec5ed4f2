"""The round_trip stage: the codec of the statistics, and the JPEG quality of its space."""

import sys

import numpy as np
import pytest

from dctdiff.data.archive import decode_image, encode_jpeg, read_entries, read_images, read_record, write_archive
from dctdiff.pipeline.files import write_json
from dctdiff.stages import round_trip
from engines import call

SPACES = {
    "dct": {"space": "dct", "resolution": 8, "block_size": 2, "kept_coefficients": 4, "eta": 240.0},
    "pixel": {"space": "pixel", "resolution": 8},
    "latent": {"space": "latent", "resolution": 8, "patch_size": 1, "autoencoder": {"seed": 1}},
}


@pytest.mark.parametrize(("space", "quality"), [("dct", 95), ("pixel", 60), ("latent", 60)])
def test_each_space_has_its_jpeg_quality(tmp_path, monkeypatch, space, quality):
    images = np.random.default_rng(0).integers(60, 200, (5, 8, 8, 3), dtype=np.uint8)
    write_archive(tmp_path / "in.zip", ((f"{i}.jpg", encode_jpeg(x, 95)) for i, x in enumerate(images)), {})
    write_json(tmp_path / "statistics.json", SPACES[space])
    monkeypatch.setattr(round_trip, "BATCH_SIZE", 2)
    arguments = {"images": tmp_path / "in.zip", "statistics": tmp_path / "statistics.json"}
    arguments |= {"dct_jpeg_quality": 95, "pixel_jpeg_quality": 60, "out_images": tmp_path / "out.zip"}
    monkeypatch.setattr(sys, "argv", ["round_trip", *(f"--{name}={value}" for name, value in arguments.items())])
    call(round_trip)

    assert read_record(tmp_path / "out.zip")["jpeg_quality"] == quality
    before = read_images(tmp_path / "in.zip")
    entries = list(read_entries(tmp_path / "out.zip"))
    assert [name for name, _ in entries] == [f"{i:08d}.jpg" for i in range(5)]
    [whole] = round_trip.round_trip([before], SPACES[space])
    assert [content for _, content in entries] == [encode_jpeg(image, quality) for image in whole]
    if space != "latent":  # whose weights are random
        assert np.abs(decode_image(entries[0][1], "0").astype(int) - before[0]).mean() < 20
