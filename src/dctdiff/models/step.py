"""One step of training: whatever it computes is in here or in what is imported here."""

from collections.abc import Callable

import torch
from accelerate import Accelerator

from dctdiff.diffusion.draws import torch_generator
from dctdiff.models.batches import GIVEN, training_batch
from dctdiff.models.config import ModelConfig
from dctdiff.models.execution import RecordedGraph, choose_attention, compiled, compiles, precision, records
from dctdiff.models.optimiser import learning_rate, make_recordable, set_learning_rate, update_ema
from dctdiff.params.train import Run
from dctdiff.pipeline.hardware import default_device
from dctdiff.registry.networks import OPTIMISERS
from dctdiff.registry.spaces import SPACES
from dctdiff.spaces.codec import Codec

PRECISION = {"float32": "no", "bf16": "bf16", "fp16": "fp16"}  # accelerate's names


def accelerator_of(run: Run) -> Accelerator:
    """The processes of the run and its arithmetic."""
    device = default_device()
    return Accelerator(mixed_precision=PRECISION[precision(run, device)], cpu=device.type == "cpu")


class Learner:
    """What a step of training changes (network, optimisers, averaged weights), and the step.

    ``accelerate`` tells the processes, the arithmetic and the scale of fp16. Its wrappers are passed by: that of
    the network (DDP) adds up gradients bucket by bucket from within the backward pass, for which the compiled
    network is cut at each bucket, and no CUDA graph holds the step; that of an optimiser lets fp16's scale follow
    one optimiser only.
    """

    def __init__(
        self, run: Run, config: ModelConfig, weights: list[float], accelerator: Accelerator, saved: dict | None
    ):
        device = accelerator.device
        self.run = run
        self.accelerator = accelerator
        self.codec = config.codec()
        self.given = GIVEN[SPACES[config.space].stored]
        self.loss = config.diffusion().loss(torch.tensor(weights, device=device))
        self.network = config.network()
        self.network.initialise(torch_generator(run.seed, "weights", 0), run.skip_bias_std)
        self.network.gradient_checkpointing = run.gradient_checkpointing
        self.network.to(device)
        choose_attention(self.network, run, device)
        self.ema = {name: weight.detach().clone() for name, weight in self.network.state_dict().items()}
        self.optimisers = OPTIMISERS[run.optimizer].imported()(self.network, run)
        self.scaler = accelerator.scaler or torch.amp.GradScaler(device.type, enabled=False)
        self.skipped_steps = torch.zeros((), dtype=torch.int64, device=device)  # by fp16, so far
        if saved is not None:
            self._load(saved)
        recorded = records(run, device)
        for optimiser in self.optimisers:
            make_recordable(optimiser, recorded, device)
        self.called = compiled(self.network) if compiles(run, device) else self.network
        self.live = self.network.state_dict()  # the tensors that the optimisers change in place
        self.local = slice_of_process(run.batch_size, accelerator)
        self.optimise_batch: Callable = RecordedGraph(self.optimise) if recorded else self.optimise

    def step(self, index: int, images: torch.Tensor, y: torch.Tensor | None) -> torch.Tensor:
        """Step ``index`` on this process's part of the batch; the mean loss over all processes."""
        device = self.accelerator.device
        images, flip, *drawn = training_batch(self.run, index, self.local, images, y, self.codec.shape, device)
        images = self.given(self.run, index, self.local, self.codec, images, flip)
        for optimiser in self.optimisers:
            set_learning_rate(optimiser, learning_rate(self.run, index))
        return self.optimise_batch(images, flip, *drawn)

    def optimise(self, images: torch.Tensor, flip: torch.Tensor, *drawn: torch.Tensor) -> torch.Tensor:
        """A step on a batch of ``training_batch``; ``drawn``: eps, t (and labels). Returns the loss of all processes.

        Nothing in it waits for the GPU, so that it can be recorded.
        """
        batch = (encoded(self.codec, images, flip), *drawn)
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
        total = torch.zeros((), device=images.device)
        parts = list(zip(*(values.chunk(self.run.accumulation_steps) for values in batch), strict=True))
        for part in parts:
            loss = self.loss(self.predict, *part) / (len(parts) * self.accelerator.num_processes)
            self.scaler.scale(loss).backward()
            total += loss.detach()
        if self.accelerator.num_processes > 1:
            total = summed_over_processes(list(self.network.parameters()), total)
        self._update()
        return total

    def predict(self, *inputs: torch.Tensor) -> torch.Tensor:
        with self.accelerator.autocast():
            return self.called(*inputs)

    @torch.no_grad()
    def _update(self) -> None:
        scale = self.scaler.scale(torch.ones((), device=self.accelerator.device))
        for optimiser in self.optimisers:
            self.scaler.step(optimiser)
        self.scaler.update()
        self.skipped_steps += self.scaler.scale(torch.ones_like(scale)) < scale
        update_ema(self.ema, self.live, self.run.ema_rate)

    def log_entries(self) -> dict[str, float]:
        """What fp16 adds to a line of the log."""
        if not self.scaler.is_enabled():
            return {}
        return {"loss_scale": self.scaler.get_scale(), "skipped_steps": self.skipped_steps.item()}

    def state(self) -> dict:
        return {
            "network": self.network.state_dict(),
            "ema": self.ema,
            "optimizers": [optimiser.state_dict() for optimiser in self.optimisers],
            "scaler": self.scaler.state_dict(),
            "skipped_steps": self.skipped_steps,
        }

    def _load(self, saved: dict) -> None:
        self.network.load_state_dict(saved["network"])
        # Earlier versions had one optimiser, and did not count.
        for optimiser, state in zip(self.optimisers, saved.get("optimizers") or [saved["optimizer"]], strict=True):
            optimiser.load_state_dict(state)
        self.ema = saved["ema"]
        self.scaler.load_state_dict(saved["scaler"])
        self.skipped_steps += saved.get("skipped_steps", 0)

    def close(self) -> None:
        """Let go of the recorded step: its processes cannot part from each other while there is one."""
        if isinstance(self.optimise_batch, RecordedGraph):
            self.optimise_batch.reset()


def summed_over_processes(parameters: list[torch.nn.Parameter], loss: torch.Tensor) -> torch.Tensor:
    """Add up the gradients of all processes, and their losses: as one tensor, of which the gradients are then parts."""
    values = torch.cat([*(parameter.grad.flatten() for parameter in parameters), loss.reshape(1)])
    torch.distributed.all_reduce(values)
    *gradients, [total] = values.split([*(parameter.numel() for parameter in parameters), 1])
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.view_as(parameter)
    return total


def slice_of_process(batch_size: int, accelerator: Accelerator) -> slice:
    share = batch_size // accelerator.num_processes
    return slice(accelerator.process_index * share, (accelerator.process_index + 1) * share)


def encoded(codec: Codec, images: torch.Tensor, flip: torch.Tensor) -> torch.Tensor:
    """``(N, R, R, 3)`` uint8, mirrored where ``flip``, as the network sees them; latents are so already."""
    if images.is_floating_point():
        return images
    return codec.encode(torch.where(flip[:, None, None, None], images.flip(2), images))
