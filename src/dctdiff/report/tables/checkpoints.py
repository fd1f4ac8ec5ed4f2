"""Checkpoints that a selection chose from."""

import pandas as pd

from dctdiff.report.tables.fields import NOT_KNOWN, NOT_RUN, Evaluations, metric_with_n, number


def checkpoints_table(plan: dict, evaluations: Evaluations) -> pd.DataFrame:
    """One row per checkpoint that a selection chose from, or one that says that it has not run."""
    rows = []
    for name, selection in plan["selections"].items():
        chosen = evaluations["selections"].get(name)
        metric = metric_with_n(chosen["protocol"]["metric"], selection["n_images"]) if chosen else NOT_RUN
        for candidate in chosen["candidates"] if chosen else [None]:
            rows.append(
                {
                    "run": name,
                    **checkpoint_row(candidate, plan["runs"][name]["batch_size"]),
                    "measured as": metric,
                    "sampler": selection["sampler"],
                    "NFE": selection["nfe"],
                    "best": NOT_RUN if chosen is None else "yes" if candidate["step"] == chosen["step"] else "no",
                }
            )
    return pd.DataFrame(rows)


def checkpoint_row(candidate: dict | None, batch_size: int) -> dict:
    """A release may not tell its steps; the only checkpoint of a run has no distance, as nothing is to choose."""
    if candidate is None:
        return dict.fromkeys(("step", "images seen", "distance"), NOT_RUN)
    step = candidate["step"]
    return {
        "step": number(step, "{}", missing=NOT_KNOWN),
        "images seen": NOT_KNOWN if step is None else str(step * batch_size),
        "distance": number(candidate["value"], "{:.2f}"),
    }
