"""Recipes of training that were tried: what each run of a suite was trained with, and how far its samples are."""

import pandas as pd

from dctdiff.report.tables.fields import NOT_RUN, metric_with_n
from dctdiff.report.tables.suite import current

KEYS = ("optimizer", "prediction", "t_logit", "lr", "lr_end_step", "ema_rate", "batch_size", "seed")
MEASURED = ("step", "seconds", "loss", "precision", "processes", "device")  # of the last line of a log
METHODS = {"dct": "DCTdiff", "pixel": "U-ViT"}  # end of the name of a run and cell -> its method


def tried_recipes(plan: dict, logs: dict[str, list[dict]], evaluations: dict) -> dict[str, dict]:
    """Run -> what a row needs of it, of those that were trained to the end and whose cell of the same name is of the
    params of the plan."""
    cells = current(plan, evaluations)["cells"]
    return {
        name: {
            **{key: run[key] for key in KEYS if key in run},
            **{key: logs[name][-1][key] for key in MEASURED},
            "distance": cells[name]["value"],
            "nfe": plan["cells"][name]["nfe"],
            "metric": metric_with_n(cells[name]["protocol"]["metric"], cells[name]["n_images"]),
        }
        for name, run in plan["runs"].items()
        if name in cells and name in logs and logs[name][-1]["step"] == run["train_steps"]
    }


def recipes_table(tried: dict[str, dict]) -> tuple[pd.DataFrame, str]:
    """One row per recipe with both spaces, and what was measured how."""
    recipes = dict.fromkeys(name.rpartition("-")[0] for name in tried)
    table = pd.DataFrame([recipe_row(recipe, tried) for recipe in recipes])
    metrics, machines = measured_how(tried)
    return table, f"Distance: {metrics}. Seconds of training, compilation included: {machines}."


def measured_how(tried: dict[str, dict]) -> tuple[str, str]:
    """Metrics with their NFE, and machines with their precision, of all that was tried."""
    metrics = {f"{found['metric']}, NFE {found['nfe']}" for found in tried.values()}
    machines = {f"{found['precision']} on {found['processes']} x {found['device']}" for found in tried.values()}
    return "; ".join(sorted(metrics)), "; ".join(sorted(machines))


def recipe_row(recipe: str, tried: dict[str, dict]) -> dict[str, str]:
    found = {space: tried[f"{recipe}-{space}"] for space in METHODS if f"{recipe}-{space}" in tried}
    run = next(iter(found.values()))
    row = {
        "recipe": recipe,
        "optimizer": run.get("optimizer", "adamw"),
        "predicts": run.get("prediction", "noise"),
        "log(t / (1 - t))": "t uniform" if run.get("t_logit") is None else "N({:g}, {:g})".format(*run["t_logit"]),
        "lr": f"{run['lr']:g}{', falling to 0' if run.get('lr_end_step') else ''}",
        "EMA": f"{run['ema_rate']:g}",
        "seed": str(run["seed"]),
        "steps": f"{run['step']:,}",
    }
    for space, method in METHODS.items():
        measured = found.get(space)
        row[f"{method}: s"] = f"{measured['seconds']:.0f}" if measured else NOT_RUN
        row[f"{method}: distance"] = f"{measured['distance']:.2f}" if measured else NOT_RUN
    return row
