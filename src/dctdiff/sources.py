"""Sources of images: archives and folders on disk."""

import hashlib
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from dctdiff.archive import IMAGE_SUFFIXES
from dctdiff.errors import UserError
from dctdiff.files import existing, sha256

BROKEN = (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError, OSError, RuntimeError)


def read_files(path: str, digest: str) -> Iterator[tuple[str, bytes]]:
    """Relative name and bytes of each image in an archive or a folder, sorted by name.

    The digest is checked first: that of the archive file, or ``folder_sha256``.
    """
    place = existing(path)
    found = folder_sha256(place) if place.is_dir() else sha256(place)
    if found != digest:
        raise UserError(
            f"{path} has the SHA-256 {found}, but params.yaml expects {digest}; download it again, or "
            "write its digest there if you trust it"
        )
    n_images = 0
    try:
        for name, content in _entries(place):
            n_images += 1
            yield name, content
    except BROKEN as error:
        raise UserError(f"{path} is broken after {n_images} images ({error}); download it again") from None
    if not n_images:
        raise UserError(f"{path} holds no {', '.join(IMAGE_SUFFIXES)} file")


def folder_sha256(folder: Path) -> str:
    """SHA-256 of the lines "<sha256 of the file>  <relative name>" of all images, sorted by name."""
    digest = hashlib.sha256()
    for name, content in _folder_entries(folder):
        digest.update(f"{hashlib.sha256(content).hexdigest()}  {name}\n".encode())
    return digest.hexdigest()


def _entries(place: Path) -> Iterator[tuple[str, bytes]]:
    if place.is_dir():
        return _folder_entries(place)
    if zipfile.is_zipfile(place):
        return _zip_entries(place)
    if tarfile.is_tarfile(place):
        return _tar_entries(place)
    raise UserError(f"{place} is neither a folder nor a zip or tar archive")


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES)


def _folder_entries(folder: Path) -> Iterator[tuple[str, bytes]]:
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    for name in sorted(filter(_is_image, names)):
        yield name, (folder / name).read_bytes()


def _zip_entries(path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for name in sorted(filter(_is_image, archive.namelist())):
            yield name, archive.read(name)


def _tar_entries(path: Path) -> Iterator[tuple[str, bytes]]:
    # One pass in the order of the file, since a compressed tar cannot be read out of order.
    contents = {}
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile() and _is_image(member.name):
                contents[member.name.removeprefix("./")] = archive.extractfile(member).read()
    yield from sorted(contents.items())
