"""Charts: what is drawn is what was measured, and the same numbers give the same chart."""

import pytest

from dctdiff.registry.samplers import SAMPLERS
from dctdiff.report.charts import distances, losses, variants
from dctdiff.report.charts.published import beside_published
from dctdiff.report.charts.seconds import KINDS, against_seconds
from dctdiff.report.charts.style import COLOURS, looks, png

LINES, POINTS = 0, 1  # layers


def rows(chart: dict, layer: int) -> list[dict]:
    return chart["layer"][layer].get("data", chart.get("data"))["values"]


def legend(chart: dict) -> list[str]:
    return chart["layer"][LINES]["encoding"]["color"]["scale"]["domain"]


def scale_of(chart: dict, axis: str) -> dict:
    return chart["layer"][POINTS]["encoding"][axis]["scale"]


def evaluation(value: float) -> dict:
    return {"value": value, "n_images": 500, "protocol": {"metric": "FID"}}


def cell(run: str, sampler: str, nfe: int, n_images: int = 500, checkpoint: str = "last", seed: int = 1) -> dict:
    return {
        "run": run, "reference": "d", "sampler": sampler, "nfe": nfe, "n_images": n_images, "checkpoint": checkpoint,
        "seed": seed,
    }  # fmt: skip


def planned(
    cells: dict[str, tuple[dict, float]], floor: float | None = None, runs: dict | None = None
) -> tuple[dict, dict]:
    """Plan and evaluations."""
    plan = {
        "cells": {name: cell for name, (cell, _) in cells.items()},
        "runs": runs or {cell["run"]: {} for cell, _ in cells.values()},
        "imports": {},
        "codecs": {"d-dct": {"dataset": "d"}, "other": {"dataset": "e"}},
    }
    evaluations = {
        "cells": {name: evaluation(value) for name, (_, value) in cells.items()},
        "heldout": {"d": evaluation(floor)} if floor else {},
        "round_trip": {"d-dct": evaluation(floor + 1), "other": evaluation(1.0)} if floor else {},
    }
    return plan, evaluations


def against_nfe(cells: dict[str, tuple[dict, float]], floor: float | None = None, runs: dict | None = None) -> dict:
    return distances.against_nfe(*planned(cells, floor, runs), "d")


def test_every_sampler_has_a_look_and_a_name():
    cells = {sampler: (cell("a", sampler, 10), 1.0) for sampler in SAMPLERS}
    chart = against_nfe(cells)
    dashes = chart["layer"][0]["encoding"]["strokeDash"]["scale"]["range"]
    shapes = [point["shape"] for point in rows(chart, POINTS)]
    looks = {(*dash, shape) for dash, shape in zip(dashes, shapes, strict=True)}
    assert len(looks) == len({sampler.label for sampler in SAMPLERS.values()}) == len(SAMPLERS)
    assert (dashes[:5], shapes[:5]) == (
        [[1, 0], [6, 3], [1, 3], [7, 3, 1, 3], [3, 2]],
        ["circle", "square", "triangle-up", "diamond", "triangle-down"],
    )


def test_each_run_and_sampler_is_a_line_over_nfe():
    cells = {
        f"{sampler}-{nfe}": (cell("a", sampler, nfe), 100 + 10 * index - nfe)
        for index, sampler in enumerate(SAMPLERS)
        for nfe in (50, 10)
    }
    chart = against_nfe(cells, floor=20.0)
    ddim = {point["nfe"]: point["value"] for point in rows(chart, POINTS) if point["series"] == "a, DDIM"}
    assert ddim == {50: 80, 10: 120}
    assert legend(chart) == [
        "a, DPM-Solver", "a, Euler ODE", "a, Euler SDE", "a, DDIM", "a, DDPM",
        "held-out images", "held-out through d-dct",
    ]  # fmt: skip
    assert [floor["value"] for floor in rows(chart, -1)] == [20.0, 21.0]
    assert scale_of(chart, "y") == {"zero": True}
    assert chart["layer"][POINTS]["encoding"]["x"]["axis"]["values"] == [10, 50]
    assert {point["made"] for point in rows(chart, POINTS)} == {f"#made-evaluate-{name}" for name in cells}


def test_cells_of_two_rungs_share_a_chart():
    """A published model of 50,000 images beside a smoke run, and two checkpoints of it."""
    chart = against_nfe(
        {
            "a": (cell("smoke", "ddpm", 10), 300.0),
            "b": (cell("smoke", "ddpm", 10, checkpoint="best"), 250.0),
            "c": (cell("published", "dpm_solver", 100, n_images=50_000), 5.3),
        }
    )
    assert legend(chart) == [
        "smoke, DDPM, n = 500",
        "smoke, DDPM, best checkpoint, n = 500",
        "published, DPM-Solver, n = 50000",
    ]
    assert scale_of(chart, "x")["type"] == scale_of(chart, "y")["type"] == "log"


def test_what_differs_in_the_seed_alone_is_one_point_with_a_bar():
    run = {"lr": 0.1}
    runs = {"a": run | {"seed": 1}, "a-2": run | {"seed": 2}, "b": {"lr": 0.2, "seed": 1}, "c": run, "d": run}
    found = [("a", 1, 10.0), ("a-2", 1, 13.0), ("a", 2, 16.0), ("b", 1, 30.0), ("c", 1, 40.0), ("d", 1, 50.0)]
    cells = {str(i): (cell(name, "ddim", 10, seed=seed), value) for i, (name, seed, value) in enumerate(found)}
    chart = against_nfe(cells, runs=runs)
    points = {point["run"]: point for point in rows(chart, POINTS)}
    assert points.keys() == {"a", "b", "c", "d"}  # c and d name no seed, so nothing says that they are alike
    assert [points["a"][key] for key in ("value", "low", "high", "seeds")] == [13.0, 10.0, 16.0, 3]
    bars = chart["layer"][2]
    assert bars["mark"]["type"] == "rule" and [row["run"] for row in rows(chart, 2)] == ["a"]
    assert (bars["encoding"]["y"]["field"], bars["encoding"]["y2"]["field"]) == ("low", "high")
    assert legend(chart) == ["a, DDIM, 3 seeds", "b, DDIM", "c, DDIM", "d, DDIM"]
    assert len({row["aside"] for row in rows(chart, POINTS)}) == 4  # so that no bar hides another
    alone = against_nfe({"0": cells["0"]}, runs=runs)
    assert len(alone["layer"]) == 2 and rows(alone, POINTS)[0]["aside"] == 0 and legend(alone) == ["a, DDIM"]


def test_models_that_are_sampled_alike_are_lines_with_a_point_for_each_seed():
    runs = {"a": {"lr": 0.1, "seed": 1}, "b": {"lr": 0.2, "seed": 1}, "b-2": {"lr": 0.2, "seed": 2}, "c": {"lr": 0.3}}
    cells = {name: (cell(name, "ddim", 50), value) for name, value in zip(runs, (30.0, 20.0, 24.0, 10.0), strict=True)}
    chart = variants.of_one_nfe(*planned(cells, floor=2.0, runs=runs), "d")
    points = [(point["row"], point["value"], point["made"]) for point in rows(chart, POINTS)]
    assert points == [(row, cells[name][1], f"#made-evaluate-{name}") for row, name in zip("abbc", cells, strict=True)]
    assert chart["layer"][POINTS]["encoding"]["y"]["sort"] == ["a", "b", "c"]
    assert [floor["value"] for floor in rows(chart, -1)] == [2.0, 3.0] and png(chart, 60).startswith(b"\x89PNG")
    assert "NFE 50" in chart["layer"][POINTS]["encoding"]["x"]["title"]
    assert variants.of_one_nfe(*planned(cells, runs=runs), "another") is None
    few = {name: cells[name] for name in ("a", "b", "b-2")}
    assert variants.of_one_nfe(*planned(few, runs=runs), "d") is None
    for other in (cell("c", "ddim", 20), cell("c", "ddpm", 50), cell("c", "ddim", 50, n_images=9)):
        assert variants.of_one_nfe(*planned(cells | {"c": (other, 9.0)}, runs=runs), "d") is None


def test_a_cell_that_was_not_run_is_not_drawn():
    plan = {"cells": {"a": cell("r", "ddim", 10)}, "runs": {"r": {}}, "imports": {}, "codecs": {}}
    chart = distances.against_nfe(plan, {"cells": {}, "heldout": {}, "round_trip": {}}, "d")
    assert rows(chart, POINTS) == []
    assert png(chart, 60).startswith(b"\x89PNG")


def log(*losses: float | None) -> list[dict]:
    return [{"step": i, "images": 10 * i, "loss": loss, "seconds": 60.0 * i} for i, loss in enumerate(losses, 1)]


def test_runs_without_a_loss_have_no_curve():
    logs = {"trained": log(1.0, 1 / 2, 1 / 3), "published": log(None), "empty": []}
    chart = losses.loss_curves(logs, smoothing=2)
    assert legend(chart) == ["trained"]
    assert [point["images"] for point in rows(chart, LINES)] == [20, 30]
    assert [point["loss"] for point in rows(chart, LINES)] == pytest.approx([0.75, 5 / 12])
    empty = losses.loss_curves({"published": logs["published"]}, smoothing=2)
    assert rows(empty, LINES) == [] and png(empty, 60).startswith(b"\x89PNG")


def test_of_a_long_training_some_points_are_drawn_from_the_first_to_the_last():
    found = losses.smoothed("long", log(*[1.0] * 100_000), smoothing=1)
    assert len(found) == losses.SHOWN_POINTS
    assert (found[0]["step"], found[-1]["step"]) == (1, 100_000)


SELECTION = {
    "protocol": {"metric": "FD"}, "n_images": 500, "nfe": 50,
    "candidates": [{"step": 50, "value": 9.0}, {"step": 100, "value": 4.0}],
}  # fmt: skip


@pytest.mark.parametrize(("n_images", "floors"), [(500, ["held-out images"]), (100, [])])
def test_checkpoints_stand_at_their_steps_and_at_the_time_they_took(n_images, floors):
    line = [{"step": 40, "seconds": 4000.0, "images": 1, "loss": 1.0}, {"step": 100, "seconds": 10_000.0}]
    selections = dict.fromkeys(("logged", "not logged"), SELECTION | {"n_images": n_images})
    evaluations = {"heldout": {"d": evaluation(2.0)}, "round_trip": {}}
    charts = distances.against_training(
        {"datasets": {"d": {}}, "codecs": {}}, evaluations, selections, {"logged": line}
    )
    by_steps, by_time = charts["distance-training"], charts["distance-time"]
    assert [(point["step"], point["value"]) for point in rows(by_steps, POINTS)] == [(50, 9.0), (100, 4.0)] * 2
    assert legend(by_steps) == ["logged, NFE 50", "not logged, NFE 50", *floors]  # distances of other n do not compare
    assert [point["hours"] for point in rows(by_time, POINTS)] == pytest.approx([5000 / 3600, 10_000 / 3600])
    assert by_time["layer"][POINTS]["encoding"]["x"]["title"] == "hours of training"
    assert legend(by_time) == ["logged, NFE 50", *floors]
    assert {"zero": True} == scale_of(by_steps, "x") == scale_of(by_steps, "y")


def test_a_reproduced_number_stands_beside_a_published_one_of_the_same_quantity():
    shared = {"dataset": "d", "sampler": "ddim", "NFE": "50", "source": "paper", "published as": "FID-50k"}
    table = [
        shared | {"model": "d-a", "published": "5.5", "reproduced": "5.70", "delta": "+0.20"},
        shared | {"model": "b", "published": "6", "reproduced": "9.00", "delta": "other metric"},
        shared | {"model": "c", "published": "not known", "reproduced": "7.00", "delta": "n/a"},
    ]
    chart = beside_published("main", table)
    drawn = [(point["row"], point["series"], point["value"]) for point in rows(chart, POINTS)]
    assert drawn == [
        ("d-a, NFE 50, ddim", "published", 5.5),
        ("d-a, NFE 50, ddim", "reproduced", 5.7),
        ("d: b, NFE 50, ddim", "published", 6.0),
    ]
    assert beside_published("main", table[2:]) is None


def test_many_series_look_different():
    names = [str(i) for i in range(3 * len(COLOURS))]
    assert len({(look.colour, *look.dash) for look in looks(names).values()}) == len(names)


def test_the_same_numbers_give_the_same_chart_and_picture():
    cells = {"a": (cell("r", "ddim", 10), 3.0), "b": (cell("r", "ddim", 20), 2.0)}
    chart, again = against_nfe(cells, floor=1.0), against_nfe(cells, floor=1.0)
    assert chart == again and png(chart, 60) == png(again, 60)


def test_quality_against_seconds_has_a_look_for_each_kind_that_is_there_and_keeps_both_axes_logarithmic():
    points = [
        {"series": "DCTdiff, official code", "seconds": 1396, "value": 11.41},
        {"series": "DCTdiff, best recipe", "seconds": 136, "value": 9.12},
    ]
    [marks] = against_seconds(points, "FD-10k")["layer"]
    encoding = marks["encoding"]
    assert encoding["color"]["scale"]["domain"] == ["DCTdiff, best recipe", "DCTdiff, official code"]
    assert encoding["x"]["scale"]["type"] == encoding["y"]["scale"]["type"] == "log"
    assert {point["series"] for point in points} <= set(KINDS)
