"""Answer the question of runs whose code has changed since they were trained: continue, or anew.

``make continue`` and ``make anew`` call it, for one run (``RUN=<run>``) or for all that ask.
"""

import argparse
from pathlib import Path

from dctdiff.models.state import QUESTION, go_on, start_anew
from dctdiff.pipeline.command import OneLineParser, run_command
from dctdiff.pipeline.errors import UserError

ANSWERS = {"continue": go_on, "anew": start_anew}
RUNS = Path("results/runs")


def asking(run: str | None) -> list[Path]:
    """The state folders of ``run``, or of all runs that ask."""
    if run:
        return [RUNS / run / "state"]
    roots = sorted(path.parent for path in RUNS.glob(f"*/state/{QUESTION}"))
    if not roots:
        raise UserError(f"no run in {RUNS} asks anything; runs ask when they start, so start the pipeline first")
    return roots


def main() -> None:
    parser = OneLineParser(description=__doc__.splitlines()[0])
    parser.add_argument("answer", choices=ANSWERS, help="go on from the state of the other code, or start at step 0")
    parser.add_argument("--run", help="key of suite.runs; without it all that ask")
    arguments: argparse.Namespace = parser.parse_args()
    for root in asking(arguments.run):
        print(ANSWERS[arguments.answer](root))


if __name__ == "__main__":
    run_command(main)
