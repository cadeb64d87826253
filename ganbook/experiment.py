"""One run: parameters and a seed become a folder that says everything about itself.

=====================  ==============================================================================
``params.json``        the complete configuration, defaults included
``history.csv``        losses and seconds by step
``metrics.json``       what was measured, flat, with its protocol
``samples.png``        a sheet of samples from fixed latents
``environment.json``   git commit, versions, device, threads, wall clock
``model.safetensors``  the last checkpoint: networks, averaged generator, optimisers, random streams
``earlier/``           the checkpoints before it, 1 the youngest
``tensorboard/``       live curves and image grids
=====================  ==============================================================================
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ganbook import data
from ganbook.checkpoint import kept, load_newest, save_state, sweep, unwritable, write_atomically
from ganbook.config import Config
from ganbook.distributed import is_main, join, shares, world
from ganbook.errors import DivergenceError, InputError
from ganbook.models.gan import GAN
from ganbook.models.inputs import check_label_range
from ganbook.models.progressive import Plan, Progressive
from ganbook.nn.families import FAMILIES, Sizes, places
from ganbook.plotting import image_sheet
from ganbook.resume import refuse_other_parameters, restore_gan, saved_config
from ganbook.schedules import schedule
from ganbook.speed import Speed
from ganbook.training import Batch, History, Hook, check_weights, train, watch_discriminator

CHECKPOINT = "model.safetensors"
PARAMS = "params.json"
SHEET_COLUMNS = 10
Adapt = Callable[[nn.Module, nn.Module], object]


class Run:
    """A configuration, the networks it describes, and the folder they live in.

    Args:
        config: all parameters.
        folder: where the run is kept; made if absent.
        device: ``"cpu"``, ``"cuda"``, or ``"auto"`` for a GPU where there is one.

    Raises:
        DataError: the folder cannot be written.
        InputError: a data set that cannot serve the configuration.
    """

    def __init__(self, config: Config, folder: str | Path, *, device: str = "auto") -> None:
        self.config = config
        self.folder = Path(folder)
        self.device = join(choose_device(device))
        if is_main():
            _check_writable(self.folder)
        self.images = data.load(config.dataset, resolution=config.resolution)
        self.n_classes = len(self.images.classes) if config.conditional else 0
        if config.conditional and self.images.labels is None:
            raise InputError(f"Data set {config.dataset!r} has no labels. Set conditional=False to train without.")
        if self.n_classes and self.images.labels is not None:
            check_label_range(torch.from_numpy(self.images.labels), self.n_classes)
        self.gan = build_gan(config, channels=self.images.images.shape[1], n_classes=self.n_classes, device=self.device)
        self.growth = growing(self.gan, config)
        self.batches = data.Batches(
            self.images, config.batch_size, seed=config.seed, device=self.device, flip=config.flip
        )
        self.history = History()
        self._saved_step: int | None = None  # where this object last wrote a checkpoint
        self.environment = environment(self.device)  # now: the code that is loaded, not what lies there at the end

    def train(
        self,
        *,
        hooks: tuple[Hook, ...] = (),
        log_every: int = 50,
        checkpoint_seconds: float = 60.0,
        progress: bool = True,
    ) -> History:
        """Train to the configured number of steps, keeping checkpoints; continues where a checkpoint left off.

        Args:
            hooks: called with the history every ``log_every`` steps.
            checkpoint_seconds: after so long a checkpoint is written with the next row of the history.

        Raises:
            DivergenceError: a loss or weight became non-finite; names the step and the last good checkpoint.
        """
        self.write_params()
        path = self.folder / CHECKPOINT
        if is_main():
            sweep(path)
        try:
            train(
                self.growth or self.gan,
                shares(self.batches if self.config.conditional else unlabelled(self.batches), self.config.batch_size),
                steps=self.config.steps,
                n_dis=self.config.n_dis,
                log_every=log_every,
                hooks=(
                    *hooks,
                    watch_discriminator(self.config.loss),
                    self._keep_checkpoint(every_seconds=checkpoint_seconds),
                ),
                history=self.history,
                progress=progress,
            )
            if self._saved_step != self.history.step:
                self.save_checkpoint()
        except DivergenceError as error:
            last = f"The last good checkpoint is {path}." if path.exists() else "There was no checkpoint yet."
            raise DivergenceError(f"{error} {last}") from None
        self.write_history()
        return self.history

    def sample(self, n: int, *, labels: Tensor | None = None, seed: int = 0) -> tuple[Tensor, Tensor | None]:
        """Images `(n, C, H, W)` in [-1, 1] of the averaged generator and the labels they were asked for.

        Labels default to all classes in turn; latents come from ``seed``, so that equal calls give equal pictures.
        """
        if labels is None and self.n_classes:
            labels = torch.arange(n) % self.n_classes
        z = torch.randn(n, self.config.latent_dim, generator=torch.Generator().manual_seed(seed))
        return self.gan.sample(z, labels), labels

    def sample_sheet(self, rows: int = 10) -> Image.Image:
        """A sheet from fixed latents: one class a column and one latent a row where there are labels."""
        z, labels = sheet_latents(self.config.latent_dim, rows, self.n_classes)
        return image_sheet(self.gan.sample(z, labels), columns=self.n_classes or SHEET_COLUMNS)

    def save_checkpoint(self) -> None:
        """Write the whole state to ``model.safetensors``, atomically; the one before moves to ``earlier/``.

        Raises:
            DivergenceError: a weight is NaN or infinite, as after a last step with finite losses: nothing is written.
        """
        if not is_main():
            return
        check_weights((self.gan.generator, self.gan.discriminator, self.gan.ema), self.history.step)
        state = {
            "config": asdict(self.config),
            "n_classes": self.n_classes,
            "channels": self.images.images.shape[1],
            **({} if self.growth is None else {"growth": self.growth.position()}),
            "gan": self.gan.state_dict(),
            "batches": self.batches.state_dict(),
            "history": {"rows": self.history.rows, "step": self.history.step, "seconds": self.history.seconds},
        }
        save_state(state, self.folder / CHECKPOINT, keep=self.config.checkpoints)
        self._saved_step = self.history.step

    def resume(self) -> bool:
        """Restore the newest readable checkpoint of the folder if there is one; returns whether there was.

        Raises:
            InputError: the checkpoint belongs to other parameters; the message lists the differences.
            DataError: no checkpoint can be read, or it is not one of these networks.
        """
        path = self.folder / CHECKPOINT
        if not kept(path):
            return False
        state, path = load_newest(path)
        saved = saved_config(state, path)
        refuse_other_parameters(asdict(saved), asdict(self.config), path)
        restore_gan(self.gan, state, path)
        self.batches.load_state_dict(state["batches"])
        self.history = History(**state["history"])
        if self.growth is not None:
            self.growth.go_to(state["growth"])
        return True

    def write_params(self) -> None:
        """Write ``params.json``."""
        if is_main():
            write_json(self.folder / PARAMS, asdict(self.config))

    def write_history(self) -> None:
        """Write ``history.csv``."""
        if not is_main():
            return
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=["step", "d_loss", "g_loss", "seconds"], lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: f"{value:.6g}" for key, value in row.items()} for row in self.history.rows)
        write_atomically(self.folder / "history.csv", text.getvalue().encode())

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Write the record: parameters, history, sample sheet, environment, and last of all ``metrics.json``."""
        if not is_main():
            return
        self.write_params()
        self.write_history()
        sheet = io.BytesIO()
        self.sample_sheet().save(sheet, format="png", optimize=True)
        write_atomically(self.folder / "samples.png", sheet.getvalue())
        seconds = round(self.history.seconds, 2)
        write_json(self.folder / "environment.json", {**self.environment, "train_seconds": seconds})
        write_json(self.folder / "metrics.json", dict(metrics))

    def tensorboard(self) -> Hook:
        """A hook that writes losses at every call and a sample sheet ten times a run to ``tensorboard/``."""
        if not is_main():
            return lambda _: None
        from torch.utils.tensorboard import SummaryWriter  # slow to import, and not everyone looks

        writer = SummaryWriter(str(self.folder / "tensorboard"))
        next_picture = 0

        def log(history: History) -> None:
            nonlocal next_picture
            row = history.rows[-1]
            writer.add_scalars("loss", {"discriminator": row["d_loss"], "generator": row["g_loss"]}, history.step)
            if history.step >= next_picture or history.step == self.config.steps:
                sheet = np.asarray(self.sample_sheet(rows=5).convert("RGB"))
                writer.add_image("samples", sheet, history.step, dataformats="HWC")
                next_picture += max(1, self.config.steps // 10)
            writer.flush()

        return log

    def _keep_checkpoint(self, *, every_seconds: float) -> Hook:
        last = time.monotonic()

        def keep(history: History) -> None:
            nonlocal last
            if time.monotonic() - last >= every_seconds:
                self.save_checkpoint()
                last = time.monotonic()

        return keep


def default_folder(name: str, config: Config) -> Path:
    """Where a run goes that was told no folder: ``runs/adhoc/NAME/HASH`` in the repository, one for each configuration.

    The environment variable ``GANBOOK_RUNS`` names another place than the repository's ``runs``.
    """
    runs = Path(os.environ.get("GANBOOK_RUNS") or Path(__file__).parent.parent / "runs")
    digest = hashlib.sha256(json.dumps(asdict(config), sort_keys=True).encode()).hexdigest()
    return runs / "adhoc" / name / digest[:8]


def build_gan(
    config: Config, *, channels: int, n_classes: int, device: torch.device, adapt: Adapt | None = None
) -> GAN:
    """The networks, loss and optimisers that a configuration describes, initialised from its seed.

    Args:
        config: all parameters.
        channels: 1 for grey, 3 for colour.
        n_classes: 0 for no labels.
        device: where the networks live.
        adapt: changes both networks in place before the optimisers know them, its new weights drawn from the seed too.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        sizes = Sizes(
            resolution=config.resolution,
            channels=channels,
            latent_dim=config.latent_dim,
            width_g=config.width_g,
            width_d=config.width_d,
            n_classes=n_classes,
            norm=config.norm,
            conditioning=config.conditioning,
            attention=places(config.attention, config.resolution),
        )
        generator, discriminator = FAMILIES[config.network].build(sizes)
        if adapt is not None:
            adapt(generator, discriminator)
    return GAN(
        generator,
        discriminator,
        loss=config.loss,
        penalty=config.penalty,
        penalty_weight=config.penalty_weight,
        clip=config.clip,
        real_target=config.real_target,
        instance_noise=config.instance_noise,
        augment=config.augment,
        ada_target=config.ada_target,
        joint_batch=config.joint_batch,
        reuse_fakes=config.reuse_fakes,
        unroll=config.unroll,
        lr_g=config.lr_g,
        lr_d=config.lr_d,
        betas=(config.beta1, config.beta2),
        weight_decay=config.weight_decay,
        schedule=schedule(config.schedule, steps=config.steps, warmup=config.warmup),
        ema_decay=config.ema_decay,
        speed=Speed(config.precision, config.channels_last, config.compile),
        seed=config.seed,
        device=device,
    )


def growing(gan: GAN, config: Config) -> Progressive | None:
    """The GAN led by the configuration's plan, if it has one."""
    if config.plan == "none":
        return None
    return Progressive(gan, Plan.parse(config.plan), reset=config.plan_reset, pyramid=config.pyramid)


def load_trained(folder: str | Path, *, device: str = "auto") -> tuple[Config, GAN]:
    """The configuration and the trained GAN of a run folder; its data set is not needed.

    Raises:
        DataError: there is no readable checkpoint in the folder.
    """
    state, path = load_newest(Path(folder) / CHECKPOINT)
    config = saved_config(state, path)
    gan = build_gan(config, channels=state["channels"], n_classes=state["n_classes"], device=choose_device(device))
    restore_gan(gan, state, path)
    return config, gan


def sheet_latents(latent_dim: int, rows: int, n_classes: int) -> tuple[Tensor, Tensor | None]:
    """The latents (and labels) of a sample sheet, the same for every run: seed 0.

    With classes, each row is one latent and each column one class: what stays the same along a row is style.
    """
    rng = torch.Generator().manual_seed(0)
    if n_classes == 0:
        return torch.randn(rows * SHEET_COLUMNS, latent_dim, generator=rng), None
    z = torch.randn(rows, latent_dim, generator=rng).repeat_interleave(n_classes, 0)
    return z, torch.arange(n_classes).repeat(rows)


def unlabelled(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches with their labels hidden, for an unconditional GAN on a labelled set."""
    for real, _ in batches:
        yield real, None


def choose_device(name: str) -> torch.device:
    """``"auto"`` is a GPU where there is one.

    Raises:
        InputError: a device that this machine does not have.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"Device {name!r} cannot be used here ({reason}). Use device='auto' or 'cpu'.") from None


def environment(device: torch.device) -> dict[str, Any]:
    """What a result depends on besides its parameters: code, versions, device and threads."""
    status = _git("status", "--porcelain", "--untracked-files=no")
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": None if status is None else bool(status),
        "versions": {name: version(name) for name in ("ganbook", "torch", "torchvision", "numpy")},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu ({cpu_name()})",
        "threads": torch.get_num_threads(),
        **({"processes": world().size} if world().size > 1 else {}),
        "cores": os.cpu_count(),
    }


def cpu_name() -> str:
    """The processor's own name where the system tells it, else its architecture."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write readable JSON, atomically; a NaN in it is an error, for JSON has none."""
    write_atomically(path, (json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode())


def _check_writable(folder: Path) -> None:
    probe = folder / ".writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"ganbook")
        probe.unlink()
    except OSError as error:
        raise unwritable(folder, error) from None


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None  # not a git checkout: the version number has to do
