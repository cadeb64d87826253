"""The two updates: each moves its own network, downhill, and nothing else."""

import copy
import itertools

import pytest
import torch
from torch import nn

from ganbook.errors import InputError
from ganbook.losses import LOSSES
from ganbook.models.gan import GAN
from ganbook.models.inputs import check_batch
from ganbook.nn import dcgan, mlp
from ganbook.penalties import PENALTIES


def small_gan(loss="nonsaturating", norm="batch", n_classes=3, **options):
    torch.manual_seed(0)
    return GAN(
        dcgan.Generator(resolution=28, channels=1, latent_dim=4, width=4, n_classes=n_classes),
        dcgan.Discriminator(resolution=28, channels=1, width=4, n_classes=n_classes, norm=norm),
        loss=loss,
        **options,
    )


def batch():
    rng = torch.Generator().manual_seed(1)
    return torch.rand(8, 1, 28, 28, generator=rng) * 2 - 1, torch.arange(8) % 3


def weights(network):
    return [p.detach().clone() for p in network.parameters()]


def moved(before, network):
    return [not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True)]


@pytest.mark.chapter(name="01_minimax_game")
@pytest.mark.parametrize(("loss", "norm"), list(itertools.product(LOSSES, dcgan.NORMS)))
def test_every_loss_steps_every_network_and_only_the_right_one(loss, norm):
    gan = small_gan(loss, norm)
    real, labels = batch()
    d, g = weights(gan.discriminator), weights(gan.generator)
    value = gan.discriminator_step(real, labels)
    assert value.ndim == 0 and value.isfinite() and not value.requires_grad
    assert any(moved(d, gan.discriminator)) and not any(moved(g, gan.generator))
    d = weights(gan.discriminator)
    gan.generator_step(real, labels)
    assert all(moved(g, gan.generator)) and not any(moved(d, gan.discriminator))
    assert all(p.requires_grad for p in gan.discriminator.parameters())


@pytest.mark.parametrize("loss", LOSSES)
def test_repeated_steps_lower_their_own_loss(loss):
    """With the other player held still, each player's loss on fixed data goes down."""
    gan = small_gan(loss, norm="none", lr_d=1e-3, lr_g=1e-3)
    real, labels = batch()
    d = [gan.discriminator_step(real, labels).item() for _ in range(25)]
    assert sum(d[-5:]) < sum(d[:5])
    g = [gan.generator_step(real, labels).item() for _ in range(25)]
    assert sum(g[-5:]) < sum(g[:5])


def stepped(**options):
    """A GAN after one step of each player."""
    gan = small_gan(norm="none", **options)
    real, labels = batch()
    gan.discriminator_step(real, labels)
    gan.generator_step(real, labels)
    return gan


@pytest.mark.parametrize("penalty", PENALTIES)
def test_the_step_adds_the_weighted_mean_of_the_penalty(penalty):
    """The discriminator's gradient is that of loss.mean() + w · penalty.mean(); the generator receives nothing."""
    gan = small_gan(norm="none", penalty=penalty, penalty_weight=3.0)
    with torch.no_grad():
        for p in gan.discriminator.parameters():
            p.mul_(20)  # steep enough for wgan_lp
    real, labels = batch()
    g, state = weights(gan.generator), gan.rng.get_state()
    value = gan.discriminator_step(real, labels)
    taken = [p.grad.clone() for p in gan.discriminator.parameters()]
    assert not any(moved(g, gan.generator)) and all(p.grad is None for p in gan.generator.parameters())

    again = small_gan(norm="none")
    with torch.no_grad():
        for p in again.discriminator.parameters():
            p.mul_(20)
        again.rng.set_state(state)
        fake = again.generator(again.latents(8), labels)
    loss = again.loss.d(again.discriminator(real, labels), again.discriminator(fake, labels)).mean()
    term = PENALTIES[penalty](again.discriminator, real, fake, labels, rng=again.rng).mean()
    assert term > 1e-3
    expected = torch.autograd.grad(loss + 3.0 * term, list(again.discriminator.parameters()))
    torch.testing.assert_close(value, loss.detach())
    for a, b in zip(taken, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_clipping_follows_each_discriminator_step():
    gan = stepped(loss="wasserstein", clip=0.003)
    assert max(p.abs().max().item() for p in gan.discriminator.parameters()) == pytest.approx(0.003)
    assert max(p.abs().max().item() for p in gan.generator.parameters()) > 0.01


@pytest.mark.parametrize("option", [{"real_target": 0.7}, {"instance_noise": 0.5}, {"clip": 0.01}])
def test_each_regulariser_changes_the_discriminators_step(option):
    plain, with_option = stepped(), stepped(**option)
    assert any(moved(weights(plain.discriminator), with_option.discriminator))


def test_in_a_joint_batch_real_and_fake_share_batchnorms_statistics():
    """Without BatchNorm one batch or two is the same step; with it, it is another."""
    real, labels = batch()

    def one_step(norm, joint):
        gan = small_gan(norm=norm, joint_batch=joint)
        seen = []
        hook = gan.discriminator.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
        value = gan.discriminator_step(real, labels)
        hook.remove()
        return value, seen

    (joint, seen_joint), (separate, seen_separate) = one_step("none", True), one_step("none", False)
    assert seen_joint == [16] and seen_separate == [8, 8]
    torch.testing.assert_close(joint, separate)
    assert not torch.allclose(one_step("batch", True)[0], one_step("batch", False)[0], rtol=1e-3)


def test_reused_fakes_are_those_of_the_discriminators_step():
    """The generator descends the loss of the very samples that the discriminator has just learned from."""
    gan, real, labels = small_gan(norm="none", reuse_fakes=True), *batch()
    state, g = gan.rng.get_state(), weights(gan.generator)
    gan.discriminator_step(real, labels)
    assert not any(moved(g, gan.generator)) and all(p.grad is None for p in gan.generator.parameters())

    again = copy.deepcopy(gan.discriminator)  # after its step, as the generator meets it
    other = small_gan(norm="none")
    other.rng.set_state(state)
    fake = other.generator(other.latents(8), labels)
    expected_loss = gan.loss.g(again(real, labels), again(fake, labels)).mean()
    expected = torch.autograd.grad(expected_loss, list(other.generator.parameters()))

    d = weights(gan.discriminator)
    loss = gan.generator_step(real, labels)
    torch.testing.assert_close(loss, expected_loss.detach())
    for parameter, gradient in zip(gan.generator.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-6)
    assert not any(moved(d, gan.discriminator)) and all(moved(g, gan.generator))


def passes_of_the_generator(gan, steps):
    """How often the generator is called in each of some steps, given as the player and what it is shown."""
    counts = []
    hook = gan.generator.register_forward_pre_hook(lambda *_: counts.append(1))
    seen = []
    for player, arguments in steps:
        getattr(gan, f"{player}_step")(*arguments)
        seen.append(len(counts))
        counts.clear()
    hook.remove()
    return seen


def test_fakes_are_reused_once_and_only_for_the_batch_they_were_made_for():
    gan, (real, labels) = small_gan(reuse_fakes=True), batch()
    shown = (real, labels)
    rounds = [("discriminator", shown), ("generator", shown), ("generator", shown)]
    assert passes_of_the_generator(gan, rounds) == [1, 0, 1]
    ahead = [("discriminator", shown), ("discriminator", shown), ("generator", shown)]
    assert passes_of_the_generator(gan, ahead) == [1, 1, 0]
    for other in ((real[:6], labels[:6]), (real, labels.flip(0))):
        assert passes_of_the_generator(gan, [("discriminator", shown), ("generator", other)]) == [1, 1]
    assert passes_of_the_generator(small_gan(), rounds[:2]) == [1, 1]
    state = gan.state_dict()
    gan.discriminator_step(real, labels)
    gan.load_state_dict(state)
    assert passes_of_the_generator(gan, [("generator", shown)]) == [1]  # what was kept belonged to other weights


def test_smoothed_targets_bound_the_logits_of_the_reals():
    """With targets of 0.8 on average the best logit of a real sample that no fake resembles is log 4, not infinity."""
    gan = GAN(mlp.Generator(width=8), mlp.Discriminator(width=16), real_target=0.6, lr_d=1e-2)
    real = 3 + 0.1 * torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    for _ in range(300):
        gan.discriminator_step(real)
    with torch.no_grad():
        logits = gan.discriminator(real)
    assert 0.8 < logits.mean().item() < 2.0  # log 4 = 1.39


def test_instance_noise_reaches_real_and_fake_in_both_steps():
    gan = GAN(mlp.Generator(width=8), mlp.Discriminator(width=8), loss="rpgan", instance_noise=0.5)
    seen = []
    hook = gan.discriminator.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))
    gan.discriminator_step(torch.zeros(64, 2))
    gan.generator_step(torch.zeros(64, 2))
    hook.remove()
    real_in_d, _, _, real_in_g = seen
    for x in (real_in_d, real_in_g):
        assert x.std().item() == pytest.approx(0.5, abs=0.1)
    assert not torch.equal(real_in_d, real_in_g)


def test_the_generator_step_raises_the_fakes_logits():
    for loss in LOSSES:
        gan = small_gan(loss, norm="none", lr_g=1e-3)
        real, labels = batch()
        z = torch.randn(64, 4, generator=torch.Generator().manual_seed(2))
        y = torch.arange(64) % 3
        with torch.no_grad():
            before = gan.discriminator(gan.generator(z, y), y).mean()
        for _ in range(20):
            gan.generator_step(real, labels)
        with torch.no_grad():
            assert gan.discriminator(gan.generator(z, y), y).mean() > before, loss


def test_weight_decay_is_decoupled_from_the_gradient():
    """One AdamW step is Adam's step from weights shrunk by the factor 1 - lr * weight_decay; without decay, Adam's."""
    real, labels = batch()
    decay, lr = 0.1, 1e-2
    for weight_decay in (0.0, decay):
        gan = small_gan(lr_g=lr, weight_decay=weight_decay)
        before = weights(gan.generator)
        gan.generator_step(real, labels)
        gradients = [p.grad for p in gan.generator.parameters()]
        by_hand = [w.clone().requires_grad_() for w in before]
        for weight, gradient in zip(by_hand, gradients, strict=True):
            weight.grad = gradient
        torch.optim.Adam(by_hand, lr, (0.5, 0.999)).step()
        for weight, old, new in zip(by_hand, before, gan.generator.parameters(), strict=True):
            torch.testing.assert_close(new.detach(), weight.detach() - lr * weight_decay * old, rtol=1e-5, atol=1e-7)


def test_ema_follows_the_average_by_hand():
    gan = small_gan(ema_decay=0.5)
    real, labels = batch()
    expected = None
    for n in range(6):
        gan.generator_step(real, labels)
        current = next(gan.generator.parameters()).detach()
        d = min(0.5, (1 + n) / (10 + n))
        expected = current.clone() if expected is None else d * expected + (1 - d) * current
        torch.testing.assert_close(next(gan.ema.parameters()), expected)


def test_refreshed_batchnorm_statistics_are_those_of_the_averaged_generator():
    gan = small_gan(ema_decay=0.9)
    real, labels = batch()
    for _ in range(10):
        gan.generator_step(real, labels)
    rng = gan.rng.get_state()
    gan.refresh_batchnorm(batches=64)
    assert torch.equal(rng, gan.rng.get_state())
    layer = next(m for m in gan.ema.modules() if isinstance(m, nn.BatchNorm2d))
    seen = []
    hook = layer.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    gan.sample(torch.randn(4096, 4, generator=torch.Generator().manual_seed(3)), torch.arange(4096) % 3)
    hook.remove()
    values = torch.cat(seen).transpose(0, 1).flatten(1)
    torch.testing.assert_close(layer.running_mean, values.mean(1), atol=0.1 * values.std().item(), rtol=0)
    torch.testing.assert_close(layer.running_var, values.var(1), rtol=0.1, atol=0)
    assert layer.momentum == 0.1


def test_conditional_samples_have_the_asked_shape_and_depend_on_the_label():
    gan = small_gan()
    z = torch.randn(10, 4)
    samples = gan.sample(z, torch.arange(10) % 3, batch_size=4)
    assert samples.shape == (10, 1, 28, 28)
    torch.testing.assert_close(samples, gan.sample(z, torch.arange(10) % 3))
    assert not torch.equal(samples, gan.sample(z, torch.zeros(10, dtype=torch.int64)))


def test_refusals():
    gan = small_gan()
    with pytest.raises(InputError, match=r"latents of shape \(N, 4\), got \(2, 5\)"):
        gan.sample(torch.zeros(2, 5))
    with pytest.raises(InputError, match="Labels are 0 … 2, got values from 0 to 3"):
        gan.sample(torch.zeros(4, 4), torch.arange(4))
    with pytest.raises(InputError, match="without labels"):
        small_gan(n_classes=0).sample(torch.zeros(2, 4), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(InputError, match="Did you mean 'hinge'"):
        small_gan(loss="hing")
    with pytest.raises(InputError, match=r"BatchNorm in the discriminator, got layer 'features\.3'"):
        small_gan(penalty="r1", penalty_weight=1.0)
    with pytest.raises(InputError, match="penalty='r1' and penalty_weight=0.0 do not go together"):
        small_gan(norm="none", penalty="r1")
    with pytest.raises(InputError, match="Loss 'rpgan' has no targets"):
        small_gan(loss="rpgan", real_target=0.8)


@pytest.mark.parametrize("step", ["discriminator_step", "generator_step"])
@pytest.mark.parametrize(
    ("n", "labels", "message"),
    [
        (1, [0], "BatchNorm compares the samples of a batch, got a batch of 1. Use a batch size of at least 2"),
        (4, [0, 1, 2, 3], "Labels are 0 … 2, got values from 0 to 3"),
        (4, [0, -1, 2, 1], "Labels are 0 … 2, got values from -1 to 2"),
        (4, [0, 1], r"of shape \(N,\) = \(4,\), one for each sample, got \(2,\) torch.int64"),
    ],
)
def test_a_batch_that_fits_no_network_is_refused_before_the_step(step, n, labels, message):
    gan = small_gan()
    before = weights(gan.generator) + weights(gan.discriminator)
    with pytest.raises(InputError, match=message):
        getattr(gan, step)(torch.rand(n, 1, 28, 28), torch.tensor(labels))
    after = weights(gan.generator) + weights(gan.discriminator)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_one_sample_is_enough_without_batchnorm():
    gan = GAN(mlp.Generator(width=8), mlp.Discriminator(width=8))
    assert gan.discriminator_step(torch.ones(1, 2)).isfinite()


def test_stored_images_in_place_of_samples_are_refused():
    with pytest.raises(InputError, match=r"got \(4, 1, 28, 28\) torch.uint8. Stored uint8 images become"):
        small_gan().discriminator_step(torch.zeros(4, 1, 28, 28, dtype=torch.uint8))
    with pytest.raises(InputError, match=r"whole numbers .* got \(2,\) torch.float32"):
        check_batch(torch.zeros(2, 2), torch.zeros(2), 3, batchnorm=False)
    with pytest.raises(InputError, match="got list"):
        check_batch([[1.0]], None, 0, batchnorm=False)


@pytest.mark.parametrize("joint_batch", [True, False])
def test_logits_of_a_wrong_shape_are_refused(joint_batch):
    """(N, 1) against (N,) would broadcast to (N, N) and train on nonsense."""

    class Column(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Linear(2, 1)

        def forward(self, x, y=None):
            return self.net(x)

    gan = GAN(mlp.Generator(width=8), Column(), joint_batch=joint_batch)
    for step in (gan.discriminator_step, gan.generator_step):
        with pytest.raises(InputError, match=r"one shape \(N,\), got \(4, 1\) and \(4, 1\). Let the discriminator end"):
            step(torch.zeros(4, 2))


def test_works_on_points_in_the_plane():
    gan = GAN(mlp.Generator(width=8), mlp.Discriminator(width=8), loss="rpgan")
    for _ in range(2):
        gan.discriminator_step(torch.randn(16, 2))
        gan.generator_step(torch.randn(16, 2))
    assert gan.sample(torch.randn(5, 2)).shape == (5, 2)
