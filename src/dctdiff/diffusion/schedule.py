"""Noise schedule: the variance-preserving SDE with linear beta and a scaled SNR.

t runs from 0 (data) to 1 (noise). ``snr_scale`` c multiplies the signal-to-noise ratio at every
t (paper section 4.4, protocol points 19 to 21): alpha_bar' = c alpha_bar / (1 + (c-1) alpha_bar).
All functions take and give tensors of one shape and keep their dtype.
"""

import dataclasses
import math

import torch
import torch.nn.functional as F

BETA_MIN = 0.1
BETA_MAX = 20.0
NETWORK_TIME = 999.0  # the networks are given t * 999 (protocol point 19)


@dataclasses.dataclass(frozen=True)
class Schedule:
    """x_t = signal(t) x_0 + noise(t) eps, with eps standard normal."""

    snr_scale: float = 1.0

    def half_log_snr(self, t: torch.Tensor) -> torch.Tensor:
        """lambda(t) = log(signal / noise) = half the log of c alpha_bar / (1 - alpha_bar)."""
        integral = BETA_MIN * t + 0.5 * (BETA_MAX - BETA_MIN) * t**2  # -log alpha_bar
        return 0.5 * (math.log(self.snr_scale) - torch.log(torch.expm1(integral)))

    def time(self, half_log_snr: torch.Tensor) -> torch.Tensor:
        """Inverse of ``half_log_snr``."""
        integral = F.softplus(math.log(self.snr_scale) - 2 * half_log_snr)
        slope = BETA_MAX - BETA_MIN
        # The stable root of slope/2 t^2 + BETA_MIN t - integral = 0.
        return 2 * integral / (BETA_MIN + torch.sqrt(BETA_MIN**2 + 2 * slope * integral))

    def signal(self, t: torch.Tensor) -> torch.Tensor:
        """sqrt(alpha_bar')."""
        return torch.sigmoid(2 * self.half_log_snr(t)).sqrt()

    def noise(self, t: torch.Tensor) -> torch.Tensor:
        """sqrt(1 - alpha_bar')."""
        return torch.sigmoid(-2 * self.half_log_snr(t)).sqrt()

    def beta(self, t: torch.Tensor) -> torch.Tensor:
        """Squared diffusion: beta(t) / (1 + (c - 1) alpha_bar(t)) (protocol point 20)."""
        alpha_bar = torch.exp(-BETA_MIN * t - 0.5 * (BETA_MAX - BETA_MIN) * t**2)
        return (BETA_MIN + (BETA_MAX - BETA_MIN) * t) / (1 + (self.snr_scale - 1) * alpha_bar)

    def diffuse(self, x0: torch.Tensor, eps: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Draw x_t given ``x0``, ``eps``: (N, ...) and ``t``: (N,)."""
        t = _per_image(t, x0)
        return self.signal(t) * x0 + self.noise(t) * eps

    def velocity(self, x0: torch.Tensor, eps: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """signal(t) eps - noise(t) x_0 (Salimans & Ho 2022, arXiv 2202.00512); arguments as for ``diffuse``."""
        t = _per_image(t, x0)
        return self.signal(t) * eps - self.noise(t) * x0


def _per_image(t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """``(N,)`` -> ``(N, 1, ...)`` that broadcasts over ``x``."""
    return t.reshape(-1, *[1] * (x.dim() - 1))
