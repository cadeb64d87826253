"""Games small enough to be solved on paper: the same losses and penalties as vector fields in a few parameters.

A GAN with generator parameters θ and discriminator parameters ψ moves along ``v(θ, ψ) = (-∇_θ L_G, -∇_ψ L_D)``
(Mescheder, Geiger & Nowozin 2018, section 2). Whether training converges near an equilibrium is read off the
eigenvalues of the Jacobian of v there, or of one training step. Every field comes from `ganbook.losses` and
`ganbook.penalties` by autograd, so that what is proven here is true of what trains images.

A state is one vector `(θ, ψ)`; all functions are differentiable in it. Use float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from ganbook.errors import InputError
from ganbook.losses import get_loss
from ganbook.penalties import check_weight, get_penalty

State = Float[Tensor, " n"]
ScalarLoss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Game:
    """Two players, each with a loss of both players' parameters."""

    g_loss: ScalarLoss  # (θ, ψ) to a scalar, which θ minimises
    d_loss: ScalarLoss  # (θ, ψ) to a scalar, which ψ minimises
    n_theta: int  # the first n_theta coordinates of a state are θ, the others ψ

    def split(self, state: State) -> tuple[Tensor, Tensor]:
        """The state's θ and ψ."""
        return state[: self.n_theta], state[self.n_theta :]


def adversarial_game(
    generator: Callable[[Tensor], Tensor],
    discriminator: Callable[[Tensor, Tensor], Tensor],
    real: Float[Tensor, "m d"],
    *,
    n_theta: int,
    loss: str = "minimax",
    penalty: str = "none",
    penalty_weight: float = 0.0,
    weights: Float[Tensor, " m"] | None = None,
    seed: int = 0,
) -> Game:
    """The game that a loss of `LOSSES` and a penalty of `PENALTIES` define for two parametric functions.

    Args:
        generator: θ to fake samples `(m, d)`.
        discriminator: `(ψ, x)` to logits `(m,)`.
        real: the real samples, paired with the fake ones.
        n_theta: length of θ.
        loss, penalty, penalty_weight: as in `ganbook.models.gan.GAN`.
        weights: of the samples, summing to 1, for expectations by quadrature; default equal.
        seed: of a penalty's interpolation, the same at every evaluation, so that the field is a function.
    """
    check_weight(penalty, penalty_weight)
    pair, penalise = get_loss(loss), get_penalty(penalty)
    mass = torch.full((len(real),), 1 / len(real), dtype=real.dtype) if weights is None else weights

    def logits(theta: Tensor, psi: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        fake = generator(theta)
        return fake, discriminator(psi, real), discriminator(psi, fake)

    def g_loss(theta: Tensor, psi: Tensor) -> Tensor:
        _, real_logits, fake_logits = logits(theta, psi)
        return (mass * pair.g(real_logits, fake_logits)).sum()

    def d_loss(theta: Tensor, psi: Tensor) -> Tensor:
        fake, real_logits, fake_logits = logits(theta, psi)
        value = (mass * pair.d(real_logits, fake_logits)).sum()
        if penalise is not None:
            rng = torch.Generator().manual_seed(seed)
            per_sample = penalise(lambda x, _: discriminator(psi, x), real, fake, rng=rng)
            value = value + penalty_weight * (mass * per_sample).sum()
        return value

    return Game(g_loss, d_loss, n_theta)


def gauss_hermite(points: int) -> tuple[Float[Tensor, " k"], Float[Tensor, " k"]]:
    """Nodes and weights with ``E f(ε) = Σ w_i f(x_i)`` for ε ~ N(0, 1) and every polynomial f below degree 2·points."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(points)
    return torch.from_numpy(nodes), torch.from_numpy(weights / weights.sum())


UNDECIDED = {"lsgan": 0.5, "fgan_kl": 1.0}  # the best logit where real and fake are equally likely; else 0


def dirac_gan(
    loss: str = "minimax",
    *,
    penalty: str = "none",
    penalty_weight: float = 0.0,
    noise_std: float = 0.0,
    dim: int = 1,
    points: int = 20,
) -> Game:
    """The Dirac-GAN: real data at 0, fake data at θ, ``D(x) = t* + ψ·x`` in `dim` dimensions (Mescheder et al. 2018).

    t* is the logit of a discriminator that cannot decide, 0 for most losses (`UNDECIDED`). The paper's discriminator is
    large on fake data: its ψ is minus ours, and its f(t) is ``-softplus(-t)``.

    Args:
        noise_std: σ of instance noise on real and fake data, integrated by quadrature with `points` nodes a side; in
            one dimension only.

    Raises:
        InputError: instance noise in more than one dimension.
    """
    real = torch.zeros(1, dim, dtype=torch.float64)
    weights = torch.ones(1, dtype=torch.float64)
    fake_noise = torch.zeros(1, dim, dtype=torch.float64)
    if noise_std:
        if dim != 1:
            raise InputError(f"Instance noise is integrated in one dimension, got dim={dim}. Set dim=1 or noise_std=0.")
        nodes, node_weights = gauss_hermite(points)  # independent noise on each side: all pairs of nodes
        real = noise_std * nodes.repeat_interleave(points)[:, None]
        fake_noise = noise_std * nodes.repeat(points)[:, None]
        weights = torch.outer(node_weights, node_weights).flatten()
    return adversarial_game(
        lambda theta: theta + fake_noise,
        lambda psi, x: UNDECIDED.get(loss, 0.0) + x @ psi,
        real,
        n_theta=dim,
        loss=loss,
        penalty=penalty,
        penalty_weight=penalty_weight,
        weights=weights,
    )


def gaussian_gan(
    loss: str = "minimax", *, penalty: str = "none", penalty_weight: float = 0.0, points: int = 20
) -> Game:
    """Learning N(0, 1): θ = (μ, s) makes ``μ + s·ε``, and ``D(x) = ψ₀ + ψ₁x + ψ₂x²`` contains the best discriminator.

    The equilibrium is θ = (0, 1), ψ = 0. Unlike the Dirac-GAN the two distributions overlap.
    """
    nodes, weights = gauss_hermite(points)
    pairs = torch.outer(weights, weights).flatten()
    epsilon = nodes.repeat(points)[:, None]
    return adversarial_game(
        lambda theta: theta[0] + theta[1] * epsilon,
        lambda psi, x: psi[0] + psi[1] * x[:, 0] + psi[2] * x[:, 0].square(),
        nodes.repeat_interleave(points)[:, None],
        n_theta=2,
        loss=loss,
        penalty=penalty,
        penalty_weight=penalty_weight,
        weights=pairs,
    )


def _descent(loss: Callable[[Tensor], Tensor], player: Tensor) -> Tensor:
    """Minus the partial derivative of ``loss`` in one player, whatever else depends on that player held fixed."""
    alias = player.view_as(player)  # other tensors may depend on `player`, none on this
    (gradient,) = torch.autograd.grad(loss(alias), alias, create_graph=True, allow_unused=True, materialize_grads=True)
    return -gradient


def _attached(state: Tensor) -> Tensor:
    return state if state.requires_grad else state.detach().requires_grad_()


def vector_field(game: Game, state: State) -> State:
    """``v(θ, ψ) = (-∇_θ L_G, -∇_ψ L_D)``, by autograd."""
    with torch.enable_grad():
        theta, psi = game.split(_attached(state))
        v_theta = _descent(lambda t: game.g_loss(t, psi), theta)
        v_psi = _descent(lambda p: game.d_loss(theta, p), psi)
        return torch.cat([v_theta, v_psi])


Step = Callable[[Game, State, float], State]


def simultaneous(game: Game, state: State, h: float) -> State:
    """``x ← x + h·v(x)``: both players move at once."""
    return state + h * vector_field(game, state)


def alternating(game: Game, state: State, h: float) -> State:
    """The discriminator moves first, the generator answers it, as `ganbook.training.train` does with n_dis = 1."""
    with torch.enable_grad():
        theta, psi = game.split(_attached(state))
        answered = psi + h * _descent(lambda p: game.d_loss(theta, p), psi)
        return torch.cat([theta + h * _descent(lambda t: game.g_loss(t, answered), theta), answered])


def unrolled(game: Game, state: State, h: float, *, k: int = 1) -> State:
    """The discriminator moves; the generator descends its loss **through** the next k moves (Metz et al. 2017).

    With k = 1 this is `alternating` but for one term, the discriminator's reaction to θ.
    """
    with torch.enable_grad():
        theta, psi = game.split(_attached(state))
        moved = psi + h * _descent(lambda p: game.d_loss(theta, p), psi)

        def foreseen(t: Tensor) -> Tensor:
            reaction = psi
            for _ in range(k):
                reaction = reaction + h * _descent(lambda p: game.d_loss(t, p), reaction)
            return game.g_loss(t, reaction)

        return torch.cat([theta + h * _descent(foreseen, theta), moved])


def trajectory(
    game: Game, start: State, h: float, steps: int, *, step: Step = simultaneous, clip: float = 0.0
) -> Float[Tensor, "steps n"]:
    """The states from ``start`` on, `(steps + 1, n)`.

    Args:
        h: step size, above 0.
        clip: after each step ψ is clamped to `[-clip, clip]` (Arjovsky et al. 2017); 0 for never.

    Raises:
        InputError: a step size that is not above 0.
    """
    if not h > 0:
        raise InputError(f"A trajectory needs a step size h above 0, got {h}.")
    states = [start.detach()]
    for _ in range(steps):
        state = step(game, states[-1], h).detach()
        if clip:
            theta, psi = game.split(state)
            state = torch.cat([theta, psi.clamp(-clip, clip)])
        states.append(state)
    return torch.stack(states)


def jacobian(function: Callable[[Tensor], Tensor], state: State) -> Float[Tensor, "n n"]:
    """The Jacobian of a field or a step at one state."""
    return torch.autograd.functional.jacobian(function, state.detach())


def field_eigenvalues(game: Game, state: State) -> Complex[Tensor, " n"]:
    """Eigenvalues of v' at a state: an equilibrium attracts the continuous dynamics if all real parts are below 0."""
    return torch.linalg.eigvals(jacobian(lambda x: vector_field(game, x), state))


def step_eigenvalues(game: Game, state: State, h: float, *, step: Step = simultaneous) -> Complex[Tensor, " n"]:
    """Eigenvalues of one training step at a state: it attracts training if all absolute values are below 1."""
    return torch.linalg.eigvals(jacobian(lambda x: step(game, x, h), state))
