"""DiT: a transformer that time and label steer through its norms, adaLN-Zero (Peebles and Xie 2022, arXiv 2212.09748).

Letters: N images, T tokens, D embed_dim, V = n_given, the values that are given for each of an image. Names of
modules follow the published state dicts, so that their weights load by name.
"""

import math

import torch
from torch import nn

from dctdiff.networks.uvit import MLP, Attention, PatchEmbed, Transformer, autocast_dtype, time_embedding, unpatched

TIME_DIM = 256  # of the sines and cosines that the time becomes first
POSITION_MAX_PERIOD = 10_000
NORM_EPS = 1e-6
INITIAL_STD = 0.02  # of the embeddings of time and label


def positions(grid: tuple[int, int], dim: int) -> torch.Tensor:
    """Fixed embedding of the places of a grid, in reading order: ``(T, dim)`` float32.

    The first half tells the column, the second the row, each by sines and then cosines.
    """
    steps = torch.arange(dim // 4, dtype=torch.float64) / (dim // 4)
    frequencies = POSITION_MAX_PERIOD**-steps
    rows, columns = torch.meshgrid(*(torch.arange(side, dtype=torch.float64) for side in grid), indexing="ij")
    angles = [place.flatten()[:, None] * frequencies for place in (columns, rows)]
    return torch.cat([wave for angle in angles for wave in (angle.sin(), angle.cos())], dim=1).float()


def modulated(x: torch.Tensor, shift: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """``x``: (N, T, D), once normalised, with the ``shift`` and ``scale``, (N, D), of its image."""
    return x * (1 + scale[:, None]) + shift[:, None]


class BiasedAttention(Attention):
    def __init__(self, dim: int, num_heads: int):
        super().__init__(dim, num_heads)
        self.qkv = nn.Linear(dim, 3 * dim)


def steering(dim: int, n_vectors: int) -> nn.Sequential:
    """What a block or layer takes from the embedded time and label: (N, D) -> (N, n_vectors D)."""
    return nn.Sequential(nn.SiLU(), nn.Linear(dim, n_vectors * dim))


def plain_norm(dim: int) -> nn.LayerNorm:
    return nn.LayerNorm(dim, eps=NORM_EPS, elementwise_affine=False)


class Block(nn.Module):
    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        self.norm1 = plain_norm(dim)
        self.attn = BiasedAttention(dim, num_heads)
        self.norm2 = plain_norm(dim)
        self.mlp = MLP(dim, approximate="tanh")
        self.adaLN_modulation = steering(dim, 6)

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Args: x: (N, T, D); condition: (N, D)."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.adaLN_modulation(condition).chunk(6, dim=1)
        x = x + gate1[:, None] * self.attn(modulated(self.norm1(x), shift1, scale1))
        return x + gate2[:, None] * self.mlp(modulated(self.norm2(x), shift2, scale2))


class FinalLayer(nn.Module):
    def __init__(self, dim: int, token_dim: int):
        super().__init__()
        self.norm_final = plain_norm(dim)
        self.linear = nn.Linear(dim, token_dim)
        self.adaLN_modulation = steering(dim, 2)

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        shift, scale = self.adaLN_modulation(condition).chunk(2, dim=1)
        return self.linear(modulated(self.norm_final(x), shift, scale))


class TimeEmbedder(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(TIME_DIM, dim), nn.SiLU(), nn.Linear(dim, dim))

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        return self.mlp(time_embedding(t, TIME_DIM))  # (N, D)


class LabelEmbedder(nn.Module):
    def __init__(self, num_classes: int, dim: int):
        super().__init__()
        self.embedding_table = nn.Embedding(num_classes, dim)

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return self.embedding_table(y)  # (N, D)


class DiT(Transformer):
    """The trunk that both networks share: embedded tokens in, tokens of ``token_dim`` out."""

    def __init__(
        self,
        grid: tuple[int, int],
        token_dim: int,
        embed_dim: int,
        depth: int,
        num_heads: int,
        num_classes: int | None = None,
    ):
        super().__init__()
        self.t_embedder = TimeEmbedder(embed_dim)
        self.y_embedder = LabelEmbedder(num_classes, embed_dim) if num_classes else None
        self.register_buffer("pos_embed", positions(grid, embed_dim)[None])
        self.blocks = nn.ModuleList(Block(embed_dim, num_heads) for _ in range(depth))
        self.final_layer = FinalLayer(embed_dim, token_dim)

    def initialise(self, generator: torch.Generator, skip_bias_std: float = 0.0) -> None:
        """As in the paper: each block begins as the identity, and the network gives 0.

        Other matrices are uniform in Glorot's bounds, biases 0. There are no skips: ``skip_bias_std`` is for U-ViTs.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                nn.init.xavier_uniform_(module.weight.flatten(1), generator=generator)  # a view, of a patch as a row
                nn.init.zeros_(module.bias)
        embeddings = [layer for layer in self.t_embedder.mlp if isinstance(layer, nn.Linear)]
        embeddings += [] if self.y_embedder is None else [self.y_embedder.embedding_table]
        for layer in embeddings:
            nn.init.normal_(layer.weight, std=INITIAL_STD, generator=generator)
        for part in (*self.blocks, self.final_layer):
            nn.init.zeros_(part.adaLN_modulation[-1].weight)
        nn.init.zeros_(self.final_layer.linear.weight)

    def transform(self, x: torch.Tensor, t: torch.Tensor, y: torch.Tensor | None) -> torch.Tensor:
        """Args: x: (N, T, D) embedded tokens; t: (N,) network time; y: (N,) int64 labels or None.

        Returns (N, T, token_dim).
        """
        condition = self.t_embedder(t)
        if y is not None or self.y_embedder is not None:
            condition = condition + self.y_embedder(y)
        # Positions are added in float32; under autocast what goes between the blocks is rounded, as in the U-ViT.
        x = (x + self.pos_embed).to(autocast_dtype(x) or x.dtype)
        condition = condition.to(x.dtype)
        for block in self.blocks:
            x = self._run(block, x, condition)
        return self.final_layer(x, condition)


class DCTDiT(DiT):
    """DiT on DCT tokens, which stand in a square (protocol point 51)."""

    def __init__(
        self,
        shape: tuple[int, int],
        embed_dim: int,
        depth: int,
        num_heads: int,
        num_classes: int | None = None,
        n_given: int = 1,
    ):
        n_tokens, token_dim = shape
        side = math.isqrt(n_tokens)
        super().__init__((side, side), n_given * token_dim, embed_dim, depth, num_heads, num_classes)
        self.n_given = n_given
        self.x_embedder = nn.Linear(token_dim, embed_dim)

    def forward(self, x: torch.Tensor, t: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
        """Args: x: (N, T, 6K); t: (N,) network time; y: (N,) int64 labels. Returns (N, V, T, 6K), without V = 1."""
        tokens = self.transform(self.x_embedder(x), t, y)  # (N, T, V 6K)
        return tokens.unflatten(-1, (self.n_given, -1)).transpose(1, 2).squeeze(1)


class PixelDiT(DiT):
    """DiT on pixels (protocol point 51)."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        patch_size: int,
        embed_dim: int,
        depth: int,
        num_heads: int,
        num_classes: int | None = None,
        n_given: int = 1,
    ):
        channels, height, width = shape
        grid = (height // patch_size, width // patch_size)
        super().__init__(grid, n_given * channels * patch_size**2, embed_dim, depth, num_heads, num_classes)
        self.n_given = n_given
        self.grid = grid
        self.patch_size = patch_size
        self.x_embedder = PatchEmbed(patch_size, channels, embed_dim)

    def forward(self, x: torch.Tensor, t: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
        """Args: x: (N, C, R, R); t: (N,) network time; y: (N,) int64 labels. Returns (N, V, C, R, R), without V = 1."""
        tokens = self.transform(self.x_embedder(x), t, y)  # (N, T, P P V C)
        images = unpatched(tokens, self.grid, self.patch_size)  # (N, V C, R, R)
        return images.unflatten(1, (self.n_given, -1)).squeeze(1)
