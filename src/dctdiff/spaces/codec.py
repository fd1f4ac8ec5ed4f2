"""What all spaces have in common."""

from typing import Protocol

import torch


class Codec(Protocol):
    """RGB images <-> what a network sees. N images, R resolution."""

    resolution: int
    shape: tuple[int, ...]  # of one encoded image

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """``(N, R, R, 3)`` uint8 -> ``(N, *shape)`` float32."""

    def decode(self, values: torch.Tensor) -> torch.Tensor:
        """``(N, *shape)`` float32 -> ``(N, R, R, 3)`` uint8."""
