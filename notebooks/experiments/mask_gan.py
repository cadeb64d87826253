# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A mask as the condition
#
# ```{admonition} In this experiment
# :class: tip
# - a conditional GAN that is asked not for a class but for a *shape*: the silhouette of an emoji, or its edges;
# - whether it obeys, measured: the silhouette of what it draws, laid over the one that was asked for;
# - how much of the picture the condition decides, and what is left to guess.
#
# *Before this:* [pix2pix](pix2pix_emoji). *Cost:* less than a minute at `cpu` scale.
# ```
#
# The $y$ of a conditional GAN {cite:p}`mirza2014conditional` may be any side information. [A digit](gan_mnist) is one
# number for the whole picture; a mask is a number for each pixel, and the network must respect it *at its place*. That is
# the problem of {cite:t}`isola2017image` again, with one channel in place of three:
#
# $$ \min_G\max_D\;\mathbb E_{m,x}\log D(m,x)+\mathbb E_{m,z}\log\bigl(1-D(m,G(m,z))\bigr)+\lambda\,\mathbb E\lVert x-G(m,z)\rVert_1, $$ (eq-mask-gan)
#
# where $D$ is a probability, as in the paper, and $m$ is made from the picture $x$ itself: no second artist is needed, and the pairs cost nothing.

# %% tags=["hide-input"]
import io
from dataclasses import make_dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown, display

from ganbook import data
from ganbook.checkpoint import write_atomically
from ganbook.config import notebook_parameters
from ganbook.evaluation.protocol import metric_name
from ganbook.experiment import choose_device, default_folder, environment, write_json
from ganbook.judge import load_judge
from ganbook.metrics import Moments, frechet_from_moments
from ganbook.models.translation import Pix2Pix
from ganbook.nn.translation import PatchDiscriminator, UNet
from ganbook.plotting import image_sheet
from ganbook.results import kept_records
from ganbook.schedules import schedule
from ganbook.training import train

# %% [markdown]
# ## Parameters
#
# These are the defaults, the `cpu` scale.

# %% tags=["parameters"]
width: int = 16  # feature maps of the U-Net's first layer
width_d: int = 16  # feature maps of the discriminator's first layer
patch_layers: int = 1  # halvings in the discriminator: 1 judges patches of 16 x 16
l1_weight: float = 100.0  # λ
dropout: float = 0.5  # the generator's noise
batch_size: int = 16  # masks and pictures per step
steps: int = 120  # generator steps for each condition
lr_g: float = 2.0e-3  # Adam's learning rate, generator; falls linearly to 0
lr_d: float = 1.0e-3  # Adam's learning rate, discriminator; falls linearly to 0
seed: int = 0  # of networks, noise and data order
device: str = "auto"  # auto, cpu or cuda
out: str = ""  # the run's folder; empty: one of its own under runs/adhoc

# %% tags=["hide-input"]
PARAMETERS = notebook_parameters(globals(), set(__annotations__))
OUT, DEVICE = PARAMETERS.pop("out"), choose_device(PARAMETERS.pop("device"))
OUT = Path(OUT or default_folder("mask_gan", make_dataclass("Settings", PARAMETERS)(**PARAMETERS)))
OUT.mkdir(parents=True, exist_ok=True)
provenance = environment(DEVICE)

# %% [markdown]
# ## Masks from pictures
#
# The emoji stand on white. The **silhouette** is where a picture is not nearly white; the **edges** are where its
# grey value jumps between neighbouring pixels. Both are $\pm1$, one channel.

# %%
def silhouette(x):
    """1 where some colour channel of a picture is clearly below white, else -1; (N, 1, H, W)."""
    return (x.amin(1, keepdim=True) < 0.7).float() * 2 - 1


def edge_map(x):
    """1 where the grey value changes by more than a fifth of its range to the right or below, else -1; (N, 1, H, W)."""
    grey = x.mean(1, keepdim=True)
    right = torch.nn.functional.pad(grey.diff(dim=3), (0, 1)).abs()
    below = torch.nn.functional.pad(grey.diff(dim=2), (0, 0, 0, 1)).abs()
    return (torch.maximum(right, below) > 0.4).float() * 2 - 1


CONDITIONS = {"silhouette": silhouette, "edges": edge_map}
train_set, test_set = (data.load("emoji:noto", split=split, resolution=32) for split in ("train", "test"))
x, labels = data.to_tensors(test_set)
print(f"{len(train_set.images):,} pictures to learn from, {len(x)} of other emoji held out")

# %% [markdown]
# ## Training
#
# Two games, one for each condition; networks and losses are those of [pix2pix](pix2pix_emoji).

# %%
def masked_batches(condition):
    """Endless (mask, picture)."""
    for real, _ in data.Batches(train_set, batch_size, seed=seed, device=DEVICE):
        yield condition(real), real


def play(condition):
    """Train one game: the model, its losses and the seconds."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        networks = (
            UNet(resolution=32, channels_in=1, width=width, dropout=dropout),
            PatchDiscriminator(condition_channels=1, layers=patch_layers, width=width_d),
        )
    rates = {"lr_g": lr_g, "lr_d": lr_d, "schedule": schedule("linear", steps=steps)}
    model = Pix2Pix(*networks, l1_weight=l1_weight, **rates, seed=seed, device=DEVICE)
    return model, train(model, masked_batches(condition), steps=steps, log_every=max(1, steps // 6), progress=False)


# %% tags=["hide-output"]
played = {name: play(condition) for name, condition in CONDITIONS.items()}
masks = {name: condition(x) for name, condition in CONDITIONS.items()}
made = {name: model.translate(masks[name]) for name, (model, _) in played.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Held-out emoji: what was asked, what was drawn, for both conditions, and the picture from which the condition was made.", "name": "fig-mask-gan-sheet"}, "image": {"alt": "Five rows: silhouettes, coloured pictures drawn from them, edge maps, pictures drawn from those, and the original emoji."}}
SHOWN = np.linspace(0, len(x) - 1, 16).astype(int)


def show_rows(rows):
    """Pictures, one row for each name; masks as black on white."""
    pictures = [(-part if part.shape[1] == 1 else part).expand(-1, 3, -1, -1) for part in rows.values()]
    sheet = image_sheet(torch.cat(pictures), columns=len(pictures[0]))
    _, axes = plt.subplots(figsize=(8.4, 0.52 * len(rows)), layout="constrained")
    axes.imshow(sheet, interpolation="nearest")
    side = sheet.height / len(rows)
    axes.set(xticks=[], yticks=[side * (row + 0.5) for row in range(len(rows))], yticklabels=rows)
    axes.tick_params(length=0, labelsize=8)
    axes.spines[:].set_visible(False)
    plt.show()
    return sheet


rows = {}
for name in CONDITIONS:
    rows |= {name: masks[name][SHOWN], f"from {name}": made[name][SHOWN]}
sheet = show_rows(rows | {"truth": x[SHOWN]})

# %% [markdown]
# ## Does it obey?
#
# A class is obeyed if a judge reads it. A silhouette can be read off the drawing by the rule that made it: the
# *intersection over union* of the asked and the drawn one is 1 if they agree in every pixel. Beside it, what a drawing
# that ignores its mask would have: the masks are dealt out anew among the drawings. And a baseline that always obeys and
# knows nothing else: the mask filled with the mean colour of all that stands on white.

# %%
def overlap(one, other):
    """Mean intersection over union of masks."""
    one, other = one > 0, other > 0
    both, either = ((o.flatten(1).sum(1)).double() for o in (one & other, one | other))
    return (both / either.clamp(min=1)).mean().item()


def moments(features):
    """Mean and covariance of the judge's features."""
    return Moments(features.shape[1]).update(features)


judge = load_judge("emoji")
TRUE_MOMENTS = moments(judge.features(x))
learnt = torch.from_numpy(train_set.images[:1000].copy()).float() / 127.5 - 1
inside = silhouette(learnt) > 0
ink = (learnt * inside).sum((0, 2, 3)) / inside.sum()
filled = torch.where(masks["silhouette"] > 0, ink[None, :, None, None], torch.ones(()))
dealt = masks["silhouette"][torch.randperm(len(x), generator=torch.Generator().manual_seed(0))]


def score(drawn):
    """How well drawings agree with the held-out pictures and with their silhouettes."""
    features = judge.features(drawn)
    return {
        "overlap": overlap(silhouette(drawn), masks["silhouette"]),
        "by_chance": overlap(silhouette(drawn), dealt),
        "l1": (drawn - x).abs().mean().item(),
        "frechet": frechet_from_moments(TRUE_MOMENTS, moments(features)),
        "read": (judge.network.head(features).argmax(1) == labels).double().mean().item(),
    }


scores = {name: score(drawn) for name, drawn in ({"mask filled with one colour": filled} | made).items()}
head = f"| drawn from | silhouette obeyed | another's | $L_1$ to the picture | {metric_name('frechet', len(x), 'emoji-judge')} | category read |\n"
lines = [
    f"| {name} | {s['overlap']:.0%} | {s['by_chance']:.0%} | {s['l1']:.3f} | {s['frechet']:.1f} | {s['read']:.0%} |"
    for name, s in scores.items()
]
truth_read = judge.accuracy(x, labels)
display(Markdown(head + "|---|---|---|---|---|---|\n" + "\n".join(lines)))
display(Markdown(f"The judge reads {truth_read:.0%} of the true pictures rightly."))

# %% tags=["claim", "keep_output", "nbval-check-output"]
obeyed, chance = (scores["silhouette"][what] for what in ("overlap", "by_chance"))
print("the asked silhouette is drawn, overlap above 3/4:", obeyed > 0.75)
print("and it is this one and no other's, by at least 0.15:", obeyed > chance + 0.15)

# %% tags=["hide-input"]
nearer = min(CONDITIONS, key=lambda name: scores[name]["l1"])
beaten = [name for name in CONDITIONS if scores[name]["l1"] < scores["mask filled with one colour"]["l1"]]
display(
    Markdown(
        f"Of the two, what was drawn from the **{nearer}** is nearer to the true picture, by $L_1$. "
        + (f"Nearer than the mask filled with one colour: what was drawn from **{' and from '.join(beaten)}**." if beaten else "**Neither** is nearer than the mask filled with one colour, after so few steps.")
    )
)

# %% [markdown]
# ## Shapes that nobody drew
#
# A condition is worth having if it can be *given*. Below, silhouettes that belong to no emoji: geometry, and an emoji
# upside down. What is drawn inside is the network's guess at what such a shape would be.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Silhouettes made by hand, and what is drawn from them; below, with another draw of the noise.", "name": "fig-mask-gan-shapes"}, "image": {"alt": "Three rows of eight: a disc, a ring, a square, a triangle, a cross, stripes, and two emoji upside down as masks, and coloured drawings that fill them."}}
v, u = torch.meshgrid(torch.linspace(-1, 1, 32), torch.linspace(-1, 1, 32), indexing="ij")
r = (u**2 + v**2).sqrt()
shapes = [r < 0.8, (r < 0.8) & (r > 0.45), torch.maximum(u.abs(), v.abs()) < 0.7, (v < 0.7) & (v > 2 * u.abs() - 0.8)]
shapes += [((u.abs() < 0.25) | (v.abs() < 0.25)) & (r < 0.9), (torch.sin(9 * u) > 0) & (r < 0.9)]
shapes = torch.stack(shapes).float()[:, None] * 2 - 1
shapes = torch.cat([shapes, masks["silhouette"][SHOWN[[2, 9]]].flip(2)])
model = played["silhouette"][0]
drawn = [model.translate(shapes, rng=torch.Generator(DEVICE).manual_seed(draw)) for draw in (0, 1)]
show_rows({"asked": shapes, "drawn": drawn[0], "drawn again": drawn[1]})
plt.show()

# %% tags=["hide-input"]
followed, differ = overlap(silhouette(drawn[0]), shapes), (drawn[0] - drawn[1]).abs().mean().item()
display(Markdown(f"Overlap with the asked shapes: **{followed:.0%}**. Two draws of the noise differ by {differ:.3f} on average."))

# %% tags=["claim", "keep_output", "nbval-check-output"]
print("shapes that nobody drew are obeyed too, overlap above 2/3:", followed > 2 / 3)

# %% [markdown]
# The noise changes little: a loss that compares with *one* true picture asks for one answer, although a silhouette has
# many. To draw different emoji for one mask, the latent must be tied to the drawing by a loss of its own
# {cite:p}`zhu2017toward`.
#
# ## The record
#
# The run's folder keeps its parameters, curves, samples and numbers; the [results pages](../results/index) are made of such records.

# %% tags=["hide-input"]
history = pd.concat([pd.DataFrame(h.rows).assign(game=name) for name, (_, h) in played.items()])
text, picture = io.StringIO(), io.BytesIO()
history.drop(columns="seconds").to_csv(text, index=False, float_format="%.6g", lineterminator="\n")
write_atomically(OUT / "history.csv", text.getvalue().encode())
sheet.save(picture, format="png", optimize=True)
write_atomically(OUT / "samples.png", picture.getvalue())
NAMES = {"l1": "l1", "overlap": "overlap", "frechet": metric_name("frechet", len(x), "emoji-judge"), "read": "judge_accuracy"}
metrics = {f"{name.replace(' ', '_')}_{key}": s[what] for name, s in scores.items() for what, key in NAMES.items()}
protocol = {"dataset": "emoji:noto", "split": "test", "n": len(x), "extractor": "emoji-judge", "extractor_sha256": judge.sha256}
write_json(OUT / "params.json", PARAMETERS)
write_json(OUT / "environment.json", {**provenance, "train_seconds": round(sum(h.seconds for _, h in played.values()), 2)})
write_json(OUT / "metrics.json", {**metrics, "truth_judge_accuracy": truth_read, "protocol": protocol})

# %% [markdown]
# ## Over several seeds
#
# Longer runs (`make experiments SCALE=cpu-long`), whose records are kept in this repository: means over the seeds, and
# in brackets the smallest and the largest.

# %% tags=["hide-input"]
kept = kept_records("mask_gan")


def written(name, what, digits):
    """``mean (smallest … largest)``."""
    values = [r.metrics[f"{name.replace(' ', '_')}_{NAMES[what]}"] for r in kept]
    return f"{np.mean(values):.{digits}f} ({min(values):.{digits}f} … {max(values):.{digits}f})"


if kept:
    head = f"| drawn from | silhouette obeyed | $L_1$ to the picture | {NAMES['frechet']} | category read |\n|---|---|---|---|---|\n"
    lines = [f"| {n} | {written(n, 'overlap', 2)} | {written(n, 'l1', 3)} | {written(n, 'frechet', 1)} | {written(n, 'read', 2)} |" for n in scores]
    display(Markdown(f"{len(kept)} seeds, {kept[0].params['steps']:,} steps:\n\n" + head + "\n".join(lines)))
else:
    display(Markdown("The long runs are still *pending*: `make experiments SCALE=cpu-long ONLY=mask_gan`."))

# %% [markdown]
# ```{admonition} What can go wrong
# :class: warning
# - **A mask that knows too much.** Edges of small pictures nearly *are* the picture. A high score is then the condition's,
#   not the generator's; the filled mask in the table says what a mask alone is worth.
# - **A discriminator that is not shown the mask.** It can only ask for realistic pictures, and only the $L_1$ distance
#   asks for the right one. Build it with `condition_channels=0` to see it.
# - **Resizing masks like pictures.** Averaging makes greys of a mask; make it again from the resized picture, or take the
#   nearest neighbour.
# ```
#
# ```{exercise}
# :label: ex-mask-gan-iou
# Two independent random masks each cover a share $p$ of a large picture. What is their intersection over union? Why is
# the column *another's* of the table so much larger than for independent pixels?
# ```
#
# ```{solution} ex-mask-gan-iou
# :class: dropdown
# $p^2/(2p-p^2)=p/(2-p)$, which is $1/3$ for $p=\tfrac12$. Emoji all stand in the middle and fill most of the picture, so
# two of them overlap however little they have in common.
# ```
#
# ## Where this goes
#
# Back to [labels as conditions](gan_mnist), or to [translation without pairs](cyclegan_emoji). The runs of this experiment stand on its [results page](../results/mask_gan).
