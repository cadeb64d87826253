"""What can be put into a finished DCGAN: self-attention behind its convolutions, a look at the batch before its head.

For comparisons that change one thing at a time, in networks that are otherwise the same. Everything is put in place
before the optimisers learn of the networks: pass these to `ganbook.experiment.build_gan` as ``adapt``.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from ganbook.errors import InputError, unknown_name
from ganbook.nn.attention import SelfAttention2d
from ganbook.nn.dcgan import Discriminator, Generator
from ganbook.nn.layers import MinibatchDiscrimination, MinibatchStddev

KERNELS = 16  # of minibatch discrimination
HEADS = ("minibatch", "stddev")


def attach_attention(
    generator: Generator, discriminator: Discriminator, sides: Sequence[int], *, spectral: bool
) -> None:
    """Put a self-attention layer behind each network's feature map of each side, both networks changed in place.

    In the generator a layer stands behind the activation, and for the side of the image behind the last convolution,
    before tanh. The discriminator has no feature map as large as the image: there that place is left out.

    Args:
        generator: a DCGAN's.
        discriminator: of the same resolution.
        sides: of feature maps, each once.
        spectral: constrain the attention's convolutions too, as SAGAN does.

    Raises:
        InputError: a side that the generator does not pass.
    """
    resolution = discriminator.shape[1]
    put_in: list[int] = []
    generator.net = _attended(generator.net, 1, sides, spectral, put_in)
    discriminator.features = _attended(discriminator.features, resolution, sides, spectral, [])
    if missing := sorted(set(sides) - set(put_in)):
        raise InputError(
            f"There is no feature map of side {missing[0]} in this generator; its maps grow by doubling to the "
            f"{resolution} pixels of the image. Choose sides among them, for instance {resolution // 2}."
        )


def attach_head(discriminator: Discriminator, kind: str) -> None:
    """Let the discriminator's last layer see the batch: its logit becomes a linear function of more than one sample.

    Args:
        discriminator: a DCGAN's without labels, changed in place.
        kind: ``"minibatch"`` for minibatch discrimination, ``"stddev"`` for minibatch stddev.

    Raises:
        InputError: an unknown kind.
    """
    if kind not in HEADS:
        raise unknown_name("head", kind, HEADS)
    size = discriminator.n_hidden
    layers: list[nn.Module] = [MinibatchDiscrimination(size, KERNELS)]
    more = KERNELS
    if kind == "stddev":
        layers, more = [nn.Unflatten(1, (size, 1, 1)), MinibatchStddev(), nn.Flatten()], 1
    last = nn.Linear(size + more, 1)
    nn.init.normal_(last.weight, 0.0, 0.02)
    nn.init.zeros_(last.bias)
    constrained = any("parametrizations" in name for name, _ in discriminator.head.named_parameters())
    discriminator.head = nn.Sequential(*layers, spectral_norm(last) if constrained else last)


def attention_layers(network: nn.Module) -> list[SelfAttention2d]:
    """The attention layers of a network, from its input to its output."""
    return [module for module in network.modules() if isinstance(module, SelfAttention2d)]


def _attended(
    layers: nn.Sequential, side: int, sides: Sequence[int], spectral: bool, put_in: list[int]
) -> nn.Sequential:
    """The layers with attention behind the maps of some sides; ``put_in`` receives the sides that were found."""
    result: list[nn.Module] = []
    maps = 0
    for layer in layers:
        if isinstance(layer, nn.Tanh) and side in sides:
            result.append(_layer(maps, spectral))
            put_in.append(side)
        result.append(layer)
        if isinstance(layer, nn.ConvTranspose2d):
            side = layer.kernel_size[0] if side == 1 else side * layer.stride[0]
            maps = layer.out_channels
        elif isinstance(layer, nn.Conv2d):
            side, maps = side // layer.stride[0], layer.out_channels
        elif isinstance(layer, nn.ReLU | nn.LeakyReLU) and side in sides:
            result.append(_layer(maps, spectral))
            put_in.append(side)
    return nn.Sequential(*result)


def _layer(maps: int, spectral: bool) -> SelfAttention2d:
    return SelfAttention2d(maps, k=min(8, maps), spectral=spectral)
