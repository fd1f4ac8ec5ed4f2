"""GPUs of this machine, each for one job at a time.

Snakemake counts GPUs but assigns none, and neither DVC nor another checkout knows of its jobs. So a job takes the GPUs
itself, by a lock of the kernel for each. Other programs are not seen.
"""

import contextlib
import fcntl
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psutil

from dctdiff.pipeline.errors import UserError

SECONDS_BETWEEN_TRIES = 1.0
VISIBLE = "CUDA_VISIBLE_DEVICES"
TAKEN = "DCTDIFF_GPUS"  # what VISIBLE was set to, for the processes that this one starts
# Set in the jobs of schedulers that assign GPUs. A container, which sees its own only, counts as a machine.
SCHEDULERS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID")


@contextlib.contextmanager
def only_user(n_gpus: int) -> Iterator[None]:
    """Be the only job on ``n_gpus`` GPUs in this block, which CUDA_VISIBLE_DEVICES then names, also in what is started.

    To be entered before CUDA starts. Waits until so many are free at once, and says for whom.
    Jobs that want one may come first again and again while another waits for several.
    Without GPUs, or if a scheduler has assigned no more than these, nothing is taken.

    The locks end with this process, also by kill -9. A descriptor is not handed on to what it starts (subprocess closes
    it), so a process that this one has started for its work enters here, too, and keeps the GPUs as long as it lives.
    """
    gpus = [] if n_gpus == 0 else os.environ[TAKEN].split(",") if _is_started_by_owner() else visible_gpus()
    if gpus and len(gpus) < n_gpus:
        found = f"{VISIBLE} names" if VISIBLE in os.environ else "this machine has"
        raise UserError(
            f"this job wants {n_gpus} GPUs, but {found} {len(gpus)}; lower its processes in workflow/machine.yaml"
        )
    with contextlib.ExitStack() as held:
        if gpus and _is_started_by_owner():
            for gpu in gpus:
                fcntl.flock(held.enter_context(_opened(gpu)), fcntl.LOCK_SH)
        elif gpus and not (len(gpus) == n_gpus and any(name in os.environ for name in SCHEDULERS)):
            taken = ",".join(_wait_for(n_gpus, gpus, held))
            held.enter_context(_environment({VISIBLE: taken, TAKEN: taken}))
        yield


def visible_gpus() -> list[str]:
    """UUIDs of the GPUs that CUDA would use, in its order; none without nvidia-smi.

    Numbers in CUDA_VISIBLE_DEVICES are taken for those of nvidia-smi, which are CUDA's if all GPUs are of one kind, or
    with CUDA_DEVICE_ORDER=PCI_BUS_ID. Of a divided GPU (MIG) CUDA uses one instance only, so it counts as one, unless
    CUDA_VISIBLE_DEVICES names its instances (MIG-...).
    """
    command = ["nvidia-smi", "--query-gpu=uuid,index", "--format=csv,noheader"]
    try:
        lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return []
    by_index = {index.strip(): uuid.strip() for uuid, _, index in (line.partition(",") for line in lines) if index}
    if not by_index or VISIBLE not in os.environ:
        return list(by_index.values())
    found: list[str] = []
    for word in os.environ[VISIBLE].split(","):
        gpu = _named(word.strip(), by_index)
        if gpu is None or gpu in found:  # where CUDA stops reading
            break
        found.append(gpu)
    return found


def _named(word: str, by_index: dict[str, str]) -> str | None:
    """The GPU that CUDA understands by an index, a UUID or the beginning of one."""
    if word.startswith("MIG-"):
        return word
    alike = [uuid for uuid in by_index.values() if word.startswith("GPU-") and uuid.startswith(word)]
    return alike[0] if len(alike) == 1 else by_index.get(word)


def _is_started_by_owner() -> bool:
    return bool(os.environ.get(TAKEN)) and os.environ[TAKEN] == os.environ.get(VISIBLE)


def _wait_for(n_gpus: int, gpus: list[str], held: contextlib.ExitStack) -> list[str]:
    """Take the first ones that are free, until ``held`` ends."""
    said = False
    while len(free := _take(n_gpus, gpus, held)) < n_gpus:
        if not said:
            owners = sorted({_owner(gpu) for gpu in gpus if gpu not in free})
            print(
                f"{n_gpus} of {len(gpus)} GPUs are wanted, but {len(free)} are free; this process waits for "
                f"{', '.join(owners)}",
                file=sys.stderr,
                flush=True,
            )
            said = True
        time.sleep(SECONDS_BETWEEN_TRIES)
    return free


def _take(n_gpus: int, gpus: list[str], held: contextlib.ExitStack) -> list[str]:
    """Those of them that are free: taken if they are ``n_gpus``, else let go, so that nobody waits with a part."""
    free = {}
    with _opened("turn") as turn, contextlib.ExitStack() as tried:
        fcntl.flock(turn, fcntl.LOCK_EX)  # one tries at a time, for milliseconds
        for gpu in gpus:
            file = tried.enter_context(_opened(gpu))
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                fcntl.flock(file, fcntl.LOCK_SH)  # which the processes of this job can share
                free[gpu] = file
            if len(free) == n_gpus:
                for file in free.values():
                    file.truncate(0)
                    file.write(b"%d" % os.getpid())
                held.enter_context(tried.pop_all())
                break
    return list(free)


def _owner(gpu: str) -> str:
    """Who has taken it last, as far as it can be told."""
    try:
        with _opened(gpu) as file:
            process = psutil.Process(int(file.read(20)))
        return f"process {process.pid} of {process.username()}"
    except (ValueError, psutil.Error):
        return "another process"


def _opened(name: str) -> IO:
    """The file of a lock, in a folder that all users of this machine share."""
    path = _folder() / f"{name.replace('/', '-')}.lock"  # some names of MIG instances have slashes
    with _rights_for_all():
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:  # which Linux may not let another user than its owner open with O_CREAT
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    return open(descriptor, "rb+", buffering=0)


def _folder() -> Path:
    folder = Path(tempfile.gettempdir()) / "dctdiff-gpus"
    with _rights_for_all():
        folder.mkdir(mode=0o1777, exist_ok=True)
    return folder


@contextlib.contextmanager
def _rights_for_all() -> Iterator[None]:
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ[name] for name in variables if name in os.environ}
    os.environ |= variables
    try:
        yield
    finally:
        for name in variables:
            os.environ.pop(name, None)
        os.environ |= before
