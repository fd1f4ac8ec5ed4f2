"""What the JSON files of this project must hold for whoever reads them; what else they hold is let be.

A file of a job is compared with the record of its job before a stage reads it, so these are for files without one:
copied by hand, edited, or of another version.
"""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from dctdiff.pipeline.slice import Count, Form
from dctdiff.registry.spaces import SPACES


class MeasuredCodec(Form):
    """A codec as the stage statistics has measured it."""

    space: Literal[*SPACES]
    resolution: Count
    block_size: Count | None = None
    kept_coefficients: Count | None = None
    eta: float | None = None
    autoencoder: dict | None = None

    @model_validator(mode="after")
    def has_its_sizes(self):
        if SPACES[self.space].has_blocks and None in (self.block_size, self.kept_coefficients, self.eta):
            raise ValueError("block_size, kept_coefficients or eta is missing")
        if self.space == "latent" and self.autoencoder is None:
            raise ValueError("autoencoder is missing")
        return self


class Entropies(Form):
    entropy: list[float]  # bit, of each coefficient, row-major in its block


class Channel(Entropies):
    histogram: list[list[float]]  # counts, of each coefficient


class Weighing(MeasuredCodec):
    """What a training takes of the statistics of its codec."""

    channels: dict[str, Entropies]

    @model_validator(mode="after")
    def whole(self):
        expected = SPACES[self.space].channels
        if set(self.channels) != set(expected):
            raise ValueError(f"channels are {', '.join(self.channels)}, not {', '.join(expected)}")
        for name, channel in self.channels.items():
            for key, values in channel:
                if len(values) != self.n_coefficients:
                    raise ValueError(f"channels.{name}.{key} is not of {self.n_coefficients} coefficients")
        return self

    @property
    def n_coefficients(self) -> int:
        return self.block_size**2 if SPACES[self.space].has_blocks else 1


class Statistics(Weighing):
    eta: float
    channels: dict[str, Channel]


class Protocol(Form):
    metric: str
    extractor_sha256: str
    feature_resolution: Count


class ReferenceProtocol(Protocol):
    reference_n_images: int | None


class EvaluationProtocol(Protocol):
    reference_sha256: str


class Evaluation(Form):
    value: float
    kid: float | None = None
    precision: float | None = None
    recall: float | None = None
    further: dict[str, float] = Field(default_factory=dict)
    n_images: Count
    protocol: EvaluationProtocol
    images: dict  # the record of the archive
    images_sha256: str
    versions: dict[str, str]


class Candidate(Form):
    step: int | None
    value: float | None


class Selection(Form):
    k: Count
    step: int | None
    candidates: list[Candidate] = Field(min_length=1)
    nfe: Count
    n_images: Count
    protocol: Protocol


class Point(Form):
    m: int
    kept: int
    value: float


class Truncation(Form):
    block_size: Count
    bound: float
    n_images: Count
    curve: list[Point] = Field(min_length=1)
    m_star: int | None
    protocol: Protocol

    @model_validator(mode="after")
    def whole(self):
        if self.m_star not in (None, *(point.m for point in self.curve)):
            raise ValueError(f"m_star is {self.m_star}, which the curve does not have")
        return self


class Doubled(Form):
    """Distances by the method of doubling."""

    nearest: float
    bicubic: float
    lanczos: float
    dct: float


class Upsampling(Form):
    n_images: Count
    values: Doubled
    protocol: Protocol


class Luma(Form):
    cycles_per_image: list[int]
    clean: list[float]  # power, of each frequency
    noisy: list[list[float]]  # the same at each time
    noise: list[float]  # power, at each time


class ChannelPower(Form):
    power: list[float]  # of each coefficient, in zigzag order
    crossing_times: list[float]


class DCTPower(Form):
    block_size: Count
    kept_coefficients: Count
    channels: dict[str, ChannelPower] = Field(min_length=1)


class Spectrum(Form):
    resolution: Count
    times: list[float]
    snr_scale: float
    luma: Luma
    dct: DCTPower | None = None

    @model_validator(mode="after")
    def whole(self):
        if {len(self.luma.noisy), len(self.luma.noise)} != {len(self.times)}:
            raise ValueError(f"luma is not of {len(self.times)} times")
        if {len(power) for power in (self.luma.clean, *self.luma.noisy)} != {len(self.luma.cycles_per_image)}:
            raise ValueError(f"luma is not of {len(self.luma.cycles_per_image)} frequencies")
        for name, channel in self.dct.channels.items() if self.dct else ():
            if {len(channel.power), len(channel.crossing_times)} != {self.dct.block_size**2}:
                raise ValueError(f"dct.channels.{name} is not of {self.dct.block_size**2} coefficients")
        return self


class TrainedLine(Form):
    """Of the log of a training."""

    step: int
    images: int
    loss: float
    seconds: float
    precision: str
    device: str


class PublishedLine(Form):
    """Of the log of published weights."""

    step: int | None
    images: int | None
    loss: None


def _kind(line) -> str:
    return "published" if isinstance(line, dict) and line.get("loss", 0) is None else "trained"


Trained, Published = Annotated[TrainedLine, Tag("trained")], Annotated[PublishedLine, Tag("published")]
LogLine = Annotated[Trained | Published, Discriminator(_kind)]


class Identity(Form):
    """Of a training run, as far as a question about it needs; those of early versions are empty."""

    run: dict = Field(default_factory=dict)
    model: dict = Field(default_factory=dict)
    code: dict[str, str] = Field(default_factory=dict)


class Question(Form):
    """About the state of a training run."""

    identity: Identity
    train_steps: Count | None = None
    trained_otherwise: str  # name of a folder

    @model_validator(mode="after")
    def lies_beside(self):
        if "/" in self.trained_otherwise:
            raise ValueError("trained_otherwise is a path, but should be the name of a folder")
        return self
