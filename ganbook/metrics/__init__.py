"""Metrics of generative models: pure functions of features, class probabilities, images or samples.

Everything is computed in float64, nothing is read or written, and the order of arguments is always (real, fake).
"""

from ganbook.metrics.diversity import (
    PairwiseMSSSIM,
    ms_ssim,
    ms_ssim_scales,
    pairwise_ms_ssim,
)
from ganbook.metrics.frechet import (
    FrechetInfinity,
    Moments,
    bias_isotropic,
    frechet_distance,
    frechet_from_moments,
    frechet_infinity,
)
from ganbook.metrics.inception import (
    InceptionScore,
    inception_score,
    inception_score_of_probabilities,
)
from ganbook.metrics.kernel import (
    KID,
    imq,
    kid,
    mmd2,
    polynomial,
    rbf,
)
from ganbook.metrics.manifold import (
    DensityCoverage,
    Memorisation,
    PrecisionRecall,
    density_coverage,
    memorisation,
    nearest_neighbours,
    precision_recall,
)

__all__ = [
    "KID",
    "DensityCoverage",
    "FrechetInfinity",
    "InceptionScore",
    "Memorisation",
    "Moments",
    "PairwiseMSSSIM",
    "PrecisionRecall",
    "bias_isotropic",
    "density_coverage",
    "frechet_distance",
    "frechet_from_moments",
    "frechet_infinity",
    "imq",
    "inception_score",
    "inception_score_of_probabilities",
    "kid",
    "memorisation",
    "mmd2",
    "ms_ssim",
    "ms_ssim_scales",
    "nearest_neighbours",
    "pairwise_ms_ssim",
    "polynomial",
    "precision_recall",
    "rbf",
]
