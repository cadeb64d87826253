"""Networks by name: what was asked for is what is built."""

import itertools

import pytest
import torch
from torch import nn

from ganbook.config import Config
from ganbook.errors import InputError
from ganbook.experiment import build_gan
from ganbook.nn import dcgan, pggan, r3gan, resnet, sagan
from ganbook.nn.attention import SelfAttention2d
from ganbook.nn.families import FAMILIES, Sizes, places

MODULES = {"dcgan": dcgan, "resnet": resnet, "sagan": sagan, "pggan": pggan, "r3gan": r3gan}


@pytest.mark.parametrize(
    ("network", "resolution", "n_classes"),
    [(name, r, k) for name, f in FAMILIES.items() for r, k in itertools.product(f.resolutions, (0, 3)) if r < 128],
)
def test_each_family_builds_a_pair_that_fits_at_every_norm(network, resolution, n_classes):
    for norm in FAMILIES[network].norms:
        sizes = Sizes(resolution, 1, 5, 4, 2, n_classes, norm)
        generator, discriminator = FAMILIES[network].build(sizes)
        assert type(generator) is MODULES[network].Generator
        y = torch.arange(2) % 3 if n_classes else None
        images = generator(torch.randn(2, 5), y)
        assert images.shape == (2, 1, resolution, resolution)
        assert discriminator(images, y).shape == (2,)
        constrained = any(nn.utils.parametrize.is_parametrized(m) for m in discriminator.modules())
        assert constrained == (norm in ("spectral", "equalised"))
        convolutions = [m for m in generator.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
        assert convolutions[-1].in_channels == 4  # width_g
        first = next(m for m in discriminator.modules() if isinstance(m, nn.Conv2d))
        assert first.out_channels == 2  # width_d


def test_a_configuration_becomes_its_networks():
    config = Config(network="sagan", norm="spectral", resolution=32, attention="8,16", width_g=8, width_d=8)
    gan = build_gan(config, channels=3, n_classes=0, device=torch.device("cpu"))
    for network in (gan.generator, gan.discriminator):
        assert sum(isinstance(m, SelfAttention2d) for m in network.modules()) == 2
    assert gan.discriminator_step(torch.rand(4, 3, 32, 32)).isfinite()
    again = build_gan(config, channels=3, n_classes=0, device=torch.device("cpu"))
    fresh = build_gan(config, channels=3, n_classes=0, device=torch.device("cpu"))
    for a, b in zip(again.generator.parameters(), fresh.generator.parameters(), strict=True):
        assert torch.equal(a, b)  # the seed decides


def test_places():
    assert places("none", 32) == () and places("8, 16", 32) == (8, 16) and places("64", 128) == (64,)
    with pytest.raises(InputError, match="Both networks have 8, 16 at resolution=32"):
        places("4", 32)
