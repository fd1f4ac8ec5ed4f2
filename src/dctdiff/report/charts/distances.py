"""Distances over NFE and over training, with the floors."""

import statistics

import altair as alt
import numpy as np

from dctdiff.params.jobs import models_of
from dctdiff.params.seeds import family, groups_of_cells
from dctdiff.registry.samplers import SAMPLERS
from dctdiff.report.charts.style import (
    COLOURS,
    DASHES,
    FLOOR_DASHES,
    QUIET,
    WIDE_RANGE,
    Look,
    chart_of,
    colours,
    finished,
    looks,
    of_lines,
    points_of,
    scale,
)
from dctdiff.report.provenance import made_id

# Of samplers, in their order.
SAMPLER_DASHES = (*DASHES, [3, 2])
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-right")
BESIDE = 12  # pixels from the bar of one run to that of the next
ASIDE = alt.ExprRef("datum.aside")
SERIES = alt.Tooltip("series:N", title=" ")


def against_nfe(plan: dict, evaluations: dict[str, dict[str, dict]], dataset: str) -> dict:
    """Distance of each run and sampler against NFE.

    Cells that differ in their checkpoint or number of images are series of their own; those that differ in nothing
    but the seed, of training or of sampling, are one point: their mean, with a bar from the lowest to the highest.
    """
    metric = metric_of(evaluations)
    points, floors = nfe_points(plan, evaluations, dataset), floors_of(plan, evaluations, dataset)
    runs = list(dict.fromkeys(point["run"] for point in points))
    points.sort(key=lambda point: runs.index(point["run"]))
    dressed = {}
    for point in points:
        place = list(SAMPLERS).index(point["sampler"])
        dash, shape = SAMPLER_DASHES[place % len(SAMPLER_DASHES)], SHAPES[place % len(SHAPES)]
        dressed[point["series"]] = Look(COLOURS[runs.index(point["run"]) % len(COLOURS)], dash, shape)
    dressed |= floor_looks(floors)
    nfes = sorted({point["nfe"] for point in points})
    wide = bool(nfes) and nfes[-1] >= WIDE_RANGE * nfes[0]
    x = alt.X(
        "nfe:Q",
        title="NFE",
        axis=alt.Axis(values=nfes, format="d", grid=False),
        scale=alt.Scale(nice=False, padding=24, **({"type": "log"} if wide else {"zero": False})),
    )
    values = [point[key] for point in points for key in ("low", "high")] + [floor["value"] for floor in floors]
    y = alt.Y("value:Q", title=metric, scale=scale(values))
    several = [point for point in points if point["seeds"] > 1]
    for point in points:
        point["aside"] = BESIDE * (runs.index(point["run"]) - (len(runs) - 1) / 2) if several else 0
    tooltip = [SERIES, alt.Tooltip("nfe:Q", title="NFE")]
    tooltip += [alt.Tooltip("value:Q", title=metric, format=".2f"), alt.Tooltip("n:Q", format=",")]
    if several:
        tooltip += [alt.Tooltip("seeds:Q"), alt.Tooltip("low:Q", format=".2f"), alt.Tooltip("high:Q", format=".2f")]
    layers = [
        chart_of(points).mark_line(xOffset=ASIDE).encode(x=x, y=y, **of_lines(dressed)),
        points_of(points, dressed, xOffset=ASIDE).encode(x=x, y=y, tooltip=tooltip, href="made:N"),
    ]
    if several:
        ends = {"y": alt.Y("low:Q", title=metric, scale=scale(values)), "y2": "high:Q"}
        layers.append(chart_of(several).mark_rule(strokeWidth=2, xOffset=ASIDE).encode(x=x, **ends, **colours(dressed)))
    return finished(alt.layer(*layers, *rules(floors, {"y": y}, dressed)), f"{dataset}: lower is better")


def nfe_points(plan: dict, evaluations: dict[str, dict[str, dict]], dataset: str) -> list[dict]:
    """One row per point of the chart, by its cells that have been evaluated."""
    cells, measured = plan["cells"], evaluations["cells"]
    groups = measured_groups(plan, evaluations, dataset)
    several_n = len({cells[names[0]]["n_images"] for names in groups}) > 1
    points = []
    for names in groups:
        cell, values = cells[names[0]], [measured[name]["value"] for name in names]
        run = family(models_of(plan), cell["run"])
        label = f"{run}, {SAMPLERS[cell['sampler']].label}"
        label += ", best checkpoint" if cell.get("checkpoint", "last") == "best" else ""
        label += f", n = {cell['n_images']}" if several_n else ""
        points.append(
            {
                "series": label, "run": run, "sampler": cell["sampler"], "nfe": cell["nfe"], "n": cell["n_images"],
                "value": statistics.fmean(values), "low": min(values), "high": max(values), "seeds": len(values),
                "made": f"#{made_id('evaluate', names[0])}",
            }
        )  # fmt: skip
    most = {point["series"]: 0 for point in points}
    for point in points:
        most[point["series"]] = max(most[point["series"]], point["seeds"])
    named = {series: f"{series}, {seeds} seeds" if seeds > 1 else series for series, seeds in most.items()}
    return [point | {"series": named[point["series"]]} for point in points]


def measured_groups(plan: dict, evaluations: dict[str, dict[str, dict]], dataset: str) -> list[list[str]]:
    """The cells that were measured against a dataset, those together that differ in nothing but the seed."""
    groups = [[name for name in names if evaluations["cells"].get(name)] for names in groups_of_cells(plan)]
    return [names for names in groups if names and plan["cells"][names[0]]["reference"] == dataset]


def metric_of(evaluations: dict[str, dict[str, dict]]) -> str:
    """Of the cells and floors, which all have one."""
    kinds = ("cells", "heldout", "round_trip")
    return next((one["protocol"]["metric"] for kind in kinds for one in evaluations[kind].values()), "distance")


def floors_of(plan: dict, evaluations: dict[str, dict[str, dict]], dataset: str) -> list[dict]:
    """Distances of the data itself: as it is, and through each codec."""
    found = {"held-out images": evaluations["heldout"].get(dataset)}
    for name, codec in plan["codecs"].items():
        if codec["dataset"] == dataset:
            found[f"held-out through {name}"] = evaluations["round_trip"].get(name)
    return [{"series": label, "value": one["value"], "n": one.get("n_images")} for label, one in found.items() if one]


def floor_looks(floors: list[dict]) -> dict[str, Look]:
    names = dict.fromkeys(floor["series"] for floor in floors)
    return {name: Look(QUIET, FLOOR_DASHES[index % len(FLOOR_DASHES)]) for index, name in enumerate(names)}


def rules(floors: list[dict], axis: dict[str, alt.X | alt.Y], dressed: dict[str, Look]) -> list[alt.Chart]:
    """A line across the ``axis`` of values ("x" or "y") for each floor; none, no layer."""
    if not floors:
        return []
    tooltip = [SERIES, alt.Tooltip("value:Q", format=".2f"), alt.Tooltip("n:Q")]
    return [chart_of(floors).mark_rule(strokeWidth=1.5).encode(**axis, **of_lines(dressed), tooltip=tooltip)]


def against_training(
    plan: dict, evaluations: dict[str, dict[str, dict]], selections: dict[str, dict], logs: dict[str, list[dict]]
) -> dict[str, dict]:
    """Distance of each kept checkpoint of each run against its steps ("distance-training"), and against the time that
    they took ("distance-time"): measured, so not alike from one training to the next."""
    points = [
        {"series": f"{name}, NFE {selection['nfe']}", "run": name, "step": candidate["step"],
         "value": candidate["value"], "n": selection["n_images"], "made": f"#{made_id('select', name)}"}
        for name, selection in selections.items()
        for candidate in selection["candidates"]
    ]  # fmt: skip
    floors = [floor for dataset in plan["datasets"] for floor in floors_of(plan, evaluations, dataset)]
    floors = [floor for floor in floors if {floor["n"]} == {point["n"] for point in points}]  # else they do not compare
    metric = ", ".join(sorted({f"{one['protocol']['metric']}, n = {one['n_images']}" for one in selections.values()}))
    timed = [point for point in points if logs.get(point["run"])]
    seconds = [seconds_at(point["step"], logs[point["run"]]) for point in timed]
    unit, of_unit = time_unit(max(seconds, default=0.0))
    timed = [point | {unit: passed / of_unit} for point, passed in zip(timed, seconds, strict=True)]
    from_0 = alt.Scale(zero=True)
    steps = alt.X("step:Q", title="steps", axis=alt.Axis(format="~s", grid=False), scale=from_0)
    times = alt.X(f"{unit}:Q", title=f"{unit} of training", axis=alt.Axis(grid=False), scale=from_0)
    return {
        "distance-training": training_chart(points, floors, steps, metric),
        "distance-time": training_chart(timed, floors, times, metric),
    }


def training_chart(points: list[dict], floors: list[dict], x: alt.X, metric: str) -> dict:
    """Both axes begin at 0."""
    dressed = looks(point["series"] for point in points) | floor_looks(floors)
    y = alt.Y("value:Q", title=metric, scale=alt.Scale(zero=True))
    tooltip = [SERIES, alt.Tooltip("step:Q", format=",")]
    tooltip += [alt.Tooltip("value:Q", title="distance", format=".2f")]
    marks = [
        chart_of(points).mark_line().encode(x=x, y=y, **of_lines(dressed)),
        points_of(points, dressed).encode(x=x, y=y, tooltip=tooltip, href="made:N"),
    ]
    return finished(alt.layer(*marks, *rules(floors, {"y": y}, dressed)), "Checkpoints: lower is better")


def seconds_at(step: int, log: list[dict]) -> float:
    """When a step was done, between the lines of the log by their steps."""
    lines = [{"step": 0, "seconds": 0.0}, *log]
    return float(np.interp(step, [line["step"] for line in lines], [line["seconds"] for line in lines]))


def time_unit(longest: float) -> tuple[str, float]:
    """Hours, or minutes if nothing took two hours: name of the unit and its seconds."""
    return ("hours", 3600.0) if longest >= 7200 else ("minutes", 60.0)
