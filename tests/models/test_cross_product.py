"""Every loss × penalty × network takes a finite step with both players; a new row of a registry joins by itself."""

import itertools

import pytest
import torch

from ganbook.losses import F_GAN_LOSSES, LOSSES
from ganbook.models.gan import GAN
from ganbook.nn import dcgan, mlp, resnet, sagan
from ganbook.nn.packing import Packed
from ganbook.penalties import PENALTIES

ALL_LOSSES = [*LOSSES, *F_GAN_LOSSES]
ALL_PENALTIES = ["none", *PENALTIES]
TINY = {"resolution": 28, "channels": 1, "width": 2}
TINY_RESIDUAL = {"resolution": 32, "channels": 1, "width": 2}
NETWORKS = {
    "mlp": lambda: (mlp.Generator(width=4), mlp.Discriminator(width=4), (2,), 0),
    "packed": lambda: (mlp.Generator(width=4), Packed(mlp.Discriminator(dim=4, width=4), 2), (2,), 0),
    "dcgan": lambda: (
        dcgan.Generator(**TINY, latent_dim=3, n_classes=3),
        dcgan.Discriminator(**TINY, n_classes=3, norm="none"),
        (1, 28, 28),
        3,
    ),
    "dcgan_spectral": lambda: (
        dcgan.Generator(**TINY, latent_dim=3),
        dcgan.Discriminator(**TINY, norm="spectral"),
        (1, 28, 28),
        0,
    ),
    "resnet": lambda: (
        resnet.Generator(**TINY_RESIDUAL, latent_dim=3, n_classes=3),
        resnet.Discriminator(**TINY_RESIDUAL, n_classes=3),
        (1, 32, 32),
        3,
    ),
    "sagan": lambda: (
        sagan.Generator(**TINY_RESIDUAL, latent_dim=3, attention=(8, 16)),
        sagan.Discriminator(**TINY_RESIDUAL, attention=(8, 16)),
        (1, 32, 32),
        0,
    ),
}


def takes_a_step(network, loss, penalty):
    torch.manual_seed(0)
    generator, discriminator, shape, n_classes = NETWORKS[network]()
    weight = 0.0 if penalty == "none" else 1.0
    gan = GAN(generator, discriminator, loss=loss, penalty=penalty, penalty_weight=weight)
    before = [[p.detach().clone() for p in net.parameters()] for net in (generator, discriminator)]
    real = torch.rand(4, *shape, generator=torch.Generator().manual_seed(1)) * 2 - 1
    labels = torch.arange(4) % n_classes if n_classes else None
    values = gan.discriminator_step(real, labels), gan.generator_step(real, labels)
    assert all(value.isfinite() for value in values), (network, loss, penalty)
    for net, old in zip((generator, discriminator), before, strict=True):
        parameters = list(net.parameters())
        assert all(p.isfinite().all() for p in parameters), (network, loss, penalty)
        assert any(not torch.equal(a, b) for a, b in zip(old, parameters, strict=True)), (network, loss, penalty)


@pytest.mark.parametrize("network", NETWORKS)
def test_each_penalty_and_each_loss_once_with_every_network(network):
    """Enough to see a broken row; the whole product is the long test."""
    pairs = zip(ALL_LOSSES, itertools.cycle(ALL_PENALTIES))
    if network in ("resnet", "sagan"):  # slow ones: the penalties alone, whose second derivative passes every layer
        pairs = zip(itertools.cycle(ALL_LOSSES), ALL_PENALTIES)
    for loss, penalty in pairs:
        takes_a_step(network, loss, penalty)


@pytest.mark.long
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("penalty", ALL_PENALTIES)
def test_the_whole_product(network, penalty):
    for loss in ALL_LOSSES:
        takes_a_step(network, loss, penalty)
