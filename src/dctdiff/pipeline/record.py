"""The record of a job: by which command and code its results were made, and when."""

import datetime
import platform
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from dctdiff.pipeline.digests import digest
from dctdiff.pipeline.environment import n_processes
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import read_json, write_json
from dctdiff.pipeline.kept import counts_as, read_kept
from dctdiff.pipeline.slice import Form

FOLDER = Path("results/records")  # <stage>/<name>.json, or <stage>.json of a stage with one job


class Record(Form):
    """Of a job, as its file holds it."""

    params: list[str]
    inputs: dict[str, str | None]
    outputs: dict[str, str | None]
    code: str
    code_that_ran: str
    commit: str | None
    date: str
    host: str


@dataclass(frozen=True)
class Used:
    """What a job used that its command does not name as a path or cannot know."""

    entries: dict[str, str] = field(default_factory=dict)  # of registries (``dctdiff.pipeline.code``)
    files: tuple[str | Path, ...] = ()  # that its params name


def record_path(stage: str, name: str | None = None) -> Path:
    return FOLDER / (f"{stage}/{name}.json" if name else f"{stage}.json")


def write_record(
    path: str | Path, module: str, params: list[str], files: dict[str, dict[str, str]], code: str, seconds: float
) -> None:
    """``params``: words of the command without paths; ``files``: digests of inputs and outputs; ``code``: digest."""
    write_json(
        path,
        {
            "module": module,
            "command": shlex.join(["python", "-m", module, *sys.argv[1:]]),
            "params": params,
            **files,
            "code": counts_as(code, read_kept()),
            "code_that_ran": code,
            "commit": commit(),
            "date": now(),
            "seconds": round(seconds, 1),
            "host": platform.node(),
            "processes": n_processes(),
        },
    )


def check_whole(inputs: dict[str, str | None]) -> None:
    """A UserError if a file is not what a recorded job wrote; ``inputs``: digests of files and folders."""
    for path in sorted(FOLDER.rglob("*.json")):
        try:
            record = read_json(path, Record)
        except (OSError, UserError):  # being written, or broken: make status says so
            continue
        job, date = path.relative_to(FOLDER).with_suffix(""), record["date"]
        for file, expected in record["outputs"].items():
            found = _found(file, inputs)
            if expected is not None and found not in (None, expected):
                raise UserError(
                    f"{file} is not what {job} wrote at {date}: its SHA-256 is {found[:16]}..., {expected[:16]}... was "
                    "recorded; it was damaged or edited: delete it and start again"
                )


def _found(file: str, inputs: dict[str, str | None]) -> str | None:
    """The digest of a file that is an input, or lies in a folder that is one; None if it is not."""
    if file in inputs:
        return inputs[file]
    return digest(file, anew=True) if any(file.startswith(f"{path}/") for path in inputs) else None


def now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def commit() -> str | None:
    """The commit that is checked out, "+" if src was edited since; None without git."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD").strip()
        return head + ("+" if _git("status", "--porcelain", "--", "src").strip() else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], capture_output=True, text=True, check=True).stdout
