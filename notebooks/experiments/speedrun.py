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
# # How fast to a given distance?
#
# ```{admonition} In this experiment
# :class: tip
# - a record that anybody can enter: the time in which a GAN's samples come within a given Fréchet distance of the data;
# - rules that say what the clock counts, and when a distance counts as reached;
# - the first entries: the paper's DCGAN recipe, and what other rates, batches and fakes make of the same networks.
#
# *Before this:* [evaluation](../theory/12_evaluation), [training dynamics](../theory/07_training_dynamics). *Cost:* less
# than a minute at `cpu` scale.
# ```
#
# Papers say which distance a GAN reaches in the end, seldom how long it took. Who trains on a laptop, or rents a GPU by
# the hour, asks the other question. Language models and image classifiers have such records; to our knowledge GANs have none. So here is one,
# small enough to be run tonight.
#
# ## The rules
#
# 1. **Task.** At `cpu` scale: MNIST's training digits at 28 pixels, without labels. At `gpu` scale: CIFAR-10's training
#    pictures at 32 pixels, without labels.
# 2. **Distance.** The Fréchet distance of fresh samples of the averaged generator: on MNIST from the 10,000 test
#    digits in the features of the committed judge, on CIFAR-10 from the training pictures in Inception's (FID). The
#    number of samples at each look is a parameter of the run and stands in the record: distances of different numbers
#    of samples do not compare ({doc}`../theory/12_evaluation`).
# 3. **The clock** counts training, data serving included. It stands still while samples are judged, and during the
#    first three steps, which compile and fill caches and are then undone; these are timed apart.
# 4. **Reached:** a distance counts from the first look at which the samples are that near, *if* they still are at the next look. One
#    lucky look does not count.
# 5. **An entry** is a row of `RECIPES` below: parameters of `ganbook.config.Config`, nothing else. It counts with at
#    least three seeds, each of which gets there, and with the device named. Rates may be tuned beforehand, on other
#    seeds; the time that took is not counted, and this is the weakness of all such records.
# 6. **Two clocks.** On a busy machine the wall tells more than the training took, so the processor's own time is kept
#    beside it. On a GPU only the wall counts.

# %% tags=["hide-input"]
import io
from dataclasses import asdict, replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown, display
from scipy.stats import t as student

from ganbook import data
from ganbook.checkpoint import write_atomically
from ganbook.config import Config, notebook_parameters
from ganbook.errors import InputError
from ganbook.evaluation import get_extractor
from ganbook.evaluation.features import SampledPictures, SetPictures, reference_statistics, statistics
from ganbook.evaluation.protocol import metric_name
from ganbook.experiment import build_gan, choose_device, default_folder, environment, write_json
from ganbook.ladder import mean_text
from ganbook.metrics import frechet_from_moments
from ganbook.plotting import image_sheet
from ganbook.results import kept_records
from ganbook.speedrun import race, reached

# %% [markdown]
# ## Parameters
#
# These are the defaults, the `cpu` scale.

# %% tags=["parameters"]
recipe: str = "all"  # a row of RECIPES, or all of the task's
dataset: str = "mnist"  # mnist or cifar10
resolution: int = 28  # pixels
extractor: str = "mnist-judge"  # whose features: mnist-judge or inception
thresholds: str = "600,350"  # distances of which the time is asked, separated by commas
steps: int = 160  # generator steps after which a run gives up
every: int = 20  # generator steps between two looks
n_look: int = 1000  # samples at each look
seed: int = 0  # of networks, latents and data order
device: str = "auto"  # auto, cpu or cuda
out: str = ""  # the run's folder; empty: one of its own under runs/adhoc

# %% tags=["hide-cell"]
PARAMETERS = notebook_parameters(globals(), set(__annotations__))

# %% [markdown]
# ## The entries
#
# The first is the recipe of {cite:t}`radford2016unsupervised`: Adam with rate $2\cdot10^{-4}$ and $\beta_1=\tfrac12$,
# batches of 128. `quick` is the same pair of networks with five times the rate and a quarter of the batch, and with a
# shorter memory of the average. `quick, same fakes` is `quick` with one pass of the generator less a step: the generator
# learns from the very fakes that the discriminator has just seen (`reuse_fakes`), not from fresh ones. `two rates` gives
# the discriminator the larger one {cite:p}`heusel2017gans`. On CIFAR-10 the other networks of this book join.

# %%
RECIPES = {
    "mnist": {
        "paper": {"batch_size": 128, "lr_g": 2e-4, "lr_d": 2e-4, "width_g": 16, "width_d": 16, "ema_decay": 0.99},
        "quick": {"batch_size": 32, "lr_g": 1e-3, "lr_d": 1e-3, "width_g": 16, "width_d": 16, "ema_decay": 0.98},
        "quick, same fakes": {
            "batch_size": 32, "lr_g": 1e-3, "lr_d": 1e-3, "width_g": 16, "width_d": 16, "ema_decay": 0.98,
            "reuse_fakes": True,
        },
        "two rates": {"batch_size": 32, "lr_g": 5e-4, "lr_d": 2e-3, "width_g": 16, "width_d": 16, "ema_decay": 0.98},
    },
    "cifar10": {
        "paper": {"batch_size": 128, "lr_g": 2e-4, "lr_d": 2e-4, "width_g": 64, "width_d": 64},
        "resnet": {
            "network": "resnet", "norm": "spectral", "loss": "hinge", "batch_size": 64, "n_dis": 5, "beta1": 0.0,
            "beta2": 0.9, "lr_g": 2e-4, "lr_d": 2e-4, "width_g": 256, "width_d": 128, "latent_dim": 128,
        },
        "resnet, two rates, bf16": {
            "network": "resnet", "norm": "spectral", "loss": "hinge", "batch_size": 64, "n_dis": 1, "beta1": 0.0,
            "beta2": 0.9, "lr_g": 1e-4, "lr_d": 4e-4, "width_g": 256, "width_d": 128, "latent_dim": 128,
            "precision": "bf16", "compile": "default",
        },
    },
}  # fmt: skip

# %% tags=["hide-input"]
if dataset not in RECIPES or recipe not in ("all", *RECIPES[dataset]):
    raise InputError(
        f"No entry {recipe!r} for the data set {dataset!r}. Entries: "
        + "; ".join(f"{name}: all, {', '.join(rows)}" for name, rows in RECIPES.items())
        + ". A new one is a row of RECIPES."
    )
THRESHOLDS = [float(part) for part in thresholds.split(",")]
TASK = Config(dataset=dataset, resolution=resolution, conditional=False, steps=steps, n_eval=n_look, seed=seed)
ENTRIES = {name: replace(TASK, **RECIPES[dataset][name]) for name in RECIPES[dataset] if recipe in ("all", name)}
OUT = Path(out or default_folder("speedrun", next(iter(ENTRIES.values()))))
OUT.mkdir(parents=True, exist_ok=True)
DEVICE = choose_device(device)

# %% [markdown]
# ## The distance
#
# The statistics of the data are computed once and kept. Each look draws fresh latents, the same ones for every entry.

# %%
machine = environment(DEVICE)
training = data.load(dataset, resolution=resolution)
measured_on = data.load(dataset, split="test", resolution=resolution) if dataset == "mnist" else training
features = get_extractor(extractor, device=DEVICE, progress=False)
real = reference_statistics(SetPictures(measured_on, len(measured_on.images)), features, progress=False).moments


def distance(gan):
    """The Fréchet distance of fresh samples of the averaged generator, its BatchNorm statistics its own."""
    gan.refresh_batchnorm(batches=4)
    pictures = SampledPictures("the generator", gan, gan.latent_dim, n_look, seed=1000 + gan.steps_done)
    fake = statistics(pictures, features, batch_size=250, keep=2, progress=False)
    return float(frechet_from_moments(real, fake.moments))


# %% [markdown]
# ## The race

# %% tags=["hide-output"]
races, sheets = {}, {}
for name, config in ENTRIES.items():
    gan = build_gan(config, channels=training.images.shape[1], n_classes=0, device=DEVICE)
    batches = data.Batches(training, config.batch_size, seed=seed, device=DEVICE, flip=dataset == "cifar10")
    races[name] = race(gan, batches, distance, thresholds=THRESHOLDS, every=every, steps=steps, n_dis=config.n_dis)
    sheets[name] = next(SampledPictures(name, gan, gan.latent_dim, 20, seed=1).batches(20))
seen = pd.DataFrame([{"entry": name, **asdict(look)} for name, result in races.items() for look in result.looks])

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Distance of the samples over the clock of the processor (on a GPU, of the wall), one line an entry. Dotted: the distances asked for.", "name": "fig-speedrun"}, "image": {"alt": "Falling curves of the Fréchet distance over seconds, on logarithmic axes, with dotted horizontal lines at the thresholds."}}
CLOCK = "seconds" if DEVICE.type == "cuda" else "cpu_seconds"
figure, axes = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
for (name, part), colour, mark in zip(
    seen.groupby("entry", sort=False), ("0.45", "#0072b2", "#b44a00", "#007a5e"), "osD^"
):
    axes.plot(part[CLOCK], part["distance"], marker=mark, markersize=4, color=colour, label=name)
for threshold in THRESHOLDS:
    axes.axhline(threshold, color="0.3", linestyle=":", linewidth=1)
axes.set(xlabel="seconds of training", ylabel=metric_name("frechet", n_look, extractor), xscale="log", yscale="log")
axes.legend(frameon=False, fontsize=8)
axes.grid(alpha=0.3, which="both")
plt.show()

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Samples at the moment each entry stopped, one entry a row.", "name": "fig-speedrun-sheet"}, "image": {"alt": "Rows of twenty generated pictures, one row an entry."}}
import torch

sheet = image_sheet(torch.cat(list(sheets.values())).float().div(127.5).sub(1), columns=20)
figure, axes = plt.subplots(figsize=(8, 0.45 * len(sheets) + 0.2), layout="constrained")
axes.imshow(sheet, cmap="gray")
side = resolution + 1
axes.set(xticks=[], yticks=[side / 2 + side * row for row in range(len(sheets))], yticklabels=list(sheets))
axes.tick_params(length=0, labelsize=8)
axes.spines[:].set_visible(False)
plt.show()


# %% tags=["hide-input"]
def cell(look):
    return "not reached" if look is None else f"{look.seconds:.1f} s ({look.cpu_seconds:.1f}), step {look.step}"


head = ["entry", *(f"to {threshold:g}" for threshold in THRESHOLDS), "warm-up", "nearest"]
lines = [head, ["---"] * len(head)]
for name, result in races.items():
    times = [cell(reached(result.looks, threshold)) for threshold in THRESHOLDS]
    nearest = f"{min(look.distance for look in result.looks):.1f}" if result.looks else "–"
    lines.append([name, *times, f"{result.warm_up:.1f} s", nearest + (", diverged" if result.diverged else "")])
display(
    Markdown(
        f"Seconds on the wall, of the processor in brackets; one seed, {machine['device']}.\n\n"
        + "\n".join("| " + " | ".join(line) + " |" for line in lines)
    )
)

# %% [markdown]
# ## The record of this run
#
# The run's folder keeps its parameters, curves, samples and numbers; the [results pages](../results/index) are made of such records.

# %%
text = io.StringIO()
seen.to_csv(text, index=False, float_format="%.6g", lineterminator="\n")
write_atomically(OUT / "history.csv", text.getvalue().encode())
picture = io.BytesIO()
sheet.save(picture, format="png", optimize=True)
write_atomically(OUT / "samples.png", picture.getvalue())
spent = round(sum(result.looks[-1].seconds for result in races.values() if result.looks), 2)
write_json(OUT / "params.json", {k: v for k, v in PARAMETERS.items() if k not in ("device", "out")})
write_json(OUT / "environment.json", {**machine, "train_seconds": spent})
protocol = {
    "dataset": dataset,
    "split": measured_on.split,
    "preprocessing": measured_on.preprocessing,
    "n_real": len(measured_on.images),
    "n_fake": n_look,
    "extractor": features.name,
    "extractor_sha256": features.sha256,
}
metrics = {}
for name, result in races.items():
    for threshold in THRESHOLDS:
        if (look := reached(result.looks, threshold)) is not None:
            metrics[f"seconds_to_{threshold:g}({name})"] = look.seconds
            metrics[f"cpu_seconds_to_{threshold:g}({name})"] = look.cpu_seconds
    metrics[f"warm_up_seconds({name})"] = result.warm_up
    if result.looks:
        metrics[f"nearest({name})"] = min(look.distance for look in result.looks)
write_json(OUT / "metrics.json", {**metrics, "protocol": protocol})

# %% tags=["claim", "keep_output", "nbval-check-output"]
first = {name: reached(result.looks, max(THRESHOLDS)) for name, result in races.items()}
sooner = first["paper"] is None or first["quick"].cpu_seconds <= first["paper"].cpu_seconds if first["quick"] else False
print("the quick recipe reaches the larger distance, and the paper's does not before it:", sooner)
pace = {name: result.looks[-1].cpu_seconds / result.looks[-1].step for name, result in races.items()}
print("a step of the paper's recipe, with four times the pictures, takes longer:", pace["paper"] > pace["quick"])

# %% [markdown]
# In the first steps the distance may *rise*: noise is nearer to the digits, in these features, than the first blots. A
# race that ended there would crown the slowest recipe. And a minute is a short race: rates that are too small for it may
# be right for a day, which is what the papers had.

# %% [markdown]
# ## The table of records
#
# From committed records of longer runs; a row of a scale that nobody has run yet is *pending*. Intervals are Student's, at 95 %, of the
# logarithm of the time, over the seeds that got there.


# %% tags=["hide-input"]
def interval(values):
    """Geometric mean and, with more than one value, its 95 % interval."""
    logs = np.log(values)
    if len(logs) < 2:
        return f"{np.exp(logs.mean()):.1f}"
    half = student.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / len(logs) ** 0.5
    return f"{np.exp(logs.mean()):.1f} ({np.exp(logs.mean() - half):.1f} … {np.exp(logs.mean() + half):.1f})"


def standing(scale, task):
    """Rows of one scale: each entry, for each distance the time and how many seeds reached it."""
    kept = [r for r in kept_records("speedrun", scale) if r.params["dataset"] == task]
    if not kept:
        return [[scale, task, name, "*pending*", "", "", ""] for name in RECIPES[task]]
    rows = []
    for name in RECIPES[task]:
        ours = [r for r in kept if f"warm_up_seconds({name})" in r.metrics]
        ends = [r.metrics[f"nearest({name})"] for r in ours if f"nearest({name})" in r.metrics]
        for threshold in kept[0].params["thresholds"].split(",") if ours else ():
            wall, cpu = (
                [r.metrics[k] for r in ours if (k := f"{clock}_to_{float(threshold):g}({name})") in r.metrics]
                for clock in ("seconds", "cpu_seconds")
            )
            count = f"{len(wall)} of {len(ours)} seeds"
            times = [interval(wall), interval(cpu)] if wall else ["–", "–"]
            machine = ours[0].environment["device"]
            rows.append([f"{scale}, {machine}", task, name, f"{float(threshold):g}: {count}", *times, mean_text(ends)])
    return rows


head = ["scale", "data", "entry", "distance", "seconds, wall", "seconds, processor", "nearest"]
rows = [head, ["---"] * 7, *standing("cpu-long", "mnist"), *standing("gpu", "cifar10")]
display(Markdown("\n".join("| " + " | ".join(row) + " |" for row in rows)))


# %% tags=["hide-input"]
def price_of_reuse():
    """What the committed records say of the same fakes: how soon at the first distance, how near in the end."""
    kept = [r for r in kept_records("speedrun", "cpu-long") if "nearest(quick, same fakes)" in r.metrics]
    if not kept:
        return "Whether the same fakes do as well as fresh ones, the longer runs have still to tell."
    first = max(float(part) for part in kept[0].params["thresholds"].split(","))
    soon, near = f"cpu_seconds_to_{first:g}", "nearest"
    (soon_a, soon_b), (near_a, near_b) = (
        [np.mean([r.metrics.get(f"{what}({name})", np.nan) for r in kept]) for name in ("quick", "quick, same fakes")]
        for what in (soon, near)
    )
    behind = sum(r.metrics["nearest(quick, same fakes)"] > r.metrics["nearest(quick)"] for r in kept)
    return (
        f"The same fakes cost less a step and are not free. Over {len(kept)} seeds at `cpu-long`, `quick` came to {first:g} after "
        f"{soon_a:.1f} processor seconds with fresh fakes and after {soon_b:.1f} with the same ones; the nearest either came in "
        f"as many *steps* was {near_a:.0f} and {near_b:.0f} on average, the same fakes behind in {behind} of {len(kept)} seeds."
    )


display(Markdown(price_of_reuse()))

# %% [markdown]
# A likely reason: the discriminator has just been moved to tell these very samples from the data, and its verdict on them is not the one it
# would give on samples that it has not seen. {prf:ref}`alg-gan` draws twice, and so does this library unless told otherwise.
#
# ## How to enter
#
# 1. Add a row to `RECIPES`, and try it: `ganbook run notebooks/experiments/speedrun.py -p recipe=NAME`.
# 2. Run the seeds of the scale on a machine that does nothing else: `make experiments SCALE=cpu-long ONLY=speedrun`.
# 3. `ganbook experiments keep cpu-long/speedrun` puts the records under `book/results`; send them with the row.
#
# ```{admonition} What can go wrong
# :class: warning
# - **A look costs time too.** It is not on the clock, but a notebook that looks often takes long; one that looks seldom
#   reaches its distances late, at the next look. Compare entries with the same interval.
# - **The average lags.** The judged samples are those of the averaged generator, which remembers about
#   $1/(1-\text{decay})$ steps. With a decay of 0.999 the first hundreds of steps are blots, however good the generator.
# - **Tuning to the threshold.** A rate that is best for a coarse distance is often too large for a fine one: the entry
#   that wins here may never get where a slower one ends.
# - **A busy machine.** Two runs side by side share caches and memory; then the wall's seconds are worth little.
# ```
#
# ```{exercise}
# :label: ex-speedrun-lucky
# At each look the measured distance is the true one times $e^{\epsilon}$, with independent $\epsilon\sim\mathcal N(0,
# 0.05^2)$. The true distance stays at 4 % above the threshold for twenty looks. How likely is at least one look below
# it, and how likely are two in a row somewhere?
# ```
#
# ````{solution} ex-speedrun-lucky
# :class: dropdown
# One look is below with probability $p=\Phi(-\ln 1.04/0.05)$, about one in five, so that some look is with probability
# $1-(1-p)^{20}$, nearly one. For two in a row let $a_n$ be the probability of none in $n$ looks:
# $a_n=(1-p)\,a_{n-1}+p(1-p)\,a_{n-2}$ with $a_0=a_1=1$. The cell below has the figures.
# ````

# %% tags=["hide-input"]
from scipy.stats import norm as normal

p = normal.cdf(-np.log(1.04) / 0.05)
none = [1.0, 1.0]
for _ in range(19):
    none.append((1 - p) * none[-1] + p * (1 - p) * none[-2])
draws = np.random.default_rng(0).random((20_000, 20)) < p
assert abs((draws[:, 1:] & draws[:, :-1]).any(1).mean() - (1 - none[20])) < 0.02
display(Markdown(f"One look: {p:.2f}. Some look of twenty: {1 - (1 - p) ** 20:.2f}. Two in a row: {1 - none[20]:.2f}."))

# %% [markdown]
# ## Where this goes
#
# Which switches make a step faster without changing it is the subject of [GPU tuning](../practice/gpu); what each
# ingredient of a recipe does, of [DCGAN's advice](dcgan_tips). The runs of this experiment stand on its [results page](../results/speedrun).
