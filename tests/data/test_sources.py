"""Archives, folders and batch files: what is read from them, and every way in which they can be wrong."""

import contextlib
import functools
import hashlib
import io
import os
import pickle
import sys
import tarfile
import tempfile
import warnings
import zipfile

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from dctdiff.data import sources
from dctdiff.data.archive import class_labels, encode_jpeg, image_names, read_entries, read_record
from dctdiff.data.batches import BATCHES, CIFAR10_CLASSES, decode_batch
from dctdiff.data.sources import Wanted, check, folder_digest, read_files
from dctdiff.params.download import Download
from dctdiff.pipeline.digests import digest
from dctdiff.pipeline.errors import UserError
from dctdiff.stages import crop, download
from engines import call
from synthetic import SOURCES, python2_pickle, python3_pickle, write_source, write_tar_gz, write_zip

DIGEST = "0" * 64


def jpeg(value: int = 0, side: int = 8) -> bytes:
    return encode_jpeg(np.full((side, side, 3), value, dtype=np.uint8), 95)


def digest_of(path, algorithm: str) -> str:
    return hashlib.new(algorithm, path.read_bytes()).hexdigest()


def written(path, members: dict[str, bytes]):
    """An archive of the kind that its name tells, or a folder; a name that ends in / is an empty folder."""
    if path.suffix == ".zip":
        write_zip(path, members)
    elif path.suffix == ".tar":
        with tarfile.open(path, "w") as archive:
            for name, content in members.items():
                member = tarfile.TarInfo(name.rstrip("/"))
                member.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    else:
        for name, content in members.items():
            if name.endswith("/"):
                (path / name).mkdir(parents=True)
                continue
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
    return path


KINDS = ("a.zip", "a.tar", "folder")


def read(*places, **wanted) -> list[tuple[str, bytes]]:
    return list(read_files(list(places), Wanted(**wanted)))


# What is read


def test_sources_of_all_kinds_give_the_same_images(tmp_path):
    folder = tmp_path / "folder"
    (folder / "cat").mkdir(parents=True)
    for i in range(3):
        (folder / "cat" / f"{i}.jpg").write_bytes(jpeg(i))
    (folder / "note.txt").write_text("not an image")
    (folder / "cat" / "._0.jpg").write_bytes(b"what macOS leaves behind")
    for suffix in ("", "gz", "bz2", "xz"):
        with tarfile.open(tmp_path / f"a.tar{suffix}", f"w:{suffix}") as archive:
            archive.add(folder, ".")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in sorted(folder.rglob("*.jpg"), reverse=True):
            archive.write(path, path.relative_to(folder))
    expected = [(f"cat/{i}.jpg", jpeg(i)) for i in range(3)]
    for name in ("folder", "a.tar", "a.targz", "a.tarbz2", "a.tarxz", "a.zip"):
        check(tmp_path / name, {})
        assert read(tmp_path / name) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_within_is_read_under_its_own_names(tmp_path, kind):
    members = {"a/train/x/1.jpg": jpeg(1), "a/train/0.jpg": jpeg(0), "a/trained/2.jpg": jpeg(2), "a/val/3.jpg": jpeg(3)}
    place = written(tmp_path / kind, members)
    assert read(place, folder="a/train") == [("0.jpg", jpeg(0)), ("x/1.jpg", jpeg(1))]
    with pytest.raises(UserError, match=r"has no image in the folder train; it has a$"):
        read(place, folder="train")


def test_several_archives_are_read_as_one(tmp_path):
    one, two = written(tmp_path / "1.zip", {"b.jpg": jpeg(1)}), written(tmp_path / "2.tar", {"a.jpg": jpeg(0)})
    assert read(one, two, n_images=2) == [("a.jpg", jpeg(0)), ("b.jpg", jpeg(1))]
    with pytest.raises(UserError, match=r"1\.zip holds b\.jpg, as another archive does"):
        read(one, one)


def test_images_come_one_by_one(tmp_path):
    """The last image is broken; those before it have come by then."""
    place = written(tmp_path / "a.zip", {f"{i}.jpg": jpeg(i) for i in range(3)})
    with zipfile.ZipFile(place) as archive:
        start = archive.getinfo("2.jpg").header_offset
    content = bytearray(place.read_bytes())
    content[start + 60] ^= 255
    place.write_bytes(content)
    entries = read_files([place], Wanted())
    assert [next(entries)[0], next(entries)[0]] == ["0.jpg", "1.jpg"]
    with pytest.raises(UserError, match=r"a\.zip is broken after 2 images .*; download it again"):
        next(entries)


# What is wrong with archives


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_digest_is_named(tmp_path, kind, algorithm):
    place = written(tmp_path / kind, {"0.jpg": jpeg()})
    found = folder_digest(place, algorithm) if place.is_dir() else digest_of(place, algorithm)
    check(place, {algorithm: found, "sha1": None})
    with pytest.raises(UserError, match=f"has the {algorithm.upper()} {found}, but params.yaml expects 12; download"):
        check(place, {algorithm: "12"})


def test_the_digest_of_a_folder_is_that_of_its_listing(tmp_path):
    folder = written(tmp_path / "folder", {"b.jpg": b"1", "a/c.png": b"2", "readme.txt": b"not an image"})
    lines = "".join(
        f"{hashlib.sha256(text).hexdigest()}  {name}\n" for name, text in (("a/c.png", b"2"), ("b.jpg", b"1"))
    )
    assert folder_digest(folder) == hashlib.sha256(lines.encode()).hexdigest()
    batches = written(tmp_path / "batches", {"data_batch_1": b"1"})
    before = folder_digest(batches)
    (batches / "data_batch_1").write_bytes(b"2")
    assert folder_digest(batches) != before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>quota exceeded</html>", "is an HTML page"),
        (b"\n <!DOCTYPE html><title>Sign in", "is an HTML page"),
        (b'{"error": 403}', "is neither a folder nor a zip or tar archive"),
        (b"", "is neither a folder nor a zip or tar archive"),
        (b"\x1f\x8b\x08", "is neither a folder nor a zip or tar archive"),
    ],
)
def test_what_is_no_archive_is_named(tmp_path, content, message):
    place = tmp_path / "a.zip"
    place.write_bytes(content)
    with pytest.raises(UserError, match=rf"a\.zip {message}.*; download it again$"):
        check(place, {"sha256": DIGEST})
    with pytest.raises(UserError, match="does not exist; put the archive or folder of images there"):
        check(tmp_path / "absent.zip", {})


def test_a_truncated_archive_is_named_even_with_its_own_digest(tmp_path):
    noise = {"0.jpg": os.urandom(100_000)}
    for suffix in ("gz", "xz"):
        whole, half = tmp_path / f"a.tar.{suffix}", tmp_path / f"half.tar.{suffix}"
        with tarfile.open(whole, f"w:{suffix}") as archive:
            member = tarfile.TarInfo("0.jpg")
            member.size = len(noise["0.jpg"])
            archive.addfile(member, io.BytesIO(noise["0.jpg"]))
        half.write_bytes(whole.read_bytes()[:50_000])
        check(half, {"sha256": digest_of(half, "sha256")})
        with pytest.raises(UserError, match=r"half\.tar\... ?.* is broken after 0 images .*; download it again"):
            read(half)
    half = tmp_path / "half.zip"
    half.write_bytes(written(tmp_path / "a.zip", noise).read_bytes()[:50_000])
    with pytest.raises(UserError, match=r"half\.zip is a zip archive without its end: it was cut; download it again"):
        check(half, {})


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_count_or_no_image_is_named(tmp_path, kind):
    place = written(tmp_path / kind, {"0.jpg": jpeg(), "note.txt": b""})
    with pytest.raises(
        UserError, match="holds 1 train images, but n_train is 2; download it again, or correct n_train"
    ):
        next(read_files([place], Wanted(n_images=2)))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"holds no \.jpg, \.jpeg, \.png file"):
        read(written(tmp_path / "empty" / kind, {"note.txt": b""}))


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_class_folder_is_named(tmp_path, kind):
    classes = {"cat/0.jpg": jpeg(), "dog/x/1.jpg": jpeg(), ".cache/": b"", "__MACOSX/": b""}
    assert len(read(written(tmp_path / kind, classes))) == 2
    (tmp_path / "bad").mkdir()
    place = written(tmp_path / "bad" / kind, {**classes, "emu/": b"", "emu2/note.txt": b""})
    with pytest.raises(UserError, match="the folder emu holds no image, but folders beside it do; if it should"):
        read(place)


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_beside_flat_images_may_be_empty(tmp_path, kind):
    place = written(tmp_path / kind, {"train/0.jpg": jpeg(), "train/notes/": b"", "other/1.jpg": jpeg()})
    assert len(read(place, folder="train")) == 1


# Batch files


def cifar10_batch(n_images: int = 2, side: int = 32) -> dict:
    data = np.random.default_rng(0).integers(0, 256, (n_images, 3 * side * side), dtype=np.uint8)
    return {b"data": data, b"labels": [9 - i for i in range(n_images)], b"filenames": [b"x"]}


def write_cifar10(path, **batches):
    write_tar_gz(path, {f"cifar-10-batches-py/{name}": content for name, content in batches.items()})
    return path


def test_the_pickles_are_what_python_2_wrote():
    written = python2_pickle(cifar10_batch())
    assert written.startswith(b"\x80\x02") and b"numpy.core.multiarray" in written and b"_codecs" not in written
    assert pickle.loads(written, encoding="bytes")[b"labels"] == [9, 8]


def test_cifar10_becomes_the_jpegs_of_pil(tmp_path):
    """Protocol point 2, each image put together by hand and saved as PIL does by default."""
    first, second, test = cifar10_batch(3), cifar10_batch(2), cifar10_batch(1)
    path = write_cifar10(
        tmp_path / "c.tar.gz",
        data_batch_2=python2_pickle(second), data_batch_1=python2_pickle(first), test_batch=python2_pickle(test),
    )  # fmt: skip
    found = read(path, format="cifar10", n_images=5)
    assert [name for name, _ in found] == [
        "truck/00001.jpg", "ship/00002.jpg", "horse/00003.jpg", "truck/00004.jpg", "ship/00005.jpg",
    ]  # fmt: skip
    red, green, blue = (first[b"data"][1, i * 1024 : (i + 1) * 1024].reshape(32, 32) for i in range(3))
    buffer = io.BytesIO()
    Image.merge("RGB", [Image.fromarray(channel) for channel in (red, green, blue)]).save(buffer, "JPEG")
    assert found[1][1] == buffer.getvalue()
    assert [name for name, _ in read(path, format="cifar10", split="heldout")] == ["truck/00001.jpg"]


def test_a_pickle_of_today_is_read_too(tmp_path):
    values = {"data": np.asfortranarray(cifar10_batch()[b"data"]), "labels": [0, 1]}
    path = written(tmp_path / "a.zip", {"data_batch_1": pickle.dumps(values, protocol=4)})
    expected = written(tmp_path / "b.zip", {"data_batch_1": python2_pickle(cifar10_batch() | {b"labels": [0, 1]})})
    assert read(path, format="cifar10") == read(expected, format="cifar10")


class Attack:
    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


@pytest.mark.parametrize("where", ["whole", "data", "labels"])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_malicious_pickle_is_refused_and_runs_nothing(tmp_path, where, protocol):
    attack = Attack(os.system, f"touch {tmp_path}/done")
    value = attack if where == "whole" else {"data": cifar10_batch()[b"data"], "labels": [0, 1]} | {where: attack}
    path = written(tmp_path / "a.zip", {"data_batch_1": pickle.dumps(value, protocol=protocol)})
    with pytest.raises(UserError, match=r"data_batch_1 is no batch of images \(it asks for .*do not use it"):
        read(path, format="cifar10")
    assert not (tmp_path / "done").exists()


@pytest.mark.parametrize(
    "call", [eval, getattr, __import__, np.load, np.frombuffer, pickle.loads], ids=lambda call: call.__name__
)
def test_no_other_name_is_admitted(tmp_path, call):
    path = written(tmp_path / "a.zip", {"data_batch_1": pickle.dumps(Attack(call, "1"), protocol=2)})
    with pytest.raises(UserError, match=f"it asks for '.*{call.__name__}'"):
        read(path, format="cifar10")


BAD_BATCHES = {
    "another size": (python2_pickle(cifar10_batch(side=16)), "holds no data of n x 3072 bytes"),
    "no data": (python2_pickle({b"labels": []}), "holds no data"),
    "no dictionary": (python2_pickle([1]), "is no batch of images"),
    "floats": (python2_pickle(cifar10_batch() | {b"data": np.zeros((2, 3072), dtype=np.float32)}), "holds no data"),
    "objects": (python2_pickle(cifar10_batch() | {b"data": np.full((2, 3072), None)}), "holds no data"),
    "few labels": (python2_pickle(cifar10_batch() | {b"labels": [1]}), "should hold 2 labels from 0 to 9"),
    "another label": (python2_pickle(cifar10_batch() | {b"labels": [1, 10]}), "should hold 2 labels from 0 to 9"),
    "float label": (python2_pickle(cifar10_batch() | {b"labels": [1, 2.0]}), "should hold 2 labels from 0 to 9"),
    "cut": (python2_pickle(cifar10_batch())[:4000], "is no batch of images"),
    "empty": (b"", "is no batch of images"),
    "an error of two lines": (b"Px\n.", r"is no batch of images \(A load persistent id"),
    "no pickle": (b"<html>", "is no batch of images"),
}


@pytest.mark.parametrize(("content", "message"), BAD_BATCHES.values(), ids=BAD_BATCHES)
def test_a_bad_batch_is_named_in_one_line(tmp_path, content, message):
    path = write_cifar10(tmp_path / "c.tar.gz", data_batch_1=content)
    with pytest.raises(UserError, match=rf"c\.tar\.gz: cifar-10-batches-py/data_batch_1 {message}") as caught:
        read(path, format="cifar10")
    assert "\n" not in str(caught.value) and "again from the official site" in str(caught.value)


def test_a_batch_with_a_flipped_byte_is_caught_by_the_sum_of_the_zip(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data_batch_1", python2_pickle(cifar10_batch()))
    content = bytearray(path.read_bytes())
    content[2000] ^= 1  # a pixel
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.zip is broken .*; download it again"):
        read(path, format="cifar10")


def test_batches_are_missing(tmp_path):
    path = written(tmp_path / "a.zip", {"0.jpg": jpeg()})
    with pytest.raises(UserError, match=r"holds no file train_data_batch_.* of imagenet64; .* or correct the format"):
        read(path, format="imagenet64")
    path = write_cifar10(tmp_path / "c.tar.gz", data_batch_1=python2_pickle(cifar10_batch()))
    with pytest.raises(UserError, match="holds 2 train images, but n_train is 3"):
        read(path, format="cifar10", n_images=3)


def test_imagenet_is_numbered_over_its_ten_batches_and_named_by_its_labels(tmp_path):
    data = np.random.default_rng(0).integers(0, 256, (10, 3 * 64 * 64), dtype=np.uint8)
    batches = [{"data": data[[i]], "labels": [100 * i + 1]} for i in range(10)]
    members = {f"train_data_batch_{i}": python3_pickle(batch) for i, batch in enumerate(batches, start=1)}
    one = written(tmp_path / "1.zip", dict(list(members.items())[:5]))
    two = written(tmp_path / "2.zip", dict(list(members.items())[5:]))
    found = read(one, two, format="imagenet64", n_images=10)
    assert [name for name, _ in found] == [f"{100 * i + 1}_img_{i + 1}.jpg" for i in range(10)]
    assert class_labels([name for name, _ in found])[1] == sorted(str(100 * i + 1) for i in range(10))

    npz = {}
    for i, batch in enumerate(batches, start=1):
        buffer = io.BytesIO()
        np.savez(buffer, **{**batch, "labels": np.array(batch["labels"]), "mean": np.zeros(3)})
        npz[f"part/train_data_batch_{i}.npz"] = buffer.getvalue()
    for kind in KINDS:
        assert read(written(tmp_path / kind, npz), format="imagenet64") == found


def npz(**arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def of_terabytes(content: bytes) -> bytes:
    """The npz with an array that says in its header that it has more rows, and with the checksums of that."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as whole, zipfile.ZipFile(buffer, "w") as archive:
        for name in whole.namelist():
            archive.writestr(name, whole.read(name).replace(b"(2, 12288), }" + b" " * 9, b"(2000000000, 12288), }"))
    return buffer.getvalue()


BATCH64 = {"data": np.zeros((2, 12288), dtype=np.uint8), "labels": np.array([1, 2])}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no zip", "is no batch of images .*; do not use it"),
        (npz(data=BATCH64["data"]), "is no batch of images .*labels"),
        (of_terabytes(npz(**BATCH64)), r"is no batch of images \(data says that it has 2\.46e\+13 bytes"),
    ],
    ids=["no zip", "no labels", "terabytes"],
)
def test_a_bad_npz_is_named_in_one_line(tmp_path, content, message):
    path = written(tmp_path / "a.zip", {"train_data_batch_1.npz": content})
    with pytest.raises(UserError, match=rf"a\.zip: train_data_batch_1\.npz {message}"):
        read(path, format="imagenet64")


def test_an_npz_with_pickled_objects_is_refused_and_runs_nothing(tmp_path):
    content = npz(data=np.array([Attack(os.system, f"touch {tmp_path}/done")]), labels=np.array([1]))
    path = written(tmp_path / "a.zip", {"train_data_batch_1.npz": content})
    with pytest.raises(UserError, match=r"is no batch of images \(data holds Python objects"):
        read(path, format="imagenet64")
    assert not (tmp_path / "done").exists()


# The download stage


def run_stage(monkeypatch, folder, module, *arguments) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, arguments)])
    call(module)


def flags(keys: dict) -> list:
    return [
        word for key, value in keys.items() for word in (f"--{key}", *(value if isinstance(value, list) else [value]))
    ]


def test_download_packs_both_splits(monkeypatch, tmp_path):
    train = written(tmp_path / "train.tar", {"cat/1.jpg": jpeg(1)})
    written(tmp_path / "test", {"cat/2.jpg": jpeg(2)})
    keys = {
        "source": "files",
        "train": "train.tar",
        "train_md5": digest_of(train, "md5"),
        "heldout": "test",
        "n_heldout": 1,
    }
    run_stage(monkeypatch, tmp_path, download, *flags(keys), "--out_source", "source.zip")
    assert list(read_entries("source.zip")) == [("heldout/cat/2.jpg", jpeg(2)), ("train/cat/1.jpg", jpeg(1))]


def test_a_failed_download_leaves_the_old_archive_and_nothing_else(monkeypatch, tmp_path):
    written(tmp_path / "a.tar", {"1.jpg": jpeg(1), "2.jpg": jpeg(2)})
    (tmp_path / "a.tar").write_bytes((tmp_path / "a.tar").read_bytes()[:2300])
    (tmp_path / "source.zip").write_text("old")
    with pytest.raises(UserError, match=r"a\.tar is broken"):
        run_stage(
            monkeypatch, tmp_path, download, "--source", "files", "--train", "a.tar", "--n_train", 2,
            "--out_source", "source.zip",
        )  # fmt: skip
    assert sorted(os.listdir(tmp_path)) == ["a.tar", "source.zip"]
    assert (tmp_path / "source.zip").read_text() == "old"


CROPS = {
    "cifar10": {"method": "none", "resolution": 32},
    "imagenet64": {"method": "none", "resolution": 64},
    "celeba64": {"method": "box", "box": [25, 57, 153, 185], "resolution": 64, "jpeg_quality": 75, "n_heldout": 2},
}


@pytest.mark.parametrize("dataset", SOURCES)
def test_every_dataset_of_the_paper_goes_through_both_stages(monkeypatch, tmp_path, dataset):
    """From archives of the true layout that a person has put into data/sources."""
    has_classes = dataset in ("cifar10", "imagenet64", "afhq512")
    n_images = 10 if dataset in ("cifar10", "imagenet64") else 4
    source = write_source(dataset, tmp_path / "data/sources", n_images)
    assert Download.model_validate(source).source != "files"
    run_stage(monkeypatch, tmp_path, download, *flags(source), "--out_source", "source.zip")
    converted = {"method": "convert", "resolution": dataset[-3:], "jpeg_quality": 75, "n_heldout": 2}
    keys = CROPS.get(dataset, converted)
    run_stage(
        monkeypatch, tmp_path, crop, "--source", "source.zip", *flags(keys),
        "--out_train", "train.zip", "--out_heldout", "heldout.zip", "--out_grid", "grid.png",
    )  # fmt: skip
    assert len(image_names("train.zip")) == n_images
    assert len(image_names("heldout.zip")) == keys.get("n_heldout", n_images)
    for _, content in read_entries("train.zip"):
        with Image.open(io.BytesIO(content)) as image:
            assert (image.format, image.size) == ("JPEG", (int(keys["resolution"]),) * 2)
    if has_classes:
        labels, classes = class_labels(image_names("train.zip"))
        numbers = {"cifar10": CIFAR10_CLASSES, "imagenet64": map(str, range(1, 11)), "afhq512": ("cat", "dog", "wild")}
        assert classes == sorted(numbers[dataset]) and len(set(labels)) == len(classes)


# Params of the download stage

TRAIN = {"source": "files", "train": "a.zip", "n_train": 1}
URL = "https://a.org/b.zip"
MISTAKES = [
    ({"source": "files"}, "source files needs train"),
    ({"source": "scikit-image", "train": "a"}, "source scikit-image takes no other key; remove train"),
    ({"source": "scikit-image", "format": "cifar10"}, "source scikit-image takes no other key; remove format"),
    ({"source": "http", "train": URL}, "train needs train_sha256 or train_md5 or n_train, to check what is fetched"),
    ({"source": "http", "train": URL, "n_train": 1, "heldout": URL}, "heldout needs heldout_sha256 or n_heldout"),
    (TRAIN | {"train_md5": "0123"}, "train_md5 is '0123', but should be 32 hexadecimal digits"),
    (TRAIN | {"train": ["a", "b"], "train_md5": "0" * 32}, "belong to one archive; use n_train to check train"),
    (TRAIN | {"heldout_sha256": DIGEST}, "belong to one archive; use n_heldout to check heldout"),
    (TRAIN | {"n_heldout": 2}, "n_heldout needs heldout or heldout_folder"),
    (TRAIN | {"train_folder": "a/"}, "train_folder is 'a/', but should be a folder within the archive"),
    (TRAIN | {"heldout_folder": "../a"}, "heldout_folder is '../a', but should be a folder within the archive"),
    (TRAIN | {"filename": "a.zip"}, "filename belongs to source gdrive"),
    (TRAIN | {"unfit": "convert"}, "background belongs to unfit: convert, which needs it"),
    (TRAIN | {"unfit": "skip", "background": "white"}, "background belongs to unfit: convert, which needs it"),
    (TRAIN | {"format": "cifar10", "unfit": "skip"}, "format cifar10 has only images of one kind; remove it"),
    ({"source": "gdrive", "train": "0B7-_x", "n_train": 1}, "filename belongs to source gdrive, which needs it"),
    ({"source": "gdrive", "train": URL, "filename": "b.zip", "n_train": 1}, "source gdrive needs the id of a file"),
    ({"source": "http", "train": "a.zip", "n_train": 1}, "source http needs a URL that ends in the name of a file"),
    ({"source": "http", "train": "https://a.org/", "n_train": 1}, "source http needs a URL"),
    ({"source": "kaggle", "train": "a", "n_train": 1}, "source kaggle needs owner/name"),
    ({"source": "kaggle", "train": "a/b", "heldout": "a/c", "n_train": 1, "n_heldout": 1}, "kaggle takes one archive"),
]


@pytest.mark.parametrize(("keys", "message"), MISTAKES)
def test_a_mistake_in_the_params_is_named(keys, message):
    with pytest.raises(ValidationError, match=message):
        Download.model_validate({key: value for key, value in keys.items() if value is not None})


def test_one_address_is_a_list_of_one():
    assert Download.model_validate(TRAIN).train == ["a.zip"]
    assert Download.model_validate(TRAIN | {"train": ["a", "b"]}).train == ["a", "b"]


# What is refused, left out or followed


def test_all_images_that_cannot_be_read_are_named_at_once(tmp_path):
    members = {f"{i:02}.jpg": b"" for i in range(30)} | {"x.jpg": jpeg(), "y.png": b"GIF89a" + bytes(20)}
    with pytest.raises(UserError) as said:
        read(written(tmp_path / "folder", members))
    assert "folder: 00.jpg is empty; 01.jpg is empty; " in str(said.value)
    assert "31 problems in all; convert these files to RGB" in str(said.value)


def saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def flat(mode: str, value) -> Image.Image:
    return Image.new(mode, (9, 7), value)


def broken_inside() -> bytes:
    """A PNG with its end, and with ones in place of some of its compressed values."""
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    content = saved(Image.fromarray(noise), "PNG")
    return content[:1000] + b"\xff" * 500 + content[1500:]


# File -> its bytes, what was wrong, and the colour that it is to have on white.
UNFIT = {
    "alpha.png": (saved(flat("RGBA", (200, 100, 0, 51)), "PNG"), "has the mode RGBA", (244, 224, 204)),
    "clear.png": (saved(flat("RGBA", (200, 100, 0, 0)), "PNG"), "has the mode RGBA", (255, 255, 255)),
    "grey.png": (saved(flat("LA", (100, 255)), "PNG"), "has the mode LA", (100, 100, 100)),
    "ink.jpg": (saved(flat("CMYK", (0, 0, 0, 0)), "JPEG"), "has the mode CMYK", (255, 255, 255)),
    "key.png": (saved(flat("RGB", (9, 9, 9)), "PNG", transparency=(9, 9, 9)), "has a transparent", (255, 255, 255)),
    "palette.png": (saved(flat("RGB", (0, 0, 255)).quantize(4), "PNG"), "has the mode P", (0, 0, 255)),
    "deep.png": (saved(flat("I;16", 128 * 256 + 7), "PNG"), "has the mode I;16", (128, 128, 128)),
    "cut.jpg": (jpeg(1, 64)[:-3], "is cut", None),
    "empty.png": (b"", "is empty", None),
    "inside.png": (broken_inside(), "it cannot be decoded", None),
    "other.webp": (b"", "is an image, but not JPEG or PNG", None),
}
FIT = {"a.jpg": jpeg(1), "b.png": saved(flat("RGB", (1, 2, 3)), "PNG"), "c.png": saved(flat("L", 5), "PNG")}


@pytest.mark.parametrize("kind", KINDS)
def test_images_that_cannot_be_used_are_refused_left_out_or_converted(tmp_path, kind, capsys):
    place = written(tmp_path / kind, FIT | {name: content for name, (content, *_) in UNFIT.items()})
    with pytest.raises(UserError) as said:
        read(place)
    wrong = {name: why for name, (_, why, _) in UNFIT.items() if name != "inside.png"}  # which only a decoder finds
    assert all(name in str(said.value) and why in str(said.value) for name, why in wrong.items())
    assert str(said.value).count("; ") == len(wrong) and "\n" not in str(said.value)

    counts = {}
    assert dict(read_files([place], Wanted(unfit="skip"), counts=counts)) == FIT
    assert counts == {"left_out": len(UNFIT), "converted": 0}
    assert f"left out: {len(UNFIT)} images (other.webp is an image, but not JPEG or PNG, " in capsys.readouterr().err

    counts = {"left_out": 1}  # of another split
    found = dict(read_files([place], Wanted(unfit="convert", background="white"), counts=counts))
    expected = {name: colour for name, (*_, colour) in UNFIT.items() if colour}
    assert found.keys() == FIT.keys() | expected.keys() and FIT.items() <= found.items()
    for name, colour in expected.items():
        with Image.open(io.BytesIO(found[name])) as image:
            assert (image.mode, image.size, image.getcolors()) == ("RGB", (9, 7), [(63, colour)]), name
    assert counts == {"left_out": 1 + len(UNFIT) - len(expected), "converted": len(expected)}


@pytest.mark.parametrize(("name", "why"), [(name, why) for name, (_, why, _) in UNFIT.items() if "." in name])
def test_one_unfit_image_alone_is_named(tmp_path, name, why):
    place = written(tmp_path / "folder", {"a.jpg": jpeg(1), name: UNFIT[name][0]})
    if name != "inside.png":  # which only its decoding in the crop stage finds
        with pytest.raises(UserError, match=rf"folder: '?{name}'? {why}.*; convert these"):
            read(place)
    counts = {}
    assert dict(read_files([place], Wanted(unfit="skip"), counts=counts)) == {"a.jpg": jpeg(1)}
    assert counts["left_out"] == 1


def test_a_folder_without_one_image_that_can_be_used_is_an_error(tmp_path):
    place = written(tmp_path / "folder", {"a.jpg": b"", "b.jpg": b"", "c.webp": b""})
    with pytest.raises(UserError, match="folder: none of 3 images can be used; convert these"):
        list(read_files([place], Wanted(unfit="skip")))


def test_a_converted_image_is_upright(tmp_path):
    half = Image.new("RGBA", (2, 1), "red")
    half.putpixel((1, 0), (0, 0, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned right by a quarter
    place = written(tmp_path / "folder", {"a.png": saved(half, "PNG", exif=exif)})
    [(_, content)] = read_files([place], Wanted(unfit="convert", background="black"))
    with Image.open(io.BytesIO(content)) as image:
        assert [image.getpixel((0, row)) for row in range(image.height)] == [(255, 0, 0), (0, 0, 255)]


def test_what_download_leaves_out_stands_in_its_record(monkeypatch, tmp_path):
    written(tmp_path / "photos", FIT | {name: content for name, (content, *_) in UNFIT.items()})
    keys = {"source": "files", "train": "photos", "n_train": 13, "unfit": "convert", "background": "grey"}
    run_stage(monkeypatch, tmp_path, download, *flags(keys), "--out_source", "source.zip")
    record = read_record("source.zip")
    assert (record["left_out"], record["converted"], record["stage"]) == (4, 7, "download")
    assert len(list(read_entries("source.zip"))) == 10


@pytest.mark.parametrize("kind", KINDS)
def test_other_images_are_refused_and_other_files_said(tmp_path, kind, capsys):
    members = {"a.jpg": jpeg(), "labels.csv": b"a,1", "x/notes.txt": b"none", ".photo": jpeg(), "._a.jpg": b"of macOS"}
    place = written(tmp_path / kind, members)
    assert len(read(place)) == 1
    assert (
        f"{place}: left out, as they are no images or hidden: 3 files (.photo, labels.csv, x/notes.txt)"
        in capsys.readouterr().err
    )
    (tmp_path / "bad").mkdir()
    place = written(tmp_path / "bad" / kind, {**members, "b.webp": b"", "c.TIF": b"", "photo": jpeg()})
    with pytest.raises(UserError) as said:
        read(place, n_images=1)
    for words in ("'b.webp' is an image, but not JPEG or PNG", "'c.TIF' is", "'photo' is JPEG by its content, but not"):
        assert words in str(said.value)
    assert len(read(written(tmp_path / "bad" / f"2{kind}", {"in/a.jpg": jpeg(), "b.webp": b""}), folder="in")) == 1


def test_links_to_folders_are_followed(tmp_path):
    written(tmp_path / "elsewhere", {"cat/0.jpg": jpeg(0)})
    folder = written(tmp_path / "folder", {"dog/1.jpg": jpeg(1)})
    (folder / "cat").symlink_to(tmp_path / "elsewhere/cat")
    assert [name for name, _ in read(folder)] == ["cat/0.jpg", "dog/1.jpg"]
    before = folder_digest(folder), digest(folder)
    (tmp_path / "elsewhere/cat/0.jpg").write_bytes(jpeg(2))
    assert folder_digest(folder) != before[0] and digest(folder) != before[1]
    (folder / "dog/back").symlink_to(folder)
    with pytest.raises(UserError, match=r"back is a link to a folder that it lies in; remove it"):
        read(folder)


def test_what_is_no_file_is_refused_by_name(tmp_path):
    folder = written(tmp_path / "folder", {"0.jpg": jpeg()})
    os.mkfifo(folder / "1.jpg")
    (folder / "2.jpg").symlink_to("nowhere")
    with open(os.fsencode(folder) + b"/\xff.jpg", "wb") as file:
        file.write(jpeg())
    os.truncate(folder / "0.jpg", 2**31)  # takes no room on the disk
    (folder / "3\n.jpg").write_bytes(jpeg())
    with pytest.raises(UserError) as said:
        read(folder)
    for words in (
        "'0.jpg' would unpack to 2.15 GB",
        "'3\\n.jpg' has a name with a line break",
        "'1.jpg' is a link to nothing, a device",
        "'2.jpg' is a link",
        "'\\udcff.jpg' has a name that is not",
    ):
        assert words in str(said.value)


def test_a_file_that_may_not_be_read_is_no_broken_archive(tmp_path, monkeypatch):
    folder = written(tmp_path / "folder", {"0.jpg": jpeg()})
    (folder / "0.jpg").unlink()
    members = sources.Members({"0.jpg": lambda name: (folder / name).open("rb")})  # it vanished under way
    monkeypatch.setattr(sources, "_opened", lambda *_: contextlib.nullcontext(members))
    with pytest.raises(FileNotFoundError):
        read(folder)


def test_a_pipe_in_place_of_an_archive_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.zip")
    with pytest.raises(UserError, match=r"a\.zip is a device, a pipe or a socket"):
        check(tmp_path / "a.zip", {})


def test_a_full_disk_for_temporary_files_is_no_broken_archive(tmp_path, monkeypatch):
    """/dev/full refuses each write, as a full disk does."""
    monkeypatch.setattr(tempfile, "TemporaryFile", functools.partial(open, "/dev/full", "wb+"))
    with pytest.raises(OSError, match=r"No space left on device: '/.*/a copy of a\.tar'"):
        read(written(tmp_path / "a.tar", {"0.jpg": jpeg()}))


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("\u00e9.jpg", "\u00e9".encode(), b"\xff\xff"),  # no UTF-8, though a flag says so
        ("0.jpg", None, None),  # the list of members should stand behind the end, so a member before the start
    ],
)
def test_a_zip_that_is_broken_outside_its_images_is_named(tmp_path, name, old, new):
    place = written(tmp_path / "a.zip", {name: jpeg()})
    content = bytearray(place.read_bytes())
    if old is None:
        content[-6:-2] = (int.from_bytes(content[-6:-2], "little") + 1000).to_bytes(4, "little")
    place.write_bytes(content.replace(old, new) if old else content)
    with pytest.raises(UserError, match=r"a\.zip is broken after 0 images .*; download it again"):
        read(place)


def unsafe_zip(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings(action="ignore"):
        for name in ("/etc/0.jpg", "../1.jpg", "2.jpg", "2.jpg"):
            archive.writestr(name, jpeg())
        link = zipfile.ZipInfo("3.jpg")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("4.jpg", bytes(10**6))
        archive.getinfo("4.jpg").file_size = 8 * 10**12
        archive.writestr("5.jpg", jpeg())
        archive.getinfo("5.jpg").flag_bits |= 1
        archive.writestr("6.jpg", jpeg())
        archive.getinfo("6.jpg").compress_type = 9  # deflate64, of Windows


def unsafe_tar(path):
    with tarfile.open(path, "w") as archive:
        for name in ("/etc/0.jpg", "../1.jpg", "2.jpg", "2.jpg"):
            member = tarfile.TarInfo(name)
            member.size = len(jpeg())
            archive.addfile(member, io.BytesIO(jpeg()))
        for name, kind in (("3.jpg", tarfile.SYMTYPE), ("4.jpg", tarfile.LNKTYPE), ("5.jpg", tarfile.CHRTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "2.jpg"
            archive.addfile(member)


@pytest.mark.parametrize(
    ("write", "name", "reasons"),
    [
        (
            unsafe_zip,
            "a.zip",
            {
                "3.jpg": "is a link",
                "4.jpg": "would unpack to 8e+03 GB",
                "5.jpg": "is encrypted",
                "6.jpg": "is compressed in a way",
            },
        ),
        (unsafe_tar, "a.tar", {"3.jpg": "is a link", "4.jpg": "is a link", "5.jpg": "is a device or a pipe"}),
    ],
)
def test_members_that_are_not_safe_are_refused_by_name(tmp_path, write, name, reasons):
    write(tmp_path / name)
    with pytest.raises(UserError) as said:
        read(tmp_path / name)
    reasons |= {"/etc/0.jpg": "has a path that leads", "../1.jpg": "has a path that leads", "2.jpg": "is there twice"}
    for member, why in reasons.items():
        assert f"'{member}' {why}" in str(said.value)


def test_a_tar_that_says_it_holds_terabytes_takes_no_memory(tmp_path):
    member = tarfile.TarInfo("0.jpg")
    member.size = 8 * 10**12
    (tmp_path / "a.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(20_000))
    with pytest.raises(UserError, match=r"a\.tar.*(would unpack to 8e\+03 GB|is broken)"):
        read(tmp_path / "a.tar")


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_header_that_says_it_is_terabytes_long_takes_no_memory(tmp_path, kind, is_first):
    header = tarfile.TarInfo("0.jpg")
    header.type, header.size = kind, 8 * 10**12
    before = b"" if is_first else written(tmp_path / "1.tar", {"1.jpg": jpeg()}).read_bytes().rstrip(b"\0")
    before += bytes(-len(before) % tarfile.BLOCKSIZE)
    (tmp_path / "a.tar").write_bytes(before + header.tobuf(tarfile.GNU_FORMAT) + bytes(20_000))
    with pytest.raises(UserError, match=r"a\.tar (asks for more memory|is broken|is neither)"):
        check(tmp_path / "a.tar", {})
        read(tmp_path / "a.tar", n_images=2)


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz"])
def test_compressed_archives_are_read_to_their_checksum(tmp_path, suffix):
    """It stands behind the end of the archive, where no file is."""
    path = tmp_path / f"a.tar.{suffix}"
    with tarfile.open(path, f"w:{suffix}") as archive:
        member = tarfile.TarInfo("0.jpg")
        member.size = len(jpeg())
        archive.addfile(member, io.BytesIO(jpeg()))
    content = bytearray(path.read_bytes())
    content[-6 if suffix == "gz" else -9] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="is broken"):
        read(path)


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.xz"])
def test_random_damage_ends_in_one_line_or_the_same_images(tmp_path, name):
    """A plain tar has no checksum of what it holds, so there other images may come."""
    path, members = tmp_path / name, {f"{i}.jpg": jpeg(i) for i in range(3)}
    if name.endswith((".zip", ".tar")):
        written(path, members)
    else:
        write_tar_gz(path, members) if name.endswith("gz") else _write_xz(path, members)
    whole, expected, generator = path.read_bytes(), sorted(members.items()), np.random.default_rng(1)
    for _ in range(60):
        content = bytearray(whole)
        content[generator.integers(len(content))] ^= 1 << generator.integers(8)
        path.write_bytes(content[: generator.integers(len(content))] if generator.random() < 0.3 else content)
        try:
            check(path, {})
            found = read(path, n_images=3)
        except UserError as error:
            assert "\n" not in str(error)
            continue
        assert found == expected or name == "a.tar"


@pytest.mark.parametrize(
    ("name", "content", "form"),
    [
        ("data_batch_1", python2_pickle(cifar10_batch()), "cifar10"),
        ("train_data_batch_1.npz", npz(**BATCH64), "imagenet64"),
    ],
)
def test_random_damage_of_a_batch_ends_in_one_line_or_in_images(name, content, form):
    """Most of it at both ends, where the structure is; a pickle has no checksum of its pixels."""
    generator = np.random.default_rng(2)
    places = [*range(120), *range(len(content) - 400, len(content)), *generator.integers(len(content), size=80)]
    pixels, labels = decode_batch(io.BytesIO(content), name, BATCHES[form])
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << generator.integers(8)
        for broken in (bytes(damaged), content[:place]):
            try:
                found, found_labels = decode_batch(io.BytesIO(broken), name, BATCHES[form])
            except UserError as error:
                assert "\n" not in str(error) and name in str(error)
                continue
            assert name == "data_batch_1" or (np.array_equal(found, pixels) and found_labels == labels)
            assert found.shape[1:] == pixels.shape[1:] and len(found_labels) == len(found)


def _write_xz(path, members):
    with tarfile.open(path, "w:xz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def test_an_archive_without_a_digest_is_said(tmp_path, capsys):
    place = written(tmp_path / "a.tar", {"0.jpg": jpeg()})
    check(place, {"sha256": None})
    assert f"damage, write into params.yaml its SHA-256 {digest_of(place, 'sha256')}" in capsys.readouterr().err
    check(place, {"sha256": digest_of(place, "sha256")})
    assert not capsys.readouterr().err


def test_a_digest_may_be_in_capitals_and_a_path_begin_with_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    place = written(tmp_path / "a.zip", {"0.jpg": jpeg()})
    source = Download(source="files", train="~/a.zip", train_sha256=digest_of(place, "sha256").upper())
    assert [name for name, _ in download.entries(source, {})] == ["train/0.jpg"]
    assert download.sources(source) == (place,)
