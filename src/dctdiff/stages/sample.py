"""Generate the images of one cell from the EMA weights of its run."""

import dataclasses
import itertools
from argparse import Namespace
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dctdiff.data.archive import coding_threads, encode_jpeg, write_archive, write_class_grid, write_grid
from dctdiff.models.config import ModelConfig
from dctdiff.models.execution import precision
from dctdiff.models.sampling import image_labels, sample_images
from dctdiff.models.weights import load_model
from dctdiff.params.execution import ROUNDING_ONLY
from dctdiff.params.jobs import choices
from dctdiff.params.machine import read_machine
from dctdiff.params.sample import Cell
from dctdiff.pipeline.command import run_stage
from dctdiff.pipeline.files import sha256
from dctdiff.pipeline.progress import progress
from dctdiff.pipeline.record import Used
from dctdiff.pipeline.turns import in_order, is_first, meet, own, parts_of

PATHS = {
    "weights": "EMA weights, of the run's last step or of its selection",
    "out_samples": "archive of the images",
    "out_grid": "picture of some of them, with a row for each class if there are classes",
}


def file_names(config: ModelConfig, cell: Cell) -> dict[int, str]:
    """Index -> name of each image, sorted by name; of a conditional model the label comes first."""
    indices = range(cell.n_images)
    labels = image_labels(config, cell.seed, indices)
    if labels is None:
        return {index: f"{index:08d}.jpg" for index in indices}
    names = {index: f"{label:04d}_{index:08d}.jpg" for index, label in zip(indices, labels, strict=True)}
    return dict(sorted(names.items(), key=lambda item: item[1]))


def generate(
    network, config: ModelConfig, cell: Cell, names: dict[int, str], parts: list[Sequence[int]]
) -> Iterator[list[tuple[str, bytes]]]:
    """Name and file of each image, those of one part after the other."""
    size = max(map(len, parts), default=0)
    indices = [index for part in parts for index in part]
    batches = sample_images(network, config, cell.sampler, cell.nfe, cell.seed, indices, size, cell)
    threads = coding_threads(config.resolution)
    encoded = deque()  # of at most two batches: one is written while the next is generated
    with ThreadPoolExecutor(threads) as pool:
        for batch, images in batches:
            encoded.append((batch, pool.map(encode_jpeg, images, itertools.repeat(cell.jpeg_quality))))
            if len(encoded) == 2:
                yield named(*encoded.popleft(), names)
        for last in encoded:
            yield named(*last, names)


def named(batch: Sequence[int], files: Iterable[bytes], names: dict[int, str]) -> list[tuple[str, bytes]]:
    return list(zip((names[index] for index in batch), files, strict=True))


def arriving(made: Iterable[list[tuple[str, bytes]]], n_parts: int, n_images: int) -> Iterator[tuple[str, bytes]]:
    """Name and file of each image of all processes, in the first of them."""
    with progress("sample", n_images, "images") as bar:
        for entries in in_order(made, n_parts):
            yield from entries
            bar.update(len(entries))


def processes(paths: Namespace) -> int:
    """Processes that share the images."""
    return read_machine().of_cell(Path(paths.out_samples).stem)


def main(paths: Namespace, cell: Cell) -> Used | None:
    device = meet()
    network, config = load_model(paths.weights, device)
    model = dataclasses.asdict(config) | {"num_classes": config.num_classes}
    del model["class_counts"]  # long, and the names tell the labels
    record = {
        "stage": "sample",
        **cell.model_dump(exclude=ROUNDING_ONLY | {"batch_size"}),
        "precision": precision(cell, device),
        "model": model,
        "parameters": sum(weight.numel() for weight in network.parameters()),
        "weights_sha256": sha256(paths.weights),
    }

    names = file_names(config, cell)
    parts = parts_of(list(names), cell.batch_size)
    images = arriving(generate(network, config, cell, names, parts[own()]), len(parts), cell.n_images)
    if not is_first():
        deque(images, maxlen=0)
        return None
    write_archive(paths.out_samples, images, record)
    draw = write_class_grid if config.num_classes else write_grid
    draw(paths.out_grid, paths.out_samples)
    return Used(choices(config.space, config.network_kind, config.framework, sampler=cell.sampler))


if __name__ == "__main__":
    run_stage(main, PATHS, Cell, on_gpu=True, processes=processes)
