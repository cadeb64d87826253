"""Encoders: shapes, labels that are really read, and a decoder whose weights a generator takes over."""

import pytest
import torch

from ganbook.errors import InputError
from ganbook.nn import dcgan
from ganbook.nn.autoencoders import (
    Centred,
    DenseDecoder,
    DenseEncoder,
    Encoder,
    LatentDiscriminator,
    label_planes,
    start_from,
)


def encoder(**options):
    torch.manual_seed(0)
    return Encoder(**{"resolution": 28, "channels": 1, "latent_dim": 3, "width": 4, "n_classes": 0, **options})


def generator(**options):
    return dcgan.Generator(**{"resolution": 28, "channels": 1, "latent_dim": 3, "width": 4, "n_classes": 5, **options})


@pytest.mark.parametrize("resolution", [28, 32, 64])
@pytest.mark.parametrize("n_classes", [0, 5])
def test_an_encoder_gives_mean_and_log_variance_at_every_resolution(resolution, n_classes):
    network = encoder(resolution=resolution, channels=3, n_classes=n_classes)
    y = torch.arange(4) if n_classes else None
    assert network(torch.zeros(4, 3, resolution, resolution), y).shape == (4, 2, 3)


def test_label_planes_are_one_for_the_own_class_only():
    planes = label_planes(torch.tensor([2, 0]), 3, 4)
    assert planes.shape == (2, 3, 4, 4)
    assert planes.mean((2, 3)).tolist() == [[0, 0, 1], [1, 0, 0]]


def test_the_label_changes_the_code_and_is_asked_for():
    network = encoder(n_classes=5).eval()
    x = torch.rand(1, 1, 28, 28)
    assert not torch.equal(network(x, torch.tensor([1])), network(x, torch.tensor([2])))
    with pytest.raises(InputError, match="needs labels, got none"):
        network(x)


def test_pictures_of_another_size_are_refused():
    with pytest.raises(InputError, match=r"\(N, 1, 28, 28\), got \(2, 1, 32, 32\)"):
        encoder()(torch.zeros(2, 1, 32, 32))


def test_a_common_shift_is_taken_out_of_the_codes():
    torch.manual_seed(0)
    layer, z = Centred(3), torch.randn(8, 3)
    for _ in range(60):
        assert torch.allclose(layer(z + 7).mean(0), torch.zeros(3), atol=1e-5)
    assert torch.allclose(layer.eval()(z + 7), z - z.mean(0), atol=0.05)  # each picture for itself, by the average
    x = torch.rand(6, 1, 28, 28)
    assert torch.allclose(encoder()(x)[:, 0].mean(0), torch.zeros(3), atol=1e-5)


def test_the_discriminator_of_codes_reads_code_and_label():
    torch.manual_seed(0)
    critic = LatentDiscriminator(latent_dim=3, width=8, n_classes=5)
    z = torch.randn(2, 3)
    assert critic(z, torch.tensor([0, 1])).shape == (2,)
    assert not torch.equal(critic(z, torch.tensor([0, 1])), critic(z, torch.tensor([1, 1])))


def test_a_generator_that_starts_from_a_decoder_draws_the_same_pictures():
    torch.manual_seed(0)
    decoder, other = generator(), generator()
    z, y = torch.randn(8, 3), torch.arange(8) % 5
    decoder(z, y)  # moves BatchNorm's statistics, which have to come along
    start_from(other, decoder)
    assert torch.equal(other.eval()(z, y), decoder.eval()(z, y))
    with torch.no_grad():
        next(decoder.parameters()).zero_()
    assert not torch.equal(other(z, y), decoder(z, y))  # a copy, not the same tensors


@pytest.mark.parametrize(
    ("options", "told"),
    [({"latent_dim": 4}, "net.0.weight"), ({"resolution": 64}, "net.0.weight"), ({"width": 8}, "8")],
)
def test_a_decoder_of_another_shape_is_refused_by_name(options, told):
    with pytest.raises(InputError, match=told):
        start_from(generator(), generator(**options))


def test_the_dense_pair_fits_and_its_output_is_the_ink_of_its_logits():
    encoder, decoder = (
        DenseEncoder(resolution=8, latent_dim=3, width=5),
        DenseDecoder(resolution=8, latent_dim=3, width=5),
    )
    x = torch.rand(4, 1, 8, 8) * 2 - 1
    codes = encoder(x)
    assert codes.shape == (4, 2, 3)
    drawn = decoder(codes[:, 0])
    assert drawn.shape == x.shape
    probability = torch.sigmoid(decoder.net(codes[:, 0])).view(4, 1, 8, 8)
    assert torch.allclose((drawn + 1) / 2, probability, atol=1e-6)
    hidden = torch.tanh(encoder.net[2](torch.tanh(encoder.net[0]((x.flatten(1) + 1) / 2))))
    assert torch.allclose(encoder.net[4](hidden).view(4, 2, 3), codes, atol=1e-6)


def test_blank_paper_leaves_the_dense_encoder_at_rest():
    encoder = DenseEncoder(resolution=28)
    assert torch.equal(encoder(torch.full((2, 1, 28, 28), -1.0)), torch.zeros(2, 2, 50))
