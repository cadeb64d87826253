"""Metrics of generative models: pure functions of features, class probabilities, images or samples.

Everything is computed in float64, nothing is read or written, and the order of arguments is always (real, fake).
"""

from ganbook.metrics.frechet import (
    FrechetInfinity,
    Moments,
    bias_isotropic,
    frechet_distance,
    frechet_from_moments,
    frechet_infinity,
)
from ganbook.metrics.kernel import (
    KID,
    imq,
    kid,
    mmd2,
    polynomial,
    rbf,
)

__all__ = [
    "KID",
    "FrechetInfinity",
    "Moments",
    "bias_isotropic",
    "frechet_distance",
    "frechet_from_moments",
    "frechet_infinity",
    "imq",
    "kid",
    "mmd2",
    "polynomial",
    "rbf",
]
