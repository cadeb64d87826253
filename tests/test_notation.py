"""The notation page's table of losses: its formulas are the library's, and the signs it tells of others are right."""

import re
from pathlib import Path

import pytest
import torch
from torch.nn.functional import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    mse_loss,
    relu,
    softplus,
)

from ganbook.losses import LOSSES

PAGE = (Path(__file__).parent.parent / "book" / "notation.md").read_text()
ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
TEX = [(r"\mathrm{softplus}", "softplus"), (r"\max(0,", "relu("), (r"\frac12", "0.5*"), ("^2", "**2")]

t = 3 * torch.randn(200, dtype=torch.float64, generator=torch.Generator().manual_seed(0))  # logits of real samples
u = 3 * torch.randn(200, dtype=torch.float64, generator=torch.Generator().manual_seed(1))  # logits of fake samples
D, DG = torch.sigmoid(t), torch.sigmoid(u)  # what Goodfellow et al. call D(x) and D(G(z))
real, fake = torch.ones_like(t), torch.zeros_like(u)


def rows(page: str) -> dict[str, tuple[str, str, str]]:
    """name: what D minimises, what G minimises, what it is called elsewhere."""
    section = page.split("## Names and signs of losses elsewhere")[1]
    return {name: (d, g, other) for name, d, g, other in ROW.findall(section)}


def value(cell: str, like: str = "") -> torch.Tensor:
    """What a formula of the page gives for the logits above."""
    if cell == "as `minimax`":
        cell = like
    text = cell.strip("$")
    for tex, python in TEX:
        text = text.replace(tex, python)
    assert re.fullmatch(r"[\w\s.,()+*-]+", text), f"a formula the test cannot read: {cell}"
    return eval(text, {"softplus": softplus, "relu": relu, "t": t, "u": u})


def disagreeing(page: str) -> list[str]:
    """Losses whose formulas on the page are not the library's."""
    table = rows(page)
    first = table["minimax"][0]
    return [
        name
        for name, (d, g, _) in table.items()
        if not torch.allclose(value(d, first), LOSSES[name].d(t, u))
        or not torch.allclose(value(g), LOSSES[name].g(t, u))
    ]


def test_the_page_names_every_loss_with_the_formulas_of_the_library():
    assert list(rows(PAGE)) == list(LOSSES)
    assert disagreeing(PAGE) == []


@pytest.mark.parametrize(("right", "wrong"), [("| $u-t$ |", "| $t-u$ |"), (r"\max(0,1+u)", r"\max(0,1-u)")])
def test_a_wrong_sign_on_the_page_is_found(right, wrong):
    assert right in PAGE
    assert disagreeing(PAGE.replace(right, wrong)) != []


# Formulas in the words of their papers and of PyTorch, each beside what the page says of it: `ours` is sign or factor
# times `theirs`, for the discriminator (d) or the generator (g) of the loss.
ELSEWHERE = {
    "the paper maximises V": ("minimax", "d", -1, torch.log(D) + torch.log(1 - DG)),
    "the paper's G minimises log(1 - D(G(z)))": ("minimax", "g", 1, torch.log(1 - DG)),
    "a mean of two cross-entropies is half": (
        "minimax",
        "d",
        2,
        (
            binary_cross_entropy_with_logits(t, real, reduction="none")
            + binary_cross_entropy_with_logits(u, fake, reduction="none")
        )
        / 2,
    ),
    "BCE towards the label real": ("nonsaturating", "g", 1, binary_cross_entropy(DG, real, reduction="none")),
    "MSE without the factors ½": (
        "lsgan",
        "d",
        0.5,
        mse_loss(t, real, reduction="none") + mse_loss(u, fake, reduction="none"),
    ),
    "MSE of the generator": ("lsgan", "g", 0.5, mse_loss(u, real, reduction="none")),
    "Miyato et al. maximise min(0, ·)": (
        "hinge",
        "d",
        -1,
        torch.minimum(fake, -1 + t) + torch.minimum(fake, -1 - u),
    ),
    "WGAN maximises the difference": ("wasserstein", "d", -1, t - u),
    "a critic that is small on real": ("wasserstein", "d", 1, (-t) - (-u)),
    "its generator": ("wasserstein", "g", 1, -u),
    "RSGAN": ("rpgan", "d", 1, -torch.log(torch.sigmoid(t - u))),
    "RSGAN's generator": ("rpgan", "g", 1, -torch.log(torch.sigmoid(u - t))),
}


@pytest.mark.parametrize("case", ELSEWHERE)
def test_names_and_signs_elsewhere_are_as_the_page_says(case):
    name, player, factor, theirs = ELSEWHERE[case]
    ours = LOSSES[name].d(t, u) if player == "d" else LOSSES[name].g(t, u)
    assert torch.allclose(ours, factor * theirs)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("minimax", ["saturating", "maximises", "negative of ours", "half of it"]),
        ("nonsaturating", ["vanilla", "BCE"]),
        ("lsgan", ["MSE", "factors ½ are often left out"]),
        ("hinge", ["maximised", r"\min(0,"]),
        ("wasserstein", ["maximise", "signs reversed"]),
        ("rpgan", ["relativistic", "RSGAN"]),
    ],
)
def test_the_page_tells_the_signs_that_are_tested_here(name, words):
    other = rows(PAGE)[name][2]
    assert all(word in other for word in words), other
