"""Metrics of generative models: pure functions of features, class probabilities, images or samples.

Everything is computed in float64, nothing is read or written, and the order of arguments is always (real, fake).
"""

from ganbook.metrics.bootstrap import (
    Interval,
    bootstrap_interval,
    frechet_interval,
    jackknife_interval,
)
from ganbook.metrics.diversity import (
    PairwiseMSSSIM,
    ms_ssim,
    ms_ssim_scales,
    pairwise_ms_ssim,
)
from ganbook.metrics.frechet import (
    FrechetInfinity,
    bias_isotropic,
    frechet_distance,
    frechet_from_moments,
    frechet_infinity,
)
from ganbook.metrics.inception import (
    InceptionScore,
    inception_score,
    inception_score_of_probabilities,
    mode_score,
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
    balls_around,
    density_coverage,
    memorisation,
    nearest_neighbours,
    precision_recall,
)
from ganbook.metrics.modes import (
    ModeStatistics,
    StackedModes,
    captured_modes_expected,
    high_quality_ceiling,
    mode_statistics,
    reverse_kl_floor,
    stacked_modes,
)
from ganbook.metrics.moments import (
    Moments,
)

__all__ = [
    "KID",
    "DensityCoverage",
    "FrechetInfinity",
    "InceptionScore",
    "Interval",
    "Memorisation",
    "ModeStatistics",
    "Moments",
    "PairwiseMSSSIM",
    "PrecisionRecall",
    "StackedModes",
    "balls_around",
    "bias_isotropic",
    "bootstrap_interval",
    "captured_modes_expected",
    "density_coverage",
    "frechet_distance",
    "frechet_from_moments",
    "frechet_infinity",
    "frechet_interval",
    "high_quality_ceiling",
    "imq",
    "inception_score",
    "inception_score_of_probabilities",
    "jackknife_interval",
    "kid",
    "memorisation",
    "mmd2",
    "mode_score",
    "mode_statistics",
    "ms_ssim",
    "ms_ssim_scales",
    "nearest_neighbours",
    "pairwise_ms_ssim",
    "polynomial",
    "precision_recall",
    "rbf",
    "reverse_kl_floor",
    "stacked_modes",
]
