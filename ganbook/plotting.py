"""Figures: sheets of images and training curves, one look for the whole book."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from ganbook.errors import InputError

# colour-blind safe (Okabe & Ito 2008), dark enough on white
REAL, FAKE, DISCRIMINATOR, GENERATOR = "#0072b2", "#d55e00", "#007a5e", "#aa4499"


def to_uint8(images: Float[Tensor, "n c h w"]) -> np.ndarray:
    """Images in [-1, 1] to bytes `(n, h, w, c)`, rounded to nearest and clipped."""
    scaled = images.detach().cpu().float().add(1).mul(127.5).round().clamp(0, 255)
    return scaled.permute(0, 2, 3, 1).byte().numpy()


def image_sheet(images: Float[Tensor, "n c h w"], *, columns: int = 10, gap: int = 1, scale: int = 1) -> Image.Image:
    """Images side by side as one picture, row by row, on a light grey ground.

    Args:
        images: in [-1, 1]; grey (c = 1) or colour (c = 3).
        columns: pictures in a row.
        gap: pixels between pictures.
        scale: each pixel becomes a square of this side.

    Raises:
        InputError: another shape.
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3) or len(images) == 0:
        raise InputError(f"A sheet shows images of shape (N, 1 or 3, H, W) with N ≥ 1, got {tuple(images.shape)}.")
    pixels = to_uint8(images).repeat(scale, 1).repeat(scale, 2)
    n, h, w, c = pixels.shape
    rows = -(-n // columns)
    sheet = np.full((rows * (h + gap) + gap, columns * (w + gap) + gap, c), 217, dtype=np.uint8)
    for i, picture in enumerate(pixels):
        y, x = gap + i // columns * (h + gap), gap + i % columns * (w + gap)
        sheet[y : y + h, x : x + w] = picture
    return Image.fromarray(sheet.squeeze())


def show_sheet(sheet: Image.Image, *, title: str = "", width: float = 6.0) -> Figure:
    """A sheet as a figure, its pixels unsmoothed."""
    figure, axes = plt.subplots(figsize=(width, width * sheet.height / sheet.width + (0.3 if title else 0)))
    axes.imshow(np.asarray(sheet), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_axis_off()
    if title:
        axes.set_title(title)
    figure.tight_layout(pad=0.2)
    return figure


def show_rows(sheet: Image.Image, names: Sequence[str], *, width: float = 8.4) -> Figure:
    """A sheet of equally many rows for each name, with the names beside them.

    Args:
        sheet: of `image_sheet`.
        names: from top to bottom.
        width: of the figure, in inches.
    """
    figure, axes = plt.subplots(figsize=(width, 0.84 * width * sheet.height / sheet.width + 0.1), layout="constrained")
    axes.imshow(np.asarray(sheet), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    places = [(i + 0.5) * sheet.height / len(names) for i in range(len(names))]
    axes.set(xticks=[], yticks=places)
    axes.set_yticklabels(names, fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def plot_losses(rows: Sequence[Mapping[str, float]], *, axes: Axes | None = None) -> Axes:
    """Discriminator and generator loss over generator steps.

    Args:
        rows: of a `ganbook.training.History`, with `step`, `d_loss` and `g_loss`.
    """
    axes = axes if axes is not None else plt.subplots(figsize=(6.5, 3), layout="constrained")[1]
    steps = [row["step"] for row in rows]
    axes.plot(steps, [row["d_loss"] for row in rows], color=DISCRIMINATOR, label="discriminator")
    axes.plot(steps, [row["g_loss"] for row in rows], color=GENERATOR, label="generator")
    axes.set(xlabel="generator steps", ylabel="mean loss")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return axes


def save_animation(frames: Sequence[Image.Image], path: str | Path, *, milliseconds: int = 150) -> None:
    """Frames as a looping animated PNG."""
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=milliseconds, loop=0)
