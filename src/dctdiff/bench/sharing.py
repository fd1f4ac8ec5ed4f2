"""How much faster several GPUs are than one: the stages that share their images, as commands.

From the time of a job that of a small one is taken: imports, compilation and the start of CUDA are not shared.
"""

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

import dctdiff
from dctdiff.bench.features import crops
from dctdiff.bench.measuring import write_result
from dctdiff.bench.shapes import SAMPLED, run_and_config
from dctdiff.data.archive import write_archive
from dctdiff.models.weights import save_model
from dctdiff.params.machine import MACHINE

RUN = "cifar10-dctdiff-m"
MOST_CROPS = 5_000  # of which larger sets are made
EXTRACTOR = {"extractor": "efficientnet-lite0", "feature_resolution": 224, "batch_size": 250}
SAMPLING = {"sampler": "dpm_solver", "nfe": 50, "jpeg_quality": 95, "seed": 1}
N_IMAGES = {"reference": 50_000, "evaluate": 50_000, "sample": 20_000, "select": 5_000}  # select: of each candidate
N_CANDIDATES = 2


def commands(batch_size: int, nfe: int) -> dict[str, Callable[[int], dict]]:
    """Stage -> its flags, by the number of images."""
    sampling = {**SAMPLING, "nfe": nfe}
    return {
        "reference": lambda n: {
            "images": f"{n}.zip", **EXTRACTOR, "n_images": n, "out_reference": "reference.npz",
        },
        "evaluate": lambda n: {
            "images": f"{n}.zip", "reference": "reference.npz", **EXTRACTOR, "out_evaluation": "evaluation.json",
        },
        "sample": lambda n: {
            "weights": f"checkpoints/{1:09d}.safetensors", "run": "r", "reference": "d", "checkpoint": "last",
            **sampling, "n_images": n, "batch_size": batch_size, "out_samples": "s.zip", "out_grid": "s.png",
        },
        "select": lambda n: {
            "checkpoints": "checkpoints", "reference_file": "reference.npz", "reference": "d", **sampling,
            "n_images": n, "sample_batch_size": batch_size, **EXTRACTOR,
            "out_weights": f"best/{time.time_ns()}/best.safetensors", "out_selection": "selection.json",
        },
    }  # fmt: skip


def prepare(folder: Path, sizes: set[int]) -> None:
    """Archives of so many images, and checkpoints with random weights."""
    for size in sizes:
        files = itertools.cycle([content for _, content in crops(min(size, MOST_CROPS))])
        write_archive(folder / f"{size}.zip", ((f"{i:06d}.jpg", next(files)) for i in range(size)), {})
    _, config = run_and_config(RUN)
    for number in range(1, N_CANDIDATES + 1):
        network = config.network()
        network.initialise(torch.Generator().manual_seed(number))
        save_model(folder / f"checkpoints/{number:09d}.safetensors", network.state_dict(), config)


def seconds_of(folder: Path, stage: str, flags: dict, processes: int) -> float:
    (folder / MACHINE).parent.mkdir(exist_ok=True)
    (folder / MACHINE).write_text(f"processes_per_run: {processes}\nprocesses_per_cell: {processes}\n")
    words = [f"--{name}={value}" for name, value in flags.items()]
    environment = {**os.environ, "PYTHONPATH": str(Path(dctdiff.__file__).parent.parent)}
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", f"dctdiff.stages.{stage}", *words], cwd=folder, env=environment, check=True)
    return time.monotonic() - started


def measured(folder: Path, stage: str, flags: Callable[[int], dict], small: int, more: int, processes: int) -> dict:
    """Seconds of a stage with ``small`` images and with so many ``more``, by one process and by several."""
    found = []
    for number in (1, processes):
        start, whole = (seconds_of(folder, stage, flags(size), number) for size in (small, small + more))
        found.append({"processes": number, "start_seconds": start, "seconds": whole})
    one, several = (times["seconds"] - times["start_seconds"] for times in found)
    return {"stage": stage, "n_images_of_start": small, "more_images": more, "measured": found, "times": one / several}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stages", nargs="*", help=f"of {', '.join(N_IMAGES)}; none: all")
    parser.add_argument("--processes", type=int, default=torch.cuda.device_count(), help="compared with one")
    parser.add_argument("--share", type=float, default=1.0, help="of the numbers of images and evaluations")
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    batch_size, nfe = (max(2, round(arguments.share * number)) for number in (SAMPLED[RUN], SAMPLING["nfe"]))
    more = {stage: max(1, round(arguments.share * number)) for stage, number in N_IMAGES.items()}
    small = arguments.processes * batch_size
    chosen, flags = arguments.stages or list(N_IMAGES), commands(batch_size, nfe)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, {small, small + more["reference"], small + more["evaluate"]})
        for stage in ("reference", "sample"):  # of one the others need the file, of the other what it compiles
            seconds_of(folder, stage, flags[stage](small), 1)
        result = {"run": RUN, "sample_batch_size": batch_size, "nfe": nfe, **EXTRACTOR, "stages": []}
        for stage in chosen:
            found = measured(folder, stage, flags[stage], small, more[stage], arguments.processes)
            result["stages"].append(found)
            write_result(arguments.out, result)  # of what is measured so far


if __name__ == "__main__":
    main()
