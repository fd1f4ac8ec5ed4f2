"""The ledger: what each job has cost, however it ended. One file of JSON lines per job, which is only appended to.

Its first process writes a line at its start. Each process writes what it has used since its own, at its end and before
at intervals that grow to ten minutes. So its last line counts; after a kill -9 what came later is not known.

No engine knows these files: they change at each start, and a deleted one is not made again.
"""

import contextlib
import functools
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from dctdiff.pipeline import record
from dctdiff.pipeline.devices import SCHEDULERS
from dctdiff.pipeline.environment import process_rank
from dctdiff.pipeline.errors import ERROR_FILE, Interrupted, mendable
from dctdiff.pipeline.meanwhile import meanwhile
from dctdiff.pipeline.record import now, record_path
from dctdiff.pipeline.slice import Form
from dctdiff.pipeline.usage import cpu_name, gpu_joules, gpus_used, peak_memory

FOLDER = Path("results/ledger")  # <stage>/<name>.jsonl, as the records
SECONDS_BETWEEN_LINES, MOST_SECONDS = 10.0, 600.0  # the first interval, and the last
NOTES: dict[str, int] = {}  # of this process: what only its stage knows


class UsedGPU(Form):
    model: str
    memory_bytes: int
    joules: int | None


class Line(Form):
    event: Literal["start", "running", "done", "interrupted", "error"]
    host: str
    process: int
    cpu: str | None = None  # of a start
    seconds: float = 0.0
    memory_bytes: int = 0
    gpus: list[UsedGPU] = Field(default_factory=list)
    steps_lost: int = 0


def note(**facts: int) -> None:
    """Let the lines of this process say these, too."""
    NOTES.update(facts)


@contextlib.contextmanager
def accounted(record_file: str | None) -> Iterator[None]:
    """Let the ledger say what this block costs, for the job with this record; a job without one has no ledger."""
    if record_file is None or not Path(record_file).is_relative_to(record.FOLDER):
        yield
        return
    path = FOLDER / Path(record_file).relative_to(record.FOLDER).with_suffix(".jsonl")
    write = functools.partial(_write, path, host=platform.node(), process=os.getpid())
    began, joules = time.monotonic(), gpu_joules()

    def write_used(event: str) -> None:
        seconds = round(time.monotonic() - began, 1)
        write(event=event, seconds=seconds, memory_bytes=peak_memory(), gpus=gpus_used(joules), **NOTES)

    if ERROR_FILE not in os.environ and process_rank() == 0:  # not one of those that another has started
        attempt = 1 + sum(line.event == "start" for line in read_lines(path))
        threads = os.environ.get("OMP_NUM_THREADS")
        scheduler_job = next((os.environ[name] for name in SCHEDULERS if name in os.environ), None)
        write(event="start", attempt=attempt, scheduler_job=scheduler_job, cpu=cpu_name(), threads=threads)
    try:
        with meanwhile(functools.partial(write_used, "running"), SECONDS_BETWEEN_LINES, MOST_SECONDS):
            yield
    finally:
        write_used(_ending(sys.exception()))


def _ending(error: BaseException | None) -> str:
    if error is None or isinstance(error, SystemExit):
        code = getattr(error, "code", None) or 0
    else:
        code = getattr(mendable(error), "exit_code", 1)
    return {0: "done", Interrupted.exit_code: "interrupted"}.get(code, "error")


def _write(path: Path, **facts) -> None:
    """Append a line, in one write, since several processes do; a job does not fail by it."""
    line = json.dumps({"event": facts.pop("event"), "date": now(), **facts}) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab+", buffering=0) as file:
            file.write((_line_break_if_torn(file) + line).encode())
    except OSError as error:
        _warn_once(f"{path} cannot be written ({error.strerror}): it will not say what this job has cost")


@functools.cache
def _warn_once(message: str) -> None:
    print(f"warning: {message}", file=sys.stderr, flush=True)


def _line_break_if_torn(file) -> str:
    """A full disk or a lost node may have left half a line, which is to spoil no other."""
    if not file.tell():
        return ""
    file.seek(-1, os.SEEK_END)
    return "" if file.read(1) == b"\n" else "\n"


def read_ledger(stage: str, name: str | None = None) -> list[Line]:
    """The lines of a job, in their order; none if it has not run."""
    return read_lines(FOLDER / record_path(stage, name).relative_to(record.FOLDER).with_suffix(".jsonl"))


def read_lines(path: Path) -> list[Line]:
    """Without those that are torn."""
    lines = []
    with contextlib.suppress(OSError), open(path, "rb") as file:
        for line in file:
            with contextlib.suppress(ValidationError):
                lines.append(Line.model_validate_json(line))
    return lines
