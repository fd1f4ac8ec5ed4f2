"""Slices of params.yaml: what one stage is given, checked before anything runs."""

import difflib
import json
import re
import reprlib
import unicodedata
from collections.abc import Callable
from types import NoneType, UnionType
from typing import Annotated, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

SHA256 = r"^[0-9a-f]{64}$"
# Names become file names, and parts of stage names in both engines.
NAME = r"[a-z0-9][a-z0-9_-]{0,63}"
DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
NAME_RULE = (
    "a name of at most 64 lower-case letters, digits, '-' and '_', the first a letter or digit, and no device of "
    "Windows (con, nul, ...)"
)
# Snakemake takes braces for wildcards, DVC a backslash for its own, and a command line a leading '-' for an option.
LONGEST_TEXT = 1000
TEXT_RULE = f"one line of 1 to {LONGEST_TEXT:,} characters without braces and backslashes, not beginning with '-'"
CONTROL = {"Cc", "Cs", "Zl", "Zp"}  # Unicode's categories of control characters, halves of characters, line breaks


def _checked_name(value: str) -> str:
    if not re.fullmatch(NAME, value) or value in DEVICES:
        raise PydanticCustomError("name", NAME_RULE)
    return value


def checked_text(value: str) -> str:
    """``value``, or a PydanticCustomError if an engine, a shell or a command line would read it otherwise."""
    is_one_line = not any(unicodedata.category(character) in CONTROL for character in value)
    if not value.strip() or len(value) > LONGEST_TEXT or not is_one_line or re.search(r"[{}\\]|^-", value):
        raise PydanticCustomError("text", TEXT_RULE)
    return value


def _lower(value):
    return value.lower() if isinstance(value, str) else value


Name = Annotated[str, AfterValidator(_checked_name)]
Digest = Annotated[str, BeforeValidator(_lower), Field(pattern=SHA256)]  # some programs write capitals
Text = Annotated[str, AfterValidator(checked_text)]  # titles, paths and addresses
Count = Annotated[int, Field(ge=1, le=10**9)]
Images = Annotated[int, Field(ge=1, le=10**8)]
Pixels = Annotated[int, Field(ge=1, le=2**14)]
Processes = Annotated[int, Field(ge=1, le=4096)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class Slice(BaseModel):
    """A group of keys; unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Form(BaseModel):
    """What a JSON file must hold for whoever reads it; what else it holds is let be."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False, defer_build=True)  # a process needs few


# Kind of a problem, as pydantic calls it -> what is allowed.
ALLOWED = {
    "greater_than_equal": "at least {ge}",
    "greater_than": "more than {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "less than {lt}",
    "multiple_of": "a multiple of {multiple_of}",
    "too_short": "{min_length} entries or more",
    "too_long": "{max_length} entries or fewer",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "string_type": "text; in quotes if it looks like a number",
    "list_type": "a list",
    "model_type": "a group of keys",
    "dict_type": "a group of keys",
    "string_pattern_mismatch": "64 hexadecimal digits",  # SHA256, the only pattern
}
MOST_SHOWN = 20
SHORT = reprlib.Repr()
SHORT.maxstring = SHORT.maxother = 80


def explain(
    error: ValidationError,
    prefix: str = "",
    root: type[BaseModel] | None = None,
    line: Callable[[tuple], int] | None = None,
) -> str:
    """The problems in one line: the key, what was found, what is allowed.

    ``root`` tells the keys that are known, ``line`` the line in which a key stands.
    """
    problems = error.errors(include_url=False)
    # A misspelt key is also a missing one; the misspelling says more.
    misspelt = {(*p["loc"][:-1], _nearest(p["loc"], root)) for p in problems if p["type"] == "extra_forbidden"}
    problems = [p for p in problems if p["type"] != "missing" or p["loc"] not in misspelt]
    return together([_said(p, prefix, root) + _where(p["loc"], line) for p in problems])


def _where(location: tuple, line: Callable[[tuple], int] | None) -> str:
    """Nothing of what is wrong between the sections of a suite: that stands in no one line."""
    return f" (line {line(location)})" if line and len(location) > 1 else ""


def together(problems: list[str]) -> str:
    """Problems in one line: the first twenty, and the count of more."""
    more = [f"{len(problems)} problems in all"] if len(problems) > MOST_SHOWN else []
    return "; ".join(problems[:MOST_SHOWN] + more)


def _said(problem: dict, prefix: str, root: type[BaseModel] | None) -> str:
    kind, location = problem["type"], tuple(part for part in problem["loc"] if part != "[key]")
    key = prefix + ".".join(map(_shown_key, location)) or "the content"
    if kind == "missing":
        return f"{key} is missing"
    if kind == "extra_forbidden":
        near = _nearest(location, root)
        known = f"; known are {', '.join(_model_at(root, location[:-1]).model_fields)}" if root else ""
        return f"{key} is unknown" + (f"; did you mean {near}?" if near else known)
    if kind == "value_error":
        return f"{key}: {problem['ctx']['error']}" if location else str(problem["ctx"]["error"])
    if kind in ALLOWED:
        bounds = {name: f"{bound:,}" for name, bound in problem.get("ctx", {}).items() if not isinstance(bound, str)}
        allowed = ALLOWED[kind].format(**bounds) if key != "suite" else "an alias such as *demo"
    else:
        allowed = problem["msg"].removeprefix("Input should be ")
    return f"{key} is {_in_yaml(problem['input'])}, but should be {allowed}"


def _shown_key(part: str | int) -> str:
    text = str(part)
    return text if text.isprintable() and len(text) <= SHORT.maxstring else SHORT.repr(text)


def _in_yaml(value) -> str:
    """A value as it stands in a file, but a long one short."""
    return json.dumps(value) if value is None or isinstance(value, bool) else SHORT.repr(value)


def _nearest(location: tuple, root: type[BaseModel] | None) -> str | None:
    """The known key that an unknown one may stand for."""
    known = _model_at(root, location[:-1]).model_fields if root else []
    return next(iter(difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)), None)


def _model_at(root: type[BaseModel], location: tuple) -> type[BaseModel]:
    """The model that describes the keys at ``location``."""
    annotation = root
    for part in location:
        if get_origin(annotation) is dict:  # any name leads to the same model
            annotation = get_args(annotation)[1]
        elif get_origin(annotation) is list:
            annotation = get_args(annotation)[0]
        else:
            annotation = without_none(annotation.model_fields[part].annotation)
    return annotation


def without_none(annotation):
    """``T`` of ``T | None``: a group or value that may be absent."""
    if get_origin(annotation) not in (UnionType, Union):
        return annotation
    return next(part for part in get_args(annotation) if part is not NoneType)
