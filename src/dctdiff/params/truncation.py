"""Params of the truncation stage: how many coefficients one dataset can do without."""

from pydantic import Field, model_validator

from dctdiff.params.evaluate import Extractor
from dctdiff.pipeline.slice import Count, Name, Slice


class Truncation(Slice):
    dataset: Name = Field(description="key of suite.datasets")
    block_size: int = Field(ge=2, le=16, description="side B of a DCT block in pixels")
    kept_coefficients: list[Count] = Field(
        min_length=1,
        max_length=256,
        description="numbers of coefficients to keep of each block, in zigzag order; m = B*B - kept",
    )
    n_images: int = Field(
        ge=2, le=10**8, description="training images measured, evenly spaced by name (the paper: the first 50k)"
    )
    bound: float = Field(
        None,
        gt=0,
        le=10**6,
        description="m* is the largest m whose distance is below; without this key the paper's 0.5 for FID of 50,000 "
        "images or more, on whose scale it is, and else twice the distance at m = 0",
    )
    jpeg_quality: int = Field(
        None, ge=1, le=95, description="JPEG quality of the reconstructions; without this key that of the crops, or 75"
    )

    @model_validator(mode="after")
    def counts_fit_the_block(self):
        largest = max(self.kept_coefficients)
        if largest > self.block_size**2:
            raise ValueError(
                f"kept_coefficients holds {largest}, but should hold at most {self.block_size**2}, block_size squared"
            )
        if len(set(self.kept_coefficients)) < len(self.kept_coefficients):
            raise ValueError(f"kept_coefficients is {self.kept_coefficients}; name each number once")
        if self.bound is None and self.block_size**2 not in self.kept_coefficients:
            raise ValueError(
                f"without bound m* is judged against m = 0, but kept_coefficients has no {self.block_size**2}; add it, "
                "or give bound"
            )
        return self


class MeasuredTruncation(Extractor, Truncation):
    """What the truncation stage is given: the extractor of the suite, one truncation."""
