"""Locks that end with their process, however it ends."""

import contextlib
import fcntl
import os
import shutil
from pathlib import Path
from typing import IO


def opened(path: Path) -> IO:
    """A file to lock, made if need be; that of another user, who shares this folder, may be for reading only."""
    try:
        return open(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+", encoding="utf-8")
    except PermissionError:
        if not path.exists():  # the folder may not be written
            raise
        return open(path, encoding="utf-8")


def forget_dead_snakemakes() -> IO:
    """Remove what Snakemakes that were killed in this folder have left; keep what is returned open to be alive.

    Snakemake's own locks are files, which outlive it, and the next one would refuse to start.
    """
    folder = Path(".snakemake")
    folder.mkdir(exist_ok=True)
    file = opened(folder / "alive")  # open as long as the process lives
    with contextlib.suppress(BlockingIOError):  # another one is alive: its locks are true
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for lock in folder.glob("locks/*"):
            lock.unlink()
        # Of jobs that were killed while they updated their outputs, which are replaced as a whole or not at all.
        shutil.rmtree(folder / "backups", ignore_errors=True)
    fcntl.flock(file, fcntl.LOCK_SH)
    return file
