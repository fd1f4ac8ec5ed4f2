"""Turn the downloaded images into training and held-out images of one size."""

from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np

from dctdiff.data.archive import (
    BadImage,
    bad_images,
    decode_image,
    encode_jpeg,
    open_archive,
    read_entries,
    read_member,
    read_record,
    write_archive,
    write_grid,
)
from dctdiff.data.cropping import box_crop, center_crop, orientation, photograph, random_crop
from dctdiff.params.crop import Crop
from dctdiff.pipeline.command import run_stage
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.progress import progress
from dctdiff.pipeline.slice import together

PATHS = {
    "source": "archive of the download stage",
    "out_train": "archive of the training images",
    "out_heldout": "archive of the held-out images",
    "out_grid": "picture of some training images",
}

JPEG_START = b"\xff\xd8\xff"
CENTER_SHARE = 0.1  # of the training images, which serve as held-out ones where nothing else is said
JPEG_SUFFIXES = (".jpg", ".jpeg")


def random_crops(source: str, split: str, crop: Crop, indices: range) -> Iterator[tuple[str, bytes]]:
    """Crops of the photographs of one split; a source without a split of its own serves both."""
    entries = list(read_entries(source))
    own = [entry for entry in entries if entry[0].startswith(f"{split}/")] or entries
    photographs, bad = [], []
    for name, content in own:
        try:
            photographs.append((PurePosixPath(name).stem, photograph(content, name)))
        except BadImage as error:
            bad.append(error)
    if bad:
        raise bad_images(source, bad)
    with progress("crop", len(indices), "images") as bar:
        for index in indices:
            name, image = random_crop(photographs, crop.crop_sides, crop.resolution, crop.seed, index)
            yield f"{name}/{index:08d}.jpg", encode_jpeg(image, crop.jpeg_quality)
            bar.update()


def chosen_names(source: str, split: str, n_heldout: int | None, share: float | None = None) -> list[str]:
    """Names in the source of the images of one split, sorted.

    A source without held-out images lends ``n_heldout`` of its training images, evenly spaced; if that is None, the
    ``share`` of them.
    """
    with open_archive(source) as archive:
        names = sorted(archive.namelist())
    train = [name for name in names if name.startswith("train/")]
    if not train:
        raise UserError(f"{source} has no training images; run the download stage again")
    own = train if split == "train" else [name for name in names if name.startswith(f"{split}/")]
    if split == "train" or (own and n_heldout is None):
        return own
    if n_heldout is None and share is not None:
        n_heldout = max(2, round(share * len(train)))
    if n_heldout is None:
        raise UserError(f"{source} has no held-out images; set n_heldout to take some training images instead")
    own = own or train
    if n_heldout > len(own):
        raise UserError(f"n_heldout is {n_heldout}, but {source} has only {len(own)} such images; lower it")
    return [own[index * len(own) // n_heldout] for index in range(n_heldout)]


def new_name(name: str, crop: Crop) -> str:
    """The name without its split; as a JPEG file where it becomes one."""
    path = PurePosixPath(name).relative_to(PurePosixPath(name).parts[0])
    is_jpeg = path.suffix.lower() in JPEG_SUFFIXES
    return str(path if crop.method == "none" or is_jpeg else path.with_suffix(".jpg"))


def finished(content: bytes, crop: Crop, name: str) -> bytes:
    """The file of one image of the set; every image is decoded, so none is broken or of another size."""
    if crop.method == "box":
        image = np.asarray(photograph(content, name))
        return encode_jpeg(box_crop(image, crop.box, crop.resolution, name), crop.jpeg_quality)
    if crop.method == "center":
        return encode_jpeg(center_crop(np.asarray(photograph(content, name)), crop.resolution), crop.jpeg_quality)
    image = decode_image(content, name)
    if turned := orientation(content):
        raise BadImage(
            f"{name} has the EXIF orientation {turned}, which method {crop.method} leaves as it is",
            "turn it upright or choose another crop method",
        )
    if image.shape[:2] != (crop.resolution, crop.resolution):
        raise BadImage(
            f"{name} has {image.shape[1]} x {image.shape[0]} pixels, but resolution is {crop.resolution}",
            "choose another crop method or resolution",
        )
    if crop.method == "none" or content.startswith(JPEG_START):
        return content
    return encode_jpeg(np.ascontiguousarray(image), crop.jpeg_quality)  # protocol point 5


def new_names(source: str, names: list[str], crop: Crop) -> list[str]:
    made = [new_name(name, crop) for name in names]
    twice = [name for name, count in Counter(made).items() if count > 1]
    if twice:
        raise UserError(
            f"{source}: two images would be called {together(twice)}; rename one of them where they come from"
        )
    return made


def whole_images(source: str, names: list[str], crop: Crop) -> Iterator[tuple[str, bytes]]:
    """One image for each of the names in the source; a UserError at the end names all that are bad."""
    bad = []
    with open_archive(source) as archive, progress("crop", len(names), "images") as bar:
        for name, made in zip(names, new_names(source, names, crop), strict=True):
            try:
                yield made, finished(read_member(archive, name), crop, name)
            except BadImage as error:
                bad.append(error)
            bar.update()
    if bad:
        raise bad_images(source, bad)


def unfit_counts(source: str) -> dict[str, int]:
    """How many images of the source could not be used as they were, by what became of them."""
    return {key: count for key, count in read_record(source).items() if key in ("left_out", "converted")}


def main(paths: Namespace, crop: Crop) -> None:
    record = {"stage": "crop", **crop.model_dump(exclude_none=True), **unfit_counts(paths.source)}
    if crop.method == "random":
        first, end = crop.n_train, crop.n_train + crop.n_heldout
        train = random_crops(paths.source, "train", crop, range(first))
        heldout, origin = random_crops(paths.source, "heldout", crop, range(first, end)), "heldout"
    else:
        share = CENTER_SHARE if crop.method == "center" else None
        names = chosen_names(paths.source, "heldout", crop.n_heldout, share)  # first, since this may fail
        train = whole_images(paths.source, chosen_names(paths.source, "train", None), crop)
        heldout, origin = whole_images(paths.source, names, crop), names[0].partition("/")[0]
    write_archive(paths.out_train, train, {**record, "split": "train"})
    write_archive(paths.out_heldout, heldout, {**record, "split": origin})
    write_grid(paths.out_grid, paths.out_train)


if __name__ == "__main__":
    run_stage(main, PATHS, Crop)
