"""The paper suite, made small: every dataset, model, cell and table of it through the whole chain.

The shapes of the codecs stay those of the paper; networks, images and steps become few. The jobs
are those that Snakemake plans, run one after the other in this process.
"""

import contextlib
import copy
import importlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
import yaml

from dctdiff.commands import tables
from dctdiff.metrics import features
from dctdiff.metrics.features import Extractor
from dctdiff.models.release import write_state_dict
from dctdiff.models.weights import load_model
from dctdiff.params.published import FILE, load_published
from dctdiff.params.suite import table_names, validated
from dctdiff.params.train import Run
from dctdiff.pipeline.files import sha256
from dctdiff.report.tables.fields import NOT_KNOWN
from dctdiff.stages.weights_published import released_model
from engines import ROOT, call, copy_project, stages_of
from synthetic import N_CLASSES, write_source

SUITES = yaml.safe_load((ROOT / "params.yaml").read_text())["suites"]
PAPER = SUITES["paper"]
PUBLISHED = load_published(ROOT / FILE, PAPER["published"]).model_dump(exclude_none=True)
N_IMAGES = 10
TINY_RUN = {
    "embed_dim": 16, "depth": 2, "num_heads": 2, "train_steps": 2, "batch_size": 2, "warmup_steps": 1,
    "mixed_precision": "float32", "log_steps": 1, "candidate_steps": 1,
}  # fmt: skip
TINY_CELL = {"n_images": 2, "batch_size": 2, "mixed_precision": "float32"}
TINY_SELECTION = {"n_images": 2, "sample_batch_size": 2, "nfe": 1, "mixed_precision": "float32"}


def small(suite: dict, sources: Path) -> dict:
    """The suite with the same sections, names and codecs, on synthetic archives in the true layouts."""
    suite = copy.deepcopy(suite)
    for name, dataset in suite["datasets"].items():
        dataset["download"] = write_source(name, sources, N_IMAGES)
        dataset["reference"] = {"n_images": N_IMAGES}
        if "n_heldout" in dataset["crop"]:
            dataset["crop"]["n_heldout"] = 4
    for section in ("codecs", "truncations", "upsamplings", "spectra"):
        for entry in suite[section].values():
            entry["n_images"] = 4
    for codec in suite["codecs"].values():
        if codec["space"] == "latent":
            codec["autoencoder"] = {"seed": 1}
    for run in suite["runs"].values():
        if "autoencoder" in run.get("release", {}):
            run["release"]["autoencoder"] = {"seed": 1}
    for truncation in suite["truncations"].values():
        truncation["kept_coefficients"] = truncation["kept_coefficients"][::6]
    for run in suite["runs"].values():
        run |= TINY_RUN
        if "num_classes" in run:
            run["num_classes"] = N_CLASSES
    for selection in suite["selections"].values():
        selection |= TINY_SELECTION
    for cell in suite["cells"].values():
        cell |= TINY_CELL
        cell["nfe"] = min(cell["nfe"], 4)
    suite["extractor"] = {"extractor": "efficientnet-lite0", "feature_resolution": 32, "batch_size": 4}
    suite["report"]["dpi"] = 50
    return suite


@contextlib.contextmanager
def process_state(folder: Path):
    """What a command would have of its own: folder, arguments, signal handlers."""
    before = os.getcwd(), sys.argv, {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before[0])
        sys.argv = before[1]
        for number, handler in before[2].items():
            signal.signal(number, handler)


def execute(folder: Path, command: str) -> None:
    python, flag, module, *arguments = shlex.split(command)
    assert (python, flag) == ("python", "-m")
    with process_state(folder):
        sys.argv = [module, *arguments]
        call(importlib.import_module(module))


def in_order(stages: dict) -> list:
    """The stages, each after those that write its inputs."""
    writer = {output: name for name, stage in stages.items() for output in stage.outputs}
    ordered: dict[str, object] = {}

    def visit(name: str) -> None:
        if name not in ordered:
            for path in stages[name].inputs:
                if path in writer:
                    visit(writer[path])
            ordered[name] = stages[name]

    for name in stages:
        visit(name)
    return list(ordered.values())


def pooled_pixels(resolution: int, device: torch.device) -> Extractor:
    """48 features instead of 1280: eigenvalues of their covariances take most of the time otherwise."""

    def extract(images: torch.Tensor) -> torch.Tensor:
        return F.adaptive_avg_pool2d(images.permute(0, 3, 1, 2).float() / 255, 4).flatten(1)

    return Extractor("FD (pooled pixels)", "0" * 64, 48, extract)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The whole small suite, once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "efficientnet_lite0", pooled_pixels)
        yield run_small_suite(tmp_path_factory)


def run_small_suite(tmp_path_factory) -> tuple[Path, dict]:
    folder = copy_project(tmp_path_factory.mktemp("paper"))
    suite = small(PAPER, folder / "data/sources")
    (folder / "params.yaml").write_text(yaml.safe_dump({"suites": {"paper": suite}, "suite": suite}, sort_keys=False))
    for stage in in_order(stages_of(folder, "snakemake")):
        execute(folder, stage.command)
    return folder, suite


def names(suite: dict) -> list[str]:
    return table_names({**suite, "published": PUBLISHED})


def table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / f"results/tables/{name}.csv", dtype=str, keep_default_na=False)


def test_every_cell_was_reproduced_and_no_field_is_blank(finished):
    folder, suite = finished
    tables = {name: table(folder, name) for name in names(suite)}
    assert set(PUBLISHED["distances"]) < tables.keys()
    for name, frame in tables.items():
        assert not (frame == "").any(axis=None), name
        assert len(frame) > 0
    assert not (tables["quality"] == "not run").any(axis=None)
    for name, rows in PUBLISHED["distances"].items():
        ran = tables[name]["reproduced"] != "not run"
        assert ran.tolist() == ["cell" in row for row in rows], name
        assert (tables[name]["rung"][ran] == "smoke").all()
        assert (tables[name]["delta"][ran].isin(["other metric", "n/a"])).all()  # never FID - FD


def test_every_published_number_stands_in_its_table(finished):
    folder, _ = finished
    for name, rows in PUBLISHED["distances"].items():
        shown = table(folder, name)["published"].tolist()
        assert shown == [f"{row['value']:g}" if "value" in row else "not known" for row in rows]
    assert "best of 2" in table(folder, "dpm_solver")["checkpoint"][0]


def test_conditional_samples_carry_labels(finished):
    from dctdiff.data.archive import class_labels, image_names

    folder, suite = finished
    for name, cell in suite["cells"].items():
        names = image_names(folder / f"results/samples/{name}.zip")
        assert len(names) == 2
        if "num_classes" in suite["runs"][cell["run"]]:
            labels, _ = class_labels(names)
            assert len(labels) == 2


def test_every_release_can_be_imported_in_place_of_training(finished):
    """The trained weights, exported in the authors' layout, come back through the import stage."""
    folder, suite = finished
    released = {name: run for name, run in suite["runs"].items() if "release" in run}
    assert len(released) > 15
    imported = copy.deepcopy(suite)
    for name in released:
        weights = folder / f"results/runs/{name}/last.safetensors"
        release = imported["runs"][name]["release"]
        release.pop("url", None)
        release["file"] = f"data/sources/weights/{name}.pth"
        path = folder / release["file"]
        path.parent.mkdir(parents=True, exist_ok=True)
        execute(folder, f"python -m dctdiff.commands.export --weights {weights} --out_state_dict {path}")
        imported["runs"][name]["weights"] = "published"
        release["sha256"] = sha256(path)
        shutil.copyfile(weights, folder / f"{name}.safetensors")
    document = {"suites": {"paper": imported}, "suite": imported}
    validated(document, "params.yaml")
    (folder / "params.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    stages = stages_of(folder, "snakemake")
    for name, run in released.items():
        execute(folder, stages[f"weights@{name}"].command)
        trained, _ = load_model(folder / f"{name}.safetensors", torch.device("cpu"))
        network, config = load_model(folder / f"results/runs/{name}/last.safetensors", torch.device("cpu"))
        assert all(torch.equal(a, b) for a, b in zip(trained.parameters(), network.parameters(), strict=True))
        assert config.eta == run["release"].get("eta")
    for stage in ("plan", "tables"):
        execute(folder, stages[stage].command)
    assert "published weights" in table(folder, "readme")["rung"].tolist()


def test_released_weights_become_tables_without_images(tmp_path, monkeypatch):
    """The suite paper-released, its six files and its statistics made small; nothing is downloaded, nothing trained."""
    monkeypatch.setattr(features, "efficientnet_lite0", pooled_pixels)
    folder = copy_project(tmp_path)
    suite = small(SUITES["paper-released"], tmp_path / "synthetic")
    weights = folder / "data/sources/weights"
    for name, dataset in suite["datasets"].items():
        path = folder / f"data/sources/{name}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, mu=np.full(48, 0.5), sigma=np.eye(48))
        dataset["reference"] = {"file": f"data/sources/{name}.npz", "sha256": sha256(path)}
    for run in suite["runs"].values():  # two of them share a file
        file = weights / Path(run["release"]["url"]).name
        if not file.exists():
            write_state_dict(file, released_model(Run.model_validate(run), None).network().state_dict())
        run["release"]["sha256"] = sha256(file)
    document = {"suites": {"paper-released": suite}, "suite": suite}
    (folder / "params.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    stages = stages_of(folder, "snakemake")
    kinds = ("reference", "weights", "sample", "evaluate")
    for stage in in_order({name: stage for name, stage in stages.items() if name.partition("@")[0] in kinds}):
        execute(folder, stage.command)
    monkeypatch.setattr(tables, "stale_results", lambda suite: {})  # of stages called here there are no records
    with process_state(folder):
        tables.main()
    assert len(os.listdir(weights)) == 6 + 1  # .lock
    assert not list(folder.glob("data/*/train.zip"))
    quality = table(folder, "quality")
    cells = quality[quality["checkpoint"] == "published"]
    assert len(cells) == len(suite["cells"]) and not (cells == "not run").any(axis=None)
    for name, rows in load_published(ROOT / FILE, "paper-released").distances.items():
        shown = table(folder, name)
        assert shown["rung"].tolist() == len(rows) * ["published weights"]
        assert shown["published"].tolist() == [NOT_KNOWN if row.value is None else f"{row.value:g}" for row in rows]


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex; apt-get install texlive-latex-recommended")
def test_the_latex_of_every_table_compiles(finished, tmp_path):
    folder, suite = finished
    inputs = "\n".join(rf"\input{{{folder}/results/tables/{name}.tex}}\clearpage" for name in names(suite))
    (tmp_path / "all.tex").write_text(
        r"\documentclass{article}\usepackage{booktabs,longtable}\usepackage[margin=1cm]{geometry}"
        f"\n\\begin{{document}}\n{inputs}\n\\end{{document}}\n"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "all.pdf").stat().st_size > 10_000
