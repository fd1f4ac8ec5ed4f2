"""How the page shows a table: which columns it needs, which of them a phone shows, and where a number leads."""

import base64
from collections.abc import Container, Sequence
from pathlib import Path

from dctdiff.report.provenance import made_id
from dctdiff.report.spent import Job
from dctdiff.report.tables.fields import value_of

# Columns that a phone shows at first; of the table of quality its metric, too.
NARROW = {
    "quality": ("dataset", "images", "sampler", "NFE"),
    "seeds": ("first run", "NFE", "mean", "standard deviation"),
    "grid": ("grid of", "distance"),
    "checkpoints": ("run", "step", "distance", "best"),
    "costs": ("model", "quantity", "published", "reproduced"),
    "truncation": ("dataset", "kept", "m", "distance", "m*"),
    "upsampling": ("dataset", "method", "published", "reproduced"),
    "statistics": ("codec", "channel", "eta", "entropies (bit)"),
    "training": ("run", "steps", "last loss"),
    "stages": ("stage", "jobs", "time"),
    "rows": ("images", "sampler", "NFE", "time"),
}
NARROW_DISTANCES = ("model", "sampler", "NFE", "published", "reproduced")  # of each table of published distances
MEASURED = (
    "KID x 1000", "precision", "recall", "distance", "mean", "reproduced", "m*", "eta", "entropies (bit)",
    "largest difference", "steps", "images seen", "last loss",
)  # fmt: skip
COUNTED = ("parameters (M)", "GMACs")  # where the tables are built
ALWAYS = ("published", "reproduced", "distance", "last loss")  # even if they say the same in every row
LAST = 1e300  # where a sorted column has what is no number


def laid_out(
    name: str,
    table: dict,
    metric: str,
    jobs: Sequence[Job | None] = (),
    told: Container[str] = (),
    csv: Path | None = None,
) -> dict:
    """A table as the template shows it; a column that says the same in every row becomes words below it.

    ``table``: columns, rows, numeric, caption; ``metric``: of the table of quality; ``jobs``: which measured each
    row; ``told``: ids of the jobs that the page tells of; ``csv``: the same table as a file.
    """
    columns, rows = table["columns"], table["rows"]
    narrow = {*NARROW.get(name, NARROW_DISTANCES), metric}
    same = [index for index, column in enumerate(columns) if _is_same(rows, index) and column not in (*ALWAYS, metric)]
    shown = [index for index in range(len(columns)) if index not in same]

    def cell(row: list, job: Job | None, index: int) -> dict:
        made = _made(columns[index], job, metric)
        return {
            "text": row[index],
            "order": order_of(row[index]),
            "made": made if made in told and value_of(row[index]) is not None else None,
        }

    return {
        "name": name,
        "caption": table["caption"],
        "columns": [
            {"name": columns[index], "numeric": table["numeric"][index], "wide": columns[index] not in narrow}
            for index in shown
        ],
        "rows": [
            [cell(row, job, index) for index in shown]
            for row, job in zip(rows, jobs or [None] * len(rows), strict=True)
        ],
        "same": [(columns[index], rows[0][index]) for index in same],
        "csv": f"data:text/csv;base64,{base64.b64encode(csv.read_bytes()).decode()}" if csv else None,
    }


def _is_same(rows: list[list], index: int) -> bool:
    return len(rows) > 1 and len({str(row[index]) for row in rows}) == 1


def order_of(field: object) -> float:
    """By what a column of numbers, or of times (h:mm:ss), is sorted."""
    value = value_of(str(field).replace(":", ""))
    return LAST if value is None else value


def _made(column: str, job: Job | None, metric: str) -> str | None:
    """Id of the job that made a number; None for what was not measured here."""
    if column in COUNTED:
        return made_id("tables")
    return made_id(*job) if job and column in (*MEASURED, metric) else None
