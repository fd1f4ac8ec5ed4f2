"""What this process runs on and what it has used so far; nothing is started or imported to find out."""

import contextlib
import platform
import resource
import sys
from pathlib import Path


def cpu_name() -> str:
    """The model, where Linux tells it, else the architecture."""
    models = _fields(Path("/proc/cpuinfo"), "model name")
    return next(filter(None, models), platform.machine())


def _fields(path: Path, name: str) -> list[str]:
    """Values of the lines ``name: value`` of a file of the kernel; none where there is no such file."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [line.partition(":")[2].strip() for line in lines if line.startswith(name)]


def peak_memory() -> int:
    """Bytes of this process, which are not those of its children."""
    for value in _fields(Path("/proc/self/status"), "VmHWM"):
        return 1024 * int(value.split()[0])
    # On Linux that of the engine which started this process, if it was larger.
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def gpus_used(before: dict[str, float]) -> list[dict]:
    """Model, peak bytes and joules of each GPU that this process has used; ``before``: ``gpu_joules()`` then."""
    torch, used = sys.modules.get("torch"), []
    if torch is None or not torch.cuda.is_initialized():
        return used
    after = gpu_joules()
    with contextlib.suppress(RuntimeError):  # a GPU that has failed, which is said elsewhere
        for index in range(torch.cuda.device_count()):
            if memory := torch.cuda.max_memory_allocated(index):
                device = torch.cuda.get_device_properties(index)
                uuid = f"GPU-{device.uuid}"
                joules = round(after[uuid] - before[uuid]) if uuid in before and uuid in after else None
                used.append({"model": device.name, "memory_bytes": memory, "joules": joules})
    return used


def gpu_joules() -> dict[str, float]:
    """UUID of each GPU of this machine -> its energy since the driver was loaded, where NVML tells it.

    NVML counts a whole device: what other processes do on it meanwhile is in the number. It has none of a part (MIG).
    Empty in a process that has not imported torch: it uses no GPU.
    """
    found: dict[str, float] = {}
    if "torch" not in sys.modules:
        return found
    try:
        import pynvml
    except ImportError:
        return found
    with contextlib.suppress(pynvml.NVMLError):  # no driver, or no right
        pynvml.nvmlInit()
        for index in range(pynvml.nvmlDeviceGetCount()):
            with contextlib.suppress(pynvml.NVMLError):  # an old GPU, or one of others
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                joules = pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000
                found[pynvml.nvmlDeviceGetUUID(handle)] = joules
        pynvml.nvmlShutdown()
    return found
