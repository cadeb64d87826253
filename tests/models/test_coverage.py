"""The compared methods: each changes its own ingredient, all share the rest, and the counting is the protocols'."""

from dataclasses import replace

import pytest
import torch

from ganbook import data
from ganbook.data.stacked import StackedDigits
from ganbook.data.toy import grid, ring
from ganbook.errors import InputError
from ganbook.judge import load_judge
from ganbook.models import coverage
from ganbook.models.coverage import METHODS, TARGETS, Comparison, build
from ganbook.nn.layers import MinibatchDiscrimination
from ganbook.nn.packing import Packed
from ganbook.training import train


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", METHODS)
def test_every_method_takes_a_step_on_every_target(name, target):
    recipe = replace(TARGETS[target], batch_size=8)
    gan = build(METHODS[name], recipe, seed=0)
    before = [p.detach().clone() for p in gan.generator.parameters()]
    history = train(gan, coverage.batches(recipe, seed=0), steps=1, progress=False)
    assert len(history.rows) == 1
    assert all(p.isfinite().all() for p in gan.discriminator.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(before, gan.generator.parameters(), strict=True))
    shape = (2,) if target != "stacked_mnist" else (3, 28, 28)
    assert coverage.sample(gan, 6).shape == (6, *shape)


@pytest.mark.parametrize("target", ["grid", "stacked_mnist"])
def test_a_method_has_its_ingredient_and_no_other(target):
    plain = build(METHODS["vanilla"], TARGETS[target], seed=0)
    for name, method in METHODS.items():
        gan = build(method, TARGETS[target], seed=0)
        layers = list(gan.discriminator.modules())
        assert any(isinstance(layer, MinibatchDiscrimination) for layer in layers) == (name == "minibatch")
        assert isinstance(gan.discriminator, Packed) == (name == "pacgan")
        assert any("parametrizations" in key for key in gan.discriminator.state_dict()) == (name == "spectral")
        assert (gan.unroll > 0) == (name == "unrolled") and gan.unroll_lr == TARGETS[target].unroll_lr
        assert (gan.penalty is not None) == (name in ("wgan_gp", "rpgan")) == (gan.penalty_weight > 0)
        assert gan.loss.relativistic == (name == "rpgan")
        for ours, theirs in zip(gan.generator.parameters(), plain.generator.parameters(), strict=True):
            assert torch.equal(ours, theirs)  # all start from the same generator
        assert [g["lr"] for o in (gan.optimizer_g, gan.optimizer_d) for g in o.param_groups] == [TARGETS[target].lr] * 2


def test_a_seed_is_a_run_and_leaves_the_global_stream_alone():
    def weights(seed):
        gan = build(METHODS["rpgan"], TARGETS["ring"], seed=seed)
        train(gan, coverage.batches(TARGETS["ring"], seed=seed), steps=3, progress=False)
        return torch.cat([p.detach().flatten() for p in gan.generator.parameters()])

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = weights(0)
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(first, weights(0)) and not torch.equal(first, weights(1))


def test_samples_are_the_generators_own_and_not_an_average():
    gan = build(METHODS["vanilla"], TARGETS["ring"], seed=0)
    train(gan, coverage.batches(TARGETS["ring"], seed=0), steps=4, progress=False)
    z = torch.randn(7, 2, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(coverage.sample(gan, 7, seed=3), gan.generator(z).detach())


def test_rates_stand_for_half_of_the_steps_and_then_fall_to_zero():
    gan, target = build(METHODS["vanilla"], TARGETS["ring"], seed=0), TARGETS["ring"]
    for step, share in ((0, 1.0), (50, 1.0), (75, 0.5), (100, 0.0)):
        coverage.set_rates(gan, target, step=step, steps=100)
        assert gan.optimizer_g.param_groups[0]["lr"] == gan.optimizer_d.param_groups[0]["lr"]
        assert gan.optimizer_d.param_groups[0]["lr"] == pytest.approx(share * target.lr)


@pytest.mark.parametrize("mixture", [ring(), grid()])
def test_the_data_themselves_cover_every_mode(mixture):
    result = coverage.covered(mixture, mixture.sample(2500, torch.Generator().manual_seed(0)))
    assert result.captured == result.n_modes and result.high_quality > 0.98 and result.reverse_kl < 0.02
    assert coverage.covered(mixture, mixture.means[:1].repeat(9, 1)).captured == 1


def test_the_judge_reads_each_channel_of_a_stack():
    digits, judge = data.load("mnist", split="test"), load_judge("mnist")
    stacks = StackedDigits(digits, 600, seed=0)
    images, _ = next(stacks)
    result = coverage.covered_digits(judge, images)
    assert result.n_modes == 1000
    assert result.captured == pytest.approx(1000 * (1 - 0.999**600), rel=0.05)
    one = coverage.covered_digits(judge, images[:1].expand(20, -1, -1, -1))
    assert one.captured == 1
    swapped = coverage.covered_digits(judge, torch.cat([images[:1], images[:1, [1, 0, 2]]]))
    truth = judge.logits(images[0][:, None]).argmax(1)
    assert truth[0] != truth[1] and swapped.captured == 2  # which channel shows which digit matters


def test_refusals():
    with pytest.raises(InputError, match="Did you mean 'wgan_gp'"):
        coverage.get_method("wgan-gp")
    with pytest.raises(InputError, match="stacked_mnist"):
        coverage.get_target("stacked mnist")
    assert coverage.get_method("rpgan") is METHODS["rpgan"] and coverage.get_target("grid") is TARGETS["grid"]


def test_a_comparison_knows_its_methods_steps_and_samples():
    every = Comparison(method="all")
    assert every.methods == METHODS and every.n_steps == 1000 and every.n_samples == TARGETS["grid"].n_eval
    one = Comparison.from_mapping({"target": "ring", "method": "pacgan", "steps": 0, "n_eval": 7})
    assert list(one.methods) == ["pacgan"] and one.n_steps == TARGETS["ring"].steps and one.n_samples == 7


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"target": "griid"}, "Did you mean 'grid'"),
        ({"method": "vanila"}, "Did you mean 'vanilla'"),
        ({"step": 3}, "Did you mean 'steps'"),
        ({"steps": -1}, "steps must be 0"),
        ({"n_eval": -1}, "n_eval must be 0"),
        ({"steps": 2.5}, "whole number"),
    ],
)
def test_a_comparison_refuses_what_it_cannot_run(values, message):
    with pytest.raises(InputError, match=message):
        Comparison.from_mapping(values)
