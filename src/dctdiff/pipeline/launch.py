"""Several processes for one stage: the stage starts itself again through torchrun."""

import logging
import os
import sys
import tempfile
from pathlib import Path

from dctdiff.pipeline.environment import check_launched, is_launched
from dctdiff.pipeline.errors import ERROR_FILE, Interrupted, UserError
from dctdiff.pipeline.signals import STOPPING


def relaunch_with(processes: int, module: str) -> None:
    """Run ``processes`` of ``module`` on this machine and end with them, unless launched already.

    Inside another launcher (torchrun, accelerate launch, a cluster's) it must have started as many.
    What a user can mend is said once, not by each process and again by torchrun.
    """
    if processes == 1 or is_launched():
        check_launched(processes)
        return
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    torchrun_log = logging.getLogger("torch.distributed.elastic")
    torchrun_log.addHandler(logging.NullHandler())
    torchrun_log.propagate = False
    # torchrun hands these on to its processes, as it does others by itself.
    os.environ.setdefault("TORCHELASTIC_SIGNALS_TO_HANDLE", ",".join(number.name for number in STOPPING))
    launcher = ["--standalone", "--nproc-per-node", str(processes), "--module"]
    with tempfile.TemporaryDirectory() as folder:
        errors = Path(folder) / "errors"
        os.environ[ERROR_FILE] = str(errors)
        try:
            run(parse_args([*launcher, "--", module, *sys.argv[1:]]))
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            kind = Interrupted if failure.exitcode == Interrupted.exit_code else UserError
            message = f"process {rank} of {processes} ended with status {failure.exitcode}; its output is above"
        except SignalException as error:
            kind, message = Interrupted, f"stopped by {error.sigval.name}; the same command goes on"
        else:
            sys.exit()
        finally:
            del os.environ[ERROR_FILE]  # it was for the processes started here
        said = errors.read_text(encoding="utf-8").splitlines() if errors.exists() else []
    raise kind(said[0] if said else message)
