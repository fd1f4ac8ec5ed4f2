"""Latent space: what an autoencoder makes of pixels, four channels at an eighth of the resolution (protocol point 48).

The autoencoder gives a normal distribution for each value, by its mean and log-variance; training draws from it.

Letters: N images, R resolution, r = R / 8.
"""

from collections.abc import Callable

import torch
from torch import nn

from dctdiff.spaces.pixel import PixelCodec

CHANNELS = 4
FACTOR = 8
SCALE = 0.18215  # of latents as the network sees them; it makes their variance about 1
MOST_PIXELS = 2**20  # that the autoencoder is given at a time: the widest layers hold 256 values of each


class LatentCodec:
    """RGB images <-> ``(4, r, r)``.

    ``autoencoder``: device -> one with ``encode`` and ``decode`` as ``diffusers.AutoencoderKL`` has them; asked for
    when it is needed, so that the shape costs nothing.
    """

    def __init__(self, resolution: int, autoencoder: Callable[[torch.device], nn.Module]):
        self.resolution = resolution
        self.shape = (CHANNELS, resolution // FACTOR, resolution // FACTOR)
        self.autoencoder = autoencoder
        self.pixels = PixelCodec(resolution)
        self.images_at_once = max(1, MOST_PIXELS // resolution**2)

    @torch.no_grad()
    def moments(self, images: torch.Tensor) -> torch.Tensor:
        """``(N, R, R, 3)`` uint8 -> ``(N, 8, r, r)`` float32: means, then log-variances."""
        encode = self.autoencoder(images.device).encode
        with without_tf32():
            found = [encode(self.pixels.encode(part)).latent_dist for part in images.split(self.images_at_once)]
        return torch.cat([torch.cat([of.mean, of.logvar], dim=1).float() for of in found])

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """``(N, R, R, 3)`` uint8 -> ``(N, 4, r, r)`` float32: the means, nothing drawn."""
        return SCALE * self.moments(images)[:, :CHANNELS]

    @torch.no_grad()
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """``(N, 4, r, r)`` float -> ``(N, R, R, 3)`` uint8, rounded as pixels are (protocol point 17)."""
        decode = self.autoencoder(latents.device).decode
        parts = (latents.float() / SCALE).split(self.images_at_once)
        with without_tf32():
            return torch.cat([self.pixels.decode(decode(part).sample) for part in parts])


def drawn(moments: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """``(N, 8, r, r)`` moments, ``(N, 4, r, r)`` standard normal -> ``(N, 4, r, r)`` as the network sees them."""
    mean, log_variance = moments.chunk(2, dim=1)
    return SCALE * (mean + torch.exp(log_variance / 2) * noise)


def without_tf32():
    """Convolutions on a GPU in float32: TF32, their default, rounds to 10 bits."""
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
