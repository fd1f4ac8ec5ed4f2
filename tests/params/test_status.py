"""What is stale: params, code, inputs and outputs, but never times or the order of keys."""

import json
import os
import re
import time

import pytest
import yaml

from dctdiff.params import status
from dctdiff.params.jobs import STAGES, job_code, jobs_of, words_of
from dctdiff.params.status import settle_times, why_stale, whys_stale
from dctdiff.pipeline.digests import digest
from dctdiff.pipeline.record import record_path
from engines import ROOT

SUITE = yaml.safe_load((ROOT / "params.yaml").read_text())["suites"]["micro"]


@pytest.fixture
def job(tmp_path, monkeypatch):
    """The results of one job and its record."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.zip").write_bytes(b"x" * 2_000_000)
    (tmp_path / "out.zip").write_bytes(b"y" * 2_000_000)
    write()
    return tmp_path


def write(**changes):
    record = {
        "params": words_of(SUITE, "sample", "micro-dct-dpm"),
        "code": job_code(SUITE, "sample", "micro-dct-dpm"),
        "code_that_ran": "",
        "commit": None,
        "date": "today",
        "host": "h",
        "inputs": {"in.zip": digest("in.zip"), "absent.zip": None},
        "outputs": {"out.zip": digest("out.zip")},
        **changes,
    }
    path = record_path("sample", "micro-dct-dpm")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record))


def why(suite=SUITE):
    return why_stale(suite, "sample", "micro-dct-dpm")


def edited(**changes):
    cell = {**SUITE["cells"]["micro-dct-dpm"], **changes}
    return {**SUITE, "cells": {**SUITE["cells"], "micro-dct-dpm": cell}}


def test_what_is_of_now_is_current(job):
    assert why() is None
    turned = dict(reversed(SUITE["cells"]["micro-dct-dpm"].items()))
    assert why({**SUITE, "cells": {**SUITE["cells"], "micro-dct-dpm": turned}}) is None
    for name in ("in.zip", "out.zip"):
        os.utime(job / name, (1e9, 1e9))
    assert why() is None
    (job / "absent.zip").write_bytes(b"not read when it was made")
    assert why() is None


def test_what_differs_is_named(job):
    assert why(edited(nfe=9)) == "params"
    assert why(edited(log_steps=7)) == "params"
    write(code="0" * 64)
    assert why() == "code"
    write()
    (job / "in.zip").write_bytes(b"z" * 2_000_000)  # as large, and perhaps as old
    assert why() == "in.zip differs"
    write()
    (job / "out.zip").write_bytes(b"y" * 1_999_999)
    assert why() == "out.zip differs"


def test_what_is_gone_is_made_again_if_something_needs_it(job):
    (job / "in.zip").unlink()
    (job / "out.zip").unlink()
    assert why() is None
    record_path("sample", "micro-dct-dpm").unlink()
    assert why() == "no record"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"params": 3}'])
def test_a_broken_record_is_no_record(job, text):
    record_path("sample", "micro-dct-dpm").write_text(text)
    assert why().endswith("is broken")


def test_a_digest_is_remembered_and_forgotten(job):
    before = digest("in.zip")
    (memory,) = [path for path in (job / ".cache/digests").iterdir() if "in.zip" in path.read_text()]
    known = json.loads(memory.read_text())
    memory.write_text(json.dumps({**known, "sha256": "remembered"}))
    assert digest("in.zip") == "remembered"
    memory.write_text("half a memo")
    assert digest("in.zip") == before
    os.utime(job / "in.zip", (5, 5))
    assert digest("in.zip") == before


def test_an_image_that_is_replaced_in_a_folder_changes_its_digest(job):
    (job / "photos/cats").mkdir(parents=True)
    for name in ("a.jpg", "cats/b.jpg"):
        (job / "photos" / name).write_bytes(b"image")
    before = digest("photos")
    assert digest("photos") == before
    (job / "photos/.hidden").write_bytes(b"of a file manager")
    assert digest("photos") == before
    (job / "photos/cats/b.jpg").write_bytes(b"other")
    assert digest("photos") != before


def test_times_are_made_to_agree_with_the_records(job, monkeypatch):
    monkeypatch.setattr(status, "jobs_of", lambda suite: [("sample", "micro-dct-dpm")])
    now = time.time()
    os.utime(job / "in.zip", (now - 10, now - 10))
    os.utime(job / "out.zip", (now - 90, now - 90))
    settle_times(SUITE)
    assert (job / "out.zip").stat().st_mtime == pytest.approx(now - 10, abs=0.01)
    os.utime(job / "out.zip", (now + 1e6, now + 1e6))
    settle_times(SUITE)
    assert (job / "out.zip").stat().st_mtime <= time.time()
    os.utime(job / "out.zip", (now - 90, now - 90))
    settle_times(edited(nfe=9))  # stale: Snakemake is to see it
    assert (job / "out.zip").stat().st_mtime == pytest.approx(now - 90, abs=0.01)


def test_what_is_made_of_stale_or_unrecorded_results_is_stale(job, monkeypatch):
    sample, evaluate = ("sample", "micro-dct-dpm"), ("evaluate", "micro-dct-dpm")
    monkeypatch.setattr(status, "jobs_of", lambda suite: [sample, evaluate])
    (job / "results").mkdir(exist_ok=True)
    (job / "results/s.zip").write_bytes(b"samples")
    write(outputs={"results/s.zip": digest("results/s.zip")})
    made = {
        "params": words_of(SUITE, *evaluate), "code": job_code(SUITE, *evaluate), "code_that_ran": "c", "commit": None,
        "date": "d", "host": "h", "outputs": {},
        "inputs": {"results/s.zip": digest("results/s.zip"), "data/micro32/train.npy": None},
    }  # fmt: skip
    record_path(*evaluate).parent.mkdir(parents=True)
    record_path(*evaluate).write_text(json.dumps(made))
    assert whys_stale(SUITE) == {sample: None, evaluate: None}
    assert whys_stale(edited(nfe=9)) == {sample: "params", evaluate: "sample micro-dct-dpm is stale"}
    record_path(*sample).unlink()
    assert whys_stale(SUITE)[evaluate] == "nothing records how results/s.zip was made"


def test_every_rule_has_a_place_in_the_list_of_stages():
    text = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    rules = re.findall(r"^(?:use rule \w+ as|rule) (\w+)", text, flags=re.MULTILINE)
    assert sorted(rules) == sorted(STAGES)
    assert len(jobs_of(SUITE)) == len(set(jobs_of(SUITE)))
