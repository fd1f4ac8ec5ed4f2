"""A job whose time is nearly over is queued again: so a training longer than a partition allows ends unattended."""

import os
import signal
import subprocess
import sys

TIME_IS_NEARLY_OVER = signal.SIGUSR1  # sbatch --signal=USR1@120, as workflow/profiles/slurm asks


def queue_again() -> None:
    """Ask Slurm to end this job and to start it anew, under the same number; whoever waits for it goes on waiting.

    Without it the job just ends, which its engine takes for a failure and may try again.
    """
    if "SLURM_JOB_ID" not in os.environ:
        return
    job = os.environ["SLURM_JOB_ID"]
    try:
        subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, check=True, timeout=60)
        print(f"the time of job {job} is nearly over; it is queued again", file=sys.stderr, flush=True)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or error
        print(
            f"job {job} could not be queued again ({str(said).strip()}); start the same command again",
            file=sys.stderr,
            flush=True,
        )
