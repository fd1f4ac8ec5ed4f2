"""Decode the training images once, into one array that training maps into memory."""

from argparse import Namespace

from dctdiff.data.packing import write_pixels
from dctdiff.pipeline.command import run_stage

PATHS = {
    "images": "archive of the training images",
    "out_pixels": "their pixels in the order of the names, (N, R, R, 3) uint8, npy",
}


def main(paths: Namespace) -> None:
    write_pixels(paths.out_pixels, paths.images)


if __name__ == "__main__":
    run_stage(main, PATHS)
