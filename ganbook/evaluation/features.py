"""From pictures to statistics: streamed, in memory that does not grow with their number, and cached for references."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor
from tqdm.auto import tqdm

from ganbook.checkpoint import write_atomically
from ganbook.data import ImageSet, load
from ganbook.data.pictures import Place, decode
from ganbook.data.prepare import cache_folder
from ganbook.errors import DataError, InputError
from ganbook.evaluation.extractors import Extractor
from ganbook.experiment import load_trained
from ganbook.metrics import Moments
from ganbook.models.gan import GAN

KEPT = 10_000  # feature rows kept for the metrics that look at neighbours; the moments see every picture
DEALT = 1000  # features between two updates of the moments
VERSION = 2  # of the statistics: raise it when a change here changes them


@runtime_checkable
class Pictures(Protocol):
    """Pictures to be measured, in storage form, batch by batch."""

    @property
    def name(self) -> str:
        """For tables."""

    @property
    def n(self) -> int:
        """How many there are."""

    @property
    def labels(self) -> str:
        """How classes were drawn, in words; empty where there is nothing to say."""

    def batches(self, size: int) -> Iterator[Tensor]:
        """Batches `(≤ size, C, H, W)` uint8, `n` pictures in all, the same each time."""


@dataclass(frozen=True)
class SetPictures:
    """A data set, or a seeded choice from it."""

    images: ImageSet
    limit: int | None = None
    seed: int = 0
    labels: str = ""

    @property
    def name(self) -> str:
        """Of the set."""
        return self.images.name

    @property
    def n(self) -> int:
        """All of it, or the limit."""
        return min(len(self.images.images), self.limit or len(self.images.images))

    def batches(self, size: int) -> Iterator[Tensor]:
        """In the set's order; a choice is drawn without replacement."""
        order = choice(len(self.images.images), self.n, self.seed)
        for start in range(0, self.n, size):
            yield torch.from_numpy(np.array(self.images.images[order[start : start + size]]))


@dataclass(frozen=True)
class FilePictures:
    """Picture files of one size, as a generator wrote them; nothing is cropped or resized.

    Raises:
        DataError: an unreadable picture, or one of another size than the first (from `batches`).
    """

    name: str
    place: Place
    limit: int | None = None
    seed: int = 0
    labels: str = ""

    @property
    def n(self) -> int:
        """All of them, or the limit."""
        return min(len(self.place.names), self.limit or len(self.place.names))

    @property
    def lossy(self) -> int:
        """How many are JPEG, whose compression is part of what is measured."""
        return sum(name.lower().endswith((".jpg", ".jpeg")) for name in self.place.names)

    def batches(self, size: int) -> Iterator[Tensor]:
        """In the order of their names; a choice is drawn without replacement."""
        expected: tuple[int, int] | None = None
        chosen = choice(len(self.place.names), self.n, self.seed)
        for start in range(0, self.n, size):
            part = []
            for i in chosen[start : start + size].tolist():
                try:
                    picture = decode(self.place.read(i))
                except OSError as error:
                    raise DataError(
                        f"The picture {self.place.names[i]} of {self.name} cannot be read: {error}. Remove or replace "
                        f"it; a sample that is left out would change what is measured."
                    ) from None
                expected = expected or picture.size
                if picture.size != expected:
                    raise DataError(
                        f"The pictures of {self.name} have several sizes: {self.place.names[i]} is {picture.size[0]} x "
                        f"{picture.size[1]} pixels, the first {expected[0]} x {expected[1]}. Metrics depend on how "
                        f"pictures are resized, so do it once and knowingly: ganbook data prepare, or write samples "
                        f"of one size."
                    )
                part.append(np.asarray(picture))
            yield torch.from_numpy(np.stack(part)).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class SampledPictures:
    """What a trained generator draws from latents of a seed, rounded to bytes as a file would be.

    A generator with labels is given them as often as the data have them; drawn evenly, a perfect generator would be far
    from data whose classes are not.

    Raises:
        InputError: the generator gives numbers that are not finite (from `batches`).
    """

    name: str
    gan: GAN
    latent_dim: int
    n: int
    seed: int = 1
    shares: Tensor | None = None  # (n_classes,) of the training data

    @classmethod
    def of_run(cls, folder: Path, n: int, *, seed: int = 1, device: str = "cpu") -> SampledPictures:
        """The averaged generator of a run folder."""
        config, gan = load_trained(folder, device=device)
        gan.refresh_batchnorm()
        shares = None
        if gan.n_classes:
            shares = class_shares(load(config.dataset, resolution=config.resolution))
        return cls(str(folder), gan, config.latent_dim, n, seed, shares)

    @property
    def labels(self) -> str:
        """How classes were drawn."""
        if not self.gan.n_classes:
            return ""
        return "evenly" if self.shares is None else "as often as in the training data"

    def batches(self, size: int) -> Iterator[Tensor]:
        """Latents and labels from one stream, so that neither depends on the size of a batch."""
        labels = None
        if self.gan.n_classes:
            shares = torch.ones(self.gan.n_classes) if self.shares is None else self.shares
            labels = drawn_labels(shares, self.n, seed=self.seed)
        generator = torch.Generator().manual_seed(self.seed)
        for start in range(0, self.n, size):
            z = torch.randn(min(size, self.n - start), self.latent_dim, generator=generator)
            y = None if labels is None else labels[start : start + size]
            yield to_bytes(self.gan.sample(z, y), self.name)


def class_shares(images: ImageSet) -> Tensor | None:
    """How often each class occurs, `(n_classes,)`; None without labels."""
    if images.labels is None:
        return None
    return torch.from_numpy(np.bincount(images.labels, minlength=len(images.classes)) / len(images.labels)).float()


def drawn_labels(shares: Tensor, n: int, *, seed: int) -> Tensor:
    """Labels `(n,)` int64, drawn independently with the given shares."""
    return torch.multinomial(shares, n, replacement=True, generator=torch.Generator().manual_seed(seed))


def choice(total: int, n: int, seed: int) -> np.ndarray:
    """Indices of all, or of a seeded choice without replacement, in ascending order."""
    if n >= total:
        return np.arange(total)
    return np.sort(torch.randperm(total, generator=torch.Generator().manual_seed(seed)).numpy()[:n])


def to_bytes(images: Tensor, name: str) -> Tensor:
    """Images in [-1, 1] as uint8 on the CPU, rounded to nearest and clipped.

    Raises:
        InputError: numbers that are not finite.
    """
    if not images.isfinite().all():
        raise InputError(
            f"The pictures of {name} hold numbers that are not finite, so nothing can be measured. The training has "
            f"diverged: take an earlier checkpoint, or train with a smaller learning rate or a penalty."
        )
    return images.cpu().float().add(1).mul(127.5).round().clamp(0, 255).byte()


@dataclass(frozen=True)
class Statistics:
    """What the metrics need of one side."""

    moments: Moments  # of all pictures
    rows: Tensor  # (k, d) float32, a seeded choice of at most `KEPT` features, in random order
    blocks: tuple[Moments, ...] = ()  # of the pictures dealt out at random, for intervals

    @property
    def n(self) -> int:
        """How many pictures the moments have seen."""
        return self.moments.n


def statistics(
    pictures: Pictures,
    extractor: Extractor,
    *,
    batch_size: int = 50,
    keep: int = KEPT,
    blocks: int = 1,
    progress: bool = True,
) -> Statistics:
    """Features of all pictures, streamed: moments in float64, and at most ``keep`` rows.

    Args:
        pictures: to go through once.
        extractor: the feature network.
        batch_size: pictures at a time.
        keep: feature rows kept for metrics that look at neighbours.
        blocks: into how many blocks the moments are dealt, for the jackknife's interval.
        progress: show a bar.

    Raises:
        InputError: fewer than two pictures, or features that are not finite.
        DataError: a picture cannot be read.
    """
    if pictures.n < 2:
        raise InputError(f"{pictures.name} has {pictures.n} pictures; a distribution needs at least 2.")
    order = torch.randperm(pictures.n, generator=torch.Generator().manual_seed(0))
    place = torch.empty_like(order)
    place[order] = torch.arange(pictures.n)  # of each picture in a random order: decides its row and its block
    rows = torch.empty(min(keep, pictures.n), extractor.dim)
    parts = [Moments(extractor.dim) for _ in range(blocks)]
    waiting: list[Tensor] = []
    begun = seen = 0
    with tqdm(total=pictures.n, unit="img", desc=f"features of {pictures.name}", disable=not progress) as bar:
        for batch in pictures.batches(batch_size):
            features = extractor.features(batch).cpu()
            here = place[seen : seen + len(features)]
            rows[here[here < len(rows)]] = features[here < len(rows)]
            waiting.append(features)
            seen += len(features)
            if seen - begun >= DEALT or seen == pictures.n:  # few large updates: each costs d² whatever its size
                joined = torch.cat(waiting)
                for i, part in enumerate(parts):
                    part.update(joined[place[begun:seen] % blocks == i])
                waiting, begun = [], seen
            bar.update(len(features))
    whole = Moments(extractor.dim)
    for part in parts:
        whole.merge(part)
    return Statistics(whole, rows, tuple(parts))


def reference_statistics(
    pictures: SetPictures, extractor: Extractor, *, batch_size: int = 50, keep: int = KEPT, progress: bool = True
) -> Statistics:
    """`statistics` of a data set, computed once per protocol and kept in the cache.

    Raises:
        InputError: fewer than two pictures.
    """
    pixels = hashlib.sha256()
    for batch in pictures.batches(1000):  # what is measured decides, not what it is called
        pixels.update(batch.numpy().tobytes())
    protocol = {
        "images": [pictures.name, pictures.images.split, pictures.images.preprocessing, pixels.hexdigest()],
        "n": pictures.n,
        "extractor": [extractor.name, extractor.sha256],
        "keep": keep,
        "version": VERSION,
    }
    key = hashlib.sha256(json.dumps(protocol, sort_keys=True).encode()).hexdigest()[:24]
    path = cache_folder() / "references" / f"{key}.safetensors"
    try:
        tensors = load_file(path)
        moments, rows = Moments.from_state({k: tensors[k] for k in ("n", "mean", "scatter")}), tensors["rows"]
        if moments.n == pictures.n and rows.shape == (min(keep, pictures.n), extractor.dim) and rows.isfinite().all():
            return Statistics(moments, rows)
    except (FileNotFoundError, SafetensorError, KeyError, InputError, OSError):
        pass  # not there, or damaged: made anew
    found = statistics(pictures, extractor, batch_size=batch_size, keep=keep, progress=progress)
    content = save({**found.moments.state(), "rows": found.rows}, metadata={"protocol": json.dumps(protocol)})
    with contextlib.suppress(DataError):  # a full cache costs time, not the result
        write_atomically(path, content)
    return found
