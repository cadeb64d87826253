"""Translation as update rules: pix2pix learns from pairs, CycleGAN from two heaps of pictures.

Both are trained by `ganbook.training.train` with batches `(a, b)` of `ganbook.data.pairs.PairBatches`. Pix2pix (Isola
et al. 2017, eqs. 1 to 4) has one generator G: a → b and a discriminator that sees the input beside the output::

    G*  =  arg min_G max_D  L_cGAN(G, D) + λ E ‖b - G(a, z)‖₁

CycleGAN (Zhu et al. 2017, eqs. 1 to 3) has G: a → b and F: b → a, and a discriminator for each domain::

    L   =  L_GAN(G, D_b) + L_GAN(F, D_a) + λ (E ‖F(G(a)) - a‖₁ + E ‖G(F(b)) - b‖₁)

‖·‖₁ is a mean over pixels and channels here, as in both papers' programs. Those also halve D's loss to slow it down;
Adam's step does not depend on a loss's scale, and it is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ganbook.errors import InputError
from ganbook.losses import get_loss
from ganbook.models.gan import frozen
from ganbook.models.translation_terms import (
    ImagePool,
    Images,
    Terms,
    Updates,
    check_pair,
    d_loss,
    g_loss,
    l1,
    translated,
)
from ganbook.schedules import Schedule


class Pix2Pix:
    """A generator and a discriminator that sees input and output together, from pairs.

    Args:
        generator: maps `(a, rng)` to pictures of b's shape, `ganbook.nn.translation.UNet`.
        discriminator: maps `(b, a)` to logits, `PatchDiscriminator`; with `condition_channels=0` it sees b alone, the
            paper's "GAN" in place of "cGAN".
        loss: a name in `ganbook.losses.LOSSES`.
        l1_weight: λ, 100 in the paper; 0 for the adversarial loss alone.
        gan_weight: of the adversarial loss, 1 in the paper; 0 for the L1 distance alone, which needs no discriminator.
        lr_g, lr_d: Adam's learning rates.
        betas: Adam's moments.
        schedule: what both rates are multiplied by at a generator step.
        seed: of the noise.
        device: where the networks live.

    Raises:
        InputError: a negative weight, or nothing to learn from.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        *,
        loss: str = "nonsaturating",
        l1_weight: float = 100.0,
        gan_weight: float = 1.0,
        lr_g: float = 2e-4,
        lr_d: float = 2e-4,
        betas: tuple[float, float] = (0.5, 0.999),
        schedule: Schedule | None = None,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        if min(l1_weight, gan_weight) < 0 or l1_weight == gan_weight == 0:
            raise InputError(
                f"The weights of the two losses are not negative, and one is positive, got l1_weight={l1_weight} and "
                f"gan_weight={gan_weight}. The paper has 100 and 1."
            )
        self.device = torch.device(device)
        self.generator, self.discriminator = generator.to(self.device), discriminator.to(self.device)
        self.loss, self.l1_weight, self.gan_weight = get_loss(loss), l1_weight, gan_weight
        self.updates = Updates(self.generator, self.discriminator, (lr_g, lr_d), betas, schedule)
        self.rng = torch.Generator(self.device).manual_seed(seed)
        self.terms = Terms()

    def _judge(self, b: Tensor, a: Tensor) -> Tensor:
        return self.discriminator(b, a if self.discriminator.condition_channels else None)

    def discriminator_step(self, a: Any, b: Any = None) -> Float[Tensor, ""]:
        """One step of the discriminator on inputs ``a`` and their true outputs ``b``; the generator receives nothing.

        Returns:
            The mean loss before the step, detached; 0 where ``gan_weight`` is 0.
        """
        check_pair(a, b, aligned=True)
        if not self.gan_weight:
            return torch.zeros((), device=self.device)
        with torch.no_grad():
            fake = self.generator(a, self.rng)
        loss = d_loss(self.loss, self._judge(b, a), self._judge(fake, a))
        self.updates.descend_d(loss)
        return loss.detach()

    def generator_step(self, a: Any, b: Any = None) -> Float[Tensor, ""]:
        """One step of the generator; the discriminator receives nothing.

        Returns:
            ``gan_weight · L_GAN + λ · L1`` before the step, detached.
        """
        check_pair(a, b, aligned=True)
        fake = self.generator(a, self.rng)
        distance = l1(fake, b)
        fooling = torch.zeros_like(distance)
        with frozen(self.discriminator):
            if self.gan_weight:
                fooling = g_loss(self.loss, lambda y: self._judge(y, a), fake, b)
            loss = self.gan_weight * fooling + self.l1_weight * distance
            self.updates.descend_g(loss)
        self.terms.add(l1=distance, gan=fooling)
        return loss.detach()

    def translate(self, a: Images, *, rng: torch.Generator | None = None, batch_size: int = 256) -> Tensor:
        """Pictures of the other domain `(N, C, H, W)`, on the CPU; without ``rng`` there is no noise.

        BatchNorm uses its running statistics, so that a picture does not depend on its batch; the paper uses the
        batch's own.
        """
        return translated(self.generator, a, rng, batch_size, self.device)

    def state_dict(self) -> dict[str, Any]:
        """Everything a later step depends on."""
        return {**self.updates.state_dict(), "rng": self.rng.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.updates.load_state_dict(state)
        self.rng.set_state(state["rng"])


class CycleGAN:
    """Two generators and two discriminators, from pictures of two domains that nobody paired.

    Args:
        forward: G, maps `(a, rng)` to pictures of the domain b, `ganbook.nn.translation.ResNetGenerator`.
        backward: F, maps `(b, rng)` to pictures of the domain a.
        judge_a: D_a, maps pictures of the domain a, true or F's, to logits.
        judge_b: D_b, the same for the domain b.
        loss: a name in `ganbook.losses.LOSSES`, least squares in the paper.
        cycle_weight: λ of both cycle consistencies; 0 leaves two GANs that nothing binds to their inputs. The paper's
            is 10 beside squares that are not halved, which is 5 beside `lsgan_g`'s.
        identity_weight: of ``E ‖G(b) - b‖₁ + E ‖F(a) - a‖₁``, relative to λ (section 5.2: 0.5, for colours).
        pool: how many earlier pictures each discriminator's `ImagePool` keeps.
        lr_g, lr_d: Adam's learning rates.
        betas: Adam's moments.
        schedule: what both rates are multiplied by at a generator step.
        seed: of the pools.
        device: where the networks live.

    Raises:
        InputError: a negative weight.
    """

    def __init__(
        self,
        forward: nn.Module,
        backward: nn.Module,
        judge_a: nn.Module,
        judge_b: nn.Module,
        *,
        loss: str = "lsgan",
        cycle_weight: float = 5.0,
        identity_weight: float = 0.0,
        pool: int = 50,
        lr_g: float = 2e-4,
        lr_d: float = 2e-4,
        betas: tuple[float, float] = (0.5, 0.999),
        schedule: Schedule | None = None,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        if min(cycle_weight, identity_weight) < 0:
            raise InputError(
                f"Weights of losses are not negative, got cycle_weight={cycle_weight} and "
                f"identity_weight={identity_weight}. Usual are 5, and 0.5 where colours shall stay."
            )
        self.device = torch.device(device)
        generators, judges = nn.ModuleList([forward, backward]), nn.ModuleList([judge_a, judge_b])
        self.generators, self.judges = generators.to(self.device), judges.to(self.device)
        self.forward, self.backward, self.judge_a, self.judge_b = forward, backward, judge_a, judge_b
        self.loss, self.cycle_weight, self.identity_weight = get_loss(loss), cycle_weight, identity_weight
        self.updates = Updates(self.generators, self.judges, (lr_g, lr_d), betas, schedule)
        self.pool_a, self.pool_b = ImagePool(pool, seed=seed), ImagePool(pool, seed=seed + 1)
        self.terms = Terms()

    def discriminator_step(self, a: Any, b: Any = None) -> Float[Tensor, ""]:
        """One step of both discriminators; the generators receive nothing.

        Returns:
            The sum of their mean losses before the step, detached.
        """
        check_pair(a, b, aligned=False)
        with torch.no_grad():
            fake_b, fake_a = self.pool_b.exchange(self.forward(a)), self.pool_a.exchange(self.backward(b))
        loss = d_loss(self.loss, self.judge_a(a), self.judge_a(fake_a))
        loss = loss + d_loss(self.loss, self.judge_b(b), self.judge_b(fake_b))
        self.updates.descend_d(loss)
        return loss.detach()

    def generator_step(self, a: Any, b: Any = None) -> Float[Tensor, ""]:
        """One step of both generators; the discriminators receive nothing.

        Both cycles are always gone, so that they can be read from `terms`; their weight says whether they are learnt.

        Returns:
            The whole loss before the step, detached.
        """
        check_pair(a, b, aligned=False)
        fake_b, fake_a = self.forward(a), self.backward(b)
        around = {"cycle_a": l1(self.backward(fake_b), a), "cycle_b": l1(self.forward(fake_a), b)}
        same = (
            {"identity_a": l1(self.backward(a), a), "identity_b": l1(self.forward(b), b)}
            if self.identity_weight
            else {}
        )
        with frozen(self.judges):
            fooling = {
                "gan_a": g_loss(self.loss, self.judge_a, fake_a, a),
                "gan_b": g_loss(self.loss, self.judge_b, fake_b, b),
            }
            # a cycle of weight 0 is left out, so that not even a NaN of it reaches the generators
            weighted = [*fooling.values(), *(self.cycle_weight * t for t in around.values() if self.cycle_weight)]
            weighted += [self.cycle_weight * self.identity_weight * t for t in same.values()]
            loss = torch.stack(weighted).sum()
            self.updates.descend_g(loss)
        self.terms.add(**around, **same, **fooling)
        return loss.detach()

    def translate(self, a: Images, *, back: bool = False, batch_size: int = 256) -> Tensor:
        """G's translations of pictures of the domain a; with ``back``, F's of pictures of b. On the CPU."""
        return translated(self.backward if back else self.forward, a, None, batch_size, self.device)

    def state_dict(self) -> dict[str, Any]:
        """Everything a later step depends on, the pools' pictures included."""
        return {**self.updates.state_dict(), "pool_a": self.pool_a.state_dict(), "pool_b": self.pool_b.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.updates.load_state_dict(state)
        self.pool_a.load_state_dict(state["pool_a"], device=self.device)
        self.pool_b.load_state_dict(state["pool_b"], device=self.device)
