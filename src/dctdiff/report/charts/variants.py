"""Distances of models side by side, where all are sampled alike: one line each, one point for each seed."""

import altair as alt

from dctdiff.params.jobs import models_of
from dctdiff.params.seeds import family
from dctdiff.report.charts.distances import floor_looks, floors_of, measured_groups, metric_of, rules
from dctdiff.report.charts.style import COLOURS, QUIET, chart_of, finished, scale
from dctdiff.report.provenance import made_id

ROW_HEIGHT = 24
FEWEST = 3  # models from which a line for each says more than points above one NFE
LABELS = alt.ExprRef("containerSize()[0] < 500 ? 150 : 430")  # pixels: on a phone most of the width is for the numbers


def of_one_nfe(plan: dict, evaluations: dict[str, dict[str, dict]], dataset: str) -> dict | None:
    """One line for each model that was measured against a dataset; None if they are few, or sampled differently."""
    cells, measured = plan["cells"], evaluations["cells"]
    groups = measured_groups(plan, evaluations, dataset)
    first = [cells[names[0]] for names in groups]
    alike = {(cell["sampler"], cell["nfe"], cell["n_images"], cell.get("checkpoint")) for cell in first}
    if len(groups) < FEWEST or len(alike) > 1:
        return None
    points = [
        {"row": family(models_of(plan), cells[names[0]]["run"]), "value": measured[name]["value"],
         "made": f"#{made_id('evaluate', name)}"}
        for names in groups
        for name in names
    ]  # fmt: skip
    metric = f"{metric_of(evaluations)}, n = {first[0]['n_images']}, NFE {first[0]['nfe']}"
    return side_by_side(points, metric, dataset, floors_of(plan, evaluations, dataset))


def side_by_side(points: list[dict], metric: str, title: str, floors: list[dict] = ()) -> dict:
    """Vega-Lite of ``points``: each has its ``row``, a ``value`` of ``metric``, and ``made`` if the page says how."""
    names = list(dict.fromkeys(point["row"] for point in points))
    values = [point["value"] for point in (*points, *floors)]
    x = alt.X("value:Q", title=metric, axis=alt.Axis(tickCount=6), scale=scale(values))
    y = alt.Y("row:N", title=None, sort=names, axis=alt.Axis(labelLimit=LABELS, grid=True))
    tooltip = [alt.Tooltip("row:N", title=" "), alt.Tooltip("value:Q", title="distance", format=".2f")]
    linked = {"href": "made:N"} if all("made" in point for point in points) else {}
    between = chart_of(points).mark_line(color=QUIET, strokeWidth=1).encode(x=x, y=y, detail="row:N")
    marks = chart_of(points).mark_point(filled=True, size=80, opacity=1, color=COLOURS[0])
    layers = [between, marks.encode(x=x, y=y, tooltip=tooltip, **linked)]
    layers += rules(floors, {"x": x}, floor_looks(floors))
    return finished(alt.layer(*layers), f"{title}: lower is better", ROW_HEIGHT * (len(names) + 1))
