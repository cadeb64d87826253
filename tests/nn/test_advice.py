"""The switches of DCGAN's advice: all on is DCGAN itself, and each alone changes what it says."""

import math

import pytest
import torch
from scipy.stats import kstest
from torch import nn

from ganbook.errors import InputError
from ganbook.models.gan import GAN
from ganbook.nn import dcgan
from ganbook.nn.advice import (
    CHOICES,
    LATENTS,
    Advice,
    Discriminator,
    Generator,
    convolution_work,
    dense_width,
)

SIZES = {"resolution": 28, "channels": 1, "width": 4, "n_classes": 3}
SWITCHES = [{name: choice} for name, choices in CHOICES.items() for choice in choices[1:]]


def pair(**choices):
    torch.manual_seed(0)
    return Generator(Advice(**choices), latent_dim=5, **SIZES), Discriminator(Advice(**choices), **SIZES)


@pytest.mark.parametrize("resolution", [28, 64])
def test_all_advice_followed_is_dcgan_weight_for_weight(resolution):
    sizes = {**SIZES, "resolution": resolution}
    torch.manual_seed(0)
    ours = Generator(Advice(), latent_dim=5, **sizes), Discriminator(Advice(), **sizes)
    torch.manual_seed(0)
    papers = dcgan.Generator(latent_dim=5, **sizes), dcgan.Discriminator(**sizes)
    z, y = torch.randn(4, 5), torch.tensor([0, 1, 2, 0])
    assert torch.equal(ours[0](z, y), papers[0](z, y))
    x = torch.rand(4, 1, resolution, resolution) * 2 - 1
    assert torch.equal(ours[1](x, y), papers[1](x, y))


def test_the_defaults_come_first_among_the_choices():
    assert Advice() == Advice(**{name: choices[0] for name, choices in CHOICES.items()})


@pytest.mark.parametrize("choices", SWITCHES, ids=str)
def test_each_switch_alone_changes_a_network_and_both_still_learn(choices):
    followed, changed = pair(), pair(**choices)
    z, y = torch.randn(6, 5), torch.tensor([0, 1, 2, 0, 1, 2])
    x = torch.rand(6, 1, 28, 28) * 2 - 1
    assert changed[0](z, y).shape == (6, 1, 28, 28)
    assert changed[1](x, y).shape == (6,)
    assert not (torch.equal(followed[0](z, y), changed[0](z, y)) and torch.equal(followed[1](x, y), changed[1](x, y)))
    before = [[p.detach().clone() for p in network.parameters()] for network in changed]
    gan = GAN(*changed)
    gan.discriminator_step(x, y)
    gan.generator_step(x, y)
    for network, old in zip((gan.discriminator, gan.generator), before, strict=True):
        assert any(not torch.equal(p, q) for p, q in zip(network.parameters(), old, strict=True))


def test_the_laws_of_the_latents():
    z = torch.randn(4000, 6, generator=torch.Generator().manual_seed(0))
    uniform = LATENTS["uniform"](z)
    assert kstest(uniform.flatten().double().numpy(), "uniform", args=(-1, 2)).pvalue > 0.01
    sphere = LATENTS["sphere"](z)
    torch.testing.assert_close(sphere.norm(dim=1), torch.full((4000,), math.sqrt(6)))
    torch.testing.assert_close(nn.functional.cosine_similarity(sphere, z), torch.ones(4000))
    assert torch.equal(LATENTS["normal"](z), z)


def test_pixels_in_the_unit_interval_are_a_sigmoid_and_are_read_as_such():
    symmetric, unit = pair(), pair(pixels="unit")
    z, y = torch.randn(4, 5), torch.tensor([0, 1, 2, 0])
    logits = torch.atanh(symmetric[0](z, y).double())
    torch.testing.assert_close(unit[0](z, y).double(), 2 * torch.sigmoid(logits) - 1, atol=1e-6, rtol=1e-5)
    x = torch.rand(4, 1, 28, 28)
    torch.testing.assert_close(unit[1](2 * x - 1, y), symmetric[1](x, y))


def test_without_batchnorm_there_is_none_and_a_bias_takes_its_place():
    for norm, network in zip(("norm_g", "norm_d"), pair(norm_g="none", norm_d="none"), strict=True):
        assert not any(isinstance(m, nn.BatchNorm2d) for m in network.modules()), norm
        layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)]
        assert all(layer.bias is not None for layer in layers)


def test_a_linear_output_is_not_bounded():
    generator, _ = pair(output="linear", weights="torch")
    torch.nn.init.constant_(generator.net[-1].bias, 3.0)
    assert generator(torch.randn(4, 5), torch.tensor([0, 1, 2, 0])).max() > 2


def multiplications(network, *inputs):
    """Counted at each layer by hooks, the projection's embedding aside."""
    total = 0

    def count(layer, arguments, output):
        nonlocal total
        if isinstance(layer, nn.Linear):
            total += layer.weight.numel()
        elif isinstance(layer, nn.Conv2d):
            total += layer.weight.numel() * output[0, 0].numel()
        elif isinstance(layer, nn.ConvTranspose2d):
            total += layer.weight.numel() * arguments[0][0, 0].numel()

    hooks = [module.register_forward_hook(count) for module in network.modules()]
    network(*inputs)
    for hook in hooks:
        hook.remove()
    return total


@pytest.mark.parametrize("network", [0, 1])
def test_dense_networks_get_the_work_of_the_convolutional_ones(network):
    y = torch.tensor([0, 1])
    inputs = (torch.randn(2, 5), y) if network == 0 else (torch.rand(2, 1, 28, 28), y)
    convolutional = multiplications(pair()[network], *inputs)
    dense = multiplications(pair(layers="dense")[network], *inputs)
    assert 0.97 * convolutional < dense <= convolutional


def test_the_widest_dense_network_within_a_budget():
    for n_in, n_out, work in ((5, 7, 1000), (784, 1, 450_000), (42, 784, 517_000)):
        h = dense_width(n_in, n_out, work)
        assert h * (n_in + h + n_out) <= work < (h + 1) * (n_in + h + 1 + n_out)
    assert convolution_work([8, 4, 1], 7) == 16 * (8 * 4 * 49 + 4 * 1 * 196)


def test_an_unknown_choice_is_refused():
    with pytest.raises(InputError, match="Did you mean 'uniform'"):
        Advice(latents="uniforrm")
    with pytest.raises(InputError, match="average, max, stride"):
        Advice(down="zzz")
