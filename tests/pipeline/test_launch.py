"""Who starts the processes of a stage: the stage itself, torchrun, or srun in one of its ways."""

import os
import subprocess
import sys

import pytest

from engines import ROOT

STAGE = """
'A stage.'
import os
import sys
import torch.distributed
from argparse import Namespace
from dctdiff.pipeline.command import run_stage
from dctdiff.pipeline.environment import n_processes, process_rank

def main(paths: Namespace) -> None:
    total = 1
    if n_processes() > 1:
        torch.distributed.init_process_group("gloo")
        ranks = torch.tensor(process_rank())
        torch.distributed.all_reduce(ranks)
        total = ranks.item()
        torch.distributed.destroy_process_group()
    if process_rank() == 0:
        open(paths.out_file, "a").write(f"{n_processes()} {total}\\n")

if __name__ == "__main__":
    processes = None if "alone" in os.environ else lambda paths: int(os.environ["PROCESSES"])
    run_stage(main, {"out_file": "a file"}, processes=processes)
"""
SCONTROL = """#!/bin/sh
case "$*" in
  "show hostnames n[1-2]") printf 'n1\\nn2\\n' ;;
  "--oneliner show node n1") echo "NodeName=n1 Arch=x86_64 NodeAddr=127.0.0.1 NodeHostName=somewhere" ;;
  *) exit 1 ;;
esac
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "stage.py").write_text(STAGE)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/scontrol").write_text(SCONTROL)
    (tmp_path / "bin/scontrol").chmod(0o755)
    (tmp_path / "src").symlink_to(ROOT / "src")
    return tmp_path


def tasks(n_tasks: int, n_nodes: int = 1) -> list[dict[str, str]]:
    """What srun tells each of the tasks of a step."""
    shared = {
        "SLURM_JOB_ID": str(os.getpid()), "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": str(n_tasks),
        "SLURM_STEP_NUM_NODES": str(n_nodes), "SLURM_STEP_NODELIST": "n1" if n_nodes == 1 else f"n[1-{n_nodes}]",
    }  # fmt: skip
    per_node = n_tasks // n_nodes
    return [
        shared | {"SLURM_PROCID": f"{i}", "SLURM_NODEID": f"{i // per_node}", "SLURM_LOCALID": f"{i % per_node}"}
        for i in range(n_tasks)
    ]


def ended(folder, processes: int, *environments: dict[str, str]) -> list[tuple[int, str]]:
    """Exit code and standard error of the stage, started in each of the environments at once."""
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "stage", "--out_file", "out"],
            cwd=folder,
            env={**os.environ, "PATH": path, "PROCESSES": str(processes), "OMP_NUM_THREADS": "1", **environment},
            stderr=subprocess.PIPE,
            text=True,
        )
        for environment in environments
    ]
    return [(process.communicate(timeout=300)[1], process.returncode)[::-1] for process in started]


def out(folder) -> str:
    return (folder / "out").read_text()


@pytest.mark.parametrize("environments", [[{}], tasks(1), tasks(2), tasks(2, 2)], ids=["alone", "1", "2", "2 nodes"])
def test_two_processes_share_one_work_whoever_starts_them(folder, environments):
    """Of two tasks each is one of the processes, of one it starts both: nothing is done twice."""
    assert {code for code, _ in ended(folder, 2, *environments)} == {0}
    assert out(folder) == "2 1\n"


def test_one_task_on_each_node_starts_its_share(folder):
    assert {code for code, _ in ended(folder, 4, *tasks(2, 2))} == {0}
    assert out(folder) == "4 6\n"


def test_processes_of_a_launcher_go_on_as_they_are(folder):
    """Whatever workflow/machine.yaml says."""
    where = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(30_000 + os.getpid() % 10_000), "WORLD_SIZE": "2"}
    launched = [where | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2)]
    assert {code for code, _ in ended(folder, 1, *launched)} == {0}
    assert out(folder) == "2 1\n"


def test_tasks_that_fit_no_share_are_refused(folder):
    for code, errors in ended(folder, 2, *tasks(3)):
        assert code == 1 and errors.count("\n") == 1
        assert "error: srun has started 3 tasks on 1 nodes, but this job has 2 processes" in errors
    assert not (folder / "out").exists()


def test_a_stage_of_one_process_is_not_done_twice(folder):
    for code, errors in ended(folder, 1, *({**task, "alone": "1"} for task in tasks(2))):
        assert (code, errors.count("\n")) == (1, 1)
        assert "error: 2 processes of this stage were started, but it has only one; start one (srun -n1)" in errors
    assert not (folder / "out").exists()


LAUNCHER = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29999"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"RANK": "2"}, "WORLD_SIZE is 2, RANK is 2, LOCAL_RANK is 0 contradict each other; unset them"),
        ({"LOCAL_RANK": "1"}, "WORLD_SIZE is 2, RANK is 0, LOCAL_RANK is 1 contradict each other; unset them"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE is two, but a whole number is expected; unset it"),
    ],
)
def test_a_launcher_that_contradicts_itself_is_one_line(folder, changes, message):
    [(code, errors)] = ended(folder, 2, {**LAUNCHER, **changes})
    assert code == 1 and errors.startswith(f"error: {message}") and errors.count("\n") == 1
