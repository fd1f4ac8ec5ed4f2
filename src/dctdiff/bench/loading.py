"""Batches per second that the loading thread gives, for the shape of every data set of the paper."""

import argparse
import time

import torch

from dctdiff.bench.measuring import write_result
from dctdiff.bench.shapes import paper_suite, random_images
from dctdiff.models.batches import loaded_batches
from dctdiff.pipeline.hardware import default_device

STEPS = 30


def images_per_second(run, resolution: int, device: torch.device) -> float:
    with random_images(resolution, 4 * run.batch_size) as images:
        batches = loaded_batches(run, slice(None), 0, images, None, pinned=device.type == "cuda")
        next(batches)
        started = time.monotonic()
        for _ in range(STEPS):
            batch, _ = next(batches)
            batch.to(device, non_blocking=True)
        if device.type == "cuda":
            torch.cuda.synchronize()
        return STEPS * run.batch_size / (time.monotonic() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    out = parser.parse_args().out
    suite, rates = paper_suite(), {}
    for run in suite.runs.values():
        if run.dataset not in rates:
            run = run.model_copy(update={"train_steps": STEPS + 1})
            rates[run.dataset] = images_per_second(run, suite.datasets[run.dataset].crop.resolution, default_device())
    write_result(out, {"images_per_second": rates})


if __name__ == "__main__":
    main()
