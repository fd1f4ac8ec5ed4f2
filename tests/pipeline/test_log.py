"""The log of a job has all that it said, also what it said last, however it ended."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dctdiff.pipeline.ledger import read_lines
from engines import ROOT, environment_of

JOB = '''
"""A job."""
import os
import signal
import subprocess
import sys
from dctdiff.pipeline import command
from dctdiff.pipeline.errors import UserError

def main(paths):
    print("on stdout")
    subprocess.run(["echo", "from a child"])
    how = sys.argv[-1]
    if how.endswith("mendable"):
        raise UserError("this file is missing; put it there")
    if how.endswith("defect"):
        raise RuntimeError("a defect")
    if how.endswith("term"):
        signal.signal(signal.SIGTERM, lambda *_: None)
        os.killpg(0, signal.SIGTERM)
        print("after SIGTERM", file=sys.stderr)
    if how.endswith("kill"):
        os.write(2, b"last words\\n")
        os.kill(os.getpid(), signal.SIGKILL)
    open(paths.out_file, "w").close()

command.code_behind = lambda *words: ""  # of a module that lies in no package
command.run_stage(main, {"out_file": "a file"})
'''
LAST = {
    "mendable": "error: this file is missing; put it there",
    "defect": "RuntimeError: a defect",
    "term": "after SIGTERM",
    "kill": "last words",
    "well": "from a child",
}


def start(folder: Path, how: str) -> subprocess.CompletedProcess:
    (folder / "job.py").write_text(JOB)
    return subprocess.run(
        [sys.executable, "-m", "job", "--out_record", "results/records/sample/a.json", "--out_file", f"results/{how}"],
        cwd=folder, env=environment_of(ROOT), capture_output=True, text=True, start_new_session=True, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("how", LAST)
def test_the_last_line_is_what_was_said_last(tmp_path, how):
    (tmp_path / "results").mkdir()
    for _ in range(2):
        done = start(tmp_path, how)
    head, *lines = (tmp_path / "logs/sample/a.log").read_text().splitlines()
    assert (
        head.startswith("# ") and f"-m job --out_record results/records/sample/a.json --out_file results/{how}" in head
    )
    assert "on stdout" in lines and "from a child" in lines
    assert lines[-1] == LAST[how]
    assert sum(line == head or line.startswith("# ") for line in [head, *lines]) == 2  # earlier starts stay
    assert LAST[how] in done.stderr.splitlines()  # and the terminal shows it, too
    assert (done.returncode == -signal.SIGKILL) == (how == "kill")


def test_a_log_that_cannot_be_written_fails_no_job(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "logs").write_text("a file in the place of the folder")
    done = start(tmp_path, "well")
    assert done.returncode == 0 and "from a child" in done.stderr
    assert read_lines(tmp_path / "results/ledger/sample/a.jsonl")[-1].event == "done"
