"""Send held-out images through a codec and JPEG: the best that samples of it could look like."""

from argparse import Namespace
from collections.abc import Iterable, Iterator
from types import SimpleNamespace

import numpy as np
import torch

from dctdiff.data.archive import count_images, encode_jpeg, image_batches, write_archive
from dctdiff.models.config import codec_of, codec_values
from dctdiff.params.forms import MeasuredCodec
from dctdiff.params.round_trip import RoundTrip
from dctdiff.pipeline.command import run_stage
from dctdiff.pipeline.files import read_json, sha256
from dctdiff.pipeline.hardware import default_device
from dctdiff.pipeline.progress import progress
from dctdiff.pipeline.record import Used
from dctdiff.registry.spaces import SPACES

PATHS = {
    "images": "archive of the held-out images",
    "statistics": "statistics of the codec",
    "out_images": "archive of what comes back",
}

BATCH_SIZE = 100


def round_trip(batches: Iterable[np.ndarray], statistics: dict) -> Iterator[np.ndarray]:
    """Batches of ``(n, R, R, 3)`` uint8 through the codec of a statistics file and back."""
    codec = codec_of(SimpleNamespace(**codec_values(statistics)))
    device = default_device() if needs_gpu(statistics) else torch.device("cpu")
    for batch in batches:
        yield codec.decode(codec.encode(torch.from_numpy(batch).to(device))).cpu().numpy()


def needs_gpu(statistics: dict) -> bool:
    """An autoencoder does; all else is quick on a CPU."""
    return statistics["space"] == "latent"


def entries(images: str, statistics: dict, jpeg_quality: int) -> Iterator[tuple[str, bytes]]:
    with progress("round trip", count_images(images), "images") as bar:
        for batch in round_trip(image_batches(images, BATCH_SIZE), statistics):
            for image in batch:
                yield f"{bar.n:08d}.jpg", encode_jpeg(image, jpeg_quality)
                bar.update()


def main(paths: Namespace, params: RoundTrip) -> Used:
    statistics = read_json(paths.statistics, MeasuredCodec)
    # The paper's samples of the two spaces differ in their quality (protocol point 17).
    in_blocks = SPACES[statistics["space"]].has_blocks
    jpeg_quality = params.dct_jpeg_quality if in_blocks else params.pixel_jpeg_quality
    record = {
        "stage": "round_trip",
        "jpeg_quality": jpeg_quality,
        "images_sha256": sha256(paths.images),
        "statistics_sha256": sha256(paths.statistics),
    }
    write_archive(paths.out_images, entries(paths.images, statistics, jpeg_quality), record)
    return Used({"SPACES": statistics["space"]})


if __name__ == "__main__":
    run_stage(
        main, PATHS, RoundTrip, on_gpu=lambda command: needs_gpu(read_json(command.paths.statistics, MeasuredCodec))
    )
