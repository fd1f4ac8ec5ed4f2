"""Runs and cells that differ in nothing but the seed, of training or of sampling."""

import json

from dctdiff.params.jobs import models_of


def seedless(params: dict) -> dict:
    return {key: value for key, value in params.items() if key != "seed"}


def family(runs: dict[str, dict], name: str) -> str:
    """The first of the runs that differ from this one in nothing but the seed."""
    if "seed" not in runs[name]:
        return name
    return next(other for other, run in runs.items() if "seed" in run and seedless(run) == seedless(runs[name]))


def groups_of_cells(plan: dict) -> list[list[str]]:
    """The cells of a plan, those together that differ in nothing but the seed."""
    groups: dict[str, list[str]] = {}
    for name, cell in plan["cells"].items():
        alike = {**seedless(cell), "run": family(models_of(plan), cell["run"])}
        groups.setdefault(json.dumps(alike, sort_keys=True), []).append(name)
    return list(groups.values())
