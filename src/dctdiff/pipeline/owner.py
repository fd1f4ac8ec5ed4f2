"""One owner of a folder, on whichever machine it runs; who comes second waits whether it is dead, and else ends.

The kernel locks a file for the owner, and the lock ends with its process, also by kill -9. But some file systems have
no locks, and some do not share them between machines. So the name of the owner lies beside it and changes as long as
it lives. Clocks of machines differ: whoever comes looks, by its own clock, whether the name changes. An owner that was
taken for dead finds the name of another, and writes nothing any more.
"""

import contextlib
import fcntl
import os
import platform
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from dctdiff.pipeline.errors import Interrupted, UserError
from dctdiff.pipeline.files import parsed_json, write_json
from dctdiff.pipeline.lock import opened
from dctdiff.pipeline.meanwhile import meanwhile
from dctdiff.pipeline.slice import Form

LOCK = "lock"
NAME = "owner.json"
BEAT_SECONDS = 10.0  # between two changes of the name
SILENCE_SECONDS = 90.0  # without a change, of one who counts as dead; NFS may show a file as it was 60 s ago
SECONDS_BETWEEN_LOOKS = 1.0


class Name(Form):
    host: str
    process: int
    job: str | None  # of Slurm
    boot: str
    token: str  # of this owner and no other
    beat: int
    released: bool  # the owner has ended as it should

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}" + (f" (job {self.job})" if self.job else "")

    def remedy(self) -> str:
        return f"scancel {self.job}" if self.job else f"kill {self.process} on {self.host}"


class Owner:
    """This process as the owner of a folder."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.taken_by: Name | None = None
        self.name = Name(
            host=platform.node(),
            process=os.getpid(),
            job=os.environ.get("SLURM_JOB_ID"),
            boot=boot(),
            token=secrets.token_hex(16),
            beat=0,
            released=False,
        )

    def is_lost(self) -> bool:
        """Whether another has been found to own the folder; does not look by itself."""
        return self.taken_by is not None

    def check(self) -> None:
        """Look, and raise a UserError if another owns the folder."""
        self._look()
        if self.taken_by is not None:
            raise UserError(f"{self.folder} was taken over by {self.taken_by}; this process stops without writing")

    @contextlib.contextmanager
    def beating(self) -> Iterator[None]:
        self._write()
        try:
            with meanwhile(self._beat, BEAT_SECONDS, BEAT_SECONDS):
                yield
        finally:
            with contextlib.suppress(OSError):
                self._change(released=True)

    def _beat(self) -> None:
        with contextlib.suppress(OSError):  # a disk that is full, or away for a while
            self._change(beat=self.name.beat + 1)

    def _change(self, **changes) -> None:
        self._look()
        if not self.is_lost():
            self.name = self.name.model_copy(update=changes)
            self._write()

    def _look(self) -> None:
        # A file that is gone, or cannot be read now, has not been written by another owner.
        with contextlib.suppress(OSError, UserError):
            found = _name_in(self.folder)
            if found is not None and found.token != self.name.token:
                self.taken_by = found  # for good, also when the other has ended

    def _write(self) -> None:
        write_json(self.folder / NAME, self.name.model_dump())


@contextlib.contextmanager
def owned(folder: Path, stop: Callable[[], bool]) -> Iterator[Owner]:
    """Own ``folder`` in this block. Wait for an owner that may be dead, and say who it is; ask ``stop`` meanwhile.

    A UserError if the other lives after ``SILENCE_SECONDS``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with opened(folder / LOCK) as lock:  # locked until it is closed
        _wait(folder, lock, stop)
        owner = Owner(folder)
        with owner.beating():
            yield owner


def boot() -> str:
    """What each start of each machine has of its own, where the kernel tells it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return platform.node()


def _wait(folder: Path, lock: IO, stop: Callable[[], bool]) -> None:
    """Return when the folder is free: its owner has ended, or gives no sign of life."""
    first = None
    # Looks are counted, not seconds: while a disk is away nobody sees the other live.
    for look in range(round(SILENCE_SECONDS / SECONDS_BETWEEN_LOOKS)):
        locked, found = _locked(lock), _owner_in(folder)
        if locked is not False and (found is None or (locked and found.boot == boot())):
            return
        if look == 0:
            first = found
            until = time.strftime("%H:%M:%S", time.localtime(time.time() + SILENCE_SECONDS))
            said = f"{folder} is in use by {found or 'another process'}; this process waits for it until {until}"
            print(said, file=sys.stderr, flush=True)
        if stop():
            raise Interrupted(f"stopped while {folder} was in use by another process; the same command goes on")
        time.sleep(SECONDS_BETWEEN_LOOKS)
    alive = found != first
    if locked is not False and not alive:
        return
    used = f"{folder} is in use by {found or 'another process'}"
    remedy = found.remedy() if found else "end it"
    if alive:
        raise UserError(f"{used}, which is alive; wait until it ends, or {remedy}")
    raise UserError(
        f"{used}, which is silent but holds the lock; {remedy}, or delete {folder / LOCK} if its machine is gone"
    )


def _locked(file: IO) -> bool | None:
    """Lock a file: False if another process has, None if the file system cannot."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _owner_in(folder: Path) -> Name | None:
    found = _name_in(folder)
    return None if found is None or found.released else found


def _name_in(folder: Path) -> Name | None:
    path = folder / NAME
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    return Name(**parsed_json(content, f"{path}:", Name))
