"""Published numbers: what the tables show beside what was reproduced. They stand in data/published.yaml."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from dctdiff.params.document import read_document
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.slice import Count, Name, Slice, explain


class Published(Slice):
    """One published number with where it stands and how sure it is."""

    value: float | None = Field(None, description="the published number; none is shown as not known")
    source: str = Field("", description="where it was read")
    confidence: Literal["high", "medium", "low", ""] = Field("", description="how sure that reading is")

    @model_validator(mode="after")
    def has_a_source(self):
        if self.value is not None and not (self.source and self.confidence):
            raise ValueError(f"the published value {self.value:g} needs source and confidence")
        return self


class PublishedDistance(Published):
    """A row of a table of distances: of a cell of this suite, or of a model that the suite has not."""

    metric: str = Field("FID-50k", description="what was published; a delta is given only for the same metric and n")
    cell: Name | None = Field(None, description="key of suite.cells whose distance stands beside it")
    dataset: str | None = Field(None, description="without a cell: the data set")
    model: str | None = Field(None, description="without a cell: the model")
    sampler: str | None = Field(None, description="without a cell: the sampler")
    nfe: Count | None = Field(None, description="without a cell: network evaluations per image")

    @model_validator(mode="after")
    def names_a_cell_or_a_model(self):
        if (self.cell is None) == (self.dataset is None or self.model is None):
            raise ValueError("a row needs either cell, or dataset and model")
        if self.cell and (self.dataset or self.model or self.sampler or self.nfe):
            raise ValueError(f"the row of cell {self.cell} takes dataset, model, sampler and nfe from it; remove them")
        return self


class PublishedCost(Published):
    """What a model costs: counted from its layers, or the step of the chosen checkpoint."""

    quantity: Literal["parameters (M)", "GMACs", "steps to converge"] = Field(description="what was published")
    run: Name | None = Field(None, description="key of suite.runs that it is compared with")
    dataset: str | None = Field(None, description="without a run: the data set")
    model: str | None = Field(None, description="without a run: the model")

    @model_validator(mode="after")
    def names_a_run_or_a_model(self):
        if (self.run is None) == (self.dataset is None or self.model is None):
            raise ValueError("a row needs either run, or dataset and model")
        return self


class PublishedStatistics(Slice):
    """Scale and entropies of one codec, in row-major order of the coefficients."""

    eta: float = Field(gt=0, description="scale of the coefficients")
    entropy_y: list[float] = Field(description="bits, coefficients of Y")
    entropy_cb: list[float] = Field(description="bits, coefficients of Cb")
    entropy_cr: list[float] = Field(description="bits, coefficients of Cr")
    source: str = Field(description="where they were read")


class PublishedUpsampling(Slice):
    """Distances of the four ways to double the resolution."""

    values: dict[Literal["nearest", "bicubic", "lanczos", "dct"], float] = Field(description="method: distance")
    metric: str = Field("FID-50k", description="what was published")
    source: str = Field(description="where they were read")
    confidence: Literal["high", "medium", "low"] = Field(description="how sure that reading is")


class PublishedNumbers(Slice):
    distances: dict[Name, list[PublishedDistance]] = Field({}, description="table: its rows")
    costs: list[PublishedCost] = Field([], description="rows of the table of training costs")
    statistics: dict[Name, PublishedStatistics] = Field({}, description="key of suite.codecs: eta and entropies")
    truncations: dict[Name, Published] = Field({}, description="key of suite.truncations: m*")
    upsamplings: dict[Name, PublishedUpsampling] = Field({}, description="key of suite.upsamplings: distances")
    not_published: dict[Name, list[Name]] = Field(
        {}, description="key of suite.runs: those of its keys whose values are our reading, since none is published"
    )


FILE = Path("data/published.yaml")


def load_published(path: str | Path, group: str | None) -> PublishedNumbers:
    """The numbers of a group; none without a group. A UserError names the wrong keys."""
    if group is None:
        return PublishedNumbers()
    document = read_document(path)
    if group not in document:
        raise UserError(f"{path} has no group {group!r}; it has {', '.join(document)}")
    try:
        return PublishedNumbers.model_validate(document[group])
    except ValidationError as error:
        problems = explain(error, f"{group}.", PublishedNumbers, lambda keys: document.line((group, *keys)))
        raise UserError(f"{path}: {problems}") from None
