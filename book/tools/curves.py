"""Loss curves as small SVGs, drawn without matplotlib: a gallery of hundreds is to be built in seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 480, 200, 52, 26, 26
COLOURS = {"d_loss": ("#0072b2", "discriminator"), "g_loss": ("#d55e00", "generator")}  # Okabe & Ito, as in the figures


def drawable(history: pd.DataFrame) -> bool:
    """Whether a history is that of one game with losses; a comparison of several has a table of its own form."""
    losses = any(name in history for name in COLOURS)
    return len(history) > 1 and losses and "step" in history and bool(history["step"].is_monotonic_increasing)


def curves(history: pd.DataFrame) -> str:
    """Both losses over the steps of a history that is `drawable`."""
    steps = history["step"].tolist()
    shown = {name: history[name].tolist() for name in COLOURS if name in history}
    finite = [v for values in shown.values() for v in values if math.isfinite(v)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    high = high if high > low else low + 1.0
    box = f'viewBox="0 0 {WIDTH} {HEIGHT}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<path d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - 8}" fill="none" stroke="#555"/>',
        f'<text x="{LEFT - 6}" y="{TOP + 8}" text-anchor="end">{high:.3g}</text>',
        f'<text x="{LEFT - 6}" y="{HEIGHT - BOTTOM}" text-anchor="end">{low:.3g}</text>',
        f'<text x="{WIDTH - 8}" y="{HEIGHT - 8}" text-anchor="end">step {steps[-1]:g}</text>',
    ]
    for index, (name, values) in enumerate(shown.items()):
        colour, word = COLOURS[name]
        path = _path(steps, values, low, high)
        parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts.append(f'<text x="{LEFT + 150 * index}" y="16" fill="{colour}">loss of the {word}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _path(steps: Sequence[float], values: Sequence[float], low: float, high: float) -> str:
    """Pixels of one curve; a gap where a loss is not finite."""
    room_x, room_y = WIDTH - 8 - LEFT, HEIGHT - BOTTOM - TOP
    span = max(steps[-1] - steps[0], 1)
    path, pen = [], "M"
    for step, value in zip(steps, values, strict=True):
        if not math.isfinite(value):
            pen = "M"
            continue
        x = LEFT + room_x * (step - steps[0]) / span
        path.append(f"{pen}{x:.1f} {TOP + room_y * (high - value) / (high - low):.1f}")
        pen = "L"
    return "".join(path)
