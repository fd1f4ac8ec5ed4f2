"""Whether results are those of the params, the code and the inputs of now.

The records of the jobs decide, not times: so results are judged alike whichever engine made them, and
after a copy, a checkout, a pull or a stash.
"""

import contextlib
import os
import time
from pathlib import Path

from dctdiff.params.jobs import has_latents, job_code, jobs_of, latents_file, measured_against, words_of
from dctdiff.params.suite import Suite, planned
from dctdiff.pipeline.digests import digest
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import read_json
from dctdiff.pipeline.kept import counts_as, read_kept
from dctdiff.pipeline.record import Record, record_path

PLAN = "results/plan.json"
PARAMS = "params.yaml"  # of which a job is given its slices only


def why_stale(suite: dict, stage: str, name: str | None = None) -> str | None:
    """Why the results of a job are not those of now; None if they are.

    A file that is gone is no reason: it is made again if something needs it.
    """
    path = record_path(stage, name)
    if not path.exists():
        return "no record"
    kept = read_kept()
    try:
        record = read_json(path, Record)
    except UserError:
        return f"{path} is broken"
    try:
        if _by_flag(record["params"]) != _by_flag(words_of(suite, stage, name)):
            return "params"
        if stage == "plan" and not _is_planned(suite):
            return "params"
        if counts_as(record["code"], kept) != job_code(suite, stage, name):
            return "code"
        for kind in ("inputs", "outputs"):
            for file, expected in record[kind].items():
                if expected is not None and file != PARAMS and digest(file) not in (expected, None):
                    return f"{file} differs"
    except (UserError, OSError) as error:  # a folder of images that cannot be looked through
        return str(error)
    return None


def whys_stale(suite: dict) -> dict[tuple[str, str | None], str | None]:
    """Job -> why its results are not those of now, in the order of the DAG.

    A job is as stale as those whose results it was made from, and stale if no record tells how these were made.
    """
    made = ("results/", *(f"data/{name}/" for name in measured_against(suite)))
    # Of the other codecs DVC, which has no conditions, makes empty ones by no job.
    recorded = [latents_file(codec) for codec in suite["codecs"] if not has_latents(suite, codec)]
    reasons: dict[tuple[str, str | None], str | None] = {}
    stale_files: dict[str, str] = {}  # file -> the job that is to make it anew
    for job in jobs_of(suite):
        reason = why_stale(suite, *job)
        files = _files(job)
        recorded += files["outputs"]
        if reason is None and job[0] != "download":  # whose inputs are the user's
            alone = [path for path in files["inputs"] if path.startswith(made) and not _has(recorded, path)]
            reason = f"nothing records how {alone[0]} was made" if alone else None
        if reason is None:
            makers = (job for file, job in stale_files.items() for path in files["inputs"] if _is_within(file, path))
            maker = next(makers, None)
            reason = maker and f"{maker} is stale"
        if reason is not None:
            stale_files |= dict.fromkeys(files["outputs"], label(*job))
        reasons[job] = reason
    return reasons


def done(suite: dict) -> set[tuple[str, str | None]]:
    """Jobs whose results are all there, and none of which is stale."""
    return {
        job
        for job, reason in whys_stale(suite).items()
        if reason is None and all(Path(file).exists() for file in _files(job)["outputs"])
    }


def label(stage: str, name: str | None) -> str:
    return f"{stage} {name}" if name else stage


def _files(job: tuple[str, str | None]) -> dict[str, list[str]]:
    """Inputs and outputs that were there, of a job by its record; none if there is no whole one."""
    try:
        record = read_json(record_path(*job), Record)
        return {kind: [file for file, sha256 in record[kind].items() if sha256] for kind in ("inputs", "outputs")}
    except UserError:
        return {"inputs": [], "outputs": []}


def _has(recorded: list[str], path: str) -> bool:
    """Whether a file, or one in a folder, is among those that jobs have recorded; a folder may hold none."""
    return Path(path).is_dir() or any(_is_within(file, path) for file in recorded)


def _is_within(file: str, path: str) -> bool:
    return file == path or file.startswith(f"{path}/")


def _by_flag(words: list[str]) -> dict[str, list[str]]:
    """Flag -> its values: the order of the keys in params.yaml says nothing, nor on how many processes a job ran."""
    found: dict[str, list[str]] = {}
    values: list[str] = []
    for word in words:
        if word.startswith("--"):
            values = found[word] = []
        else:
            values.append(word)
    found.pop("--processes", None)  # which stood among the params of earlier versions
    return found


def _is_planned(suite: dict) -> bool:
    """The plan is given no slice, but can be compared with what it should hold."""
    return read_json(PLAN) == planned(Suite.model_validate(suite))


def settle_times(suite: dict) -> None:
    """Let no result that is of now be older than its inputs.

    Snakemake judges by times, which say nothing after a copy, a checkout, a commit of DVC or a jump of the clock.
    """
    now = time.time()
    for stage, name in jobs_of(suite):
        if why_stale(suite, stage, name) is None:
            record = read_json(record_path(stage, name))
            inputs = [Path(file) for file in record["inputs"] if file != PARAMS]
            outputs = [Path(file) for file in record["outputs"]] + [record_path(stage, name)]
            newest = max((_time(file) for file in inputs), default=0.0)
            for file in outputs:
                _set_time(file, min(max(_time(file), newest), now))


def _time(path: Path) -> float:
    """Of a folder that of the newest thing in it; 0 if there is nothing."""
    if not path.exists():
        return 0.0
    return max([path.stat().st_mtime, *(inside.stat().st_mtime for inside in path.rglob("*"))])


def _set_time(path: Path, seconds: float) -> None:
    for file in [path, *path.rglob("*")] if path.exists() else []:
        if file.stat().st_mtime != seconds:
            with contextlib.suppress(PermissionError):  # only its owner may
                os.utime(file, (seconds, seconds))
