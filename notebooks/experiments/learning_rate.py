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
# # Which learning rate?
#
# ```{admonition} In this experiment
# :class: tip
# - the thesis' four learning rates, 8, 9, 10 and 20 times 10⁻⁵, on one network, with the same data and seed;
# - losses, distance and signs of collapse for each;
# - whether a step from 8 to 9 is a finding at all, or less than a change of seed.
#
# *Before this:* [training dynamics](../theory/07_training_dynamics), [the ladder](sagan32). *Cost:* about a minute at `cpu` scale.
# ```
#
# [The thesis](../results/thesis) that this part of the book revisits first compared $10^{-4}$ with $2\cdot10^{-4}$, the rate of {cite:t}`radford2016unsupervised`, and found that the larger one
# collapses easily; then $8\cdot10^{-5}$, $9\cdot10^{-5}$ and $10^{-4}$, of which $9\cdot10^{-5}$ was best. Each was one run. Rates that
# differ by a tenth are *the same* to an optimiser for most purposes, and one run a rate cannot tell a tenth from luck.

# %% tags=["hide-input"]
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown, display

from ganbook.config import notebook_parameters
from ganbook.evaluation.panel import Panel
from ganbook.experiment import choose_device, environment
from ganbook.ladder import Variant, chosen, differs, kept_tables, play_all, records_of, show_sheet, this_run, write
from ganbook.records import folder_for

# %% [markdown]
# ## Parameters
#
# The thesis trained for hundreds of thousands of steps. At its rates a minute of training moves nothing: Adam's step is about as
# long as the rate, whatever the gradient, so what a network can travel is rate times steps. At `cpu` scale all four rates
# are therefore multiplied by `factor`; their ratios, which are the question, stay. The `gpu` scale has
# `factor=1`. The chapter shows `variant="all"`. What the columns of the
# tables mean is told in [collapse at 64 pixels](collapse64), under *The instruments first*.

# %% tags=["parameters"]
variant: str = "8e-5"  # 8e-5, 9e-5, 1e-4 or 2e-4, separated by commas, or all
dataset: str = "emoji:twemoji"  # emoji:twemoji, emoji:noto, emoji, celeba, lsun_church_outdoor, or folder:PATH
resolution: int = 32  # pixels, 32 or 64
steps: int = 180  # generator steps of each variant
factor: float = 20.0  # what all rates are multiplied by
width: int = 8  # feature maps of the generator's last hidden layer and the discriminator's first
latent_dim: int = 64  # length of the latent vector z
batch_size: int = 16  # images per step
norm: str = "batch"  # of the discriminator: batch, spectral or none
ema_decay: float = 0.95  # decay of the averaged generator
n_looks: int = 2  # how often the panel looks at the samples during training
n_eval: int = 500  # samples that the metrics see
seed: int = 0  # of networks, latents and data order
device: str = "auto"  # auto, cpu or cuda
out: str = ""  # the run's folder; empty: one of its own under runs/adhoc

# %% tags=["hide-input"]
PARAMETERS = notebook_parameters(globals(), set(__annotations__))
OUT, DEVICE = Path(out or folder_for("learning_rate", PARAMETERS)), choose_device(device)
SHARED = {name: value for name, value in PARAMETERS.items() if name != "factor"}
RATES = {"8e-5": 8e-5, "9e-5": 9e-5, "1e-4": 1e-4, "2e-4": 2e-4}
VARIANTS = {name: Variant(name, {"lr_g": factor * rate, "lr_d": factor * rate}) for name, rate in RATES.items()}
COLOURS = dict(zip(RATES, ("#0072b2", "#007a5e", "#e69f00", "#d55e00"), strict=True))
playing = chosen(VARIANTS, variant)

# %% tags=["hide-output"]
machine = environment(DEVICE)
panel = Panel(dataset, resolution, device=DEVICE)
played = play_all(playing, SHARED, panel, OUT, device=DEVICE, n_looks=n_looks)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Losses of the generator (left) and the discriminator (right) at four rates. The names are the thesis' rates; the trained ones are these times the factor.", "name": "fig-learning-rate-losses"}, "image": {"alt": "Two panels of four curves each over generator steps."}}
figure, panels = plt.subplots(1, 2, figsize=(8.4, 3), layout="constrained")
for name, result in played.items():
    rows = pd.DataFrame(result.rows)
    for axes, what in zip(panels, ("g_loss", "d_loss"), strict=True):
        axes.plot(rows["step"], rows[what], color=COLOURS[name], label=name)
for axes, what in zip(panels, ("generator's loss", "discriminator's loss"), strict=True):
    axes.set(xlabel="generator steps", ylabel=what)
    axes.grid(alpha=0.3)
panels[0].legend(frameon=False, fontsize=8)
plt.show()

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The same twenty latents at each rate, not selected.", "name": "fig-learning-rate-sheet"}, "image": {"alt": "Four rows of twenty generated pictures."}}
show_sheet(played, VARIANTS)
plt.show()

# %% tags=["hide-input"]
write(OUT, played, panel, parameters=PARAMETERS, environment=machine)
display(
    Markdown(
        f"This run: seed {seed}, {steps:,} steps each, rates times {factor:g}. Collapse shows as low recall together with pairs more alike "
        f"than the real ones' {panel.real_similarity:.2f}.\n\n{this_run(played, VARIANTS)}"
    )
)

# %% tags=["claim", "keep_output", "nbval-check-output"]
if variant == "all":
    ratio = max(RATES.values()) / min(RATES.values())
    print("largest over smallest rate:", f"{ratio:.1f}", "- runs that diverged:", sum(bool(r.diverged) for r in played.values()))

# %% [markdown]
# ## Is a tenth a difference?
#
# Here is the test that the thesis could not afford: the same rates with several seeds. A difference between two neighbours counts if its
# interval leaves out zero.


# %% tags=["hide-input"]
def neighbours(by_variant):
    """Each rate against the thesis' best one, seed by seed."""
    lines = []
    for name in RATES:
        names = [m for r in by_variant.get(name, []) for m in r.metrics if m.startswith(("fd", "fid"))]
        if name == "9e-5" or not names:
            continue
        change, half, n = differs(by_variant[name], by_variant.get("9e-5", []), names[0])
        if n > 1:
            word = "no difference seen" if abs(change) <= half else "worse" if change > 0 else "better"
            lines.append(f"- {name} against 9e-5: {change:+.1f} ± {half:.1f} in {names[0]} over {n} seeds: **{word}**.")
    return "\n".join(lines)


display(Markdown(kept_tables("learning_rate", VARIANTS)))
for scale, by_variant in records_of("learning_rate").items():
    display(Markdown(f"On {scale}:\n\n{neighbours(by_variant)}"))

# %% [markdown]
# ```{admonition} What can go wrong
# :class: warning
# - **Tuning a rate by a tenth on one seed.** The best of four runs is best by luck first. With equal rates and four seeds one of
#   them would be best as well.
# - **Scaling rate and steps without end.** Rate times steps says how far a network *can* go, not that it arrives: beyond some rate the
#   two players overshoot each other, at any number of steps.
# - **A rate without its batch, moments and normalisation.** It means something only with all of them.
# - **Equal rates for unequal players.** With spectral norm in the discriminator a faster one is usual; see [the ladder](sagan32).
# ```
#
# ```{exercise}
# :label: ex-learning-rate-luck
# Four rates that make no difference at all are each run once. How likely is it that $9\cdot10^{-5}$ comes out best? How likely is it that
# it beats both its neighbours, $8\cdot10^{-5}$ and $10^{-4}$?
# ```
#
# ```{solution} ex-learning-rate-luck
# :class: dropdown
# All orders are equally likely, so $\frac14$ and $\frac13$. What the thesis saw is what one would often see if the rates did not matter.
# ```

# %% tags=["hide-cell"]
from itertools import permutations

orders = list(permutations(range(4)))
assert sum(o[0] == min(o) for o in orders) / len(orders) == 1 / 4
assert sum(o[0] < min(o[1:3]) for o in orders) / len(orders) == 1 / 3

# %% [markdown]
# ```{exercise}
# :label: ex-learning-rate-adam
# Adam with $\beta_1=0.5$: show that its very first step has exactly the length of the rate in every coordinate (take $\varepsilon=0$).
# ```
#
# ```{solution} ex-learning-rate-adam
# :class: dropdown
# After bias correction the first moment is the gradient $g$ and the second $g^2$, so the step is $h\,g/\sqrt{g^2}=h\,\mathrm{sign}(g)$, with $h$
# the rate, whatever the gradient. Later steps are shorter where gradients change sign. That is why multiplying the rate makes up for fewer steps.
# ```

# %% [markdown]
# ## Where this goes
#
# The runs of this experiment stand on its [results page](../results/learning_rate). A rate suits a normalisation: what spectral norm
# does to the losses is [the next experiment](spectral_norm).
