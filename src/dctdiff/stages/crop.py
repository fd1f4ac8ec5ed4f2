"""Turn the downloaded images into training and held-out images of one size."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from PIL import Image

from dctdiff.archive import decode_image, encode_jpeg, read_entries, write_archive, write_grid
from dctdiff.command import parse_command, run_stage
from dctdiff.cropping import random_crop
from dctdiff.errors import UserError
from dctdiff.params.crop import Crop
from dctdiff.progress import progress


def untouched(source: str, split: str, resolution: int) -> Iterator[tuple[str, bytes]]:
    """The files of one split, byte for byte, once they are known to have the right size."""
    for name, content in read_entries(source):
        if name.startswith(f"{split}/"):
            shape = decode_image(content, name).shape
            if shape != (resolution, resolution, 3):
                raise UserError(
                    f"{source}: {name} has {shape[1]} x {shape[0]} pixels, but resolution is {resolution}; "
                    "choose another crop method or resolution"
                )
            yield name.removeprefix(f"{split}/"), content


def random_crops(source: str, split: str, crop: Crop, indices: range) -> Iterator[tuple[str, bytes]]:
    """Crops of the photographs of one split; a source without a split of its own serves both."""
    entries = list(read_entries(source))
    own = [entry for entry in entries if entry[0].startswith(f"{split}/")] or entries
    photographs = [(PurePosixPath(name).stem, Image.fromarray(decode_image(content, name))) for name, content in own]
    with progress("crop", len(indices), "images") as bar:
        for index in indices:
            name, image = random_crop(photographs, crop.crop_sides, crop.resolution, crop.seed, index)
            yield f"{name}/{index:08d}.jpg", encode_jpeg(image, crop.jpeg_quality)
            bar.update()


def main() -> None:
    paths, crop = parse_command(
        __doc__,
        {
            "source": "archive of the download stage",
            "out_train": "archive of the training images",
            "out_heldout": "archive of the held-out images",
            "out_grid": "picture of some training images",
        },
        Crop,
    )
    record = {"stage": "crop", **crop.model_dump(exclude_none=True)}
    for split, path in (("train", paths.out_train), ("heldout", paths.out_heldout)):
        if crop.method == "none":
            entries = untouched(paths.source, split, crop.resolution)
        else:
            first = 0 if split == "train" else crop.n_train
            n_images = crop.n_train if split == "train" else crop.n_heldout
            entries = random_crops(paths.source, split, crop, range(first, first + n_images))
        write_archive(path, entries, {**record, "split": split})
    write_grid(paths.out_grid, paths.out_train)


if __name__ == "__main__":
    run_stage(main)
