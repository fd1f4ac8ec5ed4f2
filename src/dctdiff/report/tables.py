"""Tables: from the plan, evaluations, statistics and logs to data frames.

The inputs are plain dicts as the stages write them; ``plan`` is the suite in its order. Nothing
that changes from run to run (times, machines) goes into a table. A number stands under
"reproduced" only if this pipeline computed it; no field is blank.
"""

from types import SimpleNamespace

import pandas as pd

from dctdiff.models.config import ModelConfig, model_config
from dctdiff.models.cost import gmacs, parameters
from dctdiff.pipeline.errors import UserError
from dctdiff.spaces.zigzag import zigzag

NOT_RUN = "not run"
NOT_KNOWN = "not known"
NONE = "n/a"
# A run of fewer steps than the first checkpoint of the official code (protocol point 27) is a smoke test.
SMOKE_STEPS = 50_000
SHOWN_ENTROPIES = 4
GMACS_NOTE = "GMACs: linear and convolution layers, per image and network evaluation."
LONG_TABLE_ROWS, WIDE_TABLE_COLUMNS = 40, 8

Evaluations = dict[str, dict[str, dict]]  # kind ("cells", "heldout", ...) -> name -> JSON


def build_tables(plan: dict, evaluations: Evaluations, statistics: dict, logs: dict) -> dict[str, tuple]:
    """Name -> (data frame, caption), in the order of the report.

    ``statistics``: codec -> JSON; ``logs``: run -> lines. What is missing in them, or was made with
    other params than the plan's, is shown as not run.
    """
    evaluations = current(plan, evaluations)
    statistics = {name: found for name, found in statistics.items() if agrees(plan["codecs"][name], found)}
    published = plan["published"]
    tables = {"quality": (quality_table(plan, evaluations), protocol_note(evaluations))}
    for name, rows in published.get("distances", {}).items():
        tables[name] = (
            distances_table(plan, rows, evaluations),
            f"Published and reproduced: {name.replace('_', ' ')}.",
        )
    if plan["selections"]:
        tables["checkpoints"] = (
            checkpoints_table(plan, evaluations),
            "Distance of samples of each kept checkpoint to the reference; the best has the lowest.",
        )
    if published.get("costs"):
        tables["costs"] = (
            costs_table(plan, evaluations),
            "Training cost. GMACs: linear and convolution layers, per image.",
        )
    if plan["truncations"]:
        tables["truncation"] = (
            truncation_table(plan, evaluations),
            "Distance of reconstructions without m coefficients to the originals; m* is the largest m below the bound.",
        )
    if plan["upsamplings"]:
        tables["upsampling"] = (
            upsampling_table(plan, evaluations),
            "Distance to the originals after halving (bicubic) and doubling the resolution.",
        )
    tables["statistics"] = (
        statistics_table(plan, statistics),
        f"Scale eta and entropies in bits; the first {SHOWN_ENTROPIES} coefficients in zigzag order.",
    )
    tables["training"] = (training_table(plan, logs), f"Models. {GMACS_NOTE}")
    return tables


def current(plan: dict, evaluations: Evaluations) -> Evaluations:
    """The evaluations that were made with the params of the plan: a name alone proves nothing."""
    kept = {kind: dict(named) for kind, named in evaluations.items()}
    for name, evaluation in evaluations["cells"].items():
        if not agrees(plan["cells"][name], evaluation["images"]):
            del kept["cells"][name]
    for kind in ("truncations", "upsamplings", "selections"):
        for name, evaluation in evaluations[kind].items():
            if not agrees(plan[kind][name], evaluation):
                del kept[kind][name]
    return kept


def agrees(params: dict, record: dict) -> bool:
    """Whether a record holds the values of ``params``, as far as it names them."""
    return all(record[key] == value for key, value in params.items() if key in record)


# Quality: every floor and cell of the suite.


def quality_table(plan: dict, evaluations: Evaluations) -> pd.DataFrame:
    """One row per floor and cell. Distances compare only under one protocol, so the table refuses to mix them."""
    metric = check_one_protocol(plan, evaluations)
    rows = []
    for dataset in plan["datasets"]:
        floor = evaluations["heldout"].get(dataset)
        rows.append(floor_row(dataset, floor_name(floor), floor, metric))
        for name, codec in plan["codecs"].items():
            if codec["dataset"] == dataset:
                rows.append(
                    floor_row(
                        dataset, f"{floor_name(floor)} through {name}", evaluations["round_trip"].get(name), metric
                    )
                )
        rows += [
            cell_row(plan, cell, evaluations["cells"].get(name), evaluations, metric)
            for name, cell in plan["cells"].items()
            if cell["reference"] == dataset
        ]
    return pd.DataFrame(rows)


def floor_name(evaluation: dict | None) -> str:
    """A data set without a held-out split lends training images instead."""
    split = evaluation["images"].get("split", "heldout") if evaluation else "heldout"
    return "training images" if split == "train" else "held-out images"


def floor_row(dataset: str, images: str, evaluation: dict | None, metric: str) -> dict:
    return {
        "dataset": dataset,
        "images": images,
        "checkpoint": NONE,
        "sampler": NONE,
        "NFE": NONE,
        **measured(evaluation, metric),
        "n": evaluation["n_images"] if evaluation else NOT_RUN,
        "JPEG quality": evaluation["images"].get("jpeg_quality", "as is") if evaluation else NOT_RUN,
        "parameters (M)": NONE,
    }


def cell_row(plan: dict, cell: dict, evaluation: dict | None, evaluations: Evaluations, metric: str) -> dict:
    return {
        "dataset": cell["reference"],
        "images": cell["run"],
        "checkpoint": checkpoint_name(plan, cell, evaluations),
        "sampler": cell["sampler"],
        "NFE": cell["nfe"],
        **measured(evaluation, metric),
        "n": cell["n_images"],
        "JPEG quality": cell["jpeg_quality"],
        "parameters (M)": f"{parameters(config_of(plan, cell['run'])) / 1e6:.2f}",
    }


def measured(evaluation: dict | None, metric: str) -> dict:
    """The distance, and the other metrics on the same features."""
    if evaluation is None:
        return dict.fromkeys((metric, "KID x 1000", "precision", "recall"), NOT_RUN)
    return {
        metric: f"{evaluation['value']:.2f}",
        "KID x 1000": NONE if evaluation.get("kid") is None else f"{1000 * evaluation['kid']:z.2f}",
        "precision": number(evaluation.get("precision"), "{:.3f}"),
        "recall": number(evaluation.get("recall"), "{:.3f}"),
    }


def number(value: float | None, pattern: str, missing: str = NONE) -> str:
    return missing if value is None else pattern.format(value)


def checkpoint_name(plan: dict, cell: dict, evaluations: Evaluations) -> str:
    """Which weights a cell samples, e.g. "best of 20: step 175000"."""
    run = plan["runs"][cell["run"]]
    if run["weights"] == "published":
        return "published"
    if cell["checkpoint"] == "last":
        return f"last: step {run['train_steps']}"
    selection = evaluations["selections"].get(cell["run"])
    return f"best of {selection['k']}: step {selection['step']}" if selection else f"best: {NOT_RUN}"


def check_one_protocol(plan: dict, evaluations: Evaluations) -> str:
    """The metric of all evaluations; a UserError names two that differ in extractor or reference."""
    metric = "distance"
    for dataset in plan["datasets"]:
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


def protocol_note(evaluations: Evaluations) -> str:
    """One sentence that says what the distances mean."""
    for kind in ("heldout", "round_trip", "cells"):
        for evaluation in evaluations[kind].values():
            p = evaluation["protocol"]
            return (
                f"{p['metric']}: Frechet distance of features at {p['feature_resolution']} pixels "
                f"(extractor {p['extractor_sha256'][:12]}); lower is better. It depends on n: compare "
                "only with the floors above and with equal n."
            )
    return "No evaluation has run."


# Published numbers beside reproduced ones.


def distances_table(plan: dict, rows: list[dict], evaluations: Evaluations) -> pd.DataFrame:
    """Published distances, each beside the cell of this suite that reproduces it."""
    return pd.DataFrame(
        [cell_distance(plan, row, evaluations) if "cell" in row else other_distance(row) for row in rows]
    )


def cell_distance(plan: dict, row: dict, evaluations: Evaluations) -> dict:
    cell = plan["cells"][row["cell"]]
    run = plan["runs"][cell["run"]]
    evaluation = evaluations["cells"].get(row["cell"])
    value = evaluation["value"] if evaluation else None
    metric = metric_with_n(evaluation["protocol"]["metric"], evaluation["n_images"]) if evaluation else None
    return {
        "dataset": cell["reference"],
        "model": cell["run"],
        "sampler": cell["sampler"],
        "NFE": cell["nfe"],
        "SNR scale": run["snr_scale"],
        "checkpoint": checkpoint_name(plan, cell, evaluations),
        **published_fields(row, row["metric"]),
        "reproduced": number(value, "{:.2f}", missing=NOT_RUN),
        "measured as": metric or NOT_RUN,
        "delta": delta(value, row.get("value"), metric, row["metric"]),
        "n": cell["n_images"],
        "rung": rung(run) if evaluation else NOT_RUN,
    }


def other_distance(row: dict) -> dict:
    """A published number of a model that the suite does not have."""
    return {
        "dataset": row["dataset"],
        "model": row["model"],
        "sampler": row.get("sampler", NOT_KNOWN),
        "NFE": row.get("nfe", NOT_KNOWN),
        "SNR scale": NONE,
        "checkpoint": NONE,
        **published_fields(row, row["metric"]),
        "reproduced": NOT_RUN,
        "measured as": NOT_RUN,
        "delta": NONE,
        "n": NONE,
        "rung": NOT_RUN,
    }


def published_fields(row: dict, metric: str) -> dict:
    known = "value" in row
    return {
        "published": f"{row['value']:g}" if known else NOT_KNOWN,
        "published as": metric if known else NONE,
        "source": row["source"] or NONE,
        "confidence": row["confidence"] or NONE,
    }


def metric_with_n(metric: str, n_images: int) -> str:
    """The field's way to name a distance with its number of images: FID-50k."""
    return f"{metric}-{n_images // 1000}k" if n_images % 1000 == 0 else f"{metric}, n = {n_images}"


def delta(value: float | None, published: float | None, metric: str | None, published_metric: str) -> str:
    """Reproduced minus published, where both are the same quantity."""
    if value is None or published is None:
        return NONE
    if published_metric == "FID" and metric.startswith("FID-"):
        return "n not named"
    return f"{value - published:+.2f}" if metric == published_metric else "other metric"


def rung(run: dict) -> str:
    if run["weights"] == "published":
        return "published weights"
    return "smoke" if run["train_steps"] < SMOKE_STEPS else "trained"


def costs_table(plan: dict, evaluations: Evaluations) -> pd.DataFrame:
    """Parameters and GMACs are counted from the layers, the steps are those of the chosen checkpoint."""
    rows = []
    for row in plan["published"]["costs"]:
        run = plan["runs"].get(row.get("run"))
        value = reproduced_cost(plan, row, evaluations) if run else None
        counted = row["quantity"] != "steps to converge"
        rows.append(
            {
                "dataset": run["dataset"] if run else row["dataset"],
                "model": row["run"] if run else row["model"],
                "quantity": row["quantity"],
                "published": number(row.get("value"), "{:g}", missing=NOT_KNOWN),
                "source": row["source"] or NONE,
                "confidence": row["confidence"] or NONE,
                "reproduced": number(value, "{:.4g}" if counted else "{:.0f}", missing=NOT_RUN),
                "delta": NONE if None in (value, row.get("value")) else f"{value - row['value']:+.3g}",
                "rung": NOT_RUN if value is None else "counted" if counted else rung(run),
            }
        )
    return pd.DataFrame(rows)


def reproduced_cost(plan: dict, row: dict, evaluations: Evaluations) -> float | None:
    if row["quantity"] == "parameters (M)":
        return parameters(config_of(plan, row["run"])) / 1e6
    if row["quantity"] == "GMACs":
        return gmacs(config_of(plan, row["run"]))
    selection = evaluations["selections"].get(row["run"])
    trained = plan["runs"][row["run"]]["weights"] == "trained"
    return selection["step"] if selection and trained else None


def config_of(plan: dict, run_name: str) -> ModelConfig:
    """The network of a run; eta, which changes no size, is left out."""
    run = plan["runs"][run_name]
    resolution = plan["datasets"][run["dataset"]]["crop"]["resolution"]
    class_counts = (1,) * run["num_classes"] if run.get("num_classes") else None
    return model_config(
        SimpleNamespace(**run), {**plan["codecs"][run["codec"]], "resolution": resolution}, class_counts
    )


def truncation_table(plan: dict, evaluations: Evaluations) -> pd.DataFrame:
    """One row per number of dropped coefficients."""
    rows = []
    for name, truncation in plan["truncations"].items():
        evaluation = evaluations["truncations"].get(name)
        values = {point["kept"]: point["value"] for point in evaluation["curve"]} if evaluation else {}
        published = plan["published"].get("truncations", {}).get(name, {})
        for kept in sorted(truncation["kept_coefficients"], reverse=True):
            value = values.get(kept)
            rows.append(
                {
                    "dataset": truncation["dataset"],
                    "block size": truncation["block_size"],
                    "kept": kept,
                    "m": truncation["block_size"] ** 2 - kept,
                    "distance": number(value, "{:.3f}", missing=NOT_RUN),
                    "metric": f"r{evaluation['protocol']['metric']}" if evaluation else NOT_RUN,
                    "bound": truncation["bound"],
                    "m*": best_m(evaluation) if evaluation else NOT_RUN,
                    "published m*": f"{published['value']:g}" if "value" in published else NOT_KNOWN,
                    "n": truncation["n_images"],
                }
            )
    return pd.DataFrame(rows)


def best_m(evaluation: dict) -> str:
    return "none" if evaluation["m_star"] is None else str(evaluation["m_star"])


def upsampling_table(plan: dict, evaluations: Evaluations) -> pd.DataFrame:
    rows = []
    for name, upsampling in plan["upsamplings"].items():
        evaluation = evaluations["upsamplings"].get(name)
        published = plan["published"].get("upsamplings", {}).get(name, {})
        for method in ("nearest", "bicubic", "lanczos", "dct"):
            value = evaluation["values"][method] if evaluation else None
            known = published.get("values", {}).get(method)
            metric = metric_with_n(evaluation["protocol"]["metric"], evaluation["n_images"]) if evaluation else None
            rows.append(
                {
                    "dataset": upsampling["dataset"],
                    "method": "DCT" if method == "dct" else method,
                    "published": NOT_KNOWN if known is None else f"{known:g}",
                    "published as": NONE if known is None else published["metric"],
                    "source": NONE if known is None else published["source"],
                    "reproduced": number(value, "{:.3f}", missing=NOT_RUN),
                    "measured as": metric or NOT_RUN,
                    "delta": delta(value, known, metric, published.get("metric", "")),
                    "n": upsampling["n_images"],
                }
            )
    return pd.DataFrame(rows)


def checkpoints_table(plan: dict, evaluations: Evaluations) -> pd.DataFrame:
    """One row per checkpoint that a selection chose from, or one that says that it has not run."""
    rows = []
    for name, selection in plan["selections"].items():
        chosen = evaluations["selections"].get(name)
        metric = metric_with_n(chosen["protocol"]["metric"], selection["n_images"]) if chosen else NOT_RUN
        for candidate in chosen["candidates"] if chosen else [None]:
            rows.append(
                {
                    "run": name,
                    **checkpoint_row(candidate, plan["runs"][name]["batch_size"]),
                    "measured as": metric,
                    "sampler": selection["sampler"],
                    "NFE": selection["nfe"],
                    "best": NOT_RUN if chosen is None else "yes" if candidate["step"] == chosen["step"] else "no",
                }
            )
    return pd.DataFrame(rows)


def checkpoint_row(candidate: dict | None, batch_size: int) -> dict:
    """A release may not tell its steps; the only checkpoint of a run has no distance, as nothing is to choose."""
    if candidate is None:
        return dict.fromkeys(("step", "images seen", "distance"), NOT_RUN)
    step = candidate["step"]
    return {
        "step": number(step, "{}", missing=NOT_KNOWN),
        "images seen": NOT_KNOWN if step is None else str(step * batch_size),
        "distance": number(candidate["value"], "{:.2f}"),
    }


# What was counted and trained.


def statistics_table(plan: dict, statistics: dict[str, dict]) -> pd.DataFrame:
    """eta and the first entropies of each channel, with the published ones where there are."""
    rows = []
    for name, codec in plan["codecs"].items():
        for channel in ("y", "cb", "cr") if codec["space"] == "dct" else ("r", "g", "b"):
            found = statistics.get(name)
            published = plan["published"].get("statistics", {}).get(name)
            ours = found["channels"][channel]["entropy"] if found else None
            theirs = published[f"entropy_{channel}"] if published else None
            rows.append(
                {
                    "codec": name,
                    "dataset": codec["dataset"],
                    "n": codec["n_images"],
                    "eta": f"{found['eta']:.3f}" if found else NOT_RUN,
                    "published eta": f"{published['eta']:.3f}" if published else NOT_KNOWN,
                    "channel": channel,
                    "entropies (bit)": first_entropies(ours, codec) if found else NOT_RUN,
                    "published entropies": first_entropies(theirs, codec) if published else NOT_KNOWN,
                    "largest difference": f"{largest_difference(ours, theirs):.3f}" if ours and theirs else NONE,
                }
            )
    return pd.DataFrame(rows)


def first_entropies(row_major: list[float], codec: dict) -> str:
    order = zigzag(codec["block_size"]) if codec["space"] == "dct" else [0]
    return " ".join(f"{row_major[index]:.3f}" for index in order[:SHOWN_ENTROPIES])


def largest_difference(ours: list[float], theirs: list[float]) -> float:
    """Over all coefficients of the channel."""
    return max(abs(a - b) for a, b in zip(ours, theirs, strict=True))


def training_table(plan: dict, logs: dict[str, list[dict]]) -> pd.DataFrame:
    """What each model is and how far its training came."""
    rows = []
    for name, run in plan["runs"].items():
        config = config_of(plan, name)
        last = logs[name][-1] if name in logs else None
        rows.append(
            {
                "run": name,
                "codec": run["codec"],
                "weights": run["weights"],
                "width": run["embed_dim"],
                "depth": run["depth"],
                "parameters (M)": f"{parameters(config) / 1e6:.2f}",
                "GMACs": f"{gmacs(config):.3f}",
                "predicts": run["prediction"],
                "SNR scale": run["snr_scale"],
                "lr": run["lr"] if run.get("lr_end_step") is None else f"{run['lr']}, falling to 0",
                "batch": run["batch_size"],
                "steps": trained_steps(last),
                "images seen": logged(last, "images", "{}"),
                "last loss": logged(last, "loss", "{:.4f}"),
            }
        )
    return pd.DataFrame(rows)


def trained_steps(last: dict | None) -> str:
    """How far a run is, and which of its steps code trained that was changed under way."""
    steps = logged(last, "step", "{}")
    return steps if not (last or {}).get("continued") else f"{steps} (other code until {last['continued'][-1]})"


def logged(line: dict | None, key: str, pattern: str) -> str:
    return NOT_RUN if line is None else number(line[key], pattern)


# Forms.


def to_latex(table: pd.DataFrame, caption: str, label: str) -> str:
    """A float for one page, or a longtable; needs the packages booktabs and longtable."""
    escaped = table.map(lambda value: escape_latex(str(value)))
    escaped.columns = [escape_latex(column) for column in table.columns]
    latex = escaped.to_latex(
        index=False, caption=escape_latex(caption), label=label, escape=False,
        longtable=len(table) > LONG_TABLE_ROWS,
    )  # fmt: skip
    if len(table.columns) <= WIDE_TABLE_COLUMNS:
        return latex
    return f"{{\\tiny\\setlength{{\\tabcolsep}}{{2pt}}\n{latex}}}\n"


def escape_latex(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {character: f"\\{character}" for character in "&%$#_{}"}
    return "".join(special.get(character, character) for character in text)
