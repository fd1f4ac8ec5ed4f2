"""Samplers against the exact solution of the ODE for Gaussian data."""

import pytest
import torch

from dctdiff.samplers import dpm_solver, dpm_solver_orders, euler_ode
from dctdiff.schedule import Schedule

DATA_STD = 0.5
SCHEDULE = Schedule(4.0)


class GaussianData:
    """The ideal noise predictor for x_0 ~ N(0, DATA_STD^2); counts its calls."""

    def __init__(self):
        self.nfe = 0

    def __call__(self, x, t):
        self.nfe += 1
        return SCHEDULE.noise(t) * x / std(t) ** 2


def std(t):
    return torch.sqrt(SCHEDULE.signal(t) ** 2 * DATA_STD**2 + SCHEDULE.noise(t) ** 2)


def error(sampler, nfe: int, last_time: float) -> float:
    """Largest deviation from x(end) = x(1) std(end) / std(1), in float64."""
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)
    ends = torch.tensor([1.0, last_time], dtype=torch.float64)
    exact = x * std(ends[1]) / std(ends[0])
    return (sampler(GaussianData(), x, SCHEDULE, nfe) - exact).abs().max().item()


@pytest.mark.parametrize("sampler", [dpm_solver, euler_ode])
@pytest.mark.parametrize("nfe", [1, 2, 3, 10, 20, 50])
def test_the_network_is_called_nfe_times(sampler, nfe):
    network = GaussianData()
    sampler(network, torch.ones(1), SCHEDULE, nfe)
    assert network.nfe == nfe


def test_orders_of_the_protocol():
    assert dpm_solver_orders(50) == [3] * 16 + [2]
    assert dpm_solver_orders(100) == [3] * 33 + [1]
    assert dpm_solver_orders(9) == [3, 3, 2, 1]
    assert all(sum(dpm_solver_orders(nfe)) == nfe for nfe in range(1, 200))


def test_dpm_solver_converges_with_its_order():
    coarse, fine = error(dpm_solver, 26, 1e-4), error(dpm_solver, 53, 1e-4)
    assert coarse / fine > 7  # third order gives 8


def test_euler_converges_with_first_order():
    coarse, fine = error(euler_ode, 100, 0.0), error(euler_ode, 200, 0.0)
    assert fine < 1e-2
    assert coarse / fine == pytest.approx(2, rel=0.2)


def test_a_wrong_snr_scale_is_not_harmless():
    """The solver's own scale must be the training one (protocol point 34)."""
    x = torch.ones(1, dtype=torch.float64)
    right = dpm_solver(GaussianData(), x, SCHEDULE, 50)
    wrong = dpm_solver(GaussianData(), x, Schedule(1.0), 50)
    assert abs(right - wrong).item() > 0.05
