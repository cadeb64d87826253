"""Putting a run's generator into the repository: stored in half precision, measured as stored, with a card.

``ganbook ship RUN NAME`` writes ``data/generators/NAME.safetensors`` and ``NAME.md``. Every number on the card comes
from the run's own record or from the measurement made here, and is also in the file's header.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ganbook.apply import load_applicable
from ganbook.checkpoint import write_atomically
from ganbook.data.catalog import entry_of
from ganbook.errors import DataError, InputError, unknown_name
from ganbook.evaluation.samples import Target
from ganbook.experiment import load_trained
from ganbook.metrics import precision_recall
from ganbook.pretrained import FOLDER, LARGEST, SHIPPED, Trained, load_networks, save_networks

SAMPLES = 5000  # that the card's figures are measured on
NEIGHBOURS = 1000  # rows of each side for precision and recall
LIMITS = {
    "mnist": (
        "Single handwritten digits of 28 pixels, and nothing else; some samples are no digit, and the rarer hands of "
        "the data are missing. It is for exploring a latent space without training, not a source of data: a "
        "classifier trained on its samples learns its mistakes."
    ),
    "emoji": (
        "Emoji-like blobs of colour at 32 pixels from a few thousand very different pictures: faces and people come "
        "out recognisably, flags, text and objects mostly do not. People are over-represented, with the skin tones "
        "and genders as the Unicode list repeats them. It is for exploring a latent space, and shows what a small GAN "
        "cannot do as much as what it can."
    ),
}
CREDITS = {
    "mnist": "CC BY-SA 3.0 (MNIST, Yann LeCun, Corinna Cortes and Christopher J. C. Burges)",
    "emoji": "CC BY 4.0 (Twemoji, © Twitter, Inc. and other contributors)",
}


def ship(run: str | Path, name: str, *, folder: Path = FOLDER) -> Path:
    """Store, measure and describe the averaged generator of a run; returns the file's path.

    Raises:
        InputError: no generator of that name, a run on other data, or one that is too large.
        DataError: no finished run.
    """
    if name not in SHIPPED:
        raise unknown_name("generator", name, SHIPPED)
    trained = replace(load_applicable(run), name=name)
    if trained.dataset.partition(":")[0] != name:
        raise InputError(
            f"The generator {name} is trained on {name}, this run on {trained.dataset}. Choose another run."
        )
    size = 2 * sum(value.numel() for value in trained.generator.state_dict().values())
    if size > LARGEST:
        raise InputError(f"A generator here has up to {LARGEST:,} bytes in half precision, this one {size:,}.")
    path = folder / f"{name}.safetensors"
    save_networks(path, trained, half=True)
    card = {**_record(Path(run)), **measured(load_networks(path))}
    save_networks(path, replace(trained, card=card), half=True)
    write_atomically(path.with_suffix(".md"), card_text(load_networks(path), path.stat().st_size).encode())
    return path


def measured(trained: Trained, *, n: int = SAMPLES) -> dict[str, Any]:
    """The card's figures and their protocol, of samples from latents of seed 1."""
    target = Target.of(trained.dataset, trained.sizes.resolution)
    labels = trained.labels(None, n)
    fake = trained.sample(trained.latents(n, seed=1), labels)
    features = target.judge.features(fake).double()
    m = min(NEIGHBOURS, len(target.features))
    values = target.measure(fake, labels) | precision_recall(target.features[:m], features[:m])._asdict()
    protocol = target.protocol | {"n_fake": n, "n_neighbours": m, "precision of the weights": "16 bit"}
    return {"metrics": {key: round(value, 4) for key, value in values.items()}, "protocol": protocol}


def _record(run: Path) -> dict[str, Any]:
    config, _ = load_trained(run, device="cpu")
    try:
        environment = json.loads((run / "environment.json").read_text())
        return {
            "training": asdict(config),
            "train_seconds": environment["train_seconds"],
            "device": environment["device"],
            "date": environment["date"][:10],
        }
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"The run in {run} has no complete environment.json ({error}), so it was not finished. Train it to its end."
        ) from None


def card_text(trained: Trained, size: int) -> str:
    """The model card as Markdown."""
    card, sizes, name = trained.card, trained.sizes, trained.name
    config, protocol, entry = card["training"], card["protocol"], entry_of(trained.dataset)
    n = sum(p.numel() for p in trained.generator.parameters())
    classes = f"{sizes.n_classes} classes, one-hot beside the latent" if sizes.n_classes else "no classes"
    lines = [
        f"# Generator `{name}`",
        "",
        f"`ganbook.pretrained.load_generator({name!r})`, or `ganbook sample shipped:{name}`.",
        "",
        "| | |",
        "|---|---|",
        f"| file | `{name}.safetensors`, {size:,} bytes, 16-bit floats, sha256 `{trained.sha256}` |",
        f"| network | {trained.network}, {n:,} weights, averaged generator; {sizes.channels} × {sizes.resolution} × "
        f"{sizes.resolution} pixels from {sizes.latent_dim} normal numbers; {classes} |",
        f"| data | {entry.title} (`{trained.dataset}`), training split |",
        f"| licence | of the data: {CREDITS[name]}; the weights are passed on under the same |",
        f"| training | {config['loss']} loss, {config['steps']:,} steps of {config['batch_size']}, Adam at "
        f"{config['lr_g']:g}, average with decay {config['ema_decay']:g}, seed {config['seed']}; "
        f"{card['train_seconds'] / 60:.0f} min on {card['device']}, {card['date']} |",
        "",
        f"Measured as stored, on {protocol['n_fake']:,} samples against {protocol['n_real']:,} held-out pictures "
        f"({protocol['preprocessing']}), in the features of the {protocol['extractor']}; precision and recall on "
        f"{protocol['n_neighbours']:,} of each:",
        "",
        "| figure | value |",
        "|---|---|",
        *(f"| {key} | {value:.4g} |" for key, value in card["metrics"].items()),
        "",
        "## Limits",
        "",
        LIMITS[name],
        "",
        "One run with one seed: not the best that the method can do. These figures do not compare with Fréchet "
        "distances in Inception's features.",
        "",
    ]
    return "\n".join(lines)
