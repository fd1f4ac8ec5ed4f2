"""Params of the crop stage."""

from typing import Literal

from pydantic import Field, model_validator

from dctdiff.params.slice import Count, Seed, Slice


class Crop(Slice):
    method: Literal["none", "random"] = Field(
        description="none: keep the files as they are; random: square crops of random place and scale, resized"
    )
    resolution: Count = Field(description="side of the images in pixels")
    crop_sides: list[Count] = Field(
        None,
        min_length=1,
        description="random: sides of the crops in pixels of the photograph, equally likely",
    )
    n_train: Count = Field(None, description="random: number of training images")
    n_heldout: int = Field(None, ge=2, description="random: number of held-out images")
    jpeg_quality: int = Field(None, ge=1, le=95, description="random: JPEG quality of the crops")
    seed: Seed = Field(None, description="random: seed of the crops")

    @model_validator(mode="after")
    def random_needs_all(self):
        given = [self.crop_sides, self.n_train, self.n_heldout, self.jpeg_quality, self.seed]
        if self.method == "random" and None in given:
            raise ValueError("method random needs crop_sides, n_train, n_heldout, jpeg_quality and seed")
        if self.method == "none" and any(value is not None for value in given):
            raise ValueError("method none takes resolution only; remove the other keys")
        return self
