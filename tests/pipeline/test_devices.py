"""GPUs of one machine are shared by jobs of several engines, checkouts and users, but by no two jobs at once."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from dctdiff.pipeline import devices
from dctdiff.pipeline.devices import only_user, visible_gpus
from dctdiff.pipeline.errors import UserError

GPUS = ["GPU-aaaa1111-0", "GPU-aaaa2222-1", "GPU-bbbb3333-2"]
A, B, C = GPUS
# Uses N GPUs: a file for each that nobody else may have made; says so, and ends when it is told to, or soon.
JOB = """
import os, sys, time
from pathlib import Path
from dctdiff.pipeline import devices
devices.SECONDS_BETWEEN_TRIES = 0.05
with devices.only_user(int(sys.argv[1])):
    gpus = os.environ["CUDA_VISIBLE_DEVICES"].split(",")
    assert len(set(gpus)) == int(sys.argv[1])
    for gpu in gpus:
        Path(gpu).touch(exist_ok=False)
    print(*gpus, flush=True)
    sys.stdin.readline() if len(sys.argv) > 2 else time.sleep(0.1)
    for gpu in gpus:
        Path(gpu).unlink()
"""


@pytest.fixture
def machine(monkeypatch):
    """A machine of three GPUs with a folder of temporary files of its own; jobs run in what is given."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)  # those of pytest are for one user
    program = folder / "bin/nvidia-smi"
    program.parent.mkdir()
    lines = "\n".join(f"{uuid}, {index}" for index, uuid in enumerate(GPUS))
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{lines}\nEND\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    for name in ("tmp", "used"):
        (folder / name).mkdir()
        (folder / name).chmod(0o1777)
    monkeypatch.setenv("TMPDIR", str(folder / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    for name in (devices.VISIBLE, devices.TAKEN, *devices.SCHEDULERS):
        monkeypatch.delenv(name, raising=False)
    yield folder / "used"
    shutil.rmtree(folder)


def start(machine, *words, script=JOB) -> subprocess.Popen:
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen([sys.executable, "-c", script, *map(str, words)], cwd=machine, text=True, **pipes)


def ended(job: subprocess.Popen) -> set[str]:
    """The GPUs that it has used."""
    out, error = job.communicate("\n", timeout=60)
    assert job.returncode == 0, error
    return set(out.split())


def test_no_gpu_is_used_by_two_jobs(machine):
    jobs = [start(machine, n_gpus) for n_gpus in (1, 2, 1, 2, 3, 1, 2)]
    assert set.union(*map(ended, jobs)) == set(GPUS)


def test_who_waits_says_for_whom_and_goes_on_after_a_kill(machine):
    owner = start(machine, 2, "until told")
    assert owner.stdout.readline().split() == [A, B]
    waiting = start(machine, 2)
    said = waiting.stderr.readline()
    assert "2 of 3 GPUs are wanted, but 1 are free" in said and f"process {owner.pid} of " in said
    assert ended(start(machine, 1)) == {C}  # who waits holds no part
    owner.kill()
    owner.communicate()
    for gpu in (A, B):
        (machine / gpu).unlink()
    assert ended(waiting) == {A, B}


def test_a_process_of_a_killed_job_keeps_its_gpus(machine):
    """As those of torchrun, which may outlive what has started them."""
    parent = """
        import subprocess, sys, time
        from dctdiff.pipeline.devices import only_user
        child = "import sys; from dctdiff.pipeline.devices import only_user" \\
            "\\nwith only_user(1): print('in', flush=True); sys.stdin.readline()"
        with only_user(2):
            subprocess.run([sys.executable, "-c", child])
    """
    killed = start(machine, script=textwrap.dedent(parent))
    assert killed.stdout.readline() == "in\n"
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    waiting = start(machine, 2)
    assert "2 of 3 GPUs are wanted, but 1 are free" in waiting.stderr.readline()
    killed.communicate("\n")  # its child ends
    assert ended(waiting) == {A, B}


def test_who_waits_can_be_stopped(machine):
    owner = start(machine, 3, "until told")
    assert owner.stdout.readline().split() == GPUS
    waiting = start(machine, 1)
    assert "1 of 3 GPUs are wanted" in waiting.stderr.readline()
    waiting.terminate()
    assert waiting.wait(timeout=60) == -signal.SIGTERM
    ended(owner)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (None, GPUS),
        ("2,0", [C, A]),
        (f"{B},0", [B, A]),
        ("GPU-b,GPU-aaaa2", [C, B]),
        ("GPU-a,1", []),  # which of two?
        ("1,7,0", [B]),  # CUDA reads up to what it does not know
        ("1,1,0", [B]),
        ("MIG-1234,MIG-5678", ["MIG-1234", "MIG-5678"]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
    ],
)
def test_a_choice_is_read_as_cuda_reads_it(machine, monkeypatch, said, expected):
    if said is not None:
        monkeypatch.setenv(devices.VISIBLE, said)
    assert visible_gpus() == expected


def test_the_choice_of_the_user_is_kept_to_and_set_back(machine, monkeypatch):
    monkeypatch.setenv(devices.VISIBLE, "2,1")
    with only_user(1):
        assert os.environ[devices.VISIBLE] == C
    assert os.environ[devices.VISIBLE] == "2,1" and devices.TAKEN not in os.environ
    with pytest.raises(UserError, match=r"^this job wants 3 GPUs, but CUDA_VISIBLE_DEVICES names 2; lower .*$"):
        only_user(3).__enter__()


def test_what_a_scheduler_has_assigned_is_not_chosen_from(machine, monkeypatch):
    monkeypatch.setenv(devices.VISIBLE, "1")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    with only_user(1), only_user(1):
        assert os.environ[devices.VISIBLE] == "1" and devices.TAKEN not in os.environ
    monkeypatch.setenv(devices.VISIBLE, "1,2")  # an allocation for several jobs, which share it
    with only_user(1):
        assert os.environ[devices.VISIBLE] == B


def test_without_gpus_there_is_nothing_to_take(machine, monkeypatch):
    with only_user(0):
        assert devices.VISIBLE not in os.environ
    monkeypatch.setenv("PATH", "/nowhere")
    with only_user(2):
        assert devices.VISIBLE not in os.environ
    assert not list((machine.parent / "tmp").iterdir())


@pytest.mark.skipif(os.getuid() != 0, reason="only root can work as two users")
def test_users_of_a_machine_wait_for_each_other(machine):
    """Each may lock what the other has created, in a folder with the sticky bit and with any umask."""
    become = """
        os.umask(0o077)
        os.setgroups([])
        os.setgid({user})
        os.setuid({user})
    """

    def job(user: int) -> str:  # who cannot read Python's own folders, perhaps, once it is that user
        return JOB.replace("with devices", textwrap.dedent(become.format(user=user)) + "with devices")

    first = start(machine, 2, "until told", script=job(40001))
    assert first.stdout.readline().split() == [A, B], first.stderr.read()
    second = start(machine, 3, script=job(40002))
    assert re.search(r"but 1 are free; .* waits for process \d+ of ", second.stderr.readline())
    ended(first)
    assert ended(second) == set(GPUS)
