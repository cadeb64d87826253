"""Downloads: mirrors in order, resumed where they broke off, checked by sha256, and never half used.

pooch does the transfer's bookkeeping (temporary name, hash, rename); what it lacks is here: continuing a broken
download, and saying by hand what to do when every mirror fails.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pooch
import requests
from tqdm.auto import tqdm

from ganbook.checkpoint import unwritable
from ganbook.data.pictures import leads_outside
from ganbook.data.prepare import cache_folder
from ganbook.errors import DataError

CHUNK = 1 << 16  # bytes; what a broken connection loses at most
TIMEOUT = 30  # seconds without a byte


@dataclass(frozen=True)
class RemoteFile:
    """A file of a data set as its makers publish it."""

    name: str  # as it lies in the set's folder
    urls: tuple[str, ...]  # official home first, then mirrors; tried in order
    sha256: str
    size: int  # bytes


def data_root(root: str | Path | None = None) -> Path:
    """Where downloaded sets lie: ``root``, else ``GANBOOK_DATA``, else a folder in the user's cache."""
    return Path(root or os.environ.get("GANBOOK_DATA") or cache_folder() / "data")


def fetch(file: RemoteFile, folder: Path, *, progress: bool = True) -> Path:
    """The file in ``folder``, downloaded if it is not there yet.

    A file that is there already is taken as it is; `verify` and `verify_once` check it.

    Raises:
        DataError: no mirror gave the right bytes; the message says what to get by hand and where to put it.
    """
    path = folder / file.name
    if path.is_file():
        return path
    failures = []
    pooch.get_logger().setLevel("WARNING")  # it would announce every try
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for url in file.urls:
            try:
                pooch.retrieve(
                    url,
                    known_hash=f"sha256:{file.sha256}",
                    fname=file.name,
                    path=folder,
                    downloader=Resuming(file, folder, progress, url),
                )
                for part in folder.glob(f"{file.name}.*.part"):
                    part.unlink()
                return path
            except (requests.RequestException, ValueError) as error:  # ValueError: pooch's word for a wrong hash
                failures.append(f"{url}: {_reason(error)}")
    except OSError as error:
        raise unwritable(path, error) from None
    raise DataError(
        f"{file.name} could not be downloaded ({'; '.join(failures)}). Get this file by hand "
        f"({file.size / 1e6:,.0f} MB, sha256 {file.sha256}), for instance in a browser from {file.urls[0]}, and put it "
        f"at {path}. Then run this again."
    )


class Resuming:
    """A pooch downloader that keeps what has arrived in a ``.part`` file and asks the same server for the rest."""

    def __init__(self, file: RemoteFile, folder: Path, progress: bool, url: str) -> None:
        self.file, self.progress = file, progress
        mirror = hashlib.sha256(url.encode()).hexdigest()[:8]  # what one mirror sent is not continued from another
        self.part = folder / f"{file.name}.{mirror}.part"

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        have = self.part.stat().st_size if self.part.is_file() else 0
        if have < self.file.size:
            self._get(url, have)
        if self.part.stat().st_size != self.file.size:
            size = self.part.stat().st_size
            if size > self.file.size:
                self.part.unlink()  # another file's bytes: nothing to go on with
            raise requests.ConnectionError(f"{size:,} of {self.file.size:,} bytes came")
        os.replace(self.part, output_file)

    def _get(self, url: str, have: int) -> None:
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            response.raise_for_status()
            if response.headers.get("content-type", "").startswith("text/html") and not self.file.name.endswith("html"):
                raise requests.ConnectionError("the server sent a web page instead of the file (quota or login)")
            resumed = response.status_code == 206
            with (
                self.part.open("ab" if resumed else "wb") as out,
                tqdm(
                    total=self.file.size,
                    initial=have if resumed else 0,
                    unit="B",
                    unit_scale=True,
                    desc=self.file.name,
                    disable=not self.progress,
                ) as bar,
            ):
                for chunk in response.iter_content(CHUNK):
                    out.write(chunk)
                    bar.update(len(chunk))


def verify(file: RemoteFile, path: Path) -> None:
    """Read a file and compare its sha256.

    Raises:
        DataError: missing or changed.
    """
    if not path.is_file():
        raise DataError(f"There is no {path}. Download it with `ganbook data fetch`, or put it there by hand.")
    found = sha256_of(path)
    if found != file.sha256:
        raise DataError(
            f"{path} is damaged or another file: expected sha256 {file.sha256} ({file.size:,} bytes), found {found} "
            f"({path.stat().st_size:,} bytes). Delete it and run `ganbook data fetch` again."
        )


def verify_once(file: RemoteFile, path: Path) -> Path:
    """`verify` on first use, and again when size or time of change differ: a file put there by hand is checked too.

    Raises:
        DataError: missing or changed.
    """
    if path.is_file():
        stat = path.stat()
        seen = hashlib.sha256(f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns} {file.sha256}".encode()).hexdigest()
        mark = cache_folder() / "verified" / seen[:32]
        if mark.is_file():
            return path
    verify(file, path)
    with contextlib.suppress(OSError):  # without a mark the file is only read again next time
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    return path


def sha256_of(path: Path) -> str:
    """The sha256 of a file, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def extract(archive: Path, folder: Path) -> Path:
    """Unpack a zip or tar into ``folder``, which appears only when all of it is there.

    Raises:
        DataError: the archive is damaged, or an entry leads outside the folder (zip slip, links).
    """
    if folder.is_dir():
        return folder
    unpack = _unzip if zipfile.is_zipfile(archive) else _untar
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    except OSError as error:
        raise unwritable(folder, error) from None
    try:
        unpack(archive, temporary)
        os.replace(temporary, folder)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError) as error:
        raise DataError(f"{archive} cannot be unpacked ({error}). Delete it and download it again.") from None
    except OSError as error:
        raise unwritable(folder, error) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _unzip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        for name in file.namelist():
            _refuse_outside(name, archive)
        file.extractall(folder)


def _untar(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as file:
        for member in file.getmembers():
            _refuse_outside(member.name, archive)
        file.extractall(folder, filter="data")  # refuses links that lead outside, devices and set-uid bits


def _refuse_outside(name: str, archive: Path) -> None:
    if leads_outside(name):
        raise DataError(
            f"{archive} holds an entry that points outside the archive ({name!r}); such files are made to overwrite "
            f"others. Nothing was unpacked. Get the archive from its official home."
        )


def _reason(error: Exception) -> str:
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return "no answer"
    if isinstance(error, ValueError):
        return "other bytes than published came"
    return "no connection" if "Max retries" in str(error) else str(error)[:120]
