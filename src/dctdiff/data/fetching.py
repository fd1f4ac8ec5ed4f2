"""Files on the network: fetched into ``data/sources``, or one line on how a person can fetch them.

What already lies there under its name is used as it is, without asking the network.
"""

import contextlib
import fcntl
import http.client
import io
import os
import shutil
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.lock import opened
from dctdiff.pipeline.progress import progress

FOLDER = Path("data/sources")
WEIGHTS = FOLDER / "weights"  # of networks that others trained
CHUNK = 2**20  # bytes
MB = 10**6
TRIES = 5  # of one transfer; each goes on where the last one stopped
PAUSE = 1.0  # seconds before the second try, doubled for each further one
RENEW = "remove it and run again"
TIMEOUT = 60.0  # seconds without a byte
RETRIED = (408, 425, 429, 500, 502, 503, 504)  # HTTP states that may pass


@dataclass(frozen=True)
class Remote:
    """One file, most often an archive."""

    address: str  # as ``fetch`` knows it
    target: Path  # where it will lie
    page: str  # where a browser gets it
    fetch: Callable[["Remote"], Path]  # to a path of its own

    @property
    def by_hand(self) -> str:
        return f"download {self.page} with a browser and put it at {self.target}"


def obtain(remote: Remote, check: Callable[[Path, str, str], None]) -> Path:
    """Path of the file, fetched if it is not there.

    ``check(path, shown, remedy)`` raises a UserError at a wrong one. One that was
    fetched now is then removed; one that lay there is not touched.
    """
    target = remote.target
    if target.exists():
        check(target, str(target), f"{RENEW}, or {remote.by_hand}")
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    arrived = remote.fetch(remote)
    try:
        check(arrived, remote.page, f"run again later, or {remote.by_hand}")
    except UserError:
        arrived.unlink()
        raise
    os.replace(arrived, target)
    if arrived.parent != target.parent:
        shutil.rmtree(arrived.parent)
    return target


def obtain_weights(url: str, check: Callable[[Path, str, str], None]) -> Path:
    """As ``obtain``, of weights, one at a time: two jobs may name one file, and both would append to its part."""
    WEIGHTS.mkdir(parents=True, exist_ok=True)
    with opened(WEIGHTS / ".lock") as lock:
        with contextlib.suppress(OSError):  # of a file system without locks; the digest is checked all the same
            fcntl.flock(lock, fcntl.LOCK_EX)
        return obtain(of_url(url, WEIGHTS), check)


def of_url(url: str, folder: Path = FOLDER) -> Remote:
    return Remote(url, folder / file_name(url), url, http_file)


def file_name(address: str) -> str:
    """The last part of an address."""
    return PurePosixPath(unquote(urlsplit(address).path)).name


def http_file(remote: Remote) -> Path:
    """The ``.part`` file, complete. A cut transfer leaves it, for the next try or the next run."""
    part = remote.target.with_name(f"{remote.target.name}.part")
    reached, problem = False, None
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE * 2 ** (attempt - 1))
        try:
            _transfer(remote.address, part)
            return part
        except HTTPError as error:
            reached, problem = True, f"HTTP {error.code} {error.reason}"
            if error.code not in RETRIED:
                raise UserError(f"{remote.address} cannot be fetched ({problem}); {remote.by_hand}") from None
        except URLError as error:  # no answer at all
            problem = error.reason
            if not reached:
                break
        except (OSError, http.client.HTTPException) as error:
            reached, problem = True, error
    kept = " (what has come is kept)" if part.exists() else ""
    raise UserError(f"{remote.address} cannot be fetched ({problem}); run again{kept}, or {remote.by_hand}")


def _transfer(url: str, part: Path) -> None:
    """Append to ``part`` what is missing of it; an OSError if the connection is cut."""
    done = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "dctdiff", "Accept-Encoding": "identity"}
    if done:
        headers["Range"] = f"bytes={done}-"
    try:
        response = urlopen(Request(url, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        if error.code != 416:
            raise
        # Nothing comes after the part: it is whole, or of another file.
        if error.headers.get("Content-Range") != f"bytes */{done}":
            part.unlink()
            _transfer(url, part)
        return
    with response:
        if not response.headers.get("Content-Range", "").startswith(f"bytes {done}-"):
            done = 0  # a server that knows no ranges sends the whole
        length = response.headers.get("Content-Length")
        total = done + int(length) if length else None
        with (
            open(part, "ab" if done else "wb") as file,
            progress(f"fetch {part.stem}", total and total // MB, "MB", initial=done // MB) as bar,
        ):
            while chunk := response.read(CHUNK):
                file.write(chunk)
                done += len(chunk)
                bar.update(done // MB - bar.n)
    if total is not None and done != total:
        raise OSError(f"the connection was cut after {done} of {total} bytes")


@contextlib.contextmanager
def _client_path(remote: Remote) -> Iterator[Path]:
    """Where a client writes the archive: a folder of its own, since it names files that are not complete itself."""
    folder = remote.target.with_name(f"{remote.target.name}.parts")
    folder.mkdir(exist_ok=True)
    try:
        yield folder / remote.target.name
    finally:
        if not any(folder.iterdir()):
            folder.rmdir()


def gdrive_file(remote: Remote) -> Path:
    import gdown

    try:
        with _client_path(remote) as path, progress(f"fetch {path.name}", None, "MB") as bar:

            def show(done: int, total: int | None) -> None:
                bar.total = total and total // MB
                bar.update(done // MB - bar.n)

            gdown.download(
                id=remote.address, output=str(path), quiet=True, resume=True, retries=TRIES - 1,
                timeout=TIMEOUT, progress=show,
            )  # fmt: skip
    except (gdown.exceptions.DownloadError, OSError) as error:
        raise UserError(
            f"Google Drive does not give {remote.address} ({_one_line(error)}); run again later, or {remote.by_hand}"
        ) from None
    return path


def kaggle_archive(remote: Remote) -> Path:
    try:
        client = _kaggle_client()
        with _client_path(remote) as path:
            client.dataset_download_files(remote.address, path=str(path.parent), quiet=False)
    except SystemExit:
        raise UserError(
            f"Kaggle gives {remote.address} to its users only; run kaggle auth login, or save a token from "
            f"https://www.kaggle.com/settings/api in ~/.kaggle/access_token, or {remote.by_hand}"
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(
            f"Kaggle does not give {remote.address} ({_one_line(error)}); run again, or {remote.by_hand}"
        ) from None
    return path


def _kaggle_client():
    """The client, logged in; a SystemExit if there is no token."""
    with contextlib.redirect_stdout(io.StringIO()):  # a page of help, and again at the login
        from kaggle import api

        api.authenticate()
    return api


def _one_line(error: Exception) -> str:
    return textwrap.shorten(str(error), 200, placeholder="...")
