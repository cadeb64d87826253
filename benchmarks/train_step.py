"""What one training step costs: ``python benchmarks/train_step.py [--cases dcgan32,…] [--steps 4] [--rounds 25]``.

For five settings (DCGAN at 32 and 64 pixels, SNGAN's residual networks at 32, SAGAN at 64, WGAN-GP on DCGAN at 32),
with the same networks, batch size and loss for all, in one process and in alternating rounds:

- `ganbook.training` as a run uses it, with averaged generator, history and checks; real and fake in one batch for the
  discriminator (``joint_batch``), and the generator judged by the fakes that the discriminator has just seen
  (``reuse_fakes``); once more with two batches and fresh fakes (the defaults);
- (a) the leanest loop that one would write by hand: resident data, one joint pass, the same fakes, fused Adam,
  channels_last, and no averaged generator, no history, no checks;
- (b) the customary loop, the pattern of PyTorch's DCGAN example: pictures in class folders, ImageFolder, transforms, a
  DataLoader with two workers, real and fake in separate passes, the same fakes, plain Adam, `.item()` at every step.

The customary loop reads pictures as they come: the embedded emoji of 64 pixels, or with ``--pictures zip:FILE`` or
``folder:PATH`` others, such as photographs. One step is one update of each player. Prints the ratio of ours to each,
the median over rounds with the range, and every contender's peak memory, each in a process of its own: on a CPU what it
adds to the imports, on a GPU what torch allocated. With ``--switches`` (the default on a GPU) also images a second,
arithmetic as a share of what a large matrix product reaches there, and the gain of each switch of `ganbook.speed`. Run
it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.nn.functional import relu, softplus
from torch.utils.flop_counter import FlopCounterMode

from ganbook import data
from ganbook._torchvision import torchvision
from ganbook.data.pictures import opened
from ganbook.models.gan import GAN
from ganbook.nn.families import FAMILIES, Sizes
from ganbook.speed import Speed
from ganbook.training import train

Loop = Callable[[int], None]  # runs so many steps


@dataclass(frozen=True)
class Case:
    network: str
    resolution: int
    norm: str
    loss: str
    latent_dim: int
    widths: tuple[int, int]  # on a CPU, on a GPU (the papers')
    penalty_weight: float = 0.0
    attention: tuple[int, ...] = ()


CASES = {
    "dcgan32": Case("dcgan", 32, "batch", "nonsaturating", 100, (32, 64)),
    "dcgan64": Case("dcgan", 64, "batch", "nonsaturating", 100, (32, 64)),
    "sngan32": Case("resnet", 32, "spectral", "hinge", 128, (32, 128)),
    "sagan64": Case("sagan", 64, "spectral", "hinge", 128, (16, 64), attention=(32,)),
    "wgangp32": Case("dcgan", 32, "none", "wasserstein", 100, (32, 64), penalty_weight=10.0),
}
OURS, LEAN, CUSTOMARY = "ganbook.training", "leanest", "customary"
DEFAULTS = "ganbook.training, two batches and fresh fakes"
SWITCHES = {
    "none of them": Speed(channels_last=False),
    "channels_last": Speed(),
    "bf16": Speed("bf16", channels_last=False),
    "compile": Speed(channels_last=False, compile="default"),
    "channels_last, bf16, compile": Speed("bf16", compile="default"),
    "CUDA graphs": Speed(channels_last=False, compile="reduce-overhead"),
    "all": Speed("bf16", compile="reduce-overhead"),
}


@dataclass(frozen=True)
class Setting:
    """A case on a machine."""

    case: Case
    device: torch.device
    batch: int
    pictures: str

    def networks(self) -> tuple[nn.Module, nn.Module]:
        torch.manual_seed(0)
        case, width = self.case, self.case.widths[self.device.type == "cuda"]
        sizes = Sizes(case.resolution, 3, case.latent_dim, width, width, 0, case.norm, case.attention)
        generator, discriminator = FAMILIES[case.network].build(sizes)
        return generator.to(self.device), discriminator.to(self.device)

    def latents(self) -> Tensor:
        return torch.randn(self.batch, self.case.latent_dim, device=self.device)


def ours(s: Setting, images: data.ImageSet, *, shared: bool = True, speed: Speed | None = None) -> Loop:
    gan = GAN(
        *s.networks(),
        loss=s.case.loss,
        penalty="wgan_gp" if s.case.penalty_weight else "none",
        penalty_weight=s.case.penalty_weight,
        joint_batch=shared,
        reuse_fakes=shared,
        speed=speed or Speed(),
        device=s.device,
    )
    batches = ((real, None) for real, _ in data.Batches(images, s.batch, seed=0, device=s.device))

    def run(steps: int) -> None:
        train(gan, batches, steps=steps, progress=False)

    return run


def slope_penalty(discriminator: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    epsilon = torch.rand(len(real), 1, 1, 1, device=real.device)
    between = torch.lerp(fake, real, epsilon).requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(between).sum(), between, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


def d_loss(loss: str, real: Tensor, fake: Tensor) -> Tensor:
    if loss == "nonsaturating":
        return softplus(-real).mean() + softplus(fake).mean()
    return fake.mean() - real.mean() if loss == "wasserstein" else relu(1 - real).mean() + relu(1 + fake).mean()


def g_loss(loss: str, fake: Tensor) -> Tensor:
    return softplus(-fake).mean() if loss == "nonsaturating" else -fake.mean()


def lean(s: Setting, images: data.ImageSet) -> Loop:
    generator, discriminator = (n.to(memory_format=torch.channels_last) for n in s.networks())
    opt_g = torch.optim.Adam(generator.parameters(), 2e-4, (0.5, 0.999), fused=True)
    opt_d = torch.optim.Adam(discriminator.parameters(), 2e-4, (0.5, 0.999), fused=True)
    pixels = torch.from_numpy(images.images.transpose(0, 2, 3, 1).copy()).to(s.device)

    def run(steps: int) -> None:
        for _ in range(steps):
            rows = pixels.index_select(0, torch.randint(len(pixels), (s.batch,), device=s.device))
            real = rows.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
            fake = generator(s.latents())
            shown = fake.detach()
            loss = d_loss(s.case.loss, *discriminator(torch.cat([real, shown])).chunk(2))
            if s.case.penalty_weight:
                loss = loss + s.case.penalty_weight * slope_penalty(discriminator, real, shown)
            opt_d.zero_grad()
            loss.backward()
            opt_d.step()
            discriminator.requires_grad_(False)
            loss = g_loss(s.case.loss, discriminator(fake))
            opt_g.zero_grad()
            loss.backward()
            opt_g.step()
            discriminator.requires_grad_(True)

    return run


def customary(s: Setting, folder: Path) -> Loop:
    import torchvision.transforms as T

    side = s.case.resolution
    transform = T.Compose([T.Resize(side), T.CenterCrop(side), T.ToTensor(), T.Normalize((0.5,) * 3, (0.5,) * 3)])
    loader = torch.utils.data.DataLoader(
        torchvision.datasets.ImageFolder(str(folder), transform), s.batch, shuffle=True, num_workers=2, drop_last=True
    )
    generator, discriminator = s.networks()
    opt_g = torch.optim.Adam(generator.parameters(), 2e-4, (0.5, 0.999))
    opt_d = torch.optim.Adam(discriminator.parameters(), 2e-4, (0.5, 0.999))
    ones, zeros = torch.ones(s.batch, device=s.device), torch.zeros(s.batch, device=s.device)
    stream = (batch for _ in iter(int, 1) for batch in loader)
    next(stream)  # start the workers outside the clock

    def part(logits: Tensor, sign: int) -> Tensor:
        """The discriminator's loss of reals (sign 1) or fakes (sign -1)."""
        if s.case.loss == "nonsaturating":
            return bce(logits, ones if sign > 0 else zeros)
        return (-sign * logits).mean() if s.case.loss == "wasserstein" else relu(1 - sign * logits).mean()

    def run(steps: int) -> None:
        log = []
        for _ in range(steps):
            real = next(stream)[0].to(s.device)
            discriminator.zero_grad()
            loss_real = part(discriminator(real), 1)
            loss_real.backward()
            fake = generator(s.latents())
            loss_fake = part(discriminator(fake.detach()), -1)
            loss_fake.backward()
            if s.case.penalty_weight:
                (s.case.penalty_weight * slope_penalty(discriminator, real, fake.detach())).backward()
            opt_d.step()
            generator.zero_grad()
            logits = discriminator(fake)
            loss_g = bce(logits, ones) if s.case.loss == "nonsaturating" else -logits.mean()
            loss_g.backward()
            opt_g.step()
            log.append((loss_real.item() + loss_fake.item(), loss_g.item()))

    return run


def write_pictures(name: str, folder: Path) -> None:
    """Into class folders, as they come."""
    if name == "emoji":
        images = data.load("emoji", split="all", resolution=64)
        for i, (picture, label) in enumerate(zip(images.images, images.labels, strict=True)):
            path = folder / str(label) / f"{i}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(picture.transpose(1, 2, 0)).save(path)
        return
    place = opened(name)
    (folder / "all").mkdir()
    for i, picture in enumerate(place.names):
        (folder / "all" / f"{i}{Path(picture).suffix}").write_bytes(place.read(i))


@contextlib.contextmanager
def contenders(s: Setting, names: list[str]) -> Iterator[dict[str, Loop]]:
    images = data.load(s.pictures, split="all", resolution=s.case.resolution)
    with tempfile.TemporaryDirectory() as folder:
        if CUSTOMARY in names:
            write_pictures(s.pictures, Path(folder))
        make: dict[str, Callable[[], Loop]] = {
            OURS: lambda: ours(s, images),
            DEFAULTS: lambda: ours(s, images, shared=False),
            LEAN: lambda: lean(s, images),
            CUSTOMARY: lambda: customary(s, Path(folder)),
        }
        yield {name: make[name]() for name in names}


def speeds(s: Setting, loops: dict[str, Loop], *, steps: int, rounds: int, warm: int) -> dict[str, list[float]]:
    """Steps a second of each loop in each round, the loops taking turns."""
    for loop in loops.values():
        loop(warm)
    taken: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(rounds):
        for name, loop in loops.items():
            wait(s.device)
            start = time.perf_counter()
            loop(steps)
            wait(s.device)
            taken[name].append(steps / (time.perf_counter() - start))
    return taken


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} … {max(values):.2f})"


def peak_megabytes(options: argparse.Namespace, case: str, name: str) -> float:
    """Of one contender in a process of its own."""
    command = [sys.executable, __file__, "--cases", case, "--memory-of", name, "--device", options.device]
    command += ["--batch", str(options.batch), "--pictures", options.pictures]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(result.stdout.split()[-1])


def measure_memory(s: Setting, name: str) -> None:
    before = resident()
    with contenders(s, [name]) as loops:
        loops[name](3)
    allocated = torch.cuda.max_memory_allocated() / 1e6 if s.device.type == "cuda" else resident() - before
    print(f"{allocated:.0f}")


def resident() -> float:
    """The largest resident set of this process so far, in MB.

    Linux's getrusage tells of the larger of this process and the one that it was forked from; its VmHWM does not.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (peak,) = (line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(peak) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def matrix_flops(device: torch.device, kind: torch.dtype) -> float:
    """Floating point operations a second of a large matrix product, the best of five."""
    n = 8192 if device.type == "cuda" else 1024
    a = torch.randn(n, n, device=device, dtype=kind)
    seconds = []
    for _ in range(6):
        wait(device)
        start = time.perf_counter()
        a @ a
        wait(device)
        seconds.append(time.perf_counter() - start)
    return 2 * n**3 / min(seconds[1:])


def report_switches(s: Setting, *, steps: int, rounds: int) -> None:
    images = data.load(s.pictures, split="all", resolution=s.case.resolution)
    graphs = s.device.type == "cuda"  # without a GPU they are compilation once more
    chosen = {name: speed for name, speed in SWITCHES.items() if graphs or speed.compile != "reduce-overhead"}
    loops = {name: ours(s, images, speed=speed) for name, speed in chosen.items()}
    taken = speeds(s, loops, steps=steps, rounds=rounds, warm=8)
    with FlopCounterMode(display=False) as counter:
        ours(s, images)(1)
    peak = {kind: matrix_flops(s.device, kind) for kind in (torch.float32, torch.bfloat16)}
    for name, values in taken.items():
        gain = [a / b for a, b in zip(values, taken["none of them"], strict=True)]
        median = statistics.median(values)
        kind = torch.bfloat16 if chosen[name].precision == "bf16" else torch.float32
        share = counter.get_total_flops() * median / peak[kind]
        print(
            f"  {name}: {spread(gain)} times; {median * s.batch:,.0f} images/s; {share:.0%} of a matrix product's speed"
        )


def report(options: argparse.Namespace, name: str) -> None:
    s = Setting(CASES[name], torch.device(options.device), options.batch, options.pictures)
    width = s.case.widths[s.device.type == "cuda"]
    print(
        f"{name}: {s.case.resolution} px, width {width}, batch {s.batch}, {s.case.loss}, norm {s.case.norm}", flush=True
    )
    with contenders(s, [OURS, DEFAULTS, LEAN, CUSTOMARY]) as loops:
        taken = speeds(s, loops, steps=options.steps, rounds=options.rounds, warm=3)
    print(f"  ours: {spread(taken[OURS])} steps/s, {statistics.median(taken[OURS]) * s.batch:,.0f} images/s")
    for other in (LEAN, CUSTOMARY, DEFAULTS):
        ratios = [a / b for a, b in zip(taken[OURS], taken[other], strict=True)]
        print(f"  against {other}: {spread(ratios)} times as fast", flush=True)
    if options.memory:
        peaks = [f"{c} {peak_megabytes(options, name, c):,.0f} MB" for c in (OURS, LEAN, CUSTOMARY)]
        print(f"  peak memory: {', '.join(peaks)}")
    if options.switches:
        report_switches(s, steps=options.steps, rounds=options.rounds)


def main() -> None:
    cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", default=",".join(CASES), help="separated by commas")
    parser.add_argument("--steps", type=int, default=200 if cuda else 4)
    parser.add_argument("--rounds", type=int, default=5 if cuda else 25)
    parser.add_argument("--batch", type=int, default=64 if cuda else 32)
    parser.add_argument("--pictures", default="emoji", help="emoji, zip:FILE or folder:PATH")
    parser.add_argument("--device", default="cuda" if cuda else "cpu")
    parser.add_argument("--memory", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--switches", action=argparse.BooleanOptionalAction, default=cuda)
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        s = Setting(CASES[options.cases], torch.device(options.device), options.batch, options.pictures)
        return measure_memory(s, options.memory_of)
    device = torch.cuda.get_device_name() if options.device == "cuda" else f"{torch.get_num_threads()} CPU threads"
    print(f"torch {torch.__version__}, {device}; medians of {options.rounds} rounds of {options.steps} steps (range)")
    for name in options.cases.split(","):
        report(options, name)


if __name__ == "__main__":
    main()
