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
# # What ten years changed: a modern baseline on the same budget
#
# ```{admonition} In this experiment
# :class: tip
# - four GANs in order of age: DCGAN (2016), the ladder's top after SAGAN (2019), and R3GAN's recipe (2024) in two halves, its loss on DCGAN's
#   networks, and its networks too;
# - all on about the same time, so that a dearer step is paid for with fewer of them;
# - an answer to the thesis' last question: what would make larger images work at this cost?
#
# *Before this:* [the ladder](sagan32), [training dynamics](../theory/07_training_dynamics). *Cost:* about a minute at `cpu` scale.
# ```
#
# [The thesis](../results/thesis) that this part of the book revisits ends with the question how 64 and 128 pixels could be had at the cost of one graphics card. {cite:t}`huang2024gan` answer with less:
# the tricks of ten years were crutches of a loss that need not converge. Take a relativistic loss, which judges a fake against a
# real image, and penalise the discriminator's slope on real *and* fake images ($R_1+R_2$): that game converges locally
# {cite:p}`mescheder2018which`, and then no normalisation, no minibatch statistics and no style are needed, and the networks may be
# as large and plain as one can pay for. There are two claims in this, about the loss and about the networks, and we take them apart.

# %% tags=["hide-input"]
from pathlib import Path

import matplotlib.pyplot as plt
from IPython.display import Markdown, display

from ganbook.config import notebook_parameters
from ganbook.evaluation.panel import Panel
from ganbook.experiment import choose_device, environment
from ganbook.ladder import (
    Variant,
    chosen,
    differs,
    kept_tables,
    markdown,
    play_all,
    records_of,
    show_sheet,
    this_run,
    write,
)
from ganbook.nn.attached import attach_attention
from ganbook.records import folder_for

# %% [markdown]
# ## Parameters
#
# `steps` are those of the DCGAN. The others take fewer, by how many times as long one of their steps takes; the table shows whether the seconds
# came out equal on this machine. The chapter shows `variant="all"`. What the columns of the
# tables mean is told in [collapse at 64 pixels](collapse64), under *The instruments first*.

# %% tags=["parameters"]
variant: str = "dcgan"  # dcgan, sagan, loss or r3gan, separated by commas, or all
dataset: str = "emoji:twemoji"  # emoji:twemoji, emoji:noto, emoji, celeba, lsun_church_outdoor, or folder:PATH
resolution: int = 32  # pixels, 32 or 64
steps: int = 240  # generator steps of the DCGAN; the others have fewer
width: int = 8  # feature maps of DCGAN's last and first layers; R3GAN's networks have half as many
latent_dim: int = 64  # length of the latent vector z
batch_size: int = 16  # images per step
lr: float = 1.0e-3  # Adam's learning rate
gamma: float = 1.0  # weight of R1 + R2
costs: str = "1,2,1.6,10"  # how many times as long one step takes as a DCGAN's, in the order of the variants
ema_decay: float = 0.95  # decay of the averaged generator
n_eval: int = 500  # samples that the metrics see
seed: int = 0  # of networks, latents and data order
device: str = "auto"  # auto, cpu or cuda
out: str = ""  # the run's folder; empty: one of its own under runs/adhoc

# %% tags=["hide-input"]
PARAMETERS = notebook_parameters(globals(), set(__annotations__))
OUT, DEVICE = Path(out or folder_for("modern_baseline", PARAMETERS)), choose_device(device)
SHARED = {name: value for name, value in PARAMETERS.items() if name not in ("gamma", "costs")}

# %% [markdown]
# ## Four recipes

# %%
MODERN = {"loss": "rpgan", "penalty": "r1_r2", "penalty_weight": gamma, "norm": "none", "beta1": 0.0, "beta2": 0.99}
RECIPES = {
    "dcgan": Variant("DCGAN (2016)", {"norm": "batch"}),
    "sagan": Variant(
        "the ladder's top (2019)",
        {"norm": "spectral", "lr_d": 4 * lr, "real_target": 0.8},
        adapt=lambda g, d: attach_attention(g, d, (16,), spectral=True),
    ),
    "loss": Variant("DCGAN's networks, R3GAN's loss", MODERN),
    "r3gan": Variant("R3GAN (2024)", MODERN | {"network": "r3gan", "width_g": width // 2, "width_d": width // 2}),
}
shares = dict(zip(RECIPES, (float(cost) for cost in costs.split(",")), strict=True))
VARIANTS = {
    name: Variant(v.title, {**v.changes, "steps": max(1, round(steps / shares[name]))}, v.adapt) for name, v in RECIPES.items()
}
playing = chosen(VARIANTS, variant)

# %% tags=["hide-output"]
machine = environment(DEVICE)
panel = Panel(dataset, resolution, device=DEVICE)
played = play_all(playing, SHARED, panel, OUT, device=DEVICE)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The same twenty latents under each recipe, not selected; the tables below say after how many steps and seconds.", "name": "fig-modern-baseline-sheet"}, "image": {"alt": "Four rows of twenty generated pictures, one row a recipe."}}
show_sheet(played, VARIANTS)
plt.show()

# %% tags=["hide-input"]
write(OUT, played, panel, parameters=PARAMETERS, environment=machine)


def parameters_of(network):
    return sum(p.numel() for p in network.parameters())


sizes = [
    [
        VARIANTS[name].title,
        f"{VARIANTS[name].changes['steps']:,}",
        f"{1000 * r.seconds / VARIANTS[name].changes['steps']:.0f}",
        f"{parameters_of(r.gan.generator):,}",
        f"{parameters_of(r.gan.discriminator):,}",
    ]
    for name, r in played.items()
]
display(Markdown(this_run(played, VARIANTS)))
display(Markdown(markdown(["recipe", "steps", "ms a step", "parameters of G", "of D"], sizes)))


# %% tags=["hide-input"]
def verdict():
    """What this run says of the two claims."""
    distance = panel.distance(n_eval)
    found = {name: r.metrics[distance] for name, r in played.items() if distance in r.metrics}
    if not {"dcgan", "loss", "r3gan"} <= found.keys():
        return "This run trained too few of the four for a comparison."
    loss = "already pays" if found["loss"] < found["dcgan"] else "does not pay yet"
    networks = "pay" if found["r3gan"] < found["loss"] else "do not pay: their steps are too few"
    best, spent = min(found, key=found.get), [r.seconds for r in played.values()]
    return (
        f"On this budget, with this seed, the new loss on the old networks **{loss}** (distance {found['loss']:.1f} against DCGAN's "
        f"{found['dcgan']:.1f}), and the new networks **{networks}** ({found['r3gan']:.1f}). The smallest distance is that of "
        f"{VARIANTS[best].title}. The recipes took from {min(spent):.0f} to {max(spent):.0f} seconds, which is "
        + ("about equal." if max(spent) < 1.5 * min(spent) else "not equal: whoever took longer had an advantage.")
    )


display(Markdown(verdict()))

# %% tags=["claim", "keep_output", "nbval-check-output"]
if variant == "all":
    fewest = min(VARIANTS, key=lambda name: VARIANTS[name].changes["steps"])
    print("for the same time the modern networks take the fewest steps:", fewest == "r3gan")
    print("no recipe diverged:", not any(result.diverged for result in played.values()))

# %% [markdown]
# R3GAN's networks want a machine on which a larger network costs little more time, and a training that is long enough for it to matter. On one
# processor core for seconds they get neither, so this scale cannot confirm or refute the paper; the scale `gpu`, with faces, can. What
# is visible here is the *price*: the penalty needs the gradient of a gradient, and two passes of it.
#
# ## Over seeds

# %% tags=["hide-input"]
display(Markdown(kept_tables("modern_baseline", VARIANTS)))
for scale, by_variant in records_of("modern_baseline").items():
    names = [m for r in by_variant.get("r3gan", []) for m in r.metrics if m.startswith(("fd", "fid"))]
    if names:
        change, half, n = differs(by_variant["r3gan"], by_variant.get("dcgan", []), names[0])
        display(Markdown(f"On {scale}, R3GAN's {names[0]} minus DCGAN's: {change:+.1f} ± {half:.1f} over {n} seeds."))

# %% [markdown]
# ```{admonition} What can go wrong
# :class: warning
# - **Equal steps for unequal recipes.** At equal steps the dearer recipe looks better than it is. At equal time it depends on the machine.
# - **γ from another resolution.** The penalty's weight has a unit: slopes per pixel. What suits 32 pixels is too strong or too weak at 256;
#   the paper sets one for each data set.
# - **BatchNorm with a penalty.** It ties the samples of a batch together, so that none has a slope of its own; the configuration refuses it.
# - **Calling the last row "the" modern GAN.** It is a small plain network after R3GAN's design, not the published one, which is
#   a hundred times as large.
# ```
#
# ```{exercise}
# :label: ex-modern-relativistic
# With a relativistic loss $f(D(x)-D(G(z)))$, add a constant to all logits. What happens to the loss, and why does that
# matter for a discriminator that wants to push all fakes down together?
# ```
#
# ```{solution} ex-modern-relativistic
# :class: dropdown
# Nothing: the constant cancels. Only the *difference* of a real and a fake logit counts, so the discriminator gains nothing by one
# threshold for all; it must rank each fake below the real image beside it. A generator that puts all its mass on one picture is then
# judged against the variety of the real ones in the batch.
# ```
#
# ```{exercise}
# :label: ex-modern-halves
# Which third experiment separates the two halves of the recipe from the other side, and what would it need?
# ```
#
# ```{solution} ex-modern-halves
# :class: dropdown
# R3GAN's networks with the non-saturating loss and $R_1$ alone. The paper made it: without the relativistic loss the networks train but lose modes, and without
# $R_2$ they may diverge. Here: `loss="nonsaturating"`, `penalty="r1"` in the last recipe.
# ```

# %% [markdown]
# ## Where this goes
#
# The runs of this experiment stand on its [results page](../results/modern_baseline). Why this game converges is told under
# [training dynamics](../theory/07_training_dynamics), the recipe's other relatives under [the zoo](../theory/11_gan_zoo).
