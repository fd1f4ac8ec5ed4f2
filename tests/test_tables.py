"""Tables: what they refuse, and what they say about cells that did not run."""

import copy

import pytest

from dctdiff.errors import UserError
from dctdiff.tables import quality_table, to_latex, training_table

RUN = {"codec": "photos-dct", "embed_dim": 8, "depth": 2, "snr_scale": 4.0, "lr": 0.1, "batch_size": 2}
CELL = {"run": "small", "reference": "photos", "sampler": "dpm_solver", "n_images": 16, "jpeg_quality": 95}
PLAN = {
    "datasets": {"photos": {}},
    "codecs": {"photos-dct": {"dataset": "photos"}},
    "runs": {"small": RUN},
    "cells": {"a": {**CELL, "nfe": 10}, "b": {**CELL, "nfe": 20}},
}
PROTOCOL = {
    "metric": "FD (EfficientNet-Lite0)",
    "extractor_sha256": "x",
    "feature_resolution": 64,
    "reference_sha256": "r",
}


def evaluation(value: float, **record) -> dict:
    return {"value": value, "n_images": 16, "protocol": dict(PROTOCOL), "images": {"parameters": 2_000_000, **record}}


EVALUATIONS = {
    "heldout": {"photos": evaluation(1.0)},
    "round_trip": {"photos-dct": evaluation(2.0, jpeg_quality=95)},
    "cells": {"a": evaluation(12.345)},
}


def test_rows_are_floors_then_cells_and_missing_cells_say_so():
    table = quality_table(PLAN, EVALUATIONS)
    assert table["FD (EfficientNet-Lite0)"].tolist() == ["1.00", "2.00", "12.35", "not run"]
    assert table["NFE"].tolist() == ["", "", 10, 20]
    assert table["parameters (M)"].tolist() == ["", "", "2.00", ""]


@pytest.mark.parametrize("key", ["extractor_sha256", "feature_resolution", "reference_sha256", "metric", "n_images"])
def test_protocols_do_not_mix(key):
    evaluations = copy.deepcopy(EVALUATIONS)
    other = evaluations["cells"]["a"]
    evaluations["cells"]["b"] = copy.deepcopy(other)
    (other if key == "n_images" else other["protocol"])[key] = "other"
    with pytest.raises(UserError, match=rf"photos: {key} is .* for .*, but .* for cells/[ab]; distances of"):
        quality_table(PLAN, evaluations)


def test_evaluations_of_other_suites_are_left_out():
    evaluations = copy.deepcopy(EVALUATIONS)
    evaluations["cells"]["stranger"] = evaluation(1.0) | {"n_images": 3}
    assert len(quality_table(PLAN, evaluations)) == 4


def test_the_training_table_shows_the_last_line_of_the_log():
    table = training_table(
        PLAN, {"small": [{"step": 1, "images": 2, "loss": 9.0}, {"step": 7, "images": 14, "loss": 0.5}]}
    )
    assert table.loc[0, ["steps", "images seen", "last loss"]].tolist() == [7, 14, "0.5000"]


def test_latex_escapes_underscores():
    assert r"dpm\_solver" in to_latex(quality_table(PLAN, EVALUATIONS), "c", "l")
