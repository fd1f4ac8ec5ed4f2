# What the rules share: the validated suite, the arguments of a command, the code behind a stage.

import shlex
from pathlib import Path

from snakemake.exceptions import WorkflowError

from dctdiff.pipeline.code import check_beside
from dctdiff.pipeline.errors import UserError
from dctdiff.params.jobs import CHOOSING, job_code
from dctdiff.params.suite import dct_spectra, read_params, table_names, validated

try:
    check_beside(Path.cwd())
    PARAMS = read_params("params.yaml")
    validated(config, "params.yaml")
except UserError as error:
    raise WorkflowError(str(error)) from None

if config != PARAMS:
    raise WorkflowError(
        "--config and --configfile are not supported: edit params.yaml, which every stage is run from"
    )

SUITE = config["suite"]
TABLES = expand(
    "results/tables/{table}.{format}",
    table=table_names(SUITE),
    format=["csv", "md", "tex"],
)


wildcard_constraints:
    dataset=r"[a-z0-9_-]+",
    codec=r"[a-z0-9_-]+",
    truncation=r"[a-z0-9_-]+",
    upsampling=r"[a-z0-9_-]+",
    spectrum=r"[a-z0-9_-]+",
    run=r"[a-z0-9_-]+",
    cell=r"[a-z0-9_-]+",


def arguments(params_slice, prefix=""):
    """A slice as flags, written as DVC writes `${slice}` in a command."""
    words = []
    for key, value in params_slice.items():
        if isinstance(value, dict):
            words.append(arguments(value, f"{prefix}{key}."))
        elif isinstance(value, bool):
            words += [f"--{prefix}{key}"] if value else []
        else:
            values = value if isinstance(value, list) else [value]
            words.append(f"--{prefix}{key}")
            words += [shlex.quote(v) if isinstance(v, str) else str(v) for v in values]
    return " ".join(words)


def code(stage):
    """Params function: digest of the code behind a job; an edit that changes it reruns the job."""
    if stage not in CHOOSING:
        return job_code(SUITE, stage)

    def of_job(wildcards):
        return job_code(SUITE, stage, *wildcards)

    return of_job


def section(name, wildcard):
    """Params function: the entry of a section of the suite that a wildcard of the job names."""

    def select(wildcards):
        return SUITE[name][wildcards[wildcard]]

    return select


def dataset_slice(key):
    """Params function: one part of the dataset of a job."""

    def select(wildcards):
        return SUITE["datasets"][wildcards.dataset][key]

    return select


codec_slice = section("codecs", "codec")
truncation_slice = section("truncations", "truncation")
upsampling_slice = section("upsamplings", "upsampling")
spectrum_slice = section("spectra", "spectrum")
run_slice = section("runs", "run")
selection_slice = section("selections", "run")
cell_slice = section("cells", "cell")


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


def reference_images(wildcards):
    """The training images, unless the reference is a published file."""
    published = "file" in dataset_slice("reference")(wildcards)
    return [] if published else f"data/{wildcards.dataset}/train.zip"


def reference_of(select, key):
    """Input function: the reference of the dataset that `key` of a slice names."""

    def path(wildcards):
        return f"data/{select(wildcards)[key]}/reference.npz"

    return path


def codec_statistics(select):
    """Input function: the statistics of the codec that a slice names."""

    def path(wildcards):
        return f"results/statistics/codecs/{select(wildcards)['codec']}.json"

    return path


run_images = training_images(run_slice)
run_statistics = codec_statistics(run_slice)


def weights_module(wildcards):
    return f"weights_{run_slice(wildcards)['weights']}"


def weights_images(wildcards):
    """Published weights need images only to count classes."""
    run = run_slice(wildcards)
    return (
        run_images(wildcards)
        if run["weights"] == "trained" or run.get("num_classes")
        else []
    )


def run_pixels(wildcards):
    return f"data/{run_slice(wildcards)['dataset']}/train.npy"


def weights_pixels(wildcards):
    trained = run_slice(wildcards)["weights"] == "trained"
    return run_pixels(wildcards) if trained else []


def weights_statistics(wildcards):
    return (
        run_statistics(wildcards)
        if run_slice(wildcards)["weights"] == "trained"
        else []
    )


def cell_weights(wildcards):
    cell = cell_slice(wildcards)
    return f"results/runs/{cell['run']}/{cell['checkpoint']}.safetensors"
