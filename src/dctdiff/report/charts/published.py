"""Published distances beside the reproduced ones."""

import altair as alt

from dctdiff.report.charts.style import COLOURS, QUIET, chart_of, finished, scale
from dctdiff.report.tables.fields import value_of

ROW_HEIGHT = 20
LABELS = alt.ExprRef("containerSize()[0] < 500 ? 150 : 330")  # pixels: on a phone most of the width is for the numbers
LOOKS = {"published": (QUIET, "circle"), "reproduced": (COLOURS[0], "diamond")}


def beside_published(name: str, rows: list[dict[str, str]]) -> dict | None:
    """One line for each published number of a table; None if it has none.

    ``rows``: column -> field. A reproduced number stands there only where the table gives a delta, so where both are
    the same quantity.
    """
    points = []
    for row in rows:
        published, reproduced = value_of(row["published"]), value_of(row["reproduced"])
        if published is not None:
            model = row["model"] if row["model"].startswith(row["dataset"]) else f"{row['dataset']}: {row['model']}"
            line = f"{model}, NFE {row['NFE']}, {row['sampler']}"
            shown = {"row": line, "metric": row["published as"], "source": row["source"]}
            points.append(shown | {"series": "published", "value": published})
            if value_of(row["delta"]) is not None:
                points.append(shown | {"series": "reproduced", "value": reproduced})
    if not points:
        return None
    metrics = ", ".join(sorted({point["metric"] for point in points}))
    x = alt.X("value:Q", title=metrics, axis=alt.Axis(tickCount=6), scale=scale(point["value"] for point in points))
    y = alt.Y("row:N", title=None, sort=None, axis=alt.Axis(labelLimit=LABELS, grid=True))
    colours, shapes = zip(*LOOKS.values(), strict=True)
    looks = {
        "color": alt.Color("series:N", title=None, scale=alt.Scale(domain=list(LOOKS), range=list(colours))),
        "shape": alt.Shape("series:N", title=None, scale=alt.Scale(domain=list(LOOKS), range=list(shapes))),
    }
    tooltip = [alt.Tooltip("row:N", title=" "), alt.Tooltip("series:N", title="number")]
    tooltip += [alt.Tooltip(key) for key in ("value:Q", "metric:N", "source:N")]
    apart = chart_of(points).mark_line(color=QUIET, strokeWidth=1).encode(x=x, y=y, detail="row:N")
    marks = chart_of(points).mark_point(filled=True, size=80, opacity=1).encode(x=x, y=y, **looks, tooltip=tooltip)
    height = ROW_HEIGHT * (len({point["row"] for point in points}) + 1)
    return finished(alt.layer(apart, marks), f"{name}: lower is better", height)
