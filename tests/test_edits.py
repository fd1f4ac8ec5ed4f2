"""Edits of code: what reruns under both engines, what is asked, and how results are kept."""

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file

from dctdiff.pipeline.code import code_behind
from engines import copy_project, edit, run, take_over
from test_engines import dvc_runs, snakemake_would_run, tables

PLUMBING = {  # file, old, new: none of them can change a number
    "an error message": ("networks/attention.py", "but there is no GPU here", "but no GPU is in this machine"),
    "a description": ("params/train.py", 'description="width of the network"', 'description="its width"'),
    "a help text": ("stages/sample.py", '"picture of some of them, with', '"some of them, with'),
    "progress": ("pipeline/progress.py", "SECONDS_BETWEEN_LINES = 5.0", "SECONDS_BETWEEN_LINES = 7.0"),
    "files": ("pipeline/files.py", "json.dumps(value, indent=2,", "json.dumps(value, indent=1,"),
    "a check": ("params/train.py", "if self.embed_dim % self.num_heads:", "if self.embed_dim % self.num_heads > 0:"),
    "a new optional key": (
        "params/train.py",
        "    seed: Seed = ",
        "    dropout: float = Field(0.0)\n    seed: Seed = ",
    ),
    "another sampler": ("diffusion/samplers.py", "ratio = next_signal", "ratio = 1 * next_signal"),
    "a new sampler": ("registry/samplers.py", "SAMPLERS = {", 'SAMPLERS = {\n    "heun": Sampler(label="Heun"),'),
    "a new network": ("registry/networks.py", "NETWORKS = {", 'NETWORKS = {\n    "mixer": Network(words="Mixer"),'),
    "a new space": (
        "registry/spaces.py",
        "SPACES = {",
        "SPACES = {\n"
        '    "new": Space(words="new", codec=At("dctdiff.spaces.dct.DCTCodec"), channels={}, scaled_by=()),',
    ),
    "a new extractor": (
        "registry/extractors.py",
        "EXTRACTORS = {",
        "EXTRACTORS = {\n"
        '    "new": Extractor(features=At("dctdiff.metrics.features.inception"), gmacs=0, resolution=1),',
    ),
    "a new source": (
        "registry/sources.py",
        "SOURCES = {",
        'SOURCES = {\n    "new": Source(words="new", read=FILES_OF_IMAGES),',
    ),
}
NUMERICAL = {  # and the name under which the run asks
    "the loss": ("diffusion/loss.py", "predicted.float() - target", "target - predicted.float()",
                 "diffusion.loss.PredictionLoss.__call__"),
    "the U-ViT": ("networks/uvit.py", "x + self.mlp(", "1 * x + self.mlp(", "networks.uvit.Block.forward"),
    "the draws": ("diffusion/draws.py", ">> 1", ">> 2", "diffusion.draws.seed_from"),
    "the optimiser": ("models/optimiser.py", "1.0 - rate", "0.5 - rate / 2", "models.optimiser.update_ema"),
}  # fmt: skip
SOURCE = "src/dctdiff"
MADE_IN_SECONDS = {"plan", "tables", "report"}  # they show all keys, and what networks cost


@pytest.fixture(scope="module")
def finished(made, tmp_path_factory):
    """The micro suite, made by Snakemake and taken over by DVC."""
    folder = tmp_path_factory.mktemp("edits") / "micro"
    shutil.copytree(made[0], folder, symlinks=True)
    take_over(folder)
    return folder


@pytest.fixture
def project(finished, tmp_path):
    """A copy of it in which code may be edited."""
    shutil.copytree(finished, tmp_path / "project", symlinks=True)
    return tmp_path / "project"


def weights(folder: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in (folder / "results/runs").glob("*/last.safetensors")}


def states(folder: Path) -> dict[str, int]:
    """State file -> when it was written."""
    return {str(path): path.stat().st_mtime_ns for path in (folder / "results/runs").rglob("*.pt")}


def test_plumbing_reruns_nothing_that_has_a_number(project):
    """All at once, since each must change nothing."""
    before, files = weights(project), states(project)
    for name, old, new in PLUMBING.values():
        edit(project / SOURCE / name, old, new)
    assert snakemake_would_run(project) <= MADE_IN_SECONDS
    assert dvc_runs(project) <= {"validate", "code", *MADE_IN_SECONDS}
    assert (weights(project), states(project)) == (before, files)


def test_a_job_that_runs_again_trains_no_step(project):
    """As after an edit of the loop around the steps, which could change what is logged."""
    before, files = weights(project), states(project)
    edit(project / SOURCE / "models/training.py", "state.seconds += ", "state.seconds += 1 * ")
    assert "weights" in snakemake_would_run(project)
    output = run(project, "snakemake", "--cores", "2", "results/runs/micro32-dctdiff/last.safetensors")
    assert "6/6 steps" in output and " 0/6 steps" not in output
    assert (weights(project), states(project)) == (before, files)


@pytest.mark.parametrize("edited", NUMERICAL)
def test_code_that_changes_numbers_asks_first(project, edited):
    name, old, new, definition = NUMERICAL[edited]
    files, results = states(project), made_files(project)
    edit(project / SOURCE / name, old, new)
    target = "results/runs/micro32-dctdiff/last.safetensors"
    assert "weights" in snakemake_would_run(project)
    output = run(project, "snakemake", "--cores", "1", target, fails=True)
    assert "error: micro32-dctdiff has a state of 6 steps" in output
    assert f"trained by other code ({definition} differ)" in output
    assert (" on other images" in output) == (edited == "the draws")  # which the crops come from, too
    assert "make continue RUN=micro32-dctdiff" in output and "make anew RUN=micro32-dctdiff" in output
    assert log_of(project, "weights/micro32-dctdiff")[-1].startswith("error: micro32-dctdiff has a state of 6 steps")
    assert "log: logs/weights/micro32-dctdiff.log" in output
    assert states(project) == files
    if edited == "the draws":
        return
    assert made_files(project) == results  # the finished run, too, which is asked about
    edit(project / SOURCE / name, new, old)
    assert snakemake_would_run(project) == set()


def log_of(folder: Path, job: str) -> list[str]:
    return (folder / f"logs/{job}.log").read_text().splitlines()


def made_files(folder: Path) -> dict[str, bytes]:
    """Without the states, and without the ledger, which every start adds to."""
    paths = [path for path in (folder / "results").rglob("*") if path.is_file()]
    paths = [path for path in paths if not {"state", "ledger"} & set(path.parts)]
    return {str(path): path.read_bytes() for path in paths if not path.name.startswith(".")}


def answer(project: Path, word: str) -> str:
    return run(project, "python", "-m", "dctdiff.commands.answer", word)


def test_both_answers(project):
    before = weights(project)
    name, old, *_ = NUMERICAL["the optimiser"]
    edit(project / SOURCE / name, old, "(1.0 - rate) / 2")
    output = run(project, "dvc", "repro", "--keep-going", fails=True)
    assert "make continue RUN=micro32-dctdiff" in output and "make continue RUN=micro32-uvit" in output
    assert log_of(project, "weights/micro32-uvit")[-1].startswith("error: micro32-uvit has a state of 6 steps")

    asked = answer(project, "continue")
    assert "micro32-dctdiff will go on from step 6" in asked and "micro32-uvit will go on from step 6" in asked
    output = run(project, "dvc", "repro")
    assert " 0/6 steps" not in output
    assert weights(project) == before
    assert "6 (other code until 6)" in tables(project)["training.md"].decode()
    log = (project / "results/training/micro32-dctdiff.jsonl").read_text().splitlines()
    assert json.loads(log[-1])["step"] == 6

    edit(project / SOURCE / name, "(1.0 - rate) / 2", "(1.0 - rate) / 4")
    run(project, "snakemake", "--cores", "1", "--keep-going", "results/runs/micro32-uvit/last.safetensors", fails=True)
    assert "micro32-uvit will start anew" in answer(project, "anew")
    run(project, "snakemake", "--cores", "1", "results/runs/micro32-uvit/last.safetensors")
    after = load_file(project / "results/runs/micro32-uvit/last.safetensors")
    assert weights(project)["micro32-uvit"] != before["micro32-uvit"] and after
    # The code of before finds its own state, without a question.
    edit(project / SOURCE / name, "(1.0 - rate) / 4", old)
    output = run(project, "snakemake", "--cores", "1", "results/runs/micro32-uvit/last.safetensors")
    assert weights(project)["micro32-uvit"] == before["micro32-uvit"] and " 0/6 steps" not in output


def keep(project: Path, *words: str, fails: bool = False) -> str:
    output = run(project, "python", "-m", "dctdiff.commands.keep", *words, fails=fails)
    if not fails:
        run(project, "dvc", "repro", "code")
    return output


HARMLESS = ("data/archive.py", "buffer = io.BytesIO()\n    Image", "buffer = io.BytesIO(b'')\n    Image")


def test_results_are_kept_if_an_edit_is_judged_harmless(project):
    edit(project / SOURCE / HARMLESS[0], *HARMLESS[1:])
    rerun = snakemake_would_run(project)
    assert {"crop", "sample", "evaluate", "weights"} <= rerun
    assert "WHY is missing" in keep(project, fails=True)
    output = keep(project, "--why", "an empty buffer is an empty buffer")
    assert "sample: 6 results of earlier code are kept" in output
    assert snakemake_would_run(project) == set()
    assert dvc_runs(project, "--dry") == set()
    assert json.loads(run(project, "dvc", "status", "--json")) == {"sources": ["always changed"]}

    # What is made from now on says so, and an edit of params is still seen.
    edit(project / "params.yaml", "suite: *micro", "suite: *micro")
    micro = (project / "params.yaml").read_text()
    head, rest = micro.split("  micro: &micro")
    (project / "params.yaml").write_text(f"{head}  micro: &micro{rest.replace('nfe: 2', 'nfe: 4', 1)}")
    assert snakemake_would_run(project) == {"plan", "sample", "evaluate", "tables", "report"}
    run(project, "snakemake", "--cores", "2")
    record = json.loads((project / "results/records/sample/micro-dct-best.json").read_text())
    assert record["code"] != record["code_that_ran"]
    assert "sample" in dvc_runs(project, "--dry")

    # Another edit, and the end of the judgement, are seen too.
    edit(project / SOURCE / HARMLESS[0], HARMLESS[2], "buffer = io.BytesIO(b'' + b'')\n    Image")
    assert {"crop", "sample"} <= snakemake_would_run(project)


def test_stages_can_be_kept_one_by_one(project):
    edit(project / SOURCE / HARMLESS[0], *HARMLESS[1:])
    before = snakemake_would_run(project)
    keep(project, "--stages", "download", "crop", "pack", "weights", "--why", "the buffer")
    after = snakemake_would_run(project)
    assert "crop" not in after and "sample" in after and after < before
    assert "STAGES has 'sampel', but the stages are" in keep(project, "--stages", "sampel", "--why", "x", fails=True)


def test_a_judgement_ends_when_its_edit_is_undone(project):
    path = project / SOURCE / HARMLESS[0]
    edit(path, *HARMLESS[1:])
    keep(project, "--why", "the buffer")
    edit(path, HARMLESS[2], HARMLESS[1])
    assert snakemake_would_run(project) == set()
    assert "nothing to keep" in keep(project, "--why", "nothing", fails=True)
    assert snakemake_would_run(project) == set()


def test_a_broken_list_of_judgements_is_one_line(project):
    (project / "workflow/kept.yaml").write_text("a: [1\n")
    output = run(project, "snakemake", "--dry-run", "--cores", "1", fails=True)
    assert "workflow/kept.yaml is broken" in output and "restore it from git" in output


def test_records_say_the_code_that_the_engines_were_given(finished):
    for module, record in {
        "download": "download/micro32", "tables": "tables", "evaluate": "evaluate_heldout/micro32",
    }.items():  # fmt: skip
        found = json.loads((finished / f"results/records/{record}.json").read_text())
        assert found["module"] == f"dctdiff.stages.{module}"
        chosen = {"evaluate": {"EXTRACTORS": "efficientnet-lite0"}, "download": {"SOURCES": "scikit-image"}}
        expected = code_behind(f"dctdiff.stages.{module}.main", chosen.get(module, {}))
        assert found["code"] == found["code_that_ran"] == expected


def test_the_code_of_another_clone_does_not_run(finished, tmp_path):
    """An environment belongs to the clone that it was made in."""
    other = copy_project(tmp_path / "other")
    for command in (["snakemake", "--dry-run", "--cores", "1"], ["dvc", "repro"]):
        output = run(other, *command, fails=True, code=finished / "src")
        assert f"the code of {finished / 'src'} would run, but {other} has its own" in output
        assert "run make env in" in output and "Traceback" not in output
    assert not (other / "results").exists()
