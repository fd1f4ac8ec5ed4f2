"""Generate the images of one cell from the EMA weights of its run."""

import dataclasses
import itertools
from argparse import Namespace
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from accelerate import PartialState

from dctdiff.data.archive import coding_threads, encode_jpeg, read_entries, write_archive, write_grid
from dctdiff.models.config import ModelConfig
from dctdiff.models.execution import precision
from dctdiff.models.sampling import image_labels, sample_images
from dctdiff.models.weights import load_model
from dctdiff.params.execution import ROUNDING_ONLY
from dctdiff.params.jobs import choices
from dctdiff.params.machine import read_machine
from dctdiff.params.sample import Cell
from dctdiff.pipeline.command import run_stage
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import sha256
from dctdiff.pipeline.progress import progress
from dctdiff.pipeline.record import Used

PATHS = {
    "weights": "EMA weights, of the run's last step or of its selection",
    "out_samples": "archive of the images",
    "out_grid": "picture of some of them",
}


def file_names(config: ModelConfig, cell: Cell) -> dict[int, str]:
    """Index -> name of each image, sorted by name; of a conditional model the label comes first."""
    indices = range(cell.n_images)
    labels = image_labels(config, cell.seed, indices)
    if labels is None:
        return {index: f"{index:08d}.jpg" for index in indices}
    names = {index: f"{label:04d}_{index:08d}.jpg" for index, label in zip(indices, labels, strict=True)}
    return dict(sorted(names.items(), key=lambda item: item[1]))


def share(indices: Sequence[int], rank: int, processes: int) -> Sequence[int]:
    """The images of one process: contiguous, and all shares together are all images."""
    return indices[len(indices) * rank // processes : len(indices) * (rank + 1) // processes]


def generate(
    network, config: ModelConfig, cell: Cell, names: dict[int, str], indices: Sequence[int]
) -> Iterator[tuple[str, bytes]]:
    batches = sample_images(network, config, cell.sampler, cell.nfe, cell.seed, indices, cell.batch_size, cell)
    threads = coding_threads(config.resolution)
    encoded = deque()  # of at most two batches: one is written while the next is generated
    with progress("sample", len(indices), "images") as bar, ThreadPoolExecutor(threads) as pool:
        for batch, images in batches:
            encoded.append((batch, pool.map(encode_jpeg, images, itertools.repeat(cell.jpeg_quality))))
            if len(encoded) == 2:
                yield from named(*encoded.popleft(), names)
            bar.update(len(batch))
        yield from named(*encoded.pop(), names)


def named(batch: Sequence[int], files: Iterable[bytes], names: dict[int, str]) -> Iterator[tuple[str, bytes]]:
    return zip((names[index] for index in batch), files, strict=True)


def joined(parts: list[Path]) -> Iterator[tuple[str, bytes]]:
    for part in parts:
        yield from read_entries(part)


def processes(paths: Namespace) -> int:
    """Processes that share the images."""
    return read_machine().of_cell(Path(paths.out_samples).stem)


def main(paths: Namespace, cell: Cell) -> Used | None:
    state = PartialState(cpu=not torch.cuda.is_available())
    if state.num_processes > cell.n_images:
        raise UserError(f"there are only {cell.n_images} images for {state.num_processes} processes; start fewer")
    network, config = load_model(paths.weights, state.device)
    model = dataclasses.asdict(config) | {"num_classes": config.num_classes}
    del model["class_counts"]  # long, and the names tell the labels
    record = {
        "stage": "sample",
        **cell.model_dump(exclude=ROUNDING_ONLY | {"batch_size"}),
        "precision": precision(cell, state.device),
        "model": model,
        "parameters": sum(weight.numel() for weight in network.parameters()),
        "weights_sha256": sha256(paths.weights),
    }

    names = file_names(config, cell)
    indices = share(list(names), state.process_index, state.num_processes)
    images = generate(network, config, cell, names, indices)
    if state.num_processes == 1:
        write_archive(paths.out_samples, images, record)
    else:
        parts = [Path(f"{paths.out_samples}.part{rank}") for rank in range(state.num_processes)]
        write_archive(parts[state.process_index], images, record)
        state.wait_for_everyone()
        state.destroy_process_group()  # no one waits for the joining
        if not state.is_main_process:
            return None
        write_archive(paths.out_samples, joined(parts), record)
        for part in parts:
            part.unlink()
    write_grid(paths.out_grid, paths.out_samples)
    return Used(choices(config.space) | {"SAMPLERS": cell.sampler})


if __name__ == "__main__":
    run_stage(main, PATHS, Cell, on_gpu=True, processes=processes)
