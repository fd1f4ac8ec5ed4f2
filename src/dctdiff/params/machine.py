"""Where jobs run: workflow/machine.yaml.

It is no part of params.yaml: to move from two GPUs to four reruns nothing.
"""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import Field, ValidationError

from dctdiff.params.document import read_document
from dctdiff.params.suite import Suite
from dctdiff.params.train import Run
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.slice import Name, Processes, Slice, explain, together

MACHINE = Path("workflow/machine.yaml")


class Machine(Slice):
    processes_per_run: Processes = Field(
        1,
        description="processes that share a training, and the choice of its checkpoint, each with a GPU of its own if "
        "there are GPUs",
    )
    processes_per_cell: Processes = Field(
        1, description="processes that share the sampling of a cell, an evaluation or a reference"
    )
    runs: dict[Name, Processes] = Field({}, description="runs with another number of processes")
    cells: dict[Name, Processes] = Field({}, description="cells with another number of processes")
    gpus_per_node: int = Field(
        8, ge=0, le=1024, description="more processes than this are spread over several nodes; 0: there are no GPUs"
    )
    cpus_per_process: int = Field(4, ge=1, le=1024, description="cores that a scheduler is asked for, per process")
    speed: float = Field(
        1.0,
        gt=0,
        le=1000,
        description="of a GPU, in H100s (an A100: about 0.4); without GPUs of a job (two cores: about 0.0003)",
    )
    limit_minutes: int = Field(
        1440, ge=1, le=10**6, description="longest job that the partition allows; a longer training goes on in the next"
    )

    def of_run(self, name: str) -> int:
        """Processes that share the training of a run, and its selection."""
        return self.runs.get(name, self.processes_per_run)

    def of_cell(self, name: str) -> int:
        """Processes that share the sampling of a cell, and an evaluation."""
        return self.cells.get(name, self.processes_per_cell)

    def nodes_for(self, processes: int) -> int:
        """Nodes that a job of so many processes is spread over."""
        return math.ceil(processes / self.gpus_per_node) if self.gpus_per_node else 1


def read_machine(path: str | Path = MACHINE) -> Machine:
    """The file, validated; the defaults if there is none. A UserError names the wrong keys."""
    if not Path(path).exists():
        return Machine()
    document = read_document(path)
    try:
        return Machine.model_validate(document)
    except ValidationError as error:
        raise UserError(f"{path}: {explain(error, root=Machine, line=document.line)}") from None


def check_machine(machine: Machine, suite: Suite, suites: dict[str, dict], path: str | Path = MACHINE) -> None:
    """A UserError unless the jobs of the chosen suite can be shared so; names may be of any of the ``suites``."""
    problems = [
        *_unknown("runs", machine.runs, suites),
        *_unknown("cells", machine.cells, suites),
        *(
            f"runs.{name}: {problem}"
            for name, run in suite.runs.items()
            if run.weights == "trained"
            for problem in uneven_shares(run, machine.of_run(name))
        ),
        *(
            f"cells.{name}: {machine.of_cell(name)} processes, but there are only {cell.n_images} images to share"
            for name, cell in suite.cells.items()
            if machine.of_cell(name) > cell.n_images
        ),
    ]
    shared = {f"runs.{name}": machine.of_run(name) for name in suite.runs}
    shared |= {f"cells.{name}": machine.of_cell(name) for name in suite.cells}
    shared["processes_per_cell"] = machine.processes_per_cell  # of references
    problems += [
        f"{job}: {n} processes cannot be spread evenly over {machine.nodes_for(n)} nodes (gpus_per_node)"
        for job, n in shared.items()
        if n % machine.nodes_for(n)
    ]
    if problems:
        raise UserError(f"{path}: {together(problems)}")


def uneven_shares(run: Run, processes: int) -> Iterator[str]:
    """What stands in the way of so many processes for a run."""
    if run.batch_size % processes:
        yield f"batch_size {run.batch_size} is not divisible by {processes} processes"
    elif run.batch_size // processes % run.accumulation_steps:
        yield (
            f"batch_size {run.batch_size} on {processes} processes is not divisible by accumulation_steps "
            f"{run.accumulation_steps}"
        )


def _unknown(section: str, names: Iterable[str], suites: dict[str, dict]) -> Iterator[str]:
    known = {name for suite in suites.values() for name in suite.get(section) or {}}
    for name in names:
        if name not in known:
            yield f"{section}.{name} is in no suite of params.yaml; correct the name or remove it"
