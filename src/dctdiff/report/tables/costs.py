"""Training costs, published and counted."""

import pandas as pd

from dctdiff.models.config import ModelConfig, config_of
from dctdiff.models.cost import decoder_gmacs, encoder_gmacs, gmacs, parameters
from dctdiff.models.forecast import BACKWARD
from dctdiff.report.tables.fields import NONE, NOT_KNOWN, NOT_RUN, Evaluations, number, rung

SAMPLED_NFE = 100  # as the published samples of high resolution
OTHER_GMACS = ("forward, encoder each step", "forward, latents stored", "step, encoder each step",
               f"sampling, NFE {SAMPLED_NFE}")  # fmt: skip
COSTS_NOTE = (
    "Training cost. GMACs: linear and convolution layers, per image, as published: one forward, and in latent space "
    "one of the encoder at each step. Beside it the same without the encoder, whose latents can be stored; of a step, "
    "whose backward takes twice its forward and passes by the encoder; and of a sample, for latents with the decoder."
)


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
                **other_gmacs(config_of(plan, row["run"]) if run and row["quantity"] == "GMACs" else None),
            }
        )
    return pd.DataFrame(rows)


def reproduced_cost(plan: dict, row: dict, evaluations: Evaluations) -> float | None:
    config = config_of(plan, row["run"])
    if row["quantity"] == "parameters (M)":
        return parameters(config) / 1e6
    if row["quantity"] == "GMACs":
        return encoder_gmacs(config) + gmacs(config)
    selection = evaluations["selections"].get(row["run"])
    trained = plan["runs"][row["run"]]["weights"] == "trained"
    return selection["step"] if selection and trained else None


def other_gmacs(config: ModelConfig | None) -> dict[str, str]:
    """What the published GMACs leave out: heading -> number."""
    if config is None:
        return dict.fromkeys(OTHER_GMACS, NONE)
    forward, encoder = gmacs(config), encoder_gmacs(config)
    sampling = SAMPLED_NFE * forward + decoder_gmacs(config)
    values = (encoder + forward, forward, encoder + BACKWARD * forward, sampling)
    return {heading: f"{value:.3f}" for heading, value in zip(OTHER_GMACS, values, strict=True)}
