"""Sets of two domains, for translation: paired (pix2pix) or not (CycleGAN)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from ganbook.data.catalog import CATALOG, OWN, entry_of
from ganbook.data.fetch import data_root
from ganbook.data.pictures import Folder, Place, Subset, Zip, opened
from ganbook.data.prepare import Preset, prepare
from ganbook.data.sets import DEFAULT_RESOLUTION, ImagePairs, ImageSet, load, own_split, present
from ganbook.errors import DataError, InputError, unknown_name


def load_pairs(
    name: str = "emoji",
    *,
    split: str = "train",
    resolution: int | None = None,
    crop: str = "center",
    filter: str = "bicubic",
    root: str | Path | None = None,
    progress: bool = False,
) -> ImagePairs:
    """Two domains of pictures.

    Args:
        name: ``emoji`` (both artists' drawings, Twemoji first), ``facades``, ``horse2zebra``, or pictures of yours as
            ``folder:PATH`` or ``zip:PATH`` in one of the two customary layouts: folders ``trainA``, ``trainB``,
            ``testA``, ``testB``, paired if the names agree; or wide pictures with A and B side by side.
        split: ``train``, ``test``, ``valid`` or ``all``.
        resolution: pixels; None is the set's own, or 64.

    Raises:
        InputError: a set that has no pairs, or a split that is not there.
        DataError: a file is missing or damaged, no picture is wide enough to be two, or half of a pair is unreadable.
    """
    if name == "emoji":
        a, b = (load(f"emoji:{s}", split=split, resolution=resolution, root=root) for s in ("twemoji", "noto"))
        return ImagePairs(a, b)
    kind, _, path = name.partition(":")
    if kind in ("folder", "zip") and path:
        place = opened(name)
        label = f"{kind}:{Path(path).stem}"
    else:
        pairs = [n for n, e in CATALOG.items() if e.kind == "pairs"]
        if kind not in pairs:
            raise unknown_name("set of pairs", name, ["emoji", *pairs, *OWN])
        entry, label = entry_of(name), name
        folder = data_root(root) / name
        place = Folder(folder) if any(folder.rglob("trainA")) else Zip(present(folder / entry.files[0].name))
    preset = Preset(DEFAULT_RESOLUTION if resolution is None else resolution, crop, filter)
    parts = [domain(place, split, side) for side in "AB"]
    if all(part.names for part in parts):
        made = [prepare(f"{label}:{s}", p, preset, progress=progress) for s, p in zip("AB", parts, strict=True)]
        aligned = _stems(parts[0].names) == _stems(parts[1].names)
        if aligned and len(made[0].names) + len(made[1].names) < 2 * len(parts[0].names):
            raise DataError(
                f"{label} is paired by name, but some pictures cannot be read, so that pairs would shift: "
                f"{', '.join([*made[0].card['skipped'], *made[1].card['skipped']][:5])}. Mend them, or remove both "
                f"pictures of each pair."
            )
        a, b = (
            ImageSet(f"{label}:{s}", split, m.images, None, (), str(preset), m.card["sha256"])
            for s, m in zip("AB", made, strict=True)
        )
        return ImagePairs(a, b, aligned)
    return _side_by_side(label, split, place, preset, progress)


def domain(place: Place, split: str, side: str) -> Subset:
    """The pictures in ``trainA`` and its like; an empty subset if there are none."""
    splits = ("train", "valid", "val", "test") if split == "all" else ("valid", "val") if split == "valid" else (split,)
    folders = {f"{name}{side}" for name in splits}
    chosen = [i for i, name in enumerate(place.names) if folders & set(PurePosixPath(name).parts[:-1])]
    return Subset(place, [place.names[i] for i in chosen], chosen)


def _side_by_side(label: str, split: str, place: Place, preset: Preset, progress: bool) -> ImagePairs:
    if any(folder.endswith(("A", "B")) for name in place.names for folder in PurePosixPath(name).parts[-2:-1]):
        raise InputError(f"{label} has no {split}A and {split}B with pictures in both. Give another split.")
    halves = []
    for side, crop in (("A", "left"), ("B", "right")):
        prepared = prepare(f"{label}:{side}", place, replace(preset, crop=crop), progress=progress)
        splits = own_split(prepared.names)
        if split != "all" and not splits.get(split, splits["test"] & False).any():
            raise InputError(
                f"{label} has no pictures in its {split} split. Make a folder {split}, or use split='all'."
            )
        images = prepared.images if split == "all" else prepared.images[splits[split]]
        words = f"{crop} half, Pillow {preset.filter} to {preset.resolution} px"
        halves.append(ImageSet(f"{label}:{side}", split, images, None, (), words, prepared.card["sha256"]))
    return ImagePairs(halves[0], halves[1])


def _stems(names: Sequence[str]) -> list[str]:
    """Names without folder, ending and the domain's letter: equal in both domains if the set is paired."""
    return [PurePosixPath(name).stem.removesuffix("_A").removesuffix("_B") for name in names]
