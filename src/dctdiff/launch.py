"""Several processes for one stage: the stage starts itself again through accelerate."""

import os
import sys


def relaunch_with(processes: int, module: str) -> None:
    """Replace this process by ``accelerate launch`` of ``module``, unless one runs already.

    Inside a launch (this one, torchrun or a cluster's) WORLD_SIZE is set.
    """
    if processes == 1 or "WORLD_SIZE" in os.environ:
        return
    import torch

    hardware = "--multi_gpu" if torch.cuda.is_available() else "--cpu"
    options = f"--num_processes {processes} --num_machines 1 --mixed_precision no --dynamo_backend no"
    command = [sys.executable, "-m", "accelerate.commands.launch", hardware, *options.split()]
    os.execv(sys.executable, [*command, "--module", module, *sys.argv[1:]])


def process_rank() -> int:
    """0 for the process that writes the outputs."""
    return int(os.environ.get("RANK", "0"))
