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
        0.5,
        gt=0,
        le=10**6,
        description="m* is the largest m whose distance is below; the paper's 0.5 is on the scale of FID",
    )
    jpeg_quality: int = Field(75, ge=1, le=95, description="JPEG quality of the reconstructions")

    @model_validator(mode="after")
    def counts_fit_the_block(self):
        largest = max(self.kept_coefficients)
        if largest > self.block_size**2:
            raise ValueError(
                f"kept_coefficients holds {largest}, but should hold at most {self.block_size**2}, block_size squared"
            )
        if len(set(self.kept_coefficients)) < len(self.kept_coefficients):
            raise ValueError(f"kept_coefficients is {self.kept_coefficients}; name each number once")
        return self


class MeasuredTruncation(Extractor, Truncation):
    """What the truncation stage is given: the extractor of the suite, one truncation."""
