"""Data sets by name: uint8 arrays with labels, and what was done to them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import interpolate

from ganbook.data import embedded
from ganbook.errors import InputError, unknown_name

NAMES = ("mnist", "emoji", "emoji:twemoji", "emoji:noto")
SPLITS = ("train", "test", "all")


@dataclass(frozen=True)
class ImageSet:
    """Pictures in storage form, with what a result must say about them."""

    name: str  # e.g. "emoji:noto"
    split: str  # "train", "test" or "all"
    images: np.ndarray  # (N, C, H, W) uint8
    labels: np.ndarray | None  # (N,) int64, an index into classes
    classes: tuple[str, ...]
    preprocessing: str  # e.g. "64 to 32 px by area averaging"
    sha256: str  # of the source files, joined


@dataclass(frozen=True)
class ImagePairs:
    """The same subjects drawn by two artists: ``a[i]`` and ``b[i]`` belong together."""

    a: ImageSet
    b: ImageSet


def load(name: str, *, split: str = "train", resolution: int | None = None, root: str | Path | None = None) -> ImageSet:
    """A data set by name.

    Args:
        name: ``mnist``, ``emoji`` (both artists), ``emoji:twemoji`` or ``emoji:noto``.
        split: ``train``, ``test`` or ``all``.
        resolution: pixels; None keeps the set's own (28 and 64).
        root: folder with the sets; None is the embedded one.

    Raises:
        InputError: an unknown name or split, or a resolution the set cannot serve.
        DataError: a file is missing or damaged.
    """
    if name not in NAMES:
        raise unknown_name("data set", name, NAMES)
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    family, _, style = name.partition(":")
    if family == "mnist":
        images, labels = _mnist(split, root)
        classes = embedded.DIGITS
    else:
        images, labels = _emoji(style, split, root)
        classes = embedded.EMOJI_CLASSES
    images, preprocessing = resize(images, resolution or images.shape[-1])
    hashes = "".join(value for key, value in embedded.SHA256.items() if key.startswith(family))
    return ImageSet(name, split, images, labels, classes, preprocessing, hashlib.sha256(hashes.encode()).hexdigest())


def load_pairs(
    name: str = "emoji", *, split: str = "train", resolution: int | None = None, root: str | Path | None = None
) -> ImagePairs:
    """Both artists' drawings of the same emoji, Twemoji first.

    Raises:
        InputError: a set that has no pairs.
    """
    if name != "emoji":
        raise unknown_name("set of pairs", name, ["emoji"])
    a, b = (load(f"emoji:{s}", split=split, resolution=resolution, root=root) for s in ("twemoji", "noto"))
    return ImagePairs(a, b)


def _mnist(split: str, root: str | Path | None) -> tuple[np.ndarray, np.ndarray]:
    parts = [embedded.read_mnist(part, root) for part in (("train", "test") if split == "all" else (split,))]
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def _emoji(style: str, split: str, root: str | Path | None) -> tuple[np.ndarray, np.ndarray]:
    test = embedded.emoji_in_test(root)
    keep = {"train": ~test, "test": test, "all": np.ones_like(test)}[split]
    styles = (style,) if style else ("twemoji", "noto")
    images = np.concatenate([embedded.read_emoji(s, root)[keep] for s in styles])
    return images, np.tile(embedded.emoji_labels(root)[keep], len(styles))


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
