"""The command line of a stage: paths, and one slice of params.yaml as flags.

A group within a slice becomes flags with dots (``--release.eta 242.382``), as DVC unpacks it.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from dctdiff.pipeline.code import check_beside, code_behind
from dctdiff.pipeline.devices import only_user
from dctdiff.pipeline.digests import digests
from dctdiff.pipeline.environment import check_alone, ignore_strangers, process_rank
from dctdiff.pipeline.errors import ERROR_FILE, UserError, mendable
from dctdiff.pipeline.estimate import left
from dctdiff.pipeline.job import job
from dctdiff.pipeline.launch import launch, n_gpus
from dctdiff.pipeline.ledger import accounted
from dctdiff.pipeline.log import keep_log
from dctdiff.pipeline.record import Used, check_whole, write_record
from dctdiff.pipeline.slice import explain, without_none

NULL = "None"  # how both engines write the null of a params.yaml


class OneLineParser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        raise UserError(f"{message}; see --help")


@dataclass(frozen=True)
class Command:
    """A command line, taken apart."""

    paths: argparse.Namespace  # name -> path
    params: BaseModel | None  # the slice, validated
    words: list[str]  # of the params, as they came
    record: str | None  # where the record of the job goes


def parse_command(description: str, paths: dict[str, str], slice_type: type[BaseModel] | None = None) -> Command:
    """Parse ``sys.argv`` into paths (name -> help) and the validated slice."""
    parser = OneLineParser(description=description.splitlines()[0], allow_abbrev=False)
    for name, text in paths.items():
        parser.add_argument(f"--{name}", required=True, metavar="PATH", help=text)
    parser.add_argument("--out_record", metavar="PATH", help="record of the job, JSON")
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
    record = arguments.pop("out_record")
    words = _without_paths(sys.argv[1:], {*paths, "out_record"})
    namespace = argparse.Namespace(**arguments)
    if slice_type is None:
        return Command(namespace, None, words, record)
    nullable = {name for name, field, _ in flags if _is_nullable(field.annotation)}
    values = {name: None if name in nullable and value in (NULL, [NULL]) else value for name, value in given.items()}
    try:
        return Command(namespace, slice_type.model_validate(_nested(values), strict=False), words, record)
    except ValidationError as error:
        raise UserError(explain(error, prefix="--")) from None


def _without_paths(words: list[str], names: set[str]) -> list[str]:
    """The words of a command line but for ``--name value`` of some names."""
    flags = {f"--{name}" for name in names}
    kept, rest = [], iter(words)
    for word in rest:
        if word in flags:
            next(rest)
        elif word.partition("=")[0] not in flags:
            kept.append(word)
    return kept


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


def run_stage(
    main: Callable[..., Used | None],
    paths: dict[str, str],
    slice_type: type[BaseModel] | None = None,
    on_gpu: bool | Callable[[Command], bool] = False,
    processes: Callable[[argparse.Namespace], int] | None = None,
) -> None:
    """Run ``main(paths[, params])`` on the command line; leave the record of the job (``--out_record``) and its cost.

    ``on_gpu``: whether it, or a job of it with this command, needs GPUs if there are any, one for each process.
    ``processes``: how many share the work of a job with these paths; without it the stage has one.
    """

    def run() -> None:
        started = time.monotonic()
        ignore_strangers()
        if job() and ERROR_FILE not in os.environ and process_rank() == 0:  # another that has started this has a log
            keep_log(job())
        if processes is None:
            check_alone()
        check_beside(Path.cwd())
        command = parse_command(main.__globals__["__doc__"], paths, slice_type)
        n_processes = processes(command.paths) if processes else 1
        needs_gpus = on_gpu(command) if callable(on_gpu) else on_gpu
        with only_user(n_gpus(n_processes) if needs_gpus else 0), accounted(command.record):
            launch(n_processes)
            _run_recorded(main, command, started)

    run_command(run)


def _run_recorded(main: Callable[..., Used | None], command: Command, started: float) -> None:
    """Call ``main`` with the parts of a command; its first process compares the inputs and leaves the record."""
    module = main.__globals__["__spec__"].name
    named, function = vars(command.paths), f"{module}.main"
    records = command.record is not None and process_rank() == 0
    if records:
        code_behind(function)  # reads the code that runs, before anyone edits it
        inputs = digests((path for name, path in named.items() if not name.startswith("out_")), anew=True)
        check_whole(inputs)
    used = main(*[part for part in (command.paths, command.params) if part is not None]) or Used()
    if records:
        outputs = digests(path for name, path in named.items() if name.startswith("out_"))
        files = {"inputs": inputs | digests(used.files), "outputs": outputs}
        code, seconds = code_behind(function, used.entries), time.monotonic() - started
        write_record(command.record, module, command.words, files, code, seconds)
        if job() and (estimate := left(job())):
            print(f"{estimate} ({' '.join(job().parts)}: {seconds:.0f} s)", file=sys.stderr, flush=True)


def run_command(main: Callable[[], None]) -> None:
    """Call ``main``; what a user can mend ends the process with one line and its exit code."""
    try:
        main()
    except (Exception, KeyboardInterrupt) as caught:
        error = mendable(caught)
        if error is None:
            raise
        if ERROR_FILE not in os.environ:
            print(f"error: {error}", file=sys.stderr)
        else:
            with open(os.environ[ERROR_FILE], "a", encoding="utf-8") as file:
                file.write(f"{error}\n")
        sys.exit(error.exit_code)
