"""Samples side by side: the first ones of each cell, of the same seed, in the pictures that the stages have drawn."""

from dctdiff.models.config import config_of

COMPARED = 4  # samples of each cell of a model without classes

Box = tuple[int, int, int]  # left, top and side in a picture, in pixels


def compared(plan: dict, sizes: dict[str, tuple[int, int]]) -> list[dict]:
    """Cells that share their data set and seed, where there are two or more; ``sizes``: cell -> size of its picture."""
    groups: dict[tuple[str, int], list[str]] = {}
    for name, cell in plan["cells"].items():
        groups.setdefault((cell["reference"], cell["seed"]), []).append(name)
    return [
        {
            "dataset": dataset,
            "seed": seed,
            "runs": list(dict.fromkeys(plan["cells"][name]["run"] for name in names)),
            "cells": {name: boxes(plan, name, *sizes[name]) for name in names},
        }
        for (dataset, seed), names in groups.items()
        if len(names) > 1
    ]


def boxes(plan: dict, cell: str, width: int, height: int) -> list[Box]:
    """The first samples of a cell in its picture, or the first of each class, as ``dctdiff.data.archive`` drew it."""
    cell = plan["cells"][cell]
    config = config_of(plan, cell["run"])
    side = config.resolution
    zoom = max(1, 64 // side)
    step = zoom * (side + 1)
    across, down = (width + zoom) // step, (height + zoom) // step
    places = [(row, column) for row in range(down) for column in range(across)]
    shown = places[::across] if config.num_classes else places[: min(COMPARED, cell["n_images"])]
    return [(column * step, row * step, zoom * side) for row, column in shown]
