"""The identity of a training run: all that can change its numbers, and nothing else."""

import dataclasses
import json

from dctdiff.models.config import ModelConfig
from dctdiff.models.execution import precision
from dctdiff.params.jobs import choices
from dctdiff.params.train import NOT_IN_IDENTITY, Run
from dctdiff.pipeline.code import meaning
from dctdiff.pipeline.hardware import default_device

# Where the numbers of a run are computed. With what these reach they are the code that counts; a
# test runs a step and looks whether everything that it calls is among it.
STEP = (
    "dctdiff.models.step.accelerator_of",
    "dctdiff.models.step.Learner.step",
    "dctdiff.models.batches.loaded_batches",
)
FROM_IMAGES = ("eta", "class_counts")  # of the model's config


def training_code(run: Run, config: ModelConfig) -> dict[str, str]:
    """Name -> digest of each definition behind a step of training (``dctdiff.pipeline.code``).

    Params count by their values in ``run_identity``, not by the code that checks them; an autoencoder by its digest,
    not by the code that fetches it.
    """
    chosen = choices(config.space, run.network, run.framework, run.optimizer)
    return meaning(STEP, chosen=chosen, without=("params", "data"))


def run_identity(run: Run, config: ModelConfig, weights: list[float], images_sha256: dict, made: dict) -> dict:
    """Plain JSON values: params, model, weights of the loss, images, arithmetic and code.

    ``images_sha256``: digests of the pixels and labels that are trained on; ``made``: the record of the
    images' archive, which holds the params by which they were cropped.
    """
    identity = {
        "run": run.model_dump(exclude=NOT_IN_IDENTITY | {"mixed_precision"}),
        "precision": precision(run, default_device()),
        "model": _without_places(dataclasses.asdict(config)),
        "weights": weights,
        "images_sha256": images_sha256,
        "images_made": made,
        "code": training_code(run, config),
    }
    return json.loads(json.dumps(identity))


def _without_places(model: dict) -> dict:
    """Of the autoencoder the digest counts, not where its file lies."""
    if model["autoencoder"] is not None:
        model["autoencoder"] |= {"file": None, "url": None}
    return model


def same_params(found: dict, wanted: dict) -> bool:
    """Whether two identities are of one run and images as params.yaml describes them, however these came out.

    A key that ``found`` lacks is newer than it, and had its default then.
    """
    defaults = {
        "run": {name: field.default for name, field in Run.model_fields.items()},
        "model": {field.name: field.default for field in dataclasses.fields(ModelConfig)},
    }
    same = all(found.get(key, wanted[key]) == wanted[key] for key in ("precision", "images_made"))
    return same and all(
        found.get(group, {}).get(key, defaults[group][key]) == value
        for group in defaults
        for key, value in wanted[group].items()
        if key not in FROM_IMAGES
    )


def same_images(found: dict, wanted: dict) -> bool:
    """Whether two identities agree in the images and in what was measured of them."""
    measured = all(found.get("model", {}).get(key) == wanted["model"].get(key) for key in FROM_IMAGES)
    return measured and all(found.get(key) == wanted[key] for key in ("weights", "images_sha256"))
