"""What every metric asks of its inputs: finite floating-point tensors of a known shape, computed with in float64."""

from __future__ import annotations

import torch
from torch import Tensor

from ganbook.errors import InputError

ROUNDING = 1e-7  # asymmetry and negative eigenvalues up to about this share are rounding: float32 has 1.2e-7


def as_float64(values: Tensor, what: str, *, ndim: int) -> Tensor:
    """``values`` detached, in float64, on their own device (on the CPU where the device has no float64).

    Args:
        values: floating-point tensor of ``ndim`` dimensions.
        what: what the values are called in an error message, e.g. ``"real features"``.
        ndim: the number of dimensions expected.

    Raises:
        InputError: wrong number of dimensions, not floating point, or NaN or infinite somewhere.
    """
    if values.ndim != ndim:
        raise InputError(f"The {what} have shape {tuple(values.shape)}; expected {ndim} dimensions.")
    if not values.is_floating_point():
        raise InputError(
            f"The {what} are {values.dtype}, expected floating point. Images in uint8 have to be scaled (or sent "
            "through a feature extractor) first; class labels are no features."
        )
    values = values.detach()
    values = (values.cpu() if values.device.type == "mps" else values).double()
    if values.numel() and not all(extreme.isfinite() for extreme in values.aminmax()):  # NaN passes through both
        bad = int((~values.isfinite()).sum())
        raise InputError(
            f"{bad} of {values.numel()} numbers in the {what} are NaN or infinite. A metric of them would mean "
            "nothing: look for diverged training or for half-precision overflow in the extractor."
        )
    return values


def feature_matrix(features: Tensor, what: str, *, least: int = 1) -> Tensor:
    """``(n, d)`` features in float64 with at least ``least`` rows and one column; errors as in `as_float64`."""
    if features.ndim != 2 or features.shape[1] == 0:
        raise InputError(
            f"The {what} have shape {tuple(features.shape)}, expected (n, d): one row a sample. Flatten images and "
            "feature maps with `.flatten(1)`."
        )
    if len(features) < least:
        raise InputError(f"Got {len(features)} rows of {what}, but this metric needs at least {least}.")
    return as_float64(features, what, ndim=2)


def feature_pair(
    x: Tensor, y: Tensor, *, least: int = 1, names: tuple[str, str] = ("real features", "fake features")
) -> tuple[Tensor, Tensor]:
    """Two feature matrices of one width d, in float64 on the first one's device; errors as in `feature_matrix`."""
    x, y = feature_matrix(x, names[0], least=least), feature_matrix(y, names[1], least=least)
    if x.shape[1] != y.shape[1]:
        raise InputError(
            f"The {names[0]} have d = {x.shape[1]} and the {names[1]} d = {y.shape[1]}: they come from different "
            "extractors or layers. Extract both with the same one."
        )
    return x, y.to(x.device)


def mean_and_covariance(mu: Tensor, cov: Tensor, which: str) -> tuple[Tensor, Tensor]:
    """A mean ``(d,)`` and a symmetric matrix ``(d, d)`` in float64 on the mean's device.

    Raises:
        InputError: shapes that do not fit, numbers that are not finite, or a matrix that is not symmetric.
    """
    d = len(mu) if mu.ndim == 1 else 0
    if d == 0 or cov.shape != (d, d):
        raise InputError(
            f"The {which} Gaussian has a mean of shape {tuple(mu.shape)} and a covariance of shape {tuple(cov.shape)}, "
            "expected (d,) and (d, d)."
        )
    mu = as_float64(mu, f"{which} mean's entries", ndim=1)
    cov = as_float64(cov, f"{which} covariance's entries", ndim=2).to(mu.device)
    halves = zip(cov.split(256), cov.split(256, dim=1), strict=True)
    asymmetry = torch.stack([(rows - columns.mT).abs().max() for rows, columns in halves]).max()
    if asymmetry > 10 * ROUNDING * cov.abs().max():
        raise InputError(
            f"The {which} covariance is not symmetric: C and its transpose differ by up to {asymmetry.item():.3g}. "
            "Pass E[(x - μ)(x - μ)ᵀ], not a matrix of features or its square root."
        )
    return mu, cov


def random_rows(n: int, size: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """``size`` different row numbers out of ``n``, drawn on the generator's device and moved to ``device``."""
    return torch.randperm(n, generator=generator, device=generator.device)[:size].to(device)
