"""Folders that two users of a group share: the second goes on with what the first has made."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

TWO_USERS = """
import os, sys, traceback
from pathlib import Path
import torch
from dctdiff.models.config import ModelConfig
from dctdiff.models.state import save_state
from dctdiff.models.weights import save_model, write_checkpoints
from dctdiff.pipeline.digests import digest
from dctdiff.pipeline.files import write_json
from dctdiff.pipeline.lock import forget_dead_snakemakes
from dctdiff.pipeline.owner import owned

GROUP = 40000
CONFIG = ModelConfig(space="pixel", resolution=4, patch_size=2, embed_dim=4, depth=2, num_heads=1, snr_scale=1.0)

def locks():
    forget_dead_snakemakes().close()
    assert digest("large.npy", anew=True)

def results():
    with owned(Path("run/state"), lambda: True) as owner:
        owner.check()
    write_json("results/a.json", {"by": os.getuid()})
    save_state(Path("run/state/0123"), {"progress": {"step": 7}, "x": torch.zeros(3)}, 1)
    save_model("run/a.safetensors", {"x": torch.zeros(3)}, CONFIG)
    write_checkpoints("run/checkpoints", {7: Path("run/a.safetensors")})

def work(user, umask, jobs):
    os.umask(umask)
    os.setgroups([])
    os.setgid(GROUP)
    os.setuid(user)
    for job in jobs:
        job()

for folder, umask, jobs in (("open", 0o002, (locks, results)), ("closed", 0o022, (locks,))):
    os.chdir(Path(sys.argv[1]) / folder)
    for user in (40001, 40002):
        if os.fork() == 0:
            try:
                work(user, umask, jobs)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        assert os.wait()[1] == 0, (folder, user)
"""


@pytest.fixture
def shared():
    """A folder of a group, which any user can reach: those of pytest are for one user."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can work as two users")
def test_a_second_user_goes_on_with_the_work_of_the_first(shared):
    """With umask 022 nobody else can write, but a lock can be taken and a digest computed all the same."""
    for name in ("open", "closed"):
        (shared / name).mkdir()
        (shared / name / "large.npy").write_bytes(bytes(2_000_000))
        os.chown(shared / name, 0, 40000)
        (shared / name).chmod(0o2775)
    done = subprocess.run([sys.executable, "-c", TWO_USERS, shared], cwd="/", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made = [path for path in (shared / "open").rglob("*") if path.name != "large.npy"]
    assert len(made) > 10 and all(path.stat().st_mode & 0o060 == 0o060 for path in made)
