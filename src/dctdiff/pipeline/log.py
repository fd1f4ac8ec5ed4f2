"""The log of a job: ``logs/<stage>/<name>.log`` has all that it says, whichever engine started it."""

import atexit
import contextlib
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path

from dctdiff.pipeline.record import now

FOLDER = Path("logs")
# What asks a job to stop must not end what it says on the way, nor a terminal that is gone.
TEE = 'trap "" HUP INT PIPE TERM USR1; exec tee -a "$0"'
SECONDS_TO_END = 1.0  # for the last words; a helper of a library may live longer and hold the pipe open


def keep_log(job: Path) -> None:
    """Let all that this process and those it starts say from now on stand at the end of the job's log, too.

    What says it last, such as an error or a traceback, comes last. A program of its own writes the log, so it also has
    the last words of a process that crashes or is killed. If it cannot be written, `tee` says so, and the job goes on.
    """
    path = FOLDER / f"{job}.log"
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"# {now()} on {platform.node()}: {shlex.join(sys.orig_argv)}\n")
    terminal = [os.dup(number) for number in (1, 2)]
    tee = subprocess.Popen(["sh", "-c", TEE, str(path)], stdin=subprocess.PIPE, stdout=2)
    _flush()
    for number in (1, 2):
        os.dup2(tee.stdin.fileno(), number)
    tee.stdin.close()
    sys.stdout.reconfigure(line_buffering=True)  # so that an error comes after it
    atexit.register(_end, tee, terminal)  # which comes after a traceback


def _end(tee: subprocess.Popen, terminal: list[int]) -> None:
    _flush()
    for number, old in zip((1, 2), terminal, strict=True):
        os.dup2(old, number)
    with contextlib.suppress(subprocess.TimeoutExpired):
        tee.wait(SECONDS_TO_END)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
