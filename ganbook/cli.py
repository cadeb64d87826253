"""The command line: train, use, judge, data, batches and results.

An error that the user can mend is one paragraph and exit code 2; anything else is a bug and keeps its traceback.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated

import typer
import yaml

from ganbook import apply_cli, batch_cli, data_cli, evaluation_cli, experiments_cli, reproduce_cli, results_cli
from ganbook.config import Config
from ganbook.errors import InputError

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="The GAN book's command line."
)

app.command()(batch_cli.run)
for command in (apply_cli.sample, apply_cli.reconstruct, apply_cli.restyle, apply_cli.interpolate, apply_cli.ship):
    app.command()(command)
app.command()(evaluation_cli.evaluate)
app.command()(results_cli.results)
app.command()(reproduce_cli.reproduce)
app.add_typer(experiments_cli.app, name="experiments")
app.add_typer(data_cli.app, name="data")

Overrides = Annotated[
    list[str] | None, typer.Option("-p", "--param", metavar="NAME=VALUE", help="Set a parameter; repeat for more.")
]


@app.command()
def train(
    out: Annotated[Path, typer.Argument(help="The run folder; made if absent.")],
    param: Overrides = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda …")] = "auto",
    tensorboard: Annotated[bool, typer.Option(help="Write live curves to OUT/tensorboard.")] = True,
    resume: Annotated[bool, typer.Option(help="Continue from OUT's checkpoint if there is one.")] = True,
) -> None:
    """Train one GAN. `ganbook parameters` lists what -p can set."""
    from ganbook.evaluation import measure  # torch is slow to import: only where it is needed
    from ganbook.experiment import Run

    run = Run(Config.from_mapping(parse_overrides(param or [])), out, device=device)
    if resume and run.resume():
        typer.echo(f"Continuing {out} at step {run.history.step}.")
    run.train(hooks=(run.tensorboard(),) if tensorboard else ())
    metrics = measure(run)
    run.finish(metrics)
    for name, value in metrics.items():
        if isinstance(value, float):
            typer.echo(f"{name}: {value:.4f}")
    typer.echo(f"Done: {out}. Look at {out / 'samples.png'}; draw more with `ganbook sample {out}`.")


@app.command()
def parameters() -> None:
    """List the parameters of a run with their defaults."""
    for field in fields(Config):
        typer.echo(f"{field.name:<14} {field.type!s:<6} {field.default}")


@app.command()
def judge(name: Annotated[str, typer.Argument(help="mnist, emoji, fashion_mnist or emnist")]) -> None:
    """Train the classifier that reads generated pictures, and write its weights."""
    from ganbook.judge import train_judge

    trained = train_judge(name)
    typer.echo(f"{name} judge: {trained.test_accuracy:.2%} of the test images right; weights {trained.sha256[:12]}.")


def parse_overrides(items: list[str]) -> dict[str, object]:
    """`name=value` pairs; values are read as YAML, as papermill does.

    Raises:
        InputError: an item without an equals sign, or a value that is no YAML.
    """
    values = {}
    for item in items:
        name, equals, text = item.partition("=")
        if not equals:
            raise InputError(f"Parameters are given as NAME=VALUE, got {item!r}. Example: -p loss=hinge.")
        try:
            values[name] = yaml.safe_load(text)
        except yaml.YAMLError:
            raise InputError(f"The value of {name} cannot be read: {text!r}.") from None
    return values


def main() -> None:
    """Run the command line."""
    batch_cli.in_one_paragraph(app)


if __name__ == "__main__":
    main()
