"""The training loop: starts, resumes and finishes a run with the same call.

Everything random comes from (seed, step), so the state is only what the optimiser changes.
"""

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator, DistributedType

from dctdiff.codec import DCTCodec, PixelCodec
from dctdiff.draws import batch_indices, torch_generator
from dctdiff.errors import UserError
from dctdiff.execution import RecordedGraph, choose_attention, compiled, compiles, precision, records
from dctdiff.files import replacing, write_text
from dctdiff.hardware import default_device, device_name
from dctdiff.loss import PredictionLoss
from dctdiff.model import ModelConfig, checkpoint_name, save_model
from dctdiff.params.train import Run
from dctdiff.progress import progress

PRECISION = {"float32": "no", "bf16": "bf16", "fp16": "fp16"}  # accelerate's names
FLIP_PROBABILITY = 0.5  # protocol point 6


class Interrupted(UserError):
    """The run was asked to stop; its state is saved."""


@dataclasses.dataclass
class Progress:
    """How far a run is; part of its state."""

    loss_sum: torch.Tensor  # of the steps since the last line of the log, on the device of the run
    n_losses: int = 0
    step: int = 0
    seconds: float = 0.0
    log: list[str] = dataclasses.field(default_factory=list)

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


class Learner:
    """What a step of training changes (network, optimiser, averaged weights), and the step."""

    def __init__(
        self, run: Run, config: ModelConfig, weights: list[float], accelerator: Accelerator, saved: dict | None
    ):
        device = accelerator.device
        self.run = run
        self.accelerator = accelerator
        self.codec = config.codec()
        self.loss = PredictionLoss(config.schedule(), config.prediction, torch.tensor(weights, device=device))
        self.network = config.network()
        self.network.initialise(torch_generator(run.seed, "weights", 0), run.skip_bias_std)
        self.network.gradient_checkpointing = run.gradient_checkpointing
        self.network.to(device)
        choose_attention(self.network, run, device)
        self.ema = {name: weight.detach().clone() for name, weight in self.network.state_dict().items()}
        optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=run.lr, weight_decay=run.weight_decay, betas=tuple(run.betas), fused=True
        )
        if saved is not None:
            self.network.load_state_dict(saved["network"])
            optimizer.load_state_dict(saved["optimizer"])
            self.ema = saved["ema"]
        # A recorded step has no room for a sum over processes, nor for fp16's decision to skip a step.
        alone = accelerator.distributed_type == DistributedType.NO
        self.recordable = records(run, device) and alone and accelerator.scaler is None
        make_recordable(optimizer, self.recordable, device)
        self.wrapped, self.optimizer = accelerator.prepare(self.network, optimizer)
        if saved is not None and accelerator.scaler is not None:
            accelerator.scaler.load_state_dict(saved["scaler"])
        self.predict = compiled(self.wrapped) if compiles(run, device) else self.wrapped
        self.live = self.network.state_dict()  # the tensors that the optimiser changes in place

    def optimise(self, images: torch.Tensor, flip: torch.Tensor, *drawn: torch.Tensor) -> torch.Tensor:
        """A step on a batch of ``training_batch``; ``drawn``: eps, t (and labels). Returns this process's loss."""
        batch = (encoded(self.codec, images, flip), *drawn)
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=images.device)
        parts = list(zip(*(values.chunk(self.run.accumulation_steps) for values in batch), strict=True))
        for number, part in enumerate(parts, start=1):
            last = number == len(parts)  # only then processes add up their gradients
            with contextlib.nullcontext() if last else self.accelerator.no_sync(self.wrapped):
                loss = self.loss(self.predict, *part) / len(parts)
                self.accelerator.backward(loss)
            total += loss.detach()
        self.optimizer.step()
        update_ema(self.ema, self.live, self.run.ema_rate)
        return total

    def state(self) -> dict:
        scaler = self.accelerator.scaler
        return {
            "network": self.network.state_dict(),
            "ema": self.ema,
            "optimizer": self.optimizer.state_dict(),
            "scaler": {} if scaler is None else scaler.state_dict(),
        }


def train(
    run: Run,
    config: ModelConfig,
    weights: list[float],  # of the loss, one per value of a token; [1.0] for none
    images: np.ndarray,  # (N, R, R, 3) uint8, may be a memory map
    labels: np.ndarray | None,  # (N,) int64 if the model is conditional
    state_folder: Path,  # holds the latest state, the candidates and a copy of the log
    stop: Callable[[], bool],  # asked after each step
) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Returns the EMA weights after ``run.train_steps`` and the lines of the log."""
    arithmetic = precision(run, default_device())
    accelerator = Accelerator(mixed_precision=PRECISION[arithmetic], cpu=default_device().type == "cpu")
    device, writes = accelerator.device, accelerator.is_main_process
    check_processes(run, accelerator.num_processes)
    if len(images) < run.batch_size:
        raise UserError(f"batch_size is {run.batch_size}, but there are only {len(images)} images; lower it")
    saved = load_state(state_folder, run.train_steps, device)
    learner = Learner(run, config, weights, accelerator, saved)
    state = Progress(**saved["progress"]) if saved else Progress(torch.zeros((), device=device))
    if writes:
        write_text(state_folder / "log.jsonl", "".join(state.log))  # to follow a run; the state counts

    optimise = RecordedGraph(learner.optimise) if learner.recordable else learner.optimise
    local = slice_of_process(run.batch_size, accelerator)
    loaded = loaded_batches(run, local, state.step, images, labels, pinned=device.type == "cuda")
    bar = progress("train", run.train_steps, "steps", initial=state.step)
    bar.disable = not writes
    with contextlib.closing(loaded), contextlib.closing(bar):
        started = time.monotonic()
        while state.step < run.train_steps:
            pixels, y = next(loaded)
            batch = training_batch(run, state.step, local, pixels, y, learner.codec.shape, device)
            set_learning_rate(learner.optimizer, learning_rate(run, state.step))
            state.add(accelerator.reduce(optimise(*batch), "mean"))
            bar.update()
            at_line = state.step % run.log_steps == 0
            at_candidate = bool(run.candidate_steps) and state.step % run.candidate_steps == 0
            finished = state.step == run.train_steps
            stopping = any_process(accelerator, stop, at_line)
            at_checkpoint = state.step % run.checkpoint_steps == 0 or finished or stopping
            if at_line or at_candidate or at_checkpoint:
                kept = learner.ema.values() if at_candidate or at_checkpoint else ()
                check_finite(state.step, state_folder, state.loss_sum, *kept)  # waits for the GPU
                state.seconds += time.monotonic() - started
                started = time.monotonic()

            if at_line:
                bar.set_postfix_str(f"loss {state.mean_loss():.4f}", refresh=False)
                state.end_line(log_line(run, state, device))
                if writes:
                    with open(state_folder / "log.jsonl", "a", encoding="utf-8") as file:
                        file.write(state.log[-1])
            # The candidate first, so that a state has all candidates up to its step.
            if at_candidate and writes:
                save_model(candidate_path(state_folder, state.step), learner.ema, config)
            if at_checkpoint and writes:
                save_state(state_folder, {**learner.state(), "progress": vars(state)})
            if stopping and not finished:
                accelerator.end_training()
                raise Interrupted(f"stopped after step {state.step}; the same command goes on from there")
    accelerator.wait_for_everyone()
    accelerator.free_memory()
    accelerator.end_training()
    return learner.ema, [*state.log, *([log_line(run, state, device)] if state.n_losses else [])]


def check_processes(run: Run, found: int) -> None:
    if found != run.processes:
        raise UserError(f"processes is {run.processes}, but {found} were launched; launch as many")


def slice_of_process(batch_size: int, accelerator: Accelerator) -> slice:
    share = batch_size // accelerator.num_processes
    return slice(accelerator.process_index * share, (accelerator.process_index + 1) * share)


def any_process(accelerator: Accelerator, stop: Callable[[], bool], meeting: bool) -> bool:
    """Whether to stop. Several processes must agree, which they do at each ``meeting``."""
    if accelerator.num_processes == 1:
        return stop()
    if not meeting:
        return False
    return accelerator.reduce(torch.tensor(float(stop()), device=accelerator.device)).item() > 0


def loaded_batches(
    run: Run, local: slice, first_step: int, images: np.ndarray, labels: np.ndarray | None, pinned: bool
) -> Iterator[tuple[torch.Tensor, torch.Tensor | None]]:
    """Images (uint8) and labels of one process, step after step; a thread loads the next ones meanwhile."""

    def load(step: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        chosen = batch_indices(run.seed, step, run.batch_size, len(images))[local]
        batch = torch.from_numpy(np.take(images, chosen, axis=0))
        y = None if labels is None else torch.from_numpy(labels[chosen])
        # Only from pinned memory does a copy to the GPU go on beside the program.
        return (batch.pin_memory(), y if y is None else y.pin_memory()) if pinned else (batch, y)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(load, first_step)
        for step in range(first_step, run.train_steps):
            batch = waiting.result()
            if step + 1 < run.train_steps:
                waiting = pool.submit(load, step + 1)
            yield batch


def training_batch(
    run: Run,
    step: int,
    local: slice,
    images: torch.Tensor,
    y: torch.Tensor | None,
    shape: tuple[int, ...],
    device: torch.device,
) -> tuple[torch.Tensor, ...]:
    """Images, flips, noise of ``shape``, times (and labels) of one process's part of the batch of ``step``."""
    # Every process draws for the global batch, and takes its part.
    generator = torch_generator(run.seed, "step", step, device)
    t = torch.rand(run.batch_size, generator=generator, device=device)
    eps = torch.randn(run.batch_size, *shape, generator=generator, device=device)
    flip = torch.rand(run.batch_size, generator=generator, device=device) < FLIP_PROBABILITY
    batch = (images.to(device, non_blocking=True), flip[local], eps[local], t[local])
    return batch if y is None else (*batch, y.to(device, non_blocking=True))


def encoded(codec: DCTCodec | PixelCodec, images: torch.Tensor, flip: torch.Tensor) -> torch.Tensor:
    """``(N, R, R, 3)`` uint8, mirrored where ``flip``, as the network sees them."""
    return codec.encode(torch.where(flip[:, None, None, None], images.flip(2), images))


def make_recordable(optimizer: torch.optim.Optimizer, recorded: bool, device: torch.device) -> None:
    """Let a recorded graph read the learning rate from the GPU; a state may come from a run without."""
    for group in optimizer.param_groups:
        group["capturable"] = recorded
        group["lr"] = torch.tensor(float(group["lr"]), device=device) if recorded else float(group["lr"])


def set_learning_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    for group in optimizer.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(value)
        else:
            group["lr"] = value


def learning_rate(run: Run, step: int) -> float:
    """Linear warm-up, then constant; the first step has 0 (protocol point 23).

    With ``lr_end_step`` it falls linearly from the end of the warm-up to 0 there.
    """
    if step < run.warmup_steps:
        return run.lr * (step / run.warmup_steps)
    if run.lr_end_step is None:
        return run.lr
    return run.lr * (run.lr_end_step - step) / (run.lr_end_step - run.warmup_steps)


@torch.no_grad()
def update_ema(ema: dict[str, torch.Tensor], weights: dict[str, torch.Tensor], rate: float) -> None:
    """ema = rate * ema + (1 - rate) * weights (protocol point 24)."""
    torch._foreach_lerp_(list(ema.values()), [weights[name] for name in ema], 1.0 - rate)


def candidate_path(folder: Path, step: int) -> Path:
    return folder / "candidates" / checkpoint_name(step)


def candidates(run: Run, folder: Path) -> dict[int, Path]:
    """EMA weights that a finished run has kept: step -> file, for each multiple of candidate_steps."""
    steps = range(run.candidate_steps, run.train_steps + 1, run.candidate_steps) if run.candidate_steps else ()
    paths = {step: candidate_path(folder, step) for step in steps}
    missing = [path for path in paths.values() if not path.exists()]
    if missing:
        raise UserError(f"{missing[0]} is gone, but the run has passed it; delete {folder} to train again")
    return paths


def save_state(folder: Path, state: dict) -> None:
    """Write the state of ``state["progress"]["step"]``, then remove the older ones."""
    path = folder / f"step-{state['progress']['step']:09d}.pt"
    with replacing(path) as temporary:
        torch.save(state, temporary)
    for old in folder.glob("step-*.pt"):
        if old.name < path.name:
            old.unlink()


def load_state(folder: Path, train_steps: int, device: torch.device) -> dict | None:
    """The latest state at or before ``train_steps``, if any."""
    paths = sorted(path for path in folder.glob("step-*.pt") if int(path.stem[5:]) <= train_steps)
    return torch.load(paths[-1], map_location=device, weights_only=True) if paths else None


def check_finite(step: int, folder: Path, *tensors: torch.Tensor) -> None:
    if all(torch.isfinite(tensor).all() for tensor in tensors):
        return
    kept = sorted(folder.glob("step-*.pt"))
    last = f"the state of step {int(kept[-1].stem[5:])} is kept" if kept else "no state is saved yet"
    raise UserError(f"the loss is not finite at step {step}; {last}; lower lr or use another mixed_precision")


def log_line(run: Run, state: Progress, device: torch.device) -> str:
    """JSON of the mean loss since the last line that fell on a multiple of log_steps."""
    line = {
        "step": state.step,
        "images": state.step * run.batch_size,
        "loss": state.mean_loss(),
        "lr": learning_rate(run, state.step - 1),
        "seconds": round(state.seconds, 3),
        "precision": precision(run, device),
        "device": device_name(device),
    }
    return json.dumps(line) + "\n"
