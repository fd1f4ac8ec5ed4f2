"""Hardware: the device, and what produced a number."""

import platform
from importlib.metadata import version

import torch


def default_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def versions() -> dict[str, str]:
    """What the value of a result may depend on beside code and params."""
    device = default_device()
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "numpy", "pillow")},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
        "threads": str(torch.get_num_threads()),
    }
