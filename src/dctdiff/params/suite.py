"""params.yaml as a whole: every key, and what must hold between them."""

from pathlib import Path

import yaml
from pydantic import Field, ValidationError, model_validator

from dctdiff.errors import UserError
from dctdiff.files import existing_file
from dctdiff.params.crop import Crop
from dctdiff.params.download import Download
from dctdiff.params.evaluate import Extractor, Reference
from dctdiff.params.report import Report
from dctdiff.params.round_trip import RoundTrip
from dctdiff.params.sample import Cell
from dctdiff.params.slice import Name, Slice, explain
from dctdiff.params.statistics import Codec
from dctdiff.params.train import Run


class Dataset(Slice):
    download: Download = Field(description="where the images come from")
    crop: Crop = Field(description="how they become squares of one size")
    reference: Reference = Field(description="which images distances are measured against")


class Suite(Slice):
    datasets: dict[Name, Dataset] = Field(min_length=1, description="image sets")
    codecs: dict[Name, Codec] = Field(min_length=1, description="what networks see: DCT coefficients or pixels")
    runs: dict[Name, Run] = Field(min_length=1, description="trained models")
    cells: dict[Name, Cell] = Field(min_length=1, description="sampled and evaluated: the cells of the tables")
    round_trip: RoundTrip = Field(description="floor: held-out images through each codec")
    extractor: Extractor = Field(description="features behind every distance of the suite")
    report: Report = Field(description="look of the report; changes no number")

    @model_validator(mode="after")
    def references_exist(self):
        for section, entries, key, known in (
            ("codecs", self.codecs, "dataset", self.datasets),
            ("runs", self.runs, "dataset", self.datasets),
            ("runs", self.runs, "codec", self.codecs),
            ("cells", self.cells, "run", self.runs),
            ("cells", self.cells, "reference", self.datasets),
        ):
            for name, entry in entries.items():
                value = getattr(entry, key)
                if value not in known:
                    raise ValueError(f"{section}.{name}.{key} is {value!r}, but should be one of {', '.join(known)}")
        return self

    @model_validator(mode="after")
    def sizes_fit(self):
        for name, codec in self.codecs.items():
            crop = self.datasets[codec.dataset].crop
            if crop.resolution % codec.token_side:
                side = "patch_size" if codec.space == "pixel" else "2 * block_size"
                raise ValueError(
                    f"codecs.{name}: the resolution {crop.resolution} of {codec.dataset} is not divisible "
                    f"by {side} = {codec.token_side}"
                )
            if crop.n_train and codec.n_images > crop.n_train:
                raise ValueError(
                    f"codecs.{name}.n_images is {codec.n_images}, but {codec.dataset} has only "
                    f"{crop.n_train} training images"
                )
        for name, run in self.runs.items():
            if self.codecs[run.codec].dataset != run.dataset:
                raise ValueError(
                    f"runs.{name}.codec is {run.codec!r} on {self.codecs[run.codec].dataset}, but the "
                    f"run's dataset is {run.dataset}"
                )
            n_train = self.datasets[run.dataset].crop.n_train
            if n_train and run.batch_size > n_train:
                raise ValueError(
                    f"runs.{name}.batch_size is {run.batch_size}, but {run.dataset} has only {n_train} training images"
                )
        counts = {cell.reference: cell.n_images for cell in reversed(self.cells.values())}
        for name, cell in self.cells.items():
            if cell.n_images != counts[cell.reference]:
                raise ValueError(
                    f"cells.{name}.n_images is {cell.n_images}, but another cell on {cell.reference} has "
                    f"{counts[cell.reference]}; distances compare only at equal n"
                )
        for name, dataset in self.datasets.items():
            if dataset.crop.n_train and dataset.reference.n_images > dataset.crop.n_train:
                raise ValueError(
                    f"datasets.{name}.reference.n_images is {dataset.reference.n_images}, but there are "
                    f"only {dataset.crop.n_train} training images"
                )
        return self


class Params(Slice):
    suites: dict[Name, dict] = Field(description="all suites; only the one named by `suite` counts")
    suite: Suite = Field(description="the suite to run, as an alias: *demo")


def load_suite(path: str | Path) -> Suite:
    """The suite of a params.yaml, validated; a UserError names the first wrong key."""
    try:
        document = yaml.safe_load(existing_file(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise UserError(f"{path} should hold the keys suites and suite, but found {document!r}")
    return validated(document, str(path)).suite


def validated(document: dict, path: str) -> Params:
    try:
        return Params.model_validate(document)
    except ValidationError as error:
        raise UserError(f"{path}: {explain(error, root=Params)}") from None
