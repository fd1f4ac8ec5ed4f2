"""Params of the crop stage."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from dctdiff.pipeline.slice import Images, Pixels, Seed, Slice

# Method -> the keys that it needs, beside resolution.
NEEDED = {
    "none": (),
    "random": ("crop_sides", "n_train", "n_heldout", "jpeg_quality", "seed"),
    "box": ("box", "jpeg_quality"),
    "center": ("jpeg_quality",),
    "convert": ("jpeg_quality",),
}
OPTIONAL = ("n_heldout",)
CENTER_QUALITY = 95


class Crop(Slice):
    method: Literal["none", "random", "box", "center", "convert"] = Field(
        "center",
        description="none: keep the files as they are; random: square crops of random place and scale, resized; "
        "box: one crop of each image, resized; center: the square in the middle of each image of any size, resized; "
        "convert: keep JPEG files as they are, make others JPEG",
    )
    resolution: Pixels = Field(description="side of the images in pixels; none, convert: which they must have")
    box: list[Annotated[int, Field(le=2**14)]] = Field(
        None, min_length=4, max_length=4, description="box: left, top, right and bottom edge in pixels, a square"
    )
    crop_sides: list[Pixels] = Field(
        None,
        min_length=1,
        max_length=1000,
        description="random: sides of the crops in pixels of the photograph, equally likely",
    )
    n_train: Images = Field(None, description="random: number of training images")
    n_heldout: int = Field(
        None,
        ge=2,
        le=10**8,
        description="number of held-out images; random: drawn; else evenly spaced among those of the source "
        "(all without this key), or among its training images if it has none (center: a tenth without this key)",
    )
    jpeg_quality: int = Field(
        default_factory=lambda known: CENTER_QUALITY if known.get("method") == "center" else None,
        ge=1,
        le=95,
        description="random, box, center, convert: JPEG quality of the images made",
    )
    seed: Seed = Field(None, description="random: seed of the crops")

    @model_validator(mode="after")
    def keys_of_the_method(self):
        needed = NEEDED[self.method]
        given = self.model_dump(exclude_none=True, exclude={"method", "resolution"})
        if any(key not in given for key in needed):
            raise ValueError(f"method {self.method} needs {', '.join(needed)}")
        extra = [key for key in given if key not in (*needed, *OPTIONAL)]
        if extra:
            raise ValueError(f"method {self.method} takes no {' and no '.join(extra)}; remove what it does not take")
        return self

    @model_validator(mode="after")
    def box_is_a_square(self):
        if self.box is not None:
            left, top, right, bottom = self.box
            if min(left, top) < 0 or right <= left or right - left != bottom - top:
                raise ValueError(f"box is {self.box}, but should be the left, top, right and bottom edge of a square")
        return self
