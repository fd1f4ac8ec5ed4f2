"""Sources of images: archives and folders on disk, read as a stream in the order of the names."""

import contextlib
import functools
import hashlib
import io
import lzma
import re
import shutil
import stat
import sys
import tarfile
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from dctdiff.data.archive import IMAGE_SUFFIXES, raise_of_system
from dctdiff.data.batches import BATCHES, batch_order, decode_batch, jpeg_entries
from dctdiff.data.fitting import settled
from dctdiff.data.inspection import OTHER_SUFFIXES, START_BYTES, kind_by_start, problem
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import walk, writing
from dctdiff.pipeline.progress import progress
from dctdiff.pipeline.slice import together

BROKEN = (  # what broken bytes end in; UnicodeDecodeError: the name of a member
    tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError, OSError, RuntimeError,
    UnicodeDecodeError,
)  # fmt: skip
AGAIN = "download it again"
CORRECT = "correct the folder"  # of one's own
CONVERT = "convert these files to RGB or grey JPEG or PNG of 8 bit, remove them, or set download.unfit"
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
MOST_IMAGE_BYTES = 2**30  # the largest image that Pillow decodes has 0.54 GB without any compression
MOST_BATCH_BYTES = 2**34  # the largest official batch has 1.6 GB
MOST_PER_BYTE = 1032  # bytes that a zip makes of one
N_NAMED = 5  # files that are left out
CHUNK = 2**20  # bytes
PAGE_STARTS = (b"<!doctype html", b"<html")


@dataclass(frozen=True)
class Wanted:
    """Which files of the places are read, and how."""

    format: str = "images"  # or a key of BATCHES
    split: str = "train"
    folder: str | None = None  # only what lies in it, named from there
    n_images: int | None = None  # found, also those that are left out then; None: any number but 0
    unfit: str = "strict"  # what becomes of images that cannot be used as they are: "strict", "skip", "convert"
    background: str | None = None  # of "convert"

    def admits(self, name: str) -> bool:
        if _is_hidden(name):
            return False
        if self.format == "images":
            return name.lower().endswith(IMAGE_SUFFIXES)
        return re.fullmatch(BATCHES[self.format].members[self.split], PurePosixPath(name).name) is not None

    @property
    def most_bytes(self) -> int:
        """What a file may have, as each is taken into memory."""
        return MOST_IMAGE_BYTES if self.format == "images" else MOST_BATCH_BYTES


@dataclass(frozen=True)
class Members:
    """The files that are wanted of some places, all their folders, and what else is there, by name."""

    openers: dict[str, Callable[[str], BinaryIO]] = field(default_factory=dict)  # opens the file of that name
    folders: set[str] = field(default_factory=set)
    left_out: list[str] = field(default_factory=list)  # files that are no images, and hidden images
    refused: dict[str, str] = field(default_factory=dict)  # name -> why it can neither be read nor left out
    unfit: dict[str, str] = field(default_factory=dict)  # name of an image of another kind -> what it is


def check(place: Path, digests: dict[str, str | None], shown: str | None = None, remedy: str = AGAIN) -> None:
    """A UserError unless ``place`` is a folder or an archive with these digests ("sha256", "md5"; None: any).

    ``shown`` is what to call it, ``remedy`` what to do about it.
    """
    shown = shown or str(place)
    if not place.exists():
        raise UserError(f"{shown} does not exist; put the archive or folder of images there, or correct the path")
    if not place.is_dir():
        if not place.is_file():  # to read it would wait without end
            raise UserError(f"{shown} is a device, a pipe or a socket, but an archive or a folder is expected")
        _check_kind(place, shown, remedy)
        if not any(digests.values()):
            said = "only the number of images checks this archive; to notice damage, write into params.yaml its SHA-256"
            print(f"{shown}: {said} {_file_digest(place, 'sha256')}", file=sys.stderr)
    for algorithm, digest in digests.items():
        if digest is None:
            continue
        found = folder_digest(place, algorithm) if place.is_dir() else _file_digest(place, algorithm)
        if found != digest.lower():
            raise UserError(
                f"{shown} has the {algorithm.upper()} {found}, but params.yaml expects {digest}; {remedy}, or write "
                "its digest there if you trust it"
            )


def read_files(
    places: list[Path], wanted: Wanted, remedy: str = AGAIN, counts: dict[str, int] | None = None
) -> Iterator[tuple[str, bytes]]:
    """Relative name and bytes of each image of archives and folders that passed ``check``.

    Images come as they are, sorted by name, unless ``wanted.unfit`` says otherwise; those of batch files as
    JPEG, in the order of the files. To ``counts`` are added, by the end, the images "left_out" and "converted".
    """
    shown = " and ".join(map(str, places))
    n_images = 0
    try:
        with _opened(places, wanted) as members:
            members = _within(members, wanted, shown, remedy)
            if wanted.format == "images":
                _say_left_out(members, shown)
                if not members.unfit:
                    _check_count(len(members.openers), wanted, shown, remedy)
                _check_class_folders(members, shown, remedy)
            if wanted.unfit == "strict":
                entries = _entries(members, wanted, shown)
            else:
                entries = _settled_entries(members, wanted, shown, {} if counts is None else counts)
            for name, content in entries:
                n_images += 1
                yield name, content
    except MemoryError:  # of a header, as large files are refused by name
        raise UserError(f"{shown} asks for more memory than there is, so it is broken; {remedy}") from None
    except BROKEN as error:
        raise_of_system(error, shown)
        raise UserError(f"{shown} is broken after {n_images} images ({error}); {remedy}") from None
    if wanted.format != "images":  # which only now are counted
        _check_count(n_images, wanted, shown, remedy)


def folder_digest(folder: Path, algorithm: str = "sha256") -> str:
    """Digest of the lines "<digest of the file>  <relative name>" of all files, sorted by name.

    Of images only, if there are any.
    """
    digest = hashlib.new(algorithm)
    names = [path.relative_to(folder).as_posix() for path in walk(folder) if path.is_file()]
    for name in sorted(filter(Wanted().admits, names) if any(map(Wanted().admits, names)) else names):
        digest.update(f"{_file_digest(folder / name, algorithm)}  {name}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _is_hidden(name: str) -> bool:
    """What file managers leave behind; some of it ends in .jpg."""
    parts = PurePosixPath(name).parts
    return any((part.startswith(".") and part != "..") or part == "__MACOSX" for part in parts)


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
    except MemoryError:  # of a header: no tar begins so
        return False
    except BROKEN as error:
        raise_of_system(error, place)
        return False


def _entries(members: Members, wanted: Wanted, shown: str) -> Iterator[tuple[str, bytes]]:
    if wanted.format == "images":
        problems = [f"{name!a} {why}" for name, why in members.unfit.items()]
        with progress(f"read {wanted.split}", len(members.openers), "images") as bar:
            for name, opener in members.openers.items():
                with opener(name) as file:
                    content = file.read()
                yield _relative(name, wanted.folder), content
                if why := problem(content):
                    problems.append(f"{name} {why}")
                bar.update()
        if problems:
            raise UserError(f"{shown}: {together(problems)}; {CONVERT}")
        return
    batches, number = BATCHES[wanted.format], 1
    for name in sorted(members.openers, key=batch_order):
        with members.openers[name](name) as file:
            pixels, labels = decode_batch(file, f"{shown}: {name}", batches)
        with progress(f"read {wanted.split} of {PurePosixPath(name).name}", len(labels), "images") as bar:
            for entry in jpeg_entries(pixels, labels, number, batches):
                yield entry
                bar.update()
        number += len(labels)


def _settled_entries(
    members: Members, wanted: Wanted, shown: str, counts: dict[str, int]
) -> Iterator[tuple[str, bytes]]:
    """The images that can be used, once they are converted where that is wanted; the others are counted and said."""
    left_out, converted = dict(members.unfit), {}
    n_used = 0
    with progress(f"read {wanted.split}", len(members.openers), "images") as bar:
        for name, opener in members.openers.items():
            with opener(name) as file:
                content, why = settled(file.read(), wanted.background)
            if content is not None:
                n_used += 1
                yield _relative(name, wanted.folder), content
            if why is not None:
                (left_out if content is None else converted)[name] = why
            bar.update()
    for said, found in (("left_out", left_out), ("converted", converted)):
        counts[said] = counts.get(said, 0) + len(found)
        if found:
            first = ", ".join(f"{name} {why}" for name, why in list(found.items())[:N_NAMED])
            print(f"{shown}: {said.replace('_', ' ')}: {len(found)} images ({first})", file=sys.stderr)
    if n_used == 0:
        raise UserError(f"{shown}: none of {len(left_out)} images can be used; {CONVERT}")


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
    refused = [f"{name!a} {why}" for name, why in sorted(members.refused.items()) if name.startswith(prefix)]
    unfit = {name: why for name, why in sorted(members.unfit.items()) if name.startswith(prefix)}
    if unfit and not openers:
        refused += [f"{name!a} {why}" for name, why in unfit.items()]
    if refused:
        raise UserError(f"{shown}: {together(refused)}; correct or remove these files, or {remedy}")
    if openers:
        folders = {folder for folder in members.folders if folder.startswith(prefix)}
        left_out = [name for name in sorted(members.left_out) if name.startswith(prefix)]
        return Members(openers, folders, left_out, unfit=unfit)
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
        all_members = Members()
        for place in places:
            # A tar first: one that ends in a zip or npz file passes for a zip.
            kind = _folder if place.is_dir() else _tar if _is_tar(place) else _zip
            members = stack.enter_context(kind(place, wanted))
            twice = all_members.openers.keys() & members.openers.keys()
            if twice:
                raise UserError(f"{place} holds {min(twice)}, as another archive does; name each archive once")
            all_members.openers.update(members.openers)
            all_members.folders.update(members.folders)
            all_members.left_out.extend(members.left_out)
            all_members.refused.update(members.refused)
            all_members.unfit.update(members.unfit)
        yield all_members


@contextlib.contextmanager
def _folder(place: Path, wanted: Wanted) -> Iterator[Members]:
    def opener(name: str) -> BinaryIO:
        return open(place / name, "rb")

    members = Members()
    for path in walk(place):
        name = path.relative_to(place).as_posix()
        if path.is_dir():
            _add_folder(members, name)
        else:
            why = None if path.is_file() else "is a link to nothing, a device, a pipe or a socket"
            _add(members, name, opener, wanted, path.stat().st_size if why is None else 0, why)
    yield members


@contextlib.contextmanager
def _zip(place: Path, wanted: Wanted) -> Iterator[Members]:
    with zipfile.ZipFile(place) as archive:
        members = Members()
        for member in archive.infolist():
            if member.is_dir():
                _add_folder(members, member.filename.rstrip("/"))
            else:
                _add(members, member.filename, archive.open, wanted, member.file_size, _problem_in_zip(member))
        yield members


@contextlib.contextmanager
def _tar(place: Path, wanted: Wanted) -> Iterator[Members]:
    """A compressed tar can be read in its own order only: its files wait in a temporary one."""
    where: dict[str, tuple[int, int]] = {}  # name -> start and size
    copy = Path(tempfile.gettempdir(), f"a copy of {place.name}")  # what to call it if the disk is full
    with writing(copy), tempfile.TemporaryFile() as spool, tarfile.open(place) as archive:

        def opener(name: str) -> BinaryIO:
            start, size = where[name]
            spool.seek(start)
            return io.BytesIO(spool.read(size))

        members = Members()
        while (member := archive.next()) is not None:
            name = member.name.removeprefix("./")
            if member.isdir():
                _add_folder(members, name)
            else:
                opens = functools.partial(_extracted, archive, member)
                _add(members, name, opens, wanted, member.size, _problem_in_tar(member))
            if name in members.openers and name not in where:
                members.openers[name] = opener
                where[name] = (spool.tell(), member.size)
                shutil.copyfileobj(archive.extractfile(member), spool)
            archive.members.clear()  # tarfile would keep a record of each
        while archive.fileobj.read(CHUNK):  # the checksum of a compressed one stands behind the end
            pass
        yield members


def _extracted(archive: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> BinaryIO:
    """The file at which the archive stands; ``name`` is what openers are given."""
    return archive.extractfile(member)


def _add_folder(members: Members, name: str) -> None:
    if not _is_hidden(name):
        members.folders.add(name)


def _add(
    members: Members,
    name: str,
    opener: Callable[[str], BinaryIO],
    wanted: Wanted,
    n_bytes: int,
    why_refused: str | None,
) -> None:
    """File a file with those that are read, refused or left out. Of batches only what is wanted matters."""
    if wanted.format != "images" and not wanted.admits(name):
        return
    if _is_hidden(name):  # most of it is of a file manager and no image at all
        if why_refused is None and _kind_by_content(name, opener):
            members.left_out.append(name)
        return
    why_refused = why_refused or _problem_of_name(name)
    if why_refused is None and name in members.openers:
        why_refused = "is there twice"
    if why_refused is None and wanted.admits(name) and n_bytes > wanted.most_bytes:
        why_refused = _too_large(n_bytes)
    if why_refused is None and not wanted.admits(name):
        why_unfit = _problem_of_other_file(name, opener)
        if why_unfit is None:
            members.left_out.append(name)
        else:
            members.unfit[name] = why_unfit
        return
    if why_refused is None:
        members.openers[name] = opener
    else:
        members.refused[name] = why_refused


def _problem_of_other_file(name: str, opener: Callable[[str], BinaryIO]) -> str | None:
    """What looks like an image is not left out."""
    if name.lower().endswith(OTHER_SUFFIXES):
        return "is an image, but not JPEG or PNG"
    kind = _kind_by_content(name, opener)
    return f"is {kind} by its content, but not by its name" if kind else None


def _kind_by_content(name: str, opener: Callable[[str], BinaryIO]) -> str | None:
    with opener(name) as file:
        return kind_by_start(file.read(START_BYTES))


def _problem_of_name(name: str) -> str | None:
    try:
        name.encode()
    except UnicodeEncodeError:
        return "has a name that is not UTF-8"
    if any(unicodedata.category(character) == "Cc" for character in name):
        return "has a name with a line break or another control character"
    if name.startswith(("/", "\\")) or ".." in PurePosixPath(name.replace("\\", "/")).parts:
        return "has a path that leads out of the archive"
    return None


def _problem_in_zip(member: zipfile.ZipInfo) -> str | None:
    if member.flag_bits & 1:
        return "is encrypted"
    if member.compress_type not in COMPRESSIONS:
        return "is compressed in a way that Python does not know"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "is a link"
    deflated = member.compress_type == zipfile.ZIP_DEFLATED
    if deflated and member.file_size > MOST_PER_BYTE * max(1, member.compress_size):
        return _too_large(member.file_size)
    return None


def _problem_in_tar(member: tarfile.TarInfo) -> str | None:
    if member.isfile():
        return None
    return "is a link" if member.issym() or member.islnk() else "is a device or a pipe"


def _too_large(n_bytes: int) -> str:
    return f"would unpack to {n_bytes / 1e9:.3g} GB"


def _say_left_out(members: Members, shown: str) -> None:
    names = members.left_out
    if names:
        more = ", ..." if len(names) > N_NAMED else ""
        said = f"left out, as they are no images or hidden: {len(names)} files"
        print(f"{shown}: {said} ({', '.join(names[:N_NAMED])}{more})", file=sys.stderr)
