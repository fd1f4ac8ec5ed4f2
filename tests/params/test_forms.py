"""Forms of JSON: what lacks a key, or has something else in its place, is one line that names file and key."""

import copy
import json

import pytest

from dctdiff.params import forms
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import read_json, read_json_lines
from dctdiff.pipeline.record import Record

DIGEST = "0" * 64
CHANNEL = {"entropy": [1.5], "histogram": [[1, 2]]}
PROTOCOL = {"metric": "FD", "extractor_sha256": DIGEST, "feature_resolution": 32, "reference_sha256": DIGEST}
GOOD = {
    forms.Statistics: {
        "space": "dct", "resolution": 8, "block_size": 1, "kept_coefficients": 1, "eta": 240.5,
        "channels": {"y": CHANNEL, "cb": CHANNEL, "cr": CHANNEL},
    },
    forms.Evaluation: {
        "value": 1.5, "kid": None, "n_images": 3, "protocol": PROTOCOL, "images": {}, "images_sha256": DIGEST,
        "versions": {"torch": "2"}, "further": {"CMMD": 0.5},
    },
    forms.Selection: {
        "k": 1, "step": None, "candidates": [{"step": None, "value": None}], "nfe": 2, "n_images": 3,
        "protocol": PROTOCOL,
    },
    forms.Truncation: {
        "block_size": 2, "bound": 0.5, "n_images": 3, "curve": [{"m": 0, "kept": 4, "value": 0}], "m_star": 0,
        "protocol": PROTOCOL,
    },
    forms.Upsampling: {
        "n_images": 3, "values": {"nearest": 1, "bicubic": 2.5, "lanczos": 3, "dct": 4}, "protocol": PROTOCOL,
    },
    forms.Spectrum: {
        "resolution": 8, "times": [0.5], "snr_scale": 1.0,
        "luma": {"cycles_per_image": [0, 1], "clean": [1, 2], "noisy": [[1, 2]], "noise": [0.1]},
        "dct": {
            "block_size": 1, "kept_coefficients": 1, "channels": {"y": {"power": [0.5], "crossing_times": [0.1]}},
        },
    },
    forms.TrainedLine: {"step": 1, "images": 2, "loss": 0.5, "seconds": 1, "precision": "fp32", "device": "CPU"},
    forms.PublishedLine: {"step": None, "images": None, "loss": None},
    forms.Question: {"identity": {"run": {}, "code": {"a": "b"}}, "trained_otherwise": "0123"},
    Record: {
        "params": ["--a", "1"], "inputs": {"a": None}, "outputs": {"b": DIGEST}, "code": DIGEST,
        "code_that_ran": DIGEST, "commit": None, "date": "today", "host": "here",
    },
}  # fmt: skip
NEWER = {"a key of a later version": [1]}


def read(folder, form, content):
    path = folder / "found.json"
    path.write_text(json.dumps(content))
    return read_json(path, form)


@pytest.mark.parametrize("form", GOOD, ids=lambda form: form.__name__)
def test_what_is_whole_is_read_as_it_is_and_nothing_else(tmp_path, form):
    good = GOOD[form] | NEWER
    assert read(tmp_path, form, good) == good
    for wrong in ([], [good], 3, None, "text"):
        with pytest.raises(UserError, match=r"found\.json: the content is .* delete it and run again$"):
            read(tmp_path, form, wrong)
    for key in good.keys() - NEWER.keys() - {"kid", "further", "dct"}:
        with pytest.raises(UserError, match=r"found\.json: .*is missing.*; delete it and run again$"):
            read(tmp_path, form, {name: value for name, value in good.items() if name != key})
    for key in good.keys() - NEWER.keys():
        with pytest.raises(UserError, match=rf"found\.json: {key}[. ].*; delete it and run again$") as error:
            read(tmp_path, form, good | {key: [["long"] * 1000]})
        assert len(str(error.value)) < len(str(tmp_path)) + 250 and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("form", "place", "value", "message"),
    [
        (forms.Evaluation, ["value"], float("nan"), "value is nan"),
        (forms.Evaluation, ["value"], "1.5", "value is '1.5'"),
        (forms.Evaluation, ["protocol", "metric"], None, "protocol.metric is null"),
        (forms.Statistics, ["channels", "y", "entropy"], [], "channels.y.entropy is not of 1 coefficients"),
        (forms.Statistics, ["channels"], {"r": CHANNEL}, "channels are r, not y, cb, cr"),
        (forms.Statistics, ["block_size"], None, "block_size, kept_coefficients or eta is missing"),
        (forms.Truncation, ["m_star"], 7, "m_star is 7, which the curve does not have"),
        (forms.Spectrum, ["luma", "noise"], [], "luma is not of 1 times"),
        (forms.Spectrum, ["luma", "clean"], [1], "luma is not of 2 frequencies"),
        (forms.Spectrum, ["dct", "channels", "y", "power"], [], "dct.channels.y is not of 1 coefficients"),
        (forms.Question, ["trained_otherwise"], "../elsewhere", "trained_otherwise is a path"),
    ],
)
def test_what_does_not_agree_is_named(tmp_path, form, place, value, message):
    content = copy.deepcopy(GOOD[form])
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with pytest.raises(UserError, match=rf"found\.json: {message}"):
        read(tmp_path, form, content)


def test_a_log_holds_lines_of_either_kind(tmp_path):
    path = tmp_path / "log.jsonl"
    lines = [GOOD[forms.TrainedLine], GOOD[forms.PublishedLine]]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_json_lines(path, forms.LogLine) == lines
    path.write_text(json.dumps({"step": 1, "images": 2, "loss": 0.5}))
    with pytest.raises(UserError, match=r"log\.jsonl, line 1: trained\.seconds is missing; .*delete it"):
        read_json_lines(path, forms.LogLine)
