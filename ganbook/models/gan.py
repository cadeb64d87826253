"""A GAN as two update rules: networks, a loss and two optimisers become discriminator and generator steps.

Algorithm 1 of Goodfellow et al. (2014) with any loss of `ganbook.losses`, any pair of networks, labels or none.
The loop that calls these steps is `ganbook.training.train`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import AveragedModel

from ganbook.distributed import average_gradients, gathered, joint_draws, synchronise, world
from ganbook.errors import InputError
from ganbook.losses import check_adaptive, check_logits, get_loss, instance_noise, no_targets, real_targets
from ganbook.models.inputs import check_batch, check_label_range, check_latents, has_batchnorm
from ganbook.models.unrolled import Judge, foreseen
from ganbook.nn.augment import adapted, augment, policy
from ganbook.nn.conditioning import Auxiliary
from ganbook.penalties import check_no_batchnorm, check_weight, clip_weights, get_penalty
from ganbook.schedules import Schedule
from ganbook.speed import Speed, full

DEFAULT_SPEED = Speed()
Tensors = list[Tensor] | tuple[Tensor, ...]


def ema_average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """The exponential moving average ``ema ← d·ema + (1 - d)·model``, in place, as `AveragedModel` wants it.

    Early on d is ``(1 + n) / (10 + n)`` where that is smaller, so that a short run forgets its random start.
    """

    @torch.no_grad()
    def average(ema: Tensors, current: Tensors, n_averaged: Tensor | int) -> None:
        d = min(decay, (1 + int(n_averaged)) / (10 + int(n_averaged)))
        torch._foreach_lerp_(ema, current, 1 - d)

    return average


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Within the block the network's parameters receive no gradient (its inputs still do)."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


@torch.no_grad()
def standing_statistics(
    generator: nn.Module,
    latent_dim: int,
    n_classes: int = 0,
    *,
    batches: int,
    batch_size: int,
    device: str | torch.device = "cpu",
) -> None:
    """Replace BatchNorm's running statistics by their means over fresh batches of latents and uniform labels, in place.

    What an averaged generator needs before it is sampled: neither the trained generator's statistics nor their average
    belong to the averaged weights. The draws come from a stream of their own. Source: Brock et al. 2019, section 4.
    """
    layers = [m for m in generator.modules() if isinstance(m, _BatchNorm)]
    if not layers:
        return
    rng = torch.Generator(device).manual_seed(0)
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain mean over the batches
        layer.train()
    for _ in range(batches):
        z = torch.randn(batch_size, latent_dim, generator=rng, device=device)
        y = torch.randint(n_classes, (batch_size,), generator=rng, device=device) if n_classes else None
        generator(z, y)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
        layer.eval()


class GAN:
    """Two networks, a loss and what updates them.

    Args:
        generator: maps `(z, y)` to samples; has `latent_dim`.
        discriminator: maps `(x, y)` to logits `(N,)`, large on real.
        loss: a name in `ganbook.losses.LOSSES` or `F_GAN_LOSSES`.
        penalty: a name in `ganbook.penalties.PENALTIES`, or `"none"`.
        penalty_weight: its weight, the paper's λ or γ.
        clip: after each of its steps the discriminator's weights are clamped to `[-clip, clip]`; 0 for never.
        real_target: the discriminator's target for each real sample is drawn from `[real_target, 1]`.
        instance_noise: standard deviation of the noise on all samples that the discriminator sees.
        augment: changes of all images that the discriminator sees, as `ganbook.nn.augment.policy` reads them.
        ada_target: the mean sign of the reals' logits that ADA aims at by augmenting more or less often, 0.6 in the
            paper; 0 for augmenting always.
        unroll: how many steps of the discriminator the generator foresees (Metz et al. 2017); 0 for none.
        unroll_lr: the length of a foreseen step, plain gradient descent; None takes the discriminator's present rate.
        joint_batch: show the discriminator real and fake in one batch, so that BatchNorm mixes their statistics.
        reuse_fakes: let the generator's step take the fakes that the discriminator has just learned from, as PyTorch's
            DCGAN example does, and not fresh ones: one pass of the generator less. The two steps of Goodfellow et al.
            (2014, algorithm 1) draw latents of their own.
        lr_g, lr_d: Adam's learning rates; different ones are the two time scales of Heusel et al. (2017).
        betas: Adam's moments.
        weight_decay: AdamW's, per step and unit of the learning rate (Loshchilov and Hutter 2019, algorithm 2); 0 is
            Adam.
        schedule: what both learning rates are multiplied by at a generator step, from `ganbook.schedules`; a
            discriminator step has the factor of the generator step that follows it.
        ema_decay: decay of the averaged generator per generator step (its BatchNorm statistics: `refresh_batchnorm`).
        speed: switches of `ganbook.speed`, which change how fast a step is and not what it computes.
        seed: of the latents' own random stream.
        device: where the networks live.

    `real`, where a step takes it, is `(N, …)` on that device, `labels` `(N,)` int64 or None.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        *,
        loss: str = "nonsaturating",
        penalty: str = "none",
        penalty_weight: float = 0.0,
        clip: float = 0.0,
        real_target: float = 1.0,
        instance_noise: float = 0.0,
        augment: str = "none",
        ada_target: float = 0.0,
        joint_batch: bool = False,
        reuse_fakes: bool = False,
        unroll: int = 0,
        unroll_lr: float | None = None,
        lr_g: float = 2e-4,
        lr_d: float = 2e-4,
        betas: tuple[float, float] = (0.5, 0.999),
        weight_decay: float = 0.0,
        schedule: Schedule | None = None,
        ema_decay: float = 0.999,
        speed: Speed = DEFAULT_SPEED,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        self.device = torch.device(device)
        self.generator, self.discriminator, self.speed = generator.to(self.device), discriminator.to(self.device), speed
        for network in (self.generator, self.discriminator):
            speed.lay_out(network)
        self.latent_dim = cast(int, generator.latent_dim)
        self.n_classes = cast(int, getattr(generator, "n_classes", 0))
        self.loss = get_loss(loss)
        check_weight(penalty, penalty_weight)
        self.penalty, self.penalty_weight = get_penalty(penalty), penalty_weight
        self.clip, self.real_target, self.instance_noise = clip, real_target, instance_noise
        self.changes, self.joint_batch, self.reuse_fakes = policy(augment), joint_batch, reuse_fakes
        self._kept: tuple[Tensor, Tensor | None] | None = None  # fakes with their graph, and their labels
        self.ada_target, self.augment_p = ada_target, torch.zeros((), device=self.device) if ada_target else None
        self.unroll, self.unroll_lr, self.batchnorm = unroll, unroll_lr, has_batchnorm(generator, discriminator)
        if self.penalty is not None:
            check_no_batchnorm(discriminator)
        if real_target < 1 and self.loss.smooth_d is None:
            raise no_targets(loss)
        if unroll and world().size > 1:
            raise InputError(
                f"unroll={unroll} foresees the discriminator's steps from the whole batch, which several processes do "
                "not have in one place. Train on one process, or set unroll=0."
            )
        if ada_target:
            check_adaptive(loss, augment)
        self.optimizer_g, self.optimizer_d = (
            torch.optim.AdamW(network.parameters(), lr, betas, weight_decay=weight_decay, fused=True)
            for network, lr in ((generator, lr_g), (discriminator, lr_d))
        )
        self.schedule, self.rates, self.steps_done = schedule, (lr_g, lr_d), 0
        self._set_rates()
        self.ema = AveragedModel(generator, multi_avg_fn=ema_average(ema_decay)).eval()
        self.ema.requires_grad_(False)
        self.rng = torch.Generator(self.device).manual_seed(seed)
        # after the averaged copy, which stays as written and belongs to this process alone
        self.generator, self.discriminator = (synchronise(n, self.device) for n in (generator, discriminator))
        speed.compile_in_place(self.generator, self.discriminator)

    def latents(self, n: int) -> Float[Tensor, "n latent"]:
        """Standard normal latents `(n, latent_dim)` from the GAN's own stream."""
        with joint_draws(self.rng, n):
            return torch.randn(n, self.latent_dim, generator=self.rng, device=self.device)

    def view(self, x: Tensor) -> Tensor:
        """What the discriminator sees of `x`: augmented, with instance noise, or `x` itself."""
        with joint_draws(self.rng, len(x)):
            if self.changes:
                x = augment(x, self.changes, self.rng, self.augment_p)
            return instance_noise(x, self.instance_noise, self.rng)

    def discriminator_step(self, real: Tensor, labels: Int[Tensor, " n"] | None = None) -> Float[Tensor, ""]:
        """One descent step of the discriminator; the generator receives nothing.

        Real and fake go through in separate batches, unless `joint_batch`: BatchNorm then normalises each with its own
        statistics.

        Returns:
            The mean adversarial loss before the step, without the penalty, detached, still on the device.
        """
        check_batch(real, labels, self.n_classes, batchnorm=self.batchnorm)
        self.speed.begin_step()
        with torch.set_grad_enabled(self.reuse_fakes):
            fake = self._fakes(len(real), labels)
        self._kept, fake = ((fake, labels) if self.reuse_fakes else None), fake.detach()
        real = self.view(self.speed.arranged(real))
        real_logits, fake_logits = self._judge(real, fake, labels)
        check_logits(real_logits, fake_logits)
        loss = self._d_loss(real_logits, fake_logits).mean()
        if isinstance(self.discriminator, Auxiliary):
            loss = loss + self.discriminator.class_loss(real, labels) + self.discriminator.class_loss(fake, labels)
        total = loss
        if self.penalty is not None:
            with joint_draws(self.rng, len(real)):
                penalty = self.penalty(self.discriminator, real, fake, labels, rng=self.rng)
            total = loss + self.penalty_weight * penalty.mean()
        self.optimizer_d.zero_grad(set_to_none=True)
        total.backward()
        average_gradients(self.discriminator.parameters())
        self.optimizer_d.step()
        if self.clip:
            clip_weights(self.discriminator, self.clip)
        if self.augment_p is not None:
            self.augment_p = adapted(self.augment_p, gathered(real_logits), target=self.ada_target)
        return loss.detach()

    def _fakes(self, n: int, labels: Tensor | None) -> Tensor:
        with self.speed.autocast(self.device):
            fake = self.generator(self.latents(n), labels)
        return self.view(full(fake))

    def _judge(self, real: Tensor, fake: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        with self.speed.autocast(self.device):
            if not self.joint_batch:
                return full(self.discriminator(real, labels)), full(self.discriminator(fake, labels))
            both = None if labels is None else torch.cat([labels, labels])
            real_logits, fake_logits = full(self.discriminator(torch.cat([real, fake]), both)).chunk(2)
            return real_logits, fake_logits

    def _d_loss(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        if self.real_target == 1 or self.loss.smooth_d is None:
            return self.loss.d(real_logits, fake_logits)
        with joint_draws(self.rng, len(real_logits)):
            targets = real_targets(len(real_logits), self.real_target, self.rng)
        return self.loss.smooth_d(real_logits, fake_logits, targets)

    def generator_step(self, real: Tensor, labels: Int[Tensor, " n"] | None = None) -> Float[Tensor, ""]:
        """One descent step of the generator through the discriminator, whose parameters receive nothing.

        `real` gives the batch size, and its logits where the loss is relativistic. With `reuse_fakes` the fakes
        are those of the discriminator's step on as many samples and the very same `labels`, if that came before.

        Returns:
            The mean loss before the step, detached, still on the device.
        """
        check_batch(real, labels, self.n_classes, batchnorm=self.batchnorm)
        kept, self._kept = self._kept, None
        if kept is not None and (len(kept[0]) != len(real) or kept[1] is not labels):
            kept = None  # made for another batch
        if kept is None:
            self.speed.begin_step()  # kept fakes would not outlast it
        with frozen(self.discriminator):
            fake = self._fakes(len(real), labels) if kept is None else kept[0]
            judge = self._foreseen(real, fake, labels) if self.unroll else self.discriminator
            with self.speed.autocast(self.device):
                fake_logits = full(judge(fake, labels))
                # the other losses ignore their first argument: it costs no forward pass
                real_logits = full(judge(self.view(real), labels)) if self.loss.relativistic else fake_logits
            check_logits(real_logits, fake_logits)
            loss = self.loss.g(real_logits, fake_logits).mean()
            if isinstance(self.discriminator, Auxiliary):
                loss = loss + self.discriminator.class_loss(fake, labels)
            self.optimizer_g.zero_grad(set_to_none=True)
            loss.backward()
        average_gradients(self.generator.parameters())
        self.optimizer_g.step()
        self.ema.update_parameters(self.generator)
        self.steps_done += 1
        self._set_rates()
        return loss.detach()

    def _set_rates(self) -> None:
        if self.schedule is None:
            return
        factor = self.schedule(self.steps_done)
        for optimizer, rate in zip((self.optimizer_g, self.optimizer_d), self.rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor

    def _foreseen(self, real: Tensor, fake: Tensor, labels: Tensor | None) -> Judge:
        seen = self.view(real)
        rate = self.optimizer_d.param_groups[0]["lr"] if self.unroll_lr is None else self.unroll_lr
        return foreseen(self.discriminator, seen, fake, labels, d_loss=self.loss.d, steps=self.unroll, lr=rate)

    def refresh_batchnorm(self, *, batches: int = 16, batch_size: int = 128) -> None:
        """Give the averaged generator BatchNorm statistics of its own: `standing_statistics`.

        Training goes on as if this had not been called.
        """
        standing_statistics(
            self.ema, self.latent_dim, self.n_classes, batches=batches, batch_size=batch_size, device=self.device
        )

    @torch.no_grad()
    def sample(
        self, z: Float[Tensor, "n latent"], labels: Int[Tensor, " n"] | None = None, *, batch_size: int = 256
    ) -> Tensor:
        """Samples of the averaged generator in evaluation mode, `(n, …)` on the CPU.

        Call `refresh_batchnorm` first if training went on since the last time.

        Raises:
            InputError: latents of the wrong length, or a label that is not a class.
        """
        check_latents(z, self.latent_dim)
        check_label_range(labels, self.n_classes)
        samples = []
        for start in range(0, len(z), batch_size):
            part = slice(start, start + batch_size)
            y = None if labels is None else labels[part].to(self.device)
            samples.append(self.ema(z[part].to(self.device), y).cpu())
        return torch.cat(samples)

    def state_dict(self) -> dict[str, Any]:
        """Everything a later step depends on."""
        return {
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer_g": self.optimizer_g.state_dict(),
            "optimizer_d": self.optimizer_d.state_dict(),
            "rng": self.rng.get_state(),
            "steps_done": self.steps_done,
            **({} if self.augment_p is None else {"augment_p": self.augment_p}),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        for module in ("generator", "discriminator", "ema"):
            getattr(self, module).load_state_dict(state[module])
        for name in ("optimizer_g", "optimizer_d"):
            optimizer = getattr(self, name)
            optimizer.load_state_dict(state[name])
            for parameter, moments in optimizer.state.items():  # back to the parameter's memory layout, as when saved
                for key, value in moments.items():
                    if value.shape == parameter.shape:
                        moments[key] = torch.empty_like(parameter).copy_(value)
        self.rng.set_state(state["rng"])
        self._kept = None  # fakes of other weights
        self.steps_done = state.get("steps_done", 0)  # a file without it is older than schedules
        self._set_rates()
        if self.augment_p is not None:
            self.augment_p = state["augment_p"].to(self.device)
