"""Slices of params.yaml: what one stage is given, checked before anything runs."""

import difflib
from types import NoneType, UnionType
from typing import Annotated, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError

# Names become file names, and parts of stage names in both engines.
NAME = r"^[a-z0-9][a-z0-9_-]*$"
SHA256 = r"^[0-9a-f]{64}$"
Name = Annotated[str, Field(pattern=NAME)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]


class Slice(BaseModel):
    """A group of keys; unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def explain(error: ValidationError, prefix: str = "", root: type[BaseModel] | None = None) -> str:
    """The first problem in one line: the key, what was found, what is allowed."""
    problems = error.errors(include_url=False)
    # A misspelt key is also a missing one; the misspelling says more.
    problem = min(problems, key=lambda p: p["type"] != "extra_forbidden")
    key = prefix + ".".join(str(part) for part in problem["loc"] if part != "[key]")
    if problem["type"] == "missing":
        return f"{key} is missing"
    if problem["type"] == "extra_forbidden":
        return f"{key} is unknown{_nearest(problem['loc'], root)}"
    if problem["type"] == "value_error":
        return f"{key}: {problem['ctx']['error']}" if problem["loc"] else str(problem["ctx"]["error"])
    message = problem["msg"].removeprefix("Input should be ")
    if problem["type"] == "string_pattern_mismatch":
        is_name = problem["ctx"]["pattern"] == NAME
        message = "lower-case letters, digits, '-' and '_'" if is_name else "64 hexadecimal digits"
    if problem["type"] in ("model_type", "dict_type"):
        message = "an alias such as *demo" if key == "suite" else "a group of keys"
    return f"{key} is {problem['input']!r}, but should be {message}"


def _nearest(location: tuple, root: type[BaseModel] | None) -> str:
    if root is None:
        return ""
    known = list(_model_at(root, location[:-1]).model_fields)
    near = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"


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
