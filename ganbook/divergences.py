"""Distances between distributions: f-divergences on weighted points, closed forms for Gaussians, W_k on a line.

A distribution is given by its values at n points. Without weights they are probabilities, which sum to one; with
quadrature weights (`trapezoid_weights`) they are a density on a grid, so that one formula serves a die and a Gaussian:

    D_f(p ‖ q) = Σ_i w_i q_i f(p_i / q_i),      f convex, f(1) = 0.

Everything is computed in float64 and can be differentiated. Argument order is (real, fake), as everywhere: p is the
data's distribution and q the generator's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ganbook.errors import InputError, unknown_name

Points = Float[Tensor, " n"]
Scalar = Float[Tensor, ""]
Function = Callable[[Tensor], Tensor]


class FDivergence(NamedTuple):
    """A generating function with what its variational form needs (Nowozin et al. 2016, tables 1, 2 and 6)."""

    f: Function  # of the ratio u = p/q ≥ 0; its value at 0 is the limit
    slope: Function  # f'(u): the best critic is T* = f'(p/q)
    conjugate: Function  # f*(t) = sup over u ≥ 0 of u t - f(u); infinite where the supremum is
    slope_at_infinity: float  # lim f(u)/u: the price of a point that q never visits


def _inside(t: Tensor, allowed: Tensor, value: Tensor) -> Tensor:
    """``value`` where ``allowed``, +∞ elsewhere."""
    return torch.where(allowed, value, torch.full_like(t, math.inf))


F_DIVERGENCES: dict[str, FDivergence] = {
    "kl": FDivergence(
        f=lambda u: torch.xlogy(u, u),
        slope=lambda u: 1 + torch.log(u),
        conjugate=lambda t: torch.exp(t - 1),
        slope_at_infinity=math.inf,
    ),
    "reverse_kl": FDivergence(
        f=lambda u: -torch.log(u),
        slope=lambda u: -1 / u,
        conjugate=lambda t: _inside(t, t < 0, -1 - torch.log(-t.clamp(max=-1e-300))),
        slope_at_infinity=0.0,
    ),
    "js": FDivergence(
        f=lambda u: (torch.xlogy(u, u) - torch.xlogy(u + 1, (u + 1) / 2)) / 2,
        slope=lambda u: torch.log(2 * u / (u + 1)) / 2,
        conjugate=lambda t: _inside(t, t < math.log(2) / 2, -torch.log((2 - torch.exp(2 * t)).clamp(min=1e-300)) / 2),
        slope_at_infinity=math.log(2) / 2,
    ),
    "total_variation": FDivergence(
        f=lambda u: (u - 1).abs() / 2,
        slope=lambda u: torch.sign(u - 1) / 2,
        conjugate=lambda t: _inside(t, t <= 0.5, t.clamp(min=-0.5)),
        slope_at_infinity=0.5,
    ),
    "chi2": FDivergence(
        f=lambda u: (u - 1).square(),
        slope=lambda u: 2 * (u - 1),
        conjugate=lambda t: t.clamp(min=-2).square() / 4 + t.clamp(min=-2),
        slope_at_infinity=math.inf,
    ),
    "hellinger": FDivergence(
        f=lambda u: (torch.sqrt(u) - 1).square() / 2,
        slope=lambda u: (1 - 1 / torch.sqrt(u)) / 2,
        conjugate=lambda t: _inside(t, t < 0.5, t / (1 - 2 * t).clamp(min=1e-300)),
        slope_at_infinity=0.5,
    ),
}


def get_f_divergence(name: str) -> FDivergence:
    """The f-divergence called ``name``.

    Raises:
        InputError: the name is not in `F_DIVERGENCES`; the nearest one is suggested.
    """
    if name not in F_DIVERGENCES:
        raise unknown_name("f-divergence", name, F_DIVERGENCES)
    return F_DIVERGENCES[name]


def f_divergence(p: Tensor, q: Tensor, name: str, weights: Tensor | None = None) -> Scalar:
    """``D_f(p ‖ q)`` in nats, ≥ 0 and possibly infinite (Nowozin et al. 2016, eq. 2).

    Where q = 0 the summand is its limit ``p · lim f(u)/u``, and 0 where p = 0 too.

    Args:
        p: probabilities or density values of the data, `(n,)`.
        q: the same of the generator, `(n,)`.
        name: a key of `F_DIVERGENCES`.
        weights: quadrature weights, `(n,)`; none for probabilities.

    Raises:
        InputError: an unknown name, unequal shapes, negative values, or a mass that is not one.
    """
    divergence = get_f_divergence(name)
    p, q = p.double(), q.double()
    w = torch.ones_like(p) if weights is None else weights.double()
    check_distribution(p, q, w)
    visited = q > p * 1e-300  # where q underflows beside p, the ratio would overflow: the limit stands for it
    both = visited & (p > 0)
    # through logarithms, because the derivative of a quotient, p/q², overflows in the tails
    ratio = torch.exp(torch.log(torch.where(both, p, 1.0)) - torch.log(torch.where(both, q, 1.0)))
    ratio = torch.where(p > 0, ratio, 0.0)
    value = (w * torch.where(visited, q * divergence.f(ratio), 0.0)).sum()
    missed = (w * torch.where(visited, 0.0, p)).sum()  # mass of p where q never goes; often exactly 0, against 0 · ∞
    return value + missed * divergence.slope_at_infinity if missed > 0 else value


def kl(p: Tensor, q: Tensor, weights: Tensor | None = None) -> Scalar:
    """``KL(p ‖ q) = Σ p log(p/q)`` in nats; infinite where p > 0 = q (Kullback & Leibler 1951). Arguments as above."""
    return f_divergence(p, q, "kl", weights)


def reverse_kl(p: Tensor, q: Tensor, weights: Tensor | None = None) -> Scalar:
    """``KL(q ‖ p)`` in nats: what a mode-seeking fit minimises; infinite where q > 0 = p. Arguments as above."""
    return f_divergence(p, q, "reverse_kl", weights)


def js(p: Tensor, q: Tensor, weights: Tensor | None = None) -> Scalar:
    """``½ KL(p ‖ m) + ½ KL(q ‖ m)``, m = (p + q)/2, in nats, between 0 and log 2 (Lin 1991). Arguments as above."""
    return f_divergence(p, q, "js", weights)


def total_variation(p: Tensor, q: Tensor, weights: Tensor | None = None) -> Scalar:
    """``½ Σ |p - q|``, between 0 and 1: the largest difference of the probabilities of one event."""
    return f_divergence(p, q, "total_variation", weights)


def variational_bound(p: Tensor, q: Tensor, critic: Tensor, name: str, weights: Tensor | None = None) -> Scalar:
    """``E_p T - E_q f*(T) ≤ D_f(p ‖ q)`` for any critic T (Nguyen et al. 2010; Nowozin et al. 2016, eq. 4).

    Equal to the divergence at ``T* = f'(p/q)``.

    Args:
        p: the data's probabilities or density values, `(n,)`.
        q: the generator's, `(n,)`.
        critic: values of T at the same points, `(n,)`.
        name: a key of `F_DIVERGENCES`.
        weights: quadrature weights, `(n,)`.

    Raises:
        InputError: as `f_divergence`.
    """
    divergence = get_f_divergence(name)
    p, q, t = p.double(), q.double(), critic.double()
    w = torch.ones_like(p) if weights is None else weights.double()
    check_distribution(p, q, w)
    gain = torch.where(p > 0, p * t, 0.0)
    return (w * (gain - torch.where(q > 0, q * divergence.conjugate(t), 0.0))).sum()


def check_distribution(p: Tensor, q: Tensor, weights: Tensor, tolerance: float = 1e-4) -> None:
    """Refuse what is no pair of distributions on the same points; a grid that cuts a tail off above all.

    Raises:
        InputError: unequal shapes, negative or non-finite values, or a total mass off one by more than ``tolerance``.
    """
    if p.ndim != 1 or p.shape != q.shape or p.shape != weights.shape:
        raise InputError(
            f"Distributions are compared at the same points: p, q and weights of one shape (n,), got {tuple(p.shape)}, "
            f"{tuple(q.shape)} and {tuple(weights.shape)}."
        )
    for name, values in (("p", p), ("q", q)):
        if not bool((values >= 0).all() and values.isfinite().all()):
            raise InputError(f"Probabilities are finite and not negative, but {name} has values that are not.")
        mass = float((weights * values).sum().detach())
        if abs(mass - 1) > tolerance:
            raise InputError(
                f"{name} has total mass {mass:.6g} instead of 1. Divide probabilities by their sum; for a density "
                "pass `trapezoid_weights(grid)` and let the grid reach far into both tails."
            )


def trapezoid_weights(grid: Tensor) -> Points:
    """Weights `(n,)` with which ``Σ w_i g(x_i)`` is the trapezoidal rule on the points ``grid``.

    Args:
        grid: rising points `(n,)`, not necessarily at equal distances.

    Raises:
        InputError: points that do not rise, or another shape.
    """
    if grid.ndim != 1 or len(grid) < 2 or not bool((torch.diff(grid) > 0).all()):
        raise InputError(
            f"A grid is at least two rising points (n,), got shape {tuple(grid.shape)}. Sort the points first."
        )
    gaps = torch.diff(grid.double())
    edge = torch.zeros(1, dtype=torch.float64)
    return (torch.cat([gaps, edge]) + torch.cat([edge, gaps])) / 2


def gaussian(x: Tensor, mean: Tensor | float | int = 0, std: Tensor | float | int = 1) -> Tensor:
    """Density of N(mean, std²) at ``x``, float64, any shape."""
    z = (x.double() - mean) / std
    return torch.exp(-0.5 * z.square()) / (std * math.sqrt(2 * math.pi))


def gaussian_kl(mean_p: Tensor, std_p: Tensor, mean_q: Tensor, std_q: Tensor) -> Tensor:
    """``KL(N(mean_p, std_p²) ‖ N(mean_q, std_q²))`` in nats, elementwise, standard deviations positive.

    ``log(s_q/s_p) + (s_p² + (m_p - m_q)²) / (2 s_q²) - ½``. Independent coordinates add up.
    """
    return torch.log(std_q / std_p) + (std_p.square() + (mean_p - mean_q).square()) / (2 * std_q.square()) - 0.5


def gaussian_wasserstein2(mean_p: Tensor, std_p: Tensor, mean_q: Tensor, std_q: Tensor) -> Tensor:
    """``W₂ = √((m_p - m_q)² + (s_p - s_q)²)`` between Gaussians on a line, elementwise (Dowson & Landau 1982)."""
    return torch.sqrt((mean_p - mean_q).square() + (std_p - std_q).square())


def wasserstein_1d(x: Tensor, y: Tensor, order: float | int = 1) -> Scalar:
    """Exact ``W_order`` between two samples on a line: the L^order distance of their quantile functions.

    On a line the optimal plan keeps the order of the points (Villani 2003, theorem 2.18), so sorting solves the
    transport problem. The samples may differ in size.

    Args:
        x: points `(n,)` of equal weight.
        y: points `(m,)` of equal weight.
        order: ≥ 1.

    Raises:
        InputError: a sample that is empty or not one-dimensional, or an order below one.
    """
    if x.ndim != 1 or y.ndim != 1 or not len(x) or not len(y):
        raise InputError(f"W on a line takes two samples (n,) and (m,), got {tuple(x.shape)} and {tuple(y.shape)}.")
    if order < 1:
        raise InputError(f"The Wasserstein distance has an order of at least 1, got {order}.")
    x, y = x.double().sort().values, y.double().sort().values
    n, m = len(x), len(y)
    # the quantile functions jump at multiples of 1/n and 1/m; in units of 1/(n m) these are exact integers
    levels = torch.cat([torch.arange(0, n * m, m), torch.arange(0, n * m + 1, n)]).unique()
    widths = torch.diff(levels).double() / (n * m)
    gaps = (x[levels[:-1] // m] - y[levels[:-1] // n]).abs()
    return (widths * gaps**order).sum() ** (1 / order)
