"""What a job is to be given, in numbers, and as resources of Snakemake."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import read_json, write_json

CACHE = Path(".cache/needs.json")
KEYS = ("gpu", "gres", "nodes", "tasks", "tasks_per_gpu", "mpi", "cpus_per_task", "runtime", "mem_mb", "disk_mb")

Job = tuple[str, str]  # stage and name


class Needs(NamedTuple):
    processes: int
    gpus: int  # in all
    nodes: int
    cpus_per_node: int
    minutes: int
    memory_mb: int  # of each node
    disk_mb: int
    forecast_seconds: float  # of its networks, without margin and start; 0 if it runs none


def cached_needs(follow_from: list, compute: Callable[[], dict[Job, Needs]]) -> dict[Job, Needs]:
    """What ``compute`` gives, kept until what it follows from changes (plain JSON values).

    It needs PyTorch, which takes seconds to import; Snakemake asks in each of its processes.
    """
    key = hashlib.sha256(json.dumps(follow_from, sort_keys=True).encode()).hexdigest()
    try:
        kept = read_json(CACHE)
        if kept["key"] == key:
            return {(stage, name): Needs(*values) for stage, name, values in kept["needs"]}
    except (UserError, OSError, KeyError, TypeError, ValueError):  # none yet, or broken
        pass
    needs = compute()
    write_json(CACHE, {"key": key, "needs": [[*job, list(values)] for job, values in needs.items()]})
    return needs


def snakemake_resources(needs: Needs, attempt: int = 1) -> dict[str, int | str | None]:
    """The resources of a job, as Snakemake's plugins for schedulers name them (``KEYS``); None: none of that kind.

    Memory grows with each attempt. On several nodes srun starts one task on each, with all that is said to it
    explicitly, since Slurm's own variables do not reach it.
    """
    several = needs.nodes > 1
    srun = f"srun --nodes={needs.nodes} --ntasks={needs.nodes} --ntasks-per-node=1 --kill-on-bad-exit=1"
    return {
        "gpu": None if several else needs.gpus,
        "gres": f"gpu:{needs.processes // needs.nodes}" if several else None,
        "nodes": needs.nodes,
        "tasks": needs.nodes if several else None,
        "tasks_per_gpu": 0 if several else None,  # else the plugin takes tasks for tasks of each GPU
        "mpi": f"{srun} --cpus-per-task={needs.cpus_per_node}" if several else None,
        "cpus_per_task": needs.cpus_per_node,
        "runtime": needs.minutes,
        "mem_mb": needs.memory_mb * attempt,
        "disk_mb": needs.disk_mb,
    }
