"""The crop stage: the paper's crops byte for byte, held-out images, and images that do not fit."""

import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from pydantic import ValidationError

from dctdiff.data.archive import read_entries, read_record, write_archive
from dctdiff.data.cropping import box_crop, center_crop
from dctdiff.params.crop import Crop
from dctdiff.pipeline.errors import UserError
from dctdiff.stages import crop
from engines import call

BOX = [25, 57, 153, 185]  # of CelebA, protocol point 3
OUTPUTS = ("train.zip", "heldout.zip", "grid.png")


def picture(index: int, width: int = 16, height: int = 16, mode: str = "RGB") -> Image.Image:
    shape = (height, width, 3) if mode == "RGB" else (height, width)
    noise = np.random.default_rng(index).integers(0, 256, shape, dtype=np.uint8)
    return Image.fromarray(noise)


def saved(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Crop the given files (name with split -> bytes) and give back the training and held-out images."""
    monkeypatch.chdir(tmp_path)

    def stage(files: dict[str, bytes], **keys) -> tuple[dict[str, bytes], dict[str, bytes]]:
        write_archive("source.zip", files.items(), {})
        words = [
            w for key, value in keys.items() for w in (f"--{key}", *(value if isinstance(value, list) else [value]))
        ]
        outputs = [w for name in OUTPUTS for w in (f"--out_{name.partition('.')[0]}", name)]
        monkeypatch.setattr(sys, "argv", ["crop", "--source", "source.zip", *map(str, words), *outputs])
        call(crop)
        return dict(read_entries("train.zip")), dict(read_entries("heldout.zip"))

    return stage


# The paper's crops


def test_celeba_is_cut_and_resized_as_in_the_paper(run):
    """Protocol point 3, put together here from numpy's slices and PIL's defaults."""
    sources = {f"train/{i:06d}.jpg": saved(picture(i, 178, 218), "JPEG", quality=95) for i in range(3)}
    train, heldout = run(sources, method="box", box=BOX, resolution=64, jpeg_quality=75, n_heldout=2)
    assert list(train) == ["000000.jpg", "000001.jpg", "000002.jpg"]
    for name, content in train.items():
        with Image.open(io.BytesIO(sources[f"train/{name}"])) as image:
            cut = np.asarray(image)[121 - 64 : 121 + 64, 89 - 64 : 89 + 64]
        assert content == saved(Image.fromarray(cut).resize((64, 64)), "JPEG")
    assert heldout == {name: train[name] for name in ("000000.jpg", "000001.jpg")}


def test_no_pixel_outside_the_box_counts():
    image = np.full((32, 32, 3), 255, dtype=np.uint8)
    image[8:24, 4:20] = 100
    assert (box_crop(image, [4, 8, 20, 24], 4, "a.jpg") == 100).all()


@pytest.mark.parametrize(("width", "height"), [(48, 24), (24, 48), (24, 24), (16, 8)])
def test_center_is_the_middle_of_the_resized_image(width, height):
    """To the rounding of PIL, by its resize of the whole image, whose long side comes out whole here."""
    image, side = picture(1, width, height), min(width, height)
    whole = image.resize((width * 8 // side, height * 8 // side), Image.Resampling.BICUBIC)
    left, top = (whole.width - 8) // 2, (whole.height - 8) // 2
    expected = np.asarray(whole).astype(int)[top : top + 8, left : left + 8]
    assert abs(center_crop(np.asarray(image), 8) - expected).max() <= 1


def test_center_takes_images_of_any_size(run):
    sides = {"cat/a": (90, 9), "cat/b": (8, 8), "dog/c": (3, 7), "dog/d": (33, 64)}
    files = {f"train/{name}.png": saved(picture(1, *size), "PNG") for name, size in sides.items()}
    train, heldout = run(files, method="center", resolution=8, jpeg_quality=75, n_heldout=2)
    assert list(train) == [f"{name}.jpg" for name in sides] and list(heldout) == ["cat/a.jpg", "dog/c.jpg"]
    for content in train.values():
        with Image.open(io.BytesIO(content)) as made:
            assert (made.format, made.size) == ("JPEG", (8, 8))
    with Image.open(io.BytesIO(train["cat/b.jpg"])) as same:  # nothing is resized
        assert saved(picture(1, 8, 8), "JPEG") == train["cat/b.jpg"] and same.mode == "RGB"


def turned(image: Image.Image, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(image, "JPEG", quality=95, exif=exif)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_upright_for_every_method_that_makes_new_images(run, orientation):
    """As the same picture, turned by PIL itself, that says nothing of an orientation."""
    content = turned(picture(1, 24, 16), orientation)
    with Image.open(io.BytesIO(content)) as image:
        upright = saved(ImageOps.exif_transpose(image), "PNG")
    for keys in (
        {"method": "center"},
        {"method": "box", "box": [2, 3, 14, 15]},
        {"method": "random", "crop_sides": [9, 16], "n_train": 4, "seed": 1},
    ):
        shared = {"resolution": 8, "jpeg_quality": 75, "n_heldout": 2, **keys}
        found = [run({f"train/{i}.jpg": file for i in "ab"}, **shared)[0] for file in (content, upright)]
        assert found[0] == found[1], keys["method"]


@pytest.mark.parametrize("keys", [{"method": "none"}, {"method": "convert", "jpeg_quality": 75}])
def test_methods_that_keep_files_refuse_turned_ones(run, keys):
    message = r"train/9\.jpg has the EXIF orientation 6, which method .* leaves as it is; turn it upright or choose"
    with pytest.raises(UserError, match=message):
        run(TRAIN | {"train/9.jpg": turned(picture(1), 6)}, resolution=16, n_heldout=2, **keys)


def test_the_count_of_unfit_images_goes_with_the_crops(run, monkeypatch):
    run(TRAIN, method="center", resolution=8, jpeg_quality=75, n_heldout=2)
    assert "left_out" not in read_record("heldout.zip")
    monkeypatch.setattr(crop, "read_record", lambda path: {"stage": "download", "left_out": 3, "converted": 2})
    run(TRAIN, method="center", resolution=8, jpeg_quality=75, n_heldout=2)
    for name in ("train.zip", "heldout.zip"):
        found = read_record(name)
        assert (found["stage"], found["left_out"], found["converted"]) == ("crop", 3, 2)


def test_convert_keeps_jpeg_files_and_makes_others_jpeg(run):
    """Protocol point 5."""
    files = {
        "a/0.jpg": saved(picture(0), "JPEG", quality=30),
        "a/1.JPEG": saved(picture(1), "JPEG", quality=30),
        "b.c/2.png": saved(picture(2), "PNG"),
        "b.c/3.png": saved(picture(3, mode="L"), "PNG"),
        "4.jpg": saved(picture(4), "PNG"),
        "5.png": saved(picture(5), "JPEG", quality=30),
    }
    keys = {"method": "convert", "resolution": 16, "jpeg_quality": 75, "n_heldout": 2}
    train, heldout = run({f"train/{name}": content for name, content in files.items()}, **keys)
    assert train == {
        "4.jpg": saved(picture(4), "JPEG"),
        "5.jpg": files["5.png"],
        "a/0.jpg": files["a/0.jpg"],
        "a/1.JPEG": files["a/1.JPEG"],
        "b.c/2.jpg": saved(picture(2), "JPEG"),
        "b.c/3.jpg": saved(picture(3, mode="L").convert("RGB"), "JPEG"),
    }
    assert list(heldout) == ["4.jpg", "a/1.JPEG"]


def test_none_keeps_every_byte(run):
    files = {"train/cat/1.png": saved(picture(1), "PNG"), "heldout/dog/2.jpg": saved(picture(2), "JPEG", quality=30)}
    train, heldout = run(files, method="none", resolution=16)
    assert train == {"cat/1.png": files["train/cat/1.png"]}
    assert heldout == {"dog/2.jpg": files["heldout/dog/2.jpg"]}
    assert sorted(os.listdir()) == sorted(["source.zip", *OUTPUTS])


# Held-out images

JPEGS = {f"{i}.jpg": saved(picture(i), "JPEG") for i in range(6)}
TRAIN = {f"train/{name}": content for name, content in JPEGS.items()}


def test_a_source_without_held_out_images_lends_training_images_and_says_so(run):
    train, heldout = run(TRAIN, method="none", resolution=16, n_heldout=3)
    assert train == JPEGS
    assert heldout == {name: JPEGS[name] for name in ("0.jpg", "2.jpg", "4.jpg")}
    assert read_record("heldout.zip")["split"] == "train" and read_record("train.zip")["split"] == "train"


def test_held_out_images_of_the_source_come_first(run):
    own = {f"heldout/{i}.jpg": saved(picture(10 + i), "JPEG") for i in range(4)}
    for n_heldout, expected in ((None, [0, 1, 2, 3]), (2, [0, 2])):
        keys = {"n_heldout": n_heldout} if n_heldout else {}
        train, heldout = run(TRAIN | own, method="none", resolution=16, **keys)
        assert train == JPEGS
        assert heldout == {f"{i}.jpg": own[f"heldout/{i}.jpg"] for i in expected}
        assert read_record("heldout.zip")["split"] == "heldout"


def test_random_crops_of_the_splits_are_different_crops(run):
    keys = {"method": "random", "resolution": 8, "crop_sides": [8, 16], "seed": 1, "jpeg_quality": 75}
    train, heldout = run(TRAIN, **keys, n_train=5, n_heldout=3)
    numbers = [sorted(int(name[-12:-4]) for name in images) for images in (train, heldout)]
    assert numbers == [[0, 1, 2, 3, 4], [5, 6, 7]]
    assert read_record("heldout.zip")["split"] == "heldout"


# Images that do not fit

BAD = {
    "size": (saved(picture(1, 16, 17), "JPEG"), r"has 16 x 17 pixels, but resolution is 16"),
    "alpha": (saved(picture(1).convert("RGBA"), "PNG"), "has the mode RGBA"),
    "palette": (saved(picture(1).convert("P"), "PNG"), "has the mode P"),
    "cmyk": (saved(picture(1).convert("CMYK"), "JPEG"), "has the mode CMYK"),
    "cut": (saved(picture(1), "JPEG")[:-60], "cannot be decoded"),
    "bytes": (b"<html>", "cannot be decoded"),
}


@pytest.mark.parametrize("method", ["none", "convert"])
@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD)
def test_an_image_that_does_not_fit_is_named_and_the_old_archives_stay(run, content, message, method):
    for name in OUTPUTS:
        Path(name).write_text("old")
    keys = {"method": method, "resolution": 16, "n_heldout": 2} | ({"jpeg_quality": 75} if method == "convert" else {})
    with pytest.raises(UserError, match=rf"source\.zip: train/9\.jpg {message}.*; ") as caught:
        run(TRAIN | {"train/9.jpg": content}, **keys)
    assert "\n" not in str(caught.value)
    assert sorted(os.listdir()) == sorted(["source.zip", *OUTPUTS])
    assert [Path(name).read_text() for name in OUTPUTS] == ["old"] * 3


def test_all_bad_images_are_named_at_once(run):
    """Twenty of them, the count, and each remedy once."""
    cut = {f"train/{i:02}.jpg": BAD["cut"][0] for i in range(30)}
    others = {"train/00.jpg": BAD["alpha"][0], "train/01.jpg": BAD["size"][0]}
    with pytest.raises(UserError) as said:
        run(TRAIN | cut | others, method="none", resolution=16, n_heldout=2)
    said = str(said.value)
    assert said.startswith("source.zip: train/00.jpg has the mode RGBA, but RGB or L is expected; train/01.jpg has 16")
    assert said.count("cannot be decoded") == 18 and "; 30 problems in all; convert to RGB or grey of 8 bit, or" in said
    assert said.endswith(", or replace or remove what is broken")
    with pytest.raises(UserError, match=r"train/00\.jpg has the mode RGBA.*; train/02\.jpg cannot be decoded"):
        run(
            cut | others, method="random", resolution=8, crop_sides=[8], seed=1, jpeg_quality=75, n_train=5, n_heldout=3
        )


def test_a_box_outside_the_images_is_named(run):
    message = r"train/0\.jpg has 16 x 16 pixels, but box reaches 12 x 17; train/1\.jpg has .*; correct the box"
    with pytest.raises(UserError, match=message):
        run(TRAIN, method="box", box=[0, 5, 12, 17], resolution=8, jpeg_quality=75, n_heldout=2)


def test_two_images_of_one_name_are_named(run):
    files = {"train/a.jpg": saved(picture(0), "JPEG"), "train/a.png": saved(picture(1), "PNG")}
    with pytest.raises(UserError, match=r"two images would be called a\.jpg; rename one of them"):
        run(files, method="convert", resolution=16, jpeg_quality=75, n_heldout=2)
    train, _ = run(files, method="none", resolution=16, n_heldout=2)
    assert list(train) == ["a.jpg", "a.png"]


@pytest.mark.parametrize(
    ("files", "keys", "message"),
    [
        (TRAIN, {}, r"source\.zip has no held-out images; set n_heldout to take some training images instead"),
        (TRAIN, {"n_heldout": 7}, r"n_heldout is 7, but source\.zip has only 6 such images; lower it"),
        ({"heldout/0.jpg": JPEGS["0.jpg"]}, {}, r"source\.zip has no training images; run the download stage again"),
    ],
)
def test_missing_images_are_named_before_any_work(run, files, keys, message):
    with pytest.raises(UserError, match=message):
        run(files, method="none", resolution=16, **keys)
    assert os.listdir() == ["source.zip"]


def test_one_key_is_enough_for_photographs(run):
    """Of training images a tenth serves as held-out ones, two at least, and all become JPEG 95."""
    for n_images, n_heldout in ((4, 2), (30, 3)):
        train, heldout = run({f"train/{i:02}.jpg": JPEGS["0.jpg"] for i in range(n_images)}, resolution=8)
        assert (len(train), len(heldout)) == (n_images, n_heldout)
        assert read_record("train.zip")["jpeg_quality"] == 95 and read_record("heldout.zip")["split"] == "train"


def test_a_source_with_flipped_bytes_is_named(run, tmp_path):
    write_archive("source.zip", TRAIN.items(), {})
    content = bytearray((tmp_path / "source.zip").read_bytes())
    content[200] ^= 255
    (tmp_path / "broken.zip").write_bytes(content)
    with pytest.raises(UserError, match=r"broken\.zip: .*CRC.*; delete it and run its stage again"):
        list(crop.whole_images("broken.zip", list(TRAIN), Crop(method="none", resolution=16)))


# Params

MISTAKES = [
    ({"method": "random", "resolution": 8}, "method random needs crop_sides, n_train, n_heldout, jpeg_quality, seed"),
    ({"method": "center", "resolution": 8, "jpeg_quality": 75, "seed": 1}, "method center takes no seed"),
    ({"method": "box", "resolution": 8, "box": BOX}, "method box needs box, jpeg_quality"),
    ({"method": "none", "resolution": 8, "jpeg_quality": 75, "seed": 1}, "takes no jpeg_quality and no seed"),
    ({"method": "convert", "resolution": 8, "jpeg_quality": 75, "box": BOX}, "method convert takes no box"),
    ({"method": "box", "resolution": 8, "jpeg_quality": 75, "box": [0, 0, 8, 9]}, "edge of a square"),
    ({"method": "box", "resolution": 8, "jpeg_quality": 75, "box": [8, 8, 0, 0]}, "edge of a square"),
    ({"method": "box", "resolution": 8, "jpeg_quality": 75, "box": [-1, 0, 7, 8]}, "edge of a square"),
    ({"method": "none", "resolution": 8, "n_heldout": 1}, "greater than or equal to 2"),
]


@pytest.mark.parametrize(("keys", "message"), MISTAKES)
def test_a_mistake_in_the_params_is_named(keys, message):
    with pytest.raises(ValidationError, match=message):
        Crop.model_validate(keys)
