"""Adversarial losses: pure functions of logits, one value per sample.

Contract, the same for every loss. The discriminator returns **logits** ``D(x)``, large on real, never squashed. Both
functions of a pair take ``(real_logits, fake_logits)``, each of shape ``(N,)``, and return the loss to be *minimised*,
shape ``(N,)``; means and weights belong to the training step. The generator's loss receives the real logits too
because a relativistic loss needs them; the others ignore them.

With ``σ`` the logistic sigmoid, ``-log σ(t) = softplus(-t)`` and ``-log(1 - σ(t)) = softplus(t)``: every cross-entropy
below is written with softplus, which neither over- nor underflows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import relu, softplus

from ganbook.errors import InputError, unknown_name

Logits = Float[Tensor, " n"]
LossFunction = Callable[[Logits, Logits], Logits]
SmoothedFunction = Callable[[Logits, Logits, Logits], Logits]


class Loss(NamedTuple):
    """A pair of per-sample losses, both minimised."""

    d: LossFunction  # what the discriminator minimises
    g: LossFunction  # what the generator minimises
    relativistic: bool = False  # whether g reads the real logits at all
    smooth_d: SmoothedFunction | None = None  # d with a target for each real sample, where the loss has targets
    zero_undecided: bool = True  # whether D at its best answers 0 where real and fake are equally likely


def minimax_d(real_logits: Logits, fake_logits: Logits) -> Logits:
    """``-log σ(D(x)) - log(1 - σ(D(G(z))))``: the discriminator's side of the game (Goodfellow et al. 2014, eq. 1)."""
    return softplus(-real_logits) + softplus(fake_logits)


def minimax_g(real_logits: Logits, fake_logits: Logits) -> Logits:
    """``log(1 - σ(D(G(z))))``: the generator's side of the same game, which saturates (Goodfellow et al. 2014, eq. 1).

    Its gradient with respect to the logit is ``-σ(t)``: it vanishes exactly when the discriminator is sure that the
    sample is fake (t → -∞).
    """
    return -softplus(fake_logits)


def nonsaturating_g(real_logits: Logits, fake_logits: Logits) -> Logits:
    """``-log σ(D(G(z)))``: the same fixed point with a strong gradient early on (Goodfellow et al. 2014, section 3)."""
    return softplus(-fake_logits)


def lsgan_d(real_logits: Logits, fake_logits: Logits) -> Logits:
    """``½(D(x) - 1)² + ½ D(G(z))²`` (Mao et al. 2017, eq. 9: a = 0, b = c = 1)."""
    return 0.5 * (real_logits - 1).square() + 0.5 * fake_logits.square()


def lsgan_g(real_logits: Logits, fake_logits: Logits) -> Logits:
    """``½(D(G(z)) - 1)²`` (Mao et al. 2017, eq. 9)."""
    return 0.5 * (fake_logits - 1).square()


def hinge_d(real_logits: Logits, fake_logits: Logits) -> Logits:
    """``max(0, 1 - D(x)) + max(0, 1 + D(G(z)))`` (Lim & Ye 2017; Miyato et al. 2018, eq. 16)."""
    return relu(1 - real_logits) + relu(1 + fake_logits)


def wasserstein_d(real_logits: Logits, fake_logits: Logits) -> Logits:
    """``D(G(z)) - D(x)``: minus the Kantorovich-Rubinstein estimate of W₁ (Arjovsky et al. 2017, eq. 2)."""
    return fake_logits - real_logits


def wasserstein_g(real_logits: Logits, fake_logits: Logits) -> Logits:
    """``-D(G(z))`` (Arjovsky et al. 2017, theorem 3); also the generator of the hinge loss."""
    return -fake_logits


def rpgan_d(real_logits: Logits, fake_logits: Logits) -> Logits:
    """``-log σ(D(x) - D(G(z)))``: real and fake are judged in pairs (Jolicoeur-Martineau 2019; Huang et al. 2024)."""
    return softplus(fake_logits - real_logits)


def rpgan_g(real_logits: Logits, fake_logits: Logits) -> Logits:
    """``-log σ(D(G(z)) - D(x))``: the mirror image of `rpgan_d` (Huang et al. 2024, eq. 2)."""
    return softplus(real_logits - fake_logits)


def smooth_minimax_d(real_logits: Logits, fake_logits: Logits, targets: Logits) -> Logits:
    """``-t log σ(D(x)) - (1 - t) log(1 - σ(D(x))) - log(1 - σ(D(G(z))))`` with targets t for the real samples only.

    One-sided label smoothing (Salimans et al. 2016, section 3.4): smoothing the fakes' target too would reward the
    generator for staying where it is. At t = 1 this is `minimax_d`.
    """
    return targets * softplus(-real_logits) + (1 - targets) * softplus(real_logits) + softplus(fake_logits)


def smooth_lsgan_d(real_logits: Logits, fake_logits: Logits, targets: Logits) -> Logits:
    """``½(D(x) - t)² + ½ D(G(z))²``; at t = 1 this is `lsgan_d`."""
    return 0.5 * (real_logits - targets).square() + 0.5 * fake_logits.square()


def real_targets(n: int, low: float, rng: torch.Generator) -> Logits:
    """``n`` targets for real samples, drawn uniformly from [low, 1] on the generator's device."""
    return low + (1 - low) * torch.rand(n, generator=rng, device=rng.device)


def instance_noise(x: Float[Tensor, "n ..."], std: float, rng: torch.Generator) -> Float[Tensor, "n ..."]:
    """``x + σε``: the same noise on real and fake gives both a density everywhere (Arjovsky & Bottou 2017, section 3).

    Args:
        x: samples, real or generated; gradients pass through.
        std: σ in the samples' units; 0 returns `x` itself and draws nothing.
        rng: on the device of `x`.
    """
    return x + std * torch.randn(x.shape, generator=rng, device=x.device, dtype=x.dtype) if std else x


LOSSES: dict[str, Loss] = {
    "minimax": Loss(minimax_d, minimax_g, smooth_d=smooth_minimax_d),
    "nonsaturating": Loss(minimax_d, nonsaturating_g, smooth_d=smooth_minimax_d),
    "lsgan": Loss(lsgan_d, lsgan_g, smooth_d=smooth_lsgan_d, zero_undecided=False),
    "hinge": Loss(hinge_d, wasserstein_g),
    "wasserstein": Loss(wasserstein_d, wasserstein_g, zero_undecided=False),
    "rpgan": Loss(rpgan_d, rpgan_g, relativistic=True, zero_undecided=False),
}


class FDivergence(NamedTuple):
    """A row of Nowozin et al. (2016), tables 1, 2 and 6; v is a logit, t = g(v) the variational function's value.

    ``D_f(P‖Q) = E_Q f(p/q) ≥ E_P g(v) - E_Q f*(g(v))`` for every v, with equality at ``g(v) = f'(p/q)``.
    """

    f: Callable[[Tensor], Tensor]  # the convex function of the density ratio u = p/q, with f(1) = 0 except for "gan"
    activation: Callable[[Tensor], Tensor]  # g, which maps any logit into the domain of f*
    conjugate: Callable[[Tensor], Tensor]  # f*(t) = sup over u of u·t - f(u)
    fake_term: Callable[[Tensor], Tensor]  # f*(g(v)), simplified so that it overflows no sooner than it must


def _x_log_x(u: Tensor) -> Tensor:
    return torch.xlogy(u, u)


F_DIVERGENCES: dict[str, FDivergence] = {
    "kl": FDivergence(_x_log_x, lambda v: v, lambda t: torch.exp(t - 1), lambda v: torch.exp(v - 1)),
    "reverse_kl": FDivergence(
        lambda u: -torch.log(u), lambda v: -torch.exp(-v), lambda t: -1 - torch.log(-t), lambda v: v - 1
    ),
    "pearson": FDivergence(
        lambda u: (u - 1).square(), lambda v: v, lambda t: t.square() / 4 + t, lambda v: v.square() / 4 + v
    ),
    "squared_hellinger": FDivergence(
        lambda u: (u.sqrt() - 1).square(), lambda v: -torch.expm1(-v), lambda t: t / (1 - t), torch.expm1
    ),
    "js": FDivergence(
        lambda u: _x_log_x(u) - (u + 1) * torch.log((u + 1) / 2),
        lambda v: math.log(2) - softplus(-v),
        lambda t: -torch.log(2 - torch.exp(t)),
        lambda v: softplus(v) - math.log(2),
    ),
    "gan": FDivergence(
        lambda u: _x_log_x(u) - (u + 1) * torch.log(u + 1),
        lambda v: -softplus(-v),
        lambda t: -torch.log(-torch.expm1(t)),
        softplus,
    ),
}


def f_gan(name: str) -> Loss:
    """The f-GAN game: D maximises the variational bound of a divergence, G minimises it (Nowozin et al. 2016).

    ``d = -g(D(x)) + f*(g(D(G(z))))`` and ``g = -f*(g(D(G(z))))``. The row "gan" is `minimax`, and "js" the same with
    another constant; "js" here is without the factor ½, twice the Jensen-Shannon divergence.

    Raises:
        InputError: the name is not in `F_DIVERGENCES`.
    """
    if name not in F_DIVERGENCES:
        raise unknown_name("f-divergence", name, F_DIVERGENCES)
    row = F_DIVERGENCES[name]

    def d(real_logits: Logits, fake_logits: Logits) -> Logits:
        return row.fake_term(fake_logits) - row.activation(real_logits)

    def g(real_logits: Logits, fake_logits: Logits) -> Logits:
        return -row.fake_term(fake_logits)

    return Loss(d, g, zero_undecided=name != "kl")  # of KL the best logit is 1 + log p/q


F_GAN_LOSSES: dict[str, Loss] = {f"fgan_{name}": f_gan(name) for name in F_DIVERGENCES}


def get_loss(name: str) -> Loss:
    """The loss pair called ``name``.

    Raises:
        InputError: the name is neither in `LOSSES` nor in `F_GAN_LOSSES`; the nearest one is suggested.
    """
    known = LOSSES | F_GAN_LOSSES
    if name not in known:
        raise unknown_name("loss", name, known)
    return known[name]


def no_targets(name: str) -> InputError:
    """The refusal to smooth the targets of a loss that has none."""
    smooth = [key for key, loss in LOSSES.items() if loss.smooth_d is not None]
    return InputError(
        f"Loss {name!r} has no targets that could be smoothed. Set real_target=1, or choose {', '.join(smooth)}."
    )


def check_adaptive(name: str, augment: str) -> None:
    """Refuse adaptive augmentation that has nothing to adapt, or a loss whose logits have no meaningful sign.

    Raises:
        InputError: ``augment`` is `"none"`, or the loss called ``name`` has no undecided logit at 0.
    """
    if augment == "none":
        raise InputError(
            "ada_target adapts how often images are augmented, got augment='none'. Choose augmentations, "
            "augment='color,translation,cutout' for one, or set ada_target=0."
        )
    if not get_loss(name).zero_undecided:
        signed = [key for key, loss in (LOSSES | F_GAN_LOSSES).items() if loss.zero_undecided]
        raise InputError(
            f"ada_target reads the sign of the logits, which says nothing under loss={name!r}: 0 is not where that "
            f"discriminator is undecided. Set ada_target=0, or choose {', '.join(signed)}."
        )


def check_logits(real_logits: Tensor, fake_logits: Tensor) -> None:
    """Refuse logits that would broadcast into a silent mistake, ``(N, 1)`` against ``(N,)`` above all.

    Raises:
        InputError: the two are not both of one shape ``(N,)``.
    """
    if real_logits.ndim != 1 or real_logits.shape != fake_logits.shape:
        raise InputError(
            f"Losses take real and fake logits of one shape (N,), got {tuple(real_logits.shape)} and "
            f"{tuple(fake_logits.shape)}. Let the discriminator end in `.flatten()` and pair equal batches."
        )
