"""The shapes that are measured: models of the paper suite, with random images in the place of its data sets."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dctdiff.models.config import ModelConfig, model_config
from dctdiff.params.suite import Suite, read_params
from dctdiff.params.train import Run

# Those whose official code was measured too (batch sizes of training and sampling there).
TRAINED = {"cifar10-dctdiff-m": 256, "celeba64-dctdiff-s": 256, "ffhq128-dctdiff-s": 256, "ffhq256-dctdiff-m": 64}
SAMPLED = {"cifar10-dctdiff-m": 500, "celeba64-dctdiff-s": 500, "ffhq128-dctdiff-s": 500, "ffhq256-dctdiff-m": 100}
# Several GPUs: run -> parts in which a GPU takes its images.
SCALED = {"cifar10-dctdiff-m": 1, "ffhq256-dctdiff-m": 4}
IMAGES_OF_A_GPU = 256
LARGEST_FILE = 2**28  # bytes of random images, about


def paper_suite() -> Suite:
    return Suite.model_validate(read_params("params.yaml")["suites"]["paper"])


def run_and_config(name: str, **changes) -> tuple[Run, ModelConfig]:
    """A run of the paper suite with ``changes``, and its model; eta only scales the values."""
    suite = paper_suite()
    run = Run.model_validate({**suite.runs[name].model_dump(exclude_none=True), **changes})
    resolution = suite.datasets[run.dataset].crop.resolution
    statistics = {**suite.codecs[run.codec].model_dump(), "resolution": resolution, "eta": 250.0}
    return run, model_config(run, statistics, (1,) * run.num_classes if run.num_classes else None)


@contextlib.contextmanager
def random_images(resolution: int, at_least: int) -> Iterator[np.ndarray]:
    """A memory-mapped file of random images ``(N, R, R, 3)`` uint8, as the stage pack writes it."""
    n_images = max(at_least, min(50_000, LARGEST_FILE // (3 * resolution**2)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.npy"
        shape = (n_images, resolution, resolution, 3)
        array = np.lib.format.open_memmap(path, "w+", dtype=np.uint8, shape=shape)
        generator = np.random.default_rng(0)
        for start in range(0, n_images, 1000):
            part = array[start : start + 1000]
            part[:] = generator.integers(0, 256, part.shape, dtype=np.uint8)
        array.flush()
        yield np.load(path, mmap_mode="r")
