"""Draw the figures and write one self-contained HTML report."""

import base64
import contextlib
import os
from argparse import Namespace
from pathlib import Path

import jinja2
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

import dctdiff.report
from dctdiff.params.forms import Spectrum, Statistics
from dctdiff.params.jobs import jobs_of, measured_against, models_of
from dctdiff.params.report import Report
from dctdiff.params.suite import dct_spectra, table_names
from dctdiff.pipeline.command import run_stage
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import existing, existing_file, read_json, replacing, write_text
from dctdiff.pipeline.ledger import read_ledger
from dctdiff.pipeline.record import Record, Used, record_path
from dctdiff.report.charts.distances import against_nfe, against_training, metric_of
from dctdiff.report.charts.losses import loss_curves
from dctdiff.report.charts.published import beside_published
from dctdiff.report.charts.style import png
from dctdiff.report.charts.variants import of_one_nfe
from dctdiff.report.figures import coefficient_distributions, snr_per_frequency, spectra, truncation_curve
from dctdiff.report.layout import laid_out
from dctdiff.report.libraries import datatables, vega
from dctdiff.report.provenance import jobs_behind, made
from dctdiff.report.samples import compared
from dctdiff.report.spent import Job, hardware_note, rows_table, stages_table
from dctdiff.report.tables.fields import NONE, NOT_KNOWN, NOT_RUN
from dctdiff.report.tables.suite import current
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


def read_records(plan: dict) -> dict[Job, dict]:
    """Of the jobs that have one. They are no input of this stage, as the ledger is none: a job that wrote the same
    again is no reason to make the report again. That of the report itself is not written yet."""
    records = {}
    for job in jobs_of(plan):
        with contextlib.suppress(OSError, UserError):  # none, or broken: make status says so
            if job != ("report", None):
                records[job] = read_json(record_path(*job), Record)
    return records


def picture(path: Path) -> dict:
    """A picture for the page, with its size in pixels."""
    with Image.open(existing(path)) as opened:
        width, height = opened.size
    return {"data": inlined(path), "width": width, "height": height}


def charts_of(plan: dict, evaluations: dict, logs: dict, tables: dict[str, dict], smoothing: int) -> dict[str, dict]:
    """Name of the figure -> chart."""
    several = {name: selection for name, selection in evaluations["selections"].items() if selection["k"] > 1}
    rows_of = {
        name: [dict(zip(tables[name]["columns"], row, strict=True)) for row in tables[name]["rows"]]
        for name in plan["published"].get("distances", {})
    }
    published = {f"published-{name}": beside_published(name, rows) for name, rows in rows_of.items()}
    return {
        **{
            f"distance-{dataset}": of_one_nfe(plan, evaluations, dataset) or against_nfe(plan, evaluations, dataset)
            for dataset in measured_against(plan)
        },
        **{name: chart for name, chart in published.items() if chart},
        "loss": loss_curves(logs, smoothing),
        **(against_training(plan, evaluations, several, logs) if several else {}),
    }


def main(paths: Namespace, params: Report) -> Used:
    plan = read_plan(paths.plan, paths.published)
    evaluations = read_evaluations(paths.evaluations, plan)
    statistics = read_folder(f"{paths.statistics}/codecs", list(plan["codecs"]), Statistics)
    spectra_of = read_folder(f"{paths.statistics}/spectra", list(plan["spectra"]), Spectrum)
    logs = read_logs(paths.logs, plan)
    folder = Path(paths.out_figures)

    def pictures(section: str) -> dict[str, dict]:
        return {name: picture(Path(paths.grids) / f"{section}/{name}.png") for name in plan[section]}

    def save(figure: Figure, name: str) -> str:
        return inlined(save_figure(figure, folder / f"{name}.png", params.dpi))

    grids = {section: pictures(section) for section in ("datasets", "truncations", "upsamplings", "cells")}
    tables, spent = {name: read_table(paths.tables, name) for name in table_names(plan)}, spent_tables(plan)
    charts = charts_of(plan, evaluations, logs, tables, params.smoothing)
    for name, chart in charts.items():
        with replacing(folder / f"{name}.png") as temporary:
            temporary.write_bytes(png(chart, params.dpi))
    jobs, metric, told = jobs_behind(plan, current(plan, evaluations)), metric_of(evaluations), made(read_records(plan))
    ids = {job["id"] for job in told}
    truncations = evaluations["truncations"]
    template = jinja2.Template(TEMPLATE.read_text(encoding="utf-8"), autoescape=True, undefined=jinja2.StrictUndefined)
    html = template.render(
        title=params.title,
        plan=plan,
        models=models_of(plan),
        measured_against=measured_against(plan),
        tables={
            name: laid_out(name, table, metric, jobs[name], ids, Path(paths.tables) / f"{name}.csv")
            for name, table in tables.items()
        },
        published_tables=list(plan["published"].get("distances", {})),
        charts=charts,
        trained={name: lines[-1] for name, lines in logs.items() if lines[-1]["loss"] is not None},
        distributions={
            name: save(coefficient_distributions(name, s), f"coefficients-{name}") for name, s in statistics.items()
        },
        truncations={name: save(truncation_curve(name, t), f"truncation-{name}") for name, t in truncations.items()},
        spectra={name: save(spectra(name, s), f"spectrum-{name}") for name, s in spectra_of.items()},
        snrs={name: save(snr_per_frequency(name, spectra_of[name]), f"snr-{name}") for name in dct_spectra(plan)},
        grids=grids,
        compared=compared(plan, {name: (grid["width"], grid["height"]) for name, grid in grids["cells"].items()}),
        spent={name: laid_out(name, table, metric) for name, table in spent.items()},
        evaluations={
            f"{kind}/{name}": e for kind in ("heldout", "round_trip", "cells") for name, e in evaluations[kind].items()
        },
        made=told,
        told=ids,
        vega=vega(),
        datatables=datatables(),
    )
    write_text(paths.out_report, html)
    return Used(files=(os.path.relpath(TEMPLATE),))


if __name__ == "__main__":
    run_stage(main, PATHS, Report)
