"""A grid: runs that differ in some keys, one for every combination of values, each with the cells of its model run.

DVC reads params.yaml itself and knows no grids, so what they stand for is written into a file that dvc.yaml names.
"""

import io
import itertools
import re
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError
from ruamel.yaml import YAML

from dctdiff.params.train import Run
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import write_text
from dctdiff.pipeline.slice import Name

FILE = Path("workflow/grid.yaml")
HEAD = "# What `grid` in params.yaml stands for, for DVC. Written by both engines; commit it with params.yaml.\n"
SECTIONS = ("runs", "cells", "selections")

Values = Annotated[list, Field(min_length=1)]
Grid = dict[Name, Annotated[dict[str, Values], Field(min_length=1)]]  # run -> key -> values


def combinations(name: str, run: dict, keys: dict[str, list]) -> dict[str, dict]:
    """Name of a run -> the values that it has of some keys. The combination that ``run`` itself has keeps its name."""
    found: dict[str, dict] = {}
    for values in itertools.product(*keys.values()):
        changes = dict(zip(keys, values, strict=True))
        own = all(run.get(key, _default(key)) == value for key, value in changes.items())
        words = [f"{key}{_word(value)}" for key, value in changes.items()]
        new = name if own else "-".join([name, *words])
        if new in found:
            raise UserError(f"params.yaml: suite.grid.{name} gives two runs the name {new}; remove one of these values")
        found[new] = changes
    return found


def _default(key: str):
    field = Run.model_fields.get(key)
    return field.default if field else None


def _word(value) -> str:
    """0.002 -> 0_002, as a part of a name."""
    return re.sub(r"[^a-z0-9-]+", "_", str(value).lower()).strip("_")


def additions(suite: dict) -> dict[str, dict]:
    """Section -> the entries that the grid of a suite adds to it; what is wrong with the grid is said elsewhere."""
    added: dict[str, dict] = {section: {} for section in SECTIONS}
    if not _can_be_read(suite):
        return added
    for base, keys in suite["grid"].items():
        run, selection = suite["runs"].get(base), suite["selections"].get(base)
        cells = {name: cell for name, cell in suite["cells"].items() if cell["run"] == base}
        for name, changes in combinations(base, run, keys).items() if run else ():
            if name == base:
                continue
            if name in suite["runs"]:
                raise UserError(f"params.yaml: suite.grid.{base} makes the run {name}, which is there; rename that")
            added["runs"][name] = {**run, **changes}
            added["cells"] |= {f"{cell}{name.removeprefix(base)}": {**cells[cell], "run": name} for cell in cells}
            added["selections"] |= {name: selection} if selection else {}
    return added


def _can_be_read(suite: dict) -> bool:
    try:
        TypeAdapter(Grid).validate_python(suite.get("grid"))
        TypeAdapter(dict[str, dict[str, dict]]).validate_python({section: suite[section] for section in SECTIONS})
    except (ValidationError, KeyError):
        return False
    return all("run" in cell for cell in suite["cells"].values())


def with_grid(suite: dict) -> dict:
    """The suite with all that its grid stands for."""
    return suite | {section: suite[section] | entries for section, entries in additions(suite).items() if entries}


def tell_dvc(suite: dict) -> bool:
    """Write down for DVC what the grid of a suite, as it stands in params.yaml, stands for; whether that was new."""
    entries = {section: found for section, found in additions(suite).items() if found}
    stream, yaml = io.StringIO(), YAML(typ="safe")
    yaml.default_flow_style, yaml.width, yaml.sort_base_mapping_type_on_output = None, 120, False
    yaml.representer.ignore_aliases = lambda value: True
    yaml.dump({"suite": entries}, stream)
    text = HEAD + stream.getvalue()
    if FILE.exists() and FILE.read_text(encoding="utf-8") == text:
        return False
    write_text(FILE, text)
    return True
