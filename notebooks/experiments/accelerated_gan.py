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
# # Does a pretrained decoder make a GAN train faster?
#
# ```{admonition} In this experiment
# :class: tip
# - GANs whose generator starts from random weights, against the same GANs whose generator starts from the decoder of a VAE or WAE (with labels: CVAE or CWAE);
# - two clocks, generator steps and seconds, and the second one *includes the pretraining*;
# - a discriminator that first catches up while the generator is held, given to everyone alike;
# - the saving with its interval over seeds, and a verdict that the notebook computes.
#
# *Before this:* [autoencoders on MNIST](autoencoders_mnist), [a conditional GAN](gan_mnist). *Cost:* about a minute at `cpu` scale, for one seed of one game and one decoder.
# ```
#
# A GAN's generator and an autoencoder's decoder are the same network: a code in, a picture out. The decoder learns by regression on real pictures, quickly and without a game, and stops at blurred ones. The idea is to let the
# game begin there. What speaks for it: the first steps of a GAN, in which noise becomes strokes, are saved. What speaks against it: the autoencoder costs time too, and a discriminator at its random start may undo what the decoder knows
# before it has learnt to judge.
#
# The comparison has to be fair in four ways, and each is built in:
#
# - *The clock.* Seconds count from the first step of the pretraining. Measuring stops the clock. (On a CPU these are processor seconds, which other work on the machine does not lengthen; with one thread they are the wall clock of a machine that does nothing else.) A step of an autoencoder costs about half a step of a GAN; the runs from random weights are that much longer, so that all end at about the same time.
# - *The match.* Networks, batches, learning rates and the discriminator's first weights are the same for all starts of a seed; the generator's first weights are the only difference.
# - *The warm-up.* Holding the generator while the discriminator learns, then letting go, may help the pretrained one, for it need not follow a judge who knows nothing; it costs the random one little. So *every* start is run both ways.
# - *The goal.* "Faster" is the time until the Fréchet distance first falls below a goal, and there are several goals: whoever is first at a modest goal may be last at an ambitious one.

# %% tags=["hide-input"]
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown, display

from ganbook import data
from ganbook.config import notebook_parameters
from ganbook.evaluation.samples import Target, drawn
from ganbook.experiment import choose_device, environment, sheet_latents, unlabelled
from ganbook.headstart import game_of, savings, standing, times_to, verdicts
from ganbook.models.autoencoder import build
from ganbook.models.gan import GAN
from ganbook.nn import dcgan
from ganbook.nn.autoencoders import start_from
from ganbook.plotting import image_sheet
from ganbook.records import folder_for, write_record
from ganbook.results import kept_records
from ganbook.tables import half_width, with_spread
from ganbook.training import train

# %% [markdown]
# ## Parameters
#
# In the names of games and starts a C in front says that they are given the label, a W before *GAN* the Wasserstein loss, VAE and WAE [which autoencoder](../theory/03_autoencoders):
# with labels and the Wasserstein loss, `wae` becomes CWAE + CWGAN; without labels it is WAE + WGAN. The discriminator is spectrally normalised {cite:p}`miyato2018spectral` in all games, which a Wasserstein critic needs and the other does not mind.

# %% tags=["parameters"]
dataset: str = "mnist"  # mnist or emoji
conditional: bool = True  # give the label to generator, discriminator and autoencoder
loss: str = "nonsaturating"  # nonsaturating or wasserstein
starts: str = "random,vae"  # what the generator starts from: random, vae, wae or wae_gan (with labels: cvae, cwae …)
hold: int = 50  # discriminator steps before the generator moves, in the runs that hold it
pretrain_steps: int = 200  # of each autoencoder
steps: int = 200  # of each generator
every: int = 50  # generator steps between two measurements
latent_dim: int = 8  # length of z
width: int = 8  # feature maps of the networks' outer layers
batch_size: int = 32  # images per step
lr_pretrain: float = 2.0e-3  # Adam's learning rate, autoencoders
lr_g: float = 2.0e-3  # Adam's learning rate, generator
lr_d: float = 2.0e-3  # Adam's learning rate, discriminator
ema_decay: float = 0.99  # decay of the averaged generator
n_eval: int = 500  # samples of each measurement
seed: int = 0  # of networks, latents and data order
device: str = "auto"  # auto, cpu or cuda
out: str = ""  # the run's folder; empty: one of its own under runs/adhoc

# %% tags=["hide-input"]
PARAMETERS = notebook_parameters(globals(), set(__annotations__))
OUT, DEVICE = PARAMETERS.pop("out"), choose_device(PARAMETERS.pop("device"))
OUT = OUT or folder_for("accelerated_gan", PARAMETERS)
ENVIRONMENT = environment(DEVICE)
RESOLUTION = {"mnist": 28, "emoji": 32}[dataset]
STARTS = [name if name == "random" or not conditional else f"c{name}" for name in starts.split(",")]
GAME = ("C" if conditional else "") + {"nonsaturating": "GAN", "wasserstein": "WGAN"}[loss]
GOALS = (200.0, 100.0, 50.0)
tick = time.perf_counter if DEVICE.type == "cuda" else time.process_time
COLOURS = ["#0072b2", "#d55e00", "#007a5e", "#aa4499"]

pictures = data.load(dataset, resolution=RESOLUTION)
N_CLASSES = len(pictures.classes) if conditional else 0
CHANNELS = pictures.images.shape[1]
target = Target.of(dataset, RESOLUTION, n=2000)
FD, MMD = target.names(n_eval)


def batches():
    served = data.Batches(pictures, batch_size, seed=seed, device=DEVICE)
    return served if conditional else unlabelled(served)


# %% [markdown]
# ## The decoders
#
# Each autoencoder trains once, and its seconds are charged to every run that starts from it.

# %% tags=["hide-output"]
decoders, pretraining = {"random": None}, {"random": 0.0}
for name in STARTS:
    if name != "random":
        model = build(name, resolution=RESOLUTION, channels=CHANNELS, n_classes=N_CLASSES, latent_dim=latent_dim, width=width, lr=lr_pretrain, seed=seed, device=DEVICE)
        began = tick()
        train(model, batches(), steps=pretrain_steps, log_every=pretrain_steps, progress=False)
        pretraining[name] = tick() - began
        decoders[name] = model.decoder

# %% [markdown]
# ## The games


# %% tags=["key"]
def new_gan(start):
    """A GAN whose discriminator is the same for every start."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sizes = {"resolution": RESOLUTION, "channels": CHANNELS, "width": width, "n_classes": N_CLASSES}
        generator = dcgan.Generator(latent_dim=latent_dim, **sizes)
        discriminator = dcgan.Discriminator(norm="spectral", **sizes)
    if decoders[start] is not None:
        start_from(generator, decoders[start])
    return GAN(generator, discriminator, loss=loss, lr_g=lr_g, lr_d=lr_d, ema_decay=ema_decay, seed=seed, device=DEVICE)


def measured(gan):
    """The averaged generator's figures, under the names of the table."""
    gan.refresh_batchnorm(batches=4)
    z, y = drawn(n_eval, latent_dim, N_CLASSES, seed=1)
    values = target.measure(gan.sample(z, y), y)
    spread = values["within_class_spread"]
    return {"fd": values[FD], "mmd2": values[MMD], "accuracy": values.get("judge_accuracy", float("nan")), "spread": spread}


def play(start, held):
    """One GAN and its course: a row at the start, one every `every` steps, seconds without the measuring."""
    gan, served = new_gan(start), batches()
    rows, measuring = [], 0.0
    began = tick()

    def look(step):
        nonlocal measuring
        paused = tick()
        clock = pretraining[start] + paused - began - measuring
        rows.append({"start": start, "held": int(held), "step": step, "seconds": clock, **measured(gan)})
        measuring += tick() - paused

    look(0)
    for _ in range(hold if held else 0):
        gan.discriminator_step(*next(served))
    length = steps + (pretrain_steps // 2 if start == "random" else 0)
    train(gan, served, steps=length, log_every=every, hooks=[lambda history: look(history.step)], progress=False)
    return gan, rows


gans, rows = {}, []
for start in STARTS:
    for held in (False, True):
        gans[start, held], course = play(start, held)
        rows += course
course = pd.DataFrame(rows)

# %% [markdown]
# ## One seed, on both clocks

# %% tags=["hide-input"]
def called(start):
    """How a start is named in figures and tables."""
    return start if start == "random" else start.upper().replace("_", "-")


# %% tags=["hide-input"] mystnb={"figure": {"caption": "The course of one seed. Left to right: Fréchet distance and MMD² in the judge's features (lower is better), share read as the asked digit (if there are labels) and spread within a class (1 is the data's). Top against generator steps, bottom against seconds from the first step of the pretraining: there a pretrained curve begins when its decoder is ready. Dashed: with the generator held at first.", "name": "fig-acc-curves"}, "image": {"alt": "Two rows of line plots, one line for each start, solid and dashed. Pretrained starts begin at lower distances and higher accuracy; in the lower row they begin later."}}
SHOWN = {"fd": "FD", "mmd2": "MMD²"} | ({"accuracy": "accuracy"} if conditional else {}) | {"spread": "spread in a class"}
figure, axes = plt.subplots(2, len(SHOWN), figsize=(2.8 * len(SHOWN), 5), layout="constrained", sharex="row")
for start, colour in zip(STARTS, COLOURS):
    for held, style in ((0, "-"), (1, "--")):
        part = course[(course["start"] == start) & (course["held"] == held)]
        for row, clock in zip(axes, ("step", "seconds")):
            for axis, quantity in zip(row, SHOWN):
                label = called(start) + (", held" if held else "")
                axis.plot(part[clock], part[quantity], style, color=colour, label=label, marker=".", markersize=4)
for row, clock in zip(axes, ("generator steps", "seconds, pretraining included")):
    for axis, title in zip(row, SHOWN.values()):
        axis.set(xlabel=clock, title=title, yscale="log" if title in ("FD", "MMD²") else "linear")
        axis.grid(alpha=0.3)
handles, labels = axes[0, 0].get_legend_handles_labels()
figure.legend(handles, labels, loc="outside lower center", ncols=len(STARTS), frameon=False, fontsize=8)
figure.suptitle(GAME)
plt.show()

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Samples at the end, from the same latents: random weights, then each pretrained start (generator not held).", "name": "fig-acc-samples"}, "image": {"alt": "Rows of generated pictures, a group of rows for each start."}}
z, y = sheet_latents(latent_dim, 3, N_CLASSES)
columns = N_CLASSES or 10
sheets = {start: image_sheet(gans[start, False].sample(z, y), columns=columns) for start in STARTS}
figure, axes = plt.subplots(len(STARTS), 1, figsize=(6, 2.1 * len(STARTS)), layout="constrained", squeeze=False)
for axis, (start, sheet) in zip(axes[:, 0], sheets.items()):
    axis.imshow(np.asarray(sheet), cmap="gray")
    axis.set_axis_off()
    axis.set_title(called(start), loc="left", fontsize=9)
plt.show()

# %% tags=["hide-input"]
last = course[course["step"] == steps]
lines = ["| start | held | FD at step 0 | FD | MMD² | accuracy | spread in a class | pretraining, s | seconds |", "|---" * 9 + "|"]
for _, r in last.iterrows():
    first = course[(course["start"] == r["start"]) & (course["held"] == r["held"]) & (course["step"] == 0)]["fd"].item()
    accuracy = "–" if np.isnan(r["accuracy"]) else f"{r['accuracy']:.3f}"
    lines.append(f"| {called(r['start'])} | {'yes' if r['held'] else 'no'} | {first:.0f} | {r['fd']:.1f} | {r['mmd2']:.4f} | {accuracy} | {r['spread']:.2f} | {pretraining[r['start']]:.1f} | {r['seconds']:.1f} |")
display(Markdown(f"{GAME} after {steps} generator steps (*held*: the generator stood still at first):\n\n" + "\n".join(lines)))

# %% [markdown]
# ## Time to a goal
#
# For a run, let $T$ be the first measured clock reading at which its FD is at or below the goal. A run that never gets there has no $T$; to leave it out would flatter whoever fails often. So the clock is stopped at $\tau$, the earliest end among the
# runs of the seed, and what is compared is $\min(T,\tau)$. The *saving* of a start is $\min(T_{\text{random}},\tau)-\min(T_{\text{start}},\tau)$, of the same seed and game, against random weights treated the same way (held or not); `ganbook.headstart` does this.

# %% tags=["hide-input"]
if "random" in STARTS:
    lines = ["| start | held | " + " | ".join(f"FD ≤ {goal:.0f}" for goal in GOALS) + " |", "|---" * (2 + len(GOALS)) + "|"]
    by_goal = {goal: savings(course, "seconds", goal) for goal in GOALS}
    for key in by_goal[GOALS[0]]:
        lines.append(f"| {called(key[0])} | {'yes' if key[1] else 'no'} | " + " | ".join(f"{by_goal[goal][key]:+.1f} s" for goal in GOALS) + " |")
    display(Markdown("Seconds saved by this one seed, pretraining included (+ is faster than random weights; 0.0 where neither arrives):\n\n" + "\n".join(lines)))

# %% tags=["claim", "keep_output", "nbval-check-output"]
at_start, random_first = course[course["step"] == 0], course[(course["start"] == "random") & (course["held"] == 0)]
pretrained_at_start = at_start[at_start["start"] != "random"]
charged = all(r["seconds"] >= pretraining[r["start"]] for _, r in course.iterrows())
print("pretraining is charged to every run that uses it:", charged and all(pretraining[s] > 0 for s in STARTS if s != "random"))
print("before any game, a decoder draws better than random weights:", pretrained_at_start["fd"].max() < random_first["fd"].iloc[0])
print("held or not, a start begins from the same pictures:", all(at_start[at_start["start"] == s]["fd"].nunique() == 1 for s in STARTS))

# %% tags=["hide-input"]
protocol = target.protocol | {"n_fake": n_eval, "clock": "training seconds, pretraining included, measuring excluded; processor seconds on a CPU"}
metrics = {}
for _, r in last.iterrows():
    name = r["start"] + (", held" if r["held"] else "")
    metrics[f"{FD} {name}"], metrics[f"within_class_spread {name}"], metrics[f"seconds {name}"] = r["fd"], r["spread"], r["seconds"]
    if conditional:
        metrics[f"judge_accuracy {name}"] = r["accuracy"]
write_record(
    OUT,
    parameters=PARAMETERS,
    rows=[{k: v for k, v in row.items() if v == v} for row in rows],
    metrics=metrics | {"protocol": protocol},
    environment=ENVIRONMENT,
    train_seconds=sum(course.groupby(["start", "held"])["seconds"].max() - [pretraining[start] for start, _ in gans]) + sum(pretraining.values()),
    sheet=sheets[STARTS[-1]],
)

# %% [markdown]
# ## Over seeds: the verdict
#
# One seed decides nothing. The grid of all games on MNIST, and of the conditional one on emoji, is run beforehand with five seeds (`make experiments SCALE=cpu-long`) and its records are committed; this section reads them. The interval is the percentile bootstrap of the mean saving over seeds. With
# five seeds such an interval is rather too short than too long, so a start is called *faster* or *slower* only where the interval leaves zero out **and** every seed has the same sign.


# %% tags=["hide-input"]
LABELS = {"mnist": "MNIST", "emoji": "emoji"}


def table_of(rows):
    """Verdicts, one row for each head start, one column for each goal."""
    lines = ["| data | game | start | held | seeds | " + " | ".join(f"FD ≤ {goal:.0f}" for goal in GOALS) + " |", "|---" * (5 + len(GOALS)) + "|"]
    for r in rows:
        seeds = len(r.verdicts[GOALS[0]].values)
        lines.append(f"| {LABELS[r.dataset]} | {r.game} | {called(r.start)} | {'yes' if r.held else 'no'} | {seeds} | " + " | ".join(str(r.verdicts[goal]) for goal in GOALS) + " |")
    return "\n".join(lines)


def summed_up(rows):
    """The verdicts of a table in words, goal by goal."""
    parts = []
    for goal in GOALS:
        words = [r.verdicts[goal].word for r in rows]
        parts.append(f"to FD ≤ {goal:.0f}, {words.count('faster')} are faster, {words.count('slower')} slower and {len(words) - words.count('faster') - words.count('slower')} undecided")
    return f"Of {len(rows)} pretrained starts: " + "; ".join(parts) + "."


def answer(rows, goal):
    """Does a decoder make this faster? In a few words."""
    verdicts_here = [r.verdicts[goal] for r in rows]
    if not any(any(v.values) for v in verdicts_here):
        return "nobody gets there in this time"
    faster, slower = ([v.word for v in verdicts_here].count(word) for word in ("faster", "slower"))
    if not faster and not slower:
        return "not shown"
    return "mostly yes" if faster > len(rows) / 2 else "for some starts" if faster > slower else f"not shown, but slower for {slower} of {len(rows)}" if slower > faster else "as often as not"


records = kept_records("accelerated_gan")
if not records:
    display(Markdown("*The records of the grid are not there yet, so there is no verdict.*"))
for clock, unit in (("seconds", "seconds saved, pretraining included"), ("step", "generator steps saved")) if records else ():
    found = verdicts(records, clock, GOALS)
    display(Markdown(f"**{unit.capitalize()}** (mean over seeds, 95% interval; *faster* and *slower* where this may be said, a dash where in every seed neither arrives, or both at once).\n\n{table_of(found)}\n\n{summed_up(found)} **In plain words, is it faster on this clock?** " + "; ".join(f"to FD ≤ {goal:.0f}: {answer(found, goal)}" for goal in GOALS) + "."))

# %% [markdown]
# What each start has at the same second: its last look before $\tau$, the earliest end of the run's games. Means over seeds, with half the width of Student's 95% interval.

# %% tags=["hide-input"]
at_tau = []
for r in records:
    at_tau.append(standing(r.history()).reset_index().assign(data=LABELS[r.params["dataset"]], game=game_of(r)))
if at_tau:
    lines = ["| data | game | start | held | FD | MMD² | read as asked | spread in a class | seconds |", "|---" * 9 + "|"]
    for (set_name, game, start, held), part in pd.concat(at_tau).groupby(["data", "game", "start", "held"], sort=False):
        cells = [with_spread(part[q].mean(), half_width(part[q])) if q in part and part[q].notna().all() else "–" for q in ("fd", "mmd2", "accuracy", "spread", "seconds")]
        lines.append(f"| {set_name} | {game} | {called(start)} | {'yes' if held else 'no'} | " + " | ".join(cells) + " |")
    display(Markdown("\n".join(lines)))

# %% [markdown]
# The tables of savings answer two questions. The second asks how much of the *game* a decoder replaces; the first whether it was worth its price. A start that is faster in steps and not in seconds has only moved the cost.
#
# ```{admonition} What can go wrong
# :class: warning
# - **Forgetting to count.** Without the pretraining on the clock every decoder wins: its first measurement is already good.
# - **A goal chosen afterwards.** A decoder passes a modest goal before the game begins. Name the goals first, and report all.
# - **A judge who knows nothing.** A discriminator at its random start sends the decoder anywhere. The held runs show how much that matters.
# - **Another optimiser.** Adam starts anew with the game: its first steps are as long as the learning rate allows, whatever the weights have learnt.
# ```
#
# ```{exercise}
# :label: ex-acc-tau
# Why is it unfair to compare the mean $T$ of those runs only that arrive at the goal? Make up numbers for which the start that fails more often has the smaller mean.
# ```
#
# ````{solution} ex-acc-tau
# :class: dropdown
# Those that would have been slow are the ones that do not arrive. With $\tau=100$: one start reaches the goal at 30 once in five runs, the other at 40 every time. Means of the arrivals: 30 and 40. Means of $\min(T,\tau)$: 86 and 40.
# ````

# %% tags=["hide-cell"]
assert np.mean([30, 100, 100, 100, 100]) == 86 and np.mean([40] * 5) == 40
made_up = pd.DataFrame([("random", 0, 10.0, 300.0), ("random", 0, 20.0, 90.0), ("vae", 0, 15.0, 95.0), ("vae", 0, 30.0, 40.0)], columns=["start", "held", "seconds", "fd"])
made_up["step"] = made_up["seconds"]
assert savings(made_up, "seconds", 100.0) == {("vae", 0): 5.0}
assert times_to(made_up, "seconds", 50.0).tolist() == [20.0, 20.0] and savings(made_up, "seconds", 50.0) == {("vae", 0): 0.0}  # at 30, after τ = 20: neither arrives in time

# %% [markdown]
# ## Where this goes
#
# [The next experiment](cvae_cgan_cvaegan) does not start one from the other but trains both at once. The runs of this experiment stand on its [results page](../results/accelerated_gan).
