"""Copy the results of the last run into docs/ and README.md, and describe the keys of params.yaml.

Run by ``make docs`` after ``make reproduce``. Text between ``<!-- name:begin -->`` and
``<!-- name:end -->`` is replaced: in docs/results.md for the suite that ran (``<suite>-<table>``,
``<suite>-minutes``), in docs/params.md for the keys, in docs/rooms.md for the rooms of the code, in
docs/api.md for what ``import dctdiff`` and the command line offer, in README.md for what was published
and reproduced; a test fails while these are behind.
``--bench`` copies the results of ``make bench`` instead: the files into docs/bench/<device>, their tables
into docs/benchmarks.md. ``--code-only`` needs no results.
"""

import ast
import contextlib
import dataclasses
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import types
import typing
from collections.abc import Iterable
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import yaml
from PIL import Image
from pydantic import BaseModel

from dctdiff import OFFERED
from dctdiff.bench.tables import device_name, tables_of_devices
from dctdiff.bench.tables import read_results as read_benchmarks
from dctdiff.commands import shell
from dctdiff.data.archive import decode_image
from dctdiff.data.cropping import box_crop
from dctdiff.data.photographs import read_photographs
from dctdiff.params.machine import Machine
from dctdiff.params.published import PublishedNumbers, load_published
from dctdiff.params.suite import Suite, planned, validated
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import existing, read_json, replacing, write_json, write_text
from dctdiff.pipeline.slice import without_none
from dctdiff.report.charts.seconds import against_seconds
from dctdiff.report.charts.style import png
from dctdiff.report.charts.variants import side_by_side
from dctdiff.report.method import method
from dctdiff.report.tables import recipes
from dctdiff.report.tables.ablation import ablation_table, variant_in_words
from dctdiff.report.tables.analysis import best_m
from dctdiff.report.tables.fields import NOT_RUN, metric_with_n
from dctdiff.report.tables.recipes import recipes_table, tried_recipes
from dctdiff.report.tables.suite import agrees, current
from dctdiff.stages.report import save_figure
from dctdiff.stages.tables import read_evaluations, read_logs, read_results

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src/dctdiff"


@dataclasses.dataclass(frozen=True)
class Shown:
    """What docs/results.md shows of a suite: tables, figures, the upper rows of grids in one picture, times."""

    tables: tuple[str, ...]
    figures: tuple[str, ...]
    grids: tuple[str, ...]
    grid_rows: int
    minutes: bool = False


SHOWN = {
    "demo": Shown(
        ("quality", "training"),
        ("distance-photos16",),
        ("cells/shipped-dpm-50",),
        10,
    ),
    "cifar10": Shown(
        ("quality", "truncation", "upsampling", "statistics"),
        ("truncation-cifar10-b2", "spectrum-cifar10", "snr-cifar10"),
        ("cells/cifar10-classes-dpm-50",),
        5,
    ),
    "cifar10-minutes": Shown(
        ("quality", "seeds", "training"),
        (),
        ("datasets/cifar10", "cells/minutes-dctdiff-s-1", "cells/minutes-uvit-s-1"),
        3,
        minutes=True,
    ),
}


@dataclasses.dataclass(frozen=True)
class Headline:
    """A published number that the README shows: its group, kind and name in data/published.yaml."""

    words: str
    group: str
    kind: str  # "statistics", "truncations" or "distances"
    name: str  # of the codec, truncation or cell


RECIPES = "cifar10-recipes"  # the suite that the docs show as one table of runs
ABLATION = "cifar10-ablation"  # and that as one of variants
METHODS = {**recipes.METHODS, "dctdiff": "DCTdiff", "uvit": "U-ViT"}  # part of the name of a run

HEADLINES = [
    Headline("CIFAR-10: eta", "cifar10", "statistics", "cifar10-dct"),
    Headline("CIFAR-10: m*", "cifar10", "truncations", "cifar10-b2"),
    Headline("CIFAR-10, model M", "paper", "distances", "cifar10-dctdiff-m-snr2-dpm-50"),
    Headline("CelebA 64, S", "paper", "distances", "celeba64-dctdiff-s-snr1-dpm-50"),
    Headline("ImageNet 64, S", "paper", "distances", "imagenet64-dctdiff-s-dpm-50"),
    Headline("FFHQ 128, S", "paper", "distances", "ffhq128-dctdiff-s-snr3-dpm-50"),
    Headline("FFHQ 256, M", "paper", "distances", "ffhq256-dctdiff-m-snr1-dpm-50"),
]


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
        if field.annotation is types.NoneType:  # of what it is a form of, this does not have the key
            continue
        has_one = not field.is_required() and field.default_factory is None and field.default not in (None, {}, [])
        default = f"`{in_yaml(field.default)}`" if has_one else ""
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
    if annotation is list:
        return "list of values"
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


def rulegraph() -> str:
    """What ``snakemake --rulegraph`` says of two suites that have every rule, as a diagram that GitHub draws."""
    arrows = sorted({arrow for suite in ("micro", "demo") for arrow in arrows_of(suite)})
    return "\n".join(["```mermaid", "flowchart LR", *arrows, "```"])


def arrows_of(suite: str) -> list[str]:
    """From each rule of a suite to those that need it."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("Snakefile", "profiles", "src", "data"):
            Path(folder, name).symlink_to(ROOT / name)
        shutil.copytree(ROOT / "workflow", Path(folder, "workflow"))  # into it Snakemake writes for DVC
        params = (ROOT / "params.yaml").read_text(encoding="utf-8")
        Path(folder, "params.yaml").write_text(re.sub(r"(?m)^suite: .*", f"suite: *{suite}", params), encoding="utf-8")
        command = [sys.executable, "-m", "snakemake", "--rulegraph", "mermaid-js"]
        drawn = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
    rules = dict(re.findall(r"(id\d+)\[(\w+)\]", drawn))
    return [f"  {rules[above]} --> {rules[below]}" for above, below in re.findall(r"(id\d+) --> (id\d+)", drawn)]


def api_text() -> str:
    """A heading and the docstring of each function that ``import dctdiff`` offers."""
    parts = []
    for name, module in OFFERED.items():
        tree = ast.parse((PACKAGE / f"api/{module}.py").read_text(encoding="utf-8"))
        [function] = [node for node in tree.body if getattr(node, "name", None) == name]
        words = ast.get_docstring(function).replace("``", "`")
        for argument in function.args.args:
            argument.annotation = None
        parts.append(f"### {name}\n\n`dctdiff.{name}({ast.unparse(function.args)})`\n\n{words}\n")
    return "\n".join(parts)


def commands_text() -> str:
    """What the command line says of itself and of each word with arguments."""
    texts = [help_text(*words) for words in ([], ["sample"], ["fid"], ["encode"], ["decode"], ["info"])]
    return "\n".join(f"```text\n{text.strip()}\n```\n" for text in texts)


def help_text(*words: str) -> str:
    with (
        mock.patch.dict(os.environ, COLUMNS="100"),
        contextlib.redirect_stdout(io.StringIO()) as text,
        contextlib.suppress(SystemExit),
    ):
        shell.parser().parse_args([*words, "--help"])
    return text.getvalue()


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
    """Into docs/: the tables, figures and samples of the suite, and what it reproduced of the headlines."""
    results, docs = ROOT / "results", ROOT / "docs"
    plan = read_json(existing(results / "plan.json"))
    headlined = plan.get("published") in {headline.group for headline in HEADLINES}
    if suite in (RECIPES, ABLATION):
        return copy_tried(suite, results, docs)
    if suite not in SHOWN and not headlined:
        raise UserError(
            f"the suite is {suite}, but the docs show {', '.join((*SHOWN, RECIPES, ABLATION))}; choose one of them"
        )
    if suite in SHOWN:
        copy_suite(suite, results, docs)
    if headlined:
        reproduced = read_json(docs / "reproduced.json")
        reproduced[plan["published"]] |= reproduced_values(plan, results)
        write_json(docs / "reproduced.json", reproduced)


def copy_suite(suite: str, results: Path, docs: Path) -> None:
    shown = SHOWN[suite]
    page = existing(docs / "results.md").read_text(encoding="utf-8")
    for name in shown.tables:
        table = existing(results / f"tables/{name}.md").read_text(encoding="utf-8")
        page = replaced(page, f"{suite}-{name}", table.strip())
    if shown.minutes:
        page = replaced(page, f"{suite}-minutes", training_minutes(results))
        write_json(docs / "minutes.json", tried_in(results)[1])
    for name in shown.figures:
        shutil.copyfile(existing(results / f"figures/{name}.png"), docs / f"{name}.png")
    grids = [strip(results / f"grids/{name}.png", shown.grid_rows) for name in shown.grids]
    with replacing(docs / f"samples-{suite}.png") as temporary:
        stacked(grids).save(temporary, optimize=True)
    write_text(docs / "results.md", page)
    if suite == "demo":
        report_picture(results / "report/index.html", docs / "report.png")


def tried_in(results: Path) -> tuple[dict, dict[str, dict]]:
    """The plan of the results, and what was tried by it."""
    plan = read_json(results / "plan.json")
    logs, evaluations = read_logs(str(results / "training"), plan), read_evaluations(str(results / "evaluations"), plan)
    return plan, tried_recipes(plan, logs, evaluations)


def copy_tried(suite: str, results: Path, docs: Path) -> None:
    """Into docs/recipes.json or docs/ablation.json, which keep what ran before, and the page's table of it."""
    plan, new = tried_in(results)
    kept = docs / f"{suite.removeprefix('cifar10-')}.json"
    known = read_json(kept)
    tried = {name: new.get(name, known.get(name)) for name in plan["runs"] if name in new or name in known}
    write_json(kept, tried)
    page = existing(docs / "results.md").read_text(encoding="utf-8")
    table = recipes_table(tried) if suite == RECIPES else ablation_table(plan, tried)
    write_text(docs / "results.md", replaced(page, suite, block(*table)))


def block(table: pd.DataFrame, note: str) -> str:
    return f"{table.to_markdown(index=False, disable_numparse=True)}\n\n{note}"


def ablation_picture(docs: Path) -> None:
    """The distance of each variant that has run, with its seeds."""
    plan, tried = suite_plan(ABLATION), read_json(docs / "ablation.json")
    points = [{"row": variant_in_words(plan, name), "value": found["distance"]} for name, found in tried.items()]
    [metric] = {f"{found['metric']}, NFE {found['nfe']}" for found in tried.values()}
    with replacing(docs / "ablation.png") as temporary:
        temporary.write_bytes(png(side_by_side(points, metric, "What of DCTdiff helps"), dpi=110))


def suite_plan(name: str) -> dict:
    """The plan of a suite of params.yaml, whichever it chooses."""
    suites = yaml.safe_load(existing(ROOT / "params.yaml").read_text(encoding="utf-8"))["suites"]
    return planned(validated({"suites": {}, "suite": suites[name]}).suite)


def seconds_picture(docs: Path) -> None:
    """All that was tried, and the official code, as quality against seconds of training."""
    points = read_json(docs / "official-training.json")["points"]
    for name, words in (("recipes", "recipes tried"), ("minutes", "best recipe")):
        for run, found in read_json(docs / f"{name}.json").items():
            method = next(METHODS[part] for part in run.split("-") if part in METHODS)
            points.append({"series": f"{method}, {words}", "seconds": found["seconds"], "value": found["distance"]})
            metric = found["metric"]
    with replacing(docs / "quality-seconds.png") as temporary:
        temporary.write_bytes(png(against_seconds(points, metric), dpi=110))


def reproduced_values(plan: dict, results: Path) -> dict[str, dict]:
    """Name of a headline of the plan -> value and metric, of those that have run."""
    read = read_results(plan, *(str(results / name) for name in ("evaluations", "statistics", "training")))
    statistics = {name: one for name, one in read["statistics"].items() if agrees(plan["codecs"][name], one)}
    evaluations = current(plan, read["evaluations"])
    made = {"statistics": statistics, "truncations": evaluations["truncations"], "distances": evaluations["cells"]}
    return {
        headline.name: reproduced_value(headline.kind, made[headline.kind][headline.name])
        for headline in HEADLINES
        if headline.group == plan["published"] and headline.name in made[headline.kind]
    }


def reproduced_value(kind: str, found: dict) -> dict[str, str]:
    if kind == "statistics":
        return {"value": f"{found['eta']:.3f}", "metric": ""}
    metric = found["protocol"]["metric"]
    if kind == "truncations":
        return {"value": best_m(found), "metric": f"r{metric}"}
    return {"value": f"{found['value']:.2f}", "metric": metric_with_n(metric, found["n_images"])}


def published_value(headline: Headline) -> dict[str, str]:
    """Value and metric."""
    numbers = load_published(ROOT / "data/published.yaml", headline.group)
    if headline.kind == "statistics":
        return {"value": f"{numbers.statistics[headline.name].eta:.3f}", "metric": ""}
    if headline.kind == "truncations":
        return {"value": f"{numbers.truncations[headline.name].value:g}", "metric": "rFID"}
    rows = [row for table in numbers.distances.values() for row in table if row.cell == headline.name]
    known = next(row for row in rows if row.value is not None)
    return {"value": f"{known.value:g}", "metric": known.metric}


def headlines_table() -> str:
    """What was published beside what docs/reproduced.json says was reproduced."""
    reproduced = read_json(ROOT / "docs/reproduced.json")
    rows = ["| what | published | reproduced |", "| :-- | :-- | :-- |"]
    for headline in HEADLINES:
        ours = reproduced[headline.group].get(headline.name)
        rows.append(f"| {headline.words} | {in_words(published_value(headline))} | {in_words(ours)} |")
    return "\n".join(rows)


def in_words(found: dict[str, str] | None) -> str:
    """``{"value": "5.54", "metric": "FID-50k"}`` -> 5.54, FID-50k."""
    if found is None:
        return NOT_RUN
    return f"{found['value']}, {found['metric']}" if found["metric"] else found["value"]


def method_picture() -> None:
    """The figure of the method, of a photograph that comes with scikit-image, in the sizes of FFHQ 128."""
    image = decode_image(dict(read_photographs())["astronaut.png"], "astronaut.png")
    image = box_crop(image, [64, 0, 384, 320], 128, "astronaut.png")
    save_figure(method(image, block_size=4, kept=9, patch=(11, 11)), ROOT / "docs/method.png", dpi=180)


def report_picture(page: Path, picture: Path) -> None:
    """The head of the report as a browser shows it; without a Chromium the old picture stays."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        print(f"no Chromium is installed, so {picture.relative_to(ROOT)} stays as it is")
        return
    with replacing(picture) as temporary:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        flags += [
            "--window-size=1120,1760",
            "--virtual-time-budget=10000",
        ]  # of the charts, which are drawn by a script
        subprocess.run(
            [browser, *flags, f"--screenshot={temporary}", existing(page).as_uri()], check=True, capture_output=True
        )
        with Image.open(temporary) as shot:
            fewer = shot.convert("RGB").quantize(128)
        fewer.save(temporary, format="PNG", optimize=True)


def copy_benchmarks() -> None:
    results, copies = existing(ROOT / "results/bench"), ROOT / "docs/bench"
    page = existing(ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")
    for name, result in read_benchmarks(results).items():
        write_json(copies / device_name(result) / f"{name}.json", result)
    for name, table in tables_of_devices(copies).items():
        page = replaced(page, f"bench-{name}", table)
    write_text(ROOT / "docs/benchmarks.md", page)


def main() -> None:
    if "--bench" in sys.argv:
        return copy_benchmarks()
    if "--code-only" not in sys.argv:
        copy_results(chosen_suite())
        method_picture()
        seconds_picture(ROOT / "docs")
        ablation_picture(ROOT / "docs")
    generated = {
        "docs/params.md": {"keys": keys_table(), "published": published_table(), "machine": machine_table()},
        "docs/rooms.md": {"rooms": rooms_table(), "crossings": crossings()},
        "docs/engines.md": {"rulegraph": rulegraph()},
        "docs/api.md": {"api": api_text(), "commands": commands_text()},
        "README.md": {"published": headlines_table()},
    }
    for name, parts in generated.items():
        text = existing(ROOT / name).read_text(encoding="utf-8")
        for part, content in parts.items():
            text = replaced(text, part, content)
        write_text(ROOT / name, text)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
