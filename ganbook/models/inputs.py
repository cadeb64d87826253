"""What a GAN is given, looked at where it enters, so that a mistake is named and not learnt from."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ganbook.errors import InputError


def has_batchnorm(*networks: nn.Module) -> bool:
    """Whether one of the networks contains BatchNorm."""
    return any(isinstance(layer, _BatchNorm) for network in networks for layer in network.modules())


def check_batch(real: Any, labels: Any, n_classes: int, *, batchnorm: bool) -> None:
    """Refuse a training batch that could only be learnt from by mistake.

    Label values are read on the CPU only: on a GPU that would stop the device at each step, and a run looks at all
    labels of its data set beforehand.

    Args:
        real: what was passed as `(N, …)` float samples.
        labels: what was passed as `(N,)` int64 labels, or None.
        n_classes: of the generator, 0 for none.
        batchnorm: whether a network has BatchNorm.

    Raises:
        InputError: integers in place of samples, one sample under BatchNorm, or labels that do not fit.
    """
    if not isinstance(real, Tensor) or not real.is_floating_point() or real.ndim < 2:
        got = f"{tuple(real.shape)} {real.dtype}" if isinstance(real, Tensor) else type(real).__name__
        raise InputError(
            f"Real samples are a floating point tensor (N, …), images in [-1, 1], got {got}. Stored uint8 images "
            "become that by `ganbook.data.Batches`, or by x.float() / 127.5 - 1."
        )
    if len(real) < 2 and batchnorm:
        raise InputError(
            f"BatchNorm compares the samples of a batch, got a batch of {len(real)}. Use a batch size of at least "
            "2, or networks without BatchNorm."
        )
    if labels is None:
        return
    if not isinstance(labels, Tensor) or labels.shape != (len(real),) or labels.is_floating_point():
        got = f"{tuple(labels.shape)} {labels.dtype}" if isinstance(labels, Tensor) else type(labels).__name__
        raise InputError(f"Labels are whole numbers of shape (N,) = ({len(real)},), one for each sample, got {got}.")
    if n_classes and labels.device.type == "cpu":
        check_label_range(labels, n_classes)


def check_latents(z: Tensor, latent_dim: int) -> None:
    """Refuse latents of another model.

    Raises:
        InputError: `z` is not `(N, latent_dim)`.
    """
    if z.ndim != 2 or z.shape[1] != latent_dim:
        raise InputError(f"This generator takes latents of shape (N, {latent_dim}), got {tuple(z.shape)}.")


def check_label_range(labels: Tensor | None, n_classes: int) -> None:
    """Refuse labels that are no classes.

    Raises:
        InputError: a value outside 0 … n_classes - 1, or labels for a generator without classes.
    """
    if labels is None or len(labels) == 0:
        return
    if n_classes == 0:
        raise InputError("This generator was trained without labels, got some. Leave the labels out.")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= n_classes:
        raise InputError(f"Labels are 0 … {n_classes - 1}, got values from {low} to {high}.")
