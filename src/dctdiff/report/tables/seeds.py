"""Cells that differ in nothing but the seed, of training or of sampling: their mean and spread."""

import json
import statistics

import pandas as pd

from dctdiff.report.tables.fields import NONE, NOT_RUN, Evaluations, metric_with_n


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
        alike = {**seedless(cell), "run": family(plan["runs"], cell["run"])}
        groups.setdefault(json.dumps(alike, sort_keys=True), []).append(name)
    return list(groups.values())


def seeds_table(plan: dict, evaluations: Evaluations) -> pd.DataFrame:
    """One row for cells of two or more seeds. The standard deviation is that of a sample (divided by n - 1)."""
    return pd.DataFrame([seeds_row(plan, names, evaluations) for names in groups_of_cells(plan) if len(names) > 1])


def seeds_row(plan: dict, names: list[str], evaluations: Evaluations) -> dict[str, str]:
    cell = plan["cells"][names[0]]
    found = [evaluations["cells"][name] for name in names if evaluations["cells"].get(name)]
    values = [evaluation["value"] for evaluation in found]
    return {
        "first run": family(plan["runs"], cell["run"]),
        "sampler": cell["sampler"],
        "NFE": str(cell["nfe"]),
        "seeds": f"{len(values)} of {len(names)}",
        "mean": f"{statistics.fmean(values):.2f}" if values else NOT_RUN,
        "standard deviation": f"{statistics.stdev(values):.2f}" if len(values) > 1 else NONE,
        "each": ", ".join(f"{value:.2f}" for value in values) or NOT_RUN,
        "measured as": metric_with_n(found[0]["protocol"]["metric"], cell["n_images"]) if found else NOT_RUN,
    }
