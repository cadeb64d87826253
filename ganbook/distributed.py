"""Training on several processes, one a GPU, with the result of one process on the joint batch.

``torchrun --nproc-per-node 4 -m ganbook.cli train OUT`` starts them, on one machine or several. Each process holds the
whole model, takes its share of every batch, and averages its gradients with the others' before the optimisers step.
The gradients are averaged explicitly, after `backward`, and not by DistributedDataParallel: its hooks meet a network
that is called several times before one backward pass, with a gradient penalty's derivative of a derivative among them,
and can then return wrong gradients (pytorch issue 47562).

Three things tie the samples of a batch together and are therefore taken over all processes: BatchNorm's statistics, the
sign of the logits that ADA reads, and the random numbers. Each process draws for the joint batch from the same stream
and keeps its own rows, so that all streams stay equal: one checkpoint serves any number of processes.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import batch_norm
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from ganbook.errors import InputError
from ganbook.nn.layers import MinibatchDiscrimination

Batch = tuple[Tensor, Tensor | None]


class World(NamedTuple):
    """Which process this is, counted from 0, and how many there are."""

    rank: int
    size: int


def world() -> World:
    """This process among its like; alone where no process group was begun."""
    if not (dist.is_available() and dist.is_initialized()):
        return World(0, 1)
    return World(dist.get_rank(), dist.get_world_size())


def is_main() -> bool:
    """Whether this process is the one that writes files and shows progress."""
    return world().rank == 0


def join(device: torch.device) -> torch.device:
    """Join the processes that ``torchrun`` started, if it did, and choose this one's own GPU where there are GPUs.

    Args:
        device: what was asked for.

    Returns:
        The device of this process.
    """
    if not dist.is_available() or not dist.is_torchelastic_launched():
        return device
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(leave)
    return device


def leave() -> None:
    """End the process group, if one was begun."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def shares(batches: Iterator[Batch], batch_size: int) -> Iterator[Batch]:
    """This process's rows of each joint batch.

    Raises:
        InputError: the batch does not split evenly.
    """
    rank, size = world()
    if batch_size % size:
        raise InputError(
            f"batch_size is that of all processes together, got batch_size={batch_size} for {size} processes. Choose a "
            f"multiple of {size}."
        )
    return batches if size == 1 else _rows(batches, rank, batch_size // size)


def _rows(batches: Iterator[Batch], rank: int, n: int) -> Iterator[Batch]:
    part = slice(rank * n, (rank + 1) * n)
    for real, labels in batches:
        yield real[part], None if labels is None else labels[part]


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace each parameter's gradient by its mean over all processes, in one exchange."""
    size = world().size
    if size == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    dist.all_reduce(flat)
    flat /= size
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def mean_over_processes(x: Tensor) -> Tensor:
    """The mean of a tensor that every process has its own of."""
    if world().size == 1:
        return x
    x = x.clone()
    dist.all_reduce(x)
    return x / world().size


def gathered(x: Float[Tensor, " n"]) -> Float[Tensor, " joint"]:
    """The rows of all processes, in order; without gradient."""
    size = world().size
    if size == 1:
        return x
    parts = [torch.empty_like(x) for _ in range(size)]
    dist.all_gather(parts, x.detach().contiguous())
    return torch.cat(parts)


class JointDraws(TorchFunctionMode):
    """Within it, random numbers of ``rng`` are drawn for the joint batch, and this process gets its own rows.

    Which dimension counts the samples is told by its length, the first that fits.

    Args:
        rng: the stream, equal in all processes; draws from other streams are left alone.
        n: samples of this process.
    """

    def __init__(self, rng: torch.Generator, n: int) -> None:
        super().__init__()
        self.rng, self.n, self.world = rng, n, world()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func not in (torch.rand, torch.randn, torch.randint) or kwargs.get("generator") is not self.rng or not args:
            return func(*args, **kwargs)
        if isinstance(args[-1], tuple | list):
            *bounds, size = args
        else:
            bounds, size = [], args
        if self.n not in size:
            return func(*args, **kwargs)
        axis = list(size).index(self.n)
        joint = [*size[:axis], self.n * self.world.size, *size[axis + 1 :]]
        return func(*bounds, joint, **kwargs).narrow(axis, self.world.rank * self.n, self.n)


def joint_draws(rng: torch.Generator, n: int) -> AbstractContextManager[object]:
    """`JointDraws` where there are several processes, else nothing."""
    return JointDraws(rng, n) if world().size > 1 else nullcontext()


def synchronise(network: nn.Module, device: torch.device) -> nn.Module:
    """The network with BatchNorm over the joint batch, changed in place; as it is where this process is alone.

    Raises:
        InputError: another layer that compares the samples of a batch.
    """
    if world().size == 1:
        return network
    for name, layer in network.named_modules():
        if isinstance(layer, MinibatchDiscrimination):
            raise InputError(
                f"Layer {name!r} (minibatch discrimination) compares all samples of a batch, which several processes "
                "do not have in one place. Train on one process, or build the network without it."
            )
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    for layer in network.modules():  # torch's SyncBatchNorm exists on GPUs only
        if isinstance(layer, _BatchNorm):
            layer.forward = partial(joint_batch_norm, layer)  # type: ignore[method-assign]
    return network


class _Sum(torch.autograd.Function):
    """The sum over processes, whose derivative is the sum over processes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.clone()
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _Sum.forward(ctx, gradients[0].contiguous())


_sum: Callable[[Tensor], Tensor] = _Sum.apply


def joint_batch_norm(layer: _BatchNorm, x: Float[Tensor, "n c ..."]) -> Float[Tensor, "n c ..."]:
    """What ``layer`` computes from the joint batch, for equal shares in all processes.

    Mean and variance are means over processes of the shares' own, about the joint mean; running statistics follow the
    variance with n - 1, as torch's do.
    """
    if not layer.training:
        return batch_norm(x, layer.running_mean, layer.running_var, layer.weight, layer.bias, eps=layer.eps)
    size = world().size
    dims = [0, *range(2, x.ndim)]
    shape = [1, -1] + [1] * (x.ndim - 2)
    mean = _sum(x.mean(dims)) / size
    centred = x - mean.view(shape)
    variance = _sum(centred.square().mean(dims)) / size
    if layer.running_mean is not None and layer.running_var is not None and layer.num_batches_tracked is not None:
        layer.num_batches_tracked.add_(1)
        momentum = 1 / int(layer.num_batches_tracked) if layer.momentum is None else layer.momentum
        n = x.numel() // x.shape[1] * size
        layer.running_mean.lerp_(mean.detach(), momentum)
        layer.running_var.lerp_(variance.detach() * n / (n - 1), momentum)
    y = centred * torch.rsqrt(variance + layer.eps).view(shape)
    return y if layer.weight is None else y * layer.weight.view(shape) + layer.bias.view(shape)
