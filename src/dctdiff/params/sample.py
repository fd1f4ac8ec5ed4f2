"""Params of the sample stage: one cell of a table."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, model_validator

from dctdiff.params.execution import Execution, without_processes
from dctdiff.pipeline.slice import Count, Name, Seed
from dctdiff.registry.samplers import FRAMEWORKS, SAMPLERS, offered


def wrong_sampler(framework: str, sampler: str, nfe: int) -> Iterator[str]:
    """What is wrong with sampling a run of a framework so."""
    names, most = offered(framework), FRAMEWORKS[framework].most_nfe
    if sampler not in names:
        yield f"sampler is {sampler}, but framework {framework} offers {', '.join(names)}"
    if most and nfe > most:
        yield f"nfe is {nfe}, but framework {framework} has {most} steps"


class Cell(Execution):
    run: Name = Field(description="key of suite.runs: whose EMA weights are sampled")
    reference: Name = Field(description="key of suite.datasets: whose training images are the reference")
    checkpoint: Literal["last", "best"] = Field(
        description="weights sampled: of the last step, or of the checkpoint that suite.selections chose"
    )
    sampler: Literal[*SAMPLERS] = Field(
        "dpm_solver",
        description="how noise becomes images; "
        f"{' and '.join(name for name, sampler in SAMPLERS.items() if sampler.draws)} add noise at each step, the "
        "others solve the ODE",
    )
    nfe: int = Field(20, ge=1, le=100_000, description="network evaluations per image")
    n_images: int = Field(500, ge=2, le=10**8, description="images generated")
    batch_size: Count = Field(100, description="images per network call; does not change them")
    jpeg_quality: int = Field(95, ge=1, le=95, description="JPEG quality of the generated images")
    seed: Seed = Field(1, description="seed of the noise and of the labels")

    @model_validator(mode="before")
    @classmethod
    def removed_keys(cls, values):
        return without_processes(values)
