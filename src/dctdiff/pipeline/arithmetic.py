"""The arithmetic of the CPU: the same numbers on every x86-64 processor with AVX2, on any number of cores.

Libraries choose kernels by what a processor can do, and other kernels round otherwise; a training makes
of it another model. They read these variables when they are imported, so the package sets them first.
"""

import platform
from pathlib import Path

KERNELS = {
    "ATEN_CPU_CAPABILITY": "avx2",  # PyTorch's own
    "MKL_CBWR": "AVX2,STRICT",  # its matrix products; strict: on any number of threads
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # its convolutions
    "OPENBLAS_CORETYPE": "Haswell",  # matrix products and eigenvalues of NumPy and SciPy
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",  # elementwise functions of NumPy
}


def settle_arithmetic(environment: dict[str, str]) -> None:
    """One thread per process unless the user says otherwise, as sums depend on it; one kind of kernels, always."""
    environment.setdefault("OMP_NUM_THREADS", "1")
    if platform.machine() == "x86_64" and _has_avx2():
        environment.update(KERNELS)


def _has_avx2(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    return cpuinfo.exists() and " avx2 " in cpuinfo.read_text()
