"""The loop: how often each player steps, what is logged, and what stops it."""

import warnings

import pytest
import torch

from ganbook.errors import DivergenceError, InputError
from ganbook.losses import F_GAN_LOSSES, LOSSES
from ganbook.training import WON_AT_ZERO, History, train, watch_discriminator


class Recorder:
    """A model that notes its calls and returns prepared losses."""

    def __init__(self, bad_step=None, value=float("nan")):
        self.calls, self.bad_step, self.value, self.g_steps = [], bad_step, value, 0

    def discriminator_step(self, real, labels=None):
        self.calls.append(("d", int(real[0])))
        return torch.tensor(1.0)

    def generator_step(self, real, labels=None):
        self.calls.append(("g", int(real[0])))
        self.g_steps += 1
        return torch.tensor(self.value if self.g_steps == self.bad_step else float(self.g_steps))


def stream():
    i = 0
    while True:
        yield torch.tensor([i]), None
        i += 1


def test_k_discriminator_steps_on_fresh_batches_then_one_generator_step():
    model = Recorder()
    train(model, stream(), steps=2, n_dis=3, progress=False)
    assert model.calls == [("d", 0), ("d", 1), ("d", 2), ("g", 2), ("d", 3), ("d", 4), ("d", 5), ("g", 5)]


def test_rows_are_means_over_intervals_and_the_last_interval_may_be_short():
    seen = []
    history = train(Recorder(), stream(), steps=7, log_every=3, hooks=[lambda h: seen.append(h.step)], progress=False)
    assert history.column("step") == [3, 6, 7]
    assert history.column("g_loss") == [2.0, 5.0, 7.0]
    assert history.column("d_loss") == [1.0, 1.0, 1.0]
    assert seen == [3, 6, 7]
    assert history.column("seconds") == sorted(history.column("seconds"))


def test_a_history_is_continued():
    model = Recorder()
    first = train(model, stream(), steps=3, log_every=3, progress=False)
    again = train(model, stream(), steps=5, log_every=3, history=first, progress=False)
    assert model.g_steps == 5 and again.step == 5 and again.column("step") == [3, 5]
    done = train(model, stream(), steps=5, history=History(step=5), progress=False)
    assert model.g_steps == 5 and done.rows == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_non_finite_loss_stops_the_run_and_names_step_and_player(value):
    model = Recorder(bad_step=5, value=value)
    with pytest.raises(DivergenceError, match="generator loss became .* at step 5;.*remedies.*Training dynamics"):
        train(model, stream(), steps=100, log_every=4, progress=False)
    assert model.g_steps == 8  # noticed at the end of its interval


def test_steps_count_from_one():
    with pytest.raises(InputError, match="count from 1, got 0"):
        train(Recorder(), stream(), steps=0)


def watched(d_losses, *, loss="hinge", every=100):
    """The history steps at which the hook warned, for one d_loss a row."""
    watch, history, said = watch_discriminator(loss), History(), []
    for value in d_losses:
        history.step += every
        history.rows.append({"step": float(history.step), "d_loss": value})
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            watch(history)
        said += [(history.step, str(warning.message)) for warning in caught]
    return said


def test_a_discriminator_that_has_won_for_long_is_reported_once_with_remedies():
    ((step, text),) = watched([0.5, 0.5, *[0.001] * 30])
    assert step == 1300  # near 0 from step 300 on
    for word in ("below 0.01 for 1000 steps", "up to step 1300", "penalty='r1'", "augment=", "'Training dynamics'"):
        assert word in text


def test_a_healthy_or_unbounded_loss_is_not_reported():
    assert watched([0.001] * 9 + [0.5] + [0.001] * 9 + [0.5]) == []
    assert watched([0.0] * 50, loss="wasserstein") == [] and watched([-30.0] * 50, loss="fgan_kl") == []


@pytest.mark.parametrize("name", LOSSES | F_GAN_LOSSES)
def test_zero_is_the_loss_of_a_won_game_for_exactly_these(name):
    """Never negative, and within 0.01 of 0 only where every real logit is far above every fake one."""
    loss = (LOSSES | F_GAN_LOSSES)[name]
    logits = torch.linspace(-12, 12, 97, dtype=torch.float64)
    real, fake = (grid.flatten() for grid in torch.meshgrid(logits, logits, indexing="ij"))
    value = loss.d(real, fake)
    won = (value.abs() < 0.01) & (real - fake >= 1)
    assert ((value >= 0).all() and won.any() and not (value < 0.01)[real <= fake].any()) == (name in WON_AT_ZERO)


def test_a_batch_that_does_not_fit_is_named_with_one_that_may():
    class Greedy:
        def discriminator_step(self, real, labels=None):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nLong advice.")

        def generator_step(self, real, labels=None):
            return torch.zeros(())

    batches = iter([(torch.zeros(48, 3, 4, 4), None)])
    with pytest.raises(InputError, match=r"batch of 48 images \(CUDA out of memory.*batch_size=24") as raised:
        train(Greedy(), batches, steps=1, progress=False)
    assert "Long advice" not in str(raised.value)


def test_a_generator_step_that_does_not_fit_is_explained_too():
    class Greedy:
        def discriminator_step(self, real, labels=None):
            return torch.zeros(())

        def generator_step(self, real, labels=None):
            raise torch.OutOfMemoryError("out of memory")

    with pytest.raises(InputError, match="batch of 3 images.*batch_size=2"):
        train(Greedy(), iter([(torch.zeros(3, 1), None)]), steps=1, progress=False)
