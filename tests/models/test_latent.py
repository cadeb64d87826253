"""Ways, directions, truncation and inversion, against closed forms."""

import math

import pytest
import torch
from torch import nn

from ganbook.errors import InputError
from ganbook.models import latent
from ganbook.nn import dcgan, resnet

DOUBLE = torch.float64


def draws(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def test_both_ways_start_and_end_where_they_should():
    a, b = draws(5, 7), draws(5, 7, seed=1)
    for way in latent.WAYS.values():
        points = way(a, b, torch.tensor([0.0, 0.3, 1.0]))
        torch.testing.assert_close(points[0], a)
        torch.testing.assert_close(points[-1], b)


def test_a_great_circle_is_walked_at_constant_speed_and_keeps_the_length():
    a = torch.tensor([[3.0, 0.0, 0.0]], dtype=DOUBLE)
    b = torch.tensor([[0.0, 3.0, 0.0]], dtype=DOUBLE)
    points = latent.slerp(a, b, torch.linspace(0, 1, 91))[:, 0]
    torch.testing.assert_close(points.norm(dim=1), torch.full((91,), 3.0, dtype=DOUBLE))
    degrees = torch.atan2(points[:, 1], points[:, 0]).rad2deg()
    torch.testing.assert_close(degrees, torch.arange(91, dtype=DOUBLE), atol=1e-5, rtol=0)
    torch.testing.assert_close(latent.lerp(a, b, torch.tensor([0.5]))[0, 0].norm().item(), 3 / math.sqrt(2))


def test_parallel_ends_are_joined_by_a_straight_line():
    a = draws(2, 4)
    points = latent.slerp(a, 2 * a, torch.tensor([0.25]))
    torch.testing.assert_close(points[0], 1.25 * a)


@pytest.mark.parametrize("way", list(latent.WAYS))
def test_latents_of_two_models_are_not_joined(way):
    with pytest.raises(InputError, match="different lengths belong to different models"):
        latent.WAYS[way](torch.zeros(3, 64), torch.zeros(3, 32), torch.linspace(0, 1, 3))


def test_refused_ends_of_a_circle():
    a = draws(1, 4)
    with pytest.raises(InputError, match="has none"):
        latent.slerp(a, 0 * a, torch.tensor([0.5]))
    with pytest.raises(InputError, match="many great circles"):
        latent.slerp(a, -a, torch.tensor([0.5]))


def test_path_length_of_a_square():
    corners = torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1], [0, 0]])[:, None]
    assert latent.path_length(corners).tolist() == [4.0]
    with pytest.raises(InputError, match="two points"):
        latent.path_length(corners[:1])


def test_regression_finds_the_direction_that_was_put_in():
    z = draws(400, 6).float()
    truth = torch.tensor([0.0, 3.0, 0.0, -4.0, 0.0, 0.0])
    values = torch.stack([z @ truth + 7, draws(400, seed=2).float()], 1)
    directions, explained = latent.regression_directions(z, values)
    torch.testing.assert_close(directions[0], truth / 5, atol=1e-5, rtol=0)
    assert explained[0] > 0.999 and explained[1] < 0.1
    with pytest.raises(InputError, match="at least 8"):
        latent.regression_directions(z[:7], values[:7])
    with pytest.raises(InputError, match="the same for all"):
        latent.regression_directions(z, torch.ones(400, 1))


class Linear(nn.Module):
    """A generator of 2 x 2 pictures that is one matrix."""

    latent_dim = 3

    def __init__(self, matrix):
        super().__init__()
        self.map = nn.Linear(3, 4, bias=False)
        self.map.weight = nn.Parameter(matrix)

    def forward(self, z, y=None):
        return self.map(z).view(-1, 1, 2, 2)


def test_sefa_gives_the_right_singular_vectors_of_the_first_layer():
    rotation = torch.linalg.qr(draws(3, 3)).Q.float()
    matrix = torch.linalg.qr(draws(4, 3, seed=1)).Q.float() @ torch.diag(torch.tensor([1.0, 5.0, 2.0])) @ rotation
    directions, stretches = latent.sefa(Linear(matrix), 2)
    assert stretches.tolist() == pytest.approx([5.0, 2.0], rel=1e-5)
    assert (directions @ rotation[[1, 2]].T).abs().diag().tolist() == pytest.approx([1, 1], abs=1e-5)
    assert all(row[row.abs().argmax()] > 0 for row in directions)
    with pytest.raises(InputError, match="1 … 3 directions"):
        latent.sefa(Linear(matrix), 4)


def test_the_first_layer_is_what_the_generator_does_first():
    torch.manual_seed(0)
    generator = dcgan.Generator(resolution=28, channels=1, latent_dim=5, width=3, n_classes=2).eval()
    generator.net[1].running_var.uniform_(0.5, 2)
    y, (a, b) = torch.tensor([0, 0]), draws(2, 2, 5).float()
    with torch.no_grad():
        outputs = [generator.net[:2](torch.cat([z, torch.eye(2)[y]], 1)[:, :, None, None]).flatten(1) for z in (a, b)]
    torch.testing.assert_close(outputs[1] - outputs[0], (b - a) @ latent.first_layer(generator).T)
    residual = resnet.Generator(resolution=32, channels=3, latent_dim=5, width=2)
    assert latent.first_layer(residual).shape[1] == 5
    other = nn.Sequential(nn.Conv2d(1, 1, 1))
    other.latent_dim = 5
    with pytest.raises(InputError, match="starts with one linear map"):
        latent.first_layer(other)


def test_truncated_draws_have_the_truncated_law():
    z = latent.truncated(2000, 20, 0.7, rng=torch.Generator().manual_seed(0))
    assert z.abs().max() <= 0.7
    # variance of a standard normal cut off at ±c: 1 - 2cφ(c) / (2Φ(c) - 1)
    density, mass = math.exp(-0.245) / math.sqrt(2 * math.pi), math.erf(0.7 / math.sqrt(2))
    assert z.var().item() == pytest.approx(1 - 1.4 * density / mass, abs=0.003)
    whole = latent.truncated(2000, 20, math.inf, rng=torch.Generator().manual_seed(0))
    assert whole.var().item() == pytest.approx(1, abs=0.02) and torch.isfinite(whole).all()
    with pytest.raises(InputError, match="positive"):
        latent.truncated(2, 2, 0.0, rng=torch.Generator())


def test_inversion_finds_the_latents_of_pictures_that_were_generated():
    generator = Linear(torch.linalg.qr(draws(4, 3)).Q.float())
    z = draws(3, 3, seed=5).float()
    found = latent.invert(
        generator, generator(z).detach(), steps=300, lr=0.05, prior=0.0, rng=torch.Generator().manual_seed(0)
    )
    torch.testing.assert_close(found.z, z, atol=1e-2, rtol=0)
    assert found.error.max() < 1e-4 and len(found.curve) == 300 and found.curve[-1] < found.curve[0]
    assert generator.map.weight.grad is None
    with pytest.raises(InputError, match="at least one step"):
        latent.invert(generator, torch.zeros(1, 1, 2, 2), steps=0, rng=torch.Generator())
