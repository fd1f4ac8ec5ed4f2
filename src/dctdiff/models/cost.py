"""What a model costs: parameters and multiply-accumulates, without making its weights."""

import functools
import math
from collections.abc import Callable

import torch
from torch import nn

from dctdiff.models.config import ModelConfig
from dctdiff.networks.uvit import Attention


@functools.cache  # plans ask for the same few networks again and again
def parameters(config: ModelConfig) -> int:
    """Number of trained values."""
    return sum(weight.numel() for weight in _meta_network(config).parameters())


def gmacs(config: ModelConfig) -> float:
    """Multiply-accumulates of one forward of one image in 1e9: the paper's "GFLOPs" (protocol point 40).

    Linear and convolution layers count; products within the attention and biases do not.
    """
    return _of_a_forward(config)[0] / 1e9


@functools.cache
def encoder_gmacs(config: ModelConfig) -> float:
    """The same of what makes latents of one image; 0 in other spaces, whose maps are not of layers."""
    if config.space != "latent":
        return 0.0
    network = _meta_autoencoder(config)
    return _counted(network, lambda: network.encode(torch.zeros(1, 3, config.resolution, config.resolution)))[0] / 1e9


@functools.cache
def decoder_gmacs(config: ModelConfig) -> float:
    """The same of what makes one image of latents."""
    if config.space != "latent":
        return 0.0
    network = _meta_autoencoder(config)
    return _counted(network, lambda: network.decode(torch.zeros(1, *config.codec().shape)))[0] / 1e9


def n_tokens(config: ModelConfig) -> int:
    """Tokens in the blocks: those of the image, and in a U-ViT of the time and the label."""
    return _of_a_forward(config)[1][0]


def forward_flops(config: ModelConfig) -> float:
    """Floating-point operations of one forward of one image: products of linear layers and of the attention."""
    macs, tokens = _of_a_forward(config)
    return 2 * (macs + sum(2 * n**2 * config.embed_dim for n in tokens))


@functools.cache
def _of_a_forward(config: ModelConfig) -> tuple[int, list[int]]:
    network = _meta_network(config)

    def call() -> None:
        label = torch.zeros(1, dtype=torch.int64) if config.num_classes else None
        network(torch.zeros(1, *config.codec().shape), torch.zeros(1), label)

    return _counted(network, call)


def _counted(network: nn.Module, call: Callable[[], object]) -> tuple[int, list[int]]:
    """Of ``call``: multiply-accumulates of the layers of ``network``, and the tokens of each of its attentions."""
    macs, tokens = 0, []

    def count(layer: nn.Linear | nn.Conv2d, inputs, output: torch.Tensor) -> None:
        nonlocal macs
        macs += output.numel() * math.prod(layer.weight.shape[1:])  # inputs of one output value

    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            layer.register_forward_hook(count)
        if isinstance(layer, Attention):
            layer.register_forward_hook(lambda layer, inputs, output: tokens.append(output.shape[1]))
    with torch.device("meta"), torch.no_grad():
        call()
    return macs, tokens


def _meta_network(config: ModelConfig) -> nn.Module:
    """The network with shapes and no values."""
    with torch.device("meta"):
        return config.network()


def _meta_autoencoder(config: ModelConfig) -> nn.Module:
    from dctdiff.models.autoencoder import RANDOM_WIDTH, WIDTH, built  # here: only latents need it

    with torch.device("meta"):
        return built(WIDTH if config.autoencoder.seed is None else RANDOM_WIDTH)
