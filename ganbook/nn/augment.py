"""DiffAugment (Zhao, Liu, Lin, Zhu & Han 2020) and ADA: the same random, differentiable changes for real and fake.

Augmenting only the real images teaches the generator the augmentation. Here everything the discriminator sees is
changed, in both players' steps, and gradients pass through to the generator. What a small set needs most is that the
discriminator cannot learn its images by heart.

Images are `(N, C, H, W)` in [-1, 1] with 0 for what falls outside; each sample draws its own change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from ganbook.errors import unknown_name

Images = Float[Tensor, "n c h w"]
Augmentation = Callable[[Images, torch.Generator], Images]


def _uniform(x: Tensor, low: float, high: float, rng: torch.Generator) -> Tensor:
    """One number in [low, high] for each sample, shaped to multiply images."""
    return low + (high - low) * torch.rand(len(x), 1, 1, 1, generator=rng, device=x.device, dtype=x.dtype)


def color(x: Images, rng: torch.Generator) -> Images:
    """Brightness ± 0.5; saturation × [0, 2] about each pixel's grey; contrast × [0.5, 1.5] about the image's mean."""
    x = x + _uniform(x, -0.5, 0.5, rng)
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * _uniform(x, 0.0, 2.0, rng)
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + (x - mean) * _uniform(x, 0.5, 1.5, rng)


def translation(x: Images, rng: torch.Generator) -> Images:
    """A shift by whole pixels, up to an eighth of the side each way, 0 where nothing comes in."""
    n, _, height, width = x.shape
    reach = round(max(height, width) / 8)
    shift = torch.randint(0, 2 * reach + 1, (2, n, 1), generator=rng, device=x.device)
    rows = torch.arange(height, device=x.device) + shift[0]  # (N, H), in the padded image
    columns = torch.arange(width, device=x.device) + shift[1]
    padded = pad(x, (reach, reach, reach, reach)).permute(0, 2, 3, 1)
    sample = torch.arange(n, device=x.device)[:, None, None]
    return padded[sample, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def cutout(x: Images, rng: torch.Generator) -> Images:
    """A square of half the side set to 0, its centre anywhere in the image."""
    n, _, height, width = x.shape
    inside = torch.ones(n, height, width, dtype=torch.bool, device=x.device)
    for axis, side in ((1, height), (2, width)):
        centre = torch.randint(0, side, (n, 1), generator=rng, device=x.device)
        offset = torch.arange(side, device=x.device) - centre  # (N, side)
        hit = (offset >= -(side // 4)) & (offset < side // 2 - side // 4)
        inside &= hit.unsqueeze(3 - axis)
    return x * ~inside[:, None]


AUGMENTATIONS: dict[str, Augmentation] = {"color": color, "translation": translation, "cutout": cutout}


def policy(names: str) -> list[Augmentation]:
    """The augmentations of a comma-separated list, `"color,translation,cutout"` for the paper's; `"none"` for none.

    Raises:
        InputError: a name that is not in `AUGMENTATIONS`; the nearest one is suggested.
    """
    if names == "none":
        return []
    wanted = [name.strip() for name in names.split(",")]
    for name in wanted:
        if name not in AUGMENTATIONS:
            raise unknown_name("augmentation", name, [*AUGMENTATIONS, "none"])
    return [AUGMENTATIONS[name] for name in wanted]


def augment(
    x: Images, changes: Sequence[Augmentation], rng: torch.Generator, p: Float[Tensor, ""] | None = None
) -> Images:
    """The images after all changes, in order.

    Args:
        x: images, real or generated.
        changes: from `policy`.
        rng: on the device of `x`.
        p: each sample undergoes each change with this probability; None is always.
    """
    for change in changes:
        changed = change(x, rng)
        x = changed if p is None else torch.where(_uniform(x, 0.0, 1.0, rng) < p, changed, x)
    return x


@torch.no_grad()
def adapted(
    p: Float[Tensor, ""], real_logits: Float[Tensor, " n"], *, target: float, images: int = 500_000
) -> Float[Tensor, ""]:
    """The probability for the next step: adaptive discriminator augmentation, ADA (Karras et al. 2020, section 3).

    ``r = E sign D(x)`` over the training images nears 1 as the discriminator learns them by heart. p rises while r is
    above the target, else it falls, by such steps that it could go from 0 to 1 over ``images`` real images.

    Args:
        p: now, in [0, 1].
        real_logits: of this step, of a loss for which 0 is undecided.
        target: for r; the paper's is 0.6.
    """
    r = real_logits.sign().mean()
    return (p + (r - target).sign() * len(real_logits) / images).clamp(0, 1)
