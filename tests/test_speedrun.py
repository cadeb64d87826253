"""The clock of a record: what it counts, and what counts as reached."""

import time

import pytest
import torch

from ganbook import data, speedrun
from ganbook.errors import DivergenceError, InputError
from ganbook.models.gan import GAN
from ganbook.nn import dcgan
from ganbook.speedrun import Look, race, reached


def looks(*distances):
    return [Look(10 * (i + 1), i + 1.0, i + 0.5, float(d)) for i, d in enumerate(distances)]


def test_a_threshold_is_reached_where_the_next_look_agrees():
    seen = looks(90, 40, 60, 45, 44, 80)
    assert reached(seen, 50.0) == seen[3]  # not at the lucky second look
    assert reached(seen, 60.0) == seen[1]
    assert reached(seen, 43.0) is None
    assert reached(seen[:4], 50.0) is None  # the last look has nobody to agree with it


def game():
    torch.manual_seed(0)
    return GAN(
        dcgan.Generator(resolution=28, channels=1, latent_dim=4, width=4),
        dcgan.Discriminator(resolution=28, channels=1, width=4),
    )


def digits():
    return data.Batches(data.load("mnist", split="test", resolution=28), 8, seed=0)


def test_the_warm_up_leaves_no_trace():
    def weights(warm_up):
        gan = game()
        batches = data.Batches(data.load("mnist", split="test", resolution=28), 8, seed=0, flip=True)
        race(gan, batches, lambda _: 9.0, thresholds=[1.0], every=2, steps=6, warm_up=warm_up)
        return torch.cat([p.detach().flatten() for p in gan.generator.parameters()])

    assert torch.equal(weights(0), weights(3))


def test_the_clock_stands_still_during_a_look_and_stops_when_the_lowest_threshold_holds(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    distances = iter([50.0, 20.0, 9.0, 30.0, 8.0, 7.0, 1.0])

    def look(gan):
        now[0] += 1000  # a look takes long
        return next(distances)

    train = speedrun.train

    def timed(*args, **options):
        now[0] += 5  # and two steps five seconds
        return train(*args, **options)

    monkeypatch.setattr(speedrun, "train", timed)
    result = race(game(), digits(), look, thresholds=[10.0, 25.0], every=2, steps=100)
    assert [round(seen.seconds) for seen in result.looks] == [5, 10, 15, 20, 25, 30]
    assert reached(result.looks, 10.0).step == 10 and reached(result.looks, 25.0).step == 4


def test_a_race_ends_with_its_steps_or_with_divergence(monkeypatch):
    result = race(game(), digits(), lambda _: 9.0, thresholds=[1.0], every=4, steps=10)
    assert [seen.step for seen in result.looks] == [4, 8, 10] and not result.diverged

    def fails(*args, **options):
        raise DivergenceError("gone")

    monkeypatch.setattr(speedrun, "train", fails)
    assert race(game(), digits(), lambda _: 9.0, thresholds=[1.0], every=4, steps=10).diverged


@pytest.mark.parametrize("options", [{"thresholds": []}, {"every": 6}, {"every": 0}])
def test_a_race_that_cannot_be_won_is_refused(options):
    with pytest.raises(InputError, match="at least two looks"):
        race(game(), digits(), lambda _: 9.0, **{"thresholds": [1.0], "every": 2, "steps": 10, **options})
