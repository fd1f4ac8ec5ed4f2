"""Params of the reference and evaluate stages."""

from typing import Literal

from pydantic import Field, model_validator

from dctdiff.pipeline.slice import Count, Digest, Slice, Text


class Extractor(Slice):
    extractor: Literal["efficientnet-lite0", "inception"] = Field(
        description="feature network; only inception gives FID (its weights are fetched once)"
    )
    feature_resolution: int = Field(
        ge=32, le=2048, description="side in pixels to which images are resized for it; 299 for inception"
    )
    batch_size: Count = Field(description="images per network call; does not change the value")

    @model_validator(mode="after")
    def inception_has_one_resolution(self):
        if self.extractor == "inception" and self.feature_resolution != 299:
            raise ValueError(f"feature_resolution is {self.feature_resolution}, but inception (FID) needs 299")
        return self


class Reference(Slice):
    n_images: int = Field(
        None,
        ge=2,
        le=10**8,
        description="training images of the reference, evenly spaced by name; all without this key",
    )
    file: Text = Field(
        None, description="instead of n_images: path of published statistics (npz with mu and sigma, e.g. fid_stats)"
    )
    sha256: Digest = Field(None, description="SHA-256 of that file; without it the stage stops and says what it is")

    @model_validator(mode="after")
    def measured_or_imported(self):
        if self.n_images is not None and self.file is not None:
            raise ValueError("give either n_images (measured here) or file and sha256 (published)")
        if self.file is None and self.sha256 is not None:
            raise ValueError("sha256 belongs to file; remove it, or name the file")
        return self


class ReferenceSet(Extractor, Reference):
    """What the reference stage is given: the extractor of the suite, the reference of the dataset."""
