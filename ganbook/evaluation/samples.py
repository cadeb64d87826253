"""Samples against held-out pictures in the eyes of the set's judge: small, quick, and the same for every model.

`ganbook.evaluation.measure` takes a finished GAN run. Here are the same figures for images from anywhere: a decoder, a
generator in mid-training, the data themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ganbook import data
from ganbook.errors import InputError
from ganbook.evaluation.protocol import metric_name
from ganbook.evaluation.runs import apart, spread
from ganbook.judge import TrainedJudge, load_judge, reads
from ganbook.metrics import Moments, frechet_from_moments, imq, mmd2

MMD_ROWS = 1000  # of real and fake that the MMD compares; its cost is quadratic and it has no bias at any number


@dataclass(frozen=True)
class Target:
    """Held-out pictures of one set, seen by its judge once."""

    judge: TrainedJudge
    images: Tensor  # (n, C, H, W) in [-1, 1]
    labels: Tensor  # (n,)
    features: Tensor  # (n, d) float64
    moments: Moments  # of the features
    scale: float  # mean squared distance of two feature rows, C of the MMD's kernel
    protocol: dict[str, Any]

    @classmethod
    def of(cls, dataset: str, resolution: int, *, n: int = 10_000) -> Target:
        """The first ``n`` held-out pictures of a labelled set that has a judge.

        Raises:
            InputError: the set has no judge at that resolution, no labels, or too few pictures for a covariance.
        """
        name = dataset.partition(":")[0]
        if not reads(name, resolution):
            raise InputError(
                f"There is no judge of {name!r} at {resolution} pixels, so nothing can be measured in its features. "
                f"Choose mnist at 28 or emoji at 32, or train one with `ganbook judge {name}`."
            )
        judge, held_out = load_judge(name), apart(dataset, resolution)
        images, labels = data.to_tensors(held_out)
        if labels is None:
            raise InputError(f"Data set {dataset!r} has no labels to be judged by.")
        images, labels = images[:n], labels[:n]
        features = judge.features(images).double()
        if len(features) <= features.shape[1]:
            raise InputError(f"A Fréchet distance takes more than {features.shape[1]} pictures, got {len(features)}.")
        protocol = {
            "dataset": dataset,
            "split": held_out.split,
            "preprocessing": held_out.preprocessing,
            "n_real": len(images),
            "extractor": f"{name}-judge",
            "extractor_sha256": judge.sha256,
        }
        scale = 2 * features.var(0).sum().item()
        return cls(judge, images, labels, features, Moments(features.shape[1]).update(features), scale, protocol)

    def measure(self, fake: Tensor, labels: Tensor | None) -> dict[str, float]:
        """How images `(n, C, H, W)`, and the labels that they were asked for, compare with the target.

        ``judge_accuracy``
            share that the judge reads as the asked class; only with labels.
        ``fd…k(…-judge)``
            Fréchet distance in the judge's features.
        ``mmd2(…-judge)``
            unbiased MMD² of up to `MMD_ROWS` rows under the IMQ kernel whose C is the real rows' mean squared distance.
        ``within_class_spread``, ``within_class_spread(…-judge)``
            standard deviation of a pixel (of a feature) within a class, divided by the data's: 1 is the data's
            variety, 0 one picture a class. Without labels the classes are those that the judge reads.

        Raises:
            InputError: too few images for a covariance.
        """
        features = self.judge.features(fake)
        if len(features) <= features.shape[1]:
            raise InputError(f"A Fréchet distance takes more than {features.shape[1]} images, got {len(features)}.")
        read = self.judge.network.head(features).argmax(1)
        features = features.double()
        groups = read if labels is None else labels
        fd, mmd = self.names(len(fake))
        values = {} if labels is None else {"judge_accuracy": (read == labels).double().mean().item()}
        values[fd] = frechet_from_moments(self.moments, Moments(features.shape[1]).update(features))
        values[mmd] = mmd2(self.features[:MMD_ROWS], features[:MMD_ROWS], kernel=imq(self.scale))
        values["within_class_spread"] = _relative_spread(self.images, self.labels, fake, groups)
        name = f"within_class_spread({self.protocol['extractor']})"
        values[name] = _relative_spread(self.features, self.labels, features, groups)
        return values

    def features_of(self, images: Tensor) -> Tensor:
        """The judge's features `(n, d)` float64 of images in [-1, 1]."""
        return self.judge.features(images).double()

    def names(self, n: int) -> tuple[str, str]:
        """What the Fréchet distance and the MMD² of ``n`` samples are called."""
        extractor = self.protocol["extractor"]
        return metric_name("frechet", n, extractor), f"mmd2({extractor})"


def _relative_spread(real: Tensor, real_groups: Tensor, fake: Tensor, fake_groups: Tensor) -> float:
    if all(int((fake_groups == group).sum()) < 2 for group in fake_groups.unique()):
        return 0.0
    return spread(fake, fake_groups) / spread(real, real_groups)


def drawn(n: int, latent_dim: int, n_classes: int, *, seed: int) -> tuple[Tensor, Tensor | None]:
    """Latents `(n, latent_dim)` from N(0, I) and, where there are classes, each of them in turn."""
    z = torch.randn(n, latent_dim, generator=torch.Generator().manual_seed(seed))
    return z, torch.arange(n) % n_classes if n_classes else None
