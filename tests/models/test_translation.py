"""Pix2pix and CycleGAN: whose gradient goes where, what the pool shows, and what is refused."""

import numpy as np
import pytest
import torch
from torch.nn.functional import logsigmoid

from ganbook.checkpoint import load_state, save_state
from ganbook.data.batches import Batches
from ganbook.data.pairs import PairBatches
from ganbook.data.sets import ImagePairs, ImageSet
from ganbook.errors import InputError
from ganbook.models.translation import CycleGAN, Pix2Pix
from ganbook.models.translation_terms import ImagePool, Terms, l1
from ganbook.nn.translation import PatchDiscriminator, ResNetGenerator, UNet
from ganbook.schedules import schedule
from ganbook.training import Model, train


def image_set(n, name, channels=3, side=32):
    """Picture i is grey of the value i."""
    images = np.broadcast_to(np.arange(n, dtype=np.uint8)[:, None, None, None], (n, channels, side, side)).copy()
    return ImageSet(name, "train", images, None, (), "", "")


def some_pairs(n_a=12, n_b=12, *, aligned=True):
    return ImagePairs(image_set(n_a, "left"), image_set(n_b, "right"), aligned)


def batch(n=4, channels=3):
    x = torch.rand(2, n, channels, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return x[0], x[1]


def pix2pix(**options):
    torch.manual_seed(0)
    condition = options.pop("condition_channels", 3)
    networks = UNet(resolution=32, width=2), PatchDiscriminator(condition_channels=condition, layers=1, width=2)
    return Pix2Pix(*networks, **options)


def cyclegan(**options):
    torch.manual_seed(0)
    generators = [ResNetGenerator(width=2, blocks=1) for _ in range(2)]
    judges = [PatchDiscriminator(layers=1, width=2, norm="instance") for _ in range(2)]
    return CycleGAN(*generators, *judges, **options)


def gradients(network):
    return [p.grad.clone() for p in network.parameters() if p.grad is not None]


def weights(network):
    return [p.detach().clone() for p in network.parameters()]


def equal(left, right):
    return len(left) == len(right) and all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def close(left, right):
    return all(torch.allclose(a, b, rtol=1e-3, atol=1e-5) for a, b in zip(left, right, strict=True))


def test_the_generators_gradient_is_that_of_the_papers_sum():
    """``-log D(a, G(a)) + λ |b - G(a)|``, written out, under the same draw of the noise."""
    model, (a, b) = pix2pix(l1_weight=7.0, lr_g=1e-9), batch()
    rng = torch.Generator()
    rng.set_state(model.rng.get_state())
    fake = model.generator(a, rng)
    written_out = -logsigmoid(model.discriminator(fake, a)).mean() + 7 * (fake - b).abs().mean()
    wanted = torch.autograd.grad(written_out, model.generator.parameters())
    assert model.generator_step(a, b).item() == pytest.approx(written_out.item(), rel=1e-5)
    assert close(gradients(model.generator), wanted)
    assert gradients(model.discriminator) == []
    assert all(p.requires_grad for p in model.discriminator.parameters())


def test_the_discriminators_gradient_is_that_of_true_and_made_pairs():
    model, (a, b) = pix2pix(lr_d=1e-9), batch()
    rng = torch.Generator()
    rng.set_state(model.rng.get_state())
    fake = model.generator(a, rng).detach()
    judge = model.discriminator
    written_out = -(logsigmoid(judge(b, a)).mean() + logsigmoid(-judge(fake, a)).mean())
    wanted = torch.autograd.grad(written_out, judge.parameters())
    assert model.discriminator_step(a, b).item() == pytest.approx(written_out.item(), rel=1e-5)
    assert close(gradients(judge), wanted)
    assert gradients(model.generator) == []


def test_a_weight_of_zero_switches_a_loss_off():
    a, b = batch()
    alone = pix2pix(gan_weight=0.0)
    before = weights(alone.discriminator)
    assert alone.discriminator_step(a, b).item() == 0
    loss = alone.generator_step(a, b)
    assert equal(before, weights(alone.discriminator))
    assert loss.item() == pytest.approx(100 * alone.terms.read()["l1"], rel=1e-5)
    found = []
    for target in (b, -b):  # the adversarial loss alone does not know the target
        model = pix2pix(l1_weight=0.0)
        model.generator_step(a, target)
        found.append(gradients(model.generator))
    assert equal(*found)


def test_only_a_conditional_discriminator_sees_the_input():
    a, b = batch()
    found = {}
    for condition in (0, 3):
        losses = []
        for x in (a, -a):
            model = pix2pix(condition_channels=condition)
            model.generator.forward = lambda x, rng: b.flip(0)  # so that the input matters to D alone
            losses.append(model.discriminator_step(x, b).item())
        found[condition] = losses[0] == losses[1]
    assert found == {0: True, 3: False}


@pytest.mark.parametrize("loss", ["nonsaturating", "lsgan", "hinge", "rpgan"])
@pytest.mark.parametrize("make", [pix2pix, cyclegan])
def test_it_trains_with_each_loss(make, loss):
    model = make(loss=loss)
    assert isinstance(model, Model)
    history = train(model, iter(batch, None), steps=2, log_every=1, progress=False)
    assert len(history.rows) == 2
    assert model.translate(batch()[0]).shape == batch()[0].shape


def test_repeated_steps_find_a_colour_change():
    """b = -a is learnt from one batch of plain colours: the distance falls well below the first."""
    model, a = pix2pix(lr_g=1e-2), batch()[0][:, :, :1, :1].expand(-1, -1, 32, 32).contiguous()
    for step in range(40):
        model.generator_step(a, -a)
        if step == 0:
            first = model.terms.read()["l1"]
    model.terms.read()
    model.generator_step(a, -a)
    assert model.terms.read()["l1"] < 0.8 * first


def test_the_cycles_gradient_reaches_both_generators():
    """The gradient of a → b → a alone, and of both cycles and identities, written out."""
    model, (a, b) = cyclegan(cycle_weight=10.0, identity_weight=0.5, lr_g=1e-9), batch(2)
    there, back = model.forward, model.backward
    cycle = l1(back(there(a)), a) + l1(there(back(b)), b)
    identity = l1(there(b), b) + l1(back(a), a)
    game = 0.5 * ((model.judge_b(there(a)) - 1).square().mean() + (model.judge_a(back(b)) - 1).square().mean())
    written_out = game + 10 * cycle + 5 * identity
    wanted = torch.autograd.grad(written_out, model.generators.parameters())
    assert model.generator_step(a, b).item() == pytest.approx(written_out.item(), rel=1e-4)
    assert close(gradients(model.generators), wanted)
    assert gradients(model.judges) == []
    terms = model.terms.read()
    assert set(terms) == {"cycle_a", "cycle_b", "identity_a", "identity_b", "gan_a", "gan_b"}
    assert terms["cycle_a"] + terms["cycle_b"] == pytest.approx(cycle.item(), rel=1e-4)


def test_each_judge_learns_from_its_own_domain():
    model, (a, b) = cyclegan(lr_d=1e-9, pool=0), batch(2)
    fake_a = model.backward(b).detach()
    written_out = 0.5 * ((model.judge_a(a) - 1).square().mean() + model.judge_a(fake_a).square().mean())
    wanted = torch.autograd.grad(written_out, model.judge_a.parameters())
    model.discriminator_step(a, b)
    assert close(gradients(model.judge_a), wanted)
    assert gradients(model.generators) == []


def test_without_cycle_the_generator_is_not_bound_to_its_input():
    """Its gradient is that of the game alone; the cycles are still read."""
    model, (a, b) = cyclegan(cycle_weight=0.0, lr_g=1e-9), batch(2)
    game = 0.5 * (model.judge_b(model.forward(a)) - 1).square().mean()
    wanted = torch.autograd.grad(game, model.forward.parameters())
    model.generator_step(a, b)
    assert close(gradients(model.forward), wanted)
    assert model.terms.read()["cycle_a"] > 0


def number(n):
    """n pictures whose only pixel is their number."""
    return torch.arange(float(n)).reshape(n, 1, 1, 1)


def test_the_pool_returns_what_comes_until_it_is_full():
    pool = ImagePool(5)
    assert torch.equal(pool.exchange(number(5)), number(5))
    assert [p.item() for p in pool.kept] == [0, 1, 2, 3, 4]


def test_the_full_pool_shows_old_pictures_half_of_the_time():
    pool, came, shown = ImagePool(50), number(2050), []
    for part in came.split(10):
        shown.append(pool.exchange(part))
    shown = torch.cat(shown)
    old = (shown != came)[50:].double().mean().item()
    assert old == pytest.approx(0.5, abs=0.05)
    assert (shown <= came).all()  # never one that has not come yet
    kept = torch.stack(pool.kept).flatten().tolist()
    gone = set(number(2050).flatten().tolist()) - set(shown.flatten().tolist())
    assert gone <= set(kept) and len(kept) == 50  # what was not shown is still there to be


def test_the_pool_gives_no_gradient_and_keeps_its_own_copies():
    pool, pictures = ImagePool(2), number(2).requires_grad_()
    assert not pool.exchange(pictures).requires_grad
    with torch.no_grad():
        pictures.add_(10)
    assert [p.item() for p in pool.kept] == [0, 1]
    none = ImagePool(0)
    assert torch.equal(none.exchange(number(3)), number(3)) and none.kept == []


def test_terms_are_means_since_they_were_read():
    terms = Terms()
    terms.add(x=torch.tensor(1.0))
    terms.add(x=torch.tensor(3.0))
    assert terms.read() == {"x": 2.0}
    assert terms.read() == {}


@pytest.mark.parametrize("make", [pix2pix, cyclegan])
def test_a_resumed_run_goes_on_exactly(make, tmp_path):
    def fresh():
        return make(schedule=schedule("linear", steps=4)), PairBatches(some_pairs(), 3, paired=True, seed=0, flip=True)

    model, stream = fresh()
    train(model, stream, steps=2, progress=False)
    save_state({"model": model.state_dict(), "batches": stream.state_dict()}, tmp_path / "state.safetensors")
    train(model, stream, steps=2, progress=False)
    other, other_stream = fresh()
    state = load_state(tmp_path / "state.safetensors")
    other.load_state_dict(state["model"])
    other_stream.load_state_dict(state["batches"])
    train(other, other_stream, steps=2, progress=False)
    for left, right in zip(model.updates.networks, other.updates.networks, strict=True):
        assert equal(weights(left), weights(right))
    assert model.updates.g.param_groups[0]["lr"] == other.updates.g.param_groups[0]["lr"] == 0


def test_the_schedule_leads_both_rates():
    model = pix2pix(lr_g=1e-3, lr_d=1e-4, schedule=schedule("linear", steps=4))
    model.generator_step(*batch())
    assert [o.param_groups[0]["lr"] for o in (model.updates.g, model.updates.d)] == pytest.approx([7.5e-4, 7.5e-5])


def test_translating_leaves_the_generator_in_training_and_is_repeatable():
    model, (a, _) = pix2pix(), batch()
    assert torch.equal(model.translate(a), model.translate(a, batch_size=1))
    assert model.generator.training
    noisy = [model.translate(a, rng=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(noisy[0], noisy[1]) and not torch.equal(noisy[0], noisy[2])
    both = cyclegan()
    assert not torch.equal(both.translate(a), both.translate(a, back=True))


def grey(x):
    """The numbers of the pictures in a batch of `some_pairs`."""
    return ((x[:, 0, 0, 0] + 1) * 127.5).round().tolist()


def test_pairs_stay_together_and_hidden_pairs_do_not():
    paired, hidden = (PairBatches(some_pairs(), 6, paired=p, seed=0) for p in (True, False))
    for _ in range(4):
        a, b = next(paired)
        assert grey(a) == grey(b)
    assert any(grey(a) != grey(b) for a, b in (next(hidden) for _ in range(4)))


def test_unpaired_domains_may_have_other_numbers_of_pictures():
    a, b = next(PairBatches(some_pairs(5, 9, aligned=False), 4, paired=False, seed=0))
    assert a.shape == b.shape == (4, 3, 32, 32)


def test_flips_are_of_pairs():
    pairs = some_pairs()
    for side in (pairs.a, pairs.b):
        side.images[..., :16] = 200
    a, b = next(PairBatches(pairs, 12, paired=True, seed=0, flip=True))
    assert torch.equal(a, b) and len(set(grey(a))) > 1 and 200 in grey(a)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (lambda: some_pairs(12, 10), r"left \(12 pictures\) and right \(10\) are not paired"),
        (lambda: some_pairs(aligned=False), "are not paired"),
    ],
)
def test_pairs_that_are_none_are_refused(pairs, message):
    with pytest.raises(InputError, match=message):
        PairBatches(pairs(), 2, paired=True, seed=0)


@pytest.mark.parametrize("make", [pix2pix, cyclegan])
def test_a_single_domain_is_refused(make):
    with pytest.raises(InputError, match="two domains.* the second is nothing"):
        train(make(), Batches(image_set(4, "one"), 2, seed=0), steps=1, progress=False)


def test_batches_that_do_not_fit_are_refused():
    a, b = batch()
    with pytest.raises(InputError, match="same number and size"):
        pix2pix().generator_step(a, b[:2])
    with pytest.raises(InputError, match="the first is .*uint8"):
        cyclegan().generator_step(a.to(torch.uint8), b)
    with pytest.raises(InputError, match="transparency"):
        cyclegan().generator_step(*batch(channels=4))
    with pytest.raises(InputError, match="one is positive"):
        pix2pix(l1_weight=0.0, gan_weight=0.0)
    with pytest.raises(InputError, match="not negative"):
        cyclegan(cycle_weight=-1.0)
    with pytest.raises(InputError, match="0 for none"):
        ImagePool(-1)
