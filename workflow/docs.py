"""Copy the results of the last run into README.md and docs/, and describe the keys of params.yaml.

Run by ``make docs`` after ``make reproduce``. Text between ``<!-- name:begin -->`` and
``<!-- name:end -->`` is replaced, for the suite that ran (``<suite>-<table>``, ``<suite>-minutes``)
for the keys in docs/params.md and for the rooms of the code; a test fails while these are behind.
``--bench`` copies the results of ``make bench`` instead: the files into docs/bench, their tables
into README.md.
"""

import ast
import dataclasses
import re
import shutil
import sys
import types
import typing
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import yaml
from PIL import Image
from pydantic import BaseModel

from dctdiff.bench.tables import build_tables, read_results
from dctdiff.params.machine import Machine
from dctdiff.params.published import PublishedNumbers
from dctdiff.params.suite import Suite
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import existing, read_json, replacing, write_text
from dctdiff.pipeline.slice import without_none
from dctdiff.stages.tables import read_logs

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src/dctdiff"


@dataclasses.dataclass(frozen=True)
class Shown:
    """What of a suite the README shows: tables, figures, the upper rows of grids in one picture, training times."""

    tables: tuple[str, ...]
    figures: tuple[str, ...]
    grids: tuple[str, ...]
    grid_rows: int
    minutes: bool = False


SHOWN = {
    "demo": Shown(
        ("quality", "training"),
        ("distance-photos16",),
        ("datasets/photos16", "cells/dctdiff-dpm-20", "cells/uvit-dpm-20"),
        2,
    ),
    "cifar10": Shown(
        ("quality", "truncation", "upsampling", "statistics"),
        ("truncation-cifar10-b2", "spectrum-cifar10", "snr-cifar10"),
        ("cells/cifar10-classes-dpm-50",),
        5,
    ),
    "cifar10-minutes": Shown(
        ("quality", "checkpoints", "training"),
        ("distance-cifar10", "distance-training", "distance-time", "loss"),
        ("datasets/cifar10", "cells/minutes-dctdiff-s-dpm-50", "cells/minutes-uvit-s-dpm-50"),
        3,
        minutes=True,
    ),
}


def replaced(text: str, name: str, content: str) -> str:
    """``text`` with ``content`` between the markers ``name``."""
    pattern = rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)"
    found, n = re.subn(pattern, lambda m: f"{m[1]}{content}\n{m[2]}", text, flags=re.DOTALL)
    if n != 1:
        raise UserError(f"the text should hold the markers {name}:begin and {name}:end once")
    return found


def keys_table() -> str:
    """One row per key of a suite, from the models that validate it."""
    rows = ["| key | type | default | meaning |", "| :-- | :-- | :-- | :-- |"]
    rows.append("| `suite` | alias |  | the suite to run, e.g. `*demo` |")
    rows.append("| `suites.<name>` | group |  | a suite: the keys below stand in it |")
    rows += key_rows(Suite, "")
    return "\n".join(rows)


def published_table() -> str:
    """One row per key of a group of data/published.yaml."""
    rows = ["| key | type | default | meaning |", "| :-- | :-- | :-- | :-- |"]
    return "\n".join(rows + key_rows(PublishedNumbers, "<group>."))


def machine_table() -> str:
    """One row per key of workflow/machine.yaml."""
    rows = ["| key | type | default | meaning |", "| :-- | :-- | :-- | :-- |"]
    return "\n".join(rows + key_rows(Machine, ""))


BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below", "multiple_of": "a multiple of"}


def key_rows(model: type[BaseModel], prefix: str) -> list[str]:
    rows = []
    for name, field in model.model_fields.items():
        default = "" if field.is_required() or field.default in (None, {}, []) else f"`{in_yaml(field.default)}`"
        rows += rows_of(f"{prefix}{name}", without_none(field.annotation), default, field.description, field.metadata)
    return rows


def in_yaml(value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def rows_of(key: str, annotation, default: str, description: str, bounds: Iterable = ()) -> list[str]:
    """The row of a key, and those of the keys within it."""
    if typing.get_origin(annotation) is dict:
        return rows_of(f"{key}.<name>", typing.get_args(annotation)[1], default, description)
    if typing.get_origin(annotation) is list and is_model(typing.get_args(annotation)[0]):
        return rows_of(f"{key}[]", typing.get_args(annotation)[0], default, description)
    if is_model(annotation):
        return [f"| `{key}` | group |  | {description} |", *key_rows(annotation, f"{key}.")]
    return [f"| `{key}` | {type_name(annotation, bounds)} | {default} | {description} |"]


def is_model(annotation) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def type_name(annotation, bounds: Iterable = ()) -> str:
    """What a value may be, in words. ``bounds``: constraints of pydantic, or fields that hold them."""
    if typing.get_origin(annotation) is typing.Literal:
        return ", ".join(f"`{value}`" for value in typing.get_args(annotation))
    if isinstance(annotation, types.GenericAlias):
        return f"list of {type_name(typing.get_args(annotation)[0])}"
    if typing.get_origin(annotation) is typing.Annotated:
        inner, *inner_bounds = typing.get_args(annotation)
        return type_name(inner, [*bounds, *inner_bounds])
    name = {"int": "whole number", "float": "number", "str": "text", "bool": "true, false"}[annotation.__name__]
    constraints = [inner for bound in bounds for inner in getattr(bound, "metadata", [bound])]
    words = [f"{word} {getattr(c, key):,}" for c in constraints for key, word in BOUNDS.items() if hasattr(c, key)]
    return ", ".join([name, *words])


def room_imports() -> dict[str, dict[str, set[str]]]:
    """Room -> each room that it imports from -> lines "module <- module" that say which."""
    rooms: dict[str, dict[str, set[str]]] = {}
    for path in sorted(PACKAGE.glob("*/**/*.py")):
        room, *inside = path.relative_to(PACKAGE).with_suffix("").parts
        found = rooms.setdefault(room, {})
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module.startswith(f"{PACKAGE.name}."):
                other, *module = node.module.split(".")[1:]
                name = ".".join(module) or node.names[0].name
                if other != room:
                    found.setdefault(other, set()).add(f"`{'.'.join(inside)}` <- `{name}`")
    return rooms


def floors(imports: dict[str, dict[str, set[str]]]) -> dict[str, int]:
    """Room -> its floor: one above the highest room that it imports from. A UserError if two import each other."""
    found: dict[str, int] = {}
    while len(found) < len(imports):
        ready = {room for room, others in imports.items() if room not in found and others.keys() <= found.keys()}
        if not ready:
            raise UserError(
                f"the rooms {', '.join(sorted(imports.keys() - found.keys()))} import each other in a circle"
            )
        found |= {room: 1 + max((found[other] for other in imports[room]), default=0) for room in sorted(ready)}
    return found


def rooms_table() -> str:
    """One row per room of src/dctdiff, from the lowest floor upwards."""
    rows = ["| room | floor | what lies there | modules |", "| :-- | --: | :-- | :-- |"]
    for room, floor in floors(room_imports()).items():
        folder = PACKAGE / room
        docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
        words = " ".join(docstring.partition("\n\n")[0].split())
        modules = sorted(
            path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
        )
        names = ", ".join(f"`{name}`" for name in modules if not name.startswith("__"))
        rows.append(f"| `{room}` | {floor} | {words} | {names} |")
    return "\n".join(rows)


def crossings() -> str:
    """Every import that crosses rooms."""
    imports = room_imports()
    return "\n".join(
        f"- `{room}` <- `{other}`: {', '.join(sorted(imports[room][other]))}"
        for room in floors(imports)
        for other in sorted(imports[room])
    )


def strip(path: Path, rows: int) -> Image.Image:
    """The upper ``rows`` of a grid of ten columns."""
    grid = Image.open(existing(path)).convert("RGB")
    return grid.crop((0, 0, grid.width, rows * (grid.width // 10)))


def stacked(pictures: list[Image.Image]) -> Image.Image:
    """One above the other, with a gap."""
    gap = np.full((12, pictures[0].width, 3), 255, dtype=np.uint8)
    parts = [part for picture in pictures for part in (np.asarray(picture), gap)]
    return Image.fromarray(np.concatenate(parts[:-1]))


def training_minutes(results: Path) -> str:
    """One line per run of the plan: how long its training took, and on what."""
    plan = read_json(results / "plan.json")
    return "\n".join(
        f"- `{name}`: {log[-1]['step']:,} steps in {log[-1]['seconds'] / 60:.1f} minutes, compilation included, "
        f"{log[-1]['precision']} on {log[-1].get('processes', 1)} x {log[-1]['device']}"
        for name, log in read_logs(str(results / "training"), plan).items()
    )


def chosen_suite() -> str:
    """Name of the suite that params.yaml chooses."""
    document = yaml.safe_load(existing(ROOT / "params.yaml").read_text(encoding="utf-8"))
    return next(name for name, suite in document["suites"].items() if suite == document["suite"])


def copy_results(suite: str) -> None:
    if suite not in SHOWN:
        raise UserError(f"the suite is {suite}, but the README shows {', '.join(SHOWN)}; choose one of them")
    results, docs, shown = ROOT / "results", ROOT / "docs", SHOWN[suite]
    readme = existing(ROOT / "README.md").read_text(encoding="utf-8")
    for name in shown.tables:
        table = existing(results / f"tables/{name}.md").read_text(encoding="utf-8")
        readme = replaced(readme, f"{suite}-{name}", table.strip())
    if shown.minutes:
        readme = replaced(readme, f"{suite}-minutes", training_minutes(results))
    for name in shown.figures:
        shutil.copyfile(existing(results / f"figures/{name}.png"), docs / f"{name}.png")
    grids = [strip(results / f"grids/{name}.png", shown.grid_rows) for name in shown.grids]
    with replacing(docs / f"samples-{suite}.png") as temporary:
        stacked(grids).save(temporary, optimize=True)
    write_text(ROOT / "README.md", readme)


def copy_benchmarks() -> None:
    results, copies = existing(ROOT / "results/bench"), ROOT / "docs/bench"
    readme = existing(ROOT / "README.md").read_text(encoding="utf-8")
    for name, table in build_tables({**read_results(copies), **read_results(results)}).items():
        readme = replaced(readme, f"bench-{name}", table)
    for path in results.glob("*.json"):
        write_text(copies / path.name, path.read_text(encoding="utf-8"))
    write_text(ROOT / "README.md", readme)


def main() -> None:
    if "--bench" in sys.argv:
        return copy_benchmarks()
    generated = {
        "docs/params.md": {"keys": keys_table(), "published": published_table(), "machine": machine_table()},
        "docs/rooms.md": {"crossings": crossings()},
        "README.md": {"rooms": rooms_table()},
    }
    for name, parts in generated.items():
        text = existing(ROOT / name).read_text(encoding="utf-8")
        for part, content in parts.items():
            text = replaced(text, part, content)
        write_text(ROOT / name, text)
    if "--code-only" not in sys.argv:
        copy_results(chosen_suite())


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
