"""What a process has used: its memory and its GPUs, without a GPU that would have to be there."""

import subprocess
import sys
import types

import pynvml
import pytest
import torch

from dctdiff.pipeline import usage

MEMORY = {0: 0, 1: 3_000}  # bytes by the index of a GPU: the first one is idle


@pytest.fixture
def counters(monkeypatch):
    """Millijoules by UUID, of three GPUs of a node, two of which this process sees."""
    found = {"GPU-other": 1_000, "GPU-idle": 5_000, "GPU-own": 7_000}
    handles = list(found)
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlShutdown", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: len(handles))
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda index: handles[index])
    monkeypatch.setattr(pynvml, "nvmlDeviceGetUUID", lambda handle: handle)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetTotalEnergyConsumption", found.__getitem__)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(MEMORY))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", MEMORY.get)
    properties = [types.SimpleNamespace(uuid=uuid, name="H100") for uuid in ("idle", "own")]
    monkeypatch.setattr(torch.cuda, "get_device_properties", properties.__getitem__)
    return found


def test_the_energy_of_a_gpu_is_that_since_the_start(counters):
    before = usage.gpu_joules()
    assert before == {"GPU-other": 1.0, "GPU-idle": 5.0, "GPU-own": 7.0}
    counters.update({"GPU-other": 90_000, "GPU-idle": 6_000, "GPU-own": 2_507_000})
    assert usage.gpus_used(before) == [{"model": "H100", "memory_bytes": 3_000, "joules": 2500}]


def refuse(*arguments):
    raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)


@pytest.mark.parametrize("call", ["nvmlInit", "nvmlDeviceGetUUID", "nvmlDeviceGetTotalEnergyConsumption"])
def test_what_nvml_does_not_tell_is_not_known(counters, monkeypatch, call):
    before = usage.gpu_joules()
    monkeypatch.setattr(pynvml, call, refuse)
    assert usage.gpu_joules() == {}
    assert usage.gpus_used(before) == [{"model": "H100", "memory_bytes": 3_000, "joules": None}]


def test_one_gpu_that_refuses_hides_no_other(counters, monkeypatch):
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda i: refuse() if i == 0 else list(counters)[i])
    assert usage.gpu_joules() == {"GPU-idle": 5.0, "GPU-own": 7.0}


def test_without_nvml_there_is_no_energy(counters, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert usage.gpu_joules() == {}


def test_a_gpu_that_fails_fails_nothing_else(counters, monkeypatch):
    def broken(index):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(torch.cuda, "get_device_properties", broken)
    assert usage.gpus_used({}) == []


SMALL = """
import sys
from dctdiff.pipeline.usage import gpu_joules, gpus_used, peak_memory
before = peak_memory()
held = bytearray(100_000_000)
print(before, peak_memory(), gpus_used(gpu_joules()), "torch" in sys.modules)
"""


def test_memory_is_that_of_the_process_alone():
    held = bytearray(300_000_000)  # of the process that starts it
    said = subprocess.run([sys.executable, "-c", SMALL], capture_output=True, text=True, check=True).stdout.split()
    before, after = int(said[0]), int(said[1])
    assert 1e6 < before < len(held) and 95e6 < after - before < 150e6
    assert said[2:] == ["[]", "False"]
