"""``ganbook data``: what there is, what is here, getting it, checking it, preparing it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ganbook.errors import DataError, InputError

app = typer.Typer(no_args_is_help=True, help="Data sets: list, info, fetch, verify, path, prepare.")

Root = Annotated[
    Path | None,
    typer.Option(help="Where downloaded sets lie.", envvar="GANBOOK_DATA", show_default="a folder in the user's cache"),
]
Name = Annotated[str, typer.Argument(help="A set of `ganbook data list`.")]


@app.command("list")
def list_(root: Root = None) -> None:
    """List the sets of the catalogue, and whether they are on this machine."""
    from ganbook.data.catalog import CATALOG, OWN

    rows = [("name", "pictures", "size", "licence", "here")]
    for entry in CATALOG.values():
        side = "x".join(map(str, entry.side))
        rows.append((entry.name, f"{entry.count:,}", side, entry.licence.split(";")[0], state(entry.name, root)))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    typer.echo(f"\nPictures of yours: {' or '.join(OWN)}. More on one: ganbook data info NAME.")


@app.command()
def info(name: Name, root: Root = None) -> None:
    """Show a set's card: contents, licence, what to take care of, and where it lies."""
    from ganbook.data.catalog import entry_of

    entry = entry_of(name)
    typer.echo(f"{entry.title}: {entry.what}")
    typer.echo(f"splits    {', '.join(f'{split} {n:,}' for split, n in entry.splits.items())}")
    typer.echo(f"pictures  {entry.side[0]} x {entry.side[1]}, {'grey' if entry.channels == 1 else 'colour'}")
    if entry.n_classes:
        typer.echo(f"labels    {entry.n_classes} classes")
    if entry.variants:
        typer.echo(f"variants  {', '.join(f'{entry.name}:{v}' for v in entry.variants)}")
    typer.echo(f"licence   {entry.licence}")
    typer.echo(f"home      {entry.home}")
    typer.echo(f"here      {state(entry.name, root)}: {folder_of(entry.name, root)}")
    for file in entry.files:
        typer.echo(f"file      {file.name}, {file.size / 1e6:,.1f} MB, sha256 {file.sha256}")
    typer.echo(f"care      {entry.care}")


@app.command()
def fetch(name: Name, root: Root = None) -> None:
    """Download a set; what is there already is kept, what broke off is continued."""
    from ganbook.data.catalog import entry_of
    from ganbook.data.fetch import fetch as fetch_file

    entry = entry_of(name)
    if entry.kind == "embedded":
        typer.echo(f"{entry.title} is part of this repository; nothing to download.")
        return
    typer.echo(f"{entry.title}. Licence: {entry.licence}.")
    for file in entry.files:
        fetch_file(file, folder_of(entry.name, root))
    typer.echo(f"{entry.title} is in {folder_of(entry.name, root)}. Next: ganbook data info {entry.name}")


@app.command()
def verify(
    name: Annotated[str | None, typer.Argument(help="A set; without one, every prepared array is checked.")] = None,
    root: Root = None,
) -> None:
    """Read every file of a set, or every prepared array, and compare its sha256."""
    if name is None:
        verify_arrays()
        return
    from ganbook.data import embedded
    from ganbook.data.catalog import entry_of
    from ganbook.data.fetch import verify as verify_file

    entry = entry_of(name)
    files = [file.name for file in entry.files]
    if entry.kind == "embedded":
        files = [key for key in embedded.SHA256 if key.startswith(entry.name)]
        for key in files:
            embedded.read_checked(key)
    for file in entry.files:
        verify_file(file, folder_of(entry.name, root) / file.name)
    typer.echo(f"{entry.title}: {len(files)} files are as published.")


@app.command()
def path(name: Name, root: Root = None) -> None:
    """Print the folder of a set."""
    from ganbook.data.catalog import entry_of

    typer.echo(folder_of(entry_of(name).name, root))


@app.command()
def prepare(
    spec: Annotated[str, typer.Argument(help="NAME[:cropN][:RESOLUTION], e.g. celeba:crop140:64 or zip:faces.zip:64.")],
    filter: Annotated[str, typer.Option(help="lanczos, bicubic, bilinear, box or nearest.")] = "bicubic",
    on_error: Annotated[str, typer.Option(help="Unreadable pictures: skip or refuse.")] = "skip",
    root: Root = None,
) -> None:
    """Crop and resize a set of photographs once; every later use reads the finished array."""
    import json
    import time

    from ganbook.data import Spec, load
    from ganbook.data.prepare import cache_folder

    if on_error not in ("skip", "refuse"):
        raise InputError(f"--on-error is skip or refuse, got {on_error!r}.")
    wanted = Spec.parse(spec)
    started = time.perf_counter()
    found = load(
        wanted.name,
        split="all",
        resolution=wanted.resolution,
        crop=wanted.crop,
        filter=filter,
        root=root,
        progress=True,
        on_error="refuse" if on_error == "refuse" else "skip",
    )
    seconds = time.perf_counter() - started
    typer.echo(f"{found.name}: {len(found.images):,} pictures {found.images.shape[1:]}, {found.preprocessing}.")
    for card_path in (cache_folder() / "prepared").glob("*/card.json"):
        try:
            card = json.loads(card_path.read_text())
        except (OSError, ValueError):
            continue  # of another set, and damaged
        if isinstance(card, dict) and card.get("sha256") == found.sha256:
            typer.echo(
                f"{len(card['skipped'])} unreadable left out, {card['ignored']} other files, {card['duplicates']} "
                f"duplicates; {len(found.images) / seconds:,.0f} pictures/s; {card_path.parent}"
            )
            for name, reason in list(card["skipped"].items())[:10]:
                typer.echo(f"  left out: {name} ({reason})")
            break


def verify_arrays() -> None:
    """Check all prepared arrays, then name the damaged ones.

    Raises:
        DataError: there are some.
    """
    from ganbook.data.prepare import cache_folder, verify_prepared

    folders = sorted(card.parent for card in (cache_folder() / "prepared").glob("*/card.json"))
    damaged = []
    for folder in folders:
        try:
            typer.echo(f"{folder.name}: {verify_prepared(folder):,} pictures are as they were written.")
        except DataError as error:
            damaged.append(str(error))
    if damaged:
        raise DataError(" ".join(damaged))
    typer.echo(f"{len(folders)} prepared arrays in {cache_folder() / 'prepared'} are whole.")


def folder_of(name: str, root: Path | None) -> Path:
    """Where a set lies, or would lie."""
    from ganbook.data.catalog import CATALOG
    from ganbook.data.embedded import EMBEDDED
    from ganbook.data.fetch import data_root

    return (EMBEDDED if CATALOG[name].kind == "embedded" else data_root(root)) / name


def state(name: str, root: Path | None) -> str:
    """In a word or two, whether a set is on this machine."""
    from ganbook.data.catalog import CATALOG

    entry, folder = CATALOG[name], folder_of(name, root)
    if entry.kind == "embedded":
        return "embedded"
    there = [file for file in entry.files if (folder / file.name).is_file()]
    if len(there) == len(entry.files):
        return "yes"
    if folder.is_dir() and any(p.is_dir() for p in folder.iterdir()):
        return "unpacked"
    part = sum(p.stat().st_size for p in folder.glob("*.part")) + sum(file.size for file in there)
    return f"{part / sum(file.size for file in entry.files):.0%} of it" if part else "no"
