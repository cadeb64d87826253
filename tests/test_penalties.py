"""Penalties by property: a norm over the wrong axes, a detached graph or a tied batch fails here."""

import copy

import pytest
import torch
from torch import nn

from ganbook.errors import InputError
from ganbook.nn import dcgan, mlp
from ganbook.penalties import (
    PENALTIES,
    check_weight,
    clip_weights,
    get_penalty,
    input_gradient,
    interpolate,
    norm,
)

SHAPES = [(2,), (7,), (3, 5, 4), (1, 8, 8), (2, 3, 4, 5)]
GRADIENT_AT = {  # the penalty of a linear critic whose gradient has norm s, from the papers
    "wgan_gp": lambda s: (s - 1) ** 2,
    "wgan_lp": lambda s: max(0.0, s - 1) ** 2,
    "r1": lambda s: s**2 / 2,
    "r2": lambda s: s**2 / 2,
    "r1_r2": lambda s: s**2,
    "zero_centred": lambda s: s**2,
}


class Linear(nn.Module):
    """D(x) = w·x over every dimension of a sample."""

    def __init__(self, w):
        super().__init__()
        self.w = nn.Parameter(w)

    def forward(self, x, y=None):
        return (x * self.w).flatten(1).sum(1)


class Quadratic(nn.Module):
    """D(x) = ½ a ‖x‖², whose gradient at x is a·x."""

    def __init__(self, a):
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a, dtype=torch.float64))

    def forward(self, x, y=None):
        return 0.5 * self.a * x.square().flatten(1).sum(1)


def steep_critic():
    """A conditional critic of images whose slope is above one, so that `wgan_lp` has something to say."""
    torch.manual_seed(0)
    critic = dcgan.Discriminator(resolution=28, channels=1, width=2, n_classes=3, norm="none")
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.mul_(20)
    return critic


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def test_every_penalty_has_a_formula():
    assert set(GRADIENT_AT) == set(PENALTIES)


@pytest.mark.chapter(name="05_wasserstein")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", PENALTIES)
@pytest.mark.parametrize("scale", [0.3, 2.0])
def test_a_linear_critic_pays_for_the_norm_of_w_in_any_layout(name, shape, scale):
    """The gradient of w·x is w everywhere: the norm runs over all dimensions of a sample, whatever they are called."""
    w = torch.randn(shape, generator=rng(), dtype=torch.float64)
    w = scale * w / w.norm()
    real, fake = (torch.randn(6, *shape, generator=rng(seed), dtype=torch.float64) for seed in (1, 2))
    penalty = PENALTIES[name](Linear(w), real, fake)
    torch.testing.assert_close(penalty, torch.full((6,), GRADIENT_AT[name](scale), dtype=torch.float64))
    flat = PENALTIES[name](Linear(w.flatten()), real.flatten(1), fake.flatten(1))
    torch.testing.assert_close(penalty, flat)


@pytest.mark.parametrize("name", PENALTIES)
def test_each_penalty_looks_where_it_says(name):
    """For D = ½‖x‖² the gradient norm is ‖x‖: at the real samples 3, at the fakes 5, between them in between."""
    real, fake = torch.zeros(4, 2, dtype=torch.float64), torch.zeros(4, 2, dtype=torch.float64)
    real[:, 0], fake[:, 0] = 3.0, 5.0
    value = PENALTIES[name](Quadratic(1.0), real, fake, rng=rng())
    epsilon = torch.rand(4, generator=rng(), dtype=torch.float64)
    between = 3 * epsilon + 5 * (1 - epsilon)
    expected = {
        "wgan_gp": (between - 1) ** 2,
        "wgan_lp": (between - 1) ** 2,
        "r1": torch.full((4,), 4.5, dtype=torch.float64),
        "r2": torch.full((4,), 12.5, dtype=torch.float64),
        "r1_r2": torch.full((4,), 17.0, dtype=torch.float64),
        "zero_centred": between**2,
    }[name]
    torch.testing.assert_close(value, expected)


@pytest.mark.chapter(name="05_wasserstein")
@pytest.mark.parametrize("name", PENALTIES)
def test_the_penaltys_own_gradient_is_the_derivative_of_the_formula(name):
    """d/da of the penalty of D = ½a‖x‖², against finite differences: nothing on the way is detached."""
    real, fake = (torch.randn(5, 3, generator=rng(seed), dtype=torch.float64) for seed in (1, 2))

    def total(a):
        critic = Quadratic(a)
        return critic, PENALTIES[name](critic, real, fake, rng=rng(3)).sum()

    critic, value = total(1.7)
    (gradient,) = torch.autograd.grad(value, critic.a)
    numeric = (total(1.7 + 1e-5)[1] - total(1.7 - 1e-5)[1]) / 2e-5
    assert abs(numeric.item()) > 0.1
    torch.testing.assert_close(gradient, numeric, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", PENALTIES)
def test_all_weights_feel_the_penalty(name):
    critic = steep_critic()
    real, fake = (torch.rand(4, 1, 28, 28, generator=rng(seed)) for seed in (1, 2))
    penalty = PENALTIES[name](critic, real, fake, torch.arange(4) % 3)
    assert penalty.shape == (4,) and penalty.requires_grad
    penalty.mean().backward()
    for layer, parameter in critic.named_parameters():
        if not layer.endswith("bias"):  # a bias shifts the logit and leaves its slope alone
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, layer
    assert not real.requires_grad and not fake.requires_grad


@pytest.mark.parametrize(("name", "expected"), [("r1", 0.0), ("r2", 8.0), ("r1_r2", 8.0)])
def test_attached_fakes_stay_attached_so_that_vector_fields_can_be_differentiated(name, expected):
    """For D = ½a‖x‖² the penalty at a fake sample is ½a²x²: its derivative with respect to x is a²x."""
    fake = torch.full((1, 1), 2.0, dtype=torch.float64, requires_grad=True)
    penalty = PENALTIES[name](Quadratic(2.0), torch.ones(1, 1, dtype=torch.float64), fake)
    (slope,) = torch.autograd.grad(penalty.sum(), fake, allow_unused=True, materialize_grads=True)
    assert slope.item() == pytest.approx(expected)


@pytest.mark.parametrize("name", PENALTIES)
def test_a_sample_pays_for_itself_alone(name):
    torch.manual_seed(0)
    critic = mlp.Discriminator(width=16).double()
    real, fake = (torch.randn(6, 2, generator=rng(seed), dtype=torch.float64) for seed in (1, 2))
    if name in ("r1", "r2", "r1_r2"):
        together = PENALTIES[name](critic, real, fake)
        alone = torch.cat([PENALTIES[name](critic, real[i : i + 1], fake[i : i + 1]) for i in range(6)])
    else:  # one ε serves the whole comparison when both ends are the same point
        together = PENALTIES[name](critic, real, real)
        alone = torch.cat([PENALTIES[name](critic, real[i : i + 1], real[i : i + 1]) for i in range(6)])
    torch.testing.assert_close(together, alone)


def test_labels_reach_a_conditional_critic():
    critic = steep_critic()
    x = torch.rand(3, 1, 28, 28, generator=rng())
    zeros, twos = torch.zeros(3, dtype=torch.int64), torch.full((3,), 2)
    for penalty in PENALTIES.values():
        at_zero, at_two = (penalty(critic, x, x, y, rng=rng()) for y in (zeros, twos))
        assert not torch.equal(at_zero, at_two)
        with pytest.raises(InputError, match="needs labels"):
            penalty(critic, x, x, rng=rng())


@pytest.mark.chapter(name="05_wasserstein")
def test_interpolation_lies_between_and_follows_the_callers_generator():
    real, fake = torch.ones(1000, 2, 3), torch.zeros(1000, 2, 3)
    points = interpolate(real, fake, rng(1))
    assert torch.equal(points, interpolate(real, fake, rng(1)))
    assert not torch.equal(points, interpolate(real, fake, rng(2)))
    assert torch.equal(points, points[:, :1, :1].expand_as(points))  # one ε a sample
    epsilon = points[:, 0, 0]
    assert epsilon.min() >= 0 and epsilon.max() <= 1
    assert epsilon.mean().item() == pytest.approx(0.5, abs=0.03)
    assert epsilon.std().item() == pytest.approx(12**-0.5, abs=0.02)


def test_a_flat_critic_has_norm_zero_and_a_finite_gradient():
    w = torch.zeros(3, requires_grad=True)
    value = norm(w[None])
    (gradient,) = torch.autograd.grad((value - 1).square().sum(), w)
    assert value.item() == 0 and torch.equal(gradient, torch.zeros(3))


@pytest.mark.parametrize("name", PENALTIES)
def test_attention_keeps_its_second_derivative(name):
    """The fused attention kernels have none; the penalty has to go round them."""

    class Attending(nn.Module):
        def __init__(self):
            super().__init__()
            self.query = nn.Linear(4, 4)

        def forward(self, x, y=None):
            q = self.query(x)[:, None]
            return nn.functional.scaled_dot_product_attention(q, x[:, None], x[:, None]).flatten(1).sum(1)

    torch.manual_seed(0)
    critic = Attending()
    real, fake = torch.randn(3, 6, 4), torch.randn(3, 6, 4)
    PENALTIES[name](critic, real, fake).mean().backward()
    assert critic.query.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("in_place", [False, True])
def test_a_compiled_critic_pays_the_same_and_feels_the_same(in_place):
    """Compiled graphs have no second derivative, and some releases lost it without a word."""

    def gradients(critic, network):
        real, fake = (torch.randn(6, 2, generator=rng(seed)) for seed in (1, 2))
        loss = critic(fake).mean() - critic(real).mean() + PENALTIES["r1_r2"](critic, real, fake).mean()
        return torch.autograd.grad(loss, list(network.parameters()))

    class Critic(nn.Module):  # not from ganbook, whose shapes are checked by wrappers here that do not compile
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(2, 8), nn.Softplus(), nn.Linear(8, 1), nn.Flatten(0))

        def forward(self, x, y=None):
            return self.net(x)

    torch.manual_seed(0)
    plain = Critic()
    compiled = copy.deepcopy(plain)
    if in_place:
        compiled.compile(backend="aot_eager")
    critic = compiled if in_place else torch.compile(compiled, backend="aot_eager")
    for a, b in zip(gradients(plain, plain), gradients(critic, compiled), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.chapter(name="06_lipschitz_and_spectral_norm")
@pytest.mark.parametrize("name", PENALTIES)
def test_batchnorm_is_refused_and_named(name):
    critic = dcgan.Discriminator(resolution=28, channels=1, width=2, norm="batch")
    x = torch.rand(4, 1, 28, 28)
    with pytest.raises(InputError, match=r"BatchNorm in the discriminator, got layer 'features\.3' \(BatchNorm2d\)"):
        PENALTIES[name](critic, x, x)


@pytest.mark.chapter(name="06_lipschitz_and_spectral_norm")
def test_batchnorm_would_tie_the_samples_together():
    """What the refusal is about: swapping one sample of a batch changes the gradient at another."""
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.LeakyReLU(0.2), nn.Linear(8, 1), nn.Flatten(0))
    a = torch.randn(4, 2)
    b = torch.cat([a[:3], torch.full((1, 2), 5.0)])
    gradients = []
    for x in (a, b):
        x = x.clone().requires_grad_()
        gradients.append(torch.autograd.grad(critic(x).sum(), x)[0][0])
    assert not torch.allclose(*gradients, rtol=0.01)


@pytest.mark.chapter(name="05_wasserstein")
def test_clipping_bounds_every_parameter_in_place_and_spares_the_small_ones():
    critic = mlp.Discriminator(width=8)
    with torch.no_grad():
        for p in critic.parameters():
            p.mul_(10)
    before = [p.detach().clone() for p in critic.parameters()]
    clip_weights(critic, 0.25)
    for old, new in zip(before, critic.parameters(), strict=True):
        assert torch.equal(new, old.clamp(-0.25, 0.25))
    assert max(p.abs().max().item() for p in critic.parameters()) == 0.25


def test_refusals():
    with pytest.raises(InputError, match="Unknown penalty 'wgan-gp'. Did you mean 'wgan_gp'"):
        get_penalty("wgan-gp")
    assert get_penalty("none") is None and get_penalty("r1") is PENALTIES["r1"]
    with pytest.raises(InputError, match=r"pairs real and fake samples, got shapes \(4, 2\) and \(4, 3\)"):
        interpolate(torch.zeros(4, 2), torch.zeros(4, 3))
    for c in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="c above 0"):
            clip_weights(mlp.Discriminator(), c)
    with pytest.raises(InputError, match="carry no gradient"):
        input_gradient(lambda x, y: x.detach().sum(1), torch.zeros(2, 2))


@pytest.mark.parametrize(("name", "weight"), [("none", 0.5), ("r1", 0.0), ("r1", -1.0), ("none", -1.0)])
def test_a_penalty_and_its_weight_go_together(name, weight):
    with pytest.raises(InputError, match=f"penalty='{name}' and penalty_weight={weight} do not go together"):
        check_weight(name, weight)
    check_weight("none", 0.0)
    check_weight("r1", 0.5)
