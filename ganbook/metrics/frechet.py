"""The Fréchet distance between Gaussians, and what the sample size does to it.

For features ``x ~ N(μ₁, C₁)`` and ``y ~ N(μ₂, C₂)`` the squared 2-Wasserstein distance has a closed form (Dowson &
Landau 1982)::

    d² = ‖μ₁ - μ₂‖² + tr C₁ + tr C₂ - 2 tr (C₁ C₂)^½

With features of the Inception network this is the FID (Heusel et al. 2017, eq. 6); with any other features it is a
Fréchet distance and not an FID. The product ``C₁ C₂`` is not symmetric, but with ``C₁ = L Lᵀ`` it has the eigenvalues
of the symmetric ``Lᵀ C₂ L``, hence ``tr (C₁ C₂)^½ = Σ √λᵢ(Lᵀ C₂ L)``: one symmetric eigenvalue problem, no complex
numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ganbook.errors import InputError
from ganbook.metrics._inputs import ROUNDING, mean_and_covariance, random_rows
from ganbook.metrics.moments import Moments


def frechet_distance(mu1: Tensor, cov1: Tensor, mu2: Tensor, cov2: Tensor) -> float:
    """``‖μ₁ - μ₂‖² + tr C₁ + tr C₂ - 2 tr (C₁ C₂)^½`` (Heusel et al. 2017, eq. 6).

    Args:
        mu1: mean of the real features, ``(d,)``.
        cov1: their covariance, ``(d, d)``, symmetric and positive semidefinite; may be singular.
        mu2: mean of the fake features, ``(d,)``.
        cov2: their covariance, ``(d, d)``.

    Returns:
        The squared distance, at least 0, in squared units of the features.

    Raises:
        InputError: shapes that do not fit, numbers that are not finite, or a matrix that is no covariance.
    """
    mu1, cov1 = mean_and_covariance(mu1, cov1, "first")
    mu2, cov2 = mean_and_covariance(mu2, cov2, "second")
    if mu1.shape != mu2.shape:
        raise InputError(
            f"The Gaussians have {len(mu1)} and {len(mu2)} dimensions: their features come from different extractors "
            "or layers. Extract both with the same one."
        )
    return _distance(mu1, cov1, covariance_factor(cov1), mu2.to(mu1.device), cov2.to(mu1.device))


def covariance_factor(cov: Tensor) -> Tensor:
    """The lower triangular ``L`` with ``L Lᵀ = cov``, both ``(d, d)``: Cholesky's, of singular matrices too.

    Where Cholesky's algorithm meets a zero pivot, ``cov = U Λ Uᵀ`` and ``(U Λ^½)ᵀ = Q R`` give ``L = Rᵀ``.

    Raises:
        InputError: an eigenvalue is negative by more than rounding.
    """
    factor, failed = torch.linalg.cholesky_ex(cov)
    if not failed and factor.isfinite().all():
        return factor
    eigenvalues, vectors = torch.linalg.eigh(cov)
    if eigenvalues[0] < -ROUNDING * cov.trace().abs():
        raise _no_covariance(eigenvalues[0].item())
    root = vectors * eigenvalues.clamp(min=0).sqrt()
    return torch.linalg.qr(root.mT, mode="r").R.mT


def _congruence(factor: Tensor, cov: Tensor) -> Tensor:
    """The lower triangle of ``Lᵀ C L`` for a lower triangular ``L``, block by block, leaving out what is zero."""
    d, size = len(cov), max(64, len(cov) // 8)
    result = torch.zeros_like(cov)
    for j in range(0, d, size):
        right = cov[:, j:] @ factor[j:, j : j + size]
        for i in range(j, d, size):
            result[i : i + size, j : j + size] = factor[i:, i : i + size].mT @ right[i:]
    return result


def _distance(mu1: Tensor, cov1: Tensor, factor1: Tensor, mu2: Tensor, cov2: Tensor) -> float:
    """The formula, for checked Gaussians and the first one's factor."""
    eigenvalues = torch.linalg.eigvalsh(_congruence(factor1, cov2), UPLO="L")
    if eigenvalues[0] < -ROUNDING * cov1.trace() * cov2.trace().abs():
        raise _no_covariance(eigenvalues[0].item())
    trace_root = eigenvalues.clamp(min=0).sqrt().sum()
    distance = (mu1 - mu2).square().sum() + cov1.trace() + cov2.trace() - 2 * trace_root
    return max(0.0, distance.item())  # equal Gaussians may come out at -1e-13


def _no_covariance(eigenvalue: float) -> InputError:
    return InputError(
        f"A matrix with the eigenvalue {eigenvalue:.3g} is no covariance: covariances have no negative eigenvalues. "
        "Accumulate the moments in float64, e.g. with `Moments`."
    )


def frechet_from_moments(real: Moments, fake: Moments, *, allow_singular: bool = False) -> float:
    """`frechet_distance` of two samples' moments.

    Args:
        real: moments of the real features, width d.
        fake: moments of the fake features, width d.
        allow_singular: let either sample have n ≤ d, whose covariance is singular; the distance exists then, but it
            measures mostly how few samples there are.

    Raises:
        InputError: different widths, or too few samples for covariances of full rank.
    """
    d = real.dim
    least = min(real.n, fake.n)
    if least <= d and not allow_singular:
        raise InputError(
            f"{least} samples cannot give a {d} × {d} covariance of full rank: at least {d + 1} are needed on either "
            f"side (got {real.n} real and {fake.n} fake), and a distance to be reported wants many more. Use more "
            "samples, `kid`, which has no such minimum, or the features of a small judge; `allow_singular=True` "
            "computes the number all the same."
        )
    return frechet_distance(real.mean, real.covariance, fake.mean, fake.covariance)


def bias_isotropic(d: int, n: int) -> float:
    """``(2d + d(d + 1)/2) / n``: what two samples of size n from one N(0, I) are apart on average, to first order.

    ``2d/n`` is the expected ``‖μ₁ - μ₂‖²``. Near the identity the rest is ``¼ ‖C₁ - C₂‖²``, and a sample covariance
    has ``E‖C - I‖² = d(d + 1)/n``, which gives ``d(d + 1)/(2n)``. Valid for n ≫ d; in units of the variance.

    Raises:
        InputError: ``d`` < 1 or ``n`` < 2.
    """
    if d < 1 or n < 2:
        raise InputError(f"The bias is defined for d ≥ 1 dimensions and n ≥ 2 samples, got d = {d} and n = {n}.")
    return (2 * d + d * (d + 1) / 2) / n


class FrechetInfinity(NamedTuple):
    """A line ``distance ≈ value + slope / n`` through Fréchet distances at several sample sizes."""

    value: float  # where the line meets 1/n = 0; may be slightly negative
    slope: float  # the bias is slope / n
    r2: float  # share of the variance over sizes that the line explains


def frechet_infinity(
    real: Moments, fake_features: Tensor, *, sizes: Sequence[int], generator: torch.Generator
) -> FrechetInfinity:
    """The Fréchet distance extrapolated to infinitely many fakes (Chong & Forsyth 2020).

    For each size n, n of the fakes are drawn without replacement; the distances are regressed on 1/n by least squares.
    The bias that comes from the finite *real* sample stays, as in the paper: the reference is held fixed.

    Args:
        real: moments of the real features, width d.
        fake_features: ``(N, d)``.
        sizes: at least two different sizes, each above d and at most N; the paper takes 15 from 5,000 to N, evenly
            spaced.
        generator: chooses which fakes enter.

    Raises:
        InputError: sizes that cannot be used, widths that differ, or numbers that are not finite.
    """
    d, available = real.dim, len(fake_features)
    if fake_features.ndim != 2 or fake_features.shape[1] != d:
        raise InputError(f"The real moments have width {d}, so fakes are (N, {d}); got {tuple(fake_features.shape)}.")
    if len(set(sizes)) < 2 or min(sizes) <= d or max(sizes) > available or real.n <= d:
        raise InputError(
            f"A line in 1/n takes at least two different sizes between {d + 1} (d + 1, else the covariance is "
            f"singular) and {available} (the fakes there are), and as many real samples; got sizes {list(sizes)} and "
            f"{real.n} real samples."
        )
    mu, cov = real.mean, real.covariance
    factor = covariance_factor(cov)
    distances = []
    for size in sizes:
        rows = random_rows(available, size, generator, fake_features.device)
        fake = Moments(d).update(fake_features[rows])
        distances.append(_distance(mu, cov, factor, fake.mean.to(mu.device), fake.covariance.to(mu.device)))
    return _line(torch.tensor([1 / size for size in sizes]).double(), torch.tensor(distances).double())


def _line(x: Tensor, y: Tensor) -> FrechetInfinity:
    """Least squares of ``y ≈ value + slope·x``."""
    dx, dy = x - x.mean(), y - y.mean()
    slope = (dx @ dy / (dx @ dx)).item()
    total = (dy @ dy).item()
    residual = (dy - slope * dx).square().sum().item()
    return FrechetInfinity(y.mean().item() - slope * x.mean().item(), slope, 1 - residual / total if total else 1.0)
