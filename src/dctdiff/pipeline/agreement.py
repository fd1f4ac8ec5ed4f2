"""What the processes that share one work agree on: whether the first could do its part, and when to stop."""

import time
from collections.abc import Callable
from typing import TypeVar

import torch
from accelerate import PartialState

from dctdiff.pipeline.environment import n_processes, process_rank
from dctdiff.pipeline.errors import mendable
from dctdiff.pipeline.hardware import default_device

SECONDS_BETWEEN_MEETINGS = 2.0
MOST_STEPS_BETWEEN_MEETINGS = 1000

Result = TypeVar("Result")


def first_does(act: Callable[[], Result]) -> Result | None:
    """What ``act`` returns in the first process. The others wait until it has, and get None.

    If it fails, all end with its exit code, and only the first says why.
    """
    if n_processes() == 1:
        return act()
    result = failure = None
    if process_rank() == 0:
        try:
            result = act()
        except Exception as error:
            failure = error
    code = 0 if failure is None else getattr(mendable(failure), "exit_code", 1)
    [code] = _greatest(code)
    if code:
        PartialState().destroy_process_group()
        raise SystemExit(int(code)) if failure is None else failure
    return result


class Meetings:
    """The steps after which the processes tell each other whether to stop.

    They must meet at the same step, so the next one follows from what all of them know: how long a step takes the
    slowest. A process that is alone asks itself after each step.
    """

    def __init__(self, step: int, stop: Callable[[], bool]):
        self.stop = stop
        self.last, self.next = step, step + 1
        self.since = time.monotonic()

    def stopping(self, step: int) -> bool:
        """Whether to stop after this step, of which all processes tell."""
        if n_processes() == 1:
            return self.stop()
        if step < self.next:
            return False
        if default_device().type == "cuda":
            torch.cuda.synchronize()  # else a step seems to take only as long as its launch
        own_seconds = (time.monotonic() - self.since) / (step - self.last)
        stop, seconds = _greatest(self.stop(), own_seconds)
        self.last, self.next = step, step + steps_until_next(seconds)
        self.since = time.monotonic()
        return stop > 0


def steps_until_next(seconds_per_step: float) -> int:
    most = MOST_STEPS_BETWEEN_MEETINGS
    return max(1, int(min(most, SECONDS_BETWEEN_MEETINGS / max(seconds_per_step, 1e-9))))


def _greatest(*values: float) -> list[float]:
    """The greatest of each value over all processes."""
    state = PartialState(cpu=default_device().type == "cpu")
    greatest = torch.tensor(values, dtype=torch.float64, device=state.device)
    torch.distributed.all_reduce(greatest, torch.distributed.ReduceOp.MAX)
    return greatest.tolist()
