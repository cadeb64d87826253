"""Endless shuffled batches from a set that lives on the device.

The whole set is one uint8 tensor there: a batch is one gather and one conversion, and shuffling permutes indices, not
pictures, so it costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganbook.data.sets import ImageSet
from ganbook.errors import InputError


class Batches(Iterator[tuple[Tensor, Tensor | None]]):
    """Batches `(images (N, C, H, W) in [-1, 1], labels (N,) or None)`, reshuffled every epoch, for ever.

    An epoch's last, incomplete batch is left out; the next epoch has another order.

    Args:
        image_set: what to serve.
        batch_size: pictures a batch.
        seed: of the order and the flips.
        device: where the set is kept and the batches are made.
        flip: mirror each picture with probability ½.

    Raises:
        InputError: a batch larger than the set, or images that are not `(N, C, H, W)` uint8.
    """

    def __init__(
        self,
        image_set: ImageSet,
        batch_size: int,
        *,
        seed: int,
        device: str | torch.device = "cpu",
        flip: bool = False,
    ) -> None:
        images = image_set.images
        if images.dtype != np.uint8 or images.ndim != 4:
            raise InputError(f"Images are (N, C, H, W) uint8 in storage, got {images.shape} {images.dtype}.")
        if not 1 <= batch_size <= len(images):
            raise InputError(f"batch_size must be 1 … {len(images)}, the size of {image_set.name}, got {batch_size}.")
        self.batch_size, self.flip = batch_size, flip
        self.images = torch.from_numpy(np.array(images)).to(device, memory_format=torch.channels_last)
        self.labels = None if image_set.labels is None else torch.from_numpy(image_set.labels).to(device)
        self.rng = torch.Generator(device).manual_seed(seed)
        self._new_epoch()

    def __next__(self) -> tuple[Tensor, Tensor | None]:
        if self.position + self.batch_size > len(self.images):
            self._new_epoch()
        index = self.order[self.position : self.position + self.batch_size]
        self.position += self.batch_size
        images = self.images[index].to(torch.float32).div_(127.5).sub_(1)
        if self.flip:
            mirrored = torch.rand(self.batch_size, 1, 1, 1, generator=self.rng, device=images.device) < 0.5
            images = torch.where(mirrored, images.flip(3), images)
        return images, None if self.labels is None else self.labels[index]

    def _new_epoch(self) -> None:
        self.order = torch.randperm(len(self.images), generator=self.rng, device=self.images.device)
        self.position = 0

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands."""
        return {"order": self.order, "position": self.position, "rng": self.rng.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue a stream exactly where `state_dict` was taken.

        Raises:
            InputError: the state belongs to a set of another size.
        """
        if len(state["order"]) != len(self.images):
            raise InputError(
                f"The saved data order covers {len(state['order'])} pictures, this set has {len(self.images)}. "
                "Resume with the data set that the run was started on."
            )
        self.order = state["order"].to(self.images.device)
        self.position = state["position"]
        self.rng.set_state(state["rng"].cpu())
