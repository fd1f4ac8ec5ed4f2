"""Params of the reference and evaluate stages."""

from typing import Literal

from pydantic import Field

from dctdiff.params.slice import Count, Slice


class Extractor(Slice):
    extractor: Literal["efficientnet-lite0", "inception"] = Field(
        description="feature network; only inception gives FID (its weights are fetched once)"
    )
    feature_resolution: int = Field(
        ge=32, description="side in pixels to which images are resized for it; 299 for inception"
    )
    batch_size: Count = Field(description="images per network call; does not change the value")


class Reference(Slice):
    n_images: int = Field(ge=2, description="training images of the reference, evenly spaced by name")


class ReferenceSet(Extractor, Reference):
    """What the reference stage is given: the extractor of the suite, the size of the dataset."""
