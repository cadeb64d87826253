"""The generator's gradient through the discriminator's coming steps."""

import pytest
import torch

from ganbook.config import Config
from ganbook.errors import InputError
from ganbook.losses import LOSSES
from ganbook.models.gan import GAN
from ganbook.models.toy import UNDECIDED, dirac_gan, unrolled
from ganbook.models.unrolled import foreseen
from ganbook.nn import dcgan, mlp, sagan


class Point(torch.nn.Module):
    """The Dirac-GAN's generator: θ, whatever the latent."""

    latent_dim = 1

    def __init__(self, theta):
        super().__init__()
        self.theta = torch.nn.Parameter(torch.tensor([theta], dtype=torch.float64))

    def forward(self, z, y=None):
        return self.theta.expand(len(z), 1)


class Slope(torch.nn.Module):
    """The Dirac-GAN's discriminator: D(x) = t* + ψ·x."""

    def __init__(self, psi, rest=0.0):
        super().__init__()
        self.rest = rest
        self.psi = torch.nn.Parameter(torch.tensor([psi], dtype=torch.float64))

    def forward(self, x, y=None):
        return self.rest + x @ self.psi


@pytest.mark.chapter(name="08_mode_collapse")
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("k", [0, 1, 4])
def test_the_gradient_is_that_of_the_game_on_paper(loss, k):
    generator, discriminator, h = Point(0.8), Slope(-0.6, UNDECIDED.get(loss, 0.0)), 0.3
    fake, real = generator(torch.zeros(3, 1)), torch.zeros(3, 1, dtype=torch.float64)
    judge = foreseen(discriminator, real, fake, None, d_loss=LOSSES[loss].d, steps=k, lr=h)
    LOSSES[loss].g(judge(real, None), judge(fake, None)).mean().backward()
    after = unrolled(dirac_gan(loss), torch.tensor([0.8, -0.6], dtype=torch.float64), h, k=k)
    assert (0.8 - h * generator.theta.grad).item() == pytest.approx(after[0].item())
    assert discriminator.psi.grad is None and discriminator.psi.item() == -0.6


@pytest.mark.chapter(name="08_mode_collapse")
def test_foreseen_weights_are_those_of_gradient_descent():
    torch.manual_seed(0)
    discriminator = mlp.Discriminator(width=8)
    real, fake, x = torch.randn(6, 2), torch.randn(6, 2), torch.randn(5, 2)
    judge = foreseen(discriminator, real, fake, None, d_loss=LOSSES["minimax"].d, steps=3, lr=0.1)
    optimizer = torch.optim.SGD(discriminator.parameters(), 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        LOSSES["minimax"].d(discriminator(real), discriminator(fake)).mean().backward()
        optimizer.step()
    torch.testing.assert_close(judge(x, None), discriminator(x))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("norm", dcgan.NORMS)
def test_the_unrolled_generator_step_moves_the_generator_alone_and_another_way(loss, norm):
    def step(unroll):
        torch.manual_seed(0)
        gan = GAN(
            dcgan.Generator(resolution=28, channels=1, latent_dim=3, width=2, n_classes=3),
            dcgan.Discriminator(resolution=28, channels=1, width=2, n_classes=3, norm=norm),
            loss=loss,
            lr_d=0.1,
            unroll=unroll,
        )
        before = [p.detach().clone() for p in gan.discriminator.parameters()]
        assert gan.generator_step(torch.rand(4, 1, 28, 28), torch.arange(4) % 3).isfinite()
        assert all(torch.equal(a, b) for a, b in zip(before, gan.discriminator.parameters(), strict=True))
        assert all(p.requires_grad and p.grad is None for p in gan.discriminator.parameters())
        return [p.grad.clone() for p in gan.generator.parameters()]

    plain, foreseeing = step(0), step(2)
    assert all(g.isfinite().all() for g in foreseeing)
    assert any(not torch.allclose(a, b, rtol=1e-3) for a, b in zip(plain, foreseeing, strict=True))


def test_attention_is_foreseen_too():
    torch.manual_seed(0)
    sizes = {"resolution": 32, "channels": 1, "width": 2, "attention": (8,)}
    gan = GAN(sagan.Generator(**sizes, latent_dim=3), sagan.Discriminator(**sizes), unroll=2)
    assert gan.generator_step(torch.rand(4, 1, 32, 32)).isfinite()


def test_refusal():
    with pytest.raises(InputError, match="unroll must be 0"):
        Config(unroll=-1)
