"""A real Slurm on this machine: a controller and two nodes, each with two GPUs that are none, for tests as root."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol")
SYSTEM = Path("/etc/slurm")  # where srun looks that the plugin of Snakemake starts
NODES = ("n1", "n2")
SECONDS = 60  # to start in, or to come into a state
CONFIG = """
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
MailProg=/bin/true
MpiDefault=none
SwitchType=switch/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=3,bf_interval=3
SlurmdParameters=config_overrides
SlurmdTimeout=15
GresTypes=gpu
ReturnToService=2
MinJobAge=3600
KillWait=5
"""
NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} Sockets=1 CoresPerSocket=16 ThreadsPerCore=1 "
    "RealMemory=200000 Gres=gpu:2 State=UNKNOWN\n"
)


def why_not() -> str | None:
    """Why there can be no such Slurm here."""
    absent = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    if absent:
        return f"needs Slurm: {', '.join(absent)} are not installed (.ci/run says how)"
    if os.getuid() != 0:
        return "needs root, to start a Slurm"
    if (SYSTEM / "slurm.conf").exists():
        return f"{SYSTEM} belongs to another Slurm"
    return None


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"


class Slurm:
    """The processes and the folder of one."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": _path()}

    def start(self) -> None:
        (self.folder / "state").mkdir(parents=True)
        host, ports = socket.gethostname().partition(".")[0], _free_ports(1 + len(NODES))
        config = CONFIG.format(host=host, folder=self.folder, port=ports[0])
        gres = "AutoDetect=off\n"
        for name, port in zip(NODES, ports[1:], strict=True):
            config += NODE.format(name=name, host=host, port=port)
            for number in range(2):  # Slurm asks for a device; a copy of /dev/null is one
                os.mknod(self.folder / f"{name}-gpu{number}", 0o20666, os.makedev(1, 3))
            gres += f"NodeName={name} Name=gpu File={self.folder}/{name}-gpu[0-1]\n"
        config += f"PartitionName=main Nodes={','.join(NODES)} Default=YES MaxTime=60 State=UP\n"
        (self.folder / "slurm.conf").write_text(config)
        (self.folder / "gres.conf").write_text(gres)
        SYSTEM.mkdir(exist_ok=True)
        for name in ("slurm.conf", "gres.conf"):
            (SYSTEM / name).symlink_to(self.folder / name)
        key = self.folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(os.urandom(1024))
        files = [f"--{kind}-file={self.folder}/munged.{kind}" for kind in ("pid", "log", "seed")]
        self.run("munged", f"--key-file={key}", f"--socket={self.folder}/munge.socket", *files)
        self.start_controller()
        for name in NODES:
            self.start_node(name)
        wait_until(lambda: self.run("sinfo", "-h", "-N", "-t", "idle", "-o", "%N").split() == list(NODES))

    def start_controller(self) -> None:
        self.run("slurmctld")

    def start_node(self, name: str) -> None:
        self.run("slurmd", "-N", name)

    def kill(self, name: str) -> None:
        """kill -9 of slurmctld or slurmd.n1, as when its machine is lost; what it has started lives on."""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
            os.kill(int((self.folder / f"{name}.pid").read_text()), signal.SIGKILL)

    def stop(self) -> None:
        for name in ("slurmctld", *(f"slurmd.{node}" for node in NODES), "munged"):
            self.kill(name)
        for process in psutil.process_iter(["name"]):
            if process.info["name"].startswith("slurmstepd"):
                process.kill()
        for name in ("slurm.conf", "gres.conf"):
            (SYSTEM / name).unlink(missing_ok=True)

    def run(self, *words: str) -> str:
        return subprocess.run(
            words, env=self.environment, check=True, capture_output=True, text=True, timeout=SECONDS
        ).stdout

    def jobs(self) -> dict[str, dict[str, str]]:
        """Number -> what Slurm says of each job, ended ones too."""
        lines = self.run("scontrol", "--oneliner", "show", "job").splitlines()
        said = [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in lines]
        return {job["JobId"]: job for job in said if "JobId" in job}

    def job_of(self, comment: str, state: str = "RUNNING") -> dict[str, str] | None:
        """The last job in a state whose comment, by the plugin, holds the name of its rule and wildcards."""
        found = [job for job in self.jobs().values() if comment in job.get("Comment", "") and job["JobState"] == state]
        return found[-1] if found else None


@contextlib.contextmanager
def running() -> Iterator[Slurm]:
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    folder.chmod(0o755)  # munged wants a folder that all may enter, which those of pytest are not
    slurm = Slurm(folder)
    try:
        slurm.start()
        yield slurm
    finally:
        slurm.stop()
        shutil.rmtree(folder)


def wait_until(condition, seconds: float = SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not so within {seconds} s")
        time.sleep(0.3)


def _free_ports(n: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
