"""Decode the training images once, into one array that training maps into memory."""

from dctdiff.data.packing import write_pixels
from dctdiff.pipeline.command import parse_command, run_stage


def main() -> None:
    paths, _ = parse_command(
        __doc__,
        {
            "images": "archive of the training images",
            "out_pixels": "their pixels in the order of the names, (N, R, R, 3) uint8, npy",
        },
    )
    write_pixels(paths.out_pixels, paths.images)


if __name__ == "__main__":
    run_stage(main)
