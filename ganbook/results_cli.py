"""``ganbook results``: the recorded runs as tables, compared, ranked and exported."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganbook.errors import InputError, unknown_name
from ganbook.results import Record, read_records

if TYPE_CHECKING:
    import pandas as pd


def results(
    experiment: Annotated[str | None, typer.Argument(help="Only this experiment.")] = None,
    scale: Annotated[str | None, typer.Option(help="Only this scale.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the runs, one a row, to this file instead.")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write the tables: .html, .csv or .tex.")] = None,
    compare: Annotated[str | None, typer.Option(help="Compare the variants in this metric, seed by seed.")] = None,
    baseline: Annotated[str | None, typer.Option(help="The variant to compare with; default the first.")] = None,
    tolerances: Annotated[
        bool, typer.Option("--tolerances", help="Record beside each result what counts as reproduced elsewhere.")
    ] = False,
    mlflow: Annotated[Path | None, typer.Option(help="Export the runs to an MLflow file store in this folder.")] = None,
    runs: Annotated[Path, typer.Option(help="Folder with runs of this machine.")] = Path("runs"),
    records: Annotated[Path, typer.Option(help="Folder with committed records.")] = Path("book/results"),
) -> None:
    """Show the recorded results: mean ± half of Student's 95% interval over seeds."""
    from ganbook.checkpoint import unwritable  # torch and pandas are slow to import: only where they are needed
    from ganbook.export import NOTE, export
    from ganbook.tables import formatted, runs_table, summary

    found = _chosen(read_records(records, runs), experiment, scale, f"{runs} and {records}")
    if csv is not None:
        table = runs_table(found)
        table.columns = [".".join(pair) for pair in table.columns]
        try:
            table.to_csv(csv, index=False)
        except OSError as error:
            raise unwritable(csv, error) from None
        typer.echo(f"{len(table)} runs in {csv}.")
        return
    if tolerances:
        from ganbook.reproduce import TOLERANCE, record_tolerances

        typer.echo(f"{TOLERANCE} is written beside each of {len(record_tolerances(found))} records.")
        return
    if mlflow is not None:
        from ganbook.mlflow_export import ALLOWED, export_to_mlflow

        count = export_to_mlflow(found, mlflow)
        look = f"{ALLOWED}=true mlflow ui --backend-store-uri {mlflow.resolve().as_uri()}"
        typer.echo(f"{count} runs written to {mlflow}. Look at them: {look}")
        return
    groups: dict[str, list[Record]] = {}
    for record in found:
        groups.setdefault(f"{record.experiment} ({record.scale})", []).append(record)
    tables = {name: summary(group) for name, group in groups.items()}
    if out is not None:
        export(tables, out)
        typer.echo(f"{len(tables)} tables in {out}.")
        return
    if compare is not None:
        for name, group in groups.items():
            _print_comparison(name, group, compare, baseline)
        return
    for name, table in tables.items():
        shown = formatted(table).drop(columns="scale")
        if table["protocol"].nunique() == 1:
            shown = shown.drop(columns="protocol")
            name = f"{name}, {table['protocol'].iloc[0]}"
        typer.echo(f"{name}\n{shown.to_string(index=False, na_rep='–')}\n")
    typer.echo(f"({NOTE})")


def _chosen(found: Sequence[Record], experiment: str | None, scale: str | None, where: str) -> list[Record]:
    names = sorted({record.experiment for record in found})
    if experiment is not None and experiment not in names:
        raise unknown_name("experiment with records", experiment, names)
    found = [r for r in found if experiment in (None, r.experiment) and r.scale != "smoke"]
    if scale is not None and found and scale not in (scales := sorted({r.scale for r in found})):
        raise unknown_name("scale with records", scale, scales)
    found = [r for r in found if scale in (None, r.scale)]
    if not found:
        raise InputError(f"There are no records under {where}. Make some with `make experiments`.")
    return found


def _print_comparison(name: str, records: Sequence[Record], metric: str, baseline: str | None) -> None:
    from ganbook.comparison import better, by_variant, paired, ranking

    values = by_variant(records, metric)
    if len(values) < 2:
        typer.echo(f"{name}: one variant only, nothing to compare.\n")
        return
    base = baseline or next(iter(values))
    typer.echo(f"{name}: {metric}{_end(better(metric))}, against {base}, over the seeds that both have")
    typer.echo(f"{_rounded(paired(values, base))}\n")
    if not better(metric):
        return  # neither end is known to be the good one
    ranks = ranking(values, metric)
    agreement = ranks.attrs["kendall_w"]
    typer.echo(_rounded(ranks))
    if not math.isnan(agreement):
        typer.echo(f"Kendall's W of the seeds: {agreement:.2f} (1: all rank the variants alike; 0: not at all)\n")


def _end(good: str) -> str:
    return f" ({good} is better)" if good else ""


def _rounded(table: pd.DataFrame) -> str:
    return table.to_string(index=False, float_format=lambda value: f"{value:.4g}", na_rep="–")
