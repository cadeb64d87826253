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
# # Autoencoders on MNIST
#
# ```{admonition} In this experiment
# :class: tip
# - a plain, a variational and a conditional variational autoencoder with codes of *two* numbers, so that everything they know can be drawn;
# - what each decoder makes of a random normal code, and why the plain one answers with something unintelligible;
# - the same told by numbers: a judge's reading, distances to held-out pictures, and how far the codes are from the prior.
#
# *Before this:* [the theory of autoencoders](../theory/03_autoencoders). *Cost:* about a minute at `cpu` scale.
# ```
#
# An autoencoder squeezes a picture $x$ through a short code $z$ and draws it again. The three of this notebook share their networks, layer for layer: the encoder is
# a DCGAN discriminator with another last layer, the decoder a DCGAN generator {cite:p}`radford2016unsupervised`. They differ in what they minimise:
#
# $$ \begin{aligned}
# \text{AE} &: & &-\log p(x\mid z), & z&=\mu(x),\\
# \text{VAE} &: & &-\log p(x\mid z)+\mathrm{KL}\bigl[q(z\mid x)\,\|\,\mathcal N(0,I)\bigr], & z&\sim q(z\mid x),\\
# \text{CVAE} &: & &-\log p(x\mid z,y)+\mathrm{KL}\bigl[q(z\mid x,y)\,\|\,\mathcal N(0,I)\bigr], & z&\sim q(z\mid x,y).
# \end{aligned} $$ (eq-aem-three)
#
# with $q(z\mid x)=\mathcal N\bigl(\mu(x),\sigma^2(x)\bigr)$, a normal law whose mean and variances the encoder answers. The variational ones are those of {cite:t}`kingma2014auto` and {cite:t}`sohn2015learning`. The label enters the CVAE's encoder as ten planes beside the picture, of which
# the digit's own is 1, and its decoder one-hot beside the code. (All three encoders take the batch's mean out of their codes, since a shift common to all of them says nothing about a picture.) A pixel is an ink probability: $-\log p$ is the cross-entropy, in nats.
# %% tags=["hide-input"]

import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Markdown, display

from ganbook import data
from ganbook.config import notebook_parameters
from ganbook.evaluation.samples import Target, drawn
from ganbook.experiment import choose_device, environment
from ganbook.ladder import markdown, mean_text
from ganbook.metrics import imq, mmd2
from ganbook.models.autoencoder import Autoencoder, build
from ganbook.models.likelihood import binarised, importance_bound
from ganbook.nn.autoencoders import DenseDecoder, DenseEncoder
from ganbook.plotting import image_sheet
from ganbook.pretrained import dcgan_networks, save_networks
from ganbook.records import folder_for, write_record
from ganbook.results import kept_records
from ganbook.training import train

# %% [markdown]
# ## Parameters

# %% tags=["parameters"]
latent_dim: int = 2  # length of the code
width: int = 16  # feature maps of the first and the last hidden layer
likelihood: str = "bernoulli"  # of a pixel: bernoulli, gaussian (squared distance) or learned (its variance too)
beta: float = 1.0  # weight of the KL term: 1 is the VAE, above it the β-VAE
batch_size: int = 32  # images per step
steps: int = 800  # of each autoencoder
bound_steps: int = 0  # of the VAE whose likelihood is compared with the literature's; 0 leaves it out
bound_draws: int = 500  # codes a picture that its likelihood is estimated from
lr: float = 3.0e-3  # Adam's learning rate
n_eval: int = 2000  # samples that the metrics see
seed: int = 0  # of networks, codes and data order
device: str = "auto"  # auto, cpu or cuda
out: str = ""  # the run's folder; empty: one of its own under runs/adhoc

# %% tags=["hide-input"]
PARAMETERS = notebook_parameters(globals(), set(__annotations__))
OUT, DEVICE = PARAMETERS.pop("out"), choose_device(PARAMETERS.pop("device"))
OUT = OUT or folder_for("autoencoders_mnist", PARAMETERS)
ENVIRONMENT = environment(DEVICE)
NAMES = {"ae": "AE", "vae": "VAE", "cvae": "CVAE"}
COLOURS = {"ae": "#0072b2", "vae": "#d55e00", "cvae": "#007a5e"}

# %% [markdown]
# ## Training
#
# Each sees the same batches in the same order. The loop is that of the GANs; an autoencoder has no discriminator, whose step then does nothing.

# %% tags=["hide-output"]
pictures = data.load("mnist", resolution=28)


def trained(kind):
    """An autoencoder after its training, its history and the seconds it took."""
    weight = beta if kind != "ae" else None
    model = build(kind, resolution=28, channels=1, n_classes=10, latent_dim=latent_dim, width=width, likelihood=likelihood, weight=weight, lr=lr, seed=seed, device=DEVICE)
    batches = data.Batches(pictures, batch_size, seed=seed, device=DEVICE)
    note = [lambda history: history.rows[-1].update(model.read_terms())]
    history = train(model, batches, steps=steps, log_every=max(1, steps // 50), hooks=note)
    return model, history


models, histories = {}, {}
for kind in NAMES:
    models[kind], histories[kind] = trained(kind)

# %% mystnb={"figure": {"caption": "Loss curves. Left, what it costs to draw the picture again from its code; right, what the code itself costs, for the two that are charged for it. The CVAE need not spend its code on saying which digit it is.", "name": "fig-aem-losses"}, "image": {"alt": "Two line plots over steps. Left: the reconstruction term falls for all three. Right: the KL term of VAE and CVAE."}} tags=["hide-input"]
figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
for kind, history in histories.items():
    axes[0].plot(history.column("step"), history.column("reconstruction"), color=COLOURS[kind], label=NAMES[kind])
    if kind != "ae":
        axes[1].plot(history.column("step"), history.column("regulariser"), color=COLOURS[kind], label=NAMES[kind])
axes[0].set(xlabel="step", ylabel="−log p(x | z), nats")
axes[1].set(xlabel="step", ylabel="KL, nats")
for axis in axes:
    axis.grid(alpha=0.3)
    axis.legend(frameon=False)
plt.show()

# %% [markdown]
# ## Where the codes lie
#
# Held-out pictures, encoded. (Of a VAE a code is drawn from $q(z\mid x)$: these draws, over all pictures together, are the *aggregate posterior* $q(z)=\mathbb E_x\,q(z\mid x)$.)
# The circle holds 95% of the draws from $\mathcal N(0,I)$ in two dimensions.

# %% mystnb={"figure": {"caption": "Codes of held-out pictures, one colour a digit (the first two coordinates where there are more). The circle holds 95% of the prior's draws. The AE's codes are wherever the encoder has put them. The VAE's lie in and about the circle, each digit in a part of it, the CVAE's too, but every digit in all of it.", "name": "fig-aem-codes"}, "image": {"alt": "Three scatter plots with a circle of radius 2.4. AE: codes spread far beyond the circle in patches, one a digit, that overlap in the middle. VAE: codes lie in and about the circle, each digit in a part of it. CVAE: codes lie mostly in the circle, all digits on top of each other."}} tags=["hide-input"]
target = Target.of("mnist", 28, n=4000)
codes = {kind: model.codes(target.images[:2000], target.labels[:2000] if kind == "cvae" else None) for kind, model in models.items()}
figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.3), layout="constrained")
for axis, (kind, z) in zip(axes, codes.items()):
    dots = axis.scatter(z[:, 0], z[:, 1], c=target.labels[:2000], cmap="tab10", vmin=-0.5, vmax=9.5, s=3, linewidths=0)
    axis.add_patch(plt.Circle((0, 0), 2.448, fill=False, color="black", linewidth=1.2))
    axis.set(title=NAMES[kind], aspect="equal", box_aspect=1)
figure.colorbar(dots, ax=axes, ticks=range(10), label="digit", shrink=0.85)
plt.show()

# %% [markdown]
# ## The map of a two-number code
#
# A grid of codes, spaced by *Gaussian quantiles* so that each cell holds the same share of the prior: the $k$-th of $m$ coordinates is
# $\Phi^{-1}\bigl((k-\tfrac12)/m\bigr)$. (Of longer codes the other coordinates are 0.)

# %% mystnb={"figure": {"caption": "What the decoders make of a grid of codes at Gaussian quantiles. AE and VAE, and the CVAE asked for one digit throughout: in the VAE's map the place says which digit and how it is written, in the CVAE's only how.", "name": "fig-aem-maps"}, "image": {"alt": "Three square sheets of small pictures. AE: blurred mixtures. VAE: digits that turn into one another. CVAE: the same digit in changing slant and thickness."}} tags=["hide-input"]
m = 12
quantiles = torch.special.ndtri((torch.arange(m) + 0.5) / m)
grid = torch.zeros(m * m, latent_dim)
grid[:, :2] = torch.cartesian_prod(-quantiles, quantiles)[:, [1, 0]][:, : min(2, latent_dim)]
maps = {kind: image_sheet(model.sample(grid, torch.full((m * m,), 4) if kind == "cvae" else None), columns=m, gap=0) for kind, model in models.items()}
figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.4), layout="constrained")
for axis, (kind, sheet) in zip(axes, maps.items()):
    axis.imshow(sheet, cmap="gray")
    axis.set_axis_off()
    axis.set_title(NAMES[kind] + (", asked for fours" if kind == "cvae" else ""))
plt.show()

# %% [markdown]
# ## Random normal codes
#
# The test of a generative model: forget the encoder, draw $z\sim\mathcal N(0,I)$, decode.

# %% mystnb={"figure": {"caption": "Sixty random normal codes for each decoder, not selected. The CVAE was asked for the digits 0 to 9, one a column.", "name": "fig-aem-random"}, "image": {"alt": "Three sheets of sixty pictures each. AE: smears that are hardly digits. VAE: outlines of digits, some of them in between two. CVAE: blurred but clear digits 0 to 9 in columns."}} tags=["hide-input"]
z, y = drawn(60, latent_dim, 10, seed=2)
sheets = {kind: image_sheet(model.sample(z, y if kind == "cvae" else None)) for kind, model in models.items()}
figure, axes = plt.subplots(1, 3, figsize=(9.6, 2.4), layout="constrained")
for axis, (kind, sheet) in zip(axes, sheets.items()):
    axis.imshow(sheet, cmap="gray")
    axis.set_axis_off()
    axis.set_title(NAMES[kind])
plt.show()

# %% [markdown]
# ## Measured
#
# The judge, a classifier trained on the real training pictures, reads the samples. Its *accuracy* is the share read as the digit that was asked for; a model without labels cannot be
# asked, so for all three there is the number of *digits* that it reads, counted as the perplexity of its answers: 10 if all digits are equally frequent, 1 if everything is read as the same. *FD* is the Fréchet distance and *MMD²* the unbiased squared maximum mean discrepancy to
# held-out pictures, both in the judge's features {cite:p}`gretton2012kernel`. *Code mismatch* is the MMD² between the codes and the prior, under the kernel
# $C/(C+\lVert z-z'\rVert^2)$ with $C=2d$ {cite:p}`tolstikhin2018wasserstein`: it looks at the encoder alone, and says how far the codes that the decoder was trained on are from those that it is asked for now. *Spread in a class* is the standard deviation of a pixel within a digit, divided by the data's; *spread of a code* that of a code's coordinates, which is 1 for the prior.

# %%
def answers(fake):
    """Perplexity of the judge's answers, and the share of images of which it is more than 90% sure."""
    probabilities = target.judge.logits(fake).softmax(1)
    shares = probabilities.argmax(1).bincount(minlength=10) / len(fake)
    return torch.special.entr(shares).sum().exp().item(), (probabilities.amax(1) > 0.9).double().mean().item()


measured = {}
for kind, model in models.items():
    z, y = drawn(n_eval, latent_dim, 10, seed=1)
    labels = y if kind == "cvae" else None
    fake = model.sample(z, labels)
    values = target.measure(fake, labels)
    values["digits"], values["sure"] = answers(fake)
    values["code mismatch"] = mmd2(z[:2000], codes[kind], kernel=imq(2.0 * latent_dim))
    values["code spread"] = codes[kind].std(0).mean().item()
    values["seconds"] = histories[kind].rows[-1]["seconds"]
    measured[kind] = values

FD, MMD = target.names(n_eval)
COLUMNS = {"judge_accuracy": "accuracy", "digits": "digits", FD: "FD", MMD: "MMD²", "within_class_spread": "spread in a class", "code mismatch": "code mismatch", "code spread": "spread of a code", "seconds": "seconds"}
lines = ["| | " + " | ".join(COLUMNS.values()) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
for kind, values in measured.items():
    lines.append(f"| {NAMES[kind]} | " + " | ".join(f"{values[c]:.3g}" if c in values else "–" for c in COLUMNS) + " |")
display(Markdown("\n".join(lines)))

# %% [markdown]
# Longer, and with other seeds: what the records of scale `cpu-long` say, means and halves of Student's 95% intervals.

# %% tags=["hide-input"]
longer = {}
for r in kept_records("autoencoders_mnist"):
    if "elbo" not in r.metrics:  # those with it are of the next section
        longer.setdefault((r.params["steps"], r.params["n_eval"]), []).append(r.metrics)
for (steps_made, n_made), found in longer.items():
    shown = {name: title for name, title in COLUMNS.items() if name not in (FD, MMD)} | dict(zip(target.names(n_made), ("FD", "MMD²")))
    for names in (["judge_accuracy", "digits", *target.names(n_made)], ["within_class_spread", "code mismatch", "code spread"]):
        rows = [[NAMES[kind], *(mean_text([v[f"{name} {kind}"] for v in found if f"{name} {kind}" in v]).replace(" ", "\u00a0") for name in names)] for kind in models]
        display(Markdown(markdown(["", *(shown[name] for name in names)], rows)))
    display(Markdown(f"*{steps_made:,} steps, {n_made:,} samples, {len(found)} seeds.*"))
if not longer:
    display(Markdown("*The longer runs have not been made yet.*"))

# %% [markdown]
# ## Worth as a model of the data
#
# A VAE gives each picture a bound of its probability, and the literature compares models by it. Two conditions make such numbers comparable. The pixels must be 0 or 1: grey ones under a Bernoulli have no likelihood, so each is drawn as ink with the probability that its grey says, anew for each batch. And
# it must be said which bound: the ELBO, or the tighter $L_k=\mathbb E\log\frac1k\sum_i p(x\mid z_i)p(z_i)/q(z_i\mid x)$ of {cite:t}`burda2016importance`, which tends to $\log p(x)$. Codes of two numbers and of fifty are not comparable either. So a VAE of the size that the literature uses is trained for this
# alone: fully connected, $784\to200\to200\to50$ and back, tanh, as in that paper's simplest model, which sees ink as 1 and paper as 0 (see *What can go wrong* below). The published figure is that of {cite:t}`rezende2015variational`, table 1: $-\log p(x)\le89.9$ nats for the same kind of model, a diagonal Gaussian posterior of 40 numbers with larger hidden layers, without flows. Their binary
# digits may be drawn once for all instead of anew, which a model can learn by heart a little: a difference of some per cent decides nothing.

# %%
likelihood_found = {}
if bound_steps:
    torch.manual_seed(seed)
    dense = Autoencoder(DenseEncoder(resolution=28), DenseDecoder(resolution=28), lr=1e-3, seed=seed, device=DEVICE)
    ink, served = torch.Generator(DEVICE).manual_seed(seed), data.Batches(pictures, 100, seed=seed, device=DEVICE)
    for step in range(bound_steps):
        for group in dense.optimizer.param_groups:
            group["lr"] = 1e-3 * (0.01 + 0.99 * math.cos(0.5 * math.pi * step / bound_steps) ** 2)
        dense.generator_step(binarised(next(served)[0], ink))
    test = binarised(data.to_tensors(data.load("mnist", split="test", resolution=28))[0], torch.Generator().manual_seed(1))
    elbo = dense.elbo(test)
    some = slice(None, None, 20)  # the gap between the bounds varies little from picture to picture
    gap = importance_bound(dense, test[some], draws=bound_draws) - elbo[some]
    likelihood_found = {"elbo": elbo.mean().item(), "log_likelihood_bound": (elbo.mean() + gap.mean()).item(), "log_likelihood_se": (elbo.var() / len(elbo) + gap.var() / len(gap)).sqrt().item()}

# %% tags=["hide-input"]
PUBLISHED = -89.9  # Rezende & Mohamed (2015), table 1, diagonal covariance
measured_long = {}  # the records that differ in their seed only
for r in kept_records("autoencoders_mnist"):
    if "elbo" in r.metrics:
        measured_long.setdefault((r.params["bound_steps"], r.params["bound_draws"]), []).append(r.metrics)
for (steps_made, draws), found in (measured_long or {(bound_steps, bound_draws): [likelihood_found] if likelihood_found else []}).items():
    if found:
        elbos, bounds = ([values[name] for values in found] for name in ("elbo", "log_likelihood_bound"))
        off = (PUBLISHED - np.mean(bounds)) / abs(PUBLISHED)  # positive: worse
        verdict = f"worse by {off:.1%}" if off > 0 else f"better by {-off:.1%}"
        error = max(values["log_likelihood_se"] for values in found)
        seeds = f"{len(found)} seeds, mean and half of Student's 95% interval over them" if len(found) > 1 else "one seed"
        text = f"After {steps_made:,} steps of 100 pictures, on the 10,000 test digits ({seeds}): ELBO {mean_text(elbos)} nats, $L_{{{draws}}}$ {mean_text(bounds)}, in each seed with a standard error of at most {error:.2f} from the choice of digits. The published bound is {PUBLISHED}: ours is {verdict}, {'within' if abs(off) <= 0.03 else 'not within'} 3%."
        display(Markdown(text.replace(" -", " −")))
if not measured_long and not likelihood_found:
    display(Markdown("*This takes some minutes; the record has not been made yet.*"))

# %% tags=["hide-input"]
for kind, model in models.items():  # for `ganbook reconstruct`, `restyle` and the like
    sizes = {"resolution": 28, "channels": 1, "latent_dim": latent_dim, "width": width, "n_classes": model.n_classes}
    save_networks(Path(OUT, "models", f"{kind}.safetensors"), dcgan_networks(kind, model.decoder, encoder=model.encoder, dataset="mnist", classes=pictures.classes, **sizes))
metrics = {f"{name} {kind}": value for kind, values in measured.items() for name, value in values.items()}
protocol = target.protocol | {"n_fake": n_eval, "labels": "CVAE: each digit in turn", "code_kernel": "imq, C = 2d"}
rows = [{"model": kind, **row} for kind, history in histories.items() for row in history.rows]
metrics |= likelihood_found
write_record(
    OUT,
    parameters=PARAMETERS,
    rows=rows,
    metrics=metrics | {"protocol": protocol},
    environment=ENVIRONMENT,
    train_seconds=sum(history.seconds for history in histories.values()),
    sheet=sheets["cvae"],
)

# %% [markdown]
# ```{admonition} Why the plain autoencoder draws "something unintelligible"
# :class: note
# Nothing in its loss says where codes should lie, and so they lie anywhere: in {numref}`fig-aem-codes` they stretch many times farther than the prior (*spread of a code*), and a normal code falls into the
# small middle, where the arms of several digits meet. The decoder was hardly ever asked there, and interpolates between everything. That a code is *decodable* says nothing about codes that no
# picture has.
#
# The VAE pays for each nat by which $q(z\mid x)$ differs from the prior, and so the codes of all pictures together come to resemble it: a normal code falls where codes are. Yet the plane
# must be shared among ten digits, and their borders are drawn as what they are, mixtures: "outlines appear". The CVAE is *told* the digit. Its whole plane is left for the way it is written,
# every digit has the whole prior to itself, and no border of digits runs through it: clear digits.
# ```

# %% tags=["claim", "keep_output", "nbval-check-output"]
print("the AE's codes lie at least 3 times farther from the prior than the VAE's:", measured["ae"]["code mismatch"] > 3 * measured["vae"]["code mismatch"])
print("random codes: the CVAE's samples are nearest to the data and the AE's farthest:", measured["cvae"][FD] < measured["vae"][FD] < measured["ae"][FD])
print("the judge reads more different digits in the VAE's samples than in the AE's:", measured["vae"]["digits"] > measured["ae"]["digits"])
print("at least 85% of the CVAE's samples are read as the asked digit:", measured["cvae"]["judge_accuracy"] > 0.85)

# %% [markdown]
# ```{admonition} What can go wrong
# :class: warning
# - **Blur.** With two numbers a code cannot say enough, and the decoder draws the mean of all pictures it may stand for. A longer code sharpens reconstructions; samples improve less, for the prior of a longer code is harder to fill.
# - **A sure judge.** A classifier that has seen nothing but digits answers with a digit, and often with great confidence, whatever it is shown; the cell below counts it. Accuracy alone judges no samples.
# - **A code that is ignored.** With a heavy KL term (`beta` of 10) or a decoder that can do without, $q(z\mid x)$ becomes the prior and every sample is the mean picture: the KL curve falls to zero.
# - **Paper that is −1.** Most of a digit is paper. A fully connected first layer that is given −1 for it adds up hundreds of equal inputs, its tanh units saturate before training has begun, and the code stays poor whatever the length of the training. `DenseEncoder` maps to $[0,1]$ first. Convolutions with normalisation, as in the other models here, do not mind.
# - **Grey pixels under a Bernoulli likelihood.** The cross-entropy is then no log-likelihood, and its value cannot be compared with a Gaussian's.
# ```

# %% tags=["hide-input"]
display(Markdown(f"The judge is more than 90% sure of **{measured['ae']['sure']:.0%}** of the AE's samples, of {measured['vae']['sure']:.0%} of the VAE's and of {measured['cvae']['sure']:.0%} of the CVAE's."))

# %% [markdown]
# ```{exercise}
# :label: ex-aem-scale
# Standardise the AE's codes: multiply each random normal code by the standard deviation of the codes and add their mean before decoding. Are the samples nearer to the data? Why is it still no VAE?
# ```
#
# ````{solution} ex-aem-scale
# :class: dropdown
# The first two moments of the codes are then those of the draws, and fewer draws fall into empty places; but the codes are no normal law, they lie in arms with gaps between. A smaller distance, were it even smaller than the VAE's, makes no VAE of it: nothing in the training asked for such codes, and the law of the draws was fitted to them afterwards. The cell below measures it.
# ````

# %% tags=["hide-cell"]
z, _ = drawn(n_eval, latent_dim, 0, seed=1)
standardised = models["ae"].sample(z * codes["ae"].std(0) + codes["ae"].mean(0))
after = target.measure(standardised, None)[FD]
display(Markdown(f"FD {measured['ae'][FD]:.0f} before, {after:.0f} with standardised codes; the VAE's {measured['vae'][FD]:.0f}."))

# %% [markdown]
# ## Where this goes
#
# [The next experiment](accelerated_gan) gives such a decoder to a GAN as its generator's first weights. The trained networks lie in the run's folder, under `models`: `ganbook reconstruct RUN PICTURE…` sends
# pictures of yours through the first of them, `--model cvae` through another, and `ganbook sample RUN --model vae` draws a sheet.
