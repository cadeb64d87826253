"""The moving picture of the first page and the card for links to it, from a trained run.

python -m book.tools.walk runs/cpu-long/dcgan_emoji/seed-0    # writes book/_static/walk.{webp,png} and card.png
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from book.tools.build import BOOK

COLUMNS, ROWS = 10, 4
KEYS, STEPS = 4, 8  # latents that each picture visits, and frames from one to the next
PAUSE, PACE = 500, 110  # milliseconds at a latent and between two
CARD = (1200, 630)  # what sites that show links ask for


def frames(run: Path) -> list[Image.Image]:
    """Sample sheets along great circles through random latents, closed to a loop; nothing is selected."""
    import torch

    from ganbook.experiment import load_trained
    from ganbook.plotting import image_sheet

    config, gan = load_trained(run, device="cpu")
    gan.refresh_batchnorm()
    keys = torch.randn(KEYS, COLUMNS * ROWS, config.latent_dim, generator=torch.Generator().manual_seed(0))
    found = []
    for a, b in zip(keys, keys.roll(-1, 0), strict=True):
        angle = torch.arccos((a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1)))[:, None]
        for step in range(STEPS):
            t = (step / STEPS) ** 2 * (3 - 2 * step / STEPS)
            z = (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)
            found.append(image_sheet(gan.sample(z, None), columns=COLUMNS, scale=2).convert("RGB"))
    return found


def card(sheet: Image.Image) -> Image.Image:
    """Title over samples, in the size that link previews use."""
    import matplotlib

    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"
    picture = Image.new("RGB", CARD, "white")
    sheet = sheet.resize((CARD[0], round(sheet.height * CARD[0] / sheet.width)), Image.Resampling.LANCZOS)
    picture.paste(sheet, (0, CARD[1] - sheet.height))
    draw = ImageDraw.Draw(picture)
    draw.text((40, 28), "The GAN book", font=ImageFont.truetype(font, 76), fill="#0a5a94")
    return picture


def main() -> None:
    """Write the three pictures."""
    found = frames(Path(sys.argv[1]))
    folder = BOOK / "_static"
    durations = [PAUSE if i % STEPS == 0 else PACE for i in range(len(found))]
    found[0].save(
        folder / "walk.webp", save_all=True, append_images=found[1:], duration=durations, loop=0, quality=38, method=5
    )
    found[0].save(folder / "walk.png", optimize=True)
    card(found[0]).quantize(64).save(folder / "card.png", optimize=True)


if __name__ == "__main__":
    main()
