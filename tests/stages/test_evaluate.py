"""The stages reference and evaluate: their files, published references, and FID against pytorch-fid."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from dctdiff.data.archive import encode_jpeg, read_images, write_archive
from dctdiff.data.cropping import random_crop
from dctdiff.data.photographs import read_photographs
from dctdiff.metrics.features import INCEPTION_FILE, Extractor, load_extractor
from dctdiff.metrics.frechet import Gaussian, fit, frechet_distance
from dctdiff.params.evaluate import Reference
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import read_json, sha256
from dctdiff.pipeline.hardware import import_torchvision
from dctdiff.stages import evaluate, reference
from engines import call

CPU = torch.device("cpu")
EXTRACTOR = {"extractor": "efficientnet-lite0", "feature_resolution": 32, "batch_size": 5}
INCEPTION = {"extractor": "inception", "feature_resolution": 299}


@pytest.fixture(scope="module")
def photographs() -> list[tuple[str, Image.Image]]:
    return [(name, Image.open(io.BytesIO(content)).convert("RGB")) for name, content in read_photographs()]


@pytest.fixture
def stage(monkeypatch):
    """Runs the main function of a stage with flags."""

    def run(module, **flags) -> None:
        monkeypatch.setattr(sys, "argv", ["stage", *(f"--{name}={value}" for name, value in flags.items())])
        call(module)

    monkeypatch.setattr("dctdiff.pipeline.hardware.default_device", lambda: CPU)
    return run


def jpegs(photographs, side: int, seed: int, n_images: int, crop_sides: list[int]) -> list[tuple[str, bytes]]:
    images = (random_crop(photographs, crop_sides, side, seed, index)[1] for index in range(n_images))
    return [(f"{i:04d}.jpg", encode_jpeg(np.asarray(image), 75)) for i, image in enumerate(images)]


@pytest.fixture
def archives(tmp_path, photographs) -> Path:
    """A folder with train.zip (13 images) and samples.zip (11 others)."""
    write_archive(tmp_path / "train.zip", jpegs(photographs, 32, 1, 13, [64, 128]), {})
    write_archive(tmp_path / "samples.zip", jpegs(photographs, 32, 2, 11, [64, 128]), {"stage": "test"})
    return tmp_path


def measure(stage, folder: Path, images: str, reference_path: Path, **extractor) -> dict:
    out = folder / "evaluation.json"
    stage(
        evaluate, images=folder / images, reference=reference_path, **(EXTRACTOR | extractor), out_evaluation=out
    )  # fmt: skip
    return read_json(out)


def make_reference(stage, folder: Path, **flags) -> Path:
    out = folder / "reference.npz"
    stage(reference, images=folder / "train.zip", **(EXTRACTOR | flags), out_reference=out)
    return out


def test_values_are_those_of_all_images_at_once(stage, archives):
    evaluation = measure(stage, archives, "samples.zip", make_reference(stage, archives, n_images=13))
    extractor = load_extractor("efficientnet-lite0", 32, CPU)
    train, samples = (
        extractor.features([read_images(archives / name)], CPU, lambda n: None) for name in ("train.zip", "samples.zip")
    )
    assert evaluation["value"] == pytest.approx(frechet_distance(fit(samples), fit(train)), rel=1e-4)
    assert evaluation["kid"] == pytest.approx(evaluate.kernel_distance(samples, train, CPU), rel=1e-4)
    assert (evaluation["precision"], evaluation["recall"]) == evaluate.precision_recall(samples, train, CPU)
    assert evaluation["compared"] == {"images": 11, "reference": 13}
    assert (evaluation["n_images"], evaluation["images"]) == (11, {"stage": "test"})
    assert "reason" not in evaluation


def test_the_training_images_themselves_are_perfect(stage, archives):
    evaluation = measure(stage, archives, "train.zip", make_reference(stage, archives, n_images=13))
    assert evaluation["value"] == pytest.approx(0, abs=0.1)
    assert (evaluation["precision"], evaluation["recall"]) == (1.0, 1.0)
    assert evaluation["kid"] < 0  # unbiased, so a set is nearer to itself than to another of its kind


def test_a_large_reference_keeps_an_even_choice_of_features(stage, archives, monkeypatch):
    whole = dict(np.load(make_reference(stage, archives, n_images=13)))
    monkeypatch.setattr(evaluate, "MAX_COMPARED", 4)
    path = make_reference(stage, archives, n_images=13)
    monkeypatch.setattr(evaluate, "MAX_COMPARED", 6)
    part = dict(np.load(path))
    assert np.array_equal(part["features"], whole["features"][[0, 3, 6, 9]])
    assert part["features"].dtype == np.float32
    assert np.array_equal(part["sigma"], whole["sigma"])
    assert measure(stage, archives, "samples.zip", path)["compared"] == {"images": 6, "reference": 4}


def test_few_images_have_a_distance_and_a_reason_for_the_rest(stage, archives):
    evaluation = measure(stage, archives, "samples.zip", make_reference(stage, archives, n_images=3))
    assert evaluation["value"] > 0
    assert [evaluation[key] for key in ("kid", "precision", "recall")] == [None, None, None]
    assert evaluation["reason"] == "each set needs more than 3 images"


def test_another_extractor_is_refused(stage, archives):
    path = make_reference(stage, archives, n_images=13)
    with pytest.raises(UserError, match="made with another extractor; run the reference stage again"):
        measure(stage, archives, "samples.zip", path, feature_resolution=64)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"mu": np.zeros((4, 1))}, r"mu is float64 \(4, 1\) and sigma float64 \(4, 4\), but"),
        ({"sigma": np.eye(4, dtype=int)}, r"sigma int64 \(4, 4\), but floats"),
        ({"protocol": np.array("{")}, "protocol: this is not valid JSON"),
        ({"protocol": np.array('{"metric": "FD"}')}, "protocol: extractor_sha256 is missing"),
        ({"protocol": None}, "not an npz with mu and sigma and protocol"),
        ({"features": np.zeros((9, 5), np.float32)}, r"features is float32 \(9, 5\), but float32 \(M, 4\) is"),
        ({"features": np.zeros((9, 4))}, "features is float64"),
    ],
)
def test_a_reference_of_another_form_is_named(tmp_path, changed, message):
    protocol = {"metric": "FD", "extractor_sha256": "0", "feature_resolution": 32, "reference_n_images": 9}
    path = save_published(tmp_path / "reference.npz", **{"protocol": np.array(json.dumps(protocol)), **changed})
    with pytest.raises(UserError, match=rf"reference\.npz.*{message}.*; run the reference stage again$"):
        evaluate.load_reference(path)
        evaluate.load_reference_features(path, 4)


# Published references


def save_published(path: Path, dim: int = 4, **changed) -> Path:
    """An npz as pytorch-fid writes it."""
    features = np.random.default_rng(0).normal(size=(2 * dim, dim))
    statistics = {"mu": features.mean(axis=0), "sigma": np.cov(features, rowvar=False)}
    np.savez_compressed(path, **{name: value for name, value in (statistics | changed).items() if value is not None})
    return path


def test_published_statistics_take_the_place_of_measured_ones(stage, archives):
    file = save_published(archives / "fid_stats.npz", 1280)
    train = (archives / "train.zip").rename(archives / "elsewhere.zip")  # not needed
    path = make_reference(stage, archives, file=file, sha256=sha256(file))
    content = dict(np.load(path))
    assert np.array_equal(content["mu"], np.load(file)["mu"])
    assert np.array_equal(content["sigma"], np.load(file)["sigma"])
    protocol = json.loads(str(content["protocol"]))
    assert (protocol["reference_file"], protocol["reference_n_images"]) == ("fid_stats.npz", None)

    evaluation = measure(stage, archives, "samples.zip", path)
    extractor = load_extractor("efficientnet-lite0", 32, CPU)
    samples = fit(extractor.features([read_images(archives / "samples.zip")], CPU, lambda n: None))
    expected = frechet_distance(samples, Gaussian(content["mu"], content["sigma"], None))
    assert evaluation["value"] == pytest.approx(expected, rel=1e-6)
    assert [evaluation[key] for key in ("kid", "precision", "recall")] == [None, None, None]
    assert evaluation["reason"] == "imported statistics have no features to compare with"
    assert train.exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"mu": None}, "not an npz with mu and sigma"),
        ({"mu": np.array([{}], dtype=object)}, "not an npz with mu and sigma .*mu holds Python objects"),
        ({"mu": np.zeros((1, 4))}, r"mu has the shape \(1, 4\) and sigma \(4, 4\)"),
        ({"sigma": np.eye(3)}, r"mu has the shape \(4,\) and sigma \(3, 3\)"),
        ({"mu": np.full(4, np.nan)}, "not finite"),
        ({"sigma": np.triu(np.ones((4, 4)))}, "sigma is not a covariance"),
        ({"sigma": -np.eye(4)}, "sigma is not a covariance"),
        ({"mu": np.zeros(5), "sigma": np.eye(5)}, r"about 5 features, but the extractor has 4; .* \(2048\)"),
    ],
)
def test_wrong_published_statistics_are_named(tmp_path, changed, message):
    path = save_published(tmp_path / "fid_stats.npz", **changed)
    with pytest.raises(UserError, match=rf"fid_stats\.npz.*{message}") as error:
        reference.published(str(path), sha256(path), Extractor("FD", "", 4, None), None)
    assert "\n" not in str(error.value)


def test_a_missing_file_a_missing_digest_and_a_web_page_say_what_to_do(stage, archives):
    file = archives / "fid_stats.npz"
    with pytest.raises(UserError, match=r"does not exist; download it from the folder fid_stats .* put it there"):
        make_reference(stage, archives, file=file, sha256="0" * 64)
    save_published(file)
    with pytest.raises(UserError, match=f"sha256 is missing; .* has the SHA-256 {sha256(file)}"):
        make_reference(stage, archives, file=file)
    file.write_text("<html>quota exceeded</html>")
    with pytest.raises(UserError, match=r"download it again .* a web page"):
        make_reference(stage, archives, file=file, sha256="0" * 64)
    with pytest.raises(UserError, match="not an npz with mu and sigma"):
        make_reference(stage, archives, file=file, sha256=sha256(file))
    assert sorted(os.listdir(archives)) == ["fid_stats.npz", "samples.zip", "train.zip"]


@pytest.mark.parametrize(
    ("slice", "message"),
    [
        ({"n_images": 5, "file": "a.npz"}, "either n_images"),
        ({"n_images": 5, "sha256": "0" * 64}, "sha256 belongs to file"),
        ({"file": "a.npz", "sha256": "12"}, "should match pattern"),
    ],
)
def test_a_reference_is_measured_or_imported(slice, message):
    with pytest.raises(ValidationError, match=message):
        Reference(**slice)


# FID against pytorch-fid


@pytest.fixture
def random_inception(tmp_path, monkeypatch, photographs) -> None:
    """The FID Inception network with random weights where pytorch-fid looks for the real ones.

    Its batch norms hold the statistics of some photographs, so that features differ from image to
    image: with untouched ones, they would be the same for all images in the first three digits.
    """
    import_torchvision()
    import torchvision

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = torchvision.models.inception_v3(weights=None, aux_logits=False, num_classes=1008, init_weights=False)
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = None  # the running statistics become those of the one batch
    crops = np.stack([np.asarray(random_crop(photographs, [64, 128, 256], 299, 0, i)[1]) for i in range(8)])
    with torch.no_grad():
        network.train()(torch.from_numpy(crops).permute(0, 3, 1, 2) / 127.5 - 1)
    path = tmp_path / "torch/hub/checkpoints" / INCEPTION_FILE
    path.parent.mkdir(parents=True)
    torch.save(network.state_dict(), path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


PYTORCH_FID = (
    "import runpy; from dctdiff.pipeline.hardware import import_torchvision; import_torchvision(); "
    "runpy.run_module('pytorch_fid', run_name='__main__')"
)


def test_fid_equals_pytorch_fid_at_any_batch_size(stage, tmp_path, photographs, random_inception):
    """24 images leave the covariances of 2048 features singular: the harder case for both formulas."""
    for name, seed, crop_sides in (("train", 1, [64, 96]), ("samples", 2, [128, 256])):
        entries = jpegs(photographs, 64, seed, 24, crop_sides)
        write_archive(tmp_path / f"{name}.zip", entries, {})
        (tmp_path / name).mkdir()
        for file, content in entries:
            (tmp_path / name / file).write_bytes(content)
    values = []
    for batch_size in (16, 7):
        path = make_reference(stage, tmp_path, n_images=24, **INCEPTION, batch_size=batch_size)
        evaluation = measure(stage, tmp_path, "samples.zip", path, **INCEPTION, batch_size=batch_size)
        assert evaluation["protocol"]["metric"] == "FID"
        values.append(evaluation["value"])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PYTORCH_FID, "samples", "train", "--device", "cpu",
         "--batch-size", "16", "--num-workers", "0"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    expected = float(done.stdout.split("FID:")[1])
    assert expected > 10
    assert values[0] == pytest.approx(expected, rel=1e-4)
    assert values[1] == pytest.approx(values[0], rel=1e-6)


def seen_by_hooks(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Class probabilities without the bias of the last layer, and mixed_6/conv, from the whole network."""
    from pytorch_fid.inception import fid_inception_v3

    network, seen = fid_inception_v3().eval(), []
    network.Mixed_6d.branch1x1.register_forward_hook(lambda module, given, made: seen.append(made))
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        logits = network(torch.nn.functional.interpolate(x, 299, mode="bilinear")) - network.fc.bias
    return logits.double().softmax(dim=1).numpy(), seen[0].numpy()


def test_inception_score_and_sfid_are_of_the_layers_of_the_same_network(stage, tmp_path, photographs, random_inception):
    for name, seed, crop_sides in (("train", 1, [64, 96]), ("samples", 2, [128, 256])):
        write_archive(tmp_path / f"{name}.zip", jpegs(photographs, 64, seed, 8, crop_sides), {})
    found = {}
    for extractor in ("inception", "inception-spatial"):
        flags = {**INCEPTION, "extractor": extractor}
        path = make_reference(stage, tmp_path, n_images=8, **flags)
        found[extractor] = measure(stage, tmp_path, "samples.zip", path, **flags)
    p, spatial = seen_by_hooks(read_images(tmp_path / "samples.zip"))
    expected = np.exp((p * np.log(p / p.mean(axis=0))).sum(axis=1).mean())
    assert expected > 1.001
    assert found["inception"]["further"] == {"IS": pytest.approx(expected, rel=1e-4)}
    assert spatial.shape == (8, 192, 17, 17)
    _, others = seen_by_hooks(read_images(tmp_path / "train.zip"))
    expected = frechet_distance(*(fit(maps[:, :7].transpose(0, 2, 3, 1).reshape(8, -1)) for maps in (spatial, others)))
    assert found["inception-spatial"]["value"] == pytest.approx(expected, rel=1e-3)
    assert found["inception-spatial"]["protocol"]["metric"] == "sFID"
    assert found["inception-spatial"]["further"] == {}
    with pytest.raises(UserError, match="made with another extractor"):
        measure(stage, tmp_path, "samples.zip", tmp_path / "reference.npz", **INCEPTION)


def cut_weights() -> bytes:
    file = io.BytesIO()
    torch.save({"a": torch.zeros(1000)}, file)
    return file.getvalue()[:-2000]


@pytest.mark.parametrize("content", [b"", b"<html>quota exceeded</html>", b"PK\x03\x04" + bytes(100), cut_weights()])
def test_broken_inception_weights_are_named(tmp_path, monkeypatch, content):
    path = tmp_path / "hub/checkpoints" / INCEPTION_FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(UserError, match=rf"{INCEPTION_FILE} does not hold the Inception weights .* delete it"):
        load_extractor("inception", 299, CPU)
