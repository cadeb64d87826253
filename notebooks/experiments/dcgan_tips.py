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
# # Which of DCGAN's advice survives?
#
# ```{admonition} In this experiment
# :class: tip
# - the kitchen wisdom of GAN training, one piece at a time: twenty small GANs, each equal to one recipe but for one
#   thing;
# - the same seed, the same pictures in the same order, the same number of steps, and one Fréchet distance to judge
#   them;
# - a table over several seeds, with an interval for each piece of advice, that says which of it matters *at this
#   scale*.
#
# *Before this:* [a conditional GAN on MNIST](gan_mnist), [the training dynamics](../theory/07_training_dynamics).
# *Cost:* a minute or two at `cpu` scale; the table's runs take half an hour.
# ```
#
# {cite:t}`radford2016unsupervised` found networks that train without collapsing, and summed them up in a list: strides
# instead of pooling, BatchNorm in both networks, no dense hidden layers, ReLU in the generator and LeakyReLU in the
# discriminator, tanh last, Adam with $\beta_1=\frac12$, weights from $\mathcal N(0, 0.02^2)$. Practitioners added to
# it: normal instead of uniform noise, real and fake in separate batches of BatchNorm, noise on the pictures, smooth
# labels {cite:p}`salimans2016improved`, a discriminator that does not run ahead. Most of this is handed on without
# numbers. Each piece is a claim, though, and a claim can be tested: do everything alike but for this, and look.

# %% tags=["hide-input"]
import csv
import io
import time
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown, display
from scipy.stats import t as student

from ganbook import data, plotting
from ganbook.checkpoint import write_atomically
from ganbook.config import Config, notebook_parameters
from ganbook.errors import DivergenceError, unknown_name
from ganbook.evaluation.protocol import metric_name
from ganbook.experiment import choose_device, default_folder, environment, write_json
from ganbook.judge import load_judge
from ganbook.metrics import Moments, frechet_from_moments
from ganbook.models.gan import GAN
from ganbook.nn.advice import Advice, Discriminator, Generator
from ganbook.plotting import image_sheet
from ganbook.results import kept_records
from ganbook.training import train

# %% [markdown]
# ## Parameters
#
# These are the defaults, the `cpu` scale: one seed, a few seconds for each of half the variants.

# %% tags=["parameters"]
steps: int = 400  # generator steps of each variant
width: int = 8  # feature maps of the generator's last hidden layer and the discriminator's first
latent_dim: int = 32  # length of the latent vector z
batch_size: int = 16  # images per step
lr: float = 1.0e-3  # Adam's learning rate, both networks
ema_decay: float = 0.99  # decay of the averaged generator
n_eval: int = 2000  # samples that the metrics see
only: str = "linear,joint,max,tanh,no_norm_d,ahead,sgd"  # variants, or all
seed: int = 0  # of networks, latents and data order
device: str = "auto"  # auto, cpu or cuda
out: str = ""  # the run's folder; empty: one of its own under runs/adhoc

# %% tags=["hide-input"]
PARAMETERS = notebook_parameters(globals(), set(__annotations__))
config = Config.from_mapping(
    {"dataset": "mnist", "resolution": 28, "conditional": True, "width_g": width, "width_d": width}
    | {"lr_g": lr, "lr_d": lr}
    | {k: v for k, v in PARAMETERS.items() if k not in ("width", "lr", "only", "device", "out")}
)
OUT, DEVICE = Path(out or default_folder("dcgan_tips", config)), choose_device(device)
OUT.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# ## Twenty variants
#
# The *recipe* follows the paper's list; `ganbook.nn.advice` builds its networks with a switch for each item. A variant
# either breaks one piece of advice, or follows one that the recipe leaves open. (Uniform noise is what the paper
# itself used.) Dense layers get as many multiplications as the convolutions they replace, which makes them wide.


# %% tags=["key"]
@dataclass(frozen=True)
class Variant:
    """One departure from the recipe."""

    advice: str
    does: str
    follows: bool = False  # follows advice that the recipe leaves open; else breaks what the recipe follows
    networks: Advice = field(default_factory=Advice)
    training: dict = field(default_factory=dict)  # arguments of GAN
    n_dis: int = 1
    real_noise: float = 0.0  # standard deviation of noise on the real pictures alone
    sgd: bool = False


VARIANTS = {
    "recipe": Variant("", "all of the paper's list"),
    "unit": Variant("pictures in [-1, 1], tanh last", "[0, 1], sigmoid last", networks=Advice(pixels="unit")),
    "linear": Variant("tanh last", "a linear output", networks=Advice(output="linear")),
    "uniform": Variant("normal noise", "uniform on [-1, 1]", networks=Advice(latents="uniform")),
    "sphere": Variant("normal noise", "uniform on a sphere", networks=Advice(latents="sphere")),
    "joint": Variant("real and fake in separate batches", "one batch of both", training={"joint_batch": True}),
    "dense": Variant("convolutions", "dense layers, as many multiplications", networks=Advice(layers="dense")),
    "max": Variant("strides in D", "max pooling", networks=Advice(down="max")),
    "nearest": Variant("strides in G", "repeated pixels, then a convolution", networks=Advice(up="nearest")),
    "relu_d": Variant("LeakyReLU in D", "ReLU", networks=Advice(activation_d="relu")),
    "leaky_g": Variant("ReLU in G", "LeakyReLU", networks=Advice(activation_g="leaky_relu")),
    "tanh": Variant("the ReLU family", "tanh in both", networks=Advice(activation_g="tanh", activation_d="tanh")),
    "no_norm_g": Variant("BatchNorm in G", "none", networks=Advice(norm_g="none")),
    "no_norm_d": Variant("BatchNorm in D", "none", networks=Advice(norm_d="none")),
    "real_noise": Variant("noise on the real pictures", "σ = 0.1 on them", follows=True, real_noise=0.1),
    "noise": Variant("noise on all pictures", "σ = 0.1 on all", follows=True, training={"instance_noise": 0.1}),
    "smooth": Variant("smooth labels", "targets from [0.8, 1]", follows=True, training={"real_target": 0.8}),
    "ahead": Variant("a D that is not ahead", "three steps of D for one of G", n_dis=3),
    "momentum": Variant("Adam's β₁ = ½", "β₁ = 0.9", training={"betas": (0.9, 0.999)}),
    "sgd": Variant("Adam", "SGD, momentum 0.9, rate 0.02", sgd=True),
    "weights": Variant("weights from N(0, 0.02²)", "torch's own", networks=Advice(weights="torch")),
}
chosen = list(VARIANTS) if only == "all" else ["recipe", *(name.strip() for name in only.split(","))]
for name in chosen:
    if name not in VARIANTS:
        raise unknown_name("variant", name, VARIANTS)

# %% [markdown]
# ## Training and measuring
#
# Every variant starts from the same seed, sees the same digits in the same order and draws the same latents as long as
# it asks for equally many. What it has learned is judged from the same latents, asked for all digits in turn: the
# Fréchet distance in the features of the judge, a classifier trained on real digits alone, from all test digits; and
# how often the judge reads the digit that was asked for.

# %%
digits = data.load("mnist", resolution=28)
held_out, _ = data.to_tensors(data.load("mnist", split="test", resolution=28))
judge = load_judge("mnist")
real_features = judge.features(held_out)
REAL_MOMENTS = Moments(real_features.shape[1]).update(real_features)
rng = torch.Generator().manual_seed(1)
asked = torch.arange(n_eval) % 10
latents = torch.randn(n_eval, latent_dim, generator=rng)


def build(variant: Variant) -> GAN:
    """The GAN of a variant, initialised from the seed."""
    sizes = {"resolution": 28, "channels": 1, "width": width, "n_classes": 10}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        networks = (
            Generator(variant.networks, latent_dim=latent_dim, **sizes),
            Discriminator(variant.networks, **sizes),
        )
    options = {"lr_g": lr, "lr_d": lr, "ema_decay": ema_decay, "seed": seed, "device": DEVICE} | variant.training
    gan = GAN(*networks, **options)
    if variant.sgd:
        for name, network in (("optimizer_g", gan.generator), ("optimizer_d", gan.discriminator)):
            setattr(gan, name, torch.optim.SGD(network.parameters(), 0.02, momentum=0.9))
    return gan


def served(variant: Variant):
    """The seed's batches, with noise on the real pictures where the variant wants it."""
    noise = torch.Generator(DEVICE).manual_seed(seed)
    for real, labels in data.Batches(digits, batch_size, seed=seed, device=DEVICE):
        yield real + variant.real_noise * torch.randn(real.shape, generator=noise, device=DEVICE), labels


def judged(gan: GAN) -> dict:
    """Distance, accuracy and a row of ten pictures of the averaged generator, pixels clipped to what can be stored."""
    gan.refresh_batchnorm(batches=4)
    fake = gan.sample(latents, asked).nan_to_num(-1.0).clamp(-1, 1)
    features = judge.features(fake)
    fd = frechet_from_moments(REAL_MOMENTS, Moments(features.shape[1]).update(features))
    read = judge.network.head(features).argmax(1)
    return {"fd": fd, "accuracy": (read == asked).double().mean().item(), "pictures": fake[:20]}


def run(name: str) -> dict:
    """Train and judge one variant; one that diverges is judged by what it draws then."""
    variant, start = VARIANTS[name], time.perf_counter()
    gan, diverged = build(variant), False
    try:
        train(gan, served(variant), steps=steps, n_dis=variant.n_dis, progress=False)
    except DivergenceError:
        diverged = True
    seconds = time.perf_counter() - start
    return {"variant": name, **judged(gan), "seconds": seconds, "diverged": diverged}


# %% tags=["hide-output"]
provenance = environment(DEVICE)
train(build(VARIANTS["recipe"]), served(VARIANTS["recipe"]), steps=2, progress=False)  # warm: the first steps are slow
results = {name: run(name) for name in chosen}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Each row one variant, the recipe first: the same twenty latents, asked for 0 … 9 twice. The short names are those in brackets in the next figure. One seed.", "name": "fig-tips-sheet"}, "image": {"alt": "Rows of twenty small generated digits each. Some rows show readable digits, some only blots."}}
sheet = image_sheet(torch.cat([result["pictures"] for result in results.values()]), columns=20)
figure, axes = plt.subplots(figsize=(7.5, 7.5 * sheet.height / sheet.width * 0.87), layout="constrained")
axes.imshow(sheet, cmap="gray", vmin=0, vmax=255)
axes.set(xticks=[], yticks=[15 + 29 * row for row in range(len(results))], yticklabels=results)
axes.tick_params(length=0, labelsize=8)
axes.spines[:].set_visible(False)
plt.show()

# %% [markdown]
# ## The record
#
# One line for each variant; the sheet above goes with it.

# %%
COLUMNS = ("variant", "fd", "accuracy", "seconds", "diverged")
text = io.StringIO()
writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
writer.writeheader()
writer.writerows(results.values())
write_atomically(OUT / "history.csv", text.getvalue().encode())
picture = io.BytesIO()
sheet.save(picture, format="png", optimize=True)
write_atomically(OUT / "samples.png", picture.getvalue())
write_json(OUT / "params.json", {k: v for k, v in PARAMETERS.items() if k not in ("device", "out")})
spent = round(sum(result["seconds"] for result in results.values()), 2)
write_json(OUT / "environment.json", {**provenance, "train_seconds": spent})
protocol = {
    "dataset": "mnist",
    "split": "test",
    "n_real": len(held_out),
    "n_fake": n_eval,
    "extractor": "mnist-judge",
    "extractor_sha256": judge.sha256,
}
others = [result["fd"] for name, result in results.items() if name != "recipe"]
metrics = {
    f"recipe_{metric_name('frechet', n_eval, 'mnist-judge')}": results["recipe"]["fd"],
    "recipe_judge_accuracy": results["recipe"]["accuracy"],
    "variants_worse_than_the_recipe": float(np.mean([fd > results["recipe"]["fd"] for fd in others])) if others else 0.0,
}
write_json(OUT / "metrics.json", {**metrics, "protocol": protocol})

# %% [markdown]
# ## Which advice survives
#
# One seed proves nothing: the same recipe with another seed gives another distance. So the table reads the records of
# longer runs over several seeds (`make experiments SCALE=cpu-long`), kept in this repository. Distances spread by
# factors, so we compare logarithms. Let $F_s$ be the distance of the run that *follows* a piece of advice with seed
# $s$ and $F'_s$ that of the run that does not, both with the same seed. With $\ell_s=\log F'_s-\log F_s$, its mean
# $\bar\ell$ and standard deviation $\sigma$ over $S$ seeds,
#
# $$ \exp\Big(\bar\ell\pm t_{S-1}\,\frac{\sigma}{\sqrt S}\Big) $$ (eq-tips-interval)
#
# with Student's $97.5\%$ quantile $t_{S-1}$ is a $95\%$ interval of the factor by which *ignoring* the advice
# multiplies the distance, if the $\ell_s$ are normal. Above one, the advice helps.


# %%
def worth(table: pd.DataFrame, name: str) -> dict:
    """Factor of ignoring the advice that a variant breaks or follows, with its interval, from a table by seed and variant."""
    ratio = np.log(table[name] / table["recipe"]).dropna() * (-1 if VARIANTS[name].follows else 1)
    half = student.ppf(0.975, len(ratio) - 1) * ratio.std(ddof=1) / np.sqrt(len(ratio)) if len(ratio) > 1 else np.nan
    factor, low, high = np.exp([ratio.mean(), ratio.mean() - half, ratio.mean() + half])
    return {"variant": name, "factor": factor, "low": low, "high": high}


def verdict(row: dict) -> str:
    """What the interval says."""
    if np.isnan(row["low"]):
        return "one seed"
    return "**helps**" if row["low"] > 1 else "*harms*" if row["high"] < 1 else "no difference seen"


def between(row: dict) -> str:
    """The interval as text."""
    return "–" if np.isnan(row["low"]) else f"{row['low']:.2f} … {row['high']:.2f}"


kept = kept_records("dcgan_tips")
rows = [r.history().assign(seed=r.params["seed"]) for r in kept] or [pd.DataFrame(results.values()).assign(seed=seed)]
records = pd.concat(rows, ignore_index=True)
by_seed = records.pivot(index="seed", columns="variant", values="fd")
accuracy = records.pivot(index="seed", columns="variant", values="accuracy").mean()
table = [worth(by_seed, name) for name in VARIANTS if name in by_seed and name != "recipe"]

# %% tags=["hide-input"]
source = (
    f"{len(kept)} seeds, {kept[0].params['steps']:,} steps each, from the committed records; {kept[0].environment['device']}"
    if kept
    else "**this run alone: the longer runs have not been made yet, so there are no intervals**"
)
lines = "\n".join(
    f"| {v.advice} | {v.does} | {by_seed[row['variant']].mean():.1f} | {accuracy[row['variant']]:.0%} "
    f"| {row['factor']:.2f} | {between(row)} | {verdict(row)} |"
    for row in table
    for v in [VARIANTS[row["variant"]]]
)
display(
    Markdown(
        f"From {source}. The recipe: FD {by_seed['recipe'].mean():.1f} ({by_seed['recipe'].min():.1f} to "
        f"{by_seed['recipe'].max():.1f} over the seeds), {accuracy['recipe']:.0%} of its samples are read as asked.\n\n"
        "| advice | the variant | FD | read as asked | factor of ignoring it | 95 % interval | the advice |\n"
        f"|---|---|---|---|---|---|---|\n{lines}\n\n"
        f"*Protocol:* FD(mnist-judge), {kept[0].protocol['n_fake'] if kept else n_eval:,} samples against all test digits."
    )
)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The factor by which ignoring a piece of advice multiplies the Fréchet distance, with its 95% interval over seeds (none where there is only this run). To the right of one the advice helps (blue), to the left it harms (purple); the interval of a grey one holds one.", "name": "fig-tips-worth"}, "image": {"alt": "Horizontal intervals, one for each variant, sorted by their factor, around a vertical line at one; a logarithmic axis."}}
ordered = sorted(table, key=lambda row: row["factor"])
figure, axes = plt.subplots(figsize=(7, 0.27 * max(len(ordered), 3) + 0.8), layout="constrained")
for place, row in enumerate(ordered):
    colour = {"**helps**": plotting.REAL, "*harms*": plotting.GENERATOR}.get(verdict(row), "0.5")
    if not np.isnan(row["low"]):
        axes.plot([row["low"], row["high"]], [place, place], color=colour)
    axes.plot(row["factor"], place, "o", color=colour)
names = [f"{VARIANTS[row['variant']].advice} ({row['variant']})" for row in ordered]
axes.set_yticks(range(len(ordered)), names, fontsize=8)
axes.axvline(1, color="black", linewidth=0.8)
axes.set_xscale("log", base=2)
axes.xaxis.set_major_formatter("{x:g}")
axes.set(xlabel="distance without the advice / with it")
axes.grid(alpha=0.3, axis="x")
plt.show()

# %% tags=["hide-input"]
helps, harms = ([row["variant"] for row in table if verdict(row) == word] for word in ("**helps**", "*harms*"))


def words(names: list[str]) -> str:
    """The advice of some variants in words."""
    return "; ".join(f"{VARIANTS[n].advice} ({n})" for n in names) or "none"


count = len(table)
found = (
    f"**Survives here:** {words(helps)}. **Does harm here:** {words(harms)}. For the other "
    f"{count - len(helps) - len(harms)} of {count} no difference was seen that exceeds the spread of the seeds. If no advice "
    f"mattered at all, about {0.05 * count:.0f} of so many intervals of 95 % would miss one by chance."
    if kept
    else "One seed gives no verdict. The table above says only what to look at in a longer run."
)
display(Markdown(found))

# %% tags=["claim", "keep_output", "nbval-check-output"]
distance = {name: result["fd"] for name, result in results.items()}
doubled = distance.get("joint", 0) > 2 * distance["recipe"]
print("real and fake in one batch of BatchNorm: more than twice the recipe's distance in this run:", doubled)

# %% [markdown]
# ```{admonition} What can go wrong
# :class: warning
# - **One seed.** The recipe's own distance varies from seed to seed; where the table gives a range, compare the
#   factors with it.
# - **One budget.** After a few hundred steps the early phase decides, in which the discriminator is far ahead. What
#   slows a start may not matter later, and the other way about.
# - **One learning rate.** Each variant runs with the recipe's settings, which were chosen for the recipe. SGD or dense
#   layers with rates of their own might do better; the table asks only whether an item can be dropped from the list.
# - **One scale.** These are small networks on digits. Advice that makes no difference here may be what keeps a
#   network for faces from collapsing.
# ```
#
# ```{exercise}
# :label: ex-tips-joint
# With real and fake pictures in one batch, BatchNorm subtracts the mean of both together. Let a layer's feature be $a$ on
# every real picture and $b\ne a$ on every fake one, half of the batch each. What are its normalised values, and what
# does a single layer above need to tell the two apart? What are they in separate batches?
# ```
#
# ```{solution} ex-tips-joint
# :class: dropdown
# The mean is $\frac{a+b}2$ and the standard deviation $\frac{|a-b|}2$: the normalised values are $+1$ and $-1$, however
# small the difference was. The faintest difference of means becomes a perfect separation, and the discriminator wins
# early. In separate batches each has mean zero: the difference of the means is invisible, and only the shape of the
# distributions within each batch is left to judge.
# ```
#
# ## Where this goes
#
# The seeds of this experiment stand on the [results page](../results/dcgan_tips). Which loss and which bound on the
# slope to choose is [another experiment](wgan).
