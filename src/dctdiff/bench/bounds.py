"""The least that a training step must do, counted from the network: operations, and bytes between the products.

Of the attention no count tells what a kernel can reach at a given length, so each kernel is timed by itself.
"""

import argparse

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from dctdiff.bench.measuring import kernel_seconds, write_result
from dctdiff.bench.shapes import TRAINED, run_and_config
from dctdiff.models.config import ModelConfig
from dctdiff.models.cost import gmacs, n_tokens, parameters

HALF, SINGLE = 2, 4  # bytes of bf16 and float32
KERNELS = (SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION)


def product_flops(config: ModelConfig, batch_size: int) -> float:
    """Of the linear layers, forward and twice as many backward."""
    return 3 * 2e9 * gmacs(config) * batch_size


def between_products_bytes(config: ModelConfig, batch_size: int) -> float:
    """That move between the products in bf16 if whatever can be one kernel is: each input read and each output
    written once. In units of one activation of the width D, that of a block's inner layer being 4:

    forward, 16: residual and LayerNorm, twice (read two, write two); GELU (read 4, write 4);
    backward, 22: GELU (read the gradient and its input, write: 12); LayerNorm, twice (read the gradient, its input
    and the gradient past it, write: 4); sums for the biases that no other kernel has in hand (2);
    with a skip, 6 more: the sum of its two products, and of the two gradients of what was kept (read two, write one).
    """
    activation = HALF * batch_size * n_tokens(config) * config.embed_dim
    return activation * (38 * (config.depth + 1) + 6 * config.depth / 2)


def optimiser_bytes(config: ModelConfig) -> float:
    """AdamW reads weight, gradient and two moments and writes three of them; the averaged weights are read with the
    weights, and written."""
    return SINGLE * (7 + 3) * parameters(config)


def attention_milliseconds(config: ModelConfig, batch_size: int) -> dict[str, float]:
    """Kernel -> time in all blocks of a step, forward and backward; without those that refuse the shape."""
    head_dim = config.embed_dim // config.num_heads
    shape = (batch_size, n_tokens(config), config.num_heads, head_dim)
    q, k, v = (
        torch.randn(shape, device="cuda", dtype=torch.bfloat16).transpose(1, 2).requires_grad_() for _ in range(3)
    )
    gradient = torch.randn_like(q)
    found = {}
    for kernel in KERNELS:

        def both(kernel=kernel) -> None:
            with sdpa_kernel(kernel):
                output = scaled_dot_product_attention(q, k, v)
            torch.autograd.grad(output, (q, k, v), gradient)

        try:
            found[kernel.name] = 1e3 * kernel_seconds(both) * (config.depth + 1)
        except RuntimeError:
            continue
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    models = []
    for name, batch_size in TRAINED.items():
        _, config = run_and_config(name)
        models.append(
            {
                "run": name,
                "batch_size": batch_size,
                "tokens": n_tokens(config),
                "product_tflop": product_flops(config, batch_size) / 1e12,
                "between_products_gb": between_products_bytes(config, batch_size) / 1e9,
                "optimiser_gb": optimiser_bytes(config) / 1e9,
                "attention_milliseconds": attention_milliseconds(config, batch_size),
            }
        )
    write_result(arguments.out, {"models": models})


if __name__ == "__main__":
    main()
