# What the rules share: the validated suite, the arguments of a command, the code behind a stage.

import functools
import shlex
import time
from pathlib import Path

from snakemake.exceptions import WorkflowError

from dctdiff.pipeline.code import check_beside, code_behind
from dctdiff.pipeline.environment import forget_step
from dctdiff.pipeline.errors import UserError, mendable
from dctdiff.pipeline.estimate import expect
from dctdiff.pipeline.kept import read_kept
from dctdiff.pipeline.lock import forget_dead_snakemakes
from dctdiff.pipeline.signals import pass_on_to_jobs
from dctdiff.params.document import read_document
from dctdiff.params.grid import tell_dvc
from dctdiff.params.jobs import (
    has_latents,
    latents_file,
    measured_against,
    models_of,
    words_of,
)
from dctdiff.params.machine import check_machine, read_machine
from dctdiff.params.resources import KEYS, cached_needs, snakemake_resources
from dctdiff.params.status import done, settle_times, why_stale
from dctdiff.params.published import load_published
from dctdiff.params.suite import (
    check_published,
    dct_spectra,
    planned,
    read_params,
    table_names,
    validated,
)

from dctdiff.registry.known import check_registries

PUBLISHED_FILE = "data/published.yaml"

try:
    if workflow.is_main_process:
        ALIVE = forget_dead_snakemakes()
        forget_step()
    pass_on_to_jobs()
    check_beside(Path.cwd())
    check_registries()
    read_kept()
    params = read_params("params.yaml")
    suite = validated(params).suite
    MACHINE = read_machine()
    check_machine(MACHINE, suite, params["suites"])
    PUBLISHED = load_published(PUBLISHED_FILE, suite.published)
    check_published(suite, PUBLISHED, PUBLISHED_FILE)
    if workflow.is_main_process:
        tell_dvc(read_document("params.yaml")["suite"])
except (UserError, OSError) as error:
    raise WorkflowError(str(mendable(error) or error)) from None

if config:
    raise WorkflowError(
        "--config and --configfile are not supported: edit params.yaml, which every stage is run from"
    )

SUITE = params["suite"]
PLAN = "results/plan.json"
MARKER = ".cache/stale"
if workflow.is_main_process:
    settle_times(SUITE)
    Path(MARKER).parent.mkdir(exist_ok=True)
    # Another content each time: of a file that it has seen before Snakemake would disregard the time.
    Path(MARKER).write_text(str(time.time_ns()))
TABLES = expand(
    "results/tables/{table}.{format}",
    table=table_names(
        {**planned(suite), "published": PUBLISHED.model_dump(exclude_none=True)}
    ),
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


def arguments(stage):
    """Params function: the slices of params.yaml that a job is given, as flags."""

    def write(wildcards):
        return shlex.join(words_of(SUITE, stage, *wildcards))

    return write


def stale(stage):
    """Input function: a file newer than all results if those of a job are not of the params, code and inputs of now.

    The records of the jobs say so, and the times of files are made to agree with them. In the default
    profile times are all that Snakemake looks at.
    """

    def marker(wildcards):
        if not workflow.is_main_process:
            return []
        return [MARKER] if why_stale(SUITE, stage, *wildcards) else []

    return marker


def compute_needs():
    """Imports here, and not at the top, what imports PyTorch."""
    from dctdiff.models.needs import needs_of

    return needs_of(planned(suite), suite.extractor.model_dump(), MACHINE)


NEEDS = cached_needs(
    [
        planned(suite),
        suite.extractor.model_dump(),
        MACHINE.model_dump(),
        code_behind("dctdiff.models.needs.needs_of"),
    ],
    compute_needs,
)


def resources(stage):
    """What a scheduler is asked for: name of each resource -> function of the job and its attempt."""

    def of(key):
        def evaluate(wildcards, attempt):
            return snakemake_resources(NEEDS[stage, *wildcards], attempt)[key]

        return evaluate

    return {key: of(key) for key in KEYS}


def asking(job):
    """A message: the job, and what a scheduler would be asked for; of GPUs there are two ways to ask."""
    return f"{job} ({{resources.nodes}} x {{resources.cpus_per_task}} cores, {{resources.mem_mb}} MB, {{resources.runtime}} min)"


def launcher(wildcards, resources):
    """Params function: what starts a job on several nodes; nothing on one."""
    return f"{resources.mpi} " if "mpi" in resources.keys() else ""


def shown(path, category, kind=None, **labels):
    """An output that `snakemake --report` shows, below its category and kind."""
    caption = f"../report/{category.lower()}.rst"
    return report(
        path, category=category, subcategory=kind, caption=caption, labels=labels
    )


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


def latents(codec):
    """Of a codec without latents nothing."""
    return latents_file(codec) if has_latents(SUITE, codec) else []


def codec_latents(wildcards):
    return latents(wildcards.codec)


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


def run_latents(wildcards):
    return latents_file(run_slice(wildcards)["codec"])


def reads_latents(run):
    return has_latents(SUITE, run["codec"]) and not run.get("encode_each_step")


@functools.cache
def done_jobs():
    return done(SUITE)


def weights_pixels(wildcards):
    """None for a run that is done if only they are gone, as after a pull: packed again for another run, they are the
    same bytes, but Snakemake would train all runs of their dataset again.
    """
    pixels, images = run_pixels(wildcards), run_images(wildcards)
    run = run_slice(wildcards)
    trained = run["weights"] == "trained" and not reads_latents(run)
    only_they_are_gone = Path(images).exists() and not Path(pixels).exists()
    if not trained or only_they_are_gone and ("weights", wildcards.run) in done_jobs():
        return []
    return pixels


def weights_latents(wildcards):
    run = run_slice(wildcards)
    trained = run["weights"] == "trained" and reads_latents(run)
    return latents(run["codec"]) if trained else []


def weights_statistics(wildcards):
    return (
        run_statistics(wildcards)
        if run_slice(wildcards)["weights"] == "trained"
        else []
    )


def among(names):
    """A pattern for a wildcard that is one of some names; if there are none, one that nothing matches."""
    return "|".join(names) or "(?!)"


def cell_weights(wildcards):
    cell = cell_slice(wildcards)
    return f"results/runs/{cell['run']}/{cell['checkpoint']}.safetensors"
