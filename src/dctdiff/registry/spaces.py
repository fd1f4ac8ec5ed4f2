"""Spaces: what a network sees of an image."""

from dataclasses import dataclass

from dctdiff.pipeline.named import At

OF_BLOCKS = ("resolution", "block_size", "kept_coefficients", "eta")


@dataclass(frozen=True, kw_only=True)
class Space:
    """``codec``: a function of ``sizes``, by name, of a model -> ``dctdiff.spaces.codec.Codec``."""

    words: str  # in tables and descriptions
    codec: At
    channels: dict[str, int]  # and how many blocks of each a token has; without blocks 1
    scaled_by: tuple[str, ...]  # channels whose values are measured for eta
    sizes: tuple[str, ...] = OF_BLOCKS
    layout: str = "tokens"  # or "planes": (T, values) or (C, h, w), which is what a network is written for
    side: int | None = None  # pixels on a side of a value, of a space without blocks
    eta: float | None = None  # of a space that is scaled so whatever is measured
    frequencies: bool = True  # whether the values of a block are those of a DCT, from low ones to high

    @property
    def has_blocks(self) -> bool:
        return self.side is None

    @property
    def stored(self) -> str:
        """What training reads."""
        return "latents" if "autoencoder" in self.sizes else "images"

    def token_side(self, block_size: int | None, patch_size: int | None) -> int:
        """Pixels that a token covers in each direction."""
        return 2 * block_size if self.side is None else self.side * patch_size

    @property
    def token_side_in_words(self) -> str:
        return "2 * block_size" if self.side is None else f"{self.side} * patch_size".removeprefix("1 * ")


SPACES = {
    "dct": Space(
        words="YCbCr blocks, colour halved",
        codec=At("dctdiff.spaces.dct.DCTCodec"),
        channels={"y": 4, "cb": 1, "cr": 1},
        scaled_by=("y",),
    ),
    "dct_444": Space(
        words="YCbCr blocks",
        codec=At("dctdiff.spaces.dct_full.dct_444"),
        channels={"y": 4, "cb": 4, "cr": 4},
        scaled_by=("y",),
    ),
    "dct_rgb": Space(
        words="RGB blocks",
        codec=At("dctdiff.spaces.dct_full.dct_rgb"),
        channels={"r": 4, "g": 4, "b": 4},
        scaled_by=("r", "g", "b"),
    ),
    "patch_rgb": Space(
        words="RGB patches",
        codec=At("dctdiff.spaces.dct_full.patch_rgb"),
        channels={"r": 4, "g": 4, "b": 4},
        scaled_by=("r", "g", "b"),
        frequencies=False,
    ),
    "pixel": Space(
        words="pixels",
        codec=At("dctdiff.spaces.pixel.PixelCodec"),
        channels={"r": 1, "g": 1, "b": 1},
        scaled_by=(),
        sizes=("resolution",),
        layout="planes",
        side=1,
        eta=127.5,
    ),
    "latent": Space(
        words="latents of an autoencoder",
        codec=At("dctdiff.models.config.latent_codec"),
        channels={"z1": 1, "z2": 1, "z3": 1, "z4": 1},
        scaled_by=("z1", "z2", "z3", "z4"),
        sizes=("resolution", "autoencoder"),
        layout="planes",
        side=8,
    ),
}
