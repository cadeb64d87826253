"""Networks that can be used without what trained them: one small file each, and the generators of this repository.

A file holds a generator, the encoder beside it if there is one, and a card: how both are built, what they were trained
on and, for the generators under ``data/generators/``, what was measured. No optimiser, no discriminator, no data.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from ganbook.checkpoint import write_atomically
from ganbook.errors import DataError, InputError, unknown_name
from ganbook.models.autoencoder import evaluating
from ganbook.models.inputs import check_label_range, check_latents
from ganbook.nn.autoencoders import Encoder
from ganbook.nn.families import FAMILIES, Sizes

FOLDER = Path(__file__).parent.parent / "data" / "generators"
SHIPPED = ("mnist", "emoji")
LARGEST = 4_000_000  # bytes of a generator in this repository
BATCH = 256  # pictures at a time


@dataclass(frozen=True)
class Trained:
    """A generator in evaluation mode, with what has to be known to use it."""

    name: str
    generator: nn.Module  # (z, y) to images in [-1, 1]
    sizes: Sizes
    network: str  # a name in `ganbook.nn.families.FAMILIES`
    dataset: str
    encoder: Encoder | None = None  # (x, y) to means and log-variances of codes
    encoder_width: int = 0
    classes: tuple[str, ...] = ()  # names, where they are known
    card: Mapping[str, Any] = field(default_factory=dict)  # what else the file says
    sha256: str = ""  # of the file

    def labels(self, asked: int | None, n: int) -> Int[Tensor, " n"] | None:
        """Labels `(n,)`: the asked one throughout, or all classes in turn; None for a model without classes.

        Raises:
            InputError: a label for a model without classes, or none of its classes.
        """
        k = self.sizes.n_classes
        if k == 0 and asked is not None:
            raise InputError(f"{self.name} was trained without labels, got label {asked}. Leave the label out.")
        if k == 0:
            return None
        labels = torch.arange(n) % k if asked is None else torch.full((n,), asked, dtype=torch.int64)
        check_label_range(labels, k)
        return labels

    def latents(self, n: int, *, seed: int = 0) -> Float[Tensor, "n latent"]:
        """Draws `(n, latent_dim)` from N(0, I)."""
        return torch.randn(n, self.sizes.latent_dim, generator=torch.Generator().manual_seed(seed))

    def sample(self, z: Float[Tensor, "n latent"], labels: Int[Tensor, " n"] | None = None) -> Float[Tensor, "n c h w"]:
        """Images of latents, on the CPU; without labels the classes in turn.

        Raises:
            InputError: latents of the wrong length, or a label that is not a class.
        """
        check_latents(z, self.sizes.latent_dim)
        labels = self.labels(None, len(z)) if labels is None else labels
        check_label_range(labels, self.sizes.n_classes)
        with evaluating(self.generator):
            parts = range(0, len(z), BATCH)
            return torch.cat([self.generator(z[i : i + BATCH], _part(labels, i)) for i in parts])

    def encode(self, x: Float[Tensor, "n c h w"], labels: Int[Tensor, " n"] | None = None) -> Float[Tensor, "n latent"]:
        """The means of the codes of images.

        Raises:
            InputError: a model without encoder, images of another shape, or labels missing or out of range.
        """
        if self.encoder is None:
            raise InputError(
                f"{self.name} has no encoder, only a generator: it can draw pictures and cannot read them. Choose a "
                "run of an autoencoder or a VAE/GAN (notebooks autoencoders_mnist, cvae_cgan_cvaegan), or search its "
                "latents with `ganbook.models.latent.invert`."
            )
        check_label_range(labels, self.sizes.n_classes)
        with evaluating(self.encoder):
            codes = [self.encoder(x[i : i + BATCH], _part(labels, i))[:, 0] for i in range(0, len(x), BATCH)]
        return torch.cat(codes)


def _part(labels: Tensor | None, start: int) -> Tensor | None:
    return None if labels is None else labels[start : start + BATCH]


def save_networks(path: Path, trained: Trained, *, half: bool = False) -> None:
    """Write generator, encoder and card to ``path``, atomically.

    Args:
        path: ends in ``.safetensors``.
        half: store floats in 16 bit, with an error of at most a 2000th of each weight.

    Raises:
        DataError: the folder cannot be written.
    """
    networks = {"generator": trained.generator, "encoder": trained.encoder}
    weights = {
        f"{part}.{name}": (value.half() if half and value.is_floating_point() else value).cpu().contiguous()
        for part, network in networks.items()
        if network is not None
        for name, value in network.state_dict().items()
    }
    card = {
        "name": trained.name,
        "network": trained.network,
        "sizes": asdict(trained.sizes),
        "encoder_width": trained.encoder_width if trained.encoder is not None else 0,
        "dataset": trained.dataset,
        "classes": list(trained.classes),
        "card": dict(trained.card),
    }
    write_atomically(path, save(weights, metadata={"networks": json.dumps(card)}))


def load_networks(path: Path) -> Trained:
    """What `save_networks` wrote, in single precision, in evaluation mode, on the CPU.

    Raises:
        DataError: the file is missing, damaged or of another kind.
    """
    try:
        with safe_open(path, framework="pt") as file:
            card = json.loads((file.metadata() or {})["networks"])
            weights = {name: file.get_tensor(name) for name in file.keys()}
        sizes = Sizes(**{**card["sizes"], "attention": tuple(card["sizes"]["attention"])})
        with torch.random.fork_rng(devices=[]):
            generator, _ = FAMILIES[card["network"]].build(sizes)
            encoder = _encoder(sizes, card["encoder_width"]) if card["encoder_width"] else None
        for part, network in (("generator.", generator), ("encoder.", encoder)):
            own = {name.removeprefix(part): value for name, value in weights.items() if name.startswith(part)}
            if network is not None:
                network.load_state_dict({n: v.float() if v.is_floating_point() else v for n, v in own.items()})
                network.eval().requires_grad_(False)
    except FileNotFoundError:
        raise DataError(f"There are no networks at {path}. Train the run first, or give another folder.") from None
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"The networks at {path} cannot be read ({reason}). Restore the file with git, or train the run again."
        ) from None
    return Trained(
        card["name"],
        generator,
        sizes,
        card["network"],
        card["dataset"],
        encoder=encoder,
        encoder_width=card["encoder_width"],
        classes=tuple(card["classes"]),
        card=card["card"],
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )


def _encoder(sizes: Sizes, width: int) -> Encoder:
    return Encoder(
        resolution=sizes.resolution,
        channels=sizes.channels,
        latent_dim=sizes.latent_dim,
        width=width,
        n_classes=sizes.n_classes,
    )


def dcgan_networks(
    name: str,
    generator: nn.Module,
    *,
    resolution: int,
    channels: int,
    latent_dim: int,
    width: int,
    n_classes: int,
    dataset: str,
    encoder: Encoder | None = None,
    classes: tuple[str, ...] = (),
) -> Trained:
    """A DCGAN generator that a notebook has trained, as decoder or as itself, with the sizes it was built from.

    The encoder, if there is one, has the same ``width``.
    """
    sizes = Sizes(resolution, channels, latent_dim, width, width, n_classes, norm="batch")
    return Trained(name, generator, sizes, "dcgan", dataset, encoder=encoder, encoder_width=width, classes=classes)


def load_generator(name: str, *, folder: Path = FOLDER) -> Trained:
    """A generator of this repository; its card, ``data/generators/NAME.md``, says what it is good for.

    Raises:
        InputError: there is none of that name.
        DataError: its file is missing or damaged.
    """
    if name not in SHIPPED:
        raise unknown_name("generator", name, SHIPPED)
    return load_networks(folder / f"{name}.safetensors")
