"""Models and statistics that come as files: no images are needed, in either engine."""

import json
import re

import pytest
import yaml

from dctdiff.models.config import config_of
from dctdiff.models.weights import read_model
from dctdiff.params.jobs import jobs_of
from dctdiff.params.suite import planned, validated
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import sha256
from engines import ROOT, copy_project, edit, run

DEMO = yaml.safe_load((ROOT / "params.yaml").read_text())["suites"]["demo"]
CELL = "shipped-dpm-5"
EVALUATION = f"results/evaluations/cells/{CELL}.json"
SMALL = ("nfe: 5\n        n_images: 100\n", "nfe: 5\n        n_images: 20\n")


def test_the_repository_ships_what_the_default_suite_imports():
    model, reference = DEMO["imports"]["cifar10-dctdiff"]["release"], DEMO["references"]["cifar10"]
    files = [ROOT / model["file"], ROOT / reference["file"]]
    assert [sha256(file) for file in files] == [model["sha256"], reference["sha256"]]
    assert sum(file.stat().st_size for file in files) < 14e6
    assert model["sha256"] in (ROOT / "data/shipped/cifar10-dctdiff.md").read_text()
    plan = planned(validated({"suites": {"demo": DEMO}, "suite": DEMO}).suite)
    weights, config = read_model(files[0])
    expected = config_of(plan, "cifar10-dctdiff").network().state_dict()
    assert {name: tensor.shape for name, tensor in weights.items()} == {n: t.shape for n, t in expected.items()}
    assert config.num_classes == 10 and all(tensor.isfinite().all() for tensor in weights.values())


def test_what_is_imported_has_no_jobs_of_images():
    jobs = jobs_of(DEMO)
    assert ("import_weights", "cifar10-dctdiff") in jobs and ("import_reference", "cifar10") in jobs
    of_both = {stage for stage, name in jobs if name in ("cifar10", "cifar10-dctdiff")}
    assert of_both == {"import_weights", "import_reference"}


def test_a_first_run_shows_no_error(tmp_path):
    """Snakemake asks every rule whose outputs match, and says so if one cannot answer."""
    folder = copy_project(tmp_path, suite="demo")
    output = run(folder, "snakemake", "--dry-run", "--cores", "1")
    assert "import_weights" in output and not re.search("error|exception", output, re.IGNORECASE)


@pytest.mark.parametrize(
    ("section", "name", "entry", "message"),
    [
        ("imports", "photos16-uvit", {}, "imports.photos16-uvit has the name of one of the runs; choose another name"),
        ("references", "photos16", {}, "references.photos16 has the name of one of the datasets; choose another"),
        ("references", "shipped", {}, "references.shipped would share the folder data/shipped"),
        ("imports", "other", {"lr": 0.1}, "imports.other.lr is unknown"),
        ("imports", "other", {"weights": "trained"}, "imports.other.weights is 'trained'"),
        ("imports", "other", {"release": {"file": "a.pth", "resolution": 32, "block_size": 2, "kept_coefficients": 4,
                                          "eta": 240.0}}, "imports.other: release is not a .safetensors file"),
        ("imports", "other", {"num_heads": 7}, "embed_dim 240 is not divisible by num_heads 7"),
        ("imports", "other", {"framework": "discrete"}, "it is for network dit and prediction noise"),
        ("references", "other", {"file": None}, "references.other.file"),
        ("references", "other", {"n_images": 100}, "references.other.n_images"),
    ],
)  # fmt: skip
def test_what_cannot_be_imported(section, name, entry, message):
    whole = next(iter(DEMO[section].values()))
    suite = {**DEMO, section: {**DEMO[section], name: {**whole, **entry}}}
    with pytest.raises(UserError) as caught:
        validated({"suites": {"demo": suite}, "suite": suite})
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_an_earlier_params_yaml_is_told_what_to_add():
    suite = {key: value for key, value in DEMO.items() if key != "references"}
    with pytest.raises(UserError, match=r"the section references is new; add references: \{\}") as caught:
        validated({"suites": {"demo": suite}, "suite": suite})
    assert "\n" not in str(caught.value)


def test_both_engines_measure_a_model_that_comes_as_a_file(tmp_path):
    found = []
    for command in (["snakemake", "--cores", "1", EVALUATION], ["dvc", "repro", f"evaluate@{CELL}"]):
        folder = copy_project(tmp_path / command[0], "demo")
        edit(folder / "params.yaml", *SMALL)
        run(folder, *command)
        assert not (folder / "data/photos16").exists() and not (folder / "data/cifar10/train.zip").exists()
        found.append(json.loads((folder / EVALUATION).read_text()))
    assert found[0]["images_sha256"] == found[1]["images_sha256"] and found[0]["value"] == found[1]["value"]
    assert found[0]["protocol"]["reference_n_images"] == 50_000
    assert found[0]["compared"] == {"images": 20, "reference": 150}  # KID from the features that were shipped, too
    folder = tmp_path / "snakemake"
    assert "Nothing to be done" in run(folder, "snakemake", "--cores", "1", EVALUATION)
    # An edit of what is imported is seen, and other bytes under the same digest are not believed.
    shipped = folder / DEMO["imports"]["cifar10-dctdiff"]["release"]["file"]
    content = bytearray(shipped.read_bytes())
    content[-3] ^= 1
    shipped.write_bytes(content)
    output = run(folder, "snakemake", "--cores", "1", EVALUATION, fails=True)
    assert "has the SHA-256" in output and "release.sha256 is" in output
    edit(folder / "params.yaml", DEMO["imports"]["cifar10-dctdiff"]["release"]["sha256"], sha256(shipped))
    output = run(folder, "snakemake", "--cores", "1", EVALUATION, fails=True)
    assert "is damaged" in output
