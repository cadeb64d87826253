"""Sheets show the right pixels in the right place."""

import numpy as np
import pytest
import torch

from ganbook.errors import InputError
from ganbook.plotting import image_sheet, to_uint8


def test_bytes_round_to_nearest_and_clip():
    values = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0]).reshape(5, 1, 1, 1)
    assert to_uint8(values).flatten().tolist() == [0, 0, 128, 255, 255]
    every = torch.arange(256).float().div(127.5).sub(1).reshape(1, 1, 16, 16)
    assert to_uint8(every).flatten().tolist() == list(range(256))


def test_a_sheet_fills_row_by_row():
    images = torch.stack([torch.full((3, 2, 2), v) for v in (-1.0, 0.0, 1.0)])
    sheet = np.asarray(image_sheet(images, columns=2, gap=1, scale=2))
    assert sheet.shape == (2 * 5 + 1, 2 * 5 + 1, 3)
    assert sheet[1, 1].tolist() == [0] * 3 and sheet[1, 6].tolist() == [128] * 3 and sheet[6, 1].tolist() == [255] * 3
    assert sheet[6, 6].tolist() == [217] * 3 and sheet[0, 0].tolist() == [217] * 3


def test_refusal():
    with pytest.raises(InputError, match=r"\(N, 1 or 3, H, W\) with N ≥ 1, got \(4, 2, 8, 8\)"):
        image_sheet(torch.zeros(4, 2, 8, 8))
