"""Self-attention over the positions of a feature map (SAGAN: Zhang, Goodfellow, Metaxas & Odena 2019, section 3)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.nn.utils.parametrizations import spectral_norm

from ganbook.errors import InputError

Positions = Float[Tensor, "n positions inner"]


def softmax_attention(
    query: Positions, key: Float[Tensor, "n keys inner"], value: Float[Tensor, "n keys d"]
) -> Float[Tensor, "n positions d"]:
    """``o_j = Σ_i β_ji h_i`` with ``β_ji = softmax_i(f_iᵀ g_j)``: the formula itself, for reading and for tests.

    SAGAN does not divide by √c. The layer computes the same with PyTorch's fused kernel, which never stores β.
    """
    return attention_map(query, key) @ value


def attention_map(query: Positions, key: Float[Tensor, "n keys inner"]) -> Float[Tensor, "n positions keys"]:
    """``β_ji``: how much position j looks at position i; each row sums to 1."""
    return torch.softmax(query @ key.transpose(1, 2), dim=2)


class SelfAttention2d(nn.Module):
    """``y = γ·o + x`` on feature maps `(N, C, H, W)`; γ starts at 0, so that the layer starts as the identity.

    f, g and h are 1×1 convolutions to C/k maps without bias, and a last one, v, returns to C maps.

    Args:
        channels: C.
        k: by how much the inner width is smaller; the paper's is 8.
        spectral: constrain all four convolutions (the paper does so in both networks).

    Raises:
        InputError: fewer channels than k.
    """

    def __init__(self, channels: int, *, k: int = 8, spectral: bool = False) -> None:
        super().__init__()
        if not 1 <= k <= channels:
            raise InputError(f"Self-attention needs k from 1 to its channels, got k={k} and channels={channels}.")
        inner = channels // k

        def conv(maps_in: int, maps_out: int) -> nn.Module:
            layer = nn.Conv2d(maps_in, maps_out, 1, bias=False)
            return spectral_norm(layer) if spectral else layer

        self.f, self.g, self.h = (conv(channels, inner) for _ in range(3))
        self.v = conv(inner, channels)
        self.gamma = nn.Parameter(torch.zeros(()))

    def attend(self, x: Float[Tensor, "n c h w"]) -> tuple[Positions, Positions, Positions]:
        """Query g(x), key f(x) and value h(x), each `(N, H·W, C/k)`."""
        query, key, value = (layer(x).flatten(2).transpose(1, 2) for layer in (self.g, self.f, self.h))
        return query, key, value

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        query, key, value = self.attend(x)
        # one head, spelt out: the fused kernels want (N, heads, positions, C/k)
        o = scaled_dot_product_attention(query[:, None], key[:, None], value[:, None], scale=1.0)[:, 0]
        o = o.transpose(1, 2).reshape(len(x), -1, *x.shape[2:])
        return self.gamma * self.v(o) + x
