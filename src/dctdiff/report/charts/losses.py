"""Losses of the trainings."""

import altair as alt
import numpy as np

from dctdiff.report.charts.style import chart_of, finished, looks, of_lines, points_of

SHOWN_POINTS = 250  # of a run: more cannot be told apart


def loss_curves(logs: dict[str, list[dict]], smoothing: int) -> dict:
    """Training loss against images seen, averaged over ``smoothing`` log lines."""
    points = [point for name, lines in logs.items() for point in smoothed(name, lines, smoothing)]
    dressed = looks(point["series"] for point in points)
    x = alt.X("images:Q", title="images seen", axis=alt.Axis(format="~s", grid=False))
    y = alt.Y("loss:Q", title="training loss", scale=alt.Scale(zero=False))
    pointed = alt.selection_point(name="pointed", on="pointerover", clear="pointerout", empty=False)
    tooltip = [alt.Tooltip("series:N", title=" "), alt.Tooltip("step:Q", format=",")]
    tooltip += [alt.Tooltip("images:Q", format=","), alt.Tooltip("loss:Q", format=".4f")]
    lines = chart_of(points).mark_line(strokeWidth=1.5).encode(x=x, y=y, **of_lines(dressed))
    seen = alt.condition(pointed, alt.value(1), alt.value(0))
    marks = points_of(points, dressed).encode(x=x, y=y, tooltip=tooltip, opacity=seen).add_params(pointed)
    return finished(alt.layer(lines, marks), "Losses of different spaces do not compare")


def smoothed(name: str, lines: list[dict], smoothing: int) -> list[dict]:
    """Means of as many lines of a log, each at the last of them. That of published weights has no loss, and none."""
    lines = [line for line in lines if line["loss"] is not None]
    if not lines:
        return []
    window = min(smoothing, len(lines))
    means = np.convolve([line["loss"] for line in lines], np.ones(window) / window, mode="valid")
    ends = lines[window - 1 :]
    shown = np.unique(np.linspace(0, len(ends) - 1, min(SHOWN_POINTS, len(ends))).round().astype(int))
    return [
        {"series": name, "images": ends[at]["images"], "step": ends[at]["step"], "loss": float(means[at])}
        for at in shown
    ]
