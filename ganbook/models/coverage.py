"""Which cures of mode collapse are compared, and on what: the plain game with one thing changed at a time.

Ring and grid are learned by small fully connected networks, stacked MNIST by small DCGANs. Networks, data, batch, steps
and optimiser are the same for all methods of a target; a method adds its own ingredient and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, get_type_hints

import torch
from torch import Tensor, nn

from ganbook import data
from ganbook.config import checked, require
from ganbook.data.stacked import CHANNELS, StackedDigits
from ganbook.data.toy import GaussianMixture, endless, grid, ring
from ganbook.errors import unknown_name
from ganbook.judge import TrainedJudge
from ganbook.metrics.modes import ModeStatistics, StackedModes, mode_statistics, stacked_modes
from ganbook.models.gan import GAN
from ganbook.nn import dcgan, mlp
from ganbook.nn.layers import MinibatchDiscrimination
from ganbook.nn.packing import Packed

SIDE = 28  # pixels of a digit


@dataclass(frozen=True)
class Method:
    """What is changed in the plain game."""

    title: str
    loss: str = "nonsaturating"
    penalty: str = "none"  # its weight belongs to the target: slopes have units
    norm: str = "none"  # of the discriminator, "spectral" or "none"
    unroll: int = 0  # steps of the discriminator that the generator foresees
    kernels: int = 0  # of minibatch discrimination
    pack: int = 1  # samples that the discriminator judges at once


METHODS: dict[str, Method] = {
    "vanilla": Method("plain"),
    "unrolled": Method("unrolled, 3 steps", unroll=3),
    "minibatch": Method("minibatch discrimination", kernels=4),
    "pacgan": Method("PacGAN2", pack=2),
    "wgan_gp": Method("WGAN-GP", loss="wasserstein", penalty="wgan_gp"),
    "spectral": Method("spectral norm", loss="hinge", norm="spectral"),
    "rpgan": Method("RpGAN + R1 + R2", loss="rpgan", penalty="r1_r2"),
}


@dataclass(frozen=True)
class Target:
    """What is learned, and the recipe that all methods share on it."""

    steps: int  # generator steps of the full experiment, one discriminator step each
    n_eval: int  # samples that are counted; the papers take 2500 points and 26,000 stacks
    batch_size: int
    lr: float  # Adam's, of both networks: constant for half of the steps, then linear down to 0
    betas: tuple[float, float]
    latent_dim: int
    width_g: int
    width_d: int
    weights: tuple[tuple[str, float], ...]  # penalty: its weight here
    unroll_lr: float  # of the foreseen steps, which are plain descent: Adam's rate would hardly move anything
    mixture: Callable[[], GaussianMixture] | None = None  # None: stacked MNIST

    def weight(self, penalty: str) -> float:
        """The weight of a penalty on this target, 0 for none."""
        return dict(self.weights).get(penalty, 0.0)


PLANE = Target(
    steps=1600,
    n_eval=2500,
    batch_size=128,
    lr=3e-3,
    betas=(0.0, 0.9),
    latent_dim=2,
    width_g=128,
    width_d=128,
    weights=(("wgan_gp", 0.1), ("r1_r2", 0.05)),
    unroll_lr=0.003,
    mixture=grid,
)
TARGETS: dict[str, Target] = {
    "ring": replace(PLANE, steps=600, weights=(("wgan_gp", 0.1), ("r1_r2", 0.02)), mixture=ring),
    "grid": PLANE,
    "stacked_mnist": Target(
        steps=400,
        n_eval=5000,
        batch_size=64,
        lr=1e-3,
        betas=(0.5, 0.99),
        latent_dim=32,
        width_g=16,
        width_d=8,
        weights=(("wgan_gp", 10.0), ("r1_r2", 1.0)),
        unroll_lr=0.002,
    ),
}


@dataclass(frozen=True)
class Comparison:
    """One run of the comparison; a run is its parameters."""

    target: str = "grid"  # a name in `TARGETS`
    method: str = "vanilla"  # a name in `METHODS`, or all of them one after the other
    steps: int = 1000  # generator steps; 0 for the target's own number
    n_eval: int = 0  # samples that are counted; 0 for the target's own number
    seed: int = 0  # of networks, latents and data

    def __post_init__(self) -> None:
        get_target(self.target)
        if self.method != "all":
            get_method(self.method)
        require("steps", self.steps, self.steps >= 0, "0 (the target's own) or above")
        require("n_eval", self.n_eval, self.n_eval >= 0, "0 (the target's own) or above")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Comparison:
        """A comparison from names and values.

        Raises:
            InputError: a name that is no parameter (the nearest is suggested), or a value of the wrong type or range.
        """
        kinds = get_type_hints(cls)
        for name in values:
            if name not in kinds:
                raise unknown_name("parameter", name, kinds)
        return cls(**{name: checked(name, value, kinds[name]) for name, value in values.items()})

    @property
    def methods(self) -> dict[str, Method]:
        """The methods that the run trains, by name."""
        return METHODS if self.method == "all" else {self.method: METHODS[self.method]}

    @property
    def n_steps(self) -> int:
        """Generator steps of each."""
        return self.steps or TARGETS[self.target].steps

    @property
    def n_samples(self) -> int:
        """How many samples are counted."""
        return self.n_eval or TARGETS[self.target].n_eval


def get_method(name: str) -> Method:
    """The method called ``name``.

    Raises:
        InputError: the name is not in `METHODS`; the nearest one is suggested.
    """
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    return METHODS[name]


def get_target(name: str) -> Target:
    """The target called ``name``.

    Raises:
        InputError: the name is not in `TARGETS`; the nearest one is suggested.
    """
    if name not in TARGETS:
        raise unknown_name("target", name, TARGETS)
    return TARGETS[name]


def build(method: Method, target: Target, *, seed: int, device: str | torch.device = "cpu") -> GAN:
    """Networks, loss and optimisers of a method on a target, initialised from the seed.

    Samples come from the generator as it is, without averaging over steps, as in the papers' tables.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator, discriminator = _images(method, target) if target.mixture is None else _points(method, target)
    return GAN(
        generator,
        Packed(discriminator, method.pack) if method.pack > 1 else discriminator,
        loss=method.loss,
        penalty=method.penalty,
        penalty_weight=target.weight(method.penalty),
        unroll=method.unroll,
        unroll_lr=target.unroll_lr,
        lr_g=target.lr,
        lr_d=target.lr,
        betas=target.betas,
        ema_decay=0.0,
        seed=seed,
        device=device,
    )


def batches(target: Target, *, seed: int, device: str | torch.device = "cpu") -> Iterator[tuple[Tensor, None]]:
    """Endless batches of the target, on the device."""
    if target.mixture is None:
        return StackedDigits(data.load("mnist"), target.batch_size, seed=seed, device=device)
    return ((x.to(device), None) for x, _ in endless(target.mixture(), target.batch_size, seed=seed))


def set_rates(gan: GAN, target: Target, *, step: int, steps: int) -> None:
    """Both learning rates after ``step`` of ``steps``: constant for the first half, then linear down to 0."""
    rate = target.lr * min(1.0, 2 * (1 - step / steps))
    for optimizer in (gan.optimizer_g, gan.optimizer_d):
        for group in optimizer.param_groups:
            group["lr"] = rate


def sample(gan: GAN, n: int, *, seed: int = 1) -> Tensor:
    """``n`` samples of the generator as it is, on the CPU; the same latents for the same seed."""
    gan.refresh_batchnorm()
    return gan.sample(torch.randn(n, gan.latent_dim, generator=torch.Generator().manual_seed(seed)), batch_size=1000)


def covered(mixture: GaussianMixture, samples: Tensor) -> ModeStatistics:
    """Modes captured, high quality and reverse KL of points `(n, d)`; the papers take n = 2500."""
    return mode_statistics(samples, mixture.means, mixture.std)


def covered_digits(judge: TrainedJudge, images: Tensor) -> StackedModes:
    """Modes and reverse KL of stacked digits `(n, 3, 28, 28)` as a judge reads them; the papers take n = 26,000."""
    digits = judge.logits(images.flatten(0, 1)[:, None], batch_size=1000).argmax(1)
    return stacked_modes(digits.reshape(len(images), CHANNELS))


def _points(method: Method, target: Target) -> tuple[nn.Module, nn.Module]:
    generator = mlp.Generator(latent_dim=target.latent_dim, width=target.width_g)
    return generator, mlp.Discriminator(
        dim=2 * method.pack, width=target.width_d, norm=method.norm, kernels=method.kernels
    )


def _images(method: Method, target: Target) -> tuple[nn.Module, nn.Module]:
    generator = dcgan.Generator(resolution=SIDE, channels=CHANNELS, latent_dim=target.latent_dim, width=target.width_g)
    # a penalty forbids BatchNorm; without one and without another norm, DCGAN keeps what it has
    norm = method.norm if method.norm != "none" or method.penalty != "none" else "batch"
    discriminator = dcgan.Discriminator(
        resolution=SIDE, channels=CHANNELS * method.pack, width=target.width_d, norm=norm
    )
    if method.kernels:
        side, doublings = dcgan.stages(SIDE)
        size = side * side * target.width_d * 2 ** (doublings - 1)
        layer = MinibatchDiscrimination(size, method.kernels)
        discriminator.head = nn.Sequential(layer, nn.Linear(size + method.kernels, 1))
    return generator, discriminator
