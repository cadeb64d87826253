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
# # CVAE, CGAN and CVAE-GAN side by side
#
# ```{admonition} In this experiment
# :class: tip
# - a conditional VAE, a conditional GAN and the two in one, with the same networks, batches and number of steps;
# - their progress, digit by digit, as an animation; their samples and reconstructions, and what each is worth in numbers;
# - the handwriting of one digit carried over to the others, and how much of it arrives.
#
# *Before this:* [autoencoders on MNIST](autoencoders_mnist), [a conditional GAN](gan_mnist). *Cost:* about a minute at `cpu` scale.
# ```
#
# A VAE compares pictures pixel by pixel. A stroke that is moved by one pixel is then as wrong as one that is missing, and the safest answer is a blurred one. A GAN compares nothing; its discriminator *learns* what tells
# pictures apart, but no picture has a code. {cite:t}`larsen2016autoencoding` join them: the decoder of the VAE is the generator of the GAN, and the distance of two pictures is the one that the discriminator sees. With $z\sim q(z\mid x,y)$ the code of a
# picture, $z_p\sim\mathcal N(0,I)$ and $D_l$ the features after the discriminator's $l$-th convolution, let
#
# $$ \begin{aligned}
# L_{\text{prior}}&=\mathrm{KL}\bigl[q(z\mid x,y)\,\|\,\mathcal N(0,I)\bigr],\qquad L_{\text{llike}}=\tfrac12\bigl\lVert D_l(x)-D_l(\mathrm{dec}(z,y))\bigr\rVert^2,\\
# L_{\text{GAN}}&=-\log D(x,y)-\log\bigl(1-D(\mathrm{dec}(z_p,y),y)\bigr)-\log\bigl(1-D(\mathrm{dec}(z,y),y)\bigr).
# \end{aligned} $$ (eq-cvg-losses)
#
# Each network has a line of its own, and receives the gradient of no other:
#
# ```{prf:algorithm} One step of VAE/GAN
# :label: alg-cvg-step
#
# 1. Discriminator: descend $L_{\text{GAN}}$.
# 2. Encoder: descend $L_{\text{prior}}+L_{\text{llike}}$.
# 3. Decoder: descend $\gamma L_{\text{llike}}-L_{\text{GAN}}$.
# ```
#
# $L_{\text{GAN}}$ is the discriminator's cross-entropy; the paper prints it without the minus signs, under which the first and third line of its algorithm would both lead the wrong way. (As in any GAN, the decoder's $-L_{\text{GAN}}$ saturates, and the library takes the non-saturating form of it by default.)
#
# The discriminator must not descend $L_{\text{llike}}$: it would do so best by having no features at all. $\gamma$ trades *content*, what exactly is on the picture, for *style*, how real it looks. With the label in all three networks it is a CVAE-GAN; the one of
# {cite:t}`bao2017cvae` has further terms and a classifier.

# %% tags=["hide-input"]
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Image, Markdown, display
from torch.nn.functional import one_hot

from ganbook import data
from ganbook.config import notebook_parameters
from ganbook.evaluation.samples import Target, drawn
from ganbook.experiment import choose_device, environment
from ganbook.metrics import precision_recall
from ganbook.models.autoencoder import build
from ganbook.models.gan import GAN
from ganbook.models.vae_gan import build_vae_gan
from ganbook.nn import dcgan
from ganbook.plotting import image_sheet, save_animation
from ganbook.pretrained import dcgan_networks, save_networks
from ganbook.records import folder_for, write_record
from ganbook.training import train

# %% [markdown]
# ## Parameters

# %% tags=["parameters"]
dataset: str = "mnist"  # mnist or emoji
gamma: float = 0.01  # γ: weight of the likelihood in the CVAE-GAN's decoder
layer: int = 1  # l: the convolution of the discriminator whose features are compared
latent_dim: int = 16  # length of the code
width: int = 16  # feature maps of the networks' outer layers
batch_size: int = 32  # images per step
steps: int = 700  # of each model
lr: float = 1.0e-3  # Adam's learning rate
ema_decay: float = 0.99  # decay of the CGAN's averaged generator
n_eval: int = 1000  # samples that the metrics see
seed: int = 0  # of networks, codes and data order
device: str = "auto"  # auto, cpu or cuda
out: str = ""  # the run's folder; empty: one of its own under runs/adhoc

# %% tags=["hide-input"]
PARAMETERS = notebook_parameters(globals(), set(__annotations__))
OUT, DEVICE = PARAMETERS.pop("out"), choose_device(PARAMETERS.pop("device"))
OUT = Path(OUT or folder_for("cvae_cgan_cvaegan", PARAMETERS))
OUT.mkdir(parents=True, exist_ok=True)
ENVIRONMENT = environment(DEVICE)
pictures = data.load(dataset, resolution={"mnist": 28, "emoji": 32}[dataset])
CHANNELS, RESOLUTION = pictures.images.shape[1], pictures.images.shape[2]
K = len(pictures.classes)
SIZES = {"resolution": RESOLUTION, "channels": CHANNELS, "n_classes": K, "width": width}
target = Target.of(dataset, RESOLUTION, n=2000)
FD, MMD = target.names(n_eval)

# %% [markdown]
# ## Three models

# %%
torch.manual_seed(seed)
generator = dcgan.Generator(latent_dim=latent_dim, **SIZES)
discriminator = dcgan.Discriminator(norm="spectral", **SIZES)
models = {
    "CVAE": build("cvae", latent_dim=latent_dim, lr=lr, seed=seed, device=DEVICE, **SIZES),
    "CGAN": GAN(generator, discriminator, lr_g=lr, lr_d=lr, ema_decay=ema_decay, seed=seed, device=DEVICE),
    "CVAE-GAN": build_vae_gan(latent_dim=latent_dim, gamma=gamma, layer=layer, lr=lr, lr_d=lr, seed=seed, device=DEVICE, **SIZES),
}


def sampled(name, z, y):
    """Samples of a model; the GAN's are of its averaged generator."""
    if name == "CGAN":
        models[name].refresh_batchnorm(batches=4)
    return models[name].sample(z, y)


# %% tags=["hide-output"]
still, digits = torch.randn(1, latent_dim, generator=torch.Generator().manual_seed(3)).expand(K, -1), torch.arange(K)
histories, frames = {}, {name: [] for name in models}
for name, model in models.items():
    watch = [lambda history, name=name: frames[name].append(sampled(name, still, digits))]
    if name != "CGAN":
        watch.append(lambda history, model=model: history.rows[-1].update(model.read_terms()))
    histories[name] = train(model, data.Batches(pictures, batch_size, seed=seed, device=DEVICE), steps=steps, log_every=max(1, steps // 14), hooks=watch)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Progress class by class (animated): the same code, at fourteen moments of the training. CVAE above, CGAN in the middle, CVAE-GAN below.", "name": "fig-cvg-progress"}, "image": {"alt": "Animation: three rows of pictures, one a class, that turn from grey into digits; the first row early and blurred, the others later and sharper."}}
film = [image_sheet(torch.cat(moment), columns=K, scale=2) for moment in zip(*frames.values())]
save_animation(film, OUT / "progress.png", milliseconds=400)
display(Image(filename=str(OUT / "progress.png")))

# %% [markdown]
# ## Samples and reconstructions

# %% mystnb={"figure": {"caption": "Samples from the same codes: one class a column, one code a row, not selected.", "name": "fig-cvg-samples"}, "image": {"alt": "Three sheets of generated digits. The CVAE's are soft, the CGAN's and the CVAE-GAN's have crisper strokes and more faults."}} tags=["hide-input"]
z = torch.randn(5, latent_dim, generator=torch.Generator().manual_seed(0)).repeat_interleave(K, 0)
sheets = {name: image_sheet(sampled(name, z, torch.arange(K).repeat(5)), columns=K) for name in models}
figure, axes = plt.subplots(1, 3, figsize=(10, 2.1), layout="constrained")
for axis, (name, sheet) in zip(axes, sheets.items()):
    axis.imshow(np.asarray(sheet), cmap="gray")
    axis.set_axis_off()
    axis.set_title(name)
plt.show()

# %% mystnb={"figure": {"caption": "Held-out pictures (top), the CVAE's reconstructions (middle) and the CVAE-GAN's (bottom). The CGAN has no encoder and reconstructs nothing.", "name": "fig-cvg-rebuilt"}, "image": {"alt": "Three rows of twenty digits: originals, soft reconstructions, sharper reconstructions that follow the originals less exactly."}} tags=["hide-input"]


def rebuilt(name, x, y, new=None):
    """Pictures from the mean codes of pictures, drawn with their own labels or with new ones."""
    model = models[name]
    z = model.posterior(x, y)[0] if name == "CVAE" else model.codes(x, y)
    return model.sample(z, y if new is None else new)


x, y = target.images[:20], target.labels[:20]
sheet = image_sheet(torch.cat([x, rebuilt("CVAE", x, y), rebuilt("CVAE-GAN", x, y)]), columns=20)
figure, axis = plt.subplots(figsize=(10, 1.7), layout="constrained")
axis.imshow(np.asarray(sheet), cmap="gray")
axis.set_axis_off()
plt.show()

# %% [markdown]
# ## Measured
#
# *Sharpness* is the mean size of the step from a pixel to its right neighbour, divided by the data's: below 1 is blurred. The *reconstruction error* is the root mean squared difference of pixels in [-1, 1], and *feature error* the same in the judge's features, divided by their standard deviation. Precision and recall
# {cite:p}`kynkaanniemi2019improved` are in the judge's features, too.


# %%
def sharpness(images):
    return (images[..., 1:] - images[..., :-1]).abs().mean().item()


measured = {}
z, y = drawn(n_eval, latent_dim, K, seed=1)
held, held_labels = target.images[:1000], target.labels[:1000]
for name in models:
    fake = sampled(name, z, y)
    values = target.measure(fake, y)
    values |= precision_recall(target.features[:1000], target.judge.features(fake)[:1000].double())._asdict()
    values["sharpness"] = sharpness(fake) / sharpness(target.images)
    if name != "CGAN":
        again = rebuilt(name, held, held_labels)
        values["reconstruction error"] = (again - held).square().mean().sqrt().item()
        difference = target.judge.features(again).double() - target.features[:1000]
        values["feature error"] = (difference.square().mean().sqrt() / target.features.std(0).square().mean().sqrt()).item()
    values["seconds"] = histories[name].seconds
    measured[name] = values
in_features = f"within_class_spread({target.protocol['extractor']})"
COLUMNS = {"judge_accuracy": "accuracy", FD: "FD", "precision": "precision", "recall": "recall", "within_class_spread": "spread, pixels", in_features: "spread, features", "sharpness": "sharpness", "reconstruction error": "reconstruction error", "feature error": "feature error", "seconds": "seconds"}
lines = ["| | " + " | ".join(measured) + " |", "|---" * (len(measured) + 1) + "|"]
for column, title in COLUMNS.items():
    lines.append(f"| {title} | " + " | ".join(f"{v[column]:.3g}" if column in v else "–" for v in measured.values()) + " |")
display(Markdown("\n".join(lines)))

# %% tags=["hide-input"]
best = {title: (min if title in ("FD", "reconstruction error", "feature error") else max)((v[c], n) for n, v in measured.items() if c in v)[1] for c, title in COLUMNS.items() if title not in ("seconds", "sharpness", "spread, pixels", "spread, features")}
display(Markdown("In this run the best is, by " + "; by ".join(f"{title}, the {name}" for title, name in best.items()) + "."))

# %% [markdown]
# Why does a CVAE-GAN look good even where a number prefers another? It is asked for two things that the other two are each excused from. The reconstruction ties each code to a picture, so that no part of the prior is left without one, which is what a GAN alone
# is free to do; and the discriminator lets no blur pass, which is what pixels alone allow. The price is a third loss and a weight $\gamma$ that has to suit the features of a network that is itself in training.
#
# ## Style transfer
#
# The encoder sees picture *and* label. What the label says, the code need not say: it is left with the hand, slant and thickness of the stroke. So encode a digit with its own label, and decode the code with another.

# %% mystnb={"figure": {"caption": "One hand, all classes, by the CVAE: the first column is a held-out picture, the others are its code drawn with the labels in turn.", "name": "fig-cvg-style"}, "image": {"alt": "A grid of digits. Each row starts with an original and continues with the digits 0 to 9 in the same slant and thickness."}} tags=["hide-input"]
rows = []
order = [int((target.labels == k).nonzero()[7]) for k in range(K)]
for i in order:
    x, y = target.images[i : i + 1].expand(K, -1, -1, -1), target.labels[i].expand(K)
    rows.append(torch.cat([target.images[i : i + 1], rebuilt("CVAE", x, y, torch.arange(K))]))
style_sheet = image_sheet(torch.cat(rows), columns=K + 1)
figure, axis = plt.subplots(figsize=(6, 5.4), layout="constrained")
axis.imshow(np.asarray(style_sheet), cmap="gray")
axis.set_axis_off()
plt.show()

# %% [markdown]
# Does the hand arrive? Two of its traits can be read off the pixels, with the brightness $b\ge0$ of a pixel as its weight: the *slant*, $-\mu_{11}/\mu_{02}$ from the central moments, by how much a stroke moves to the right for each pixel that it rises; and the *thickness*, twice
# the brightness over the summed size of its gradient (of a bar that is $t$ wide and much longer, $t$). Each is compared between source and restyled picture after the mean of the source's class and that of the new class are taken away: a seven leans in most hands.


# %%
def traits(images):
    """Slant and thickness of each picture, (n, 2)."""
    b = (images.mean(1) + 1) / 2
    side = torch.arange(b.shape[1]).double()
    mass = b.sum((1, 2)).double().clamp(min=1e-6)
    row, column = (b.double().sum(axis) @ side / mass for axis in (2, 1))
    dr, dc = side[None, :, None] - row[:, None, None], side[None, None, :] - column[:, None, None]
    slant = -(b * dr * dc).sum((1, 2)) / (b * dr.square()).sum((1, 2)).clamp(min=1e-6)
    padded = torch.nn.functional.pad(b, (1, 1, 1, 1))
    steps_x, steps_y = padded.diff(dim=2)[:, 1:], padded.diff(dim=1)[:, :, 1:]
    thickness = 2 * mass / (steps_x.square() + steps_y.square()).sqrt().sum((1, 2)).clamp(min=1e-6)
    return torch.stack([slant, thickness], 1)


def without_class(values, labels):
    """Values less the mean of their class."""
    members = one_hot(labels, K).double()
    return values - members @ ((members.T @ values) / members.sum(0)[:, None].clamp(min=1))


new = (held_labels + torch.randint(1, K, held_labels.shape, generator=torch.Generator().manual_seed(4))) % K
transfer = {}
for name in ("CVAE", "CVAE-GAN"):
    restyled = rebuilt(name, held, held_labels, new)
    source, arrived = without_class(traits(held), held_labels), without_class(traits(restyled), new)
    slant, thickness = (torch.corrcoef(torch.stack([source[:, i], arrived[:, i]]))[0, 1].nan_to_num().item() for i in (0, 1))
    transfer[name] = {"read as the new class": target.judge.accuracy(restyled, new), "slant": slant, "thickness": thickness}
lines = ["| | read as the new class | correlation of slant | of thickness |", "|---|---|---|---|"]
lines += [f"| {name} | {v['read as the new class']:.1%} | {v['slant']:.2f} | {v['thickness']:.2f} |" for name, v in transfer.items()]
display(Markdown("\n".join(lines)))

# %% tags=["claim", "keep_output", "nbval-check-output"]
print("the judge reads at least 85% of the CVAE's restyled digits as the new one:", transfer["CVAE"]["read as the new class"] >= 0.85)
print("slant and thickness of the source arrive (correlations above 0.3):", min(transfer["CVAE"]["slant"], transfer["CVAE"]["thickness"]) > 0.3)
print("the CVAE's samples are the softest of the three:", measured["CVAE"]["sharpness"] < min(measured["CGAN"]["sharpness"], measured["CVAE-GAN"]["sharpness"]))
print("pixel by pixel, the CVAE reconstructs best:", measured["CVAE"]["reconstruction error"] < measured["CVAE-GAN"]["reconstruction error"])

# %% tags=["hide-cell"]
bar = torch.full((1, 1, 28, 28), -1.0)
bar[..., 4:24, 12:16] = 1  # upright, four wide
leaning = torch.stack([bar[0, 0, r].roll(round((14 - r) / 4)) for r in range(28)])[None, None]
assert abs(traits(bar)[0, 0]) < 1e-6 and 0.15 < traits(leaning)[0, 0] < 0.35 and 2.8 < traits(bar)[0, 1] < 4.2

# %% tags=["hide-input"]
decoders = {"CVAE": models["CVAE"].decoder, "CGAN": models["CGAN"].ema.module, "CVAE-GAN": models["CVAE-GAN"].decoder}
for name, decoder in decoders.items():  # for `ganbook restyle` and the like
    encoder = None if name == "CGAN" else models[name].encoder
    networks = dcgan_networks(name.lower(), decoder, encoder=encoder, latent_dim=latent_dim, dataset=dataset, classes=pictures.classes, **SIZES)
    save_networks(OUT / "models" / f"{name.lower()}.safetensors", networks)
metrics = {f"{name} {model}": value for model, values in measured.items() for name, value in values.items()}
metrics |= {f"{what}, restyled {name}": value for name, values in transfer.items() for what, value in values.items()}
write_record(
    OUT,
    parameters=PARAMETERS,
    rows=[{"model": name, **row} for name, history in histories.items() for row in history.rows],
    metrics=metrics | {"protocol": target.protocol | {"n_fake": n_eval, "labels": "each class in turn"}},
    environment=ENVIRONMENT,
    train_seconds=sum(history.seconds for history in histories.values()),
    sheet=sheets["CVAE-GAN"],
)

# %% [markdown]
# ```{admonition} What can go wrong
# :class: warning
# - **$\gamma$ of another network.** $L_{\text{llike}}$ is a sum over features, and its size depends on layer, width and normalisation. Too large, and the decoder ignores the game; too small, and codes mean nothing to it. The [results page](../results/cvae_cgan_cvaegan) has several.
# - **A discriminator that learns the likelihood, too.** With one optimiser for everything it does; reconstructions then become "perfect" in features that say nothing.
# - **A code that still knows the class.** If restyled digits keep the old class, the code carries it: more weight on the KL term, or a shorter code.
# ```
#
# ```{exercise}
# :label: ex-cvg-features
# Suppose the discriminator also descended $L_{\text{llike}}$. Which of its weights bring it to zero, whatever encoder and decoder do?
# ```
#
# ````{solution} ex-cvg-features
# :class: dropdown
# All weights of the first $l$ convolutions zero: every picture then has the same features. (Spectral normalisation forbids exactly this, and leaves the second best: features that see as little as possible of what differs.)
# ````

# %% tags=["hide-cell"]
blind = dcgan.Discriminator(norm="none", **SIZES)
with torch.no_grad():
    blind.features[0].weight.zero_()
assert (blind.features[:2](target.images[:2]).diff(dim=0) == 0).all()

# %% [markdown]
# ## Where this goes
#
# The trained networks lie in the run's folder, under `models`. `ganbook restyle RUN digit.jpg --labels 4` writes your four as the other digits, after making your picture what the model knows, and says how; `ganbook reconstruct`,
# `sample` and `interpolate` do what their names say, each with `--model cvae`, `cgan` or `cvae-gan`. The three update rules are `ganbook.models.vae_gan`; a decoder that starts a GAN instead of sharing a loss with it is [another experiment](accelerated_gan).
