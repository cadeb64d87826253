"""Feature networks: images in, the vectors out in which distributions of images are compared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from ganbook.errors import InputError, unknown_name
from ganbook.evaluation.inception import FIDInception, load_weights, tensors_sha256
from ganbook.evaluation.protocol import INCEPTION
from ganbook.judge import RECIPES, TrainedJudge, load_judge


@runtime_checkable
class Extractor(Protocol):
    """A feature network with its name and the hash of its weights."""

    @property
    def name(self) -> str:
        """As it stands in results."""

    @property
    def sha256(self) -> str:
        """Of the weights."""

    @property
    def dim(self) -> int:
        """Width of the features."""

    def features(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """Features `(n, dim)` float32 of images `(n, 1 or 3, H, W)` in storage form."""

    def logits(self, features: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Class logits from features, for the Inception Score."""


@dataclass(frozen=True)
class InceptionExtractor:
    """The network of FID; images of any size, resized to 299 as pytorch-fid does."""

    network: FIDInception
    sha256: str
    origin: str
    name: str = INCEPTION
    dim: int = 2048

    def features(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """2048 features of the last pooling layer."""
        return self.network(images.to(next(self.network.parameters()).device))

    def logits(self, features: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """1008 class logits; only the official weights have them."""
        return self.network.logits(features)


@dataclass(frozen=True)
class JudgeExtractor:
    """A set's own classifier, for sets on which ImageNet's features mean little."""

    judge: TrainedJudge

    @property
    def name(self) -> str:
        """E.g. ``mnist-judge``."""
        return f"{self.judge.name}-judge"

    @property
    def sha256(self) -> str:
        """Of the committed weights."""
        return self.judge.sha256

    @property
    def dim(self) -> int:
        """Width of the hidden layer."""
        return self.judge.network.head.in_features

    def features(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The hidden layer below the logits."""
        if self.judge.network.body[0].in_channels == 1 and images.shape[1] == 3:
            if not (images[:, :1] == images).all():
                raise InputError(f"The {self.judge.name} judge reads grey pictures, got coloured ones.")
            images = images[:, :1]
        return self.judge.features(images.float().div(127.5).sub(1))

    @torch.inference_mode()
    def logits(self, features: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Class logits of the judge."""
        return self.judge.network.head(features.to(self.judge.network.head.weight.device))


def get_extractor(
    name: str, *, weights: str | Path | None = None, device: str | torch.device = "cpu", progress: bool = True
) -> Extractor:
    """A feature network by name.

    Args:
        name: ``inception``, or a set's judge: ``mnist-judge``, ``emoji-judge`` …
        weights: a file for ``inception``; None looks in the usual places and downloads it once.
        device: where features are computed.
        progress: show the download.

    Raises:
        InputError: an unknown name.
        DataError: the weights cannot be had or read.
    """
    judges = {f"{judge}-judge": judge for judge in RECIPES}
    if name in judges:
        judge = load_judge(judges[name])
        judge.network.to(device)
        return JudgeExtractor(judge)
    if name not in ("inception", INCEPTION):
        raise unknown_name("extractor", name, ["inception", *judges])
    tensors, origin = load_weights(weights, progress=progress)
    network = FIDInception(tensors).to(device)
    return InceptionExtractor(network, tensors_sha256(tensors), origin)
