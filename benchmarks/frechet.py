"""What the Fréchet distance costs: ``python benchmarks/frechet.py [--dim 2048] [--samples 5000] [--rounds 3]``.

`ganbook.metrics.frechet_distance` against the customary ``scipy.linalg.sqrtm(C₁ C₂)``, in one process, in alternating
rounds, on the moments of rectified, correlated random features. Prints both values, their relative difference, and the
ratio of the median times with the range over rounds. Run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import scipy
import scipy.linalg
import torch
from torch import Tensor

from ganbook.metrics import Moments, frechet_distance

Gaussian = tuple[Tensor, Tensor]


def moments(dim: int, samples: int, *, shift: float, seed: int) -> Gaussian:
    """Mean and covariance of features like a network's last layer: nonnegative, correlated, of uneven variance."""
    generator = torch.Generator().manual_seed(0)  # the same mixing for both samples
    mixing = torch.randn(dim, dim, generator=generator) / dim**0.5 * torch.logspace(0, -1, dim)
    draws, features = torch.Generator().manual_seed(seed), Moments(dim)
    for size in torch.arange(samples).split(1000):
        features.update(torch.relu(torch.randn(len(size), dim, generator=draws) @ mixing.T + shift))
    return features.mean, features.covariance


def by_sqrtm(real: Gaussian, fake: Gaussian) -> float:
    (mu1, cov1), (mu2, cov2) = ((mu.numpy(), cov.numpy()) for mu, cov in (real, fake))
    root = scipy.linalg.sqrtm(cov1 @ cov2).real
    return float(((mu1 - mu2) ** 2).sum() + np.trace(cov1) + np.trace(cov2) - 2 * np.trace(root))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dim", type=int, default=2048)
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    real = moments(options.dim, options.samples, shift=0.0, seed=1)
    fake = moments(options.dim, options.samples, shift=0.02, seed=2)
    routes = {"ganbook": lambda: frechet_distance(*real, *fake), "scipy sqrtm": lambda: by_sqrtm(real, fake)}
    values: dict[str, float] = {}
    times: dict[str, list[float]] = {name: [] for name in routes}
    for _ in range(options.rounds):
        for name, route in routes.items():
            start = time.perf_counter()
            values[name] = route()
            times[name].append(time.perf_counter() - start)
    print(f"torch {torch.__version__}, scipy {scipy.__version__}, {torch.get_num_threads()} threads, d = {options.dim}")
    for name, value in values.items():
        print(f"{name}: {value:.10g} in {statistics.median(times[name]):.2f} s")
    ours, theirs = values.values()
    ratios = [b / a for a, b in zip(*times.values(), strict=True)]
    print(f"relative difference {abs(ours - theirs) / theirs:.1e}")
    print(f"sqrtm takes {statistics.median(ratios):.1f} times as long ({min(ratios):.1f} … {max(ratios):.1f})")


if __name__ == "__main__":
    main()
