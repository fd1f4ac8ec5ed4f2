"""Errors that a user can cause and mend."""

import errno
import shutil
from pathlib import Path

# Set in each of several processes of a stage: where to say an error, of which the first is shown.
ERROR_FILE = "DCTDIFF_ERROR_FILE"


class UserError(Exception):
    """One line: what was found, what was expected, what to do. Shown without a traceback."""

    exit_code = 1


class Interrupted(UserError):
    """The work was asked to stop, and what is done is saved: the same command goes on."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h


REMEDIES = {
    errno.EDQUOT: "your quota is used up; delete what is not needed, then run again",
    errno.EFBIG: "the limit of this shell or file system for one file is reached (ulimit -f); raise it",
    errno.EACCES: "ask its owner for the right (ls -l shows it), or use another folder",
    errno.EPERM: "ask its owner for the right (ls -l shows it), or use another folder",
    errno.EROFS: "use a folder that can be written",
    errno.ENOENT: "it was removed, or never made; run again",
    errno.EMFILE: "raise the limit of open files (ulimit -n), then run again",
    errno.ENFILE: "this machine has too many open files; close other programs, then run again",
    errno.ENAMETOOLONG: "give it a shorter name",
    errno.EIO: "the disk fails or its server is gone; look whether other files can be read, then run again",
    errno.ESTALE: "the server of this folder was restarted; run again",
    errno.EISDIR: "a file is expected; move the folder away",
    errno.EEXIST: "a folder is expected here; move this file away",
    errno.ENOTDIR: "a part of this path is a file, but a folder is expected; move the file away",
}
LESS_MEMORY = (
    "lower batch_size of a cell, an evaluation or a reference, or sample_batch_size of a selection; of a training "
    "raise accumulation_steps or set gradient_checkpointing: true; or run one job at a time (--cores 1)"
)


def mendable(error: BaseException) -> UserError | None:
    """What to say of an error that a user can mend; None for a defect of the code, which keeps its traceback.

    Of an OSError that names no file (a pipe, a socket) nobody knows what to do, so it counts as a defect.
    """
    if isinstance(error, UserError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Interrupted("stopped by SIGINT; the same command goes on")
    if _is_of_memory(error):
        where = "this machine" if isinstance(error, MemoryError) else "the GPU"
        return UserError(f"the memory of {where} does not suffice; {LESS_MEMORY}")
    if isinstance(error, OSError) and error.filename is not None:
        return UserError(f"{error.filename}: {error.strerror or error}; {_remedy(error)}")
    return None


def _is_of_memory(error: BaseException) -> bool:
    """OutOfMemoryError is torch's, which is slow to import, so it is known by its name."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def _remedy(error: OSError) -> str:
    if error.errno != errno.ENOSPC:
        return REMEDIES.get(error.errno, "look at this path, then run again")
    folder = next(folder for folder in Path(error.filename).absolute().parents if folder.exists())
    free = shutil.disk_usage(folder).free / 1e9
    return f"the file system of {folder} has {free:.1f} GB free; delete what is not needed there, then run again"
