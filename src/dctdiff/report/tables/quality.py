"""Quality: every floor and cell of the suite, under one protocol."""

import pandas as pd

from dctdiff.models.config import config_of
from dctdiff.models.cost import parameters
from dctdiff.params.jobs import measured_against
from dctdiff.pipeline.errors import UserError
from dctdiff.report.tables.fields import NONE, NOT_RUN, Evaluations, checkpoint_name, number

FEW = 1000  # samples, which is fewer than a covariance of features has rows
NOTES = {
    "IS": " IS: Inception Score of at most 10,000 images, in parts of 5,000; higher is better.",
    "CMMD": " CMMD: kernel distance of at most 10,000 CLIP embeddings of each set, times 1000; lower is better.",
}


def quality_table(plan: dict, evaluations: Evaluations) -> pd.DataFrame:
    """One row per floor and cell. Distances compare only under one protocol, so the table refuses to mix them."""
    metric, further = check_one_protocol(plan, evaluations), further_of(evaluations)
    rows = [row for name in plan["references"] for row in cell_rows(plan, name, evaluations, metric, further)]
    for dataset in plan["datasets"]:
        floor = evaluations["heldout"].get(dataset)
        rows.append(floor_row(dataset, floor_name(floor), floor, metric, further))
        for name, codec in plan["codecs"].items():
            if codec["dataset"] == dataset:
                rows.append(
                    floor_row(
                        dataset,
                        f"{floor_name(floor)} through {name}",
                        evaluations["round_trip"].get(name),
                        metric,
                        further,
                    )
                )
        rows += cell_rows(plan, dataset, evaluations, metric, further)
    return pd.DataFrame(rows)


def cell_rows(plan: dict, reference: str, evaluations: Evaluations, metric: str, further: list[str]) -> list[dict]:
    """Of the cells that are measured against ``reference``; of statistics that come as a file there is no floor."""
    return [
        cell_row(plan, cell, evaluations["cells"].get(name), evaluations, metric, further)
        for name, cell in plan["cells"].items()
        if cell["reference"] == reference
    ]


def floor_name(evaluation: dict | None) -> str:
    """A data set without a held-out split lends training images instead."""
    split = evaluation["images"].get("split", "heldout") if evaluation else "heldout"
    return "training images" if split == "train" else "held-out images"


def floor_row(dataset: str, images: str, evaluation: dict | None, metric: str, further: list[str]) -> dict:
    return {
        "dataset": dataset,
        "images": images,
        "checkpoint": NONE,
        "sampler": NONE,
        "NFE": NONE,
        **measured(evaluation, metric, further),
        "n": evaluation["n_images"] if evaluation else NOT_RUN,
        "JPEG quality": evaluation["images"].get("jpeg_quality", "as is") if evaluation else NOT_RUN,
        "parameters (M)": NONE,
    }


def cell_row(
    plan: dict, cell: dict, evaluation: dict | None, evaluations: Evaluations, metric: str, further: list[str]
) -> dict:
    return {
        "dataset": cell["reference"],
        "images": cell["run"],
        "checkpoint": checkpoint_name(plan, cell, evaluations),
        "sampler": cell["sampler"],
        "NFE": cell["nfe"],
        **measured(evaluation, metric, further),
        "n": cell["n_images"],
        "JPEG quality": cell["jpeg_quality"],
        "parameters (M)": f"{parameters(config_of(plan, cell['run'])) / 1e6:.2f}",
    }


def further_of(evaluations: Evaluations) -> list[str]:
    """Names of what only the extractor of this suite gives: IS, CMMD."""
    kinds = (evaluations[kind].values() for kind in ("heldout", "round_trip", "cells"))
    return sorted({name for kind in kinds for evaluation in kind for name in evaluation.get("further", {})})


def measured(evaluation: dict | None, metric: str, further: list[str]) -> dict:
    """The distance, and the other metrics on the same features."""
    if evaluation is None:
        return dict.fromkeys((metric, "KID x 1000", "precision", "recall", *further), NOT_RUN)
    return {
        metric: f"{evaluation['value']:.2f}",
        "KID x 1000": NONE if evaluation.get("kid") is None else f"{1000 * evaluation['kid']:z.2f}",
        "precision": number(evaluation.get("precision"), "{:.3f}"),
        "recall": number(evaluation.get("recall"), "{:.3f}"),
        **{name: number(evaluation.get("further", {}).get(name), "{:.3f}") for name in further},
    }


def check_one_protocol(plan: dict, evaluations: Evaluations) -> str:
    """The metric of all evaluations; a UserError names two that differ in extractor or reference."""
    metric = "distance"
    for dataset in measured_against(plan):
        first_name, first = None, None
        for name, evaluation in evaluations_of(plan, dataset, evaluations):
            protocol = dict(evaluation["protocol"])
            metric = protocol["metric"]
            if first is None:
                first_name, first = name, protocol
            for key in protocol:
                if protocol[key] != first.setdefault(key, protocol[key]):
                    raise UserError(
                        f"{dataset}: {key} is {first[key]} for {first_name}, but {protocol[key]} for {name}; "
                        "distances of different protocols do not belong in one table: make them equal"
                    )
    return metric


def evaluations_of(plan: dict, dataset: str, evaluations: Evaluations):
    """Name and evaluation of everything measured against ``dataset``."""
    belongs = {
        "heldout": [dataset],
        "round_trip": [name for name, codec in plan["codecs"].items() if codec["dataset"] == dataset],
        "cells": [name for name, cell in plan["cells"].items() if cell["reference"] == dataset],
    }
    for kind, names in belongs.items():
        for name in names:
            if name in evaluations[kind]:
                yield f"{kind}/{name}", evaluations[kind][name]


def is_of_few(evaluations: Evaluations) -> bool:
    return any(evaluation["n_images"] < FEW for evaluation in evaluations["cells"].values())


def protocol_note(evaluations: Evaluations) -> str:
    """One sentence that says what the distances mean."""
    for kind in ("heldout", "round_trip", "cells"):
        for evaluation in evaluations[kind].values():
            p = evaluation["protocol"]
            return (
                f"{p['metric']}: Frechet distance of features at {p['feature_resolution']} pixels "
                f"(extractor {p['extractor_sha256'][:12]}); lower is better. It depends on n: compare "
                "only with the floors above and with equal n."
                + (" Of so few samples it is mostly bias, which KID does not have." if is_of_few(evaluations) else "")
                + "".join(NOTES.get(name, "") for name in further_of(evaluations))
            )
    return "No evaluation has run."
