"""Records read, checked and summarised."""

import json
import math

import pytest

from ganbook.errors import DataError, InputError
from ganbook.results import kept_records, read_record, read_records
from ganbook.sources import digest
from ganbook.tables import protocol_text, runs_table, summary, varied, with_spread


def record(root, *, seed=0, loss="hinge", accuracy=0.9, scale="cpu", protocol=None, run_id=None):
    folder = root / scale / "tiny" / (run_id or f"loss-{loss}_seed-{seed}")
    folder.mkdir(parents=True)
    (folder / "params.json").write_text(json.dumps({"loss": loss, "steps": 3, "seed": seed}))
    (folder / "metrics.json").write_text(json.dumps({"accuracy": accuracy, "protocol": protocol or {"n": 10}}))
    (folder / "environment.json").write_text(json.dumps({"device": "cpu", "versions": {"torch": "2"}}))
    (folder / "history.csv").write_text("step,d_loss\n1,0.5\n2,0.25\n")
    return folder


def test_mean_and_sample_deviation_over_seeds_with_their_number(tmp_path):
    for seed, accuracy in enumerate((0.90, 0.92, 0.97)):
        record(tmp_path, seed=seed, accuracy=accuracy)
    record(tmp_path, loss="wasserstein", accuracy=0.5)
    table = summary(read_records(tmp_path)).set_index("loss")
    assert table.loc["hinge", "n"] == 3
    assert table.loc["hinge", "accuracy"] == pytest.approx(0.93)
    assert table.loc["hinge", "accuracy_std"] == pytest.approx(math.sqrt((0.03**2 + 0.01**2 + 0.04**2) / 2))
    assert table.loc["wasserstein", "n"] == 1
    assert math.isnan(table.loc["wasserstein", "accuracy_std"])


def test_numbers_that_were_measured_differently_are_never_averaged(tmp_path):
    record(tmp_path, seed=0, accuracy=0.9, protocol={"n": 10})
    record(tmp_path, seed=1, accuracy=0.5, protocol={"n": 99})
    table = summary(read_records(tmp_path))
    assert sorted(table["accuracy"]) == [0.5, 0.9]
    assert set(table["protocol"]) == {"n 10", "n 99"}


def test_two_records_of_one_variant_and_seed_are_refused(tmp_path):
    record(tmp_path)
    record(tmp_path, run_id="again")
    with pytest.raises(InputError, match="two records of the same variant and seed"):
        summary(read_records(tmp_path))


def test_only_parameters_that_differ_are_columns(tmp_path):
    record(tmp_path)
    record(tmp_path, seed=1)
    assert varied(read_records(tmp_path)) == []
    record(tmp_path, loss="lsgan")
    assert varied(read_records(tmp_path)) == ["loss"]


def test_a_record_that_is_older_than_a_parameter_does_not_differ_by_it(tmp_path):
    old = record(tmp_path)
    record(tmp_path, seed=1)
    (old / "params.json").write_text(json.dumps({"loss": "hinge", "seed": 0}))  # no steps
    assert varied(read_records(tmp_path)) == []


def test_a_record_that_was_changed_after_its_run_is_refused(tmp_path):
    folder = record(tmp_path)
    digests = {name: digest([folder / name]) for name in ("metrics.json", "params.json")}
    (folder / "run.json").write_text(json.dumps({"seconds": 3.5, "record": digests}))
    assert read_record(folder).certificate["seconds"] == 3.5
    (folder / "metrics.json").write_text('{"accuracy": 0.99}')
    with pytest.raises(DataError, match=r"metrics\.json .*not what the run wrote"):
        read_record(folder)


def test_of_two_roots_the_later_counts(tmp_path):
    record(tmp_path / "committed", accuracy=0.1)
    record(tmp_path / "committed", seed=1, accuracy=0.2)
    record(tmp_path / "runs", accuracy=0.9)
    found = read_records(tmp_path / "committed", tmp_path / "runs", tmp_path / "absent")
    assert [r.metrics["accuracy"] for r in found] == [0.9, 0.2]


def test_kept_records_are_those_of_one_experiment_at_one_scale(tmp_path):
    for seed in (1, 0):
        record(tmp_path, seed=seed, scale="cpu-long", accuracy=seed)
    record(tmp_path, scale="cpu", accuracy=5)
    (tmp_path / "cpu-long" / "other" / "seed-0").mkdir(parents=True)
    (tmp_path / "cpu-long" / "other" / "seed-0" / "metrics.json").write_text("damaged")
    assert [r.metrics["accuracy"] for r in kept_records("tiny", root=tmp_path)] == [0, 1]
    assert [r.metrics["accuracy"] for r in kept_records("tiny", "cpu", root=tmp_path)] == [5]
    assert kept_records("absent", root=tmp_path) == []


def certify(folder, accuracy, *, sources="same", device="cpu"):
    (folder / "metrics.json").write_text(json.dumps({"accuracy": accuracy}))
    (folder / "environment.json").write_text(json.dumps({"device": device}))
    (folder / "run.json").write_text(json.dumps({"sources": sources, "parameters": {}}))


def test_two_records_of_one_name_that_contradict_each_other_are_refused(tmp_path):
    ours, theirs = record(tmp_path / "runs"), record(tmp_path / "committed")
    certify(ours, 0.9)
    for different in ({"sources": "other"}, {"device": "cuda"}):  # then they may differ
        certify(theirs, 0.8, **different)
        assert [r.metrics["accuracy"] for r in read_records(tmp_path / "committed", tmp_path / "runs")] == [0.9]
    certify(theirs, 0.8)
    with pytest.raises(DataError, match=r"both claim to be cpu/tiny/loss-hinge_seed-0.*accuracy 0.8 and 0.9"):
        read_records(tmp_path / "committed", tmp_path / "runs")
    certify(theirs, 0.9)
    assert len(read_records(tmp_path / "committed", tmp_path / "runs")) == 1


def test_without_a_certificate_a_clean_commit_says_that_the_code_was_the_same(tmp_path):
    folders = [record(tmp_path / root, accuracy=accuracy) for root, accuracy in (("a", 0.1), ("b", 0.2))]
    for dirty in (True, False):
        for folder in folders:
            (folder / "environment.json").write_text(json.dumps({"git_commit": "abc", "git_dirty": dirty}))
        if dirty:
            assert len(read_records(tmp_path / "a", tmp_path / "b")) == 1
    with pytest.raises(DataError, match="both claim to be"):
        read_records(tmp_path / "a", tmp_path / "b")


def test_single_runs_are_rows_with_grouped_columns(tmp_path):
    record(tmp_path)
    record(tmp_path, seed=1, accuracy=0.8)
    table = runs_table(read_records(tmp_path))
    assert list(table["metrics"]["accuracy"]) == [0.9, 0.8]
    assert list(table["params"]["seed"]) == [0, 1]
    assert list(table["protocol"]["n"]) == [10, 10]
    assert "versions" not in table["environment"]


def test_the_history_is_read_and_may_be_absent(tmp_path):
    folder = record(tmp_path)
    assert list(read_record(folder).history()["d_loss"]) == [0.5, 0.25]
    (folder / "history.csv").unlink()
    assert read_record(folder).history().empty


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("metrics.json", '{"accuracy": 0.9', "Expecting"),
        ("metrics.json", "[1, 2]", "must hold an object"),
        ("metrics.json", '{"accuracy": "good"}', "must be a finite number, got 'good'"),
        ("metrics.json", '{"accuracy": NaN}', "must be a finite number, got nan"),
        ("metrics.json", '{"accuracy": true}', "must be a finite number, got True"),
        ("metrics.json", '{"accuracy": 1, "protocol": 3}', "'protocol' must be an object"),
        ("params.json", None, "it is missing"),
        ("run.json", '{"seconds": 3', "Expecting"),
        ("run.json", '{"record": 3}', "'record' must be an object"),
        ("environment.json", b"\xff\xfe", "not a usable record"),
    ],
)
def test_a_damaged_record_is_told_by_its_file_and_mended_by_a_command(tmp_path, name, content, told):
    file = record(tmp_path) / name
    if content is None:
        file.unlink()
    elif isinstance(content, bytes):
        file.write_bytes(content)
    else:
        file.write_text(content)
    with pytest.raises(DataError) as caught:
        read_records(tmp_path)
    message = str(caught.value)
    assert str(file) in message
    assert told in message
    assert "make experiments" in message


@pytest.mark.parametrize(
    ("mean", "std", "text"),
    [
        (0.91234, 0.0123, "0.912 ± 0.012"),
        (12.345, 4.4, "12.3 ± 4.4"),
        (1234.5, 123.4, "1234 ± 123"),
        (0.5, math.nan, "0.5"),
        (0.5, 0.0, "0.5 ± 0"),
        (math.nan, math.nan, "–"),
    ],
)
def test_the_spread_decides_how_many_digits_are_shown(mean, std, text):
    assert with_spread(mean, std) == text


def test_a_protocol_is_one_line_with_shortened_digests():
    assert protocol_text({"n": 5, "extractor_sha256": "a" * 64}) == f"extractor_sha256 {'a' * 12}, n 5"
