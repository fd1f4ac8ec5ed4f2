"""Slices of params.yaml: what one stage is given, checked before anything runs."""

import difflib
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

# Names become file names, and parts of stage names in both engines.
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]


class Slice(BaseModel):
    """A group of keys; unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def explain(error: ValidationError, prefix: str = "", root: type[BaseModel] | None = None) -> str:
    """The first problem in one line: the key, what was found, what is allowed."""
    problem = error.errors(include_url=False)[0]
    key = prefix + ".".join(str(part) for part in problem["loc"] if part != "[key]")
    if problem["type"] == "missing":
        return f"{key} is missing"
    if problem["type"] == "extra_forbidden":
        return f"{key} is unknown{_nearest(problem['loc'], root)}"
    if problem["type"] == "value_error":
        return f"{key}: {problem['ctx']['error']}" if key else str(problem["ctx"]["error"])
    message = problem["msg"].removeprefix("Input should be ")
    if problem["type"] == "string_pattern_mismatch":
        message = "a name of lower-case letters, digits, '-' and '_'"
    return f"{key} is {problem['input']!r}, but should be {message}"


def _nearest(location: tuple, root: type[BaseModel] | None) -> str:
    model = root
    for part in location[:-1]:
        if model is None:
            return ""
        model = _child(model, part)
    known = list(model.model_fields) if model else []
    near = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"


def _child(model, part):
    """The model of key ``part``: a field, or any entry of a dict of models."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        annotation = model.model_fields[part].annotation
        return annotation if isinstance(annotation, type) else annotation.__args__[-1]
    return model
