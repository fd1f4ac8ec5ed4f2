"""Params of how a network is executed. None of them changes what is computed, except for rounding."""

from typing import Literal

from pydantic import Field

from dctdiff.pipeline.slice import Slice


class Execution(Slice):
    mixed_precision: Literal["auto", "float32", "bf16", "fp16"] = Field(
        "auto",
        description="arithmetic of the network; auto: bf16 on a GPU that computes in it, else float32; to sample "
        "a network that predicts noise, float32 is best",
    )
    attention: Literal["sdpa", "xformers", "math"] = Field(
        "sdpa", description="attention: PyTorch's fused kernels, those of xformers (GPU), or plain products"
    )
    compile: Literal["auto", "always", "never"] = Field(
        "auto", description="torch.compile, and on a GPU CUDA graphs; auto: on a GPU unless in float32"
    )


# What a record of results leaves out.
ROUNDING_ONLY = frozenset({"attention", "compile"})


def without_processes(values):
    """Tell those who come from an earlier version where it went. Of a validator that runs before all others."""
    if isinstance(values, dict) and "processes" in values:
        raise ValueError("processes is gone: workflow/machine.yaml says where jobs run; remove it")
    return values
