"""Sets of two domains, for translation: paired (pix2pix) or not (CycleGAN)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

from ganbook.data.catalog import CATALOG, OWN, entry_of
from ganbook.data.fetch import data_root
from ganbook.data.pictures import Folder, Place, Subset, Zip
from ganbook.data.prepare import Preset, prepare
from ganbook.data.sets import DEFAULT_RESOLUTION, ImagePairs, ImageSet, load, own_split, present
from ganbook.errors import InputError, unknown_name


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
            ``testA``, ``testB``; or ``train`` and ``test`` with A and B side by side in each picture.
        split: ``train``, ``test``, ``valid`` or ``all``.
        resolution: pixels; None is the set's own, or 64.

    Raises:
        InputError: a set that has no pairs, a layout that is neither, or a split that is not there.
        DataError: a file is missing or damaged.
    """
    if name == "emoji":
        a, b = (load(f"emoji:{s}", split=split, resolution=resolution, root=root) for s in ("twemoji", "noto"))
        return ImagePairs(a, b)
    kind, _, path = name.partition(":")
    if kind in ("folder", "zip") and path:
        place: Place = Folder(Path(path)) if kind == "folder" else Zip(Path(path))
        label = f"{kind}:{Path(path).stem}"
    else:
        pairs = [n for n, e in CATALOG.items() if e.kind == "pairs"]
        if kind not in pairs:
            raise unknown_name("set of pairs", name, ["emoji", *pairs, *OWN])
        entry, label = entry_of(name), name
        folder = data_root(root) / name
        place = Folder(folder) if any(folder.rglob("trainA")) else Zip(present(folder / entry.files[0].name))
    preset = Preset(resolution or DEFAULT_RESOLUTION, crop, filter)
    parts = [domain(place, split, side) for side in "AB"]
    if all(part.names for part in parts):
        a, b = (_whole(f"{label}:{s}", split, p, preset, progress) for s, p in zip("AB", parts, strict=True))
        return ImagePairs(a, b, aligned=_stems(parts[0]) == _stems(parts[1]))
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


def _whole(label: str, split: str, place: Subset, preset: Preset, progress: bool) -> ImageSet:
    prepared = prepare(label, place, preset, progress=progress)
    return ImageSet(label, split, prepared.images, None, (), str(preset), prepared.card["sha256"])


def _stems(place: Subset) -> list[str]:
    """Names without folder, ending and the domain's letter: equal in both domains if the set is paired."""
    return [PurePosixPath(name).stem.removesuffix("_A").removesuffix("_B") for name in place.names]
