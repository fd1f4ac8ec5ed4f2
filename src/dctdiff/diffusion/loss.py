"""Training loss: the (entropy-weighted) squared error of what the network predicts."""

import torch

from dctdiff.diffusion.schedule import NETWORK_TIME, Schedule


class PredictionLoss:
    """Mean over all values of weight * (predicted - target)^2 (paper section 4.3, protocol point 22).

    The target is the noise, as in the paper, or with ``prediction`` "velocity" the velocity of
    ``Schedule.velocity``. At high noise x is nearly the noise: to predict it, a network must return
    its input to within the signal, while the velocity is nearly -x0 there, whose errors the signal
    only scales. ``weights`` broadcasts over one encoded image: (6K,) for DCT tokens, a scalar for pixels.
    """

    def __init__(self, schedule: Schedule, prediction: str, weights: torch.Tensor):
        self.schedule = schedule
        self.prediction = prediction
        self.weights = weights

    def __call__(
        self, network, x0: torch.Tensor, eps: torch.Tensor, t: torch.Tensor, y: torch.Tensor | None = None
    ) -> torch.Tensor:
        """``x0``, ``eps``: (N, ...) float32; ``t``: (N,) in (0, 1); ``y``: (N,) int64 labels. Returns a scalar."""
        predicted = network(self.schedule.diffuse(x0, eps, t), t * NETWORK_TIME, y)
        target = eps if self.prediction == "noise" else self.schedule.velocity(x0, eps, t)
        return (self.weights * (predicted.float() - target).square()).mean()
