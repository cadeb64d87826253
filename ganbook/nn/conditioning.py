"""Two older ways to give a discriminator the label, beside the projection that the networks have built in.

Projection (Miyato & Koyama 2018) adds ``e_y·h(x)`` to the logit. `Concatenated` shows the discriminator the label as
further channels of the image (Mirza & Osindero 2014). `Auxiliary` does not show it at all: the discriminator has to
tell the class itself, and both players are paid for right answers (AC-GAN: Odena, Olah & Shlens 2017).
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot
from torch.nn.utils.parametrizations import spectral_norm

from ganbook.nn.dcgan import check_labels

CONDITIONINGS = ("projection", "concat", "auxiliary")


@runtime_checkable
class Unconditional(Protocol):
    """A discriminator without labels that tells what its logit is read from."""

    n_hidden: int  # width of `hidden`

    def __call__(self, x: Tensor) -> Tensor: ...

    def hidden(self, x: Tensor) -> Tensor:
        """Features `(N, n_hidden)`, of which the logit is a linear function."""


class Concatenated(nn.Module):
    """Batches `(N, C, …)` and labels `(N,)` to logits `(N,)`: one constant channel a class, 1 for the sample's own.

    Args:
        discriminator: one without labels, for C + n_classes channels (or coordinates).
        n_classes: how many channels are added.
    """

    def __init__(self, discriminator: nn.Module, n_classes: int) -> None:
        super().__init__()
        self.discriminator, self.n_classes = discriminator, n_classes

    def forward(self, x: Float[Tensor, "n c ..."], y: Int[Tensor, " n"] | None = None) -> Float[Tensor, " n"]:
        label = one_hot(check_labels(y, self.n_classes), self.n_classes).to(x.dtype)
        label = label.reshape(*label.shape, *([1] * (x.ndim - 2))).expand(-1, -1, *x.shape[2:])
        return self.discriminator(torch.cat([x, label], dim=1))


class Auxiliary(nn.Module):
    """Batches to logits `(N,)` that know nothing of labels, and by `classify` to class logits of the same features.

    `ganbook.models.gan.GAN` adds `class_loss` of real and fake to the discriminator's loss and that of the fake to the
    generator's: ``L_S + L_C`` and ``L_C - L_S`` of the paper, both maximised there.

    Args:
        discriminator: one without labels that tells its `hidden` features.
        n_classes: classes to tell apart.
        weight: of the class loss beside the adversarial one; the paper's is 1.
        spectral: constrain the classifier as such a discriminator's other layers are.
    """

    def __init__(
        self, discriminator: nn.Module, n_classes: int, *, weight: float = 1.0, spectral: bool = False
    ) -> None:
        super().__init__()
        if not isinstance(discriminator, Unconditional):
            raise TypeError(f"{type(discriminator).__name__} does not tell its hidden features.")
        self.discriminator, self.n_classes, self.weight = discriminator, n_classes, weight
        classifier = nn.Linear(discriminator.n_hidden, n_classes)
        nn.init.normal_(classifier.weight, 0.0, 0.02)
        nn.init.zeros_(classifier.bias)
        self.classifier: nn.Module = spectral_norm(classifier) if spectral else classifier

    def forward(self, x: Float[Tensor, "n c ..."], y: Int[Tensor, " n"] | None = None) -> Float[Tensor, " n"]:
        return self.discriminator(x)

    def classify(self, x: Float[Tensor, "n c ..."]) -> Float[Tensor, "n classes"]:
        """Class logits."""
        return self.classifier(self.discriminator.hidden(x))

    def class_loss(self, x: Float[Tensor, "n c ..."], y: Int[Tensor, " n"] | None) -> Float[Tensor, ""]:
        """The mean cross-entropy of the labels, times the weight.

        Raises:
            InputError: there are no labels.
        """
        return self.weight * cross_entropy(self.classify(x), check_labels(y, self.n_classes))
