"""Power spectra: what noise leaves of each frequency along the forward process.

Natural images lose power with frequency and noise does not, so the forward process drowns high
frequencies first: "image diffusion is spectral autoregression", as the paper says.
"""

import math

import numpy as np
import torch

from dctdiff.diffusion.schedule import Schedule


class RadialPower:
    """Power spectral density of square planes, averaged over planes and over rings of one frequency."""

    def __init__(self, resolution: int):
        frequency = np.fft.fftfreq(resolution, 1 / resolution)  # cycles per image
        radius = np.hypot(frequency[:, None], frequency[None, :])
        self.rings = np.rint(radius).astype(np.int64)
        self.n = 0
        self.power = np.zeros((resolution, resolution))

    def update(self, planes: torch.Tensor) -> None:
        """Add ``planes``: (N, R, R) float."""
        # Divided by R^2: the mean over frequencies is the mean square of the pixels (Parseval), and
        # white noise has its variance at every frequency.
        power = torch.fft.fft2(planes.double()).abs().square().sum(dim=0) / self.rings.size
        self.power += power.cpu().numpy()
        self.n += len(planes)

    def sizes(self) -> np.ndarray:
        """How many frequencies each ring has: (rings,) int64; ring i is i cycles per image, to the nearest."""
        return np.bincount(self.rings.ravel())

    def mean(self) -> np.ndarray:
        """Mean power of each ring: (rings,) float64."""
        return np.bincount(self.rings.ravel(), self.power.ravel()) / self.sizes() / self.n


class CoefficientPower:
    """Mean square of each DCT coefficient of Y, Cb and Cr, in zigzag order."""

    def __init__(self, n_coefficients: int):
        self.n = 0
        self.sums = np.zeros((6, n_coefficients))

    def update(self, tokens: torch.Tensor) -> None:
        """Add ``tokens``: (N, T, 6 n_coefficients), as ``DCTCodec.coefficients`` gives them."""
        squares = tokens.double().square().sum(dim=(0, 1))
        self.sums += squares.reshape(self.sums.shape).cpu().numpy()
        self.n += tokens.shape[0] * tokens.shape[1]

    def mean(self) -> dict[str, np.ndarray]:
        """Channel -> ``(n_coefficients,)`` float64; the four blocks of Y count alike."""
        means = self.sums / self.n
        return {"y": means[:4].mean(axis=0), "cb": means[4], "cr": means[5]}


def snr(power: np.ndarray, schedule: Schedule, times: list[float]) -> np.ndarray:
    """Signal-to-noise ratio signal(t)^2 power / noise(t)^2: ``(len(times), len(power))``.

    ``power``: mean squares of what the network sees; noise has the mean square 1.
    """
    half_log_snr = schedule.half_log_snr(torch.tensor(times, dtype=torch.float64))
    return torch.exp(2 * half_log_snr).numpy()[:, None] * power


def crossing_times(power: np.ndarray, schedule: Schedule) -> np.ndarray:
    """The time at which the SNR of each coefficient is 1: ``(len(power),)``; 0 without any power."""
    half_log = [-0.5 * math.log(value) if value > 0 else math.inf for value in power]
    return schedule.time(torch.tensor(half_log, dtype=torch.float64)).numpy()
