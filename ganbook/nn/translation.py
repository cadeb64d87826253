"""Networks that turn one picture into another: pix2pix's U-Net, CycleGAN's ResNet, and PatchGAN, which judges them.

Isola et al. (2017), appendix 6.1, and Zhu et al. (2017), appendix 7.2. In their notation Ck is a convolution with k
feature maps, normalisation and ReLU, CDk the same with dropout; ck, dk, Rk and uk are CycleGAN's convolution of side 7,
its halving, residual block and doubling. All weights start from N(0, 0.02²). The numbers of parameters are those of the
authors' own programs: 54.4 million for the U-Net at 256 pixels, 11.4 million for nine residual blocks, 2.8 million for
the 70 × 70 PatchGAN.

With instance normalisation these programs keep the convolutions' biases, which the normalisation takes away again, and
give it no scale and shift; with BatchNorm it is the other way round. Here too, so that the counts agree.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ganbook.errors import InputError, unknown_name
from ganbook.nn.dcgan import initialise

RESOLUTIONS = (32, 64, 128, 256)
NORMS = ("batch", "instance")
DROPPED = 3  # decoder blocks with dropout: CD512-CD1024-CD1024
Images = Float[Tensor, "n c h w"]
Translations = Float[Tensor, "n c_out h w"]


def normalised(conv: nn.Conv2d | nn.ConvTranspose2d, norm: str) -> list[nn.Module]:
    """The convolution and its normalisation; under BatchNorm, which has a shift, the bias is left out.

    Raises:
        InputError: an unknown normalisation.
    """
    if norm not in NORMS:
        raise unknown_name("normalisation", norm, NORMS)
    if norm == "instance":
        return [conv, nn.InstanceNorm2d(conv.out_channels)]
    conv.register_parameter("bias", None)
    return [conv, nn.BatchNorm2d(conv.out_channels)]


def drop(x: Images, p: float, rng: torch.Generator) -> Images:
    """Each value is 0 with probability p, the others are divided by 1 - p; drawn from ``rng``."""
    return x * (torch.rand(x.shape, generator=rng, device=x.device) >= p) / (1 - p)


def check_images(x: Tensor, channels: int, *, multiple_of: int = 1, side: int | None = None) -> None:
    """Refuse pictures that a network was not built for.

    Raises:
        InputError: another number of channels, with a word on transparency, or a side that does not fit.
    """
    if x.shape[1] != channels:
        hint = (
            "A fourth channel is transparency: put the pictures on a ground first, as ganbook.data does."
            if x.shape[1] == channels + 1
            else "Load the pictures in the colour that the network was built for."
        )
        raise InputError(
            f"This network reads {channels} channel{'s' * (channels > 1)}, got pictures of shape {tuple(x.shape)}. "
            f"{hint}"
        )
    h, w = x.shape[2:]
    if side is not None and (h, w) != (side, side):
        raise InputError(
            f"This network was built for pictures of {side} × {side} pixels, got {h} × {w}. Load them with "
            f"resolution={side}, or build it for theirs."
        )
    if h % multiple_of or w % multiple_of:
        raise InputError(
            f"This network halves a picture's sides until they are divided by {multiple_of}, got {h} × {w} pixels, "
            "which does not divide: input and output would differ in size. Load them with another resolution."
        )


class UNet(nn.Module):
    """Pictures `(N, channels_in, side, side)` to pictures `(N, channels, side, side)` in [-1, 1].

    Encoder C64-C128-C256-C512-C512-… down to one pixel; decoder CD512-CD512-CD512-C512-C256-C128-C64, where the
    activations of the encoder's layer i are put beside those of the decoder's layer n - i (the paper counts both
    together: CD1024). The first layer and the bottleneck have no normalisation: it would leave nothing of a map of one
    pixel (the paper's errata).

    The noise z of the paper is dropout, in training *and* in use. It is drawn from the generator of random numbers
    that the call is given; a call without one has no noise and always gives the same picture.

    Args:
        resolution: the side, 32, 64, 128 or 256.
        channels_in: of the condition; 1 for a mask.
        channels: of the output.
        width: feature maps of the first layer, 64 in the paper; no layer has more than eight times as many.
        dropout: p of each decoder block with dropout.
        norm: `"batch"`, or `"instance"`, which is what the paper's BatchNorm on batches of one amounts to.
    """

    def __init__(
        self,
        *,
        resolution: int,
        channels_in: int = 3,
        channels: int = 3,
        width: int = 64,
        dropout: float = 0.5,
        norm: str = "batch",
    ) -> None:
        super().__init__()
        if resolution not in RESOLUTIONS:
            raise InputError(
                f"The U-Net makes pictures of {', '.join(map(str, RESOLUTIONS))} pixels, got resolution={resolution}: "
                "each of its layers halves the side, down to one. Load the pictures at one of these."
            )
        if not 0 <= dropout < 1:
            raise InputError(f"dropout is a probability below 1, got {dropout}. The paper has 0.5; 0 is none.")
        self.resolution, self.channels_in, self.channels, self.dropout = resolution, channels_in, channels, dropout
        depth = int(math.log2(resolution))
        maps = [width * min(2**i, 8) for i in range(depth)]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        self.down.append(nn.Conv2d(channels_in, maps[0], 4, 2, 1, bias=norm == "instance"))
        for i, (maps_in, maps_out) in enumerate(pairwise(maps), start=1):
            layers = normalised(nn.Conv2d(maps_in, maps_out, 4, 2, 1), norm)
            self.down.append(nn.Sequential(nn.LeakyReLU(0.2), *layers[: 1 if i == depth - 1 else 2]))
        for i in reversed(range(1, depth)):
            maps_in = maps[i] if i == depth - 1 else 2 * maps[i]
            conv = nn.ConvTranspose2d(maps_in, maps[i - 1], 4, 2, 1)
            self.up.append(nn.Sequential(nn.ReLU(), *normalised(conv, norm)))
        self.last = nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(2 * maps[0], channels, 4, 2, 1), nn.Tanh())
        initialise(self)

    def forward(self, x: Images, rng: torch.Generator | None = None) -> Translations:
        check_images(x, self.channels_in, side=self.resolution)
        kept = [x]
        for layer in self.down:
            kept.append(layer(kept[-1]))
        h = kept.pop()
        for i, layer in enumerate(self.up):
            h = layer(h)
            if rng is not None and self.dropout and i < DROPPED:
                h = drop(h, self.dropout, rng)
            h = torch.cat([h, kept.pop()], dim=1)
        return self.last(h)


class ResidualBlock(nn.Module):
    """Rk: ``x + f(x)``, f two convolutions of side 3 on k maps, edges reflected, no ReLU after the sum."""

    def __init__(self, maps: int, norm: str) -> None:
        super().__init__()
        self.f = nn.Sequential(
            nn.ReflectionPad2d(1),
            *normalised(nn.Conv2d(maps, maps, 3), norm),
            nn.ReLU(),
            nn.ReflectionPad2d(1),
            *normalised(nn.Conv2d(maps, maps, 3), norm),
        )

    def forward(self, x: Images) -> Images:
        return x + self.f(x)


class ResNetGenerator(nn.Module):
    """Pictures `(N, channels_in, H, W)` to pictures `(N, channels, H, W)` in [-1, 1]; four divides the sides.

    c7s1-64, d128, d256, blocks × R256, u128, u64, c7s1-3 (Zhu et al. 2017, appendix 7.2, after Johnson et al. 2016).

    Args:
        channels_in: of what is translated.
        channels: of the translation.
        width: feature maps of the first layer, 64 in the paper.
        blocks: residual blocks: in the paper 6 for pictures of 128 pixels, 9 for 256 and more.
        norm: `"instance"` as in the paper, or `"batch"`.
    """

    def __init__(
        self, *, channels_in: int = 3, channels: int = 3, width: int = 64, blocks: int = 9, norm: str = "instance"
    ) -> None:
        super().__init__()
        if blocks < 1:
            raise InputError(f"blocks counts the residual blocks, 6 or 9 in the paper, got {blocks}.")
        self.channels_in, self.channels = channels_in, channels
        layers: list[nn.Module] = [
            nn.ReflectionPad2d(3),
            *normalised(nn.Conv2d(channels_in, width, 7), norm),
            nn.ReLU(),
        ]
        for maps in (width, 2 * width):
            layers += [*normalised(nn.Conv2d(maps, 2 * maps, 3, 2, 1), norm), nn.ReLU()]
        layers += [ResidualBlock(4 * width, norm) for _ in range(blocks)]
        for maps in (4 * width, 2 * width):
            layers += [*normalised(nn.ConvTranspose2d(maps, maps // 2, 3, 2, 1, 1), norm), nn.ReLU()]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, channels, 7), nn.Tanh()]
        self.net = nn.Sequential(*layers)
        initialise(self)

    def forward(self, x: Images, rng: torch.Generator | None = None) -> Translations:
        """The translation; there is no noise here, and ``rng`` is not drawn from."""
        check_images(x, self.channels_in, multiple_of=4)
        return self.net(x)


def blocks_for(resolution: int) -> int:
    """How many residual blocks the paper takes: 6 up to 128 pixels, 9 above."""
    return 6 if resolution <= 128 else 9


class PatchDiscriminator(nn.Module):
    """Pictures `(N, channels, H, W)` to one logit for each patch, `(N, h, w)`, large on real.

    Every logit sees `receptive_field` pixels in each direction and nothing else: real or fake is asked of texture and
    detail, patch by patch, and the whole is the L1 distance's matter (Isola et al. 2017, section 3.2.2). With a
    condition the pair is judged: the two are put beside each other as channels.

    `layers` halvings, C64-C128-… up to C512, then one Ck that keeps the side and one logit:
    0 is the 1 × 1 "PixelGAN" (C64-C128 of side 1), 1 sees 16 × 16, 2 sees 34 × 34, 3 the paper's 70 × 70, and 5 sees
    286 × 286.

    Args:
        channels: of the pictures.
        condition_channels: of the condition that comes with them; 0 for none.
        layers: how often the side is halved.
        width: feature maps of the first layer, 64 in the papers.
        norm: `"batch"` as in pix2pix or `"instance"` as in CycleGAN; the first layer has none.
    """

    def __init__(
        self, *, channels: int = 3, condition_channels: int = 0, layers: int = 3, width: int = 64, norm: str = "batch"
    ) -> None:
        super().__init__()
        if not 0 <= layers <= 5:
            raise InputError(
                f"layers says how often the side is halved, 0 … 5, got {layers}; 3 is the paper's 70 × 70."
            )
        self.channels, self.condition_channels = channels, condition_channels
        pixel = layers == 0
        kernel, padding = (1, 0) if pixel else (4, 1)
        maps = [width * min(2**i, 8) for i in range(layers + 1)] if not pixel else [width, 2 * width]
        strides = [2] * (layers - 1) + [1]
        first = nn.Conv2d(channels + condition_channels, maps[0], kernel, 1 if pixel else 2, padding)
        parts: list[nn.Module] = [first, nn.LeakyReLU(0.2)]
        for (maps_in, maps_out), stride in zip(pairwise(maps), strides, strict=True):
            parts += [*normalised(nn.Conv2d(maps_in, maps_out, kernel, stride, padding), norm), nn.LeakyReLU(0.2)]
        self.net = nn.Sequential(*parts, nn.Conv2d(maps[-1], 1, kernel, 1, padding))
        self.smallest = 1 if pixel else 3 * 2**layers  # below it no logit is left
        initialise(self)

    def forward(self, y: Images, x: Float[Tensor, "m c_in h_in w_in"] | None = None) -> Float[Tensor, "n u v"]:
        """Logits of pictures ``y``, given the conditions ``x`` they belong to.

        Raises:
            InputError: other channels, a condition that is missing, not wanted or of another size, too small pictures.
        """
        check_images(y, self.channels)
        if (x is not None) != bool(self.condition_channels):
            raise InputError(
                f"This discriminator was built with condition_channels={self.condition_channels}, and the condition "
                f"is {'missing' if x is None else 'given'}. Pass the condition exactly if it was built for one."
            )
        if min(y.shape[2:]) < self.smallest:
            raise InputError(
                f"Pictures of {y.shape[2]} × {y.shape[3]} pixels leave no patch to judge; this discriminator needs "
                f"{self.smallest}. Use fewer layers, or larger pictures."
            )
        if x is not None:
            check_images(x, self.condition_channels)
            if len(x) != len(y) or x.shape[2:] != y.shape[2:]:
                raise InputError(
                    f"A condition belongs to each picture and has its size, got conditions {tuple(x.shape)} and "
                    f"pictures {tuple(y.shape)}."
                )
            y = torch.cat([x, y], dim=1)
        return self.net(y).squeeze(1)


def receptive_field(network: nn.Module) -> int:
    """The side, in pixels, of what one output of a chain of convolutions sees.

    From the last layer to the first, ``r ← (r - 1)·stride + kernel``, beginning with r = 1; paddings do not matter.
    """
    r = 1
    for conv in reversed([layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]):
        r = (r - 1) * conv.stride[0] + conv.kernel_size[0]
    return r
