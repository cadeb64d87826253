"""What is put into a finished DCGAN: where it stands, that it starts as nothing, and that a batch is seen."""

import pytest
import torch
from torch.nn.utils.parametrize import is_parametrized

from ganbook.errors import InputError
from ganbook.nn.attached import attach_attention, attach_head, attention_layers
from ganbook.nn.dcgan import Discriminator, Generator


def networks(norm="batch", resolution=32):
    torch.manual_seed(0)
    return (
        Generator(resolution=resolution, channels=3, latent_dim=5, width=4),
        Discriminator(resolution=resolution, channels=3, width=4, norm=norm),
    )


@pytest.mark.parametrize(("sides", "in_d"), [((8,), 1), ((16,), 1), ((8, 16), 2), ((8, 16, 32), 2), ((32,), 0)])
def test_attention_stands_behind_the_maps_of_its_sides_and_starts_as_nothing(sides, in_d):
    generator, discriminator = networks()
    generator.eval(), discriminator.eval()
    z, x = torch.randn(2, 5), torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        before = generator(z), discriminator(x)
        attach_attention(generator, discriminator, sides, spectral=False)
        after = generator(z), discriminator(x)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    seen = []
    for layer in attention_layers(generator):
        layer.register_forward_hook(lambda _, inputs, output: seen.append(output.shape[2]))
    generator(z)
    assert tuple(seen) == sides and len(attention_layers(discriminator)) == in_d


def test_attention_behind_the_last_convolution_sees_the_image_before_tanh():
    generator, discriminator = networks()
    attach_attention(generator, discriminator, (32,), spectral=False)
    (layer,) = attention_layers(generator)
    assert layer.f.in_channels == 3
    with torch.no_grad():
        layer.gamma.fill_(100.0)
    assert generator(torch.randn(2, 5)).abs().max() <= 1


def test_attention_is_constrained_where_asked():
    generator, discriminator = networks()
    attach_attention(generator, discriminator, (8,), spectral=True)
    assert all(is_parametrized(layer.v, "weight") for n in (generator, discriminator) for layer in attention_layers(n))


def test_an_unknown_side_is_refused():
    with pytest.raises(InputError, match="no feature map of side 12"):
        attach_attention(*networks(), (8, 12), spectral=False)


@pytest.mark.parametrize("kind", ["minibatch", "stddev"])
@pytest.mark.parametrize("norm", ["batch", "spectral", "none"])
def test_a_head_lets_the_logit_depend_on_the_batch(kind, norm):
    _, discriminator = networks(norm)
    attach_head(discriminator, kind)
    discriminator.eval()
    with torch.no_grad():
        last = discriminator.head[-1]
        for parameter in last.parameters():
            parameter.mul_(50)
        x = torch.randn(4, 3, 32, 32)
        alone, copies = discriminator(x), discriminator(x[:1].expand(4, -1, -1, -1))
    assert alone.shape == (4,) and not torch.allclose(alone[0], copies[0], atol=1e-7)
    assert is_parametrized(discriminator.head[-1], "weight") == (norm == "spectral")


def test_an_unknown_head_is_refused():
    with pytest.raises(InputError, match="Did you mean 'stddev'"):
        attach_head(networks()[1], "stdev")
