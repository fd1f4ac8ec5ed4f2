"""The training loop: starts, resumes and finishes a run with the same call.

Everything random comes from (seed, step), so the state is only what the optimiser changes.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from dctdiff.codec import DCTCodec, PixelCodec
from dctdiff.draws import batch_indices, torch_generator
from dctdiff.errors import UserError
from dctdiff.execution import RecordedGraph, choose_attention, compiled, compiles, precision
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


def train(
    run: Run,
    config: ModelConfig,
    weights: list[float],  # of the loss, one per value of a token; [1.0] for none
    images: np.ndarray,  # (N, R, R, 3) uint8
    labels: np.ndarray | None,  # (N,) int64 if the model is conditional
    state_folder: Path,  # holds the latest state, the candidates and a copy of the log
    stop: Callable[[], bool],  # asked after each step
) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Returns the EMA weights after ``run.train_steps`` and the lines of the log."""
    # Build.
    device = default_device()
    arithmetic = precision(run, device)
    accelerator = Accelerator(mixed_precision=PRECISION[arithmetic], cpu=device.type == "cpu")
    check_processes(run, accelerator.num_processes)
    if len(images) < run.batch_size:
        raise UserError(f"batch_size is {run.batch_size}, but there are only {len(images)} images; lower it")
    device = accelerator.device
    codec = config.codec()
    network = config.network()
    network.initialise(torch_generator(run.seed, "weights", 0), run.skip_bias_std)
    network.gradient_checkpointing = run.gradient_checkpointing
    network = network.to(device)
    choose_attention(network, run, device)
    ema = {name: weight.detach().clone() for name, weight in network.state_dict().items()}
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=run.lr, weight_decay=run.weight_decay, betas=tuple(run.betas), fused=True
    )
    loss_function = PredictionLoss(config.schedule(), config.prediction, torch.tensor(weights, device=device))
    state = {"step": 0, "seconds": 0.0, "loss_sum": torch.zeros((), device=device), "n_losses": 0, "log": []}

    # Resume.
    saved = load_state(state_folder, run.train_steps, device)
    if saved is not None:
        network.load_state_dict(saved["network"])
        optimizer.load_state_dict(saved["optimizer"])
        ema = saved["ema"]
        state = saved["progress"]
    # A recorded step has no room for a sum over processes, nor for fp16's decision to skip a step.
    recorded = compiles(run, device) and device.type == "cuda" and run.processes == 1 and arithmetic != "fp16"
    make_recordable(optimizer, recorded, device)
    wrapped, optimizer = accelerator.prepare(network, optimizer)
    if saved is not None and accelerator.scaler is not None:
        accelerator.scaler.load_state_dict(saved["scaler"])
    call = compiled(wrapped) if compiles(run, device) else wrapped
    if accelerator.is_main_process:
        write_text(state_folder / "log.jsonl", "".join(state["log"]))  # to follow a run; the state counts

    def save() -> None:
        check_finite(state["step"], state_folder, state["loss_sum"], *ema.values())
        if accelerator.is_main_process:
            scaler = accelerator.scaler.state_dict() if accelerator.scaler is not None else {}
            save_state(
                state_folder,
                {"network": network.state_dict(), "ema": ema, "optimizer": optimizer.state_dict(),
                 "scaler": scaler, "progress": state},
            )  # fmt: skip

    live = network.state_dict()  # the tensors that the optimiser changes in place

    def optimise(images: torch.Tensor, flip: torch.Tensor, *drawn: torch.Tensor) -> torch.Tensor:
        """One step on this process's part of a batch; ``drawn``: eps, t (and labels). Returns the loss."""
        batch = (encoded(codec, images, flip), *drawn)
        optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=device)
        parts = list(zip(*(values.chunk(run.accumulation_steps) for values in batch), strict=True))
        for number, part in enumerate(parts, start=1):
            with contextlib.nullcontext() if number == len(parts) else accelerator.no_sync(wrapped):
                loss = loss_function(call, *part) / len(parts)
                accelerator.backward(loss)
            total += loss.detach()
        optimizer.step()
        update_ema(ema, live, run.ema_rate)
        return total

    optimise = RecordedGraph(optimise) if recorded else optimise

    bar = progress("train", run.train_steps, "steps", initial=state["step"])
    bar.disable = not accelerator.is_main_process
    local = slice_of_process(run.batch_size, accelerator)
    loaded = loaded_batches(run, local, state["step"], images, labels, pinned=device.type == "cuda")
    started = time.monotonic()
    while state["step"] < run.train_steps:
        set_learning_rate(optimizer, learning_rate(run, state["step"]))
        loss = optimise(*training_batch(run, state["step"], local, *next(loaded), codec.shape, device))

        # Account.
        state["step"] += 1
        state["loss_sum"] += accelerator.reduce(loss, "mean")
        state["n_losses"] += 1
        finished = state["step"] == run.train_steps
        if state["step"] % run.log_steps == 0:
            check_finite(state["step"], state_folder, state["loss_sum"])  # waits for the GPU
            state["seconds"] += time.monotonic() - started
            started = time.monotonic()
            state["log"].append(log_line(run, state, device))
            if accelerator.is_main_process:
                with open(state_folder / "log.jsonl", "a", encoding="utf-8") as file:
                    file.write(state["log"][-1])
            bar.set_postfix_str(f"loss {state['loss_sum'].item() / state['n_losses']:.4f}", refresh=False)
            state["loss_sum"].zero_()
            state["n_losses"] = 0
        bar.update()

        # Save: the candidate first, so that a state has all candidates up to its step.
        if run.candidate_steps and state["step"] % run.candidate_steps == 0:
            check_finite(state["step"], state_folder, state["loss_sum"], *ema.values())
            if accelerator.is_main_process:
                save_model(candidate_path(state_folder, state["step"]), ema, config)
        stopping = any_process(accelerator, stop, state["step"] % run.log_steps == 0)
        if state["step"] % run.checkpoint_steps == 0 or finished or stopping:
            state["seconds"] += time.monotonic() - started
            started = time.monotonic()
            save()
        if stopping and not finished:
            raise Interrupted(f"stopped after step {state['step']}; the same command goes on from there")
    bar.close()
    loaded.close()
    accelerator.wait_for_everyone()
    accelerator.free_memory()
    unfinished_line = [log_line(run, state, device)] if state["n_losses"] else []
    return ema, [*state["log"], *unfinished_line]


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
    """Linear warm-up, then constant; the first step has 0 (protocol point 23)."""
    return run.lr * min(step / run.warmup_steps, 1.0) if run.warmup_steps else run.lr


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


def log_line(run: Run, state: dict, device: torch.device) -> str:
    """JSON of the mean loss since the last line that fell on a multiple of log_steps."""
    line = {
        "step": state["step"],
        "images": state["step"] * run.batch_size,
        "loss": state["loss_sum"].item() / state["n_losses"],
        "lr": learning_rate(run, state["step"] - 1),
        "seconds": round(state["seconds"], 3),
        "precision": precision(run, device),
        "device": device_name(device),
    }
    return json.dumps(line) + "\n"
