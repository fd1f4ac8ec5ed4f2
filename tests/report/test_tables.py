"""Tables: what they refuse, what they say about cells that did not run, and when a delta is given."""

import copy

import pytest

from dctdiff.pipeline.errors import UserError
from dctdiff.report.tables.ablation import ablation_table, variant_in_words
from dctdiff.report.tables.analysis import truncation_table
from dctdiff.report.tables.checkpoints import checkpoints_table
from dctdiff.report.tables.distances import distances_table
from dctdiff.report.tables.fields import delta, rung
from dctdiff.report.tables.latex import escape_latex, to_latex
from dctdiff.report.tables.quality import quality_table
from dctdiff.report.tables.recipes import recipes_table, tried_recipes
from dctdiff.report.tables.seeds import seeds_table
from dctdiff.report.tables.suite import build_tables
from dctdiff.report.tables.training import training_table

RUN = {
    "dataset": "photos", "codec": "photos-dct", "weights": "trained", "prediction": "noise", "embed_dim": 8, "depth": 2,
    "num_heads": 2, "snr_scale": 4.0, "lr": 0.1, "batch_size": 2, "train_steps": 100_000, "network": "uvit",
    "framework": "continuous",
}  # fmt: skip
CELL = {
    "run": "small", "reference": "photos", "checkpoint": "last", "sampler": "dpm_solver", "n_images": 50_000,
    "jpeg_quality": 95,
}  # fmt: skip
ENTROPIES = ("entropy_y", "entropy_cb", "entropy_cr")
PLAN = {
    "datasets": {"photos": {"crop": {"resolution": 16}}},
    "codecs": {
        "photos-dct": {
            "dataset": "photos", "space": "dct", "block_size": 2, "kept_coefficients": 4, "n_images": 9,
        },
    },
    "truncations": {
        "t": {"dataset": "photos", "block_size": 2, "kept_coefficients": [4, 2], "bound": 0.05, "n_images": 9},
    },
    "upsamplings": {"u": {"dataset": "photos", "n_images": 10_000}},
    "runs": {"small": RUN},
    "imports": {},
    "references": {},
    "selections": {"small": {"sampler": "dpm_solver", "nfe": 50, "n_images": 10_000}},
    "cells": {"a": {**CELL, "nfe": 10}, "b": {**CELL, "nfe": 20, "checkpoint": "best"}},
    "published": {
        "distances": {
            "main": [
                {"cell": "a", "value": 5.5, "metric": "FID-50k", "source": "s", "confidence": "high"},
                {"cell": "b", "metric": "FID-50k", "source": "", "confidence": ""},
                {"dataset": "photos", "model": "Other", "value": 9.0, "metric": "FID", "source": "s", "confidence": ""},
            ]
        },
        "truncations": {"t": {"value": 1, "source": "s", "confidence": "high"}},
        "upsamplings": {"u": {"values": {"dct": 9.0}, "metric": "FID-10k", "source": "s", "confidence": "high"}},
        "statistics": {
            "photos-dct": {"eta": 240.0, "source": "s", **{key: [6.0, 3.0, 2.0, 1.0] for key in ENTROPIES}},
        },
    },
}  # fmt: skip
PROTOCOL = {"metric": "FID", "extractor_sha256": "x", "feature_resolution": 299, "reference_sha256": "r"}


def evaluation(value: float, n_images: int = 50_000, **record) -> dict:
    return {
        "value": value, "kid": 0.001, "precision": 0.5, "recall": None, "n_images": n_images,
        "protocol": dict(PROTOCOL), "images": record,
    }  # fmt: skip


EVALUATIONS = {
    "heldout": {"photos": evaluation(1.0)},
    "round_trip": {"photos-dct": evaluation(2.0, jpeg_quality=95)},
    "truncations": {
        "t": {
            "curve": [{"kept": 4, "m": 0, "value": 0.1}, {"kept": 2, "m": 2, "value": 0.7}],
            "m_star": None,
            "bound": 0.05,
            "jpeg_quality": 75,
            "protocol": PROTOCOL,
        }
    },
    "upsamplings": {
        "u": {
            "values": {"nearest": 1, "bicubic": 2, "lanczos": 3, "dct": 4},
            "n_images": 10_000,
            "protocol": PROTOCOL,
        }
    },
    "selections": {
        "small": {
            "k": 20,
            "step": 75_000,
            "candidates": [{"step": 50_000, "value": 7.0}, {"step": 75_000, "value": 5.618}],
            "protocol": PROTOCOL,
        }
    },
    "cells": {"a": evaluation(5.61)},
}
NOTHING = {kind: {} for kind in EVALUATIONS}


def test_rows_are_floors_then_cells_and_missing_cells_say_so():
    table = quality_table(PLAN, EVALUATIONS)
    assert table["FID"].tolist() == ["1.00", "2.00", "5.61", "not run"]
    assert table["KID x 1000"].tolist() == ["1.00", "1.00", "1.00", "not run"]
    assert table["recall"].tolist() == ["n/a", "n/a", "n/a", "not run"]
    assert table["NFE"].tolist() == ["n/a", "n/a", 10, 20]
    assert table["checkpoint"].tolist() == ["n/a", "n/a", "last: step 100000", "best of 20: step 75000"]


def test_borrowed_training_images_are_not_called_held_out():
    evaluations = {**EVALUATIONS, "heldout": {"photos": evaluation(1.0, split="train")}}
    assert quality_table(PLAN, evaluations)["images"].tolist()[:2] == [
        "training images",
        "training images through photos-dct",
    ]


def test_what_only_one_extractor_gives_has_its_own_column_and_its_own_note():
    assert not {"IS", "CMMD"} & set(quality_table(PLAN, EVALUATIONS).columns)
    evaluations = copy.deepcopy(EVALUATIONS)
    for kind, name, value in (("heldout", "photos", 0.0123), ("cells", "a", 0.5)):
        evaluations[kind][name]["further"] = {"CMMD": value}
    table, note = build_tables(PLAN, evaluations, {}, {})["quality"]
    assert table["CMMD"].tolist() == ["0.012", "n/a", "0.500", "not run"]
    assert table["FID"].tolist() == ["1.00", "2.00", "5.61", "not run"]
    assert "CMMD: kernel distance" in note and "Inception Score" not in note


def test_a_published_number_of_another_metric_has_no_delta():
    for metric in ("sFID", "FD (CLIP ViT-L/14-336)"):
        evaluations = copy.deepcopy(EVALUATIONS)
        evaluations["cells"]["a"]["protocol"]["metric"] = metric
        row = distances_table(PLAN, PLAN["published"]["distances"]["main"], evaluations).iloc[0]
        assert row[["published as", "measured as", "delta"]].tolist() == ["FID-50k", f"{metric}-50k", "other metric"]


@pytest.mark.parametrize("key", ["extractor_sha256", "feature_resolution", "reference_sha256", "metric"])
def test_protocols_do_not_mix(key):
    evaluations = copy.deepcopy(EVALUATIONS)
    evaluations["cells"]["b"] = copy.deepcopy(evaluations["cells"]["a"])
    evaluations["cells"]["a"]["protocol"][key] = "other"
    with pytest.raises(UserError, match=rf"photos: {key} is .* for .*, but .* for cells/[ab]; distances of"):
        quality_table(PLAN, evaluations)


def test_each_checkpoint_has_a_row_and_the_best_is_marked():
    table = checkpoints_table(PLAN, EVALUATIONS)
    assert table["step"].tolist() == ["50000", "75000"] and table["images seen"].tolist() == ["100000", "150000"]
    assert table["distance"].tolist() == ["7.00", "5.62"] and set(table["measured as"]) == {"FID-10k"}
    assert table["best"].tolist() == ["no", "yes"]
    only = copy.deepcopy(EVALUATIONS)
    only["selections"]["small"] |= {"step": None, "candidates": [{"step": None, "value": None}]}
    assert checkpoints_table(PLAN, only).iloc[0][["step", "distance", "best"]].tolist() == ["not known", "n/a", "yes"]


def test_runs_of_a_grid_stand_side_by_side():
    """With the run that the grid was made from, and what has not run."""
    plan = copy.deepcopy(PLAN)
    run = plan["cells"]["a"]["run"]
    plan["runs"][run] |= {"seed": 1}
    plan["grid"] = {run: {"seed": [1, 99]}}
    plan["runs"][f"{run}-seed99"] = {**plan["runs"][run], "seed": 99}
    plan["cells"]["a-seed99"] = {**plan["cells"]["a"], "run": f"{run}-seed99"}
    table, caption = build_tables(plan, EVALUATIONS, {}, {})["grid"]
    own, other = table[table["seed"] != "99"], table[table["seed"] == "99"]
    assert own["distance"].tolist()[0] == "5.61" and other["distance"].tolist() == ["not run"]
    assert set(table["grid of"]) == {run} and caption


def test_evaluations_of_other_suites_are_left_out():
    evaluations = copy.deepcopy(EVALUATIONS)
    evaluations["cells"]["stranger"] = evaluation(1.0)
    assert len(quality_table(PLAN, evaluations)) == 4


def test_what_the_paper_does_not_tell_is_called_our_reading():
    plan = copy.deepcopy(PLAN)
    plan["runs"]["told"] = RUN
    plan["cells"]["b"]["run"] = "told"
    plan["published"]["not_published"] = {"small": ["embed_dim", "lr"]}
    assert distances_table(plan, plan["published"]["distances"]["main"], EVALUATIONS)["model"].tolist() == [
        "small (our reading)", "told", "Other",
    ]  # fmt: skip
    table = training_table(plan, {})
    assert table["width"].tolist() == ["8 (our reading)", 8] and table["lr"].tolist() == ["0.1 (our reading)", 0.1]
    assert table["depth"].tolist() == [2, 2] and table["SNR scale"].tolist() == [4.0, 4.0]


def test_a_published_number_is_never_copied_into_reproduced():
    """Before anything has run, every table exists, and nothing is blank or numeric that was not measured."""
    tables = build_tables(PLAN, NOTHING, {}, {})
    assert list(tables) == ["quality", "main", "checkpoints", "truncation", "upsampling", "statistics", "training"]
    for name, (table, caption) in tables.items():
        assert not (table.astype(str) == "").any(axis=None), name
        assert caption
    for name in ("main", "upsampling"):
        assert (tables[name][0]["reproduced"] == "not run").all()
        assert (tables[name][0]["delta"] == "n/a").all()
    assert tables["main"][0]["rung"].tolist() == ["not run"] * 3
    assert tables["statistics"][0]["eta"].tolist() == ["not run"] * 3
    assert tables["truncation"][0]["m*"].tolist() == ["not run"] * 2


def test_a_delta_is_given_for_the_same_metric_and_number_of_images_only():
    rows = PLAN["published"]["distances"]["main"]
    table = distances_table(PLAN, rows, EVALUATIONS)
    assert table["published"].tolist() == ["5.5", "not known", "9"]
    assert table["reproduced"].tolist() == ["5.61", "not run", "not run"]
    assert table["delta"].tolist() == ["+0.11", "n/a", "n/a"]
    assert table["measured as"][0] == "FID-50k"
    assert delta(5.0, 4.0, "FID-10k", "FID-50k") == "other metric"
    assert delta(5.0, 4.0, "FID-10k", "FID") == "n not named"
    assert delta(5.0, 4.0, "FD (EfficientNet-Lite0)-50k", "FID") == "other metric"


@pytest.mark.parametrize("key", ["sampler", "n_images", "jpeg_quality"])
def test_an_evaluation_made_with_other_params_is_not_shown(key):
    evaluations = copy.deepcopy(EVALUATIONS)
    evaluations["cells"]["a"]["images"] = {**CELL, "nfe": 10}
    tables = build_tables(PLAN, evaluations, {}, {})
    assert tables["main"][0]["reproduced"][0] == "5.61"
    evaluations["cells"]["a"]["images"][key] = "other"
    evaluations["truncations"]["t"]["bound"] = 0.4
    tables = build_tables(PLAN, evaluations, {}, {})
    assert tables["main"][0]["reproduced"][0] == "not run"
    assert tables["truncation"][0]["distance"].tolist() == ["not run", "not run"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({}, "trained"), ({"train_steps": 49_999}, "smoke"), ({"weights": "published"}, "published weights")],
)
def test_the_rung_says_how_much_a_number_is_worth(changes, expected):
    assert rung({**RUN, **changes}) == expected


def test_the_truncation_table_shows_both_m():
    table = truncation_table(PLAN, EVALUATIONS)
    assert table["m"].tolist() == [0, 2]
    assert table["distance"].tolist() == ["0.100", "0.700"]
    assert table["m*"].tolist() == ["none", "none"]
    assert table["published m*"].tolist() == ["1", "1"]
    assert table["bound"].tolist() == ["0.05", "0.05"]


def test_without_m_star_the_table_says_why_and_what_to_do():
    _, caption = build_tables(PLAN, EVALUATIONS, {}, {})["truncation"]
    assert (
        " t has none: m = 0 has 0.1 already, and the bound is 0.05. That is what halved chroma and JPEG 75" in caption
    )
    assert "remove bound" in caption
    plan, evaluations = copy.deepcopy(PLAN), copy.deepcopy(EVALUATIONS)
    del plan["truncations"]["t"]["bound"]  # as if it had never been there
    evaluations["truncations"]["t"] |= {"m_star": 0, "bound": 0.2}
    frame, caption = build_tables(plan, evaluations, {}, {})["truncation"]
    assert caption.endswith("below the bound.") and frame["bound"].tolist() == ["0.200", "0.200"]
    assert truncation_table(plan, {**evaluations, "truncations": {}})["bound"].tolist() == ["not run"] * 2


def test_the_training_table_says_that_lr_falls():
    falling = {**PLAN, "runs": {"small": {**RUN, "lr_end_step": 100_000}}}
    assert [training_table(plan, {})["lr"].tolist() for plan in (PLAN, falling)] == [[0.1], ["0.1, falling to 0"]]


def test_the_training_table_shows_the_last_line_of_the_log():
    table = training_table(
        PLAN, {"small": [{"step": 1, "images": 2, "loss": 9.0}, {"step": 7, "images": 14, "loss": 0.5}]}
    )
    assert table.loc[0, ["steps", "images seen", "last loss"]].tolist() == ["7", "14", "0.5000"]
    imported = training_table(PLAN, {"small": [{"step": None, "images": None, "loss": None}]})
    assert imported.loc[0, ["steps", "images seen", "last loss"]].tolist() == ["n/a", "n/a", "n/a"]


def test_latex_escapes_what_it_must():
    assert escape_latex(r"a_b 5% {x} ~^\ & # $") == (
        r"a\_b 5\% \{x\} \textasciitilde{}\textasciicircum{}\textbackslash{} \& \# \$"
    )
    assert r"dpm\_solver" in to_latex(quality_table(PLAN, EVALUATIONS), "c", "l")


def test_recipes_are_rows_of_both_spaces_and_only_what_ran_to_the_end_by_the_params_of_the_plan():
    run = {"lr": 2e-4, "ema_rate": 0.999, "batch_size": 256, "seed": 1, "train_steps": 100}
    muon = run | {"optimizer": "muon", "prediction": "velocity", "t_logit": [-1.2, 1.6], "lr_end_step": 100}
    names = {"a-dct": run, "a-pixel": run, "long-muon-dct": muon, "long-muon-pixel": muon, "half-dct": run}
    line = {"step": 100, "seconds": 61.4, "loss": 0.1, "precision": "bf16", "processes": 1, "device": "GPU"}
    plan = {"runs": names, "cells": {name: {"run": name, "nfe": 50} for name in names}, "datasets": {}, "codecs": {}}
    plan |= {"imports": {}, "references": {}}
    plan |= {"truncations": {}, "upsamplings": {}, "selections": {}}
    cell = {"value": 12.345, "n_images": 10_000, "protocol": {"metric": "FD"}, "images": {"nfe": 50}}
    cells = {name: cell for name in names} | {"long-muon-pixel": cell | {"images": {"nfe": 20}}}
    evaluations = {"cells": cells, "truncations": {}, "upsamplings": {}, "selections": {}}
    logs = {name: [line] for name in names} | {"half-dct": [line | {"step": 50}]}
    tried = tried_recipes(plan, logs, evaluations)
    assert list(tried) == ["a-dct", "a-pixel", "long-muon-dct"]
    table, note = recipes_table(tried)
    assert table.to_dict("records") == [
        {
            "recipe": "a", "optimizer": "adamw", "predicts": "noise", "log(t / (1 - t))": "t uniform", "lr": "0.0002",
            "EMA": "0.999", "seed": "1", "steps": "100", "DCTdiff: s": "61", "DCTdiff: distance": "12.35",
            "U-ViT: s": "61", "U-ViT: distance": "12.35",
        },
        {
            "recipe": "long-muon", "optimizer": "muon", "predicts": "velocity", "log(t / (1 - t))": "N(-1.2, 1.6)",
            "lr": "0.0002, falling to 0", "EMA": "0.999", "seed": "1", "steps": "100", "DCTdiff: s": "61",
            "DCTdiff: distance": "12.35", "U-ViT: s": "not run", "U-ViT: distance": "not run",
        },
    ]  # fmt: skip
    assert note == "Distance: FD-10k, NFE 50. Seconds of training, compilation included: bf16 on 1 x GPU."


def test_cells_that_differ_in_the_seed_alone_have_a_mean_and_the_deviation_of_a_sample():
    runs = {"a-1": {"lr": 1, "seed": 1}, "a-2": {"lr": 1, "seed": 2}, "a-3": {"lr": 1, "seed": 3}, "b": {"seed": 1}}
    cell = {"reference": "d", "checkpoint": "best", "sampler": "ddim", "nfe": 50, "n_images": 10_000, "seed": 7}
    cells = {name: {"run": name, **cell} for name in runs}
    found = {name: {"value": value, "protocol": {"metric": "FD"}} for name, value in {"a-1": 8, "a-3": 11}.items()}
    table = seeds_table({"runs": runs, "imports": {}, "cells": cells}, {"cells": found})
    assert table.to_dict("records") == [
        {
            "dataset": "d", "first run": "a-1", "checkpoint": "best", "sampler": "ddim", "NFE": "50", "seeds": "2 of 3",
            "mean": "9.50", "standard deviation": "2.12", "each": "8.00, 11.00", "measured as": "FD-10k",
        },
    ]  # fmt: skip
    [row] = seeds_table({"runs": runs, "imports": {}, "cells": cells}, {"cells": {}}).to_dict("records")
    assert (row["seeds"], row["mean"], row["standard deviation"]) == ("0 of 3", "not run", "n/a")


def test_variants_are_rows_with_the_mean_of_their_seeds():
    codecs = {"p": {"space": "pixel"}, "d": {"space": "dct", "block_size": 2, "kept_coefficients": 3, "tau": 98.25}}
    run = {"codec": "d", "snr_scale": 4.0, "loss_weights": "entropy", "seed": 1, "train_steps": 2500, "batch_size": 8}
    runs = {
        "pixel": {**run, "codec": "p"},
        "dct": run,
        "dct-seed2": {**run, "seed": 2},
        "late": {**run, "snr_scale": 1},
    }
    measured = {"metric": "FD-10k", "nfe": 50, "precision": "bf16", "processes": 1, "device": "NVIDIA Z9"}
    tried = {name: {**measured, "distance": 10.0 * i} for i, name in enumerate(("pixel", "dct", "dct-seed2"), 1)}
    table, note = ablation_table({"runs": runs, "codecs": codecs}, tried)
    assert table["variant"].tolist() == ["pixel", "dct", "late"]
    assert table["mean distance"].tolist() == ["10.00", "25.00", "not run"]
    assert table["each seed"].tolist() == ["10.00", "20.00, 30.00", "not run"]
    assert table["kept"].tolist() == ["n/a", "3 of 4", "3 of 4"]
    assert [variant_in_words({"runs": runs, "codecs": codecs}, name) for name in runs] == [
        "pixels, SNR scale 4",
        *2 * ["YCbCr blocks, colour halved, 3 of 4 kept, SNR scale 4, entropy weights"],
        "YCbCr blocks, colour halved, 3 of 4 kept, SNR scale 1, entropy weights",
    ]
    assert "FD-10k, NFE 50" in note and "2,500 steps of 8 images" in note and "bf16 on 1 x NVIDIA Z9" in note
