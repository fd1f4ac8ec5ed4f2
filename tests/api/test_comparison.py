"""The distance of the public API."""

import numpy as np
import pytest
from PIL import Image

import dctdiff
from dctdiff.data.archive import write_archive
from dctdiff.pipeline.errors import UserError
from synthetic import encoded, image

IMAGES = np.stack([np.asarray(image(index, 16, 16)) for index in range(6)])


@pytest.fixture(scope="module")
def to_others():
    return dctdiff.distance(IMAGES[:3], IMAGES[3:])


def test_a_set_is_an_array_a_folder_or_an_archive(tmp_path, to_others):
    assert to_others[0] == "FD (EfficientNet-Lite0)" and to_others[2:] == (3, 3) and to_others.value > 1
    folder, archive = tmp_path / "folder/a", tmp_path / "set.zip"
    folder.mkdir(parents=True)
    for index in range(3):
        Image.fromarray(IMAGES[index]).save(folder / f"{index}.png")
    (folder / "notes.txt").write_text("no image")
    write_archive(archive, [(f"{index}.png", encoded(index, 16, 16, "PNG")) for index in range(3, 6)], {})
    told = []
    assert dctdiff.distance(folder.parent, archive, on_batch=told.append) == to_others
    assert told == [3, 3]


def test_a_set_has_no_distance_to_itself(to_others):
    assert abs(dctdiff.distance(IMAGES, IMAGES).value) < 1e-6 * to_others.value


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES[:1], "at least 2 images, found 1"),
        (IMAGES[0], r"images are uint8 \(16, 16, 3\)"),
        (IMAGES / 255, "images are float64"),
        ("nowhere", "nowhere does not exist"),
    ],
)
def test_what_is_no_set_is_refused(images, message):
    with pytest.raises(UserError, match=message):
        dctdiff.distance(images, IMAGES)


def test_an_unknown_extractor_is_refused():
    with pytest.raises(UserError, match="extractor is 'vgg', but one of efficientnet-lite0, inception, inc"):
        dctdiff.distance(IMAGES, IMAGES, "vgg")
