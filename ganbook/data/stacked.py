"""Stacked MNIST: three digits, one a colour channel, so that a data set has 1000 modes that can be counted."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from ganbook.data.sets import ImageSet
from ganbook.errors import InputError

CHANNELS = 3


class StackedDigits(Iterator[tuple[Tensor, None]]):
    """Endless batches `(N, 3, H, W)` in [-1, 1] of independently drawn digits (Srivastava et al. 2017, section 4.2).

    The papers stack pictures drawn uniformly from MNIST, whose ten classes are nearly, but not quite, of one size. Here
    the class is drawn first: the 1000 modes are equally likely, and the reverse KL has an honest zero. Stacks are drawn
    afresh for each batch and not from a fixed list.

    Args:
        image_set: grey pictures `(M, 1, H, W)` with labels.
        batch_size: stacks a batch.
        seed: of everything that is drawn.
        device: where pictures are kept and stacks are made.

    Raises:
        InputError: pictures without labels or in colour, a class without pictures, or an empty batch.
    """

    def __init__(self, image_set: ImageSet, batch_size: int, *, seed: int, device: str | torch.device = "cpu") -> None:
        if image_set.labels is None or image_set.images.shape[1] != 1:
            raise InputError(
                f"Stacks are made of grey pictures with labels, got {image_set.name!r} with images of shape "
                f"{image_set.images.shape} and {'no ' if image_set.labels is None else ''}labels. Take mnist."
            )
        if batch_size < 1:
            raise InputError(f"A batch holds at least one stack, got batch_size={batch_size}.")
        labels = torch.as_tensor(image_set.labels, dtype=torch.int64)
        counts = torch.bincount(labels, minlength=len(image_set.classes))
        if bool((counts == 0).any()):
            raise InputError(f"Every class needs a picture to be stacked, {image_set.name!r} has {counts.tolist()}.")
        order = labels.argsort(stable=True).numpy()
        self.images = torch.from_numpy(image_set.images[order, 0]).to(device)  # sorted by class
        self.counts, self.starts = counts.to(device), (counts.cumsum(0) - counts).to(device)
        self.batch_size, self.rng = batch_size, torch.Generator(device).manual_seed(seed)

    def __next__(self) -> tuple[Float[Tensor, "n 3 h w"], None]:
        """The next batch; labels are hidden, for nobody but the judge may know the modes."""
        shape, device = (self.batch_size, CHANNELS), self.images.device
        digit = torch.randint(len(self.counts), shape, generator=self.rng, device=device)
        within = torch.rand(shape, generator=self.rng, device=device, dtype=torch.float64)
        index = self.starts[digit] + (within * self.counts[digit]).long()
        return self.images[index].float().div(127.5).sub(1), None
