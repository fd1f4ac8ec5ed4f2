"""Params of the reference and evaluate stages."""

from typing import Literal

from pydantic import Field, model_validator

from dctdiff.pipeline.slice import Count, Digest, Slice, Text
from dctdiff.registry.extractors import EXTRACTORS

OWN_METRIC = {name: extractor for name, extractor in EXTRACTORS.items() if extractor.metric}


class Extractor(Slice):
    extractor: Literal[*EXTRACTORS] = Field(
        description="feature network; only "
        f"{', '.join(f'{name} gives {extractor.metric}' for name, extractor in OWN_METRIC.items())}; the weights of "
        f"{', '.join(name for name, extractor in EXTRACTORS.items() if extractor.weights)} are fetched once"
    )
    feature_resolution: int = Field(
        ge=32,
        le=2048,
        description="side in pixels to which images are resized for it; "
        + "; ".join(f"{name}: {extractor.resolution}" for name, extractor in OWN_METRIC.items()),
    )
    batch_size: Count = Field(description="images per network call; does not change the value")

    @model_validator(mode="after")
    def has_its_resolution(self):
        chosen = EXTRACTORS[self.extractor]
        if chosen.metric and self.feature_resolution != chosen.resolution:
            raise ValueError(
                f"feature_resolution is {self.feature_resolution}, but {self.extractor} ({chosen.metric}) needs "
                f"{chosen.resolution}"
            )
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


class ImportedReference(Reference):
    """Published statistics of images that the suite does not have."""

    n_images: None = Field(None, description="none: there are no images")
    file: Text = Field(description="path of statistics (npz with mu and sigma)")


class ReferenceSet(Extractor, Reference):
    """What the reference stage is given: the extractor of the suite, the reference of the dataset."""


class ImportedReferenceSet(Extractor, ImportedReference):
    """The same without images."""
