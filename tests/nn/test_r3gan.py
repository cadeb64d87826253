"""R3GAN's networks: no normalisation, an identity at the start, second gradients everywhere, and a toy learnt."""

import pytest
import torch
from torch import nn
from torch.nn.functional import conv_transpose2d

from ganbook.errors import InputError
from ganbook.models.gan import GAN
from ganbook.nn import r3gan
from ganbook.nn.r3gan import Block, Discriminator, Generator, downsample, upsample
from ganbook.penalties import PENALTIES


def pair(resolution=16, n_classes=0, width=8):
    torch.manual_seed(0)
    generator = Generator(resolution=resolution, latent_dim=5, width=width, n_classes=n_classes, max_maps=16)
    return generator, Discriminator(resolution=resolution, width=width, n_classes=n_classes, max_maps=16)


def random_biases_and_ends(network):
    """Leave the start, at which blocks are the identity."""
    with torch.no_grad():
        for name, p in network.named_parameters():
            if name.endswith("bias") or "branch.4" in name:
                p.normal_(0, 0.2)


@pytest.mark.parametrize("resolution", [4, 8, 32])
@pytest.mark.parametrize("n_classes", [0, 3])
def test_shapes_fit_together(resolution, n_classes):
    generator, discriminator = pair(resolution, n_classes)
    y = torch.arange(3) if n_classes else None
    x = generator(torch.randn(3, 5), y)
    assert x.shape == (3, 3, resolution, resolution)
    assert discriminator(x, y).shape == (3,)
    assert generator.eval()(100 * torch.randn(3, 5), y).abs().max() <= 1


def test_there_is_no_normalisation_and_groups_hold_16_maps():
    generator, discriminator = pair(width=32)
    for network in (generator, discriminator):
        kinds = {type(m) for m in network.modules()}
        assert not any("Norm" in kind.__name__ for kind in kinds)
        assert not any(nn.utils.parametrize.is_parametrized(m) for m in network.modules())
        inner = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
        assert len(inner) == r3gan.BLOCKS * 3
        assert all(m.in_channels // m.groups == 16 for m in inner)


def test_a_block_is_the_formula_and_starts_as_the_identity():
    torch.manual_seed(0)
    block, x = Block(16, depth=8), torch.randn(2, 16, 5, 5)
    assert torch.equal(block(x), x)
    assert block.branch[0].weight.std().item() == pytest.approx(r3gan.GAIN * 8 ** (-1 / 4) / 4, rel=0.1)
    assert block.branch[2].weight.std().item() == pytest.approx(r3gan.GAIN * 8 ** (-1 / 4) / 12, rel=0.1)
    random_biases_and_ends(block)
    narrow, grouped, back = (block.branch[i] for i in (0, 2, 4))

    def f(v):
        return torch.where(v > 0, v, 0.2 * v)

    torch.testing.assert_close(block(x), x + back(f(grouped(f(narrow(x))))))
    assert (narrow.out_channels, grouped.groups) == (32, 2)


def test_the_variance_of_a_signal_survives_the_start():
    """He's gain: unit variance in front of LeakyReLU and behind the next convolution, but for fix-up's factor."""
    torch.manual_seed(0)
    layer = r3gan.conv(256, 256, 1, gain=r3gan.GAIN)
    x = torch.randn(8, 256, 8, 8)
    out = layer(nn.functional.leaky_relu(x, r3gan.SLOPE))
    assert out.square().mean().item() == pytest.approx(1.0, rel=0.1)


def test_resampling_is_one_filter_and_its_adjoint():
    """Up: zeros between the pixels, then (1, 3, 3, 1)/4 an axis; down keeps constants and removes fine stripes."""
    x = torch.randn(1, 1, 6, 6)
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
    filtered = conv_transpose2d(x, torch.outer(taps, taps)[None, None], stride=2, padding=1)
    torch.testing.assert_close(upsample(x)[..., 2:-2, 2:-2], filtered[..., 2:-2, 2:-2])
    big = torch.randn(1, 1, 12, 12)
    big[..., :2, :] = big[..., -2:, :] = big[..., :, :2] = big[..., :, -2:] = 0
    torch.testing.assert_close((upsample(x) * big).sum(), 4 * (x * downsample(big)).sum())
    torch.testing.assert_close(downsample(torch.full((2, 3, 8, 8), 0.7)), torch.full((2, 3, 4, 4), 0.7))
    stripes = torch.ones(1, 1, 8, 8)
    stripes[..., 1::2] = -1.0
    assert downsample(stripes)[..., 1:-1].abs().max().item() < 1e-6


@pytest.mark.parametrize("n_classes", [0, 3])
def test_the_penalty_reaches_every_layer_of_the_discriminator(n_classes):
    """R1's gradient is a second derivative: none of the layers may cut it."""
    _, discriminator = pair(n_classes=n_classes)
    random_biases_and_ends(discriminator)
    y = torch.arange(3) if n_classes else None
    PENALTIES["r1"](discriminator, torch.randn(3, 3, 16, 16), torch.randn(3, 3, 16, 16), y).sum().backward()
    for name, p in discriminator.named_parameters():
        if not name.endswith("bias"):
            assert p.grad is not None and p.grad.abs().max() > 0, name


def baseline(resolution=4, width=8, penalty_weight=0.1, **options):
    torch.manual_seed(0)
    options |= {"penalty": "r1_r2", "penalty_weight": penalty_weight, "betas": (0.0, 0.99)}
    generator = Generator(resolution=resolution, channels=1, latent_dim=4, width=width)
    discriminator = Discriminator(resolution=resolution, channels=1, width=width)
    return GAN(generator, discriminator, loss="rpgan", **options)


def test_it_steps_under_its_own_loss_and_penalty():
    gan = baseline(resolution=8)
    before = [p.detach().clone() for p in gan.generator.parameters()]
    for _ in range(3):  # behind the first steps the blocks' ends are no longer 0, and all layers move
        real = torch.rand(4, 1, 8, 8)
        assert gan.discriminator_step(real).isfinite() and gan.generator_step(real).isfinite()
    assert all(not torch.equal(a, b) for a, b in zip(before, gan.generator.parameters(), strict=True))


@pytest.mark.long
def test_it_learns_a_toy_with_both_its_colours():
    """Flat grey squares, dark or light, half and half: samples become flat, and both colours stay."""
    gan = baseline(penalty_weight=1.0, lr_g=1e-3, lr_d=1e-3, ema_decay=0.95)
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(200, 4, generator=torch.Generator().manual_seed(1))

    def unevenness():
        return gan.sample(z).std((1, 2, 3)).mean().item()

    before = unevenness()
    for _ in range(200):
        light = (torch.rand(32, 1, 1, 1, generator=rng) < 0.5).float()
        real = (1.2 * light - 0.6).expand(32, 1, 4, 4)
        gan.discriminator_step(real)
        gan.generator_step(real)
    colours = gan.sample(z).mean((1, 2, 3))
    near = ((colours.abs() - 0.6).abs() < 0.3).float().mean().item()
    share = (colours > 0).float().mean().item()
    assert unevenness() < before / 2 and near > 0.4 and 0.2 < share < 0.8, (before, unevenness(), near, share)


def test_the_label_changes_picture_and_logit():
    generator, discriminator = pair(n_classes=3)
    z, a, b = torch.randn(4, 5), torch.zeros(4, dtype=torch.int64), torch.ones(4, dtype=torch.int64)
    assert (generator(z, a) - generator(z, b)).abs().max() > 1e-4
    x = torch.rand(4, 3, 16, 16)
    h = discriminator.basis(discriminator.body(discriminator.from_rgb(x))).flatten(1)
    expected = h @ discriminator.head.weight[0] + discriminator.head.bias + h @ discriminator.project.weight[1]
    torch.testing.assert_close(discriminator(x, b), expected)


def test_refusals():
    with pytest.raises(InputError, match="got resolution=28"):
        Generator(resolution=28)
    with pytest.raises(InputError, match=r"\(N, 3, 16, 16\), got \(2, 1, 16, 16\)"):
        pair()[1](torch.zeros(2, 1, 16, 16))
    with pytest.raises(InputError, match="built for 3 classes and needs labels"):
        pair(n_classes=3)[0](torch.zeros(2, 5))
