"""Params of published weights: what the file of a release does not say itself."""

from typing import Literal

from pydantic import Field, model_validator

from dctdiff.params.autoencoder import Autoencoder
from dctdiff.params.download import check_url
from dctdiff.pipeline.slice import Count, Digest, Pixels, Slice, Text
from dctdiff.registry.spaces import SPACES


class Release(Slice):
    file: Text = Field(
        None,
        description="path of the authors' state dict (.pth), e.g. data/sources/weights/<name>.pth, or of a model of "
        "this project (.safetensors), which says what it is: the run must agree with it",
    )
    url: Text = Field(
        None, description="instead of file: its URL; fetched into data/sources/weights if it does not lie there"
    )
    sha256: Digest = Field(
        None, description="SHA-256 of that file; needed with url; without it the stage stops and says what it is"
    )
    train_steps: Count = Field(None, description="optimiser steps that the release is said to have had, for the tables")
    resolution: Pixels = Field(description="side in pixels of the images it makes")
    block_size: int = Field(None, ge=2, le=16, description="dct: side B of a DCT block")
    kept_coefficients: int = Field(
        None, ge=1, le=256, description="dct: coefficients kept of each block, in zigzag order"
    )
    eta: float = Field(
        None,
        gt=0,
        le=10**6,
        description="dct: the published scale of the coefficients; .safetensors files hold it",
    )
    patch_size: Pixels = Field(None, description="pixel: side of a patch in pixels; latent: in latents")
    autoencoder: Autoencoder | None = Field(None, description="latent: what makes images of its latents")

    @model_validator(mode="after")
    def lies_here_or_is_fetched(self):
        if (self.file is None) == (self.url is None):
            raise ValueError("give either file (a path) or url and sha256 (fetched)")
        if self.url is not None:
            check_url(self.url)
            if self.sha256 is None:
                raise ValueError("url needs sha256, to check what is fetched")
        return self

    @model_validator(mode="after")
    def keys_of_the_space(self):
        dct = [self.block_size, self.kept_coefficients, self.eta]
        if self.patch_size is None and None in (dct[:2] if self.is_own else dct):
            raise ValueError("give block_size, kept_coefficients and eta (DCT), or patch_size (pixels, latents)")
        if self.patch_size is not None and dct != [None, None, None]:
            raise ValueError("patch_size (pixels) does not go with block_size, kept_coefficients or eta (DCT)")
        if self.autoencoder is not None and self.patch_size is None:
            raise ValueError("autoencoder (latents) needs patch_size")
        if self.space == "dct" and self.kept_coefficients > self.block_size**2:
            raise ValueError(
                f"kept_coefficients is {self.kept_coefficients}, but should be at most "
                f"{self.block_size**2}, block_size squared"
            )
        if self.resolution % self.token_side:
            side = SPACES[self.space].token_side_in_words
            raise ValueError(f"the resolution {self.resolution} is not divisible by {side} = {self.token_side}")
        return self

    @property
    def is_own(self) -> bool:
        """Whether the file is a model of this project: weights with their config."""
        return (self.file or self.url).endswith(".safetensors")

    @property
    def space(self) -> Literal["dct", "pixel", "latent"]:
        if self.autoencoder is not None:
            return "latent"
        return "dct" if self.patch_size is None else "pixel"

    @property
    def token_side(self) -> int:
        """Pixels that a token covers in each direction."""
        return SPACES[self.space].token_side(self.block_size, self.patch_size)
