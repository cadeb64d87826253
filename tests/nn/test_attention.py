"""Self-attention: the fused kernel is the formula, and the layer starts as the identity."""

import pytest
import torch

from ganbook.errors import InputError
from ganbook.nn.attention import SelfAttention2d, attention_map, softmax_attention


def layer_and_maps(**options):
    torch.manual_seed(0)
    layer = SelfAttention2d(16, **options)
    return layer, torch.randn(3, 16, 5, 4)


@pytest.mark.chapter(name="09_self_attention")
@pytest.mark.parametrize("spectral", [False, True])
def test_it_starts_as_the_identity_and_can_leave_it(spectral):
    layer, x = layer_and_maps(spectral=spectral)
    y = layer(x)
    assert torch.equal(y, x)
    y.square().sum().backward()
    assert layer.gamma.grad.abs() > 0


@pytest.mark.chapter(name="09_self_attention")
def test_the_fused_kernel_is_the_papers_formula_by_loops():
    """β_ji = exp(f_i·g_j) / Σ_i exp(f_i·g_j), o_j = v(Σ_i β_ji h(x_i)), y = γ o + x, position by position."""
    layer, x = layer_and_maps()
    layer, x = layer.double(), x.double()
    with torch.no_grad():
        layer.gamma.fill_(0.7)
        f, g, h, v = (getattr(layer, name).weight[:, :, 0, 0] for name in "fghv")
        expected = torch.empty_like(x)
        for n in range(3):
            columns = x[n].flatten(1)  # (C, positions)
            for j in range(20):
                s = torch.stack([(f @ columns[:, i]) @ (g @ columns[:, j]) for i in range(20)])
                beta = s.exp() / s.exp().sum()
                o = v @ sum(beta[i] * (h @ columns[:, i]) for i in range(20))
                expected[n, :, j // 4, j % 4] = 0.7 * o + columns[:, j]
        torch.testing.assert_close(layer(x), expected)
        query, key, value = layer.attend(x)
        o = torch.einsum("oc,npc->nop", v, softmax_attention(query, key, value)).reshape(x.shape)
        torch.testing.assert_close(layer(x), 0.7 * o + x)


@pytest.mark.chapter(name="09_self_attention")
def test_rows_of_the_map_are_distributions_over_positions():
    layer, x = layer_and_maps()
    query, key, _ = layer.attend(x)
    beta = attention_map(query, key)
    assert beta.shape == (3, 20, 20) and (beta >= 0).all()
    torch.testing.assert_close(beta.sum(2), torch.ones(3, 20))


@pytest.mark.chapter(name="09_self_attention")
def test_moving_the_positions_about_moves_the_output_with_them():
    layer, x = layer_and_maps()
    with torch.no_grad():
        layer.gamma.fill_(1.0)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(1))
    shuffled = x.flatten(2)[:, :, order].reshape(x.shape)
    expected = layer(x).flatten(2)[:, :, order].reshape(x.shape)
    torch.testing.assert_close(layer(shuffled), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.chapter(name="09_self_attention")
def test_one_position_reaches_every_other():
    layer, x = layer_and_maps()
    with torch.no_grad():
        layer.gamma.fill_(1.0)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(layer(x)[0, :, 0, 0].sum(), x)
    assert (gradient[0].abs().sum(0) > 0).all() and gradient[1:].abs().sum() == 0


def test_the_number_of_weights_is_the_papers():
    """W_f, W_g, W_h are C/8 × C and W_v is C × C/8; γ is one number (section 3, k = 8)."""
    assert sum(p.numel() for p in SelfAttention2d(64).parameters()) == 4 * 64 * 8 + 1


def test_refusals():
    with pytest.raises(InputError, match="k=8 and channels=4"):
        SelfAttention2d(4)
