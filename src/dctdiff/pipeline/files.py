"""Files: atomic writes, digests and JSON."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from dctdiff.pipeline.errors import UserError


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; rename it onto ``path`` if the block succeeds.

    Whoever looks at ``path`` sees the old file or the whole new one, never a part.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path):
    try:
        return json.loads(existing_file(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is not valid JSON ({error}); delete it and run again") from None


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


def sha256(path: str | Path) -> str:
    with open(existing_file(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
