"""Hardware: the device, and what produced a number."""

import platform
from importlib.metadata import version
from pathlib import Path

import torch


def default_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name()


def cpu_name() -> str:
    """The model, where Linux tells it, else the architecture."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(filter(None, models), platform.machine())


def versions() -> dict[str, str]:
    """What the value of a result may depend on beside code and params."""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "numpy", "numba", "pillow")},
        "device": device_name(default_device()),
        "threads": str(torch.get_num_threads()),
    }
