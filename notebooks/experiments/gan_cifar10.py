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
# # The field's test: three GANs on CIFAR-10
#
# ```{admonition} In this experiment
# :class: tip
# - the test on which papers on GANs have reported a number for ten years: CIFAR-10, without labels;
# - nine published numbers for one method, and what a protocol has to say so that two numbers compare;
# - DCGAN, WGAN-GP and SNGAN as their papers trained them, declared for a GPU, and run here in small.
#
# *Before this:* [evaluation](../theory/12_evaluation), [spectral normalisation](../theory/06_lipschitz_and_spectral_norm).
# *Cost:* less than a minute at `cpu` scale; hours on a GPU.
# ```
#
# CIFAR-10 {cite:p}`krizhevsky2009learning` has 50,000 training pictures of 32 pixels: small enough for one graphics card and a night, and
# too varied to be learned by accident. A new loss or penalty is therefore tried here first, and its Fréchet Inception distance (FID) stands
# beside those of its predecessors. Before we join in, a look at what such a table is worth.

# %% tags=["hide-input"]
from pathlib import Path

import matplotlib.pyplot as plt
from IPython.display import Markdown, display

from ganbook.config import Config, notebook_parameters
from ganbook.evaluation.panel import Panel
from ganbook.experiment import build_gan, choose_device, environment
from ganbook.ladder import (
    Variant,
    chosen,
    kept_tables,
    markdown,
    mean_text,
    play_all,
    records_of,
    show_sheet,
    this_run,
    write,
)
from ganbook.records import folder_for

# %% [markdown]
# ## Parameters
#
# The defaults are the `cpu` scale: emoji, read by the emoji judge, against held-out emoji. Its distances compare with nothing outside this page.

# %% tags=["parameters"]
variant: str = "all"  # dcgan, wgan_gp or sngan, separated by commas, or all
dataset: str = "emoji:twemoji"  # cifar10, emoji:twemoji, emoji, celeba, or folder:PATH
resolution: int = 32  # pixels
against: str = "held-out"  # which real pictures: held-out, or train for all that were trained on
steps: int = 40  # generator steps
width: int = 8  # DCGAN's feature maps next to the pixels; 64 gives all three the papers' widths
latent_dim: int = 128  # length of the latent vector z
batch_size: int = 16  # images per step of WGAN-GP and SNGAN; DCGAN takes twice as many
lr: float = 1.0e-3  # Adam's learning rate, at the start
ema_decay: float = 0.9  # decay of the averaged generator
flip: bool = False  # mirror half of the pictures; no emoji is its mirror image
n_eval: int = 500  # samples that the metrics see
seed: int = 0  # of networks, latents and data order
device: str = "auto"  # auto, cpu or cuda
out: str = ""  # the run's folder; empty: one of its own under runs/adhoc

# %% tags=["hide-input"]
PARAMETERS = notebook_parameters(globals(), set(__annotations__))
OUT, DEVICE = Path(out or folder_for("gan_cifar10", PARAMETERS)), choose_device(device)
SHARED = {name: value for name, value in PARAMETERS.items() if name != "against"}

# %% [markdown]
# ## One method, nine numbers
#
# The same method, WGAN-GP, on the same data, as reported by people who knew what they were doing.

# %% tags=["hide-input"]
reports = [
    ("{cite:t}`kang2023studiogan`, benchmark", "50,000 / training set", 53.98),
    ("{cite:t}`miyato2018spectral`, table 2, plain convolutions", "5,000 / 10,000", 40.2),
    ("{cite:t}`kang2023studiogan`, reproduction of the line above", "as there", 36.84),
    ("{cite:t}`heusel2017gans`, one learning rate", "50,000 / training set", 29.3),
    ("{cite:t}`lee2020mimicry`, reproduction of the line above", "50,000 / 50,000", 26.08),
    ("{cite:t}`heusel2017gans`, two learning rates", "50,000 / training set", 24.8),
    ("{cite:t}`lee2020mimicry`, benchmark", "50,000 / 50,000", 22.29),
    ("{cite:t}`wu2021collections`, plain convolutions", "50,000 / training set", 19.83),
    ("{cite:t}`wu2021collections`, residual networks", "50,000 / training set", 16.95),
]
rows = [[source, protocol, f"{fid:g}"] for source, protocol, fid in reports]
display(Markdown(markdown(["WGAN-GP, reported by", "samples / real pictures", "FID"], rows)))

# %% tags=["claim", "keep_output", "nbval-check-output"]
reported = [fid for *_, fid in reports]
ratio = max(reported) / min(reported)
print(f"the largest of the {len(reported)} numbers is {ratio:.1f} times the smallest")

# %% [markdown]
# No line is a mistake. Between them lie other networks, other learning rates, other numbers of steps, an averaged generator or the last one,
# and other ways to measure: how many samples, compared with which pictures. Whoever puts a new method under one of these numbers chooses
# by how much it wins. So a number needs its protocol, and a comparison needs both rows *made by the same code*. Ours:
#
# - **Data:** the training pictures at 32 pixels, no labels, mirrored at random.
# - **Samples:** 50,000 of the averaged generator after the last step. No checkpoint is picked by its FID.
# - **Compared with:** all 50,000 training pictures, as most of the table does. (With the 10,000 test pictures a GAN's FID is larger, because fewer
#   pictures describe the data less well.)
# - **Features:** the Inception network of 2015, whose weights each record names by their hash.
# - **Seeds:** three of the training, with their interval.

# %% [markdown]
# ## Three recipes
#
# - **DCGAN** {cite:p}`radford2016unsupervised`: strided convolutions, BatchNorm in both networks, one step each.
# - **WGAN-GP** {cite:p}`gulrajani2017improved`: residual networks, no normalisation in the critic, whose slope is held near one by a penalty; five
#   critic steps to one of the generator; a learning rate that falls to zero.
# - **SNGAN** {cite:p}`miyato2018spectral`: residual networks, spectral normalisation in the discriminator, the hinge loss; five to one as well.

# %% tags=["key"]
FIVE_TO_ONE = {
    "network": "resnet",
    "n_dis": 5,
    "beta1": 0.0,
    "beta2": 0.9,
    "schedule": "linear",
    "width_d": 2 * width,
}
CRITIC = {"loss": "wasserstein", "norm": "none", "penalty": "wgan_gp", "penalty_weight": 10.0}
SPECTRAL = {"loss": "hinge", "norm": "spectral"}
VARIANTS = {
    "dcgan": Variant("DCGAN", {"network": "dcgan", "norm": "batch", "batch_size": 2 * batch_size}),
    "wgan_gp": Variant("WGAN-GP", FIVE_TO_ONE | CRITIC | {"width_g": 2 * width}),
    "sngan": Variant("SNGAN", FIVE_TO_ONE | SPECTRAL | {"width_g": 4 * width}),
}
playing = chosen(VARIANTS, variant)


# %% [markdown]
# At the papers' widths these are networks of very different size. A table that puts them side by side compares *recipes*, not losses.

# %% tags=["hide-input"]
def count(network):
    return sum(p.numel() for p in network.parameters())


def at_full_width(name):
    """The networks of a recipe as on a GPU, and how many pictures its discriminator sees in 100,000 steps."""
    grown = {k: v // width * 64 if k.startswith("width") else v for k, v in VARIANTS[name].changes.items()}
    config = Config.from_mapping({"conditional": False, "resolution": 32, "latent_dim": 128, "width_g": 64, "width_d": 64} | grown)
    gan = build_gan(config, channels=3, n_classes=0, device="cpu")
    seen = 100_000 * config.n_dis * (128 if name == "dcgan" else 64)
    return [VARIANTS[name].title, f"{count(gan.generator):,}", f"{count(gan.discriminator):,}", f"{seen / 1e6:.1f} million"]


head = ["recipe", "parameters of G", "of D", "real pictures that D sees in 100,000 steps"]
display(Markdown(markdown(head, [at_full_width(name) for name in VARIANTS])))

# %% [markdown]
# ## Training and judging

# %% tags=["hide-output"]
machine = environment(DEVICE)
panel = Panel(dataset, resolution, device=DEVICE, against=against)
played = play_all(playing, SHARED, panel, OUT, device=DEVICE)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The same twenty latents under each recipe, not selected.", "name": "fig-gan-cifar10-sheet"}, "image": {"alt": "Rows of twenty generated pictures, one row a recipe."}}
show_sheet(played, VARIANTS)
plt.show()

# %% tags=["hide-input"]
write(OUT, played, panel, parameters=PARAMETERS, environment=machine)
display(Markdown(f"This run: `{dataset}`, seed {seed}, {steps:,} steps.\n\n{this_run(played, VARIANTS)}"))

# %% tags=["claim", "keep_output", "nbval-check-output"]
print("no recipe diverged:", not any(result.diverged for result in played.values()))
if variant == "all":
    slower = min(played["wgan_gp"].seconds, played["sngan"].seconds) > 5 * played["dcgan"].seconds
    print("a step with five discriminator updates costs more than five of DCGAN's:", slower)

# %% [markdown]
# So few steps draw blots, and DCGAN, whose discriminator has been updated a fifth as often, not even these. What this run shows is the price
# of a step, which a table at equal steps does not tell.
#
# ## Beside the published numbers
#
# A row of ours without records is *pending*: nobody has run it yet, and no number is typed in its place.

# %% tags=["hide-input"]
PUBLISHED = {
    "dcgan": [(36.9, "heusel2017gans"), (42.72, "wu2021collections"), (48.29, "kang2023studiogan")],
    "wgan_gp": [(16.95, "wu2021collections"), (22.29, "lee2020mimicry"), (24.8, "heusel2017gans")],
    "sngan": [(14.32, "wu2021collections"), (16.77, "lee2020mimicry"), (21.7, "miyato2018spectral")],
}
ours, lines = records_of("gan_cifar10").get("gpu", {}), []
for name, numbers in PUBLISHED.items():
    others = "; ".join(f"{fid:g} {{cite:p}}`{source}`" for fid, source in numbers)
    made = [r for r in ours.get(name, []) if r.params["dataset"] == "cifar10"]
    fids = [value for r in made for metric, value in r.metrics.items() if metric.startswith("fid")]
    hours = [r.environment["train_seconds"] / 3600 for r in made]
    lines.append([VARIANTS[name].title, others, mean_text(fids) if fids else "*pending*", mean_text(hours) if made else "–"])
display(Markdown(markdown(["recipe", "published FID", "ours", "hours"], lines)))

# %% [markdown]
# {cite:t}`miyato2018spectral` measured 5,000 samples, all others in this table 50,000 against the training set or as many of its pictures.
#
# ## Over seeds

# %% tags=["hide-input"]
display(Markdown(kept_tables("gan_cifar10", VARIANTS)))

# %% [markdown]
# ```{admonition} What can go wrong
# :class: warning
# - **JPEG.** CIFAR-10 is often passed on as folders of JPEG files. Compression alone moves the FID; compare with the original pictures, or say so.
# - **The best of many.** Ten checkpoints measured and the best one reported is a number of another kind than the last one.
# - **BatchNorm's statistics.** An averaged generator needs statistics of its own ({doc}`../practice/troubleshooting`); with those of
#   the trained one it may look many points worse.
# - **A conditional number in the same column.** With labels the same networks reach distances that are several points smaller.
# ```
#
# ```{exercise}
# :label: ex-cifar10-bias
# {cite:t}`lee2020mimicry` report 23.90 for an SNGAN measured with 5,000 samples and 16.77 for one measured with 50,000. Suppose it had been the same
# generator and that only the number $n$ of samples mattered, with $\mathrm{FID}_n=\mathrm{FID}_\infty+c/n$ ({doc}`../theory/12_evaluation`). What are $c$ and
# $\mathrm{FID}_\infty$, and what would 10,000 samples have given?
# ```
#
# ````{solution} ex-cifar10-bias
# :class: dropdown
# Two equations, two unknowns: $c=(23.90-16.77)/(1/5000-1/50000)$ and $\mathrm{FID}_\infty=16.77-c/50000$. The cell below has the figures. So much of a
# published distance is the size of the sample that two methods measured with 5,000 and with 50,000 cannot be ranked at all. (They were two
# generators, and the number of real pictures differed too.)
# ````

# %% tags=["hide-input"]
c = (23.90 - 16.77) / (1 / 5_000 - 1 / 50_000)
limit = 16.77 - c / 50_000
assert abs(limit + c / 5_000 - 23.90) < 1e-9
display(Markdown(f"$c$ = {c:,.0f}, $\\mathrm{{FID}}_\\infty$ = {limit:.2f}; with 10,000 samples {limit + c / 10_000:.2f}."))

# %% [markdown]
# ```{exercise}
# :label: ex-cifar10-budget
# How often has each recipe's discriminator seen every training picture after 100,000 generator steps, and how many steps may SNGAN take if it is to
# see no more pictures than DCGAN?
# ```
#
# ````{solution} ex-cifar10-budget
# :class: dropdown
# DCGAN: $10^5\cdot128/50{,}000=256$ times. The other two: $10^5\cdot5\cdot64/50{,}000=640$ times. For 256 times SNGAN may take 40,000 steps. Neither count
# is *the* fair one: a step of SNGAN also moves larger networks.
# ````

# %% tags=["hide-input"]
epochs = {name: 100_000 * n_dis * batch / 50_000 for name, n_dis, batch in (("dcgan", 1, 128), ("sngan", 5, 64))}
assert epochs == {"dcgan": 256, "sngan": 640} and 100_000 * epochs["dcgan"] / epochs["sngan"] == 40_000

# %% [markdown]
# ## Where this goes
#
# How fast the same networks come to a given distance is {doc}`the race <speedrun>`; which piece of DCGAN's advice survives is [measured one by
# one](dcgan_tips); what a newer loss and newer networks add, [on a fixed budget](modern_baseline). The runs of this experiment stand on its
# [results page](../results/gan_cifar10).
