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
# # The space of latents
#
# ```{admonition} In this experiment
# :class: tip
# - what lies between two latents, on a straight line and on a great circle, and how long each way is;
# - directions that make a digit thicker or lean over: by arithmetic, by regression, and without looking at any picture;
# - truncation, which buys fidelity with variety, and inversion, which looks for the latent of a given picture.
#
# *Before this:* [a conditional GAN on MNIST](gan_mnist). *Cost:* under a minute; nothing is trained, the generators come with the book.
# ```
#
# A generator turns a latent $z\sim\mathcal N(0,I_d)$ into a picture. Training never looks at single coordinates of $z$, and yet the space that results is not arbitrary: near latents give like pictures, and some directions have a meaning.

# %% tags=["hide-input"]
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Markdown, display

from ganbook.config import notebook_parameters
from ganbook.evaluation.samples import Target
from ganbook.experiment import choose_device, environment
from ganbook.metrics import precision_recall
from ganbook.metrics.strokes import stroke_traits
from ganbook.models.latent import invert, lerp, path_length, regression_directions, sefa, slerp, truncated
from ganbook.plotting import image_sheet, show_sheet
from ganbook.pretrained import load_generator
from ganbook.records import folder_for, write_record
from ganbook.results import kept_records
from ganbook.tables import half_width, with_spread

# %% [markdown]
# ## Parameters

# %% tags=["parameters"]
n_ways: int = 100  # pairs of latents that ways are measured between
way_steps: int = 16  # points on each way
n_traits: int = 3000  # samples for regressions and groups
n_eval: int = 1200  # samples that FD, precision and recall see, for each truncation
n_invert: int = 20  # held-out pictures whose latents are looked for
invert_steps: int = 120  # of descent
invert_starts: int = 3  # latents that each search starts from
seed: int = 0  # of all latents
device: str = "auto"  # recorded; this notebook computes on the processor
out: str = ""  # the run's folder; empty: one of its own under runs/adhoc

# %% tags=["hide-input"]
PARAMETERS = notebook_parameters(globals(), set(__annotations__))
INTERACTIVE = not PARAMETERS.pop("out")  # a batch run names its folder; then nobody is there to move a slider
ENVIRONMENT = environment(choose_device(PARAMETERS.pop("device")))
OUT = Path(out or folder_for("latent_space", PARAMETERS))
REAL, FAKE = "#0072b2", "#d55e00"  # the book's blue and orange
digits, emoji = load_generator("mnist"), load_generator("emoji")
D = digits.sizes.latent_dim
target = Target.of("mnist", 28, n=2000)


def stream(k):
    """A random stream for the k-th use of chance."""
    return torch.Generator().manual_seed(1000 * seed + k)


# %% [markdown]
# ## Two ways between two latents
#
# The squared norm of a latent is a sum of $d$ squares of standard normal numbers. Its mean is $d$ and its standard deviation $\sqrt{2d}$, so the norm is close to $\sqrt d$, and hardly varies:
#
# $$ \mathbb E\lVert z\rVert\approx\sqrt{d-\tfrac12},\qquad \operatorname{sd}\lVert z\rVert\approx\tfrac1{\sqrt2}\quad\text{whatever }d. $$ (eq-lat-norm)
#
# Two draws are nearly at right angles. Half way along the *straight line* between them the norm is therefore only about $\sqrt{d/2}$: no draw is ever as short. {cite:t}`white2016sampling` went along the *great circle* instead, with the formula that
# {cite:t}`shoemake1985animating` found for turning cameras,
#
# $$ \operatorname{slerp}(a,b;t)=\frac{\sin((1-t)\Omega)}{\sin\Omega}\,a+\frac{\sin(t\Omega)}{\sin\Omega}\,b,\qquad \cos\Omega=\frac{a\cdot b}{\lVert a\rVert\lVert b\rVert}. $$ (eq-lat-slerp)

# %%
def by_hand(a, b, t):
    """Equation (slerp) for two single latents."""
    omega = torch.arccos(a @ b / (a.norm() * b.norm()))
    return (torch.sin((1 - t) * omega) * a + torch.sin(t * omega) * b) / torch.sin(omega)


a, b = torch.randn(2, n_ways, D, generator=stream(1))
times = torch.linspace(0, 1, way_steps)
torch.testing.assert_close(slerp(a, b, times)[1, 0], by_hand(a[0], b[0], times[1]))
ways = {"straight line": lerp(a, b, times), "great circle": slerp(a, b, times)}

# %% mystnb={"figure": {"caption": "Left: the norms of draws (bars), and of points half way between two of them. Right: the norm along each way, mean and range of nine tenths.", "name": "fig-lat-norms"}, "image": {"alt": "Left: a histogram of norms around 8 and a separate hump near 5.7 for midpoints of straight lines. Right: the norm dips in the middle of the straight line and stays level along the great circle."}} tags=["hide-input"]
figure, axes = plt.subplots(1, 2, figsize=(8.4, 2.9), layout="constrained")
bins = np.linspace(3.5, 11, 46)
middles = {name: lerp(a, b, torch.tensor([0.5]))[0] if name == "straight line" else slerp(a, b, torch.tensor([0.5]))[0] for name in ways}
COLOURS = {"straight line": FAKE, "great circle": REAL}
axes[0].hist(torch.randn(5000, D, generator=stream(2)).norm(dim=1), bins, density=True, color="0.8", label="draws")
for name, z in middles.items():
    axes[0].hist(z.norm(dim=1), bins, density=True, histtype="step", color=COLOURS[name], linewidth=1.6, label=f"middle of the {name}")
    norms = ways[name].norm(dim=2)
    axes[1].plot(times, norms.mean(1), color=COLOURS[name], label=name)
    axes[1].fill_between(times, *norms.quantile(torch.tensor([0.05, 0.95]), dim=1), color=COLOURS[name], alpha=0.2, linewidth=0)
axes[0].set(xlabel="norm of the latent", ylabel="density", ylim=(0, 1.6 * axes[0].get_ylim()[1]))
axes[1].set(xlabel="share of the way", ylabel="norm", ylim=(0, None))
for axis in axes:
    axis.legend(frameon=False, fontsize=8)
plt.show()

# %% mystnb={"figure": {"caption": "The same four pairs of latents by both ways: in each pair of rows the straight line above, the great circle below. The digit that is asked for stays the same.", "name": "fig-lat-rows"}, "image": {"alt": "Eight rows of digits that turn slowly from one hand into another; upper and lower row of each pair look much alike."}} tags=["hide-input"]
shown = torch.linspace(0, 1, 11)
rows = torch.stack([lerp(a[:4], b[:4], shown), slerp(a[:4], b[:4], shown)], 2)  # (11, 4, 2, D)
labels = torch.tensor([2, 4, 5, 8])
pictures = digits.sample(rows.permute(1, 2, 0, 3).reshape(-1, D), labels.repeat_interleave(22))
show_sheet(image_sheet(pictures, columns=11), width=6.5)
plt.show()

# %% mystnb={"figure": {"caption": "Emoji, along great circles. Between two subjects there is no third: what lies half way is a mixture.", "name": "fig-lat-emoji"}, "image": {"alt": "Five rows of small colourful pictures; each row fades from one blob-like emoji into another."}} tags=["hide-input"]
ends = torch.randn(2, 5, emoji.sizes.latent_dim, generator=stream(3))
show_sheet(image_sheet(emoji.sample(slerp(*ends, shown).transpose(0, 1).flatten(0, 1)), columns=11), width=6.5)
plt.show()

# %% [markdown]
# Which way is better? In pictures the two differ little. Measured: the *length* of the way in the judge's features, in units of the distance between its ends (1 is the straightest that there is), and how often the judge reads the digit that was asked for in the *middle*. The length in latents is that of the curve itself.

# %%
y = torch.arange(n_ways) % 10
measured_ways = {}
for name, points in ways.items():
    images = digits.sample(points.flatten(0, 1), y.repeat(way_steps))
    features = target.judge.features(images).unflatten(0, (way_steps, n_ways)).double()
    distance = (features[-1] - features[0]).norm(dim=1)
    middle = target.judge.logits(digits.sample(middles[name], y)).softmax(1)
    measured_ways[name] = {
        "norm in the middle": middles[name].norm(dim=1).mean().item(),
        "length in latents": path_length(points).mean().item(),
        "length in features": (path_length(features) / distance).median().item(),
        "longest step": (features.diff(dim=0).norm(dim=2).amax(0) / path_length(features)).median().item() * (way_steps - 1),
        "middle read as asked": (middle.argmax(1) == y).double().mean().item(),
    }
lines = ["| | " + " | ".join(measured_ways) + " |", "|---|---|---|"]
lines += [f"| {key} | " + " | ".join(f"{v[key]:.3g}" for v in measured_ways.values()) + " |" for key in measured_ways["great circle"]]
display(Markdown("\n".join(lines) + "\n\n*Longest step*: in units of the mean step; 1 is an even speed."))

# %% tags=["claim", "keep_output", "nbval-check-output"]
straight, circle = measured_ways.values()
print("the middle of a straight line is at least 20% shorter than a draw:", straight["norm in the middle"] < 0.8 * D**0.5)
print("the middle of a great circle is as long as a draw, to within 5%:", abs(circle["norm in the middle"] / D**0.5 - 1) < 0.05)
print("the straight line is the shorter one in latents:", straight["length in latents"] < circle["length in latents"])

# %% tags=["hide-input"]
better = "the straight line" if straight["length in features"] < circle["length in features"] else "the great circle"
surer = "neither" if abs(straight["middle read as asked"] - circle["middle read as asked"]) < 0.02 else max((v["middle read as asked"], n) for n, v in measured_ways.items())[1]
display(Markdown(f"In features {better} is shorter here; in the middle, {surer} is read better by more than two points in a hundred. That the generator is never *trained* on latents as short as a straight line's middle is true, and what it makes of them is a matter of fact, not of principle: the statement to remember is about norms."))

# %% [markdown]
# ## Arithmetic
#
# {cite:t}`radford2016unsupervised` added and subtracted latents: *smiling woman* minus *woman* plus *man*. Single latents did not do; the mean of three of a group did. On digits a group can be measured, not chosen by eye: two traits of a stroke are read off its pixels, its *slant* and its *thickness*
# (`ganbook.metrics.strokes`). One group is the most slanted twentieth of the samples of a class, the other the least slanted, and their difference is added to the latents of *other* digits.

# %%
z, y = digits.latents(n_traits, seed=1000 * seed + 4), torch.arange(n_traits) % 10
traits = stroke_traits(digits.sample(z, y))
within = traits.clone()
for k in range(10):
    within[y == k] -= traits[y == k].mean(0)
SIZES = [k for k in (1, 3, 10) if k <= n_traits // 200]
donors = [k for k in range(10) if k != 7]
base = torch.randn(60, D, generator=stream(5))
sevens = torch.full((60,), 7)
before = stroke_traits(digits.sample(base, sevens))
arithmetic = {}
for size in SIZES:
    changes = []
    for k in donors:
        order = z[y == k][within[y == k, 0].argsort()]
        pick = torch.randint(max(size, len(order) // 20), (size,), generator=stream(100 + 10 * size + k))
        difference = order.flip(0)[pick].mean(0) - order[pick].mean(0)
        changes.append((stroke_traits(digits.sample(base + difference / 2, sevens)) - before)[:, 0])
    changes = torch.stack(changes)
    arithmetic[size] = {"mean": changes.mean().item(), "share": (changes > 0).double().mean().item()}
spread_of_slant = within[y == 7, 0].std().item()
lines = ["| latents in a group | slant of a seven changes by, in standard deviations | in the right direction |", "|---|---|---|"]
lines += [f"| {size} | {v['mean'] / spread_of_slant:.2f} | {v['share']:.0%} |" for size, v in arithmetic.items()]
display(Markdown("\n".join(lines)))

# %% [markdown]
# A group's mean keeps what its members share and averages out the rest; how much that matters depends on how strong the trait is in single latents, and the first row says how they do alone. (Half the difference was added; adding all of it moves the latent out of the shell of {eq}`eq-lat-norm`.)
#
# ## Directions by regression
#
# If a trait of the picture were linear in the latent, least squares would find its direction from samples alone, with no labels but the measured trait. The unit vector along the coefficients is the direction, and $R^2$ says how linear the trait is. (Class means are taken away first: a seven leans in most hands.)

# %%
directions, explained = regression_directions(z, within)
along = dict(zip(("slant", "thickness"), directions))
offsets = torch.linspace(-4, 4, 9)
effect = {}
for name, direction in along.items():
    moved = base[:, None] - (base @ direction)[:, None, None] * direction + offsets[:, None] * direction
    values = stroke_traits(digits.sample(moved.flatten(0, 1), (torch.arange(60) % 10).repeat_interleave(9))).unflatten(0, (60, 9))
    effect[name] = values.mean(0) / within.std(0)

# %% mystnb={"figure": {"caption": "One latent each, moved from −4 to +4 along the direction of slant (upper three rows) and of thickness (lower three). The class stays as asked.", "name": "fig-lat-directions"}, "image": {"alt": "Six rows of nine digits: in the upper three the strokes lean from left to right, in the lower three they grow thicker."}} tags=["hide-input"]
rows = [base[i] - (base[i] @ d) * d + offsets[:, None] * d for d in directions for i in range(3)]
show_sheet(image_sheet(digits.sample(torch.cat(rows), torch.tensor([7, 4, 2] * 2).repeat_interleave(9)), columns=9), width=5.2)
plt.show()

# %% mystnb={"figure": {"caption": "Both traits, in standard deviations of the samples, along each direction: the one it was made for (solid) and the other (dashed). A dashed curve that is not level is entanglement.", "name": "fig-lat-effect"}, "image": {"alt": "Two line plots over the offset; in each the solid curve rises steeply and the dashed one less or not at all."}} tags=["hide-input"]
figure, axes = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained", sharey=True)
for axis, (name, values) in zip(axes, effect.items()):
    for i, other in enumerate(along):
        axis.plot(offsets, values[:, i] - values[4, i], color=(REAL, FAKE)[i], linestyle="-" if other == name else "--", label=other)
    axis.set(title=f"along the direction of {name}", xlabel="latent units")
    axis.grid(alpha=0.3)
    axis.legend(frameon=False)
axes[0].set_ylabel("change, standard deviations")
plt.show()

# %% tags=["hide-input"]
slopes = {name: ((values[-1] - values[0]) / 8) for name, values in effect.items()}
cosine = (directions[0] @ directions[1]).item()
display(Markdown(f"$R^2$ is **{explained[0]:.2f}** for slant and **{explained[1]:.2f}** for thickness; the cosine between the two directions is {cosine:.2f}."))

# %% tags=["claim", "keep_output", "nbval-check-output"]
print("each direction moves its own trait the way it should:", bool(slopes["slant"][0] > 0 and slopes["thickness"][1] > 0))
print("and moves it more than it moves the other one:", bool(slopes["slant"][0] > slopes["slant"][1].abs() and slopes["thickness"][1] > slopes["thickness"][0].abs()))

# %% [markdown]
# ## Directions in closed form
#
# {cite:t}`shen2021closed` look at no picture at all. The first thing a generator does with a latent is to multiply it by a matrix $A$, and a step along a unit vector $n$ changes what follows by $An$. So take the directions that are stretched most,
#
# $$ \max_{n^\top n=1}\lVert An\rVert^2,\qquad\text{the eigenvectors of }A^\top A\text{ with the largest eigenvalues.} $$ (eq-lat-sefa)
#
# In a DCGAN, BatchNorm follows at once and rescales every feature map, so that its scale belongs to $A$.

# %%
found, stretch = sefa(digits.generator, D)
chance = torch.randn(3, D, generator=stream(6))
chance /= chance.norm(dim=1, keepdim=True)


def moved_by(direction, step=3.0, n=100):
    """Mean distance in the judge's features between pictures a step before and a step after."""
    z, y = torch.randn(n, D, generator=stream(7)), torch.arange(n) % 10
    z = z - (z @ direction)[:, None] * direction
    ends = [target.judge.features(digits.sample(z + s * step * direction, y)) for s in (1, -1)]
    return (ends[0] - ends[1]).norm(dim=1).mean().item()


reach = {"first three": np.mean([moved_by(d) for d in found[:3]]), "random": np.mean([moved_by(d) for d in chance]), "last three": np.mean([moved_by(d) for d in found[-3:]])}
agreement = (found[:10] @ directions.T).abs().amax(0)
display(Markdown(f"A step of 6 changes the picture, in the judge's features, by {reach['first three']:.2f} along the first three directions, {reach['random']:.2f} along random ones, {reach['last three']:.2f} along the last three. The nearest of the first ten to the direction of slant has cosine {agreement[0]:.2f} with it, to that of thickness {agreement[1]:.2f}; two random directions have about {D**-0.5 * 0.8:.2f}."))

# %% mystnb={"figure": {"caption": "Along the first three closed-form directions of the digits (upper rows) and of the emoji (lower rows), one latent each, from −4 to +4.", "name": "fig-lat-sefa"}, "image": {"alt": "Three rows of digits whose shape changes from left to right, and three rows of emoji that change colour and outline."}} tags=["hide-input"]
figure, axes = plt.subplots(2, 1, figsize=(5.2, 4), layout="constrained")
emoji_found, _ = sefa(emoji.generator, 3)
start = torch.randn(3, emoji.sizes.latent_dim, generator=stream(8))
sheets = [
    image_sheet(digits.sample(torch.cat([base[3] - (base[3] @ d) * d + offsets[:, None] * d for d in found[:3]]), torch.full((27,), 5)), columns=9),
    image_sheet(emoji.sample(torch.cat([z0 - (z0 @ d) * d + offsets[:, None] * d for z0, d in zip(start, emoji_found)])), columns=9),
]
for axis, sheet in zip(axes, sheets):
    axis.imshow(np.asarray(sheet), cmap="gray")
    axis.set_axis_off()
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
print("the first directions change the picture more than the last ones:", bool(reach["first three"] > reach["last three"]))
print("one of the first ten closed-form directions is that of slant (cosine above 0.8):", bool(agreement[0] > 0.8))
print("the stretches are the singular values, in falling order:", bool((stretch.diff() <= 1e-9).all()))

# %% [markdown]
# The factorisation finds *strong* directions; that they mean something is then for a person, or a measurement, to say. Here a measurement says it: without having seen a picture, it has found the slant.
#
# ## Truncation
#
# Of each coordinate the generator has met values near 0 most often. {cite:t}`brock2019large` draw every coordinate from a normal law cut off at $\pm c$: each sample gets better, and all get more alike.

# %%
THRESHOLDS = [float("inf"), 2.0, 1.5, 1.0, 0.7, 0.4, 0.2]
y = torch.arange(n_eval) % 10
FD, MMD = target.names(n_eval)
truncation = []
m = min(1000, n_eval)
for c in THRESHOLDS:
    fake = digits.sample(truncated(n_eval, D, c, rng=stream(9)), y)
    values = target.measure(fake, y)
    values |= precision_recall(target.features[:m], target.judge.features(fake[:m]).double())._asdict()
    truncation.append({"threshold": c, "accuracy": values["judge_accuracy"], "fd": values[FD], **{k: values[k] for k in ("precision", "recall")}})

# %% mystnb={"figure": {"caption": "Truncation: what a smaller threshold buys and costs. The rightmost points have none.", "name": "fig-lat-truncation"}, "image": {"alt": "Left: precision stays high or rises and recall falls as the threshold shrinks. Right: the Fréchet distance grows as the threshold shrinks."}} tags=["hide-input"]
figure, axes = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
ticks = [row["threshold"] if row["threshold"] < 9 else 3.0 for row in truncation]
axes[0].plot(ticks, [r["precision"] for r in truncation], "o-", color=REAL, label="precision")
axes[0].plot(ticks, [r["recall"] for r in truncation], "s--", color=FAKE, label="recall")
axes[0].legend(frameon=False)
axes[1].plot(ticks, [r["fd"] for r in truncation], "o-", color="black")
axes[1].set_ylabel(FD)
for axis in axes:
    axis.set(xlabel="threshold", xticks=[0.2, 0.7, 1, 1.5, 2, 3], xticklabels=["0.2", "0.7", "1", "1.5", "2", "none"])
    axis.grid(alpha=0.3)
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
none, strictest = truncation[0], truncation[-1]
print("the strictest threshold costs at least half of the recall:", strictest["recall"] < 0.5 * none["recall"])
print("and does not cost precision:", strictest["precision"] >= none["precision"] - 0.02)
print("the Fréchet distance is best without or with little truncation:", min(truncation, key=lambda r: r["fd"])["threshold"] >= 1.5)

# %% [markdown]
# ## Inversion
#
# A GAN has no encoder. Its way back from a picture to a latent is a search {cite:p}`zhu2016generative,creswell2019inverting`: descend
#
# $$ \frac1P\lVert G(z,y)-x\rVert^2+\lambda\,\frac{\lVert z\rVert^2}{d} $$ (eq-lat-invert)
#
# by Adam from a few random starts and keep the best ($P$ counts the picture's pixels; $\lambda$, a small weight, keeps the latent near the shell). It succeeds as far as the picture is in the generator's range. Three kinds of picture are tried: some that the generator drew itself, where a perfect answer exists; held-out digits; and, to see what failing looks like, the same digits upside down.

# %%
x, x_labels = target.images[:n_invert], target.labels[:n_invert]
own = digits.sample(torch.randn(n_invert, D, generator=stream(10)), x_labels)
CASES = {"its own samples": own, "held-out digits": x, "held-out, upside down": x.flip(2)}
drawings = {k: digits.sample(torch.randn(300, D, generator=stream(30)), torch.full((300,), k)) for k in x_labels.unique().tolist()}
inversions, recovered = {}, {}
for i, (name, pictures) in enumerate(CASES.items()):
    result = invert(digits.generator, pictures, x_labels, steps=invert_steps, starts=invert_starts, rng=stream(20 + i))
    nearest = torch.stack([(drawings[int(label)] - picture).square().flatten(1).mean(1).min() for picture, label in zip(pictures, x_labels)])
    inversions[name] = result
    recovered[name] = {
        "error": result.error.mean().sqrt().item(),
        "nearest of 300 draws": nearest.mean().sqrt().item(),
        "read as the class": target.judge.accuracy(result.images, x_labels),
        "norm": result.z.norm(dim=1).mean().item(),
    }
lines = ["| | RMS error of pixels | nearest of 300 draws | read as the class | norm of the latent |", "|---|---|---|---|---|"]
lines += [f"| {name} | {v['error']:.2f} | {v['nearest of 300 draws']:.2f} | {v['read as the class']:.0%} | {v['norm']:.1f} |" for name, v in recovered.items()]
display(Markdown("\n".join(lines)))

# %% mystnb={"figure": {"caption": "Pictures (upper row of each pair) and what the generator makes of the latents found for them: its own samples, held-out digits, and digits upside down.", "name": "fig-lat-inverted"}, "image": {"alt": "Three pairs of rows. The first two pairs agree closely; in the third the lower row shows distorted digits."}} tags=["hide-input"]
columns = min(12, n_invert)
show_sheet(image_sheet(torch.cat([part[:columns] for name in CASES for part in (CASES[name], inversions[name].images)]), columns=columns), width=6.5)
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
print("the search beats the nearest of 300 draws on held-out digits:", recovered["held-out digits"]["error"] < recovered["held-out digits"]["nearest of 300 draws"])
print("what is in the generator's range is found best, what is far from it worst:", recovered["its own samples"]["error"] < recovered["held-out digits"]["error"] < recovered["held-out, upside down"]["error"])

# %% [markdown]
# The last column gives failure away: a search for what the generator cannot draw runs far out of the shell of {eq}`eq-lat-norm`, and finds there something that has the right pixels and is no digit.
#
# ## Move it yourself
#
# In a notebook with a kernel, two sliders move the latent along the two directions of the regression and a third asks for the digit. In the book the same space is a sheet of pictures that were drawn beforehand, so that it needs no kernel:
#
# ```{widget} latent
# :alt: Five sevens side by side: leaning left, upright, leaning right, thin and thick.
#
# Pictures of the shipped digit generator. Both directions are at right angles to the latent in the middle, so every step makes it longer than a usual draw is, and at the ends it shows.
# ```

# %% tags=["hide-input"]
def explorer(latent):
    """Sliders that move a latent; needs a kernel."""
    from ipywidgets import FloatSlider, IntSlider, interactive

    def show(slant, thickness, digit):
        moved = latent - torch.linalg.pinv(directions) @ (directions @ latent) + slant * directions[0] + thickness * directions[1]
        display(image_sheet(digits.sample(moved[None], torch.tensor([digit])), columns=1, scale=8))

    return interactive(show, slant=FloatSlider(min=-5, max=5), thickness=FloatSlider(min=-5, max=5), digit=IntSlider(7, 0, 9))


if INTERACTIVE:
    display(explorer(base[0]))

# %% tags=["hide-input"]
metrics = {f"{key}, {name}": value for name, values in measured_ways.items() for key, value in values.items()}
metrics |= {f"{key} ({FD if key == 'fd' else 'truncated'}) at {row['threshold']:g}": row[key] for row in truncation for key in ("fd", "precision", "recall")}
metrics |= {f"R2 of {name}": value for name, value in zip(along, explained.tolist())} | {f"reach, {name}": float(value) for name, value in reach.items()}
metrics |= {f"inversion of {name}: {key}": value for name, values in recovered.items() for key, value in values.items()}
metrics |= {f"arithmetic, groups of {size}": v["mean"] / spread_of_slant for size, v in arithmetic.items()}
write_record(
    OUT,
    parameters=PARAMETERS,
    rows=[{**row, "threshold": min(row["threshold"], 99.0)} for row in truncation],
    metrics=metrics | {"protocol": target.protocol | {"n_fake": n_eval, "generator_sha256": digits.sha256, "labels": "each class in turn"}},
    environment=ENVIRONMENT,
    train_seconds=0.0,
    sheet=sheets[0],
)

# %% [markdown]
# ## Over several seeds
#
# The generator is the shipped one; a seed draws the latents, the pictures to invert and the groups. Longer runs (`make experiments SCALE=cpu-long ONLY=latent_space`), whose records are kept in this repository: means, and half the width of Student's 95% interval.

# %% tags=["hide-input"]
kept = kept_records("latent_space")


def over_seeds(*names):
    """Cells of a row: one metric of the kept records each."""
    columns = [[r.metrics[name] for r in kept] for name in names]
    return " | ".join(with_spread(np.mean(values), half_width(values)) for values in columns)


def show(head, rows):
    """A table of ``rows``, each a name and the metrics beside it."""
    lines = [
        "| " + " | ".join(head) + " |",
        "|---" * len(head) + "|",
        *(f"| {name} | {over_seeds(*names)} |" for name, *names in rows),
    ]
    display(Markdown("\n".join(lines)))


if kept:
    distance = {name.rpartition(" at ")[2]: name for name in kept[0].metrics if name.startswith("fd (")}  # by threshold
    count, size = len(kept), kept[0].params["n_eval"]
    display(Markdown(f"**Ways**, {kept[0].params['n_ways']} pairs of latents, {count} seeds:"))
    ways = ("norm in the middle", "length in features", "longest step", "middle read as asked")
    show(["quantity", *measured_ways], [(key, *(f"{key}, {name}" for name in measured_ways)) for key in ways])
    display(Markdown(f"**Truncation**, {size:,} samples for each threshold, {count} seeds:"))
    show(
        ["threshold", "FD", "precision", "recall"],
        [
            ("none" if at == "inf" else at, name, f"precision (truncated) at {at}", f"recall (truncated) at {at}")
            for at, name in distance.items()
        ],
    )
    display(Markdown(f"**Inversion**, {kept[0].params['n_invert']} pictures of each kind, {count} seeds:"))
    columns = ("error", "nearest of 300 draws", "read as the class", "norm")
    show(
        ["pictures", "error", "nearest of 300 draws", "read as the class", "norm of the latent"],
        [(name, *(f"inversion of {name}: {key}" for key in columns)) for name in recovered],
    )
    display(Markdown(f"**Directions**, {count} seeds:"))
    show(
        ["quantity", "value"],
        [(name.replace("R2", "R²"), name) for name in kept[0].metrics if name.startswith(("R2 of", "reach,"))],
    )
else:
    display(Markdown("The long runs are still *pending*: `make experiments SCALE=cpu-long ONLY=latent_space`."))

# %% [markdown]
# ```{admonition} What can go wrong
# :class: warning
# - **Latents of another model.** A latent means something to the generator that it was drawn for and to no other, not even to one that was trained again with another seed. Two latents of different lengths are refused; two of equal length from different models cannot be told apart, and what lies between them is nothing.
# - **A direction that is only a correlation.** Regression finds where a trait *goes with* the latent. If thick digits are also wide in the data, the direction will widen them, too ({numref}`fig-lat-effect`).
# - **Far out.** Each step along a direction makes the latent longer. Beyond the shell the generator was never trained, and pictures get thick, blotchy or the same.
# - **Truncation that flatters.** A single sheet of truncated samples looks better than the model is. Report the threshold, and recall beside precision.
# ```
#
# ```{exercise}
# :label: ex-lat-middle
# Let $a,b\sim\mathcal N(0,I_d)$ be independent. What is the law of their straight middle, multiplied by $\sqrt2$? What does that say about sampling with `0.5 * (a + b)` instead of `a`?
# ```
#
# ````{solution} ex-lat-middle
# :class: dropdown
# $\sqrt2\cdot\frac12(a+b)=(a+b)/\sqrt2$ is standard normal. The middle itself is a draw from $\mathcal N(0,\tfrac12I)$: it is a draw of a generator whose latents are all shortened by $\sqrt{1/2}$, a soft form of truncation.
# ````

# %% tags=["hide-cell"]
middle = (a + b) / 2
assert abs((middle * 2**0.5).std().item() - 1) < 4 / (2 * middle.numel()) ** 0.5

# %% [markdown]
# ## Where this goes
#
# `ganbook interpolate shipped:mnist --way linear` writes such rows to a file, `ganbook sample shipped:emoji` draws a sheet, and both take a run folder of yours instead. A model *with* an encoder needs no search: [CVAE, CGAN and CVAE-GAN](cvae_cgan_cvaegan).
