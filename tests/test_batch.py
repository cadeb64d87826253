"""What experiments.yml may say, what it means, and what each mistake in it is told."""

from pathlib import Path

import pytest

from ganbook.batch import load_experiments, plan, theory_runs
from ganbook.errors import DataError, GanbookError, InputError

TINY = Path(__file__).parent / "material" / "tiny.py"

GOOD = """
tiny:
  title: A tiny experiment
  smoke: {fixed: {steps: 1}}
  cpu:
    fixed: {steps: 2}
    sweep: {loss: [hinge, wasserstein], flip: [false, true]}
    seeds: [0, 1]
  gpu: {fixed: {lr: 1}}
"""


@pytest.fixture
def declare(tmp_path):
    """A folder of notebooks with one experiment; call it with the text of experiments.yml."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "tiny.py").write_text(TINY.read_text())

    def write(text):
        path = tmp_path / "experiments.yml"
        path.write_text(text)
        return path

    return write


def test_a_sweep_is_every_combination_with_every_seed(declare):
    runs = plan(load_experiments(declare(GOOD)), "cpu")
    assert len(runs) == 2 * 2 * 2
    assert len({run.folder for run in runs}) == len(runs)
    points = {(run.parameters["loss"], run.parameters["flip"], run.parameters["seed"]) for run in runs}
    assert points == {
        (loss, flip, seed) for loss in ("hinge", "wasserstein") for flip in (False, True) for seed in (0, 1)
    }
    assert all(run.parameters["steps"] == 2 for run in runs)


def test_the_first_run_alone_is_the_chapter_and_has_the_defaults(declare):
    first, *others = plan(load_experiments(declare(GOOD)), "cpu")
    assert first.chapter
    assert not any(run.chapter for run in others)
    assert (first.parameters["loss"], first.parameters["flip"], first.parameters["seed"]) == ("hinge", False, 0)
    assert str(first.folder) == "runs/cpu/tiny/loss-hinge_flip-False_seed-0"


def test_a_scale_without_sweep_and_seeds_is_one_run(declare):
    (run,) = plan(load_experiments(declare(GOOD)), "smoke")
    assert (run.run_id, dict(run.parameters)) == ("default", {"steps": 1})


def test_an_experiment_may_lack_a_scale(declare):
    assert plan(load_experiments(declare(GOOD)), "cpu-long") == []


def test_whole_numbers_serve_where_a_float_is_asked_for(declare):
    (run,) = plan(load_experiments(declare(GOOD)), "gpu")
    assert run.parameters["lr"] == 1.0
    assert type(run.parameters["lr"]) is float


def test_every_theory_notebook_is_one_run(tmp_path):
    (tmp_path / "theory").mkdir()
    for name in ("02_two.py", "01_one.py"):
        (tmp_path / "theory" / name).touch()
    runs = theory_runs(tmp_path)
    assert [run.experiment for run in runs] == ["01_one", "02_two"]
    assert str(runs[0].folder) == "runs/theory/01_one/default"


MISTAKES = {
    "a float as text": ("steps: 1}", "lr: 2e-4}", "write 2.0e-4"),
    "a wrong type": ("steps: 1}", "steps: 1.5}", "takes int, got 1.5"),
    "text for a switch": ("[false, true]", "[false, 'yes']", "takes bool, got 'yes'"),
    "a misspelt parameter": ("steps: 1}", "stpes: 1}", "Did you mean 'steps'"),
    "a misspelt scale": ("  gpu:", "  gpus:", "Did you mean 'gpu'"),
    "a misspelt key": ("    seeds:", "    seed:", "Did you mean 'seeds'"),
    "an unknown notebook": ("  title:", "  notebook: experiments/tinny\n  title:", "Did you mean 'experiments/tiny'"),
    "no smoke scale": ("  smoke: {fixed: {steps: 1}}\n", "", "lacks 'smoke'"),
    "no title": ("  title: A tiny experiment\n", "", "title must be text, got nothing"),
    "a scale that is a list": ("{fixed: {steps: 1}}", "[1, 2]", "must be a mapping of fixed, sweep and seeds"),
    "a sweep that is no list": ("[hinge, wasserstein]", "hinge", "must be a list"),
    "an empty sweep": ("[hinge, wasserstein]", "[]", "at least one value"),
    "a value twice": ("seeds: [0, 1]", "seeds: [0, 0]", "same value twice"),
    "fixed and swept": ("fixed: {steps: 2}", "fixed: {loss: hinge}", "fixed at this scale already"),
    "a default that is not first": ("[hinge, wasserstein]", "[wasserstein, hinge]", "put the default first"),
    "a name that is no folder": ("tiny:\n", "Tiny/one:\n", "lower-case letters"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_one_paragraph_with_its_place(declare, mistake):
    old, new, told = MISTAKES[mistake]
    assert old in GOOD
    with pytest.raises(InputError) as caught:
        load_experiments(declare(GOOD.replace(old, new, 1)))
    message = str(caught.value)
    assert told in message
    assert "experiments.yml" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (GOOD.replace("  gpu:", "  cpu: {}\n  gpu:"), "'cpu' stands there twice"),
        (GOOD + GOOD, "'tiny' stands there twice"),
        (GOOD.replace("    fixed: {steps: 2}", "\tfixed: {steps: 2}"), "spaces, not tabs"),
        (GOOD.replace("[0, 1]", "[0, 1"), "not valid YAML (line"),
    ],
)
def test_broken_yaml_is_told_with_its_line(declare, text, told):
    with pytest.raises(DataError) as caught:
        load_experiments(declare(text))
    assert told in str(caught.value)


@pytest.mark.parametrize("text", ["", "- tiny\n", "42\n"])
def test_a_file_that_declares_nothing_is_refused(declare, text):
    with pytest.raises(InputError, match="must map experiment names"):
        load_experiments(declare(text))


def test_a_missing_file_and_an_unknown_scale_are_told(declare, tmp_path):
    with pytest.raises(DataError, match="root of the repository"):
        load_experiments(tmp_path / "nothing.yml")
    with pytest.raises(GanbookError, match="Did you mean 'cpu-long'"):
        plan(load_experiments(declare(GOOD)), "cpulong")


def test_the_books_own_experiments_are_declared_without_mistake():
    experiments = load_experiments(Path(__file__).parent.parent / "notebooks" / "experiments.yml")
    assert all(plan(experiments, scale) for scale in ("smoke", "cpu"))
