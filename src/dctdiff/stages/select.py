"""Choose the checkpoint of a run whose samples are nearest to the reference: "best of k".

The paper's numbers are those of the best of the saved checkpoints (protocol point 28). The choice
looks at the reference, so a table must say how many there were to choose from. Values are kept
beside the chosen weights as they come: after a kill, none is computed again.
"""

import hashlib
import json
import shutil
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from dctdiff.data.archive import decode_image, encode_jpeg
from dctdiff.metrics.features import Extractor, load_extractor
from dctdiff.metrics.frechet import Gaussian, added_up, frechet_distance
from dctdiff.models.execution import precision
from dctdiff.models.sampling import sample_images
from dctdiff.models.weights import load_model, read_config
from dctdiff.params.execution import ROUNDING_ONLY
from dctdiff.params.jobs import choices
from dctdiff.params.machine import read_machine
from dctdiff.params.select import SelectionSet
from dctdiff.pipeline import hardware
from dctdiff.pipeline.code import code_behind
from dctdiff.pipeline.command import run_stage
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import existing, read_json, replacing, sha256, write_json
from dctdiff.pipeline.progress import progress
from dctdiff.pipeline.record import Used
from dctdiff.pipeline.turns import first_says, in_order, is_first, meet, own, parts_of
from dctdiff.stages.evaluate import check_extractor, load_reference

PATHS = {
    "checkpoints": "folder of the candidates",
    "reference_file": "npz of the reference stage",
    "out_weights": "copy of the best of them, safetensors",
    "out_selection": "their values and the choice, JSON",
}

# Of the reference its file counts, of mixed_precision what it comes to here.
NOT_IN_VALUE = ROUNDING_ONLY | {"mixed_precision", "reference", "sample_batch_size", "batch_size"}


def candidates_in(folder: str) -> dict[Path, int | None]:
    """Checkpoint -> its step, in order; None for a release whose steps are not known."""
    paths = sorted(existing(folder).glob("*.safetensors"))
    if not paths:
        raise UserError(f"{folder} holds no checkpoint; run the stage weights again")
    return {path: int(path.stem) or None for path in paths}


def fingerprint(params: SelectionSet, reference_sha256: str, entries: dict[str, str]) -> str:
    """What the value of a checkpoint depends on beside its weights; ``entries`` of registries are in use."""
    identity = {
        # A key that is off counts as absent, so that a new one does not change the value of old params.
        "params": {key: value for key, value in params.model_dump(exclude=NOT_IN_VALUE).items() if value},
        "precision": precision(params, hardware.default_device()),
        "reference_sha256": reference_sha256,
        "code": code_behind("dctdiff.stages.select.distance", entries),
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def sampled_batches(
    weights: Path, params: SelectionSet, device: torch.device, parts: list[Sequence[int]]
) -> Iterator[np.ndarray]:
    """The images of one checkpoint after JPEG, ``(n, R, R, 3)`` uint8, those of one part after the other."""
    network, config = load_model(weights, device)
    size = max(map(len, parts), default=0)
    indices = [index for part in parts for index in part]
    batches = sample_images(network, config, params.sampler, params.nfe, params.seed, indices, size, params)
    for _, images in batches:
        yield np.stack([decode_image(encode_jpeg(image, params.jpeg_quality), "a sample") for image in images])


def distance(
    weights: Path, extractor: Extractor, reference: Gaussian, params: SelectionSet, label: str
) -> float | None:
    """Of the images of one checkpoint, which the processes share; None in all but the first."""
    device = hardware.default_device()
    parts = parts_of(range(params.n_images), params.sample_batch_size)

    def made() -> Iterator[np.ndarray]:
        for images in sampled_batches(weights, params, device, parts[own()]):
            batches = np.split(images, range(params.batch_size, len(images), params.batch_size))
            yield extractor.features(batches, device, lambda n: None)

    def arriving(bar) -> Iterator[np.ndarray]:
        for features in in_order(made(), len(parts)):
            bar.update(len(features))
            yield features

    with progress(label, params.n_images, "images") as bar:
        moments = added_up(arriving(bar))
    return frechet_distance(moments.gaussian(), reference) if is_first() else None


def values_of(
    digests: dict[Path, str], reference_path: str, params: SelectionSet, cache: Path
) -> dict[Path, float | None]:
    """Distance of each checkpoint, in the first process; ``cache``: values so far, by the digest of the weights."""
    reference, protocol = load_reference(reference_path)
    extractor = load_extractor(params.extractor, params.feature_resolution, hardware.default_device())
    check_extractor(reference_path, reference, protocol, extractor, params)
    known = first_says(lambda: read_json(cache, dict[str, float]) if cache.exists() else {})
    for index, (path, digest) in enumerate(digests.items(), start=1):
        if digest not in known:
            label = f"checkpoint {index} of {len(digests)}"
            known[digest] = distance(path, extractor, reference, params, label)
            if is_first():
                write_json(cache, known)
    return {path: known[digest] for path, digest in digests.items()}


def processes(paths: Namespace) -> int:
    """Processes that share the images of each candidate: as many as the training has."""
    return read_machine().of_run(Path(paths.out_weights).parent.name)


def main(paths: Namespace, params: SelectionSet) -> Used | None:
    meet()
    steps = first_says(lambda: candidates_in(paths.checkpoints))
    digests = first_says(lambda: {path: sha256(path) for path in steps})
    config = read_config(next(iter(steps)))
    entries = choices(config.space, config.network_kind, config.framework, sampler=params.sampler)
    values: dict[Path, float | None] = dict.fromkeys(steps)
    if len(steps) > 1:
        key = fingerprint(params, sha256(paths.reference_file), entries)
        cache = Path(paths.out_weights).parent / "selection" / f"{key}.json"
        values = values_of(digests, paths.reference_file, params, cache)
    if not is_first():
        return None
    best = min(steps, key=lambda path: values[path] or 0.0)  # of equal ones the earliest
    with replacing(paths.out_weights) as temporary:
        shutil.copyfile(best, temporary)
    _, protocol = load_reference(paths.reference_file)
    write_json(
        paths.out_selection,
        {
            "label": f"best of {len(steps)}",
            "k": len(steps),
            "step": steps[best],
            "value": values[best],
            "weights_sha256": digests[best],
            "candidates": [
                {"step": step, "value": values[path], "weights_sha256": digests[path]} for path, step in steps.items()
            ],
            **params.model_dump(include={"sampler", "nfe", "n_images", "jpeg_quality", "seed", "mixed_precision"}),
            "precision": precision(params, hardware.default_device()),
            "protocol": {**protocol, "reference_sha256": sha256(paths.reference_file)},
        },
    )
    return Used(entries | {"EXTRACTORS": params.extractor})


if __name__ == "__main__":
    run_stage(main, PATHS, SelectionSet, on_gpu=True, processes=processes)
