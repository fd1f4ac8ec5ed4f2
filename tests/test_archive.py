"""Archives and files: what users rely on, and what breaks."""

import io
import os
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from dctdiff.archive import encode_jpeg, image_grid, read_images, read_record, write_archive
from dctdiff.errors import UserError
from dctdiff.files import replacing, sha256, write_text
from dctdiff.sources import folder_sha256, read_files

IMAGE = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def jpeg(value: int = 0, side: int = 8) -> bytes:
    return encode_jpeg(np.full((side, side, 3), value, dtype=np.uint8), 95)


def test_equal_content_gives_equal_bytes(tmp_path):
    for name in ("a.zip", "b.zip"):
        write_archive(tmp_path / name, [("x/1.jpg", jpeg())], {"stage": "test"})
    assert sha256(tmp_path / "a.zip") == sha256(tmp_path / "b.zip")
    assert read_record(tmp_path / "a.zip") == {"stage": "test"}


def test_a_subset_is_evenly_spaced_by_name(tmp_path):
    write_archive(tmp_path / "a.zip", [(f"{i:02d}.jpg", jpeg(20 * i)) for i in reversed(range(10))], {})
    values = read_images(tmp_path / "a.zip", 5)[:, 0, 0, 0]
    assert values.tolist() == pytest.approx([0, 40, 80, 120, 160], abs=2)


def test_jpeg_is_what_pil_writes_by_default():
    """Protocol point 2: quality 75, chroma 4:2:0."""
    buffer = io.BytesIO()
    Image.fromarray(IMAGE).save(buffer, "JPEG")
    assert encode_jpeg(IMAGE, 75) == buffer.getvalue()


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


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(RuntimeError), replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert os.listdir(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_sources_of_all_kinds_give_the_same_images(tmp_path):
    folder = tmp_path / "folder"
    (folder / "cat").mkdir(parents=True)
    for i in range(3):
        (folder / "cat" / f"{i}.jpg").write_bytes(jpeg(i))
    (folder / "note.txt").write_text("not an image")
    with tarfile.open(tmp_path / "a.tar.xz", "w:xz") as archive:
        archive.add(folder, ".")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in sorted(folder.rglob("*.jpg"), reverse=True):
            archive.write(path, path.relative_to(folder))
    expected = [(f"cat/{i}.jpg", jpeg(i)) for i in range(3)]
    assert list(read_files(str(folder), folder_sha256(folder))) == expected
    for name in ("a.tar.xz", "a.zip"):
        assert list(read_files(str(tmp_path / name), sha256(tmp_path / name))) == expected


def test_a_truncated_archive_is_named_even_with_its_own_digest(tmp_path):
    whole, half = tmp_path / "a.tar.xz", tmp_path / "half.tar.xz"
    (tmp_path / "0.jpg").write_bytes(os.urandom(100_000))
    with tarfile.open(whole, "w:xz") as archive:
        archive.add(tmp_path / "0.jpg", "0.jpg")
    half.write_bytes(whole.read_bytes()[:50_000])
    with pytest.raises(UserError, match=r"half\.tar\.xz is broken after 0 images .*; download it again"):
        list(read_files(str(half), sha256(half)))


def test_a_wrong_digest_and_a_page_for_an_archive_are_named(tmp_path):
    page = tmp_path / "a.zip"
    page.write_text("<html>quota exceeded</html>")
    with pytest.raises(UserError, match="download it again"):
        list(read_files(str(page), "0" * 64))
    with pytest.raises(UserError, match="neither a folder nor a zip or tar"):
        list(read_files(str(page), sha256(page)))
    with pytest.raises(UserError, match="does not exist"):
        list(read_files(str(tmp_path / "absent.zip"), "0" * 64))


def test_grid_places_images_row_by_row():
    images = np.stack([np.full((2, 2, 3), value, dtype=np.uint8) for value in (10, 20, 30)])
    grid = np.asarray(image_grid(images, columns=2, zoom=1))
    assert grid.shape == (5, 5, 3)
    assert (grid[0, 0, 0], grid[0, 3, 0], grid[3, 0, 0], grid[3, 3, 0]) == (10, 20, 30, 255)
