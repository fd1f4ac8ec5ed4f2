"""How a network is executed: precision, attention backend, compilation and CUDA graphs."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from torch.utils._triton import has_triton

from dctdiff.networks import attention
from dctdiff.params.execution import Execution
from dctdiff.pipeline.errors import UserError

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
COMPILE_CACHE = Path(".cache/torch-compile")  # beside params.yaml: it survives restarts, on any node
WARM_UP_CALLS = 3


def precision(execution: Execution, device: torch.device) -> str:
    """float32, bf16 or fp16; auto is float32 unless a GPU computes in bf16.

    Not fp16: weights trained in bf16 can need its range, which is that of float32. DCTdiff S of 22,400
    steps at lr 7e-4 could not be sampled in fp16.
    """
    if execution.mixed_precision == "fp16" and device.type == "cpu":
        raise UserError("mixed_precision is fp16, but there is no GPU here; set float32, bf16 or auto")
    if execution.mixed_precision != "auto":
        return execution.mixed_precision
    if device.type != "cuda":
        return "float32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"


def compiles(execution: Execution, device: torch.device) -> bool:
    if execution.compile != "auto":
        return execution.compile == "always"
    fast = device.type == "cuda" and precision(execution, device) != "float32"
    return fast and has_triton() and _has_c_compiler()


def records(execution: Execution, device: torch.device) -> bool:
    """Whether what is compiled is also recorded as a CUDA graph."""
    return compiles(execution, device) and device.type == "cuda"


def _has_c_compiler() -> bool:
    """Triton builds its launchers with one."""
    names = (os.environ.get("CC"), "cc", "gcc", "clang")
    return any(shutil.which(name) for name in names if name)


def compiled(function: Callable) -> Callable:
    """``function`` through torch.compile, for inputs of one shape."""
    # The compiler reads this at its first use. A user's own setting stays.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(COMPILE_CACHE.absolute()))
    return torch.compile(function, dynamic=False)


def choose_attention(network: torch.nn.Module, execution: Execution, device: torch.device) -> None:
    dtype = AUTOCAST.get(precision(execution, device), torch.float32)
    network.attend_with(attention.backend(execution.attention, device, dtype))


def prepared_for_sampling(network: torch.nn.Module, execution: Execution) -> Callable[..., torch.Tensor]:
    """``network`` as a function (x, t) or (x, t, y) -> prediction in float32.

    If ``compiles``, all calls need inputs of the same shapes, and give the same tensor, overwritten.
    """
    device = next(network.parameters()).device
    dtype = AUTOCAST.get(precision(execution, device))
    choose_attention(network, execution, device)
    call = compiled(network) if compiles(execution, device) else network

    def predict(*inputs: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            return call(*inputs).float()

    return RecordedGraph(predict) if records(execution, device) else predict


class RecordedGraph:
    """A function of tensors on a GPU, recorded as a CUDA graph and replayed as a whole.

    Launching hundreds of small kernels one by one can take the CPU longer than they take the GPU.
    All calls need inputs of the same shapes. The first ones run as they are, which sets up whatever
    must not be set up while recording; from then on the output is one tensor, overwritten.
    """

    def __init__(self, function: Callable[..., torch.Tensor]):
        self.function = function
        self.calls = 0
        self.stream = torch.cuda.Stream()  # warm-up and recording need one that is not the default
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, *inputs: torch.Tensor) -> torch.Tensor:
        if self.calls < WARM_UP_CALLS:
            self.calls += 1
            return self._called(inputs)
        if self.graph is None:
            self._record(inputs)
        for own, value in zip(self.inputs, inputs, strict=True):
            own.copy_(value)
        self.graph.replay()
        return self.output

    def reset(self) -> None:
        """Forget what is recorded."""
        if self.graph is not None:
            torch.cuda.synchronize()
            self.graph.reset()
            self.graph = None

    def _called(self, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            output = self.function(*inputs)
        torch.cuda.current_stream().wait_stream(self.stream)
        return output

    def _record(self, inputs: tuple[torch.Tensor, ...]) -> None:
        self.inputs = [value.clone() for value in inputs]
        self.graph = torch.cuda.CUDAGraph()
        # Only this thread must not allocate meanwhile: another one may be pinning the next batch.
        with torch.cuda.graph(self.graph, stream=self.stream, capture_error_mode="thread_local"):
            self.output = self.function(*self.inputs)
