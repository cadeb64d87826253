"""DCGAN (Radford, Metz & Chintala 2016), for 28, 32 and 64 pixels, with optional class labels.

The paper's guidelines: strided convolutions instead of pooling, BatchNorm in both networks except at the image ends,
ReLU and a last tanh in the generator, LeakyReLU(0.2) in the discriminator, no hidden dense layers, weights from
N(0, 0.02²). The paper's figure 1 draws kernels of 5; they are 4 here unless asked otherwise, as in most later DCGANs: a
side that the stride divides lays the same number of products over every pixel, where 5 leaves a checkerboard (Odena,
Dumoulin & Olah 2016). Feature maps are the same.

Labels enter the generator one-hot beside the latent (Mirza & Osindero 2014) and the discriminator as a projection,
``D(x, y) = w·h(x) + e_y·h(x)`` (Miyato & Koyama 2018, eq. 6).

One-hot, and not a learned N(0, 1) embedding as wide as the latent: such an embedding carries as much variance as z,
and the generator then learns one picture a class and ignores z (seen here: the spread within a class fell to a tenth
of the data's within 400 steps, against nine tenths with one-hot labels).
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.nn.utils.parametrizations import spectral_norm

from ganbook.errors import InputError, unknown_name

# resolution: (side of the first feature map, how often it is doubled)
STAGES = {28: (7, 2), 32: (4, 3), 64: (4, 4)}
NORMS = ("batch", "spectral", "none")
# side of a kernel: (padding, output padding of the transposed one) that halve and double exactly
KERNELS = {4: (1, 0), 5: (2, 1)}


def stages(resolution: int) -> tuple[int, int]:
    """The side of the smallest feature map and the number of doublings that lead to ``resolution``.

    Raises:
        InputError: DCGAN is not defined here for that resolution.
    """
    if resolution not in STAGES:
        raise InputError(
            f"DCGAN makes images of {', '.join(map(str, STAGES))} pixels, got resolution={resolution}. "
            "Choose one of these; ganbook.data resizes the images to it."
        )
    return STAGES[resolution]


def paddings(kernel: int) -> tuple[int, int]:
    """What to add around a map so that a kernel of stride 2 halves it, and its transpose doubles it.

    Raises:
        InputError: a kernel of another side than 4 or 5.
    """
    if kernel not in KERNELS:
        raise InputError(f"DCGAN's kernels have the side {' or '.join(map(str, KERNELS))}, got kernel={kernel}.")
    return KERNELS[kernel]


def initialise(network: nn.Module) -> None:
    """Weights from N(0, 0.02²), BatchNorm scales from N(1, 0.02²), biases 0 (Radford et al. 2016, section 4)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.BatchNorm2d) and module.bias is not None:
            nn.init.zeros_(module.bias)


def initialise_unnormalised(network: nn.Module, slope: float = 0.2) -> None:
    """Weights from N(0, 2/((1 + a²)·fan_in)) for a LeakyReLU of slope a (He et al. 2015, eq. 15), biases 0.

    Each layer then keeps the scale of what it gets. N(0, 0.02²) leaves that to BatchNorm: without it a network of 8 to
    64 feature maps starts with logits and slopes some 20 to 300 times too small, and a critic whose slope a penalty
    wants at one has to begin by growing its weights.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, slope)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class Generator(nn.Module):
    """Latents `(N, latent_dim)` and optional labels `(N,)` to images `(N, channels, resolution, resolution)`.

    Args:
        resolution: 28, 32 or 64.
        channels: 1 for grey, 3 for colour.
        latent_dim: length of z.
        width: feature maps before the last layer; each earlier stage has twice as many.
        n_classes: 0 for no labels.
        kernel: 4, or 5 as in the paper's figure 1.
    """

    def __init__(
        self,
        *,
        resolution: int,
        channels: int,
        latent_dim: int = 100,
        width: int = 64,
        n_classes: int = 0,
        kernel: int = 4,
    ) -> None:
        super().__init__()
        side, doublings = stages(resolution)
        padding, rest = paddings(kernel)
        self.latent_dim, self.n_classes = latent_dim, n_classes
        maps = width * 2 ** (doublings - 1)
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(latent_dim + n_classes, maps, side, bias=False),  # 1 -> side
            nn.BatchNorm2d(maps),
            nn.ReLU(),
        ]
        for _ in range(doublings - 1):
            layers += [
                nn.ConvTranspose2d(maps, maps // 2, kernel, 2, padding, rest, bias=False),
                nn.BatchNorm2d(maps // 2),
                nn.ReLU(),
            ]
            maps //= 2
        layers += [nn.ConvTranspose2d(maps, channels, kernel, 2, padding, rest), nn.Tanh()]
        self.net = nn.Sequential(*layers)
        initialise(self)

    def forward(self, z: Float[Tensor, "n latent"], y: Int[Tensor, " n"] | None = None) -> Float[Tensor, "n c h w"]:
        if self.n_classes:
            z = torch.cat([z, one_hot(check_labels(y, self.n_classes), self.n_classes).to(z.dtype)], dim=1)
        return self.net(z[:, :, None, None])


class Discriminator(nn.Module):
    """Images `(N, channels, resolution, resolution)` and optional labels `(N,)` to logits `(N,)`.

    Args:
        norm: `"batch"` as in the paper, `"spectral"` (Miyato et al. 2018) or `"none"`, which also changes the first
            weights (see `initialise_unnormalised`).
        kernel: 4, or 5 as in the paper's figure 1.
    """

    def __init__(
        self,
        *,
        resolution: int,
        channels: int,
        width: int = 64,
        n_classes: int = 0,
        norm: str = "batch",
        kernel: int = 4,
    ) -> None:
        super().__init__()
        if norm not in NORMS:
            raise unknown_name("normalisation", norm, NORMS)
        side, doublings = stages(resolution)
        padding, _ = paddings(kernel)
        self.n_classes = n_classes
        self.shape = (channels, resolution, resolution)
        constrain = spectral_norm if norm == "spectral" else lambda module: module
        layers: list[nn.Module] = []
        maps_in, maps = channels, width
        for stage in range(doublings):
            batch_norm = norm == "batch" and stage > 0
            layers += [constrain(nn.Conv2d(maps_in, maps, kernel, 2, padding, bias=not batch_norm))]
            layers += [nn.BatchNorm2d(maps)] if batch_norm else []
            layers += [nn.LeakyReLU(0.2)]
            maps_in, maps = maps, maps * 2
        self.features = nn.Sequential(*layers, nn.Flatten())
        size = self.n_hidden = maps_in * side * side
        self.head: nn.Module = nn.Linear(size, 1)
        self.project: nn.Module | None = nn.Embedding(n_classes, size) if n_classes else None
        initialise(self)
        if norm == "none":
            initialise_unnormalised(self)
        if norm == "spectral":
            self.head = spectral_norm(self.head)
            self.project = spectral_norm(self.project) if self.project is not None else None

    def hidden(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The features that the logit is a linear function of, `(N, n_hidden)`."""
        if x.shape[1:] != self.shape:
            raise InputError(
                f"This discriminator reads images of shape (N, {', '.join(map(str, self.shape))}), got "
                f"{tuple(x.shape)}. Load the data at the resolution and colour the networks were built for."
            )
        return self.features(x)

    def forward(self, x: Float[Tensor, "n c h w"], y: Int[Tensor, " n"] | None = None) -> Float[Tensor, " n"]:
        h = self.hidden(x)
        logits = self.head(h).flatten()
        if self.project is not None:
            logits = logits + (self.project(check_labels(y, self.n_classes)) * h).sum(1)
        return logits


def check_labels(y: Tensor | None, n_classes: int) -> Tensor:
    """The labels, if they are there at all.

    Values are not read here, which would stop a GPU at each step; an index out of range is caught where labels enter.

    Raises:
        InputError: a conditional network was called without labels.
    """
    if y is None:
        raise InputError(
            f"This network was built for {n_classes} classes and needs labels, got none. Pass y of shape (N,) with "
            f"values 0 … {n_classes - 1}, or build the network with n_classes=0."
        )
    return y
