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
# # The generator's loss with and without spectral normalisation
#
# ```{admonition} In this experiment
# :class: tip
# - three discriminators that differ in their normalisation alone: BatchNorm, none, spectral norm;
# - the thesis' observation that without spectral norm the generator's loss rises fast, measured;
# - what such a curve says about the samples, and what it does not.
#
# *Before this:* [slopes and spectral normalisation](../theory/06_lipschitz_and_spectral_norm). *Cost:* about a minute at `cpu`
# scale.
# ```
#
# [The thesis](../results/thesis) that this part of the book revisits shows two curves of the generator's loss: without spectral normalisation {cite:p}`miyato2018spectral` it "rises
# fast", with it it stays level. The non-saturating loss $-\log\sigma(D(G(z)))$ is high when the discriminator is *sure* that fakes
# are fake. Spectral norm divides each layer by its largest singular value: the slope of the discriminator is bounded, so its logits cannot
# run away however well it separates the two. So the curve should stay low for a reason that has nothing to do with better samples. Is
# the generator really better off?

# %% tags=["hide-input"]
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown, display
from torch import nn

from ganbook.config import notebook_parameters
from ganbook.evaluation.panel import Panel
from ganbook.experiment import choose_device, environment
from ganbook.ladder import Variant, chosen, kept_tables, markdown, play_all, records_of, show_sheet, this_run, write
from ganbook.records import folder_for
from ganbook.tables import half_width

# %% [markdown]
# ## Parameters
#
# The chapter shows `variant="all"`; the longer runs train one variant each. What the columns of the
# tables mean is told in [collapse at 64 pixels](collapse64), under *The instruments first*.

# %% tags=["parameters"]
variant: str = "batch"  # batch, none or spectral, separated by commas, or all
dataset: str = "emoji:twemoji"  # emoji:twemoji, emoji:noto, emoji, celeba, lsun_church_outdoor, or folder:PATH
resolution: int = 32  # pixels, 32 or 64
steps: int = 250  # generator steps of each variant
width: int = 8  # feature maps of the generator's last hidden layer and the discriminator's first
latent_dim: int = 64  # length of the latent vector z
batch_size: int = 16  # images per step
lr: float = 1.0e-3  # Adam's learning rate, the same for both networks
ema_decay: float = 0.95  # decay of the averaged generator
n_eval: int = 500  # samples that the metrics see
seed: int = 0  # of networks, latents and data order
device: str = "auto"  # auto, cpu or cuda
out: str = ""  # the run's folder; empty: one of its own under runs/adhoc

# %% tags=["hide-input"]
PARAMETERS = notebook_parameters(globals(), set(__annotations__))
OUT, DEVICE = Path(out or folder_for("spectral_norm", PARAMETERS)), choose_device(device)

# %% [markdown]
# ## Three discriminators
#
# *Without* has two meanings, and the thesis does not say which it had: a DCGAN's discriminator has BatchNorm, and one can take it out.
# Without any normalisation the weights start larger {cite:p}`he2015delving`, or nothing would come through.

# %%
VARIANTS = {
    "batch": Variant("BatchNorm", {"norm": "batch"}),
    "none": Variant("no normalisation", {"norm": "none"}),
    "spectral": Variant("spectral norm", {"norm": "spectral"}),
}
COLOURS = {"batch": "#d55e00", "none": "0.45", "spectral": "#0072b2"}
playing = chosen(VARIANTS, variant)

# %% tags=["hide-output"]
machine = environment(DEVICE)
panel = Panel(dataset, resolution, device=DEVICE)
played = play_all(playing, PARAMETERS, panel, OUT, device=DEVICE)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The generator's loss (left) and the discriminator's (right), means over the steps between two points; dashed: where both sit if the discriminator can tell nothing.", "name": "fig-spectral-norm-losses"}, "image": {"alt": "Two panels of three curves each over generator steps, with a dashed line in each."}}
figure, panels = plt.subplots(1, 2, figsize=(8.4, 3), layout="constrained")
for name, result in played.items():
    rows = pd.DataFrame(result.rows)
    for axes, what in zip(panels, ("g_loss", "d_loss"), strict=True):
        axes.plot(rows["step"], rows[what], color=COLOURS[name], label=VARIANTS[name].title)
for axes, what, level in zip(panels, ("generator's loss", "discriminator's loss"), (np.log(2), 2 * np.log(2)), strict=True):
    axes.axhline(level, color="0.6", linestyle="--", linewidth=0.8)
    axes.set(xlabel="generator steps", ylabel=what)
    axes.grid(alpha=0.3)
figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=8)
plt.show()


# %% tags=["hide-input"]
def ending(rows):
    """The mean generator loss over the last quarter of a history."""
    losses = [row["g_loss"] for row in rows]
    return float(np.mean(losses[-max(1, len(losses) // 4) :]))


ends = {name: ending(result.rows) for name, result in played.items()}
peaks = {name: max(row["g_loss"] for row in result.rows) for name, result in played.items()}
lines = [[VARIANTS[name].title, f"{peaks[name]:.2f}", f"{ends[name]:.2f}"] for name in played]
display(Markdown(markdown(["discriminator", "highest", "mean of the last quarter"], lines)))
if len(ends) == len(VARIANTS):
    rises, stays = peaks["batch"] > 1.2 * peaks["spectral"], ends["spectral"] <= min(ends.values())
    display(
        Markdown(
            "With this seed the loss with BatchNorm "
            + ("**does** climb well above the one with spectral norm" if rises else "does **not** climb above the one with spectral norm")
            + ", and at the end the one with spectral norm "
            + ("is the lowest." if stays else "is **not** the lowest: what was a difference in the beginning has gone.")
        )
    )

# %% [markdown]
# What spectral norm does to the discriminator can be read off its weights. The product of the largest singular values of its layers, as
# matrices, bounds by how much the whole multiplies lengths, up to a factor for the convolutions that is the same for all three:


# %%
def reach(network):
    """The product of the layers' largest singular values, kernels as matrices."""
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    return torch.stack([torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2) for layer in layers]).prod().item()


reaches = {name: reach(result.gan.discriminator) for name, result in played.items()}

# %% tags=["claim", "keep_output", "nbval-check-output"]
if len(played) == len(VARIANTS):
    print("spectral norm keeps the product of the layers' norms between a half and two:", 0.5 < reaches["spectral"] < 2)
    print("without any normalisation it is more than twice that:", reaches["none"] > 2 * reaches["spectral"])

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The same twenty latents under each discriminator, not selected.", "name": "fig-spectral-norm-sheet"}, "image": {"alt": "Three rows of twenty generated pictures."}}
show_sheet(played, VARIANTS)
plt.show()

# %% tags=["hide-input"]
write(OUT, played, panel, parameters=PARAMETERS, environment=machine)
distance = panel.distance(n_eval)
order = sorted((r.metrics[distance], name) for name, r in played.items() if distance in r.metrics)
words = f" By distance the best is **{VARIANTS[order[0][1]].title}**" if order else ""
if order and len(ends) > 1:
    low = min(ends, key=ends.get)
    words += f", by the generator's loss **{VARIANTS[low].title}**: the curves " + (
        "agree with the samples here, which they need not." if low == order[0][1] else "do not rank the samples."
    )
display(Markdown(f"This run: seed {seed}, {steps:,} steps each.{words}\n\n{this_run(played, VARIANTS)}"))

# %% [markdown]
# Look at the sheet beside the curves. After these few steps, with seed 0, BatchNorm's generator draws coloured blots that differ from each
# other; without normalisation they are all of one blue-and-white kind; with spectral norm there is hardly more than one grey pattern,
# a collapse by recall and by the likeness of pairs, which precision does not see. A calmer curve than BatchNorm's, and the worst samples: bounding the discriminator also slows it down, and
# at equal rates it has the least to teach in its first minute. That is why SAGAN gives it a faster rate of its own.
#
# ## Over seeds

# %% tags=["hide-input"]
display(Markdown(kept_tables("spectral_norm", VARIANTS)))
for scale, by_variant in records_of("spectral_norm").items():
    found = {name: [ending(r.history().to_dict("records")) for r in by_variant.get(name, [])] for name in VARIANTS}
    text = [f"{VARIANTS[n].title} {np.mean(v):.2f} ± {half_width(v):.2f}" for n, v in found.items() if v]
    display(Markdown(f"Generator loss over the last quarter, {scale}: {', '.join(text)}."))

# %% [markdown]
# ```{admonition} What can go wrong
# :class: warning
# - **Reading the generator's loss as quality.** It is the opinion of an opponent that changes. A weak discriminator gives a low loss to
#   bad samples; that is what a bounded one is, by design.
# - **Comparing losses across normalisations.** The unit is the logit, and the norm sets its scale.
# - **A rising loss that is no illness.** If both players improve, the generator's loss may rise for long while samples get better.
# - **Spectral norm of a matrix, not of a convolution.** The kernel is flattened to a matrix before it is divided; the slope of the
#   convolution may still be above one ([by how much](../theory/06_lipschitz_and_spectral_norm)).
# ```
#
# ```{exercise}
# :label: ex-spectral-norm-bound
# All layers of a discriminator have slope at most 1, its activations too. Real and fake images differ by at most $\Delta$ in
# Euclidean length. How far apart can the logits of a real and a fake be, and what does that do to the generator's loss?
# ```
#
# ```{solution} ex-spectral-norm-bound
# :class: dropdown
# At most $\Delta$: the composition has slope at most 1. If the discriminator centres its logits, a fake's is at least $-\Delta/2$, and
# with the logit $\ell$ the loss $\log(1+e^{-\ell})$ is at most $\log(1+e^{\Delta/2})\approx\Delta/2$. Pictures of 32×32×3 values in $[-1,1]$ can differ by
# $2\sqrt{3072}\approx 111$, so the bound alone is loose; typical differences are far smaller.
# ```

# %% tags=["hide-cell"]
assert round(2 * (32 * 32 * 3) ** 0.5) == 111

# %% [markdown]
# ```{exercise}
# :label: ex-spectral-norm-rate
# Train with `lr=4.0e-3`. Which of the three suffers first, and is it the one whose loss you would have worried about?
# ```
#
# ```{solution} ex-spectral-norm-rate
# :class: dropdown
# Run it: `ganbook run notebooks/experiments/spectral_norm.py -p lr=4.0e-3`. The unnormalised discriminator has nothing that holds its logits, and
# with a large step they may jump from one side to the other. Was its curve the one that climbed highest in the first table? If not, a look
# at the losses would have pointed at another; the distances say whether the samples follow.
# ```

# %% [markdown]
# ## Where this goes
#
# The runs of this experiment stand on its [results page](../results/spectral_norm). What a bound on the slope does for a critic is
# measured in [another experiment](wgan); where attention belongs, in [the next one](attention_placement).
