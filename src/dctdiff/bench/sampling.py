"""Sampling, from noise to the archive of JPEGs: images x NFE per second, and of the network alone."""

import argparse
import tempfile
import time
from itertools import chain
from pathlib import Path

import torch

from dctdiff.bench.measuring import gpu_seconds, write_result
from dctdiff.bench.shapes import SAMPLED, run_and_config
from dctdiff.data.archive import write_archive
from dctdiff.models.cost import forward_flops
from dctdiff.models.execution import precision, prepared_for_sampling
from dctdiff.params.sample import Cell
from dctdiff.pipeline.turns import parts_of
from dctdiff.stages.sample import file_names, generate

NFE, BATCHES = 50, 4


def measured(name: str) -> dict:
    batch_size, device = SAMPLED[name], torch.device("cuda")
    _, config = run_and_config(name)
    cell = Cell(
        run=name, reference="none", checkpoint="last", sampler="dpm_solver", nfe=NFE, n_images=BATCHES * batch_size,
        batch_size=batch_size, jpeg_quality=95, seed=1,
    )  # fmt: skip
    torch._dynamo.reset()
    network = config.network().eval().to(device)
    names = file_names(config, cell)

    def seconds_of(n_images: int, folder: str) -> float:
        started = time.monotonic()
        parts = parts_of(range(n_images), batch_size)
        entries = chain.from_iterable(generate(network, config, cell, names, parts))
        write_archive(Path(folder) / "samples.zip", entries, {})
        return time.monotonic() - started

    with tempfile.TemporaryDirectory() as folder:
        first = seconds_of(batch_size, folder)  # compiles
        short = seconds_of(batch_size, folder)
        seconds = seconds_of(cell.n_images, folder) - short  # without recording, which a long run does once
    with torch.inference_mode():
        predict = prepared_for_sampling(network, cell)
        x, t = torch.randn(batch_size, *config.codec().shape, device=device), torch.rand(batch_size, device=device)
        network_seconds = gpu_seconds(lambda: predict(x, t))
    rate = (cell.n_images - batch_size) * NFE / seconds
    return {
        "run": name,
        "batch_size": batch_size,
        "nfe": NFE,
        "precision": precision(cell, device),
        "evaluations_per_second": rate,
        "tflop_s": forward_flops(config) * rate / 1e12,
        "network_evaluations_per_second": batch_size / network_seconds,
        "first_batch_seconds": first,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", help="of the paper suite")
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    write_result(arguments.out, {"models": [measured(name) for name in arguments.runs]})


if __name__ == "__main__":
    main()
