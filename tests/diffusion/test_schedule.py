"""The schedule: what defines it, by other means."""

import pytest
import torch

from dctdiff.diffusion.schedule import Schedule

TIMES = torch.linspace(1e-4, 1, 101, dtype=torch.float64)


@pytest.mark.parametrize("snr_scale", [0.5, 1.0, 4.0, 12.0])
def test_variance_is_preserved_and_time_inverts(snr_scale):
    schedule = Schedule(snr_scale)
    assert torch.allclose(schedule.signal(TIMES) ** 2 + schedule.noise(TIMES) ** 2, torch.ones_like(TIMES))
    assert torch.allclose(schedule.time(schedule.half_log_snr(TIMES)), TIMES, atol=1e-9)


def test_snr_scale_multiplies_the_snr():
    ratio = [(s.signal(TIMES) / s.noise(TIMES)) ** 2 for s in (Schedule(1.0), Schedule(4.0))]
    assert torch.allclose(ratio[1] / ratio[0], torch.full_like(TIMES, 4.0))


def test_unscaled_signal_is_the_known_formula():
    expected = torch.exp(-0.25 * TIMES**2 * 19.9 - 0.5 * TIMES * 0.1)
    assert torch.allclose(Schedule(1.0).signal(TIMES), expected)


@pytest.mark.parametrize("snr_scale", [1.0, 4.0])
def test_beta_is_the_rate_of_the_signal(snr_scale):
    """beta = -2 d log(signal) / dt, by automatic differentiation."""
    schedule = Schedule(snr_scale)
    t = TIMES.clone().requires_grad_()
    (slope,) = torch.autograd.grad(torch.log(schedule.signal(t)).sum(), t)
    assert torch.allclose(schedule.beta(TIMES), -2 * slope, rtol=1e-6)


def test_time_zero_is_data_in_float32():
    zero = torch.zeros(1)
    assert Schedule(4.0).signal(zero).item() == 1.0
    assert Schedule(4.0).noise(zero).item() == 0.0


def test_diffuse_broadcasts_over_images():
    x0, eps = torch.ones(3, 4, 5), torch.zeros(3, 4, 5)
    t = torch.tensor([0.1, 0.5, 0.9])
    assert torch.equal(Schedule().diffuse(x0, eps, t)[:, 0, 0], Schedule().signal(t))
