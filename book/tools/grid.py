"""Metrics of several things in one record, ``fd2k(mnist-judge) vae`` and so on, as tables with two heads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

WHAT_FIRST = ("@", ", ", " at ", " ")  # "recall@8", "slant, restyled", "recall at 2", "seconds vae"
WHO_FIRST = "_"  # "clipping_recall"
ENOUGH = 5  # names that share a half with one, on both sides together; below that it is chance
OFTEN = 3  # more than this many is no better


def splits(name: str) -> Iterator[tuple[str, str, str]]:
    """All ways to read a metric's name as (mark, who, what), the plainest first."""
    if name.endswith(")") and (start := name.rfind("(")) > 0:  # "captured(ring)"
        yield "(", name[start + 1 : -1], name[:start]
    for mark in (*WHAT_FIRST, WHO_FIRST):
        words = name.split(mark)
        for i in range(len(words) - 1, 0, -1):
            first, second = mark.join(words[:i]), mark.join(words[i:])
            if first and second:
                yield (mark, first, second) if mark == WHO_FIRST else (mark, second, first)


def pairs(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """The names that can be read as (who, what) where both occur with others; the others are left out."""
    ways = {name: list(splits(name)) for name in names}
    who = Counter(half for found in ways.values() for half in {way[:2] for way in found})
    what = Counter(half for found in ways.values() for half in {way[2] for way in found})
    read = {}
    for name, found in ways.items():
        common = {way[1:]: (who[way[:2]], what[way[2]]) for way in reversed(found)}  # of two equal ways the plainer
        good = [way for way in reversed(common) if min(common[way]) > 1 and sum(common[way]) >= ENOUGH]
        if good:
            read[name] = max(good, key=lambda way: min(*common[way], OFTEN))
    uses = Counter(what for _, what in read.values())
    return {name: way for name, way in read.items() if uses[way[1]] > 1}


def grids(values: Mapping[str, str]) -> tuple[list[tuple[list[str], list[list[str]]]], dict[str, str]]:
    """Head and rows of each table, and the values that fit into none.

    Args:
        values: as they are shown, by the metrics' names.
    """
    read = pairs(list(values))
    blocks: list[set[str]] = []  # metrics' names that share a who or a what, directly or by way of others
    for name, pair in read.items():
        near = [block for block in blocks if any(set(pair) & {*read[other]} for other in block)]
        blocks = [block for block in blocks if block not in near] + [{name}.union(*near)]
    tables = [_grid({read[name]: values[name] for name in values if name in block}) for block in blocks]
    return tables, {name: value for name, value in values.items() if name not in read}


def _grid(cells: Mapping[tuple[str, str], str]) -> tuple[list[str], list[list[str]]]:
    """One table; its longer side goes down the page."""
    left, right = (list(dict.fromkeys(pair[side] for pair in cells)) for side in (0, 1))
    if len(right) <= len(left) + 2:
        return ["", *map(plain, right)], [[plain(a), *(cells.get((a, b), "–") for b in right)] for a in left]
    return ["", *map(plain, left)], [[plain(b), *(cells.get((a, b), "–") for a in left)] for b in right]


def plain(name: str) -> str:
    """A name as words."""
    return name.replace("_", " ").removesuffix(":")
