"""Digests of files and folders, remembered as long as they look the same: what is large is read once.

A bit that flips on the disk changes no look, so whoever uses a file asks for it ``anew``.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from dctdiff.pipeline.files import sha256, walk, write_json

CACHE = Path(".cache/digests")  # beside params.yaml; may be deleted at any time
REMEMBERED_BYTES = 10**6  # smaller files are read each time


def digest(path: str | Path, anew: bool = False) -> str | None:
    """SHA-256 of a file, or of the listing of all files in a folder; None if there is nothing."""
    path = Path(path)
    if path.is_dir():
        return _remembered(path, _files_in(path), anew)
    if not path.exists():
        return None
    return sha256(path) if path.stat().st_size < REMEMBERED_BYTES else _remembered(path, [path], anew)


def digests(paths: Iterable[str | Path], anew: bool = False) -> dict[str, str | None]:
    return {str(path): digest(path, anew) for path in paths}


def _remembered(path: Path, files: list[Path], anew: bool) -> str:
    """The digest of before if no name, size, time or inode differs, unless it is wanted ``anew``."""
    looks = hashlib.sha256(repr([(str(file), *_look(file)) for file in files]).encode(errors="replace")).hexdigest()
    memory = CACHE / f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:32]}.json"
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
        if known["looks"] == looks and not anew:
            return known["sha256"]
    except (OSError, ValueError, KeyError, TypeError):  # not there, or broken: it is only a memory
        pass
    found = _listing(path, files) if path.is_dir() else sha256(path)
    with contextlib.suppress(OSError):  # of another user, who shares this folder: it is looked at anew
        write_json(memory, {"path": str(path), "looks": looks, "sha256": found})
    return found


def _look(file: Path) -> tuple[int, int, int]:
    status = file.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino


def _listing(folder: Path, files: list[Path]) -> str:
    lines = [f"{sha256(file)}  {file.relative_to(folder).as_posix()}\n" for file in files]
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def _files_in(folder: Path) -> list[Path]:
    """All but hidden ones, which are of other programs, or half-written."""
    files = [path for path in walk(folder) if path.is_file()]
    return sorted(file for file in files if not any(part.startswith(".") for part in file.relative_to(folder).parts))
