"""Pixel space: what the U-ViT baseline sees. R: resolution."""

import torch


class PixelCodec:
    """RGB images <-> ``(3, R, R)`` in [-1, 1] (protocol point 7)."""

    def __init__(self, resolution: int):
        self.resolution = resolution
        self.shape = (3, resolution, resolution)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """``(N, R, R, 3)`` uint8 -> ``(N, 3, R, R)`` float32 in [-1, 1]."""
        return images.permute(0, 3, 1, 2).float() / 127.5 - 1.0

    def coefficients(self, images: torch.Tensor) -> torch.Tensor:
        """``(N, R, R, 3)`` uint8 -> ``(N, 3, R, R)`` float32, around 0."""
        return images.permute(0, 3, 1, 2).float() - 127.5

    def decode(self, pixels: torch.Tensor) -> torch.Tensor:
        """``(N, 3, R, R)`` float32 -> ``(N, R, R, 3)`` uint8, rounded (protocol point 17)."""
        values = (pixels.float() + 1.0) * 127.5
        return values.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
