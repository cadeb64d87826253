"""PGGAN's table of layers, and growing that changes nothing until it is meant to."""

import pytest
import torch
from torch import nn
from torch.nn.functional import avg_pool2d, interpolate

from ganbook.errors import InputError
from ganbook.nn import pggan
from ganbook.nn.layers import pixel_norm
from ganbook.nn.pggan import NORMS, Discriminator, Generator

SMALL = {"channels": 3, "width": 4, "max_maps": 8}


def pair(resolution=16, norm="equalised", n_classes=0):
    torch.manual_seed(0)
    generator = Generator(resolution=resolution, latent_dim=5, norm=norm, n_classes=n_classes, **SMALL)
    return generator, Discriminator(resolution=resolution, norm=norm, n_classes=n_classes, **SMALL)


def images(side, n=8):
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_1024_pixels_have_the_parameters_of_table_2():
    """Karras et al. 2018, table 2: 23.1 million in each network, counted row by row."""

    def conv(a, b, k):
        return a * b * k * k + b

    rows = [(512, 512), (512, 512), (512, 512), (512, 256), (256, 128), (128, 64), (64, 32), (32, 16)]
    with torch.device("meta"):
        generator, discriminator = Generator(resolution=1024), Discriminator(resolution=1024)

    def used(network, skipped):  # the paper counts one layer at the image, the last
        return sum(p.numel() for name, p in network.named_parameters() if skipped not in name or ".1024." in name)

    expected = conv(512, 512, 4) + conv(512, 512, 3) + sum(conv(a, b, 3) + conv(b, b, 3) for a, b in rows)
    assert used(generator, "to_rgb") == expected + conv(16, 3, 1) == 23_071_507
    expected = conv(3, 16, 1) + sum(conv(b, b, 3) + conv(b, a, 3) for a, b in rows)
    expected += conv(513, 512, 3) + conv(512, 512, 4) + 513
    assert used(discriminator, "from_rgb") == expected == 23_077_137


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("n_classes", [0, 3])
def test_every_stage_makes_and_reads_its_side(norm, n_classes):
    generator, discriminator = pair(norm=norm, n_classes=n_classes)
    y = torch.arange(4) % 3 if n_classes else None
    for side, alpha in ((4, 1.0), (8, 0.0), (8, 0.3), (16, 0.7), (16, 1.0)):
        for network in (generator, discriminator):
            network.grow(side, alpha)
        x = generator(torch.randn(4, 5), y)
        assert x.shape == (4, 3, side, side)
        assert discriminator(x, y).shape == (4,)
    generator.eval()
    assert generator(100 * torch.randn(4, 5), y).abs().max() <= 1


@pytest.mark.chapter(name="10_progressive_growing")
@pytest.mark.parametrize("norm", NORMS)
def test_at_alpha_0_the_grown_network_is_the_old_one_between_resizings(norm):
    """Bit for bit, whatever the new block has become, which receives no gradient yet."""
    generator, discriminator = pair(norm=norm)
    z, x = torch.randn(4, 5), images(8, 4)
    for network in (generator, discriminator):
        network.eval()  # BatchNorm and power iteration stand still between the two calls
        network.grow(8)
    small, logits = generator(z), discriminator(x)
    with torch.no_grad():
        for network in (generator, discriminator):
            for p in network.blocks["16"].parameters():
                p.mul_(50)
    for network in (generator, discriminator):
        network.grow(16, 0.0)
    up = interpolate(x, scale_factor=2, mode="nearest")
    assert torch.equal(generator(z), interpolate(small, scale_factor=2, mode="nearest"))
    assert torch.equal(discriminator(up), logits)
    generator(z).sum().backward()
    discriminator(up).sum().backward()
    for network in (generator, discriminator):
        assert all(p.grad.abs().max() == 0 for p in network.blocks["16"].parameters())


@pytest.mark.chapter(name="10_progressive_growing")
@pytest.mark.parametrize("norm", NORMS)
def test_at_alpha_1_it_is_the_plain_network_and_the_old_path_costs_nothing(norm):
    """The whole chain of layers, written out, is all that runs."""
    for network in pair(norm=norm):
        network.eval()
        network.grow(8, 0.5)
        network.grow(16, 1.0)
        ran = []
        for name, module in network.named_modules():
            if name.count(".") == 1:
                module.register_forward_hook(lambda *_, name=name, ran=ran: ran.append(name))
        if isinstance(network, Generator):
            z = torch.randn(4, 5)
            h = network.start(pixel_norm(z) if norm == "equalised" else z)
            expected = network.to_rgb["16"](network.blocks["16"](network.blocks["8"](h)))
            expected = expected.clamp(-1, 1) if norm == "equalised" else expected.tanh()
            ran.clear()
            assert torch.equal(network(z), expected)
            assert [name for name in ran if "start" not in name] == ["blocks.8", "blocks.16", "to_rgb.16"]
        else:
            x = images(16, 4)
            h = network.blocks["8"](network.blocks["16"](network.from_rgb["16"](x)))
            expected = network.head(network.end(h)).flatten()
            ran.clear()
            assert torch.equal(network(x), expected)
            assert [name for name in ran if "end" not in name] == ["from_rgb.16", "blocks.16", "blocks.8"]


@pytest.mark.chapter(name="10_progressive_growing")
def test_in_between_it_is_the_mixture_of_figure_2():
    generator, discriminator = pair()
    z, x = torch.randn(4, 5), images(16, 4)

    def at(resolution, alpha=1.0):
        generator.grow(resolution, alpha)
        return generator(z)

    mixture = 0.7 * interpolate(at(8), scale_factor=2) + 0.3 * at(16)
    torch.testing.assert_close(at(16, 0.3), mixture)
    new = discriminator.blocks["16"](discriminator.from_rgb["16"](x))
    old = discriminator.from_rgb["8"](avg_pool2d(x, 2))
    expected = discriminator.head(discriminator.end(discriminator.blocks["8"](0.7 * old + 0.3 * new))).flatten()
    discriminator.grow(16, 0.3)
    torch.testing.assert_close(discriminator(x), expected)


def test_the_start_is_the_papers_padded_convolution():
    start = pggan.Start(5, 8, "equalised")
    z = torch.randn(3, 5)
    conv = nn.functional.conv2d(z[:, :, None, None], start.conv.weight.flip(2, 3), start.conv.bias, padding=3)
    torch.testing.assert_close(start(z), conv)


def test_each_variant_has_its_normalisers():
    def kinds(network):
        return {type(m).__name__ for m in network.modules()}

    def constrained(network, kind):
        layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        return all(kind in str(m.parametrizations["weight"]) for m in layers)

    paper, thesis = pair(norm="equalised"), pair(norm="spectral")
    assert all(constrained(network, "Scaled") for network in paper)
    assert all(constrained(network, "SpectralNorm") for network in thesis)
    assert "PixelNorm" in kinds(paper[0]) and "BatchNorm2d" not in kinds(paper[0])
    assert "BatchNorm2d" in kinds(thesis[0]) and "PixelNorm" not in kinds(thesis[0])
    for discriminator in (paper[1], thesis[1]):
        assert "MinibatchStddev" in kinds(discriminator) and "BatchNorm2d" not in kinds(discriminator)


def test_the_stage_is_saved_with_the_weights():
    generator, _ = pair()
    generator.grow(8, 1 / 3)
    other = pair()[0]
    other.load_state_dict(generator.state_dict())
    assert (other.resolution, other.alpha) == (8, 1 / 3)


def test_the_label_changes_picture_and_logit():
    for norm in NORMS:
        generator, discriminator = pair(norm=norm, n_classes=3)
        generator.eval()
        discriminator.eval()
        z, a, b = torch.randn(4, 5), torch.zeros(4, dtype=torch.int64), torch.ones(4, dtype=torch.int64)
        assert (generator(z, a) - generator(z, b)).abs().max() > 1e-4
        x = images(16, 4)
        h = discriminator.end(discriminator.blocks["8"](discriminator.blocks["16"](discriminator.from_rgb["16"](x))))
        logits = h @ discriminator.head.weight[0] + discriminator.head.bias
        torch.testing.assert_close(discriminator(x, b), logits + h @ discriminator.project.weight[1])


def test_refusals():
    for resolution in (48, 2, 0, -4, 6):
        with pytest.raises(InputError, match=f"got resolution={resolution}. Choose 4 times a power of two"):
            Generator(resolution=resolution)
    with pytest.raises(InputError, match="Did you mean 'equalised'"):
        Discriminator(resolution=8, norm="equalized")
    generator, discriminator = pair()
    with pytest.raises(InputError, match="grows through 4, 8, 16 pixels, got resolution=32"):
        generator.grow(32)
    for resolution, alpha in ((8, -0.1), (8, 1.1), (4, 0.5), (8, float("nan"))):
        with pytest.raises(InputError, match="share, from 0 to 1"):
            generator.grow(resolution, alpha)
    discriminator.grow(8)
    with pytest.raises(InputError, match=r"\(N, 3, 8, 8\), got \(2, 3, 16, 16\)"):
        discriminator(images(16, 2))
    with pytest.raises(InputError, match="groups of 4 samples, got a batch of 6"):
        discriminator(images(8, 6))
