"""Data sets by name: uint8 arrays with labels, and what was done to them."""

from __future__ import annotations

import hashlib
import tarfile
import zipfile
import zlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import interpolate

from ganbook.data import embedded
from ganbook.data.catalog import CATALOG, OWN, Entry, entry_of
from ganbook.data.fetch import data_root, extract, verify_once
from ganbook.data.idx import parse_idx
from ganbook.data.pictures import Folder, Lmdb, Place, Subset, Zip, decode, labels_of, opened, splits_of
from ganbook.data.prepare import CROPS, OnError, Prepared, Preset, prepare
from ganbook.errors import DataError, InputError, unknown_name

SPLITS = ("train", "valid", "test", "all")
FASHION_CLASSES = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
EMNIST_CLASSES = {
    "balanced": tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"),
    "letters": tuple("abcdefghijklmnopqrstuvwxyz"),
}
CELEBA_ENDS = {"train": (0, 162770), "valid": (162770, 182637), "test": (182637, 202599)}
DEFAULT_RESOLUTION = 64  # of pictures that have no resolution of their own


@dataclass(frozen=True)
class ImageSet:
    """Pictures in storage form, with what a result must say about them."""

    name: str  # e.g. "emoji:noto"
    split: str  # "train", "valid", "test" or "all"
    images: np.ndarray  # (N, C, H, W) uint8, perhaps memory-mapped
    labels: np.ndarray | None  # (N,) int64, an index into classes
    classes: tuple[str, ...]
    preprocessing: str  # e.g. "64 to 32 px by area averaging"
    sha256: str  # of the source files, or of the prepared pixels


@dataclass(frozen=True)
class ImagePairs:
    """Two domains of pictures; if ``aligned``, ``a[i]`` and ``b[i]`` show the same subject."""

    a: ImageSet
    b: ImageSet
    aligned: bool = True


@dataclass(frozen=True)
class Spec:
    """A set with everything that decides its pixels, as written on the command line."""

    name: str
    crop: str | None = None
    resolution: int | None = None
    split: str | None = None

    @classmethod
    def parse(cls, text: str) -> Spec:
        """Read ``NAME[:crop178][:64][:test]``; the name may hold colons itself (``emoji:noto``, ``zip:faces.zip``).

        Raises:
            InputError: an unknown crop.
        """
        spec = cls(text)
        while ":" in spec.name:
            head, _, tail = spec.name.rpartition(":")
            if head in ("folder", "zip"):
                break  # the rest is a path, whatever it looks like
            if tail.isascii() and tail.isdecimal() and spec.resolution is None:
                spec = replace(spec, resolution=int(tail))
            elif tail in SPLITS and spec.split is None:
                spec = replace(spec, split=tail)
            elif tail.startswith("crop") and spec.crop is None:
                if tail[4:] not in CROPS:
                    raise unknown_name("crop", tail[4:], CROPS)
                spec = replace(spec, crop=tail[4:])
            else:
                break
            spec = replace(spec, name=head)
        return spec

    def load(self, *, split: str = "train", root: str | Path | None = None, progress: bool = False) -> ImageSet:
        """The set itself; ``split`` counts if the spec names none, and ``root`` only for sets that are downloaded."""
        entry = CATALOG.get(self.name.partition(":")[0])
        return load(
            self.name,
            split=self.split or split,
            resolution=self.resolution,
            crop=self.crop,
            root=None if entry and entry.kind == "embedded" else root,
            progress=progress,
        )


def load(
    name: str,
    *,
    split: str = "train",
    resolution: int | None = None,
    crop: str | None = None,
    filter: str = "bicubic",
    root: str | Path | None = None,
    progress: bool = False,
    on_error: OnError = "skip",
) -> ImageSet:
    """A data set by name.

    Args:
        name: a set of the catalogue (``ganbook data list``), perhaps with a variant (``emoji:noto``) and, as in a
            `Spec`, with a crop and a resolution (``celeba:crop140:64``); or pictures of yours: ``folder:PATH`` or
            ``zip:PATH``. Class folders inside become labels; top folders called ``train``, ``valid`` and ``test``
            become splits, else a tenth by a hash of the file's name is held out.
        split: ``train``, ``valid``, ``test`` or ``all``.
        resolution: pixels; None keeps the set's own, of your pictures the first one's if it is square, and makes other
            photographs 64 px.
        crop: photographs only: ``center``, ``none`` or CelebA's ``178``, ``160``, ``140``, ``128``, ``108``.
        filter: photographs only: Pillow's ``lanczos``, ``bicubic``, ``bilinear``, ``box`` or ``nearest``.
        root: where downloaded sets lie; None asks ``GANBOOK_DATA``, then the user's cache folder. For the embedded
            sets, a folder to take them from instead.
        progress: show bars.
        on_error: photographs only: leave unreadable ones out (``skip``), or ``refuse``.

    Raises:
        InputError: an unknown name, split or crop, or a resolution the set cannot serve.
        DataError: a file is missing or damaged.
    """
    spec = Spec.parse(name)
    if spec.split is not None:
        raise InputError(f"Name the split beside the set, load({spec.name!r}, split={spec.split!r}), not in {name!r}.")
    name, crop = spec.name, crop or spec.crop
    resolution = spec.resolution if resolution is None else resolution
    kind, _, path = name.partition(":")
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    if kind in ("folder", "zip"):
        if not path:
            raise InputError(f"Name your pictures as {' or '.join(OWN)}, got {name!r}.")
        return _own(
            f"{kind}:{Path(path).stem}", opened(name), split, resolution, crop or "center", filter, progress, on_error
        )
    entry = entry_of(name)
    if split != "all" and split not in entry.splits:
        raise InputError(f"{entry.title} has the splits {', '.join(entry.splits)} and all, got {split!r}.")
    if entry.kind == "pairs":
        raise InputError(f"{entry.title} has two domains: load it with load_pairs({name!r}).")
    if entry.kind in ("pictures", "lmdb"):
        preset = Preset(DEFAULT_RESOLUTION if resolution is None else resolution, crop or entry.crop, filter)
        return _photographs(entry, split, preset, data_root(root), progress, on_error)
    if crop not in (None, "none"):
        raise InputError(f"{entry.title} is not cropped; leave crop={crop!r} out.")
    images, labels, classes, sha256 = _arrays(entry, name, split, root)
    images, preprocessing = resize(images, images.shape[-1] if resolution is None else resolution)
    return ImageSet(name, split, images, labels, classes, preprocessing, sha256)


Arrays = tuple[np.ndarray, np.ndarray, tuple[str, ...], str]


def _arrays(entry: Entry, name: str, split: str, root: str | Path | None) -> Arrays:
    """Images, labels, classes and hash of the sets that are published as arrays."""
    variant = name.partition(":")[2]
    if entry.kind == "embedded":
        hashes = "".join(value for key, value in embedded.SHA256.items() if key.startswith(entry.name))
        sha256 = hashlib.sha256(hashes.encode()).hexdigest()
        if entry.name == "mnist":
            return *_mnist(split, root), embedded.DIGITS, sha256
        return *_emoji(variant, split, root), embedded.EMOJI_CLASSES, sha256
    sha256 = hashlib.sha256("".join(file.sha256 for file in entry.files).encode()).hexdigest()
    folder = data_root(root) / entry.name
    parts = ("train", "test") if split == "all" else (split,)
    read = {"fashion_mnist": _fashion, "emnist": _emnist, "cifar10": _cifar}[entry.name]
    found = [read(folder, part, variant) for part in parts]
    images, labels = (np.concatenate([part[i] for part in found]) for i in (0, 1))
    classes = {"fashion_mnist": FASHION_CLASSES, "cifar10": CIFAR_CLASSES}.get(entry.name)
    return images, labels, classes or EMNIST_CLASSES[variant or "balanced"], sha256


def _mnist(split: str, root: str | Path | None) -> tuple[np.ndarray, np.ndarray]:
    parts = [embedded.read_mnist(part, root) for part in (("train", "test") if split == "all" else (split,))]
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def _emoji(style: str, split: str, root: str | Path | None) -> tuple[np.ndarray, np.ndarray]:
    test = embedded.emoji_in_test(root)
    keep = {"train": ~test, "test": test, "all": np.ones_like(test)}[split]
    styles = (style,) if style else ("twemoji", "noto")
    images = np.concatenate([embedded.read_emoji(s, root)[keep] for s in styles])
    return images, np.tile(embedded.emoji_labels(root)[keep], len(styles))


def _fashion(folder: Path, split: str, _: str) -> tuple[np.ndarray, np.ndarray]:
    prefix = {"train": "train", "test": "t10k"}[split]
    images, labels = (
        parse_idx(present(folder / f"{prefix}-{kind}-ubyte.gz").read_bytes(), name=f"{prefix}-{kind}")
        for kind in ("images-idx3", "labels-idx1")
    )
    return images[:, None], labels.astype(np.int64)


def _emnist(folder: Path, split: str, variant: str) -> tuple[np.ndarray, np.ndarray]:
    variant = variant or "balanced"
    path = present(folder / "gzip.zip")
    try:
        with zipfile.ZipFile(path) as archive:
            images, labels = (
                parse_idx(archive.read(f"gzip/emnist-{variant}-{split}-{kind}-ubyte.gz"), name=f"emnist-{variant}")
                for kind in ("images-idx3", "labels-idx1")
            )
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, KeyError) as error:
        raise DataError(f"{path} is damaged ({error}). Delete it and run `ganbook data fetch emnist`.") from None
    first = 1 if variant == "letters" else 0  # letters are numbered from 1
    return np.ascontiguousarray(images.transpose(0, 2, 1))[:, None], labels.astype(np.int64) - first


def _cifar(folder: Path, split: str, _: str) -> tuple[np.ndarray, np.ndarray]:
    """The binary version: a label byte and 3,072 pixel bytes a picture. The Python version is a pickle."""
    path = present(folder / "cifar-10-binary.tar.gz")
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] if split == "train" else ["test_batch.bin"]
    try:
        with tarfile.open(path) as archive:
            members = {PurePosixPath(m.name).name: m for m in archive.getmembers()}
            content = b"".join(archive.extractfile(members[name]).read() for name in names)  # type: ignore[union-attr]
        records = np.frombuffer(content, np.uint8).reshape(-1, 3073)
    except (tarfile.TarError, OSError, zlib.error, KeyError, EOFError, ValueError, AttributeError) as error:
        raise DataError(f"{path} is damaged ({error}). Delete it and run `ganbook data fetch cifar10`.") from None
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].astype(np.int64)


def _photographs(entry: Entry, split: str, preset: Preset, root: Path, progress: bool, on_error: OnError) -> ImageSet:
    if entry.kind == "lmdb":
        parts = {"train": ("train",), "valid": ("val",), "all": ("train", "val")}[split]
        found = [_prepare_lmdb(entry, part, preset, root, progress, on_error) for part in parts]
        images, sha256 = found[0].images, found[0].card["sha256"]
        if len(found) > 1:
            images = np.concatenate([part.images for part in found])
            sha256 = hashlib.sha256("".join(part.card["sha256"] for part in found).encode()).hexdigest()
        return ImageSet(entry.name, split, images, None, (), str(preset), sha256)
    prepared = prepare(entry.name, _celeba(entry, root), preset, progress=progress, on_error=on_error)
    images = prepared.images
    if split != "all":  # by the pictures' own numbers, since unreadable ones have been left out
        numbers = [int(PurePosixPath(name).stem) for name in prepared.names]
        first, last = (bisect_right(numbers, end) for end in CELEBA_ENDS[split])
        images = images[first:last]
    return ImageSet(entry.name, split, images, None, (), str(preset), prepared.card["sha256"])


def _celeba(entry: Entry, root: Path) -> Place:
    """The user's folder or zip, complete: a half-unpacked folder looks like a whole one to most programs."""
    folder = root / entry.name
    unpacked = next((p for p in (folder / "img_align_celeba", folder) if any(p.glob("*.jpg"))), None)
    place: Place = Folder(unpacked) if unpacked else Zip(present(folder / entry.files[0].name))
    if len(place.names) != entry.count:
        raise DataError(
            f"{unpacked or folder} holds {len(place.names):,} of CelebA's {entry.count:,} pictures. Unpack it again, "
            f"or name a part of it folder:PATH, so that results do not pass for the whole set's."
        )
    return place


def _prepare_lmdb(entry: Entry, part: str, preset: Preset, root: Path, progress: bool, on_error: OnError) -> Prepared:
    name = f"church_outdoor_{part}_lmdb"
    places = [root / entry.name / name, root / entry.name / name / name]  # unpacked by us or by hand
    found = next((p for p in places if (p / "data.mdb").is_file()), None)
    if found is None:
        archive = present(root / entry.name / f"{name}.zip")
        unpacked = extract(archive, root / entry.name / name)
        found = next((p.parent for p in unpacked.rglob("data.mdb")), unpacked)
    return prepare(f"{entry.name}-{part}", Lmdb(found), preset, progress=progress, on_error=on_error)


def present(path: Path) -> Path:
    """The path of a downloaded file, its sha256 checked on first use.

    Raises:
        DataError: it is not there or not as published; the message says how to get it.
    """
    entry = CATALOG[path.parent.name]
    files = {file.name: file for file in entry.files}
    if not path.is_file():
        size = sum(file.size for file in entry.files) / 1e6
        raise DataError(
            f"{entry.title} is not on this machine: there is no {path}. Download it with `ganbook data fetch "
            f"{entry.name}` ({size:,.0f} MB), or put {' and '.join(files)} there by hand (from {entry.home})."
        )
    return verify_once(files[path.name], path)


def native_side(place: Place) -> int:
    """The side of the first picture if it is square, else the default."""
    try:
        width, height = decode(place.read(0)).size
    except OSError:
        return DEFAULT_RESOLUTION
    return width if width == height else DEFAULT_RESOLUTION


def _own(
    name: str,
    place: Place,
    split: str,
    resolution: int | None,
    crop: str,
    filter: str,
    progress: bool,
    on_error: OnError,
) -> ImageSet:
    """A user's pictures; each split has an array of its own, so that it is memory-mapped like the whole."""
    preset = Preset(native_side(place) if resolution is None else resolution, crop, filter)
    labels, classes = labels_of(place.names)
    if split != "all":
        splits = own_split(place.names)
        if split not in splits or not splits[split].any():
            has = ", ".join(s for s, keep in splits.items() if keep.any())
            raise InputError(f"{name} has no pictures in its {split} split; it has {has} and all.")
        chosen: list[int] = np.flatnonzero(splits[split]).tolist()
        place = Subset(place, [place.names[i] for i in chosen], chosen, place.ignored)
        labels = None if labels is None else labels[chosen]
    prepared = prepare(name, place, preset, labels=labels, classes=classes, progress=progress, on_error=on_error)
    return ImageSet(
        name, split, prepared.images, prepared.labels, prepared.classes, str(preset), prepared.card["sha256"]
    )


def own_split(names: Sequence[str]) -> dict[str, np.ndarray]:
    """Which of a user's pictures are in which split, each `(N,)` bool.

    Top folders called ``train``, ``valid``/``val`` and ``test`` decide; without them the picture's name does, folders
    included: about a tenth, drawn by its sha256, is ``test``.
    """
    tops = splits_of(names)
    if tops is not None:
        return {split: np.array([top == split for top in tops]) for split in ("train", "valid", "test")}
    hashes = [hashlib.sha256(name.encode(errors="surrogateescape")).digest() for name in names]
    test = np.array([digest[0] < 26 for digest in hashes])
    return {"train": ~test, "test": test}


def resize(images: np.ndarray, resolution: int) -> tuple[np.ndarray, str]:
    """Images `(N, C, H, H)` uint8 at another resolution, and in words what was done.

    Exact area averaging where the side divides, zero padding from 28 to 32 (MNIST's own ground is 0), else nothing.

    Raises:
        InputError: a resolution that would need guessing pixels.
    """
    side = images.shape[-1]
    if resolution == side:
        return images, "as stored"
    if side == 28 and resolution == 32:
        return np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2))), "28 to 32 px by a black border"
    if resolution < 1 or side % resolution:
        sizes = [side // k for k in range(1, side + 1) if side % k == 0] + ([32] if side == 28 else [])
        raise InputError(
            f"These pictures are {side} px and are reduced by exact averaging to "
            f"{', '.join(map(str, sorted(sizes)))} px, "
            f"got resolution={resolution}. Choose one of these."
        )
    parts = [
        interpolate(torch.from_numpy(np.ascontiguousarray(part)).float(), size=resolution, mode="area").round().byte()
        for part in np.array_split(images, max(1, len(images) // 2048))
    ]
    return torch.cat(parts).numpy(), f"{side} to {resolution} px by area averaging"


def to_tensors(image_set: ImageSet) -> tuple[Float[Tensor, "n c h w"], Int[Tensor, " n"] | None]:
    """All images in [-1, 1] and their labels, on the CPU."""
    images = torch.from_numpy(np.array(image_set.images)).float().div_(127.5).sub_(1)
    return images, None if image_set.labels is None else torch.from_numpy(image_set.labels)
