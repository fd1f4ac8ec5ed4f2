"""Quality bought with seconds of training."""

import altair as alt

from dctdiff.report.charts.style import COLOURS, QUIET, chart_of, finished

SECONDS, VALUES = (30, 60, 120, 240, 480, 960, 1920), (5, 10, 20, 50, 100, 200)  # of the axes
KINDS = {  # series -> colour and shape
    "DCTdiff, recipes tried": (COLOURS[0], "circle"),
    "U-ViT, recipes tried": (COLOURS[1], "circle"),
    "DCTdiff, best recipe": (COLOURS[0], "diamond"),
    "U-ViT, best recipe": (COLOURS[1], "diamond"),
    "DCTdiff, the paper's recipe": (COLOURS[2], "square"),
    "DCTdiff, official code": (QUIET, "triangle-up"),
}


def against_seconds(points: list[dict], metric: str) -> dict:
    """Vega-Lite of ``points``: each has a ``series`` of KINDS, ``seconds`` of training, a ``value`` of ``metric``."""
    kinds = [kind for kind in KINDS if any(point["series"] == kind for point in points)]
    colours, shapes = zip(*(KINDS[kind] for kind in kinds), strict=True)
    x = alt.X("seconds:Q", title="seconds of training on one GPU, compilation included")
    x = x.axis(values=SECONDS, grid=False).scale(type="log", nice=False, padding=20)
    y = alt.Y("value:Q", title=metric).axis(values=VALUES).scale(type="log", nice=False, padding=12)
    colour = alt.Color("series:N", title=None).scale(domain=kinds, range=list(colours))
    shape = alt.Shape("series:N", title=None).scale(domain=kinds, range=list(shapes))
    marks = chart_of(points).mark_point(filled=True, size=80, opacity=0.9).encode(x=x, y=y, color=colour, shape=shape)
    return finished(alt.layer(marks), "U-ViT of size S on CIFAR-10: lower is better")
