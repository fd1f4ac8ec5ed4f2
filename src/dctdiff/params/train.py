"""Params of the weights stage: one run."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from dctdiff.params.execution import ROUNDING_ONLY, Execution, without_processes
from dctdiff.params.release import Release
from dctdiff.pipeline.slice import Count, Name, Seed, Slice
from dctdiff.registry.networks import NETWORKS, OPTIMISERS
from dctdiff.registry.samplers import FRAMEWORKS, offered

# These change how a run is executed or how far it goes, not its course: a run goes on from its
# state when they change. Everything else is part of the identity of the state, candidate_steps
# too: a state holds the candidates of its own past.
NOT_IN_IDENTITY = ROUNDING_ONLY | {
    "train_steps", "checkpoint_minutes", "gradient_checkpointing", "accumulation_steps",
    "weights", "release", "ask_above_steps", "kept_states",
    "log_steps", "dataset", "codec",
}  # fmt: skip


class Model(Slice):
    """What a network is, whoever has trained it."""

    release: Release | None = Field(None, description="published: file of the authors, by path or URL")
    network: Literal[*NETWORKS] = Field(
        "uvit",
        description="; ".join(f"{name}: {network.words}" for name, network in NETWORKS.items())
        + "; time and label steer the norms of a DiT (adaLN-Zero)",
    )
    framework: Literal[*FRAMEWORKS] = Field(
        "continuous",
        description="the diffusion: the SDE, as in the paper but for its DiT, or a chain of 1,000 steps (DDPM) whose "
        f"variances are learned; samplers of a chain are {' and '.join(offered('discrete'))}",
    )
    embed_dim: int = Field(128, ge=1, le=16_384, description="width of the network")
    depth: int = Field(
        4,
        ge=2,
        le=256,
        multiple_of=2,
        description="blocks; those of a U-ViT are on both sides, and one more is in the middle",
    )
    num_heads: int = Field(4, ge=1, le=1024, description="attention heads; divides embed_dim")
    prediction: Literal["noise", "velocity"] = Field(
        "noise",
        description="what the network predicts: the noise, as in the paper, or the velocity",
    )
    num_classes: int | None = Field(
        None,
        ge=1,
        le=10**6,
        description="classes of the training images, whose labels the network is given; none: unconditional",
    )
    snr_scale: float = Field(4.0, gt=0, le=10**6, description="factor c on the signal-to-noise ratio at every t")
    batch_size: Count = Field(32, description="images per step, over all processes")

    @model_validator(mode="after")
    def framework_of_its_network(self):
        able = [name for name, network in NETWORKS.items() if self.framework in network.frameworks]
        if self.network not in able or (self.framework == "discrete" and self.prediction != "noise"):
            raise ValueError(
                f"framework is {self.framework} with network {self.network} that predicts {self.prediction}, but it is "
                f"for network {' or '.join(able)}{' and prediction noise' * (self.framework == 'discrete')}"
            )
        return self

    @model_validator(mode="after")
    def width_of_its_network(self):
        network = NETWORKS[self.network]
        if self.embed_dim % network.width_divides_by:
            raise ValueError(
                f"embed_dim is {self.embed_dim}, but that of a {network.words} should be divisible by "
                f"{network.width_divides_by}"
            )
        if self.embed_dim % self.num_heads:
            raise ValueError(f"embed_dim {self.embed_dim} is not divisible by num_heads {self.num_heads}")
        return self


class Import(Model):
    """A model that comes as a file of this project: with it no images, no codec and no statistics are needed."""

    weights: Literal["published"] = Field(description="published: nothing is trained")
    release: Release = Field(description="the file, by path or URL, and what it is of")

    @model_validator(mode="after")
    def is_a_file_of_this_project(self):
        if not self.release.is_own:
            raise ValueError(
                "release is not a .safetensors file of this project, which says what it is; give the model a dataset "
                "and a codec, and put it among the runs"
            )
        return self


class Run(Execution, Model):
    dataset: Name = Field(description="key of suite.datasets")
    codec: Name = Field(description="key of suite.codecs, on the same dataset")
    weights: Literal["trained", "published"] = Field(
        description="trained: train them; published: import the file of release instead"
    )
    skip_bias_std: float = Field(
        0.0,
        ge=0,
        le=100,
        description="std of the initial biases of the skips; 0 in the paper, above it helps short runs",
    )
    t_logit: list[float] | None = Field(
        None,
        min_length=2,
        max_length=2,
        description="mean and std of log(t / (1 - t)), normal, of the times of training; none: t is uniform, as in "
        "the paper",
    )
    loss_weights: Literal["entropy", "uniform"] = Field(
        "entropy", description="DCT: weights of the coefficients in the loss: their entropies, as in the paper, or none"
    )
    encode_each_step: bool = Field(
        False, description="latent: encode the images anew at each step, as the authors did; else once, by latents"
    )
    train_steps: Count = Field(
        3000, description="optimiser steps; raising it, up to lr_end_step if there is one, continues the run"
    )
    optimizer: Literal[*OPTIMISERS] = Field(
        "adamw", description="AdamW, as in the paper, or Muon for the matrices of the blocks and AdamW for the rest"
    )
    lr: float = Field(0.002, gt=0, le=1, description="learning rate after the warm-up")
    weight_decay: float = Field(0.03, ge=0, le=100, description="weight decay, on all parameters")
    betas: list[Annotated[float, Field(ge=0, lt=1)]] = Field(
        [0.9, 0.99], min_length=2, max_length=2, description="betas of AdamW"
    )
    warmup_steps: int = Field(100, ge=0, le=10**9, description="steps over which lr rises linearly from 0")
    lr_end_step: Count | None = Field(
        None, description="step at which lr, falling linearly since the warm-up, is 0; none: it stays, as in the paper"
    )
    ema_rate: float = Field(0.998, ge=0, lt=1, description="decay of the averaged weights per step")
    gradient_checkpointing: bool = Field(
        False, description="keep only what goes in and out of each block, and compute the rest again: less memory"
    )
    accumulation_steps: int = Field(
        1, ge=1, le=10**6, description="parts of a step's batch, one after the other: less memory"
    )
    seed: Seed = Field(1, description="seed of weights, order, flips, times and noise")
    log_steps: Count = Field(50, description="steps per line of the log, which holds their mean loss")
    checkpoint_minutes: float = Field(
        10.0,
        ge=0,
        le=1440,
        description="minutes of training between two saved states, at most: what a lost node costs",
    )
    ask_above_steps: int = Field(
        1000,
        ge=0,
        le=10**12,
        description="a state of more steps than this, trained by other code, is not left without asking",
    )
    kept_states: int = Field(
        2, ge=2, le=10**6, description="saved states that are kept, the newest ones: if one is damaged, another serves"
    )
    candidate_steps: Count | None = Field(
        None,
        description="steps between two EMA weights kept for the selection of a checkpoint; none: only the last are",
    )

    @model_validator(mode="before")
    @classmethod
    def removed_keys(cls, values):
        if isinstance(values, dict) and "checkpoint_steps" in values:
            raise ValueError("checkpoint_steps is gone: states are saved every checkpoint_minutes (10); remove it")
        return without_processes(values)

    @model_validator(mode="after")
    def published_from_a_file(self):
        if self.weights == "published" and self.release is None:
            raise ValueError("weights is published, but there is no release; add the group release, or train")
        return self

    @model_validator(mode="after")
    def released_by_the_authors(self):
        if self.weights != "published":
            return self
        if self.release.is_own:
            raise ValueError("release is a .safetensors file of this project; put it under imports, without data set")
        if self.prediction != "noise":
            raise ValueError(f"prediction is {self.prediction}, but the authors' networks predict noise; remove it")
        if self.network != "uvit":
            raise ValueError(f"network is {self.network}, but the authors' weights are of U-ViTs; train it")
        return self

    @model_validator(mode="after")
    def lr_lasts(self):
        end = self.lr_end_step
        if end is not None and (end < self.train_steps or end <= self.warmup_steps):
            raise ValueError(
                f"lr_end_step is {end}, but should be train_steps {self.train_steps} or more, and more "
                f"than warmup_steps {self.warmup_steps}; another lr_end_step starts the run anew"
            )
        return self

    @model_validator(mode="after")
    def training_of_its_network(self):
        if self.framework == "discrete" and self.t_logit:
            raise ValueError(f"t_logit is {self.t_logit}, but the steps of a discrete chain are drawn alike; remove it")
        network = NETWORKS[self.network]
        if self.skip_bias_std and not network.has_skips:
            raise ValueError(f"skip_bias_std is set, but a {network.words} has no skips; remove it")
        if self.batch_size % self.accumulation_steps:
            raise ValueError(
                f"batch_size {self.batch_size} is not divisible by accumulation_steps {self.accumulation_steps}"
            )
        return self
