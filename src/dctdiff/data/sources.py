"""Sources of images: archives and folders on disk, read as a stream in the order of the names."""

import contextlib
import hashlib
import io
import lzma
import re
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from dctdiff.data.archive import IMAGE_SUFFIXES
from dctdiff.data.batches import BATCHES, batch_order, decode_batch, jpeg_entries
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.progress import progress

BROKEN = (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError, OSError, RuntimeError)
AGAIN = "download it again"
PAGE_STARTS = (b"<!doctype html", b"<html")


@dataclass(frozen=True)
class Wanted:
    """Which files of the places are read, and how."""

    format: str = "images"  # or a key of BATCHES
    split: str = "train"
    folder: str | None = None  # only what lies in it, named from there
    n_images: int | None = None  # None: any number but 0

    def admits(self, name: str) -> bool:
        if _is_hidden(name):
            return False
        if self.format == "images":
            return name.lower().endswith(IMAGE_SUFFIXES)
        return re.fullmatch(BATCHES[self.format].members[self.split], PurePosixPath(name).name) is not None


@dataclass(frozen=True)
class Members:
    """The files that are wanted of some places, and all their folders."""

    openers: dict[str, Callable[[str], BinaryIO]]  # name -> opens the file of that name
    folders: set[str]


def check(place: Path, digests: dict[str, str | None], shown: str | None = None, remedy: str = AGAIN) -> None:
    """A UserError unless ``place`` is a folder or an archive with these digests ("sha256", "md5"; None: any).

    ``shown`` is what to call it, ``remedy`` what to do about it.
    """
    shown = shown or str(place)
    if not place.exists():
        raise UserError(f"{shown} does not exist; put the archive or folder of images there, or correct the path")
    if not place.is_dir():
        _check_kind(place, shown, remedy)
    for algorithm, digest in digests.items():
        if digest is None:
            continue
        found = folder_digest(place, algorithm) if place.is_dir() else _file_digest(place, algorithm)
        if found != digest:
            raise UserError(
                f"{shown} has the {algorithm.upper()} {found}, but params.yaml expects {digest}; {remedy}, or write "
                "its digest there if you trust it"
            )


def read_files(places: list[Path], wanted: Wanted, remedy: str = AGAIN) -> Iterator[tuple[str, bytes]]:
    """Relative name and bytes of each image of archives and folders that passed ``check``.

    Images come as they are, sorted by name; those of batch files as JPEG, in the order of the files.
    """
    shown = " and ".join(map(str, places))
    n_images = 0
    try:
        with _opened(places, wanted) as members:
            members = _within(members, wanted, shown, remedy)
            if wanted.format == "images":
                _check_count(len(members.openers), wanted, shown, remedy)
                _check_class_folders(members, shown, remedy)
            for name, content in _entries(members.openers, wanted, shown):
                n_images += 1
                yield name, content
    except BROKEN as error:
        raise UserError(f"{shown} is broken after {n_images} images ({error}); {remedy}") from None
    _check_count(n_images, wanted, shown, remedy)


def folder_digest(folder: Path, algorithm: str = "sha256") -> str:
    """Digest of the lines "<digest of the file>  <relative name>" of all files, sorted by name.

    Of images only, if there are any.
    """
    digest = hashlib.new(algorithm)
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    for name in sorted(filter(Wanted().admits, names) if any(map(Wanted().admits, names)) else names):
        digest.update(f"{_file_digest(folder / name, algorithm)}  {name}\n".encode())
    return digest.hexdigest()


def _is_hidden(name: str) -> bool:
    """What file managers leave behind; some of it ends in .jpg."""
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def _file_digest(path: Path, algorithm: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _check_kind(place: Path, shown: str, remedy: str) -> None:
    with open(place, "rb") as file:
        start = file.read(1024).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(PAGE_STARTS):
        raise UserError(f"{shown} is an HTML page (of a login, a quota or an error), not an archive; {remedy}")
    if zipfile.is_zipfile(place) or _is_tar(place):
        return
    if start.startswith(b"pk\x03\x04"):
        raise UserError(f"{shown} is a zip archive without its end: it was cut; {remedy}")
    raise UserError(f"{shown} is neither a folder nor a zip or tar archive; {remedy}")


def _is_tar(place: Path) -> bool:
    try:
        return tarfile.is_tarfile(place)
    except BROKEN:
        return False


def _entries(openers: dict[str, Callable], wanted: Wanted, shown: str) -> Iterator[tuple[str, bytes]]:
    if wanted.format == "images":
        with progress(f"read {wanted.split}", len(openers), "images") as bar:
            for name, opener in openers.items():
                with opener(name) as file:
                    content = file.read()
                yield _relative(name, wanted.folder), content
                bar.update()
        return
    batches, number = BATCHES[wanted.format], 1
    for name in sorted(openers, key=batch_order):
        with openers[name](name) as file:
            pixels, labels = decode_batch(file, f"{shown}: {name}", batches)
        with progress(f"read {wanted.split} of {PurePosixPath(name).name}", len(labels), "images") as bar:
            for entry in jpeg_entries(pixels, labels, number, batches):
                yield entry
                bar.update()
        number += len(labels)


def _check_count(n_images: int, wanted: Wanted, shown: str, remedy: str) -> None:
    if wanted.n_images is not None and n_images != wanted.n_images:
        raise UserError(
            f"{shown} holds {n_images} {wanted.split} images, but n_{wanted.split} is {wanted.n_images}; "
            f"{remedy}, or correct n_{wanted.split}"
        )


def _within(members: Members, wanted: Wanted, shown: str, remedy: str) -> Members:
    """The members that lie in the wanted folder, sorted; at least one."""
    prefix = f"{wanted.folder}/" if wanted.folder else ""
    openers = {name: members.openers[name] for name in sorted(members.openers) if name.startswith(prefix)}
    if openers:
        return Members(openers, {folder for folder in members.folders if folder.startswith(prefix)})
    if members.openers:
        top = sorted({name.partition("/")[0] for name in members.openers})[:5]
        raise UserError(f"{shown} has no image in the folder {wanted.folder}; it has {', '.join(top)}")
    kind = f"{', '.join(IMAGE_SUFFIXES)} file"
    if wanted.format != "images":
        kind = f"file {BATCHES[wanted.format].members[wanted.split]} of {wanted.format}"
    raise UserError(f"{shown} holds no {kind}; {remedy}, or correct the format")


def _check_class_folders(members: Members, shown: str, remedy: str) -> None:
    """A folder beside folders of images must hold images too: an empty class is a lost one."""
    direct = {_parent(name) for name in members.openers}
    holding = direct | {str(parent) for folder in direct for parent in PurePosixPath(folder).parents}
    beside = {_parent(folder) for folder in direct - {"."}}
    for folder in sorted(members.folders - holding):
        if _parent(folder) in beside:
            raise UserError(
                f"{shown}: the folder {folder} holds no image, but folders beside it do; "
                f"if it should, {remedy}; else remove the folder"
            )


def _parent(name: str) -> str:
    return str(PurePosixPath(name).parent)


def _relative(name: str, folder: str | None) -> str:
    return name.removeprefix(f"{folder}/") if folder else name


@contextlib.contextmanager
def _opened(places: list[Path], wanted: Wanted) -> Iterator[Members]:
    """What all places hold together."""
    with contextlib.ExitStack() as stack:
        together = Members({}, set())
        for place in places:
            # A tar first: one that ends in a zip or npz file passes for a zip.
            kind = _folder if place.is_dir() else _tar if _is_tar(place) else _zip
            members = stack.enter_context(kind(place, wanted))
            twice = together.openers.keys() & members.openers.keys()
            if twice:
                raise UserError(f"{place} holds {min(twice)}, as another archive does; name each archive once")
            together.openers.update(members.openers)
            together.folders.update(members.folders)
        yield together


@contextlib.contextmanager
def _folder(place: Path, wanted: Wanted) -> Iterator[Members]:
    def opener(name: str) -> BinaryIO:
        return open(place / name, "rb")

    members = Members({}, set())
    for path in place.rglob("*"):
        name = path.relative_to(place).as_posix()
        _add(members, name, path.is_dir(), opener, wanted)
    yield members


@contextlib.contextmanager
def _zip(place: Path, wanted: Wanted) -> Iterator[Members]:
    with zipfile.ZipFile(place) as archive:
        members = Members({}, set())
        for member in archive.infolist():
            _add(members, member.filename.rstrip("/"), member.is_dir(), archive.open, wanted)
        yield members


@contextlib.contextmanager
def _tar(place: Path, wanted: Wanted) -> Iterator[Members]:
    """A compressed tar can be read in its own order only: its files wait in a temporary one."""
    where: dict[str, tuple[int, int]] = {}  # name -> start and size
    with tempfile.TemporaryFile() as spool, tarfile.open(place) as archive:

        def opener(name: str) -> BinaryIO:
            start, size = where[name]
            spool.seek(start)
            return io.BytesIO(spool.read(size))

        members = Members({}, set())
        while (member := archive.next()) is not None:
            name = member.name.removeprefix("./")
            if member.isdir() or member.isfile():
                _add(members, name, member.isdir(), opener, wanted)
                if name in members.openers:
                    where[name] = (spool.tell(), member.size)
                    shutil.copyfileobj(archive.extractfile(member), spool)
            archive.members.clear()  # tarfile would keep a record of each
        yield members


def _add(members: Members, name: str, is_folder: bool, opener: Callable[[str], BinaryIO], wanted: Wanted) -> None:
    if is_folder:
        if not _is_hidden(name):
            members.folders.add(name)
    elif wanted.admits(name):
        members.openers[name] = opener
