"""The record of a job: by which command and code its results were made, and when."""

import datetime
import platform
import subprocess
from pathlib import Path

from dctdiff.pipeline.files import write_json
from dctdiff.pipeline.kept import counts_as, read_kept

FOLDER = Path("results/records")  # <stage>/<name>.json, or <stage>.json of a stage with one job


def write_record(path: str | Path, module: str, arguments: list[str], code: str, seconds: float) -> None:
    """``code``: digest of the code that ran."""
    write_json(
        path,
        {
            "module": module,
            "arguments": arguments,
            "code": counts_as(code, read_kept()),
            "code_that_ran": code,
            "commit": commit(),
            "date": now(),
            "seconds": round(seconds, 1),
            "host": platform.node(),
        },
    )


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
