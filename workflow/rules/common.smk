# What the rules share: the validated suite, the arguments of a command, the code behind a stage.

import os
import shlex
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError

from dctdiff.closure import import_closure
from dctdiff.errors import UserError
from dctdiff.params.suite import validated

try:
    validated(config, "params.yaml")
except UserError as error:
    raise WorkflowError(str(error)) from None

if config != yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8")):
    raise WorkflowError(
        "--config and --configfile are not supported: edit params.yaml, which every stage is run from"
    )

SUITE = config["suite"]
TABLES = expand(
    "results/tables/{table}.{format}",
    table=["quality", "statistics", "training"],
    format=["csv", "md", "tex"],
)


wildcard_constraints:
    dataset=r"[a-z0-9_-]+",
    codec=r"[a-z0-9_-]+",
    run=r"[a-z0-9_-]+",
    cell=r"[a-z0-9_-]+",


def arguments(params_slice):
    """A slice as flags, written as DVC writes `${slice}` in a command."""
    words = []
    for key, value in params_slice.items():
        values = value if isinstance(value, list) else [value]
        words += [
            f"--{key}",
            *(shlex.quote(v) if isinstance(v, str) else str(v) for v in values),
        ]
    return " ".join(words)


def code(stage):
    """The files that a stage imports: an edit of any of them reruns it."""
    return [os.path.relpath(path) for path in import_closure(f"dctdiff.stages.{stage}")]


def dataset_slice(key):
    """Params function: one part of the dataset of a job."""

    def select(wildcards):
        return SUITE["datasets"][wildcards.dataset][key]

    return select


def codec_slice(wildcards):
    return SUITE["codecs"][wildcards.codec]


def run_slice(wildcards):
    return SUITE["runs"][wildcards.run]


def cell_slice(wildcards):
    return SUITE["cells"][wildcards.cell]


def written(select):
    """Params function: the slice that `select` gives, as flags."""

    def write(wildcards):
        return arguments(select(wildcards))

    return write


def training_images(select):
    """Input function: the training images of the dataset that a slice names."""

    def path(wildcards):
        return f"data/{select(wildcards)['dataset']}/train.zip"

    return path


def heldout_images(wildcards):
    return f"data/{codec_slice(wildcards)['dataset']}/heldout.zip"


def codec_reference(wildcards):
    return f"data/{codec_slice(wildcards)['dataset']}/reference.npz"


def cell_reference(wildcards):
    return f"data/{cell_slice(wildcards)['reference']}/reference.npz"


def run_statistics(wildcards):
    return f"results/statistics/{run_slice(wildcards)['codec']}.json"


def cell_weights(wildcards):
    return f"results/runs/{cell_slice(wildcards)['run']}/ema.safetensors"
