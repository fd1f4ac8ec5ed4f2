"""Several processes for one stage: the stage starts itself again through torchrun."""

import logging
import os
import sys
import tempfile
from pathlib import Path

from dctdiff.pipeline.errors import ERROR_FILE, UserError


def relaunch_with(processes: int, module: str) -> None:
    """Run ``processes`` of ``module`` on this machine and end with them, unless launched already.

    Inside any launcher (this one, torchrun, accelerate launch, a cluster's) WORLD_SIZE is set.
    What a user can mend is said once, not by each process and again by torchrun.
    """
    if processes == 1 or "WORLD_SIZE" in os.environ:
        return
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    torchrun_log = logging.getLogger("torch.distributed.elastic")
    torchrun_log.addHandler(logging.NullHandler())
    torchrun_log.propagate = False
    launcher = ["--standalone", "--nproc-per-node", str(processes), "--module"]
    with tempfile.TemporaryDirectory() as folder:
        errors = Path(folder) / "errors"
        os.environ[ERROR_FILE] = str(errors)
        try:
            run(parse_args([*launcher, "--", module, *sys.argv[1:]]))
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            message = f"process {rank} of {processes} ended with status {failure.exitcode}; its output is above"
        except SignalException as error:
            message = f"stopped by {error.sigval.name}"
        else:
            sys.exit()
        finally:
            del os.environ[ERROR_FILE]  # it was for the processes started here
        said = errors.read_text(encoding="utf-8").splitlines() if errors.exists() else []
    raise UserError(said[0] if said else message)


def process_rank() -> int:
    """0 for the process that writes the outputs."""
    return int(os.environ.get("RANK", "0"))
