"""Copy the results of the last run into README.md and docs/, and describe the keys of params.yaml.

Run by ``make docs`` after ``make reproduce``. Text between ``<!-- name:begin -->`` and
``<!-- name:end -->`` is replaced; a test fails while the description of the keys is behind.
"""

import re
import shutil
import sys
import types
import typing
from pathlib import Path

import numpy as np
from PIL import Image
from pydantic import BaseModel

from dctdiff.errors import UserError
from dctdiff.files import existing, replacing, write_text
from dctdiff.params.slice import without_none
from dctdiff.params.suite import Suite

ROOT = Path(__file__).resolve().parent.parent
SHOWN = ("datasets/photos32", "cells/dctdiff-dpm-20", "cells/uvit-dpm-20")


def replaced(text: str, name: str, content: str) -> str:
    """``text`` with ``content`` between the markers ``name``."""
    pattern = rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)"
    found, n = re.subn(pattern, lambda m: f"{m[1]}{content}\n{m[2]}", text, flags=re.DOTALL)
    if n != 1:
        raise UserError(f"README.md should hold the markers {name}:begin and {name}:end once")
    return found


def keys_table() -> str:
    """One row per key of a suite, from the models that validate it."""
    rows = ["| key | type | default | meaning |", "| :-- | :-- | :-- | :-- |"]
    rows.append("| `suite` | alias |  | the suite to run, e.g. `*demo` |")
    rows.append("| `suites.<name>` | group |  | a suite: the keys below stand in it |")
    rows += key_rows(Suite, "")
    return "\n".join(rows)


def key_rows(model: type[BaseModel], prefix: str) -> list[str]:
    rows = []
    for name, field in model.model_fields.items():
        default = "" if field.is_required() or field.default in (None, {}, []) else f"`{field.default}`"
        rows += rows_of(f"{prefix}{name}", without_none(field.annotation), default, field.description)
    return rows


def rows_of(key: str, annotation, default: str, description: str) -> list[str]:
    """The row of a key, and those of the keys within it."""
    if typing.get_origin(annotation) is dict:
        return rows_of(f"{key}.<name>", typing.get_args(annotation)[1], default, description)
    if typing.get_origin(annotation) is list and is_model(typing.get_args(annotation)[0]):
        return rows_of(f"{key}[]", typing.get_args(annotation)[0], default, description)
    if is_model(annotation):
        return [f"| `{key}` | group |  | {description} |", *key_rows(annotation, f"{key}.")]
    return [f"| `{key}` | {type_name(annotation)} | {default} | {description} |"]


def is_model(annotation) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def type_name(annotation) -> str:
    if typing.get_origin(annotation) is typing.Literal:
        return ", ".join(f"`{value}`" for value in typing.get_args(annotation))
    if isinstance(annotation, types.GenericAlias):
        return f"list of {type_name(typing.get_args(annotation)[0])}"
    if typing.get_origin(annotation) is typing.Annotated:
        return type_name(typing.get_args(annotation)[0])
    return {"int": "whole number", "float": "number", "str": "text"}[annotation.__name__]


def strip(path: Path, rows: int = 2) -> Image.Image:
    """The upper ``rows`` of a grid of ten columns."""
    grid = Image.open(existing(path))
    tile = grid.width // 10
    return grid.crop((0, 0, grid.width, rows * tile))


def main() -> None:
    results, docs = ROOT / "results", ROOT / "docs"
    docs.mkdir(exist_ok=True)
    readme = existing(ROOT / "README.md").read_text(encoding="utf-8")
    readme = replaced(readme, "keys", keys_table())
    if "--keys-only" not in sys.argv:
        for name in ("quality", "training", "statistics"):
            table = existing(results / f"tables/{name}.md").read_text(encoding="utf-8")
            readme = replaced(readme, name, table.strip())
        shutil.copyfile(existing(results / "figures/distance-photos32.png"), docs / "distance.png")
        grids = [strip(results / f"grids/{name}.png") for name in SHOWN]
        gap = Image.new("RGB", (grids[0].width, 12), "white")
        parts = [np.asarray(part.convert("RGB")) for grid in grids for part in (grid, gap)]
        with replacing(docs / "samples.png") as temporary:
            Image.fromarray(np.concatenate(parts[:-1])).save(temporary, optimize=True)
    write_text(ROOT / "README.md", readme)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
