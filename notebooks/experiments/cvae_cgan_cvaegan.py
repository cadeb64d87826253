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
# - a conditional VAE, a conditional GAN and the two in one, with the same networks and about the same time for each;
# - their progress, digit by digit, as an animation; their samples and reconstructions, and what each is worth in numbers;
# - the handwriting of one digit carried over to the others, and how much of it arrives;
# - the same on a set of eighteen classes, emoji by category *and* artist: there the true answer of a change of style is known.
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
# ($D$ is here, as in the paper, the probability that a picture is real.) Each network has a line of its own, and receives the gradient of no other:
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
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Image, Markdown, display
from torch.nn.functional import one_hot

from ganbook import data, ladder
from ganbook.config import notebook_parameters
from ganbook.evaluation.photographs import PhotographTarget
from ganbook.evaluation.samples import Target, drawn
from ganbook.experiment import choose_device, environment, unlabelled
from ganbook.metrics import precision_recall
from ganbook.models.autoencoder import build
from ganbook.models.gan import GAN
from ganbook.models.vae_gan import build_vae_gan
from ganbook.nn import dcgan
from ganbook.plotting import image_sheet, save_animation
from ganbook.pretrained import dcgan_networks, save_networks
from ganbook.records import folder_for, write_record
from ganbook.results import kept_records
from ganbook.training import train

# %% [markdown]
# ## Parameters

# %% tags=["parameters"]
dataset: str = "mnist"  # mnist, emoji_styles, emnist (where it and its judge are there), or photographs without labels: celeba, zip:PATH
resolution: int = 0  # pixels; 0: 28 for digits and letters, 32 for emoji, 64 for photographs
models: str = "CVAE,CGAN,CVAE-GAN"  # which of the three
beta: float = 2.0  # weight of the KL term in the CVAE at the end; at the start it is ten times as much
gamma: float = 0.01  # γ: weight of the likelihood in the CVAE-GAN's decoder
prior_weight: float = 1.0  # of the KL term in the CVAE-GAN's encoder, 1 in the paper
layer: int = 1  # l: the convolution of the discriminator whose features are compared
latent_dim: int = 8  # length of the code
width: int = 16  # feature maps of the networks' outer layers
batch_size: int = 32  # images per step
steps: int = 220  # of the CVAE-GAN; the CGAN makes twice and the CVAE four times as many, which cost about as much
lr: float = 2.0e-3  # Adam's learning rate, CGAN and CVAE-GAN
lr_vae: float = 3.0e-3  # the same, CVAE
ema_decay: float = 0.99  # decay of the averaged generator of CGAN and CVAE-GAN
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
STYLES = ("twemoji", "noto")
RESOLUTION = resolution or {"mnist": 28, "emnist": 28, "emoji_styles": 32}.get(dataset.partition(":")[0], 64)


def loaded(split):
    """The set; emoji with category and artist as one label, ``category + 9·artist``."""
    if dataset != "emoji_styles":
        return data.load(dataset, split=split, resolution=RESOLUTION)
    parts = [data.load(f"emoji:{style}", split=split, resolution=RESOLUTION) for style in STYLES]
    labels = [part.labels + i * len(part.classes) for i, part in enumerate(parts)]
    classes = tuple(f"{name}, {style}" for style, part in zip(STYLES, parts) for name in part.classes)
    return replace(parts[0], name=dataset, images=np.concatenate([part.images for part in parts]), labels=np.concatenate(labels), classes=classes)


pictures = loaded("train")
LABELLED = pictures.labels is not None
CHANNELS, K = pictures.images.shape[1], len(pictures.classes) if LABELLED else 0
SIZES = {"resolution": RESOLUTION, "channels": CHANNELS, "n_classes": K, "width": width}
if LABELLED:
    target = Target.of({"emoji_styles": "emoji"}.get(dataset, dataset), RESOLUTION, n=2000)
else:
    target = PhotographTarget.of(dataset, RESOLUTION, n=max(n_eval, 2))
held, held_labels = target.images, None
if LABELLED:
    held_labels = torch.from_numpy(loaded("test").labels) if dataset == "emoji_styles" else target.labels
FD, MMD = target.names(n_eval)
NAMES = models.split(",")  # without labels a CVAE is a VAE, and so on


def called(name):
    return name if LABELLED else name.replace("C", "", 1)


def category(labels):
    """What the judge reads: of emoji the category, whoever drew it."""
    return labels % len(target.judge.classes) if LABELLED else None


def batches():
    served = data.Batches(pictures, batch_size, seed=seed, device=DEVICE)
    return served if LABELLED else unlabelled(served)


# %% [markdown]
# ## Three models
#
# A step of the CVAE costs about half a step of the CGAN and a quarter of one of the CVAE-GAN, so it makes that many more. Its KL term starts with a large weight: a code is then so dear that the decoder first learns what the label tells it for nothing, and what is left
# for the code is the hand. (With the weight at its final value from the start, the class is written into the code, too, and comes out of it only slowly.)

# %%
torch.manual_seed(seed)
generator = dcgan.Generator(latent_dim=latent_dim, **SIZES)
discriminator = dcgan.Discriminator(norm="spectral", **SIZES)
makers = {
    "CVAE": lambda: build("cvae" if LABELLED else "vae", latent_dim=latent_dim, weight=10 * beta, lr=lr_vae, seed=seed, device=DEVICE, **SIZES),
    "CGAN": lambda: GAN(generator, discriminator, lr_g=lr, lr_d=lr, ema_decay=ema_decay, seed=seed, device=DEVICE),
    "CVAE-GAN": lambda: build_vae_gan(latent_dim=latent_dim, gamma=gamma, prior_weight=prior_weight, layer=layer, lr=lr, lr_d=lr, ema_decay=ema_decay, seed=seed, device=DEVICE, **SIZES),
}
trained = {name: makers[name]() for name in NAMES}


def sampled(name, z, y):
    """Samples of a model; those of the two that play a game are of the averaged generator."""
    if name != "CVAE":
        trained[name].refresh_batchnorm(batches=4)
    return trained[name].sample(z, y)


# %% tags=["hide-output"]
COLUMNS = K or 10
shown = torch.arange(K) if LABELLED else None
still = torch.randn(1 if LABELLED else COLUMNS, latent_dim, generator=torch.Generator().manual_seed(3)).expand(COLUMNS, -1)
PACE = {"CVAE": 4, "CGAN": 2, "CVAE-GAN": 1}
histories, frames = {}, {name: [] for name in NAMES}


def lightened(model, history, length):
    """The KL term's weight falls from ten times β to β over the first two thirds of the training."""
    model.weight = beta * max(1.0, 10 ** (1 - 1.5 * history.step / length))


for name, model in trained.items():
    watch = [lambda history, name=name: frames[name].append(sampled(name, still, shown))]
    if name != "CGAN":
        watch.append(lambda history, model=model: history.rows[-1].update(model.read_terms()))
    length = PACE[name] * steps
    if name == "CVAE":
        watch.append(lambda history, model=model, length=length: lightened(model, history, length))
    histories[name] = train(model, batches(), steps=length, log_every=max(1, length // 14), hooks=watch)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Progress class by class (animated): the same code, at fourteen moments of the training. CVAE above, CGAN in the middle, CVAE-GAN below.", "name": "fig-cvg-progress"}, "image": {"alt": "Animation: three rows of pictures, one a class, that turn from grey into digits; the first row early and blurred, the others later and sharper."}}
film = [image_sheet(torch.cat(moment), columns=COLUMNS, scale=2) for moment in zip(*frames.values())]
save_animation(film, OUT / "progress.png", milliseconds=400)
display(Image(filename=str(OUT / "progress.png")))

# %% [markdown]
# ## Samples and reconstructions

# %% mystnb={"figure": {"caption": "Samples from the same codes: one class a column, one code a row, not selected.", "name": "fig-cvg-samples"}, "image": {"alt": "Three sheets of generated digits. The CVAE's are soft, the CGAN's and the CVAE-GAN's have crisper strokes and more faults."}} tags=["hide-input"]
z = torch.randn(5 if LABELLED else 5 * COLUMNS, latent_dim, generator=torch.Generator().manual_seed(0))
z, y = (z.repeat_interleave(K, 0), torch.arange(K).repeat(5)) if LABELLED else (z, None)
drawings = {name: sampled(name, z, y) for name in NAMES}
figure, axes = plt.subplots(1, len(NAMES), figsize=(3.4 * len(NAMES), 2.1), layout="constrained", squeeze=False)
for axis, (name, images) in zip(axes[0], drawings.items()):
    axis.imshow(np.asarray(image_sheet(images, columns=COLUMNS)), cmap="gray")
    axis.set_axis_off()
    axis.set_title(called(name))
plt.show()

# %% mystnb={"figure": {"caption": "Held-out pictures (top), and as the models with an encoder draw them again: the CVAE (middle) and the CVAE-GAN (bottom). The CGAN has no encoder and reconstructs nothing.", "name": "fig-cvg-rebuilt"}, "image": {"alt": "Three rows of twenty digits: originals, soft reconstructions, sharper reconstructions that follow the originals less exactly."}} tags=["hide-input"]


def rebuilt(name, x, y, new=None):
    """Pictures from the mean codes of pictures, drawn with their own labels or with new ones."""
    model = trained[name]
    z = model.posterior(x, y)[0] if name == "CVAE" else model.codes(x, y)
    return model.sample(z, y if new is None else new)


ENCODING = [name for name in NAMES if name != "CGAN"]
x, y = held[:20], held_labels[:20] if LABELLED else None
if ENCODING:
    figure, axis = plt.subplots(figsize=(10, 1.7), layout="constrained")
    axis.imshow(np.asarray(image_sheet(torch.cat([x, *(rebuilt(name, x, y) for name in ENCODING)]), columns=20)), cmap="gray")
    axis.set_axis_off()
    plt.show()

# %% [markdown]
# ## Measured
#
# *Accuracy* is the share that the judge reads as the asked digit; *spread* is the standard deviation within a class, of pixels or of the judge's features, divided by the data's. *Sharpness* is the mean size of the step from a pixel to its right neighbour, divided by the data's: below 1 is blurred. The *reconstruction error* is the root mean squared difference of pixels in [-1, 1], and *feature error* the same in the judge's features, divided by their standard deviation. Precision and recall
# {cite:p}`kynkaanniemi2019improved` are in the judge's features, too.


# %%
def sharpness(images):
    return (images[..., 1:] - images[..., :-1]).abs().mean().item()


measured = {}
z, y = drawn(n_eval, latent_dim, K, seed=1)
x, x_labels = held[:1000], held_labels[:1000] if LABELLED else None
in_features = f"within_class_spread({target.protocol['extractor']})"
for name in NAMES:
    fake = sampled(name, z, y)
    values = target.measure(fake, category(y))
    if target.features.shape[1]:
        values |= precision_recall(target.features[:1000], target.features_of(fake[:1000]))._asdict()
    values["sharpness"] = sharpness(fake) / sharpness(held)
    if name in ENCODING:
        again = rebuilt(name, x, x_labels)
        values["reconstruction error"] = (again - x).square().mean().sqrt().item()
        if target.features.shape[1]:
            difference = target.features_of(again) - target.features[:1000]
            values["feature error"] = (difference.square().mean().sqrt() / target.features.std(0).square().mean().sqrt()).item()
    values["seconds"] = histories[name].seconds
    measured[name] = values
ROWS = {"judge_accuracy": "accuracy", FD: "FD", "precision": "precision", "recall": "recall", "within_class_spread": "spread, pixels", in_features: "spread, features", "sharpness": "sharpness", "reconstruction error": "reconstruction error", "feature error": "feature error", "seconds": "seconds"}


def compared(measured, rows):
    """Models side by side, one quantity a row."""
    lines = ["| | " + " | ".join(called(name) for name in measured) + " |", "|---" * (len(measured) + 1) + "|"]
    for key, title in rows.items():
        if any(key in values for values in measured.values()):
            lines.append(f"| {title} | " + " | ".join(f"{values[key]:.3g}" if key in values else "–" for values in measured.values()) + " |")
    return "\n".join(lines)


display(Markdown(compared(measured, ROWS)))

# %% tags=["hide-input"]
LOWER = ("FD", "reconstruction error", "feature error")
JUDGED = {key: title for key, title in ROWS.items() if title not in ("seconds", "sharpness", "spread, pixels", "spread, features")}
best = {title: (min if title in LOWER else max)((v[key], called(n)) for n, v in measured.items() if key in v)[1] for key, title in JUDGED.items() if any(key in v for v in measured.values())}
display(Markdown("In this run the best is, by " + "; by ".join(f"{title}, the {name}" for title, name in best.items()) + "."))

# %% [markdown]
# Why does a CVAE-GAN look good even where a number prefers another? It is asked for two things that the other two are each excused from. The reconstruction ties each code to a picture, so that no part of the prior is left without one, which is what a GAN alone
# is free to do; and the discriminator lets no blur pass, which is what pixels alone allow. The price is a third loss and a weight $\gamma$ that has to suit the features of a network that is itself in training.
#
# ## Style transfer
#
# The encoder sees picture *and* label. What the label says, the code need not say: it is left with the hand, slant and thickness of the stroke. So encode a digit with its own label, and decode the code with another.

# %% mystnb={"figure": {"caption": "One hand, all classes, by the CVAE: the first column is a held-out picture, the others are its code drawn with the labels in turn.", "name": "fig-cvg-style"}, "image": {"alt": "A grid of digits. Each row starts with an original and continues with the digits 0 to 9 in the same slant and thickness."}} tags=["hide-input"]
styled = {}
if LABELLED and "CVAE" in NAMES:
    rows = []
    for k in range(min(K, 10)):
        i = int((held_labels == k).nonzero()[:8][-1])
        picture, own = held[i : i + 1], held_labels[i : i + 1]
        rows.append(torch.cat([picture, rebuilt("CVAE", picture.expand(K, -1, -1, -1), own.expand(K), torch.arange(K))]))
    figure, axis = plt.subplots(figsize=(6, 5.4), layout="constrained")
    axis.imshow(np.asarray(image_sheet(torch.cat(rows), columns=K + 1)), cmap="gray")
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


def arrived(name, x, labels):
    """What of a picture's hand is seen when it is drawn as another class, and whether the class is the new one."""
    new = (labels + torch.randint(1, K, labels.shape, generator=torch.Generator().manual_seed(4))) % K
    restyled = rebuilt(name, x, labels, new)
    source, here = without_class(traits(x), labels), without_class(traits(restyled), new)
    slant, thickness = (torch.corrcoef(torch.stack([source[:, i], here[:, i]]))[0, 1].nan_to_num().item() for i in (0, 1))
    return {"read as the new class": target.judge.accuracy(restyled, new), "slant": slant, "thickness": thickness}


def redrawn(name):
    """Emoji in the other artist's hand, against the drawing that this artist made: the k-th of both halves show the same."""
    half = len(held) // 2
    x, labels = held[:half], held_labels[:half]
    other = rebuilt(name, x, labels, labels + K // 2)
    error, copied = ((picture - held[half:]).abs().mean().item() for picture in (other, x))
    return {"category kept": target.judge.accuracy(other, category(labels)), "error": error, "error of a copy": copied, "error of its own hand": (rebuilt(name, x, labels) - x).abs().mean().item()}


TITLES = {"slant": "correlation of slant", "thickness": "correlation of thickness"}
transfer = {}
if LABELLED:
    transfer = {name: redrawn(name) if dataset == "emoji_styles" else arrived(name, x, x_labels) for name in ENCODING}
    if transfer:
        display(Markdown(compared(transfer, {key: TITLES.get(key, key) for values in transfer.values() for key in values})))

# %% tags=["claim", "keep_output", "nbval-check-output"]
if dataset == "mnist" and len(NAMES) == 3:
    print("the judge reads at least 90% of the CVAE's restyled digits as the new one:", transfer["CVAE"]["read as the new class"] >= 0.9)
    print("slant and thickness of the source arrive (correlations above 0.3):", min(transfer["CVAE"]["slant"], transfer["CVAE"]["thickness"]) > 0.3)
    print("the CVAE's samples are the softest of the three:", measured["CVAE"]["sharpness"] < min(measured["CGAN"]["sharpness"], measured["CVAE-GAN"]["sharpness"]))
    print("pixel by pixel, the CVAE reconstructs best:", measured["CVAE"]["reconstruction error"] < measured["CVAE-GAN"]["reconstruction error"])

# %% tags=["hide-cell"]
bar = torch.full((1, 1, 28, 28), -1.0)
bar[..., 4:24, 12:16] = 1  # upright, four wide
leaning = torch.stack([bar[0, 0, r].roll(round((14 - r) / 4)) for r in range(28)])[None, None]
assert abs(traits(bar)[0, 0]) < 1e-6 and 0.15 < traits(leaning)[0, 0] < 0.35 and 2.8 < traits(bar)[0, 1] < 4.2

# %% tags=["hide-input"]
def decoder_of(name):
    return trained[name].decoder if name == "CVAE" else trained[name].ema.module


for name in NAMES:  # for `ganbook restyle` and the like
    networks = dcgan_networks(called(name).lower(), decoder_of(name), encoder=trained[name].encoder if name in ENCODING else None, latent_dim=latent_dim, dataset={"emoji_styles": "emoji"}.get(dataset, dataset), classes=pictures.classes, **SIZES)
    save_networks(OUT / "models" / f"{called(name).lower()}.safetensors", networks)
metrics = {f"{quantity} {model}": value for model, values in measured.items() for quantity, value in values.items()}
metrics |= {f"{what}, restyled {name}": value for name, values in transfer.items() for what, value in values.items()}
write_record(
    OUT,
    parameters=PARAMETERS,
    rows=[{"model": name, **row} for name, history in histories.items() for row in history.rows],
    metrics=metrics | {"protocol": target.protocol | {"dataset": pictures.name, "n_fake": n_eval, "labels": "each class in turn" if LABELLED else "none"}},
    environment=ENVIRONMENT,
    train_seconds=sum(history.seconds for history in histories.values()),
    sheet=image_sheet(torch.cat(list(drawings.values())), columns=COLUMNS),
)

# %% [markdown]
# ## Longer, and with eighteen classes
#
# The runs of scale `cpu-long` train each model by itself for some minutes; others see another $\gamma$, or a heavier KL term: $\beta$ in the CVAE, the weight of $L_{\text{prior}}$ in the CVAE-GAN, which is 1 in the paper. That weight matters for samples: the decoder has two kinds of latents to serve, codes of digits and draws from $\mathcal N(0, I)$, and where these lie apart it serves both badly. A heavy one costs what the code knows of the hand. On the *eighteen* classes, emoji by Unicode's
# nine categories and by artist (`emoji` in the tables), the judge reads the category; a set without rows has not been run yet. (EMNIST's letters, once they are there with `ganbook data fetch emnist` and `ganbook judge emnist`, take `dataset=emnist`.)

# %% tags=["hide-input"]
records = kept_records("cvae_cgan_cvaegan")
records.sort(key=lambda r: (r.params["dataset"] != "mnist", -r.params["steps"], -r.params["gamma"]))
long = []
for r in records:
    for model in r.params["models"].split(","):
        long.append((r, model, {name.removesuffix(f" {model}"): value for name, value in r.metrics.items() if name.endswith(f" {model}")}))


def found(values, beginning):
    """The figure whose name begins so; None where there is none."""
    return next((value for name, value in values.items() if name.startswith(beginning)), None)


SHOWN = {"judge_accuracy": "accuracy", "fd": "FD", "precision": "precision", "recall": "recall", "within_class_spread(": "spread, features", "sharpness": "sharpness", "reconstruction error": "reconstruction error", "read as the new class": "restyled, read as new", "slant": "slant kept", "thickness": "thickness kept", "seconds": "seconds"}
if not long:
    display(Markdown("*The longer runs have not been made yet.*"))
else:
    settings = {}  # the records that differ in their seed only
    for r, model, values in long:
        weight = {"CVAE": f"β\u00a0=\u00a0{r.params['beta']:g}", "CVAE-GAN": f"γ\u00a0=\u00a0{r.params['gamma']:g}, prior\u00a0×\u00a0{r.params.get('prior_weight', 1.0):g}"}.get(model, "–")
        settings.setdefault((r.params["dataset"].replace("_", ", "), model, weight, PACE[model] * r.params["steps"]), []).append(values)
    ranked = sorted(settings.items(), key=lambda item: (item[0][0] != "mnist", list(PACE).index(item[0][1]), -len(item[1]), item[0][2], -item[0][3]))
    for columns in (["judge_accuracy", "fd", "precision", "recall"], ["within_class_spread(", "sharpness", "reconstruction error", "seconds"], ["read as the new class", "slant", "thickness"]):
        rows = []
        for (pictured, model, weight, made), seeds in ranked:
            cells = [[value for values in seeds if (value := found(values, key)) is not None] for key in columns]
            if any(cells):
                name = model if pictured == "mnist" else f"{model}, emoji"
                rows.append([name.replace("-", "\u2011"), weight, f"{made:,}", str(len(seeds)), *(ladder.mean_text(cell).replace(" ", "\u00a0") for cell in cells)])
        display(Markdown(ladder.markdown(["model", "weights", "steps", "seeds", *(SHOWN[key] for key in columns)], rows)))
    BARS = {"CVAE": 0.98, "CGAN": 0.98, "CVAE-GAN": 0.97}
    said = []
    for model, bar in BARS.items():
        read = [[v["judge_accuracy"] for v in seeds] for (pictured, m, *_), seeds in ranked if (pictured, m) == ("mnist", model)]
        best = max(read, key=lambda seeds: sum(seeds) / len(seeds), default=[])
        if best:
            mean = sum(best) / len(best)
            said.append(f"{mean:.1%} of the {model}'s are read as asked ({'one seed' if len(best) == 1 else f'mean of {len(best)} seeds'}; goal: {bar:.0%}, {'reached' if mean >= bar else 'missed'})")
    restyled = max((found(v, "read as the new class") or 0.0 for r, m, v in long if m == "CVAE"), default=0.0)
    display(Markdown(f"Means ± half of Student's 95% interval where there are several seeds; seconds are those of a machine that had other work, too. Restyled digits: the judge reads up to {restyled:.1%} of the CVAE's as the new one (goal: 90%). Samples, each model's best setting: " + "; ".join(said) + "."))

# %% tags=["hide-input"] mystnb={"image": {"alt": "A sheet of emoji in eighteen columns: nine categories by Twemoji, the same nine by Noto; five rows by the CVAE, five by the CGAN, five by the CVAE-GAN. Blots of colour; along a row only the flags, the last of each nine columns, differ clearly from the others."}}
many = next((r for r in records if r.params["dataset"] == "emoji_styles" and r.samples), None)
if many is not None:
    display(Image(filename=str(many.samples), width=760))
    display(Markdown(f"Eighteen classes, one a column: Twemoji's nine categories, then Noto's. From above five rows each by {', '.join(many.params['models'].split(','))}, after {many.params['steps']:,} steps of the last, twice and four times as many of the others. These are blots: the judge reads " + ", ".join(f"{v['judge_accuracy']:.0%} of the {m}'s" for r, m, v in long if r is many) + f" as the asked category, where guessing gives {1 / 9:.0%}. So many classes of so varied pictures ask for the `gpu` scale."))

# %% tags=["hide-input"]
if many is not None:
    lines = ["| | CVAE | CVAE-GAN |", "|---|---|---|"]
    for what, title in {"category kept": "category still read", "error": "mean error to the other artist's drawing", "error of its own hand": "the same to the source, drawn again", "error of a copy": "a copy of the source, to the other's drawing"}.items():
        lines.append(f"| {title} | " + " | ".join(f"{many.metrics[f'{what}, restyled {model}']:.3f}" for model in ("CVAE", "CVAE-GAN")) + " |")
    display(Markdown("Twemoji's held-out drawings in Noto's hand, against what Noto drew (mean absolute difference of pixels in [-1, 1]):\n\n" + "\n".join(lines)))

# %% [markdown]
# ```{admonition} What can go wrong
# :class: warning
# - **$\gamma$ of another network.** $L_{\text{llike}}$ is a sum over features, and its size depends on layer, width and normalisation. Too large, and the decoder ignores the game; too small, and codes mean nothing to it. The [results page](../results/cvae_cgan_cvaegan) has several.
# - **A prior that weighs nothing.** For the same reason $L_{\text{prior}}$ of weight 1 may be small change beside $L_{\text{llike}}$. Codes then leave the place where latents are drawn: reconstructions are good and samples are not.
# - **A discriminator that learns the likelihood, too.** With one optimiser for everything it does; reconstructions then become "perfect" in features that say nothing.
# - **A code that still knows the class.** The encoder may put the class into the code, too, and early in the training it does: pixels are worth hundreds of nats, the few that the class costs twice are saved last. Restyled digits then keep the old class. What helps is what makes them dear at that time: a large weight of the KL term at the start, a shorter code, more steps.
# - **Faces have no label.** With `dataset=celeba` the same notebook trains a VAE, a GAN and the VAE/GAN of the paper on 64 pixels; that is for a GPU.
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
