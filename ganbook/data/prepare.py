"""Preprocessing once: crop, antialiased resize, and one memory-mapped uint8 array for ever after.

A prepared set is a folder `<cache>/prepared/<name>-<key>/` with ``images.npy`` `(N, R, R, 3)`, ``labels.npy`` if there
are any and ``card.json``. The key hashes everything that the pixels depend on. While it is being made the folder ends
in ``.partial`` and notes which blocks are done, so that an interrupted build goes on where it stopped; it gets its name
when it is complete.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import PIL
import platformdirs
from filelock import FileLock, Timeout
from PIL import Image
from tqdm.auto import tqdm

from ganbook.checkpoint import unwritable, write_atomically
from ganbook.data.pictures import Place, decode, labels_of
from ganbook.errors import DataError, InputError, unknown_name

VERSION = 2  # of the pixels: raise it when a change here changes them
BLOCK = 256  # pictures between two notes of progress
ALIGNED = (178, 218)  # the frame of aligned CelebA, to which the numbered crops belong
CROPS: Mapping[str, int | None] = {
    "center": None,  # the largest square
    "none": None,  # the whole picture, squeezed to a square
    "left": None,  # of two pictures side by side, the first; squeezed to a square if it is none
    "right": None,  # and the second
    "178": 178,  # the largest square of aligned CelebA (Mimicry)
    "160": 160,  # Lucic et al. 2018
    "140": 140,  # Song et al., WAE
    "128": 128,  # Dai and Wipf 2019
    "108": 108,  # the first DCGAN codes
}
FILTERS = {
    "lanczos": Image.Resampling.LANCZOS,
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "box": Image.Resampling.BOX,
    "nearest": Image.Resampling.NEAREST,  # aliased; here to show what it does to a metric
}
OnError = Literal["skip", "refuse"]


@dataclass(frozen=True)
class Preset:
    """What is done to every picture. Pillow's filters are antialiased, except ``nearest``."""

    resolution: int  # pixels of the square result
    crop: str = "center"
    filter: str = "bicubic"

    def __post_init__(self) -> None:
        if self.crop not in CROPS:
            raise unknown_name("crop", self.crop, CROPS)
        if self.filter not in FILTERS:
            raise unknown_name("resize filter", self.filter, FILTERS)
        if not 1 <= self.resolution <= 4096:
            raise InputError(f"resolution must be 1 … 4096 pixels, got {self.resolution}.")

    def __str__(self) -> str:
        crop = f"crop {self.crop}" if self.crop != "none" else "squeezed to a square"
        return f"{crop}, Pillow {self.filter} to {self.resolution} px"

    def apply(self, picture: Image.Image) -> np.ndarray:
        """One RGB picture as `(R, R, 3)` uint8.

        Raises:
            OSError: a numbered crop of a picture whose sides are not 178 to 218.
        """
        kept = picture.crop(self.box(*picture.size))  # resize(box=…) would let pixels from outside the crop in
        return np.asarray(kept.resize((self.resolution,) * 2, FILTERS[self.filter]))

    def box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """The square to keep: left, upper, right, lower, in pixels, centred."""
        if self.crop == "none":
            return (0, 0, width, height)
        if self.crop in ("left", "right"):
            if width % 2 or width < 1.5 * height:
                raise OSError(f"two pictures side by side are wide and of even width, this is {width} x {height}")
            return (0, 0, width // 2, height) if self.crop == "left" else (width // 2, 0, width, height)
        side = CROPS[self.crop]
        if side is None:
            kept = min(width, height)
        else:  # aligned CelebA at any scale, the halved one for instance
            scale = width / ALIGNED[0]
            if abs(height - scale * ALIGNED[1]) > 1:
                raise OSError(f"crop {self.crop} is for aligned CelebA (178 x 218 pixels), this is {width} x {height}")
            kept = round(side * scale)
        left, upper = (width - kept) // 2, (height - kept) // 2
        return (left, upper, left + kept, upper + kept)


@dataclass(frozen=True)
class Prepared:
    """A finished array, memory-mapped."""

    images: np.ndarray  # (N, 3, R, R) uint8, a transposed view of what is on disk
    labels: np.ndarray | None  # (N,) int64
    names: tuple[str, ...]  # of the files
    classes: tuple[str, ...]
    card: Mapping[str, Any]
    folder: Path


def cache_folder() -> Path:
    """``GANBOOK_CACHE``, else the user's cache folder."""
    return Path(os.environ.get("GANBOOK_CACHE") or platformdirs.user_cache_dir("ganbook"))


def prepare(
    name: str,
    place: Place,
    preset: Preset,
    *,
    labels: np.ndarray | None = None,
    classes: tuple[str, ...] = (),
    on_error: OnError = "skip",
    progress: bool = True,
    workers: int | None = None,
) -> Prepared:
    """The prepared array of a place's pictures, built on first use.

    Args:
        name: of the set, for the folder's name and the messages.
        place: where the pictures are.
        preset: what is done to them.
        labels: one a picture; None takes them from the class folders, if there are any.
        classes: the labels' names.
        on_error: unreadable pictures are left out and listed in the card (``skip``) or end the build (``refuse``).
        workers: threads; None is one a core.

    Raises:
        DataError: nothing readable, an unreadable picture under ``refuse``, a full disk, or another process that
            prepares the same set.
    """
    if labels is None:
        labels, classes = labels_of(place.names)
    recipe = {"name": name, "source": place.fingerprint, **asdict(preset), "version": VERSION, "on_error": on_error}
    recipe["labels"] = None if labels is None else hashlib.sha256(labels.tobytes()).hexdigest()
    key = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]
    short = "".join(c if c.isalnum() else "-" for c in name)[-40:].strip("-")
    folder = cache_folder() / "prepared" / f"{short}-{preset.resolution}-{key}"
    if not (folder / "card.json").is_file():
        with _only_one(folder, name):
            if not (folder / "card.json").is_file():
                with _clear_io(folder):
                    _build(folder, place, preset, labels, classes, recipe, on_error, progress, workers)
    return open_prepared(folder)


def open_prepared(folder: Path) -> Prepared:
    """A finished array by its folder.

    Raises:
        DataError: it is damaged; the message says how to make it anew.
    """
    try:
        card = json.loads((folder / "card.json").read_text())
        images = np.load(folder / "images.npy", mmap_mode="r")
        names = tuple(json.loads((folder / "names.json").read_text()))
        labels = np.load(folder / "labels.npy") if card["classes"] else None
        if len(images) != card["count"] or len(names) != card["count"]:
            raise ValueError(f"{len(images)} pictures instead of {card['count']}")
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise DataError(
            f"The prepared set in {folder} is damaged ({error}). Delete that folder; it is made anew."
        ) from None
    return Prepared(images.transpose(0, 3, 1, 2), labels, names, tuple(card["classes"]), card, folder)


def verify_prepared(folder: Path) -> int:
    """Read a finished array and compare its sha256 with its card's; the number of its pictures.

    Raises:
        DataError: it is damaged; the message says how to make it anew.
    """
    found = open_prepared(folder)
    digest = hashlib.sha256()
    for picture in found.images.transpose(0, 2, 3, 1):  # as on disk
        digest.update(picture.tobytes())
    if found.labels is not None:
        digest.update(found.labels.tobytes())
    if digest.hexdigest() != found.card["sha256"]:
        raise DataError(
            f"The prepared set in {folder} is not what was written there. Delete that folder; it is made anew."
        )
    return len(found.images)


def _build(
    folder: Path,
    place: Place,
    preset: Preset,
    labels: np.ndarray | None,
    classes: tuple[str, ...],
    recipe: Mapping[str, Any],
    on_error: OnError,
    progress: bool,
    workers: int | None,
) -> None:
    partial = folder.with_name(folder.name + ".partial")
    partial.mkdir(parents=True, exist_ok=True)
    shape = (len(place.names), preset.resolution, preset.resolution, 3)
    images, done = _open_partial(partial, shape)
    blocks = [range(i, min(i + BLOCK, len(place.names))) for i in range(0, len(place.names), BLOCK)]
    with (
        ThreadPoolExecutor(workers or os.cpu_count()) as pool,
        tqdm(total=shape[0], unit="img", desc=f"preparing {recipe['name']}", disable=not progress) as bar,
    ):
        bar.update(sum(len(blocks[i]) for i in done))
        todo = {
            pool.submit(_block, place, preset, images, b, on_error): i for i, b in enumerate(blocks) if i not in done
        }
        try:
            for future in as_completed(todo):
                number = todo[future]
                done[number] = future.result()
                images.flush()
                notes = json.dumps({"block": BLOCK, "done": done})
                write_atomically(partial / "progress.json", notes.encode())
                bar.update(len(blocks[number]))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    skipped = {name: reason for block in done.values() for name, reason in block.items()}
    _finish(partial, folder, images, place, labels, classes, recipe, skipped)


def _block(place: Place, preset: Preset, images: np.ndarray, block: range, on_error: OnError) -> dict[str, str]:
    """Fill one block of the array; the pictures left out, with reasons."""
    skipped = {}
    for i in block:
        try:
            images[i] = preset.apply(decode(place.read(i)))
        except OSError as error:
            if on_error == "refuse":
                raise DataError(
                    f"The picture {place.names[i]} cannot be used: {error}. Mend or remove it, or leave unreadable "
                    f"pictures out with --on-error skip."
                ) from None
            skipped[place.names[i]] = str(error)
    return skipped


def _open_partial(partial: Path, shape: tuple[int, ...]) -> tuple[np.memmap, dict[int, dict[str, str]]]:
    """The array under construction and the blocks that are in it already."""
    path, notes = partial / "images.npy", partial / "progress.json"
    try:
        images = np.lib.format.open_memmap(path, mode="r+")
        progress = json.loads(notes.read_text())
        if images.shape == shape and progress["block"] == BLOCK:
            return images, {int(number): skipped for number, skipped in progress["done"].items()}
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        pass
    notes.unlink(missing_ok=True)
    return _allocate(path, shape), {}


def _allocate(path: Path, shape: tuple[int, ...]) -> np.memmap:
    """A new array file whose space is reserved now: a full disk is an error here, not a bus error later.

    Raises:
        DataError: the disk has no room for it.
    """
    free, needed = shutil.disk_usage(path.parent).free, int(np.prod(shape))
    if needed > free:
        raise DataError(
            f"Preparing this set takes {needed / 1e9:.1f} GB in {path.parent.parent}, and {free / 1e9:.1f} GB are "
            f"free. Free some space, or set GANBOOK_CACHE to a folder on another disk."
        )
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    if sys.platform == "linux":
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def _finish(
    partial: Path,
    folder: Path,
    images: np.memmap,
    place: Place,
    labels: np.ndarray | None,
    classes: tuple[str, ...],
    recipe: Mapping[str, Any],
    skipped: Mapping[str, str],
) -> None:
    kept = [i for i, name in enumerate(place.names) if name not in skipped]
    if not kept:
        reason = next(iter(skipped.values()))
        shutil.rmtree(partial)
        raise DataError(f"None of the {len(skipped)} pictures of {recipe['name']} can be used; the first: {reason}.")
    if skipped:  # close the gaps in a second file: an interruption here must leave the first as it is
        whole = _allocate(partial / "kept.npy", (len(kept), *images.shape[1:]))
        for start in range(0, len(kept), BLOCK):
            whole[start : start + BLOCK] = images[kept[start : start + BLOCK]]
        whole.flush()
        (partial / "progress.json").unlink(missing_ok=True)  # the blocks no longer describe images.npy
        os.replace(partial / "kept.npy", partial / "images.npy")
        images = whole
    digest, pictures = hashlib.sha256(), Counter[bytes]()
    for picture in images:
        digest.update(picture)
        pictures[hashlib.blake2b(picture, digest_size=12).digest()] += 1
    if labels is not None:
        np.save(partial / "labels.npy", labels[kept])
        digest.update(labels[kept].tobytes())
    card = {
        **recipe,
        "count": len(kept),
        "classes": list(classes),
        "sha256": digest.hexdigest(),
        "skipped": dict(skipped),
        "ignored": place.ignored,
        "duplicates": len(kept) - len(pictures),
        "pillow": PIL.__version__,
    }
    (partial / "names.json").write_text(json.dumps([place.names[i] for i in kept]))
    (partial / "progress.json").unlink(missing_ok=True)
    write_atomically(partial / "card.json", json.dumps(card, indent=1).encode())
    if folder.exists():
        shutil.rmtree(folder)
    os.replace(partial, folder)


@contextlib.contextmanager
def _only_one(folder: Path, name: str) -> Iterator[None]:
    """A lock that dies with its process; a second builder waits for the first."""
    lock = FileLock(folder.with_name(folder.name + ".lock"))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=3600)
    except Timeout:
        raise DataError(f"Another process has been preparing {name} for an hour. Wait for it, or stop it.") from None
    except OSError as error:
        raise unwritable(folder, error) from None
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _clear_io(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unwritable(folder, error) from None


def pyramid(images: np.ndarray, *, lowest: int = 4) -> dict[int, np.ndarray]:
    """The same pictures at every halved resolution down to ``lowest``, each the mean of 2 x 2 pixels of the one above.

    Args:
        images: `(N, C, R, R)` uint8, R = lowest · 2^k.

    Returns:
        resolution → `(N, C, r, r)` uint8, R itself included, as progressive growing reads them (Karras et al. 2018).

    Raises:
        InputError: a side that does not halve down to ``lowest``.
    """
    side = images.shape[-1]
    levels = {side: images}
    while side > lowest:
        if side % 2:
            break
        above = levels[side]
        side //= 2
        levels[side] = halve(above)
    if side != lowest:
        raise InputError(f"A pyramid down to {lowest} px needs pictures of {lowest}·2^k px, got {images.shape[-1]} px.")
    return levels


def halve(images: np.ndarray) -> np.ndarray:
    """Means of 2 x 2 pixels, rounded half up, `(N, C, 2r, 2r)` to `(N, C, r, r)` uint8, a block at a time."""
    n, c, h, w = images.shape
    out = np.empty((n, h // 2, w // 2, c), np.uint8).transpose(0, 3, 1, 2)
    for i in range(0, n, BLOCK):
        part = images[i : i + BLOCK].astype(np.uint16)
        total = part[:, :, ::2, ::2] + part[:, :, 1::2, ::2] + part[:, :, ::2, 1::2] + part[:, :, 1::2, 1::2]
        out[i : i + BLOCK] = (total + 2) // 4
    return out
