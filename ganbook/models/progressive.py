"""Progressive growing (Karras, Aila, Laine & Lehtinen 2018, section 2): a GAN trained stage by stage on larger images.

A `Plan` says, for each generator step, how many pixels the networks work with and how far the newest block has been
faded in; nothing else knows. `Progressive` follows it with the updates of an ordinary `GAN`, whose losses, penalties
and averaging stay what they are, and so goes through the ordinary loop:

    gan = GAN(pggan.Generator(resolution=32), pggan.Discriminator(resolution=32), loss="wasserstein", …)
    plan = Plan.parse("4:300,8:300+300,16:600+600,32:1200+2400")
    train(Progressive(gan, plan), batches, steps=plan.steps)

The batches hold images of the full resolution, which are shrunk on the device; while a block is faded in, so are the
real images' details. After the plan's end the last stage goes on: the final stabilisation is as long as one likes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, pairwise, zip_longest
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ganbook.errors import InputError, unknown_name
from ganbook.models.gan import GAN
from ganbook.nn.pggan import Growing, sides
from ganbook.nn.resnet import double

Images = Float[Tensor, "n c _h _w"]


@dataclass(frozen=True)
class Stage:
    """One resolution: first its block is faded in, then all of the network is stabilised.

    Raises:
        InputError: a negative number of steps, or none at all.
    """

    resolution: int  # pixels
    fade: int  # generator steps in which alpha rises from 0 towards 1
    hold: int  # generator steps at alpha = 1

    def __post_init__(self) -> None:
        if min(self.fade, self.hold) < 0 or self.steps == 0:
            raise InputError(
                f"A stage takes at least one generator step, got {self.fade} of fading in and {self.hold} of "
                f"stabilising at {self.resolution} pixels. Give it a budget, or leave the stage out and start above it."
            )

    @property
    def steps(self) -> int:
        """Generator steps in all."""
        return self.fade + self.hold

    def __str__(self) -> str:
        return f"{self.resolution}:{self.fade}+{self.hold}" if self.fade else f"{self.resolution}:{self.hold}"


@dataclass(frozen=True)
class Plan:
    """The stages, each of twice the pixels of the one before; written ``"4:300,8:300+300,16:600+600"``.

    Raises:
        InputError: no stage, stages that do not double, a resolution that is not 4 times a power of two, or a first
            stage that would fade in, from nothing.
    """

    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        if not self.stages:
            raise InputError("A plan has at least one stage, got none. Write for instance 4:300,8:300+300.")
        for stage in self.stages:
            sides(stage.resolution)  # refuses what is not 4 times a power of two
        for a, b in pairwise(self.stages):
            if b.resolution != 2 * a.resolution:
                raise InputError(
                    f"Each stage has twice the pixels of the one before, got {b.resolution} behind {a.resolution}. "
                    f"Continue with {2 * a.resolution}."
                )
        if self.stages[0].fade:
            raise InputError(
                f"The first stage has nothing to fade from, got {self.stages[0]}. Write "
                f"{self.stages[0].resolution}:{self.stages[0].steps}."
            )

    @classmethod
    def parse(cls, text: str) -> Plan:
        """The plan that `str` writes: ``side:hold`` or ``side:fade+hold``, separated by commas.

        Raises:
            InputError: anything else.
        """
        stages = []
        for part in text.split(","):
            side, _, budget = part.strip().partition(":")
            fade, plus, hold = budget.rpartition("+")
            numbers = (side, fade or "0", hold) if not plus or fade else ("", "", "")
            if not all(number.strip().isdecimal() for number in numbers):
                raise InputError(
                    f"A plan lists its stages as side:steps or side:fading+stabilising, such as 4:300,8:300+300, got "
                    f"{part.strip()!r} in {text!r}."
                )
            stages.append(Stage(*(int(number) for number in numbers)))
        return cls(tuple(stages))

    @classmethod
    def growing(
        cls, resolution: int, steps: int, *, first: int = 4, ratio: float = 1.5, fade: float = 0.5, round_to: int = 1
    ) -> Plan:
        """A plan of about ``steps`` generator steps in which each stage is ``ratio`` times as long as the last.

        Args:
            resolution: of the last stage.
            first: of the first stage.
            ratio: above 1 spends more on larger images.
            fade: share of each stage, the first excepted, in which its block is faded in.
            round_to: budgets are multiples of this.

        Raises:
            InputError: resolutions, a share outside [0, 1] or a ratio that cannot be; fewer steps than there are
                stages.
        """
        if first not in sides(resolution):
            raise InputError(f"A plan to {resolution} pixels starts at 4, 8, … {resolution}, got first={first}.")
        if not 0 <= fade <= 1 or not ratio > 0 or round_to < 1:
            raise InputError(
                f"fade is a share in [0, 1], ratio is above 0 and round_to at least 1, got fade={fade}, ratio={ratio} "
                f"and round_to={round_to}."
            )
        resolutions = [side for side in sides(resolution) if side >= first]
        weights = [ratio**i for i in range(len(resolutions))]
        budgets = [round(steps * w / sum(weights) / round_to) * round_to for w in weights]
        fades = [0, *(round(fade * budget / round_to) * round_to for budget in budgets[1:])]
        return cls(tuple(Stage(r, f, b - f) for r, f, b in zip(resolutions, fades, budgets, strict=True)))

    @property
    def steps(self) -> int:
        """Generator steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    @property
    def ends(self) -> list[int]:
        """For each stage, how many generator steps are done when it ends."""
        return list(accumulate(stage.steps for stage in self.stages))

    def at(self, step: int) -> tuple[int, float]:
        """Pixels and alpha of the generator step with ``step`` ones before it; past the end the last stage goes on.

        The first step of a fade has alpha = 0, at which the networks still are the old ones exactly; alpha is 1 right
        behind the last.

        Raises:
            InputError: a negative step.
        """
        if step < 0:
            raise InputError(f"Steps count from 0, got {step}.")
        for stage, end in zip(self.stages, self.ends, strict=True):
            done = step - (end - stage.steps)
            if step < end:
                return stage.resolution, done / stage.fade if done < stage.fade else 1.0
        return self.stages[-1].resolution, 1.0

    def __str__(self) -> str:
        return ",".join(map(str, self.stages))


def nearest(x: Images, resolution: int) -> Images:
    """Every k-th pixel of the image: details that are finer than the new grid come back as false patterns."""
    factor = x.shape[2] // resolution
    return x[:, :, ::factor, ::factor]


def area(x: Images, resolution: int) -> Images:
    """The mean over each k×k square: antialiased, and what the discriminator itself does between its blocks."""
    return avg_pool2d(x, x.shape[2] // resolution)


PYRAMIDS: dict[str, Callable[[Images, int], Images]] = {"area": area, "nearest": nearest}
RESETS = ("never", "stage", "phase")


def faded(x: Images, resolution: int, alpha: float, shrink: Callable[[Images, int], Images] = area) -> Images:
    """Real images as a stage sees them: shrunk, and while a block is faded in, blended with their half's double.

    Args:
        x: images of the full resolution.
        resolution: of the stage.
        alpha: the share of the stage's own details.
        shrink: `area` or `nearest`.
    """
    if x.shape[2] != resolution:
        x = shrink(x, resolution)
    return x if alpha == 1 else torch.lerp(double(shrink(x, resolution // 2)), x, alpha)


class Progressive:
    """A GAN of growing networks that follows a plan; a `ganbook.training.Model`.

    Args:
        gan: of two `ganbook.nn.pggan` networks.
        plan: ends at the networks' full resolution.
        reset: when both optimisers forget their moments: `"never"`, at each new `"stage"`, or at each `"phase"`, that
            is also when a block has been faded in.
        pyramid: how real images are shrunk, `"area"` (antialiased) or `"nearest"`.

    Raises:
        InputError: networks that cannot grow or do not fit the plan, or an unknown name.
    """

    def __init__(self, gan: GAN, plan: Plan, *, reset: str = "stage", pyramid: str = "area") -> None:
        networks = (gan.generator, gan.discriminator, gan.ema.module)
        if not all(isinstance(network, Growing) for network in networks):
            raise InputError(
                "Only networks of ganbook.nn.pggan grow by a plan, got "
                f"{type(gan.generator).__module__} and {type(gan.discriminator).__module__}. Choose network='pggan'."
            )
        self.networks = cast(tuple[Growing, ...], networks)
        self.full = self.networks[0].sides[-1]
        if any(network.sides[-1] != plan.stages[-1].resolution for network in self.networks):
            raise InputError(
                f"The plan {plan} ends at {plan.stages[-1].resolution} pixels, the networks at {self.full}. Let the "
                "last stage be of the networks' resolution."
            )
        for kind, name, known in (("reset", reset, RESETS), ("pyramid", pyramid, tuple(PYRAMIDS))):
            if name not in known:
                raise unknown_name(kind, name, known)
        self.gan, self.plan, self.reset, self.pyramid = gan, plan, reset, pyramid
        self.step = 0  # generator steps done
        self.phase = self._grow()

    def discriminator_step(self, real: Images, labels: Int[Tensor, " n"] | None = None) -> Float[Tensor, ""]:
        """`GAN.discriminator_step` on the images of the current stage; `real` is of the full resolution."""
        return self.gan.discriminator_step(self._prepared(real), labels)

    def generator_step(self, real: Images, labels: Int[Tensor, " n"] | None = None) -> Float[Tensor, ""]:
        """`GAN.generator_step` on the images of the current stage; the plan's next step follows."""
        loss = self.gan.generator_step(self._prepared(real), labels)
        self.step += 1
        return loss

    def _prepared(self, real: Tensor) -> Tensor:
        if real.shape[2:] != (self.full, self.full):
            raise InputError(
                f"A growing GAN shrinks images of its full {self.full}×{self.full} pixels itself, got "
                f"{tuple(real.shape)}. Load the data at resolution={self.full}."
            )
        phase = self._grow()
        if phase != self.phase:
            self._forget(new_stage=phase[0] != self.phase[0])
            self.phase = phase
        resolution, alpha = self.plan.at(self.step)
        return faded(real, resolution, alpha, PYRAMIDS[self.pyramid])

    def _grow(self) -> tuple[int, bool]:
        """Let all three networks be where the plan is; the stage's resolution, and whether its block is faded in."""
        resolution, alpha = self.plan.at(self.step)
        for network in self.networks:
            network.grow(resolution, alpha)
        return resolution, alpha == 1

    def _forget(self, *, new_stage: bool) -> None:
        if self.reset == "phase" or (self.reset == "stage" and new_stage):
            for optimizer in (self.gan.optimizer_g, self.gan.optimizer_d):
                optimizer.state = defaultdict(dict)

    def position(self) -> dict[str, Any]:
        """Where in which plan this stands; with the GAN's own state it is all that a later step depends on."""
        place = {"step": self.step, "phase": list(self.phase)}
        return {"plan": str(self.plan), "reset": self.reset, "pyramid": self.pyramid, **place}

    def go_to(self, position: dict[str, Any]) -> None:
        """Continue where `position` was taken; the GAN's state is restored apart.

        Raises:
            InputError: it was reached by another plan; the message lists the differences.
        """
        changed = plan_differences(Plan.parse(position["plan"]), self.plan)
        for name, here in (("reset", self.reset), ("pyramid", self.pyramid)):
            if position[name] != here:
                changed.append(f"{name}: {position[name]!r} there, {here!r} here")
        if changed:
            raise InputError(
                f"This state was reached by another plan ({'; '.join(changed)}). Resume it with its own, or start "
                "again with the new one."
            )
        resolution, whole = position["phase"]
        self.step, self.phase = position["step"], (resolution, whole)

    def state_dict(self) -> dict[str, Any]:
        """The GAN's state and the `position`."""
        return {"gan": self.gan.state_dict(), "position": self.position()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`; a state of another plan is refused as in `go_to`."""
        self.go_to(state["position"])
        self.gan.load_state_dict(state["gan"])


def plan_differences(there: Plan, here: Plan) -> list[str]:
    """One line for each stage that differs, as ``"stage 8:100+100 there, 8:200+200 here"``."""
    pairs = zip_longest(there.stages, here.stages)
    return [f"stage {a or 'none'} there, {b or 'none'} here" for a, b in pairs if a != b]
