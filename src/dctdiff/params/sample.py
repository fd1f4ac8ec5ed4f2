"""Params of the sample stage: one cell of a table."""

from typing import Literal

from pydantic import Field

from dctdiff.params.slice import Count, Name, Seed, Slice


class Cell(Slice):
    run: Name = Field(description="key of suite.runs: whose EMA weights are sampled")
    reference: Name = Field(description="key of suite.datasets: whose training images are the reference")
    sampler: Literal["dpm_solver", "euler_ode"] = Field(description="how the ODE is solved")
    nfe: Count = Field(description="network evaluations per image")
    n_images: int = Field(ge=2, description="images generated")
    batch_size: Count = Field(description="images per network call; does not change them")
    jpeg_quality: int = Field(ge=1, le=95, description="JPEG quality of the generated images")
    seed: Seed = Field(description="seed of the initial noise")
    processes: Count = Field(1, description="processes (GPUs) that share the images")
