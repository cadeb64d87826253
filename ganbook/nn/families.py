"""The families of networks that a run can choose by name, built from the same few numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import nn

from ganbook.errors import InputError, unknown_name
from ganbook.nn import dcgan, pggan, r3gan, resnet, sagan
from ganbook.nn.conditioning import Auxiliary, Concatenated


@dataclass(frozen=True)
class Sizes:
    """What every family is built from."""

    resolution: int  # pixels
    channels: int  # 1 for grey, 3 for colour
    latent_dim: int  # length of z
    width_g: int  # feature maps of the generator's last hidden layer
    width_d: int  # feature maps of the discriminator's first layer
    n_classes: int  # 0 for no labels
    norm: str  # of the discriminator; of both networks in SAGAN and PGGAN
    conditioning: str = "projection"  # how the discriminator learns of the classes; concat or auxiliary
    attention: tuple[int, ...] = ()  # sides of the feature maps with self-attention; SAGAN only


Pair = tuple[nn.Module, nn.Module]
Builder = Callable[[Sizes], Pair]


def build_dcgan(s: Sizes) -> Pair:
    """Radford et al. (2016)."""
    return (
        dcgan.Generator(
            resolution=s.resolution,
            channels=s.channels,
            latent_dim=s.latent_dim,
            width=s.width_g,
            n_classes=s.n_classes,
        ),
        dcgan.Discriminator(
            resolution=s.resolution, channels=s.channels, width=s.width_d, n_classes=s.n_classes, norm=s.norm
        ),
    )


def build_resnet(s: Sizes) -> Pair:
    """The residual networks of Miyato et al. (2018)."""
    return (
        resnet.Generator(
            resolution=s.resolution,
            channels=s.channels,
            latent_dim=s.latent_dim,
            width=s.width_g,
            n_classes=s.n_classes,
        ),
        resnet.Discriminator(
            resolution=s.resolution, channels=s.channels, width=s.width_d, n_classes=s.n_classes, norm=s.norm
        ),
    )


def build_sagan(s: Sizes) -> Pair:
    """Zhang et al. (2019)."""
    return (
        sagan.Generator(
            resolution=s.resolution,
            channels=s.channels,
            latent_dim=s.latent_dim,
            width=s.width_g,
            n_classes=s.n_classes,
            attention=s.attention,
            norm=s.norm,
        ),
        sagan.Discriminator(
            resolution=s.resolution,
            channels=s.channels,
            width=s.width_d,
            n_classes=s.n_classes,
            attention=s.attention,
            norm=s.norm,
        ),
    )


def build_pggan(s: Sizes) -> Pair:
    """Karras et al. (2018), whole: the plain network unless a plan grows it (`ganbook.models.progressive`)."""
    return (
        pggan.Generator(
            resolution=s.resolution,
            channels=s.channels,
            latent_dim=s.latent_dim,
            width=s.width_g,
            n_classes=s.n_classes,
            norm=s.norm,
        ),
        pggan.Discriminator(
            resolution=s.resolution, channels=s.channels, width=s.width_d, n_classes=s.n_classes, norm=s.norm
        ),
    )


def build_r3gan(s: Sizes) -> Pair:
    """Huang et al. (2024); for the loss `rpgan` with the penalty `r1_r2`."""
    return (
        r3gan.Generator(
            resolution=s.resolution,
            channels=s.channels,
            latent_dim=s.latent_dim,
            width=s.width_g,
            n_classes=s.n_classes,
        ),
        r3gan.Discriminator(resolution=s.resolution, channels=s.channels, width=s.width_d, n_classes=s.n_classes),
    )


def pair(builder: Builder, s: Sizes) -> Pair:
    """What a family builds; where there are classes, its discriminator learns of them as asked.

    The families have projection built in. For the other ways the discriminator is built without labels and wrapped.
    """
    generator, discriminator = builder(s)
    if s.n_classes and s.conditioning == "concat":
        wider = replace(s, channels=s.channels + s.n_classes, n_classes=0)
        discriminator = Concatenated(builder(wider)[1], s.n_classes)
    elif s.n_classes and s.conditioning == "auxiliary":
        unconditional = builder(replace(s, n_classes=0))[1]
        discriminator = Auxiliary(unconditional, s.n_classes, spectral=s.norm == "spectral")
    return generator, discriminator


@dataclass(frozen=True)
class Family:
    """One name: what it can be asked for and how it is built."""

    builder: Builder
    resolutions: tuple[int, ...]
    norms: tuple[str, ...]
    attends: bool = False

    def build(self, sizes: Sizes) -> Pair:
        """Generator and discriminator of these sizes."""
        return pair(self.builder, sizes)


FAMILIES = {
    "dcgan": Family(build_dcgan, tuple(dcgan.STAGES), dcgan.NORMS),
    "resnet": Family(build_resnet, tuple(resnet.TABLES), resnet.NORMS),
    "sagan": Family(build_sagan, tuple(resnet.TABLES), resnet.NORMS, attends=True),
    "pggan": Family(build_pggan, tuple(pggan.sides(512)), pggan.NORMS),
    "r3gan": Family(build_r3gan, tuple(pggan.sides(512)), r3gan.NORMS),
}


def places(attention: str, resolution: int) -> tuple[int, ...]:
    """The sides in a comma-separated list, `"8,16"`; none for `"none"`.

    Raises:
        InputError: something else than sides of feature maps that both networks have, 8, 16, … below the resolution.
    """
    if attention == "none":
        return ()
    sides = tuple(int(part) if part.strip().isdigit() else -1 for part in attention.split(","))
    allowed = [side for side in (8, 16, 32, 64) if side < resolution]
    if not set(sides) <= set(allowed) or len(set(sides)) < len(sides):
        raise InputError(
            f"attention names sides of feature maps, each once, separated by commas, got {attention!r}. Both networks "
            f"have {', '.join(map(str, allowed))} at resolution={resolution}; or write none."
        )
    return sides


def check_family(network: str, *, resolution: int, norm: str, attention: str) -> Family:
    """The family called ``network``, if it can do what is asked of it.

    Raises:
        InputError: an unknown name, or a resolution, normalisation or attention that the family does not have.
    """
    if network not in FAMILIES:
        raise unknown_name("network", network, FAMILIES)
    family = FAMILIES[network]
    known = sorted({norm for other in FAMILIES.values() for norm in other.norms})
    if norm not in known:
        raise unknown_name("normalisation", norm, known)
    if norm not in family.norms:
        raise InputError(
            f"network={network!r} and norm={norm!r} are incompatible: its discriminator is built with "
            f"{' or '.join(family.norms)}. Choose one of these."
        )
    if resolution not in family.resolutions:
        raise InputError(
            f"network={network!r} makes images of {', '.join(map(str, family.resolutions))} pixels, got "
            f"resolution={resolution}. Choose one of these; ganbook.data resizes the images to it."
        )
    if places(attention, resolution) and not family.attends:
        raise InputError(
            f"network={network!r} and attention={attention!r} are incompatible: only sagan has self-attention. Choose "
            "network='sagan', or attention='none'."
        )
    return family
