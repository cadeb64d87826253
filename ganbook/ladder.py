"""Several GANs that differ in one thing, trained alike and judged alike: what the book's comparisons share.

A comparison is a dictionary of `Variant`, each a few changes to a configuration that all share. `play` trains one and
keeps what it showed on the way, judged by a `ganbook.evaluation.panel.Panel`; `write` leaves the record; and
`over_seeds` makes the table from the committed records of the longer runs, or says that there are none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ganbook import data
from ganbook.checkpoint import kept as checkpoints
from ganbook.checkpoint import load_newest, save_state
from ganbook.config import Config
from ganbook.errors import DivergenceError, unknown_name
from ganbook.evaluation.panel import Panel, presentable
from ganbook.experiment import Adapt, build_gan, unlabelled
from ganbook.models.gan import GAN
from ganbook.plotting import image_sheet, show_rows
from ganbook.records import write_record
from ganbook.results import KEPT, Record, kept_records
from ganbook.tables import half_width, with_spread
from ganbook.training import History, Row, train

LOOKED_AT = 256  # samples at each look during training
SHOWN = 20  # pictures of each variant in the sheet
SAVE_EVERY = 120.0  # seconds between two checkpoints
NO_RUN = ("variant", "n_looks", "device", "out")  # parameters of such a notebook that no configuration has


@dataclass(frozen=True)
class Variant:
    """One GAN of a comparison."""

    title: str
    changes: Mapping[str, Any] = field(default_factory=dict)  # of the shared configuration
    adapt: Adapt | None = None  # of its networks, see `ganbook.nn.attached`


@dataclass
class Played:
    """What a trained variant left."""

    gan: GAN
    rows: list[Row]  # losses, and at the looks what the panel said
    seconds: float  # of training, looks included
    diverged: str = ""  # why training stopped early
    metrics: dict[str, float] = field(default_factory=dict)
    pictures: Tensor | None = None


def climbing(rungs: Mapping[str, Variant]) -> dict[str, Variant]:
    """A ladder: each variant has the changes of all before it and its own; the last ``adapt`` holds on."""
    changes: dict[str, Any] = {}
    adapt: Adapt | None = None
    climbed = {}
    for name, rung in rungs.items():
        changes, adapt = {**changes, **rung.changes}, rung.adapt or adapt
        climbed[name] = Variant(rung.title, dict(changes), adapt)
    return climbed


def chosen(variants: Mapping[str, Variant], names: str) -> dict[str, Variant]:
    """The variants in a comma-separated list, or all of them for ``"all"``.

    Raises:
        InputError: an unknown name; the nearest is suggested.
    """
    wanted = list(variants) if names == "all" else [name.strip() for name in names.split(",")]
    for name in wanted:
        if name not in variants:
            raise unknown_name("variant", name, variants)
    return {name: variants[name] for name in wanted}


def configured(parameters: Mapping[str, Any], variant: Variant) -> Config:
    """A variant's configuration from a notebook's parameters, in which ``width`` and ``lr`` stand for both networks.

    Raises:
        InputError: as `Config.from_mapping`.
    """
    values: dict[str, Any] = {"conditional": False}
    for name, value in parameters.items():
        if name in ("width", "lr"):
            values |= {f"{name}_g": value, f"{name}_d": value}
        elif name not in NO_RUN:
            values[name] = value
    return Config.from_mapping(values | dict(variant.changes))


def latents(n: int, dim: int, *, seed: int = 1) -> Tensor:
    """The latents of judged samples, the same for all variants."""
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))


def play(
    variant: Variant,
    config: Config,
    panel: Panel,
    folder: Path,
    *,
    device: torch.device,
    n_looks: int = 0,
    log_rows: int = 50,
    say: Callable[[str], object] | None = None,
) -> Played:
    """Train one variant and judge it; an interrupted training goes on from its checkpoint in ``folder``.

    Args:
        variant: for its title and what it does to the networks; its changes are in ``config`` already.
        config: of `configured`.
        panel: the judges.
        folder: for checkpoints, which only trainings of minutes write.
        device: to train on.
        n_looks: how often the panel looks at `LOOKED_AT` samples during training.
        log_rows: rows of losses that are kept.
        say: is told how long the whole will take, once a hundredth is done; for long trainings.
    """
    images = data.load(config.dataset, resolution=config.resolution)
    channels = images.images.shape[1]
    gan = build_gan(config, channels=channels, n_classes=0, device=device, adapt=variant.adapt)
    batches = data.Batches(images, config.batch_size, seed=config.seed, device=device, flip=config.flip)
    history = _resumed(gan, batches, config, folder)
    log_every = max(1, config.steps // log_rows)
    looks = {_multiple(config.steps * (i + 1) // n_looks, log_every) for i in range(n_looks)}
    played, saved = Played(gan, history.rows, 0.0), time.monotonic()

    def watch(history: History) -> None:
        nonlocal saved
        if history.step in looks:
            history.rows[-1] |= panel.look(drawn(gan, LOOKED_AT))
        if time.monotonic() - saved >= SAVE_EVERY:
            _save(gan, batches, config, history, folder)
            saved = time.monotonic()

    def run_to(steps: int) -> None:
        train(
            gan,
            unlabelled(batches),
            steps=steps,
            n_dis=config.n_dis,
            log_every=log_every,
            hooks=(watch,),
            history=history,
            progress=False,
        )

    try:
        if say is not None and history.step < (first := max(1, config.steps // 100)):
            run_to(first)
            say(f"{variant.title}: about {history.seconds / history.step * config.steps / 60:.0f} minutes")
        run_to(config.steps)
    except DivergenceError as error:
        played.diverged = str(error)
    played.seconds = history.seconds
    samples = drawn(gan, config.n_eval)
    played.metrics, played.pictures = panel.judged(samples), presentable(samples[:SHOWN])
    return played


def play_all(
    variants: Mapping[str, Variant],
    parameters: Mapping[str, Any],
    panel: Panel,
    folder: Path,
    *,
    device: torch.device,
    n_looks: int = 0,
) -> dict[str, Played]:
    """`play` of each variant in a notebook's parameters; trainings of 2000 steps and more say how long they take."""
    played = {}
    for name, variant in variants.items():
        config = configured(parameters, variant)
        say = print if config.steps >= 2000 else None
        played[name] = play(variant, config, panel, folder / name, device=device, n_looks=n_looks, say=say)
    return played


def drawn(gan: GAN, n: int) -> Tensor:
    """n samples of the averaged generator from `latents`, on the CPU."""
    gan.refresh_batchnorm(batches=4)
    return gan.sample(latents(n, gan.latent_dim))


def write(
    folder: Path,
    played: Mapping[str, Played],
    panel: Panel,
    *,
    parameters: Mapping[str, Any],
    environment: Mapping[str, Any],
) -> dict[str, Any]:
    """Leave the record of a notebook's variants, and return its metrics.

    A run of one variant has its metrics under their own names; a run of several has the Fréchet distance, recall and
    similarity of each, as ``recall@variant``.
    """
    metrics: dict[str, Any] = {}
    for name, result in played.items():
        for metric, value in result.metrics.items():
            if len(played) == 1:
                metrics[metric] = value
            elif metric.startswith(("fd", "fid", "recall", "ms_ssim")):
                metrics[f"{metric}@{name}"] = value
    n = int(parameters["n_eval"])
    pictures = [result.pictures for result in played.values() if result.pictures is not None]
    single = len(played) == 1  # then the history is that of one game, and the results page draws it
    write_record(
        folder,
        parameters={key: value for key, value in parameters.items() if key not in ("device", "out")},
        rows=[({} if single else {"variant": name}) | row for name, result in played.items() for row in result.rows],
        metrics={**metrics, "real_ms_ssim": panel.real_similarity, "protocol": panel.protocol(n)},
        environment=environment,
        train_seconds=sum(result.seconds for result in played.values()),
        sheet=image_sheet(torch.cat(pictures), columns=SHOWN) if pictures else None,
    )
    return metrics


def show_sheet(played: Mapping[str, Played], variants: Mapping[str, Variant]) -> Figure:
    """The same latents under each variant, a row a variant."""
    shown = {variants[name].title: r.pictures for name, r in played.items() if r.pictures is not None}
    return show_rows(image_sheet(torch.cat(list(shown.values())), columns=SHOWN), list(shown))


def records_of(experiment: str, *, root: Path = KEPT) -> dict[str, dict[str, list[Record]]]:
    """The committed records of a comparison, by scale and variant; the quick scales of the book are left out.

    Args:
        experiment: whose.
        root: of the records.
    """
    found: dict[str, dict[str, list[Record]]] = {}
    for scale in ("cpu-long", "gpu"):
        for record in kept_records(experiment, scale, root=root):
            found.setdefault(scale, {}).setdefault(str(record.params.get("variant")), []).append(record)
    return found


def kept_tables(experiment: str, variants: Mapping[str, Variant], *, root: Path = KEPT) -> str:
    """`over_seeds` of each scale that has records, with what was run on what; or that nothing has been run yet."""
    parts = []
    for scale, records in records_of(experiment, root=root).items():
        r = next(r for found in records.values() for r in found)
        where = f"`{r.params['dataset']}` at {r.params['resolution']} pixels, {r.params['steps']:,} steps"
        device = r.environment.get("device", "device unknown")
        parts.append(f"**{scale}**: {where}; {device}.\n\n{over_seeds(records, variants)}")
    return "\n\n".join(parts) or "*The longer runs have not been made yet: everything here is one seed.*"


def over_seeds(records: Mapping[str, Sequence[Record]], variants: Mapping[str, Variant]) -> str:
    """A table in Markdown: mean ± half of Student's 95% interval of every metric, a row a variant.

    Args:
        records: by variant, of `records_of` for one scale.
        variants: in the order of the rows; one without records is pending.
    """
    names = list(dict.fromkeys(metric for found in records.values() for r in found for metric in r.metrics))
    rows = []
    for name, variant in variants.items():
        found = records.get(name, [])
        cells = [mean_text([r.metrics[metric] for r in found if metric in r.metrics]) for metric in names]
        rows.append([variant.title, *cells, str(len(found)) if found else "*pending*"])
    return markdown(["variant", *map(heading, names), "seeds"], rows)


def mean_text(values: Sequence[float]) -> str:
    """Mean ± half of Student's 95% interval over seeds; a dash without values."""
    return with_spread(sum(values) / len(values), half_width(values)) if values else "–"


def differs(ours: Sequence[Record], theirs: Sequence[Record], metric: str) -> tuple[float, float, int]:
    """Mean difference of a metric between two variants, half its 95% interval, and over how many common seeds."""
    a, b = ({int(r.params["seed"]): r.metrics[metric] for r in side if metric in r.metrics} for side in (ours, theirs))
    gaps = [a[s] - b[s] for s in sorted(a.keys() & b.keys())]
    return (sum(gaps) / len(gaps) if gaps else float("nan")), half_width(gaps), len(gaps)


def this_run(played: Mapping[str, Played], variants: Mapping[str, Variant]) -> str:
    """A table in Markdown of what the panel said of this run's variants, and how long each took."""
    names = list(dict.fromkeys(metric for result in played.values() for metric in result.metrics))
    rows = [
        [
            variants[name].title,
            *(f"{result.metrics[metric]:.3g}" if metric in result.metrics else "–" for metric in names),
            f"{result.seconds:.0f}" + (", diverged" if result.diverged else ""),
        ]
        for name, result in played.items()
    ]
    return markdown(["variant", *map(heading, names), "seconds"], rows)


def heading(metric: str) -> str:
    """What a metric is called at the head of a table."""
    return "MS-SSIM" if metric == "ms_ssim" else metric.replace("_", " ")


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; its first column is text, the others numbers."""
    lines = [head, [":--", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _multiple(step: int, of: int) -> int:
    """The row of the history that is nearest below a step; the first one at least."""
    return max(1, step // of) * of


def _save(gan: GAN, batches: data.Batches, config: Config, history: History, folder: Path) -> None:
    past = {"rows": history.rows, "step": history.step, "seconds": history.seconds}
    state = {"config": asdict(config), "gan": gan.state_dict(), "batches": batches.state_dict(), "history": past}
    save_state(state, folder / "model.safetensors")


def _resumed(gan: GAN, batches: data.Batches, config: Config, folder: Path) -> History:
    """The history so far, networks and data restored; a checkpoint of another configuration is left alone."""
    path = folder / "model.safetensors"
    if not checkpoints(path):
        return History()
    state, _ = load_newest(path)
    if state["config"] != asdict(config):
        return History()
    gan.load_state_dict(state["gan"])
    batches.load_state_dict(state["batches"])
    return History(**state["history"])
