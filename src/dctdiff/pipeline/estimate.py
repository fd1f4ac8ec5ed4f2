"""An estimate for the whole: how many of the jobs are done that an engine has begun with, and the minutes left.

The engine writes down what is to be run when it starts; each job says at its end what is left. No engine knows the
file, and no number depends on it.
"""

import contextlib
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean

from dctdiff.pipeline import record
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import read_json, write_json
from dctdiff.pipeline.ledger import read_ledger
from dctdiff.pipeline.slice import Form

FILE = Path(".cache/estimate.json")


class Estimate(Form):
    began: float  # seconds since 1970
    jobs: dict[str, float | None]  # that are to be run -> the seconds that each took last, None of a new one


def expect(jobs: Iterable[tuple[str, ...]]) -> None:
    """Write down the jobs (stage, and name if it has several) that are to be run from now on."""
    seconds = {str(record.record_path(*job).relative_to(record.FOLDER).with_suffix("")): _last(*job) for job in jobs}
    with contextlib.suppress(OSError):
        write_json(FILE, {"began": time.time(), "jobs": seconds})


def _last(stage: str, name: str | None = None) -> float | None:
    return next((line.seconds for line in reversed(read_ledger(stage, name)) if line.event == "done"), None)


def left() -> str | None:
    """ "3 of 33 jobs done, about 4 min left"; None if no engine has written down what is to be run."""
    try:
        estimate = read_json(FILE, Estimate)
    except (OSError, UserError):
        return None
    began, jobs = estimate["began"], estimate["jobs"]
    done = {job for job in jobs if _time(record.FOLDER / f"{job}.json") >= began}
    said = f"{len(done)} of {len(jobs)} jobs done"
    seconds = remaining(jobs, done, time.time() - began)
    return said if seconds is None else f"{said}, about {rounded(seconds)} left"


def remaining(jobs: dict[str, float | None], done: set[str], elapsed: float) -> float | None:
    """Seconds that the other jobs will take; a new job counts as the mean of its stage. None if nothing is known.

    Jobs that ran side by side so far will go on doing so: as many seconds of jobs pass in a second.
    """
    known = {job: seconds if seconds is not None else _usual(job, jobs) for job, seconds in jobs.items()}
    if any(known[job] is None for job in jobs.keys() - done):
        return None
    passed = sum(known[job] or 0.0 for job in done)
    return sum(known[job] for job in jobs.keys() - done) / max(1.0, passed / max(elapsed, 1.0))


def _usual(job: str, jobs: dict[str, float | None]) -> float | None:
    stage = job.partition("/")[0]
    seconds = [found for other, found in jobs.items() if found is not None and other.partition("/")[0] == stage]
    return fmean(seconds) if seconds else None


def rounded(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _time(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0
