"""What Snakemake and DVC each think the DAG is, in one form, and both engines on a copy."""

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 300  # no command of a test may take longer
COPIED = ("Snakefile", "dvc.yaml", "params.yaml", "workflow", "src", ".dvc/config", ".gitignore")


@dataclasses.dataclass(frozen=True)
class Stage:
    """A job or stage; ``params`` are the slices of params.yaml it depends on, as JSON."""

    command: str
    inputs: list[str]
    outputs: list[str]
    params: list[str]


def copy_project(folder: Path, suite: str = "micro") -> Path:
    """A git repository at ``folder`` with the project's files and the ``suite`` chosen."""
    for name in COPIED:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copyfile(source, target)
    edit(folder / "params.yaml", "suite: *demo", f"suite: *{suite}")
    run(folder, "git", "init", "--quiet")
    return folder


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) >= 1, f"{old!r} is not in {path}"
    path.write_text(text.replace(old, new, 1))


def run(folder: Path, *command: str, fails: bool = False) -> str:
    """Output of a command in ``folder``, run on the code of that folder."""
    program = Path(sys.executable).parent / command[0]
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": str(folder / "src"),
        "HOME": str(folder / ".home"),
        "XDG_CACHE_HOME": str(folder / ".home/cache"),
        "DVC_NO_ANALYTICS": "1",
    }
    done = subprocess.run(
        [program if program.exists() else command[0], *command[1:]],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS,
    )  # fmt: skip
    output = done.stdout + done.stderr
    assert (done.returncode != 0) == fails, output
    return output


def stages_of(folder: Path, engine: str) -> dict[str, Stage]:
    """Name ("crop@photos32") -> stage, as ``engine`` ("snakemake" or "dvc") sees them."""
    output = run(folder, "python", str(Path(__file__)), engine)
    found = json.loads(output.partition(MARK)[2].splitlines()[0])
    return {name: Stage(**fields) for name, fields in sorted(found.items())}


def stage(command: str, inputs, outputs, params) -> dict:
    return {
        "command": " ".join(command.split()),
        "inputs": sorted(inputs),
        "outputs": sorted(outputs),
        "params": sorted(json.dumps(value, sort_keys=True) for value in params),
    }


def snakemake_stages() -> dict[str, dict]:
    from snakemake.api import SnakemakeApi
    from snakemake.settings.types import DAGSettings, OutputSettings, ResourceSettings

    with SnakemakeApi(OutputSettings()) as api:
        workflow_api = api.workflow(ResourceSettings(cores=1), snakefile=Path("Snakefile"))
        workflow_api.dag(DAGSettings(forceall=True))
        workflow = workflow_api._workflow  # no public call gives inputs, commands and params
        workflow._prepare_dag(forceall=True, ignore_incomplete=True, lock_warn_only=True)
        workflow._build_dag()
        return {
            "@".join([job.rule.name, *job.wildcards]): stage(
                job.shellcmd, job.input, job.output, [p for p in job.params if isinstance(p, dict)]
            )
            for job in workflow.dag.jobs
            if job.shellcmd
        }


def dvc_stages() -> dict[str, dict]:
    """Folders among the dependencies are replaced by the outputs of the stages within."""
    from dvc.repo import Repo

    document = yaml.safe_load(Path("params.yaml").read_text())
    stages = Repo().index.stages
    outputs = {out.def_path for s in stages for out in s.outs}

    def files(path: str) -> list[str]:
        within = [out for out in outputs if out.startswith(f"{path}/")]
        return within if path not in outputs and within else [path]

    def value(key: str):
        result = document
        for part in key.split("."):
            result = result[part]
        return result

    return {
        s.name: stage(
            s.cmd,
            [file for dep in s.deps if dep not in s.params for file in files(dep.def_path)],
            [out.def_path for out in s.outs],
            [value(key) for dep in s.params for key in dep.params],
        )
        for s in stages
    }


def differences(snakemake: dict[str, Stage], dvc: dict[str, Stage]) -> list[str]:
    """What the two say differently, one line each; empty if they agree."""
    lines = [f"{name} is only in one engine" for name in sorted(snakemake.keys() ^ dvc.keys())]
    folders = [out for s in dvc.values() for out in s.outputs if not Path(out).suffix]
    for name in snakemake.keys() & dvc.keys():
        for field in ("command", "inputs", "outputs", "params"):
            ours, theirs = getattr(snakemake[name], field), getattr(dvc[name], field)
            if field == "inputs" and name.partition("@")[0] in ("plan", "download"):
                ours = sorted([*ours, CHECKED_FIRST])
            if field == "outputs":  # DVC declares the folder of figures, Snakemake each of them
                ours = sorted({next((f for f in folders if o.startswith(f"{f}/")), o) for o in ours})
            if ours != theirs:
                lines.append(f"{name}: {field}: Snakemake has {ours}, DVC has {theirs}")
    return lines


MARK = "DAG as JSON: "
CHECKED_FIRST = "results/params.valid"  # DVC needs the edge; Snakemake validates before any job

if __name__ == "__main__":
    print(MARK + json.dumps({"snakemake": snakemake_stages, "dvc": dvc_stages}[sys.argv[1]]()))
