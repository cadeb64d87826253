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
# # CycleGAN, the same translation with the pairs hidden
#
# ```{admonition} In this experiment
# :class: tip
# - two generators and two discriminators learn to translate between two artists' emoji that nobody paired;
# - because we know the pairs and only hide them, success can be *measured*, which horses and zebras do not allow;
# - the cycle consistencies forward and backward during training, and what happens without them.
#
# *Before this:* [pix2pix](pix2pix_emoji). *Cost:* about a minute at `cpu` scale.
# ```
#
# Given two heaps of pictures, a GAN can learn $G$ that turns each picture of the first into *some* picture of the
# second: nothing in its loss asks for the same subject. {cite:t}`zhu2017unpaired` train the way back as well, $F$ from
# $b$ to $a$, and ask that both round trips end where they began,
#
# $$ \mathcal L_{cyc}(G,F)=\mathbb E_a\lVert F(G(a))-a\rVert_1+\mathbb E_b\lVert G(F(b))-b\rVert_1 , $$ (eq-cyclegan-cycle)
#
# $$ \mathcal L=\mathcal L_{GAN}(G,D_b)+\mathcal L_{GAN}(F,D_a)+\lambda\,\mathcal L_{cyc}(G,F). $$ (eq-cyclegan)
#
# What $G$ says of $a$ must then be enough to rebuild $a$. It need not be *true*: if $G$ and $F$ agree on a permutation of
# the subjects, or on a hidden code, both cycles are closed. That the shortest way to close them usually is the
# translation we mean is a fact about these networks, which draw each place from its surroundings in the input; it is
# not in the loss.
#
# The generators are residual networks {cite:p}`johnson2016perceptual`, the adversarial loss is that of least squares, and
# each discriminator is shown earlier translations half of the time, from a *pool* {cite:p}`shrivastava2017learning`, so
# that it does not forget what it has refuted.

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
from ganbook.models.translation import CycleGAN
from ganbook.nn.translation import PatchDiscriminator, ResNetGenerator
from ganbook.plotting import image_sheet
from ganbook.results import kept_records
from ganbook.schedules import schedule
from ganbook.training import train

# %% [markdown]
# ## Parameters
#
# These are the defaults, the `cpu` scale.

# %% tags=["parameters"]
dataset: str = "emoji"  # emoji, horse2zebra, facades, or two folders of yours as folder:PATH or zip:PATH
resolution: int = 32  # a multiple of 4
width: int = 8  # feature maps of the generators' first layer; 64 in the paper
blocks: int = 2  # residual blocks; 6 or 9 in the paper
width_d: int = 16  # feature maps of the discriminators' first layer; 64 in the paper
patch_layers: int = 1  # halvings in the discriminators: 1 is 16 x 16, 3 the paper's 70 x 70
cycle_weight: float = 5.0  # λ; the paper's 10 stands beside squares that are not halved
identity_weight: float = 0.5  # of the identity loss, relative to λ
pool: int = 50  # earlier pictures that each discriminator is shown again
batch_size: int = 8  # pictures of each domain per step; 1 in the paper
steps: int = 70  # generator steps of each game
looks: int = 7  # how often the losses are noted
lr: float = 2.0e-3  # Adam's learning rate, all networks; falls linearly to 0
seed: int = 0  # of networks, pools and data order
device: str = "auto"  # auto, cpu or cuda
out: str = ""  # the run's folder; empty: one of its own under runs/adhoc

# %% tags=["hide-input"]
PARAMETERS = notebook_parameters(globals(), set(__annotations__))
OUT, DEVICE = PARAMETERS.pop("out"), choose_device(PARAMETERS.pop("device"))
OUT = Path(OUT or default_folder("cyclegan_emoji", make_dataclass("Settings", PARAMETERS)(**PARAMETERS)))
OUT.mkdir(parents=True, exist_ok=True)
provenance = environment(DEVICE)

# %% [markdown]
# ## Hiding the pairs
#
# Each domain is shuffled by itself. The network never sees which Noto picture belongs to a Twemoji picture; the held-out
# pairs, of other emoji, only measure.

# %%
pairs, held_out = (load_pairs(dataset, split=split, resolution=resolution) for split in ("train", "test"))
a, labels = data.to_tensors(held_out.a)
b, _ = data.to_tensors(held_out.b)
PAIRED = held_out.aligned and len(a) == len(b)
JUDGED = dataset == "emoji" and resolution == 32
print(f"{len(pairs.a.images):,} and {len(pairs.b.images):,} pictures to learn from, {len(a)} and {len(b)} held out")

# %% [markdown]
# ## Two games
#
# The second has the weight of the cycle set to zero, and the identity's with it; everything else is equal.

# %% tags=["key"]
GAMES = {"with the cycle": cycle_weight, "without": 0.0}
COLOURS = dict(zip(GAMES, ("#0072b2", "#d55e00"), strict=True))
judge = load_judge("emoji") if JUDGED else None


def moments(features):
    """Mean and covariance of the judge's features."""
    return Moments(features.shape[1]).update(features)


TRUE_MOMENTS = moments(judge.features(b)) if JUDGED else None


def score(made):
    """Translations of the held-out inputs beside the true pictures, which nobody showed the network."""
    found = {"L1": (made - b).abs().mean().item()} if PAIRED else {}
    if JUDGED:
        features = judge.features(made)
        right = judge.network.head(features).argmax(1) == labels
        found |= {"FD": frechet_from_moments(TRUE_MOMENTS, moments(features)), "read": right.double().mean().item()}
    return found


def play(name):
    """Train one game: the model, the losses at each look, and the seconds."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generators = [ResNetGenerator(width=width, blocks=blocks) for _ in range(2)]
        judges = [PatchDiscriminator(layers=patch_layers, width=width_d, norm="instance") for _ in range(2)]
    model = CycleGAN(
        *generators,
        *judges,
        cycle_weight=GAMES[name],
        identity_weight=identity_weight,
        pool=pool,
        lr_g=lr,
        lr_d=lr,
        schedule=schedule("linear", steps=steps),
        seed=seed,
        device=DEVICE,
    )
    batches = PairBatches(pairs, batch_size, paired=False, seed=seed, device=DEVICE)
    seen = []

    def look(history):
        losses = {key: history.rows[-1][key] for key in ("d_loss", "g_loss")}
        seen.append({"game": name, "step": history.step} | losses | model.terms.read())

    history = train(model, batches, steps=steps, log_every=-(-steps // looks), hooks=(look,), progress=False)
    return model, seen, history.seconds


# %% tags=["hide-output"]
played = {name: play(name) for name in GAMES}
seen = pd.DataFrame([row for _, rows, _ in played.values() for row in rows])
made = {name: model.translate(a) for name, (model, _, _) in played.items()}
around = {name: model.translate(made[name], back=True) for name, (model, _, _) in played.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The two cycle consistencies on training batches, means between two looks: from a to b and back (left), from b to a and back (right). One seed.", "name": "fig-cyclegan-cycles"}, "image": {"alt": "Two panels with two curves each over generator steps: with the cycle loss the round trip's error falls, without it it stays high."}}
_, panels = plt.subplots(1, 2, figsize=(8.4, 2.8), layout="constrained", sharey=True)
TITLES = {"cycle_a": r"forward, $\|F(G(a))-a\|_1$", "cycle_b": r"backward, $\|G(F(b))-b\|_1$"}
for axes, (column, title) in zip(panels, TITLES.items()):
    for name, part in seen.groupby("game", sort=False):
        axes.plot(part["step"], part[column], "o-", markersize=3, color=COLOURS[name], label=name)
    axes.set(xlabel="generator steps", title=title)
    axes.grid(alpha=0.3)
panels[0].set(ylabel="mean $L_1$ distance", ylim=(0, None))
panels[0].legend(frameon=False, fontsize=8)
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
cycled, free = (seen[seen["game"] == name] for name in GAMES)
for column, direction in (("cycle_a", "forward"), ("cycle_b", "backward")):
    print(f"{direction}: with its loss the round trip comes closer to where it began:", cycled[column].iloc[-1] < 0.8 * cycled[column].iloc[0])
    print(f"{direction}: without, it ends farther from it:", free[column].iloc[-1] > 1.2 * cycled[column].iloc[-1])

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Held-out emoji: the input, its translation, the way back, both without the cycle loss, and the true picture that nobody showed the network.", "name": "fig-cyclegan-sheet"}, "image": {"alt": "Six rows of emoji: inputs, translations and round trips with and without the cycle loss, and the true pictures."}}
SHOWN = np.linspace(0, min(len(a), len(b)) - 1, min(16, len(a))).astype(int)
rows = {"input": a[SHOWN]}
for name, short in zip(GAMES, ("cycle", "no cycle"), strict=True):
    rows |= {f"G(a), {short}": made[name][SHOWN], f"F(G(a)), {short}": around[name][SHOWN]}
rows |= {"truth": b[SHOWN]} if PAIRED else {"pictures of b": b[SHOWN]}
sheet = image_sheet(torch.cat(list(rows.values())), columns=len(SHOWN))
_, axes = plt.subplots(figsize=(9, 0.5 * len(rows)), layout="constrained")
axes.imshow(sheet, interpolation="nearest")
axes.set(xticks=[], yticks=[sheet.height / len(rows) * (row + 0.5) for row in range(len(rows))], yticklabels=rows)
axes.tick_params(length=0, labelsize=8)
axes.spines[:].set_visible(False)
plt.show()

# %% [markdown]
# ## Measured against the truth
#
# As for pix2pix, on the held-out pairs: the $L_1$ distance to the true picture, the Fréchet distance in the judge's
# features, and how often the judge reads the right category. The first row is the translator who does nothing, and it
# is a hard one to beat: the cycle and the identity loss are both satisfied by copying, and only the discriminators ask
# for more.

# %% tags=["hide-input"]
scores = {name: score(x) for name, x in ({"copy the input": a, "truth": b} | made).items()} if PAIRED else {n: score(x) for n, x in made.items()}


def cell(found, what, form):
    """A number, or a dash where it cannot be measured."""
    return format(found[what], form) if what in found else "–"


HEAD = f"| | $L_1$ to the truth | {metric_name('frechet', len(a), 'emoji-judge')} | category read |\n|---|---|---|---|\n"
display(Markdown(HEAD + "\n".join(f"| {n} | {cell(s, 'L1', '.3f')} | {cell(s, 'FD', '.1f')} | {cell(s, 'read', '.0%')} |" for n, s in scores.items())))

# %% tags=["hide-input"]
text, picture = io.StringIO(), io.BytesIO()
seen.to_csv(text, index=False, float_format="%.6g", lineterminator="\n")
write_atomically(OUT / "history.csv", text.getvalue().encode())
sheet.save(picture, format="png", optimize=True)
write_atomically(OUT / "samples.png", picture.getvalue())


def key_of(name, what):
    """The metric's name in the record."""
    named = {"FD": metric_name("frechet", len(a), "emoji-judge"), "read": "judge_accuracy"}.get(what, what.lower())
    return f"{name.replace(' ', '_')}_{named}"


metrics = {key_of(n, what): value for n, s in scores.items() for what, value in s.items() if n != "truth" or what == "read"}
for name in GAMES:
    last = seen[seen["game"] == name].iloc[-1]
    metrics |= {key_of(name, column): float(last[column]) for column in TITLES}
protocol = {"dataset": dataset, "split": "test", "n": len(a)}
protocol |= {"extractor": "emoji-judge", "extractor_sha256": judge.sha256} if JUDGED else {}
spent = round(sum(seconds for _, _, seconds in played.values()), 2)
write_json(OUT / "params.json", PARAMETERS)
write_json(OUT / "environment.json", {**provenance, "train_seconds": spent})
write_json(OUT / "metrics.json", {**metrics, "protocol": protocol})

# %% tags=["hide-input"]
if PAIRED:
    copied, ours = scores["copy the input"], scores["with the cycle"]
    better = [what for what in ("L1", "FD") if what in ours and ours[what] < copied[what]]
    display(
        Markdown(
            f"In this run the translation is better than copying by {' and by '.join(better)}. The longer runs below say more."
            if better
            else "In this run the translation is **not** better than copying the input, by either measure: so few steps are "
            "not enough. The longer runs below say more."
        )
    )

# %% [markdown]
# ## Over several seeds, and beside pix2pix
#
# Longer runs (`make experiments SCALE=cpu-long`), whose records are kept in this repository: means over the seeds, and
# in brackets the smallest and the largest. The row of pix2pix is from the records of [its experiment](pix2pix_emoji),
# on the same held-out emoji.

# %% tags=["hide-input"]
kept, paired_runs = kept_records("cyclegan_emoji"), kept_records("pix2pix_emoji")


def written(records, name, what, digits):
    """``mean (smallest … largest)`` of a metric."""
    values = [r.metrics[key_of(name, what)] for r in records]
    return f"{np.mean(values):.{digits}f} ({min(values):.{digits}f} … {max(values):.{digits}f})" if values else "–"


def line(title, records, name):
    """One row of the table."""
    return f"| {title} | {written(records, name, 'L1', 3)} | {written(records, name, 'FD', 1)} | {written(records, name, 'read', 2)} |"


def verdict():
    """What the records say, in every seed or not."""
    copied, ours = ({what: np.array([r.metrics[key_of(n, what)] for r in kept]) for what in ("L1", "FD")} for n in ("copy the input", "with the cycle"))
    found = [f"- CycleGAN is better than copying by {what}: in {(ours[what] < copied[what]).sum()} of {len(kept)} seeds" for what in ours]
    if paired_runs:
        theirs = np.mean([r.metrics[key_of("both", "FD")] for r in paired_runs])
        found.append(f"- its Fréchet distance is {ours['FD'].mean() / theirs:.2f} times that of pix2pix, which saw the pairs")
    return "\n".join(found)


if kept:
    lines = [line("copy the input", kept, "copy the input"), *(line(f"CycleGAN, {n}", kept, n) for n in GAMES)]
    lines.append(line("pix2pix, with pairs", paired_runs, "both"))
    display(Markdown(f"{len(kept)} seeds, {kept[0].params['steps']:,} steps:\n\n" + HEAD + "\n".join(lines) + "\n\n" + verdict()))
else:
    display(Markdown("The long runs are still *pending*: `make experiments SCALE=cpu-long ONLY=cyclegan_emoji`."))

# %% [markdown]
# What needs more: the paper trains for 200 epochs, batches of one, at 128 and 256 pixels, with eight times our feature
# maps; `dataset="horse2zebra"`, `resolution=256`, `width=64`, `blocks=9` and `patch_layers=3` is its set-up. It wants a
# GPU, and `ganbook data fetch horse2zebra`; and there, no column of the table can be filled in.
#
# ```{admonition} What can go wrong
# :class: warning
# - **Cycles closed by a code.** A generator can hide the input in a pattern too faint to be seen and read it back from
#   there {cite:p}`chu2017cyclegan`. A small cycle loss is no sign of a good translation; the distance to the truth is, where
#   there is one.
# - **Inverted colours.** The pair $G(a)=-a$, $F(b)=-b$ closes both cycles as well as the identity does. The identity loss
#   is against it, and the discriminators are if the domains have different colours.
# - **Pairs that are not hidden.** Two data loaders with the same seed read both domains in the same order, and an
#   experiment "without pairs" has paired batches after all. `PairBatches(paired=False)` gives each domain its own.
# - **Unequal domains.** 1,000 horses and 1,300 zebras are no problem: an epoch of each has its own length here.
# ```
#
# ```{exercise}
# :label: ex-cyclegan-permutation
# Let both domains have $n$ equally likely pictures, and let $G$ be any bijection between them and $F$ its inverse. What is
# the value of {eq}`eq-cyclegan`, compared with the true pairing's, when $D$ is at its best? What does it say about the
# theory of CycleGAN?
# ```
#
# ```{solution} ex-cyclegan-permutation
# :class: dropdown
# Both cycles are closed, and $G(a)$ has exactly the distribution of $b$: every bijection has the smallest possible value,
# all $n!$ of them. The loss does not single out the translation; architecture and training do.
# ```
#
# ```{exercise}
# :label: ex-cyclegan-pool
# A full pool of $m$ pictures is shown one new picture a step. After how many steps, on average, is a picture that was
# put into it taken out again?
# ```
#
# ```{solution} ex-cyclegan-pool
# :class: dropdown
# In each step it is drawn with probability $\tfrac12\cdot\tfrac1m$, so after $2m$ steps on average: with $m=50$ the
# discriminator is shown pictures about a hundred steps old.
# ```

# %% tags=["hide-cell"]
from ganbook.models.translation_terms import ImagePool

ages, lottery = [], ImagePool(50, seed=0)
for step in range(6000):
    shown = lottery.exchange(torch.full((1, 1, 1, 1), float(step)))
    if shown.item() != step:
        ages.append(step - shown.item())
assert 85 < np.mean(ages) < 115

# %% [markdown]
# ## Where this goes
#
# [A mask in place of a picture](mask_gan); the seeds of this experiment stand on its [results page](../results/cyclegan_emoji).
