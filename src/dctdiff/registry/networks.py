"""Networks, and what trains them."""

from dataclasses import dataclass

from dctdiff.pipeline.named import At


@dataclass(frozen=True, kw_only=True)
class Network:
    """By the layout of a space a class ``(shape, embed_dim, depth, num_heads, num_classes)``, and of planes patch_size.

    One for ``frameworks`` that want more than one value for each of an image is told how many: ``n_given``.
    """

    words: str
    tokens: At | None = None
    planes: At | None = None
    frameworks: tuple[str, ...] = ("continuous",)
    width_divides_by: int = 1
    has_skips: bool = False


NETWORKS = {
    "uvit": Network(
        words="U-ViT",
        tokens=At("dctdiff.networks.uvit.DCTUViT"),
        planes=At("dctdiff.networks.uvit.PixelUViT"),
        has_skips=True,
    ),
    "dit": Network(
        words="DiT",
        tokens=At("dctdiff.networks.dit.DCTDiT"),
        planes=At("dctdiff.networks.dit.PixelDiT"),
        frameworks=("continuous", "discrete"),
        width_divides_by=4,
    ),
}
# A function (network, params of a run) -> optimisers.
OPTIMISERS = {
    "adamw": At("dctdiff.models.optimiser.all_by_adamw"),
    "muon": At("dctdiff.models.optimiser.blocks_by_muon"),
}
