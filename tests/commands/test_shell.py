"""The command line ``dctdiff``."""

import json
import re
import time
import tomllib
from importlib import import_module

import numpy as np
import pytest
import torch
from PIL import Image

import dctdiff
from dctdiff.commands import shell
from dctdiff.models.config import ModelConfig
from dctdiff.models.weights import save_model
from dctdiff.pipeline.errors import UserError
from engines import ROOT, run
from synthetic import image

CONFIG = ModelConfig(
    space="dct", resolution=8, block_size=2, kept_coefficients=3, eta=240.0,
    embed_dim=16, depth=2, num_heads=2, snr_scale=4.0, class_counts=(3, 1, 2),
)  # fmt: skip
MISTAKES = [
    ("", "the following arguments are required: WORD; see --help"),
    ("smple", "argument WORD: invalid choice: 'smple'"),
    ("sample", "the following arguments are required: WEIGHTS, --out"),
    ("sample none.safetensors --out a.png", "argument WEIGHTS: none.safetensors does not exist"),
    ("sample . --out a.png", "argument WEIGHTS: . is a folder, not a file"),
    ("sample photo.png --out a.png", "photo.png is not a model of this project"),
    ("sample model.safetensors --out a.png --n 0", "argument --n: 0 is not a whole number of at least 1"),
    ("sample model.safetensors --out a.png --nfe x", "argument --nfe: x is not a whole number of at least 1"),
    ("sample model.safetensors --out a.png --sed 1", "unrecognized arguments: --sed 1; see --help"),
    ("sample model.safetensors --out a.png --sampler dpm", "argument --sampler: invalid choice: 'dpm'"),
    ("sample model.safetensors --out a.png --class 3", "--class is 3, but the model has the classes 0 to 2"),
    ("fid . nowhere", "argument REFERENCE: nowhere does not exist"),
    ("fid empty .", "empty holds no image"),
    ("fid . .", "the sets have 1 and 1 images, but each needs 2 or more"),
    ("encode photo.png --drop 16 --out a.npz", "--drop is 16, but a block has 16 coefficients; drop 0 to 15"),
    ("encode photo.png --drop -1 --out a.npz", "argument --drop: "),
    ("encode photo.png --eta 0 --out a.npz", "argument --eta: 0 is not a number above 0"),
    ("encode photo.png --out a.png", "argument --out: a.png does not end in .npz"),
    ("encode photo.png --block-size 64 --out a.npz", "photo.png has 50 x 36 pixels, but tokens have 128 x 128"),
    ("encode model.safetensors --out a.npz", "model.safetensors cannot be decoded"),
    ("decode photo.png --out a.png", "photo.png is not an npz with coefficients"),
    ("info photo.png", "photo.png is not a model of this project"),
    ("doctor", "params.yaml is not here; go to the folder of the project"),
]
SAYING = """
import json, sys
from dctdiff.commands.shell import main
from dctdiff.pipeline.errors import UserError
for words in json.loads(sys.argv[1]):
    sys.argv = ["dctdiff", *words.split()]
    try:
        main()
    except UserError as error:
        print(json.dumps([str(error), "torch" in sys.modules]))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A model of random weights and a picture, in the folder of now."""
    network = CONFIG.network()
    network.initialise(torch.Generator().manual_seed(0))
    save_model(tmp_path / "model.safetensors", network.state_dict(), CONFIG)
    image(0, 50, 36).save(tmp_path / "photo.png")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(monkeypatch, words: str) -> None:
    monkeypatch.setattr("sys.argv", ["dctdiff", *words.split()])
    shell.main()


def test_mistakes_are_one_line_before_torch_is_imported(folder):
    said = run(folder, "python", "-c", SAYING, json.dumps([words for words, _ in MISTAKES])).splitlines()
    assert len(said) == len(MISTAKES)
    for line, (words, message) in zip(map(json.loads, said), MISTAKES, strict=True):
        assert message in line[0] and "\n" not in line[0] and not line[1], (words, line)
    assert not list(folder.glob("a.*"))


def test_a_mistake_costs_less_than_a_second(folder):
    """The best of three, since other programs run beside tests."""
    seconds = []
    for _ in range(3):
        start = time.monotonic()
        said = run(folder, "python", "-m", "dctdiff", "sample", "nowhere", "--out", "a.png", fails=True)
        seconds.append(time.monotonic() - start)
        assert said == "error: argument WEIGHTS: nowhere does not exist; see --help\n"
    assert min(seconds) < 1


def test_samples_are_those_of_the_library(folder, monkeypatch, capsys):
    expected = dctdiff.sample(dctdiff.load_model("model.safetensors"), 3, 2, "ddim", 1, 7)
    words = "sample model.safetensors --n 3 --nfe 2 --sampler ddim --class 1 --seed 7"
    call(monkeypatch, f"{words} --out grid.png")
    call(monkeypatch, f"{words} --out single")
    assert capsys.readouterr().out == "grid.png\nsingle\n"
    found = [np.asarray(Image.open(f"single/{index:08d}.png")) for index in range(3)]
    assert np.array_equal(found, expected)
    grid = np.asarray(Image.open("grid.png"))[::8, ::8]  # each pixel is drawn 8 x 8 large, a gap is one
    assert grid.shape == (17, 17, 3)
    assert np.array_equal(grid[9:, :8], expected[2])


def test_an_image_comes_back_from_its_coefficients(folder, monkeypatch, capsys):
    call(monkeypatch, "encode photo.png --drop 7 --out c.npz")
    call(monkeypatch, "decode c.npz --out back.png")
    square = np.asarray(Image.open("photo.png"))[2:34, 9:41]
    codec = dctdiff.dct_codec(32, 4, 7)
    values = dctdiff.encode(square[None], codec)
    assert np.array_equal(np.load("c.npz")["coefficients"], values[0])
    back = dctdiff.decode(values, codec)[0]
    assert np.array_equal(np.asarray(Image.open("back.png")), back)
    said, err = capsys.readouterr()
    assert said.splitlines()[:2] == [
        "photo.png: the middle 32 x 32 of 50 x 36 pixels",
        "c.npz: 16 tokens of 54; eta 512, 9 of 16 kept",
    ]
    costs = re.findall(r"by (\d+\.\d+)", said)
    assert costs[0] == f"{np.abs(square.astype(int) - back).mean():.2f}" and float(costs[1]) < float(costs[0])
    assert said.endswith("back.png\n") and not err


def test_what_a_wrong_eta_clips_is_said_in_one_line(folder):
    words = "encode photo.png --block-size 2 --eta 1 --out c.npz"
    said = run(folder, "python", "-m", "dctdiff", *words.split())
    assert re.search(r"^warning: \d+\.\d% of the coefficients lie beyond 2 eta and are clipped", said, re.MULTILINE)
    assert said.count("warning") == 1


def test_coefficients_that_do_not_fit_are_refused(folder, monkeypatch):
    whole = {"coefficients": np.zeros((4, 24), np.float32), "block_size": 2, "eta": 240.0}
    changes = [
        {"coefficients": np.zeros((5, 24), np.float32)},
        {"coefficients": np.zeros((4, 25), np.float32)},
        {"coefficients": np.zeros(24, np.float32)},
        {"coefficients": np.zeros((4, 24))},
        {"block_size": 1},
        {"block_size": [2, 2]},
        {"eta": np.nan},
    ]
    for change in changes:
        np.savez("c.npz", **{**whole, **change})
        with pytest.raises(UserError):
            call(monkeypatch, "decode c.npz --out a.png")
    np.savez("c.npz", **whole)
    call(monkeypatch, "decode c.npz --out a.png")
    assert np.unique(np.asarray(Image.open("a.png"))).tolist() == [128]


def test_the_distance_of_two_folders(folder, monkeypatch, capsys):
    sets = {
        name: np.stack([np.asarray(image(i, 16, 16)) for i in seeds])
        for name, seeds in (("a", (1, 2)), ("b", (3, 4, 5)))
    }
    for name, images in sets.items():
        (folder / name).mkdir()
        for index, one in enumerate(images):
            Image.fromarray(one).save(folder / name / f"{index}.png")
    call(monkeypatch, "fid a b --extractor efficientnet-lite0")
    value = dctdiff.distance(sets["a"], sets["b"]).value
    assert capsys.readouterr().out == f"FD (EfficientNet-Lite0) {value:.2f}, of 2 images to 3\n"


def test_what_a_weights_file_holds(folder, monkeypatch, capsys):
    call(monkeypatch, "info model.safetensors")
    said = capsys.readouterr().out
    assert "8 x 8 pixels, classes 0 to 2\n" in said
    assert "dct, blocks of 2 x 2, m = 1 of 4 coefficients dropped, eta 240\n" in said
    assert "U-ViT, width 16, depth 2, 2 heads; " in said and "predicts noise, SNR scale 4\n" in said


def test_every_space_is_told_in_words():
    pixel = {"space": "pixel", "patch_size": 4}
    assert shell.space_in_words(pixel) == "pixel, patches of 4 x 4"
    rgb = {"space": "dct_rgb", "block_size": 4, "kept_coefficients": 9, "eta": 500.5}
    assert shell.space_in_words(rgb) == "dct_rgb, blocks of 4 x 4, m = 7 of 16 coefficients dropped, eta 500.5"


def test_the_command_is_installed():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, function = scripts["dctdiff"].partition(":")
    assert getattr(import_module(module), function) is shell.run
