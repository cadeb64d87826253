"""Using what a run has trained: samples, reconstructions, restyled pictures and interpolations, as PNG sheets.

A run folder is either a GAN's (``model.safetensors``, of `ganbook.experiment.Run`) or holds one file a model under
``models/`` (of `ganbook.pretrained.save_networks`, as the autoencoder notebooks write them). ``shipped:mnist`` stands
for a generator of this repository. The reader's own pictures may have any format and size: they are made what the model
was trained on, and it is said how.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from ganbook.checkpoint import kept, write_atomically
from ganbook.data.catalog import CATALOG
from ganbook.data.pictures import decode
from ganbook.data.prepare import Preset
from ganbook.data.sets import Spec
from ganbook.errors import DataError, InputError, unknown_name
from ganbook.experiment import CHECKPOINT, load_trained
from ganbook.models.latent import WAYS
from ganbook.nn.families import Sizes, places
from ganbook.plotting import image_sheet
from ganbook.pretrained import Trained, load_generator, load_networks

MODELS = "models"  # the folder of a run that trained several networks
SHIPPED_PREFIX = "shipped:"
MOST = 1000  # pictures on a sheet


def models_in(run: str | Path) -> dict[str, Path]:
    """The models that a run folder holds by name, as files; a GAN's only one is called ``gan``."""
    folder = Path(run)
    found = {path.stem: path for path in sorted((folder / MODELS).glob("*.safetensors"))}
    return found or ({"gan": folder / CHECKPOINT} if kept(folder / CHECKPOINT) else {})


def load_applicable(run: str | Path, model: str | None = None, *, encoder: bool = False) -> Trained:
    """The model of a run folder, or ``shipped:NAME``.

    Args:
        run: a folder that an experiment or ``ganbook train`` wrote.
        model: which one, where there are several; None takes the first that will do.
        encoder: whether an encoder is needed.

    Raises:
        DataError: no run folder, or one without a trained model.
        InputError: an unknown model, or one without the encoder that is needed.
    """
    if str(run).startswith(SHIPPED_PREFIX):
        trained = load_generator(str(run).removeprefix(SHIPPED_PREFIX))
    else:
        files = models_in(run)
        if not files:
            raise DataError(
                f"There is no checkpoint and no model in {run}, so it is not the folder of a finished run. Give the "
                f"folder that `ganbook train` or an experiment notebook wrote, or {SHIPPED_PREFIX}mnist."
            )
        if model is not None and model not in files:
            raise unknown_name("model", model, files)
        trained = _chosen(Path(run), {model: files[model]} if model is not None else files, encoder)
    if encoder and trained.encoder is None:
        raise InputError(
            f"{run} was trained without an encoder, so it cannot read pictures, only draw them. Choose a run of "
            "autoencoders_mnist or cvae_cgan_cvaegan, and there with --model an autoencoder."
        )
    return trained


def _chosen(run: Path, files: dict[str, Path], encoder: bool) -> Trained:
    if "gan" in files and files["gan"].name == CHECKPOINT:
        return _of_gan(run)
    loaded = (load_networks(path) for path in files.values())
    candidates = []
    for trained in loaded:
        candidates.append(trained)
        if trained.encoder is not None or not encoder:
            break
    return candidates[-1]


def _of_gan(run: Path) -> Trained:
    config, gan = load_trained(run, device="cpu")
    gan.refresh_batchnorm()
    generator = gan.ema.module.eval().requires_grad_(False)
    channels = gan.sample(torch.zeros(1, gan.latent_dim), _first(gan.n_classes)).shape[1]
    sizes = Sizes(
        resolution=config.resolution,
        channels=channels,
        latent_dim=config.latent_dim,
        width_g=config.width_g,
        width_d=config.width_d,
        n_classes=gan.n_classes,
        norm=config.norm,
        conditioning=config.conditioning,
        attention=places(config.attention, config.resolution),
    )
    return Trained(str(run), generator, sizes, config.network, config.dataset)


def _first(n_classes: int) -> Tensor | None:
    return torch.zeros(1, dtype=torch.int64) if n_classes else None


@dataclass(frozen=True)
class Preprocessing:
    """How a picture from anywhere becomes what a model was trained on."""

    resolution: int
    channels: int
    crop: str
    border: int  # black pixels on each side, part of the resolution
    filter: str
    invert: bool = False  # dark ink on white paper, for a model of light strokes on black

    @classmethod
    def of(cls, trained: Trained, *, invert: bool = False) -> Preprocessing:
        """What the model's data set and resolution ask for."""
        spec = Spec.parse(trained.dataset)
        entry = CATALOG.get(spec.name.partition(":")[0])
        photographs = entry is None or entry.kind in ("pictures", "lmdb")
        crop = "none" if spec.crop == "none" else "center"  # numbered crops are for aligned CelebA alone
        resolution = trained.sizes.resolution
        border = 2 if entry is not None and entry.side == (28, 28) and resolution == 32 else 0
        return cls(resolution, trained.sizes.channels, crop, border, "bicubic" if photographs else "box", invert)

    def __str__(self) -> str:
        parts = [str(Preset(self.resolution - 2 * self.border, self.crop, self.filter))]
        parts += [f"{self.border} px of black on each side"] * bool(self.border)
        parts += ["grey" if self.channels == 1 else "RGB, transparency on white"]
        return ", ".join(parts + ["inverted"] * self.invert)

    def apply(self, picture: Image.Image) -> Float[Tensor, "1 c h w"]:
        """One RGB picture as a batch of one in [-1, 1]."""
        pixels = Preset(self.resolution - 2 * self.border, self.crop, self.filter).apply(picture)
        values = pixels.astype(np.float64)
        if self.channels == 1:
            values = values @ np.array([[0.299], [0.587], [0.114]])  # ITU-R BT.601, as Pillow's "L"
        values = 255 - values if self.invert else values
        values = np.pad(values, ((self.border, self.border), (self.border, self.border), (0, 0)))
        return torch.from_numpy(values.transpose(2, 0, 1)[None].copy()).float() / 127.5 - 1


def read_pictures(paths: Sequence[Path], how: Preprocessing) -> Float[Tensor, "n c h w"]:
    """Picture files as a batch.

    Raises:
        DataError: a file that is missing or no picture.
    """
    pictures = []
    for path in paths:
        try:
            pictures.append(how.apply(decode(path.read_bytes())))
        except OSError as error:
            raise DataError(
                f"{path} cannot be read as a picture ({error.strerror or error}). Give PNG, JPEG or another file that "
                "Pillow opens."
            ) from None
    return torch.cat(pictures)


def reads_dark_on_light(x: Tensor) -> bool:
    """Whether grey pictures have a light ground: the median of their border pixels is above the middle."""
    border = torch.cat([x[..., 0, :], x[..., -1, :], x[..., :, 0], x[..., :, -1]], -1)
    return x.shape[1] == 1 and bool(border.median() > 0)


def reconstruction_sheet(trained: Trained, x: Float[Tensor, "n c h w"], labels: Tensor | None) -> Tensor:
    """Pictures and, below each, the decoder's picture of its code: `(2n, C, H, W)` for a sheet of n columns."""
    return torch.cat([x, trained.sample(trained.encode(x, labels), labels)])


def restyled(
    trained: Trained, x: Float[Tensor, "n c h w"], labels: Int[Tensor, " n"], wanted: Sequence[int]
) -> Float[Tensor, "m c h w"]:
    """Pictures with the hand of the given ones and other classes: code of ``(x, y)``, decoded with each wanted class.

    Returns:
        Row by row a picture and its versions, `(n·(1 + len(wanted)), C, H, W)`.

    Raises:
        InputError: a model without classes or encoder, or a class that it does not have.
    """
    if trained.sizes.n_classes == 0:
        raise InputError(
            f"{trained.name} knows no classes, so it has no other class to draw. Choose a conditional model."
        )
    z = trained.encode(x, labels)
    versions = trained.sample(
        z.repeat_interleave(len(wanted), 0), torch.tensor(list(wanted), dtype=torch.int64).repeat(len(z))
    )
    rows = [torch.cat([x[i : i + 1], versions[i * len(wanted) : (i + 1) * len(wanted)]]) for i in range(len(x))]
    return torch.cat(rows)


def interpolations(
    trained: Trained, a: Tensor, b: Tensor, *, steps: int, way: str = "spherical", labels: Tensor | None = None
) -> Float[Tensor, "m c h w"]:
    """Pictures on the way from latents ``a`` to ``b``, pair by pair, `(n·steps, C, H, W)`, one pair a row.

    Args:
        a, b: `(n, latent_dim)`.
        steps: pictures in a row, both ends included.
        way: a name in `ganbook.models.latent.WAYS`.
        labels: one for each pair.

    Raises:
        InputError: an unknown way, fewer than two steps, latents of another length, or a label that is no class.
    """
    if way not in WAYS:
        raise unknown_name("way", way, WAYS)
    if steps < 2:
        raise InputError(f"A way has two ends, so at least two pictures, got steps={steps}.")
    points = WAYS[way](a, b, torch.linspace(0, 1, steps)).transpose(0, 1).flatten(0, 1)
    return trained.sample(points, None if labels is None else labels.repeat_interleave(steps))


def read_latents(path: Path, trained: Trained) -> Float[Tensor, "n latent"]:
    """Latents from a ``.npy`` file or a text file with one latent a line.

    Raises:
        DataError: the file is missing or holds no numbers.
        InputError: latents of another length than the model's.
    """
    try:
        if path.suffix == ".npy":
            values = np.load(path, allow_pickle=False)
        else:
            values = np.loadtxt(path, delimiter="," if "," in path.read_text() else None, ndmin=2)
        values = np.atleast_2d(np.asarray(values, np.float32))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read as latents ({error}). Give a .npy array (N, {trained.sizes.latent_dim}), or text "
            "with one latent a line."
        ) from None
    if values.ndim != 2 or values.shape[1] != trained.sizes.latent_dim or not np.isfinite(values).all():
        raise InputError(
            f"{trained.name} takes latents of {trained.sizes.latent_dim} finite numbers, {path} holds an array of "
            f"shape {values.shape}. Latents of another model mean nothing to this one."
        )
    return torch.from_numpy(values)


def write_sheet(images: Float[Tensor, "n c h w"], path: Path, *, columns: int, scale: int = 2) -> None:
    """Write pictures as one sheet, atomically; the format is the name's ending.

    Raises:
        DataError: the file cannot be written.
        InputError: an ending that is no picture format, or more pictures than anyone looks at.
    """
    if len(images) > MOST:
        raise InputError(f"A sheet holds up to {MOST} pictures, got {len(images)}. Ask for fewer.")
    content = io.BytesIO()
    kinds = Image.registered_extensions()
    kind = kinds.get(path.suffix.lower())
    if kind is None or kind not in Image.SAVE:
        raise InputError(f"Cannot save {path}: unknown ending {path.suffix!r}. Use a name that ends in .png.")
    image_sheet(images, columns=columns, scale=scale).save(content, format=kind)
    write_atomically(path, content.getvalue())
