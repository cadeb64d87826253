"""Making a recorded number again: what is told, what is run, and how it is judged."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from scipy import stats

from ganbook import reproduce, reproduce_cli
from ganbook.errors import DataError, InputError
from ganbook.provenance import machine
from ganbook.reproduce import (
    Comparison,
    compare,
    differences,
    expected,
    find,
    parameters_again,
    recorded_tolerance,
    verdict,
)
from ganbook.results import Record, read_record
from ganbook.sources import digest, sources

TINY = Path(__file__).parent / "material" / "tiny.py"


def record(seed=0, *, accuracy=0.9, environment=None, certificate=None, protocol=None, scale="cpu"):
    params = {"loss": "hinge", "seed": seed, "unknown": 3}
    metrics, place = {"accuracy": accuracy}, Path(scale) / "tiny" / f"seed-{seed}"
    return Record(*place.parts, place, params, metrics, protocol or {}, environment or {}, certificate or {})


def test_a_result_is_found_by_its_name():
    assert find([record(0), record(1)], "cpu/tiny/seed-1").params["seed"] == 1
    with pytest.raises(InputError, match="Did you mean 'cpu/tiny/seed-1'"):
        find([record(1)], "cpu/tiny/sed-1")


def test_only_what_the_notebook_takes_is_given_to_it_again_and_not_the_folder():
    known = record(3, certificate={"parameters": {"out": ".", "lr": 0.5}})
    assert parameters_again(known, TINY) == {"loss": "hinge", "seed": 3, "lr": 0.5}


def test_nothing_differs_where_it_was_made_just_now():
    certificate = {"sources": digest(sources(TINY)), "machine": machine()}
    assert differences(record(certificate=certificate), TINY) == []


def test_each_difference_is_a_line():
    here = {"git_commit": "b" * 40, "git_dirty": False, "cpu": "Slow", "python": "3.12", "versions": {"torch": "2.13"}}
    environment = {"git_commit": "a" * 40, "git_dirty": True, "device": "cpu (Fast)", "python": "3.11"}
    environment |= {"versions": {"torch": "2.12", "numpy": "2"}, "driver": "570"}
    lines = differences(record(environment=environment), TINY, here)
    assert lines == [
        "code: recorded at aaaaaaaaaa with changes, here bbbbbbbbbb",
        "processor: recorded on Fast, here Slow",
        "python: recorded 3.11, here 3.12",
        "driver: recorded 570, here None",
        "torch: recorded 2.12, here 2.13",
        "numpy: recorded 2, here not installed",
    ]
    (line,) = differences(record(certificate={"sources": "old"}), TINY, {})
    assert line.startswith("code: the notebook, what it imports or its data changed")


def test_the_way_back_names_commit_and_command():
    assert "names no commit" in reproduce.how_to_restore(record())
    text = reproduce.how_to_restore(record(environment={"git_commit": "abc" * 13 + "d", "git_dirty": True}))
    assert text.startswith("git worktree add ../at-abcabcabca abcabc") and "ganbook reproduce cpu/tiny/seed-0" in text
    assert "not committed" in text


def test_elsewhere_a_result_is_expected_where_one_more_seed_would_be():
    group = [record(seed, accuracy=value) for seed, value in enumerate((0.90, 0.92, 0.97))]
    foreign = [record(7, accuracy=0.1, protocol={"n": 99}), record(8, accuracy=0.1, scale="gpu")]
    low, high = expected(group[0], [*group, *foreign], "accuracy")
    half = stats.t.ppf(0.975, 2) * math.sqrt((0.03**2 + 0.01**2 + 0.04**2) / 2) * math.sqrt(4 / 3)
    assert (low, high) == pytest.approx((0.93 - half, 0.93 + half))
    assert expected(group[0], group[:1], "accuracy") == pytest.approx((0.81, 0.99))  # alone: a tenth


def test_the_verdict_is_that_of_the_worst_metric():
    same, near, far = (Comparison("a", 0.9, again, 0.8, 1.0) for again in (0.9 + 1e-15, 0.85, 0.7))
    assert [c.word for c in (same, near, far)] == ["identical", "within tolerance", "differs"]
    assert verdict([same, same]) == "REPRODUCED: every metric is identical."
    assert verdict([same, near]).startswith("REPRODUCED within")
    assert verdict([near, far]) == "NOT REPRODUCED: a differs by more than the tolerance."


def test_on_the_same_machine_nothing_but_the_same_number_will_do():
    (one,) = compare(record(), record(accuracy=0.9001), [record()], same_machine=True)
    assert one.word == "differs"
    (one,) = compare(record(), record(accuracy=0.9001), [record()], same_machine=False)
    assert one.word == "within tolerance"
    with pytest.raises(DataError, match="measured no accuracy"):
        compare(record(), Record("cpu", "tiny", "seed-0", Path("x"), {}, {}, {}, {}), [], same_machine=True)


def test_the_tolerance_is_that_recorded_with_the_result(tmp_path):
    group = [
        replace(record(seed, accuracy=value), folder=tmp_path / str(seed)) for seed, value in enumerate((0.9, 0.94))
    ]
    for one in group:
        one.folder.mkdir()
    files = reproduce.record_tolerances(group)
    assert files == [tmp_path / "0" / "tolerance.json", tmp_path / "1" / "tolerance.json"]
    assert recorded_tolerance(group[1])["accuracy"] == pytest.approx(expected(group[0], group, "accuracy"))
    (one,) = compare(group[0], record(accuracy=0.99), [group[0]], same_machine=False)  # the other seed is gone by now
    assert (one.low, one.high) == recorded_tolerance(group[0])["accuracy"] and one.word == "within tolerance"
    files[0].write_text('{"accuracy": [0.89, 0.91]}')
    (one,) = compare(group[0], record(accuracy=0.92), group, same_machine=False)
    assert one.word == "differs"
    (one,) = compare(group[0], record(accuracy=0.905), group, same_machine=True)
    assert one.word == "differs"  # at home nothing but the same number will do
    assert recorded_tolerance(record()) == {}


@pytest.mark.parametrize("text", ["", "[]", '{"accuracy": 1}', '{"accuracy": [0.9]}', '{"accuracy": [0.9, 0.1]}'])
def test_a_damaged_tolerance_is_told_with_the_command_that_mends_it(tmp_path, text):
    (tmp_path / "tolerance.json").write_text(text)
    with pytest.raises(DataError, match=r"tolerance\.json.*ganbook results --tolerances"):
        recorded_tolerance(replace(record(), folder=tmp_path))


def test_a_notebook_that_is_gone_is_told_with_the_commit_that_had_it(tmp_path, monkeypatch):
    gone = record(certificate={"notebook": "gone.py"}, environment={"git_commit": "abc"})
    with pytest.raises(DataError, match=r"gone\.py\) is not here.*abc"):
        reproduce.notebook_of(gone)


def test_the_command_runs_again_beside_the_record_and_judges(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "cpu" / "tiny" / "seed-2"
    reproduce.run_notebook(TINY, {"seed": 2}, folder)
    result = "cpu/tiny/seed-2"
    places = {"runs": tmp_path / "runs", "records": tmp_path / "none"}
    reproduce_cli.reproduce(result, **places)
    out = capsys.readouterr().out
    assert "the metrics must be identical" in out
    assert "accuracy: recorded 0.92, now 0.92: identical\nREPRODUCED: every metric is identical." in out
    assert read_record(tmp_path / "runs" / "reproduced" / result).metrics == read_record(folder).metrics
    assert json.loads((folder / "run.json").read_text())["parameters"]["seed"] == 2  # the record itself is untouched

    committed = tmp_path / "committed" / result
    shutil.copytree(folder, committed)
    (committed / "run.json").unlink()
    (committed / "metrics.json").write_text('{"accuracy": 0.5, "protocol": {"n": 10}}')
    environment = {"device": "cpu (Other)", "git_commit": "f" * 40}
    (committed / "environment.json").write_text(json.dumps(environment))
    certificate = {"notebook": str(TINY)}
    (committed / "run.json").write_text(json.dumps(certificate))
    monkeypatch.setattr(reproduce, "run_again", lambda *_: read_record(folder))
    with pytest.raises(reproduce_cli.typer.Exit) as caught:
        reproduce_cli.reproduce(result, runs=tmp_path / "none", records=tmp_path / "committed")
    out = capsys.readouterr().out
    assert caught.value.exit_code == 1
    assert "processor: recorded on Other" in out and "git worktree add" in out
    assert "now 0.92: differs, expected 0.45 to 0.55\nNOT REPRODUCED" in out
