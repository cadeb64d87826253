"""``ganbook evaluate``: runs, folders and zips of samples against a data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ganbook.errors import InputError


def list_metrics(wanted: bool) -> bool:
    """Print the metrics' names and leave."""
    if wanted:
        from ganbook.evaluation.compare import METRICS

        typer.echo("\n".join(METRICS))
        raise typer.Exit
    return wanted


def evaluate(
    samples: Annotated[list[Path], typer.Argument(help="Run folders, or folders or zips of pictures.")],
    against: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[:cropN][:RESOLUTION][:SPLIT]",
            help="The real pictures: celeba:64, celeba:crop140:64:all, zip:faces.zip:64. Default: a run's own set.",
        ),
    ] = None,
    extractor: Annotated[
        str, typer.Option(help="inception, mnist-judge, emoji-judge, or auto: a set's own judge where there is one.")
    ] = "auto",
    metrics: Annotated[
        str, typer.Option(help="Separated by commas; all of them: see `ganbook evaluate --help-metrics`.")
    ] = "frechet,kid,precision,recall,density,coverage",
    n: Annotated[int | None, typer.Option(help="How many fakes; 10,000 of a run, all files.", min=2)] = None,
    n_real: Annotated[int | None, typer.Option(help="How many real pictures; all.", min=2)] = None,
    seed: Annotated[int, typer.Option(help="Of a run's latents.")] = 1,
    weights: Annotated[Path | None, typer.Option(help="A file with the FID Inception.")] = None,
    root: Annotated[Path | None, typer.Option(help="Where downloaded sets lie.", envvar="GANBOOK_DATA")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda …")] = "auto",
    batch_size: Annotated[int, typer.Option(help="Pictures at a time through the network.", min=1)] = 50,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Write the values with their protocol as JSON.")
    ] = None,
    help_metrics: Annotated[
        bool, typer.Option("--help-metrics", help="List the metrics.", is_eager=True, callback=list_metrics)
    ] = False,
) -> None:
    """Measure samples against real pictures: FID, KID, precision and recall and more, with protocol and intervals.

    Statistics of the real pictures are cached, so that the second evaluation against a set is much faster.
    """
    from ganbook.data import Spec
    from ganbook.evaluation.compare import evaluate as measure
    from ganbook.evaluation.extractors import get_extractor
    from ganbook.evaluation.features import FilePictures
    from ganbook.evaluation.protocol import table
    from ganbook.evaluation.targets import choose_extractor, held_out_set, own_set, pictures_at
    from ganbook.experiment import choose_device

    if out is not None and (out.is_dir() or not out.parent.is_dir()):
        raise InputError(f"Values are written to a file, and {out} cannot be one. Name a file in a folder that exists.")
    names = [name.strip() for name in metrics.split(",") if name.strip()]
    spec = Spec.parse(against) if against is not None else own_set(samples)
    reference = spec.load(root=root, progress=True)
    chosen = choose_extractor(extractor, reference.name, reference.images.shape[-1])
    on = choose_device(device)
    network = get_extractor(chosen, weights=weights, device=on)
    held_out = held_out_set(spec, root) if "memorisation" in names else None
    values = []
    for path, fake in [(path, pictures_at(path, n, seed=seed, device=str(on))) for path in samples]:
        if isinstance(fake, FilePictures) and fake.lossy:
            typer.echo(f"Note: {fake.lossy:,} pictures in {path} are JPEG; its compression shifts FID. Save as PNG.")
        values += measure(
            fake, reference, network, names=names, held_out=held_out, n_real=n_real, batch_size=batch_size
        )
    for value in values:
        interval = "" if value.low is None or value.high is None else f"  [{value.low:.4g}, {value.high:.4g}]"
        typer.echo(f"{value.of}  {value.name:<24} {value.value:.4g}{interval}  {value.about}")
    if len(samples) > 1:
        rows = table(values, mixed="mark")
        typer.echo(rows.to_string(index=False))
    for protocol in dict.fromkeys(value.protocol for value in values):
        typer.echo(f"Protocol: {protocol}.")
    if out is not None:
        from ganbook.checkpoint import write_atomically

        write_atomically(out, json.dumps([value.as_dict() for value in values], indent=1).encode())
        typer.echo(f"Values with their protocol: {out}.")
