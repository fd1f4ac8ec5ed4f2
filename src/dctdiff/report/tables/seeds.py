"""Cells that differ in nothing but the seed, of training or of sampling: their mean and spread."""

import statistics

import pandas as pd

from dctdiff.params.jobs import models_of
from dctdiff.params.seeds import family, groups_of_cells
from dctdiff.report.tables.fields import NONE, NOT_RUN, Evaluations, metric_with_n


def seeds_table(plan: dict, evaluations: Evaluations) -> pd.DataFrame:
    """One row for cells of two or more seeds. The standard deviation is that of a sample (divided by n - 1)."""
    return pd.DataFrame([seeds_row(plan, names, evaluations) for names in groups_of_cells(plan) if len(names) > 1])


def seeds_row(plan: dict, names: list[str], evaluations: Evaluations) -> dict[str, str]:
    cell = plan["cells"][names[0]]
    found = [evaluations["cells"][name] for name in names if evaluations["cells"].get(name)]
    values = [evaluation["value"] for evaluation in found]
    return {
        "dataset": cell["reference"],
        "first run": family(models_of(plan), cell["run"]),
        "checkpoint": cell["checkpoint"],
        "sampler": cell["sampler"],
        "NFE": str(cell["nfe"]),
        "seeds": f"{len(values)} of {len(names)}",
        "mean": f"{statistics.fmean(values):.2f}" if values else NOT_RUN,
        "standard deviation": f"{statistics.stdev(values):.2f}" if len(values) > 1 else NONE,
        "each": ", ".join(f"{value:.2f}" for value in values) or NOT_RUN,
        "measured as": metric_with_n(found[0]["protocol"]["metric"], cell["n_images"]) if found else NOT_RUN,
    }
