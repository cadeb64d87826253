"""What experiments.yml may say, what it means, and what each mistake in it is told."""

from pathlib import Path

import pytest

from ganbook.batch import chosen, load_experiments, markers, plan, theory_runs
from ganbook.declaration import Resources
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


def test_lists_hand_in_hand_and_explicit_points_are_combined_with_the_rest(declare):
    varied = "zip: {loss: [hinge, lsgan], lr: [2.0e-4, 1]}\n    explicit: [{}, {flip: true}]\n    seeds: [0, 1]"
    text = GOOD.replace("sweep: {loss: [hinge, wasserstein], flip: [false, true]}\n    seeds: [0, 1]", varied)
    runs = plan(load_experiments(declare(text)), "cpu")
    assert len(runs) == 2 * 2 * 2
    assert {(run.parameters["loss"], run.parameters["lr"]) for run in runs} == {("hinge", 2e-4), ("lsgan", 1.0)}
    assert str(runs[0].folder) == "runs/cpu/tiny/loss-hinge_lr-0.0002_seed-0"
    assert str(runs[-1].folder) == "runs/cpu/tiny/loss-lsgan_lr-1.0_flip-True_seed-1"


def test_resources_are_those_declared_and_a_gpu_at_scale_gpu(declare):
    text = GOOD.replace("    seeds:", "    resources: {memory: 2, minutes: 30}\n    seeds:")
    experiments = load_experiments(declare(text))
    assert plan(experiments, "cpu")[0].resources == Resources(gpu=0, memory=2.0, minutes=30.0)
    assert plan(experiments, "gpu")[0].resources == Resources(gpu=1)


def test_experiments_are_chosen_by_name_or_tag(declare):
    text = GOOD.replace("  title:", "  tags: [small, table]\n  title:")
    experiments = load_experiments(declare(text))
    assert chosen(experiments, "") == chosen(experiments, "table") == chosen(experiments, "tiny") == experiments
    with pytest.raises(InputError, match="Did you mean 'table'"):
        chosen(experiments, "tabble")


def test_markers_change_with_what_a_run_depends_on_and_with_nothing_else(declare):
    path = declare(GOOD)
    before = markers(plan(load_experiments(path), "cpu"))
    assert len(set(before)) == 8
    path.write_text(
        GOOD.replace("  title:", "  tags: [other]\n  title:").replace("gpu: {fixed", "gpu: {seeds: [0], fixed")
    )
    assert markers(plan(load_experiments(path), "cpu")) == before
    path.write_text(GOOD.replace("steps: 2}", "steps: 4}"))
    assert not set(markers(plan(load_experiments(path), "cpu"))) & set(before)
    path.write_text(GOOD)
    script = path.parent / "experiments" / "tiny.py"
    script.write_text(script.read_text() + "\n# another word\n")
    assert not set(markers(plan(load_experiments(path), "cpu"))) & set(before)


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
    "fixed and swept": ("fixed: {steps: 2}", "fixed: {loss: hinge}", "under 'fixed' and under 'sweep'"),
    "swept and a seed": ("flip: [false, true]", "seed: [0, 1]", "under 'sweep' and under 'seeds'"),
    "fixed and explicit": ("seeds: [0, 1]", "explicit: [{}, {steps: 4}]", "under 'fixed' and under 'explicit'"),
    "an explicit mapping": ("seeds: [0, 1]", "explicit: {lr: 1}", "must be a list of points"),
    "a point that is no mapping": ("seeds: [0, 1]", "explicit: [lr]", "must map parameter names to values"),
    "the same point twice": ("seeds: [0, 1]", "explicit: [{}, {lr: 1}, {lr: 1.0}]", "the same point twice"),
    "an explicit default that is not first": ("seeds: [0, 1]", "explicit: [{lr: 1}]", "put the default first"),
    "zip of unequal length": ("seeds: [0, 1]", "zip: {lr: [2.0e-4, 1], seed: [0]}", "got lr 2, seed 1"),
    "tags in one word": ("  title:", "  tags: small\n  title:", "tags must be a list of words"),
    "an unknown resource": ("    seeds:", "    resources: {gpus: 1}\n    seeds:", "Did you mean 'gpu'"),
    "half a GPU": ("    seeds:", "    resources: {gpu: 0.5}\n    seeds:", "gpu must be a whole number"),
    "no time at all": ("    seeds:", "    resources: {minutes: -1}\n    seeds:", "of at least 0, got -1"),
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
