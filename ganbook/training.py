"""The training loop: Algorithm 1 of Goodfellow et al. (2014), with history, checkpoints and hooks.

The loop never waits for the device: losses stay tensors and are read once every ``log_every`` steps. It is told what
to do by callables, so that a test, a notebook and a batch run share it.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from ganbook.distributed import is_main, mean_over_processes
from ganbook.errors import DivergenceError, InputError

REMEDIES = (
    "Usual remedies: a smaller learning rate (lr_d first); norm='spectral' in the discriminator; for an unbounded loss "
    "(wasserstein, fgan_kl, fgan_pearson and their like) a Lipschitz constraint, norm='spectral' or penalty='wgan_gp'; "
    "precision='float32' in place of 'bf16'. The chapter 'Training dynamics' shows how such runs get there."
)

# losses of which the discriminator's part is never negative, and 0 exactly when it has won (a test looks)
WON_AT_ZERO = {"minimax", "nonsaturating", "lsgan", "hinge", "rpgan", "fgan_gan"}

Batch = tuple[Tensor, Tensor | None]
Row = dict[str, float]


@runtime_checkable
class Model(Protocol):
    """What can be trained: two updates, each returning its mean loss as a scalar tensor on the device."""

    def discriminator_step(self, real: Tensor, labels: Tensor | None = None) -> Tensor: ...

    def generator_step(self, real: Tensor, labels: Tensor | None = None) -> Tensor: ...


@dataclass
class History:
    """What a run logged, one row per ``log_every`` generator steps, and how far it has come."""

    rows: list[Row] = field(default_factory=list)
    step: int = 0  # generator steps done
    seconds: float = 0.0  # spent in the loop, hooks included

    def column(self, name: str) -> list[float]:
        """All values of one quantity, e.g. ``"d_loss"``."""
        return [row[name] for row in self.rows]


Hook = Callable[[History], None]


def train(
    model: Model,
    batches: Iterator[Batch],
    *,
    steps: int,
    n_dis: int = 1,
    log_every: int = 50,
    hooks: Iterable[Hook] = (),
    history: History | None = None,
    progress: bool = True,
) -> History:
    """Train until ``steps`` generator steps are done.

    Args:
        model: a `ganbook.models.gan.GAN`, or anything with the same two updates.
        batches: endless `(real, labels)`, already on the device.
        steps: generator steps in all, those of ``history`` included.
        n_dis: discriminator steps before each generator step, the k of Algorithm 1.
        log_every: steps between two rows of the history; hooks run after each row.
        hooks: called with the history after each row: a checkpoint, a picture, a metric.
        history: of a run to be continued.
        progress: show a bar in terminal or notebook.

    Returns:
        The history; row columns are ``step``, ``d_loss``, ``g_loss`` (means over the interval) and ``seconds``.

    Raises:
        DivergenceError: a loss became NaN or infinite; the message names the step.
        InputError: a step count below one, or a batch that the GPU's memory does not hold.
    """
    if min(steps, n_dis, log_every) < 1:
        raise InputError(f"steps, n_dis and log_every count from 1, got {steps}, {n_dis} and {log_every}.")
    history = history if history is not None else History()
    bar = tqdm(total=steps, initial=history.step, unit="step", disable=not (progress and is_main()), mininterval=0.5)
    start = time.perf_counter() - history.seconds
    pending: list[Tensor] = []
    while history.step < steps:
        for _ in range(n_dis):
            real, labels = next(batches)
            with explained_memory(len(real)):
                d_loss = model.discriminator_step(real, labels)
        with explained_memory(len(real)):
            g_loss = model.generator_step(real, labels)
        pending.append(torch.stack([d_loss, g_loss]))
        history.step += 1
        bar.update()
        if history.step % log_every == 0 or history.step == steps:
            losses = mean_over_processes(torch.stack(pending).double())
            losses = losses.cpu()  # the only place where the loop waits for the device
            check_finite(losses, history)
            pending.clear()
            d_mean, g_mean = losses.mean(0).tolist()
            history.seconds = time.perf_counter() - start
            history.rows.append(
                {"step": float(history.step), "d_loss": d_mean, "g_loss": g_mean, "seconds": history.seconds}
            )
            bar.set_postfix(d_loss=f"{d_mean:.3f}", g_loss=f"{g_mean:.3f}")
            for hook in hooks:
                hook(history)
            history.seconds = time.perf_counter() - start
    bar.close()
    return history


@contextmanager
def explained_memory(batch_size: int) -> Iterator[None]:
    """Turn the device's "out of memory" into a paragraph that names the batch and one that may fit.

    Args:
        batch_size: of the step within the block; on several processes, of this one's share.

    Raises:
        InputError: there was not enough memory on the device.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        half = max(2, batch_size // 2)
        raise InputError(
            f"The GPU's memory does not hold a training step on a batch of {batch_size} images "
            f"({str(error).splitlines()[0]}). What a step takes grows in proportion to the batch, so half of it, "
            f"batch_size={half}, is the one to try next; smaller networks and precision='bf16' save memory too. Other "
            "programs on the same GPU count as well: nvidia-smi lists them."
        ) from None


def watch_discriminator(loss: str, *, below: float = 0.01, steps: int = 1000) -> Hook:
    """A hook that warns, once, of a discriminator that has won: its loss has been near 0 for long.

    Its logits then saturate, and what the generator still learns from them is noise (Arjovsky & Bottou 2017, section
    2). Says nothing where 0 is not the value of a won game: a Wasserstein critic's loss is a distance.

    Args:
        loss: a name in `ganbook.losses.LOSSES` or `F_GAN_LOSSES`.
        below: the discriminator's mean loss counts as 0 below this.
        steps: generator steps for which it has to stay there, without a break.
    """
    since: int | None = None  # the first step of the present stretch near 0
    warned = loss not in WON_AT_ZERO

    def watch(history: History) -> None:
        nonlocal since, warned
        if history.rows[-1]["d_loss"] >= below:
            since = None
        elif since is None:
            since = history.step
        if since is not None and not warned and history.step - since >= steps:
            warned = True
            warnings.warn(
                f"The discriminator's loss has been below {below} for {history.step - since} steps, up to step "
                f"{history.step}: it tells real from fake without effort, and the generator hardly learns. Known "
                "remedies: a smaller lr_d or a smaller n_dis; penalty='r1' or norm='spectral' in the discriminator; "
                "instance_noise, or real_target below 1; for a small data set augment='color,translation,cutout'. The "
                "chapters 'The minimax game' and 'Training dynamics' show why.",
                stacklevel=2,
            )

    return watch


def check_weights(networks: Iterable[nn.Module], step: int) -> None:
    """Refuse networks with a NaN or an infinite number: a checkpoint of them could never be continued.

    Raises:
        DivergenceError: names the step and what usually helps.
    """
    weights = [p for network in networks for p in network.state_dict().values() if p.is_floating_point()]
    if not all(weight.isfinite().all() for weight in weights):
        raise DivergenceError(f"A weight became NaN or infinite by step {step}; training stopped. {REMEDIES}")


def check_finite(losses: Tensor, history: History) -> None:
    """Stop at the first non-finite loss.

    Args:
        losses: `(k, 2)`, discriminator and generator loss of the last k steps up to ``history.step``.

    Raises:
        DivergenceError: says at which step, which loss, and what usually helps.
    """
    bad = ~losses.isfinite()
    if not bad.any():
        return
    row = int(bad.any(1).nonzero()[0])
    which = " and ".join(name for name, b in zip(("discriminator", "generator"), bad[row].tolist(), strict=True) if b)
    value = losses[row][bad[row]][0].item()
    raise DivergenceError(
        f"The {which} loss became {'NaN' if math.isnan(value) else value} at step "
        f"{history.step - len(losses) + row + 1}; training stopped. {REMEDIES}"
    )
