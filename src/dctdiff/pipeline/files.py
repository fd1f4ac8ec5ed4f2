"""Files: atomic writes, digests and JSON."""

import contextlib
import errno
import fcntl
import functools
import glob
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from pydantic import TypeAdapter, ValidationError

from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.slice import explain

FAILED_WRITES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # of a write(), which knows no name of a file
AGAIN = "delete it and run again"


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; rename it onto ``path`` if the block succeeds.

    Whoever looks at ``path`` sees the old file or the whole new one, never a part. What killed
    processes have left of it is removed. An OSError names ``path``, also of a full disk.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_left_over(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp{path.suffix}")
    try:
        with writing(path), _locked(temporary) as locked:
            yield temporary
            # safetensors puts a file of its own there, which only its owner may read.
            os.chmod(temporary, stat.S_IMODE(os.fstat(locked.fileno()).st_mode))
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
    except OSError as error:
        if error.filename in (temporary, str(temporary)):
            error.filename = str(path)
        raise
    finally:
        with contextlib.suppress(OSError):  # it may be what failed
            temporary.unlink()


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Let a write that fails in this block be an OSError that names ``path``, whichever library wrote."""
    try:
        yield
    except Exception as error:
        number = _failed_write(error)
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


def _failed_write(error: BaseException | None) -> int | None:
    """The number of a failed write() behind an error; None if it has another cause or names its file itself."""
    if error is None:
        return None
    if isinstance(error, OSError):
        return error.errno if error.filename is None and error.errno in FAILED_WRITES else None
    if in_rust := re.search(r"\(os error (\d+)\)", str(error)):  # how safetensors says it
        return int(in_rust[1])
    return _failed_write(error.__context__)  # torch raises its own error after that of the file


def _locked(temporary: Path) -> IO:
    """The file, new and locked as long as its process lives: so others know that it is in use."""
    while True:
        file = open(temporary, "wb")  # noqa: SIM115 (open as long as it is written)
        with contextlib.suppress(OSError):  # a file system without locks, on which nothing is removed either
            fcntl.flock(file, fcntl.LOCK_EX)
        if temporary.exists():  # or it was removed between the opening and the lock
            return file
        file.close()


def _remove_left_over(path: Path) -> None:
    """Remove temporary files of ``path`` that no living process, on this host or another, holds locked."""
    for file in path.parent.glob(f".{glob.escape(path.name)}.*.tmp{glob.escape(path.suffix)}"):
        # In use, gone meanwhile, of someone else, or on a file system without locks: it stays.
        with contextlib.suppress(OSError), open(file, "rb+") as opened:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.unlink()


def write_text(path: str | Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path, form: object = object):
    """The JSON of a file, a UserError unless it is of ``form``: a type that pydantic knows (``params.forms``)."""
    return parsed_json(existing_file(path).read_bytes(), f"{path}:", form)


def read_json_lines(path: str | Path, form: object = dict) -> list[dict]:
    """The objects of a file of JSON lines, such as a training log; at least one."""
    lines = existing_file(path).read_bytes().splitlines()
    if not lines:
        raise UserError(f"{path} is empty; {AGAIN}")
    return [parsed_json(line, f"{path}, line {number}:", form) for number, line in enumerate(lines, start=1)]


def parsed_json(content: bytes, name: str, form: object, again: str = AGAIN):
    """As in ``read_json``; ``name`` begins an error, ``again`` ends it."""
    try:
        found = json.loads(content.decode())
        _adapter(form).validate_python(found)
    except ValidationError as error:
        raise UserError(f"{name} {explain(error)}; {again}") from None
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, or brackets without end
        raise UserError(f"{name} this is not valid JSON ({error}); {again}") from None
    return found


@functools.cache
def _adapter(form: object) -> TypeAdapter:
    return TypeAdapter(form)


def existing(path: str | Path) -> Path:
    """``path``, or a UserError if there is no such file or folder."""
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path} does not exist; run the stage that writes it, or correct the path")
    return path


def existing_file(path: str | Path) -> Path:
    """``path``, or a UserError if there is no such file."""
    if existing(path).is_dir():
        raise UserError(f"{path} is a folder, but a file is expected; correct the path")
    return Path(path)


def walk(folder: Path, above: tuple[str, ...] = ()) -> Iterator[Path]:
    """All that lies in a folder at any depth, in the order of the names; links are followed.

    Not what is in hidden folders, which are of other programs.
    A UserError at one that leads back to a folder ``above`` it.
    """
    real = os.path.realpath(folder)
    if real in above:
        raise UserError(f"{folder} is a link to a folder that it lies in; remove it")
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = folder / entry.name
        yield path
        if entry.is_dir() and not entry.name.startswith("."):
            yield from walk(path, (*above, real))


def sha256(path: str | Path) -> str:
    with open(existing_file(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
