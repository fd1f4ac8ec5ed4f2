"""params.yaml: every mistake ends in one line that says what to do."""

import contextlib
import copy
import functools
import operator
import shlex
import time
from collections.abc import Callable, Iterator
from typing import get_args

import pytest
import yaml
from dvc.parsing.interpolate import is_interpolated_string, to_str
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from dctdiff.params.download import Download
from dctdiff.params.jobs import flags
from dctdiff.params.published import FILE, load_published
from dctdiff.params.report import Report
from dctdiff.params.suite import Suite, check_published, load_suite, table_names, validated
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.slice import without_none
from engines import ROOT, run

NUMBERS = yaml.safe_load((ROOT / FILE).read_text())
DOCUMENT = yaml.safe_load((ROOT / "params.yaml").read_text())


@pytest.mark.parametrize("suite", DOCUMENT["suites"])
def test_every_suite_of_the_project_is_valid(suite):
    validated({**DOCUMENT, "suite": DOCUMENT["suites"][suite]}, "params.yaml")


RUN = "suite.runs.micro32-dctdiff"
LATENT = "suite.codecs.micro32-latent"
DATASET = {
    "download": {"source": "scikit-image"}, "reference": {"n_images": 2},
    "crop": {"method": "random", "resolution": 32, "crop_sides": [64], "n_train": 8, "n_heldout": 2,
             "jpeg_quality": 75, "seed": 1},
}  # fmt: skip
MISTAKES = [
    (
        f"{RUN}.checkpoint_steps",
        500,
        "checkpoint_steps is gone: states are saved every checkpoint_minutes (10); remove",
    ),
    ("suite.datasets.sources", DATASET, "datasets.sources would share the folder data/sources with what is fetched"),
    (
        "suite.datasets.shipped",
        DATASET,
        "datasets.shipped would share the folder data/shipped with what the repository",
    ),
    (f"{RUN}.lrr", 1, f"{RUN}.lrr is unknown; did you mean lr?"),
    ("suite.datasets.micro32.crop.resolutoin", 1, "resolutoin is unknown; did you mean resolution?"),
    ("suit", 1, "suit is unknown; did you mean suite?"),
    (f"{RUN}.lr", "missing", f"{RUN}.lr is 'missing', but should be a number"),
    (f"{RUN}.lr", None, f"{RUN}.lr is null, but should be a number"),
    (f"{RUN}.lr", "2e-4", f"{RUN}.lr is '2e-4', but should be a number"),
    (f"{RUN}.batch_size", 8.5, f"{RUN}.batch_size is 8.5, but should be a whole number"),
    (f"{RUN}.batch_size", True, f"{RUN}.batch_size is true, but should be a whole number"),
    (f"{RUN}.ema_rate", 1.0, f"{RUN}.ema_rate is 1.0, but should be less than 1"),
    (f"{RUN}.processes", 2, "processes is gone: workflow/machine.yaml says where jobs run; remove it"),
    ("suite.cells.micro-dct-dpm.processes", 1, "processes is gone: workflow/machine.yaml says where jobs run"),
    (f"{RUN}.accumulation_steps", 3, f"{RUN}: batch_size 8 is not divisible by accumulation_steps 3"),
    (f"{RUN}.encode_each_step", True, "runs.micro32-dctdiff.encode_each_step is for latents; its codec micro32-dct"),
    (f"{LATENT}.autoencoder", None, "autoencoder belongs to space latent, which needs it, but space is latent"),
    (f"{LATENT}.space", "pixel", "autoencoder belongs to space latent, which needs it, but space is pixel"),
    (f"{LATENT}.patch_size", 3, "the resolution 32 of micro32 is not divisible by 8 * patch_size = 24"),
    (f"{LATENT}.autoencoder", {"file": "a.pth"}, "sha256 belongs to file and url, which need it, and not to seed"),
    (f"{LATENT}.autoencoder", {"file": "a.pth", "seed": 1}, "give one of file (a path), url (fetched) and seed"),
    (f"{LATENT}.autoencoder", {"url": "a.pth", "sha256": 64 * "a"}, "url is 'a.pth', but should be a URL that ends"),
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
    ("suite.cells.micro-dit-ddpm.sampler", "dpm_solver", "cells.micro-dit-ddpm.sampler is dpm_solver, but framework"),
    ("suite.cells.micro-dit-ddpm.nfe", 1001, "nfe is 1001, but framework discrete has 1000 steps"),
    ("suite.runs.micro32-dit.network", "uvit", "framework is discrete with network uvit that predicts noise, but it"),
    ("suite.runs.micro32-dit.prediction", "velocity", "network dit that predicts velocity, but it is for network"),
    ("suite.runs.micro32-dit.embed_dim", 18, "embed_dim is 18, but that of a DiT should be divisible by 4"),
    ("suite.runs.micro32-dit.skip_bias_std", 1.0, "skip_bias_std is set, but a DiT has no skips; remove it"),
    ("suite.cells.micro-dct-dpm.sampler", "ddim2", "sampler is 'ddim2', but should be 'dpm_solver', 'euler_ode'"),
    ("suite.cells.Upper", {}, "Upper"),
    ("suite.selections.micro32-dctdif", {}, "micro32-dctdif"),
    (f"{RUN}.candidate_steps", 6, "selections.micro32-dctdiff has one checkpoint to choose from"),
    (f"{RUN}.weights", "published", "weights is published, but there is no release"),
    ("suite.cells.micro-uvit-dpm.checkpoint", "best", "checkpoint is 'best', but selections has no micro32-uvit"),
    ("suite.truncations.micro32-b4.block_size", 3, "micro32-b4"),
    ("suite.extractor.feature_resolution", 16, "feature_resolution is 16, but should be at least 32"),
    ("suite.extractor.extractor", "clip", "feature_resolution is 32, but clip (CMMD) needs 336"),
    ("suite.report", "yes", "suite.report is 'yes', but should be a group of keys"),
    # Sizes
    (f"{RUN}.lr", 1e6, f"{RUN}.lr is 1000000.0, but should be at most 1"),
    (f"{RUN}.lr", 10**400, f"{RUN}.lr is 1000"),
    (f"{RUN}.lr", 0, f"{RUN}.lr is 0, but should be more than 0"),
    (f"{RUN}.lr", float("inf"), f"{RUN}.lr is inf, but should be a finite number"),
    (f"{RUN}.weight_decay", float("nan"), f"{RUN}.weight_decay is nan, but should be a finite number"),
    (f"{RUN}.train_steps", 10**30, "000000, but should be at most 1,000,000,000"),
    (f"{RUN}.train_steps", 6.0, f"{RUN}.train_steps is 6.0, but should be a whole number"),
    (f"{RUN}.embed_dim", 10**9, f"{RUN}.embed_dim is 1000000000, but should be at most 16,384"),
    (f"{RUN}.depth", 10**6, f"{RUN}.depth is 1000000, but should be at most 256"),
    (f"{RUN}.num_heads", 0, f"{RUN}.num_heads is 0, but should be at least 1"),
    (f"{RUN}.num_classes", 10**7, f"{RUN}.num_classes is 10000000, but should be at most 1,000,000"),
    (f"{RUN}.seed", -1, f"{RUN}.seed is -1, but should be at least 0"),
    (f"{RUN}.seed", 2**63, "but should be less than 9,223,372,036,854,775,808"),
    (f"{RUN}.betas", [0.9], f"{RUN}.betas is [0.9], but should be 2 entries or more"),
    (f"{RUN}.betas", [0.9, 2], f"{RUN}.betas.1 is 2, but should be less than 1"),
    (f"{RUN}.betas", 0.9, f"{RUN}.betas is 0.9, but should be a list"),
    (f"{RUN}.gradient_checkpointing", "yes", "gradient_checkpointing is 'yes', but should be true or false"),
    (f"{RUN}.gradient_checkpointing", 1, "gradient_checkpointing is 1, but should be true or false"),
    ("suite.cells.micro-dct-dpm.nfe", 10**6, "nfe is 1000000, but should be at most 100,000"),
    ("suite.cells.micro-dct-dpm.n_images", 1, "n_images is 1, but should be at least 2"),
    ("suite.cells.micro-dct-dpm.n_images", 10**9, "n_images is 1000000000, but should be at most 100,000,000"),
    ("suite.datasets.micro32.crop.crop_sides", [10**6], "crop_sides.0 is 1000000, but should be at most 16,384"),
    ("suite.datasets.micro32.crop.n_heldout", 1, "n_heldout is 1, but should be at least 2"),
    ("suite.truncations.micro32-b4.kept_coefficients", [1] * 300, "but should be 256 entries or fewer"),
    ("suite.spectra.micro32.times", [], "times is [], but should be 1 entries or more"),
    ("suite.cells", {}, "suite.cells is {}, but should be 1 entries or more"),
    ("suite.report.dpi", True, "suite.report.dpi is true, but should be a whole number"),
    ("suite", "micro", "suite is 'micro', but should be an alias such as *demo"),
    # Text
    ("suite.report.title", "", "suite.report.title is '', but should be one line"),
    ("suite.report.title", " ", "suite.report.title is ' ', but should be one line"),
    ("suite.report.title", "FID {50k}", "suite.report.title is 'FID {50k}', but should be one line"),
    ("suite.report.title", "${suite.report.dpi}", "without braces and backslashes"),
    ("suite.report.title", "\\alpha", "without braces and backslashes"),
    ("suite.report.title", "-o", "not beginning with '-'"),
    ("suite.report.title", "two\nlines", "should be one line"),
    ("suite.report.title", "two\u2028lines", "should be one line"),
    ("suite.report.title", "half a character \ud800", "should be one line"),
    ("suite.report.title", "x" * 1001, "of 1 to 1,000 characters"),
    ("suite.report.title", 2024, "suite.report.title is 2024, but should be text; in quotes"),
    (f"{RUN}.release", {"file": "", "resolution": 32, "patch_size": 8}, "release.file is '', but should be one line"),
    ("suite.datasets.micro32.download", {"source": "files", "train": ""}, "train is '', but should be one line"),
    ("suite.datasets.micro32.download", {"source": "files", "train": ["a", "{b}"]}, "should be one line of 1 to 1,000"),
    ("suite.datasets.micro32.reference", {"file": "{x}.npz"}, "file is '{x}.npz', but should be one line"),
    # Names
    *[
        (f"suite.cells.{name}", {}, "but should be a name of at most 64 lower-case letters")
        for name in ("Upper", "ünicode", "a/b", "..", "-x", "_x", "a b", "con", "lpt1", "x" * 65, "", "a\n", "中")
    ],
    ("suite.cells.1", {}, "suite.cells.1.run is missing"),  # as text; a number is none
    (f"{RUN}.dataset", 16, f"{RUN}.dataset is 16, but should be text; in quotes"),
    ("suite.published", "../micro", "suite.published is '../micro', but should be a name"),
]


@pytest.mark.parametrize(
    ("key", "value", "message"), MISTAKES, ids=[f"{key:.40}={value!a:.20}" for key, value, _ in MISTAKES]
)
def test_a_mistake_is_named_in_one_line(key, value, message):
    document = copy.deepcopy({**DOCUMENT, "suite": DOCUMENT["suites"]["micro"]})
    *path, last = key.split(".", 2) if key.startswith("suite.cells.") and value == {} else key.split(".")
    place = document
    for part in path:
        place = place[part]
    place[last] = value
    with pytest.raises(UserError) as caught:
        validated(document, "params.yaml")
    assert message in str(caught.value)
    assert str(caught.value).startswith("params.yaml: ")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1500


def test_all_mistakes_are_named_at_once_with_their_lines(tmp_path):
    text = (ROOT / "params.yaml").read_text().replace("suite: *demo", "suite: *micro")
    text = text.replace("embed_dim: 16\n", "embed_dim: 0\n").replace("title: Micro suite, dpi: 60", "title: 3, dip: 60")
    lines = {word: text[: text.index(word)].count("\n") + 1 for word in ("embed_dim: 0", "title: 3")}
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(UserError) as caught:
        load_suite(tmp_path / "params.yaml")
    at_least, report = f"0, but should be at least 1 (line {lines['embed_dim: 0']})", f"(line {lines['title: 3']})"
    assert str(caught.value).split("params.yaml: ")[1].split("; ") == [
        *(f"suite.runs.{name}.embed_dim is {at_least}" for name in DOCUMENT["suites"]["micro"]["runs"]),
        "suite.report.title is 3, but should be text",
        f"in quotes if it looks like a number {report}",
        "suite.report.dip is unknown",
        f"did you mean dpi? {report}",
    ]


def test_of_many_mistakes_the_first_twenty_are_named():
    suite = copy.deepcopy(DOCUMENT["suites"]["paper"])
    for cell in suite["cells"].values():
        cell["nfe"] = 0
    with pytest.raises(UserError, match=rf"nfe is 0.*; {len(suite['cells'])} problems in all$") as caught:
        validated({**DOCUMENT, "suite": suite})
    assert str(caught.value).count("nfe is 0") == 20


def test_wrong_references_are_named_together():
    suite = copy.deepcopy(DOCUMENT["suites"]["micro"])
    suite["cells"]["micro-dct-dpm"]["run"] = suite["spectra"]["micro32"]["dataset"] = "absent"
    with pytest.raises(UserError, match=r"spectra.micro32.dataset is 'absent'.*; cells.micro-dct-dpm.run is 'absent'"):
        validated({**DOCUMENT, "suite": suite})


@pytest.mark.parametrize("folder", ["../x", "a/../b", "/a", ".a", "a//b", "a/", "a/./b"])
def test_a_folder_within_an_archive_stays_within_it(folder):
    keys = {"source": "files", "train": "../images.zip", "n_train": 2}
    assert Download.model_validate({**keys, "train_folder": "a.b/.c/d"}).train == ["../images.zip"]
    with pytest.raises(ValidationError, match="folder within the archive"):
        Download.model_validate({**keys, "train_folder": folder})


@pytest.mark.parametrize(
    "title", ['it\'s "that"', "$HOME `id` $(id) 100% %s !x", "η 👩\u200d🔬", "a; b | c > d & e # ~ *", "None"]
)
def test_both_engines_write_text_as_it_stands(title):
    report = Report.model_validate({"title": title, "dpi": 60, "smoothing": 1}).model_dump()
    assert shlex.split(to_str(report)) == flags(report) == shlex.split(shlex.join(flags(report)))
    assert not is_interpolated_string(title)


def bounds(model: type[BaseModel]) -> Iterator[tuple[str, list[str]]]:
    """Each key of a model at any depth, with the kinds of its constraints."""
    for name, field in model.model_fields.items():
        yield f"{model.__name__}.{name}", [type(constraint).__name__ for constraint in field.metadata]
        for part in [without_none(field.annotation), *get_args(field.annotation)]:
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from bounds(part)


def test_no_bound_of_a_key_hides_another():
    """Of two constraints of one kind, pydantic heeds that of the type and forgets that of the field."""
    kinds = dict(bounds(Suite))
    assert "Le" in kinds["Run.embed_dim"] and "Le" in kinds["Crop.n_train"]
    assert [key for key, found in kinds.items() if len(set(found)) < len(found)] == []


MICRO = {"suites": {"micro": DOCUMENT["suites"]["micro"]}, "suite": DOCUMENT["suites"]["micro"]}
ODD = [
    None, True, 0, -1, 1, 3.0, 1e300, float("nan"), float("inf"), 10**30, 2**64, "", " ", "x", "None", "{x}", "\ud800",
    "\n", "x" * 5000, [], [[]], [None], {}, {"": {}}, {1: 2}, {None: None}, {"a": {"b": []}}, [{}], "published", "best",
]  # fmt: skip


def places(value, above: tuple = ()) -> list[tuple]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [above, *(place for key, inner in items for place in places(inner, (*above, key)))]


def edited(document, place: tuple, how: str, odd):
    """A copy of the document with one place removed, replaced, or doubled under another key."""
    document = copy.deepcopy(document)
    group = functools.reduce(operator.getitem, place[:-1], document)
    if how == "replace":
        group[place[-1]] = odd
    elif how == "delete" or isinstance(group, list):
        del group[place[-1]]
    else:
        group[odd if isinstance(odd, str | int | float | None) else "twin"] = copy.deepcopy(group[place[-1]])
    return document


def in_one_line_or_good(read: Callable[[], object]) -> None:
    started = time.monotonic()
    try:
        read()
    except UserError as error:
        message = str(error)
        assert message and "\n" not in message and len(message) < 10_000
    assert time.monotonic() - started < 1


QUICK = settings(max_examples=300, deadline=None, derandomize=True, database=None)


@QUICK
@given(
    st.lists(st.tuples(st.sampled_from(places(MICRO["suite"])[1:]), st.sampled_from(("replace", "delete", "twin")),
                       st.sampled_from(ODD)), min_size=1, max_size=3)
)  # fmt: skip
def test_any_edit_of_a_suite_is_good_or_named(edits):
    suite = MICRO["suite"]
    for place, how, odd in edits:
        with contextlib.suppress(LookupError, TypeError, AttributeError):  # an edit before removed the place
            suite = edited(suite, place, how, odd)
    in_one_line_or_good(lambda: validated({**MICRO, "suite": suite}))


TEXT = yaml.safe_dump(MICRO, sort_keys=False)


@QUICK
@given(
    st.integers(0, len(TEXT)),
    st.integers(0, 30),
    st.sampled_from(["", *"\t\n:-*&!%@`'\"{}[],#?|>\\\0é", "<<: ", "- ", "0o", "1e"]),
)
def test_any_edit_of_the_text_is_good_or_named(tmp_path_factory, start, length, odd):
    path = tmp_path_factory.getbasetemp() / "params.yaml"
    path.write_text(TEXT[:start] + odd + TEXT[start + length :], encoding="utf-8")
    in_one_line_or_good(lambda: load_suite(path))


PUBLISHED_MISTAKES = [
    ("costs", [{"run": "absent", "quantity": "GMACs"}], "micro.costs.0.run is 'absent'"),
    ("costs", [{"run": "micro32-uvit", "quantity": "GFLOPs"}], "micro.costs.0.quantity is 'GFLOPs', but should be"),
    ("distances", {"quality": []}, "micro.distances.quality: this table exists already"),
    ("distances", {"other": [{"cell": "absent"}]}, "micro.distances.other.0.cell is 'absent'"),
    ("truncations", {"absent": {}}, "micro.truncations has the key 'absent'"),
    ("not_published", {"absent": ["lr"]}, "micro.not_published has the key 'absent'"),
    ("not_published", {"micro32-dit": ["lrr"]}, "micro.not_published.micro32-dit.0 is 'lrr', but should be one of"),
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
    with pytest.raises(UserError, match=r"published\.yaml has no group 'papre'; it has cifar10, paper, paper-released"):
        load_published(ROOT / FILE, "papre")
    assert load_published(ROOT / FILE, None).model_dump(exclude_defaults=True) == {}


@pytest.mark.parametrize("name", DOCUMENT["suites"])
def test_the_published_numbers_of_every_suite_are_about_it(name):
    suite = validated({**DOCUMENT, "suite": DOCUMENT["suites"][name]}).suite
    check_published(suite, load_published(ROOT / FILE, suite.published), FILE)


def test_a_missing_key_is_named():
    document = copy.deepcopy({**DOCUMENT, "suite": DOCUMENT["suites"]["micro"]})
    del document["suite"]["runs"]["micro32-dctdiff"]["codec"]
    with pytest.raises(UserError, match=r"suite\.runs\.micro32-dctdiff\.codec is missing"):
        validated(document, "params.yaml")


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
    first = "--feature_resolution is '3', but should be at least 32"
    assert output.strip() == f"error: {first}; --batch_size is 'x', but should be a whole number"


def test_the_suites_with_several_seeds_have_a_table_of_them():
    with_seeds = {
        name for name, suite in DOCUMENT["suites"].items() if "seeds" in table_names({**suite, "published": None})
    }
    assert with_seeds == {"cifar10-minutes", "cifar10-ablation"}
