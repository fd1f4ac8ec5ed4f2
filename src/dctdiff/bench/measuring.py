"""Clocks, and the one file that a benchmark writes."""

import statistics
import time
from collections.abc import Callable

import torch

from dctdiff.pipeline.files import write_json
from dctdiff.pipeline.hardware import versions

WARM_UP, REPEATS = 3, 15
WAIT_MICROSECONDS = 20.0


def gpu_seconds(function: Callable[[], object]) -> float:
    """Median time of a call on the GPU, in seconds, by events."""
    for _ in range(WARM_UP):
        function()
    times = []
    for _ in range(REPEATS):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        function()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end) / 1e3)
    return statistics.median(times)


def kernel_seconds(function: Callable[[], object]) -> float:
    """Mean time of the kernels of a call, in seconds, without what lies between them."""
    for _ in range(WARM_UP):
        function()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
        for _ in range(REPEATS):
            function()
        torch.cuda.synchronize()
    return sum(kernel_milliseconds(profiler, REPEATS).values()) / 1e3


def cpu_seconds(function: Callable[[], object]) -> float:
    """Median time of a call on the CPU, in seconds."""
    for _ in range(WARM_UP):
        function()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def idle_shares(profiler: torch.profiler.profile) -> dict[str, float]:
    """Shares of the profiled time without a kernel: in all, and in gaps so long that the GPU must have waited.

    Between two kernels of a CUDA graph lies about a microsecond; for the CPU or for data it waits longer.
    """
    spans = sorted(
        (event.time_range.start, event.time_range.end)
        for event in profiler.events()
        if event.device_type == torch.autograd.DeviceType.CUDA
    )
    first, until, gaps = spans[0][0], spans[0][1], []
    for start, end in spans:
        gaps.append(max(0.0, start - until))
        until = max(until, end)
    waits = [gap for gap in gaps if gap > WAIT_MICROSECONDS]
    return {"idle_share": sum(gaps) / (until - first), "waiting_share": sum(waits) / (until - first)}


# Kind of kernel -> parts of the names that the libraries give theirs.
KERNELS = {
    "attention": ("sdpa", "cudnn::fusion", "flash", "fmha"),
    "matrix products": ("nvjet", "gemm", "cublas", "cutlass"),
    "optimizer and EMA": ("multi_tensor_apply",),
    "other compiled kernels": ("triton",),
}


def kernel_milliseconds(profiler: torch.profiler.profile, steps: int) -> dict[str, float]:
    """Time of the kernels of one step by kind, in milliseconds."""
    totals = dict.fromkeys([*KERNELS, "rest"], 0.0)
    for kernel in profiler.key_averages():
        name = kernel.key.lower()
        kind = next((kind for kind, parts in KERNELS.items() if any(part in name for part in parts)), "rest")
        totals[kind] += kernel.self_device_time_total / 1e3 / steps
    return totals


def write_result(path: str, result: dict) -> None:
    """Write ``result`` and what it was measured with."""
    write_json(path, {**result, "date": time.strftime("%Y-%m-%d"), "versions": versions()})
