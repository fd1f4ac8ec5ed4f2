"""docs/extending.md: each of its diffs applies and reruns nothing, and all of them together run."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from dctdiff.data.archive import image_names, read_record
from dctdiff.pipeline.files import read_json
from engines import ROOT, copy_project, edit, run
from test_edits import MADE_IN_SECONDS

PAGE = (ROOT / "docs/extending.md").read_text()
EXAMPLES = dict(re.findall(r"^## (.+?)\n.*?^```diff\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
NEW = {  # a job of each
    "A sampler": "sample/micro-dct-heun",
    "A metric": None,  # the jobs that measure
    "A space": "weights/micro32-opponent",
    "A network": "weights/micro32-mixer",
    "A source": "download/micro-npz",
}


def applied(folder: Path, example: str) -> None:
    (folder / "example.diff").write_text(EXAMPLES[example])
    run(folder, "git", "apply", "example.diff")


def digests(folder: Path, params: str = "params.yaml") -> dict[str, str]:
    """Name of a stage, or stage/job, -> digest of its code."""
    run(folder, "python", "-m", "dctdiff.stages.code", "--params", params, "--out_code", "digests")
    found = (folder / "digests").rglob("*.txt")
    return {str(path.relative_to(folder / "digests").with_suffix("")): path.read_text() for path in found}


def test_there_is_an_example_of_each():
    assert EXAMPLES.keys() == NEW.keys()


@pytest.mark.parametrize("example", NEW)
def test_an_example_is_one_entry_and_reruns_nothing_of_what_there_was(tmp_path, example):
    touched = re.findall(r"^\+\+\+ b/(\S+)", EXAMPLES[example], re.MULTILINE)
    new_modules = re.findall(r"^--- /dev/null\n\+\+\+ b/(\S+)", EXAMPLES[example], re.MULTILINE)
    entries = [path for path in touched if path.startswith("src/dctdiff/registry/")]
    assert sorted(touched) == sorted(["params.yaml", *new_modules, *entries])
    assert len(new_modules) == len(entries) == 1
    folder = copy_project(tmp_path)
    shutil.copyfile(folder / "params.yaml", folder / "before.yaml")
    before = digests(folder)
    applied(folder, example)
    after = digests(folder, "before.yaml")
    assert {name for name in after if after[name] != before.get(name)} <= MADE_IN_SECONDS
    run(folder, "python", "-m", "dctdiff.stages.validate", "--params", "params.yaml", "--published",
        "data/published.yaml", "--out_valid", "valid", "--out_record", "record.json")  # fmt: skip
    if NEW[example]:
        assert NEW[example] in digests(folder).keys() - before.keys()


def test_an_edit_of_an_example_reruns_what_chose_it(extended):
    before = digests(extended)
    heun = extended / "src/dctdiff/diffusion/heun.py"
    text = heun.read_text()
    edit(heun, "0.5 * (first", "0.25 * (first")
    after = digests(extended)
    heun.write_text(text)
    changed = {name for name in before if before[name] != after[name]}
    assert "sample/micro-dct-heun" in changed and changed <= {"sample/micro-dct-heun", *MADE_IN_SECONDS}


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """The micro suite with all examples, as far as these need it."""
    folder = copy_project(tmp_path_factory.mktemp("extended"))
    for example in EXAMPLES:
        applied(folder, example)
    images = np.random.default_rng(1).integers(0, 256, (12, 40, 48, 3), dtype=np.uint8)
    np.savez(folder / "photos.npz", images=images)
    run(folder, "snakemake", "--cores", "2", "data/micro-npz/train.zip", *(
        f"results/runs/micro32-{name}/last.safetensors" for name in ("opponent", "mixer")
    ), "results/evaluations/cells/micro-dct-heun.json")  # fmt: skip
    return folder


def test_the_examples_run(extended):
    evaluation = read_json(extended / "results/evaluations/cells/micro-dct-heun.json")
    assert evaluation["protocol"]["metric"] == "FD (pixels)" and evaluation["value"] > 0
    assert read_record(extended / "results/samples/micro-dct-heun.zip")["nfe"] == 4
    statistics = read_json(extended / "results/statistics/codecs/micro32-opponent.json")
    assert list(statistics["channels"]) == ["grey", "red-green", "blue"] and statistics["eta"] > 0
    # Of grey images, which these nearly are, most lies in one channel.
    bits = {name: channel["entropy"][0] for name, channel in statistics["channels"].items()}
    assert bits["grey"] > max(bits["red-green"], bits["blue"])
    words = run(extended, "dctdiff", "info", "results/runs/micro32-mixer/last.safetensors")
    assert "MLP-Mixer" in words
    for name in ("opponent", "mixer"):
        log = (extended / f"results/training/micro32-{name}.jsonl").read_text().splitlines()
        assert json.loads(log[-1])["step"] == 6 and np.isfinite(json.loads(log[-1])["loss"])
    assert len(image_names(extended / "data/micro-npz/train.zip")) == 12
    record = read_json(extended / "results/records/sample/micro-dct-heun.json")
    assert record["code"] == record["code_that_ran"]


def test_what_has_run_is_not_run_again(extended):
    output = run(extended, "snakemake", "--dry-run", "--cores", "1", "results/evaluations/cells/micro-dct-heun.json")
    assert "Nothing to be done" in output


def test_the_tests_follow(extended):
    shutil.copytree(ROOT / "tests", extended / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "pyproject.toml", extended / "pyproject.toml")
    output = run(extended, "python", "-m", "pytest", "-v", "-p", "no:cacheprovider", "tests/registry",
                 "tests/diffusion/test_samplers.py", "-k", "heun or pixels or opponent or mixer or npz")  # fmt: skip
    for name in ("[1-heun]", "gives_finite_features[pixels]", "brings_them_back[dct_opponent]", "[npz]"):
        assert re.search(rf"{re.escape(name)} PASSED", output), name
    assert re.search(r"\[mixer-tokens-continuous\] PASSED", output) and "FAILED" not in output


def test_a_network_is_refused_where_it_is_not_for_a_space(extended):
    document = yaml.safe_load((extended / "params.yaml").read_text())
    suite = document["suites"]["micro"]
    suite["runs"]["micro32-mixer"]["codec"] = "micro32-pixel"
    (extended / "wrong.yaml").write_text(yaml.safe_dump({"suites": {"micro": suite}, "suite": suite}))
    output = run(extended, "python", "-m", "dctdiff.stages.validate", "--params", "wrong.yaml", "--published",
                 "data/published.yaml", "--out_valid", "v", "--out_record", "r.json", fails=True)  # fmt: skip
    assert "runs.micro32-mixer.network is mixer, which is not for the space pixel" in output
    assert "Traceback" not in output
