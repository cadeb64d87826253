"""Which runs exist: ``notebooks/experiments.yml`` read, checked and spelled out.

```yaml
gan_mnist:                              # the experiment; its notebook is notebooks/experiments/gan_mnist.py
  title: Conditional DCGAN on MNIST
  smoke: {fixed: {steps: 20}}           # seconds: proves that the notebook runs
  cpu:                                  # minutes on two cores: what `make book` runs
    fixed: {steps: 2000}                # for all runs of this scale
    sweep: {loss: [nonsaturating, hinge]}   # every combination of the lists
    seeds: [0, 1, 2]                    # each combination once with each
  gpu: {fixed: {steps: 50000}}
```

The first run of an experiment at a scale is the one that the chapter shows, so the first value of every list must be
the notebook's own default.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ganbook.errors import DataError, InputError, unknown_name
from ganbook.notebooks import check_parameters, parameters_of, refuse_edited_twin

SCALES = ("smoke", "cpu", "cpu-long", "gpu")
EXPERIMENTS = Path("notebooks/experiments.yml")
NOTEBOOKS, RUNS = Path("notebooks"), Path("runs")
THEORY = "theory"  # stands where the scale stands: a theory notebook has one length only


@dataclass(frozen=True)
class Scale:
    """What one scale of an experiment runs."""

    fixed: Mapping[str, Any] = field(default_factory=dict)  # parameters that all its runs share
    sweep: Mapping[str, list[Any]] = field(default_factory=dict)  # every combination is run
    seeds: list[int] = field(default_factory=list)  # each combination once with each seed


@dataclass(frozen=True)
class Experiment:
    """One entry of ``experiments.yml``."""

    name: str
    title: str
    notebook: Path  # the percent script
    scales: Mapping[str, Scale]


@dataclass(frozen=True)
class Run:
    """One papermill run; equal runs have equal folders."""

    experiment: str
    scale: str
    run_id: str  # the swept values and the seed, readable, e.g. "loss-hinge_seed-1"
    notebook: Path
    parameters: Mapping[str, Any]  # those that differ from the notebook's defaults by intention
    chapter: bool = False  # whether the book shows this run's notebook

    @property
    def folder(self) -> Path:
        """Where the run is kept, relative to the repository."""
        return RUNS / self.scale / self.experiment / self.run_id


def load_experiments(path: Path = EXPERIMENTS) -> dict[str, Experiment]:
    """The experiments that a file declares, every name, type and parameter checked.

    Raises:
        DataError: the file is missing or no YAML (tabs and duplicate keys included).
        InputError: an unknown key, scale, notebook or parameter, or a value of the wrong type; names the place.
    """
    content = _read_yaml(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} must map experiment names to their settings, got {_kind(content)}.")
    return {str(name): _experiment(path, str(name), entry) for name, entry in content.items()}


def theory_runs(notebooks: Path = NOTEBOOKS) -> list[Run]:
    """One run for each theory notebook: they take no parameters and have one length."""
    files = sorted((notebooks / "theory").glob("*.py"))
    for file in files:
        refuse_edited_twin(file)
    return [Run(file.stem, THEORY, "default", file, {}, chapter=True) for file in files]


def plan(experiments: Mapping[str, Experiment], scale: str) -> list[Run]:
    """All experiment runs at a scale, in the order of the file; the first of each experiment is its chapter.

    Raises:
        InputError: an unknown scale.
    """
    if scale not in SCALES:
        raise unknown_name("scale", scale, SCALES)
    return [run for e in experiments.values() if scale in e.scales for run in _runs(e, scale)]


def _runs(experiment: Experiment, scale: str) -> Iterator[Run]:
    spec = experiment.scales[scale]
    axes = {name: list(values) for name, values in spec.sweep.items()}
    if spec.seeds:
        axes["seed"] = spec.seeds
    for index, point in enumerate(itertools.product(*axes.values())):
        varied = dict(zip(axes, point, strict=True))
        run_id = "_".join(f"{name}-{_slug(value)}" for name, value in varied.items()) or "default"
        yield Run(experiment.name, scale, run_id, experiment.notebook, {**spec.fixed, **varied}, chapter=index == 0)


def _experiment(path: Path, name: str, entry: Any) -> Experiment:
    where = f"{path}: {name}"
    if not isinstance(entry, dict):
        raise InputError(f"{where} must be a mapping with a title and scales, got {_kind(entry)}.")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise InputError(f"{where}: a name has lower-case letters, digits and underscores only, for it names a folder.")
    for key in entry:
        if key not in ("title", "notebook", *SCALES):
            raise InputError(f"{where}: {unknown_name('key', key, ('title', 'notebook', *SCALES))}")
    for required in ("smoke", "cpu"):
        if required not in entry:
            raise InputError(
                f"{where} lacks {required!r}: the tests run every experiment at 'smoke', the book at 'cpu'."
            )
    title = entry.get("title")
    if not isinstance(title, str) or not title:
        raise InputError(f"{where}: title must be text, got {_kind(title)}.")
    stem = entry.get("notebook", f"experiments/{name}")
    if not isinstance(stem, str):
        raise InputError(f"{where}: notebook must be text such as experiments/{name}, got {_kind(stem)}.")
    notebook = path.parent / f"{stem}.py"
    if not notebook.is_file():
        known = [str(file.relative_to(path.parent).with_suffix("")) for file in path.parent.rglob("*.py")]
        raise InputError(f"{where}: {unknown_name('notebook', stem, known)}")
    refuse_edited_twin(notebook)
    scales = {key: _scale(f"{where}: {key}", notebook, entry[key]) for key in SCALES if key in entry}
    return Experiment(name, title, notebook, scales)


def _scale(where: str, notebook: Path, entry: Any) -> Scale:
    entry = {} if entry is None else entry
    if not isinstance(entry, dict):
        raise InputError(f"{where} must be a mapping of fixed, sweep and seeds, got {_kind(entry)}.")
    for key in entry:
        if key not in ("fixed", "sweep", "seeds"):
            raise InputError(f"{where}: {unknown_name('key', key, ('fixed', 'sweep', 'seeds'))}")
    fixed = check_parameters(notebook, _mapping(f"{where}: fixed", entry.get("fixed")), f"{where}: fixed")
    sweep = _mapping(f"{where}: sweep", entry.get("sweep"))
    seeds = entry.get("seeds", [])
    lists = {**sweep, **({"seed": seeds} if "seeds" in entry else {})}
    if "seed" in sweep and "seeds" in entry:
        raise InputError(f"{where} sweeps 'seed' and has 'seeds': keep one.")
    checked: dict[str, list[Any]] = {}
    for name, values in lists.items():
        place = f"{where}: {'seeds' if name == 'seed' else f'sweep: {name}'}"
        if not isinstance(values, list) or not values:
            raise InputError(f"{place} must be a list of at least one value, got {_kind(values)}.")
        if name in fixed:
            raise InputError(f"{place}: {name!r} is fixed at this scale already: keep one of the two.")
        checked[name] = [check_parameters(notebook, {name: value}, place)[name] for value in values]
        if len({_slug(value) for value in checked[name]}) < len(values):
            raise InputError(f"{place} holds the same value twice: {values}.")
        default = parameters_of(notebook)[name].default
        if checked[name][0] != default:
            raise InputError(
                f"{place} starts with {checked[name][0]!r}, but the notebook's default is {default!r}. The chapter "
                "shows the first run: put the default first, or change it in the notebook."
            )
    return Scale(fixed, {n: v for n, v in checked.items() if n in sweep}, checked["seed"] if "seeds" in entry else [])


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


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.load(path.read_text(), Loader=_StrictLoader)
    except FileNotFoundError:
        raise DataError(f"There is no {path}. Run this from the root of the repository.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        place = f" (line {mark.line + 1})" if (mark := getattr(error, "problem_mark", None)) else ""
        problem = getattr(error, "problem", None) or str(error)
        hint = " Indent with spaces, not tabs." if "\\t" in problem else ""
        raise DataError(f"{path} is not valid YAML{place}: {problem}.{hint}") from None
