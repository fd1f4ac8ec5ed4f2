"""Build the tables of the suite as CSV, Markdown and LaTeX."""

import json
from pathlib import Path

import pandas as pd

from dctdiff.command import parse_command, run_stage
from dctdiff.errors import UserError
from dctdiff.files import existing, read_json, write_text
from dctdiff.tables import (
    protocol_note,
    quality_table,
    statistics_table,
    to_latex,
    training_table,
)


def read_folder(folder: str, names: list[str]) -> dict[str, dict]:
    """Name -> JSON of those ``names`` that are there; files of other suites are left alone."""
    paths = {name: Path(folder) / f"{name}.json" for name in names}
    return {name: read_json(path) for name, path in paths.items() if path.exists()}


def read_evaluations(folder: str, plan: dict) -> dict[str, dict[str, dict]]:
    kinds = {"heldout": "datasets", "round_trip": "codecs", "cells": "cells"}
    return {kind: read_folder(f"{folder}/{kind}", list(plan[key])) for kind, key in kinds.items()}


def read_logs(folder: str, plan: dict) -> dict[str, list[dict]]:
    paths = {name: existing(f"{folder}/{name}.jsonl") for name in plan["runs"]}
    return {name: [json.loads(line) for line in path.read_text().splitlines()] for name, path in paths.items()}


def write_table(folder: str, name: str, table: pd.DataFrame, caption: str) -> None:
    if table.empty:
        raise UserError(f"the table {name} has no row; the suite needs at least one codec, run and cell")
    write_text(f"{folder}/{name}.csv", table.to_csv(index=False, lineterminator="\n"))
    write_text(f"{folder}/{name}.md", f"{table.to_markdown(index=False, disable_numparse=True)}\n\n{caption}\n")
    write_text(f"{folder}/{name}.tex", to_latex(table, caption, f"tab:{name}"))


def main() -> None:
    paths, _ = parse_command(
        __doc__,
        {
            "plan": "JSON of the plan stage",
            "evaluations": "folder of evaluations",
            "statistics": "folder of statistics",
            "logs": "folder of training logs",
            "out_tables": "folder of the tables",
        },
    )
    plan = read_json(paths.plan)
    evaluations = read_evaluations(paths.evaluations, plan)
    folder = paths.out_tables
    write_table(folder, "quality", quality_table(plan, evaluations), protocol_note(evaluations))
    write_table(
        folder, "statistics", statistics_table(plan, read_folder(paths.statistics, list(plan["codecs"]))),
        "Scale eta and entropies of the coefficients (row-major within a block).",
    )  # fmt: skip
    write_table(folder, "training", training_table(plan, read_logs(paths.logs, plan)), "Trained models.")


if __name__ == "__main__":
    run_stage(main)
