"""The discrete framework: a chain of 1,000 steps, whose network tells the variance of each step, too.

Ho et al. 2020 (DDPM, arXiv 2006.11239), Nichol and Dhariwal 2021 (arXiv 2102.09672) and Peebles and Xie 2022 (DiT,
arXiv 2212.09748). Steps are counted from 0, the cleanest, to 999; networks are given that number. What a network
gives, (N, 2, ...), is the noise in x and, from -1 to 1, where the log variance of the step lies between its bounds.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

import torch

from dctdiff.diffusion.samplers import DrawNoise

N_STEPS = 1000
FIRST_BETA, LAST_BETA = 1e-4, 0.02
HALF_BYTE = 1 / 255  # half the distance of two bytes on [-1, 1]
LAST_BYTE = 0.999  # beyond it a value is the first or last byte
LEAST_PROBABILITY = 1e-12

Network = Callable[[torch.Tensor, float], torch.Tensor]


class Steps(NamedTuple):
    """Coefficients of the steps of a chain: x_k = signal x_0 + noise eps, with eps standard normal.

    x_(k-1) given x_k and x_0 is normal around of_x0 x_0 + of_x x_k. Its log variance is log_least for a known x_0;
    for data that are normal it is log_most (Nichol and Dhariwal, section 3.1).
    """

    signal: torch.Tensor
    noise: torch.Tensor
    of_x0: torch.Tensor
    of_x: torch.Tensor
    log_least: torch.Tensor
    log_most: torch.Tensor


def alpha_bars(snr_scale: float) -> torch.Tensor:
    """Signal power after each step, (1000,) float64: that of linear betas, with the SNR times ``snr_scale``."""
    betas = torch.linspace(FIRST_BETA, LAST_BETA, N_STEPS, dtype=torch.float64)
    alpha_bar = torch.cumprod(1 - betas, dim=0)
    return snr_scale * alpha_bar / (1 + (snr_scale - 1) * alpha_bar)


def steps_of(alpha_bar: torch.Tensor) -> Steps:
    """The chain with the signal powers ``alpha_bar``, (S,) float64 (Ho et al., equations 4, 6 and 7)."""
    before = torch.cat([alpha_bar.new_ones(1), alpha_bar[:-1]])
    alpha = alpha_bar / before
    beta = 1 - alpha
    least = beta * (1 - before) / (1 - alpha_bar)
    least[0] = least[min(1, len(least) - 1)]  # 0 would be: the first step is taken for as sure as the second
    return Steps(
        signal=alpha_bar.sqrt(),
        noise=(1 - alpha_bar).sqrt(),
        of_x0=beta * before.sqrt() / (1 - alpha_bar),
        of_x=(1 - before) * alpha.sqrt() / (1 - alpha_bar),
        log_least=least.log(),
        log_most=beta.log(),
    )


def predicted_data(step: Steps, x: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
    return (x - step.noise * eps) / step.signal


def log_variance(step: Steps, place: torch.Tensor) -> torch.Tensor:
    """Between the bounds of a step (Nichol and Dhariwal, equation 15); ``place``: from -1 to 1."""
    share = (place + 1) / 2
    return share * step.log_most + (1 - share) * step.log_least


class HybridLoss:
    """Squared error of the noise, and the variational bound, which only variances learn from (protocol point 52).

    Nichol and Dhariwal, equation 16: the bound weighs 0.001 of its sum over the 1,000 steps, of which one is drawn
    for each image, so its term counts once. Both are means over all values, the bound in bits. ``weights`` as for
    ``PredictionLoss``, of the squared error.
    """

    def __init__(self, alpha_bar: torch.Tensor, weights: torch.Tensor):
        self.weights = weights
        self.steps = Steps(*(values.float().to(weights.device) for values in steps_of(alpha_bar)))

    def __call__(
        self, network, x0: torch.Tensor, eps: torch.Tensor, t: torch.Tensor, y: torch.Tensor | None = None
    ) -> torch.Tensor:
        """``x0``, ``eps``: (N, ...) float32; ``t``: (N,) in (0, 1); ``y``: (N,) int64 labels. Returns a scalar."""
        number = (t * N_STEPS).long().clamp(max=N_STEPS - 1)
        shape = (-1, *[1] * (x0.dim() - 1))
        step = Steps(*(values[number].reshape(shape) for values in self.steps))
        x = step.signal * x0 + step.noise * eps
        predicted, place = network(x, number.float(), y).float().unbind(1)
        error = predicted - eps
        mean_error = step.of_x0 * step.noise / step.signal * error.detach()
        log_var = log_variance(step, place)
        nats = torch.where(
            number.reshape(shape) == 0, byte_cost(x0, mean_error, log_var), gap(mean_error, log_var, step.log_least)
        )
        return (self.weights * error.square()).mean() + nats.mean() / math.log(2)


def gap(mean_error: torch.Tensor, log_var: torch.Tensor, true_log_var: torch.Tensor) -> torch.Tensor:
    """Kullback-Leibler divergence in nats of a normal distribution from the true one."""
    return 0.5 * (log_var - true_log_var - 1 + (true_log_var - log_var).exp() + mean_error.square() * (-log_var).exp())


def byte_cost(x0: torch.Tensor, mean_error: torch.Tensor, log_var: torch.Tensor) -> torch.Tensor:
    """Nats for the byte of ``x0`` under a normal distribution around ``x0 - mean_error`` (Ho et al., equation 13).

    Values are bytes on [-1, 1]; in the other spaces they are none, but the last step is taken for as sure as there.
    """
    scale = (-0.5 * log_var).exp()
    below, above = normal_cdf(scale * (mean_error - HALF_BYTE)), normal_cdf(scale * (mean_error + HALF_BYTE))
    inside = torch.where(x0 < -LAST_BYTE, above, torch.where(x0 > LAST_BYTE, 1 - below, above - below))
    return -inside.clamp(min=LEAST_PROBABILITY).log()


def normal_cdf(x: torch.Tensor) -> torch.Tensor:
    """Page's approximation (1977), within 2e-4, as in the papers' losses."""
    return 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def visited(nfe: int) -> list[int]:
    """Steps of a respaced chain: evenly spaced from 0 to 999, rounded (protocol point 53). For 1 the noisiest.

    Nichol and Dhariwal, section 4.
    """
    if nfe == 1:
        return [N_STEPS - 1]
    return [round(index * (N_STEPS - 1) / (nfe - 1)) for index in range(nfe)]


def respaced(alpha_bar: torch.Tensor, nfe: int) -> list[tuple[int, Steps]]:
    """Number and coefficients, as floats, of each step of the respaced chain, the noisiest first."""
    numbers = visited(nfe)
    rows = zip(*(values.tolist() for values in steps_of(alpha_bar[numbers])), strict=True)
    return [(number, Steps(*row)) for number, row in zip(numbers, rows, strict=True)][::-1]


def ddpm(network: Network, x: torch.Tensor, alpha_bar: torch.Tensor, nfe: int, draw_noise: DrawNoise) -> torch.Tensor:
    """Each step is drawn with the variance that the network tells; the last gives the predicted data."""
    for number, step in respaced(alpha_bar, nfe):
        eps, place = network(x, float(number)).unbind(1)
        x = step.of_x0 * predicted_data(step, x, eps) + step.of_x * x
        if step.of_x > 0:  # not in the last
            x = x + (0.5 * log_variance(step, place)).exp() * draw_noise()
    return x


def ddim(network: Network, x: torch.Tensor, alpha_bar: torch.Tensor, nfe: int, draw_noise: DrawNoise) -> torch.Tensor:
    """No noise is drawn, and variances do not count (Song et al. 2021, arXiv 2010.02502, equation 12, sigma = 0)."""
    chain = respaced(alpha_bar, nfe)
    cleaner = [(step.signal, step.noise) for _, step in chain[1:]] + [(1.0, 0.0)]
    for (number, step), (signal, noise) in zip(chain, cleaner, strict=True):
        eps, _ = network(x, float(number)).unbind(1)
        x = signal * predicted_data(step, x, eps) + noise * eps
    return x


@dataclasses.dataclass(frozen=True)
class Discrete:
    """What ``dctdiff.diffusion.continuous.Continuous`` offers, too: a loss and samples, for networks of ``n_given``."""

    snr_scale: float
    n_given = 2  # values that the network gives for each of an image

    def loss(self, weights: torch.Tensor) -> HybridLoss:
        return HybridLoss(alpha_bars(self.snr_scale), weights)

    def sampled(self, solver, network: Network, x: torch.Tensor, nfe: int, draw_noise: DrawNoise) -> torch.Tensor:
        """Encoded images from noise ``x``, (N, ...) float32, by ``ddpm``, ``ddim`` or a function like them.

        ``network``: what it gives for (x, network time).
        """
        return solver(network, x, alpha_bars(self.snr_scale), nfe, draw_noise)
