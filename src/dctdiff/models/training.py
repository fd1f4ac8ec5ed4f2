"""The training loop: starts, resumes and finishes a run with the same call.

It says when a step is made, logged and saved. What a step computes is in ``dctdiff.models.step``.
"""

import contextlib
import dataclasses
import functools
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from dctdiff.models.batches import loaded_batches
from dctdiff.models.config import ModelConfig
from dctdiff.models.execution import precision
from dctdiff.models.identity import training_code
from dctdiff.models.optimiser import learning_rate
from dctdiff.models.state import candidate_path, latest_step, load_state, logged_step, save_state
from dctdiff.models.step import Learner, accelerator_of
from dctdiff.models.weights import save_model
from dctdiff.params.train import Run
from dctdiff.pipeline.agreement import Meetings, first_does
from dctdiff.pipeline.code import digest_of
from dctdiff.pipeline.errors import Interrupted, UserError
from dctdiff.pipeline.files import write_text
from dctdiff.pipeline.hardware import device_name
from dctdiff.pipeline.ledger import note
from dctdiff.pipeline.progress import progress

SHOWN_DIGITS = 12  # of the digest of the code


@dataclasses.dataclass
class Progress:
    """How far a run is; part of its state."""

    loss_sum: torch.Tensor  # of the steps since the last line of the log, on the device of the run
    n_losses: int = 0
    step: int = 0
    seconds: float = 0.0
    log: list[str] = dataclasses.field(default_factory=list)
    code: str = ""  # digest of the code of the last step
    continued: list[int] = dataclasses.field(default_factory=list)  # steps from which other code went on

    def go_on_with(self, code: str) -> None:
        if self.step and code != self.code:
            self.continued.append(self.step)
            if self.log:  # there may come no further line
                self.log[-1] = json.dumps(json.loads(self.log[-1]) | {"continued": self.continued}) + "\n"
        self.code = code

    def add(self, loss: torch.Tensor) -> None:
        self.step += 1
        self.loss_sum += loss
        self.n_losses += 1

    def mean_loss(self) -> float:
        return self.loss_sum.item() / self.n_losses

    def end_line(self, line: str) -> None:
        self.log.append(line)
        self.loss_sum.zero_()
        self.n_losses = 0


def train(
    run: Run,
    config: ModelConfig,
    weights: list[float],  # of the loss, one per value of a token; [1.0] for none
    images: np.ndarray,  # (N, R, R, 3) uint8, may be a memory map
    labels: np.ndarray | None,  # (N,) int64 if the model is conditional
    state_folder: Path,  # holds the latest state, the candidates and a copy of the log
    stop: Callable[[], bool],  # asked after each step
    check_owner: Callable[[], None] = lambda: None,  # raises if nothing more may be written to the state folder
) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Returns the EMA weights after ``run.train_steps`` and the lines of the log."""
    accelerator = accelerator_of(run)
    device, writes = accelerator.device, accelerator.is_main_process
    if len(images) < run.batch_size:
        raise UserError(f"batch_size is {run.batch_size}, but there are only {len(images)} images; lower it")
    saved = load_state(state_folder, run, device, quiet=not writes)
    learner = Learner(run, config, weights, accelerator, saved)
    state = Progress(**saved["progress"]) if saved else Progress(torch.zeros((), device=device))
    state.go_on_with(digest_of(training_code(run, config)))
    if writes:
        check_owner()
        reached = min(logged_step(state_folder), run.train_steps)
        note(resumed_from=state.step, steps_lost=max(0, reached - state.step))
        write_text(state_folder / "log.jsonl", "".join(state.log))  # to follow a run; the state counts

    def write(line: bool, candidate: bool, checkpoint: bool) -> None:
        """What is new after a step."""
        check_owner()
        if line:
            with open(state_folder / "log.jsonl", "a", encoding="utf-8") as file:
                file.write(state.log[-1])
        # The candidate first, so that a state has all candidates up to its step.
        if candidate:
            save_model(candidate_path(state_folder, state.step), learner.ema, config)
        if checkpoint:
            save_state(state_folder, {**learner.state(), "progress": vars(state)}, run.kept_states)

    loaded = loaded_batches(run, learner.local, state.step, images, labels, pinned=device.type == "cuda")
    bar = progress("train", run.train_steps, "steps", initial=state.step)
    with contextlib.closing(learner), contextlib.closing(loaded), contextlib.closing(bar):
        meetings = Meetings(state.step, stop)
        started = saved_at = time.monotonic()
        while state.step < run.train_steps:
            state.add(learner.step(state.step, *next(loaded)))
            bar.update()
            at_line = state.step % run.log_steps == 0
            at_candidate = bool(run.candidate_steps) and state.step % run.candidate_steps == 0
            finished = state.step == run.train_steps
            stopping = meetings.stopping(state.step)
            due = time.monotonic() - saved_at >= 60 * run.checkpoint_minutes
            at_checkpoint = due or finished or stopping
            if at_line or at_candidate or at_checkpoint:
                kept = learner.ema.values() if at_candidate or at_checkpoint else ()
                check_finite(state.step, state_folder, state.loss_sum, *kept)  # waits for the GPU
                state.seconds += time.monotonic() - started
                started = time.monotonic()

            if at_line:
                bar.set_postfix_str(f"loss {state.mean_loss():.4f}", refresh=False)
                state.end_line(log_line(run, state, learner))
            if at_checkpoint:
                saved_at = time.monotonic()
            new = (at_line, at_candidate, at_checkpoint)
            if finished or stopping:
                first_does(functools.partial(write, *new))  # a launcher ends all soon after one has ended
            elif writes and any(new):
                write(*new)
            if stopping and not finished:
                learner.close()
                accelerator.end_training()
                raise Interrupted(f"stopped after step {state.step}; the same command goes on from there")
    accelerator.wait_for_everyone()
    accelerator.free_memory()
    accelerator.end_training()
    return learner.ema, [*state.log, *([log_line(run, state, learner)] if state.n_losses else [])]


def check_finite(step: int, folder: Path, *tensors: torch.Tensor) -> None:
    if all(torch.isfinite(tensor).all() for tensor in tensors):
        return
    kept = latest_step(folder)
    last = f"the state of step {kept} is kept" if kept else "no state is saved yet"
    raise UserError(f"the loss is not finite at step {step}; {last}; lower lr or use another mixed_precision")


def log_line(run: Run, state: Progress, learner: Learner) -> str:
    """JSON of the mean loss since the last line that fell on a multiple of log_steps."""
    device = learner.accelerator.device
    line = {
        "step": state.step,
        "images": state.step * run.batch_size,
        "loss": state.mean_loss(),
        "lr": learning_rate(run, state.step - 1),
        "seconds": round(state.seconds, 3),
        "precision": precision(run, device),
        "device": device_name(device),
        "processes": learner.accelerator.num_processes,
        **learner.log_entries(),
        "code": state.code[:SHOWN_DIGITS],
        **({"continued": state.continued} if state.continued else {}),
    }
    return json.dumps(line) + "\n"
