"""Folders and archives as sets of images."""

import numpy as np
import pytest

from dctdiff.data.archive import decode_image, write_archive
from dctdiff.data.sets import count_set, set_batches
from dctdiff.pipeline.errors import UserError
from synthetic import encoded


def test_a_folder_is_read_in_the_order_of_names_as_an_archive_is(tmp_path):
    files = {f"{label}/{index}.jpg": encoded(index, 16, 16, "JPEG") for label in "ab" for index in range(3)}
    (tmp_path / "set").mkdir()
    for name, content in reversed(files.items()):
        (tmp_path / "set" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "set" / name).write_bytes(content)
    write_archive(tmp_path / "set.zip", files.items(), {})
    expected = np.stack([decode_image(content, name) for name, content in files.items()])
    for place in (tmp_path / "set", tmp_path / "set.zip"):
        assert count_set(place) == 6
        batches = list(set_batches(place, 4))
        assert [len(batch) for batch in batches] == [4, 2]
        assert np.array_equal(np.concatenate(batches), expected)


def test_images_of_two_sizes_are_no_set(tmp_path):
    for index, side in enumerate((16, 16, 24)):
        (tmp_path / f"{index}.png").write_bytes(encoded(index, side, side, "PNG"))
    with pytest.raises(UserError, match=r"2\.png has the shape \(24, 24, 3\), but 0\.png has \(16, 16, 3\)"):
        list(set_batches(tmp_path, 2))


def test_a_folder_without_images_is_no_set(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match="holds no image"):
        count_set(tmp_path)
