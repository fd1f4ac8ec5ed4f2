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


def import_torchvision() -> None:
    """Import torchvision, also from PyPI's wheel beside a torch without CUDA.

    There the compiled operators cannot load, and the import stops because their schemas are
    unknown. None of them is used here, so declaring the two schemas it asks for is enough.
    """
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        for name in ("torchvision::nms", "torchvision::qnms"):
            torch.library.define(name, "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision  # noqa: F401
