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

__all__ = [
    "FrechetInfinity",
    "Moments",
    "bias_isotropic",
    "frechet_distance",
    "frechet_from_moments",
    "frechet_infinity",
]
