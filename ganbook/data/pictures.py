"""Places where pictures lie (a folder, a zip, an LMDB), and how one picture file becomes RGB bytes.

A place lists its pictures once, in an order that depends on their names only, and then reads them one by one from any
thread. Nothing is ever unpacked to read it; entries that point outside the place are refused.
"""

from __future__ import annotations

import hashlib
import io
import struct
import threading
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol, runtime_checkable

import numpy as np
from PIL import Image, ImageOps

from ganbook.errors import DataError

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".pgm", ".tif", ".tiff", ".webp"})

SPLIT_FOLDERS = {"train": "train", "valid": "valid", "val": "valid", "test": "test"}


@runtime_checkable
class Place(Protocol):
    """Where pictures come from."""

    @property
    def names(self) -> Sequence[str]:
        """Of every picture, with forward slashes."""

    @property
    def ignored(self) -> int:
        """How many files have another suffix, are hidden, or are links that lead outside or to a folder."""

    @property
    def fingerprint(self) -> str:
        """Changes when a picture is added, removed or rewritten."""

    def read(self, index: int) -> bytes:
        """The file of one picture; callable from several threads."""


class Folder:
    """All pictures below a folder.

    Raises:
        DataError: there is no such folder, or no picture in it.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise DataError(f"There is no folder {path}. Give the folder that holds the pictures.")
        self.path, self.ignored = path, 0
        inside = path.resolve()
        stats = []
        for file in sorted(path.rglob("*"), key=lambda p: p.relative_to(path).as_posix()):
            if file.is_dir():
                self.ignored += file.is_symlink()  # not followed, lest a folder be read twice or without end
                continue
            name = file.relative_to(path).as_posix()
            if not is_picture_name(name) or _escapes(file, inside):
                self.ignored += 1
            else:
                stat = file.stat()
                stats.append((name, stat.st_size, stat.st_mtime_ns))
        self.names: Sequence[str] = [name for name, *_ in stats]
        self.fingerprint = _hash(stats)
        _refuse_empty(self, path)

    def read(self, index: int) -> bytes:
        return (self.path / self.names[index]).read_bytes()


class Zip:
    """All pictures in a zip file, read in place.

    Raises:
        DataError: no such file, not a zip, encrypted, an entry that points outside (zip slip), or no picture in it.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.ignored = path, 0
        self._local = threading.local()
        try:
            entries = sorted(self._archive().infolist(), key=lambda entry: entry.filename)
        except FileNotFoundError:
            raise DataError(f"There is no file {path}. Give the zip that holds the pictures.") from None
        except (zipfile.BadZipFile, OSError) as error:
            raise DataError(f"{path} is not a readable zip ({error}). Download or copy it again.") from None
        checks = []
        for entry in entries:
            if entry.is_dir():
                continue
            if leads_outside(entry.filename):
                raise DataError(
                    f"{path} holds an entry that points outside the archive ({entry.filename!r}); such files are made "
                    f"to overwrite others. Nothing was read. Get the archive from its official home."
                )
            if entry.flag_bits & 1:
                raise DataError(f"{path} is encrypted. Unpack it yourself and give the folder.")
            if is_picture_name(entry.filename):
                checks.append((entry.filename, entry.file_size, entry.CRC))
            else:
                self.ignored += 1
        self.names: Sequence[str] = [name for name, *_ in checks]
        self.fingerprint = _hash(checks)
        _refuse_empty(self, path)

    def _archive(self) -> zipfile.ZipFile:
        """One open archive a thread: a shared one would read one entry at a time."""
        archive: zipfile.ZipFile | None = getattr(self._local, "archive", None)
        if archive is None:
            archive = self._local.archive = zipfile.ZipFile(self.path)
        return archive

    def read(self, index: int) -> bytes:
        try:
            return self._archive().read(self.names[index])
        except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
            raise OSError(f"damaged in the zip: {error}") from None


class Lmdb:
    """The values of an LMDB folder, as LSUN is published; names are the keys.

    Raises:
        DataError: no such folder, or not an LMDB.
    """

    def __init__(self, path: Path) -> None:
        import lmdb  # a compiled extension that only LSUN needs

        if not (path / "data.mdb").is_file():
            raise DataError(f"There is no LMDB in {path}: it holds no data.mdb. Give the folder that does.")
        try:
            self._env = lmdb.open(str(path), readonly=True, lock=False, readahead=False, meminit=False)
            with self._env.begin() as transaction:
                self._keys = [bytes(key) for key in transaction.cursor().iternext(keys=True, values=False)]
        except lmdb.Error as error:
            raise DataError(f"The LMDB in {path} cannot be read ({error}). Unpack its zip again.") from None
        self.names: Sequence[str] = [key.decode("latin-1") for key in self._keys]
        self.ignored = 0
        self.fingerprint = _hash([(len(self._keys), (path / "data.mdb").stat().st_size), *self.names[:1000]])
        _refuse_empty(self, path)

    def read(self, index: int) -> bytes:
        with self._env.begin() as transaction:
            return bytes(transaction.get(self._keys[index], b""))


@dataclass(frozen=True)
class Subset:
    """Some pictures of another place, in the given order, under the names given here."""

    place: Place
    names: Sequence[str]
    indices: Sequence[int]
    ignored: int = 0

    @property
    def fingerprint(self) -> str:
        """Of the whole place and of what was chosen."""
        return _hash([self.place.fingerprint, *self.names])

    def read(self, index: int) -> bytes:
        return self.place.read(self.indices[index])


def opened(name: str) -> Place:
    """The pictures of the user's own that ``folder:PATH`` or ``zip:PATH`` names.

    Raises:
        DataError: nothing there, or nothing in it that is a picture.
    """
    kind, _, path = name.partition(":")
    return Folder(Path(path).expanduser()) if kind == "folder" else Zip(Path(path).expanduser())


def labels_of(names: Sequence[str]) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Labels from the folder that each picture lies in, `(N,)` int64, and the classes by name.

    A common parent and folders named after splits are left aside first. Pictures without folders, or all in one, have
    no labels.
    """
    folders = own_folders(names)
    if splits_of(names) is not None:
        folders = own_folders(["/".join((*parts[1:], "x")) for parts in folders])
    if not all(folders):
        return None, ()
    classes = sorted({parts[0] for parts in folders})
    numbers = {name: i for i, name in enumerate(classes)}
    return np.array([numbers[parts[0]] for parts in folders], np.int64), tuple(classes)


def splits_of(names: Sequence[str]) -> list[str] | None:
    """The split of each picture if the top folders are called after splits, all of them; else None."""
    tops = [parts[0] if parts else "" for parts in own_folders(names)]
    if not tops or not all(top in SPLIT_FOLDERS for top in tops):
        return None
    return [SPLIT_FOLDERS[top] for top in tops]


def own_folders(names: Sequence[str]) -> list[tuple[str, ...]]:
    """The folders of each picture below the parents that all share; a lone split folder is no shared parent."""
    parents = [PurePosixPath(name).parts[:-1] for name in names]
    shared = 0
    while all(len(parts) > shared for parts in parents):
        common = {parts[shared] for parts in parents}
        if len(common) > 1 or common <= set(SPLIT_FOLDERS):
            break
        shared += 1
    return [parts[shared:] for parts in parents]


def decode(content: bytes) -> Image.Image:
    """A picture file as RGB, upright.

    EXIF rotation is applied; transparency is laid on white; 16-bit grey is scaled to 8 bit; grey, palette and CMYK are
    converted, floating-point grey from [0, 1] or [0, 255]; of an animation, the first frame counts.

    Raises:
        OSError: not a picture, truncated, or suspiciously large.
    """
    if not content:
        raise OSError("the file is empty")
    try:
        picture: Image.Image = Image.open(io.BytesIO(content))
        picture.load()
        picture = ImageOps.exif_transpose(picture) or picture
    except (
        Image.DecompressionBombError,
        ValueError,
        SyntaxError,
        EOFError,
        LookupError,
        TypeError,
        struct.error,
    ) as error:
        raise OSError(str(error)) from None
    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.asarray(picture, np.float64)
        if not np.isfinite(values).all():
            raise OSError("it holds numbers that are not finite")
        fraction = values.max(initial=0) <= 1
        scale = (1 / 255 if fraction else 1.0) if picture.mode == "F" else 257.0  # 16 bit, whatever its brightest pixel
        picture = Image.fromarray((values / scale).round().clip(0, 255).astype(np.uint8))
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return picture.convert("RGB")


def is_picture_name(name: str) -> bool:
    """Whether a file counts as a picture by its suffix; hidden files and what macOS adds to archives never do."""
    path = PurePosixPath(name)
    return path.suffix.lower() in SUFFIXES and not any(p.startswith(".") or p == "__MACOSX" for p in path.parts)


def leads_outside(name: str) -> bool:
    """Whether an archive's entry would be written outside the folder that it is unpacked into."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or (len(name) > 1 and name[1] == ":")


def _escapes(file: Path, inside: Path) -> bool:
    """Whether a file is a link that leads outside, in a circle or nowhere."""
    try:
        return not file.exists() or (file.is_symlink() and not file.resolve().is_relative_to(inside))
    except (OSError, RuntimeError):
        return True


def _refuse_empty(place: Place, path: Path) -> None:
    if not place.names:
        raise DataError(
            f"There is no picture in {path} ({place.ignored} other files). "
            f"Pictures end in {', '.join(sorted(SUFFIXES))}; hidden files, and folders that are links, do not count."
        )


def _hash(parts: Sequence[object]) -> str:
    return hashlib.sha256("\n".join(map(str, parts)).encode(errors="surrogateescape")).hexdigest()
