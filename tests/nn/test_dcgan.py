"""Shapes, conditioning and refusals of the DCGAN networks."""

import itertools

import pytest
import torch
from torch import nn

from ganbook.errors import InputError
from ganbook.nn import dcgan


@pytest.mark.parametrize("resolution", [28, 32, 64])
@pytest.mark.parametrize(("channels", "n_classes"), [(1, 0), (3, 9)])
def test_shapes_fit_together(resolution, channels, n_classes):
    generator = dcgan.Generator(resolution=resolution, channels=channels, latent_dim=5, width=4, n_classes=n_classes)
    discriminator = dcgan.Discriminator(resolution=resolution, channels=channels, width=4, n_classes=n_classes)
    y = torch.arange(3) if n_classes else None
    images = generator(torch.randn(3, 5), y)
    assert images.shape == (3, channels, resolution, resolution)
    assert images.abs().max() <= 1
    assert discriminator(images, y).shape == (3,)


def watched(network, feed):
    """(layer's kind, kernel, channels, side) behind each layer with weights."""
    kinds = nn.Conv2d | nn.ConvTranspose2d | nn.Linear
    seen, layers = [], [m for m in network.modules() if isinstance(m, kinds)]
    for layer in layers:
        kernel = 1 if isinstance(layer, nn.Linear) else layer.kernel_size[0]
        layer.register_forward_hook(lambda m, _, out, k=kernel: seen.append((k, *out.shape[1:3])))
    feed()
    return seen


@pytest.mark.parametrize("kernel", [5, 4])
def test_the_64_pixel_networks_have_the_layers_and_parameters_of_figure_1(kernel):
    """Radford et al. 2016: 100 latents to 4×4×1024, then 512, 256, 128 and 3 maps, kernels of 5; D is its mirror."""
    k2, maps = kernel**2, [1024, 512, 256, 128]
    generator = dcgan.Generator(resolution=64, channels=3, latent_dim=100, width=128, kernel=kernel)
    shapes = watched(generator, lambda: generator(torch.randn(2, 100)))
    assert shapes == [(4, 1024, 4), (kernel, 512, 8), (kernel, 256, 16), (kernel, 128, 32), (kernel, 3, 64)]
    dense = 100 * 4 * 4 * 1024
    between = sum(a * b * k2 for a, b in itertools.pairwise(maps))  # no biases before BatchNorm
    expected = dense + between + 128 * 3 * k2 + 3 + 2 * sum(maps)
    assert sum(p.numel() for p in generator.parameters()) == expected == {5: 18_855_043, 4: 12_658_435}[kernel]

    discriminator = dcgan.Discriminator(resolution=64, channels=3, width=128, kernel=kernel)
    shapes = watched(discriminator, lambda: discriminator(torch.rand(2, 3, 64, 64)))
    assert shapes == [(kernel, 128, 32), (kernel, 256, 16), (kernel, 512, 8), (kernel, 1024, 4), (1, 1)]
    expected = 3 * 128 * k2 + 128 + between + 2 * sum(maps[:3]) + 4 * 4 * 1024 + 1
    assert sum(p.numel() for p in discriminator.parameters()) == expected


def test_networks_of_64_maps_are_pytorchs_example():
    """The most copied DCGAN has 3,576,704 and 2,765,568 parameters; ours adds biases at the image ends."""
    generator = dcgan.Generator(resolution=64, channels=3, latent_dim=100, width=64)
    assert sum(p.numel() for p in generator.parameters()) == 3_576_704 + 3
    discriminator = dcgan.Discriminator(resolution=64, channels=3, width=64)
    assert sum(p.numel() for p in discriminator.parameters()) == 2_765_568 + 64 + 1


@pytest.mark.parametrize("norm", ["batch", "spectral", "none"])
def test_the_label_changes_picture_and_logit(norm):
    torch.manual_seed(0)
    generator = dcgan.Generator(resolution=28, channels=1, latent_dim=5, width=4, n_classes=3).eval()
    discriminator = dcgan.Discriminator(resolution=28, channels=1, width=4, n_classes=3, norm=norm).eval()
    z, a, b = torch.randn(4, 5), torch.zeros(4, dtype=torch.int64), torch.ones(4, dtype=torch.int64)
    images = generator(z, a)
    assert (images - generator(z, b)).abs().max() > 1e-6
    assert not torch.equal(discriminator(images, a), discriminator(images, b))


def test_the_projection_is_the_formula():
    """D(x, y) = w·h(x) + b + e_y·h(x), Miyato & Koyama 2018, eq. 6."""
    discriminator = dcgan.Discriminator(resolution=28, channels=1, width=4, n_classes=3, norm="none")
    x, y = torch.randn(5, 1, 28, 28), torch.tensor([0, 1, 2, 1, 0])
    h = discriminator.features(x)
    e = discriminator.project.weight
    expected = (
        h @ discriminator.head.weight[0] + discriminator.head.bias + torch.stack([e[k] @ v for k, v in zip(y, h)])
    )
    torch.testing.assert_close(discriminator(x, y), expected)


@pytest.mark.parametrize("resolution", [28, 64])
@pytest.mark.parametrize("width", [4, 32])
def test_a_critic_without_normalisation_starts_with_a_slope_near_one(width, resolution):
    """A gradient penalty wants it there; weights from N(0, 0.02²) would begin hundreds of times below."""
    torch.manual_seed(0)
    critic = dcgan.Discriminator(resolution=resolution, channels=1, width=width, norm="none")
    x = torch.randn(32, 1, resolution, resolution).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(x).sum(), x)
    assert 0.4 < gradient.flatten(1).norm(dim=1).mean() < 2.5
    assert all(not layer.bias.any() for layer in critic.modules() if isinstance(layer, nn.Conv2d | nn.Linear))
    dcgan.initialise(critic)
    (gradient,) = torch.autograd.grad(critic(x).sum(), x)
    assert gradient.flatten(1).norm(dim=1).mean() < 0.25


def test_spectral_norm_bounds_every_layer():
    torch.manual_seed(0)
    network = dcgan.Discriminator(resolution=28, channels=1, width=8, n_classes=3, norm="spectral")
    for _ in range(50):  # power iteration runs in forward passes
        network(torch.randn(2, 1, 28, 28), torch.tensor([0, 1]))
    network.eval()
    weights = [m.weight.flatten(1) for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear | nn.Embedding)]
    assert len(weights) == 4
    for weight in weights:
        assert torch.linalg.matrix_norm(weight, 2).item() == pytest.approx(1, abs=0.02)


def test_refusals_say_what_is_wrong():
    with pytest.raises(InputError, match="28, 32, 64 pixels, got resolution=48"):
        dcgan.Generator(resolution=48, channels=1)
    with pytest.raises(InputError, match="side 4 or 5, got kernel=3"):
        dcgan.Generator(resolution=28, channels=1, kernel=3)
    with pytest.raises(InputError, match="Did you mean 'spectral'"):
        dcgan.Discriminator(resolution=28, channels=1, norm="spectrall")
    with pytest.raises(InputError, match=r"\(N, 1, 28, 28\), got \(2, 3, 28, 28\)"):
        dcgan.Discriminator(resolution=28, channels=1, width=4)(torch.zeros(2, 3, 28, 28))
    with pytest.raises(InputError, match="built for 3 classes and needs labels"):
        dcgan.Generator(resolution=28, channels=1, width=4, n_classes=3)(torch.zeros(2, 100))
