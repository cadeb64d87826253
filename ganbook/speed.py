"""Switches that make training faster and leave its mathematics alone.

======================  ===========================================================================================
``precision="bf16"``    the networks' forward and backward passes in bfloat16 by autocast: the range of float32 with
                        eight bits of mantissa. Weights, optimisers, averages, losses and every gradient penalty stay
                        in float32. Spectral norm's σ then carries bfloat16's two to three digits.
``channels_last``       convolutions see images and weights as (N, H, W, C) in memory, the order in which they are
                        fastest; no value's meaning changes
``compile="default"``   both networks as `torch.compile` fuses them; penalties and unrolled steps, which need a second
                        derivative, run them as they were written
``"reduce-overhead"``   the same, recorded as CUDA graphs on a GPU: for small networks, whose launches cost more than
                        their arithmetic
======================  ===========================================================================================
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ganbook.errors import unknown_name

PRECISIONS = ("float32", "bf16")
COMPILE_MODES = ("none", "default", "reduce-overhead")


@dataclass(frozen=True)
class Speed:
    """Which of the switches are on.

    Raises:
        InputError: a name that is in neither `PRECISIONS` nor `COMPILE_MODES`; the nearest one is suggested.
    """

    precision: str = "float32"
    channels_last: bool = True
    compile: str = "none"

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise unknown_name("precision", self.precision, PRECISIONS)
        if self.compile not in COMPILE_MODES:
            raise unknown_name("compile mode", self.compile, COMPILE_MODES)

    def autocast(self, device: torch.device) -> AbstractContextManager[None]:
        """The context in which a network's forward pass runs; pass what it returns through `full`."""
        return torch.autocast(device.type, torch.bfloat16) if self.precision == "bf16" else nullcontext()

    def arranged(self, x: Tensor) -> Tensor:
        """Images in the memory order of the switch; other samples, and the numbers themselves, are left alone."""
        if x.ndim != 4:
            return x
        return x.contiguous(memory_format=torch.channels_last if self.channels_last else torch.contiguous_format)

    def lay_out(self, network: nn.Module) -> None:
        """Put a network's weights into that order, in place."""
        order = torch.channels_last if self.channels_last else torch.contiguous_format
        network.to(memory_format=order)  # type: ignore[call-overload]  # missing in torch's stubs

    def compile_in_place(self, *networks: nn.Module) -> None:
        """Compile the networks' forward passes, each at its first call; names and parameters stay what they are."""
        if self.compile != "none":
            for network in networks:
                network.compile(mode=self.compile)

    def begin_step(self) -> None:
        """To be called before each update: CUDA graphs may then write over what the last one returned."""
        if self.compile == "reduce-overhead":
            torch.compiler.cudagraph_mark_step_begin()


def full(x: Tensor) -> Tensor:
    """What came out of autocast, in float32; anything else as it is."""
    return x.float() if x.dtype == torch.bfloat16 else x
