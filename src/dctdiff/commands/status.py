"""Say of every job of the suite whether its results are those of the params, code and inputs of now.

``make status`` calls it. It reads the records of the jobs and the digests of their files, whichever
engine made them.
"""

from collections import Counter

from dctdiff.params.status import label, whys_stale
from dctdiff.params.suite import read_params, validated
from dctdiff.pipeline.command import run_command
from dctdiff.pipeline.files import read_json
from dctdiff.pipeline.record import record_path


def state_of(job: tuple[str, str | None], reason: str | None) -> tuple[str, str]:
    """ "current", "stale" or "missing", and the reason, or by whom the results were made."""
    path = record_path(*job)
    if not path.exists():
        return "missing", "not run yet"
    if reason:
        return "stale", reason
    record = read_json(path)
    kept = "" if record["code"] == record["code_that_ran"] else ", by code that was judged harmless"
    return "current", f"{record['date']} on {record['host']}, commit {record['commit'] or 'unknown'}{kept}"


def main() -> None:
    params = read_params("params.yaml")
    validated(params)
    counts = Counter()
    for job, why in whys_stale(params["suite"]).items():
        state, reason = state_of(job, why)
        counts[state] += 1
        print(f"{state:8} {label(*job)}: {reason}")
    print(", ".join(f"{counts[state]} {state}" for state in ("current", "stale", "missing")))


if __name__ == "__main__":
    run_command(main)
