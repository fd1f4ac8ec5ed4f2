"""Params of the report stage."""

from pydantic import Field

from dctdiff.pipeline.slice import Count, Slice, Text


class Report(Slice):
    title: Text = Field(description="heading of the report")
    dpi: int = Field(ge=50, le=600, description="resolution of the figures")
    smoothing: Count = Field(description="log lines averaged in the loss curves")
