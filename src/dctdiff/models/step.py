"""One step of training: whatever it computes is in here or in what is imported here."""

import contextlib
from collections.abc import Callable

import torch
from accelerate import Accelerator, DistributedType

from dctdiff.diffusion.draws import torch_generator
from dctdiff.diffusion.loss import PredictionLoss
from dctdiff.models.batches import training_batch
from dctdiff.models.config import ModelConfig
from dctdiff.models.execution import RecordedGraph, choose_attention, compiled, compiles, precision, records
from dctdiff.models.optimiser import learning_rate, make_recordable, set_learning_rate, update_ema
from dctdiff.params.train import Run
from dctdiff.pipeline.hardware import default_device
from dctdiff.spaces.codec import Codec

PRECISION = {"float32": "no", "bf16": "bf16", "fp16": "fp16"}  # accelerate's names


def accelerator_of(run: Run) -> Accelerator:
    """The processes of the run and its arithmetic."""
    device = default_device()
    return Accelerator(mixed_precision=PRECISION[precision(run, device)], cpu=device.type == "cpu")


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
        self.local = slice_of_process(run.batch_size, accelerator)
        self.optimise_batch: Callable = RecordedGraph(self.optimise) if self.recordable else self.optimise

    def step(self, index: int, images: torch.Tensor, y: torch.Tensor | None) -> torch.Tensor:
        """Step ``index`` on this process's part of the batch; the mean loss over all processes."""
        batch = training_batch(self.run, index, self.local, images, y, self.codec.shape, self.accelerator.device)
        set_learning_rate(self.optimizer, learning_rate(self.run, index))
        return self.accelerator.reduce(self.optimise_batch(*batch), "mean")

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


def slice_of_process(batch_size: int, accelerator: Accelerator) -> slice:
    share = batch_size // accelerator.num_processes
    return slice(accelerator.process_index * share, (accelerator.process_index + 1) * share)


def encoded(codec: Codec, images: torch.Tensor, flip: torch.Tensor) -> torch.Tensor:
    """``(N, R, R, 3)`` uint8, mirrored where ``flip``, as the network sees them."""
    return codec.encode(torch.where(flip[:, None, None, None], images.flip(2), images))
