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
# # From DCGAN to SAGAN, one ingredient at a time
#
# ```{admonition} In this experiment
# :class: tip
# - a ladder of five GANs for 32×32 pixels: each has one ingredient more than the one below it;
# - how much each ingredient changes distance, recall and likeness, on the same budget of steps;
# - what a difference between two such numbers is worth before several seeds have confirmed it.
#
# *Before this:* [a DCGAN that draws emoji](dcgan_emoji), [self-attention](../theory/09_self_attention), [slopes and
# spectral normalisation](../theory/06_lipschitz_and_spectral_norm). *Cost:* about a minute at `cpu` scale.
# ```
#
# [The thesis](../results/thesis) that this part of the book revisits trained a DCGAN {cite:p}`radford2016unsupervised` on faces of 32×32
# pixels, and a network "like SAGAN" {cite:p}`zhang2019self`, which was better. But between the two lay four changes at
# once: spectral normalisation in the discriminator {cite:p}`miyato2018spectral`, self-attention, a learning rate of its
# own for each player (TTUR, {cite:t}`heusel2017gans`) and smooth labels for the real images
# {cite:p}`salimans2016improved`. Which of them did it? A pair of numbers cannot tell; a ladder can, as far as the order
# of its rungs allows.

# %% tags=["hide-input"]
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
from IPython.display import Markdown, display

from ganbook.config import notebook_parameters
from ganbook.evaluation.panel import Panel
from ganbook.experiment import choose_device, environment
from ganbook.ladder import (
    Variant,
    chosen,
    climbing,
    differs,
    kept_tables,
    play_all,
    records_of,
    show_sheet,
    this_run,
    write,
)
from ganbook.nn.attached import attach_attention, attention_layers
from ganbook.records import folder_for

# %% [markdown]
# ## Parameters
#
# The chapter shows `variant="all"`; the longer runs train one variant each. What the columns of the
# tables mean is told in [collapse at 64 pixels](collapse64), under *The instruments first*.

# %% tags=["parameters"]
variant: str = "dcgan"  # rungs of the ladder, separated by commas, or all but the residual networks
dataset: str = "emoji:twemoji"  # emoji:twemoji, emoji:noto, emoji, celeba, lsun_church_outdoor, or folder:PATH
resolution: int = 32  # pixels
steps: int = 150  # generator steps of each variant
width: int = 8  # feature maps of the generator's last hidden layer and the discriminator's first
latent_dim: int = 64  # length of the latent vector z
batch_size: int = 16  # images per step
lr: float = 1.0e-3  # Adam's learning rate, of both networks below TTUR and of the generator from there on
ema_decay: float = 0.95  # decay of the averaged generator
n_eval: int = 500  # samples that the metrics see
seed: int = 0  # of networks, latents and data order
device: str = "auto"  # auto, cpu or cuda
out: str = ""  # the run's folder; empty: one of its own under runs/adhoc

# %% tags=["hide-input"]
PARAMETERS = notebook_parameters(globals(), set(__annotations__))
OUT, DEVICE = Path(out or folder_for("sagan32", PARAMETERS)), choose_device(device)

# %% [markdown]
# ## The ladder
#
# All rungs have the same DCGAN inside. Attention stands behind the 16×16 feature maps of both networks; its weight γ starts at
# 0, so that a rung begins as what the rung below is. With TTUR the discriminator learns four times as fast as the
# generator, the ratio of {cite:t}`zhang2019self`. Smooth labels are one-sided: the target for a real image is drawn
# from $[0.8, 1]$ each time.
#
# Off the ladder stands SAGAN as published, with residual networks and the hinge loss: the variant `sagan`, for the
# longer runs. It changes the networks themselves, so it is no rung.

# %%
RUNGS = climbing(
    {
        "dcgan": Variant("DCGAN", {"norm": "batch"}),
        "spectral": Variant("+ spectral norm", {"norm": "spectral"}),
        "attention": Variant("+ attention", {}, adapt=lambda g, d: attach_attention(g, d, (16,), spectral=True)),
        "ttur": Variant("+ TTUR", {"lr_g": lr, "lr_d": 4 * lr}),
        "smooth": Variant("+ smooth labels", {"real_target": 0.8}),
    }
)
SAGAN = Variant(
    "SAGAN's own networks",
    {"network": "sagan", "attention": "16", "norm": "spectral", "loss": "hinge", "lr_g": lr / 2, "lr_d": 2 * lr, "beta1": 0.0},
)
VARIANTS = RUNGS | {"sagan": SAGAN}
playing = chosen(RUNGS if variant == "all" else VARIANTS, variant)

# %% [markdown]
# ## Training and judging

# %% tags=["hide-output"]
machine = environment(DEVICE)
panel = Panel(dataset, resolution, device=DEVICE)
played = play_all(playing, PARAMETERS, panel, OUT, device=DEVICE)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The same twenty latents on each rung, the lowest at the top; not selected.", "name": "fig-sagan32-sheet"}, "image": {"alt": "Rows of twenty generated pictures, one row a rung of the ladder."}}
show_sheet(played, VARIANTS)
plt.show()

# %% tags=["hide-input"]
write(OUT, played, panel, parameters=PARAMETERS, environment=machine)
display(
    Markdown(
        f"This run: seed {seed}, {steps:,} steps each. Small distances, large recall, and a likeness (MS-SSIM of pairs) "
        f"near the real images' {panel.real_similarity:.2f} are good.\n\n{this_run(played, VARIANTS)}"
    )
)

# %% [markdown]
# Look at the sheet before believing the table. After so few steps no rung draws an emoji: with seed 0
# the lowest has coloured blots that differ from each other, and each rung above it hardly more than one pattern, which the
# likeness of pairs says too. The numbers tell which blots have more of the colours and outlines of the data, no more; and since the rungs share seed and data but not the course of training, the order of two neighbours
# may well be chance.
#
# What a single run can show for certain is what the ingredients do to the machine. Attention opens by itself: γ leaves
# zero, whether or not that helps the samples yet.

# %% tags=["claim", "keep_output", "nbval-check-output"]
gammas = {name: [x.gamma.abs().item() for x in attention_layers(r.gan.generator)] for name, r in played.items()}
opened = [g for values in gammas.values() for g in values]
if variant == "all":
    print("rungs of the ladder:", len(played), "- with attention:", sum(bool(g) for g in gammas.values()))
    print("every attention layer has left the identity:", all(g > 0 for g in opened))
    print("no rung diverged:", not any(result.diverged for result in played.values()))

# %% [markdown]
# ## Over seeds
#
# The longer runs (`make experiments SCALE=cpu-long`, and `SCALE=gpu` on faces) train each rung with several seeds. Their
# records lie in this repository, and the tables below are made from them.


# %% tags=["hide-input"]
def between(by_variant):
    """What each rung changes against the one below it, seed by seed, in words."""
    lines, order = [], list(RUNGS)
    for below, name in pairwise(order):
        ours, theirs = by_variant.get(name, []), by_variant.get(below, [])
        distances = [m for r in ours for m in r.metrics if m.startswith(("fd", "fid"))]
        if not distances:
            continue
        change, half, n = differs(ours, theirs, distances[0])
        sure = n > 1 and abs(change) > half
        words = ("lowers" if change < 0 else "raises") if sure else "does not clearly change"
        lines.append(f"- **{RUNGS[name].title}** {words} the distance: {change:+.1f} ± {half:.1f} over {n} seeds.")
    return "\n".join(lines)


display(Markdown(kept_tables("sagan32", VARIANTS)))
for scale, by_variant in records_of("sagan32").items():
    display(Markdown(f"On {scale}:\n\n{between(by_variant)}"))

# %% [markdown]
# ```{admonition} What can go wrong
# :class: warning
# - **Reading a ladder as a list of effects.** Each rung is measured on top of the ones below it. Smooth labels after
#   spectral norm are not smooth labels without it; a ladder in another order may tell another story.
# - **Spectral norm for BatchNorm.** The second rung does not add, it exchanges: DCGAN's discriminator loses its
#   BatchNorm. With the same small weights at the start its logits are small, and the first steps are slow.
# - **TTUR with both effects at once.** A faster discriminator is also a better trained one per step. At equal *steps*
#   that is help for nothing; the table's seconds say what it cost.
# - **Comparing these numbers with the thesis.** Its FID is on faces, in the features of Inception, with a number of
#   samples it does not give. The distances of a judge of emoji share nothing with it but the formula; see
#   [the thesis, revisited](../results/thesis).
# ```
#
# ```{exercise}
# :label: ex-sagan32-order
# Swap two rungs: put `ttur` below `spectral`. Which of the two differences would you expect to shrink, and why?
# ```
#
# ```{solution} ex-sagan32-order
# :class: dropdown
# TTUR's. A discriminator with BatchNorm and no bound on its slope already learns fast; at four times the rate it
# wins, and the generator's gradient becomes small or erratic. Spectral norm bounds the slope, so that the faster rate
# gives a better discriminator and not merely a steeper one: the fast rate needs the norm below it.
# ```
#
# ```{exercise}
# :label: ex-sagan32-seeds
# How many seeds do you need to find a difference of one standard deviation between two rungs, if the interval of the
# difference shall just exclude zero?
# ```
#
# ```{solution} ex-sagan32-seeds
# :class: dropdown
# With differences of standard deviation $\sigma\sqrt2$ for two unpaired runs (and less if the seed is shared and helps),
# half the interval is $t_{n-1}\,\sigma\sqrt2/\sqrt n$. Setting it to $\sigma$ gives $n \ge 2\,t_{n-1}^2$, which $n=11$
# is the first to satisfy ($t_{10}=2.23$). Three seeds find differences of three and a half standard deviations.
# ```

# %% tags=["hide-cell"]
from scipy.stats import t as student

assert min(n for n in range(2, 50) if n >= 2 * student.ppf(0.975, n - 1) ** 2) == 11
assert 3.4 < student.ppf(0.975, 2) * (2 / 3) ** 0.5 < 3.6

# %% [markdown]
# ## Where this goes
#
# The runs of this experiment stand on its [results page](../results/sagan32). Three of the ingredients have an experiment of their own:
# [the learning rate](learning_rate), [spectral normalisation](spectral_norm), [the place of attention](attention_placement).
