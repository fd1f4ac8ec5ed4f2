"""Samplers against exact solutions for Gaussian data."""

import pytest
import torch

from dctdiff.diffusion.samplers import (
    _transfer,
    ddim,
    ddpm,
    dpm_solver,
    dpm_solver_orders,
    euler_grid,
    euler_ode,
    euler_sde,
)
from dctdiff.diffusion.schedule import Schedule
from dctdiff.registry.samplers import SAMPLERS, offered

DATA_STD = 0.5
SCHEDULE = Schedule(4.0)


class GaussianData:
    """The ideal noise predictor for x_0 ~ N(0, data_std^2); keeps the times and states it is called with."""

    def __init__(self, data_std=DATA_STD):
        self.data_std = data_std
        self.times, self.states = [], []

    def __call__(self, x, t):
        self.times.append(t)
        self.states.append(x)
        return SCHEDULE.noise(t) * x / std(t, self.data_std) ** 2


def std(t, data_std=DATA_STD):
    return torch.sqrt(SCHEDULE.signal(t) ** 2 * data_std**2 + SCHEDULE.noise(t) ** 2)


def no_noise():
    raise AssertionError("a solver of the ODE draws no noise")


def error(sampler, nfe: int, last_time: float) -> float:
    """Largest deviation from x(end) = x(1) std(end) / std(1), in float64."""
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)
    ends = torch.tensor([1.0, last_time], dtype=torch.float64)
    exact = x * std(ends[1]) / std(ends[0])
    return (sampler(GaussianData(), x, SCHEDULE, nfe, no_noise) - exact).abs().max().item()


def variances(sampler, nfe, data_std=DATA_STD, first_variance=1.0):
    """Exact variance of each state of a sampler: at the ``nfe`` calls of the network, then at the end.

    All maps are linear, so a state is a combination of independent standard normal draws: here
    x holds its coefficients, the initial noise first, and each draw is a new unit vector.
    """
    basis = iter(torch.eye(nfe + 1, dtype=torch.float64))
    network = GaussianData(data_std)
    end = sampler(network, next(basis) * first_variance**0.5, SCHEDULE, nfe, lambda: next(basis))
    return torch.stack(network.times), torch.stack([*network.states, end]).square().sum(dim=1)


@pytest.mark.parametrize("name", offered("continuous"))
@pytest.mark.parametrize("nfe", [1, 2, 3, 10, 20, 50])
def test_the_network_is_called_nfe_times(name, nfe):
    network, draws = GaussianData(), []
    solver = SAMPLERS[name].continuous.imported()
    solver(network, torch.ones(1), SCHEDULE, nfe, lambda: draws.append(1) or torch.zeros(1))
    assert len(network.times) == nfe
    assert len(draws) == (nfe - 1 if SAMPLERS[name].draws else 0)  # none in the last step


@pytest.mark.parametrize("name", offered("continuous"))
def test_arithmetic_is_float32(name):
    """Protocol point 36: times in float64 do not widen what they multiply."""
    network = GaussianData()
    solver = SAMPLERS[name].continuous.imported()
    end = solver(network, torch.ones(2), SCHEDULE, 7, lambda: torch.zeros(2))
    assert {state.dtype for state in [*network.states, end]} == {torch.float32}


@pytest.mark.parametrize("name", offered("continuous"))
def test_many_steps_arrive_at_the_data(name):
    """Of Gaussian data, whatever the order of the solver."""
    solver = SAMPLERS[name].continuous.imported()
    if SAMPLERS[name].draws:
        _, found = variances(solver, 400)
        assert found[-1].item() == pytest.approx(DATA_STD**2, rel=0.06)
    else:
        assert error(solver, 400, 0.0) < 0.01


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


def test_ddim_converges_to_the_ode_with_first_order():
    coarse, fine = error(ddim, 100, 0.0), error(ddim, 200, 0.0)
    assert fine < 1e-2
    assert coarse / fine == pytest.approx(2, rel=0.2)


def test_ddim_is_the_first_order_solution_of_dpm_solver_on_the_same_times():
    network = GaussianData()
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)
    ddim(network, x, SCHEDULE, 12, no_noise)
    half_log_snrs = SCHEDULE.half_log_snr(euler_grid(12)[:-1])  # infinite at t = 0
    for index in range(11):
        noise = GaussianData()(network.states[index], network.times[index])
        expected = _transfer(network.states[index], noise, SCHEDULE, half_log_snrs[index], half_log_snrs[index + 1])
        assert torch.allclose(network.states[index + 1], expected, atol=1e-12)


def test_the_last_step_of_ddim_gives_the_predicted_data():
    network = GaussianData()
    end = ddim(network, torch.ones(1, dtype=torch.float64), SCHEDULE, 5, no_noise)
    x, t = network.states[-1], network.times[-1]
    predicted = (x - SCHEDULE.noise(t) * GaussianData()(x, t)) / SCHEDULE.signal(t)
    assert torch.allclose(end, predicted)


@pytest.mark.parametrize("sampler", [ddim, ddpm])
@pytest.mark.parametrize("nfe", [2, 7])
def test_data_without_spread_have_exact_marginals_in_any_number_of_steps(sampler, nfe):
    """If all data are 0, the predicted noise is right at every step, and so is every marginal."""
    first = SCHEDULE.noise(torch.ones((), dtype=torch.float64)).item() ** 2
    times, found = variances(sampler, nfe, data_std=0.0, first_variance=first)
    assert torch.allclose(found[:-1], SCHEDULE.noise(times) ** 2)
    assert found[-1] < 1e-20


@pytest.mark.parametrize("sampler", [euler_sde, ddpm])
def test_stochastic_samplers_converge_to_the_marginals(sampler):
    """At every time the variance is off by a term of first order in the step."""

    def largest_error(nfe):
        times, found = variances(sampler, nfe)
        exact = torch.cat([std(times), torch.tensor([DATA_STD])]) ** 2
        return ((found - exact) / exact).abs().max().item()

    coarse, fine = largest_error(400), largest_error(800)
    assert fine < 0.03
    assert coarse / fine == pytest.approx(2, rel=0.25)


def test_the_steps_of_the_sde_by_another_way():
    """Two steps written out: x + dt (f - g^2 score) + g sqrt(dt) z, score by automatic differentiation."""
    draws = [torch.tensor([0.3, -1.0], dtype=torch.float64)]
    x = torch.tensor([0.5, -2.0], dtype=torch.float64)
    found = euler_sde(GaussianData(), x, SCHEDULE, 2, iter(draws).__next__)
    for start, end, z in [(1.0, 1e-3, draws[0]), (1e-3, 0.0, torch.zeros(2))]:
        t = torch.tensor(start, dtype=torch.float64)
        point = x.clone().requires_grad_()
        (score,) = torch.autograd.grad((-0.5 * point**2 / std(t) ** 2).sum(), point)
        g2 = SCHEDULE.beta(t)
        x = x + (end - start) * (-0.5 * g2 * x - g2 * score) + (g2 * (start - end)).sqrt() * z
    assert torch.allclose(found, x)


def test_a_wrong_snr_scale_is_not_harmless():
    """The solver's own scale must be the training one (protocol point 34)."""
    x = torch.ones(1, dtype=torch.float64)
    right = dpm_solver(GaussianData(), x, SCHEDULE, 50, no_noise)
    wrong = dpm_solver(GaussianData(), x, Schedule(1.0), 50, no_noise)
    assert abs(right - wrong).item() > 0.05
