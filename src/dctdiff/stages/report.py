"""Draw the figures and write one self-contained HTML report."""

import base64
import os
from argparse import Namespace
from pathlib import Path

import jinja2
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

import dctdiff.report
from dctdiff.params.forms import Spectrum, Statistics
from dctdiff.params.jobs import jobs_of
from dctdiff.params.report import Report
from dctdiff.params.suite import dct_spectra, table_names
from dctdiff.pipeline.command import run_stage
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import existing, existing_file, replacing, write_text
from dctdiff.pipeline.ledger import read_ledger
from dctdiff.pipeline.record import Used
from dctdiff.report.figures import (
    coefficient_distributions,
    distance_against_nfe,
    distance_against_time,
    distance_against_training,
    loss_curves,
    snr_per_frequency,
    spectra,
    truncation_curve,
)
from dctdiff.report.spent import hardware_note, rows_table, stages_table
from dctdiff.report.tables.fields import NONE, NOT_KNOWN, NOT_RUN
from dctdiff.stages.tables import read_evaluations, read_folder, read_logs, read_plan

PATHS = {
    "plan": "JSON of the plan stage",
    "published": "published numbers, YAML",
    "tables": "folder of tables",
    "evaluations": "folder of evaluations",
    "statistics": "folder of statistics",
    "logs": "folder of training logs",
    "grids": "folder of the pictures of datasets and samples",
    "out_figures": "folder of the figures",
    "out_report": "the report, HTML",
}

ROWS_NOTE = "Rows share trainings and data, so what was spent with these does not add up."
TEMPLATE = Path(dctdiff.report.__file__).parent / "page.html.j2"


def save_figure(figure: Figure, path: Path, dpi: int) -> Path:
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=dpi, metadata={"Software": None})
    plt.close(figure)
    return path


def inlined(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def read_table(folder: str, name: str) -> dict:
    rows, text = (existing_file(f"{folder}/{name}{suffix}") for suffix in (".csv", ".md"))
    try:
        frame = pd.read_csv(rows, dtype=str, keep_default_na=False)
        caption = text.read_text(encoding="utf-8").rstrip().rpartition("\n\n")[2]
    except ValueError as error:  # of pandas, or no UTF-8
        raise UserError(f"{rows} or {text.name} is not a table ({error}); delete both and run again") from None
    numeric = [_is_numeric(frame[column]) for column in frame.columns]
    return {"columns": list(frame.columns), "rows": frame.values.tolist(), "numeric": numeric, "caption": caption}


def _is_numeric(fields: pd.Series) -> bool:
    """Whether the fields are numbers, apart from the words that stand for a missing one."""
    values = pd.to_numeric(fields[~fields.isin([NOT_RUN, NOT_KNOWN, NONE])], errors="coerce")
    return len(values) > 0 and bool(values.notna().all())


def spent_tables(plan: dict) -> dict[str, dict]:
    """What the jobs have cost so far, this one of the report included; empty without a ledger.

    The ledger is no input of this stage: it changes at each start of a job, so the report would never be of now.
    """
    ledger = {job: read_ledger(*job) for job in jobs_of(plan)}
    if not any(ledger.values()):
        return {}
    stages, rows = stages_table(plan, ledger), rows_table(plan, ledger)
    return {"stages": as_table(stages, 1, hardware_note(plan, ledger)), "rows": as_table(rows, 4, ROWS_NOTE)}


def as_table(frame: pd.DataFrame, n_words: int, caption: str) -> dict:
    """A frame as the page shows it; all but its first ``n_words`` columns hold numbers."""
    numeric = [index >= n_words for index in range(len(frame.columns))]
    return {"columns": list(frame.columns), "rows": frame.values.tolist(), "numeric": numeric, "caption": caption}


def main(paths: Namespace, params: Report) -> Used:
    plan = read_plan(paths.plan, paths.published)
    evaluations = read_evaluations(paths.evaluations, plan)
    statistics = read_folder(f"{paths.statistics}/codecs", list(plan["codecs"]), Statistics)
    spectra_of = read_folder(f"{paths.statistics}/spectra", list(plan["spectra"]), Spectrum)
    folder, grids = Path(paths.out_figures), Path(paths.grids)

    def save(figure: Figure, name: str) -> str:
        return inlined(save_figure(figure, folder / f"{name}.png", params.dpi))

    def pictures(section: str) -> dict[str, str]:
        return {name: inlined(existing(grids / f"{section}/{name}.png")) for name in plan[section]}

    logs = read_logs(paths.logs, plan)
    truncations = evaluations["truncations"]
    several = {name: selection for name, selection in evaluations["selections"].items() if selection["k"] > 1}
    template = jinja2.Template(TEMPLATE.read_text(encoding="utf-8"), autoescape=True, undefined=jinja2.StrictUndefined)
    html = template.render(
        title=params.title,
        plan=plan,
        tables={name: read_table(paths.tables, name) for name in table_names(plan)},
        published_tables=list(plan["published"].get("distances", {})),
        distances={d: save(distance_against_nfe(plan, evaluations, d), f"distance-{d}") for d in plan["datasets"]},
        losses=save(loss_curves(logs, params.smoothing), "loss"),
        progress={
            "steps": save(distance_against_training(several), "distance-training"),
            "time": save(distance_against_time(several, logs), "distance-time"),
        }
        if several
        else {},
        trained={name: lines[-1] for name, lines in logs.items() if lines[-1]["loss"] is not None},
        distributions={
            name: save(coefficient_distributions(name, s), f"coefficients-{name}") for name, s in statistics.items()
        },
        truncations={name: save(truncation_curve(name, t), f"truncation-{name}") for name, t in truncations.items()},
        spectra={name: save(spectra(name, s), f"spectrum-{name}") for name, s in spectra_of.items()},
        snrs={name: save(snr_per_frequency(name, spectra_of[name]), f"snr-{name}") for name in dct_spectra(plan)},
        grids={section: pictures(section) for section in ("datasets", "truncations", "upsamplings", "cells")},
        spent=spent_tables(plan),
        evaluations={
            f"{kind}/{name}": e for kind in ("heldout", "round_trip", "cells") for name, e in evaluations[kind].items()
        },
    )
    write_text(paths.out_report, html)
    return Used(files=(os.path.relpath(TEMPLATE),))


if __name__ == "__main__":
    run_stage(main, PATHS, Report)
