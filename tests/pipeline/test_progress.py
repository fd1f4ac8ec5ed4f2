"""Lines of progress: whatever is named and however many there are, they fit 80 columns and say something."""

import itertools
import sys

import pytest

from dctdiff.pipeline import progress as module
from dctdiff.pipeline.progress import Bar, clock, line, progress, shortened

NAMES = ("a", "ffhq256-dctdiff-m-snr1", "x" * 64)
RECORD = ["--out_record", "results/records/weights/micro32-uvit.json"]


@pytest.fixture
def moments(monkeypatch):
    """Sets the seconds of the clock."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(("name", "total"), list(itertools.product(NAMES, (None, 6, 1_000_000))))
def test_a_line_fits_80_columns(name, total):
    for done in (0, 3, 999_999):
        bar = Bar(f"{name}: checkpoint 10 of 20", total, "images", 0, silent=True)
        bar.update(done)
        bar.set_postfix_str("loss 0.0123")
        text = line(bar, 123_456.0)
        assert len(text) < 80 and "\n" not in text
        assert name[:3] in text and f"{done}/" in text and "loss 0.0123" in text


def test_two_trainings_are_told_apart(monkeypatch, capfd):
    """And the width of the terminal, or its absence, changes nothing."""
    for columns, run in (("0", "micro32-uvit"), ("82", "micro32-dctdiff")):
        monkeypatch.setenv("COLUMNS", columns)
        monkeypatch.setattr(sys, "argv", ["weights", "--out_record", f"results/records/weights/{run}.json"])
        with progress("train", 4, "steps") as bar:
            bar.update(4)
    first, last, *others = capfd.readouterr().err.splitlines()
    assert first == f"micro32-uvit: train   0% |{' ' * 24}| 0/4 steps [00:00 < ?]"
    assert last == f"micro32-uvit: train 100% |{'#' * 24}| 4/4 steps [00:00 < 00:00]"
    assert [other[:22] for other in others] == ["micro32-dctdiff: train"] * 2


def test_lines_come_every_few_seconds_and_the_last_once(moments, capfd):
    with progress("train", 100, "steps", initial=50) as bar:
        for _ in range(50):
            moments[0] += 1.0
            bar.update()
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 11  # the first, and one for each five seconds
    assert "75/100 steps [00:25 < 00:25]" in lines[5]  # at the rate of this start, not of the one before
    assert "100/100 steps [00:50 < 00:00]" in lines[-1]


def test_an_unknown_total_is_said(capfd):
    with progress("fetch a", None, "MB") as bar:
        bar.update(7)
    assert capfd.readouterr().err.splitlines()[-1] == "fetch a  7/? MB [00:00 < ?]"


def test_clock_and_names():
    assert (clock(59.9), clock(3599), clock(360_000)) == ("00:59", "59:59", "100:00:00")
    assert shortened("abcdefghijklmnop", 10) == "abcd..mnop" and shortened("abcdefghij", 10) == "abcdefghij"
