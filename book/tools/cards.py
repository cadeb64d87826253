"""Data-card pages, written from the catalogue: what a set holds, under which licence, and how it looks."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial

import numpy as np

from ganbook.data.catalog import CATALOG, OWN, Entry
from ganbook.errors import DataError

Staged = dict[str, Callable[[], bytes]]
SHEET = 40  # pictures on a sample sheet


def cards() -> Staged:
    """The overview and one page a set, by their place in the book; sheets of the sets that are here."""
    staged: Staged = {"data/index.md": partial(_encoded, _overview)}
    for entry in CATALOG.values():
        staged[f"data/{entry.name}.md"] = partial(_encoded, partial(_card, entry))
        if _here(entry):
            staged[f"data/{entry.name}.png"] = partial(_sheet, entry)
    return staged


def _encoded(text: Callable[[], str]) -> bytes:
    return text().encode()


def _overview() -> str:
    rows = []
    for entry in CATALOG.values():
        size = " × ".join(map(str, entry.side))
        cells = [
            f"[{entry.title}]({entry.name}.md)",
            f"`{entry.name}`",
            f"{entry.count:,}",
            size,
            _kind(entry),
            entry.licence,
        ]
        rows.append("| " + " | ".join(cells) + " |")
    own = " and ".join(f"`{name}`" for name in OWN)
    return f"""# Data sets

Every set has a card: what is in it, where it comes from, under which licence, and what to take care of. MNIST and the
emoji are part of this repository; the others are fetched from their official homes with `ganbook data fetch NAME`, each
file checked by its sha256. [Pictures of your own](../practice/own_data.md) are {own}.

| set | name | pictures | pixels | labels | licence |
|---|---|---|---|---|---|
{chr(10).join(rows)}

Photographs are cropped and resized once, by an antialiased filter, into one array per set, crop, filter and resolution;
every result records which. `ganbook data list` shows what is on a machine, and where.
"""


def _kind(entry: Entry) -> str:
    return "two domains" if entry.kind == "pairs" else f"{entry.n_classes} classes" if entry.n_classes else "none"


def _card(entry: Entry) -> str:
    splits = ", ".join(f"{split} {n:,}" for split, n in entry.splits.items())
    colour = "grey" if entry.channels == 1 else "colour"
    rows = {
        "what": entry.what,
        "pictures": f"{entry.count:,} ({splits}), {entry.side[0]} × {entry.side[1]} pixels, {colour}",
        "labels": _kind(entry),
        "licence": entry.licence,
        "home": f"<{entry.home}>",
        "source": f"{{cite:t}}`{entry.cite}`",
    }
    if entry.variants:
        rows["variants"] = ", ".join(f"`{entry.name}:{variant}`" for variant in entry.variants)
    if entry.kind in ("pictures", "lmdb"):
        rows["preparation"] = (
            f"crop `{entry.crop}` unless another is named, Pillow bicubic, 64 pixels unless another size is named"
        )
    table = "\n".join(f"| {name} | {text} |" for name, text in rows.items())
    files = "\n".join(f"| `{f.name}` | {_size(f.size)} | `{f.sha256}` |" for f in entry.files)
    got = (
        f"```bash\nganbook data fetch {entry.name}\n```\n\n| file | size | sha256 |\n|---|---|---|\n{files}"
        if entry.files
        else f"It is part of this repository: `data/{entry.name}`, with a card of its own that says how it was built."
    )
    return f"""# {entry.title}

| name | `{entry.name}` |
|---|---|
{table}

```{{admonition}} Care
:class: warning
{entry.care}
```

## Sample sheet

{_look(entry)}

## Getting it

{got}

{_use(entry)}
"""


def _use(entry: Entry) -> str:
    if entry.kind == "pairs":
        return f"[CycleGAN](../experiments/cyclegan_emoji) takes it as `-p dataset={entry.name}`."
    side = min(64, *entry.side)
    labels = "" if entry.n_classes else " -p conditional=false"
    return f"`ganbook train OUT -p dataset={entry.name} -p resolution={side}{labels}` trains a GAN on it."


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:,.1f} kB"


def _look(entry: Entry) -> str:
    if not entry.shown:
        return "*Not shown: the licence does not allow these pictures to be passed on.*"
    if not _here(entry):
        return (
            f"*Not shown: the set was not on the machine that built these pages (`ganbook data fetch {entry.name}`).*"
        )
    return f"""```{{figure}} {entry.name}.png
:name: data-{entry.name.replace("_", "-")}
:alt: Sheet of {SHEET} pictures from {entry.title}, evenly spaced through the training split.
:class: sample-sheet
{SHEET} pictures, evenly spaced through the training split.
```"""


def _here(entry: Entry) -> bool:
    if not entry.shown:
        return False
    if entry.kind == "embedded":
        return True
    from ganbook.data.fetch import data_root

    return all((data_root() / entry.name / file.name).is_file() for file in entry.files)


def _sheet(entry: Entry) -> bytes:
    """Pictures evenly spaced through the training split; of two domains, the first.

    Raises:
        DataError: a file is damaged.
    """
    import torch

    from ganbook import data
    from ganbook.plotting import image_sheet

    try:
        images = (data.load_pairs(entry.name).a if entry.kind == "pairs" else data.load(entry.name)).images
    except OSError as error:
        raise DataError(f"The card of {entry.title} cannot show its pictures: {error}.") from None
    chosen = images[np.linspace(0, len(images) - 1, SHEET).round().astype(int)]
    scale = max(1, 56 // images.shape[-1])
    buffer = io.BytesIO()
    image_sheet(torch.from_numpy(np.array(chosen)).float() / 127.5 - 1, columns=10, scale=scale).save(buffer, "PNG")
    return buffer.getvalue()
