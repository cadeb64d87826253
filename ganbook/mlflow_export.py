"""Records into an MLflow file store, for those who look at their runs there.

MLflow is no dependency of the book: ``pip install mlflow-skinny`` brings what is needed to write,
``pip install mlflow`` also the user interface. Nothing is sent anywhere: the store is a folder. MLflow 3 keeps such
stores as they are and wants to be told that one is meant, by the environment variable ``MLFLOW_ALLOW_FILE_STORE``; its
``mlflow migrate-filestore`` turns one into a database.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from ganbook.errors import DataError, InputError
from ganbook.results import COMMITTED, Record
from ganbook.sources import digest

RESULT, CONTENT = "ganbook.result_id", "ganbook.content"  # tags by which an exported record is known again
ALLOWED = "MLFLOW_ALLOW_FILE_STORE"  # read by MLflow 3
AT_ONCE = 500  # entries of a history in one call; MLflow takes up to 1000
FORBIDDEN = re.compile(r"[^\w\-./ ]")  # in MLflow's names, as the brackets of fd5k(mnist-judge) are
LONGEST = 500  # characters of a parameter's value in older versions of MLflow


def export_to_mlflow(records: Sequence[Record], store: Path) -> int:
    """Write each record as a run: parameters, metrics, history by step, provenance as tags, files as artifacts.

    A record that is in the store already, unchanged, is not written twice; a changed one is a new run, and its old run
    is marked as deleted.

    Args:
        records: to be exported.
        store: folder of the file store; made if absent.

    Returns:
        how many of the records were written.

    Raises:
        InputError: MLflow is not installed.
        DataError: the store cannot be written.
    """
    connect, clash = _client()
    os.environ.setdefault(ALLOWED, "true")
    try:
        client = connect(tracking_uri=store.resolve().as_uri())
        return sum(_export(client, record) for record in records)
    except (OSError, clash) as error:
        raise DataError(f"The MLflow store {store} cannot be written ({error}). Choose another folder.") from None


def _client() -> tuple[Any, type[Exception]]:
    """MLflow's client and the error that it raises."""
    try:
        exceptions, tracking = import_module("mlflow.exceptions"), import_module("mlflow.tracking")
    except ImportError:
        raise InputError(
            "The export needs MLflow, which is not installed. `pip install mlflow-skinny` is enough to write the "
            "store, `pip install mlflow` brings the pages to look at it."
        ) from None
    return tracking.MlflowClient, exceptions.MlflowException


def _export(client: Any, record: Record) -> bool:
    name = f"{record.scale}/{record.experiment}"
    known = client.get_experiment_by_name(name)
    experiment = known.experiment_id if known else client.create_experiment(name)
    content = digest([file for part in COMMITTED if (file := record.folder / part).is_file()])
    for earlier in client.search_runs([experiment], f"tags.`{RESULT}` = '{record.result_id}'"):
        if earlier.data.tags.get(CONTENT) == content and earlier.info.status == "FINISHED":
            return False
        client.delete_run(earlier.info.run_id)
    run = client.create_run(experiment, run_name=record.run_id, tags=_tags(record, content)).info.run_id
    for key, value in record.params.items():
        client.log_param(run, FORBIDDEN.sub("_", key), str(value)[:LONGEST])
    for key, metric in record.metrics.items():
        client.log_metric(run, FORBIDDEN.sub("_", key), metric)
    _log_history(client, run, record)
    for part in COMMITTED:
        if (record.folder / part).is_file():
            client.log_artifact(run, str(record.folder / part))
    client.set_terminated(run)
    return True


def _tags(record: Record, content: str) -> dict[str, str]:
    """Where the run comes from, and how its metrics were measured."""
    facts: Mapping[str, Any] = {
        RESULT: record.result_id,
        CONTENT: content,
        "mlflow.source.git.commit": record.environment.get("git_commit"),
        "ganbook.git_dirty": record.environment.get("git_dirty"),
        "ganbook.device": record.environment.get("device"),
        "ganbook.protocol": ", ".join(f"{key} {value}" for key, value in record.protocol.items()),
    }
    return {key: str(value) for key, value in facts.items() if value is not None}


def _log_history(client: Any, run: str, record: Record) -> None:
    """Every number of the history, at its step."""
    metric = import_module("mlflow.entities").Metric
    entries = [metric(f"history/{FORBIDDEN.sub('_', key)}", value, 0, step) for key, value, step in _history(record)]
    for start in range(0, len(entries), AT_ONCE):
        client.log_batch(run, metrics=entries[start : start + AT_ONCE])


def _history(record: Record) -> Iterator[tuple[str, float, int]]:
    table = record.history().select_dtypes("number")
    for place, row in enumerate(table.to_dict("records")):
        step = int(row.pop("step", place))
        yield from ((str(key), float(value), step) for key, value in row.items() if value == value)  # empty cells out
