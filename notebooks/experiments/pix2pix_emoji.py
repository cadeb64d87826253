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
# # pix2pix, one artist's emoji from another's
#
# ```{admonition} In this experiment
# :class: tip
# - a U-Net learns to redraw Twemoji's emoji as Noto's artists drew them, from pairs;
# - the paper's own ablation: the $L_1$ distance alone, the adversarial loss alone, and both;
# - every number beside that of a translator who does nothing: *copy the input*.
#
# *Before this:* [a conditional GAN](gan_mnist). *Cost:* about a minute at `cpu` scale.
# ```
#
# Let $a$ be a picture and $b$ what it shall become. {cite:t}`isola2017image` train a generator and a discriminator that
# sees both,
#
# $$ \mathcal L_{cGAN}(G,D)=\mathbb E_{a,b}\log D(a,b)+\mathbb E_{a,z}\log\bigl(1-D(a,G(a,z))\bigr), $$ (eq-pix2pix-gan)
#
# ($D$ is here, as in the paper, the probability that a picture is real; elsewhere in this book it is the logit), and add the distance
# to the true picture,
#
# $$ G^*=\arg\min_G\max_D\;\mathcal L_{cGAN}(G,D)+\lambda\,\mathbb E_{a,b,z}\lVert b-G(a,z)\rVert_1. $$ (eq-pix2pix)
#
# The two divide the work. The $L_1$ distance knows *where* things are and in which colour; where it is not sure of an
# edge it asks for the median of what might be there, which is a blur. The discriminator knows blur when it sees it. So
# it need only look at patches: whether a whole picture is right is the other loss's matter. Its name is *PatchGAN*.
#
# The generator is a *U-Net* {cite:p}`ronneberger2015unet`: an encoder down to one pixel and a decoder back, and from each
# layer of the encoder a bridge to the decoder's layer of the same size. What shall stay where it is can go over the
# bridges. The noise $z$ is dropout in the decoder, in training and in use.

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
from ganbook.data.pairs import PairBatches
from ganbook.data.translation import load_pairs
from ganbook.evaluation.protocol import metric_name
from ganbook.experiment import choose_device, default_folder, environment, write_json
from ganbook.judge import load_judge
from ganbook.metrics import Moments, frechet_from_moments
from ganbook.models.translation import Pix2Pix
from ganbook.nn.translation import PatchDiscriminator, UNet, receptive_field
from ganbook.plotting import image_sheet
from ganbook.results import kept_records
from ganbook.schedules import schedule
from ganbook.training import train

# %% [markdown]
# ## Parameters
#
# These are the defaults, the `cpu` scale.

# %% tags=["parameters"]
dataset: str = "emoji"  # emoji, facades, or paired pictures of yours as folder:PATH or zip:PATH
resolution: int = 32  # 32, 64, 128 or 256 pixels
width: int = 16  # feature maps of the U-Net's first layer; 64 in the paper
width_d: int = 16  # feature maps of the discriminator's first layer; 64 in the paper
patch_layers: int = 1  # halvings in the discriminator: 0 is 1 x 1, 1 is 16 x 16, 3 the paper's 70 x 70
l1_weight: float = 30.0  # λ of the game with both losses; 100 in the paper, on 64 times the pixels
dropout: float = 0.5  # the generator's noise
batch_size: int = 16  # pairs per step
steps: int = 100  # generator steps of each game
looks: int = 3  # how often the held-out pictures are translated on the way
lr_g: float = 2.0e-3  # Adam's learning rate, generator; falls linearly to 0
lr_d: float = 1.0e-3  # Adam's learning rate, discriminator; falls linearly to 0
seed: int = 0  # of networks, noise and data order
device: str = "auto"  # auto, cpu or cuda
out: str = ""  # the run's folder; empty: one of its own under runs/adhoc

# %% tags=["hide-input"]
PARAMETERS = notebook_parameters(globals(), set(__annotations__))
OUT, DEVICE = PARAMETERS.pop("out"), choose_device(PARAMETERS.pop("device"))
OUT = Path(OUT or default_folder("pix2pix_emoji", make_dataclass("Settings", PARAMETERS)(**PARAMETERS)))
OUT.mkdir(parents=True, exist_ok=True)
provenance = environment(DEVICE)

# %% [markdown]
# ## The pairs
#
# Every emoji was drawn by both artists, and the pairs are true: the same idea, drawn twice. The test pictures are
# other *emoji*, all their skin tones included: nothing of them was seen in training by either artist's hand.

# %%
pairs, held_out = (load_pairs(dataset, split=split, resolution=resolution) for split in ("train", "test"))
a, labels = data.to_tensors(held_out.a)
b, _ = data.to_tensors(held_out.b)
print(f"{len(pairs.a.images):,} pairs to learn from, {len(a)} held out")

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Held-out pairs: the input (Twemoji) above, what it shall become (Noto) below.", "name": "fig-pix2pix-pairs"}, "image": {"alt": "Two rows of emoji: the same subjects in a flat style above and in a style with gradients and other shapes below."}}
SHOWN = np.linspace(0, len(a) - 1, min(16, len(a))).astype(int)


def show_rows(rows):
    """Pictures, one row for each name."""
    sheet = image_sheet(torch.cat(list(rows.values())), columns=len(SHOWN))
    _, axes = plt.subplots(figsize=(8.4, 0.52 * len(rows)), layout="constrained")
    axes.imshow(sheet, interpolation="nearest")
    side = sheet.height / len(rows)
    axes.set(xticks=[], yticks=[side * (row + 0.5) for row in range(len(rows))], yticklabels=rows)
    axes.tick_params(length=0, labelsize=8)
    axes.spines[:].set_visible(False)
    plt.show()
    return sheet


show_rows({"input": a[SHOWN], "truth": b[SHOWN]});

# %% [markdown]
# ## What a discriminator sees
#
# Counted back from one logit, $r\leftarrow(r-1)\cdot\text{stride}+\text{side of the kernel}$. The paper's standard stack
# sees 70 × 70 pixels of 256. For pictures of 32 pixels that would be the whole picture; the default here sees half the side. Below: the
# field's side by the number of halvings (`patch_layers`).

# %% tags=["claim", "keep_output", "nbval-check-output"]
fields = {layers: receptive_field(PatchDiscriminator(layers=layers, width=1)) for layers in (0, 1, 2, 3, 5)}
print("receptive fields:", fields)

# %% [markdown]
# ## Three games
#
# The same networks, first weights, data and steps; only the weights of the two losses differ.

# %%
GAMES = {"L1 alone": (l1_weight, 0.0), "GAN alone": (0.0, 1.0), "both": (l1_weight, 1.0)}
COLOURS = dict(zip(GAMES, ("#0072b2", "#d55e00", "#007a5e"), strict=True))
JUDGED = dataset == "emoji" and resolution == 32
judge = load_judge("emoji") if JUDGED else None


def moments(features):
    """Mean and covariance of the judge's features."""
    return Moments(features.shape[1]).update(features)


def edges(x):
    """Mean step between neighbouring pixels, in both directions: a blur has small ones."""
    return (x.diff(dim=2).abs().mean() + x.diff(dim=3).abs().mean()).item()


TRUE_MOMENTS = moments(judge.features(b)) if JUDGED else None


def score(made):
    """A translation of the held-out inputs beside their true pictures."""
    found = {"L1": (made - b).abs().mean().item(), "edges": edges(made) / edges(b)}
    if JUDGED:
        features = judge.features(made)
        right = judge.network.head(features).argmax(1) == labels
        found |= {"FD": frechet_from_moments(TRUE_MOMENTS, moments(features)), "read": right.double().mean().item()}
    return found


def play(name):
    """Train one game: what each look saw, and the model."""
    l1, gan = GAMES[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Pix2Pix(
            UNet(resolution=resolution, width=width, dropout=dropout),
            PatchDiscriminator(condition_channels=3, layers=patch_layers, width=width_d),
            l1_weight=l1,
            gan_weight=gan,
            lr_g=lr_g,
            lr_d=lr_d,
            schedule=schedule("linear", steps=steps),
            seed=seed,
            device=DEVICE,
        )
    batches = PairBatches(pairs, batch_size, paired=True, seed=seed, device=DEVICE)
    seen = []

    def look(history):
        seen.append({"game": name, "step": history.step} | score(model.translate(a)))

    history = train(model, batches, steps=steps, log_every=-(-steps // looks), hooks=(look,), progress=False)
    return model, seen, history.seconds


# %% tags=["hide-output"]
played = {name: play(name) for name in GAMES}
seen = pd.DataFrame([row for _, rows, _ in played.values() for row in rows])
made = {name: model.translate(a) for name, (model, _, _) in played.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Held-out emoji, translated by the three games after the run's steps.", "name": "fig-pix2pix-games"}, "image": {"alt": "Five rows of emoji: inputs, the translations of the three games, and the true pictures."}}
sheet = show_rows({"input": a[SHOWN]} | {name: x[SHOWN] for name, x in made.items()} | {"truth": b[SHOWN]})

# %% [markdown]
# ## Measured
#
# On held-out pictures: the mean $L_1$ distance to the truth; the size of the *edges*, as a share of the true pictures',
# which falls with blur; the Fréchet distance in the features of the emoji judge; and how often the judge reads the
# right category, which must be compared with how often it does on the true pictures.
#
# Two things to know about these measures. The judge was trained on both artists' pictures, so that it reads a *copy of
# the input* as well as the truth, and finds its features close by: for a translator who does nothing the Fréchet
# distance is small. And it dislikes blur very much. A distance below that of copying is therefore a high bar.

# %% tags=["hide-input"]
BASELINES = {"copy the input": a, "truth": b}
scores = {name: score(x) for name, x in (BASELINES | made).items()}


def row(name, found):
    """One line of a table."""
    judged = f"| {found['FD']:.1f} | {found['read']:.0%} " if "FD" in found else "| – | – "
    return f"| {name} | {found['L1']:.3f} | {found['edges']:.0%} {judged}|"


HEAD = f"| | $L_1$ | edges | {metric_name('frechet', len(a), 'emoji-judge')} | category read |\n|---|---|---|---|---|\n"
display(Markdown(HEAD + "\n".join(row(name, found) for name, found in scores.items())))

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The distances on held-out pictures during training; dashed, copying the input. One seed.", "name": "fig-pix2pix-curves"}, "image": {"alt": "Two panels of three curves each over generator steps: the L1 distance and the Fréchet distance."}}
columns = {"L1": "mean $L_1$ to the truth", "FD": metric_name("frechet", len(a), "emoji-judge")} if JUDGED else {"L1": "mean $L_1$ to the truth"}
figure, panels = plt.subplots(1, len(columns), figsize=(8.4, 2.8), layout="constrained", squeeze=False)
for axes, (column, label) in zip(panels[0], columns.items()):
    for name, part in seen.groupby("game", sort=False):
        axes.plot(part["step"], part[column], "o-", markersize=3, color=COLOURS[name], label=name)
    axes.axhline(scores["copy the input"][column], color="0.4", linestyle="--", linewidth=1)
    axes.set(xlabel="generator steps", ylabel=label, yscale="log" if column == "FD" else "linear")
    axes.grid(alpha=0.3)
panels[0][0].legend(frameon=False, fontsize=8)
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
copied = scores["copy the input"]
print("with the L1 distance the translation is nearer to the truth than its input is:", max(scores[n]["L1"] for n in ("L1 alone", "both")) < copied["L1"])
print("without it, farther than with it:", scores["GAN alone"]["L1"] > scores["L1 alone"]["L1"])
print("L1 alone blurs, its edges are smaller than the truth's:", scores["L1 alone"]["edges"] < 0.95)
print("the adversarial loss alone draws stronger edges:", scores["GAN alone"]["edges"] > scores["L1 alone"]["edges"])

# %% tags=["hide-input"]
noisy = torch.stack([played["both"][0].translate(a[:100], rng=torch.Generator(DEVICE).manual_seed(draw)) for draw in range(4)])
spread = noisy.std(0).mean().item()
metrics = {}
for name, found in scores.items():
    for what, value in found.items():
        key = {"FD": metric_name("frechet", len(a), "emoji-judge"), "read": "judge_accuracy"}.get(what, what.lower())
        if not (name == "truth" and what != "read"):
            metrics[f"{name.replace(' ', '_')}_{key}"] = value
metrics["noise_spread"] = spread
display(
    Markdown(
        f"**The noise.** Four draws of the dropout give pictures that differ by {spread:.3f} on average (standard "
        f"deviation of a pixel, of a range of 2), against {scores['both']['L1']:.3f} between a translation and the truth"
        + (": the generator hardly uses its noise, as the paper says of its own." if spread < 0.2 * scores["both"]["L1"] else ".")
    )
)

# %% [markdown]
# ## The record
#
# The run's folder keeps its parameters, curves, samples and numbers; the [results pages](../results/index) are made of such records.

# %% tags=["hide-input"]
text, picture = io.StringIO(), io.BytesIO()
seen.to_csv(text, index=False, float_format="%.6g", lineterminator="\n")
write_atomically(OUT / "history.csv", text.getvalue().encode())
sheet.save(picture, format="png", optimize=True)
write_atomically(OUT / "samples.png", picture.getvalue())
spent = round(sum(seconds for _, _, seconds in played.values()), 2)
protocol = {"dataset": dataset, "split": "test", "n": len(a)}
protocol |= {"extractor": "emoji-judge", "extractor_sha256": judge.sha256} if JUDGED else {}
write_json(OUT / "params.json", PARAMETERS)
write_json(OUT / "environment.json", {**provenance, "train_seconds": spent})
write_json(OUT / "metrics.json", {**metrics, "protocol": protocol})

# %% [markdown]
# ## Over several seeds
#
# Longer runs (`make experiments SCALE=cpu-long`), whose records are kept in this repository: means over the seeds, and
# in brackets the smallest and the largest.

# %% tags=["hide-input"]
kept = kept_records("pix2pix_emoji")
NAMES = ["copy the input", *GAMES]


def column(name, what):
    """A metric of every record."""
    key = {"FD": metric_name("frechet", len(a), "emoji-judge"), "read": "judge_accuracy"}.get(what, what.lower())
    return [r.metrics[f"{name.replace(' ', '_')}_{key}"] for r in kept]


def written(values, digits):
    """``mean (smallest … largest)``."""
    return f"{np.mean(values):.{digits}f} ({min(values):.{digits}f} … {max(values):.{digits}f})"


def verdicts():
    """What the records say about the paper's claim, in every seed or not."""
    copied, l1, both = ({what: np.array(column(n, what)) for what in ("L1", "FD")} for n in ("copy the input", "L1 alone", "both"))
    questions = {
        "nearer to the truth than copying, by $L_1$": both["L1"] < copied["L1"],
        "nearer than copying, by FD": both["FD"] < copied["FD"],
        "nearer than $L_1$ alone, by FD": both["FD"] < l1["FD"],
        "read as the right category at least 85% as often as the truth": np.array(column("both", "read")) >= 0.85 * np.array(column("truth", "read")),
    }
    return "\n".join(f"- {question}: in {answer.sum()} of {len(answer)} seeds" for question, answer in questions.items())


if kept:
    lines = [
        f"| {n} | {written(column(n, 'L1'), 3)} | {written(column(n, 'edges'), 2)} | {written(column(n, 'FD'), 1)} | {written(column(n, 'read'), 2)} |"
        for n in NAMES
    ]
    display(Markdown(f"{len(kept)} seeds, {kept[0].params['steps']:,} steps:\n\n" + HEAD + "\n".join(lines)))
    display(Markdown("The game with both losses is\n\n" + verdicts()))
else:
    display(Markdown("The long runs are still *pending*: `make experiments SCALE=cpu-long ONLY=pix2pix_emoji`."))

# %% [markdown]
# What needs more than a minute, and more than emoji: the paper trains for hours on pictures of 256 pixels with four times
# our feature maps and more, and shows pictures to people. `dataset="facades"` with `resolution=256`, `width=64` and
# `patch_layers=3` is its set-up; it wants a GPU, and `ganbook data fetch facades`.
#
# ```{admonition} What can go wrong
# :class: warning
# - **Mirrored halves.** Both pictures of a pair must be flipped and cropped together; `PairBatches` does it, two
#   ordinary data loaders do not.
# - **Normalising a single pixel.** At the bottleneck every feature map has one pixel. Normalised over a batch of one,
#   it is zero whatever the input: the published network had this fault, and the paper's errata says so. The bottleneck
#   here has no normalisation.
# - **Evaluation mode.** `eval()` switches PyTorch's dropout off and with it the paper's noise. Our noise comes from the
#   generator of random numbers that the call is given, in any mode.
# - **Splitting by picture.** If one skin tone of an emoji is in the training set and another is held out, a network
#   that has learnt the emoji by heart looks as if it could draw. The split is by emoji.
# ```
#
# ```{exercise}
# :label: ex-pix2pix-median
# Show that the constant $c$ with the smallest $\mathbb E|b-c|$ is a median of $b$. What does it follow that $L_1$ alone
# draws at a pixel that is black in 40% of the cases, given what the network knows, and white in the others; and what
# would the squared distance draw?
# ```
#
# ```{solution} ex-pix2pix-median
# :class: dropdown
# The derivative of $\mathbb E|b-c|$ in $c$ is $P(b<c)-P(b>c)$, which vanishes where both are equal: at a median. It draws
# white; the squared distance draws the mean, a light grey. With many possible values the median too is a mixture: a
# thin line whose place is uncertain is missing at most places, and its median is the ground. It vanishes.
# ```
#
# ```{exercise}
# :label: ex-pix2pix-pixel
# Run the notebook with `patch_layers=0`, the 1 × 1 discriminator. What can it know of a picture? Which of the table's
# columns should change, and which not?
# ```
#
# ```{solution} ex-pix2pix-pixel
# :class: dropdown
# It sees one pixel of the output beside the pixel of the input at the same place: whether the colours go together, and
# nothing of edges. In the paper it makes the colours stronger and leaves the blur.
# ```
#
# ## Where this goes
#
# [Without pairs](cyclegan_emoji), and [with a mask in place of the picture](mask_gan). The runs of this experiment stand on its [results page](../results/pix2pix_emoji).
