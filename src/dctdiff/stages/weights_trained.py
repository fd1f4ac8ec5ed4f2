"""Train one run and write its EMA weights, the candidates of a selection and its log.

The same command starts, resumes and finishes. The state lies beside the weights, in a folder for
each identity of the run: other params start from step 0, other code asks first, and a rerun
without a change costs seconds.
"""

import contextlib
import functools
import hashlib
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dctdiff.analysis.statistics import loss_weights
from dctdiff.data.archive import class_labels, image_names, read_record
from dctdiff.data.packing import open_latents, open_pixels
from dctdiff.models.config import ModelConfig, model_config
from dctdiff.models.identity import run_identity
from dctdiff.models.state import candidates, state_folder
from dctdiff.models.training import train
from dctdiff.models.weights import save_model, write_checkpoints
from dctdiff.params.forms import Weighing
from dctdiff.params.jobs import choices
from dctdiff.params.machine import MACHINE, read_machine, uneven_shares
from dctdiff.params.train import Run
from dctdiff.pipeline.agreement import first_does
from dctdiff.pipeline.command import run_stage
from dctdiff.pipeline.digests import digest
from dctdiff.pipeline.environment import n_processes, process_rank
from dctdiff.pipeline.errors import Interrupted, UserError
from dctdiff.pipeline.files import read_json, write_text
from dctdiff.pipeline.owner import owned
from dctdiff.pipeline.record import Used
from dctdiff.pipeline.requeue import TIME_IS_NEARLY_OVER, queue_again
from dctdiff.pipeline.signals import stop_on_signals
from dctdiff.registry.spaces import SPACES
from dctdiff.spaces.zigzag import zigzag

PATHS = {
    "images": "archive of the training images; their names tell the classes",
    "pixels": "the same images, packed",
    "latents": "the same images, encoded; read only for a latent space, unless it encodes at each step",
    "statistics": "statistics of the codec",
    "out_weights": "EMA weights after the last step, safetensors",
    "out_checkpoints": "folder of the EMA weights that a selection may choose from",
    "out_log": "training log, JSON lines",
}


def training_labels(images: str, num_classes: int | None) -> np.ndarray | None:
    """Label of each image of an archive, ``(N,)`` int64; None for an unconditional run."""
    if num_classes is None:
        return None
    labels, classes = class_labels(image_names(images))
    if len(classes) != num_classes:
        found = f"{len(classes)} classes ({', '.join(classes[:5])}{', ...' if len(classes) > 5 else ''})"
        raise UserError(f"{images} holds {found}, but num_classes is {num_classes}; correct one of them")
    return labels


def packed_images(paths: Namespace, run: Run, config: ModelConfig) -> tuple[str, np.ndarray]:
    """The file that is trained on, and what it holds: pixels, or what the autoencoder has said of them."""
    if SPACES[config.space].stored == "latents" and not run.encode_each_step:
        return paths.latents, open_latents(paths.latents, paths.images, config.codec().shape)
    return paths.pixels, open_pixels(paths.pixels, paths.images, config.resolution)


def trained_on(packed: str, labels: np.ndarray | None) -> dict[str, str | None]:
    """Digests of the images and their labels as training sees them."""
    return {"pixels": digest(packed), "labels": None if labels is None else hashlib.sha256(labels).hexdigest()}


def token_weights(run: Run, config: ModelConfig, statistics: dict) -> list[float]:
    """Entropy weights of all blocks of a token (protocol point 22); pixels and latents have none."""
    if not SPACES[config.space].has_blocks or run.loss_weights == "uniform":
        return [1.0]
    order = np.array(zigzag(config.block_size))
    weights = {
        name: loss_weights(np.array(channel["entropy"])[order].tolist(), config.kept_coefficients)
        for name, channel in statistics["channels"].items()
    }
    return [weight for name, blocks in SPACES[config.space].channels.items() for weight in blocks * weights[name]]


def processes(paths: Namespace) -> int:
    """Processes that share the training."""
    return read_machine().of_run(Path(paths.out_weights).parent.name)


def main(paths: Namespace, run: Run) -> Used:
    if run.weights != "trained":
        raise UserError(f"weights is {run.weights}, but this stage trains; run dctdiff.stages.weights_{run.weights}")
    check_shares(run)
    stop = stop_on_signals()
    states = Path(paths.out_weights).parent / "state"
    with contextlib.ExitStack() as block:
        owner = first_does(lambda: block.enter_context(owned(states, stop)))
        if owner is None:  # this process only computes
            return trained(paths, run, states, stop)
        return trained(paths, run, states, lambda: stop() or owner.is_lost(), owner.check)


def check_shares(run: Run) -> None:
    """A UserError if the processes that were launched cannot share a step evenly."""
    for problem in uneven_shares(run, n_processes()):
        raise UserError(f"{problem}; correct {MACHINE} or params.yaml")


def trained(
    paths: Namespace,
    run: Run,
    states: Path,
    stop: Callable[[], int],
    check_owner: Callable[[], None] = lambda: None,
) -> Used:
    statistics = read_json(paths.statistics, Weighing)
    labels = training_labels(paths.images, run.num_classes)
    class_counts = None if labels is None else tuple(np.bincount(labels).tolist())
    config = model_config(run, statistics, class_counts)
    weights = token_weights(run, config, statistics)
    packed, images = packed_images(paths, run, config)
    identity = run_identity(run, config, weights, trained_on(packed, labels), read_record(paths.images))
    choose = functools.partial(state_folder, states, identity, run.train_steps, run.ask_above_steps)
    folder = first_does(choose) or choose()  # the others find what the first has made

    try:
        ema, log = train(run, config, weights, images, labels, folder, stop, check_owner)
    except Interrupted:
        if process_rank() == 0 and stop() == TIME_IS_NEARLY_OVER:
            queue_again()
        raise
    if process_rank() == 0:
        check_owner()
        checkpoints = candidates(run, folder) | {run.train_steps: Path(paths.out_weights)}
        save_model(paths.out_weights, ema, config)
        write_checkpoints(paths.out_checkpoints, checkpoints)
        write_text(paths.out_log, "".join(log))
    return Used(choices(config.space, run.network, run.framework, run.optimizer))


if __name__ == "__main__":
    run_stage(main, PATHS, Run, on_gpu=True, processes=processes)
