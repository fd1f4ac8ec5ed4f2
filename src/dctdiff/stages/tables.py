"""Build the tables of the suite as CSV, Markdown and LaTeX."""

from argparse import Namespace
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from dctdiff.params.forms import Evaluation, LogLine, Selection, Statistics, Truncation, Upsampling
from dctdiff.params.jobs import models_of
from dctdiff.params.published import load_published
from dctdiff.params.suite import Plan
from dctdiff.pipeline.command import run_stage
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import read_json, read_json_lines, write_json, write_text
from dctdiff.pipeline.slice import Form
from dctdiff.report.tables.latex import to_latex
from dctdiff.report.tables.suite import build_tables, metrics

PATHS = {
    "plan": "JSON of the plan stage",
    "published": "published numbers, YAML",
    "evaluations": "folder of evaluations",
    "statistics": "folder of statistics",
    "logs": "folder of training logs",
    "out_tables": "folder of the tables; tables of another suite in it are removed",
    "out_metrics": "distance of each cell, JSON, for DVC",
}

EVALUATED = {  # kind -> the section of the plan that its names come from, and its form
    "heldout": ("datasets", Evaluation),
    "round_trip": ("codecs", Evaluation),
    "truncations": ("truncations", Truncation),
    "upsamplings": ("upsamplings", Upsampling),
    "selections": ("selections", Selection),
    "cells": ("cells", Evaluation),
}
FORMATS = (".csv", ".md", ".tex")


def read_plan(plan: str, published: str) -> dict:
    return with_published(read_json(plan, Plan), published)


def with_published(plan: dict, published: str) -> dict:
    """The plan with the published numbers of its group in the place of the group's name."""
    return plan | {"published": load_published(published, plan.get("published")).model_dump(exclude_none=True)}


def read_folder(folder: str, names: list[str], form: type[Form], without: Collection[Path] = ()) -> dict[str, dict]:
    """Name -> JSON of those ``names`` that are there; files of other suites are left alone."""
    paths = {name: Path(folder) / f"{name}.json" for name in names}
    return {name: read_json(path, form) for name, path in paths.items() if path.exists() and path not in without}


def read_evaluations(folder: str, plan: dict, without: Collection[Path] = ()) -> dict[str, dict[str, dict]]:
    """Kind -> name -> JSON."""
    return {
        kind: read_folder(f"{folder}/{kind}", list(plan[section]), form, without)
        for kind, (section, form) in EVALUATED.items()
    }


def read_logs(folder: str, plan: dict, without: Collection[Path] = ()) -> dict[str, list[dict]]:
    """Run -> lines of its log, of those runs that have one."""
    paths = {name: Path(folder) / f"{name}.jsonl" for name in models_of(plan)}
    found = {name: path for name, path in paths.items() if path.exists() and path not in without}
    return {name: read_json_lines(path, LogLine) for name, path in found.items()}


def write_table(folder: Path, name: str, table: pd.DataFrame, caption: str) -> None:
    if table.empty:
        raise UserError(f"the table {name} has no row; give it one in params.yaml, or remove it")
    write_text(folder / f"{name}.csv", table.to_csv(index=False, lineterminator="\n"))
    write_text(folder / f"{name}.md", f"{table.to_markdown(index=False, disable_numparse=True)}\n\n{caption}\n")
    write_text(folder / f"{name}.tex", to_latex(table, caption, f"tab:{name}"))


def remove_others(folder: Path, names: set[str]) -> None:
    """Tables of another suite would look like tables of this one."""
    for path in folder.glob("*"):
        if path.suffix in FORMATS and path.stem not in names:
            path.unlink()


def read_results(
    plan: dict, evaluations: str, statistics: str, logs: str, without: Collection[Path] = ()
) -> dict[str, dict]:
    """All that tables are built from, of the three folders, as the arguments of ``build_tables``."""
    return {
        "evaluations": read_evaluations(evaluations, plan, without),
        "statistics": read_folder(f"{statistics}/codecs", list(plan["codecs"]), Statistics, without),
        "logs": read_logs(logs, plan, without),
    }


def write_tables(folder: Path, plan: dict, results: dict[str, dict]) -> None:
    tables = build_tables(plan, **results)
    for name, (table, caption) in tables.items():
        write_table(folder, name, table, caption)
    remove_others(folder, set(tables))


def main(paths: Namespace) -> None:
    plan = read_plan(paths.plan, paths.published)
    results = read_results(plan, paths.evaluations, paths.statistics, paths.logs)
    write_tables(Path(paths.out_tables), plan, results)
    write_json(paths.out_metrics, metrics(plan, results["evaluations"]))


if __name__ == "__main__":
    run_stage(main, PATHS)
