"""Params of the round_trip stage."""

from pydantic import Field

from dctdiff.pipeline.slice import Slice


class RoundTrip(Slice):
    dct_jpeg_quality: int = Field(
        ge=1, le=95, description="JPEG quality after DCT codecs, as for their samples (the paper: 95)"
    )
    pixel_jpeg_quality: int = Field(
        ge=1, le=95, description="JPEG quality after pixel codecs, as for their samples (the paper: 75)"
    )
