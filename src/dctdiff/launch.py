"""Several processes for one stage: the stage starts itself again through torchrun."""

import os
import sys


def relaunch_with(processes: int, module: str) -> None:
    """Replace this process by ``processes`` of ``module`` on this machine, unless launched already.

    Inside any launcher (this one, torchrun, accelerate launch, a cluster's) WORLD_SIZE is set.
    """
    if processes == 1 or "WORLD_SIZE" in os.environ:
        return
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    os.execv(sys.executable, [sys.executable, *launcher, "--module", "--", module, *sys.argv[1:]])


def process_rank() -> int:
    """0 for the process that writes the outputs."""
    return int(os.environ.get("RANK", "0"))
