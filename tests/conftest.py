"""What is made once for all tests."""

import signal

import pytest
from filelock import FileLock

from engines import copy_project, run


def pytest_sessionstart():
    """Under nohup or in the background of a shell signals are ignored, and what tests start would ignore them, too."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


@pytest.fixture(scope="session")
def made(tmp_path_factory, worker_id):
    """The micro suite as each engine makes it, in a folder of its own. Tests work on copies."""
    root = tmp_path_factory.getbasetemp()
    if worker_id != "master":  # one of several processes of pytest: they share what is made
        root = root.parent
    by_snakemake, by_dvc = root / "made-by-snakemake", root / "made-by-dvc"
    with FileLock(root / "made.lock"):
        if not (root / "made").exists():
            run(copy_project(by_snakemake), "snakemake", "--cores", "2")
            run(copy_project(by_dvc), "dvc", "repro")
            (root / "made").touch()
    return by_snakemake, by_dvc
