"""Build the tables of whatever has run so far; what has not, or was made by other params, is shown as not run.

``make tables`` calls it. The records of the jobs decide what a row may show.
"""

from pathlib import Path

from dctdiff.params.published import load_published
from dctdiff.params.status import label, whys_stale
from dctdiff.params.suite import planned, read_params, validated
from dctdiff.pipeline.command import run_command
from dctdiff.pipeline.record import record_path
from dctdiff.stages.tables import read_results, write_tables

PARAMS, PUBLISHED, RESULTS, TABLES = "params.yaml", "data/published.yaml", "results", "results/tables"
SHOWN = {  # stage -> where its results are among those that tables are built from
    "statistics": ("statistics",),
    "weights": ("logs",),
    "evaluate_heldout": ("evaluations", "heldout"),
    "evaluate_round_trip": ("evaluations", "round_trip"),
    "truncation": ("evaluations", "truncations"),
    "upsampling": ("evaluations", "upsamplings"),
    "select": ("evaluations", "selections"),
    "evaluate": ("evaluations", "cells"),
}


def remove_stale(results: dict, suite: dict) -> list[str]:
    """Take out of ``results`` what is not of the params, code and inputs of now; says what and why."""
    said = []
    for (stage, name), reason in whys_stale(suite).items():
        found = results
        for key in SHOWN.get(stage, ()):
            found = found[key]
        if reason and stage in SHOWN and found.pop(name, None) is not None:
            reason = reason if record_path(stage, name).exists() else "nothing records how it was made"
            said.append(f"{label(stage, name)} is not shown: {reason}")
    return said


def main() -> None:
    params = read_params(PARAMS)
    suite = validated(params).suite
    plan = planned(suite) | {"published": load_published(PUBLISHED, suite.published).model_dump(exclude_none=True)}
    results = read_results(plan, f"{RESULTS}/evaluations", f"{RESULTS}/statistics", f"{RESULTS}/training")
    for line in remove_stale(results, params["suite"]):
        print(line)
    write_tables(Path(TABLES), plan, results)
    print(f"The tables are in {TABLES}.")


if __name__ == "__main__":
    run_command(main)
