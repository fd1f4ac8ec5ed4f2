"""The kernels of the CPU are chosen before a library is imported, and by no one else."""

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from dctdiff.pipeline.arithmetic import KERNELS, settle_arithmetic

HAS_AVX2 = platform.machine() == "x86_64" and " avx2 " in Path("/proc/cpuinfo").read_text()


@pytest.mark.skipif(not HAS_AVX2, reason="needs an x86-64 processor with AVX2")
def test_kernels_are_settled_whatever_the_environment_says():
    environment = {"MKL_CBWR": "COMPATIBLE", "OMP_NUM_THREADS": "3"}
    settle_arithmetic(environment)
    assert environment == {**KERNELS, "OMP_NUM_THREADS": "3"}  # threads are the user's


PRODUCTS = """
import dctdiff
import hashlib, json, torch
digests = {}
for rows in (5, 65, 520):
    a, b = torch.randn(rows, 128, generator=torch.manual_seed(1)), torch.randn(128, 384, generator=torch.manual_seed(2))
    digests[rows] = hashlib.sha256((a @ b).numpy()).hexdigest()
digests["kernels"] = torch.backends.cpu.get_cpu_capability()
print(json.dumps(digests))
"""


@pytest.mark.skipif(not HAS_AVX2, reason="needs an x86-64 processor with AVX2")
def test_matrix_products_do_not_depend_on_the_number_of_threads(monkeypatch):
    found = []
    for threads in ("1", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        done = subprocess.run([sys.executable, "-c", PRODUCTS], capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout))
    assert found[0] == found[1]
    assert found[0]["kernels"] == "AVX2"
