"""Samplers: solve the probability-flow ODE from noise (t = 1) to data (t near 0).

Each is a plain function ``(predict_noise, x, schedule, nfe) -> x`` where ``predict_noise(x, t)``
takes (N, ...) float32 and a scalar tensor t in [0, 1], and is called exactly ``nfe`` times. All
arithmetic is float32 (protocol point 36); times and coefficients are computed in float64.
"""

import itertools
from collections.abc import Callable

import torch

from dctdiff.schedule import Schedule

PredictNoise = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

DPM_SOLVER_LAST_TIME = 1e-4
EULER_LAST_TIME = 1e-3


def dpm_solver(predict_noise: PredictNoise, x: torch.Tensor, schedule: Schedule, nfe: int) -> torch.Tensor:
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


def euler_ode(predict_noise: PredictNoise, x: torch.Tensor, schedule: Schedule, nfe: int) -> torch.Tensor:
    """Euler steps on the grid {0} + linspace(1e-3, 1, nfe) (protocol point 35).

    The drift f - g^2 score / 2 is taken at the later time of each interval.
    """
    grid = torch.linspace(EULER_LAST_TIME, 1.0, nfe, dtype=torch.float64)
    grid = torch.cat([grid.new_zeros(1), grid]).flip(0)
    for start, end in itertools.pairwise(grid):
        beta, noise = schedule.beta(start), schedule.noise(start)
        drift = -0.5 * beta.item() * x + (0.5 * beta / noise).item() * predict_noise(x, start)
        x = x + (end - start).item() * drift
    return x


SAMPLERS = {"dpm_solver": dpm_solver, "euler_ode": euler_ode}


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
