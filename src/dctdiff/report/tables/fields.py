"""What the fields of all tables have in common: words for what is missing, numbers, names."""

from dctdiff.params.jobs import models_of

NOT_RUN = "not run"
NOT_KNOWN = "not known"
NONE = "n/a"
Evaluations = dict[str, dict[str, dict]]  # kind ("cells", "heldout", ...) -> name -> JSON


def as_read(plan: dict, run_name: str, value, *keys: str):
    """``value``, which ``keys`` of a run decide (or all of them), marked if the paper does not tell one (point 54)."""
    untold = (plan.get("published") or {}).get("not_published", {}).get(run_name, [])
    return f"{value} (our reading)" if value != NOT_RUN and set(keys or untold) & set(untold) else value


def number(value: float | None, pattern: str, missing: str = NONE) -> str:
    return missing if value is None else pattern.format(value)


def value_of(field: object) -> float | None:
    """The number with which a field begins; None where words stand for a missing one."""
    try:
        return float(str(field).split()[0])
    except (ValueError, IndexError):
        return None


def metric_with_n(metric: str, n_images: int) -> str:
    """The field's way to name a distance with its number of images: FID-50k."""
    return f"{metric}-{n_images // 1000}k" if n_images % 1000 == 0 else f"{metric}, n = {n_images}"


def delta(value: float | None, published: float | None, metric: str | None, published_metric: str) -> str:
    """Reproduced minus published, where both are the same quantity."""
    if value is None or published is None:
        return NONE
    if published_metric == "FID" and metric.startswith("FID-"):
        return "n not named"
    return f"{value - published:+.2f}" if metric == published_metric else "other metric"


def published_fields(row: dict, metric: str) -> dict:
    known = "value" in row
    return {
        "published": f"{row['value']:g}" if known else NOT_KNOWN,
        "published as": metric if known else NONE,
        "source": row["source"] or NONE,
        "confidence": row["confidence"] or NONE,
    }


def checkpoint_name(plan: dict, cell: dict, evaluations: Evaluations) -> str:
    """Which weights a cell samples, e.g. "best of 20: step 175000"."""
    run = models_of(plan)[cell["run"]]
    if run["weights"] == "published":
        return "published"
    if cell["checkpoint"] == "last":
        return f"last: step {run['train_steps']}"
    selection = evaluations["selections"].get(cell["run"])
    return f"best of {selection['k']}: step {selection['step']}" if selection else f"best: {NOT_RUN}"


def rung(run: dict) -> str:
    if run["weights"] == "published":
        return "published weights"
    return "smoke" if run["train_steps"] < SMOKE_STEPS else "trained"


# A run of fewer steps than the first checkpoint of the official code (protocol point 27) is a smoke test.
SMOKE_STEPS = 50_000
