"""Each layer keeps the promise of its paper."""

import math

import pytest
import torch
from torch import nn

from ganbook.errors import InputError
from ganbook.nn.layers import (
    ConditionalBatchNorm2d,
    MinibatchDiscrimination,
    MinibatchStddev,
    PixelNorm,
    equalised,
    minibatch_stddev,
    pixel_norm,
)


def maps(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.chapter(name="10_progressive_growing")
def test_pixel_norm_gives_every_position_unit_mean_square_and_forgets_scale():
    x = 7 * maps(2, 16, 3, 4) + 1
    y = pixel_norm(x)
    torch.testing.assert_close(y.square().mean(1), torch.ones(2, 3, 4))
    torch.testing.assert_close(pixel_norm(5 * x), y)
    torch.testing.assert_close(y / x, (y / x)[:, :1].expand_as(x))  # one factor a position
    assert torch.equal(PixelNorm()(x), y)
    assert pixel_norm(torch.zeros(1, 4, 1, 1)).isfinite().all()
    assert pixel_norm(maps(3, 8)).shape == (3, 8)  # latents too


@pytest.mark.chapter(name="10_progressive_growing")
@pytest.mark.parametrize("make", [lambda: nn.Linear(300, 200), lambda: nn.Conv2d(32, 64, 3)])
@pytest.mark.parametrize("gain", [1.0, math.sqrt(2)])
def test_equalised_weights_are_stored_with_variance_one_and_act_with_hes(make, gain):
    torch.manual_seed(0)
    layer = equalised(make(), gain)
    stored = layer.parametrizations.weight.original
    fan_in = stored[0].numel()
    assert stored.std().item() == pytest.approx(1.0, abs=0.02)
    assert layer.weight.var().item() == pytest.approx(gain**2 / fan_in, rel=0.05)
    assert layer.bias.abs().max().item() == 0
    x = maps(64, 300) if isinstance(layer, nn.Linear) else maps(4, 32, 12, 12)
    assert layer(x).std().item() == pytest.approx(gain, rel=0.05)


@pytest.mark.chapter(name="10_progressive_growing")
def test_equalised_layers_keep_the_signal_through_depth_and_share_one_relative_speed():
    torch.manual_seed(0)
    net = nn.Sequential(*[m for _ in range(20) for m in (equalised(nn.Linear(256, 256)), nn.ReLU())])
    assert 0.3 < net(maps(256, 256)).square().mean().item() < 3  # He's constant keeps E x² = 1 behind each ReLU
    narrow, wide = equalised(nn.Linear(4, 64)), equalised(nn.Linear(1024, 64))
    moves = []
    for layer in (narrow, wide):
        before = layer.weight.detach().clone()
        optimizer = torch.optim.Adam(layer.parameters(), 0.01)
        layer(maps(32, layer.in_features)).sum().backward()
        optimizer.step()
        moves.append(((layer.weight - before).norm() / before.norm()).item())
    assert moves[0] == pytest.approx(moves[1], rel=0.1)
    assert moves[0] == pytest.approx(0.01, rel=0.15)


@pytest.mark.chapter(name="10_progressive_growing")
def test_minibatch_stddev_is_the_formula_group_by_group():
    x = maps(8, 3, 2, 5)
    y = minibatch_stddev(x, 4)
    assert y.shape == (8, 4, 2, 5) and torch.equal(y[:, :3], x)
    for start in (0, 4):
        expected = x[start : start + 4].std(0, correction=0).mean()
        torch.testing.assert_close(y[start : start + 4, 3], expected.expand(4, 2, 5))
    assert torch.equal(MinibatchStddev(4)(x), y)


@pytest.mark.chapter(name="10_progressive_growing")
def test_minibatch_stddev_sees_collapse_and_has_a_finite_gradient_there():
    x = maps(1, 3, 4, 4).repeat(4, 1, 1, 1).requires_grad_()
    statistic = minibatch_stddev(x)[:, 3]
    assert statistic.max().item() == pytest.approx(1e-4)  # √ε
    statistic.sum().backward()
    assert x.grad.isfinite().all()
    assert minibatch_stddev(maps(2, 3, 4, 4), 4).shape == (2, 4, 4, 4)  # a batch smaller than the group


@pytest.mark.chapter(name="08_mode_collapse")
def test_minibatch_discrimination_is_the_formula_by_loops():
    torch.manual_seed(0)
    layer, x = MinibatchDiscrimination(5, kernels=3, dim=2), maps(4, 5)
    y = layer(x)
    assert y.shape == (4, 8) and torch.equal(y[:, :5], x)
    m = (x @ layer.T.weight.T).reshape(4, 3, 2)
    for i in range(4):
        for b in range(3):
            expected = sum(torch.exp(-(m[i, b] - m[j, b]).abs().sum()) for j in range(4))
            torch.testing.assert_close(y[i, 5 + b], expected)


@pytest.mark.chapter(name="08_mode_collapse")
def test_minibatch_discrimination_sees_collapse():
    torch.manual_seed(0)
    layer = MinibatchDiscrimination(5, kernels=3, dim=2)
    collapsed = layer(maps(1, 5).repeat(6, 1))[:, 5:]
    torch.testing.assert_close(collapsed, torch.full((6, 3), 6.0))  # every sample is as close as can be
    assert (layer(10 * maps(6, 5))[:, 5:] < 3).all()


def test_conditional_batchnorm_is_batchnorm_until_its_classes_differ():
    torch.manual_seed(0)
    layer, plain = ConditionalBatchNorm2d(4, 3), nn.BatchNorm2d(4)
    x, y = 3 * maps(9, 4, 5, 5) + 2, torch.arange(9) % 3
    torch.testing.assert_close(layer(x, y), plain(x))
    torch.testing.assert_close(layer.norm.running_var, plain.running_var)
    with torch.no_grad():
        layer.scale.weight[1] = 2.0
        layer.shift.weight[2] = 5.0
    layer.eval()
    plain.eval()
    expected = plain(x)
    expected[y == 1] *= 2
    expected[y == 2] += 5
    torch.testing.assert_close(layer(x, y), expected)


def test_refusals():
    with pytest.raises(InputError, match="groups of 4 samples, got a batch of 6"):
        minibatch_stddev(maps(6, 3, 2, 2))
    with pytest.raises(InputError, match="built for 3 classes and needs labels"):
        ConditionalBatchNorm2d(4, 3)(maps(2, 4, 3, 3), None)
