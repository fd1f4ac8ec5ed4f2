"""Attention softmax(q k^T / sqrt(d)) v by the backends that ``attention`` in params.yaml names.

Each takes q, k, v of shape (N, T, H, d), N images, T tokens, H heads, and gives the same shape.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from dctdiff.pipeline.errors import UserError

Attend = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]

# cuDNN's kernels are the fastest on Hopper; what a GPU or dtype does not have is passed over.
GPU_PRIORITY = [
    SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH,
]  # fmt: skip


def sdpa(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """PyTorch's fused kernels."""
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
    if not q.is_cuda:
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
    with sdpa_kernel(GPU_PRIORITY, set_priority=True):
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2)


def math(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """The definition; holds all N H T T weights in memory."""
    weights = torch.einsum("nqhd,nkhd->nhqk", q, k) * q.shape[-1] ** -0.5
    return torch.einsum("nhqk,nkhd->nqhd", weights.softmax(dim=-1).to(v.dtype), v)


def xformers(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    from xformers.ops import memory_efficient_attention

    return memory_efficient_attention(q, k, v)


BACKENDS: dict[str, Attend] = {"sdpa": sdpa, "math": math, "xformers": xformers}


def backend(name: str, device: torch.device, dtype: torch.dtype) -> Attend:
    """The function called ``name``, once it is known to work on ``device`` with ``dtype``."""
    if name == "xformers":
        _check_xformers(device, dtype)
    return BACKENDS[name]


def _check_xformers(device: torch.device, dtype: torch.dtype) -> None:
    if device.type != "cuda":
        raise UserError("attention is xformers, but there is no GPU here; set attention: sdpa")
    try:
        from xformers.ops import memory_efficient_attention
    except ImportError as error:
        raise UserError(
            f"attention is xformers, but it cannot be imported ({error}); "
            "pip install 'xformers>=0.0.35', or set attention: sdpa"
        ) from None
    tokens = torch.zeros(1, 8, 1, 64, device=device, dtype=dtype)
    try:
        memory_efficient_attention(tokens, tokens, tokens)
    except (NotImplementedError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"attention is xformers, but it has no kernel for {dtype} on this GPU ({reason}); its wheel must be "
            "built for the CUDA of this torch, and mixed_precision be bf16 or fp16; or set attention: sdpa"
        ) from None
