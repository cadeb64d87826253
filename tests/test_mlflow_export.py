"""The export to MLflow: against MLflow itself where it is installed, and what is said where it is not."""

import importlib.util
import json
import sys

import pytest

from ganbook import results_cli
from ganbook.errors import DataError, InputError
from ganbook.mlflow_export import export_to_mlflow
from ganbook.results import read_records

NEEDS_MLFLOW = pytest.mark.skipif(
    importlib.util.find_spec("mlflow") is None, reason="MLflow is not installed: pip install mlflow-skinny"
)


@pytest.fixture
def records(tmp_path):
    folder = tmp_path / "runs" / "cpu" / "tiny" / "seed-0"
    folder.mkdir(parents=True)
    (folder / "params.json").write_text('{"loss": "hinge", "seed": 0}')
    (folder / "metrics.json").write_text('{"fd5k(mnist-judge)": 3.5, "protocol": {"n": 10}}')
    (folder / "environment.json").write_text('{"git_commit": "abc", "git_dirty": false, "device": "cpu"}')
    (folder / "history.csv").write_text("step,loss_d,loss_g\n10,1.5,0.5\n20,1.25,\n")
    return read_records(tmp_path / "runs")


def test_without_mlflow_the_way_to_get_it_is_told(records, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow.tracking", None)
    monkeypatch.setitem(sys.modules, "mlflow.exceptions", None)
    with pytest.raises(InputError, match="pip install mlflow-skinny"):
        export_to_mlflow(records, tmp_path / "store")


@NEEDS_MLFLOW
def test_a_record_is_a_run_with_parameters_metrics_history_origin_and_files(records, tmp_path):
    from mlflow.tracking import MlflowClient

    store = tmp_path / "store"
    assert export_to_mlflow(records, store) == 1
    client = MlflowClient(tracking_uri=store.as_uri())
    experiment = client.get_experiment_by_name("cpu/tiny").experiment_id
    (run,) = client.search_runs([experiment])
    assert run.data.params == {"loss": "hinge", "seed": "0"}
    assert run.data.metrics["fd5k_mnist-judge_"] == 3.5
    history = client.get_metric_history(run.info.run_id, "history/loss_d")
    assert [(m.step, m.value) for m in history] == [(10, 1.5), (20, 1.25)]
    assert [m.step for m in client.get_metric_history(run.info.run_id, "history/loss_g")] == [
        10
    ]  # an empty cell is none
    assert run.data.tags["ganbook.result_id"] == "cpu/tiny/seed-0"
    assert run.data.tags["mlflow.source.git.commit"] == "abc"
    assert {file.path for file in client.list_artifacts(run.info.run_id)} >= {"metrics.json", "history.csv"}


@NEEDS_MLFLOW
def test_a_record_is_written_once_and_anew_when_it_changed(records, tmp_path, capsys):
    from mlflow.tracking import MlflowClient

    store = tmp_path / "store"
    places = {"runs": tmp_path / "runs", "records": tmp_path / "none", "mlflow": store}
    results_cli.results(None, None, None, None, None, None, **places)
    assert "1 runs written to" in capsys.readouterr().out
    assert export_to_mlflow(records, store) == 0
    (records[0].folder / "metrics.json").write_text(json.dumps({"fd5k(mnist-judge)": 4.5}))
    assert export_to_mlflow(read_records(tmp_path / "runs"), store) == 1
    client = MlflowClient(tracking_uri=store.as_uri())
    (run,) = client.search_runs([client.get_experiment_by_name("cpu/tiny").experiment_id])
    assert run.data.metrics["fd5k_mnist-judge_"] == 4.5


@NEEDS_MLFLOW
def test_a_store_that_cannot_be_written_is_told(records, tmp_path):
    (tmp_path / "store").write_text("a file")
    with pytest.raises(DataError, match=r"store .* cannot be written"):
        export_to_mlflow(records, tmp_path / "store")
