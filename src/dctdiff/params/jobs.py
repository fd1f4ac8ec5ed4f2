"""The jobs of a suite: which module makes each, and which alternatives of the code it uses.

A suite is a dict here, as it stands in params.yaml once it is validated: without the keys that have their default.
"""

from typing import NamedTuple

from dctdiff.params.download import Download
from dctdiff.params.release import Release
from dctdiff.params.sample import Cell
from dctdiff.params.statistics import Codec
from dctdiff.params.train import Run
from dctdiff.pipeline.code import code_behind
from dctdiff.pipeline.kept import counts_as, read_kept
from dctdiff.pipeline.slice import Slice
from dctdiff.registry.spaces import SPACES


class Stage(NamedTuple):
    section: str | None  # of the suite, whose names its jobs have; None: there is one job
    slices: tuple[str, ...] = ()  # where the slices stand that a job is given, in the order of its command


# In the order of the DAG; {} is the name of the job.
STAGES = {
    "plan": Stage(None),
    "download": Stage("datasets", ("datasets.{}.download",)),
    "crop": Stage("datasets", ("datasets.{}.crop",)),
    "pack": Stage("datasets"),
    "latents": Stage("codecs", ("codecs.{}",)),
    "statistics": Stage("codecs", ("codecs.{}",)),
    "spectrum": Stage("spectra", ("spectra.{}",)),
    "reference": Stage("datasets", ("datasets.{}.reference", "extractor")),
    "import_reference": Stage("references", ("references.{}", "extractor")),
    "weights": Stage("runs", ("runs.{}",)),
    "import_weights": Stage("imports", ("imports.{}",)),
    "select": Stage("selections", ("selections.{}", "extractor")),
    "sample": Stage("cells", ("cells.{}",)),
    "round_trip": Stage("codecs", ("round_trip",)),
    "evaluate_heldout": Stage("datasets", ("extractor",)),
    "evaluate_round_trip": Stage("codecs", ("extractor",)),
    "evaluate": Stage("cells", ("extractor",)),
    "truncation": Stage("truncations", ("truncations.{}", "extractor")),
    "upsampling": Stage("upsamplings", ("upsamplings.{}", "extractor")),
    "tables": Stage(None),
    "report": Stage(None, ("report",)),
}
# Stages whose jobs differ in the alternatives of the code that they use.
CHOOSING = ("download", "latents", "statistics", "weights", "import_weights", "select", "sample", "round_trip")


def jobs_of(suite: dict) -> list[tuple[str, str | None]]:
    """Stage and name of every job, in the order of the DAG."""
    return [
        (stage, name)
        for stage, (section, _) in STAGES.items()
        for name in ([None] if section is None else suite[section])
        if stage != "latents" or has_latents(suite, name)
    ]


def models_of(suite: dict) -> dict[str, dict]:
    """What cells sample, of a suite or a plan: runs, and the models that come as a file."""
    return suite["runs"] | suite["imports"]


def measured_against(suite: dict) -> list[str]:
    """What cells are measured against, of a suite or a plan: statistics that come as a file, and data sets."""
    return [*suite["references"], *suite["datasets"]]


def has_latents(suite: dict, codec: str) -> bool:
    return suite["codecs"][codec].get("space") == "latent"


def latents_file(codec: str) -> str:
    return f"results/latents/{codec}.npy"


def words_of(suite: dict, stage: str, name: str | None = None) -> list[str]:
    """The slices of a job as words of its command."""
    return [word for place in STAGES[stage].slices for word in flags(_at(suite, place.split("."), name))]


def flags(group: dict, prefix: str = "") -> list[str]:
    """A slice as flags, as DVC writes ``${slice}`` in a command."""
    words = []
    for key, value in group.items():
        if isinstance(value, dict):
            words += flags(value, f"{prefix}{key}.")
        elif isinstance(value, bool):
            words += [f"--{prefix}{key}"] if value else []
        else:
            words += [f"--{prefix}{key}", *map(str, value if isinstance(value, list) else [value])]
    return words


def _at(suite: dict, keys: list[str], name: str | None) -> dict:
    for key in keys:
        suite = suite[name if key == "{}" else key]
    return suite


def choices(
    space: str, network: str, framework: str, optimizer: str | None = None, sampler: str | None = None
) -> dict[str, str]:
    """The entries that a model in ``space`` uses of ``dctdiff.registry``, and its training, or its sampling."""
    entries = {"SPACES": space, "NETWORKS": f"{network}.{SPACES[space].layout}", "FRAMEWORKS": framework}
    training = {"GIVEN": SPACES[space].stored, "OPTIMISERS": optimizer} if optimizer else {}
    return entries | training | ({"SAMPLERS": f"{sampler}.{framework}"} if sampler else {})


def module_of(suite: dict, stage: str, name: str | None = None) -> str:
    """The module under ``dctdiff.stages`` that makes the job ``name`` of a stage."""
    if stage == "weights":
        return f"weights_{suite['runs'][name]['weights']}"
    return "evaluate" if stage.startswith("evaluate_") else stage


def chosen(suite: dict, stage: str, name: str | None = None) -> dict[str, str]:
    """Registry -> the entry that a job uses."""
    measures = "extractor" in STAGES[stage].slices
    extractor = {"EXTRACTORS": suite["extractor"]["extractor"]} if measures else {}
    if stage not in CHOOSING:
        return extractor
    entry = suite[STAGES[stage].section][name]
    if stage == "download":
        return {"SOURCES": entry["download"].get("source", default_of(Download, "source"))}
    if STAGES[stage].section == "codecs":
        return {"SPACES": entry.get("space", default_of(Codec, "space"))}
    run = models_of(suite)[entry["run"] if stage == "sample" else name]
    model = space_of(suite, run), *(run.get(key, default_of(Run, key)) for key in ("network", "framework"))
    if stage not in ("weights", "import_weights"):
        return choices(*model, sampler=entry.get("sampler", default_of(Cell, "sampler"))) | extractor
    return choices(*model, run.get("optimizer", default_of(Run, "optimizer")) if run["weights"] == "trained" else None)


def space_of(suite: dict, run: dict) -> str:
    """Of a model; one that comes as a file says it by its sizes."""
    if "codec" in run:
        return suite["codecs"][run["codec"]].get("space", default_of(Codec, "space"))
    return Release.model_validate(run["release"]).space


def default_of(model: type[Slice], key: str) -> str:
    """What a key that is not in params.yaml stands for."""
    return model.model_fields[key].default


def edited_code(suite: dict, stage: str, name: str | None = None) -> str:
    """Digest of the code behind a job, as it is now."""
    return code_behind(f"dctdiff.stages.{module_of(suite, stage, name)}.main", chosen(suite, stage, name))


def job_code(suite: dict, stage: str, name: str | None = None) -> str:
    """What both engines are given for the code of a job: a change of it reruns the job."""
    return counts_as(edited_code(suite, stage, name), read_kept())
