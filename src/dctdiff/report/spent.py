"""What the jobs of a suite have cost, by their ledger: in all, by stage, and for each row of the table of quality.

Times change from run to run, so this is no table of ``report.tables``. Everything counts that was spent on a job in
this folder: also what was retried, and what was made again after an edit.
"""

import dataclasses
from collections.abc import Iterable, Iterator

import pandas as pd

from dctdiff.params.jobs import STAGES, jobs_of
from dctdiff.pipeline.ledger import Line
from dctdiff.report.tables.fields import NONE, NOT_RUN, number

Job = tuple[str, str | None]  # stage and name
Ledger = dict[Job, list[Line]]


@dataclasses.dataclass
class Attempt:
    """Of a job: one start."""

    first: tuple[str, int] | None  # host and number of the process that started it
    cpu: str | None
    last: dict[tuple[str, int], Line] = dataclasses.field(default_factory=dict)  # line of each process

    @property
    def ending(self) -> str | None:
        """None if it still runs, or was killed."""
        line = self.last.get(self.first)
        return line.event if line and line.event != "running" else None


@dataclasses.dataclass(frozen=True)
class Spent:
    """On some jobs. What is summed over GPUs whose NVML tells no energy is None, or too small."""

    jobs: int = 0
    attempts: int = 0
    retries: int = 0  # attempts after one that did not come to its end
    lost: int = 0  # attempts that were killed: they have no end, though another one has begun
    seconds: float = 0.0
    gpu_seconds: float = 0.0
    joules: int | None = None
    memory_bytes: int = 0  # peaks of the processes of one attempt together
    gpu_memory_bytes: int = 0  # of one GPU
    steps_lost: int = 0  # that were trained again, as far as they were logged
    hardware: tuple[str, ...] = ()


def attempts_of(lines: Iterable[Line]) -> list[Attempt]:
    """In the order of their starts. A process that has started none is one of several of the latest attempt."""
    found: list[Attempt] = []
    for line in lines:
        process = (line.host, line.process)
        if line.event == "start":
            found.append(Attempt(process, line.cpu))
            continue
        if not found:  # its start is torn
            found.append(Attempt(process, None))
        own = (attempt for attempt in reversed(found) if attempt.first == process and not attempt.ending)
        next(own, found[-1]).last[process] = line
    return found


def spent_on(lines: Iterable[Line]) -> Spent:
    """On one job."""
    attempts = attempts_of(lines)
    last = [line for attempt in attempts for line in attempt.last.values()]
    gpus = [gpu for line in last for gpu in line.gpus]
    before = attempts[:-1]
    return Spent(
        jobs=1,
        attempts=len(attempts),
        retries=sum(attempt.ending != "done" for attempt in before),
        lost=sum(attempt.ending is None for attempt in before),
        seconds=sum(attempt.last[attempt.first].seconds for attempt in attempts if attempt.first in attempt.last),
        gpu_seconds=sum(line.seconds * len(line.gpus) for line in last),
        joules=_sum_of_known(gpu.joules for gpu in gpus),
        memory_bytes=max((sum(line.memory_bytes for line in a.last.values()) for a in attempts), default=0),
        gpu_memory_bytes=max((gpu.memory_bytes for gpu in gpus), default=0),
        steps_lost=sum(line.steps_lost for line in last),
        hardware=tuple(sorted({name for attempt in attempts for name in _hardware(attempt)})),
    )


def _hardware(attempt: Attempt) -> list[str]:
    """GPUs with their number, or the processor where there are none."""
    models = [gpu.model for line in attempt.last.values() for gpu in line.gpus]
    return [f"{models.count(model)} x {model}" for model in set(models)] or ([attempt.cpu] if attempt.cpu else [])


def _sum_of_known(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def together(parts: Iterable[Spent]) -> Spent:
    """Sums, and of memory the largest."""
    parts = list(parts)
    values = {field.name: [getattr(part, field.name) for part in parts] for field in dataclasses.fields(Spent)}
    return Spent(
        **{name: sum(found) for name, found in values.items() if name in SUMMED},
        joules=_sum_of_known(values["joules"]),
        memory_bytes=max(values["memory_bytes"], default=0),
        gpu_memory_bytes=max(values["gpu_memory_bytes"], default=0),
        hardware=tuple(sorted({name for names in values["hardware"] for name in names})),
    )


SUMMED = ("jobs", "attempts", "retries", "lost", "seconds", "gpu_seconds", "steps_lost")


def stages_table(plan: dict, ledger: Ledger) -> pd.DataFrame:
    """One row per stage that has run, and one for all."""
    spent = _spent(plan, ledger)
    by_stage = {stage: [spent[job] for job in spent if job[0] == stage] for stage in STAGES}
    rows = {stage: together(parts) for stage, parts in by_stage.items() if parts} | {"all": together(spent.values())}
    return _with_numbers([_stage_row(name, row) for name, row in rows.items()])


def rows_table(plan: dict, ledger: Ledger) -> pd.DataFrame:
    """One row per row of the table of quality: what was spent on it alone, and with all that it was made from.

    Rows share trainings and data, so the latter do not add up.
    """
    spent, rows = _spent(plan, ledger), []
    for fields, own, made_from in quality_jobs(plan):
        alone = together(spent[job] for job in own if job in spent)
        whole = together(spent[job] for job in {*own, *made_from} if job in spent)
        counts = {"attempts": alone.attempts or NOT_RUN, "retries": alone.retries if alone.attempts else NONE}
        rows.append(fields | counts | _sums(alone) | _sums(whole, "with training and data: "))
    return _with_numbers(rows)


def _with_numbers(rows: list[dict]) -> pd.DataFrame:
    """Without the columns that say nothing, as those of GPUs where there are none."""
    frame = pd.DataFrame(rows)
    return frame.loc[:, (frame != NONE).any()]


def hardware_note(plan: dict, ledger: Ledger) -> str:
    """One sentence that says on what the jobs ran."""
    return f"Ran on {', '.join(together(_spent(plan, ledger).values()).hardware)}."


def _spent(plan: dict, ledger: Ledger) -> dict[Job, Spent]:
    """On each job of the plan that has run."""
    return {job: spent_on(ledger[job]) for job in jobs_of(plan) if ledger.get(job)}


def quality_jobs(plan: dict) -> Iterator[tuple[dict, list[Job], list[Job]]]:
    """Of each row of the table of quality: what it is of, its own jobs, and those that it was made from."""
    for name in plan["references"]:
        yield from _cells(plan, name, [("import_reference", name)])
    for dataset in plan["datasets"]:
        measure = [*_images(dataset), ("reference", dataset)]
        yield _of(dataset, "held-out images"), [("evaluate_heldout", dataset)], measure
        for name, codec in plan["codecs"].items():
            if codec["dataset"] == dataset:
                own = [("round_trip", name), ("evaluate_round_trip", name)]
                yield (
                    _of(dataset, f"held-out images through {name}"),
                    own,
                    [*measure, ("latents", name), ("statistics", name)],
                )
        yield from _cells(plan, dataset, measure)


def _cells(plan: dict, reference: str, measure: list[Job]) -> Iterator[tuple[dict, list[Job], list[Job]]]:
    """The cells that are measured against ``reference``, which the jobs ``measure`` have made."""
    for name, cell in plan["cells"].items():
        if cell["reference"] == reference:
            what = _of(reference, cell["run"], cell["checkpoint"], cell["sampler"], cell["nfe"])
            yield what, [("sample", name), ("evaluate", name)], [*measure, *_model(plan, cell)]


def _of(dataset: str, images: str, checkpoint: str = NONE, sampler: str = NONE, nfe: int | str = NONE) -> dict:
    return {"dataset": dataset, "images": images, "checkpoint": checkpoint, "sampler": sampler, "NFE": nfe}


def _images(dataset: str) -> list[Job]:
    return [("download", dataset), ("crop", dataset)]


def _model(plan: dict, cell: dict) -> list[Job]:
    """Jobs that the weights of a cell were made from."""
    if cell["run"] in plan["imports"]:
        return [("import_weights", cell["run"])]
    jobs, run = [("weights", cell["run"])], plan["runs"][cell["run"]]
    if run["weights"] == "trained":
        jobs += [*_images(run["dataset"]), ("pack", run["dataset"])]
        jobs += [("latents", run["codec"]), ("statistics", run["codec"])]
    if cell["checkpoint"] == "best":
        reference = plan["selections"][cell["run"]]["reference"]
        jobs += [("select", cell["run"]), *_images(reference), ("reference", reference)]
    return jobs


def _stage_row(name: str, spent: Spent) -> dict:
    return {
        "stage": name,
        "jobs": spent.jobs,
        "attempts": spent.attempts,
        "retries": spent.retries,
        "killed": spent.lost,
        "steps lost": spent.steps_lost,
        **_sums(spent),
        "memory (GB)": f"{spent.memory_bytes / 1e9:.2f}",
        "memory of a GPU (GB)": f"{spent.gpu_memory_bytes / 1e9:.2f}" if spent.gpu_seconds else NONE,
    }


def _sums(spent: Spent, prefix: str = "") -> dict:
    return {
        f"{prefix}time": _clock(spent.seconds) if spent.attempts else NONE,
        f"{prefix}GPU time": _clock(spent.gpu_seconds) if spent.gpu_seconds else NONE,
        f"{prefix}energy (kWh)": number(None if spent.joules is None else spent.joules / 3.6e6, "{:.3g}"),
    }


def _clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
