"""An estimate for the whole: how many of the jobs are done that an engine has begun with, and the minutes left.

The engine writes down what is to be run when it starts; each job says at its end what is left. No engine knows the
file, and no number depends on it.
"""

import contextlib
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean

from dctdiff.pipeline import ledger, record
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import read_json, write_json
from dctdiff.pipeline.slice import Form

FILE = Path(".cache/estimate.json")


class Estimate(Form):
    began: float  # seconds since 1970
    jobs: dict[str, float | None]  # that are to be run -> seconds that each took last (a new one: its stage)


def expect(jobs: Iterable[tuple[str, ...]]) -> None:
    """Write down the jobs (stage, and name if it has several) that are to be run from now on."""
    files = [record.record_path(*job).relative_to(record.FOLDER).with_suffix(".jsonl") for job in jobs]
    usual = {folder: _usual(ledger.FOLDER / folder) for folder in {file.parent for file in files if file.parent.name}}
    seconds = {str(file.with_suffix("")): _last(ledger.FOLDER / file) or usual.get(file.parent) for file in files}
    with contextlib.suppress(OSError):
        write_json(FILE, {"began": time.time(), "jobs": seconds})


def _last(path: Path) -> float | None:
    return next((line.seconds for line in reversed(ledger.read_lines(path)) if line.event == "done"), None)


def _usual(folder: Path) -> float | None:
    """Of all jobs of a stage, for one that is new."""
    seconds = [found for path in folder.glob("*.jsonl") if (found := _last(path)) is not None]
    return fmean(seconds) if seconds else None


def left(job: Path) -> str | None:
    """ "3 of 33 jobs done, about 4 min left", said by one of them; None if no engine has begun with it."""
    try:
        estimate = read_json(FILE, Estimate)
    except (OSError, UserError):
        return None
    began, jobs = estimate["began"], estimate["jobs"]
    if str(job) not in jobs:
        return None
    done = {job for job in jobs if _time(record.FOLDER / f"{job}.json") >= began}
    said = f"{len(done)} of {len(jobs)} jobs done"
    seconds = remaining(jobs, done, time.time() - began)
    return said if seconds is None else f"{said}, about {rounded(seconds)} left"


def remaining(jobs: dict[str, float | None], done: set[str], elapsed: float) -> float | None:
    """Seconds that the other jobs will take; None if there are none, or one of them has never run.

    Jobs that ran side by side so far will go on doing so: as many seconds of jobs pass in a second.
    """
    others = [seconds for job, seconds in jobs.items() if job not in done]
    if not others or None in others:
        return None
    passed = sum(jobs[job] or 0.0 for job in done)
    return sum(others) / max(1.0, passed / max(elapsed, 1.0))


def rounded(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _time(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0
