"""What all charts have in common: sizes, colours for a light and a dark page, scales, and the way to a PNG."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import altair as alt
import vl_convert

HEIGHT, PNG_WIDTH = 320, 560  # of the plot; on the page it is as wide as there is place
WIDE_RANGE = 10  # largest over smallest value from which an axis is logarithmic
COLOURS = (
    "#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2", "#d6a400", "#ff7f9e", "#9d755d", "#6f8fd6",
)  # fmt: skip
QUIET = "#8a8f98"  # floors and published numbers: seen on white and on black
SOLID = [1, 0]
DASHES = (SOLID, [6, 3], [1, 3], [7, 3, 1, 3])
FLOOR_DASHES = ([2, 3], [7, 3, 2, 3], [1, 5])
SIZES = {"labelFontSize": 12, "titleFontSize": 12}
INK = "currentColor"  # of the text around it, whatever the page's mode; black in a PNG


@dataclass(frozen=True)
class Look:
    """Of one entry of a legend."""

    colour: str
    dash: list[int]
    shape: str = "circle"


def looks(names: Iterable[str]) -> dict[str, Look]:
    """Of lines that have nothing in common: another colour each, and then another dash."""
    dressed = ((colour, dash) for dash in itertools.cycle(DASHES) for colour in COLOURS)
    return {name: Look(colour, dash) for name, (colour, dash) in zip(dict.fromkeys(names), dressed, strict=False)}


def of_lines(looks: dict[str, Look]) -> dict[str, alt.Color | alt.StrokeDash]:
    """The encoding of a field ``series``, with a legend of short lines."""
    legend = alt.Legend(symbolType="stroke", symbolSize=400) if looks else None  # an empty one has no size
    colours, dashes = [look.colour for look in looks.values()], [look.dash for look in looks.values()]
    return {
        "color": alt.Color("series:N", title=None, scale=_scale(looks, colours), legend=legend),
        "strokeDash": alt.StrokeDash("series:N", title=None, scale=_scale(looks, dashes), legend=legend),
    }


def colours(looks: dict[str, Look]) -> dict[str, alt.Color]:
    """The same without dashes."""
    return {"color": of_lines(looks)["color"]}


def points_of(rows: list[dict], looks: dict[str, Look], **mark) -> alt.Chart:
    """Points that add no legend to that of the lines; each row names its ``series``."""
    dressed = [row | {"colour": looks[row["series"]].colour, "shape": looks[row["series"]].shape} for row in rows]
    colour, shape = alt.Color("colour:N", scale=None), alt.Shape("shape:N", scale=None)
    return chart_of(dressed).mark_point(filled=True, size=70, opacity=1, **mark).encode(color=colour, shape=shape)


def _scale(looks: dict[str, Look], values: list) -> alt.Scale:
    return alt.Scale(domain=list(looks), range=values)


def scale(values: Iterable[float]) -> alt.Scale:
    """Logarithmic where the largest value is many times the smallest, else from 0 on."""
    values = list(values)
    if values and min(values) > 0 and max(values) >= WIDE_RANGE * min(values):
        return alt.Scale(type="log", nice=False, padding=12)
    return alt.Scale(zero=True)


def chart_of(rows: list[dict]) -> alt.Chart:
    return alt.Chart(alt.Data(values=rows))


def finished(chart: alt.LayerChart, title: str, height: int = HEIGHT) -> dict:
    """Vega-Lite as JSON, as wide as its place."""
    ink = {key: INK for key in ("labelColor", "titleColor", "domainColor", "tickColor", "gridColor")}
    return (
        chart.properties(title=title, width="container", height=height)
        .properties(autosize=alt.AutoSizeParams(type="fit-x", contains="padding"))
        .configure(background="transparent", font="sans-serif")
        .configure_view(stroke=None)
        .configure_axis(**ink, **SIZES, gridOpacity=0.13, domainOpacity=0.5, tickOpacity=0.5, titleFontWeight="normal")
        .configure_legend(labelColor=INK, labelFontSize=12, labelLimit=400, symbolLimit=0, symbolStrokeWidth=2)
        .configure_title(color=INK, anchor="start", fontWeight="normal", fontSize=13)
        .to_dict()
    )


def png(chart: dict, dpi: int) -> bytes:
    """The chart of ``finished`` on white."""
    return vl_convert.vegalite_to_png(
        chart | {"width": PNG_WIDTH, "background": "white", "autosize": "pad", "padding": 10}, ppi=dpi
    )
