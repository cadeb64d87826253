"""PGGAN's last stage against the plain network: ``python benchmarks/pggan_stage.py [--resolution 64] [--rounds 7]``.

Growing is cheap early, but most of a long run is its last stage. There a grown network must cost no more than one that
was whole from the start: the same networks, loss, batch and data, in one process, in alternating rounds of training
steps. Three contenders:

- *plain*: never grown (``plan="none"``);
- *stabilising*: the plan's last stage behind its fade, where the old path is skipped;
- *fading*: the same stage within its fade, which computes both paths and blends the real images.

Prints images/s of each and the ratio to *plain*, medians over rounds with the range. The bar: stabilising within 10%.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from ganbook import data
from ganbook.config import Config
from ganbook.experiment import build_gan, growing, unlabelled
from ganbook.training import train

BAR = 0.9  # images/s of the last stage, as a share of the plain network's
FOREVER = 10**7  # steps of a phase that the benchmark stays in


class Contender:
    """Training steps of one kind."""

    def __init__(self, plan: str, options: argparse.Namespace) -> None:
        device = torch.device(options.device)
        config = Config(
            dataset="emoji",
            resolution=options.resolution,
            conditional=False,
            network="pggan",
            norm=options.norm,
            plan=plan,
            steps=3 * FOREVER,
            width_g=options.width,
            width_d=options.width,
            batch_size=options.batch,
        )
        images = data.load(config.dataset, resolution=config.resolution)
        gan = build_gan(config, channels=3, n_classes=0, device=device)
        self.model = growing(gan, config) or gan
        self.batches = unlabelled(data.Batches(images, config.batch_size, seed=0, device=device))
        self.device = device

    def speed(self, steps: int) -> float:
        """Steps a second."""
        self._wait()
        start = time.perf_counter()
        train(self.model, self.batches, steps=steps, log_every=steps, progress=False)
        self._wait()
        return steps / (time.perf_counter() - start)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def contenders(options: argparse.Namespace) -> dict[str, Contender]:
    """Plain, stabilising and fading, each in the phase that it is named for."""
    full, half = options.resolution, options.resolution // 2
    return {
        "plain": Contender("none", options),
        "stabilising": Contender(f"{half}:1,{full}:1+{FOREVER}", options),
        "fading": Contender(f"{half}:1,{full}:{FOREVER}+1", options),
    }


def text(values: list[float], digits: int = 2) -> str:
    """Median and range."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} … {max(values):.{digits}f})"


def main() -> None:
    """Measure and print; the exit status is 1 where the bar is missed."""
    cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resolution", type=int, default=64 if cuda else 32)
    parser.add_argument("--width", type=int, default=64 if cuda else 8)
    parser.add_argument("--batch", type=int, default=64 if cuda else 16)
    parser.add_argument("--norm", default="equalised", help="equalised or spectral")
    parser.add_argument("--steps", type=int, default=100 if cuda else 6, help="in a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cuda" if cuda else "cpu")
    options = parser.parse_args()
    all_of_them = contenders(options)
    for contender in all_of_them.values():
        contender.speed(3)  # warm, and past the one-step stages
    taken: dict[str, list[float]] = {name: [] for name in all_of_them}
    for _ in range(options.rounds):
        for name, contender in all_of_them.items():
            taken[name].append(contender.speed(options.steps))
    where = torch.cuda.get_device_name() if options.device == "cuda" else f"{torch.get_num_threads()} CPU threads"
    print(
        f"torch {torch.__version__}, {where}; {options.resolution} px, width {options.width}, batch {options.batch}, "
        f"{options.norm}; medians of {options.rounds} rounds of {options.steps} steps (range)"
    )
    for name, values in taken.items():
        ratios = [a / b for a, b in zip(values, taken["plain"], strict=True)]
        images = statistics.median(values) * options.batch
        print(f"  {name}: {images:,.0f} images/s, {text(ratios)} of plain")
    share = statistics.median(a / b for a, b in zip(taken["stabilising"], taken["plain"], strict=True))
    print(
        f"The bar, at least {BAR:.0%} of plain while stabilising: {'met' if share >= BAR else 'missed'} ({share:.0%})"
    )
    raise SystemExit(share < BAR)


if __name__ == "__main__":
    main()
