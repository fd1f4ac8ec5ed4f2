"""What all spaces have in common."""

from typing import Protocol

import torch


class Codec(Protocol):
    """RGB images <-> what a network sees. N images, R resolution."""

    resolution: int
    shape: tuple[int, ...]  # of one encoded image

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """``(N, R, R, 3)`` uint8 -> ``(N, *shape)`` float32."""

    def coefficients(self, images: torch.Tensor) -> torch.Tensor:
        """``(N, R, R, 3)`` uint8 -> all values, unscaled, which the stage statistics counts.

        Of blocks ``(N, T, blocks * B*B)`` float32, each from low frequencies to high; of planes ``(N, *shape)``.
        """

    def decode(self, values: torch.Tensor) -> torch.Tensor:
        """``(N, *shape)`` float32 -> ``(N, R, R, 3)`` uint8."""
