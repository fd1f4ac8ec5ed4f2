"""Faults: whatever is killed, the same command goes on and ends with the same results.

``KILLS=50 python -m pytest tests/test_faults.py`` is the long version.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from engines import copy_project, environment_of, run

KILLS = {"snakemake": 3, "dvc": 2}
if "KILLS" in os.environ:
    KILLS = dict.fromkeys(KILLS, int(os.environ["KILLS"]) // 2)
COMMANDS = {"snakemake": ("snakemake", "--cores", "2"), "dvc": ("dvc", "repro")}
COMPARED = ("data/**/*.zip", "data/**/*.np*", "results/tables/*", "results/runs/*/*.safetensors",
            "results/runs/*/checkpoints/*", "results/samples/*", "results/evaluations/**/*.json",
            "results/statistics/**/*.json", "results/grids/**/*.png")  # fmt: skip


def artifacts(folder: Path) -> dict[str, bytes]:
    paths = [path for pattern in COMPARED for path in folder.glob(pattern) if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if not path.name.startswith(".")}


def killed(folder: Path, engine: str, seconds: float, with_its_jobs: bool) -> bool:
    """Start the engine and kill -9 it, alone or with its jobs; whether it was still running."""
    program, *words = COMMANDS[engine]
    process = subprocess.Popen(
        [Path(sys.executable).parent / program, *words], cwd=folder, env=environment_of(folder),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    time.sleep(seconds)
    alive = process.poll() is None
    if with_its_jobs:
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
    return alive


@pytest.mark.parametrize("engine", COMMANDS)
def test_kills_at_any_time_change_nothing(made, tmp_path, engine):
    folder = copy_project(tmp_path / "project")
    generator = np.random.default_rng([KILLS[engine], len(engine)])
    hits = sum(killed(folder, engine, generator.uniform(3, 25), bool(number % 2)) for number in range(KILLS[engine]))
    assert hits > 0
    run(folder, *COMMANDS[engine])
    expected = artifacts(made[list(COMMANDS).index(engine)])
    found = artifacts(folder)
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []
