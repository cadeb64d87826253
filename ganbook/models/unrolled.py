"""Unrolled GANs (Metz, Poole, Pfau & Sohl-Dickstein 2017): the generator foresees the discriminator's next k steps.

``f_k(θ) = L_G(θ, ψ_k(θ))`` with ``ψ_0 = ψ`` and ``ψ_{i+1} = ψ_i - η ∇_ψ L_D(θ, ψ_i)`` (section 2.2): the generator
descends f_k, through all k steps, and the discriminator itself moves one step as ever. Fleeing to one mode no longer
pays when the discriminator is seen to follow. `ganbook.models.toy.unrolled` is the same for games on paper.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ganbook.losses import LossFunction
from ganbook.penalties import twice_differentiable

Judge = Callable[[Tensor, Tensor | None], Tensor]  # (x, labels) to logits


def foreseen(
    discriminator: nn.Module,
    real: Tensor,
    fake: Tensor,
    labels: Tensor | None,
    *,
    d_loss: LossFunction,
    steps: int,
    lr: float,
) -> Judge:
    """The discriminator as it will be after ``steps`` plain gradient steps against these samples.

    Its own parameters do not change; what is returned depends on `fake` through every step.

    Args:
        discriminator: as it is now.
        real, fake: the batch it will learn from; `fake` still attached to the generator.
        labels: of both, or None.
        d_loss: what it minimises, per sample.
        steps: k; with 0 it is the discriminator as it is.
        lr: η of the foreseen steps, which are plain descent whatever optimiser makes the real one.
    """
    weights = {name: p.detach().requires_grad_() for name, p in discriminator.named_parameters()}

    def judge(x: Tensor, y: Tensor | None) -> Tensor:
        with twice_differentiable():
            return functional_call(discriminator, weights, (x, y))

    for _ in range(steps):
        loss = d_loss(judge(real, labels), judge(fake, labels)).mean()
        gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
        weights = {name: w - lr * g for (name, w), g in zip(weights.items(), gradients, strict=True)}
    return judge
