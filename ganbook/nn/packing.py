"""PacGAN (Lin, Khetan, Fanti & Oh 2018): a discriminator that judges m samples at once sees a lack of variety."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from ganbook.errors import InputError


class Packed(nn.Module):
    """Batches `(N, C, …)` to logits `(N / m,)`: m consecutive samples, concatenated along C, are one input.

    Args:
        discriminator: any one that reads m·C channels, or points of m·C coordinates, and needs no labels.
        m: samples in a pack; 1 changes nothing.

    Raises:
        InputError: fewer than one sample in a pack; later a batch that does not split into packs, or labels.
    """

    def __init__(self, discriminator: nn.Module, m: int) -> None:
        super().__init__()
        if m < 1:
            raise InputError(f"A pack holds at least 1 sample, got m={m}.")
        self.discriminator, self.m = discriminator, m

    def forward(self, x: Float[Tensor, "n c ..."], y: Tensor | None = None) -> Float[Tensor, " packs"]:
        if len(x) % self.m:
            raise InputError(
                f"Packs hold {self.m} samples, got a batch of {len(x)}. Choose a batch size that is a multiple."
            )
        if y is not None:
            raise InputError(
                "A packed discriminator judges several samples at once and takes no labels. Train without."
            )
        return self.discriminator(x.reshape(len(x) // self.m, self.m * x.shape[1], *x.shape[2:]))
