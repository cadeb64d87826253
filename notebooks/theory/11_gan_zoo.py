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
# # The zoo, and what lies beyond
#
# ```{admonition} In this chapter
# :class: tip
# - ten years of variants on one map and in one table that can be searched: what each changed, and against what;
# - what tells the families of losses apart, proven in two lines and seen on a toy;
# - StyleGAN: what a style does to a layer, why its second version divides weights instead of pictures, and when truncation helps;
# - diffusion and flows: where their samples come from, why they need many passes through a network, and how a discriminator makes it one.
#
# *Before this:* the [minimax game](01_minimax_game), [divergences](04_divergences), [training dynamics](07_training_dynamics). *Cost:* about half a minute.
# ```

# %% tags=["hide-input"]
import copy
import math
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import yaml
from IPython.display import HTML, Markdown, display
from torch.nn.functional import conv2d

import ganbook
from ganbook.data.toy import ring
from ganbook.losses import LOSSES
from ganbook.metrics.modes import mode_statistics
from ganbook.models.gan import GAN
from ganbook.nn.mlp import Discriminator, Generator
from ganbook.plotting import DISCRIMINATOR, FAKE, GENERATOR, REAL

torch.manual_seed(0)
started = time.perf_counter()

# %% [markdown]
# ## A map
#
# The map and the table below are drawn from one file, `book/zoo.yml`: year of first appearance, what changed, the loss, on which earlier ones it builds, where the idea lives in this book's library, if it does, and the paper. The choice is ours: variants that others built on, or that every survey names.

# %%
ZOO = yaml.safe_load((Path(ganbook.__file__).parent.parent / "book/zoo.yml").read_text())
variants = ZOO["variants"]
children = Counter(parent for v in variants for parent in v["from"])

# %% tags=["claim", "keep_output", "nbval-check-output"]
known = set()
for v in variants:
    assert set(v["from"]) <= known  # each builds on earlier ones
    known.add(v["name"])
ancestors = {}
for v in variants:
    ancestors[v["name"]] = {v["name"]}.union(*(ancestors[parent] for parent in v["from"]))
assert all("GAN" in line for line in ancestors.values()) and children.most_common(1)[0][0] == "DCGAN"
assert sum(v["year"] >= 2019 for v in variants if v["family"] == "game") == 1
print("every variant descends from the first GAN:", all("GAN" in line for line in ancestors.values()))
print("the one on which most others on the map build directly:", children.most_common(1)[0][0])
print(
    "variants that change the game's loss: all but one came before 2019:",
    sum(v["year"] >= 2019 for v in variants if v["family"] == "game") == 1,
)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Variants by year and by what they change, and the earlier ones on which each builds (lines). Filled: in this book's library. A dashed line divides the years.", "name": "fig-zoo-map"}, "image": {"alt": "A map with years from 2014 to 2024 from left to right and eight rows by family. Most points of the rows for the loss and for steadier training lie before 2019, those for networks, little data and diffusion after 2018; lines connect each to earlier ones."}}
COLOURS = dict(zip(ZOO["families"], (REAL, DISCRIMINATOR, GENERATOR, FAKE, "#7a5c00", "#4b5ba8", "#b03060", "0.3")))
families, years = list(ZOO["families"]), range(variants[0]["year"], variants[-1]["year"] + 1)
cells = {(f, y): [v["name"] for v in variants if v["family"] == f and v["year"] == y] for f in families for y in years}
depth = {f: max(len(cells[f, y]) for y in years) for f in families}
place, row = {}, 0.0
figure, axis = plt.subplots(figsize=(11, 9.8), layout="constrained")
for f in families:
    for y in years:
        for i, name in enumerate(cells[f, y]):
            place[name] = (y, row + i + (depth[f] - len(cells[f, y])) / 2 + (0.2 if y % 2 else -0.2))  # neighbours' names pass
    axis.axhspan(row - 0.5, row + depth[f] - 0.5, color=COLOURS[f], alpha=0.07, linewidth=0)
    row += depth[f]
for v in variants:
    for parent in v["from"]:
        (x0, y0), (x1, y1) = place[parent], place[v["name"]]
        bend = "arc3,rad=0.35" if x0 == x1 else "arc3,rad=0.05"
        axis.annotate(
            "",
            (x1, y1),
            (x0, y0),
            arrowprops={
                "arrowstyle": "-",
                "color": COLOURS[v["family"]],
                "alpha": 0.3,
                "linewidth": 0.8,
                "connectionstyle": bend,
            },
        )
for v in variants:
    x, y = place[v["name"]]
    axis.plot(
        x,
        y,
        "o",
        color=COLOURS[v["family"]],
        markerfacecolor=COLOURS[v["family"]] if "here" in v else "white",
        markersize=6,
    )
    axis.annotate(
        v["name"],
        (x, y),
        (6, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
        bbox={"boxstyle": "square,pad=0.05", "facecolor": "white", "edgecolor": "none", "alpha": 0.75},
    )
starts = [sum(depth[g] for g in families[:i]) for i in range(len(families))]
axis.set_yticks([s + (depth[f] - 1) / 2 for f, s in zip(families, starts)], [ZOO["families"][f] for f in families])
axis.set_xticks(list(years))
axis.set_xlim(years[0] - 0.3, years[-1] + 0.9)
axis.set_ylim(row - 0.5, -0.5)
for y in list(years)[1:]:
    axis.axvline(y - 0.08, color="0.8", linewidth=0.6, linestyle="--", zorder=0)
for side in ("top", "right", "left"):
    axis.spines[side].set_visible(False)
axis.tick_params(axis="y", length=0)
plt.show()

# %% tags=["hide-input"]
# a field that hides the rows without the words typed into it; the heads sort, as on the pages of results
SEARCH = """<div id="zoo-search"></div><script>
(() => {
  const here = document.getElementById("zoo-search");
  const build = () => {
    const after = [...document.querySelectorAll("table.zoo")].find(t => here.compareDocumentPosition(t) & 4);
    if (!after) return;
    const label = Object.assign(document.createElement("label"), { textContent: "Search the table: " });
    const field = Object.assign(document.createElement("input"), { type: "search" });
    const count = document.createElement("output");
    count.style.marginInlineStart = "0.6em";
    const filter = () => {
      const words = field.value.toLowerCase().split(/\\s+/).filter(Boolean);
      const rows = [...after.tBodies[0].rows];
      rows.forEach(row => { row.hidden = !words.every(w => row.textContent.toLowerCase().includes(w)); });
      count.textContent = rows.filter(row => !row.hidden).length + " of " + rows.length + " shown";
    };
    field.addEventListener("input", filter);
    label.append(field);
    here.append(label, count);
    filter();
  };
  document.readyState === "loading" ? document.addEventListener("DOMContentLoaded", build) : build();
})();
</script>"""


def in_this_book(v):
    if "here" not in v:
        return ""
    name = ".".join(v["here"].replace(":", ".").split(".")[-2:])
    return f"[`{name}`](../{v['shown']})" if "shown" in v else f"`{name}`"


head = "| year | name, paper | family | what changed | loss | builds on | in this book |\n|---|---|---|---|---|---|---|\n"
rows = "\n".join(
    f"| {v['year']} | {v['name']}<br>{{cite:t}}`{v['ref']}` | {ZOO['families'][v['family']]} | {v['changed']} | {v['loss']} | {', '.join(v['from'])} | {in_this_book(v)} |"
    for v in variants
)
display(HTML(SEARCH))
display(Markdown(f"```{{table}}\n:class: sortable zoo\n\n{head}{rows}\n```"))

# %% [markdown]
# ## Three families of losses
#
# The table's column of losses looks richer than it is. A discriminator's logits $t=D(x)$ on real and $u=D(G(z))$ on fake samples enter
#
# - *each on its own*, through a nonlinear function: `minimax`, `nonsaturating`, `lsgan`, `hinge`;
# - *as a difference of means*: `wasserstein`;
# - *in pairs*, through a nonlinear function of $t-u$: `rpgan`.
#
# ````{prf:proposition} Who feels a shift of the discriminator
# :label: prop-zoo-shift
#
# Replace $D$ by $D+c$. The discriminator's loss of the second and third family does not change for any $c$; that of the first, as a function of $c$, is convex and grows without bound in both directions.
# ````
#
# ````{prf:proof}
# $t-u$ does not change, and neither does a difference of means. In the first family the loss is $\mathbb E f(t+c)+\mathbb E g(u+c)$ with convex functions that are not negative: $f=\mathrm{softplus}(-\cdot)$, $\frac12(\cdot-1)^2$ or $\max(0,1-\cdot)$ grows without bound to the left, $g=\mathrm{softplus}$, $\frac12(\cdot)^2$ or $\max(0,1+\cdot)$ to the right.
# ````
#
# So the first family's discriminator has to say where the boundary is, and the others' only which of two samples is the more real. In them a bias of the last layer has no gradient, so that nothing holds the level of all logits; and nothing is ever "real enough", because the two of a pair are only compared with each other.

# %% tags=["claim", "keep_output", "nbval-check-output"]
t, u = torch.randn(2, 500, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
free = [
    name
    for name, loss in LOSSES.items()
    if all(torch.allclose(loss.d(t + c, u + c).mean(), loss.d(t, u).mean()) for c in (-3.0, 0.5, 7.0))
]
assert free == ["wasserstein", "rpgan"]
for name in LOSSES:  # the first family: convex in the shift, and without bound in both directions
    far = [LOSSES[name].d(t + c, u + c).mean() for c in (-100.0, -50.0, 0.0, 50.0, 100.0)]
    assert name in free or (min(far[0], far[-1]) > 40 and far[0] + far[2] >= 2 * far[1] and far[2] + far[-1] >= 2 * far[3])
print("losses that do not feel a shift:", ", ".join(free))

# %% [markdown]
# One of each family, all with the two penalties of R3GAN {cite:p}`huang2024gan`, on slopes at real and at fake samples, on eight clusters on a ring: the library's own steps, the same networks, three seeds, few steps.

# %%
STD = 0.06
TARGET = ring(8, radius=1.0, std=STD)
SEEDS = (0, 1, 2)


def play(loss, seed, generator=None, steps=150, batch=64):
    """A GAN on the ring; the generator may come with weights of its own."""
    torch.manual_seed(seed)
    generator = generator or Generator(width=64)
    settings = {
        "penalty": "r1_r2",
        "penalty_weight": 0.02,
        "lr_g": 2e-3,
        "lr_d": 2e-3,
        "betas": (0.0, 0.9),
        "ema_decay": 0.0,
    }
    gan = GAN(generator, Discriminator(width=64), loss=loss, **settings, seed=seed)
    rng = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        gan.discriminator_step(TARGET.sample(batch, rng))
        gan.generator_step(TARGET.sample(batch, rng))
    return gan


def counted(generator):
    """Modes captured, and the share of 2000 samples within three standard deviations of one."""
    with torch.no_grad():
        samples = generator(torch.randn(2000, 2, generator=torch.Generator().manual_seed(9)))
    found = mode_statistics(samples, TARGET.means, TARGET.std)
    return samples, found


games = {loss: [play(loss, seed) for seed in SEEDS] for loss in ("nonsaturating", "wasserstein", "rpgan")}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Samples (orange) of one seed and the data (grey) after the same number of steps, one loss of each family.", "name": "fig-zoo-families"}, "image": {"alt": "Three scatter plots of a ring of eight grey clusters. Left and right the orange samples lie on the ring, on and between the clusters; in the middle they are a sheet over the upper left of it."}}
figure, axes = plt.subplots(1, 3, figsize=(8, 2.8), layout="constrained")
background = TARGET.sample(1000, torch.Generator().manual_seed(3))
for axis, (loss, players) in zip(axes, games.items()):
    axis.scatter(*background.T, s=6, color="0.75", linewidths=0)
    axis.scatter(*counted(players[0].generator)[0].T, s=2, color=FAKE, linewidths=0)
    axis.set(xlim=(-1.7, 1.7), ylim=(-1.7, 1.7), xticks=[], yticks=[], aspect="equal")
    axis.set_title(loss, fontsize=9)
plt.show()

# %% tags=["hide-input"]
lines = []
for loss, players in games.items():
    found = [counted(gan.generator)[1] for gan in players]
    lines.append(
        f"| {loss} | {', '.join(f'{f.captured}' for f in found)} | {', '.join(f'{f.high_quality:.0%}' for f in found)} |"
    )
display(Markdown("| loss | modes captured of 8, each seed | samples near a mode |\n|---|---|---|\n" + "\n".join(lines)))

# %% [markdown]
# Three seeds after so few steps, at settings made for none of them, are no ranking (`wasserstein` is usually played with WGAN-GP's penalty, which asks for a slope of one); the [experiment on mode collapse](../experiments/mode_collapse) compares them at length. What the toy does show is that the same code plays all three.
#
# ## StyleGAN
#
# {cite:t}`karras2019style` left the discriminator as it was and changed the generator. A *mapping network* of eight layers turns the latent $z$ into $w$; a picture grows from a learned constant; and at each layer an affine map of $w$ gives every feature map a scale and a shift, its *style*, by *adaptive instance normalisation* {cite:p}`huang2017arbitrary`. Of a feature map $x_c$ with mean $\mu(x_c)$
# and standard deviation $s(x_c)$ over its pixels,
#
# $$ \mathrm{AdaIN}(x_c,y)=y_{s,c}\,\frac{x_c-\mu(x_c)}{s(x_c)}+y_{b,c}. $$ (eq-zoo-adain)
#
# ````{prf:proposition} A style forgets the one before
# :label: prop-zoo-adain
#
# $\mathrm{AdaIN}(ax_c+b,y)=\mathrm{AdaIN}(x_c,y)$ for $a>0$: whatever scale and shift an earlier style gave to a map is gone.
# ````
#
# ````{prf:proof}
# $\mu(ax_c+b)=a\mu(x_c)+b$ and $s(ax_c+b)=a\,s(x_c)$.
# ````
#
# That is why the styles of two pictures can be mixed layer by layer: coarse ones decide on pose, fine ones on colour. But with it goes the information about which maps were strong, and the generator was found to smuggle it past the normalisation in a blob: one huge value in a map takes over $s(x_c)$, and the rest passes at the size that is wanted. StyleGAN2 {cite:p}`karras2020analyzing` therefore divides not the map by
# its own deviation but the weights by what the deviation *would be*. A style $s_i$ for each input map *modulates* the kernel $w$, and every output map's kernel is then *demodulated*:
#
# $$ w'_{oik}=s_i\,w_{oik},\qquad w''_{oik}=\frac{w'_{oik}}{\sqrt{\sum_{i,k}{w'_{oik}}^2+\epsilon}}, $$ (eq-zoo-demodulation)
#
# with $o$ and $i$ the output and input maps, $k$ the places of the kernel, and a tiny $\epsilon$.
#
# ````{prf:proposition} Demodulation keeps the variance
# :label: prop-zoo-demodulation
#
# If the inputs of a convolution are uncorrelated with mean 0 and variance 1, every value of its output with the kernel $w''$, $\epsilon=0$, has variance 1 (away from the border), for every style.
# ````
#
# ````{prf:proof}
# An output value is $\sum_{i,k}w''_{oik}x_{ik}$. Variances of uncorrelated terms add up: $\sum_{i,k}{w''_{oik}}^2=1$.
# ````
#
# The assumption is about inputs on average, not about this picture: a blob no longer buys anything. In code, the style can be applied to the input and the division to the output, so that a batch with many styles needs one convolution:


# %%
def modulated_conv(x, w, styles, eps=1e-8):
    """x (N, I, H, W), kernel (O, I, k, k), styles (N, I): a convolution with a kernel of its own for each sample."""
    scale = torch.rsqrt((w * styles[:, None, :, None, None]).square().sum((2, 3, 4)) + eps)  # (N, O)
    return conv2d(x * styles[:, :, None, None], w, padding=w.shape[-1] // 2) * scale[:, :, None, None]


# %% tags=["claim", "keep_output", "nbval-check-output"]
rng = torch.Generator().manual_seed(0)
x = torch.randn(4, 16, 32, 32, generator=rng, dtype=torch.float64)
w = torch.randn(8, 16, 3, 3, generator=rng, dtype=torch.float64)
styles = torch.exp(torch.randn(4, 16, generator=rng, dtype=torch.float64))
y = modulated_conv(x, w, styles)
for i in range(4):  # the formula, one sample after the other
    own = w * styles[i, None, :, None, None]
    own = own / (own.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
    assert torch.allclose(conv2d(x[i : i + 1], own, padding=1)[0], y[i])
inner = y[:, :, 1:-1, 1:-1]  # beyond the border there are zeros, not noise
assert (inner.var((2, 3)) - 1).abs().max() < 0.2


def adain(x, scale, shift):
    return scale * (x - x.mean((-2, -1), keepdim=True)) / x.std((-2, -1), keepdim=True) + shift


assert torch.allclose(adain(3 * x + 5, 2.0, 1.0), adain(x, 2.0, 1.0))
blob = x.clone()
blob[:, :, 0, 0] = 100
flattened = adain(blob, 1.0, 0.0)[:, :, 8:, 8:].std() / adain(x, 1.0, 0.0)[:, :, 8:, 8:].std()
untouched = modulated_conv(blob, w, styles)[:, :, 8:, 8:].std() / y[:, :, 8:, 8:].std()
print("one convolution for all styles equals one for each, and its outputs have variance 1: yes")
assert flattened < 1 / 3 and untouched == 1
print(
    "one bright pixel makes the rest of a map at least three times weaker under AdaIN, and changes nothing under demodulation:",
    flattened.item() < 1 / 3 and untouched.item() == 1,
)

# %% [markdown]
# **Truncation** trades variety for quality: draw the latent nearer to its mean than it was in training. In StyleGAN it is $w$ that is drawn in, $w'=\bar w+\psi(w-\bar w)$ with $\bar w=\mathbb Ew$, which multiplies the covariance of $w$ by $\psi^2$; BigGAN {cite:p}`brock2019large` truncates the normal law of $z$ itself. It rests on the belief that the middle of the latent space is a good
# place. Is it? On the line one can ask the *perfect* generator, the increasing map of a normal latent to the data's quantiles:

# %% tags=["claim", "keep_output", "nbval-check-output"]
PSIS = (1.0, 0.8, 0.6, 0.4, 0.2, 0.1)
latents = torch.randn(4001, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
line = torch.linspace(-8, 8, 16001, dtype=torch.float64)
DATA = {"one peak": ([0.0], [1.0]), "two peaks": ([-2.0, 2.0], [0.5, 0.5])}
truncated = {}
for name, (means, parts) in DATA.items():
    law = [torch.distributions.Normal(m, 1.0 if len(means) == 1 else 0.4) for m in means]
    cumulative = sum(p * n.cdf(line) for p, n in zip(parts, law))
    for psi in PSIS:
        level = torch.distributions.Normal(0.0, 1.0).cdf(psi * latents)
        samples = line[torch.searchsorted(cumulative, level).clamp(max=len(line) - 1)]
        likely = sum(p * n.log_prob(samples).exp() for p, n in zip(parts, law))
        truncated[name, psi] = (likely.median().item(), samples.std().item(), samples)
rising = [truncated["one peak", psi][0] for psi in PSIS]
assert rising == sorted(rising) and truncated["one peak", 0.1][1] < 0.3
assert truncated["two peaks", 0.1][0] < truncated["two peaks", 1.0][0] / 2
print(
    "one peak: the smaller ψ, the more likely the median sample, and the less they vary:",
    rising == sorted(rising) and truncated["one peak", 0.1][1] < 0.3,
)
print(
    "two peaks: with ψ = 0.1 the median sample is less than half as likely as without truncation:",
    truncated["two peaks", 0.1][0] < truncated["two peaks", 1.0][0] / 2,
)

# %% [markdown]
# With two peaks the mean latent is mapped to the *median* of the data, between them, where no data are: a perfect generator is made worse by truncation. That it helps on faces says something about faces, of which the average is a face, and about the mapping network, which is free to place its $\bar w$. Where the data are as varied as ImageNet, one mean is no place to go to, and one draws in towards a mean of each class.
#
# ## Diffusion and flows
#
# Since about 2021 most generated pictures come from another kind of model. Add noise to the data until nothing is left; learn to take it away; start from noise. Write $x_\sigma=x+\sigma\varepsilon$ with $\varepsilon\sim\mathcal N(0,I)$, $p_\sigma$ for its density, and $\mathbb E[x\mid x_\sigma]$ for the best guess of the data behind it, which a network can learn by plain least squares
# {cite:p}`ho2020denoising,song2021score,karras2022elucidating`.
#
# ````{prf:theorem} The probability flow
# :label: thm-zoo-flow
#
# For $\sigma>0$,
#
# $$ \mathbb E[x\mid x_\sigma=y]=y+\sigma^2\,\nabla\log p_\sigma(y), $$ (eq-zoo-tweedie)
#
# and the solutions of
#
# $$ \frac{dy}{d\sigma}=-\sigma\,\nabla\log p_\sigma(y)=\frac{y-\mathbb E[x\mid x_\sigma=y]}{\sigma} $$ (eq-zoo-ode)
#
# that start with the law $p_{\sigma_1}$ at some $\sigma_1>0$ have the law $p_\sigma$ at every other $\sigma>0$.
# ````
#
# ````{prf:proof}
# $p_\sigma(y)=\mathbb E_x\,g_\sigma(y-x)$ with the normal density $g_\sigma$, and $\nabla g_\sigma(y-x)=-\frac{y-x}{\sigma^2}g_\sigma(y-x)$. So $\sigma^2\nabla p_\sigma(y)=\mathbb E_x\,(x-y)\,g_\sigma(y-x)=p_\sigma(y)\,\bigl(\mathbb E[x\mid x_\sigma=y]-y\bigr)$; divide by $p_\sigma(y)$.
# For the second part, $\partial_\sigma g_\sigma=\sigma\,\Delta g_\sigma$ (differentiate both sides), hence $\partial_\sigma p_\sigma=\sigma\,\Delta p_\sigma$. A density that is carried by a velocity $v$ obeys the continuity equation $\partial_\sigma p=-\nabla\cdot(pv)$, and with $v=-\sigma\nabla\log p_\sigma$ its right side is $\sigma\nabla\cdot\nabla p_\sigma$, the same.
# ````
#
# So there is a deterministic generator, from noise of size $\sigma_1$ to data, and it is found without a game. But it is the solution of a differential equation, and each step of its numerical solution is a pass through the network. *Flow matching* {cite:p}`lipman2023flow,liu2023flow` learns such velocities for other paths between noise and data, straighter ones, which need fewer steps. How few are enough?
#
# ````{prf:proposition} One step is the mean
# :label: prop-zoo-one
#
# One step of Euler's method from $\sigma$ to $0$ ends at $\mathbb E[x\mid x_\sigma=y]$. As $\sigma\to\infty$, with data that are bounded and $y=\sigma\varepsilon$ of fixed $\varepsilon$, the weights of all data become $\propto e^{x\cdot\varepsilon/\sigma}\to1$: every sample is the mean of the data.
# ````
#
# ````{prf:proof}
# $y+(0-\sigma)\frac{y-\mathbb E[x\mid x_\sigma=y]}\sigma=\mathbb E[x\mid x_\sigma=y]$. The posterior weight of $x$ is proportional to $p(x)\,e^{-\lVert\sigma\varepsilon-x\rVert^2/2\sigma^2}\propto p(x)\,e^{x\cdot\varepsilon/\sigma-\lVert x\rVert^2/2\sigma^2}$, and both terms of the exponent go to 0.
# ````
#
# For the eight clusters $p_\sigma$ is a mixture of normal laws, and its score is known exactly. Whatever goes wrong is then the solver's doing alone.


# %%
def score(y, sigma):
    """∇ log p_σ of the ring, by automatic differentiation of the mixture's density."""
    y = y.detach().requires_grad_()
    log_p = torch.logsumexp(-torch.cdist(y, TARGET.means).square() / (2 * (STD**2 + sigma**2)), 1)
    return torch.autograd.grad(log_p.sum(), y)[0]


SIGMA_1 = 10.0


def solve(noise, steps, order):
    """Samples after so many steps of Euler (order 1) or Heun (order 2), and the evaluations of the score for each."""
    levels = [SIGMA_1 ** (1 / 7) + i / steps * (0.01 ** (1 / 7) - SIGMA_1 ** (1 / 7)) for i in range(steps)]
    levels = [level**7 for level in levels] + [0.0]  # the spacing of Karras et al. (2022), equation 5
    y, passes = SIGMA_1 * noise, 0
    for sigma, following in pairwise(levels):
        slope, passes = -sigma * score(y, sigma), passes + 1
        ahead = y + (following - sigma) * slope
        if order == 2 and following > 0:
            slope, passes = (slope - following * score(ahead, following)) / 2, passes + 1
            ahead = y + (following - sigma) * slope
        y = ahead
    return y, passes


def near(samples):
    """Share within three standard deviations of a mode: 98.9% of the data."""
    return (torch.cdist(samples, TARGET.means).amin(1) < 3 * STD).double().mean().item()


noise = torch.randn(2000, 2, generator=torch.Generator().manual_seed(5))
quality = {
    order: [(lambda y, n: (n, near(y)))(*solve(noise, steps, order)) for steps in (1, 2, 3, 4, 6, 8, 12, 16, 32, 64)]
    for order in (1, 2)
}
exact, _ = solve(noise, 64, 2)

# %% tags=["claim", "keep_output", "nbval-check-output"]
y = torch.randn(200, 2, generator=torch.Generator().manual_seed(1))
for sigma in (0.1, 0.5, 2.0):
    weights = torch.softmax(
        -torch.cdist(y, TARGET.means).square() / (2 * (STD**2 + sigma**2)), 1
    )  # of each cluster, given y
    guesses = (STD**2 * y[:, None] + sigma**2 * TARGET.means) / (
        STD**2 + sigma**2
    )  # the data behind y, given the cluster
    posterior_mean = (weights[:, :, None] * guesses).sum(1)
    assert torch.allclose(posterior_mean, y + sigma**2 * score(y, sigma), atol=1e-4)
modes = mode_statistics(exact, TARGET.means, TARGET.std)
one, _ = solve(noise, 1, 1)
assert modes.captured == 8 and near(exact) > 0.97 and one.norm(dim=1).max() < 0.25
print("the best guess is a step along the score: yes")
print("64 steps of Heun: all modes, at least 97% of samples near one:", modes.captured == 8 and near(exact) > 0.97)
print(
    "one step of Euler: samples near a mode:",
    f"{near(one):.0%}",
    "- all within a quarter of the ring's radius of its centre:",
    one.norm(dim=1).max().item() < 0.25,
)

# %% [markdown]
# ### One pass again: distillation
#
# The flow maps each noise vector to one sample: a pair. A network can be *taught* these pairs and then draws in one pass, as a GAN does. With squared error it learns the mean of what it cannot separate, and on pictures a mean is a blur. What large models add is a loss on *distributions* of samples, and there the game comes back. Add noise to the student's samples, call their density
# $q_\sigma$, and let $D^*_\sigma=\log\frac{p_\sigma}{q_\sigma}$ be the [best discriminator](01_minimax_game) of noisy samples.
#
# ````{prf:proposition} Matching distributions is playing against the best discriminator
# :label: prop-zoo-matching
#
# For a generator $G_\theta$ and $x_\sigma=G_\theta(z)+\sigma\varepsilon$,
#
# $$ \nabla_\theta\,\mathrm{KL}(q_\sigma\,\Vert\,p_\sigma)=-\,\mathbb E_{z,\varepsilon}\Bigl(\frac{\partial G_\theta(z)}{\partial\theta}\Bigr)^{\!\top}\nabla D^*_\sigma(x_\sigma) $$ (eq-zoo-matching)
#
# with $\nabla D^*_\sigma=\nabla\log p_\sigma-\nabla\log q_\sigma$.
# ````
#
# ````{prf:proof}
# $\mathrm{KL}=\int q_\sigma\log\frac{q_\sigma}{p_\sigma}$ depends on $\theta$ through $q_\sigma$ in two places. The logarithm's contributes $\int q_\sigma\,\partial_\theta\log q_\sigma=\partial_\theta\int q_\sigma=0$. The other is the derivative of $\mathbb E_{z,\varepsilon}\,h(x_\sigma)$ with $h=\log\frac{q_\sigma}{p_\sigma}=-D^*_\sigma$ held fixed: the chain rule.
# ````
#
# The gradient is a difference of two scores. Distribution matching distillation {cite:p}`yin2024improved` takes the first from the teacher, the second from a small diffusion model of the student's samples, and adds a discriminator on real data; adversarial distillation {cite:p}`sauer2024adversarial,kim2024consistency` combines a discriminator with a distillation loss of another kind. In the plane the teacher's score is exact and the student's comes from a batch of its
# own samples, each a normal law of width $\sigma$. Three one-pass generators, of the same networks: taught by pairs; the same, then matched; and a GAN without a teacher.


# %%
def taught(seed, pairs=3000, steps=350):
    """A generator after regression to the flow's samples."""
    torch.manual_seed(seed)
    student = Generator(width=64)
    rng = torch.Generator().manual_seed(100 + seed)
    z = torch.randn(pairs, 2, generator=rng)
    x, _ = solve(z, 24, 2)
    optimizer = torch.optim.Adam(student.parameters(), 4e-3, fused=True)
    for _ in range(steps):
        i = torch.randint(pairs, (128,), generator=rng)
        loss = (student(z[i]) - x[i]).square().sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return student


def matched(student, seed, steps=100, batch=256):
    """A copy of the generator after steps along the difference of scores."""
    student, rng = copy.deepcopy(student), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(student.parameters(), 1e-3, (0.0, 0.9), fused=True)
    for _ in range(steps):
        sigma = 0.05 + 0.35 * torch.rand(1, generator=rng).item()
        x = student(torch.randn(batch, 2, generator=rng))
        y = (x + sigma * torch.randn(batch, 2, generator=rng)).detach().requires_grad_()
        others = student(torch.randn(2 * batch, 2, generator=rng)).detach()
        log_q = torch.logsumexp(-torch.cdist(y, others).square() / (2 * sigma**2), 1)
        force = score(y, sigma) - torch.autograd.grad(log_q.sum(), y)[0]  # the slope of the best discriminator
        optimizer.zero_grad()
        x.backward(-sigma * force / batch)
        optimizer.step()
    return student


students = [taught(seed) for seed in SEEDS]
ways = {
    "taught by pairs": [counted(student) for student in students],
    "taught, then matched": [counted(matched(student, seed)) for seed, student in zip(SEEDS, students)],
    "the game alone": [counted(gan.generator) for gan in games["rpgan"]],
}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: the share of samples near a mode against the number of evaluations of the exact score, for two solvers, and for the three ways to sample in one pass (marks: seeds, side by side at one evaluation). Right: one seed's samples (orange) and the data (grey).", "name": "fig-zoo-steps"}, "image": {"alt": "Left, two rising curves over the number of evaluations on a logarithmic axis, from zero at one evaluation to nearly all at about thirty, and three groups of dots at one evaluation. Right, three scatter plots of a ring of clusters: bridges between clusters in all of them."}}
figure = plt.figure(figsize=(10.4, 3.2), layout="constrained")
axes = figure.subplots(1, 4, width_ratios=(1.5, 1, 1, 1))
for order, (name, style, colour) in zip((1, 2), (("Euler", "o:", "0.35"), ("Heun", "s-", REAL))):
    axes[0].plot(*zip(*quality[order]), style, color=colour, label=name, markersize=4)
for (name, found), marker, colour, at in zip(ways.items(), "^Dv", (GENERATOR, FAKE, DISCRIMINATOR), (0.82, 1.0, 1.22)):
    axes[0].plot(
        [at] * len(SEEDS),
        [f[1].high_quality for f in found],
        marker,
        color=colour,
        label=name,
        markersize=5,
        linestyle="none",
    )
axes[0].set_xscale("log", base=2)
axes[0].set_xticks([1, 2, 4, 8, 16, 32, 64, 128], ["1", "2", "4", "8", "16", "32", "64", "128"])
axes[0].set(xlabel="evaluations for one sample", ylabel="samples near a mode")
axes[0].grid(alpha=0.3)
axes[0].legend(frameon=False, fontsize=8)
for axis, (name, found) in zip(axes[1:], ways.items()):
    axis.scatter(*background.T, s=6, color="0.75", linewidths=0)
    axis.scatter(*found[0][0].T, s=2, color=FAKE, linewidths=0)
    axis.set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), xticks=[], yticks=[], aspect="equal")
    axis.set_title(name, fontsize=9)
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
shares = {name: [f[1].high_quality for f in found] for name, found in ways.items()}
z, eps = torch.randn(2, 400_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
m, s, sigma = 0.8, 0.5, 0.3  # a generator m + sz on the line, data N(0, 1): the divergence has a closed form
v_p, v_q = 1 + sigma**2, s**2 + sigma**2
x = m + s * z + sigma * eps
slope = -x / v_p + (x - m) / v_q  # of the best discriminator
by_hand = torch.tensor([m / v_p, s * (1 / v_p - 1 / v_q)], dtype=torch.float64)
assert torch.allclose(-torch.stack([slope.mean(), (z * slope).mean()]), by_hand, atol=0.01)
print("the gradient of the divergence is the one through the best discriminator: yes")
modes = [f[1].captured for found in (ways["taught by pairs"], ways["taught, then matched"]) for f in found]
assert min(modes) == 8
assert max(q for order in (1, 2) for n, q in quality[order] if n <= 2) < min(shares["taught by pairs"])
assert max(shares["taught by pairs"]) < quality[1][7][1]
for before, after in zip(shares["taught by pairs"], shares["taught, then matched"]):
    assert abs(after - before) < 0.1
print("the students have all eight modes in every seed:", min(modes) == 8)
print(
    "in one pass they are better than two evaluations of either solver, and worse than sixteen:",
    max(q for order in (1, 2) for n, q in quality[order] if n <= 2) < min(shares["taught by pairs"])
    and max(shares["taught by pairs"]) < quality[1][7][1],
)
print(
    "matching changes a student's share by less than a tenth:",
    all(abs(b - a) < 0.1 for a, b in zip(shares["taught by pairs"], shares["taught, then matched"])),
)

# %% [markdown]
# What the students miss is not a blur that a better loss would sharpen. It is bridges: a continuous map of one connected cloud of noise to eight islands has to cross the water, and how much of it lands there is a matter of its steepest slope (the last exercise). Matching can only move the crossings. On pictures the means are the larger trouble, and there the second stage pays, by the figures below.
#
# ### What papers print
#
# The table holds figures *of the papers, not runs of this book*, from the places named. FID compares only within one data set and one protocol ([evaluation](12_evaluation) shows how much it moves with the rest); for labels given or not, read the column *protocol* before comparing; where it is silent, so is the place named.

# %% tags=["hide-input"]
rows = "\n".join(
    f"| {f['data']} | {f['model']} | {f['nfe']} | {f['fid']:.2f} | {f['protocol']} | {{cite:t}}`{f['ref']}`, {f['where']} |"
    for f in sorted(ZOO["published"], key=lambda f: (f["data"], f["nfe"], f["fid"]))
)
display(
    Markdown(
        f"```{{table}} Figures that papers print; not runs of this book.\n:class: sortable\n\n| data | model | passes | FID | protocol | source |\n|---|---|---|---|---|---|\n{rows}\n```"
    )
)

# %% [markdown]
# Where does that leave the game? {cite:t}`dhariwal2021diffusion` ended its lead on varied pictures, and diffusion models are easier to train: a least-squares problem has no cycles, and leaving out a mode costs it. The game is kept where its two strengths count. *One pass*: GigaGAN {cite:p}`kang2023scaling` draws 512 × 512 pixels in 0.13 s by its paper, and the one-step entries above that
# come from diffusion models are lowest where a discriminator took part in training (compare the three on ImageNet 64). And *sharpness*: wherever a network must choose one of many right answers rather than their mean, in super-resolution, in the decoders that turn codes into pixels {cite:p}`esser2021taming`, a discriminator is still the loss that knows the difference.
#
# ```{admonition} What can go wrong
# :class: warning
# - **A variant judged by its own paper.** Each is compared there with baselines tuned less. On equal terms losses differ less than seeds and budgets do.
# - **Numbers from two protocols in one row.** Labels or none, guidance or none, training or test set, lowest snapshot or last: any of these moves FID by more than a year of progress.
# - **Truncated samples counted as samples.** FID with truncation measures another model. Precision rises, recall falls.
# - **Passes compared, seconds not.** One pass of a large network may cost more than ten of a small one.
# - **A teacher's mistakes.** A distilled student learns the teacher's samples. Only a loss on real data, such as a discriminator's, can make it better than the teacher.
# ```
#
# ## Exercises
#
# ```{exercise}
# :label: ex-zoo-path
# By the map, through how many generations does R3GAN descend from the first GAN, along the longest line?
# ```
#
# ````{solution} ex-zoo-path
# :class: dropdown
# Go through the file once: a variant's depth is one more than the greatest depth of those it builds on. The cell below does, and shows one such line.
# ````

# %% tags=["hide-cell"]
lineage = {}
for v in variants:
    lineage[v["name"]] = [*max((lineage[p] for p in v["from"]), key=len, default=[]), v["name"]]
assert lineage["R3GAN"][0] == "GAN" and len(lineage["R3GAN"]) - 1 >= 5
print(" → ".join(lineage["R3GAN"]))

# %% [markdown]
# ```{exercise}
# :label: ex-zoo-drift
# With `wasserstein`, what is the gradient of the discriminator's loss with respect to the bias of its last layer? PGGAN adds $10^{-3}\,\mathbb E\,D(x)^2$ to it. What for?
# ```
#
# ````{solution} ex-zoo-drift
# :class: dropdown
# Zero, by {prf:ref}`prop-zoo-shift`: a shift by $c$ changes nothing. Optimiser noise may move all logits together without limit; the small term holds them near 0.
# ````

# %% tags=["hide-cell"]
bias = torch.zeros((), dtype=torch.float64, requires_grad=True)
for name in ("wasserstein", "rpgan"):
    assert abs(torch.autograd.grad(LOSSES[name].d(t + bias, u + bias).mean(), bias)[0]) < 1e-12
assert abs(torch.autograd.grad(LOSSES["hinge"].d(t + 1 + bias, u + bias).mean(), bias)[0]) > 0.1

# %% [markdown]
# ```{exercise}
# :label: ex-zoo-style
# Show that multiplying all styles $s_i$ of a sample by the same number changes nothing in {eq}`eq-zoo-demodulation` with $\epsilon=0$.
# ```
#
# ````{solution} ex-zoo-style
# :class: dropdown
# Numerator and denominator are both multiplied by it. Only the ratios of the styles matter.
# ````

# %% tags=["hide-cell"]
maps, kernel = torch.randn(4, 16, 8, 8, dtype=torch.float64), torch.randn(8, 16, 3, 3, dtype=torch.float64)
assert torch.allclose(modulated_conv(maps, kernel, 7 * styles), modulated_conv(maps, kernel, styles), atol=1e-6)

# %% [markdown]
# ```{exercise}
# :label: ex-zoo-gauss
# The data are $\mathcal N(0,s^2)$ on the line. Solve {eq}`eq-zoo-ode` and show that it maps $y$ at $\sigma_1$ to $y\,s/\sqrt{s^2+\sigma_1^2}$ at $0$.
# ```
#
# ````{solution} ex-zoo-gauss
# :class: dropdown
# $p_\sigma=\mathcal N(0,s^2+\sigma^2)$ and $\frac{dy}{d\sigma}=\frac{\sigma y}{s^2+\sigma^2}$. So $\frac{d}{d\sigma}\log y=\frac12\frac{d}{d\sigma}\log(s^2+\sigma^2)$, and $y/\sqrt{s^2+\sigma^2}$ is constant.
# ````

# %% tags=["hide-cell"]
s, points = 0.7, torch.tensor([-3.0, 0.4, 2.0], dtype=torch.float64)
y, fine = points.clone(), torch.linspace(5.0, 0.0, 20_001, dtype=torch.float64)
for sigma, following in pairwise(fine):
    y = y + (following - sigma) * sigma * y / (s**2 + sigma**2)
assert torch.allclose(y, points * s / math.sqrt(s**2 + 25), atol=1e-3)

# %% [markdown]
# ```{exercise}
# :label: ex-zoo-lipschitz
# A generator with Lipschitz constant $K$ draws from a normal latent on the line, and half of its samples are to lie below $-a$, half above $a$, except for a share $\eta$ in between. Show that $\eta\ge\operatorname{erf}\bigl(\frac{a}{\sqrt2K}\bigr)$ if the generator is increasing and odd. What does a one-pass generator need for separate modes, that a solver of many passes gets by composing maps?
# ```
#
# ````{solution} ex-zoo-lipschitz
# :class: dropdown
# Odd gives $G(0)=0$, so $\lvert G(z)\rvert\le K\lvert z\rvert$, and all $\lvert z\rvert<a/K$ land in between: probability $\operatorname{erf}(\frac{a}{K\sqrt2})$. A steep place: the slope $K$ must be large there. Slopes of composed maps multiply, and many gentle steps make a steep one.
# ````

# %% tags=["hide-cell"]
K, a = 5.0, 1.0
drawn = torch.clamp(
    K * torch.randn(200_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64), -2, 2
)  # slope K, then flat
assert abs((drawn.abs() < a).double().mean() - math.erf(a / (math.sqrt(2) * K))) < 0.005

# %% [markdown]
# ## Where this is used
#
# The [experiments](../experiments/dcgan_emoji) train those of the zoo that the table links; `ganbook.losses`, `ganbook.penalties` and `ganbook.nn` hold the parts. Growing is the subject of [progressive growing](10_progressive_growing), StyleGAN's ancestor, and what FID does and does not say that of [evaluation](12_evaluation).

# %% tags=["hide-input"]
display(Markdown(f"*This chapter ran in {time.perf_counter() - started:.0f} s.*"))
