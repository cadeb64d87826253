"""What a protocol does to FID: the same real photographs, prepared otherwise, against themselves; and the sample size.

    python benchmarks/protocol_effects.py zip:celeba10k.zip --n 2500 --out book/measurements/celeba10k-protocol.json

Takes half an hour on two cores. Results are written after each row, and rows that are there are not measured again.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ganbook import data, metrics
from ganbook.evaluation.extractors import get_extractor
from ganbook.evaluation.features import SetPictures, reference_statistics
from ganbook.experiment import environment, write_json

VARIANTS = {
    "Pillow bicubic (the reference itself)": {},
    "Pillow lanczos": {"filter": "lanczos"},
    "Pillow bilinear": {"filter": "bilinear"},
    "nearest, not antialiased": {"filter": "nearest"},
    "JPEG, quality 90": {"jpeg": 90},
    "JPEG, quality 75": {"jpeg": 75},
    "crop 140": {"crop": "140"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="a set of aligned CelebA faces, e.g. zip:celeba10k.zip")
    parser.add_argument("--n", type=int, default=2500, help="pictures a side for the variants")
    parser.add_argument("--n-sizes", type=int, default=6000, help="pictures for the dependence on the sample size")
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    extractor = get_extractor("inception")
    record = json.loads(arguments.out.read_text()) if arguments.out.is_file() else {"variants": {}, "sizes": {}}
    reference = prepared(arguments, {})
    settings = [reference.sha256, arguments.n, extractor.sha256]
    if [record.get(key) for key in ("data_sha256", "n", "extractor_sha256")] != settings:
        record = {"variants": {}, "sizes": {}}
    record |= {
        "dataset": reference.name,
        "preprocessing": reference.preprocessing,
        "n": arguments.n,
        "data_sha256": reference.sha256,
        "extractor": extractor.name,
        "extractor_sha256": extractor.sha256,
        "environment": environment(torch.device("cpu")),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    base = statistics(reference, extractor)
    for name, options in VARIANTS.items():
        if name not in record["variants"]:
            started = time.perf_counter()
            other = statistics(prepared(arguments, options), extractor)
            fid = metrics.frechet_from_moments(base.moments, other.moments)
            record["variants"][name] = {"fid": fid, "seconds": time.perf_counter() - started}
            write_json(arguments.out, record)
        print(f"{name:40} FID {record['variants'][name]['fid']:.3f}", flush=True)
    if not record["sizes"]:
        record["sizes"] = sizes(statistics(prepared(arguments, {}, n=arguments.n_sizes), extractor).rows)
        write_json(arguments.out, record)
    for n, row in record["sizes"].items():
        print(f"real against real, n = {n:>5}: FID {row['fid']:.3f}, KID {row['kid']:.6f}", flush=True)


def prepared(arguments: argparse.Namespace, options: dict, *, n: int | None = None) -> data.ImageSet:
    n = n or arguments.n
    crop, filter_ = options.get("crop", "178"), options.get("filter", "bicubic")
    found = data.load(
        arguments.name, split="all", resolution=arguments.resolution, crop=crop, filter=filter_, progress=True
    )
    images = found.images[:n]
    if "jpeg" in options:
        images = np.stack([through_jpeg(image, options["jpeg"]) for image in images])
    words = found.preprocessing + (f", JPEG {options['jpeg']}" if "jpeg" in options else "")
    return replace(found, images=images, labels=None, preprocessing=words, split=f"first {n}")


def through_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """A picture `(3, H, W)` saved as JPEG and read again, as Pillow does by default (4:2:0)."""
    buffer = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer)).transpose(2, 0, 1)


def statistics(images: data.ImageSet, extractor):
    return reference_statistics(SetPictures(images), extractor)


def sizes(rows: torch.Tensor) -> dict:
    """FID and KID of disjoint halves of the same set, at several sizes; rows are in random order."""
    found = {}
    half = len(rows) // 2
    for n in (2100, 2250, 2500, 2750, 3000, 4000, 5000):
        if n > half:
            break
        real, fake = rows[:n], rows[half : half + n]
        fid = metrics.frechet_from_moments(*(metrics.Moments(rows.shape[1]).update(x) for x in (real, fake)))
        kid = metrics.kid(real, fake, subsets=20, generator=torch.Generator().manual_seed(0))
        found[str(n)] = {"fid": fid, "kid": kid.mean, "kid_std": kid.std}
    return found


if __name__ == "__main__":
    main()
