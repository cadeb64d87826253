"""The judge: a small classifier that reads generated pictures.

Its accuracy on conditional samples says whether the asked class is there; its last hidden layer is the feature space
in which Fréchet distances make sense for sets on which ImageNet features do not (MNIST, emoji).
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


class Judge(nn.Module):
    """Images `(N, channels, side, side)` in [-1, 1] to class logits `(N, n_classes)`.

    Three convolutional stages, each halving the side, and a hidden layer of `n_features` units, read by `features`.
    """

    def __init__(self, *, channels: int, n_classes: int, width: int = 24, n_features: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        maps_in = channels
        for maps in (width, 2 * width, 4 * width):
            layers += [nn.Conv2d(maps_in, maps, 3, padding=1, bias=False), nn.BatchNorm2d(maps), nn.ReLU()]
            layers += [nn.Conv2d(maps, maps, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(maps), nn.ReLU()]
            maps_in = maps
        layers += [
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(4 * maps_in, n_features),
            nn.ReLU(),
        ]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(n_features, n_classes)

    def features(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n features"]:
        """The hidden layer below the logits."""
        return self.body(images)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        return self.head(self.features(images))
