"""Encode the training images once, for a latent space: by its autoencoder, each image and its mirror image.

The values are stored in float32. In float16 the rounding of a mean is larger than the standard deviation that stands
beside it, and nothing could be drawn; they are a third as many bytes as the pixels all the same.
"""

from argparse import Namespace
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np

from dctdiff.data.archive import count_images, image_batches
from dctdiff.data.packing import write_array
from dctdiff.params.statistics import Codec
from dctdiff.pipeline.command import run_stage
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import write_text
from dctdiff.pipeline.record import Used

PATHS = {
    "images": "archive of the training images",
    "out_latents": "means and log-variances of each image and of its mirror image, (N, 2, 8, R / 8, R / 8) float32, "
    "npy; of another space an empty file",
}

BATCH_SIZE = 16  # images


def moments(batches: Iterator[np.ndarray], resolution: int, codec: Codec) -> Iterator[np.ndarray]:
    """``(n, R, R, 3)`` uint8 -> ``(n, 2, 8, r, r)`` float32."""
    # Here: of other spaces the stage has nothing to do, and needs neither.
    import torch

    from dctdiff.models.config import codec_of, codec_values
    from dctdiff.pipeline.hardware import default_device

    encoder = codec_of(SimpleNamespace(**codec_values({**codec.model_dump(), "resolution": resolution})))
    for batch in batches:
        images = torch.from_numpy(batch).to(default_device())
        yield torch.stack([encoder.moments(images), encoder.moments(images.flip(2))], dim=1).cpu().numpy()


def main(paths: Namespace, codec: Codec) -> Used:
    if codec.space != "latent":
        write_text(paths.out_latents, "")  # DVC, which has no conditions, wants one of each codec
        return Used({"SPACES": codec.space})
    resolution = next(image_batches(paths.images, 1, 1)).shape[1]
    if resolution % codec.token_side:
        raise UserError(f"{paths.images}: {resolution} pixels are not divisible by tokens of {codec.token_side}")
    encoded = moments(image_batches(paths.images, BATCH_SIZE), resolution, codec)
    write_array(paths.out_latents, encoded, count_images(paths.images), "latents")
    return Used({"SPACES": codec.space})


if __name__ == "__main__":
    run_stage(main, PATHS, Codec, on_gpu=lambda command: command.params.space == "latent")
