"""Training loss: the (entropy-weighted) squared error of the predicted noise."""

import torch

from dctdiff.schedule import NETWORK_TIME, Schedule


class NoisePredictionLoss:
    """Mean over all values of weight * (eps_hat - eps)^2 (paper section 4.3, protocol point 22).

    ``weights`` broadcasts over one encoded image: (6K,) for DCT tokens, a scalar for pixels.
    """

    def __init__(self, schedule: Schedule, weights: torch.Tensor):
        self.schedule = schedule
        self.weights = weights

    def __call__(
        self, network, x0: torch.Tensor, eps: torch.Tensor, t: torch.Tensor, y: torch.Tensor | None = None
    ) -> torch.Tensor:
        """``x0``, ``eps``: (N, ...) float32; ``t``: (N,) in (0, 1); ``y``: (N,) int64 labels. Returns a scalar."""
        predicted = network(self.schedule.diffuse(x0, eps, t), t * NETWORK_TIME, y)
        return (self.weights * (predicted.float() - eps).square()).mean()
