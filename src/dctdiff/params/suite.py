"""params.yaml as a whole: every key, and what must hold between them."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import Field, ValidationError, create_model, model_validator

from dctdiff.params.crop import Crop
from dctdiff.params.document import Document, read_document
from dctdiff.params.download import Download
from dctdiff.params.evaluate import Extractor, ImportedReference, Reference
from dctdiff.params.grid import Grid, with_grid
from dctdiff.params.published import PublishedNumbers
from dctdiff.params.report import Report
from dctdiff.params.round_trip import RoundTrip
from dctdiff.params.sample import Cell, wrong_sampler
from dctdiff.params.seeds import groups_of_cells
from dctdiff.params.select import Selection
from dctdiff.params.spectrum import Spectrum
from dctdiff.params.statistics import Codec
from dctdiff.params.train import Import, Run
from dctdiff.params.truncation import Truncation
from dctdiff.params.upsampling import Upsampling
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.slice import Name, Slice, explain, together
from dctdiff.registry.networks import NETWORKS
from dctdiff.registry.spaces import SPACES

# In the order of the report; some come with their section. Tables of published distances have
# other names and follow the first.
TABLES = ("quality", "seeds", "grid", "checkpoints", "costs", "truncation", "upsampling", "statistics", "training")
TAKEN = {"sources": "is fetched", "shipped": "the repository holds"}  # folders in data


class Dataset(Slice):
    download: Download = Field(description="where the images come from")
    crop: Crop = Field(description="how they become squares of one size")
    reference: Reference = Field(description="which images distances are measured against")


class Suite(Slice):
    datasets: dict[Name, Dataset] = Field(min_length=1, description="image sets")
    codecs: dict[Name, Codec] = Field(
        min_length=1, description="what networks see: DCT coefficients, pixels or latents"
    )
    truncations: dict[Name, Truncation] = Field(description="m*: how many coefficients may be dropped")
    upsamplings: dict[Name, Upsampling] = Field(description="DCT upsampling beside bicubic, Lanczos and nearest")
    spectra: dict[Name, Spectrum] = Field(description="power spectra along the forward process")
    runs: dict[Name, Run] = Field(min_length=1, description="models: trained here, or published")
    imports: dict[Name, Import] = Field(description="models that come as a file of this project, without images")
    references: dict[Name, ImportedReference] = Field(description="statistics that come as a file, without images")
    grid: Grid | None = Field(None, description="run: key: values; a run and its cells for each combination of values")
    selections: dict[Name, Selection] = Field(description="run: choice of the best of its checkpoints")
    cells: dict[Name, Cell] = Field(min_length=1, description="sampled and evaluated: the cells of the tables")
    round_trip: RoundTrip = Field(description="floor: held-out images through each codec")
    extractor: Extractor = Field(description="features behind every distance of the suite")
    report: Report = Field(description="look of the report; changes no number")
    published: Name | None = Field(description="group of data/published.yaml that the tables show beside, or null")

    @model_validator(mode="before")
    @classmethod
    def new_sections(cls, sections):
        """A params.yaml of an earlier version has none; DVC cannot do without."""
        absent = [key for key in ("imports", "references") if isinstance(sections, dict) and key not in sections]
        if absent:
            empty = " and ".join(f"{key}: {{}}" for key in absent)
            raise ValueError(f"the section {' and '.join(absent)} is new; add {empty}")
        return sections

    @model_validator(mode="after")
    def sections_agree(self):
        complain(self._wrong_references())  # on which the others rely
        complain([*self._wrong_pairs(), *self._wrong_sizes(), *self._too_few_images()])
        return self

    def _wrong_references(self) -> Iterator[str]:
        for section in ("datasets", "references"):
            for name in TAKEN.keys() & getattr(self, section).keys():
                what = f"the folder data/{name} with what {TAKEN[name]}"
                yield f"{section}.{name} would share {what}; choose another name"
        yield from self._taken_names()
        for section, key, target in (
            ("codecs", "dataset", "datasets"),
            ("truncations", "dataset", "datasets"),
            ("upsamplings", "dataset", "datasets"),
            ("spectra", "dataset", "datasets"),
            ("spectra", "codec", "codecs"),
            ("runs", "dataset", "datasets"),
            ("runs", "codec", "codecs"),
            ("selections", "reference", "datasets"),
        ):
            for name, entry in getattr(self, section).items():
                yield from check_key(f"{section}.{name}.{key}", getattr(entry, key), getattr(self, target))
        for name, cell in self.cells.items():
            yield from check_key(f"cells.{name}.run", cell.run, self.models)
            yield from check_key(f"cells.{name}.reference", cell.reference, self.datasets | self.references)
        yield from check_names("selections", self.selections, self.runs)
        yield from check_names("grid", self.grid or {}, self.runs)

    def _taken_names(self) -> Iterator[str]:
        """Results of both lie in the same folder, by their name."""
        for section, other in (("imports", "runs"), ("references", "datasets")):
            for name in getattr(self, section).keys() & getattr(self, other).keys():
                yield f"{section}.{name} has the name of one of the {other}; choose another name"

    @property
    def models(self) -> dict[str, Run]:
        """What cells sample."""
        return self.runs | self.imports

    def _space(self, run: Run) -> str:
        return self.codecs[run.codec].space

    def _wrong_pairs(self) -> Iterator[str]:
        for section in ("spectra", "runs"):
            for name, entry in getattr(self, section).items():
                dataset = self.codecs[entry.codec].dataset
                if dataset != entry.dataset:
                    yield f"{section}.{name}.codec is {entry.codec!r} on {dataset}, but its dataset is {entry.dataset}"
        for name, run in self.runs.items():
            if run.release:
                yield from self._wrong_release(name, run)
            if run.encode_each_step and self._space(run) != "latent":
                yield f"runs.{name}.encode_each_step is for latents; its codec {run.codec} always does; remove it"
        for name, model in self.models.items():
            section, space = ("imports", model.release.space) if name in self.imports else ("runs", self._space(model))
            if getattr(NETWORKS[model.network], SPACES[space].layout) is None:
                yield f"{section}.{name}.network is {model.network}, which is not for the space {space}"
        for name, cell in self.cells.items():
            if cell.checkpoint == "best" and cell.run not in self.selections:
                yield f"cells.{name}.checkpoint is 'best', but selections has no {cell.run}; add it, or use last"
        for section in ("cells", "selections"):
            for name, entry in getattr(self, section).items():
                framework = self.models[entry.run if section == "cells" else name].framework
                yield from (
                    f"{section}.{name}.{problem}" for problem in wrong_sampler(framework, entry.sampler, entry.nfe)
                )
        for name in self.selections:
            run = self.runs[name]
            if run.weights == "trained" and (run.candidate_steps or run.train_steps) >= run.train_steps:
                yield (
                    f"selections.{name} has one checkpoint to choose from; give the run candidate_steps below its "
                    f"train_steps {run.train_steps}"
                )

    def _wrong_release(self, name: str, run: Run) -> Iterator[str]:
        codec, resolution = self.codecs[run.codec], self.datasets[run.dataset].crop.resolution
        expected = {"resolution": resolution}
        expected |= {
            key: getattr(codec, key) for key in ("block_size", "kept_coefficients", "patch_size", "autoencoder")
        }
        for key, value in expected.items():
            if getattr(run.release, key) != value:
                found = getattr(run.release, key)
                yield f"runs.{name}.release.{key} is {found}, but {value} for the codec {run.codec}"

    def _wrong_sizes(self) -> Iterator[str]:
        for name, codec in self.codecs.items():
            side = SPACES[codec.space].token_side_in_words
            yield from self._divisible(f"codecs.{name}", codec.dataset, side, codec.token_side)
        for section in ("truncations", "upsamplings"):
            for name, entry in getattr(self, section).items():
                yield from self._divisible(f"{section}.{name}", entry.dataset, "2 * block_size", 2 * entry.block_size)

    def _divisible(self, key: str, dataset: str, side: str, value: int) -> Iterator[str]:
        resolution = self.datasets[dataset].crop.resolution
        if resolution % value:
            yield f"{key}: the resolution {resolution} of {dataset} is not divisible by {side} = {value}"

    def _too_few_images(self) -> Iterator[str]:
        for section, key in (
            ("codecs", "n_images"),
            ("truncations", "n_images"),
            ("upsamplings", "n_images"),
            ("spectra", "n_images"),
            ("runs", "batch_size"),
        ):
            for name, entry in getattr(self, section).items():
                yield from self._enough(f"{section}.{name}.{key}", getattr(entry, key), entry.dataset)
        for name, dataset in self.datasets.items():
            yield from self._enough(f"datasets.{name}.reference.n_images", dataset.reference.n_images, name)
            if (
                dataset.crop.method not in ("random", "center")
                and not dataset.download.has_heldout
                and not dataset.crop.n_heldout
            ):
                yield (
                    f"datasets.{name}: the source has no held-out images, and crop.n_heldout is missing; say how many "
                    "training images serve instead"
                )

    def _enough(self, key: str, needed: int | None, name: str) -> Iterator[str]:
        dataset = self.datasets[name]
        available = dataset.crop.n_train or dataset.download.n_train
        if needed and available and needed > available:
            yield f"{key} is {needed}, but {name} has only {available} training images"


def check_published(suite: Suite, numbers: PublishedNumbers, path: str | Path) -> None:
    """A UserError unless published numbers are about what the suite has."""
    problems = [f"{suite.published}.{problem}" for problem in _wrong_numbers(suite, numbers)]
    if problems:
        raise UserError(f"{path}: {together(problems)}")


def _wrong_numbers(suite: Suite, published: PublishedNumbers) -> Iterator[str]:
    for table, rows in published.distances.items():
        if table in TABLES:
            yield f"distances.{table}: this table exists already; choose another name"
        for index, row in enumerate(rows):
            if row.cell:
                yield from check_key(f"distances.{table}.{index}.cell", row.cell, suite.cells)
    for index, row in enumerate(published.costs):
        if row.run:
            yield from check_key(f"costs.{index}.run", row.run, suite.runs)
    for section, target in (
        ("statistics", "codecs"),
        ("truncations", "truncations"),
        ("upsamplings", "upsamplings"),
        ("not_published", "runs"),
    ):
        yield from check_names(section, getattr(published, section), getattr(suite, target))
    for name, keys in published.not_published.items():
        for index, key in enumerate(keys):
            yield from check_key(f"not_published.{name}.{index}", key, Run.model_fields)
    for name in [name for name in published.statistics if name in suite.codecs]:
        statistics, expected = published.statistics[name], (suite.codecs[name].block_size or 0) ** 2
        for key in ("entropy_y", "entropy_cb", "entropy_cr"):
            found = len(getattr(statistics, key))
            if found != expected:
                yield f"statistics.{name}.{key} has {found} values, but should have {expected}"


PLANNED = {
    "datasets", "codecs", "truncations", "upsamplings", "spectra", "runs", "imports", "references", "grid",
    "selections", "cells", "published",
}  # fmt: skip


Plan = create_model(
    "Plan", __base__=Slice, **{name: Suite.model_fields[name].annotation for name in PLANNED - {"grid", "published"}},
    grid=(Grid | None, None), published=(Name | None, None),
)  # fmt: skip


def planned(suite: Suite) -> dict:
    """What the plan holds: all that tables and report show, in their order."""
    return suite.model_dump(exclude_none=True, include=PLANNED)


def table_names(suite: dict) -> list[str]:
    """The tables of a suite, a dict with the published numbers themselves, in the order of the report."""
    absent = {name for name in ("truncation", "upsampling") if not suite[f"{name}s"]}
    if not suite["selections"]:
        absent.add("checkpoints")
    if all(len(names) == 1 for names in groups_of_cells(suite)):
        absent.add("seeds")
    if not suite.get("grid"):
        absent.add("grid")
    published = suite.get("published") or {}
    if not published.get("costs"):
        absent.add("costs")
    first, *rest = [name for name in TABLES if name not in absent]
    return [first, *published.get("distances", {}), *rest]


def dct_spectra(suite: dict) -> list[str]:
    """The spectra of DCT codecs: those with a signal-to-noise ratio of each frequency."""
    codecs = suite["codecs"]
    return [name for name, spectrum in suite["spectra"].items() if codecs[spectrum["codec"]]["space"] == "dct"]


def check_key(key: str, value: str, known: dict) -> Iterator[str]:
    if value not in known:
        yield f"{key} is {value!r}, but should be one of {', '.join(known) or 'none: the section is empty'}"


def check_names(section: str, names: Iterable[str], known: dict) -> Iterator[str]:
    for name in names:
        if name not in known:
            yield f"{section} has the key {name!r}, but its keys should be among {', '.join(known)}"


def complain(problems: Iterable[str]) -> None:
    """A ValueError that names the problems, if there are any."""
    if found := list(problems):
        raise ValueError(together(found))


class Params(Slice):
    defaults: dict = Field({}, description="what suites of one's own take over as <<: *defaults")
    suites: dict[Name, dict] = Field(description="all suites; only the one named by `suite` counts")
    suite: Suite = Field(description="the suite to run, as an alias: *demo")


def load_suite(path: str | Path) -> Suite:
    """The suite of a params.yaml, validated; a UserError names the wrong keys."""
    return validated(read_params(path), str(path)).suite


def read_params(path: str | Path) -> Document:
    """The whole document, not yet validated; the chosen suite has what its grid stands for."""
    document = read_document(path)
    if isinstance(document.get("suite"), dict):
        document["suite"] = with_grid(document["suite"])
    return document


def validated(document: dict, path: str = "params.yaml") -> Params:
    """A UserError names the wrong keys of the chosen suite, and their lines if the document was read from a file."""
    line = document.line if isinstance(document, Document) else None
    try:
        return Params.model_validate(document)
    except ValidationError as error:
        raise UserError(f"{path}: {explain(error, root=Params, line=line)}") from None
