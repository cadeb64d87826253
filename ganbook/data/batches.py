"""Endless shuffled batches from a set that lives on the device, or from disk if it does not fit there.

On the device the whole set is one uint8 tensor: a batch is one gather and one conversion, and shuffling permutes
indices, not pictures, so it costs nothing. From disk, one thread gathers the next batch from the memory-mapped array
into pinned memory while the device works on this one. Both serve the same batches for the same seed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
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
        resident: keep the set on the device; None decides by what is free there.

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
        resident: bool | None = None,
    ) -> None:
        images = image_set.images
        if images.dtype != np.uint8 or images.ndim != 4:
            raise InputError(f"Images are (N, C, H, W) uint8 in storage, got {images.shape} {images.dtype}.")
        if not 1 <= batch_size <= len(images):
            raise InputError(f"batch_size must be 1 … {len(images)}, the size of {image_set.name}, got {batch_size}.")
        self.batch_size, self.flip = batch_size, flip
        self.device = torch.device(device)
        self.resident = images.nbytes < free_bytes(self.device) // 2 if resident is None else resident
        self.source = images
        self.size = len(images)
        if self.resident:
            # a copy, however it was stored (a prepared set is read-only, on disk): one picture, one piece of memory
            self.pixels = torch.from_numpy(np.array(images.transpose(0, 2, 3, 1), order="C")).to(device)
        else:
            self._pool = ThreadPoolExecutor(1)
        self._ahead: tuple[int, Future[Tensor]] | None = None  # a position and its batch, being gathered
        self.labels = None if image_set.labels is None else torch.from_numpy(image_set.labels).to(device)
        self.rng = torch.Generator(device).manual_seed(seed)
        self._new_epoch()

    def __next__(self) -> tuple[Tensor, Tensor | None]:
        if self.position + self.batch_size > self.size:
            self._new_epoch()
        index = self.order[self.position : self.position + self.batch_size]
        pixels = self.pixels.index_select(0, index).permute(0, 3, 1, 2) if self.resident else self._from_disk()
        self.position += self.batch_size
        images = pixels.to(torch.float32).div_(127.5).sub_(1)
        if self.flip:
            mirrored = torch.rand(self.batch_size, 1, 1, 1, generator=self.rng, device=images.device) < 0.5
            images = torch.where(mirrored, images.flip(3), images)
        return images, None if self.labels is None else self.labels[index]

    def _from_disk(self) -> Tensor:
        """The batch at `position`, gathered ahead if the last call foresaw it; the next one is begun."""
        if self._ahead is not None and self._ahead[0] == self.position:
            pixels = self._ahead[1].result()
        else:
            pixels = self._gather(self.order[self.position : self.position + self.batch_size])
        following = self.position + self.batch_size
        self._ahead = None
        if following + self.batch_size <= self.size:
            index = self.order[following : following + self.batch_size]
            self._ahead = (following, self._pool.submit(self._gather, index))
        return pixels.to(self.device, non_blocking=True)

    def _gather(self, index: Tensor) -> Tensor:
        batch = torch.from_numpy(np.asarray(self.source[index.numpy()])).contiguous(memory_format=torch.channels_last)
        return batch.pin_memory() if self.device.type == "cuda" else batch

    def _new_epoch(self) -> None:
        self.order = torch.randperm(self.size, generator=self.rng, device=self.device)
        self.position = 0
        if not self.resident:
            self.order, self._ahead = self.order.cpu(), None  # disks are asked from the CPU

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands."""
        return {"order": self.order, "position": self.position, "rng": self.rng.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue a stream exactly where `state_dict` was taken.

        Raises:
            InputError: the state belongs to a set of another size.
        """
        if len(state["order"]) != self.size:
            raise InputError(
                f"The saved data order covers {len(state['order'])} pictures, this set has {self.size}. "
                "Resume with the data set that the run was started on."
            )
        self.order = state["order"].to(self.device if self.resident else "cpu")
        self.position = state["position"]
        self._ahead = None
        self.rng.set_state(state["rng"].cpu())


def free_bytes(device: torch.device) -> int:
    """Memory that is free on a device now; where the system does not say, plenty."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, AttributeError):  # macOS, Windows
        return 1 << 62
