"""Batches of two domains: the same emoji by both artists, or a horse and some zebra."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ganbook.data.batches import Batches
from ganbook.data.sets import ImagePairs
from ganbook.errors import InputError


class PairBatches(Iterator[tuple[Tensor, Tensor]]):
    """Endless batches `(a, b)`, each `(N, C, H, W)` in [-1, 1], drawn and shuffled as `Batches` does.

    Args:
        pairs: the two domains.
        batch_size: pictures of each domain in a batch.
        paired: `a[i]` and `b[i]` belong together, and are mirrored together; otherwise each domain has an order of its
            own, whatever the set knows: the pairing is hidden.
        seed: of the orders and the flips.
        device: where the set is kept and the batches are made.
        flip: mirror a pair, or unpaired each picture, with probability ½.

    Raises:
        InputError: pairs are asked of a set that has none, or the domains have unequal numbers of pictures; or a batch
            is larger than a domain.
    """

    def __init__(
        self,
        pairs: ImagePairs,
        batch_size: int,
        *,
        paired: bool,
        seed: int,
        device: str | torch.device = "cpu",
        flip: bool = False,
    ) -> None:
        n_a, n_b = len(pairs.a.images), len(pairs.b.images)
        if paired and (not pairs.aligned or n_a != n_b):
            raise InputError(
                f"{pairs.a.name} ({n_a} pictures) and {pairs.b.name} ({n_b}) are not paired: pairs have equal numbers "
                "and the same names in both domains. Train a CycleGAN on them, paired=False, or complete the pairs."
            )
        # the same stream for both gives the same order and flips, two streams hide who belongs to whom
        self.a = Batches(pairs.a, batch_size, seed=seed, device=device, flip=flip)
        self.b = Batches(pairs.b, batch_size, seed=seed if paired else seed + 2**31, device=device, flip=flip)

    def __next__(self) -> tuple[Tensor, Tensor]:
        return next(self.a)[0], next(self.b)[0]

    def state_dict(self) -> dict[str, Any]:
        """Where both streams stand."""
        return {"a": self.a.state_dict(), "b": self.b.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue both streams where `state_dict` was taken.

        Raises:
            InputError: the state belongs to sets of other sizes.
        """
        self.a.load_state_dict(state["a"])
        self.b.load_state_dict(state["b"])
