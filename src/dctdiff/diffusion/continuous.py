"""The continuous framework: the SDE of ``Schedule``, its loss and its samplers."""

import dataclasses
from collections.abc import Callable

import torch

from dctdiff.diffusion.loss import PredictionLoss
from dctdiff.diffusion.samplers import DrawNoise, Sampler
from dctdiff.diffusion.schedule import NETWORK_TIME, Schedule


@dataclasses.dataclass(frozen=True)
class Continuous:
    """What ``dctdiff.diffusion.discrete.Discrete`` offers, too: a loss and samples, for networks of ``n_given``."""

    schedule: Schedule
    prediction: str  # "noise" or "velocity"
    n_given = 1  # values that the network gives for each of an image

    def loss(self, weights: torch.Tensor) -> PredictionLoss:
        return PredictionLoss(self.schedule, self.prediction, weights)

    def sampled(
        self,
        solver: Sampler,
        network: Callable[[torch.Tensor, float], torch.Tensor],
        x: torch.Tensor,
        nfe: int,
        draw_noise: DrawNoise,
    ) -> torch.Tensor:
        """Encoded images from noise ``x``, (N, ...) float32. ``network``: what it gives for (x, network time)."""

        def predict_noise(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            predicted = network(x, t.item() * NETWORK_TIME)
            if self.prediction == "velocity":
                return self.schedule.noise(t).item() * x + self.schedule.signal(t).item() * predicted
            return predicted

        return solver(predict_noise, x, self.schedule, nfe, draw_noise)
