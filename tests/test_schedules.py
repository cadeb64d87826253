"""Learning rates by their formulas, in the optimisers, and across an interruption."""

import math

import pytest
import torch

from ganbook.config import Config
from ganbook.errors import InputError
from ganbook.experiment import Run
from ganbook.models.gan import GAN
from ganbook.nn import mlp
from ganbook.schedules import SCHEDULES, schedule

FORMULAS = {
    "constant": lambda p: 1.0,
    "linear": lambda p: 1 - p,
    "cosine": lambda p: (1 + math.cos(math.pi * p)) / 2,
}


def test_every_schedule_has_a_formula():
    assert set(FORMULAS) == set(SCHEDULES)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize(("steps", "warmup"), [(10, 0), (10, 4), (1, 0), (7, 6)])
def test_the_factor_rises_evenly_and_then_follows_its_formula(name, steps, warmup):
    factor = schedule(name, steps=steps, warmup=warmup)
    rising = [(t + 1) / warmup for t in range(warmup)]
    falling = [FORMULAS[name]((t - warmup) / (steps - warmup)) for t in range(warmup, steps)]
    assert [factor(t) for t in range(steps)] == pytest.approx(rising + falling)
    assert factor(warmup) == 1.0 and all(0 < factor(t) <= 1 for t in range(steps))
    if name != "constant":
        assert factor(steps) == pytest.approx(0, abs=1e-12) and factor(steps + 5) == factor(steps)


def test_refusals():
    with pytest.raises(InputError, match="Unknown schedule 'cosin'. Did you mean 'cosine'"):
        schedule("cosin", steps=5)
    for warmup in (-1, 5):
        with pytest.raises(InputError, match=f"got warmup={warmup} and steps=5"):
            schedule("linear", steps=5, warmup=warmup)
    with pytest.raises(InputError, match="Did you mean 'linear'"):
        Config(schedule="liner")
    with pytest.raises(InputError, match="warmup=2000 and steps=2000"):
        Config(warmup=2000)


def test_both_optimisers_have_the_steps_rates():
    """Two discriminator steps and one generator step share a rate; the size of each step follows it."""
    gan = GAN(
        mlp.Generator(width=8),
        mlp.Discriminator(width=8),
        lr_g=1e-2,
        lr_d=1e-3,
        schedule=[1.0, 0.5, 0.0, 0.0].__getitem__,
    )
    seen = []
    for _ in range(3):
        before = [p.detach().clone() for p in gan.generator.parameters()]
        for _ in range(2):
            gan.discriminator_step(torch.ones(8, 2))
            rate_d = gan.optimizer_d.param_groups[0]["lr"]
        rate_g = gan.optimizer_g.param_groups[0]["lr"]
        gan.generator_step(torch.ones(8, 2))
        moved = max((a - b).abs().max().item() for a, b in zip(before, gan.generator.parameters(), strict=True))
        seen.append((rate_g, rate_d, moved))
    assert [row[:2] for row in seen] == [(1e-2, 1e-3), (5e-3, 5e-4), (0.0, 0.0)]
    assert seen[0][2] > seen[1][2] > 0 == seen[2][2]


TINY = {"width_g": 4, "width_d": 4, "latent_dim": 4, "batch_size": 8, "steps": 6, "schedule": "linear", "warmup": 2}


def test_a_resumed_run_has_the_rates_of_an_uninterrupted_one(tmp_path):
    whole = Run(Config.from_mapping(TINY), tmp_path / "whole", device="cpu")
    rates = []
    whole.train(
        log_every=1, progress=False, hooks=(lambda _: rates.append(whole.gan.optimizer_g.param_groups[0]["lr"]),)
    )
    assert rates == pytest.approx([2e-4, 2e-4, 1.5e-4, 1e-4, 5e-5, 0.0])  # after each step: those of the next

    part = Run(Config.from_mapping(TINY), tmp_path / "part", device="cpu")

    class Stop(Exception):
        pass

    def stop(history):
        if history.step == 3:
            part.save_checkpoint()
            raise Stop

    with pytest.raises(Stop):
        part.train(log_every=1, progress=False, hooks=(stop,))
    rest = Run(Config.from_mapping(TINY), tmp_path / "part", device="cpu")
    assert rest.resume() and rest.gan.optimizer_g.param_groups[0]["lr"] == pytest.approx(1.5e-4)
    rest.train(log_every=1, progress=False)
    for name, value in whole.gan.state_dict()["generator"].items():
        assert torch.equal(value, rest.gan.state_dict()["generator"][name]), name


def test_a_decay_over_another_number_of_steps_is_another_run(tmp_path):
    run = Run(Config.from_mapping(TINY), tmp_path, device="cpu")
    run.save_checkpoint()
    with pytest.raises(InputError, match=r"other parameters \(steps: 6 there, 9 here\)"):
        Run(Config.from_mapping({**TINY, "steps": 9}), tmp_path, device="cpu").resume()
