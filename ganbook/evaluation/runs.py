"""What is measured at the end of a GAN run, with the protocol that its numbers carry."""

from __future__ import annotations

import contextlib
from typing import Any

import torch

from ganbook import data
from ganbook.errors import InputError
from ganbook.evaluation.features import class_shares, drawn_labels
from ganbook.evaluation.protocol import metric_name
from ganbook.experiment import Run
from ganbook.judge import load_judge, reads
from ganbook.metrics import Moments, frechet_from_moments


def measure(run: Run, *, seed: int = 1) -> dict[str, Any]:
    """Metrics of the averaged generator, flat, with their ``protocol``; samples come from latents of ``seed``.

    ``judge_accuracy``
        share of conditional samples that the set's judge reads as the asked class.
    ``fd5k(mnist-judge)`` and the like
        Fréchet distance of that many samples, their classes drawn as often as in the training data, from the held-out
        pictures in the judge's features; left out where there are too few for a covariance.
    ``within_class_spread``
        standard deviation of a pixel over the samples of one class, averaged over pixels and classes, divided by the
        same figure for the data: 1 is the data's variety, 0 is one picture a class. Without classes: over all samples.

    A set that has no judge is measured without one, and the record simply has neither accuracy nor distance.
    """
    config = run.config
    run.gan.refresh_batchnorm()
    fake, labels = run.sample(config.n_eval, seed=seed)
    held_out = apart(config.dataset, config.resolution)
    real, real_labels = data.to_tensors(held_out)
    protocol: dict[str, Any] = {
        "dataset": config.dataset,
        "split": held_out.split,
        "preprocessing": held_out.preprocessing,
        "n_real": len(real),
        "n_fake": len(fake),
    }
    metrics: dict[str, Any] = {}
    name = config.dataset.partition(":")[0]
    if reads(name, config.resolution):
        judge = load_judge(name)
        protocol |= {"extractor": f"{name}-judge", "extractor_sha256": judge.sha256}
        of_real = judge.features(real)  # of thousands of pictures: read once, for accuracy and distance
        if labels is not None and real_labels is not None:
            metrics["judge_accuracy"] = judge.accuracy(fake, labels)
            metrics["judge_accuracy_real"] = judge.accuracy_of(of_real, real_labels)
        drawn = fake
        if (
            labels is not None and (shares := class_shares(run.images)) is not None
        ):  # as often as in the data, not in turn
            drawn, _ = run.sample(config.n_eval, labels=drawn_labels(shares, config.n_eval, seed=seed), seed=seed + 1)
        features = [of_real, judge.features(drawn)]
        if min(map(len, features)) > features[0].shape[1]:
            distance = frechet_from_moments(*(Moments(f.shape[1]).update(f) for f in features))
            metrics[metric_name("frechet", len(fake), f"{name}-judge")] = distance
    one_group = torch.zeros(max(len(fake), len(real)), dtype=torch.int64)
    fake_groups = one_group[: len(fake)] if labels is None else labels
    real_groups = one_group[: len(real)] if labels is None or real_labels is None else real_labels
    metrics["within_class_spread"] = spread(fake, fake_groups) / spread(real, real_groups)
    return {**metrics, "protocol": protocol}


def apart(dataset: str, resolution: int) -> data.ImageSet:
    """The pictures to compare with: the test split, else the validation split, else the training split itself."""
    for split in ("test", "valid"):
        with contextlib.suppress(InputError):
            return data.load(dataset, split=split, resolution=resolution)
    return data.load(dataset, resolution=resolution)


def spread(images: torch.Tensor, groups: torch.Tensor) -> float:
    """The standard deviation of a pixel within a group, averaged over pixels and groups of at least two images."""
    parts = [images[groups == group] for group in groups.unique()]
    return torch.stack([part.std(0).mean() for part in parts if len(part) > 1]).mean().item()
