"""Params of the round_trip stage."""

from pydantic import Field

from dctdiff.params.slice import Slice


class RoundTrip(Slice):
    jpeg_quality: int = Field(ge=1, le=95, description="JPEG quality after the codec, as for samples")
