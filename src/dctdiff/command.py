"""The command line of a stage: paths, and one slice of params.yaml as flags."""

import argparse
import sys
from collections.abc import Callable
from typing import get_origin

from pydantic import BaseModel, ValidationError

from dctdiff.errors import UserError
from dctdiff.params.slice import explain


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
    fields = slice_type.model_fields if slice_type else {}
    for name, field in fields.items():
        nargs = {"nargs": "+"} if get_origin(field.annotation) is list else {}
        parser.add_argument(
            f"--{name}", required=field.is_required(), default=argparse.SUPPRESS,
            metavar="VALUE", help=field.description, **nargs,
        )  # fmt: skip
    arguments = vars(parser.parse_args())
    given = {name: arguments.pop(name) for name in fields if name in arguments}
    if slice_type is None:
        return argparse.Namespace(**arguments), None
    try:
        return argparse.Namespace(**arguments), slice_type.model_validate(given, strict=False)
    except ValidationError as error:
        raise UserError(explain(error, prefix="--")) from None


def run_stage(main: Callable[[], None]) -> None:
    """Call ``main``; a UserError ends the process with one line and status 1."""
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
