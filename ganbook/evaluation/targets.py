"""What the command line names: runs, folders and zips, and the set and network to measure them with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ganbook.data import ImageSet, Spec
from ganbook.data.pictures import Folder, Zip
from ganbook.errors import DataError, InputError
from ganbook.evaluation.features import FilePictures, SampledPictures
from ganbook.experiment import PARAMS
from ganbook.judge import reads

N_DRAWN = 10_000  # samples drawn from a run if no number is given


def pictures_at(path: Path, n: int | None, *, seed: int = 1, device: str = "cpu") -> FilePictures | SampledPictures:
    """A run's samples, or the pictures in a folder or zip.

    Raises:
        DataError: nothing there.
        InputError: fewer files than asked for.
    """
    if (path / PARAMS).is_file():
        return SampledPictures.of_run(path, n or N_DRAWN, seed=seed, device=device)
    if not path.exists():
        raise DataError(f"There is no {path}. Give a run folder, or a folder or zip of pictures.")
    fake = FilePictures(str(path), Zip(path) if path.is_file() else Folder(path), n)
    if n is not None and fake.n < n:
        raise InputError(
            f"{path} holds {fake.n:,} pictures, fewer than the {n:,} asked for. Leave --n out to take all."
        )
    return fake


def own_set(samples: Sequence[Path]) -> Spec:
    """The set that all the given runs were trained on.

    Raises:
        InputError: one is no run, or they differ.
    """
    found = set()
    for path in samples:
        if not (path / PARAMS).is_file():
            raise InputError(
                f"{path} is no run folder, so say what to compare it with, for instance --against celeba:64."
            )
        try:
            params = json.loads((path / PARAMS).read_text())
            found.add((str(params["dataset"]), int(params["resolution"])))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path / PARAMS} cannot be read ({type(error).__name__}: {error}). Train the run again, or name the "
                f"set with --against."
            ) from None
    if len(found) > 1:
        raise InputError(f"These runs were trained on different sets ({sorted(found)}). Name one with --against.")
    dataset, resolution = found.pop()
    return Spec.parse(f"{dataset}:{resolution}")


def choose_extractor(name: str, dataset: str, resolution: int) -> str:
    """The extractor that ``auto`` stands for: a set's own judge if it reads that resolution, else Inception."""
    family = dataset.partition(":")[0]
    if name != "auto":
        return name
    return f"{family}-judge" if reads(family, resolution) else "inception"


def held_out_set(spec: Spec, root: Path | None = None) -> ImageSet | None:
    """The test split beside a training split, if the set has one."""
    if spec.split not in (None, "train"):
        return None
    try:
        return replace(spec, split="test").load(root=root)
    except InputError:
        return None
