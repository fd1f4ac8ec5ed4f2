"""Build the tables of whatever has run so far; what has not, or was made by other params, is shown as not run.

``make tables`` calls it. The records of the jobs decide what a row may show.
"""

from pathlib import Path

from dctdiff.params.status import label, whys_stale
from dctdiff.params.suite import planned, read_params, validated
from dctdiff.pipeline.command import run_command
from dctdiff.pipeline.record import record_path
from dctdiff.stages.tables import read_results, with_published, write_tables

PARAMS, PUBLISHED, RESULTS, TABLES = "params.yaml", "data/published.yaml", "results", "results/tables"
SHOWN = {  # stage -> file of its results that tables are built from
    "statistics": f"{RESULTS}/statistics/codecs/{{}}.json",
    "weights": f"{RESULTS}/training/{{}}.jsonl",
    "evaluate_heldout": f"{RESULTS}/evaluations/heldout/{{}}.json",
    "evaluate_round_trip": f"{RESULTS}/evaluations/round_trip/{{}}.json",
    "truncation": f"{RESULTS}/evaluations/truncations/{{}}.json",
    "upsampling": f"{RESULTS}/evaluations/upsamplings/{{}}.json",
    "select": f"{RESULTS}/evaluations/selections/{{}}.json",
    "evaluate": f"{RESULTS}/evaluations/cells/{{}}.json",
}


def stale_results(suite: dict) -> dict[Path, str]:
    """File that is not of the params, code and inputs of now -> what to say of it."""
    found = {}
    for (stage, name), reason in whys_stale(suite).items():
        path = Path(SHOWN.get(stage, "").format(name))
        if reason and path.is_file():
            why = reason if record_path(stage, name).exists() else "nothing records how it was made"
            found[path] = f"{label(stage, name)} is not shown: {why}"
    return found


def main() -> None:
    params = read_params(PARAMS)
    suite = validated(params).suite
    plan = with_published(planned(suite), PUBLISHED)
    stale = stale_results(params["suite"])
    folders = (f"{RESULTS}/evaluations", f"{RESULTS}/statistics", f"{RESULTS}/training")
    write_tables(Path(TABLES), plan, read_results(plan, *folders, without=stale))
    print(*stale.values(), f"The tables are in {TABLES}.", sep="\n")


if __name__ == "__main__":
    run_command(main)
