"""The sheet that the widget ``latent`` leafs through: `python -m book.tools.latent_sheet`.

Ten digits by nine thicknesses by nine slants of one latent of the shipped MNIST generator, as a PNG of sixteen greys.
Row of the sheet: the digit and the thickness; column: the slant.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from book.tools.build import BOOK
from ganbook.metrics.strokes import stroke_traits
from ganbook.models.latent import regression_directions
from ganbook.plotting import to_uint8
from ganbook.pretrained import Trained, load_generator

SHEET = BOOK / "_assets" / "widgets" / "latent-sheet.png"
STEPS, STRIDE, SIDE = 9, 1.0, 28  # places of a slider, how far apart in latent units, pixels of a tile
GREYS = 16
STILL = ((7, 4, 0), (7, 4, 4), (7, 4, 8), (7, 0, 4), (7, 8, 4))  # digit, thickness, slant


def place(digit: int, thickness: int, slant: int) -> tuple[int, int]:
    """Left and upper pixel of a tile; thickness and slant are 0 … STEPS - 1."""
    return slant * SIDE, (digit * STEPS + thickness) * SIDE


def directions(trained: Trained, n: int = 3000) -> Float[Tensor, "2 latent"]:
    """Unit directions of slant and, made orthogonal to it, of thickness, by regression within the classes."""
    z, y = trained.latents(n, seed=11), torch.arange(n) % 10
    traits = stroke_traits(trained.sample(z, y))
    for digit in range(10):
        traits[y == digit] -= traits[y == digit].mean(0)
    slant, thickness = regression_directions(z, traits)[0]
    thickness = thickness - (thickness @ slant) * slant
    return torch.stack([slant, thickness / thickness.norm()])


def start(trained: Trained, along: Float[Tensor, "2 latent"]) -> Float[Tensor, " latent"]:
    """The latent in the middle of the sheet: a draw without its part along the two directions, √d long."""
    z = trained.latents(1, seed=1)[0]
    z = z - along.T @ (along @ z)
    return z * len(z) ** 0.5 / z.norm()


def tiles(trained: Trained) -> Float[Tensor, "n 1 side side"]:
    """All pictures of the sheet, in the order of `place`, row by row."""
    along = directions(trained)
    offsets = (torch.arange(STEPS) - STEPS // 2) * STRIDE
    grid = torch.cartesian_prod(offsets, offsets)  # thickness, slant
    z = start(trained, along) + grid[:, 1:] * along[0] + grid[:, :1] * along[1]
    return trained.sample(z.repeat(10, 1), torch.arange(10).repeat_interleave(len(grid)))


def sheet(pictures: Float[Tensor, "n 1 side side"]) -> Image.Image:
    """The tiles edge to edge, grey in `GREYS` steps."""
    pixels = to_uint8(pictures)[..., 0].reshape(-1, STEPS, SIDE, SIDE).transpose(0, 2, 1, 3).reshape(-1, STEPS * SIDE)
    levels = np.round(pixels / 255 * (GREYS - 1)).astype(np.uint8)
    picture = Image.fromarray(levels, "P")
    picture.putpalette([value for level in range(GREYS) for value in [level * 255 // (GREYS - 1)] * 3])
    return picture


def still(picture: Image.Image, scale: int = 4) -> Image.Image:
    """A few tiles side by side, for a reader without scripts."""
    grey, side = picture.convert("L"), SIDE * scale
    row = Image.new("L", (len(STILL) * (side + 12) - 12, side), 255)
    for i, which in enumerate(STILL):
        x, y = place(*which)
        tile = grey.crop((x, y, x + SIDE, y + SIDE)).resize((side, side), Image.Resampling.NEAREST)
        row.paste(tile, (i * (side + 12), 0))
    return row


def write(path: Path = SHEET) -> None:
    """The sheet and the still beside it."""
    picture = sheet(tiles(load_generator("mnist")))
    for image, name, bits in ((picture, path.name, 4), (still(picture), "latent.png", 8)):
        content = io.BytesIO()
        image.save(content, format="png", optimize=True, bits=bits)
        (path.parent / name).write_bytes(content.getvalue())


if __name__ == "__main__":
    write()
