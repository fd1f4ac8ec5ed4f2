"""The config of a model: a network with its space and schedule, without the weights."""

import dataclasses
import functools
import json
from types import SimpleNamespace

from dctdiff.diffusion.continuous import Continuous
from dctdiff.diffusion.discrete import Discrete
from dctdiff.diffusion.schedule import Schedule
from dctdiff.networks.dit import DCTDiT, DiT, PixelDiT
from dctdiff.networks.uvit import DCTUViT, PixelUViT, UViT
from dctdiff.params.jobs import models_of, space_of
from dctdiff.spaces.codec import Codec
from dctdiff.spaces.dct import DCTCodec
from dctdiff.spaces.dct_full import FullDCTCodec, dct_444, dct_rgb, patch_rgb
from dctdiff.spaces.latent import LatentCodec
from dctdiff.spaces.pixel import PixelCodec


@dataclasses.dataclass(frozen=True)
class Autoencoder:
    """Which autoencoder a latent space has: that of a file, or of a seed one of random weights."""

    sha256: str | None = None
    file: str | None = None  # where it lies
    url: str | None = None  # or whence it is fetched
    seed: int | None = None


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Everything that defines the map from noise to images, apart from the weights."""

    space: str  # "dct", "dct_444", "dct_rgb", "patch_rgb", "pixel" or "latent"
    resolution: int
    embed_dim: int
    depth: int
    num_heads: int
    snr_scale: float
    block_size: int | None = None  # DCT
    kept_coefficients: int | None = None  # DCT
    eta: float | None = None  # DCT
    patch_size: int | None = None  # pixel, latent: values on a side
    autoencoder: Autoencoder | None = None  # latent
    prediction: str = "noise"  # or "velocity": what the network gives
    class_counts: tuple[int, ...] | None = None  # training images of each label; None: unconditional
    network_kind: str = "uvit"  # or "dit"
    framework: str = "continuous"  # or "discrete": the SDE, or a chain of 1,000 steps

    @property
    def num_classes(self) -> int | None:
        return None if self.class_counts is None else len(self.class_counts)

    def codec(self) -> Codec:
        return CODECS[self.space](self)

    def schedule(self) -> Schedule:
        return Schedule(self.snr_scale)

    def diffusion(self) -> Continuous | Discrete:
        return FRAMEWORKS[self.framework](self)

    def network(self) -> UViT | DiT:
        return NETWORKS[self.network_kind][self.space](self, self.codec().shape)

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "ModelConfig":
        config = json.loads(text)
        if config.get("class_counts") is not None:
            config["class_counts"] = tuple(config["class_counts"])  # JSON has lists only
        if config.get("autoencoder") is not None:
            config["autoencoder"] = Autoencoder(**config["autoencoder"])
        return cls(**config)


def dct_codec(config: ModelConfig) -> DCTCodec:
    return DCTCodec(config.resolution, config.block_size, config.kept_coefficients, config.eta)


def dct_444_codec(config: ModelConfig) -> FullDCTCodec:
    return dct_444(config.resolution, config.block_size, config.kept_coefficients, config.eta)


def dct_rgb_codec(config: ModelConfig) -> FullDCTCodec:
    return dct_rgb(config.resolution, config.block_size, config.kept_coefficients, config.eta)


def patch_rgb_codec(config: ModelConfig) -> FullDCTCodec:
    return patch_rgb(config.resolution, config.block_size, config.kept_coefficients, config.eta)


def pixel_codec(config: ModelConfig) -> PixelCodec:
    return PixelCodec(config.resolution)


def latent_codec(config: ModelConfig) -> LatentCodec:
    from dctdiff.models.autoencoder import loaded  # here: only latents need it

    return LatentCodec(config.resolution, functools.partial(loaded, config.autoencoder))


def dct_uvit(config: ModelConfig, shape: tuple[int, ...]) -> DCTUViT:
    return DCTUViT(shape, config.embed_dim, config.depth, config.num_heads, config.num_classes)


def pixel_uvit(config: ModelConfig, shape: tuple[int, ...]) -> PixelUViT:
    return PixelUViT(shape, config.patch_size, config.embed_dim, config.depth, config.num_heads, config.num_classes)


def dct_dit(config: ModelConfig, shape: tuple[int, ...]) -> DCTDiT:
    n_given = config.diffusion().n_given
    return DCTDiT(shape, n_given, config.embed_dim, config.depth, config.num_heads, config.num_classes)


def pixel_dit(config: ModelConfig, shape: tuple[int, ...]) -> PixelDiT:
    sizes = config.patch_size, config.embed_dim, config.depth, config.num_heads, config.num_classes
    return PixelDiT(shape, config.diffusion().n_given, *sizes)


def continuous(config: ModelConfig) -> Continuous:
    return Continuous(config.schedule(), config.prediction)


def discrete(config: ModelConfig) -> Discrete:
    return Discrete(config.snr_scale)


# A model depends on its own entries only: code of another space, network or framework is none of its.
CODECS = {
    "dct": dct_codec,
    "dct_444": dct_444_codec,
    "dct_rgb": dct_rgb_codec,
    "patch_rgb": patch_rgb_codec,
    "pixel": pixel_codec,
    "latent": latent_codec,
}
UVITS = {
    "dct": dct_uvit,
    "dct_444": dct_uvit,
    "dct_rgb": dct_uvit,
    "patch_rgb": dct_uvit,
    "pixel": pixel_uvit,
    "latent": pixel_uvit,
}
DITS = {
    "dct": dct_dit,
    "dct_444": dct_dit,
    "dct_rgb": dct_dit,
    "patch_rgb": dct_dit,
    "pixel": pixel_dit,
    "latent": pixel_dit,
}
NETWORKS = {"uvit": UVITS, "dit": DITS}
FRAMEWORKS = {"continuous": continuous, "discrete": discrete}


def model_config(run, statistics: dict, class_counts: tuple[int, ...] | None = None) -> ModelConfig:
    """The model of ``run`` (its embed_dim, depth, num_heads and snr_scale) on the codec of ``statistics``."""
    return ModelConfig(
        **codec_values(statistics),
        embed_dim=run.embed_dim,
        depth=run.depth,
        num_heads=run.num_heads,
        snr_scale=run.snr_scale,
        prediction=run.prediction,
        class_counts=class_counts,
        network_kind=run.network,
        framework=run.framework,
    )


def codec_values(statistics: dict) -> dict:
    """What a ``ModelConfig`` has of its codec, from the codec's params and what was measured with it."""
    keys = ("space", "resolution", "block_size", "kept_coefficients", "patch_size")
    values = {key: statistics[key] for key in keys if key in statistics}
    if values["space"] == "latent":
        values["autoencoder"] = Autoencoder(**statistics["autoencoder"])
    elif values["space"] != "pixel":
        values["eta"] = statistics.get("eta")
    return values


def config_of(plan: dict, run_name: str) -> ModelConfig:
    """The model of a run of a plan, or of one that comes as a file; eta, which changes no size, is left out."""
    run = models_of(plan)[run_name]
    if run_name in plan["imports"]:
        codec = {"space": space_of(plan, run), **run["release"]}
    else:
        codec = {**plan["codecs"][run["codec"]], "resolution": plan["datasets"][run["dataset"]]["crop"]["resolution"]}
    class_counts = (1,) * run["num_classes"] if run.get("num_classes") else None
    return model_config(SimpleNamespace(**run), codec, class_counts)
