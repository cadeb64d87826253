"""Savings and verdicts against courses made up by hand."""

import json

import pandas as pd
import pytest

from ganbook.errors import DataError, InputError
from ganbook.headstart import savings, standing, times_to, verdict, verdicts
from ganbook.results import read_records


def course(**games):
    """A course from ``start=[(step, seconds, fd), …]``; a name that ends in ``_held`` is held."""
    rows = []
    for name, looks in games.items():
        start, held = name.removesuffix("_held"), int(name.endswith("_held"))
        rows += [{"start": start, "held": held, "step": s, "seconds": t, "fd": fd} for s, t, fd in looks]
    return pd.DataFrame(rows)


MADE_UP = course(
    random=[(0, 0.0, 900.0), (10, 10.0, 300.0), (20, 20.0, 90.0)],
    vae=[(0, 5.0, 150.0), (10, 15.0, 95.0), (20, 30.0, 40.0)],
)


def test_time_is_of_the_first_look_at_or_below_the_goal():
    assert times_to(MADE_UP, "seconds", 90.0)["random", 0] == 20.0
    assert times_to(MADE_UP, "step", 95.0)["vae", 0] == 10


def test_who_does_not_arrive_is_given_the_earliest_end():
    times = times_to(MADE_UP, "seconds", 50.0)  # the VAE arrives at 30, after τ = 20
    assert times.tolist() == [20.0, 20.0]


def test_a_saving_is_positive_for_the_faster_start_on_the_clock_that_is_asked():
    assert savings(MADE_UP, "seconds", 100.0) == {("vae", 0): 5.0}
    assert savings(MADE_UP, "step", 100.0) == {("vae", 0): 10.0}
    assert savings(MADE_UP, "seconds", 200.0) == {("vae", 0): 15.0}  # at its first look the decoder's price is paid


def test_held_is_compared_with_held():
    both = course(
        random=[(0, 0.0, 900.0), (10, 10.0, 90.0)],
        random_held=[(0, 0.0, 900.0), (10, 40.0, 90.0)],
        vae=[(0, 5.0, 50.0), (10, 50.0, 40.0)],
        vae_held=[(0, 7.0, 50.0), (10, 60.0, 40.0)],
    )
    assert savings(both, "seconds", 100.0) == {("vae", 0): 5.0, ("vae", 1): 3.0}  # τ = 10


def test_a_goal_is_not_undone_by_a_later_rise():
    up = course(random=[(0, 0.0, 900.0), (1, 9.0, 9.0)], vae=[(0, 2.0, 80.0), (1, 3.0, 400.0), (2, 9.0, 70.0)])
    assert savings(up, "seconds", 100.0) == {("vae", 0): 7.0}


def test_standing_is_at_equal_seconds():
    assert standing(MADE_UP)["fd"].to_dict() == {("random", 0): 90.0, ("vae", 0): 95.0}


def test_no_random_weights_no_saving():
    with pytest.raises(InputError, match="Add 'random'"):
        savings(MADE_UP[MADE_UP["start"] == "vae"], "seconds", 100.0)


def test_a_damaged_course_is_refused():
    with pytest.raises(DataError, match="lacks fd"):
        times_to(MADE_UP.drop(columns="fd"), "seconds", 1.0)
    with pytest.raises(DataError, match="looked at once"):
        times_to(MADE_UP[MADE_UP["step"] == 0], "seconds", 1.0)


def test_five_seeds_of_one_sign_are_faster_or_slower():
    assert verdict([1.0, 2.0, 3.0, 2.0, 1.5]).word == "faster"
    assert verdict([-1.0, -2.0, -3.0, -2.0, -1.5]).word == "slower"
    assert str(verdict([1.0] * 5)) == "**faster** +1 [+1, +1]"


def test_one_seed_against_the_others_is_enough_to_doubt():
    doubtful = verdict([3.0, 3.0, 3.0, 3.0, -0.1])
    assert doubtful.low > 0
    assert doubtful.word == "no difference shown"
    assert verdict([0.0] * 5).word == "no difference shown"
    assert str(verdict([0.0] * 5)) == "–"


def test_the_interval_holds_the_mean_and_lies_within_the_values():
    found = verdict([1.0, 4.0, 2.0, 8.0, 5.0])
    assert 1.0 <= found.low < found.mean == 4.0 < found.high <= 8.0


def test_four_seeds_decide_nothing():
    assert verdict([1.0] * 4).word == "too few seeds"
    assert "too few seeds" in str(verdict([1.0]))


def kept(root, seed, *, conditional, loss, dataset="mnist", late=0.0):
    """A record of the form in which runs of the experiment are committed."""
    folder = root / "cpu-long" / "accelerated_gan" / f"{dataset}-{conditional}-{loss}-{seed}"
    folder.mkdir(parents=True)
    start = "cvae" if conditional else "vae"
    rows = course(**{"random": [(0, 0.0, 900.0), (50, 8.0, 90.0)], start: [(0, 2.0 + late, 80.0), (50, 9.0, 60.0)]})
    rows.to_csv(folder / "history.csv", index=False)
    params = {"conditional": conditional, "loss": loss, "dataset": dataset, "seed": seed}
    for name, content in (("params", params), ("metrics", {"protocol": {}}), ("environment", {})):
        (folder / f"{name}.json").write_text(json.dumps(content))


def test_the_table_is_read_from_records(tmp_path):
    for seed in range(5):
        kept(tmp_path, seed, conditional=True, loss="wasserstein", late=seed)
        kept(tmp_path, seed, conditional=False, loss="nonsaturating")
        kept(tmp_path, seed, conditional=False, loss="nonsaturating", dataset="emoji")
    rows = verdicts(read_records(tmp_path), "seconds", (100.0, 50.0))
    assert [(r.dataset, r.game, r.start, r.held) for r in rows] == [
        ("mnist", "GAN", "vae", False),
        ("mnist", "CWGAN", "cvae", False),
        ("emoji", "GAN", "vae", False),
    ]
    assert rows[0].verdicts[100].values == (6.0,) * 5
    assert sorted(rows[1].verdicts[100].values) == [2.0, 3.0, 4.0, 5.0, 6.0]
    assert rows[1].verdicts[50].word == "no difference shown"  # neither arrives
