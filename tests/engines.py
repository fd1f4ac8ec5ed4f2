"""What Snakemake and DVC each think the DAG is, in one form, and both engines on a copy."""

import dataclasses
import importlib.util
import inspect
import json
import shutil
import subprocess
import sys
from pathlib import Path

from dctdiff.params.jobs import has_latents, latents_file
from dctdiff.pipeline.command import parse_command

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 600  # no command of a test may take longer
COPIED = (
    "Snakefile",
    "dvc.yaml",
    "params.yaml",
    "requirements.lock",
    "workflow",
    "profiles",
    "data/published.yaml",
    "data/shipped",
    "src",
    ".dvc/config",
    ".dvcignore",
    ".gitignore",
)
MARKER = ".cache/stale"  # an input of a stale job for Snakemake
CODE = "results/code/"
SOURCES = "results/sources/"


@dataclasses.dataclass(frozen=True)
class Stage:
    """A job or stage; its command holds the slices of params.yaml that it depends on."""

    command: str
    inputs: list[str]
    outputs: list[str]


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


def environment_of(folder: Path) -> dict[str, str]:
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": str(folder / "src"),
        "HOME": str(folder / ".home"),
        "XDG_CACHE_HOME": str(folder / ".home/cache"),
        "DVC_NO_ANALYTICS": "1",
    }


def run(folder: Path, *command: str, fails: bool = False, code: Path | None = None, **variables: str) -> str:
    """Output of a command in ``folder``, run on the code of that folder, or on other ``code``.

    ``variables`` are added to an environment that holds hardly any.
    """
    program = Path(sys.executable).parent / command[0]
    environment = {**environment_of(folder), **({"PYTHONPATH": str(code)} if code else {}), **variables}
    done = subprocess.run(
        [program if program.exists() else command[0], *command[1:]],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS,
    )  # fmt: skip
    output = done.stdout + done.stderr
    assert (done.returncode != 0) == fails, output
    return output


def take_over(folder: Path) -> None:
    """As ``make commit``: DVC takes over what Snakemake has made."""
    arguments = ["--params", "params.yaml"]
    marker = [
        "--published",
        "data/published.yaml",
        "--out_valid",
        "results/params.valid",
        "--out_record",
        "results/records/validate.json",
    ]
    run(folder, "python", "-m", "dctdiff.stages.validate", *arguments, *marker)
    run(folder, "python", "-m", "dctdiff.stages.code", *arguments, "--out_code", "results/code")
    run(folder, "python", "-m", "dctdiff.stages.sources", *arguments, "--out_sources", "results/sources")
    run(folder, "python", "-m", "dctdiff.commands.commit")


def call(stage) -> None:
    """Run a stage in this process on ``sys.argv``; its UserError comes as it is."""
    _, *slices = inspect.signature(stage.main).parameters.values()
    command = parse_command(stage.__doc__, stage.PATHS, *(parameter.annotation for parameter in slices))
    stage.main(*[part for part in (command.paths, command.params) if part is not None])


def load(name: str):
    """A script of the folder workflow as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"workflow/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def stages_of(folder: Path, engine: str) -> dict[str, Stage]:
    """Name ("crop@photos16") -> stage, as ``engine`` ("snakemake" or "dvc") sees them."""
    output = run(folder, "python", str(Path(__file__)), engine)
    found = json.loads(output.partition(MARK)[2].splitlines()[0])
    return {name: Stage(**fields) for name, fields in sorted(found.items())}


def stage(command: str, inputs, outputs) -> dict:
    return {"command": " ".join(command.split()), "inputs": sorted(set(inputs)), "outputs": sorted(outputs)}


def snakemake_stages() -> dict[str, dict]:
    from snakemake.api import SnakemakeApi
    from snakemake.settings.types import DAGSettings, OutputSettings, ResourceSettings

    def inputs(job) -> list[str]:
        """Nothing has run, so each job is given the marker of what is stale, if its rule asks."""
        return [path for path in job.input if path != MARKER] + ([] if MARKER in job.input else ["never stale"])

    with SnakemakeApi(OutputSettings()) as api:
        workflow_api = api.workflow(ResourceSettings(cores=1), snakefile=Path("Snakefile"))
        workflow_api.dag(DAGSettings(forceall=True))
        workflow = workflow_api._workflow  # no public call gives inputs, commands and params
        workflow._prepare_dag(forceall=True, ignore_incomplete=True, lock_warn_only=True)
        workflow._build_dag()
        return {
            "@".join([job.rule.name, *job.wildcards]): stage(job.shellcmd, inputs(job), job.output)
            for job in workflow.dag.jobs
            if job.shellcmd
        }


def dvc_stages() -> dict[str, dict]:
    """Folders among the dependencies are replaced by the outputs within.

    Each but those of ``ONLY_DVC`` depends on one digest of the code; Snakemake compares it with the record, as it
    does those of local images.
    """
    from dvc.repo import Repo

    from dctdiff.params.suite import read_params
    from dctdiff.stages.code import digests

    stages = Repo().index.stages
    outputs = {out.def_path for s in stages for out in s.outs}
    codes = digests(read_params("params.yaml")["suite"])

    def files(path: str) -> list[str]:
        within = [out for out in outputs if out.startswith(f"{path}/")]
        return within if path not in outputs and within else [path]

    def inputs(s) -> list[str]:
        deps = [dep.def_path for dep in s.deps if dep not in s.params]
        code = [path.removeprefix(CODE).removesuffix(".txt") for path in deps if path.startswith(CODE)]
        coded = s.name in ONLY_DVC or (len(code) == 1 and code[0] in codes)
        return [file for path in deps if not path.startswith((CODE, SOURCES)) for file in files(path)] + (
            [] if coded else ["no code"]
        )

    return {s.name: stage(s.cmd, inputs(s), [out.def_path for out in s.outs]) for s in stages}


def differences(snakemake: dict[str, Stage], dvc: dict[str, Stage], params: dict) -> list[str]:
    """What the two say differently, one line each; empty if they agree."""
    only_dvc = ONLY_DVC | unused(params["suite"])
    lines = [f"{name} is only in one engine" for name in sorted(snakemake.keys() ^ dvc.keys() - only_dvc)]
    folders = [out for s in dvc.values() for out in s.outputs if not Path(out).suffix]
    for name in snakemake.keys() & dvc.keys():
        for field in ("command", "inputs", "outputs"):
            ours, theirs = getattr(snakemake[name], field), getattr(dvc[name], field)
            if field == "inputs":
                theirs = sorted(set(theirs) - set(unconditional(name, params["suite"])))
                ours = sorted({next((f for f in folders if o.startswith(f"{f}/")), o) for o in ours})
            if field == "outputs":  # DVC declares the folder of figures, Snakemake each of them
                ours = sorted({next((f for f in folders if o.startswith(f"{f}/")), o) for o in ours})
            if ours != theirs:
                lines.append(f"{name}: {field}: Snakemake has {ours}, DVC has {theirs}")
    return lines


def unconditional(name: str, suite: dict) -> list[str]:
    """What only DVC, which has no conditions, waits for: where a number is imported, or of what is packed."""
    stage, _, key = name.partition("@")
    if stage == "reference" and "file" in suite["datasets"][key]["reference"]:
        return [f"data/{key}/train.zip"]
    if stage == "weights" and suite["runs"][key]["weights"] == "published":
        run = suite["runs"][key]
        images = [] if run.get("num_classes") else [f"data/{run['dataset']}/train.zip"]
        packed = [f"data/{run['dataset']}/train.npy", latents_file(run["codec"])]
        return [*images, *packed, f"results/statistics/codecs/{run['codec']}.json"]
    if stage == "weights":
        run = suite["runs"][key]
        return [f"data/{run['dataset']}/train.npy" if reads_latents(suite, run) else latents_file(run["codec"])]
    if stage == "statistics" and not has_latents(suite, key):
        return [latents_file(key)]
    return []


def reads_latents(suite: dict, run: dict) -> bool:
    return has_latents(suite, run["codec"]) and not run.get("encode_each_step")


def unused(suite: dict) -> set[str]:
    """What only DVC makes: the pixels of datasets that no run is trained on, and what stands for absent latents."""
    trained = (run for run in suite["runs"].values() if run["weights"] == "trained")
    packed = {run["dataset"] for run in trained if not reads_latents(suite, run)}
    latents = {f"latents@{name}" for name in suite["codecs"] if not has_latents(suite, name)}
    return latents | {f"pack@{name}" for name in suite["datasets"].keys() - packed}


MARK = "DAG as JSON: "
ONLY_DVC = {
    "validate",
    "code",
    "sources",
}  # Snakemake looks at params, code and local images when it reads the Snakefile

if __name__ == "__main__":
    print(MARK + json.dumps({"snakemake": snakemake_stages, "dvc": dvc_stages}[sys.argv[1]]()))
