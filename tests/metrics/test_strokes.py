"""Slant and thickness of bars that are drawn on purpose."""

import pytest
import torch

from ganbook.errors import InputError
from ganbook.metrics.strokes import stroke_traits


def bar(width, lean=0.0):
    """A bar 40 pixels tall in 64, leaning to the right by ``lean`` pixels a row."""
    image = torch.full((1, 1, 64, 64), -1.0)
    for row in range(12, 52):
        left = 32 - width // 2 + round((31.5 - row) * lean)
        image[..., row, left : left + width] = 1
    return image


@pytest.mark.parametrize("lean", [0.0, 0.25, -0.5])
def test_slant_is_how_far_a_stroke_leans_a_row(lean):
    assert stroke_traits(bar(4, lean))[0, 0].item() == pytest.approx(lean, abs=0.02)


@pytest.mark.parametrize("width", [2, 4, 8])
def test_thickness_is_the_width_of_a_long_bar(width):
    # of a bar w wide and l long, 2wl / (2w + 2l): its width less the share of its ends
    assert stroke_traits(bar(width))[0, 1].item() == pytest.approx(width * 40 / (width + 40), rel=0.02)


def test_brightness_does_not_matter_and_place_does_not():
    image = bar(4, 0.25)
    dim = (image + 1) / 2 - 1
    both = stroke_traits(torch.cat([image, dim, image.roll((3, -5), (2, 3))]))
    torch.testing.assert_close(both[1:], both[:1].expand(2, 2), atol=1e-9, rtol=0)


def test_refusals_and_emptiness():
    assert torch.isfinite(stroke_traits(torch.full((1, 1, 28, 28), -1.0))).all()
    with pytest.raises(InputError, match="at least 2 x 2 pixels"):
        stroke_traits(torch.zeros(3, 1, 1, 28))
