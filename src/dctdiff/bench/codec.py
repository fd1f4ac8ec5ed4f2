"""The DCT codec, arrays in and out: images/s of one CPU core, and on the GPU beside its memory bandwidth."""

import argparse

import torch

from dctdiff.bench.measuring import cpu_seconds, gpu_seconds, write_result
from dctdiff.spaces.dct import DCTCodec

SIZES = ((32, 2, 4), (64, 2, 4), (128, 4, 9), (256, 4, 8))  # resolution, B, K
CPU_BYTES, GPU_BYTES = 2**21, 2**28  # of images at once


def rates(codec: DCTCodec, n_images: int, device: str) -> dict[str, float]:
    shape = (n_images, codec.resolution, codec.resolution, 3)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, device=device)
    tokens = codec.encode(images)
    seconds = cpu_seconds if device == "cpu" else gpu_seconds
    moved = images.numel() + 4 * tokens.numel()  # bytes: each input read once, each output written once
    result = {}
    for name, function, argument in (("encode", codec.encode, images), ("decode", codec.decode, tokens)):
        taken = seconds(lambda: function(argument))  # noqa: B023
        result[f"{name}_images_per_second"] = n_images / taken
        result[f"{name}_gb_per_second"] = moved / taken / 1e9
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("device", choices=("cpu", "cuda"))
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    device = arguments.device
    torch.set_num_threads(1)
    sizes = []
    for resolution, block_size, kept in SIZES:
        n_images = {"cpu": CPU_BYTES, "cuda": GPU_BYTES}[device] // (3 * resolution**2)
        measured = rates(DCTCodec(resolution, block_size, kept, eta=250.0), n_images, device)
        sizes.append({"resolution": resolution, "block_size": block_size, "kept_coefficients": kept, **measured})
    write_result(arguments.out, {"sizes": sizes})


if __name__ == "__main__":
    main()
