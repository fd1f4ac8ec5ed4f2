"""What a model costs: parameters and multiply-accumulates, without making its weights."""

import functools
import math

import torch
from torch import nn

from dctdiff.models.config import ModelConfig


@functools.cache  # plans ask for the same few networks again and again
def parameters(config: ModelConfig) -> int:
    """Number of trained values."""
    return sum(weight.numel() for weight in _meta_network(config).parameters())


@functools.cache
def gmacs(config: ModelConfig) -> float:
    """Multiply-accumulates of one forward of one image in 1e9: the paper's "GFLOPs" (protocol point 40).

    Linear and convolution layers count; products within the attention and biases do not.
    """
    network = _meta_network(config)
    macs = 0

    def count(layer: nn.Linear | nn.Conv2d, inputs, output: torch.Tensor) -> None:
        nonlocal macs
        macs += output.numel() * math.prod(layer.weight.shape[1:])  # inputs of one output value

    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            layer.register_forward_hook(count)
    with torch.device("meta"), torch.no_grad():
        label = torch.zeros(1, dtype=torch.int64) if config.num_classes else None
        network(torch.zeros(1, *config.codec().shape), torch.zeros(1), label)
    return macs / 1e9


def n_tokens(config: ModelConfig) -> int:
    """Tokens in the blocks: those of the image, the time and the label."""
    side = config.patch_size if config.space == "pixel" else 2 * config.block_size
    return (config.resolution // side) ** 2 + (2 if config.num_classes else 1)


def forward_flops(config: ModelConfig) -> float:
    """Floating-point operations of one forward of one image: products of linear layers and of the attention."""
    attention_macs = 2 * n_tokens(config) ** 2 * config.embed_dim * (config.depth + 1)
    return 2 * (1e9 * gmacs(config) + attention_macs)


def _meta_network(config: ModelConfig) -> nn.Module:
    """The network with shapes and no values."""
    with torch.device("meta"):
        return config.network()
