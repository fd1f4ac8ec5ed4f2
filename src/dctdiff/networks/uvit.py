"""U-ViT: a transformer with long skip connections (Bao et al. 2022, arXiv 2209.12152).

Letters: N images, T tokens, D embed_dim, H heads. Names of modules follow the published state
dicts (protocol points 29 to 31), so that their weights load by name.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from dctdiff.networks.attention import Attend, sdpa

TIME_MAX_PERIOD = 10_000


def time_embedding(t: torch.Tensor, dim: int) -> torch.Tensor:
    """Sinusoidal embedding of ``t``: (N,) -> (N, dim) float32, cosines first."""
    half = dim // 2
    # In this order of operations, which rounds as the published networks do.
    steps = torch.arange(half, dtype=torch.float32, device=t.device)
    frequencies = torch.exp(-math.log(TIME_MAX_PERIOD) * steps / half)
    angles = t.float()[:, None] * frequencies
    return F.pad(torch.cat([angles.cos(), angles.sin()], dim=-1), (0, dim % 2))


def autocast_dtype(x: torch.Tensor) -> torch.dtype | None:
    """What autocast computes products of ``x`` in; None without autocast."""
    kind = x.device.type
    if kind == "meta" or not torch.is_autocast_enabled(kind):
        return None
    return torch.get_autocast_dtype(kind)


class Attention(nn.Module):
    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.proj = nn.Linear(dim, dim)
        self.attend: Attend = sdpa

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        qkv = self.qkv(x).unflatten(-1, (3, self.num_heads, -1))
        q, k, v = qkv.unbind(2)  # 3 x (N, T, H, D/H)
        return self.proj(self.attend(q, k, v).flatten(2))  # (N, T, D)


def gelu_linear(x: torch.Tensor, layer: nn.Linear, dtype: torch.dtype) -> torch.Tensor:
    """GELU of ``layer``, (N, T, D) -> (N, T, D') in ``dtype``, as one kernel, which exists without gradients only.

    On a GPU it computes the tanh form of GELU. That moves what a U-ViT predicts five times less than
    fp16 does, and forty times less than bf16 (``dctdiff.bench.rounding``).
    """
    weight, bias = layer.weight.to(dtype), layer.bias.to(dtype)
    flat = torch._addmm_activation(bias, x.to(dtype).flatten(0, 1), weight.T, use_gelu=True)
    return flat.unflatten(0, x.shape[:2])


class MLP(nn.Module):
    """``approximate``: "none" or "tanh", of the GELU."""

    def __init__(self, dim: int, approximate: str = "none"):
        super().__init__()
        self.approximate = approximate
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        dtype = autocast_dtype(x)
        if x.is_cuda and dtype is not None and not torch.is_grad_enabled():
            return self.fc2(gelu_linear(x, self.fc1, dtype))
        return self.fc2(F.gelu(self.fc1(x), approximate=self.approximate))


class SkipLinear(nn.Linear):
    """A linear layer of two tensors side by side, which need not be put side by side for it."""

    def __init__(self, dim: int):
        super().__init__(2 * dim, dim)

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        of_x, of_skip = self.weight.chunk(2, dim=1)
        return F.linear(x, of_x, self.bias) + F.linear(skip, of_skip)


class Block(nn.Module):
    def __init__(self, dim: int, num_heads: int, skip: bool = False):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = Attention(dim, num_heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = MLP(dim)
        if skip:
            self.skip_linear = SkipLinear(dim)

    def forward(self, x: torch.Tensor, skip: torch.Tensor | None = None) -> torch.Tensor:
        if skip is not None:
            x = self.skip_linear(x, skip)
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    """How the blocks of a network are run."""

    gradient_checkpointing = False

    def attend_with(self, attend: Attend) -> None:
        """Let all blocks compute their attention with ``attend``."""
        for module in self.modules():
            if isinstance(module, Attention):
                module.attend = attend

    def _run(self, block: nn.Module, *inputs: torch.Tensor) -> torch.Tensor:
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return checkpoint(block, *inputs, use_reentrant=False, preserve_rng_state=False)
        return block(*inputs)


class UViT(Transformer):
    """The trunk that both networks share: tokens in, tokens out.

    depth counts the blocks on both sides; one more stands in the middle (protocol point 31). With
    ``num_classes`` the network is conditional: each image has a label, which becomes a token.
    """

    def __init__(
        self, n_tokens: int, token_dim: int, embed_dim: int, depth: int, num_heads: int, num_classes: int | None = None
    ):
        super().__init__()
        self.embed_dim = embed_dim
        self.label_emb = nn.Embedding(num_classes, embed_dim) if num_classes else None
        self.n_extra_tokens = 2 if num_classes else 1  # (label and) time
        self.pos_embed = nn.Parameter(torch.zeros(1, self.n_extra_tokens + n_tokens, embed_dim))
        self.in_blocks = nn.ModuleList(Block(embed_dim, num_heads) for _ in range(depth // 2))
        self.mid_block = Block(embed_dim, num_heads)
        self.out_blocks = nn.ModuleList(Block(embed_dim, num_heads, skip=True) for _ in range(depth // 2))
        self.norm = nn.LayerNorm(embed_dim)
        self.decoder_pred = nn.Linear(embed_dim, token_dim)

    def initialise(self, generator: torch.Generator, skip_bias_std: float = 0.0) -> None:
        """Truncated normal weights (std 0.02), zero biases (protocol point 31).

        Convolutions keep the usual fan-in bound, label embeddings the standard normal.
        ``skip_bias_std`` above 0 draws the biases of the skips instead: a large constant part lets
        the last LayerNorm keep the length of a token, which at high noise is what must be predicted
        and what short runs do not learn.
        """
        nn.init.trunc_normal_(self.pos_embed, std=0.02, generator=generator)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02, generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Conv2d):
                bound = module.weight[0].numel() ** -0.5
                nn.init.uniform_(module.weight, -bound, bound, generator=generator)
                nn.init.uniform_(module.bias, -bound, bound, generator=generator)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, generator=generator)
        for block in self.out_blocks:
            nn.init.normal_(block.skip_linear.bias, std=skip_bias_std, generator=generator)

    def transform(self, x: torch.Tensor, t: torch.Tensor, y: torch.Tensor | None) -> torch.Tensor:
        """Args: x: (N, T, D) embedded tokens; t: (N,) network time; y: (N,) int64 labels or None.

        Returns (N, T, token_dim).
        """
        # Time and position are added in float32 whatever the precision of x (protocol point 25).
        x = torch.cat([time_embedding(t, self.embed_dim)[:, None], x], dim=1)  # (N, 1 + T, D)
        if y is not None:
            x = torch.cat([self.label_emb(y)[:, None], x], dim=1)  # (N, 2 + T, D)
        # Under autocast sums stay float32 until the first skip_linear. Rounding them here already
        # halves the bytes between the blocks before it too.
        x = (x + self.pos_embed).to(autocast_dtype(x) or x.dtype)
        skips = []
        for block in self.in_blocks:
            x = self._run(block, x)
            skips.append(x)
        x = self._run(self.mid_block, x)
        for block in self.out_blocks:
            x = self._run(block, x, skips.pop())
        return self.decoder_pred(self.norm(x))[:, self.n_extra_tokens :]  # (N, T, token_dim)


class DCTUViT(UViT):
    """U-ViT on DCT tokens (protocol point 29)."""

    def __init__(
        self, shape: tuple[int, int], embed_dim: int, depth: int, num_heads: int, num_classes: int | None = None
    ):
        n_tokens, token_dim = shape
        super().__init__(n_tokens, token_dim, embed_dim, depth, num_heads, num_classes)
        self.proj = nn.Linear(token_dim, embed_dim)

    def forward(self, x: torch.Tensor, t: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
        """Args: x: (N, T, 6K); t: (N,) network time; y: (N,) int64 labels. Returns (N, T, 6K)."""
        return self.transform(self.proj(x), t, y)


class PatchEmbed(nn.Module):
    def __init__(self, patch_size: int, channels: int, embed_dim: int):
        super().__init__()
        self.proj = nn.Conv2d(channels, embed_dim, kernel_size=patch_size, stride=patch_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.proj(x).flatten(2).mT  # (N, T, D)


def unpatched(tokens: torch.Tensor, grid: tuple[int, int], patch_size: int) -> torch.Tensor:
    """Images of the ``tokens`` of their patches: (N, T, P P C) -> (N, C, R, R)."""
    tokens = tokens.unflatten(-1, (patch_size**2, -1))  # (N, T, P P, C)
    channels_first = tokens.permute(0, 3, 2, 1).flatten(1, 2)  # (N, C P P, T)
    return F.pixel_shuffle(channels_first.unflatten(-1, grid), patch_size)


class PixelUViT(UViT):
    """U-ViT on pixels, the paper's baseline (protocol point 30)."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        patch_size: int,
        embed_dim: int,
        depth: int,
        num_heads: int,
        num_classes: int | None = None,
    ):
        channels, height, width = shape
        grid = (height // patch_size, width // patch_size)
        super().__init__(math.prod(grid), channels * patch_size**2, embed_dim, depth, num_heads, num_classes)
        self.grid = grid
        self.patch_size = patch_size
        self.patch_embed = PatchEmbed(patch_size, channels, embed_dim)
        self.final_layer = nn.Conv2d(channels, channels, kernel_size=3, padding=1)

    def forward(self, x: torch.Tensor, t: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
        """Args: x: (N, C, R, R); t: (N,) network time; y: (N,) int64 labels. Returns (N, C, R, R)."""
        tokens = self.transform(self.patch_embed(x), t, y)  # (N, T, P P C)
        return self.final_layer(unpatched(tokens, self.grid, self.patch_size))  # (N, C, R, R)
