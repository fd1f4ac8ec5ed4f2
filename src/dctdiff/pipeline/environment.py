"""What the environment may say, and what must not change a number."""

import os

from dctdiff.pipeline.errors import ERROR_FILE, UserError

# Of accelerate's config (accumulation, precision, back ends), which params say, and of MPI, which accelerate
# takes for a launcher of its processes.
IGNORED_PREFIXES = ("ACCELERATE_", "FSDP_", "DEEPSPEED_", "OMPI_COMM_WORLD_", "MV2_COMM_WORLD_", "PMI_", "MPI_LOCAL")
# By which launchers (torchrun, accelerate launch, a cluster's) tell a process which one of how many it is.
LAUNCHER = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def ignore_strangers() -> None:
    """Forget what would change a number, and what a launcher of something else has left."""
    for name in list(os.environ):
        if name.startswith(IGNORED_PREFIXES):
            del os.environ[name]
    if not is_launched():
        for name in LAUNCHER:
            os.environ.pop(name, None)


def is_launched() -> bool:
    """Whether this is one of several processes of a launcher, which names all of them, or there are none."""
    return all(name in os.environ for name in LAUNCHER) and int(os.environ["WORLD_SIZE"]) > 1


def process_rank() -> int:
    """0 for the process that writes the outputs."""
    return int(os.environ["RANK"]) if is_launched() else 0


def is_first_process() -> bool:
    """Whether this is the process that a person or an engine started, not one of those that it shares its work with."""
    return ERROR_FILE not in os.environ and process_rank() == 0


def check_launched(processes: int) -> None:
    """A UserError if a launcher has started another number of processes than the params ask for."""
    found = int(os.environ["WORLD_SIZE"]) if is_launched() else 1
    if found != processes:
        raise UserError(f"processes is {processes}, but a launcher has started {found}; start the stage without it")
