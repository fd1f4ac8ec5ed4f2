"""Params of the spectrum stage: what noise leaves of each frequency along the forward process."""

from typing import Annotated

from pydantic import Field, model_validator

from dctdiff.pipeline.slice import Images, Name, Seed, Slice


class Spectrum(Slice):
    dataset: Name = Field(description="key of suite.datasets")
    codec: Name = Field(
        description="key of suite.codecs, on the same dataset; a pixel codec has no SNR per coefficient"
    )
    snr_scale: float = Field(gt=0, le=10**6, description="factor c on the signal-to-noise ratio of the coefficients")
    n_images: Images = Field(description="training images averaged, evenly spaced by name")
    times: list[Annotated[float, Field(gt=0, le=1)]] = Field(
        min_length=1, max_length=1000, description="times t of the forward process, rising; t = 1 is noise"
    )
    seed: Seed = Field(description="seed of the noise")

    @model_validator(mode="after")
    def times_rise(self):
        if sorted(set(self.times)) != self.times:
            raise ValueError(f"times is {self.times}; write each time once, in rising order")
        return self
