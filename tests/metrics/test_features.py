"""Feature extractors: values that do not depend on batches, and errors that say what to do."""

import numpy as np
import pytest
import torch

from dctdiff.metrics.features import evenly_spaced, load_extractor
from dctdiff.metrics.frechet import fit, frechet_distance
from dctdiff.pipeline.errors import UserError

CPU = torch.device("cpu")
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)


def features(images: np.ndarray, batch_size: int) -> np.ndarray:
    extractor = load_extractor("efficientnet-lite0", 64, CPU)
    batches = (images[start : start + batch_size] for start in range(0, len(images), batch_size))
    return extractor.features(batches, CPU, lambda n: None)


def test_the_batch_size_changes_no_bit_of_the_features():
    whole = features(IMAGES, 6)
    assert whole.shape == (6, 1280)
    for batch_size in (1, 4, 5):
        assert np.array_equal(whole, features(IMAGES, batch_size))
    assert whole.std(axis=0).max() > 0.1


def test_features_come_one_batch_at_a_time():
    extractor = load_extractor("efficientnet-lite0", 32, CPU)
    seen, told = [], []

    def batches():
        for start in (0, 2, 4):
            seen.append(start)
            yield IMAGES[start : start + 2]

    features = extractor.feature_batches(batches(), CPU, told.append)
    assert next(features).shape == (2, extractor.dim)
    assert (seen, told) == ([0], [2])
    assert len(list(features)) == 2
    assert told == [2, 2, 2]


@pytest.mark.parametrize(
    ("n", "at_most", "expected"), [(3, 5, [0, 1, 2]), (5, 5, [0, 1, 2, 3, 4]), (10, 4, [0, 2, 5, 7])]
)
def test_an_even_choice(n, at_most, expected):
    assert evenly_spaced(n, at_most).tolist() == expected


def test_the_distance_grows_with_the_damage():
    images = np.repeat(IMAGES, 2, axis=0) // 4 + np.arange(12, dtype=np.uint8)[:, None, None, None]
    noise = np.random.default_rng(1).integers(0, 80, images.shape, dtype=np.uint8)
    reference = fit(features(images, 12))
    slight = frechet_distance(fit(features(images + noise // 20, 12)), reference)
    strong = frechet_distance(fit(features(images + noise, 12)), reference)
    assert 0 < slight < strong


def test_weights_are_known_by_their_digest():
    extractor = load_extractor("efficientnet-lite0", 64, CPU)
    assert extractor.metric == "FD (EfficientNet-Lite0)"
    assert extractor.sha256.startswith("579344248a93")


def test_inception_without_weights_says_where_to_put_them(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", no_network)
    with pytest.raises(UserError, match=r"put pt_inception-2015-12-05-6726825d\.pth of .* there"):
        load_extractor("inception", 299, CPU)


def test_inception_has_one_resolution():
    with pytest.raises(UserError, match="feature_resolution is 224, but FID is defined at 299"):
        load_extractor("inception", 224, CPU)


def no_network(*arguments, **options):
    raise OSError("no network")
