"""The two sets that live in this repository: MNIST and emoji. What they are is said in ``data/*/README.md``.

Files are checked against their sha256 each time they are decoded; emoji, thousands of little PNGs, are decoded once
into an array in the user's cache folder and memory-mapped from then on.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import io
import os
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from ganbook.data.idx import parse_idx
from ganbook.data.prepare import cache_folder
from ganbook.errors import DataError

EMBEDDED = Path(__file__).parent.parent.parent / "data"
SHA256 = {
    "mnist/train-images-idx3-ubyte.gz": "7ff28fd295f802eefc6d40e461175dfe4b969b1842b2abc8c6dc8c20711cf79f",
    "mnist/train-labels-idx1-ubyte.gz": "81a978ae83d39ffdba0db3ce2fcaf80a8921e9629e874428996a2b03242d4b2a",
    "mnist/t10k-images-idx3-ubyte.gz": "197e111ae341b0770be9011ac5e622d0e6cd1c640b32eb0de5dc1dd26cc6e182",
    "mnist/t10k-labels-idx1-ubyte.gz": "b91679a0acfe4ba0e50a2437a903084cba1f5f92592b016a25a7dfd00455798b",
    "emoji/index.csv": "6058b64336a59b3adfd889bf3d6bad9b680785f3590b10005c617b93d2e4e82e",
    "emoji/twemoji.zip": "c414dd9d1c3dde01cb1100d8c7e6889380e18c10d0cff8add6cb51efb2622f10",
    "emoji/noto.zip": "caf71bb82640035e50013d9072ef6e54accd1ea08de9a30d4ada0e62f3a304ee",
}
EMOJI_CLASSES = (
    "Smileys & Emotion",
    "People & Body",
    "Animals & Nature",
    "Food & Drink",
    "Travel & Places",
    "Activities",
    "Objects",
    "Symbols",
    "Flags",
)
DIGITS = tuple("0123456789")


def embedded_folder(root: str | Path | None = None) -> Path:
    """Where the embedded sets lie: ``root`` if it holds them, else the repository's ``data``."""
    return Path(root) if root is not None else EMBEDDED


def read_checked(name: str, root: str | Path | None = None) -> bytes:
    """The content of an embedded file, after its sha256 was found right.

    Raises:
        DataError: missing or changed; the message names the file, both hashes and how to get it back.
    """
    path = embedded_folder(root) / name
    remedy = (
        f"Restore it with `git checkout -- data/{name}` or rebuild it with `python data/build.py {Path(name).parent}`."
    )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"The data file {path} cannot be read: {error.strerror}. {remedy}") from None
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256[name]:
        raise DataError(f"The data file {path} is damaged: expected sha256 {SHA256[name]}, found {found}. {remedy}")
    return content


def read_mnist(split: str, root: str | Path | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Images `(N, 1, 28, 28)` uint8 and labels `(N,)` int64; 60,000 for ``"train"``, 10,000 for ``"test"``."""
    prefix = {"train": "train", "test": "t10k"}[split]
    images, labels = (
        parse_idx(read_checked(name, root), name=name)
        for name in (f"mnist/{prefix}-images-idx3-ubyte.gz", f"mnist/{prefix}-labels-idx1-ubyte.gz")
    )
    return images[:, None], labels.astype(np.int64)


@functools.cache
def emoji_index(root: str | Path | None = None) -> tuple[dict[str, str], ...]:
    """The rows of ``emoji/index.csv``: unified, name, category, subcategory, skin_tone, base."""
    return tuple(csv.DictReader(io.StringIO(read_checked("emoji/index.csv", root).decode())))


def emoji_labels(root: str | Path | None = None) -> np.ndarray:
    """The category of each emoji, `(3786,)` int64, an index into `EMOJI_CLASSES`.

    The five skin-tone swatches, which Unicode calls components, count as symbols.
    """
    names = [row["category"].replace("Component", "Symbols") for row in emoji_index(root)]
    return np.array([EMOJI_CLASSES.index(name) for name in names], np.int64)


def emoji_in_test(root: str | Path | None = None) -> np.ndarray:
    """Which emoji are held out, `(3786,)` bool: about a tenth, drawn by a hash of the base emoji.

    All skin tones of an emoji, and both artists' drawings, fall on the same side.
    """
    bases = [row["base"] for row in emoji_index(root)]
    return np.array([hashlib.sha256(base.encode()).digest()[0] < 26 for base in bases])


def read_emoji(style: str, root: str | Path | None = None) -> np.ndarray:
    """All pictures of one artist, `(3786, 3, 64, 64)` uint8, memory-mapped from the cache after the first time."""
    name = f"emoji/{style}.zip"
    path = cache_folder() / f"emoji-{style}-{SHA256[name][:16]}.npy"
    if root is None and path.exists():
        try:
            return np.load(path, mmap_mode="r")
        except (OSError, ValueError, EOFError):
            path.unlink(missing_ok=True)  # half written by another program; make it anew
    images = _decode(read_checked(name, root), [row["unified"] for row in emoji_index(root)], name)
    if root is None:
        _keep(images, path)
    return images


def _decode(content: bytes, names: list[str], archive_name: str) -> np.ndarray:
    images = np.empty((len(names), 3, 64, 64), np.uint8)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for i, name in enumerate(names):
                with Image.open(io.BytesIO(archive.read(f"{name}.png"))) as picture:
                    images[i] = np.asarray(picture.convert("RGB")).transpose(2, 0, 1)
    except (KeyError, OSError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{archive_name} cannot be decoded ({error}). Rebuild it: `python data/build.py emoji`."
        ) from None
    return images


def _keep(array: np.ndarray, path: Path) -> None:
    """Write the cache atomically; a cache that cannot be written only costs time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            np.save(file, array)
        os.replace(file.name, path)
    except OSError:
        return
