"""What schedulers are asked for, without one: stubs take the place of their commands and pretend that all went well."""

import json
import os
import re
import sys
from pathlib import Path

from engines import copy_project, edit, run, stages_of

HERE = Path(__file__).parent
# Every command in one. A job is done at once: its outputs are there, empty.
STUB = '''#!{python} -S
import json, os, pathlib, re, sys
here = pathlib.Path(__file__).parent
name, words = pathlib.Path(sys.argv[0]).name, sys.argv[1:]

def make(job):
    for output in json.loads((here / "outputs.json").read_text())[job]:
        path = pathlib.Path(output)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch() if path.suffix else path.mkdir(exist_ok=True)

def submitted():
    """Number of the job that these words ask for."""
    if name == "qsub":
        words[-1] = pathlib.Path(words[-1]).read_text()  # a script
    with open(here / "submitted", "a") as file:
        file.write(json.dumps(words) + "\\\\n")
    for rule, wildcard in re.findall(r"(\\\\w+):\\\\w+=([\\\\w-]+)", re.search("--target-jobs (.*?) --", words[-1])[1]):
        make(rule + "@" + wildcard)
    return len((here / "submitted").read_text().splitlines())

if name in ("sbatch", "qsub"):
    print(submitted())
elif name == "squeue":
    path = here / "submitted"
    for number in range(1, 1 + (len(path.read_text().splitlines()) if path.exists() else 0)):
        print(str(number) + "|COMPLETED")
elif name == "scontrol":
    print("MinJobAge = 3600 sec")
elif name == "qstat":
    print(json.dumps({"Jobs": {words[-1]: {"job_state": "F", "Exit_status": 0}}}, indent=4))
elif name == "python" and words[:1] == ["-m"] and words[1].startswith("dctdiff.stages."):
    record = pathlib.Path(words[words.index("--out_record") + 1]).with_suffix("")
    make("@".join(record.relative_to("results/records").parts))
elif name == "python":
    os.execv("{python}", ["{python}", *words])
elif name in ("sacct", "sacctmgr"):
    sys.exit("accounting is disabled")
'''
COMMANDS = ("sbatch", "squeue", "scontrol", "sinfo", "sacct", "sacctmgr", "scancel", "python", "qsub", "qstat")


def stubbed(folder: Path) -> str:
    """A PATH with the stubs, which know the outputs of every job of the project in ``folder``."""
    stubs = folder / "stubs"
    stubs.mkdir()
    outputs = {name: stage.outputs for name, stage in stages_of(folder, "snakemake").items()}
    (stubs / "outputs.json").write_text(json.dumps(outputs))
    for name in COMMANDS:
        (stubs / name).write_text(STUB.replace("{python}", sys.executable).replace("\\\\", "\\"))
        (stubs / name).chmod(0o755)
    return f"{stubs}:{os.environ['PATH']}"


def submissions(folder: Path) -> list[list[str]]:
    return [json.loads(line) for line in (folder / "stubs/submitted").read_text().splitlines()]


NOT_ASKED = {"--job-name", "--output", "--comment", "-D"}  # names and paths


def jobs_of(words: list[str]) -> list[str]:
    """The jobs of a submission, which its script names."""
    return sorted(re.findall(r"\w+:\w+=[\w-]+", re.search("--target-jobs (.*?) --", words[-1])[1]))


def asked(words: list[str]) -> str:
    """The jobs of a submission, and what they ask for."""
    kept, rest = [], iter(words[:-1])
    for word in rest:
        if word in NOT_ASKED:
            next(rest)
        elif word not in ("--parsable", "--export=ALL"):
            kept.append(word)
    return f"{' '.join(jobs_of(words))}: {' '.join(kept)}"


def test_what_slurm_is_asked_for_by_every_job_of_the_paper(tmp_path):
    """Some runs on several GPUs, one of them on two nodes. If a change of the code moves a line and should: it is in
    the message of this test, for paper.txt."""
    folder = copy_project(tmp_path, "paper")
    edit(folder / "workflow/machine.yaml", "runs: {} ", "runs: {ffhq256-dctdiff-m: 4, imagenet64-dctdiff-m: 16} ")
    edit(folder / "workflow/machine.yaml", "processes_per_cell: 1", "processes_per_cell: 2")
    path = stubbed(folder)
    run(
        folder, "snakemake", "--profile", "workflow/profiles/slurm", "--slurm-init-seconds-before-status-checks", "1",
        "--latency-wait", "1", "--jobs", "1000", PATH=path,
    )  # fmt: skip
    found = "\n".join(sorted(map(asked, submissions(folder)))) + "\n"
    assert found == (HERE / "paper.txt").read_text(), found


def test_another_scheduler_needs_only_another_profile(tmp_path):
    """By its commands to submit a job and to ask for its state."""
    folder = copy_project(tmp_path)
    path = stubbed(folder)
    run(
        folder,
        "snakemake",
        "--profile",
        "workflow/profiles/pbs",
        "--latency-wait",
        "1",
        "--seconds-between-status-checks",
        "1",
        PATH=path,
    )
    jobs = {" ".join(jobs_of(words)): " ".join(words[:-1]) for words in submissions(folder)}
    assert jobs["weights:run=micro32-dctdiff"] == "-l select=1:ncpus=4:ngpus=1:mem=8001mb -l walltime=16:00"
    assert jobs["crop:dataset=micro32"] == "-l select=1:ncpus=4:ngpus=0:mem=8000mb -l walltime=16:00"
    cell = jobs["evaluate:cell=micro-dct-dpm sample:cell=micro-dct-dpm"]  # one job, as long as both
    assert cell == "-l select=1:ncpus=4:ngpus=1:mem=8000mb -l walltime=32:00"
