"""Models: what each is and how far its training came."""

import pandas as pd

from dctdiff.models.config import config_of
from dctdiff.models.cost import gmacs, parameters
from dctdiff.params.jobs import models_of
from dctdiff.report.tables.fields import NONE, NOT_RUN, as_read, number

GMACS_NOTE = "GMACs: linear and convolution layers, per image and network evaluation."


def training_table(plan: dict, logs: dict[str, list[dict]]) -> pd.DataFrame:
    """What each model is and how far its training came."""
    rows = []
    for name, run in models_of(plan).items():
        config = config_of(plan, name)
        last = logs[name][-1] if name in logs else None
        lr = run.get("lr", NONE) if run.get("lr_end_step") is None else f"{run['lr']}, falling to 0"
        rows.append(
            {
                "run": name,
                "codec": run.get("codec", NONE),
                "weights": run["weights"],
                "network": run["network"],
                "width": as_read(plan, name, run["embed_dim"], "embed_dim"),
                "depth": as_read(plan, name, run["depth"], "depth"),
                "parameters (M)": f"{parameters(config) / 1e6:.2f}",
                "GMACs": f"{gmacs(config):.3f}",
                "diffusion": as_read(plan, name, run["framework"], "framework"),
                "predicts": run["prediction"],
                "SNR scale": as_read(plan, name, run["snr_scale"], "snr_scale"),
                "lr": as_read(plan, name, lr, "lr"),
                "batch": as_read(plan, name, run["batch_size"], "batch_size"),
                "steps": as_read(plan, name, trained_steps(last), "train_steps"),
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
