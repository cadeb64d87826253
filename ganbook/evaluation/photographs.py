"""Samples against held-out photographs in Inception's features: what `ganbook.evaluation.samples` is for judged sets.

Photographs without labels have no judge. Where the weights of Inception are not there, and on a machine without a
network they cannot be had, only what pixels say is measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ganbook import data
from ganbook.errors import DataError, InputError
from ganbook.evaluation.extractors import Extractor, get_extractor
from ganbook.evaluation.features import to_bytes
from ganbook.evaluation.protocol import INCEPTION, metric_name
from ganbook.evaluation.runs import apart, spread
from ganbook.metrics import frechet_distance


@dataclass(frozen=True)
class PhotographTarget:
    """Held-out photographs, seen by an extractor once, if there is one."""

    extractor: Extractor | None
    images: Tensor  # (n, C, H, W) in [-1, 1]
    features: Tensor  # (n, d) float64; d is 0 without an extractor
    protocol: dict[str, Any]

    @classmethod
    def of(
        cls, dataset: str, resolution: int, *, n: int = 10_000, extractor: Extractor | None = None
    ) -> PhotographTarget:
        """The first ``n`` held-out pictures; without an extractor Inception is taken, if its weights can be had.

        Raises:
            InputError: fewer than two held-out pictures.
        """
        held_out = apart(dataset, resolution)
        images, _ = data.to_tensors(held_out)
        images = images[:n]
        if len(images) < 2:
            raise InputError(f"Of {dataset} {len(images)} pictures are held out; a distance takes at least two.")
        if extractor is None:
            try:
                extractor = get_extractor("inception", progress=False)
            except DataError:
                extractor = None
        protocol = {
            "dataset": held_out.name,
            "split": held_out.split,
            "preprocessing": held_out.preprocessing,
            "n_real": len(images),
            "extractor": "none" if extractor is None else extractor.name,
            "extractor_sha256": "none" if extractor is None else extractor.sha256,
        }
        return cls(extractor, images, _features(extractor, images), protocol)

    def features_of(self, images: Tensor) -> Tensor:
        """Features `(n, d)` float64 of images in [-1, 1]."""
        return _features(self.extractor, images)

    def measure(self, fake: Tensor, labels: Tensor | None = None) -> dict[str, float]:
        """The Fréchet distance of images, where there is an extractor, and how varied their pixels are.

        ``within_class_spread`` is the standard deviation of a pixel divided by the data's; all pictures are one class.
        """
        one = torch.zeros(max(len(fake), len(self.images)), dtype=torch.int64)
        relative = spread(fake, one[: len(fake)]) / spread(self.images, one[: len(self.images)])
        values = {"within_class_spread": relative}
        if self.extractor is not None:
            rows = (self.features, self.features_of(fake))
            moments = [part for features in rows for part in (features.mean(0), features.T.cov())]
            values[self.names(len(fake))[0]] = frechet_distance(*moments)
        return values

    def names(self, n: int) -> tuple[str, str]:
        """What the Fréchet distance of ``n`` samples is called; no MMD is measured."""
        return metric_name("frechet", n, INCEPTION if self.extractor is None else self.extractor.name), "mmd2"


def _features(extractor: Extractor | None, images: Tensor) -> Tensor:
    if extractor is None:
        return torch.zeros(len(images), 0, dtype=torch.float64)
    parts = to_bytes(images, "the model").split(50)
    return torch.cat([extractor.features(part).cpu().double() for part in parts])
