"""Building a prepared set, and serving 64-pixel batches from it against torchvision's usual pipeline.

    python benchmarks/data_pipeline.py zip:celeba10k.zip
    python benchmarks/data_pipeline.py folder:photographs --crop center

The set is prepared into a cache of its own. The usual pipeline is ``ImageFolder`` with ``Resize``, ``CenterCrop``,
``ToTensor`` and ``Normalize`` behind a shuffling ``DataLoader`` with two workers; all serve floats in [-1, 1].
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

import ganbook._torchvision  # noqa: F401
from ganbook import data
from ganbook.data.pictures import opened


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="folder:PATH or zip:PATH")
    parser.add_argument("--crop", default="178")
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument(
        "--batches", type=int, default=60, help="served by the usual pipeline; ours serves ten times these"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GANBOOK_CACHE"] = folder
        started = time.perf_counter()
        images = data.load(arguments.name, split="all", resolution=arguments.resolution, crop=arguments.crop)
        seconds = time.perf_counter() - started
        n = len(images.images)
        print(f"building: {n:,} pictures in {seconds:.1f} s, {n / seconds:,.0f} pictures/s")
        started = time.perf_counter()
        data.load(arguments.name, split="all", resolution=arguments.resolution, crop=arguments.crop)
        print(f"opening it again: {time.perf_counter() - started:.2f} s")
        rates = {
            "ours, on the device": rate(data.Batches(images, arguments.batch_size, seed=0), 10 * arguments.batches),
            "ours, from disk": rate(
                data.Batches(images, arguments.batch_size, seed=0, resident=False), 10 * arguments.batches
            ),
            "ImageFolder + DataLoader(2)": rate(usual(arguments, Path(folder) / "unpacked"), arguments.batches),
        }
    base = rates["ImageFolder + DataLoader(2)"]
    for name, value in rates.items():
        print(f"serving, {name:30} {value:10,.0f} pictures/s  {value / base:6.1f} x")


def rate(batches: Iterator, count: int) -> float:
    """Pictures a second, after three batches to warm up."""
    for _ in range(3):
        next(batches)
    started, seen = time.perf_counter(), 0
    for _ in range(count):
        images, _ = next(batches)
        seen += len(images)
    return seen / (time.perf_counter() - started)


def usual(arguments: argparse.Namespace, folder: Path) -> Iterator[tuple[Tensor, Tensor]]:
    """What most codes do: decode, resize and convert every picture in every epoch."""
    from torchvision import datasets, transforms

    place = opened(arguments.name)
    target = folder / "pictures"
    target.mkdir(parents=True)
    for i in range(min(len(place.names), 4000)):
        (target / f"{i}{Path(place.names[i]).suffix}").write_bytes(place.read(i))
    steps = [
        transforms.Resize(arguments.resolution),
        transforms.CenterCrop(arguments.resolution),
        transforms.ToTensor(),
    ]
    pictures = datasets.ImageFolder(folder, transforms.Compose([*steps, transforms.Normalize([0.5] * 3, [0.5] * 3)]))
    loader = torch.utils.data.DataLoader(
        pictures, arguments.batch_size, shuffle=True, num_workers=2, drop_last=True, persistent_workers=True
    )
    while True:
        yield from loader


if __name__ == "__main__":
    main()
