"""The command line of a stage: paths, and one slice of params.yaml as flags.

A group within a slice becomes flags with dots (``--release.eta 242.382``), as DVC unpacks it.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import NoneType
from typing import get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from dctdiff.pipeline.code import check_beside, code_behind
from dctdiff.pipeline.errors import ERROR_FILE, UserError
from dctdiff.pipeline.launch import process_rank
from dctdiff.pipeline.record import write_record
from dctdiff.pipeline.slice import explain, without_none

NULL = "None"  # how both engines write the null of a params.yaml
RECORD = "--out_record"


class OneLineParser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        raise UserError(f"{message}; see --help")


def parse_command(
    description: str, paths: dict[str, str], slice_type: type[BaseModel] | None = None
) -> tuple[argparse.Namespace, BaseModel | None]:
    """Parse ``sys.argv`` into paths (name -> help) and the validated slice."""
    parser = OneLineParser(description=description.splitlines()[0], allow_abbrev=False)
    for name, text in paths.items():
        parser.add_argument(f"--{name}", required=True, metavar="PATH", help=text)
    parser.add_argument(RECORD, metavar="PATH", default=argparse.SUPPRESS, help="record of the job, JSON")
    flags = list(_flags(slice_type)) if slice_type else []
    for name, field, required in flags:
        shared = {"required": required, "default": argparse.SUPPRESS, "help": field.description}
        if field.annotation is bool:  # DVC writes true as the flag alone, and false as nothing
            parser.add_argument(f"--{name}", action="store_true", **shared)
            continue
        nargs = {"nargs": "+"} if get_origin(without_none(field.annotation)) is list else {}
        parser.add_argument(f"--{name}", metavar="VALUE", **nargs, **shared)
    arguments = vars(parser.parse_args())
    given = {name: arguments.pop(name) for name, _, _ in flags if name in arguments}
    if slice_type is None:
        return argparse.Namespace(**arguments), None
    nullable = {name for name, field, _ in flags if _is_nullable(field.annotation)}
    values = {name: None if name in nullable and value == NULL else value for name, value in given.items()}
    try:
        return argparse.Namespace(**arguments), slice_type.model_validate(_nested(values), strict=False)
    except ValidationError as error:
        raise UserError(explain(error, prefix="--")) from None


def _flags(model: type[BaseModel], prefix: str = "", required: bool = True) -> Iterator[tuple[str, FieldInfo, bool]]:
    """Name, field and whether the flag must be there, of each key at any depth.

    No key of a group that may be absent must be; the model says which are missing if it is there.
    """
    for name, field in model.model_fields.items():
        annotation = without_none(field.annotation)
        needed = required and field.is_required()
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _flags(annotation, f"{prefix}{name}.", needed)
        else:
            yield prefix + name, field, needed


def _nested(values: dict[str, object]) -> dict:
    """{"a.b": 1} -> {"a": {"b": 1}}"""
    result: dict = {}
    for name, value in values.items():
        *groups, key = name.split(".")
        place = result
        for group in groups:
            place = place.setdefault(group, {})
        place[key] = value
    return result


def _is_nullable(annotation) -> bool:
    return NoneType in get_args(annotation)


def run_stage(main: Callable[[], dict[str, str] | None]) -> None:
    """Call ``main``; a UserError ends the process with one line and status 1.

    ``main`` may return which entries of registries it used; with ``--out_record`` the record of the
    job is written at the end, by the first of its processes.
    """
    started = time.monotonic()
    try:
        check_beside(Path.cwd())
        module, record = main.__globals__["__spec__"].name, _record_path()
        if record:
            code_behind(f"{module}.main")  # reads the code that runs, before anyone edits it
        entries = main() or {}
        if record and process_rank() == 0:
            code = code_behind(f"{module}.main", entries)
            write_record(record, module, sys.argv[1:], code, time.monotonic() - started)
    except UserError as error:
        if ERROR_FILE not in os.environ:
            sys.exit(f"error: {error}")
        with open(os.environ[ERROR_FILE], "a", encoding="utf-8") as file:
            file.write(f"{error}\n")
        sys.exit(1)


def _record_path() -> str | None:
    parser = OneLineParser(add_help=False, allow_abbrev=False)
    parser.add_argument(RECORD)
    return parser.parse_known_args()[0].out_record
