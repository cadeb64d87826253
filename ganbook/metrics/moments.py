"""Mean and covariance of features that come in batches."""

from __future__ import annotations

import torch
from torch import Tensor

from ganbook.errors import InputError
from ganbook.metrics._inputs import feature_matrix, mean_and_covariance

CHUNK = 1024  # rows turned to float64 at a time


def _sums(rows: Tensor) -> tuple[int, Tensor, Tensor]:
    """Number, mean and scatter of a batch."""
    if len(rows) == 0:
        return 0, rows.new_zeros(rows.shape[1]), rows.new_zeros(rows.shape[1], rows.shape[1])
    mean = rows.mean(0)
    centred = rows - mean
    return len(rows), mean, centred.mT @ centred


class Moments:
    """Mean and covariance of features that come in batches, in ``O(d²)`` memory and float64.

    Batches are joined by the pairwise update of Chan, Golub & LeVeque (1983): sums are taken of deviations
    from the mean, never of raw squares, so a large common offset does not cost digits.

    Attributes:
        n: how many rows have been seen.
        mean: ``(d,)``, float64; zeros while ``n`` is 0.
    """

    def __init__(self, dim: int) -> None:
        if dim < 1:
            raise InputError(f"Moments of {dim}-dimensional features do not exist; pass the feature width d ≥ 1.")
        self.n = 0
        self.mean = torch.zeros(dim, dtype=torch.float64)
        self._scatter = torch.zeros(dim, dim, dtype=torch.float64)  # Σ (x - mean)(x - mean)ᵀ

    @property
    def dim(self) -> int:
        """The feature width d."""
        return len(self.mean)

    def update(self, features: Tensor) -> Moments:
        """Take in a batch of ``(m, d)`` features, of any floating dtype and on any device; ``m = 0`` is allowed.

        Raises:
            InputError: another width than d, or numbers that are not finite (nothing is taken in then).
        """
        if features.ndim != 2 or features.shape[1] != self.dim:
            raise InputError(f"Moments of width {self.dim} take features (m, {self.dim}), got {tuple(features.shape)}.")
        for part in features.split(CHUNK):
            feature_matrix(part, "features", least=0)  # refuse before anything is taken in
        for part in features.split(CHUNK):
            self._join(*_sums(feature_matrix(part, "features", least=0)))
        return self

    def _join(self, n: int, mean: Tensor, scatter: Tensor) -> None:
        if n == 0:
            return
        if self.n == 0:  # the first batch decides the device
            self.mean, self._scatter = self.mean.to(mean.device), self._scatter.to(mean.device)
        total = self.n + n
        delta = mean.to(self.mean.device) - self.mean
        self._scatter.add_(scatter.to(self.mean.device)).addr_(delta, delta, alpha=self.n * n / total)
        self.mean = self.mean + delta * (n / total)
        self.n = total

    def merge(self, other: Moments) -> Moments:
        """Take in everything that ``other`` has seen; ``other`` stays as it is.

        Raises:
            InputError: the widths differ.
        """
        if other.dim != self.dim:
            raise InputError(f"Moments of width {self.dim} cannot take in moments of width {other.dim}.")
        self._join(other.n, other.mean, other._scatter)
        return self

    def without(self, part: Moments) -> Moments:
        """New moments of the rows seen here and not in ``part``, all of whose rows must have been seen here.

        Raises:
            InputError: the widths differ, or ``part`` has seen more rows than these moments.
        """
        if part.dim != self.dim or part.n > self.n:
            raise InputError(
                f"Moments of {self.n} rows of width {self.dim} cannot contain {part.n} rows of width {part.dim}."
            )
        rest = Moments(self.dim)
        rest.n = self.n - part.n
        if rest.n:
            mean, scatter = part.mean.to(self.mean.device), part._scatter.to(self.mean.device)
            delta = (mean - self.mean) * (self.n / rest.n)  # the part's mean minus the rest's
            rest.mean = mean - delta
            rest._scatter = self._scatter - scatter - torch.outer(delta, delta) * (part.n * rest.n / self.n)
        return rest

    @property
    def covariance(self) -> Tensor:
        """``Σ (x - mean)(x - mean)ᵀ / (n - 1)``, ``(d, d)``, symmetric.

        Raises:
            InputError: fewer than two rows have been seen.
        """
        if self.n < 2:
            raise InputError(f"A covariance needs at least 2 samples, these moments have seen {self.n}.")
        return (self._scatter + self._scatter.mT) / (2 * (self.n - 1))

    def state(self) -> dict[str, Tensor]:
        """Copies on the CPU: ``n`` (int64), ``mean`` (d,) and ``scatter``, ``Σ (x - mean)(x - mean)ᵀ``, (d, d)."""
        return {"n": torch.tensor(self.n), "mean": self.mean.cpu().clone(), "scatter": self._scatter.cpu().clone()}

    @classmethod
    def from_state(cls, state: dict[str, Tensor]) -> Moments:
        """The moments that `state` was taken of.

        Raises:
            InputError: entries are missing, or their shapes or numbers cannot be a state.
        """
        if set(state) != {"n", "mean", "scatter"}:
            raise InputError(
                f"The state of moments holds n, mean and scatter, got {', '.join(sorted(state)) or 'nothing'}."
            )
        n = int(state["n"])
        if n < 0:
            raise InputError(f"Moments of {n} samples do not exist; the state is damaged.")
        mean, scatter = mean_and_covariance(state["mean"], state["scatter"], "stored")
        moments = cls(len(mean))
        moments.n, moments.mean, moments._scatter = n, mean.clone(), scatter.clone()
        return moments
