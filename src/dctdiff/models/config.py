"""The config of a model: a network with its space and schedule, without the weights."""

import dataclasses
import functools
import json
from types import SimpleNamespace

from dctdiff.diffusion.continuous import Continuous
from dctdiff.diffusion.discrete import Discrete
from dctdiff.diffusion.schedule import Schedule
from dctdiff.networks.uvit import Transformer
from dctdiff.params.jobs import models_of, space_of
from dctdiff.registry.networks import NETWORKS
from dctdiff.registry.samplers import FRAMEWORKS
from dctdiff.registry.spaces import SPACES
from dctdiff.spaces.codec import Codec
from dctdiff.spaces.latent import LatentCodec


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

    space: str  # this, the kind of network and the framework as ``dctdiff.registry`` has them
    resolution: int
    embed_dim: int
    depth: int
    num_heads: int
    snr_scale: float
    block_size: int | None = None  # spaces of blocks
    kept_coefficients: int | None = None  # the same
    eta: float | None = None  # the same
    patch_size: int | None = None  # other spaces: values on a side
    autoencoder: Autoencoder | None = None  # latent
    prediction: str = "noise"  # or "velocity": what the network gives
    class_counts: tuple[int, ...] | None = None  # training images of each label; None: unconditional
    network_kind: str = "uvit"
    framework: str = "continuous"

    @property
    def num_classes(self) -> int | None:
        return None if self.class_counts is None else len(self.class_counts)

    def codec(self) -> Codec:
        return codec_of(self)

    def schedule(self) -> Schedule:
        return Schedule(self.snr_scale)

    def diffusion(self) -> Continuous | Discrete:
        return FRAMEWORKS[self.framework].diffusion.imported()(self)

    def network(self) -> Transformer:
        layout, n_given = SPACES[self.space].layout, self.diffusion().n_given
        sizes = {"patch_size": self.patch_size} if layout == "planes" else {}
        sizes |= {"n_given": n_given} if n_given > 1 else {}
        return getattr(NETWORKS[self.network_kind], layout).imported()(
            self.codec().shape,
            embed_dim=self.embed_dim,
            depth=self.depth,
            num_heads=self.num_heads,
            num_classes=self.num_classes,
            **sizes,
        )

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


def codec_of(config) -> Codec:
    """Of a ``ModelConfig``, or of what else has the sizes of the codec of its ``space``."""
    space = SPACES[config.space]
    return space.codec.imported()(**{size: getattr(config, size) for size in space.sizes})


def latent_codec(resolution: int, autoencoder: Autoencoder) -> LatentCodec:
    from dctdiff.models.autoencoder import loaded  # here: only latents need it

    return LatentCodec(resolution, functools.partial(loaded, autoencoder))


def continuous(config: ModelConfig) -> Continuous:
    return Continuous(config.schedule(), config.prediction)


def discrete(config: ModelConfig) -> Discrete:
    return Discrete(config.snr_scale)


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
    elif SPACES[values["space"]].has_blocks:
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
