"""Archives and files: what users rely on, and what breaks."""

import io
import os
import threading
import time
import zipfile

import numpy as np
import pytest
from PIL import Image

from dctdiff.data import archive
from dctdiff.data.archive import (
    class_labels,
    count_images,
    decode_image,
    encode_jpeg,
    image_batches,
    image_grid,
    image_names,
    read_images,
    read_record,
    write_archive,
    write_grid,
)
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import replacing, sha256, write_text

IMAGE = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def jpeg(value: int = 0, side: int = 8) -> bytes:
    return encode_jpeg(np.full((side, side, 3), value, dtype=np.uint8), 95)


def encoded(image: Image.Image, format: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format)
    return buffer.getvalue()


def test_equal_content_gives_equal_bytes(tmp_path):
    for name in ("a.zip", "b.zip"):
        write_archive(tmp_path / name, [("x/1.jpg", jpeg())], {"stage": "test"})
    assert sha256(tmp_path / "a.zip") == sha256(tmp_path / "b.zip")
    assert read_record(tmp_path / "a.zip") == {"stage": "test"}


def test_a_subset_is_evenly_spaced_by_name(tmp_path):
    write_archive(tmp_path / "a.zip", [(f"{i:02d}.jpg", jpeg(20 * i)) for i in reversed(range(10))], {})
    values = read_images(tmp_path / "a.zip", 5)[:, 0, 0, 0]
    assert values.tolist() == pytest.approx([0, 40, 80, 120, 160], abs=2)


@pytest.mark.parametrize("batch_size", [1, 3, 4, 7])
def test_batches_give_the_same_images_in_order(tmp_path, batch_size):
    write_archive(tmp_path / "a.zip", [(f"{i:02d}.jpg", jpeg(20 * i)) for i in reversed(range(10))], {})
    batches = list(image_batches(tmp_path / "a.zip", batch_size, 7))
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    assert np.array_equal(np.concatenate(batches), read_images(tmp_path / "a.zip", 7))
    assert image_names(tmp_path / "a.zip", 7) == [f"{i:02d}.jpg" for i in (0, 1, 2, 4, 5, 7, 8)]
    assert (count_images(tmp_path / "a.zip"), count_images(tmp_path / "a.zip", 7)) == (10, 7)


@pytest.fixture
def many_threads(monkeypatch):
    """As on a large machine with large images, whatever this one is."""
    monkeypatch.setattr(archive, "coding_threads", lambda side: 8)


def decoding_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


def test_threads_keep_the_order(tmp_path, monkeypatch, many_threads):
    write_archive(tmp_path / "a.zip", [(f"{i:02d}.jpg", jpeg(10 * i)) for i in range(21)], {})
    decode = archive.decode_image

    def slow_for_the_first(content, name):
        image = decode(content, name)
        time.sleep(0.02 if image[0, 0, 0] < 50 else 0)
        return image

    monkeypatch.setattr(archive, "decode_image", slow_for_the_first)
    values = np.concatenate(list(image_batches(tmp_path / "a.zip", 10)))[:, 0, 0, 0]
    assert values.tolist() == pytest.approx(range(0, 210, 10), abs=2)


def test_the_first_of_several_bad_images_is_named(tmp_path, monkeypatch, many_threads):
    content = [jpeg() for _ in range(20)]
    content[11], content[12], content[15] = jpeg()[:-40], jpeg(side=16), b"broken"
    write_archive(tmp_path / "a.zip", [(f"{i:02d}.jpg", c) for i, c in enumerate(content)], {})
    decode = archive.decode_image

    def slow_where_broken(content, name):
        time.sleep(0.05 if name.endswith("11.jpg") else 0)
        return decode(content, name)

    monkeypatch.setattr(archive, "decode_image", slow_where_broken)
    batches = image_batches(tmp_path / "a.zip", 10)
    assert len(next(batches)) == 10
    with pytest.raises(UserError, match=r"a\.zip: 11\.jpg cannot be decoded"):
        next(batches)
    assert not decoding_threads()


def test_a_damaged_member_is_named_after_the_batches_before_it(tmp_path, many_threads):
    write_archive(tmp_path / "a.zip", [(f"{i}.jpg", jpeg(7 * i)) for i in range(6)], {})
    damaged = (tmp_path / "a.zip").read_bytes().replace(jpeg(28), jpeg(28)[:-9] + bytes(9))
    (tmp_path / "a.zip").write_bytes(damaged)
    batches = image_batches(tmp_path / "a.zip", 4)
    assert len(next(batches)) == 4
    with pytest.raises(UserError, match=r"Bad CRC-32 for file '4\.jpg'; delete it and run its stage again"):
        next(batches)


def test_an_early_end_leaves_no_thread_and_decodes_one_batch_ahead_at_most(tmp_path, monkeypatch, many_threads):
    write_archive(tmp_path / "a.zip", [(f"{i:03d}.jpg", jpeg()) for i in range(100)], {})
    decode, decoded = archive.decode_image, []
    monkeypatch.setattr(archive, "decode_image", lambda content, name: decoded.append(name) or decode(content, name))
    batches = image_batches(tmp_path / "a.zip", 10)
    next(batches)
    time.sleep(0.1)
    assert len(decoded) <= 1 + 2 * 10  # the first one twice: it tells the shape
    batches.close()
    assert not decoding_threads()


def test_a_batch_is_not_overwritten_by_the_next(tmp_path):
    write_archive(tmp_path / "a.zip", [(f"{i}.jpg", jpeg(20 * i)) for i in range(6)], {})
    kept = list(image_batches(tmp_path / "a.zip", 2))
    assert [batch[0, 0, 0, 0] for batch in kept] == pytest.approx([0, 40, 80], abs=2)


def test_small_images_have_one_thread_and_large_ones_no_more_than_cpus(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(4), raising=False)
    assert [archive.coding_threads(side) for side in (8, 32, 64, 128, 256, 512)] == [1, 1, 1, 2, 4, 4]


def test_an_earlier_batch_comes_before_the_error_of_a_later(tmp_path):
    write_archive(tmp_path / "a.zip", [("0.jpg", jpeg()), ("1.jpg", jpeg()), ("2.jpg", b"broken")], {})
    batches = image_batches(tmp_path / "a.zip", 2)
    assert next(batches).shape == (2, 8, 8, 3)
    with pytest.raises(UserError, match=r"a\.zip: 2\.jpg cannot be decoded"):
        next(batches)


def test_too_few_images_are_noticed_before_any_is_decoded(tmp_path):
    write_archive(tmp_path / "a.zip", [("0.jpg", b"broken")], {})
    with pytest.raises(UserError, match="holds 1 images, but n_images is 2"):
        image_batches(tmp_path / "a.zip", 1, 2)


def test_jpeg_is_what_pil_writes_by_default():
    """Protocol point 2: quality 75, chroma 4:2:0."""
    assert encode_jpeg(IMAGE, 75) == encoded(Image.fromarray(IMAGE), "JPEG")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([("a.jpg", jpeg()), ("b.jpg", b"not an image")], "b.jpg cannot be decoded"),
        ([("a.jpg", jpeg()), ("b.jpg", jpeg()[:-40])], "b.jpg cannot be decoded"),
        ([("a.jpg", jpeg()), ("b.jpg", jpeg(side=16))], "b.jpg has the shape"),
        ([], "holds no image"),
    ],
    ids=["bytes", "truncated", "size", "empty"],
)
def test_bad_images_are_named(tmp_path, entries, message):
    write_archive(tmp_path / "a.zip", entries, {})
    with pytest.raises(UserError, match=message):
        read_images(tmp_path / "a.zip")


def test_a_broken_png_is_named():
    """Pillow raises a SyntaxError where the length of a chunk is wrong."""
    content = bytearray(encoded(Image.fromarray(IMAGE), "PNG"))
    content[content.index(b"IDAT") - 1] = 0
    with pytest.raises(UserError, match=r"x\.png cannot be decoded"):
        decode_image(bytes(content), "x.png")


@pytest.mark.parametrize(
    ("mode", "format"),
    [("RGBA", "PNG"), ("P", "PNG"), ("LA", "PNG"), ("I;16", "PNG"), ("1", "PNG"), ("CMYK", "JPEG")],
)
def test_other_modes_are_refused(mode, format):
    grey = Image.fromarray(IMAGE[..., 0])
    image = Image.fromarray(IMAGE[..., 0].astype(np.uint16)) if mode == "I;16" else grey.convert(mode)
    with pytest.raises(UserError, match=f"x has the mode {mode}, but RGB or L is expected; convert"):
        decode_image(encoded(image, format), "x")


def test_grey_images_have_three_equal_channels():
    decoded = decode_image(encoded(Image.fromarray(IMAGE[..., 0]), "PNG"), "x")
    assert np.array_equal(decoded, IMAGE[..., :1].repeat(3, axis=2))


def test_classes_are_folders_or_what_stands_before_the_first_underscore():
    labels, classes = class_labels(["dog/1_a.jpg", "cat/x/2.jpg", "dog/0.jpg"])
    assert (labels.tolist(), labels.dtype, classes) == ([1, 0, 1], np.int64, ["cat", "dog"])
    labels, classes = class_labels(["10_img_1.jpg", "9_img_2.jpg", "10_img_3.jpg"])
    assert (labels.tolist(), classes) == ([0, 1, 0], ["10", "9"])  # sorted as text (protocol point 4)


@pytest.mark.parametrize("name", ["1.jpg", "_1.jpg", "/1.jpg"])
def test_a_name_without_a_class_is_refused(name):
    with pytest.raises(UserError, match=f"{name} does not tell its class"):
        class_labels(["cat/1.jpg", name])


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(RuntimeError), replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert os.listdir(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_grid_places_images_row_by_row():
    images = np.stack([np.full((2, 2, 3), value, dtype=np.uint8) for value in (10, 20, 30)])
    grid = np.asarray(image_grid(images, columns=2, zoom=1))
    assert grid.shape == (5, 5, 3)
    assert (grid[0, 0, 0], grid[0, 3, 0], grid[3, 0, 0], grid[3, 3, 0]) == (10, 20, 30, 255)


@pytest.mark.parametrize(
    ("side", "n_images", "size"),
    [
        (32, 60, (658, 328)),  # 10 x 5, twice as large
        (32, 3, (658, 64)),
        (64, 60, (649, 324)),
        (256, 60, (1027, 1027)),  # 4 x 4
        (512, 3, (1025, 1025)),  # 2 x 2
        (2000, 1, (2000, 2000)),
    ],
)
def test_the_picture_of_an_archive_stays_small(tmp_path, side, n_images, size):
    content = jpeg(100, side)
    write_archive(tmp_path / "a.zip", [(f"{i:02d}.jpg", content) for i in range(n_images)], {})
    write_grid(tmp_path / "a.png", tmp_path / "a.zip")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == size
        assert picture.getpixel((0, 0)) == pytest.approx((100, 100, 100), abs=2)


@pytest.mark.parametrize("comment", [b"{", b"[1]", b"\xff"])
def test_a_record_that_is_none_is_named(tmp_path, comment):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.comment = comment
    with pytest.raises(UserError, match=r"a\.zip: its comment: .*; delete it and run its stage again"):
        archive.read_record(tmp_path / "a.zip")
