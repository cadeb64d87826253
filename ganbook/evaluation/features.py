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
from ganbook.data import ImageSet
from ganbook.data.pictures import Place, decode
from ganbook.data.prepare import cache_folder
from ganbook.errors import DataError, InputError
from ganbook.evaluation.extractors import Extractor
from ganbook.experiment import load_trained
from ganbook.metrics import Moments
from ganbook.models.gan import GAN

KEPT = 10_000  # feature rows kept for the metrics that look at neighbours; the moments see every picture
DEALT = 1000  # features between two updates of the moments
VERSION = 1  # of the statistics: raise it when a change here changes them


@runtime_checkable
class Pictures(Protocol):
    """Pictures to be measured, in storage form, batch by batch."""

    @property
    def name(self) -> str:
        """For tables."""

    @property
    def n(self) -> int:
        """How many there are."""

    def batches(self, size: int) -> Iterator[Tensor]:
        """Batches `(≤ size, C, H, W)` uint8, `n` pictures in all, the same each time."""


@dataclass(frozen=True)
class SetPictures:
    """A data set, or a seeded choice from it."""

    images: ImageSet
    limit: int | None = None
    seed: int = 0

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
        total = len(self.images.images)
        order = np.arange(total)
        if self.n < total:
            order = np.sort(torch.randperm(total, generator=torch.Generator().manual_seed(self.seed)).numpy()[: self.n])
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

    @property
    def n(self) -> int:
        """All of them, or the limit."""
        return min(len(self.place.names), self.limit or len(self.place.names))

    @property
    def lossy(self) -> int:
        """How many are JPEG, whose compression is part of what is measured."""
        return sum(name.lower().endswith((".jpg", ".jpeg")) for name in self.place.names)

    def batches(self, size: int) -> Iterator[Tensor]:
        """In the order of their names."""
        expected: tuple[int, int] | None = None
        for start in range(0, self.n, size):
            part = []
            for i in range(start, min(start + size, self.n)):
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

    Raises:
        InputError: the generator gives numbers that are not finite (from `batches`).
    """

    name: str
    gan: GAN
    latent_dim: int
    n: int
    seed: int = 1

    @classmethod
    def of_run(cls, folder: Path, n: int, *, seed: int = 1, device: str = "cpu") -> SampledPictures:
        """The averaged generator of a run folder."""
        config, gan = load_trained(folder, device=device)
        gan.refresh_batchnorm()
        return cls(folder.name, gan, config.latent_dim, n, seed)

    def batches(self, size: int) -> Iterator[Tensor]:
        """Classes in turn, if the generator takes labels."""
        generator = torch.Generator().manual_seed(self.seed)
        for start in range(0, self.n, size):
            count = min(size, self.n - start)
            z = torch.randn(count, self.latent_dim, generator=generator)
            labels = torch.arange(start, start + count) % self.gan.n_classes if self.gan.n_classes else None
            yield to_bytes(self.gan.sample(z, labels), self.name)


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
    protocol = {
        "images": [pictures.name, pictures.images.split, pictures.images.preprocessing, pictures.images.sha256],
        "n": [pictures.n, pictures.seed if pictures.n < len(pictures.images.images) else None],
        "extractor": [extractor.name, extractor.sha256],
        "keep": keep,
        "version": VERSION,
    }
    key = hashlib.sha256(json.dumps(protocol, sort_keys=True).encode()).hexdigest()[:24]
    path = cache_folder() / "references" / f"{key}.safetensors"
    try:
        tensors = load_file(path)
        return Statistics(Moments.from_state({k: tensors[k] for k in ("n", "mean", "scatter")}), tensors["rows"])
    except (FileNotFoundError, SafetensorError, KeyError, InputError, OSError):
        pass  # not there, or damaged: made anew
    found = statistics(pictures, extractor, batch_size=batch_size, keep=keep, progress=progress)
    content = save({**found.moments.state(), "rows": found.rows}, metadata={"protocol": json.dumps(protocol)})
    with contextlib.suppress(DataError):  # a full cache costs time, not the result
        write_atomically(path, content)
    return found
