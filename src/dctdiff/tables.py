"""Tables: from evaluations, statistics and logs to data frames.

The inputs are plain dicts as the stages write them; ``plan`` is the suite in its order. Nothing
that changes from run to run (times, machines) goes into a table.
"""

import pandas as pd

from dctdiff.errors import UserError

NOT_RUN = "not run"


def quality_table(plan: dict, evaluations: dict[str, dict[str, dict]]) -> pd.DataFrame:
    """One row per floor and cell; ``evaluations``: kind ("heldout", "round_trip", "cells") -> name -> JSON.

    Distances are comparable only under one protocol, so the table refuses to mix them.
    """
    metric = check_one_protocol(plan, evaluations)
    rows = []
    for dataset in plan["datasets"]:
        rows.append(floor_row(dataset, "held-out images", evaluations["heldout"].get(dataset), metric))
        for name, codec in plan["codecs"].items():
            if codec["dataset"] == dataset:
                evaluation = evaluations["round_trip"].get(name)
                rows.append(floor_row(dataset, f"held-out images through {name}", evaluation, metric))
        rows += [
            cell_row(cell, evaluations["cells"].get(name), metric)
            for name, cell in plan["cells"].items()
            if cell["reference"] == dataset
        ]
    return pd.DataFrame(rows)


def floor_row(dataset: str, images: str, evaluation: dict | None, metric: str) -> dict:
    return {
        "dataset": dataset,
        "images": images,
        "sampler": "",
        "NFE": "",
        metric: distance(evaluation),
        "n": evaluation["n_images"] if evaluation else "",
        "JPEG quality": evaluation["images"].get("jpeg_quality", "") if evaluation else "",
        "parameters (M)": "",
    }


def cell_row(cell: dict, evaluation: dict | None, metric: str) -> dict:
    return {
        "dataset": cell["reference"],
        "images": cell["run"],
        "sampler": cell["sampler"],
        "NFE": cell["nfe"],
        metric: distance(evaluation),
        "n": cell["n_images"],
        "JPEG quality": cell["jpeg_quality"],
        "parameters (M)": f"{evaluation['images']['parameters'] / 1e6:.2f}" if evaluation else "",
    }


def distance(evaluation: dict | None) -> str:
    return f"{evaluation['value']:.2f}" if evaluation else NOT_RUN


def check_one_protocol(plan: dict, evaluations: dict[str, dict[str, dict]]) -> str:
    """The metric of all evaluations; a UserError names two that differ in extractor, reference or n."""
    metric = "distance"
    for dataset in plan["datasets"]:
        first_name, first = None, None
        for name, evaluation in evaluations_of(plan, dataset, evaluations):
            protocol = dict(evaluation["protocol"])
            metric = protocol["metric"]
            if name.startswith("cells/"):  # floors may have another n, which the table shows
                protocol["n_images"] = evaluation["n_images"]
            if first is None:
                first_name, first = name, protocol
            for key in protocol:
                if protocol[key] != first.setdefault(key, protocol[key]):
                    raise UserError(
                        f"{dataset}: {key} is {first[key]} for {first_name}, but {protocol[key]} for {name}; "
                        "distances of different protocols do not belong in one table: make them equal"
                    )
    return metric


def evaluations_of(plan: dict, dataset: str, evaluations: dict[str, dict[str, dict]]):
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


def statistics_table(plan: dict, statistics: dict[str, dict]) -> pd.DataFrame:
    """eta and entropies in bits, one row per channel of each codec, row-major coefficients."""
    rows = []
    for name in plan["codecs"]:
        for channel, summary in statistics[name]["channels"].items():
            rows.append(
                {
                    "codec": name,
                    "dataset": statistics[name]["dataset"],
                    "n": statistics[name]["n_images"],
                    "eta": f"{statistics[name]['eta']:.3f}",
                    "channel": channel,
                    "entropy of each coefficient (bit)": " ".join(f"{h:.3f}" for h in summary["entropy"]),
                }
            )
    return pd.DataFrame(rows)


def training_table(plan: dict, logs: dict[str, list[dict]]) -> pd.DataFrame:
    """What each run was and how far it came."""
    rows = []
    for name, run in plan["runs"].items():
        last = logs[name][-1]
        rows.append(
            {
                "run": name,
                "codec": run["codec"],
                "width": run["embed_dim"],
                "depth": run["depth"],
                "SNR scale": run["snr_scale"],
                "lr": run["lr"],
                "batch": run["batch_size"],
                "steps": last["step"],
                "images seen": last["images"],
                "last loss": f"{last['loss']:.4f}",
            }
        )
    return pd.DataFrame(rows)


def protocol_note(evaluations: dict[str, dict[str, dict]]) -> str:
    """One sentence that says what the distances mean."""
    for kind in evaluations.values():
        for evaluation in kind.values():
            p = evaluation["protocol"]
            return (
                f"{p['metric']}: Frechet distance of features at {p['feature_resolution']} pixels "
                f"(extractor {p['extractor_sha256'][:12]}); lower is better. It depends on n: compare "
                "only with the floors above and with equal n."
            )
    return "No evaluation has run."


def to_latex(table: pd.DataFrame, caption: str, label: str) -> str:
    escaped = table.map(lambda value: str(value).replace("_", r"\_"))
    return escaped.to_latex(index=False, caption=caption, label=label, escape=False, position="htbp")
