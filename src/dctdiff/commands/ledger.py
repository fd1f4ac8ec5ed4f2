"""Say what the jobs of the suite have cost so far: by stage, and for each row of the table of quality.

``make ledger`` calls it; the report shows the same, as it was when the report was made.
"""

from dctdiff.params.jobs import jobs_of
from dctdiff.params.suite import planned, read_params, validated
from dctdiff.pipeline.command import run_command
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.ledger import FOLDER, read_ledger
from dctdiff.report.spent import hardware_note, rows_table, stages_table


def main() -> None:
    plan = planned(validated(read_params("params.yaml")).suite)
    ledger = {job: read_ledger(*job) for job in jobs_of(plan)}
    if not any(ledger.values()):
        raise UserError(f"{FOLDER} says nothing of a job of this suite; start one first")
    for table in (stages_table(plan, ledger), rows_table(plan, ledger)):
        print(table.to_markdown(index=False, disable_numparse=True), end="\n\n")
    print(hardware_note(plan, ledger))


if __name__ == "__main__":
    run_command(main)
