"""Which runs exist: the experiments of ``notebooks/experiments.yml`` and the theory notebooks, spelled out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganbook.declaration import EXPERIMENTS, SCALES, Experiment, Resources, Scale, load_experiments, point_name
from ganbook.errors import unknown_name
from ganbook.execution import DONE, run_inputs, run_key
from ganbook.notebooks import parameters_of, refuse_edited_twin
from ganbook.sources import digest, sources

__all__ = ["EXPERIMENTS", "SCALES", "Experiment", "Run", "Scale", "load_experiments", "plan", "theory_runs"]

NOTEBOOKS, RUNS = Path("notebooks"), Path("runs")
THEORY = "theory"  # stands where the scale stands: a theory notebook has one length only


@dataclass(frozen=True)
class Run:
    """One papermill run; equal runs have equal folders."""

    experiment: str
    scale: str
    run_id: str  # the swept values and the seed, readable, e.g. "loss-hinge_seed-1"
    notebook: Path
    parameters: Mapping[str, Any]  # those that differ from the notebook's defaults by intention
    chapter: bool = False  # whether the book shows this run's notebook
    resources: Resources = field(default_factory=Resources)

    @property
    def folder(self) -> Path:
        """Where the run is kept, relative to the repository."""
        return RUNS / self.scale / self.experiment / self.run_id


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


def markers(runs: Iterable[Run]) -> list[str]:
    """For each run the file that says that it is done; its name carries the key of all that the run depends on."""
    codes: dict[Path, str] = {}
    known: dict[Path, Collection[str]] = {}
    found = []
    for run in runs:
        if run.notebook not in codes:
            codes[run.notebook], known[run.notebook] = digest(sources(run.notebook)), parameters_of(run.notebook)
        inputs = run_inputs(codes[run.notebook], known[run.notebook], run.parameters)
        found.append(f"{run.folder}/{DONE}{run_key(inputs)}")
    return found


def chosen(experiments: Mapping[str, Experiment], only: str) -> dict[str, Experiment]:
    """The experiments of that name or tag; all of them where ``only`` is empty.

    Raises:
        InputError: no experiment has that name or tag.
    """
    found = {name: e for name, e in experiments.items() if not only or only == name or only in e.tags}
    if not found:
        tags = {tag for e in experiments.values() for tag in e.tags}
        raise unknown_name("experiment or tag", only, {*experiments, *tags})
    return found


def _runs(experiment: Experiment, scale: str) -> Iterator[Run]:
    spec = experiment.scales[scale]
    for index, point in enumerate(spec.points()):
        yield Run(
            experiment.name,
            scale,
            point_name(point),
            experiment.notebook,
            {**spec.fixed, **point},
            chapter=index == 0,
            resources=spec.resources,
        )
