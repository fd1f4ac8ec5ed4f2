"""Generate the images of one cell from the EMA weights of its run."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import torch
from accelerate import PartialState

from dctdiff.archive import encode_jpeg, read_entries, write_archive, write_grid
from dctdiff.command import parse_command, run_stage
from dctdiff.errors import UserError
from dctdiff.files import sha256
from dctdiff.launch import relaunch_with
from dctdiff.model import ModelConfig, load_model
from dctdiff.params.sample import Cell
from dctdiff.progress import progress
from dctdiff.sampling import sample_images

MODULE = "dctdiff.stages.sample"


def share(n_images: int, rank: int, processes: int) -> range:
    """The images of one process: contiguous, and all shares together are all images."""
    return range(n_images * rank // processes, n_images * (rank + 1) // processes)


def generate(network, config: ModelConfig, cell: Cell, indices: range) -> Iterator[tuple[str, bytes]]:
    batches = sample_images(network, config, cell.sampler, cell.nfe, cell.seed, indices, cell.batch_size)
    with progress("sample", len(indices), "images") as bar:
        for batch, images in batches:
            for index, image in zip(batch, images, strict=True):
                yield f"{index:08d}.jpg", encode_jpeg(image, cell.jpeg_quality)
            bar.update(len(batch))


def joined(parts: list[Path]) -> Iterator[tuple[str, bytes]]:
    for part in parts:
        yield from read_entries(part)


def main() -> None:
    paths, cell = parse_command(
        __doc__,
        {
            "weights": "EMA weights of the run",
            "out_samples": "archive of the images",
            "out_grid": "picture of some of them",
        },
        Cell,
    )
    relaunch_with(cell.processes, MODULE)
    state = PartialState(cpu=not torch.cuda.is_available())
    if state.num_processes != cell.processes:
        raise UserError(f"processes is {cell.processes}, but {state.num_processes} were launched")
    network, config = load_model(paths.weights, state.device)
    record = {
        "stage": "sample",
        **cell.model_dump(exclude={"batch_size", "processes"}),
        "model": dataclasses.asdict(config),
        "parameters": sum(weight.numel() for weight in network.parameters()),
        "weights_sha256": sha256(paths.weights),
    }

    if state.num_processes == 1:
        write_archive(paths.out_samples, generate(network, config, cell, range(cell.n_images)), record)
    else:
        parts = [Path(f"{paths.out_samples}.part{rank}") for rank in range(state.num_processes)]
        indices = share(cell.n_images, state.process_index, state.num_processes)
        write_archive(parts[state.process_index], generate(network, config, cell, indices), record)
        state.wait_for_everyone()
        if not state.is_main_process:
            return
        write_archive(paths.out_samples, joined(parts), record)
        for part in parts:
            part.unlink()
    write_grid(paths.out_grid, paths.out_samples)


if __name__ == "__main__":
    run_stage(main)
