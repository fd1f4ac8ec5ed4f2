"""Published distances beside those of this suite."""

import pandas as pd

from dctdiff.params.jobs import models_of
from dctdiff.report.tables.fields import (
    NONE,
    NOT_KNOWN,
    NOT_RUN,
    Evaluations,
    as_read,
    checkpoint_name,
    delta,
    metric_with_n,
    number,
    published_fields,
    rung,
)


def distances_table(plan: dict, rows: list[dict], evaluations: Evaluations) -> pd.DataFrame:
    """Published distances, each beside the cell of this suite that reproduces it."""
    return pd.DataFrame(
        [cell_distance(plan, row, evaluations) if "cell" in row else other_distance(row) for row in rows]
    )


def cell_distance(plan: dict, row: dict, evaluations: Evaluations) -> dict:
    cell = plan["cells"][row["cell"]]
    run = models_of(plan)[cell["run"]]
    evaluation = evaluations["cells"].get(row["cell"])
    value = evaluation["value"] if evaluation else None
    metric = metric_with_n(evaluation["protocol"]["metric"], evaluation["n_images"]) if evaluation else None
    return {
        "dataset": cell["reference"],
        "model": as_read(plan, cell["run"], cell["run"]),
        "sampler": cell["sampler"],
        "NFE": cell["nfe"],
        "SNR scale": run["snr_scale"],
        "checkpoint": checkpoint_name(plan, cell, evaluations),
        **published_fields(row, row["metric"]),
        "reproduced": number(value, "{:.2f}", missing=NOT_RUN),
        "measured as": metric or NOT_RUN,
        "delta": delta(value, row.get("value"), metric, row["metric"]),
        "n": cell["n_images"],
        "rung": rung(run) if evaluation else NOT_RUN,
    }


def other_distance(row: dict) -> dict:
    """A published number of a model that the suite does not have."""
    return {
        "dataset": row["dataset"],
        "model": row["model"],
        "sampler": row.get("sampler", NOT_KNOWN),
        "NFE": row.get("nfe", NOT_KNOWN),
        "SNR scale": NONE,
        "checkpoint": NONE,
        **published_fields(row, row["metric"]),
        "reproduced": NOT_RUN,
        "measured as": NOT_RUN,
        "delta": NONE,
        "n": NONE,
        "rung": NOT_RUN,
    }
