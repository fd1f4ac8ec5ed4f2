"""A few images of a data set and its statistics in float16: the same files, and nearly the same distances."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from dctdiff.commands import excerpt
from dctdiff.data.archive import class_labels, encode_jpeg, image_names, read_entries, write_archive
from dctdiff.metrics.features import Extractor
from dctdiff.metrics.frechet import Gaussian, fit, frechet_distance
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import sha256
from dctdiff.stages import reference
from engines import call

DIM = 40
PROTOCOL = {"metric": "FD", "extractor_sha256": "a", "feature_resolution": 96, "reference_n_images": 3000}


@pytest.fixture
def excerpted(tmp_path, monkeypatch):
    """The folder, and the fit whose statistics were rounded."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(excerpt, "N_TRAIN", 20)
    monkeypatch.setattr(excerpt, "N_HELDOUT", 10)
    for name, n in (("train", 60), ("heldout", 25)):
        files = [encode_jpeg(np.full((8, 8, 3), i, np.uint8), 95) for i in range(n)]
        write_archive(
            tmp_path / f"{name}.zip", [(f"{'abcde'[i * 5 // n]}/{i:03d}.jpg", f) for i, f in enumerate(files)], {}
        )
    random = np.random.default_rng(0)
    gaussian = fit(random.normal(size=(3000, DIM)) * random.uniform(0.05, 3, DIM) + 1)
    np.savez(
        "reference.npz", mu=gaussian.mean, sigma=gaussian.covariance, protocol=json.dumps(PROTOCOL),
        features=np.zeros((5, DIM), np.float32),
    )  # fmt: skip
    words = ["--train", "train.zip", "--heldout", "heldout.zip", "--reference", "reference.npz"]
    words += ["--out_train", "few.zip", "--out_heldout", "few-heldout.zip", "--out_reference", "rounded.npz"]
    monkeypatch.setattr(sys, "argv", ["excerpt", *words])
    call(excerpt)
    return tmp_path, gaussian


def read(resolution: int = 96, extractor: str = "a") -> Gaussian:
    params = SimpleNamespace(feature_resolution=resolution)
    return reference.published("rounded.npz", sha256("rounded.npz"), Extractor("FD", extractor, DIM, None), params)


def test_images_are_the_same_files_and_of_all_classes(excerpted):
    for name, few, n in (("train.zip", "few.zip", 20), ("heldout.zip", "few-heldout.zip", 10)):
        all_of_them, chosen = dict(read_entries(name)), dict(read_entries(few))
        assert len(chosen) == n and chosen.items() <= all_of_them.items()
        labels, classes = class_labels(image_names(few))
        assert classes == list("abcde") and set(np.bincount(labels)) == {n // 5}


def test_distances_to_rounded_statistics_are_nearly_the_same(excerpted):
    _, exact = excerpted
    found = read()
    assert found.n == 3000
    random = np.random.default_rng(1)
    other = fit(random.normal(size=(200, DIM)) * 1.5 + 0.8)
    assert frechet_distance(other, found) == pytest.approx(frechet_distance(other, exact), rel=1e-3)
    assert found.mean.dtype == found.covariance.dtype == np.float64 and not np.array_equal(found.mean, exact.mean)


@pytest.mark.parametrize("other", [{"resolution": 224}, {"extractor": "b"}])
def test_statistics_of_another_extractor_are_refused(excerpted, other):
    with pytest.raises(UserError, match=r"rounded\.npz was made with another extractor"):
        read(**other)
