"""Muon: steps of orthogonal matrices (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon).

PyTorch has it too (``torch.optim.Muon``), for one matrix after the other, and with a learning rate that
the CPU must know. Here matrices of one shape are worked on together, and nothing waits for the GPU, so
that a step can be recorded, and fp16's decision to skip one too.
"""

import math
from collections import defaultdict
from collections.abc import Iterable

import torch

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # coefficients of the post
ITERATIONS = 5
MOMENTUM = 0.95
RMS_OF_ADAMW = 0.2  # of a step of AdamW, about: one learning rate serves both (Liu et al. 2025, arXiv 2502.16982)
EPS = 1e-7


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """The nearest orthogonal matrices, about: ``(n, a, b)`` with a <= b, singular values near 1.

    By five steps of an iteration that brings those from 0.003 to 1 into 0.7 to 1.2 rather than to 1; so rough, it is
    done in bfloat16 on a GPU.
    """
    a, b, c = NEWTON_SCHULZ
    x = matrices.bfloat16() if matrices.is_cuda else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=EPS)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def steps(directions: list[torch.Tensor]) -> list[torch.Tensor]:
    """The step for each direction: orthogonal, and as large as one of AdamW with learning rate 1."""
    alike = defaultdict(list)
    for index, matrix in enumerate(directions):
        alike[tuple(sorted(matrix.shape))].append(index)
    found = {}
    for (_, longer), indices in alike.items():
        lying = [_lying(directions[index]) for index in indices]
        scaled = orthogonal(torch.stack(lying)).float() * (RMS_OF_ADAMW * math.sqrt(longer))
        for index, step in zip(indices, scaled, strict=True):
            found[index] = step if step.shape == directions[index].shape else step.mT
    return [found[index] for index in range(len(directions))]


def _lying(matrix: torch.Tensor) -> torch.Tensor:
    """With no more rows than columns."""
    return matrix.mT if matrix.shape[0] > matrix.shape[1] else matrix


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum and decoupled weight decay, of matrices.

    A group may say ``parts``: how many matrices lie one above the other in each of its parameters.
    """

    _step_supports_amp_scaling = True  # GradScaler hands over grad_scale and found_inf, and waits for nothing

    def __init__(self, groups: Iterable[dict], lr: float, weight_decay: float):
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay, "parts": 1})

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for group in self.param_groups:
            parameters = group["params"]
            for parameter in parameters:
                if not self.state[parameter]:
                    self.state[parameter]["momentum"] = torch.zeros_like(parameter)
            momenta = [self.state[parameter]["momentum"] for parameter in parameters]
            gradients, lr = self._unscaled([parameter.grad for parameter in parameters], momenta), group["lr"]
            torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
            directions = torch._foreach_lerp(gradients, momenta, MOMENTUM)
            if self._skips() is not None:
                lr = lr * (1 - self._skips())
            matrices = [part for parameter in parameters for part in parameter.chunk(group["parts"])]
            moves = steps([part for direction in directions for part in direction.chunk(group["parts"])])
            torch._foreach_mul_(matrices, 1 - lr * group["weight_decay"])
            torch._foreach_mul_(moves, -lr)
            torch._foreach_add_(matrices, moves)

    def _skips(self) -> torch.Tensor | None:
        """1 on the GPU if fp16 has overflowed in this step, else 0; None without fp16."""
        return getattr(self, "found_inf", None)

    def _unscaled(self, gradients: list[torch.Tensor], momenta: list[torch.Tensor]) -> list[torch.Tensor]:
        """Without the scale of fp16. In a step that is skipped, those that leave the momentum as it is."""
        if self._skips() is None:
            return gradients
        unscaled = torch._foreach_div(gradients, self.grad_scale)
        return [torch.where(self._skips() > 0, old, new) for old, new in zip(momenta, unscaled, strict=True)]
