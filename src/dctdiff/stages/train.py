"""Train one run and write its EMA weights and its log.

The same command starts, resumes and finishes. The state lies in a folder beside the weights,
named by a fingerprint of all that defines the run: a change of any of it starts from step 0, and
a rerun without a change costs seconds.
"""

import dataclasses
import hashlib
import json
import signal
from pathlib import Path

import numpy as np

from dctdiff.archive import read_images
from dctdiff.closure import code_fingerprint
from dctdiff.codec import zigzag
from dctdiff.command import parse_command, run_stage
from dctdiff.files import read_json, sha256, write_text
from dctdiff.launch import process_rank, relaunch_with
from dctdiff.model import ModelConfig, save_model
from dctdiff.params.train import NOT_IN_FINGERPRINT, Run
from dctdiff.statistics import loss_weights
from dctdiff.training import train

MODULE = "dctdiff.stages.train"


def model_config(run: Run, statistics: dict) -> ModelConfig:
    codec_keys = ("space", "resolution", "block_size", "kept_coefficients", "patch_size")
    codec = {key: statistics[key] for key in codec_keys if key in statistics}
    if codec["space"] == "dct":
        codec["eta"] = statistics["eta"]
    return ModelConfig(
        **codec, embed_dim=run.embed_dim, depth=run.depth, num_heads=run.num_heads, snr_scale=run.snr_scale
    )


def token_weights(config: ModelConfig, statistics: dict) -> list[float]:
    """Entropy weights of Y, Y, Y, Y, Cb, Cr (protocol point 22); pixels have none."""
    if config.space == "pixel":
        return [1.0]
    order = np.array(zigzag(config.block_size))
    weights = {
        name: loss_weights(np.array(channel["entropy"])[order].tolist(), config.kept_coefficients)
        for name, channel in statistics["channels"].items()
    }
    return 4 * weights["y"] + weights["cb"] + weights["cr"]


def fingerprint(run: Run, config: ModelConfig, weights: list[float], images_sha256: str) -> str:
    """What defines the run: its params, the codec, the loss weights, the images and the code."""
    identity = {
        "run": run.model_dump(exclude=NOT_IN_FINGERPRINT),
        "model": dataclasses.asdict(config),
        "weights": weights,
        "images_sha256": images_sha256,
        "code": code_fingerprint(MODULE),
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def stop_on_signals():
    """A function that tells whether SIGTERM or SIGINT has come since."""
    received = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: received.append(number))
    return lambda: bool(received)


def main() -> None:
    paths, run = parse_command(
        __doc__,
        {
            "images": "archive of the training images",
            "statistics": "statistics of the codec",
            "out_weights": "EMA weights, safetensors",
            "out_log": "training log, JSON lines",
        },
        Run,
    )
    relaunch_with(run.processes, MODULE)
    statistics = read_json(paths.statistics)
    config = model_config(run, statistics)
    weights = token_weights(config, statistics)
    name = fingerprint(run, config, weights, sha256(paths.images))
    state_folder = Path(paths.out_weights).parent / "state" / name

    ema, log = train(run, config, weights, read_images(paths.images), state_folder, stop_on_signals())
    if process_rank() == 0:
        save_model(paths.out_weights, ema, config)
        write_text(paths.out_log, "".join(log))


if __name__ == "__main__":
    run_stage(main)
