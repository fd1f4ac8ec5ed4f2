"""Several processes for one stage: the stage starts itself again through torchrun, on each of its nodes."""

import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from dctdiff.pipeline.devices import TAKEN
from dctdiff.pipeline.environment import Step, is_launched, step
from dctdiff.pipeline.errors import ERROR_FILE, Interrupted, UserError
from dctdiff.pipeline.signals import heard


def launch(processes: int) -> None:
    """Run ``processes`` of the module that runs here and end with them, or return in each of them.

    Those of a launcher (torchrun, accelerate launch) go on as they are. So do the tasks of a step of Slurm if there
    are as many; if there is one on each node, each starts its share. Otherwise all run on this machine.
    What a user can mend is said once, not by each process and again by torchrun.
    """
    if is_launched():
        return
    task = step()
    if task is None:
        if processes > 1:
            _run(processes, ["--standalone"], processes)
    elif task.n_tasks == processes:
        os.environ |= _launcher(task)
    elif task.n_tasks == task.n_nodes and processes % task.n_nodes == 0:
        meeting = [f"--node-rank={task.node}", f"--master-addr={_head(task)}", f"--master-port={task.port}"]
        _run(processes // task.n_nodes, [f"--nnodes={task.n_nodes}", *meeting], processes)
    else:
        raise UserError(
            f"srun has started {task.n_tasks} tasks on {task.n_nodes} nodes, but this job has {processes} processes "
            f"(workflow/machine.yaml); use --ntasks={processes}, or one task on each node"
        )


def n_gpus(processes: int) -> int:
    """GPUs that this process is to take, for itself and those that it will launch; a launcher takes them itself."""
    return 0 if (is_launched() or step()) and TAKEN not in os.environ else processes


def _run(local_processes: int, meeting: list[str], processes: int) -> None:
    """Start the processes of this node and end as they do; ``meeting``: where those of all nodes meet."""
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    torchrun_log = logging.getLogger("torch.distributed.elastic")
    torchrun_log.addHandler(logging.NullHandler())
    torchrun_log.propagate = False
    # torchrun hands these on to its processes, and by itself not all of them.
    signals = ",".join(number.name for number in heard())
    module = sys.modules["__main__"].__spec__.name
    launcher = [*meeting, f"--signals-to-handle={signals}", f"--nproc-per-node={local_processes}", "--module"]
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


def _launcher(task: Step) -> dict[str, str]:
    """What a launcher would tell this task."""
    # Slurm may show each task its own GPU only, which is then the first that the task sees.
    one_gpu = len(os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")) == 1
    return {
        "WORLD_SIZE": str(task.n_tasks),
        "RANK": str(task.rank),
        "LOCAL_RANK": "0" if one_gpu and "CUDA_VISIBLE_DEVICES" in os.environ else str(task.local_rank),
        "MASTER_ADDR": _head(task),
        "MASTER_PORT": str(task.port),
    }


def _head(task: Step) -> str:
    """The address of the first node, as Slurm itself reaches it."""
    if task.n_nodes == 1:
        return "localhost"
    try:
        first = _scontrol("show", "hostnames", task.nodes).split()[0]
        words = _scontrol("--oneliner", "show", "node", first).split()
        return next((word.partition("=")[2] for word in words if word.startswith("NodeAddr=")), first)
    except (OSError, subprocess.CalledProcessError, IndexError):
        raise UserError(
            f"scontrol does not say the address of the first of the nodes {task.nodes}; start the stage by torchrun"
        ) from None


def _scontrol(*words: str) -> str:
    return subprocess.run(["scontrol", *words], capture_output=True, text=True, check=True).stdout
