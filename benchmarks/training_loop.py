"""What the training loop costs: ``python benchmarks/training_loop.py [--steps 40] [--rounds 5]``.

Two ratios of steps per second, in one process, in alternating rounds, on emoji at 32 pixels:

- `ganbook.training` against a hand-written loop with the same networks, batch size, optimiser and resident data, and
  nothing else: no history, no averaged generator, no checks;
- `ganbook.training` against the customary loop: pictures in class folders, ImageFolder, transforms, a DataLoader with
  two workers, plain Adam, the default memory layout and `.item()` at every step.

Prints the median ratio and the range over rounds. Run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from PIL import Image
from torch import nn
from torch.nn.functional import softplus

from ganbook import data
from ganbook._torchvision import torchvision
from ganbook.models.gan import GAN
from ganbook.nn import dcgan
from ganbook.training import train

BATCH, LATENT, WIDTH = 32, 64, 32


def networks() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    return (
        dcgan.Generator(resolution=32, channels=3, latent_dim=LATENT, width=WIDTH),
        dcgan.Discriminator(resolution=32, channels=3, width=WIDTH),
    )


def ganbook_loop(images: data.ImageSet) -> Callable[[int], None]:
    gan = GAN(*networks())
    batches = unlabelled(data.Batches(images, BATCH, seed=0))
    return lambda steps: void(train(gan, batches, steps=steps, progress=False))


def unlabelled(batches: Iterator) -> Iterator:
    for real, _ in batches:
        yield real, None


def void(_: object) -> None:
    return None


def minimal_loop(images: data.ImageSet) -> Callable[[int], None]:
    generator, discriminator = (n.to(memory_format=torch.channels_last) for n in networks())
    opt_g = torch.optim.Adam(generator.parameters(), 2e-4, (0.5, 0.999), fused=True)
    opt_d = torch.optim.Adam(discriminator.parameters(), 2e-4, (0.5, 0.999), fused=True)
    pixels = torch.from_numpy(images.images.transpose(0, 2, 3, 1).copy())

    def run(steps: int) -> None:
        for _ in range(steps):
            rows = pixels.index_select(0, torch.randint(len(pixels), (BATCH,)))
            real = rows.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
            with torch.no_grad():
                fake = generator(torch.randn(BATCH, LATENT))
            d_loss = softplus(-discriminator(real)).mean() + softplus(discriminator(fake)).mean()
            opt_d.zero_grad()
            d_loss.backward()
            opt_d.step()
            discriminator.requires_grad_(False)
            g_loss = softplus(-discriminator(generator(torch.randn(BATCH, LATENT)))).mean()
            opt_g.zero_grad()
            g_loss.backward()
            opt_g.step()
            discriminator.requires_grad_(True)

    return run


def customary_loop(images: data.ImageSet, folder: Path) -> Callable[[int], None]:
    import torchvision.transforms as T

    for i, picture in enumerate(images.images):
        path = folder / str(images.labels[i]) / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(picture.transpose(1, 2, 0)).save(path)
    transform = T.Compose([T.Resize(32), T.CenterCrop(32), T.ToTensor(), T.Normalize((0.5,) * 3, (0.5,) * 3)])
    loader = torch.utils.data.DataLoader(
        torchvision.datasets.ImageFolder(str(folder), transform), BATCH, shuffle=True, num_workers=2, drop_last=True
    )
    generator, discriminator = networks()
    opt_g = torch.optim.Adam(generator.parameters(), 2e-4, (0.5, 0.999))
    opt_d = torch.optim.Adam(discriminator.parameters(), 2e-4, (0.5, 0.999))
    criterion, ones, zeros = nn.BCEWithLogitsLoss(), torch.ones(BATCH), torch.zeros(BATCH)
    stream = (batch for _ in iter(int, 1) for batch in loader)
    next(stream)  # start the workers outside the clock

    def run(steps: int) -> None:
        log = []
        for _ in range(steps):
            real, _ = next(stream)
            discriminator.zero_grad()
            d_real = criterion(discriminator(real), ones)
            d_real.backward()
            fake = generator(torch.randn(BATCH, LATENT))
            d_fake = criterion(discriminator(fake.detach()), zeros)
            d_fake.backward()
            opt_d.step()
            generator.zero_grad()
            g_loss = criterion(discriminator(fake), ones)
            g_loss.backward()
            opt_g.step()
            log.append((d_real.item() + d_fake.item(), g_loss.item()))

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    images = data.load("emoji", resolution=32)
    with tempfile.TemporaryDirectory() as folder:
        loops = {
            "ganbook.training": ganbook_loop(images),
            "hand-written minimum": minimal_loop(images),
            "customary": customary_loop(images, Path(folder)),
        }
        for loop in loops.values():
            loop(5)  # warm up
        speeds: dict[str, list[float]] = {name: [] for name in loops}
        for _ in range(options.rounds):
            for name, loop in loops.items():
                start = time.perf_counter()
                loop(options.steps)
                speeds[name].append(options.steps / (time.perf_counter() - start))
    ours = speeds.pop("ganbook.training")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, batch {BATCH}, DCGAN-32, width {WIDTH}")
    print(f"ganbook.training: {statistics.median(ours):.1f} steps/s")
    for name, other in speeds.items():
        ratios = [a / b for a, b in zip(ours, other, strict=True)]
        median, low, high = statistics.median(ratios), min(ratios), max(ratios)
        steps = statistics.median(other)
        print(f"against {name}: {median:.2f} times as fast ({low:.2f} … {high:.2f}; {steps:.1f} steps/s)")


if __name__ == "__main__":
    main()
