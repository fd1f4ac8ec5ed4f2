"""The chain of 1,000 steps, computed a second time from the papers' formulas."""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from dctdiff.diffusion.discrete import Discrete, HybridLoss, alpha_bars, ddim, ddpm, visited
from dctdiff.registry.samplers import SAMPLERS, offered

SHAPE = (2, 3)  # of one encoded image
CHAIN = alpha_bars(1.0)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def betas() -> list[float]:
    """Ho et al. 2020, section 4."""
    return [1e-4 + (0.02 - 1e-4) * index / 999 for index in range(1000)]


def remaining() -> list[float]:
    """Signal power after each step."""
    found = [1.0]
    for beta in betas():
        found.append(found[-1] * (1 - beta))
    return found[1:]


def test_signal_power_is_the_product_of_the_papers():
    assert alpha_bars(1.0).tolist() == pytest.approx(remaining())


def test_snr_scale_multiplies_the_snr():
    snr = lambda power: power / (1 - power)  # noqa: E731
    assert torch.allclose(snr(alpha_bars(4.0)), 4 * snr(CHAIN))


def test_visited_steps_are_evenly_spaced_and_end_in_both_ends():
    assert visited(100)[:7] == [0, 10, 20, 30, 40, 50, 61] and visited(100)[-3:] == [979, 989, 999]
    assert visited(1000) == list(range(1000)) and visited(1) == [999] and visited(2) == [0, 999]
    for nfe in range(2, 1001):
        steps = [b - a for a, b in zip(visited(nfe), visited(nfe)[1:], strict=False)]
        assert sum(steps) == 999 and max(steps) - min(steps) <= 1 and min(steps) >= 1


def posterior(x0, x, before: float, now: float) -> Normal:
    """x_(k-1) given x_0 and x_k, by Bayes: two normal distributions multiplied, by their precisions."""
    alpha = now / before
    prior = Normal(math.sqrt(before) * x0, math.sqrt(1 - before))
    seen = x / math.sqrt(alpha), (1 - alpha) / alpha  # mean and variance of x_(k-1) by x_k alone
    precision = 1 / prior.variance + 1 / seen[1]
    return Normal((prior.mean / prior.variance + seen[0] / seen[1]) / precision, precision**-0.5)


def learned(place, before: float, now: float, least: float):
    """Standard deviation between those of the posterior and of beta (Nichol and Dhariwal 2021, equation 15)."""
    share = (place + 1) / 2
    return torch.exp((share * math.log(1 - now / before) + (1 - share) * math.log(least)) / 2)


def variance_of_posterior(before: float, now: float) -> float:
    return (1 - now / before) * (1 - before) / (1 - now)


@pytest.mark.parametrize("snr_scale", [1.0, 4.0])
@pytest.mark.parametrize("number", [0, 1, 2, 17, 500, 999])
def test_the_loss_by_another_way(number, snr_scale):
    powers = [snr_scale * p / (1 + (snr_scale - 1) * p) for p in remaining()]
    before, now = ([1.0, *powers])[number], powers[number]
    x0, eps = normal(5, *SHAPE, seed=1).double().clamp(-0.9, 0.9), normal(5, *SHAPE, seed=2).double()
    x0[0], x0[1] = 1.0, -1.0  # the last and the first byte
    predicted, place = eps + 0.01 * normal(5, *SHAPE, seed=3), 0.5 * normal(5, *SHAPE, seed=4).double()
    x = math.sqrt(now) * x0 + math.sqrt(1 - now) * eps
    guess = (x - math.sqrt(1 - now) * predicted) / math.sqrt(now)
    if number:
        truth = posterior(x0, x, before, now)
        mean, least = posterior(guess, x, before, now).mean, variance_of_posterior(before, now)
        bound = kl_divergence(truth, Normal(mean, learned(place, before, now, least)))
        tolerance = 1e-5
    else:
        model = Normal(guess, learned(place, before, now, variance_of_posterior(powers[0], powers[1])))
        above, below = model.cdf(x0 + 1 / 255), model.cdf(x0 - 1 / 255)
        above, below = torch.where(x0 > 0.999, 1, above), torch.where(x0 < -0.999, 0, below)
        bound = -torch.log(above - below)
        tolerance = 5e-3  # the normal distribution function is Page's approximation there
    weights = torch.tensor([2.0, 1.0, 0.5])
    expected = (weights * (predicted - eps).square()).mean() + bound.mean() / math.log(2)

    seen = []

    def network(x, t, y):
        seen.append((x, t))
        return torch.stack([predicted, place], dim=1)

    t = torch.full((5,), (number + 0.5) / 1000)
    found = HybridLoss(alpha_bars(snr_scale), weights)(network, x0.float(), eps.float(), t)
    assert found.item() == pytest.approx(expected.item(), abs=tolerance)
    assert seen[0][1].tolist() == [number] * 5
    assert torch.allclose(seen[0][0], x.float(), atol=1e-6)


def test_the_bound_moves_variances_only():
    predicted, place = normal(8, *SHAPE, seed=3).requires_grad_(), normal(8, *SHAPE, seed=4).requires_grad_()
    eps, t = normal(8, *SHAPE, seed=2), torch.linspace(0, 0.999, 8)
    loss = HybridLoss(CHAIN, torch.ones(()))(
        lambda x, t, y: torch.stack([predicted, place], 1), normal(8, *SHAPE), eps, t
    )
    loss.backward()
    assert torch.allclose(predicted.grad, 2 * (predicted - eps).detach() / predicted.numel())
    assert place.grad.abs().min() > 0


def test_every_time_has_a_step():
    seen = []
    network = lambda x, t, y: seen.append(t) or torch.zeros(2, 2, 3)  # noqa: E731
    t = torch.tensor([0.0, 1.0])  # a sigmoid may round to 1
    assert torch.isfinite(HybridLoss(CHAIN, torch.ones(()))(network, torch.zeros(2, 3), torch.ones(2, 3), t))
    assert seen[0].tolist() == [0, 999]


def test_nothing_in_the_loss_waits_for_the_gpu():
    """Else it could not be recorded. Tensors without values refuse whatever would read one."""
    x, t = torch.zeros(4, *SHAPE, device="meta"), torch.zeros(4, device="meta")
    given = lambda x, t, y: torch.zeros(4, 2, *SHAPE, device="meta", requires_grad=True)  # noqa: E731
    HybridLoss(CHAIN, torch.ones(3, device="meta"))(given, x, x, t).backward()


@pytest.mark.parametrize("nfe", [2, 7, 100])
def test_each_step_of_ddpm_is_drawn_from_the_learned_distribution(nfe):
    numbers, powers = visited(nfe)[::-1], remaining()
    draws, states = iter(normal(nfe, 4, *SHAPE, seed=5)), []

    def network(x, t):
        states.append((x, t))
        return torch.stack([0.9 * x + 0.1 * normal(4, *SHAPE, seed=6), torch.tanh(x)], dim=1)

    end = ddpm(network, normal(4, *SHAPE), CHAIN, nfe, lambda: next(draws))
    assert [t for _, t in states] == numbers
    draws = iter(normal(nfe, 4, *SHAPE, seed=5).double())
    for (x, _), after, number, cleaner in zip(
        states, [x for x, _ in states[1:]] + [end], numbers, [*numbers[1:], None], strict=True
    ):
        before, now = 1.0 if cleaner is None else powers[cleaner], powers[number]
        eps, place = (0.9 * x + 0.1 * normal(4, *SHAPE, seed=6)).double(), torch.tanh(x).double()
        guess = (x.double() - math.sqrt(1 - now) * eps) / math.sqrt(now)
        if cleaner is None:
            expected = guess
        else:
            std = learned(place, before, now, variance_of_posterior(before, now))
            expected = posterior(guess, x.double(), before, now).mean + std * next(draws)
        assert (after - expected).abs().max() < 1e-4 * max(1, expected.abs().max())


class GaussianData:
    """The ideal network for x_0 ~ N(0, data_std^2), whose variances are the smallest; keeps what it is called with."""

    def __init__(self, data_std: float, powers: torch.Tensor):
        self.data_std, self.powers, self.states = data_std, powers, []

    def __call__(self, x, t):
        power = self.powers[int(t)]
        self.states.append(x)
        eps = (1 - power).sqrt() * x / (power * self.data_std**2 + 1 - power)
        return torch.stack([eps, torch.full_like(x, -1)], dim=1)


@pytest.mark.parametrize("sampler", offered("discrete"))
@pytest.mark.parametrize("nfe", [2, 10])
def test_data_without_spread_have_exact_marginals_in_any_number_of_steps(sampler, nfe):
    """All maps are linear, so a state holds the coefficients of independent draws, which are unit vectors."""
    basis = iter(torch.eye(nfe + 1, dtype=torch.float64)[:, None])
    network = GaussianData(0.0, CHAIN)
    first = next(basis) * (1 - CHAIN[-1]).sqrt()
    solver = SAMPLERS[sampler].discrete.imported()
    end = solver(network, first, CHAIN, nfe, lambda: next(basis))
    found = torch.cat(network.states).square().sum(1)
    assert torch.allclose(found, 1 - CHAIN[visited(nfe)[::-1]])
    assert end.abs().max() < 1e-10


def test_ddim_comes_to_the_data_with_more_steps():
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)[None]
    # The solution of the ODE between the ends keeps the share of the standard deviation; the last step is exact.
    start = (CHAIN[-1] * 0.25 + 1 - CHAIN[-1]).sqrt()
    errors = [
        (ddim(GaussianData(0.5, CHAIN), x, CHAIN, nfe, None) - 0.5 * x / start).abs().max().item()
        for nfe in (10, 100, 1000)
    ]
    assert errors[0] > 2 * errors[1] > 4 * errors[2] and errors[2] < 0.02


@pytest.mark.parametrize("sampler", offered("discrete"))
@pytest.mark.parametrize("nfe", [1, 3, 20])
def test_the_network_is_called_nfe_times_in_float32(sampler, nfe):
    network, draws = GaussianData(0.5, CHAIN.float()), []
    solver = SAMPLERS[sampler].discrete.imported()
    end = solver(network, torch.ones(1, 4), CHAIN, nfe, lambda: draws.append(1) or torch.zeros(1, 4))
    assert len(network.states) == nfe and torch.isfinite(end).all()
    assert len(draws) == (nfe - 1 if SAMPLERS[sampler].draws else 0)
    assert {state.dtype for state in [*network.states, end]} == {torch.float32}


def test_a_scale_of_the_snr_reaches_loss_and_samples():
    one, four = Discrete(1.0), Discrete(4.0)
    x = torch.ones(1, 4)
    network = GaussianData(0.5, CHAIN.float())
    assert not torch.equal(*(each.sampled(ddim, network, x, 5, None) for each in (one, four)))
    given = lambda x, t, y: torch.stack([x, x], 1)  # noqa: E731
    losses = [each.loss(torch.ones(()))(given, x, x, torch.tensor([0.5])) for each in (one, four)]
    assert losses[0] != losses[1]
