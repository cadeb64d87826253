"""Networks for points: the plain one, and the two constraints it can be given."""

import pytest
import torch
from torch import nn

from ganbook.errors import InputError
from ganbook.models.gan import GAN
from ganbook.nn import mlp


def test_the_plain_discriminator_is_what_its_sizes_say():
    network = mlp.Discriminator(dim=3, width=8, depth=2)
    shapes = [(m.in_features, m.out_features) for m in network.modules() if isinstance(m, nn.Linear)]
    assert shapes == [(3, 8), (8, 8), (8, 1)]
    assert network(torch.randn(5, 3)).shape == (5,)
    points = mlp.Generator(latent_dim=4, dim=3, width=8)(torch.randn(5, 4))
    assert points.shape == (5, 3) and (points < 0).any()  # nothing after the last layer


def test_spectral_norm_bounds_the_slope():
    torch.manual_seed(0)
    network = mlp.Discriminator(width=16, norm="spectral")
    for _ in range(100):  # power iteration runs in forward passes
        network(torch.randn(4, 2))
    network.eval()
    x = (5 * torch.randn(200, 2)).requires_grad_()
    (slope,) = torch.autograd.grad(network(x).sum(), x)
    assert slope.norm(dim=1).max().item() <= 1.001


@pytest.mark.parametrize("norm", mlp.NORMS)
def test_minibatch_discrimination_lets_a_sample_see_the_others(norm):
    torch.manual_seed(0)
    network = mlp.Discriminator(width=8, kernels=4, norm=norm).eval()
    a, b = torch.randn(6, 2), torch.randn(6, 2)
    b[0] = a[0]
    assert not torch.allclose(network(a)[0], network(b)[0], rtol=1e-4)
    alone = mlp.Discriminator(width=8, norm=norm).eval()
    torch.testing.assert_close(alone(a)[0], alone(b)[0])
    gan = GAN(mlp.Generator(width=8), mlp.Discriminator(width=8, kernels=4, norm=norm))
    assert gan.discriminator_step(a).isfinite() and gan.generator_step(a).isfinite()


def test_refusal():
    with pytest.raises(InputError, match="Did you mean 'spectral'"):
        mlp.Discriminator(norm="spectral_norm")
