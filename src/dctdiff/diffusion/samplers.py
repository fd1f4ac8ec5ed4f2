"""Samplers: from noise (t = 1) to data (t near 0), along the probability-flow ODE or the reverse SDE.

Each is a plain function ``(predict_noise, x, schedule, nfe, draw_noise) -> x``. ``predict_noise(x, t)``
takes (N, ...) float32 and a scalar tensor t in [0, 1], and is called exactly ``nfe`` times.
``draw_noise()`` gives fresh standard normal noise of the shape of x; solvers of the ODE do not call
it. All arithmetic is float32 (protocol point 36); times and coefficients are computed in float64.
"""

import functools
import itertools
import math
from collections.abc import Callable

import torch

from dctdiff.diffusion.schedule import Schedule

PredictNoise = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
DrawNoise = Callable[[], torch.Tensor]
Sampler = Callable[[PredictNoise, torch.Tensor, Schedule, int, DrawNoise], torch.Tensor]

DPM_SOLVER_LAST_TIME = 1e-4
EULER_LAST_TIME = 1e-3


def dpm_solver(
    predict_noise: PredictNoise, x: torch.Tensor, schedule: Schedule, nfe: int, draw_noise: DrawNoise
) -> torch.Tensor:
    """DPM-Solver "fast": single steps of order 3, 2 and 1, uniform in half-log-SNR.

    Lu et al. 2022 (arXiv 2206.00927), algorithms 1 and 2 with r1 = 1/3 and r2 = 2/3, and
    protocol point 34: NFE 50 is sixteen third-order steps and one of second order.
    """
    ends = torch.tensor([1.0, DPM_SOLVER_LAST_TIME], dtype=torch.float64)
    first, last = schedule.half_log_snr(ends).tolist()
    orders = dpm_solver_orders(nfe)
    half_log_snrs = torch.linspace(first, last, len(orders) + 1, dtype=torch.float64)
    step = {1: _dpm_solver_1, 2: _dpm_solver_2, 3: _dpm_solver_3}
    for order, (start, end) in zip(orders, itertools.pairwise(half_log_snrs), strict=True):
        x = step[order](predict_noise, x, schedule, start, end)
    return x


def dpm_solver_orders(nfe: int) -> list[int]:
    """Orders of the steps of DPM-Solver "fast"; they add up to ``nfe``."""
    n_steps = nfe // 3 + 1
    if nfe % 3 == 0:
        return [3] * (n_steps - 2) + [2, 1]
    return [3] * (n_steps - 1) + [nfe % 3]


def euler_grid(nfe: int) -> torch.Tensor:
    """Times {0} + linspace(1e-3, 1, nfe) from 1 down to 0: (nfe + 1,) float64 (protocol point 35)."""
    grid = torch.linspace(EULER_LAST_TIME, 1.0, nfe, dtype=torch.float64)
    return torch.cat([grid.new_zeros(1), grid]).flip(0)


def euler_ode(
    predict_noise: PredictNoise, x: torch.Tensor, schedule: Schedule, nfe: int, draw_noise: DrawNoise
) -> torch.Tensor:
    """Euler steps of the ODE on ``euler_grid`` (protocol point 35).

    The drift f - g^2 score / 2 is taken at the later time of each interval.
    """
    for start, end in itertools.pairwise(euler_grid(nfe)):
        beta, noise = schedule.beta(start), schedule.noise(start)
        drift = -0.5 * beta.item() * x + (0.5 * beta / noise).item() * predict_noise(x, start)
        x = x + (end - start).item() * drift
    return x


def euler_sde(
    predict_noise: PredictNoise, x: torch.Tensor, schedule: Schedule, nfe: int, draw_noise: DrawNoise
) -> torch.Tensor:
    """Euler-Maruyama steps of the reverse SDE on ``euler_grid`` (protocol point 35).

    Drift f - g^2 score and diffusion g are taken at the later time of each interval; the last
    step adds no noise.
    """
    for start, end in itertools.pairwise(euler_grid(nfe)):
        beta, noise = schedule.beta(start), schedule.noise(start)
        drift = -0.5 * beta.item() * x + (beta / noise).item() * predict_noise(x, start)
        x = x + (end - start).item() * drift
        if end > 0:
            x = x + torch.sqrt(beta * (start - end)).item() * draw_noise()
    return x


def ancestral(
    predict_noise: PredictNoise, x: torch.Tensor, schedule: Schedule, nfe: int, draw_noise: DrawNoise, eta: float
) -> torch.Tensor:
    """DDIM (eta = 0) and DDPM (eta = 1) on the times of ``euler_grid``.

    Song et al. 2021 (arXiv 2010.02502), equations 12 and 16; their alpha is signal(t)^2. The last
    step, to t = 0, gives the predicted data and adds no noise.
    """
    for start, end in itertools.pairwise(euler_grid(nfe)):
        times = torch.stack([start, end])
        (signal, next_signal), (noise, next_noise) = schedule.signal(times).tolist(), schedule.noise(times).tolist()
        fresh = eta * next_noise / noise * math.sqrt(1 - (signal / next_signal) ** 2)
        ratio = next_signal / signal
        kept = math.sqrt(next_noise**2 - fresh**2) - ratio * noise
        x = ratio * x + kept * predict_noise(x, start)
        if fresh > 0:
            x = x + fresh * draw_noise()
    return x


ddim = functools.partial(ancestral, eta=0.0)
ddpm = functools.partial(ancestral, eta=1.0)


# One DPM-Solver step from half-log-SNR `start` to `end`; h = end - start > 0. In the paper's
# notation alpha is signal(t), sigma is noise(t) and phi(h) = exp(h) - 1.


def _transfer(x, noise, schedule, start, end):
    """First-order solution x(end) for a constant predicted noise."""
    times = schedule.time(torch.stack([start, end]))
    signal, sigma = schedule.signal(times), schedule.noise(times)
    h = end - start
    return (signal[1] / signal[0]).item() * x - (sigma[1] * torch.expm1(h)).item() * noise


def _dpm_solver_1(predict_noise, x, schedule, start, end):
    return _transfer(x, predict_noise(x, schedule.time(start)), schedule, start, end)


def _dpm_solver_2(predict_noise, x, schedule, start, end):
    middle = start + 0.5 * (end - start)
    noise = predict_noise(x, schedule.time(start))
    at_middle = _transfer(x, noise, schedule, start, middle)
    change = predict_noise(at_middle, schedule.time(middle)) - noise
    # With r1 = 1/2 the correction has the weight 1 / (2 r1) = 1.
    return _transfer(x, noise + change, schedule, start, end)


def _dpm_solver_3(predict_noise, x, schedule, start, end):
    h = end - start
    first, second = start + h / 3, start + 2 * h / 3
    noise = predict_noise(x, schedule.time(start))

    at_first = _transfer(x, noise, schedule, start, first)
    change = predict_noise(at_first, schedule.time(first)) - noise

    curvature = schedule.noise(schedule.time(second)) * (torch.expm1(2 * h / 3) / (2 * h / 3) - 1)
    at_second = _transfer(x, noise, schedule, start, second) - 2 * curvature.item() * change
    change = predict_noise(at_second, schedule.time(second)) - noise

    curvature = schedule.noise(schedule.time(end)) * (torch.expm1(h) / h - 1)
    return _transfer(x, noise, schedule, start, end) - 1.5 * curvature.item() * change
