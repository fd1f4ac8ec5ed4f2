"""Params of the select stage: how the best of the checkpoints of a run is chosen."""

from pydantic import Field

from dctdiff.params.evaluate import Extractor
from dctdiff.params.execution import Execution
from dctdiff.params.sample import Cell
from dctdiff.pipeline.slice import Count, Name, Seed

Sampler = Cell.model_fields["sampler"].annotation


class Selection(Execution):
    reference: Name = Field(description="key of suite.datasets: whose training images are the reference")
    sampler: Sampler = Field(description="how noise becomes images, as in cells")
    nfe: int = Field(ge=1, le=100_000, description="network evaluations per image")
    n_images: int = Field(ge=2, le=10**8, description="images generated with each checkpoint")
    sample_batch_size: Count = Field(description="images per network call; does not change them")
    jpeg_quality: int = Field(ge=1, le=95, description="JPEG quality of the generated images")
    seed: Seed = Field(description="seed of the noise and of the labels, the same for each checkpoint")


class SelectionSet(Extractor, Selection):
    """What the select stage is given: the extractor of the suite, how a run is chosen from."""
