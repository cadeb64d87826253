"""What pix2pix and CycleGAN share: the L1 distance, losses over patches, the pool of pictures, and two optimisers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ganbook.errors import InputError
from ganbook.losses import Loss, check_logits
from ganbook.schedules import Schedule

Images = Float[Tensor, "n c h w"]


def l1(x: Tensor, y: Tensor) -> Float[Tensor, ""]:
    """``mean |x - y|`` over pictures, channels and pixels; 2 is white for black."""
    return (x - y).abs().mean()


def check_pair(a: Any, b: Any, *, aligned: bool) -> None:
    """Refuse a batch that is not two domains' pictures.

    Raises:
        InputError: a domain is missing or is no pictures, or pairs are of unequal number or size.
    """
    for name, x in (("first", a), ("second", b)):
        if not isinstance(x, Tensor) or not x.is_floating_point() or x.ndim != 4:
            got = (
                f"{tuple(x.shape)} {x.dtype}" if isinstance(x, Tensor) else "nothing" if x is None else type(x).__name__
            )
            raise InputError(
                f"Translation learns from pictures of two domains (N, C, H, W) in [-1, 1]; the {name} is {got}. Load "
                "both with ganbook.data.translation.load_pairs and draw batches with ganbook.data.pairs.PairBatches."
            )
    if aligned and (len(a) != len(b) or a.shape[2:] != b.shape[2:]):
        raise InputError(
            f"Pairs have the same number and size, got inputs {tuple(a.shape)} and targets {tuple(b.shape)}. A "
            "CycleGAN does without pairs."
        )


class ImagePool:
    """What the discriminator is shown of the generator: earlier pictures half of the time.

    Until it is full, every picture is kept and returned. Then each is, with probability ½, returned itself, or it takes
    the place of a kept one drawn at random, which is returned (Shrivastava et al. 2017, section 2.3; Zhu et al. 2017,
    section 4, with 50 pictures).

    Args:
        size: pictures kept; 0 returns what comes.
        seed: of the draws.
    """

    def __init__(self, size: int = 50, *, seed: int = 0) -> None:
        if size < 0:
            raise InputError(f"A pool keeps a number of pictures, 0 for none, got {size}.")
        self.size, self.rng = size, torch.Generator().manual_seed(seed)
        self.kept: list[Tensor] = []

    def exchange(self, fakes: Images) -> Images:
        """As many pictures as came, `(N, C, H, W)`, detached."""
        if not self.size:
            return fakes.detach()
        return torch.stack([self._exchange_one(fake) for fake in fakes.detach()])

    def _exchange_one(self, fake: Tensor) -> Tensor:
        if len(self.kept) < self.size:
            self.kept.append(fake.clone())
            return fake
        if torch.rand((), generator=self.rng) < 0.5:
            return fake
        place = int(torch.randint(self.size, (), generator=self.rng))
        old, self.kept[place] = self.kept[place], fake.clone()
        return old

    def state_dict(self) -> dict[str, Any]:
        """The pictures and the random stream."""
        return {"kept": list(self.kept), "rng": self.rng.get_state()}

    def load_state_dict(self, state: Mapping[str, Any], *, device: torch.device) -> None:
        """The inverse of `state_dict`."""
        self.kept = [picture.to(device) for picture in state["kept"]]
        self.rng.set_state(state["rng"])


class Terms:
    """Running means of the named parts of a loss, kept on the device until they are read."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.steps = 0

    def add(self, **terms: Tensor) -> None:
        """Count one step's values."""
        self.sums = {name: self.sums.get(name, 0) + value.detach() for name, value in terms.items()}
        self.steps += 1

    def read(self) -> dict[str, float]:
        """Means since the last call."""
        means = {name: value.item() / self.steps for name, value in self.sums.items()}
        self.sums, self.steps = {}, 0
        return means


class Updates:
    """Two Adams, one for the generators and one for the discriminators, led by one schedule."""

    def __init__(
        self,
        generators: nn.Module,
        discriminators: nn.Module,
        rates: tuple[float, float],
        betas: tuple[float, float],
        schedule: Schedule | None,
    ) -> None:
        self.networks, self.rates, self.schedule, self.steps_done = (generators, discriminators), rates, schedule, 0
        self.g, self.d = (
            torch.optim.Adam(network.parameters(), rate, betas, fused=True)
            for network, rate in zip(self.networks, rates, strict=True)
        )
        for network in self.networks:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
        self._set_rates()

    def descend_d(self, loss: Tensor) -> None:
        """One step of the discriminators."""
        self.d.zero_grad(set_to_none=True)
        loss.backward()
        self.d.step()

    def descend_g(self, loss: Tensor) -> None:
        """One step of the generators; the schedule moves on."""
        self.g.zero_grad(set_to_none=True)
        loss.backward()
        self.g.step()
        self.steps_done += 1
        self._set_rates()

    def _set_rates(self) -> None:
        factor = 1.0 if self.schedule is None else self.schedule(self.steps_done)
        for optimizer, rate in zip((self.g, self.d), self.rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor

    def state_dict(self) -> dict[str, Any]:
        """Networks and optimisers."""
        g, d = (network.state_dict() for network in self.networks)
        optimisers = {"optimizer_g": self.g.state_dict(), "optimizer_d": self.d.state_dict()}
        return {"generators": g, "discriminators": d, **optimisers, "steps_done": self.steps_done}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        for network, name in zip(self.networks, ("generators", "discriminators"), strict=True):
            network.load_state_dict(state[name])
        for optimizer, name in zip((self.g, self.d), ("optimizer_g", "optimizer_d"), strict=True):
            optimizer.load_state_dict(state[name])
            for parameter, moments in optimizer.state.items():  # back to the parameter's memory layout, as when saved
                for key, value in moments.items():
                    if value.shape == parameter.shape:
                        moments[key] = torch.empty_like(parameter).copy_(value)
        self.steps_done = state["steps_done"]
        self._set_rates()


def d_loss(loss: Loss, real_logits: Tensor, fake_logits: Tensor) -> Float[Tensor, ""]:
    """The discriminator's loss, mean over pictures and patches."""
    real_logits, fake_logits = real_logits.flatten(), fake_logits.flatten()
    check_logits(real_logits, fake_logits)
    return loss.d(real_logits, fake_logits).mean()


def g_loss(loss: Loss, judge: Any, fake: Tensor, real: Tensor) -> Float[Tensor, ""]:
    """The generator's loss under ``judge``, mean over pictures and patches; only relativistic ones look at ``real``."""
    fake_logits = judge(fake).flatten()
    real_logits = judge(real).flatten() if loss.relativistic else fake_logits
    return loss.g(real_logits, fake_logits).mean()


@torch.no_grad()
def translated(
    generator: nn.Module, x: Images, rng: torch.Generator | None, batch_size: int, device: torch.device
) -> Tensor:
    """``generator(x)`` in evaluation mode, on the CPU; the generator is left as it was."""
    training = generator.training
    generator.eval()
    try:
        return torch.cat([generator(part.to(device), rng).cpu() for part in x.split(batch_size)])
    finally:
        generator.train(training)
