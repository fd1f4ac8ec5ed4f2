"""The suite of released weights: the six files, and the cells of the paper that they answer."""

import pytest
import torch

from dctdiff.models.config import config_of
from dctdiff.models.release import check_weights
from dctdiff.params.suite import planned, read_params, validated
from dctdiff.pipeline.errors import UserError
from engines import ROOT

REPOSITORY = "https://huggingface.co/forever208/DCTdiff/resolve/main/"
FILES = {
    "DCTdiff_cifar10_small.pth": "903fd9a2f566c06d244f12cdd5ebccf40e9727967f371d40f6099f733532cb29",
    "DCTdiff_cifar10_mid.pth": "cff105eb37e760351f1b55ab43cb7c54ebeb24e21a9c19df176a80d963bb2128",
    "DCTdiff_ffhq128_mid.pth": "ccdc3208d1c738e33080063b116226fe62ff79cda2673b7b334d7fa9072e2f71",
    "DCTdiff_ffhq256_mid.pth": "9adb4a4af02f110010afaede12a98ca7e1ad4fba6df39094ace7c28324a5790b",
    "DCTdiff_ffhq512_mid.pth": "0d7e3f7c35b6cc08d555b232f823c548f9425b48b0e862ba734c6f78ede06bd1",
    "DCTdiff_afhq512_mid.pth": "2b9d92c8ccccf542186bef4f5eff40f8653b3eab5b055dd32dbbc6724beda7a2",
}


@pytest.fixture(scope="module")
def suites() -> dict:
    params = read_params(ROOT / "params.yaml")
    return {name: planned(validated({**params, "suite": params["suites"][name]}).suite)
            for name in ("paper", "paper-released")}  # fmt: skip


def without(entry: dict, *keys: str) -> dict:
    return {key: value for key, value in entry.items() if key not in keys}


def test_the_files_are_those_that_were_published(suites):
    for suite in suites.values():
        releases = [run["release"] for run in suite["runs"].values() if "url" in run.get("release", {})]
        assert {r["url"].removeprefix(REPOSITORY): r["sha256"] for r in releases} == FILES
    assert all(run["weights"] == "published" for run in suites["paper-released"]["runs"].values())


def test_every_cell_of_the_paper_whose_weights_are_published_is_there(suites):
    """A file says all of its network but the SNR scale, so a run of either scale may be its own."""
    paper, released = suites["paper"], suites["paper-released"]

    def network(run: dict) -> dict:
        return without(run, "release", "snr_scale", "weights")

    published = [network(run) for run in paper["runs"].values() if "url" in run.get("release", {})]
    expected = {
        f"released-{name}": {**cell, "run": f"released-{cell['run']}", "checkpoint": "last"}
        for name, cell in paper["cells"].items()
        if network(paper["runs"][cell["run"]]) in published
    }
    assert released["cells"] == expected and len(expected) == 15
    for name, run in released["runs"].items():
        own = paper["runs"][name.removeprefix("released-")]
        assert without(run, "weights", "release") == without(own, "weights", "release")
        assert run["release"] == own.get("release", run["release"])
    for section in ("datasets", "codecs"):
        for name, entry in released[section].items():
            assert without(entry, "reference") == without(paper[section][name], "reference")


def test_the_file_of_ffhq128_is_of_depth_16(suites):
    """521 MB of float32; the released config says 18, which would be 582 MB."""
    configs = {name: config_of(suites["paper"], name) for name in ("ffhq128-dctdiff-m", "ffhq128-dctdiff-m-deep")}
    with torch.device("meta"):
        weights = {name: config.network().state_dict() for name, config in configs.items()}
    counts = {name: sum(tensor.numel() for tensor in tensors.values()) for name, tensors in weights.items()}
    assert counts["ffhq128-dctdiff-m"] == 130_180_662
    assert [round(4 * count / 1e6) for count in counts.values()] == [521, 582]
    file = weights["ffhq128-dctdiff-m"]
    check_weights("mid.pth", file, configs["ffhq128-dctdiff-m"])
    with pytest.raises(UserError, match=r"^mid\.pth does not fit .*; its depth seems to be 16, that of the run is 18"):
        check_weights("mid.pth", file, configs["ffhq128-dctdiff-m-deep"])
