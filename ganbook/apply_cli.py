"""``ganbook sample``, ``reconstruct``, ``restyle`` and ``interpolate``: what a trained run can be used for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganbook.errors import InputError

if TYPE_CHECKING:  # torch is slow to import: only where it is needed
    from torch import Tensor

    from ganbook.pretrained import Trained

RunFolder = Annotated[str, typer.Argument(help="A run folder, or shipped:mnist, shipped:emoji.")]
Pictures = Annotated[list[Path], typer.Argument(help="Your pictures, of any format and size.")]
Model = Annotated[str | None, typer.Option(help="Which model, where the run has several, such as cvae.")]
Scale = Annotated[int, typer.Option(help="Each pixel becomes a square of this side.", min=1, max=16)]
Invert = Annotated[bool, typer.Option(help="Dark on light becomes light on dark, as in MNIST.")]
Labels = Annotated[str | None, typer.Option(help="What your pictures show: one class number, or one a picture: 3,7,7.")]


def sample(
    run: RunFolder,
    out: Annotated[Path, typer.Option("-o", "--out", help="The picture to write.")] = Path("samples.png"),
    n: Annotated[int, typer.Option("-n", help="How many samples.", min=1)] = 100,
    label: Annotated[int | None, typer.Option(help="Only this class; default all in turn.")] = None,
    latents: Annotated[Path | None, typer.Option(help="Draw these: .npy, or text with one latent a line.")] = None,
    model: Model = None,
    seed: Annotated[int, typer.Option(help="Of the latents.")] = 0,
    columns: Annotated[int, typer.Option(help="Pictures in a row.", min=1)] = 10,
    scale: Scale = 2,
) -> None:
    """Draw a sheet of samples from a trained run."""
    from ganbook.apply import load_applicable, read_latents, write_sheet

    trained = load_applicable(run, model)
    z = trained.latents(n, seed=seed) if latents is None else read_latents(latents, trained)
    write_sheet(trained.sample(z, trained.labels(label, len(z))), out, columns=columns, scale=scale)
    typer.echo(f"{len(z)} samples of {trained.name} in {out}.")


def reconstruct(
    run: RunFolder,
    pictures: Pictures,
    out: Annotated[Path, typer.Option("-o", "--out", help="The picture to write.")] = Path("reconstructed.png"),
    labels: Labels = None,
    model: Model = None,
    invert: Invert = False,
    scale: Scale = 2,
) -> None:
    """Encode your pictures and draw them again: originals above, reconstructions below."""
    from ganbook.apply import load_applicable, reconstruction_sheet, write_sheet

    trained = load_applicable(run, model, encoder=True)
    x = _converted(trained, pictures, invert)
    sheet = reconstruction_sheet(trained, x, _shown(trained, labels, len(x)))
    write_sheet(sheet, out, columns=len(x), scale=scale)
    typer.echo(f"{len(x)} pictures and their reconstructions by {trained.name} in {out}.")


def restyle(
    run: RunFolder,
    pictures: Pictures,
    labels: Annotated[str, typer.Option(help="What your pictures show: one class number, or one a picture: 3,7,7.")],
    to: Annotated[str, typer.Option(help="The classes to draw instead: 0,1,2, or all.")] = "all",
    out: Annotated[Path, typer.Option("-o", "--out", help="The picture to write.")] = Path("restyled.png"),
    model: Model = None,
    invert: Invert = False,
    scale: Scale = 2,
) -> None:
    """Draw other classes in the hand of your pictures: an original and its versions in each row."""
    from ganbook.apply import load_applicable, restyled, write_sheet

    trained = load_applicable(run, model, encoder=True)
    k = trained.sizes.n_classes
    wanted = list(range(k)) if to == "all" else _numbers(to, "--to")
    x = _converted(trained, pictures, invert)
    shown = _shown(trained, labels, len(x))
    if shown is None:
        raise InputError(
            f"{trained.name} knows no classes, so it has no other class to draw. Choose a conditional model."
        )
    write_sheet(restyled(trained, x, shown, wanted), out, columns=1 + len(wanted), scale=scale)
    typer.echo(f"{len(x)} pictures in {len(wanted)} classes by {trained.name} in {out}.")


def interpolate(
    run: RunFolder,
    out: Annotated[Path, typer.Option("-o", "--out", help="The picture to write.")] = Path("interpolated.png"),
    rows: Annotated[int, typer.Option(help="Pairs of random latents, one a row.", min=1)] = 8,
    steps: Annotated[int, typer.Option(help="Pictures in a row, both ends included.")] = 10,
    way: Annotated[str, typer.Option(help="linear or spherical.")] = "spherical",
    label: Annotated[int | None, typer.Option(help="Only this class; default one a row in turn.")] = None,
    latents: Annotated[Path | None, typer.Option(help="The ends, two lines a row: .npy or text.")] = None,
    picture: Annotated[
        list[Path] | None, typer.Option(help="Between your pictures instead, each to the next; needs an encoder.")
    ] = None,
    model: Model = None,
    seed: Annotated[int, typer.Option(help="Of the latents.")] = 0,
    invert: Invert = False,
    scale: Scale = 2,
) -> None:
    """Draw what lies between latents, or between the codes of your pictures."""
    from ganbook.apply import interpolations, load_applicable, read_latents, write_sheet

    trained = load_applicable(run, model, encoder=bool(picture))
    if picture:
        x = _converted(trained, picture, invert)
        codes = trained.encode(x, trained.labels(_only(trained, label), len(x)))
        if len(codes) < 2:
            raise InputError("Between pictures lies something only if there are two. Give --picture twice or more.")
        ends = codes[:-1], codes[1:]
    else:
        z = trained.latents(2 * rows, seed=seed) if latents is None else read_latents(latents, trained)
        if len(z) % 2:
            raise InputError(f"Interpolation takes its ends in pairs, {latents} holds {len(z)} latents. Add one.")
        ends = z[::2], z[1::2]
    images = interpolations(trained, *ends, steps=steps, way=way, labels=trained.labels(label, len(ends[0])))
    write_sheet(images, out, columns=steps, scale=scale)
    typer.echo(f"{len(ends[0])} {way} ways of {steps} pictures by {trained.name} in {out}.")


def ship(
    run: Annotated[Path, typer.Argument(help="The folder of a GAN's run.")],
    name: Annotated[str, typer.Argument(help="mnist or emoji")],
) -> None:
    """Measure a run's generator and put it, halved, with its card, among those of this repository."""
    from ganbook.shipping import ship as write

    path = write(run, name)
    typer.echo(f"{path}: {path.stat().st_size:,} bytes; its card: {path.with_suffix('.md')}.")


def _converted(trained: Trained, paths: list[Path], invert: bool) -> Tensor:
    """The user's pictures as the model wants them, and a line that says how."""
    from ganbook.apply import Preprocessing, read_pictures, reads_dark_on_light

    how = Preprocessing.of(trained, invert=invert)
    x = read_pictures(paths, how)
    typer.echo(f"Your pictures were made what {trained.name} was trained on ({trained.dataset}): {how}.")
    if not invert and trained.dataset.startswith(("mnist", "emnist", "fashion_mnist")) and reads_dark_on_light(x):
        typer.echo("Note: they look dark on light, and this model knows light strokes on black. Try --invert.")
    return x


def _shown(trained: Trained, text: str | None, n: int) -> Tensor | None:
    """The labels of ``n`` pictures from the command line.

    Raises:
        InputError: missing, superfluous or too few labels, or one that is no class.
    """
    import torch

    from ganbook.models.inputs import check_label_range

    k = trained.sizes.n_classes
    if text is None:
        if k:
            raise InputError(
                f"{trained.name} reads a picture together with its class. Say what yours show: --labels 7, or one a "
                f"picture, --labels 3,7 (0 … {k - 1})."
            )
        return None
    numbers = _numbers(text, "--labels")
    numbers = numbers * n if len(numbers) == 1 else numbers
    if len(numbers) != n:
        raise InputError(f"There are {n} pictures and {len(numbers)} labels. Give one for each, or one for all.")
    labels = torch.tensor(numbers, dtype=torch.int64)
    check_label_range(labels, k)
    return labels


def _only(trained: Trained, label: int | None) -> int | None:
    """One label for all pictures, which a conditional model cannot do without."""
    if trained.sizes.n_classes and label is None:
        raise InputError(f"{trained.name} reads a picture together with its class. Say which: --label 7.")
    return label


def _numbers(text: str, option: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(
            f"{option} takes whole numbers separated by commas, got {text!r}. Example: {option} 3,7."
        ) from None
