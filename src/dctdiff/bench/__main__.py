"""Run the benchmarks, each in a process of its own, and write results/bench/<name>.json."""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import torch

from dctdiff.bench.shapes import IMAGES_OF_A_GPU, SAMPLED, SCALED, TRAINED

FOLDER = Path("results/bench")
COMPARED = ["cifar10-dctdiff-m", "celeba64-dctdiff-s"]  # attention backends and precisions, on these shapes
LARGE = ["ffhq512-dctdiff-m", "--batch_size", "128"]


def benchmarks(n_gpus: int, official: str | None) -> dict[str, list[str]]:
    """Name -> module and arguments, without the file to write. ``official``: a checkout of the authors' code."""
    found = {"codec": ["codec", "cpu"], "loading": ["loading"], "rounding": ["rounding"]}
    if official:
        found["official-codec"] = ["official", official, "codec"]
    if not n_gpus:
        return found
    found = {"ceilings": ["ceilings"], **found, "codec-gpu": ["codec", "cuda"], "features": ["features"]}
    found["start"] = ["start"]
    found["bounds"] = ["bounds"]
    found["training"] = ["training", *TRAINED]
    found["sampling"] = ["sampling", *SAMPLED]
    if n_gpus > 1:
        found["sharing"] = ["sharing"]
    if official:
        found["official"] = ["official", official, *TRAINED]
    found["training-fp16"] = ["training", *TRAINED, "--mixed_precision", "fp16"]
    found["training-eager"] = ["training", *COMPARED, "--compile", "never"]
    for attention in ("xformers", "math"):
        found[f"training-{attention}"] = ["training", *COMPARED, "--attention", attention]
    found["training-large"] = ["training", *LARGE]
    found["training-large-checkpointing"] = ["training", *LARGE, "--gradient_checkpointing"]
    return found | scaling(n_gpus)


def scaling(n_gpus: int) -> dict[str, list[str]]:
    """One GPU and all of this machine, with as many images for each of them (weak scaling) and for all (strong)."""
    found = {}
    for run, parts in SCALED.items():
        words = ["training", run, "--accumulation_steps", str(parts)]
        strong = [(n_gpus, IMAGES_OF_A_GPU)] if parts == 1 else []
        for processes, batch_size in [(1, IMAGES_OF_A_GPU), (n_gpus, IMAGES_OF_A_GPU * n_gpus), *strong]:
            more = ["--batch_size", str(batch_size), "--processes", str(processes)]
            found[f"training-{run}-{processes}x{batch_size // processes}"] = [*words, *more]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m dctdiff.bench", description=__doc__)
    parser.add_argument("names", nargs="*", help="benchmarks to run; none: all that this machine can run")
    parser.add_argument("--official", metavar="FOLDER", help="also measure the authors' code, in a checkout of it")
    arguments = parser.parse_args()
    chosen, known = arguments.names, benchmarks(torch.cuda.device_count(), arguments.official)
    unknown = [name for name in chosen if name not in known]
    if unknown:
        sys.exit(f"error: {unknown[0]} is not a benchmark of this machine; known are {', '.join(known)}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in chosen or known:
        module, *words = known[name]
        started = time.monotonic()
        out = str(FOLDER / f"{name}.json")
        command = [sys.executable, "-m", f"dctdiff.bench.{module}", *words, "--out", out]
        status = subprocess.run(command, check=False).returncode
        print(f"{name}: {'done' if status == 0 else 'FAILED'} in {time.monotonic() - started:.0f} s", flush=True)
        failed += [name] if status else []
    if failed:
        sys.exit(f"error: {', '.join(failed)} failed; the output is above")


if __name__ == "__main__":
    main()
