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
# # Collapse at 64 pixels, and what cures it
#
# ```{admonition} In this experiment
# :class: tip
# - the network of the ladder's top, at 64×64 pixels, where the thesis saw it collapse on faces;
# - collapse measured, not eyeballed: recall, the likeness of pairs (MS-SSIM) and the mode score, and first of all a test
#   of these three instruments on samples whose collapse is known;
# - five cures, each alone: minibatch discrimination, minibatch stddev, a lower learning rate, $R_1$, DiffAugment.
#
# *Before this:* [mode collapse](../theory/08_mode_collapse), [the ladder at 32 pixels](sagan32). *Cost:* about a minute
# at `cpu` scale.
# ```
#
# At 64 pixels the network of [the thesis](../results/thesis) that this part of the book revisits drew the same few faces again and again. A lower learning rate did not help;
# minibatch discrimination {cite:p}`salimans2016improved`, which had helped at 32 pixels, did not help at 64; churches did
# not collapse, but were poor. The thesis gave up on the network and grew one instead ([as here](pggan64)). Since then two cures have become standard that it did not try: a penalty on the discriminator's slope at real
# images, $R_1$ {cite:p}`mescheder2018which`, and augmenting all that the discriminator sees
# {cite:p}`zhao2020differentiable`.

# %% tags=["hide-input"]
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import torch
from IPython.display import Markdown, display

from ganbook import data
from ganbook.config import notebook_parameters
from ganbook.evaluation.panel import Panel, presentable
from ganbook.experiment import choose_device, environment
from ganbook.ladder import Variant, chosen, heading, kept_tables, markdown, play_all, show_sheet, this_run, write
from ganbook.nn.attached import attach_attention, attach_head
from ganbook.records import folder_for

# %% [markdown]
# ## Parameters
#
# The chapter shows `variant="plain,minibatch,r1,augment"`; the longer runs train all six, one each.

# %% tags=["parameters"]
variant: str = "plain"  # names of variants, separated by commas, or all
dataset: str = "emoji:twemoji"  # emoji:twemoji, emoji:noto, emoji, celeba, lsun_church_outdoor, or folder:PATH
resolution: int = 64  # pixels, 32 or 64
steps: int = 60  # generator steps of each variant
width: int = 4  # feature maps of the generator's last hidden layer and the discriminator's first
latent_dim: int = 64  # length of the latent vector z
batch_size: int = 16  # images per step, a multiple of 4
lr: float = 1.0e-3  # Adam's learning rate of the generator; the discriminator's is four times that
ema_decay: float = 0.95  # decay of the averaged generator
n_looks: int = 2  # how often the panel looks at the samples during training
n_eval: int = 500  # samples that the metrics see
seed: int = 0  # of networks, latents and data order
device: str = "auto"  # auto, cpu or cuda
out: str = ""  # the run's folder; empty: one of its own under runs/adhoc

# %% tags=["hide-input"]
PARAMETERS = notebook_parameters(globals(), set(__annotations__))
OUT, DEVICE = Path(out or folder_for("collapse64", PARAMETERS)), choose_device(device)

# %% [markdown]
# ## The instruments first
#
# *Recall* {cite:p}`kynkaanniemi2019improved` is the share of held-out pictures that lie among the samples, in the features of a
# classifier: small if the samples are few pictures. *MS-SSIM* of random pairs {cite:p}`odena2017conditional` is 1 if all samples are
# one picture; the data's own value is the one to meet. The *mode score* {cite:p}`che2017mode` is high if a
# classifier is sure of each sample and finds the classes as often as in the data; it needs classes, which faces do not
# have. Before they judge a network, each is shown pictures of which we know what they are: training pictures,
# that is a perfect generator, and four of them over and over, under a little noise, that is a collapse. Two more columns stand beside
# them: the [Fréchet distance](../theory/12_evaluation), with the number of samples and the network of its features in its name, and *precision*,
# the share of samples that lie among the held-out pictures.

# %%
machine = environment(DEVICE)
panel = Panel(dataset, resolution, device=DEVICE)
train_images = data.to_tensors(data.load(dataset, resolution=resolution))[0]
spread_out = torch.linspace(0, len(train_images) - 1, n_eval).long()
perfect = train_images[spread_out]
noise = torch.Generator().manual_seed(0)
collapsed = presentable(perfect[:4].repeat(-(-n_eval // 4), 1, 1, 1)[:n_eval])
collapsed = presentable(collapsed + 0.02 * torch.randn(collapsed.shape, generator=noise))
known = {"training pictures": panel.judged(perfect), "four of them, repeated": panel.judged(collapsed)}

# %% tags=["hide-input"]
rows = [[name, *(f"{value:.3g}" for value in found.values())] for name, found in known.items()]
display(Markdown(markdown(["samples", *(heading(name) for name in known["training pictures"])], rows)))

# %% tags=["claim", "keep_output", "nbval-check-output"]
good, bad = known.values()
print("recall tells the collapse from the data by a factor over five:", good["recall"] > 5 * bad["recall"])
print("pairs of the collapse are more alike:", bad["ms_ssim"] > good["ms_ssim"] + 0.05)
if "mode_score" in good:
    print("the mode score falls:", bad["mode_score"] < good["mode_score"])
print("precision does not see it:", bad["precision"] > 0.5)

# %% [markdown]
# Precision alone, or a glance at single pictures, would call the collapse excellent.
#
# ## Six variants
#
# The plain one is the top of the ladder: DCGAN with spectral norm, attention at 16×16, two learning rates and smooth labels.
# Each other has one thing more, or in one case less.


# %%
def attention(generator, discriminator):
    attach_attention(generator, discriminator, (16,), spectral=True)


def with_head(kind):
    """Attention as everywhere, and a discriminator whose last layer sees the batch."""

    def adapt(generator, discriminator):
        attention(generator, discriminator)
        attach_head(discriminator, kind)

    return adapt


TOP = {"norm": "spectral", "real_target": 0.8, "lr_g": lr, "lr_d": 4 * lr}
VARIANTS = {
    "plain": Variant("plain", TOP, attention),
    "minibatch": Variant("minibatch discrimination", TOP, with_head("minibatch")),
    "stddev": Variant("minibatch stddev", TOP, with_head("stddev")),
    "slower": Variant("a quarter of the rates", TOP | {"lr_g": lr / 4, "lr_d": lr}, attention),
    "r1": Variant("R1", TOP | {"penalty": "r1", "penalty_weight": 1.0}, attention),
    "augment": Variant("DiffAugment", TOP | {"augment": "color,translation,cutout"}, attention),
}
playing = chosen(VARIANTS, variant)

# %% tags=["hide-output"]
played = play_all(playing, PARAMETERS, panel, OUT, device=DEVICE, n_looks=n_looks)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The same twenty latents under each variant, not selected.", "name": "fig-collapse64-sheet"}, "image": {"alt": "Rows of twenty generated pictures of 64 pixels, one row a variant."}}
show_sheet(played, VARIANTS)
plt.show()

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Recall and likeness of pairs during training; dotted: the held-out pictures' own likeness. A collapse is a fall on the left and a rise on the right. Curves that coincide hide each other.", "name": "fig-collapse64-looks"}, "image": {"alt": "Two panels of curves over generator steps, one curve a variant."}}
figure, panels = plt.subplots(1, 2, figsize=(8.4, 3), layout="constrained")
for name, result in played.items():
    seen = pd.DataFrame([row for row in result.rows if "recall" in row])
    for axes, what in zip(panels, ("recall", "ms_ssim"), strict=True):
        if len(seen):
            axes.plot(seen["step"], seen[what], "o-", markersize=3, alpha=0.8, label=VARIANTS[name].title)
panels[1].axhline(panel.real_similarity, color="0.4", linestyle=":")
panels[0].set_ylim(-0.01, max(0.1, 1.05 * panels[0].get_ylim()[1]))
for axes, what in zip(panels, ("recall", "MS-SSIM of pairs"), strict=True):
    axes.set(xlabel="generator steps", ylabel=what)
    axes.grid(alpha=0.3)
panels[0].legend(frameon=False, fontsize=8)
plt.show()

# %% tags=["hide-input"]
write(OUT, played, panel, parameters=PARAMETERS, environment=machine)
display(Markdown(f"This run: seed {seed}, {steps:,} steps each.\n\n{this_run(played, VARIANTS)}"))


# %% tags=["hide-input"]
def verdict(result):
    """What the instruments say of one variant, against the known cases."""
    recall, alike = result.metrics["recall"], result.metrics["ms_ssim"]
    if recall <= 2 * bad["recall"] + 0.02:
        return "covers as little as four pictures do" + (", and its pairs are alike" if alike > 2 * good["ms_ssim"] else "")
    return "no collapse: it covers more than a few pictures could"


display(Markdown("\n".join(f"- **{VARIANTS[name].title}**: {verdict(result)}." for name, result in played.items())))

# %% [markdown]
# Low recall has two readings: few pictures, or pictures that lie nowhere near the data. The likeness of pairs tells them apart: pictures
# that lie elsewhere but differ from each other are about as alike as the data or less so, few pictures are more alike. After so few steps both
# may hold, of blurs that no classifier has seen and that look much like one another: networks that have not learnt yet rather than
# networks that have collapsed. The table of longer runs below is where the cures can be told apart.
#
# ## Over seeds

# %% tags=["hide-input"]
display(Markdown(kept_tables("collapse64", VARIANTS)))

# %% [markdown]
# ```{admonition} What can go wrong
# :class: warning
# - **A likeness below the data's is no success.** Noise has an MS-SSIM near zero. The data's value is the one to meet.
# - **Recall of few samples.** The balls around samples reach to the third neighbour, and reach farther the fewer samples
#   there are; values of different `n_eval` do not compare.
# - **Judging with classes what has none.** On faces and churches there is no mode score here; the Inception network's thousand
#   classes are not modes of faces.
# - **A cure that needs company.** Minibatch discrimination sees a batch of real *or* of fake images. With small batches
#   it sees too few to know what variety is.
# ```
#
# ```{exercise}
# :label: ex-collapse64-ceiling
# A generator draws $m$ different pictures, each of them exactly one of the $n$ held-out ones, over and over. What is its precision,
# and what is its recall at most, if no held-out picture lies within another's reach?
# ```
#
# ```{solution} ex-collapse64-ceiling
# :class: dropdown
# Precision is 1: each sample lies on a real picture. With many copies of each sample, the distance to the third neighbour
# among the *samples* is zero, so the balls around samples are points, and each holds just the picture that it copies: recall is
# $m/n$. That is why the repeated pictures above have a recall near zero.
# ```
#
# ```{exercise}
# :label: ex-collapse64-augment
# DiffAugment changes real and fake images alike. Why does the generator not learn to draw pictures with grey squares?
# ```
#
# ```{solution} ex-collapse64-augment
# :class: dropdown
# The discriminator compares augmented real with augmented fake images. A fake with a grey square of its own would, after
# augmentation, often show two squares, which no augmented real image does. What matches after a change that can be undone in
# distribution must have matched before it.
# ```

# %% [markdown]
# ## Where this goes
#
# The runs of this experiment stand on its [results page](../results/collapse64). The way out that the thesis took, growing the
# network, is [the next experiment](pggan64); other cures, on data whose modes can be counted, are [in another](mode_collapse).
