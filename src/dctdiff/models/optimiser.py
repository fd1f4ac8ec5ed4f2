"""The optimiser: which parameters it moves how, the learning rate of each step, and the averaged weights (EMA)."""

from collections.abc import Iterable

import torch

from dctdiff.models.muon import Muon
from dctdiff.params.train import Run

# Part of the name of a layer -> matrices in its weight: queries, keys, values; shifts, scales and gates of a DiT.
STACKED = {"qkv": 3, "adaLN": 6}


def all_by_adamw(network: torch.nn.Module, run: Run) -> list[torch.optim.Optimizer]:
    """AdamW of all parameters (protocol point 23)."""
    return [adamw(network.parameters(), run)]


def blocks_by_muon(network: torch.nn.Module, run: Run) -> list[torch.optim.Optimizer]:
    """Muon of the matrices of the blocks, AdamW of the rest."""
    named = dict(network.named_parameters())
    matrices = {name: weight for name, weight in named.items() if "block" in name and weight.ndim == 2}
    rest = [weight for name, weight in named.items() if name not in matrices]
    groups: dict[int, list[torch.nn.Parameter]] = {}
    for name, weight in matrices.items():
        parts = next((parts for part, parts in STACKED.items() if part in name), 1)
        groups.setdefault(parts, []).append(weight)
    muon = Muon(
        [{"params": weights, "parts": parts} for parts, weights in groups.items()],
        lr=run.lr, weight_decay=run.weight_decay,
    )  # fmt: skip
    return [adamw(rest, run), muon]


def adamw(parameters: Iterable[torch.nn.Parameter], run: Run) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=run.lr, weight_decay=run.weight_decay, betas=tuple(run.betas), fused=True)


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
