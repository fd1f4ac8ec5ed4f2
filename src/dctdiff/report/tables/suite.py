"""All tables of a suite: from the plan, evaluations, statistics and logs to data frames.

The inputs are plain dicts as the stages write them; ``plan`` is the suite in its order, with the
published numbers. Nothing that changes from run to run (times, machines) goes into a table. A number
stands under "reproduced" only if this pipeline computed it; no field is blank."""

from dctdiff.params.seeds import groups_of_cells
from dctdiff.report.tables.analysis import truncation_table, upsampling_table, why_none
from dctdiff.report.tables.checkpoints import checkpoints_table
from dctdiff.report.tables.costs import COSTS_NOTE, costs_table
from dctdiff.report.tables.distances import distances_table
from dctdiff.report.tables.fields import Evaluations
from dctdiff.report.tables.grid import grid_table
from dctdiff.report.tables.quality import protocol_note, quality_table
from dctdiff.report.tables.seeds import seeds_table
from dctdiff.report.tables.statistics import SHOWN_ENTROPIES, statistics_table
from dctdiff.report.tables.training import GMACS_NOTE, training_table


def build_tables(plan: dict, evaluations: Evaluations, statistics: dict, logs: dict) -> dict[str, tuple]:
    """Name -> (data frame, caption), in the order of the report.

    ``statistics``: codec -> JSON; ``logs``: run -> lines. What is missing in them, or was made with
    other params than the plan's, is shown as not run.
    """
    evaluations = current(plan, evaluations)
    statistics = {name: found for name, found in statistics.items() if agrees(plan["codecs"][name], found)}
    published = plan["published"]
    tables = {"quality": (quality_table(plan, evaluations), protocol_note(evaluations))}
    for name, rows in published.get("distances", {}).items():
        tables[name] = (
            distances_table(plan, rows, evaluations),
            f"Published and reproduced: {name.replace('_', ' ')}.",
        )
    if any(len(names) > 1 for names in groups_of_cells(plan)):
        tables["seeds"] = (
            seeds_table(plan, evaluations),
            "Cells that differ in nothing but the seed: the distance's mean, and the standard deviation of one seed.",
        )
    if plan.get("grid"):
        tables["grid"] = grid_table(plan, evaluations), "Runs of a grid, and the distance of their samples."
    if plan["selections"]:
        tables["checkpoints"] = (
            checkpoints_table(plan, evaluations),
            "Distance of samples of each kept checkpoint to the reference; the best has the lowest.",
        )
    if published.get("costs"):
        tables["costs"] = (costs_table(plan, evaluations), COSTS_NOTE)
    if plan["truncations"]:
        tables["truncation"] = (
            truncation_table(plan, evaluations),
            "Distance of reconstructions without m coefficients to the originals; m* is the largest m below the bound."
            + why_none(evaluations),
        )
    if plan["upsamplings"]:
        tables["upsampling"] = (
            upsampling_table(plan, evaluations),
            "Distance to the originals after halving (bicubic) and doubling the resolution.",
        )
    tables["statistics"] = (
        statistics_table(plan, statistics),
        f"Scale eta and entropies in bits; the first {SHOWN_ENTROPIES} coefficients in zigzag order.",
    )
    tables["training"] = (training_table(plan, logs), f"Models. {GMACS_NOTE}")
    return tables


def metrics(plan: dict, evaluations: Evaluations) -> dict[str, float]:
    """Cell -> distance of its samples, of the cells that have one: what `dvc metrics` and `dvc exp show` compare."""
    found = {name: evaluation["value"] for name, evaluation in current(plan, evaluations)["cells"].items()}
    return {name: round(value, 4) for name, value in found.items() if value is not None}


def current(plan: dict, evaluations: Evaluations) -> Evaluations:
    """The evaluations that were made with the params of the plan: a name alone proves nothing."""
    kept = {kind: dict(named) for kind, named in evaluations.items()}
    for name, evaluation in evaluations["cells"].items():
        if not agrees(plan["cells"][name], evaluation["images"]):
            del kept["cells"][name]
    for kind in ("truncations", "upsamplings", "selections"):
        for name, evaluation in evaluations[kind].items():
            if not agrees(plan[kind][name], evaluation):
                del kept[kind][name]
    return kept


def agrees(params: dict, record: dict) -> bool:
    """Whether a record holds the values of ``params``, as far as it names them."""
    return all(record[key] == value for key, value in params.items() if key in record)
