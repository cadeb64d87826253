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
# # Four ways to bound a critic's slope
#
# ```{admonition} In this experiment
# :class: tip
# - the Wasserstein loss with weight clipping, gradient penalty, $R_1$ and spectral normalisation: same networks, seed,
#   data and steps;
# - whether the critic's loss follows the quality of the samples, as a distance should, measured;
# - what clipping does to the gradients of a deep critic: they vanish or explode, layer by layer.
#
# *Before this:* [the Wasserstein distance](../theory/05_wasserstein), [slopes and spectral
# normalisation](../theory/06_lipschitz_and_spectral_norm). *Cost:* a minute or two at `cpu` scale.
# ```
#
# By duality, the best critic among those with slope at most one has the value of a distance between data and samples,
#
# $$ W_1(p, q) = \sup_{\mathrm{Lip}(D)\le1} \mathbb E_{x\sim p}D(x) - \mathbb E_{x\sim q}D(x). $$ (eq-wgan-dual)
#
# {cite:t}`arjovsky2017wasserstein` promised two things for critics trained like this: a loss that says how good the
# samples are, and a gradient for the generator wherever the samples are. They kept the slope finite by clipping
# weights, and called this a *terrible* way. Three others are in use: a penalty on slopes that differ from one between
# real and fake samples {cite:p}`gulrajani2017improved`, spectral normalisation of each layer
# {cite:p}`miyato2018spectral`, and a penalty on slopes at the real samples, $R_1$ {cite:p}`mescheder2018which`, which
# was made for other losses. Here they stand side by side.

# %% tags=["hide-input"]
import io
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown, display
from scipy.stats import spearmanr
from scipy.stats import t as student
from torch import nn

from ganbook import data
from ganbook.checkpoint import write_atomically
from ganbook.config import Config, notebook_parameters
from ganbook.errors import DivergenceError
from ganbook.evaluation.protocol import metric_name
from ganbook.experiment import build_gan, choose_device, default_folder, environment, write_json
from ganbook.judge import load_judge
from ganbook.losses import wasserstein_d
from ganbook.metrics import Moments, frechet_from_moments
from ganbook.metrics.bootstrap import bootstrap_interval
from ganbook.penalties import clip_weights, input_gradient, interpolate, norm, wgan_gp
from ganbook.plotting import image_sheet
from ganbook.results import kept_records
from ganbook.training import train

# %% [markdown]
# ## Parameters
#
# These are the defaults, the `cpu` scale.

# %% tags=["parameters"]
steps: int = 240  # generator steps of each GAN
n_dis: int = 2  # critic steps per generator step
width: int = 8  # feature maps of the generator's last hidden layer and the critic's first
latent_dim: int = 32  # length of the latent vector z
batch_size: int = 16  # images per step
lr_g: float = 3.0e-3  # Adam's learning rate, generator
lr_d: float = 3.0e-3  # Adam's learning rate, critic
beta1: float = 0.0  # Adam's first moment
beta2: float = 0.9  # Adam's second moment
ema_decay: float = 0.99  # decay of the averaged generator
looks: int = 8  # how often the samples are judged on the way
n_track: int = 500  # samples judged at each look
n_eval: int = 2000  # samples that the final metrics see
roll_steps: int = 200  # critic steps on the Swiss roll
seed: int = 0  # of networks, latents and data order
device: str = "auto"  # auto, cpu or cuda
out: str = ""  # the run's folder; empty: one of its own under runs/adhoc

# %% tags=["hide-input"]
PARAMETERS = notebook_parameters(globals(), set(__annotations__))
SHARED = {"dataset": "mnist", "resolution": 28, "conditional": True, "width_g": width, "width_d": width}
SHARED |= {
    k: v
    for k, v in PARAMETERS.items()
    if k not in ("width", "looks", "n_track", "roll_steps", "device", "out")
}
OUT = Path(out or default_folder("wgan", Config.from_mapping(SHARED)))
OUT.mkdir(parents=True, exist_ok=True)
DEVICE = choose_device(device)

# %% [markdown]
# ## Six games
#
# Everything is equal but the line that bounds the slope. Clipping comes twice, with the bound of the paper and with
# ten times that. The last game is the ordinary non-saturating GAN with BatchNorm, whose loss promises nothing.

# %%
GAMES = {
    "clipping 0.01": {"loss": "wasserstein", "norm": "none", "clip": 0.01},
    "clipping 0.1": {"loss": "wasserstein", "norm": "none", "clip": 0.1},
    "gradient penalty": {"loss": "wasserstein", "norm": "none", "penalty": "wgan_gp", "penalty_weight": 10.0},
    "R1": {"loss": "wasserstein", "norm": "none", "penalty": "r1", "penalty_weight": 1.0},
    "spectral norm": {"loss": "wasserstein", "norm": "spectral"},
    "no bound": {"loss": "nonsaturating", "norm": "batch"},
}
COLOURS = dict(zip(GAMES, ("#e69f00", "#d55e00", "#0072b2", "#aa4499", "#007a5e", "0.45"), strict=True))

# %% [markdown]
# ## Training, with looks on the way
#
# At each look we note three things: the mean *estimate* $\mathbb E D(x)-\mathbb E D(G(z))$ since the last look, which
# is minus the critic's loss and all that a user of a WGAN sees; the Fréchet distance of the averaged generator's
# samples in the features of the judge, which the critic knows nothing of; and the mean slope $\|\nabla D(\hat x)\|$
# between real and fake samples.

# %%
digits = data.load("mnist", resolution=28)
held_out, classes = data.to_tensors(data.load("mnist", split="test", resolution=28))
judge = load_judge("mnist")
real_features = judge.features(held_out)
REAL_MOMENTS = Moments(real_features.shape[1]).update(real_features)
latents = torch.randn(n_eval, latent_dim, generator=torch.Generator().manual_seed(1))
asked = torch.arange(n_eval) % 10
fixed_latents = torch.randn(256, latent_dim, generator=torch.Generator().manual_seed(2))


def judged(gan, n):
    """Distance, accuracy and pictures of n samples of the averaged generator."""
    gan.refresh_batchnorm(batches=4)
    fake = gan.sample(latents[:n], asked[:n]).nan_to_num(-1.0)
    features = judge.features(fake)
    fd = frechet_from_moments(REAL_MOMENTS, Moments(features.shape[1]).update(features))
    read = judge.network.head(features).argmax(1)
    return fd, (read == asked[:n]).double().mean().item(), fake


def slope(gan):
    """Mean length of the critic's gradient between real and fake samples; the critic is left as it was."""
    network = gan.discriminator.eval()
    fake = gan.sample(fixed_latents, classes[:256]).to(DEVICE)
    x = interpolate(held_out[:256].to(DEVICE), fake, torch.Generator(DEVICE).manual_seed(0)).requires_grad_()
    (gradient,) = torch.autograd.grad(network(x, classes[:256].to(DEVICE)).sum(), x)
    network.train()
    return gradient.flatten(1).norm(dim=1).mean().item()


def play(name):
    """Train one game; what each look saw, and the end."""
    config = Config.from_mapping(SHARED | GAMES[name])
    gan = build_gan(config, channels=1, n_classes=10, device=DEVICE)
    batches = data.Batches(digits, config.batch_size, seed=seed, device=DEVICE)
    seen, start = [], time.perf_counter()

    def look(history):
        fd, accuracy, _ = judged(gan, n_track)
        row = {"game": name, "step": history.step, "estimate": -history.rows[-1]["d_loss"]}
        seen.append({**row, "fd": fd, "accuracy": accuracy, "slope": slope(gan)})

    try:
        train(gan, batches, steps=steps, n_dis=n_dis, log_every=-(-steps // looks), hooks=(look,), progress=False)
    except DivergenceError as error:
        print(name, "diverged:", error)
    fd, accuracy, fake = judged(gan, n_eval)
    return {"seen": seen, "fd": fd, "accuracy": accuracy, "pictures": fake[:20], "seconds": time.perf_counter() - start}


# %% tags=["hide-output"]
provenance = environment(DEVICE)
played = {name: play(name) for name in GAMES}
seen = pd.DataFrame([row for result in played.values() for row in result["seen"]])

# %% tags=["hide-input"] mystnb={"figure": {"caption": "What the critic estimates (left; the axis is linear near zero) and what the judge measures (right), over the generator's steps. One seed.", "name": "fig-wgan-curves"}, "image": {"alt": "Left: six curves of the critic's estimate, in very different units. Right: six curves of the Fréchet distance on a logarithmic axis, which fall, one of them after a rise."}}
figure, (left, right) = plt.subplots(1, 2, figsize=(8.8, 3.2), layout="constrained")
for name, part in seen.groupby("game", sort=False):
    left.plot(part["step"], part["estimate"], color=COLOURS[name], label=name)
    right.plot(part["step"], part["fd"], color=COLOURS[name])
left.set(xlabel="generator steps", ylabel="minus the critic's loss", yscale="symlog")
right.set(xlabel="generator steps", ylabel=metric_name("frechet", n_track, "mnist-judge"), yscale="log")
left.legend(frameon=False, fontsize=8)
for axes in (left, right):
    axes.grid(alpha=0.3)
plt.show()

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The same twenty latents and classes after training, one game a row.", "name": "fig-wgan-sheet"}, "image": {"alt": "Six rows of twenty generated digits, one row a game."}}
sheet = image_sheet(torch.cat([result["pictures"] for result in played.values()]), columns=20)
figure, axes = plt.subplots(figsize=(8, 2), layout="constrained")
axes.imshow(sheet, cmap="gray", vmin=0, vmax=255)
axes.set(xticks=[], yticks=[15 + 29 * row for row in range(len(played))], yticklabels=played)
axes.tick_params(length=0, labelsize=8)
axes.spines[:].set_visible(False)
plt.show()

# %% [markdown]
# ## Is the loss a distance?
#
# If the estimate measures how far the samples are from the data, then it must fall and rise with another measure of
# that. Spearman's rank correlation asks just this and no more, for the units differ. Two cautions. Looks at one run
# are no independent samples: any two curves that fall correlate. So we also correlate the *changes* from one look to
# the next, from which a common trend is gone. And an interval within a run, by the bootstrap over its looks, is
# narrower than the truth for the same reason; the interval over seeds, below, is not.

# %%
def rank_correlation(x, y):
    """Spearman's; 0 where one of the two does not vary."""
    x, y = np.asarray(x), np.asarray(y)
    return float(spearmanr(x, y).statistic) if len(set(x)) > 1 and len(set(y)) > 1 else 0.0


def correlations(part):
    """Estimate against distance: of the values, and of their changes from look to look."""
    return {
        "values": rank_correlation(part["estimate"], part["fd"]),
        "changes": rank_correlation(part["estimate"].diff()[1:], part["fd"].diff()[1:]),
    }


def within(part):
    """Bootstrap interval of the values' correlation over the looks of one run."""
    pairs = [torch.tensor(part[column].to_numpy()) for column in ("estimate", "fd")]
    return bootstrap_interval(
        rank_correlation, *pairs, paired=True, repetitions=1000, generator=torch.Generator().manual_seed(0)
    )


lines = []
for name, part in seen.groupby("game", sort=False):
    found = correlations(part)
    interval = f"{(i := within(part)).low:.2f} … {i.high:.2f}" if len(part) > 2 else "–"
    lines.append(
        f"| {name} | {found['values']:.2f} | {interval} | {found['changes']:.2f} | {part['slope'].iloc[-1]:.3g} "
        f"| {played[name]['fd']:.1f} | {played[name]['accuracy']:.0%} | {played[name]['seconds']:.0f} s |"
    )
display(
    Markdown(
        "| game | rank correlation | bootstrap over looks | of changes | last slope | FD | read as asked | time, looks included |\n"
        "|---|---|---|---|---|---|---|---|\n" + "\n".join(lines)
    )
)

# %% [markdown]
# ## The record
#
# The run's folder keeps its parameters, curves, samples and numbers; the [results pages](../results/index) are made of such records.

# %%
text = io.StringIO()
seen.to_csv(text, index=False, float_format="%.6g", lineterminator="\n")
write_atomically(OUT / "history.csv", text.getvalue().encode())
picture = io.BytesIO()
sheet.save(picture, format="png", optimize=True)
write_atomically(OUT / "samples.png", picture.getvalue())
write_json(OUT / "params.json", {k: v for k, v in PARAMETERS.items() if k not in ("device", "out")})
spent = round(sum(result["seconds"] for result in played.values()), 2)
write_json(OUT / "environment.json", {**provenance, "train_seconds": spent})
protocol = {
    "dataset": "mnist",
    "split": "test",
    "n_real": len(held_out),
    "n_fake": n_eval,
    "extractor": "mnist-judge",
    "extractor_sha256": judge.sha256,
}
metrics = {}
for name, result in played.items():
    key = name.replace(" ", "_")
    metrics[f"{key}_{metric_name('frechet', n_eval, 'mnist-judge')}"] = result["fd"]
    metrics[f"{key}_judge_accuracy"] = result["accuracy"]
    metrics[f"{key}_rank_correlation"] = correlations(seen[seen["game"] == name])["values"]
write_json(OUT / "metrics.json", {**metrics, "protocol": protocol})

# %% [markdown]
# ## Over several seeds
#
# The records of longer runs (`make experiments SCALE=cpu-long`), kept in this repository: means over the seeds with
# $95\%$ intervals of Student's $t$. Correlations are averaged and bounded on Fisher's scale, $\operatorname{artanh}r$.


# %%
def student_interval(values):
    """Mean and 95 % interval; NaN where there is one value only."""
    values = np.asarray(values, dtype=float)
    half = student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else np.nan
    return values.mean(), values.mean() - half, values.mean() + half


def written(values, digits=2, *, through=lambda v: v, back=lambda v: v):
    """``mean (low … high)``, the interval on the scale of ``through``."""
    mean, low, high = (back(v) for v in student_interval(through(np.asarray(values, dtype=float))))
    return f"{mean:.{digits}f}" + ("" if np.isnan(low) else f" ({low:.{digits}f} … {high:.{digits}f})")


def fisher(r):
    return np.arctanh(np.clip(r, -0.999, 0.999))


kept = kept_records("wgan")
runs = [(r.history(), r.metrics) for r in kept] or [(seen, metrics)]
FD = metric_name("frechet", kept[0].protocol["n_fake"] if kept else n_eval, "mnist-judge")
over_seeds, correlated = [], {}
for name in GAMES:
    key = name.replace(" ", "_")
    found = pd.DataFrame([correlations(history[history["game"] == name]) for history, _ in runs])
    correlated[name] = found
    last = pd.concat([history[history["game"] == name]["slope"].tail(1) for history, _ in runs])
    fd, accuracy = ([m[f"{key}_{what}"] for _, m in runs] for what in (FD, "judge_accuracy"))
    over_seeds.append(
        f"| {name} | {written(fd, 1, through=np.log, back=np.exp)} | {written(100 * np.array(accuracy), 0)} % "
        f"| {written(found['values'], through=fisher, back=np.tanh)} "
        f"| {written(found['changes'], through=fisher, back=np.tanh)} | {last.min():.2g} … {last.max():.2g} |"
    )
made = (
    f"{len(kept)} seeds, {kept[0].params['steps']:,} generator steps each; {kept[0].environment['device']}"
    if kept
    else "**this run alone: the longer runs have not been made yet, so there are no intervals**"
)
display(
    Markdown(
        f"From {made}.\n\n| game | FD | read as asked | estimate against FD | changes | slope at the end |\n"
        "|---|---|---|---|---|---|\n" + "\n".join(over_seeds) + f"\n\n*Protocol:* {FD} against all test digits, "
        "its geometric mean over the seeds."
    )
)

# %% [markdown]
# ## What clipping does to a deep critic
#
# {cite:t}`gulrajani2017improved` trained generators and critics of twelve layers on a Swiss roll and looked at the
# gradient of the critic's loss with respect to each layer's output. Going backwards, each layer multiplies it by its
# weights. If these are bounded by $c$, the factor is some number that depends on $c$, the same for all layers: below
# one the gradient vanishes, above one it explodes, exponentially in the depth, and only a lucky $c$ avoids both. A
# penalty on the slope of the whole network leaves no room for that. The same here, with a critic of twelve layers of
# 64 units; its fakes are the roll itself under noise, and stay as they are.


# %%
def roll(n, rng):
    """n points of a Swiss roll in the plane, about one unit in size."""
    angle = 1.5 * np.pi * (1 + 2 * torch.rand(n, generator=rng))
    return torch.stack([angle * angle.cos(), angle * angle.sin()], 1) / 7.5


def deep_critic(depth=12, units=64):
    layers = [nn.Linear(2, units), nn.ReLU()]
    for _ in range(depth - 2):
        layers += [nn.Linear(units, units), nn.ReLU()]
    network = nn.Sequential(*layers, nn.Linear(units, 1), nn.Flatten(0))
    for layer in network:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
    return network


def gradients_by_layer(critic, real, fake):
    """Length of the loss's gradient with respect to each linear layer's output, first layer first."""
    outputs, x = [], torch.cat([real, fake])
    for layer in critic:
        x = layer(x)
        if isinstance(layer, nn.Linear):
            outputs.append(x)
    gradients = torch.autograd.grad(wasserstein_d(x[: len(real)], x[len(real) :]).mean(), outputs)
    return [gradient.norm().item() for gradient in gradients]


def train_deep(clip=0.0, weight=0.0, batch=128):
    """A critic of the roll against the roll under noise, its slope bounded by clipping or by the penalty."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        critic = deep_critic()
    rng = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(critic.parameters(), 1e-3, betas=(0.5, 0.9))
    for _ in range(roll_steps):
        real = roll(batch, rng)
        fake = roll(batch, rng) + torch.randn(batch, 2, generator=rng)
        loss = wasserstein_d(critic(real), critic(fake)).mean()
        if weight:
            loss = loss + weight * wgan_gp(lambda x, y: critic(x), real, fake, rng=rng).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if clip:
            clip_weights(critic, clip)
    real, fake = roll(2000, rng), roll(2000, rng) + torch.randn(2000, 2, generator=rng)
    return {
        "by layer": gradients_by_layer(critic, real, fake),
        "slope": norm(input_gradient(lambda x, y: critic(x), interpolate(real, fake, rng))).mean().item(),
    }


DEEP = {"clipping, c = 0.01": {"clip": 0.01}, "clipping, c = 0.1": {"clip": 0.1}, "clipping, c = 0.3": {"clip": 0.3}}
DEEP |= {"gradient penalty": {"weight": 10.0}}
deep = {name: train_deep(**how) for name, how in DEEP.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Length of the gradient of the critic's loss with respect to each layer's output, after training on the Swiss roll. Layer 12 is the output.", "name": "fig-wgan-layers"}, "image": {"alt": "Four curves over the layers on a logarithmic axis: with small clipping bounds the gradient falls by many orders of magnitude towards the first layer, with the large bound it grows, and with the gradient penalty it stays level."}}
figure, axes = plt.subplots(figsize=(6.5, 3), layout="constrained")
for (name, result), colour in zip(deep.items(), ("#e69f00", "#d55e00", "#a03000", COLOURS["gradient penalty"])):
    floored = [max(value, 1e-30) for value in result["by layer"]]
    axes.plot(range(1, 13), floored, "o-", markersize=3, color=colour, label=name)
axes.set(xlabel="layer", ylabel="gradient of the loss", yscale="log", xticks=range(1, 13))
axes.grid(alpha=0.3)
axes.legend(frameon=False, fontsize=8)
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
first, last = ({name: result["by layer"][place] for name, result in deep.items()} for place in (0, -1))
ratio = {name: first[name] / last[name] for name in deep}
print("c = 0.01: at most a millionth of the last layer's gradient is left at the first:", ratio["clipping, c = 0.01"] < 1e-6)
print("c = 0.3: it is at least a thousand times the last layer's:", ratio["clipping, c = 0.3"] > 1e3)
print("gradient penalty: no more than a factor of ten apart:", 0.1 < first["gradient penalty"] / last["gradient penalty"] < 10)

# %% [markdown]
# The critics of the digits have three layers with weights only, so that clipping is survivable there. Which bound is
# right nobody can say beforehand, as the two rows of the tables show; and since the slope is whatever it happens to
# be, the estimate is a number without a unit.
#
# ## What was found

# %% tags=["hide-input"]
sure = {what: [n for n in GAMES if student_interval(fisher(correlated[n][what]))[1] > 0] for what in ("values", "changes")}
mean_log = {n: np.mean([np.log(m[f"{n.replace(' ', '_')}_{FD}"]) for _, m in runs]) for n in GAMES}
best, worst = min(mean_log, key=mean_log.get), max(mean_log, key=mean_log.get)
if kept:
    lines = [
        f"Over {len(kept)} seeds the smallest distance is that of **{best}**, the largest that of **{worst}**.",
        f"The estimate follows the distance, with an interval above zero, under: {', '.join(sure['values']) or 'none'}.",
        f"It follows from look to look as well, its trend removed, under: {', '.join(sure['changes']) or 'none'}.",
    ]
else:
    lines = [f"One seed, which says little: the smallest distance is that of {best}, the largest that of {worst}."]
display(Markdown(" ".join(lines)))

# %% tags=["claim", "keep_output", "nbval-check-output"]
ends = seen.groupby("game")["slope"].last()
print("the penalty holds the mean slope between 0.5 and 2:", 0.5 < ends["gradient penalty"] < 2)
print("the slopes under the two clipping bounds differ by a factor over ten:", ends["clipping 0.1"] > 10 * ends["clipping 0.01"])
together = correlations(seen[seen["game"] == "gradient penalty"])["values"]
print("under the penalty estimate and distance fall together, rank correlation above 0.7:", together > 0.7)

# %% [markdown]
# ```{admonition} What can go wrong
# :class: warning
# - **A critic that starts asleep.** DCGAN's weights from $\mathcal N(0, 0.02^2)$ leave the scale of the signal to
#   BatchNorm. A critic has none: with few feature maps its first slope is tens to hundreds of times below one, and it
#   begins by growing its weights while the generator wanders. The critics without normalisation start from the weights
#   of {cite:t}`he2015delving` here.
# - **A generator that outruns its critic.** With one critic step for each of the generator's and a large rate, the
#   estimate falls to zero while the samples are still poor: it is the distance only if the critic is near its best.
#   More critic steps cure it.
# - **Taking "spectral" for "slope one".** Each kernel is divided by the norm of its matrix, which is not the norm of
#   the convolution, and the label's term adds a slope of its own: the slope of that critic may be well above one
#   ([the chapter on slopes](../theory/06_lipschitz_and_spectral_norm) says by how much it may be).
# - **Comparing losses between methods.** The units differ (first figure, left). A loss can be compared with itself.
# - **Momentum.** Adam with $\beta_1=0.9$ makes a critic whose target moves overshoot; the paper of the penalty sets
#   $\beta_1=0$.
# ```
#
# ## Exercises
#
# ```{exercise}
# :label: ex-wgan-scale
# The weights of a ReLU critic of $L$ layers, without biases and BatchNorm, are clipped to $[-c,c]$. By what factor
# does the value of the best such critic change when $c$ is doubled? What does it say about the estimate?
# ```
#
# ````{solution} ex-wgan-scale
# :class: dropdown
# Such a network is homogeneous in its weights: doubling all of them multiplies the output by $2^L$. The weights allowed
# by $2c$ are exactly the doubled ones allowed by $c$, so the best value is multiplied by $2^L$. The unit of the
# estimate depends on $c$ and, exponentially, on the depth; and the gradient that reaches the generator has the same
# factor.
# ````

# %% tags=["hide-cell"]
with torch.random.fork_rng(devices=[]):
    torch.manual_seed(0)
    small = deep_critic(depth=5, units=16)
points = roll(50, torch.Generator().manual_seed(0))
before = small(points).detach()
with torch.no_grad():
    for parameter in small.parameters():
        parameter.mul_(2)
assert torch.allclose(small(points), 2**5 * before, rtol=1e-4)

# %% [markdown]
# ```{exercise}
# :label: ex-wgan-steps
# Run the notebook with `n_dis=1` and with `n_dis=5`, `steps` divided so that the time stays the same. What happens to
# the estimate, and which run has the better samples?
# ```
#
# ```{solution} ex-wgan-steps
# :class: dropdown
# With one step the estimate is smaller at equal quality: the critic lags behind and sees less of the distance than
# there is. Whether the better critic is worth the generator steps it costs depends on the rates; the run's own table
# answers it for these. A single seed cannot.
# ```
#
# ## Where this goes
#
# The seeds of this experiment stand on the [results page](../results/wgan); which other advice is worth following, in
# [the next experiment](dcgan_tips).
