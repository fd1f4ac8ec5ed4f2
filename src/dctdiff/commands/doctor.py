"""Look whether this machine can run the suite, before a job waits in a queue for it: one table.

``make doctor`` calls it. It fetches nothing and asks no network. Times are forecast (``dctdiff.models.forecast``)
for this machine and for one H100, on which docs/bench was measured.
"""

import os
import shutil
import time
from collections.abc import Collection, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import torch
from tabulate import tabulate

from dctdiff.data.archive import count_images
from dctdiff.metrics.features import weights_file
from dctdiff.models.forecast import H100_FLOP_S, REACHED, disk_bytes, network_flops
from dctdiff.params.download import Download
from dctdiff.params.status import whys_stale
from dctdiff.params.suite import Suite, planned, read_params, validated
from dctdiff.pipeline.command import run_command
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import existing_file
from dctdiff.pipeline.hardware import default_device, device_name
from dctdiff.registry.sources import SOURCES
from dctdiff.stages.download import sources
from dctdiff.stages.weights_published import place

OK, LATER, BAD = "ok", "later", "MISSING"
LOCK = Path("requirements.lock")
GB = 1e9
MATRIX_SIDE = {"cuda": 8192, "cpu": 1024}
REPEATS = 5
N_NAMED = 3


class Finding(NamedTuple):
    what: str
    found: str
    verdict: str  # OK; LATER: will be made or fetched; BAD: a job will stop there


def packages() -> Finding:
    """Installed versions beside those of the lock."""
    pins = [line.split("==") for line in existing_file(LOCK).read_text(encoding="utf-8").splitlines() if "==" in line]
    others = [f"{name} {found or 'absent'} for {pin}" for name, pin in pins if (found := _version(name)) != pin]
    if not others:
        return Finding("packages", f"{len(pins)} as in {LOCK}", OK)
    return Finding("packages", f"{_some(others)}; make env installs those of the lock", "differ")


def _version(name: str) -> str | None:
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return None


def device() -> Finding:
    if torch.cuda.is_available():
        n_gpus, memory = torch.cuda.device_count(), torch.cuda.get_device_properties(0).total_memory
        return Finding("device", f"{n_gpus} x {torch.cuda.get_device_name(0)}, {memory / 2**30:.0f} GiB", OK)
    if shutil.which("nvidia-smi"):
        return Finding("device", "nvidia-smi is here, but PyTorch sees no GPU: its CUDA or the driver is too old", BAD)
    cpu, threads = device_name(torch.device("cpu")), torch.get_num_threads()
    return Finding("device", f"no GPU; {cpu}, threads per job: {threads}", OK)


def precisions(suite: Suite) -> Iterator[Finding]:
    """fp16 is refused without a GPU."""
    trained = {name: run for name, run in suite.runs.items() if run.weights == "trained"}
    entries = {"runs": trained, "selections": suite.selections, "cells": suite.cells}
    if not torch.cuda.is_available():
        for section, named in entries.items():
            names = [name for name, entry in named.items() if entry.mixed_precision == "fp16"]
            if names:
                yield Finding("precision", f"{section}: fp16 of {_some(names)} needs a GPU, which is not here", BAD)


def data(name: str, download: Download, cropped: bool = False) -> Finding:
    """Images that are here already (``cropped``: as the params of now want them), or where they will come from."""
    what, made = f"data {name}", Path(f"data/{name}/train.zip")
    if cropped and made.exists():
        try:
            return Finding(what, f"{count_images(made)} training images in {made}", OK)
        except UserError as error:
            return Finding(what, str(error), BAD)
    if SOURCES[download.source].address is None:
        return Finding(what, "photographs of scikit-image", OK if _version("scikit-image") else BAD)
    absent = [path for path in sources(download) if not path.exists()]
    if not absent:
        return Finding(what, f"{_some(list(map(str, sources(download))))}, not yet read", OK)
    if SOURCES[download.source].fetch is None:
        return Finding(what, f"{_some(list(map(str, absent)))} does not exist; put it there", BAD)
    if download.source == "kaggle" and not _has_kaggle_token():
        return Finding(what, f"{absent[0]} is not here, and no token of kaggle: kaggle auth login makes one", BAD)
    return Finding(what, f"{absent[0]} will be fetched ({download.source})", LATER)


def _has_kaggle_token() -> bool:
    folder = Path.home() / ".kaggle"
    in_file = any((folder / name).exists() for name in ("kaggle.json", "access_token"))
    return in_file or bool({"KAGGLE_KEY", "KAGGLE_API_TOKEN"} & os.environ.keys())


def files(suite: Suite, stale: Collection[tuple[str, str | None]]) -> Iterator[Finding]:
    """Weights and references of others that ``stale`` jobs will read, and the weights of the extractor."""
    for stage, models in (("weights", suite.runs), ("import_weights", suite.imports)):
        for name, model in models.items():
            if model.weights == "published" and (stage, name) in stale:
                yield _file(f"{stage} {name}", place(model.release), is_fetched=model.release.url is not None)
    for name, codec in suite.codecs.items():
        if codec.autoencoder and codec.autoencoder.seed is None and ("latents", name) in stale:
            yield _file(f"latents {name}", place(codec.autoencoder), is_fetched=codec.autoencoder.url is not None)
    of_datasets = {name: dataset.reference for name, dataset in suite.datasets.items()}
    for stage, references in (("reference", of_datasets), ("import_reference", suite.references)):
        for name, reference in references.items():
            if reference.file and (stage, name) in stale:
                yield _file(f"{stage} {name}", Path(reference.file))
    path = weights_file(suite.extractor.extractor)
    if path is not None:
        verdict = OK if path.exists() else LATER
        yield Finding("extractor", f"{path} {'is here' if path.exists() else 'will be fetched'}", verdict)


def _file(what: str, path: Path, is_fetched: bool = False) -> Finding:
    if path.exists():
        return Finding(what, f"{path}, {path.stat().st_size / 1e6:.0f} MB", OK)
    if is_fetched:
        return Finding(what, f"{path} will be fetched (http)", LATER)
    return Finding(what, f"{path} does not exist; put it there", BAD)


def _some(names: list[str]) -> str:
    return ", ".join(names[:N_NAMED]) + (f" and {len(names) - N_NAMED} more" if len(names) > N_NAMED else "")


def disk(needed: float) -> Finding:
    free = shutil.disk_usage(".").free
    found = f"about {needed / GB:.3g} GB more needed beside what is fetched, {free / GB:.3g} GB free"
    return Finding("disk", found, OK if needed < free else BAD)


def matrix_rate() -> float:
    """Floating-point operations per second of a large matrix product, in the arithmetic of training."""
    where = default_device()
    kind, side = (torch.bfloat16 if where.type == "cuda" else torch.float32), MATRIX_SIDE[where.type]
    a = torch.ones(side, side, dtype=kind, device=where)
    for repeats in (1, REPEATS):  # the first warms up
        started = time.perf_counter()
        for _ in range(repeats):
            last = a @ a
        last[0, 0].item()  # waits for the GPU
    return REPEATS * 2 * side**3 / (time.perf_counter() - started)


def times(flops: dict[tuple[str, str], float]) -> list[list[str]]:
    """Rows of the second table: networks of each stage, and all."""
    here = matrix_rate() * REACHED[default_device().type]
    h100 = H100_FLOP_S * REACHED["cuda"]
    stages: dict[str, list[float]] = {}
    for (stage, _), operations in flops.items():
        stages.setdefault(stage, []).append(operations)
    stages["all"] = list(flops.values())
    return [
        [stage, len(each), _duration(sum(each) / here), _duration(sum(each) / h100)] for stage, each in stages.items()
    ]


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return "under 2 minutes"


def main() -> None:
    params = read_params("params.yaml")
    suite = validated(params).suite
    stale = [job for job, reason in whys_stale(params["suite"]).items() if reason]
    plan, extractor = planned(suite), suite.extractor.model_dump()
    flops = {job: value for job, value in network_flops(plan, extractor).items() if job in stale and value}
    needed = sum(value for job, value in disk_bytes(plan).items() if job in stale)
    findings = [
        Finding("params.yaml", f"{len(stale)} jobs of the suite are to run", OK),
        packages(),
        device(),
        *precisions(suite),
        *(data(name, dataset.download, ("crop", name) not in stale) for name, dataset in suite.datasets.items()),
        *files(suite, stale),
        disk(needed),
    ]
    print(tabulate(findings, headers=["what", "found", "verdict"]))
    if flops:
        headers = ["networks of", "jobs", "about, one job at a time here", "GPU time of an H100"]
        print(f"\n{tabulate(times(flops), headers=headers)}")
        print("Downloads, crops and statistics are not counted; jobs that do not wait for each other run side by side.")
    bad = [finding for finding in findings if finding.verdict == BAD]
    if bad:
        raise UserError(f"{len(bad)} of {len(findings)} are missing: {_some([finding.what for finding in bad])}")


if __name__ == "__main__":
    run_command(main)
