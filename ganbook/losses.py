"""Adversarial losses: pure functions of logits, one value per sample.

Contract, the same for every loss. The discriminator returns **logits** ``D(x)``, large on real, never squashed. Both
functions of a pair take ``(real_logits, fake_logits)``, each of shape ``(N,)``, and return the loss to be *minimised*,
shape ``(N,)``; means and weights belong to the training step. The generator's loss receives the real logits too
because a relativistic loss needs them; the others ignore them.

With ``σ`` the logistic sigmoid, ``-log σ(t) = softplus(-t)`` and ``-log(1 - σ(t)) = softplus(t)``: every cross-entropy
below is written with softplus, which neither over- nor underflows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import relu, softplus

from ganbook.errors import InputError, unknown_name

Logits = Float[Tensor, " n"]
LossFunction = Callable[[Logits, Logits], Logits]


class Loss(NamedTuple):
    """A pair of per-sample losses, both minimised."""

    d: LossFunction  # what the discriminator minimises
    g: LossFunction  # what the generator minimises
    relativistic: bool = False  # whether g reads the real logits at all


def minimax_d(real_logits: Logits, fake_logits: Logits) -> Logits:
    """``-log D(x) - log(1 - D(G(z)))``: the discriminator's side of the game (Goodfellow et al. 2014, eq. 1)."""
    return softplus(-real_logits) + softplus(fake_logits)


def minimax_g(real_logits: Logits, fake_logits: Logits) -> Logits:
    """``log(1 - D(G(z)))``: the generator's side of the same game, which saturates (Goodfellow et al. 2014, eq. 1).

    Its gradient with respect to the logit is ``-σ(t)``: it vanishes exactly when the discriminator is sure that the
    sample is fake (t → -∞).
    """
    return -softplus(fake_logits)


def nonsaturating_g(real_logits: Logits, fake_logits: Logits) -> Logits:
    """``-log D(G(z))``: the same fixed point with a strong gradient early on (Goodfellow et al. 2014, section 3)."""
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


LOSSES: dict[str, Loss] = {
    "minimax": Loss(minimax_d, minimax_g),
    "nonsaturating": Loss(minimax_d, nonsaturating_g),
    "lsgan": Loss(lsgan_d, lsgan_g),
    "hinge": Loss(hinge_d, wasserstein_g),
    "wasserstein": Loss(wasserstein_d, wasserstein_g),
    "rpgan": Loss(rpgan_d, rpgan_g, relativistic=True),
}


def get_loss(name: str) -> Loss:
    """The loss pair called ``name``.

    Raises:
        InputError: the name is not in `LOSSES`; the nearest one is suggested.
    """
    if name not in LOSSES:
        raise unknown_name("loss", name, LOSSES)
    return LOSSES[name]


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
