"""The space of latents: ways through it, directions in it, how far out to draw from it, and the way back into it.

For any generator ``G(z, y)`` whose latents are drawn from N(0, I) in d dimensions. Their norms are then close to √d
(their mean is about √(d - ½), their standard deviation about 1/√2 whatever d), so that nearly all of them lie in a thin
shell, and the middle of a straight line between two of them does not.

Sources: White (2016) for spherical interpolation, Shoemake (1985) for its formula; Shen & Zhou (2021), SeFa, for
directions in closed form; Brock et al. (2019, section 3.1) for truncation; Zhu et al. (2016) and Creswell & Bharath
(2019) for inversion by descent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ganbook.errors import InputError
from ganbook.models.autoencoder import evaluating

Latents = Float[Tensor, "n latent"]
Features = Callable[[Tensor], Tensor]


def check_pair(a: Tensor, b: Tensor) -> None:
    """Refuse two ends that no way can join.

    Raises:
        InputError: other shapes than two equal `(…, latent_dim)`.
    """
    if a.shape != b.shape or a.ndim == 0 or a.shape[-1] == 0:
        raise InputError(
            f"An interpolation joins two latents of the same generator, got shapes {tuple(a.shape)} and "
            f"{tuple(b.shape)}. Latents of different lengths belong to different models and have no middle."
        )


def lerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """The straight way ``(1 - t) a + t b``.

    Args:
        a, b: latents `(latent_dim,)`, or `(n, latent_dim)` pair by pair.
        t: times `(steps,)`, 0 at ``a`` and 1 at ``b``.

    Returns:
        `(steps, …)` like ``a``.

    Raises:
        InputError: ends of different shapes.
    """
    check_pair(a, b)
    return torch.stack([torch.lerp(a, b, float(moment)) for moment in t])


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """The great circle from ``a`` to ``b``, with Ω the angle between them (Shoemake 1985, eq. for Slerp; White 2016)::

        sin((1 - t) Ω) / sin Ω · a  +  sin(t Ω) / sin Ω · b

    The lengths of ``a`` and ``b`` enter as they are: if they are equal, all points between have that length too. For
    (nearly) parallel ends it is `lerp`.

    Args:
        a, b: latents `(latent_dim,)`, or `(n, latent_dim)` pair by pair.
        t: times `(steps,)`, 0 at ``a`` and 1 at ``b``.

    Returns:
        `(steps, …)` like ``a``.

    Raises:
        InputError: ends of different shapes, of length 0, or opposite, between which no circle is the shortest.
    """
    check_pair(a, b)
    norms = a.norm(dim=-1, keepdim=True), b.norm(dim=-1, keepdim=True)
    if bool((torch.cat(norms, -1) == 0).any()):
        raise InputError("A great circle goes through directions, and a latent of zeros has none. Use lerp.")
    cosine = ((a / norms[0]) * (b / norms[1])).sum(-1, keepdim=True).clamp(-1, 1)
    if bool((cosine < -1 + 1e-6).any()):
        raise InputError("Opposite latents are joined by many great circles. Move one of them a little, or use lerp.")
    angle = torch.arccos(cosine)
    sine = torch.sin(angle)
    straight = sine < 1e-4
    safe = torch.where(straight, torch.ones_like(sine), sine)
    points = []
    for moment in t:
        share = float(moment)
        first = torch.where(straight, torch.full_like(sine, 1 - share), torch.sin((1 - share) * angle) / safe)
        second = torch.where(straight, torch.full_like(sine, share), torch.sin(share * angle) / safe)
        points.append(first * a + second * b)
    return torch.stack(points)


WAYS = {"linear": lerp, "spherical": slerp}


def path_length(features: Float[Tensor, "steps n d"]) -> Float[Tensor, " n"]:
    """The length of polygons through feature rows: ``Σ_t ‖f(t+1) - f(t)‖``, one a way.

    Raises:
        InputError: fewer than two points.
    """
    if len(features) < 2:
        raise InputError(f"A way has at least two points, got {len(features)}.")
    return features.diff(dim=0).norm(dim=2).sum(0)


def regression_directions(
    z: Latents, attributes: Float[Tensor, "n k"]
) -> tuple[Float[Tensor, "k latent"], Float[Tensor, " k"]]:
    """Unit directions along which attributes of the pictures rise, by ordinary least squares with a constant.

    Args:
        z: latents of pictures.
        attributes: what was measured on these pictures.

    Returns:
        Directions `(k, latent_dim)`, and R² of each regression, the share of the attribute's variance that is linear in
        the latent.

    Raises:
        InputError: other numbers of rows, too few for the unknowns, or an attribute that never changes.
    """
    if len(z) != len(attributes) or len(z) < z.shape[1] + 2:
        raise InputError(
            f"A regression on {z.shape[1]} coordinates takes as many latents as values and at least {z.shape[1] + 2}, "
            f"got {len(z)} latents and {len(attributes)} values."
        )
    x = torch.cat([z.double(), torch.ones(len(z), 1, dtype=torch.float64)], 1)
    y = attributes.double()
    variance = y.var(0, unbiased=False)
    if bool((variance == 0).any()):
        raise InputError("An attribute is the same for all pictures, so nothing changes it. Leave it out.")
    coefficients = torch.linalg.lstsq(x, y).solution
    explained = 1 - (y - x @ coefficients).square().mean(0) / variance
    slopes = coefficients[:-1].T
    return (slopes / slopes.norm(dim=1, keepdim=True)).to(z.dtype), explained


def first_layer(generator: nn.Module) -> Float[Tensor, "rows latent"]:
    """The matrix A with which a generator first multiplies its latent, label columns left out.

    Where BatchNorm follows at once, as in DCGAN, its scale belongs to A: it undoes whatever length the rows had.

    Raises:
        InputError: the first layer with weights is none that takes the latent.
    """
    latent_dim = cast(int, generator.latent_dim)
    kinds = nn.ConvTranspose2d | nn.Conv2d | nn.Linear | nn.BatchNorm2d
    layers = [module for module in generator.modules() if isinstance(module, kinds)]
    first, follower = (*layers, None, None)[:2]
    if isinstance(first, nn.Linear) and first.in_features >= latent_dim:
        return first.weight.detach()[:, :latent_dim]
    if isinstance(first, nn.ConvTranspose2d) and first.in_channels >= latent_dim:
        weight = first.weight.detach()[:latent_dim]  # (latent, maps, u, v): the latent lies at one place
        if isinstance(follower, nn.BatchNorm2d) and follower.running_var is not None:
            scale = (follower.running_var + follower.eps).rsqrt() * follower.weight.detach()
            weight = weight * scale[:, None, None]
        return weight.flatten(1).T
    raise InputError(
        "Closed-form factorisation needs a generator that starts with one linear map of the latent; this one does not."
    )


def sefa(generator: nn.Module, k: int) -> tuple[Float[Tensor, "k latent"], Float[Tensor, " k"]]:
    """The k unit directions that the generator's first layer stretches most (Shen & Zhou 2021, eqs. 4 to 6).

    They are the eigenvectors of AᵀA to its largest eigenvalues, with A from `first_layer`: no sample is drawn and no
    attribute measured. Signs are chosen so that the largest entry is positive.

    Returns:
        Directions `(k, latent_dim)` and how much each is stretched, the singular values of A, falling.

    Raises:
        InputError: more directions than there are coordinates, or a generator without such a layer.
    """
    matrix = first_layer(generator)
    if not 1 <= k <= matrix.shape[1]:
        raise InputError(f"There are 1 … {matrix.shape[1]} directions in this latent space, got k={k}.")
    _, values, directions = torch.linalg.svd(matrix.double(), full_matrices=False)
    found = directions[:k]
    signs = found.gather(1, found.abs().argmax(1, keepdim=True)).sign()
    return (found * signs).to(matrix.dtype), values[:k]


def truncated(n: int, latent_dim: int, threshold: float, *, rng: torch.Generator) -> Latents:
    """Latents whose every coordinate is drawn from N(0, 1) cut off at ±threshold (Brock et al. 2019, section 3.1).

    Drawn by the inverse of the distribution function, which is the law that redrawing until it fits would give.

    Raises:
        InputError: a threshold that is not positive.
    """
    if not threshold > 0:
        raise InputError(f"The threshold of the truncation is positive, got {threshold}; infinity truncates nothing.")
    outside = torch.special.ndtr(torch.tensor(-threshold, dtype=torch.float64))
    levels = torch.rand(n, latent_dim, generator=rng, dtype=torch.float64)
    levels = outside + (1 - 2 * outside) * levels
    return torch.special.ndtri(levels.clamp(1e-300, 1 - 1e-16)).clamp(-threshold, threshold).float()


@dataclass(frozen=True)
class Inversion:
    """Latents found for pictures."""

    z: Latents
    images: Float[Tensor, "n c h w"]  # what the generator makes of them
    error: Float[Tensor, " n"]  # mean squared difference of pixels in [-1, 1]
    curve: tuple[float, ...]  # mean of the best start's error over the pictures, after each step


def invert(
    generator: nn.Module,
    x: Float[Tensor, "n c h w"],
    labels: Int[Tensor, " n"] | None = None,
    *,
    steps: int = 200,
    lr: float = 0.1,
    starts: int = 4,
    prior: float = 1e-3,
    rng: torch.Generator,
) -> Inversion:
    """Latents whose pictures are nearest to given ones, by Adam from several random starts; the best one counts.

    Minimised is ``mean (G(z, y) - x)² + prior · ‖z‖² / d``: the projection of Zhu et al. (2016) with the normal prior
    of Creswell & Bharath (2019). The generator's weights receive nothing.

    Args:
        generator: maps `(z, y)` to images in [-1, 1].
        x: pictures.
        labels: where the generator takes any.
        steps: of Adam, all starts together.
        lr: its learning rate.
        starts: random latents for each picture.
        prior: how much a latent is drawn towards the origin.
        rng: of the starts.

    Raises:
        InputError: no step, or no start.
    """
    if steps < 1 or starts < 1:
        raise InputError(f"An inversion takes at least one step from one start, got steps={steps}, starts={starts}.")
    latent_dim, n = cast(int, generator.latent_dim), len(x)
    z = torch.randn(n * starts, latent_dim, generator=rng).requires_grad_()
    target = x.repeat_interleave(starts, 0)
    y = None if labels is None else labels.repeat_interleave(starts, 0)
    optimizer, curve = torch.optim.Adam([z], lr), []
    with evaluating(generator), torch.enable_grad():
        for _ in range(steps):
            error = _error(generator(z, y), target)
            curve.append(error.detach().view(n, starts).amin(1).mean().item())
            loss = (error + prior * z.square().mean(1)).sum()
            (z.grad,) = torch.autograd.grad(loss, [z])
            optimizer.step()
    with evaluating(generator):
        images = generator(z.detach(), y)
        error = _error(images, target)
    best = error.view(n, starts).argmin(1) + torch.arange(n) * starts
    return Inversion(z.detach()[best], images[best], error[best], tuple(curve))


def _error(images: Tensor, target: Tensor) -> Tensor:
    return (images - target).square().flatten(1).mean(1)
