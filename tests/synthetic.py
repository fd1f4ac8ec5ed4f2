"""Tiny archives in the layouts of the paper's seven sources, for tests without a network."""

import io
import pickle
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

N_CLASSES = 10  # of ImageNet's 1000, that the labels run through


class Python2Pickler(pickle._Pickler):
    """Writes bytes as Python 2 wrote its strings, which the files of CIFAR-10 consist of."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_string(self, value: bytes) -> None:
        if len(value) < 256:
            self.write(pickle.SHORT_BINSTRING + bytes([len(value)]) + value)
        else:
            self.write(pickle.BINSTRING + len(value).to_bytes(4, "little") + value)

    dispatch[bytes] = save_string


def python2_pickle(value) -> bytes:
    buffer = io.BytesIO()
    Python2Pickler(buffer, protocol=2).dump(value)
    return buffer.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def python3_pickle(value) -> bytes:
    return pickle.dumps(value, protocol=3).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def image(index: int, width: int, height: int) -> Image.Image:
    """A smooth picture with some noise, different for each index."""
    generator = np.random.default_rng(index)
    coarse = Image.fromarray(generator.integers(0, 256, (5, 4, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float64)
    noisy = smooth + generator.normal(0, 6, smooth.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def encoded(index: int, width: int, height: int, format: str) -> bytes:
    buffer = io.BytesIO()
    image(index, width, height).save(buffer, format, **({"quality": 90} if format == "JPEG" else {}))
    return buffer.getvalue()


def rows(first: int, n_images: int, side: int) -> np.ndarray:
    """``(n_images, 3 * side * side)`` uint8: the channels of each image one after the other."""
    images = np.stack([np.asarray(image(first + i, side, side)) for i in range(n_images)])
    return images.transpose(0, 3, 1, 2).reshape(n_images, -1)


def parts(n_images: int, n_parts: int) -> Iterator[tuple[int, int]]:
    """First image and size of each of ``n_parts`` nearly equal parts."""
    edges = [n_images * part // n_parts for part in range(n_parts + 1)]
    return zip(edges[:-1], np.diff(edges).tolist(), strict=True)


def write_zip(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def write_tar_gz(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def cifar10(folder: Path, n_images: int) -> dict:
    """Five training batches and a test batch of Python 2, with the list of the classes."""

    def batch(first: int, size: int) -> bytes:
        labels = [(first + i) % 10 for i in range(size)]
        names = [b"image_%d.png" % (first + i) for i in range(size)]
        values = {b"data": rows(first, size, 32), b"labels": labels, b"filenames": names, b"batch_label": b"a batch"}
        return python2_pickle(values)

    members = {f"data_batch_{i}": batch(*part) for i, part in enumerate(parts(n_images, 5), start=1)}
    members |= {"test_batch": batch(n_images, n_images), "batches.meta": python2_pickle({b"label_names": []})}
    path = folder / "cifar-10-python.tar.gz"
    write_tar_gz(path, {f"cifar-10-batches-py/{name}": content for name, content in members.items()})
    return {
        "source": "http",
        "train": f"https://www.cs.toronto.edu/~kriz/{path.name}",
        "format": "cifar10",
        "n_train": n_images,
        "n_heldout": n_images,
    }


def imagenet64(folder: Path, n_images: int) -> dict:
    """Two archives of five training batches each and one of the validation batch, of Python 3."""

    def batch(first: int, size: int) -> bytes:
        labels = [(first + i) % N_CLASSES + 1 for i in range(size)]
        return python3_pickle({"data": rows(first, size, 64), "labels": labels, "mean": np.zeros(3 * 64 * 64)})

    batches = [batch(*part) for part in parts(n_images, 10)]
    members = {f"train_data_batch_{i}": content for i, content in enumerate(batches, start=1)}
    for part in (1, 2):
        names = [f"train_data_batch_{i}" for i in range(5 * part - 4, 5 * part + 1)]
        write_zip(folder / f"Imagenet64_train_part{part}.zip", {name: members[name] for name in names})
    write_zip(folder / "Imagenet64_val.zip", {"val_data": batch(n_images, n_images)})
    url = "https://image-net.org/data/downsample"
    return {
        "source": "http",
        "train": [f"{url}/Imagenet64_train_part1.zip", f"{url}/Imagenet64_train_part2.zip"],
        "heldout": f"{url}/Imagenet64_val.zip",
        "format": "imagenet64",
        "n_train": n_images,
        "n_heldout": n_images,
    }


def celeba64(folder: Path, n_images: int) -> dict:
    members = {f"img_align_celeba/{i + 1:06d}.jpg": encoded(i, 178, 218, "JPEG") for i in range(n_images)}
    write_zip(folder / "img_align_celeba.zip", {"img_align_celeba/": b"", **members})
    return {
        "source": "gdrive",
        "train": "0B7EVK8r0v71pZjFTYXZWM3FlRnM",
        "filename": "img_align_celeba.zip",
        "train_folder": "img_align_celeba",
        "n_train": n_images,
    }


def kaggle(folder: Path, slug: str, members: dict[str, bytes]) -> dict:
    write_zip(folder / f"{slug.partition('/')[2]}.zip", members)
    return {"source": "kaggle", "train": slug, "n_train": len(members)}


def ffhq128(folder: Path, n_images: int) -> dict:
    members = {f"thumbnails128x128/{i:05d}.png": encoded(i, 128, 128, "PNG") for i in range(n_images)}
    return kaggle(folder, "greatgamedota/ffhq-face-data-set", members)


def ffhq256(folder: Path, n_images: int) -> dict:
    members = {f"{i:05d}.png": encoded(i, 256, 256, "PNG") for i in range(n_images)}
    return kaggle(folder, "rahulbhalley/ffhq-256x256", members)


def ffhq512(folder: Path, n_images: int) -> dict:
    members = {f"{i:05d}.jpg": encoded(i, 512, 512, "JPEG") for i in range(n_images)}
    return kaggle(folder, "shivamshrirao/ffhqresized512x512", members)


def afhq512(folder: Path, n_images: int) -> dict:
    kinds = ("cat", "dog", "wild")
    members = {f"{kinds[i % 3]}/flickr_{i:06d}.png": encoded(i, 512, 512, "PNG") for i in range(n_images)}
    return kaggle(folder, "dimensi0n/afhq-512", members)


SOURCES = {source.__name__: source for source in (cifar10, celeba64, imagenet64, ffhq128, ffhq256, ffhq512, afhq512)}


def write_source(dataset: str, folder: Path, n_images: int) -> dict:
    """Write the archives of ``dataset`` as a person would put them there; the download slice that reads them.

    ``folder`` is data/sources of the project that runs. The slice is that of the paper's suite but
    for the counts and without digests; cifar10 and imagenet64 have ``n_images`` held-out images too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return SOURCES[dataset](folder, n_images)
