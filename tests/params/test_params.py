"""params.yaml: every mistake ends in one line that says what to do."""

import copy

import pytest
import yaml

from dctdiff.params.published import FILE, load_published
from dctdiff.params.suite import check_published, load_suite, validated
from dctdiff.pipeline.errors import UserError
from engines import ROOT, run

NUMBERS = yaml.safe_load((ROOT / FILE).read_text())
DOCUMENT = yaml.safe_load((ROOT / "params.yaml").read_text())


@pytest.mark.parametrize("suite", DOCUMENT["suites"])
def test_every_suite_of_the_project_is_valid(suite):
    validated({**DOCUMENT, "suite": DOCUMENT["suites"][suite]}, "params.yaml")


RUN = "suite.runs.micro32-dctdiff"
MISTAKES = [
    (f"{RUN}.lrr", 1, f"{RUN}.lrr is unknown; did you mean lr?"),
    ("suite.datasets.micro32.crop.resolutoin", 1, "resolutoin is unknown; did you mean resolution?"),
    ("suit", 1, "suit is unknown; did you mean suite?"),
    (f"{RUN}.lr", "missing", f"{RUN}.lr is 'missing', but should be a valid number"),
    (f"{RUN}.lr", None, f"{RUN}.lr is None, but should be a valid number"),
    (f"{RUN}.lr", "2e-4", f"{RUN}.lr is '2e-4', but should be a valid number"),
    (f"{RUN}.batch_size", 8.5, f"{RUN}.batch_size is 8.5, but should be a valid integer"),
    (f"{RUN}.batch_size", True, f"{RUN}.batch_size is True, but should be a valid integer"),
    (f"{RUN}.ema_rate", 1.0, f"{RUN}.ema_rate is 1.0, but should be less than 1"),
    (f"{RUN}.processes", 3, f"{RUN}: batch_size 8 is not divisible by processes 3"),
    (f"{RUN}.num_heads", 3, f"{RUN}: embed_dim 16 is not divisible by num_heads 3"),
    (f"{RUN}.depth", 3, f"{RUN}.depth is 3, but should be a multiple of 2"),
    (f"{RUN}.codec", "micro32-dtc", "runs.micro32-dctdiff.codec is 'micro32-dtc', but should be one of micro32-dct"),
    (f"{RUN}.batch_size", 4096, "runs.micro32-dctdiff.batch_size is 4096, but micro32 has only 128 training images"),
    (
        "suite.datasets.micro32.crop.resolution",
        36,
        "the resolution 36 of micro32 is not divisible by 2 * block_size = 8",
    ),
    ("suite.codecs.micro32-dct.kept_coefficients", 17, "kept_coefficients is 17, but should be at most 16"),
    ("suite.codecs.micro32-dct.patch_size", 4, "space dct needs block_size and kept_coefficients, and no patch_size"),
    ("suite.codecs.micro32-dct.n_images", 129, "n_images is 129, but micro32 has only 128 training images"),
    ("suite.cells.micro-dct-dpm.sampler", "ddim2", "sampler is 'ddim2', but should be 'dpm_solver', 'euler_ode'"),
    ("suite.cells.Upper", {}, "Upper"),
    ("suite.selections.micro32-dctdif", {}, "micro32-dctdif"),
    (f"{RUN}.candidate_steps", 6, "selections.micro32-dctdiff has one checkpoint to choose from"),
    (f"{RUN}.weights", "published", "weights is published, but there is no release"),
    ("suite.cells.micro-uvit-dpm.checkpoint", "best", "checkpoint is 'best', but selections has no micro32-uvit"),
    ("suite.truncations.micro32-b4.block_size", 3, "micro32-b4"),
    ("suite.extractor.feature_resolution", 16, "feature_resolution is 16, but should be greater than or equal to 32"),
    ("suite.report", "yes", "suite.report is 'yes', but should be a group of keys"),
]


@pytest.mark.parametrize(("key", "value", "message"), MISTAKES, ids=[f"{key}={value}" for key, value, _ in MISTAKES])
def test_a_mistake_is_named_in_one_line(key, value, message):
    document = copy.deepcopy({**DOCUMENT, "suite": DOCUMENT["suites"]["micro"]})
    *path, last = key.split(".")
    place = document
    for part in path:
        place = place[part]
    place[last] = value
    with pytest.raises(UserError) as caught:
        validated(document, "params.yaml")
    assert message in str(caught.value)
    assert str(caught.value).startswith("params.yaml: ")
    assert "\n" not in str(caught.value)


PUBLISHED_MISTAKES = [
    ("costs", [{"run": "absent", "quantity": "GMACs"}], "micro.costs.0.run is 'absent'"),
    ("costs", [{"run": "micro32-uvit", "quantity": "GFLOPs"}], "micro.costs.0.quantity is 'GFLOPs', but should be"),
    ("distances", {"quality": []}, "micro.distances.quality: this table exists already"),
    ("distances", {"other": [{"cell": "absent"}]}, "micro.distances.other.0.cell is 'absent'"),
    ("truncations", {"absent": {}}, "micro.truncations has the key 'absent'"),
    ("truncation", {}, "micro.truncation is unknown; did you mean truncations?"),
    ("costs", [{"run": "micro32-uvit", "quantity": "GMACs", "value": 1.0}], "needs source and confidence"),
]


@pytest.mark.parametrize(("key", "value", "message"), PUBLISHED_MISTAKES)
def test_a_mistake_in_published_numbers_is_named_in_one_line(tmp_path, key, value, message):
    suite = validated({**DOCUMENT, "suite": DOCUMENT["suites"]["micro"]}).suite
    path = tmp_path / "published.yaml"
    path.write_text(yaml.safe_dump({"micro": {**NUMBERS["micro"], key: value}}))
    with pytest.raises(UserError) as caught:
        check_published(suite, load_published(path, "micro"), path)
    assert str(caught.value).startswith(f"{path}: micro.") and message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_group_that_is_not_published_is_named():
    with pytest.raises(UserError, match=r"published\.yaml has no group 'papre'; it has cifar10, paper, micro"):
        load_published(ROOT / FILE, "papre")
    assert load_published(ROOT / FILE, None).model_dump(exclude_defaults=True) == {}


@pytest.mark.parametrize("name", DOCUMENT["suites"])
def test_the_published_numbers_of_every_suite_are_about_it(name):
    suite = validated({**DOCUMENT, "suite": DOCUMENT["suites"][name]}).suite
    check_published(suite, load_published(ROOT / FILE, suite.published), FILE)


def test_a_missing_key_is_named():
    document = copy.deepcopy({**DOCUMENT, "suite": DOCUMENT["suites"]["micro"]})
    del document["suite"]["runs"]["micro32-dctdiff"]["lr"]
    with pytest.raises(UserError, match=r"suite\.runs\.micro32-dctdiff\.lr is missing"):
        validated(document, "params.yaml")


def test_a_repeated_key_is_named(tmp_path):
    (tmp_path / "params.yaml").write_text("suites: {}\nsuite: {}\nsuite: {}\n")
    with pytest.raises(UserError, match=r"the key suite stands here twice; remove one in .* line 3"):
        load_suite(tmp_path / "params.yaml")


def test_a_file_that_is_not_yaml_is_named(tmp_path):
    (tmp_path / "params.yaml").write_text("suite: {a: [}\n")
    with pytest.raises(UserError, match=r"params\.yaml: .* line 1"):
        load_suite(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", "absent.zip"], "--dataset"),
        (["--nfee", "3"], "--nfee"),
    ],
)
def test_a_wrong_command_ends_in_one_line(tmp_path, arguments, message):
    output = run(tmp_path, "python", "-m", "dctdiff.stages.statistics", *arguments, "--out_statistics", "x", fails=True)
    assert len(output.strip().splitlines()) == 1
    assert output.startswith("error: ") and (message in output or "required" in output)


def test_a_value_out_of_range_on_the_command_line_is_named(tmp_path):
    output = run(
        tmp_path, "python", "-m", "dctdiff.stages.evaluate", "--images", "a", "--reference", "b", "--extractor",
        "inception", "--feature_resolution", "3", "--batch_size", "x", "--out_evaluation", "c", fails=True,
    )  # fmt: skip
    assert output.strip() == "error: --feature_resolution is '3', but should be greater than or equal to 32"
