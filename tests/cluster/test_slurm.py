"""The workflow on a real Slurm: the tables, several nodes, and whatever may end a training there."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import slurm as lab
from engines import copy_project, edit, environment_of, run

pytestmark = pytest.mark.skipif(lab.why_not() is not None, reason=str(lab.why_not()))
RUN = "micro32-dctdiff"
WEIGHTS = f"results/runs/{RUN}/last.safetensors"
PROFILE = (
    "--profile", "workflow/profiles/slurm", "--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "5",
)  # fmt: skip
STEPS = 3000  # some 20 seconds
SECONDS = 300  # for anything to happen


@pytest.fixture(scope="module")
def slurm():
    with lab.running() as slurm:
        yield slurm


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A longer training in the micro suite, with all that it needs but itself."""
    folder = copy_project(tmp_path_factory.mktemp("prepared"))
    head, micro = (folder / "params.yaml").read_text().split("  micro: &micro")
    for key, value in {"train_steps": STEPS, "candidate_steps": STEPS // 2, "log_steps": 100}.items():
        micro = re.sub(rf"{key}: \d+", f"{key}: {value}", micro, count=1)
    (folder / "params.yaml").write_text(f"{head}  micro: &micro{micro}")
    run(folder, "snakemake", "--cores", "2", "data/micro32/train.npy", "results/statistics/codecs/micro32-dct.json")
    return folder


@pytest.fixture(scope="module")
def straight(prepared, tmp_path_factory):
    """Its weights, of a training that nothing disturbs."""
    folder = tmp_path_factory.mktemp("straight") / "project"
    shutil.copytree(prepared, folder, symlinks=True)
    run(folder, "snakemake", "--cores", "2", WEIGHTS)
    return (folder / WEIGHTS).read_bytes()


@pytest.fixture
def project(prepared, tmp_path):
    shutil.copytree(prepared, tmp_path / "project", symlinks=True)
    return tmp_path / "project"


class Started:
    """Snakemake at work in a process of its own, and its training on the cluster."""

    def __init__(self, slurm: lab.Slurm, folder: Path):
        self.slurm, self.folder = slurm, folder
        self.log = folder / f"snakemake-{len(list(folder.glob('snakemake-*')))}.log"
        self.process = subprocess.Popen(
            [Path(sys.executable).parent / "snakemake", *PROFILE, WEIGHTS],
            cwd=folder,
            env={**environment_of(folder), "SLURM_CONF": slurm.environment["SLURM_CONF"]},
            stdout=self.log.open("w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def trains(self) -> dict[str, str]:
        """The job, once it has logged a further line."""
        before = self.lines()
        lab.wait_until(lambda: self.lines() > before or self.process.poll() is not None, SECONDS)
        job = self.slurm.job_of(f"weights_wildcards_{RUN}")
        assert job is not None, self.log.read_text()
        return job

    def lines(self) -> int:
        return sum(len(path.read_text().splitlines()) for path in self.folder.glob("results/runs/*/state/*/log.jsonl"))

    def submissions(self) -> list[str]:
        return re.findall(r"submitted with SLURM jobid (\d+)", self.log.read_text())

    def ends(self) -> bytes:
        """The weights."""
        assert self.process.wait(timeout=SECONDS) == 0, self.log.read_text()
        return (self.folder / WEIGHTS).read_bytes()


def test_the_tables_are_those_of_one_machine(slurm, made, tmp_path):
    folder = copy_project(tmp_path)
    run(folder, "snakemake", *PROFILE, SLURM_CONF=slurm.environment["SLURM_CONF"])
    by_one = {path.name: path.read_bytes() for path in (made[0] / "results/tables").iterdir()}
    assert {path.name: path.read_bytes() for path in (folder / "results/tables").iterdir()} == by_one
    assert not [job for job in slurm.jobs().values() if re.search("download|tables", job["Comment"])]
    cells = [job for job in slurm.jobs().values() if "cell" in job["Comment"]]
    assert len(cells) == 6  # sampled and evaluated by one job, on one GPU
    assert all(job["TresPerJob"].endswith("gpu:1") and "mem=8000M" in job["TRES"] for job in cells)
    assert "Nothing to be done" in run(folder, "snakemake", "--dry-run", "--cores", "1")


def test_a_job_whose_time_is_nearly_over_is_queued_again_and_goes_on(slurm, project, straight):
    started = Started(slurm, project)
    job = started.trains()
    assert "--signal=USR1@120" in (project / "workflow/profiles/slurm/config.yaml").read_text()
    slurm.run("scancel", "--signal=USR1", job["JobId"])  # what Slurm does two minutes before the limit
    assert started.ends() == straight
    assert slurm.jobs()[job["JobId"]]["Restarts"] == "1" and started.submissions() == [job["JobId"]]


def test_a_cancelled_job_is_submitted_again_and_goes_on(slurm, project, straight):
    started = Started(slurm, project)
    job = started.trains()
    slurm.run("scancel", job["JobId"])
    assert started.ends() == straight
    assert len(started.submissions()) == 2
    assert "stopped after step" in log_of(project, job)


def test_the_controller_is_away_for_a_minute(slurm, project, straight):
    """The training goes on. Without slurmdbd, as here, the plugin (2.8) forgets its jobs meanwhile and waits for ever,
    so Snakemake is started again; what was made counts."""
    first = Started(slurm, project)
    job = first.trains()
    slurm.kill("slurmctld")
    with pytest.raises(TimeoutError):
        lab.wait_until(lambda: first.process.poll() is not None, 60)
    slurm.start_controller()
    lab.wait_until(lambda: slurm.jobs()[job["JobId"]]["JobState"] == "COMPLETED", SECONDS)
    assert (project / WEIGHTS).read_bytes() == straight
    first.process.send_signal(signal.SIGINT)
    first.process.wait(timeout=SECONDS)
    assert Started(slurm, project).ends() == straight


def test_snakemake_is_killed_and_started_again(slurm, project, straight):
    """Its jobs live on; the training of the second waits for that of the first."""
    first = Started(slurm, project)
    job = first.trains()
    os.killpg(first.process.pid, signal.SIGKILL)
    first.process.wait()
    second = Started(slurm, project)
    assert second.ends() == straight
    assert slurm.jobs()[job["JobId"]]["JobState"] == "COMPLETED"


def test_a_node_is_lost_but_its_training_lives_on(slurm, project, straight):
    """The job is queued again on the other node, and does not train beside the orphan, which stood still meanwhile."""
    started = Started(slurm, project)
    job = started.trains()
    [owner] = project.glob("results/runs/*/state/owner.json")
    orphan = json.loads(owner.read_text())["process"]
    os.kill(orphan, signal.SIGSTOP)
    slurm.kill(f"slurmd.{job['NodeList']}")
    try:
        lab.wait_until(lambda: "is in use by" in log_of(project, job), SECONDS)
    finally:
        os.kill(orphan, signal.SIGCONT)
    try:
        assert started.ends() == straight
        assert slurm.jobs()[job["JobId"]]["Restarts"] == "1"
        assert slurm.jobs()[job["JobId"]]["NodeList"] != job["NodeList"]
    finally:
        slurm.start_node(job["NodeList"])


def test_a_training_on_two_nodes(slurm, project):
    """It follows the same course, but for the rounding of sums."""
    edit(project / "params.yaml", f"train_steps: {STEPS}", "train_steps: 200")
    edit(project / "params.yaml", f"candidate_steps: {STEPS // 2}", "candidate_steps: 100")
    alone = project.parent / "alone"
    shutil.copytree(project, alone, symlinks=True)
    run(alone, "snakemake", "--cores", "2", WEIGHTS)
    edit(project / "workflow/machine.yaml", "runs: {} ", f"runs: {{{RUN}: 2}} ")
    edit(project / "workflow/machine.yaml", "gpus_per_node: 8", "gpus_per_node: 1")
    started = Started(slurm, project)
    started.ends()
    job = slurm.jobs()[started.submissions()[0]]
    assert (job["NumNodes"], job["NodeList"]) == ("2", "n[1-2]")
    logs = [(folder / f"results/training/{RUN}.jsonl").read_text().splitlines() for folder in (alone, project)]
    for one, two in zip(*(map(json.loads, log) for log in logs), strict=True):
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-2)
        assert (one["processes"], two["processes"]) == (1, 2)
    assert "Nothing to be done" in run(project, "snakemake", "--dry-run", "--cores", "1", WEIGHTS)


def log_of(folder: Path, job: dict[str, str]) -> str:
    return next(folder.glob(f".snakemake/slurm_logs/**/{job['JobId']}.log")).read_text()
