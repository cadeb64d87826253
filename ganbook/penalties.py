"""Penalties on the discriminator's input gradient, one value per logit, and weight clipping.

Contract, the same for every penalty: ``(discriminator, real, fake, labels=None, *, rng=None) → (N,)``, never weighted
and never averaged; the training step minimises ``loss.mean() + weight · penalty.mean()``. Where a paper writes ``γ/2``
before the squared norm (R1, R2) the half belongs to the penalty, so that the weight is the paper's own symbol:
λ for `wgan_gp`, `wgan_lp` and `zero_centred`, γ for `r1`, `r2` and `r1_r2`.

Two mistakes are common in published code, and the tests catch both. The norm runs over **all** dimensions of a sample,
not over its channels. And each sample must have a gradient of its own: BatchNorm ties the samples of a batch together,
so a discriminator with BatchNorm is refused (Gulrajani et al. 2017, section 4).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import relu
from torch.nn.modules.batchnorm import _BatchNorm

from ganbook.errors import InputError, unknown_name

Batch = Float[Tensor, "n ..."]
Labels = Int[Tensor, " n"] | None
PerLogit = Float[Tensor, " logits"]
Network = Callable[..., Tensor]  # (x, labels) to logits (N,): a module or any function
Rng = torch.Generator | None
Penalty = Callable[..., PerLogit]  # what every row of `PENALTIES` is; the module's docstring has its arguments


@contextmanager
def twice_differentiable() -> Iterator[None]:
    """What runs within can be differentiated twice.

    Neither the fused attention kernels nor compiled graphs have a second derivative: attention runs as plain matrix
    products here, and a compiled network as it was written.
    """
    with sdpa_kernel(SDPBackend.MATH), torch.compiler.set_stance("force_eager"):
        yield


def input_gradient(discriminator: Network, x: Batch, labels: Labels = None) -> Float[Tensor, "logits d"]:
    """``∇ₓD(x)``, one row per logit with all dimensions of its sample, ready to be differentiated once more.

    A packed discriminator (Lin et al. 2018) reads m consecutive samples for one logit: its row holds all m of them.

    Args:
        discriminator: maps `(x, labels)` to logits, whose sum is differentiated.
        x: `(N, …)`; where it carries a graph of its own, so does the result. A training step passes it detached.
        labels: `(N,)` for a conditional discriminator.

    Raises:
        InputError: the discriminator contains BatchNorm, or its logits do not depend on its input.
    """
    check_no_batchnorm(discriminator)
    x = x if x.requires_grad else x.detach().requires_grad_()
    with torch.enable_grad(), twice_differentiable():
        logits = discriminator(x, labels)
    if not logits.requires_grad:
        raise InputError(
            "A gradient penalty differentiates D(x) with respect to x, but these logits carry no gradient. Let the "
            "discriminator compute them from x without detach() or no_grad()."
        )
    (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return gradient.reshape(len(logits), -1)


def squared_norm(gradient: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """``‖g‖²`` of each row."""
    return gradient.square().sum(1)


def norm(gradient: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """``‖g‖`` of each row; its derivative at zero is taken as zero, where the textbook norm gives NaN."""
    squared = squared_norm(gradient)
    flat = squared == 0
    return torch.where(flat, 0.0, torch.where(flat, 1.0, squared).sqrt())


def interpolate(real: Batch, fake: Batch, rng: Rng = None) -> Batch:
    """``x̂ = ε·x + (1 - ε)·G(z)`` with one ε ~ U[0, 1] per sample (Gulrajani et al. 2017, algorithm 1).

    Raises:
        InputError: the two batches differ in shape.
    """
    if real.shape != fake.shape:
        raise InputError(
            f"Interpolation pairs real and fake samples, got shapes {tuple(real.shape)} and {tuple(fake.shape)}. "
            "Pass equal batches of equal resolution."
        )
    epsilon = torch.rand(len(real), generator=rng, device=real.device, dtype=real.dtype)
    return torch.lerp(fake, real, epsilon.reshape(-1, *[1] * (real.ndim - 1)))


def wgan_gp(discriminator: Network, real: Batch, fake: Batch, labels: Labels = None, *, rng: Rng = None) -> PerLogit:
    """``(‖∇D(x̂)‖ - 1)²`` between real and fake (Gulrajani et al. 2017, eq. 3); the paper's weight is λ = 10."""
    return (norm(input_gradient(discriminator, interpolate(real, fake, rng), labels)) - 1).square()


def wgan_lp(discriminator: Network, real: Batch, fake: Batch, labels: Labels = None, *, rng: Rng = None) -> PerLogit:
    """``max(0, ‖∇D(x̂)‖ - 1)²``: slopes below one are no offence (Petzka, Fischer & Lukovnikov 2018)."""
    return relu(norm(input_gradient(discriminator, interpolate(real, fake, rng), labels)) - 1).square()


def zero_centred(
    discriminator: Network, real: Batch, fake: Batch, labels: Labels = None, *, rng: Rng = None
) -> PerLogit:
    """``‖∇D(x̂)‖²`` between real and fake (Thanh-Tung, Tran & Venkatesh 2019)."""
    return squared_norm(input_gradient(discriminator, interpolate(real, fake, rng), labels))


def r1(discriminator: Network, real: Batch, fake: Batch, labels: Labels = None, *, rng: Rng = None) -> PerLogit:
    """``½‖∇D(x)‖²`` at the real samples (Mescheder et al. 2018, eq. 9, without γ)."""
    return 0.5 * squared_norm(input_gradient(discriminator, real, labels))


def r2(discriminator: Network, real: Batch, fake: Batch, labels: Labels = None, *, rng: Rng = None) -> PerLogit:
    """``½‖∇D(G(z))‖²`` at the generated samples (Mescheder et al. 2018, eq. 10, without γ)."""
    return 0.5 * squared_norm(input_gradient(discriminator, fake, labels))


def r1_r2(discriminator: Network, real: Batch, fake: Batch, labels: Labels = None, *, rng: Rng = None) -> PerLogit:
    """``½‖∇D(x)‖² + ½‖∇D(G(z))‖²``, the companion of the relativistic loss (Huang et al. 2024)."""
    return r1(discriminator, real, fake, labels) + r2(discriminator, real, fake, labels)


PENALTIES: dict[str, Penalty] = {
    "wgan_gp": wgan_gp,
    "wgan_lp": wgan_lp,
    "r1": r1,
    "r2": r2,
    "r1_r2": r1_r2,
    "zero_centred": zero_centred,
}


def get_penalty(name: str) -> Penalty | None:
    """The penalty called ``name``, None for `"none"`.

    Raises:
        InputError: the name is neither in `PENALTIES` nor `"none"`; the nearest one is suggested.
    """
    if name == "none":
        return None
    if name not in PENALTIES:
        raise unknown_name("penalty", name, [*PENALTIES, "none"])
    return PENALTIES[name]


def check_weight(name: str, weight: float) -> None:
    """Refuse a penalty without a weight and a weight without a penalty: both would be silently without effect.

    Raises:
        InputError: ``name`` is `"none"` and ``weight`` is not 0, or the other way about, or a negative weight.
    """
    if weight < 0 or (get_penalty(name) is not None) != (weight > 0):
        raise InputError(
            f"penalty={name!r} and penalty_weight={weight} do not go together. Give a penalty a weight above 0 (10 for "
            "wgan_gp, for one), or leave both at 'none' and 0."
        )


def check_no_batchnorm(discriminator: Any) -> None:
    """Refuse a discriminator whose logit for one sample depends on the others through BatchNorm.

    Raises:
        InputError: names the first such layer.
    """
    if not isinstance(discriminator, nn.Module):
        return
    for name, layer in discriminator.named_modules():
        if isinstance(layer, _BatchNorm):
            raise InputError(
                f"A gradient penalty cannot be used with BatchNorm in the discriminator, got layer {name!r} "
                f"({type(layer).__name__}): it ties the samples of a batch together, so that none has a gradient of "
                "its own. Build the discriminator with norm='none' or norm='spectral', or use LayerNorm."
            )


@torch.no_grad()
def clip_weights(module: nn.Module, c: float) -> None:
    """Clamp every parameter to [-c, c], in place, after a critic's step (Arjovsky et al. 2017, algorithm 1).

    Args:
        module: the critic.
        c: the bound, above 0; the paper's is 0.01.

    Raises:
        InputError: a bound that is not above 0.
    """
    if not c > 0:
        raise InputError(f"Weights are clipped to [-c, c] with c above 0, got c={c}. The WGAN paper uses 0.01.")
    torch._foreach_clamp_min_(list(module.parameters()), -c)
    torch._foreach_clamp_max_(list(module.parameters()), c)
