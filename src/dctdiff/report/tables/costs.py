"""Training costs, published and counted."""

import pandas as pd

from dctdiff.models.config import config_of
from dctdiff.models.cost import gmacs, parameters
from dctdiff.report.tables.fields import NONE, NOT_KNOWN, NOT_RUN, Evaluations, number, rung


def costs_table(plan: dict, evaluations: Evaluations) -> pd.DataFrame:
    """Parameters and GMACs are counted from the layers, the steps are those of the chosen checkpoint."""
    rows = []
    for row in plan["published"]["costs"]:
        run = plan["runs"].get(row.get("run"))
        value = reproduced_cost(plan, row, evaluations) if run else None
        counted = row["quantity"] != "steps to converge"
        rows.append(
            {
                "dataset": run["dataset"] if run else row["dataset"],
                "model": row["run"] if run else row["model"],
                "quantity": row["quantity"],
                "published": number(row.get("value"), "{:g}", missing=NOT_KNOWN),
                "source": row["source"] or NONE,
                "confidence": row["confidence"] or NONE,
                "reproduced": number(value, "{:.4g}" if counted else "{:.0f}", missing=NOT_RUN),
                "delta": NONE if None in (value, row.get("value")) else f"{value - row['value']:+.3g}",
                "rung": NOT_RUN if value is None else "counted" if counted else rung(run),
            }
        )
    return pd.DataFrame(rows)


def reproduced_cost(plan: dict, row: dict, evaluations: Evaluations) -> float | None:
    if row["quantity"] == "parameters (M)":
        return parameters(config_of(plan, row["run"])) / 1e6
    if row["quantity"] == "GMACs":
        return gmacs(config_of(plan, row["run"]))
    selection = evaluations["selections"].get(row["run"])
    trained = plan["runs"][row["run"]]["weights"] == "trained"
    return selection["step"] if selection and trained else None
