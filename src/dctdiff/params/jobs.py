"""The jobs of a suite: which module makes each, and which alternatives of the code it uses.

A suite is a dict here, as it stands in params.yaml once it is validated.
"""

from dctdiff.pipeline.code import code_behind
from dctdiff.pipeline.kept import counts_as, read_kept

# Stages whose jobs differ in the code that they use -> the section of the suite that names the jobs.
CHOOSING = {"weights": "runs", "select": "selections", "sample": "cells"}


def choices(space: str) -> dict[str, str]:
    """The entries that a model in ``space`` uses of the registries in ``dctdiff.models.config``."""
    return {"CODECS": space, "NETWORKS": space}


def module_of(suite: dict, stage: str, name: str | None = None) -> str:
    """The module under ``dctdiff.stages`` that makes the job ``name`` of a stage."""
    if stage == "weights":
        return f"weights_{suite['runs'][name]['weights']}"
    return "evaluate" if stage.startswith("evaluate_") else stage


def chosen(suite: dict, stage: str, name: str | None = None) -> dict[str, str]:
    """Registry -> the entry that a job uses."""
    if stage not in CHOOSING:
        return {}
    entry = suite[CHOOSING[stage]][name]
    run = suite["runs"][entry["run"] if stage == "sample" else name]
    samplers = {} if stage == "weights" else {"SAMPLERS": entry["sampler"]}
    return choices(suite["codecs"][run["codec"]]["space"]) | samplers


def edited_code(suite: dict, stage: str, name: str | None = None) -> str:
    """Digest of the code behind a job, as it is now."""
    return code_behind(f"dctdiff.stages.{module_of(suite, stage, name)}.main", chosen(suite, stage, name))


def job_code(suite: dict, stage: str, name: str | None = None) -> str:
    """What both engines are given for the code of a job: a change of it reruns the job."""
    return counts_as(edited_code(suite, stage, name), read_kept())
