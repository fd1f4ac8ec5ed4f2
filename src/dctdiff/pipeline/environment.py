"""What the environment says about the processes of a stage, and what of it must not change a number."""

import os
from typing import NamedTuple

from dctdiff.pipeline.errors import UserError

# Of accelerate's config (accumulation, precision, back ends), which params say, and of MPI, which accelerate
# takes for a launcher of its processes.
IGNORED_PREFIXES = ("ACCELERATE_", "FSDP_", "DEEPSPEED_", "OMPI_COMM_WORLD_", "MV2_COMM_WORLD_", "PMI_", "MPI_LOCAL")
# By which launchers (torchrun, accelerate launch) tell a process which one of how many it is, in numbers and where
# they meet.
NUMBERS = ("WORLD_SIZE", "RANK", "LOCAL_RANK")
LAUNCHER = (*NUMBERS, "MASTER_ADDR", "MASTER_PORT")


class Step(NamedTuple):
    """What srun tells each of the tasks that it has started: a job step of Slurm."""

    n_tasks: int
    rank: int  # among all tasks
    local_rank: int  # among those of the node
    n_nodes: int
    node: int
    nodes: str  # n[1-4]
    port: int  # that jobs of one machine do not share


def ignore_strangers() -> None:
    """Forget what would change a number, and what a launcher of something else has left.

    A UserError if a launcher contradicts itself.
    """
    for name in list(os.environ):
        if name.startswith(IGNORED_PREFIXES):
            del os.environ[name]
    if not is_launched():
        for name in LAUNCHER:
            os.environ.pop(name, None)
        return
    rank, size = process_rank(), n_processes()
    if not 0 <= _number("LOCAL_RANK") <= rank < size:
        raise UserError(f"{_said(NUMBERS)} contradict each other; unset them, or start the stage by its launcher")


def is_launched() -> bool:
    """Whether this is one of several processes of a launcher, which names all of them, or there are none."""
    return all(name in os.environ for name in LAUNCHER) and _number("WORLD_SIZE") > 1


def step() -> Step | None:
    """The step that this is a task of, if srun has started several of them."""
    if "SLURM_STEP_NUM_TASKS" not in os.environ or _number("SLURM_STEP_NUM_TASKS") == 1:
        return None
    numbers = ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NUM_NODES", "SLURM_NODEID")
    port = 20_000 + (_number("SLURM_JOB_ID") * 7 + _number("SLURM_STEP_ID")) % 10_000
    return Step(*map(_number, numbers), nodes=os.environ.get("SLURM_STEP_NODELIST", ""), port=port)


def forget_step() -> None:
    """What this process starts is no task of its step."""
    for name in list(os.environ):
        if name.startswith("SLURM_STEP_") or name in ("SLURM_PROCID", "SLURM_LOCALID"):
            del os.environ[name]


def n_processes() -> int:
    """Processes that share the work of this stage."""
    return _number("WORLD_SIZE") if is_launched() else 1


def process_rank() -> int:
    """0 for the process that writes the outputs."""
    if is_launched():
        return _number("RANK")
    task = step()
    return task.rank if task else 0


def check_alone() -> None:
    """A UserError if several processes were started of a stage that does not share its work."""
    found = n_processes() if is_launched() else step().n_tasks if step() else 1
    if found > 1:
        raise UserError(f"{found} processes of this stage were started, but it has only one; start one (srun -n1)")


def _number(name: str) -> int:
    try:
        return int(os.environ[name])
    except (KeyError, ValueError):
        raise UserError(
            f"{_said([name])}, but a whole number is expected; unset it, or start the stage by its launcher"
        ) from None


def _said(names) -> str:
    return ", ".join(f"{name} is {os.environ.get(name, 'absent')}" for name in names)
