"""What ``notebooks/experiments.yml`` may say: its form as dataclasses, and every mistake told with its place.

```yaml
gan_mnist:                              # the experiment; its notebook is notebooks/experiments/gan_mnist.py
  title: Conditional DCGAN on MNIST
  tags: [mnist, table]                  # to choose by: make experiments ONLY=table
  smoke: {fixed: {steps: 20}}           # seconds: proves that the notebook runs
  cpu:                                  # minutes on two cores: what `make book` runs
    fixed: {steps: 2000}                # for all runs of this scale
    sweep: {loss: [nonsaturating, hinge]}           # every combination of the lists
    zip: {lr_g: [2.0e-4, 1.0e-4], lr_d: [2.0e-4, 4.0e-4]}   # the lists hand in hand: two points, not four
    explicit: [{}, {norm: spectral, beta1: 0.0}]    # these points as they stand; {} is the notebook's defaults
    seeds: [0, 1, 2]                    # each point once with each
    resources: {minutes: 30}            # a run that takes longer is ended
  gpu: {fixed: {steps: 50000}, resources: {gpu: 1, memory: 8, minutes: 120}}
```

Where several of ``sweep``, ``zip`` and ``explicit`` stand, all their combinations are run. The first run of an
experiment at a scale is the one that the chapter shows, so the first value of every list must be the notebook's own
default.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from ganbook.errors import DataError, InputError, unknown_name
from ganbook.notebooks import Parameter, parameters_of, refuse_edited_twin, typed

SCALES = ("smoke", "cpu", "cpu-long", "gpu")
EXPERIMENTS = Path("notebooks/experiments.yml")
Point = dict[str, Any]


@dataclass(frozen=True)
class Resources:
    """What one run needs. The words of help are what an editor shows: see `ganbook.schema`."""

    gpu: int = field(default=0, metadata={"help": "GPUs; at scale gpu one unless said otherwise"})
    memory: float = field(default=0.0, metadata={"help": "GB of main memory; 0 where it is not known"})
    minutes: float = field(default=0.0, metadata={"help": "after which a run is ended; 0 for no limit"})


@dataclass(frozen=True)
class Scale:
    """What one scale of an experiment runs."""

    fixed: Mapping[str, Any] = field(default_factory=dict, metadata={"help": "parameters that all its runs share"})
    sweep: Mapping[str, list[Any]] = field(default_factory=dict, metadata={"help": "lists; every combination is run"})
    zip: Mapping[str, list[Any]] = field(default_factory=dict, metadata={"help": "equally long lists, hand in hand"})
    explicit: list[Mapping[str, Any]] = field(default_factory=list, metadata={"help": "points as they stand"})
    seeds: list[int] = field(default_factory=list, metadata={"help": "each point is run once with each seed"})
    resources: Resources = field(default_factory=Resources, metadata={"help": "what one run needs"})

    def points(self) -> Iterator[Point]:
        """What varies, run by run, in the order of the file."""
        grid = [dict(zip(self.sweep, values)) for values in itertools.product(*self.sweep.values())]
        pairs = [dict(zip(self.zip, values)) for values in zip(*self.zip.values(), strict=True)] or [{}]
        seeds = [{"seed": seed} for seed in self.seeds] or [{}]
        for parts in itertools.product(grid, pairs, self.explicit or [{}], seeds):
            yield {name: value for part in parts for name, value in part.items()}


@dataclass(frozen=True)
class Experiment:
    """One entry of ``experiments.yml``."""

    name: str
    title: str
    notebook: Path  # the percent script
    scales: Mapping[str, Scale]
    tags: tuple[str, ...] = ()


def load_experiments(path: Path = EXPERIMENTS) -> dict[str, Experiment]:
    """The experiments that a file declares, every name, type and parameter checked.

    Raises:
        DataError: the file is missing or no YAML (tabs and duplicate keys included).
        InputError: an unknown key, scale, notebook or parameter, or a value of the wrong type; names the place.
    """
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} must map experiment names to their settings, got {_kind(content)}.")
    return {str(name): _experiment(path, str(name), entry) for name, entry in content.items()}


def point_name(point: Mapping[str, Any]) -> str:
    """A point as the name of a folder, e.g. ``"loss-hinge_seed-1"``; ``"default"`` where nothing varies."""
    return "_".join(f"{name}-{_slug(value)}" for name, value in point.items()) or "default"


def _experiment(path: Path, name: str, entry: Any) -> Experiment:
    where = f"{path}: {name}"
    if not isinstance(entry, dict):
        raise InputError(f"{where} must be a mapping with a title and scales, got {_kind(entry)}.")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise InputError(f"{where}: a name has lower-case letters, digits and underscores only, for it names a folder.")
    _refuse_unknown(where, entry, ("title", "notebook", "tags", *SCALES))
    for required in ("smoke", "cpu"):
        if required not in entry:
            raise InputError(
                f"{where} lacks {required!r}: the tests run every experiment at 'smoke', the book at 'cpu'."
            )
    title = entry.get("title")
    if not isinstance(title, str) or not title:
        raise InputError(f"{where}: title must be text, got {_kind(title)}.")
    tags = entry.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) and tag for tag in tags):
        raise InputError(f"{where}: tags must be a list of words, got {_kind(tags)}.")
    notebook = _notebook(path, where, entry.get("notebook", f"experiments/{name}"))
    known = parameters_of(notebook)
    scales = {key: _scale(f"{where}: {key}", key, known, entry[key]) for key in SCALES if key in entry}
    return Experiment(name, title, notebook, scales, tuple(tags))


def _notebook(path: Path, where: str, stem: Any) -> Path:
    if not isinstance(stem, str):
        raise InputError(f"{where}: notebook must be text such as experiments/name, got {_kind(stem)}.")
    notebook = path.parent / f"{stem}.py"
    if not notebook.is_file():
        known = [str(file.relative_to(path.parent).with_suffix("")) for file in path.parent.rglob("*.py")]
        raise InputError(f"{where}: {unknown_name('notebook', stem, known)}")
    refuse_edited_twin(notebook)
    return notebook


def _scale(where: str, name: str, known: Mapping[str, Parameter], entry: Any) -> Scale:
    entry = {} if entry is None else entry
    if not isinstance(entry, dict):
        raise InputError(f"{where} must be a mapping of fixed, sweep and seeds, got {_kind(entry)}.")
    _refuse_unknown(where, entry, [f.name for f in fields(Scale)])
    check = _Checker(where, known, defaults_first=name == "cpu")
    seeds = check.lists({"seed": entry["seeds"]}, "seeds") if "seeds" in entry else {}
    scale = Scale(
        fixed=check.fixed(entry.get("fixed")),
        sweep=check.lists(_mapping(f"{where}: sweep", entry.get("sweep")), "sweep"),
        zip=check.lists(_mapping(f"{where}: zip", entry.get("zip")), "zip"),
        explicit=check.points(entry.get("explicit", [])),
        seeds=seeds.get("seed", []),
        resources=_resources(f"{where}: resources", name, entry.get("resources")),
    )
    check.once_each({"fixed": scale.fixed, "sweep": scale.sweep, "zip": scale.zip, "seeds": seeds}, scale.explicit)
    if len({len(values) for values in scale.zip.values()}) > 1:
        lengths = ", ".join(f"{name} {len(values)}" for name, values in scale.zip.items())
        raise InputError(f"{where}: zip takes its lists hand in hand, so they must be equally long; got {lengths}.")
    names = [point_name(point) for point in scale.points()]
    if twice := {one for one in names if names.count(one) > 1}:
        raise InputError(f"{where} holds the same point twice: {min(twice)}. Take one of them out.")
    return scale


@dataclass(frozen=True)
class _Checker:
    """The values of one scale against the parameters of its notebook."""

    where: str
    known: Mapping[str, Parameter]
    defaults_first: bool  # at the scale that the notebook's defaults are

    def value(self, place: str, name: Any, value: Any) -> Any:
        if name not in self.known:
            raise InputError(f"{place}: {unknown_name('parameter', name, self.known)}")
        return typed(f"{place}: ", self.known[name], value)

    def fixed(self, entry: Any) -> Point:
        place = f"{self.where}: fixed"
        return {name: self.value(place, name, value) for name, value in _mapping(place, entry).items()}

    def lists(self, entry: Mapping[str, Any], key: str) -> dict[str, list[Any]]:
        checked: dict[str, list[Any]] = {}
        for name, values in entry.items():
            place = f"{self.where}: {key}" + ("" if key == "seeds" else f": {name}")
            if not isinstance(values, list) or not values:
                raise InputError(f"{place} must be a list of at least one value, got {_kind(values)}.")
            checked[name] = [self.value(place, name, value) for value in values]
            if key != "zip" and len({_slug(value) for value in checked[name]}) < len(values):
                raise InputError(f"{place} holds the same value twice: {values}.")
            self.default_first(place, name, checked[name][0])
        return checked

    def points(self, entry: Any) -> list[Mapping[str, Any]]:
        place = f"{self.where}: explicit"
        if not isinstance(entry, list):
            raise InputError(f"{place} must be a list of points such as {{loss: hinge}}, got {_kind(entry)}.")
        mappings = [_mapping(place, point) for point in entry]
        checked = [{name: self.value(place, name, value) for name, value in point.items()} for point in mappings]
        for name, value in (checked[0] if checked else {}).items():
            self.default_first(place, name, value)
        return [*checked]

    def default_first(self, place: str, name: str, value: Any) -> None:
        default = self.known[name].default
        if self.defaults_first and value != default:
            raise InputError(
                f"{place} starts with {value!r}, but the notebook's default of {name!r} is {default!r}. The chapter "
                "shows the first run: put the default first, or change it in the notebook."
            )

    def once_each(self, groups: Mapping[str, Mapping[str, Any]], explicit: list[Mapping[str, Any]]) -> None:
        everything = {**groups, "explicit": {name: None for point in explicit for name in point}}
        for one, other in itertools.combinations(everything, 2):
            for name in everything[one]:
                if name in everything[other]:
                    raise InputError(
                        f"{self.where}: {name!r} stands under {one!r} and under {other!r} at this scale: keep one."
                    )


def _resources(where: str, scale: str, entry: Any) -> Resources:
    values = _mapping(where, entry)
    _refuse_unknown(where, values, [f.name for f in fields(Resources)])
    for name, value in values.items():
        kind = int if name == "gpu" else int | float
        if isinstance(value, bool) or not isinstance(value, kind) or value < 0:
            what = "a whole number" if name == "gpu" else "a number"
            raise InputError(f"{where}: {name} must be {what} of at least 0, got {_kind(value)}.")
    gpu = values.get("gpu", int(scale == "gpu"))
    return Resources(gpu, float(values.get("memory", 0)), float(values.get("minutes", 0)))


def _refuse_unknown(where: str, entry: Mapping[Any, Any], known: list[str] | tuple[str, ...]) -> None:
    for key in entry:
        if key not in known:
            raise InputError(f"{where}: {unknown_name('key', key, known)}")


def _mapping(where: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError(f"{where} must map parameter names to values, got {_kind(value)}.")
    return value


def _slug(value: Any) -> str:
    """A value as part of a folder's name."""
    return re.sub(r"[^A-Za-z0-9.+]+", "-", str(value)).strip("-")


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"{value!r} ({type(value).__name__})"


class _StrictLoader(yaml.SafeLoader):
    """YAML in which a key may stand once only."""


def _strict_mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key, _ in node.value:
        if key.value in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key.value!r} stands there twice", key.start_mark
            )
        seen.add(key.value)
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _strict_mapping)


def read_yaml(path: Path) -> Any:
    """A YAML file (JSON is YAML too), in which no key may stand twice.

    Raises:
        DataError: the file is missing or no YAML; names the line.
    """
    try:
        return yaml.load(path.read_text(), Loader=_StrictLoader)
    except FileNotFoundError:
        raise DataError(f"There is no {path}. Run this from the root of the repository.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        place = f" (line {mark.line + 1})" if (mark := getattr(error, "problem_mark", None)) else ""
        problem = getattr(error, "problem", None) or str(error)
        hint = " Indent with spaces, not tabs." if "\\t" in problem else ""
        raise DataError(f"{path} is not valid YAML{place}: {problem}.{hint}") from None
