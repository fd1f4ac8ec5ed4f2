"""Training steps of one shape: images/s with the data pipeline, the time to the first step, memory, idle GPU."""

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch

from dctdiff.bench.measuring import idle_shares, write_result
from dctdiff.bench.shapes import TRAINED, forward_flops, random_images, run_and_config
from dctdiff.training import train

FIRST_TIMED, LAST_TIMED, LAST = 20, 60, 76  # steps; the ones after the timed are profiled


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="of the paper suite")
    parser.add_argument("--batch_size", type=int)
    parser.add_argument("--attention", default="sdpa")
    parser.add_argument("--compile", default="auto")
    parser.add_argument("--mixed_precision", default="auto")
    parser.add_argument("--gradient_checkpointing", action="store_true")
    parser.add_argument("out")
    arguments = vars(parser.parse_args())
    del arguments["out"]
    name = arguments.pop("run")
    arguments["batch_size"] = arguments["batch_size"] or TRAINED[name]
    run, config = run_and_config(
        name, **arguments, train_steps=LAST, log_steps=FIRST_TIMED, checkpoint_steps=LAST, candidate_steps=None
    )
    weights = [1.0] * config.codec().shape[-1] if config.space == "dct" else [1.0]
    with tempfile.TemporaryDirectory() as folder, random_images(config.resolution, 4 * run.batch_size) as images:
        watch = Watch()
        _, log = train(run, config, weights, images, None, Path(folder), watch)
    lines = {line["step"]: line for line in map(json.loads, log)}
    seconds = (lines[LAST_TIMED]["seconds"] - lines[FIRST_TIMED]["seconds"]) / (LAST_TIMED - FIRST_TIMED)
    write_result(
        {
            "run": name,
            **arguments,
            "precision": lines[LAST]["precision"],
            "images_per_second": run.batch_size / seconds,
            "tflop_s": 3 * forward_flops(config) * run.batch_size / seconds / 1e12,
            "first_step_seconds": watch.first_step_seconds,
            **idle_shares(watch.profiler),
            "peak_gib": torch.cuda.max_memory_allocated() / 2**30,
            "loss": lines[FIRST_TIMED]["loss"],
        }
    )
    (Path("results/bench") / "profiles").mkdir(parents=True, exist_ok=True)
    table = watch.profiler.key_averages().table(sort_by="cuda_time_total", row_limit=40, max_name_column_width=80)
    label = "-".join([name, arguments["attention"], "checkpointing" if run.gradient_checkpointing else "plain"])
    (Path("results/bench/profiles") / f"{label}.txt").write_text(table)


if __name__ == "__main__":
    main()
