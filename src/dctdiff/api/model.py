"""A model, and images of it."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from dctdiff.models import weights
from dctdiff.models.config import ModelConfig
from dctdiff.models.sampling import sample_images
from dctdiff.params.execution import Execution
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.hardware import default_device
from dctdiff.registry.samplers import SAMPLERS
from dctdiff.spaces.codec import Codec

PLAIN = Execution(
    mixed_precision="float32", compile="never"
)  # the same images everywhere, and no wait before the first


@dataclasses.dataclass(frozen=True)
class Model:
    """A network with its config (size, space, schedule and classes), as ``load_model`` gives it."""

    network: torch.nn.Module
    config: ModelConfig

    @property
    def codec(self) -> Codec:
        """That of its training."""
        return self.config.codec()


def load_model(path: str | Path, device: str | None = None) -> Model:
    """The model of a weights file: safetensors of a training, or of imported weights (``results/runs/<run>/``).

    It has a ``codec`` (for ``encode`` and ``decode``), a ``config`` (its sizes and ``num_classes``) and a ``network``
    (a torch module in eval mode). ``device``: "cpu", "cuda", ...; None: a GPU if there is one. A ``UserError`` if
    the file is not there, damaged or of something else.
    """
    return Model(*weights.load_model(path, default_device() if device is None else torch.device(device)))


def sample(
    model: Model,
    n: int,
    nfe: int = 50,
    sampler: str = "dpm_solver",
    label: int | None = None,
    seed: int = 0,
    batch_size: int = 50,
    on_batch: Callable[[int], None] = lambda n: None,
) -> np.ndarray:
    """``n`` images: ``(n, R, R, 3)`` uint8. Image i depends on model, nfe, sampler, label, seed and i, rounding apart.

    ``nfe``: network evaluations for each image, at least 1. ``sampler``: "dpm_solver", "ddim" or another of
    ``params.yaml``. ``label``: the class of all images, from 0; None: classes as often as in the training, or a model
    without classes. The noise of image i is the same for each label. ``batch_size``: images at a time.
    ``on_batch`` is told the size of each batch when it is done. In float32. A ``UserError`` for other arguments.
    """
    for name, value, least in (("n", n, 1), ("nfe", nfe, 1), ("seed", seed, 0), ("batch_size", batch_size, 1)):
        if value < least:
            raise UserError(f"{name} is {value}, but at least {least} is expected")
    if sampler not in SAMPLERS:
        raise UserError(f"sampler is {sampler!r}, but one of {', '.join(SAMPLERS)} is expected")
    config = model.config if label is None else of_label(model.config, label)
    images = np.empty((n, config.resolution, config.resolution, 3), np.uint8)
    for indices, batch in sample_images(model.network, config, sampler, nfe, seed, range(n), batch_size, PLAIN):
        images[indices] = batch
        on_batch(len(batch))
    return images


def of_label(config: ModelConfig, label: int) -> ModelConfig:
    """The same model with classes as often as if all training images had been of ``label``."""
    if config.num_classes is None:
        raise UserError(f"label is {label}, but the model was trained without classes; leave it out")
    if not 0 <= label < config.num_classes:
        raise UserError(f"label is {label}, but the model has the classes 0 to {config.num_classes - 1}")
    return dataclasses.replace(config, class_counts=tuple(int(i == label) for i in range(config.num_classes)))
