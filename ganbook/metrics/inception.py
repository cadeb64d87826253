"""The Inception Score: how sure a classifier is of each sample, and how varied its answers are."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ganbook.errors import InputError
from ganbook.metrics._inputs import feature_matrix, feature_pair


class InceptionScore(NamedTuple):
    """Mean and spread over splits; between 1 (nothing told apart) and the number of classes."""

    mean: float
    std: float  # over splits, of the population (divided by their number), as papers print it


def inception_score(logits: Tensor, *, splits: int = 10, generator: torch.Generator | None = None) -> InceptionScore:
    """``exp(E KL(p(y|x) ‖ p(y)))`` of a classifier's **logits** (Salimans et al. 2016, section 4).

    It is called Inception Score only of the Inception network's logits. It sees no real data, rewards one perfect
    sample per class, and grows with the size of a split.

    Args:
        logits: ``(n, k)``, before the softmax; for probabilities there is `inception_score_of_probabilities`.
        splits: the samples are cut into this many parts of equal size (up to one), in their order.
        generator: shuffles the samples first. Without it they must come in no particular order: samples sorted by
            class give splits of few classes, and far too low a score.

    Raises:
        InputError: fewer samples than splits, a wrong shape, or numbers that are not finite.
    """
    return _score(torch.softmax(feature_matrix(logits, "logits"), 1), splits, generator)


def inception_score_of_probabilities(
    probabilities: Tensor, *, splits: int = 10, generator: torch.Generator | None = None
) -> InceptionScore:
    """`inception_score` from **probabilities** ``(n, k)``: not negative, each row adding up to 1.

    Raises:
        InputError: rows that are no distributions, and the errors of `inception_score`.
    """
    p = feature_matrix(probabilities, "class probabilities")
    excess = (p.sum(1) - 1).abs().max().item()
    if p.min() < 0 or excess > 1e-3:
        raise InputError(
            f"Class probabilities are not negative and add up to 1 in each row; the smallest is {p.min().item():.3g} "
            f"and a sum is off by {excess:.3g}. Logits belong into `inception_score`."
        )
    return _score(p, splits, generator)


def mode_score(real_logits: Tensor, fake_logits: Tensor) -> float:
    """``exp(E KL(p(y|x) ‖ p(y)) - KL(p*(y) ‖ p(y)))``, p* of the real samples (Che et al. 2017, section 4.1).

    The Inception Score that looks at real data: classes that the samples leave out cost what the data have of them.
    The real samples themselves reach the Inception Score of the real samples, and no more is to be had by honest means.

    Args:
        real_logits: a classifier's logits of real samples, ``(n, k)``.
        fake_logits: of generated samples, ``(m, k)``.

    Raises:
        InputError: wrong or different shapes, or numbers that are not finite.
    """
    real, fake = feature_pair(real_logits, fake_logits, names=("real logits", "fake logits"))
    log_p, log_target = torch.log_softmax(fake, 1), _log_mean(torch.log_softmax(real, 1))
    log_marginal = _log_mean(log_p)
    sure = (log_p.exp() * (log_p - log_marginal)).sum(1).mean()
    missed = (log_target.exp() * (log_target - log_marginal)).sum()
    return (sure - missed).exp().item()


def _log_mean(log_p: Tensor) -> Tensor:
    """The logarithm of the mean over rows, without leaving the logarithms: a class may be very rare."""
    return log_p.logsumexp(0) - math.log(len(log_p))


def _score(p: Tensor, splits: int, generator: torch.Generator | None) -> InceptionScore:
    n = len(p)
    if not 1 <= splits <= n:
        raise InputError(f"{n} samples cannot be cut into {splits} splits; pass 1 to {n}, or more samples.")
    if generator is not None:
        p = p[torch.randperm(n, generator=generator, device=generator.device).to(p.device)]
    scores = []
    for i in range(splits):
        part = p[i * n // splits : (i + 1) * n // splits]
        marginal = part.mean(0)
        ratio = part / torch.where(marginal > 0, marginal, 1)  # a class that never occurs adds 0 · log 0 = 0
        scores.append(torch.xlogy(part, ratio).sum(1).mean().exp())
    values = torch.stack(scores)
    return InceptionScore(values.mean().item(), values.std(correction=0).item())
