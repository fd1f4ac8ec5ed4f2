"""Runs of a grid side by side: the values in which they differ, and the distance of their samples."""

from collections.abc import Iterator

import pandas as pd

from dctdiff.params.grid import combinations
from dctdiff.report.tables.fields import NONE, NOT_RUN, Evaluations, metric_with_n


def grid_table(plan: dict, evaluations: Evaluations) -> pd.DataFrame:
    """One row per cell of each run of a grid, the run that it was made from included."""
    keys = dict.fromkeys(key for values in plan["grid"].values() for key in values)
    return pd.DataFrame(
        [
            {
                "grid of": base,
                **{key: str(changes.get(key, NONE)) for key in keys},
                "checkpoint": cell["checkpoint"],
                "sampler": cell["sampler"],
                "NFE": cell["nfe"],
                **measured(cell, evaluations["cells"].get(name)),
            }
            for base, changes, name, cell in cells_of_grids(plan)
        ]
    )


def cells_of_grids(plan: dict) -> Iterator[tuple[str, dict, str, dict]]:
    """The run that a grid was made from, the values of one of its runs, and name and params of a cell of that."""
    for base, values in plan["grid"].items():
        for run, changes in combinations(base, plan["runs"][base], values).items():
            for name, cell in plan["cells"].items():
                if cell["run"] == run:
                    yield base, changes, name, cell


def measured(cell: dict, evaluation: dict | None) -> dict[str, str]:
    if evaluation is None or evaluation["value"] is None:
        return {"distance": NOT_RUN, "measured as": NOT_RUN}
    metric = metric_with_n(evaluation["protocol"]["metric"], cell["n_images"])
    return {"distance": f"{evaluation['value']:.2f}", "measured as": metric}
