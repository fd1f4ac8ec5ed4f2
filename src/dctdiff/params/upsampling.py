"""Params of the upsampling stage: doubling the resolution of one dataset."""

from pydantic import Field

from dctdiff.params.evaluate import Extractor
from dctdiff.pipeline.slice import Name, Slice


class Upsampling(Slice):
    dataset: Name = Field(description="key of suite.datasets")
    block_size: int = Field(
        4, ge=2, le=16, description="side B in pixels of the halved image's DCT blocks; each becomes 2B x 2B pixels"
    )
    n_images: int = Field(
        ge=2, le=10**8, description="training images measured, evenly spaced by name (the paper: 50k at random)"
    )
    jpeg_quality: int = Field(75, ge=1, le=95, description="JPEG quality of the doubled images")


class MeasuredUpsampling(Extractor, Upsampling):
    """What the upsampling stage is given: the extractor of the suite, one upsampling."""
