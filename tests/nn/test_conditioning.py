"""Labels as channels and labels to be guessed: what the discriminator sees, and who is paid for a right class."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.functional import log_softmax

from ganbook.config import Config
from ganbook.errors import InputError
from ganbook.experiment import build_gan
from ganbook.models.gan import GAN
from ganbook.nn import dcgan, mlp
from ganbook.nn.conditioning import CONDITIONINGS, Auxiliary, Concatenated
from ganbook.nn.families import FAMILIES, Sizes

LABELS = torch.tensor([0, 2, 1, 1])


def images(side=28):
    return torch.rand(4, 1, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_the_label_becomes_constant_channels():
    seen = []
    inner = nn.Sequential(nn.Flatten(), nn.LazyLinear(1), nn.Flatten(0))
    inner.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    x = torch.randn(4, 2, 3, 5)
    Concatenated(inner, 3)(x, LABELS)
    assert seen[0].shape == (4, 5, 3, 5) and torch.equal(seen[0][:, :2], x)
    for sample, label in enumerate(LABELS.tolist()):
        for k in range(3):
            assert (seen[0][sample, 2 + k] == float(k == label)).all()
    points = Concatenated(mlp.Discriminator(dim=5, width=4), 3)
    assert points(torch.randn(4, 2), LABELS).shape == (4,)  # coordinates instead of channels


def auxiliary(**options):
    torch.manual_seed(0)
    return Auxiliary(dcgan.Discriminator(resolution=28, channels=1, width=4, norm="none"), 3, **options)


def test_the_class_loss_is_the_cross_entropy_and_the_logit_knows_no_label():
    network, x = auxiliary(weight=0.5), images()
    h = network.discriminator.hidden(x)
    scores = h @ network.classifier.weight.T + network.classifier.bias
    torch.testing.assert_close(network.classify(x), scores)
    right = torch.stack([log_softmax(row, 0)[k] for row, k in zip(scores, LABELS, strict=True)])
    torch.testing.assert_close(network.class_loss(x, LABELS), -0.5 * right.mean())
    assert torch.equal(network(x, LABELS), network(x, LABELS.flip(0)))
    assert torch.equal(network(x), network.discriminator(x))


def gan_of(discriminator):
    torch.manual_seed(1)
    generator = dcgan.Generator(resolution=28, channels=1, latent_dim=4, width=4, n_classes=3)
    return GAN(generator, discriminator, lr_g=2e-3, lr_d=2e-3)


def test_both_players_pay_for_wrong_classes():
    """The gradients are those of L_S + L_C(real) + L_C(fake) for D, and of its own loss + L_C(fake) for G."""
    real = images()
    gan, again = gan_of(auxiliary()), gan_of(auxiliary())
    fake = again.generator(again.latents(4), LABELS)
    d = again.discriminator
    expected = again.loss.d(d(real), d(fake.detach())).mean()
    expected = expected + d.class_loss(real, LABELS) + d.class_loss(fake.detach(), LABELS)
    gradient = torch.autograd.grad(expected, list(d.parameters()))
    torch.testing.assert_close(gan.discriminator_step(real, LABELS), expected.detach())
    for p, g in zip(gan.discriminator.parameters(), gradient, strict=True):
        torch.testing.assert_close(p.grad, g, rtol=1e-4, atol=1e-6)

    gan, again = gan_of(auxiliary()), gan_of(auxiliary())
    fake = again.generator(again.latents(4), LABELS)
    logits = again.discriminator(fake)
    expected = again.loss.g(logits, logits).mean() + again.discriminator.class_loss(fake, LABELS)
    gradient = torch.autograd.grad(expected, list(again.generator.parameters()))
    torch.testing.assert_close(gan.generator_step(real, LABELS), expected.detach())
    for p, g in zip(gan.generator.parameters(), gradient, strict=True):
        torch.testing.assert_close(p.grad, g, rtol=1e-4, atol=1e-6)
    assert all(p.grad is None for p in gan.discriminator.parameters())


def test_the_generator_learns_to_be_read():
    """Against a classifier that knows black from white, the generator learns to draw the class it is asked for."""
    network = auxiliary(weight=5.0)
    gan = gan_of(network)
    shades = torch.tensor([-0.9, 0.0, 0.9])
    y = torch.arange(12) % 3
    real = shades[y][:, None, None, None].expand(12, 1, 28, 28).contiguous()
    for _ in range(40):
        gan.discriminator_step(real, y)
        gan.generator_step(real, y)
    assert (network.classify(real).argmax(1) == y).all()
    with torch.no_grad():
        fake = gan.generator(torch.randn(12, 4), y)
        assert (network.classify(fake).argmax(1) == y).float().mean().item() > 0.8


@pytest.mark.parametrize("network", FAMILIES)
@pytest.mark.parametrize("conditioning", CONDITIONINGS)
def test_every_family_takes_every_conditioning(network, conditioning):
    family = FAMILIES[network]
    side = 32 if 32 in family.resolutions else family.resolutions[0]
    sizes = Sizes(side, 1, 5, 4, 4, 3, family.norms[0], conditioning)
    generator, discriminator = family.build(sizes)
    x = generator(torch.randn(4, 5), LABELS)
    assert discriminator(x, LABELS).shape == (4,)
    assert (type(discriminator) is Concatenated) == (conditioning == "concat")
    assert (type(discriminator) is Auxiliary) == (conditioning == "auxiliary")
    if conditioning == "auxiliary":
        assert discriminator.classify(x).shape == (4, 3)
        torch.testing.assert_close(discriminator.discriminator.hidden(x).shape[1], discriminator.discriminator.n_hidden)
    unconditional = family.build(replace(sizes, n_classes=0))[1]
    assert type(unconditional) not in (Concatenated, Auxiliary)


def test_a_configuration_names_its_conditioning():
    for name, kind in (("concat", Concatenated), ("auxiliary", Auxiliary)):
        config = Config(conditioning=name, width_g=4, width_d=4, latent_dim=4)
        gan = build_gan(config, channels=1, n_classes=3, device=torch.device("cpu"))
        assert type(gan.discriminator) is kind
        assert gan.discriminator_step(images(), LABELS).isfinite() and gan.generator_step(images(), LABELS).isfinite()


def test_refusals():
    with pytest.raises(
        InputError, match="conditioning must be one of projection, concat, auxiliary, got 'concatenate'"
    ):
        Config(conditioning="concatenate")
    for network in (auxiliary(), Concatenated(dcgan.Discriminator(resolution=28, channels=4, width=2), 3)):
        with pytest.raises(InputError, match="needs labels"):
            gan_of(network).discriminator_step(images())
    with pytest.raises(TypeError, match="does not tell its hidden features"):
        Auxiliary(nn.Linear(2, 1), 3)
