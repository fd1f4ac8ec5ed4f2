"""Training steps: images/s with the data pipeline, the time to the first step, memory, idle GPU; on several GPUs
images/s and memory of the first."""

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch

from dctdiff.bench.measuring import idle_shares, kernel_milliseconds, write_result
from dctdiff.bench.shapes import TRAINED, random_images, run_and_config
from dctdiff.models.cost import forward_flops
from dctdiff.models.training import train
from dctdiff.pipeline.environment import process_rank
from dctdiff.pipeline.launch import launch

FIRST_TIMED, LAST_TIMED, LAST = 20, 60, 66  # steps; the ones after the timed are profiled


class Watch:
    """Asked by the training loop after each step whether to stop; looks at the clock and the GPU instead."""

    def __init__(self):
        self.started = time.monotonic()
        self.step = 0
        self.profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])

    def __call__(self) -> bool:
        self.step += 1
        if self.step == 1:
            torch.cuda.synchronize()
            self.first_step_seconds = time.monotonic() - self.started
        if self.step == LAST_TIMED + 1:
            torch.cuda.synchronize()
            self.profiler.start()
        if self.step == LAST:
            torch.cuda.synchronize()
            self.profiler.stop()
        return False


def measured(name: str, batch_size: int, changes: dict, processes: int) -> dict:
    """A run of the paper suite with ``changes``, for some steps through the training loop of one of ``processes``."""
    steps = {"train_steps": LAST, "log_steps": FIRST_TIMED, "candidate_steps": None}
    run, config = run_and_config(name, batch_size=batch_size, **changes, **steps)
    weights = [1.0] * config.codec().shape[-1] if config.space == "dct" else [1.0]
    torch._dynamo.reset()
    torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as folder, random_images(config.resolution, 4 * batch_size) as images:
        watch = Watch()
        stop = watch if processes == 1 else lambda: False  # several ask now and then, and not after each step
        _, log = train(run, config, weights, images, None, Path(folder), stop)
    lines = {line["step"]: line for line in map(json.loads, log)}
    seconds = (lines[LAST_TIMED]["seconds"] - lines[FIRST_TIMED]["seconds"]) / (LAST_TIMED - FIRST_TIMED)
    return {
        "run": name,
        "batch_size": batch_size,
        "processes": processes,
        **changes,
        "precision": lines[LAST]["precision"],
        "images_per_second": batch_size / seconds,
        "tflop_s": 3 * forward_flops(config) * batch_size / seconds / 1e12,
        **(watched(watch) if processes == 1 else {}),
        "peak_gib": torch.cuda.max_memory_allocated() / 2**30,
        "loss": lines[FIRST_TIMED]["loss"],
    }


def watched(watch: Watch) -> dict:
    return {
        "first_step_seconds": watch.first_step_seconds,
        **idle_shares(watch.profiler),
        "milliseconds_per_step": kernel_milliseconds(watch.profiler, LAST - LAST_TIMED - 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch_size", type=int, help="none: that with which the authors' code was measured")
    parser.add_argument("--attention", default="sdpa")
    parser.add_argument("--compile", default="auto")
    parser.add_argument("--mixed_precision", default="auto")
    parser.add_argument("--gradient_checkpointing", action="store_true")
    parser.add_argument("--accumulation_steps", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1, help="GPUs that share the batch")
    parser.add_argument("runs", nargs="+", help="of the paper suite")
    parser.add_argument("--out", required=True)
    changes = vars(parser.parse_args())
    out, runs, batch_size, processes = (changes.pop(name) for name in ("out", "runs", "batch_size", "processes"))
    launch(processes)
    # One after the other in one process: only the first has the start of Python and CUDA in its first step.
    models = [measured(name, batch_size or TRAINED[name], changes, processes) for name in runs]
    if process_rank() == 0:
        write_result(out, {"models": models})


if __name__ == "__main__":
    main()
