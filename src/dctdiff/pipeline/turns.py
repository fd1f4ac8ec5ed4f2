"""Turns: a work in parts, of which the processes of a stage do one after the other, and the first one gets all.

Part k is of process k modulo their number. So each part is made as by one process alone, the results come in their
order, and none waits in memory for the end. They go from CPU to CPU (gloo), which notices at once that a process has
ended, whatever the devices are.
"""

import atexit
import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

from dctdiff.pipeline import hardware
from dctdiff.pipeline.environment import n_processes, process_rank
from dctdiff.pipeline.errors import UserError

PATIENCE = timedelta(days=7)  # with a process that lives

Result = TypeVar("Result")


def meet() -> torch.device:
    """Wait for the other processes of this stage, if there are some; returns the device of this one."""
    if n_processes() > 1:
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("gloo", timeout=PATIENCE)
        atexit.register(dist.destroy_process_group)  # whose threads else abort the end of Python now and then
    return hardware.default_device()


def is_first() -> bool:
    """Whether this process gets the results, and writes the outputs."""
    return process_rank() == 0


def parts_of(indices: Sequence[int], size: int) -> list[Sequence[int]]:
    """Neighbours, ``size`` at a time, or less if some process would have none."""
    size = min(size, -(-len(indices) // n_processes()))
    return [indices[start : start + size] for start in range(0, len(indices), size)]


def own() -> slice:
    """Which of the parts are those of this process."""
    return slice(process_rank(), None, n_processes())


def in_order(results: Iterable[Result], n_parts: int) -> Iterator[Result]:
    """The results of all parts in the first process; none in another, which sends its own ``results`` meanwhile.

    To be iterated to its end in each of them. A UserError if one ends before.
    """
    if n_processes() == 1:
        yield from results
        return
    if is_first():
        results = iter(results)
        for part in range(n_parts):
            rank = part % n_processes()
            yield _received(rank) if rank else next(results)
    else:
        for result in results:
            with _ending_with(0):
                dist.send_object_list([result], dst=0)
    with _ending_with():
        dist.barrier()  # nobody leaves while something is on its way


def first_says(ask: Callable[[], Result]) -> Result:
    """What ``ask`` returns in the first process, told to all."""
    if n_processes() == 1:
        return ask()
    said = [ask() if is_first() else None]
    with _ending_with(0):
        dist.broadcast_object_list(said, src=0)
    return said[0]


def _received(rank: int):
    result = [None]
    with _ending_with(rank):
        dist.recv_object_list(result, src=rank)
    return result[0]


@contextlib.contextmanager
def _ending_with(rank: int | None = None) -> Iterator[None]:
    """End without a traceback if another process (``rank``) has ended: what matters is said there."""
    try:
        yield
    except RuntimeError:
        name = "another process" if rank is None else f"process {rank}"
        raise UserError(f"{name} of {n_processes()} has ended; its output is above") from None
