"""params.yaml as a whole: every key, and what must hold between them."""

from pathlib import Path

from pydantic import Field, ValidationError, model_validator

from dctdiff.params.crop import Crop
from dctdiff.params.document import read_document
from dctdiff.params.download import Download
from dctdiff.params.evaluate import Extractor, Reference
from dctdiff.params.published import PublishedNumbers
from dctdiff.params.report import Report
from dctdiff.params.round_trip import RoundTrip
from dctdiff.params.sample import Cell
from dctdiff.params.select import Selection
from dctdiff.params.spectrum import Spectrum
from dctdiff.params.statistics import Codec
from dctdiff.params.train import Run
from dctdiff.params.truncation import Truncation
from dctdiff.params.upsampling import Upsampling
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.slice import Name, Slice, explain

# In the order of the report; some come with their section. Tables of published distances have
# other names and follow the first.
TABLES = ("quality", "checkpoints", "costs", "truncation", "upsampling", "statistics", "training")


class Dataset(Slice):
    download: Download = Field(description="where the images come from")
    crop: Crop = Field(description="how they become squares of one size")
    reference: Reference = Field(description="which images distances are measured against")


class Suite(Slice):
    datasets: dict[Name, Dataset] = Field(min_length=1, description="image sets")
    codecs: dict[Name, Codec] = Field(min_length=1, description="what networks see: DCT coefficients or pixels")
    truncations: dict[Name, Truncation] = Field(description="m*: how many coefficients may be dropped")
    upsamplings: dict[Name, Upsampling] = Field(description="DCT upsampling beside bicubic, Lanczos and nearest")
    spectra: dict[Name, Spectrum] = Field(description="power spectra along the forward process")
    runs: dict[Name, Run] = Field(min_length=1, description="models: trained here, or published")
    selections: dict[Name, Selection] = Field(description="run: choice of the best of its checkpoints")
    cells: dict[Name, Cell] = Field(min_length=1, description="sampled and evaluated: the cells of the tables")
    round_trip: RoundTrip = Field(description="floor: held-out images through each codec")
    extractor: Extractor = Field(description="features behind every distance of the suite")
    report: Report = Field(description="look of the report; changes no number")
    published: Name | None = Field(description="group of data/published.yaml that the tables show beside, or null")

    @model_validator(mode="after")
    def references_exist(self):
        for section, key, target in (
            ("codecs", "dataset", "datasets"),
            ("truncations", "dataset", "datasets"),
            ("upsamplings", "dataset", "datasets"),
            ("spectra", "dataset", "datasets"),
            ("spectra", "codec", "codecs"),
            ("runs", "dataset", "datasets"),
            ("runs", "codec", "codecs"),
            ("selections", "reference", "datasets"),
            ("cells", "run", "runs"),
            ("cells", "reference", "datasets"),
        ):
            for name, entry in getattr(self, section).items():
                check_key(f"{section}.{name}.{key}", getattr(entry, key), getattr(self, target))
        for name in self.selections:
            check_name("selections", name, self.runs)
        return self

    @model_validator(mode="after")
    def sections_agree(self):
        for section in ("spectra", "runs"):
            for name, entry in getattr(self, section).items():
                dataset = self.codecs[entry.codec].dataset
                if dataset != entry.dataset:
                    raise ValueError(
                        f"{section}.{name}.codec is {entry.codec!r} on {dataset}, but its dataset is {entry.dataset}"
                    )
        for name, run in self.runs.items():
            if run.release:
                self._release_fits(name, run)
        for name, cell in self.cells.items():
            if cell.checkpoint == "best" and cell.run not in self.selections:
                raise ValueError(
                    f"cells.{name}.checkpoint is 'best', but selections has no {cell.run}; add it, or use last"
                )
        for name in self.selections:
            run = self.runs[name]
            if run.weights == "trained" and (run.candidate_steps or run.train_steps) >= run.train_steps:
                raise ValueError(
                    f"selections.{name} has one checkpoint to choose from; give the run candidate_steps below its "
                    f"train_steps {run.train_steps}"
                )
        return self

    def _release_fits(self, name: str, run: Run) -> None:
        codec, resolution = self.codecs[run.codec], self.datasets[run.dataset].crop.resolution
        expected = {"resolution": resolution}
        expected |= {key: getattr(codec, key) for key in ("block_size", "kept_coefficients", "patch_size")}
        for key, value in expected.items():
            if getattr(run.release, key) != value:
                raise ValueError(
                    f"runs.{name}.release.{key} is {getattr(run.release, key)}, but {value} for the codec {run.codec}"
                )

    @model_validator(mode="after")
    def sizes_fit(self):
        for name, codec in self.codecs.items():
            side = "patch_size" if codec.space == "pixel" else "2 * block_size"
            self._divisible(f"codecs.{name}", codec.dataset, side, codec.token_side)
        for section in ("truncations", "upsamplings"):
            for name, entry in getattr(self, section).items():
                self._divisible(f"{section}.{name}", entry.dataset, "2 * block_size", 2 * entry.block_size)
        return self

    def _divisible(self, key: str, dataset: str, side: str, value: int) -> None:
        resolution = self.datasets[dataset].crop.resolution
        if resolution % value:
            raise ValueError(f"{key}: the resolution {resolution} of {dataset} is not divisible by {side} = {value}")

    @model_validator(mode="after")
    def images_suffice(self):
        for section, key in (
            ("codecs", "n_images"),
            ("truncations", "n_images"),
            ("upsamplings", "n_images"),
            ("spectra", "n_images"),
            ("runs", "batch_size"),
        ):
            for name, entry in getattr(self, section).items():
                self._enough(f"{section}.{name}.{key}", getattr(entry, key), entry.dataset)
        for name, dataset in self.datasets.items():
            self._enough(f"datasets.{name}.reference.n_images", dataset.reference.n_images, name)
            if dataset.crop.method != "random" and not dataset.download.has_heldout and not dataset.crop.n_heldout:
                raise ValueError(
                    f"datasets.{name}: the source has no held-out images, and crop.n_heldout is missing; say how many "
                    "training images serve instead"
                )
        return self

    def _enough(self, key: str, needed: int | None, name: str) -> None:
        dataset = self.datasets[name]
        available = dataset.crop.n_train or dataset.download.n_train
        if needed and available and needed > available:
            raise ValueError(f"{key} is {needed}, but {name} has only {available} training images")


def check_published(suite: Suite, numbers: PublishedNumbers, path: str | Path) -> None:
    """A UserError unless published numbers are about what the suite has."""
    try:
        _check_published(suite, numbers)
    except ValueError as error:
        raise UserError(f"{path}: {suite.published}.{error}") from None


def _check_published(suite: Suite, published: PublishedNumbers) -> None:
    for table, rows in published.distances.items():
        if table in TABLES:
            raise ValueError(f"distances.{table}: this table exists already; choose another name")
        for index, row in enumerate(rows):
            if row.cell:
                check_key(f"distances.{table}.{index}.cell", row.cell, suite.cells)
    for index, row in enumerate(published.costs):
        if row.run:
            check_key(f"costs.{index}.run", row.run, suite.runs)
    for section, target in (
        ("statistics", "codecs"),
        ("truncations", "truncations"),
        ("upsamplings", "upsamplings"),
    ):
        for name in getattr(published, section):
            check_name(f"{section}", name, getattr(suite, target))
    for name, statistics in published.statistics.items():
        expected = (suite.codecs[name].block_size or 0) ** 2
        for key in ("entropy_y", "entropy_cb", "entropy_cr"):
            found = len(getattr(statistics, key))
            if found != expected:
                raise ValueError(f"statistics.{name}.{key} has {found} values, but should have {expected}")


PLANNED = {
    "datasets", "codecs", "truncations", "upsamplings", "spectra", "runs", "selections", "cells", "published",
}  # fmt: skip


def planned(suite: Suite) -> dict:
    """What the plan holds: all that tables and report show, in their order."""
    return suite.model_dump(exclude_none=True, include=PLANNED)


def table_names(suite: dict) -> list[str]:
    """The tables of a suite, a dict with the published numbers themselves, in the order of the report."""
    absent = {name for name in ("truncation", "upsampling") if not suite[f"{name}s"]}
    if not suite["selections"]:
        absent.add("checkpoints")
    published = suite.get("published") or {}
    if not published.get("costs"):
        absent.add("costs")
    first, *rest = [name for name in TABLES if name not in absent]
    return [first, *published.get("distances", {}), *rest]


def dct_spectra(suite: dict) -> list[str]:
    """The spectra of DCT codecs: those with a signal-to-noise ratio of each frequency."""
    codecs = suite["codecs"]
    return [name for name, spectrum in suite["spectra"].items() if codecs[spectrum["codec"]]["space"] == "dct"]


def check_key(key: str, value: str, known: dict) -> None:
    if value not in known:
        raise ValueError(f"{key} is {value!r}, but should be one of {', '.join(known) or 'none: the section is empty'}")


def check_name(section: str, name: str, known: dict) -> None:
    if name not in known:
        raise ValueError(f"{section} has the key {name!r}, but its keys should be among {', '.join(known)}")


class Params(Slice):
    suites: dict[Name, dict] = Field(description="all suites; only the one named by `suite` counts")
    suite: Suite = Field(description="the suite to run, as an alias: *demo")


def load_suite(path: str | Path) -> Suite:
    """The suite of a params.yaml, validated; a UserError names the first wrong key."""
    return validated(read_params(path), str(path)).suite


def read_params(path: str | Path) -> dict:
    """The whole document, not yet validated."""
    return read_document(path)


def validated(document: dict, path: str = "params.yaml") -> Params:
    try:
        return Params.model_validate(document)
    except ValidationError as error:
        raise UserError(f"{path}: {explain(error, root=Params)}") from None
