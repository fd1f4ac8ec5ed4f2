"""Params of the statistics stage: one codec on one dataset."""

from typing import Literal

from pydantic import Field, model_validator

from dctdiff.params.autoencoder import Autoencoder
from dctdiff.pipeline.slice import Images, Name, Pixels, Slice
from dctdiff.registry.spaces import SPACES

SMALLEST_BLOCK = 2


def default_block_size(known: dict) -> int | None:
    """For the space among the keys that are ``known``; one that is wrong is not."""
    return SMALLEST_BLOCK if "space" in known and SPACES[known["space"]].has_blocks else None


class Codec(Slice):
    dataset: Name = Field(description="key of suite.datasets")
    space: Literal[*SPACES] = Field(
        "dct",
        description="what the network sees, that of the paper first: "
        + "; ".join(f"{name}: {space.words}" for name, space in SPACES.items()),
    )
    block_size: int = Field(
        default_factory=default_block_size,
        ge=2,
        le=16,
        description="DCT: side B of a DCT block, 2 without this key; a token covers 2B x 2B pixels",
    )
    kept_coefficients: int = Field(
        default_factory=lambda known: (known.get("block_size") or 0) ** 2 or None,
        ge=1,
        le=256,
        description="DCT: coefficients kept of each block, in zigzag order (B*B - m*); all without this key",
    )
    patch_size: Pixels = Field(
        None, description="pixel: side of a patch in pixels; latent: in latents, of 8 x 8 pixels"
    )
    autoencoder: Autoencoder | None = Field(None, description="latent: what makes latents of pixels, and back")
    tau: float = Field(98.25, gt=50, le=100, description="percentile that bounds the coefficients")
    n_images: Images = Field(None, description="training images counted, evenly spaced by name; all without this key")

    @model_validator(mode="after")
    def keys_of_the_space(self):
        if (self.autoencoder is not None) != (self.space == "latent"):
            raise ValueError(f"autoencoder belongs to space latent, which needs it, but space is {self.space}")
        if not SPACES[self.space].has_blocks:
            if self.patch_size is None or self.block_size or self.kept_coefficients:
                raise ValueError(f"space {self.space} needs patch_size, and no block_size or kept_coefficients")
            return self
        if self.block_size is None or self.kept_coefficients is None or self.patch_size:
            raise ValueError(f"space {self.space} needs block_size and kept_coefficients, and no patch_size")
        if self.kept_coefficients > self.block_size**2:
            raise ValueError(
                f"kept_coefficients is {self.kept_coefficients}, but should be at most "
                f"{self.block_size**2}, block_size squared"
            )
        return self

    @property
    def token_side(self) -> int:
        """Pixels that a token covers in each direction."""
        return SPACES[self.space].token_side(self.block_size, self.patch_size)
