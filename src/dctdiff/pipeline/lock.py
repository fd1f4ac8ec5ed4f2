"""One owner of a folder: a second process waits until the first has ended, however it ends."""

import contextlib
import fcntl
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from dctdiff.pipeline.errors import Interrupted

LOCK = "lock"
SECONDS_BETWEEN_TRIES = 1.0


@contextlib.contextmanager
def only_owner(folder: Path, stop: Callable[[], bool]) -> Iterator[None]:
    """Own ``folder`` in this block; wait for another owner, and say who it is. Asks ``stop`` meanwhile.

    The lock is of the kernel: it ends with its process, also by kill -9. An orphan of a killed run keeps it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _opened(folder / LOCK) as file:
        said = False
        while not _taken(file):
            if not said:
                owner = file.read().strip() or "another process"
                print(f"{folder} is in use by {owner}; this process waits for it", file=sys.stderr, flush=True)
                said = True
            if stop():
                raise Interrupted(f"stopped while {folder} was in use by another process; the same command goes on")
            time.sleep(SECONDS_BETWEEN_TRIES)
        if file.writable():
            file.seek(0)
            file.truncate()
            file.write(f"process {os.getpid()} on {platform.node()}\n")
            file.flush()
        yield


def _opened(path: Path) -> IO:
    """A file to lock, made if need be; that of another user, who shares this folder, may be for reading only."""
    try:
        return open(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+", encoding="utf-8")
    except PermissionError:
        if not path.exists():  # the folder may not be written
            raise
        return open(path, encoding="utf-8")


def _taken(file) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def forget_dead_snakemakes() -> IO:
    """Remove what Snakemakes that were killed in this folder have left; keep what is returned open to be alive.

    Snakemake's own locks are files, which outlive it, and the next one would refuse to start.
    """
    folder = Path(".snakemake")
    folder.mkdir(exist_ok=True)
    file = _opened(folder / "alive")  # open as long as the process lives
    with contextlib.suppress(BlockingIOError):  # another one is alive: its locks are true
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for lock in folder.glob("locks/*"):
            lock.unlink()
        # Of jobs that were killed while they updated their outputs, which are replaced as a whole or not at all.
        shutil.rmtree(folder / "backups", ignore_errors=True)
    fcntl.flock(file, fcntl.LOCK_SH)
    return file
