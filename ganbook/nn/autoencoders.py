"""Encoders: pictures to codes. The decoders are the generators of `ganbook.nn.dcgan`, layer for layer.

That the decoder *is* the GAN's generator, with the same arguments in the same order, is what lets a trained
autoencoder hand its weights to a GAN (`ganbook.nn.autoencoders.start_from`). The encoder mirrors it: strided
convolutions, BatchNorm except at the picture, LeakyReLU(0.2), as in the discriminator of Radford et al. (2016). A
label enters the encoder as constant planes beside the picture, one a class (Sohn, Lee & Yan 2015), and the decoder
one-hot beside the code.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import one_hot

from ganbook.errors import InputError
from ganbook.nn.dcgan import check_labels, initialise, stages
from ganbook.nn.mlp import mlp


def label_planes(y: Int[Tensor, " n"], n_classes: int, side: int) -> Float[Tensor, "n classes side side"]:
    """One plane a class, all 1 for the picture's own class and 0 for the others."""
    return one_hot(y, n_classes).float()[:, :, None, None].expand(-1, -1, side, side)


class Centred(nn.Module):
    """``x - mean``: of the batch in training, its running average in evaluation.

    Where the codes lie as a whole says nothing about a picture, and of the losses only a regulariser minds: a shift by
    one standard deviation of the prior costs a VAE half a nat, against the hundreds of nats that its pixels' noise puts
    into each step. It would be corrected last, and until then the prior would be decoded beside the codes.
    """

    mean: Tensor

    def __init__(self, size: int, *, momentum: float = 0.1) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(size))

    def forward(self, x: Float[Tensor, "n size"]) -> Float[Tensor, "n size"]:
        if not self.training:
            return x - self.mean
        mean = x.mean(0)
        self.mean.lerp_(mean.detach(), self.momentum)
        return x - mean


class Encoder(nn.Module):
    """Images `(N, channels, resolution, resolution)` and optional labels `(N,)` to `(N, 2, latent_dim)`.

    ``[:, 0]`` is the mean of the code, `Centred`, and ``[:, 1]`` the logarithm of its variance; an autoencoder that
    does not draw its codes uses the mean alone.

    Args:
        resolution: 28, 32 or 64.
        channels: 1 for grey, 3 for colour.
        latent_dim: length of the code.
        width: feature maps after the first layer; each later stage has twice as many.
        n_classes: 0 for no labels.
    """

    def __init__(self, *, resolution: int, channels: int, latent_dim: int, width: int = 32, n_classes: int = 0) -> None:
        super().__init__()
        side, doublings = stages(resolution)
        self.latent_dim, self.n_classes = latent_dim, n_classes
        self.shape = (channels, resolution, resolution)
        layers: list[nn.Module] = []
        maps_in, maps = channels + n_classes, width
        for stage in range(doublings):
            layers += [nn.Conv2d(maps_in, maps, 4, stride=2, padding=1, bias=stage == 0)]
            layers += [nn.BatchNorm2d(maps)] if stage else []
            layers += [nn.LeakyReLU(0.2)]
            maps_in, maps = maps, maps * 2
        self.features = nn.Sequential(*layers, nn.Flatten())
        self.head = nn.Linear(maps_in * side * side, 2 * latent_dim)
        self.centre = Centred(latent_dim)
        initialise(self)

    def forward(self, x: Float[Tensor, "n c h w"], y: Int[Tensor, " n"] | None = None) -> Float[Tensor, "n 2 latent"]:
        if x.shape[1:] != self.shape:
            raise InputError(
                f"This encoder reads images of shape (N, {', '.join(map(str, self.shape))}), got {tuple(x.shape)}. "
                "Load the pictures at the resolution and colour that it was built for."
            )
        if self.n_classes:
            x = torch.cat([x, label_planes(check_labels(y, self.n_classes), self.n_classes, x.shape[3])], dim=1)
        mean, log_var = self.head(self.features(x)).chunk(2, 1)
        return torch.stack([self.centre(mean), log_var], 1)


def tanh_layers(sizes: Sequence[int]) -> nn.Sequential:
    """Linear layers with a tanh between them, weights from Glorot & Bengio's (2010) uniform law, biases 0."""
    layers: list[nn.Module] = []
    for size_in, size_out in pairwise(sizes):
        linear = nn.Linear(size_in, size_out)
        nn.init.xavier_uniform_(linear.weight)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.Tanh()]
    return nn.Sequential(*layers[:-1])


class DenseEncoder(nn.Module):
    """Images to codes `(N, 2, latent_dim)` by two fully connected layers of tanh units (Burda et al. 2016, section 5).

    The layers see ink in [0, 1], which is 0 on most of a digit's paper. Given [-1, 1], the paper alone would drive the
    tanh units into saturation, and the code would carry little.

    Args:
        resolution, channels: of the images.
        latent_dim: length of the code; 50 in the paper.
        width: units of each hidden layer; 200 in the paper.
    """

    def __init__(self, *, resolution: int, channels: int = 1, latent_dim: int = 50, width: int = 200) -> None:
        super().__init__()
        self.latent_dim, self.n_classes = latent_dim, 0
        self.net = tanh_layers([channels * resolution**2, width, width, 2 * latent_dim])

    def forward(self, x: Float[Tensor, "n c h w"], y: None = None) -> Float[Tensor, "n 2 latent"]:
        return self.net((x.flatten(1) + 1) / 2).unflatten(1, (2, self.latent_dim))


class DenseDecoder(nn.Module):
    """Codes to images in [-1, 1], the mirror of `DenseEncoder`.

    The last layer's logit l of ink becomes ``tanh(l/2) = 2σ(l) - 1``. Arguments as there.
    """

    def __init__(self, *, resolution: int, channels: int = 1, latent_dim: int = 50, width: int = 200) -> None:
        super().__init__()
        self.latent_dim, self.n_classes = latent_dim, 0
        self.shape = (channels, resolution, resolution)
        self.net = tanh_layers([latent_dim, width, width, channels * resolution**2])

    def forward(self, z: Float[Tensor, "n latent"], y: None = None) -> Float[Tensor, "n c h w"]:
        return torch.tanh(self.net(z) / 2).unflatten(1, self.shape)


class LatentDiscriminator(nn.Module):
    """Codes `(N, latent_dim)` and optional labels `(N,)` to logits `(N,)`, large on draws from the prior.

    The discriminator of the adversarial autoencoder (Makhzani et al. 2015) and of WAE-GAN (Tolstikhin et al. 2018,
    Algorithm 1).
    """

    def __init__(self, *, latent_dim: int, width: int = 128, n_classes: int = 0) -> None:
        super().__init__()
        self.n_classes = n_classes
        self.net = mlp([latent_dim + n_classes, width, width, 1], slope=0.2)

    def forward(self, z: Float[Tensor, "n latent"], y: Int[Tensor, " n"] | None = None) -> Float[Tensor, " n"]:
        if self.n_classes:
            z = torch.cat([z, one_hot(check_labels(y, self.n_classes), self.n_classes).to(z.dtype)], dim=1)
        return self.net(z).flatten()


def start_from(generator: nn.Module, decoder: nn.Module) -> None:
    """Copy a trained decoder's weights, BatchNorm statistics included, into a generator of the same shape.

    Raises:
        InputError: the two are not built alike; names the first tensor that differs.
    """
    ours, theirs = generator.state_dict(), decoder.state_dict()
    for name in [*ours, *theirs]:
        here, there = (tuple(state[name].shape) if name in state else "missing" for state in (ours, theirs))
        if here != there:
            raise InputError(
                f"The decoder cannot start this generator: {name} is {here} in the generator and {there} in the "
                "decoder. Build both with the same resolution, channels, latent_dim, width and n_classes."
            )
    generator.load_state_dict(theirs)
