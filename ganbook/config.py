"""The parameters of one run: a frozen dataclass, checked on entry, the same for notebook and command line."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from ganbook.errors import InputError, unknown_name
from ganbook.losses import check_adaptive, get_loss, no_targets
from ganbook.models.progressive import PYRAMIDS, RESETS, Plan
from ganbook.nn.augment import policy
from ganbook.nn.conditioning import CONDITIONINGS
from ganbook.nn.families import check_family
from ganbook.penalties import check_weight
from ganbook.schedules import schedule
from ganbook.speed import Speed


@dataclass(frozen=True)
class Config:
    """One GAN run; a run is its parameters, so two runs with equal ones are the same run."""

    dataset: str = "mnist"  # a name that `ganbook.data.load` knows
    resolution: int = 28  # pixels: 28 (dcgan only), 32, 64 or 128 (not dcgan); pggan, r3gan: 4, 8, 16, …
    conditional: bool = True  # give both networks the class label
    conditioning: str = "projection"  # how the discriminator gets the label: projection, concat or auxiliary
    network: str = "dcgan"  # a name in `ganbook.nn.families.FAMILIES`: dcgan, resnet, sagan, pggan or r3gan
    attention: str = "none"  # sagan: sides of the feature maps with self-attention, such as 16 or 8,16
    plan: str = "none"  # pggan: its stages, pixels:steps or pixels:fading+stabilising, such as 4:100,8:200+200
    plan_reset: str = "stage"  # with a plan: the optimisers forget their moments never, at each stage or each phase
    pyramid: str = "area"  # with a plan: how real images are shrunk, area (antialiased) or nearest
    loss: str = "nonsaturating"  # a name in `ganbook.losses.LOSSES` or `F_GAN_LOSSES`
    norm: str = "batch"  # discriminator: batch (dcgan only), spectral, none or equalised (pggan only)
    penalty: str = "none"  # on the discriminator's slope: a name in `ganbook.penalties.PENALTIES`, or none
    penalty_weight: float = 0.0  # the paper's λ or γ; 0 with penalty none only
    clip: float = 0.0  # clamp the discriminator's weights to [-clip, clip]; 0 for no clipping
    real_target: float = 1.0  # a: D's target for a real sample is drawn from [a, 1] (one-sided label smoothing)
    instance_noise: float = 0.0  # standard deviation of the noise on everything that D sees
    augment: str = "none"  # of all that D sees: color, translation, cutout, separated by commas
    ada_target: float = 0.0  # ADA: mean sign of the reals' logits that `augment` is adapted to; 0 augments always
    joint_batch: bool = False  # show D real and fake in one batch instead of two
    reuse_fakes: bool = False  # G learns from the fakes that D has just seen, not from fresh ones: faster
    unroll: int = 0  # steps of D that G foresees
    latent_dim: int = 64  # length of z
    width_g: int = 32  # feature maps of the generator's last hidden layer
    width_d: int = 32  # feature maps of the discriminator's first layer
    batch_size: int = 64  # images per step
    steps: int = 2000  # generator steps
    n_dis: int = 1  # discriminator steps per generator step
    lr_g: float = 2.0e-4  # Adam's learning rate, generator
    lr_d: float = 2.0e-4  # Adam's learning rate, discriminator
    beta1: float = 0.5  # Adam's first moment
    beta2: float = 0.999  # Adam's second moment
    weight_decay: float = 0.0  # AdamW's, of both networks; 0 is Adam
    schedule: str = "constant"  # of both learning rates: a name in `ganbook.schedules.SCHEDULES`
    warmup: int = 0  # generator steps over which the learning rates rise to the given ones
    ema_decay: float = 0.999  # of the averaged generator, per step
    flip: bool = False  # mirror half of the images
    n_eval: int = 5000  # samples that the metrics see
    precision: str = "float32"  # of the networks' passes: float32 or bf16 (autocast)
    channels_last: bool = True  # the memory order in which convolutions are fastest
    compile: str = "none"  # torch.compile: none, default or reduce-overhead (CUDA graphs)
    checkpoints: int = 2  # how many of the last checkpoints are kept
    seed: int = 0  # networks, latents and data order

    def __post_init__(self) -> None:
        get_loss(self.loss)
        check_family(self.network, resolution=self.resolution, norm=self.norm, attention=self.attention)
        self._check_variant()
        self._check_regularisers()
        for name in ("latent_dim", "width_g", "width_d", "steps", "n_dis", "n_eval", "checkpoints"):
            require(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        require("batch_size", self.batch_size, self.batch_size >= 2, "at least 2: BatchNorm needs company")
        for name in ("lr_g", "lr_d"):
            require(name, getattr(self, name), getattr(self, name) > 0, "above 0")
        Speed(self.precision, self.channels_last, self.compile)
        schedule(self.schedule, steps=self.steps, warmup=self.warmup)
        for name in ("beta1", "beta2", "ema_decay"):
            require(name, getattr(self, name), 0 <= getattr(self, name) < 1, "in [0, 1)")

    def _check_variant(self) -> None:
        if self.plan != "none":
            check_plan(self.plan, self.network, resolution=self.resolution, steps=self.steps)
        require(
            "conditioning", self.conditioning, self.conditioning in CONDITIONINGS, f"one of {', '.join(CONDITIONINGS)}"
        )
        require("plan_reset", self.plan_reset, self.plan_reset in RESETS, f"one of {', '.join(RESETS)}")
        require("pyramid", self.pyramid, self.pyramid in PYRAMIDS, f"one of {', '.join(PYRAMIDS)}")

    def _check_regularisers(self) -> None:
        for name in ("clip", "instance_noise", "unroll", "weight_decay"):
            require(name, getattr(self, name), getattr(self, name) >= 0, "0 (off) or above")
        require("real_target", self.real_target, 0.5 < self.real_target <= 1, "above 0.5 and at most 1")
        policy(self.augment)
        require("ada_target", self.ada_target, 0 <= self.ada_target < 1, "in [0, 1), 0 being off")
        if self.ada_target:
            check_adaptive(self.loss, self.augment)
        check_weight(self.penalty, self.penalty_weight)
        if self.penalty != "none" and self.norm == "batch":
            raise InputError(
                f"penalty={self.penalty!r} and norm='batch' are incompatible: BatchNorm ties the samples of a batch "
                "together, so that none has a gradient of its own. Choose norm='none' or norm='spectral'."
            )
        if self.clip and self.norm == "spectral":
            raise InputError(
                f"clip={self.clip} and norm='spectral' are incompatible: the norm divides by the very scale that "
                "clipping bounds. Choose one of the two."
            )
        if self.real_target < 1 and get_loss(self.loss).smooth_d is None:
            raise no_targets(self.loss)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Config:
        """A configuration from names and values.

        Raises:
            InputError: a name that is no parameter (the nearest is suggested), or a value of the wrong type or range.
        """
        kinds = get_type_hints(cls)
        for name in values:
            if name not in kinds:
                raise unknown_name("parameter", name, kinds)
        return cls(**{name: checked(name, value, kinds[name]) for name, value in values.items()})


def checked(name: str, value: Any, kind: type) -> Any:
    """``value`` as ``kind``, refusing what merely looks like it; whole numbers are accepted as floats.

    Raises:
        InputError: another type, or a number that is not finite.
    """
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        hint = " YAML reads 2e-4 as text: write 2.0e-4." if kind is float and isinstance(value, str) else ""
        raise InputError(f"Parameter {name} is {_article(kind)}, got {value!r} ({type(value).__name__}).{hint}")
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"Parameter {name} is a finite number, got {value}.")
    return value


def check_plan(text: str, network: str, *, resolution: int, steps: int) -> None:
    """Refuse a plan that such a run cannot follow to its end.

    Raises:
        InputError: no plan at all, networks that do not grow, another last resolution, or more steps than the run has.
    """
    plan = Plan.parse(text)
    if network != "pggan":
        raise InputError(
            f"network={network!r} and plan={text!r} are incompatible: only pggan grows. Choose network='pggan', or "
            "plan='none'."
        )
    if plan.stages[-1].resolution != resolution:
        raise InputError(
            f"plan={text!r} ends at {plan.stages[-1].resolution} pixels, but resolution={resolution}. Let the last "
            "stage be the run's resolution."
        )
    if plan.steps > steps:
        raise InputError(
            f"plan={text!r} takes {plan.steps} generator steps, but steps={steps}. Shorten the plan, or set steps to "
            f"{plan.steps} or more: what is left over goes to the last stage."
        )


def require(name: str, value: Any, holds: bool, expected: str) -> None:
    """Raise unless ``holds``.

    Raises:
        InputError: names the parameter, its value and what was expected.
    """
    if not holds:
        raise InputError(f"Parameter {name} must be {expected}, got {value!r}.")


def _article(kind: type) -> str:
    return {int: "a whole number", float: "a number", str: "text", bool: "True or False"}[kind]


# names that IPython itself puts into a notebook's namespace
IPYTHON_NAMES = {"In", "Out", "exit", "quit", "get_ipython"}


def notebook_parameters(namespace: Mapping[str, Any], allowed: set[str]) -> dict[str, Any]:
    """The plain values that a notebook has defined so far, refusing names outside ``allowed``.

    Call it right after the parameters cell: everything papermill injected is then in the namespace, and a misspelt
    parameter, which papermill itself lets through, shows as a name that nobody knows.

    Args:
        namespace: the notebook's `globals()`.
        allowed: the parameters that the notebook documents.

    Raises:
        InputError: a plain value under an unknown name; the nearest parameter is suggested.
    """
    values = {
        name: value
        for name, value in namespace.items()
        if not name.startswith("_")
        and name not in IPYTHON_NAMES
        and not isinstance(value, type | types.ModuleType)
        and not callable(value)
    }
    for name in values:
        if name not in allowed:
            raise unknown_name("parameter", name, allowed)
    return values
