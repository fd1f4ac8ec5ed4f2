"""Hardware: the device, and what produced a number."""

import platform
from importlib.metadata import version

import torch

from dctdiff.pipeline.usage import cpu_name


def default_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name()


def versions() -> dict[str, str]:
    """What the value of a result may depend on beside code and params."""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "numpy", "numba", "pillow")},
        "device": device_name(default_device()),
        "threads": str(torch.get_num_threads()),
    }
