"""Truncation and upsampling: distances without a model."""

import pandas as pd

from dctdiff.report.tables.fields import NONE, NOT_KNOWN, NOT_RUN, Evaluations, delta, metric_with_n, number


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
                    "bound": bound_of(truncation, evaluation),
                    "m*": best_m(evaluation) if evaluation else NOT_RUN,
                    "published m*": f"{published['value']:g}" if "value" in published else NOT_KNOWN,
                    "n": truncation["n_images"],
                }
            )
    return pd.DataFrame(rows)


def best_m(evaluation: dict) -> str:
    return "none" if evaluation["m_star"] is None else str(evaluation["m_star"])


def bound_of(truncation: dict, evaluation: dict | None) -> str:
    """As params.yaml has it, or, where it has none, as it was measured."""
    if "bound" in truncation:
        return str(truncation["bound"])
    return f"{evaluation['bound']:.3f}" if evaluation else NOT_RUN


def why_none(evaluations: Evaluations) -> str:
    """What to do where no number of coefficients is m*; empty if each data set has one."""
    said = []
    for name, evaluation in evaluations["truncations"].items():
        least = min(evaluation["curve"], key=lambda point: point["m"])
        if evaluation["m_star"] is None:
            said.append(
                f" {name} has none: m = {least['m']} has {least['value']:.3g} already, and the bound is "
                f"{evaluation['bound']:.3g}. That is what halved chroma and JPEG {evaluation['jpeg_quality']} cost. "
                "The bound 0.5 is on the scale of FID of 50,000 images: remove bound, which judges against m = 0, and "
                "jpeg_quality, which takes that of the images."
            )
    return "".join(said)


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
