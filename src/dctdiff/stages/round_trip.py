"""Send held-out images through a codec and JPEG: the best that samples of it could look like."""

import numpy as np
import torch

from dctdiff.archive import encode_jpeg, read_images, write_archive
from dctdiff.codec import DCTCodec, PixelCodec
from dctdiff.command import parse_command, run_stage
from dctdiff.files import read_json, sha256
from dctdiff.params.round_trip import RoundTrip

BATCH_SIZE = 500


def round_trip(images: np.ndarray, statistics: dict) -> np.ndarray:
    """``(N, R, R, 3)`` uint8 through the codec of a statistics file and back."""
    if statistics["space"] == "pixel":
        codec = PixelCodec(statistics["resolution"])
    else:
        keys = ("resolution", "block_size", "kept_coefficients", "eta")
        codec = DCTCodec(*(statistics[key] for key in keys))
    batches = torch.from_numpy(images).split(BATCH_SIZE)
    return np.concatenate([codec.decode(codec.encode(batch)).numpy() for batch in batches])


def main() -> None:
    paths, params = parse_command(
        __doc__,
        {
            "images": "archive of the held-out images",
            "statistics": "statistics of the codec",
            "out_images": "archive of what comes back",
        },
        RoundTrip,
    )
    decoded = round_trip(read_images(paths.images), read_json(paths.statistics))
    entries = ((f"{i:08d}.jpg", encode_jpeg(image, params.jpeg_quality)) for i, image in enumerate(decoded))
    record = {
        "stage": "round_trip",
        "jpeg_quality": params.jpeg_quality,
        "images_sha256": sha256(paths.images),
        "statistics_sha256": sha256(paths.statistics),
    }
    write_archive(paths.out_images, entries, record)


if __name__ == "__main__":
    run_stage(main)
