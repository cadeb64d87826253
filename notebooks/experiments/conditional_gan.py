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
# # Four ways to ask for a class
#
# ```{admonition} In this experiment
# :class: tip
# - four ways in which a GAN can be told the label, each a few lines: concatenation, projection, an auxiliary classifier, and conditional BatchNorm;
# - what each does to *control*, whether the digit that was asked for comes, and to *variety*, whether it is always the same one;
# - two label sets at once, the subject of an emoji and its artist, and a combination that was never seen in training.
#
# *Before this:* [a conditional GAN on MNIST](gan_mnist). *Cost:* under a minute at `cpu` scale.
# ```
#
# A conditional GAN models $p(x\mid y)$. Both networks can be told $y$, in different places:
#
# | | generator | discriminator |
# |---|---|---|
# | concatenation {cite:p}`mirza2014conditional` | one-hot beside $z$ | one constant plane a class beside the picture |
# | projection {cite:p}`miyato2018cgans` | one-hot beside $z$ | $D(x,y)=w^\top h(x)+e_y^\top h(x)$ |
# | auxiliary classifier {cite:p}`odena2017conditional` | one-hot beside $z$ | not told; has to tell the class itself |
# | conditional BatchNorm {cite:p}`dumoulin2017learned` | scale and shift of every BatchNorm belong to the class | as under projection |

# %% tags=["hide-input"]
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Markdown, display
from torch import nn
from torch.nn.functional import cross_entropy, one_hot

from ganbook import data
from ganbook.config import notebook_parameters
from ganbook.evaluation.samples import Target, drawn
from ganbook.experiment import choose_device, environment
from ganbook.ladder import markdown, mean_text
from ganbook.models.gan import GAN
from ganbook.nn import dcgan
from ganbook.nn.conditioning import Auxiliary, Concatenated
from ganbook.nn.judge import Judge
from ganbook.nn.layers import ConditionalBatchNorm2d
from ganbook.plotting import image_sheet, show_sheet
from ganbook.records import folder_for, write_record
from ganbook.results import kept_records
from ganbook.training import train

# %% [markdown]
# ## Parameters

# %% tags=["parameters"]
steps: int = 250  # generator steps of each way, on MNIST
pair_steps: int = 150  # of the GAN with two label sets, on emoji
reader_steps: int = 100  # of the small classifier that tells the artists apart
latent_dim: int = 32  # length of the latent
width: int = 10  # feature maps of the networks' outer layers
batch_size: int = 32  # images per step
lr_g: float = 4.0e-3  # Adam's learning rate, generator
lr_d: float = 2.0e-3  # Adam's learning rate, discriminator
beta1: float = 0.0  # Adam's first moment; with 0.5 spectral normalisation learns hardly anything in so few steps
ema_decay: float = 0.98  # decay of the averaged generator
n_eval: int = 1000  # samples that the metrics see
seed: int = 0  # of networks, latents and data order
device: str = "auto"  # auto, cpu or cuda
out: str = ""  # the run's folder; empty: one of its own under runs/adhoc

# %% tags=["hide-input"]
PARAMETERS = notebook_parameters(globals(), set(__annotations__))
PARAMETERS.pop("out")
DEVICE = choose_device(PARAMETERS.pop("device"))
OUT, ENVIRONMENT = Path(out or folder_for("conditional_gan", PARAMETERS)), environment(DEVICE)
K = 10
SIZES = {"resolution": 28, "channels": 1, "width": width}
target = Target.of("mnist", 28, n=2000)
FD, MMD = target.names(n_eval)

# %% [markdown]
# ## The four, written out
#
# Three of them differ in the discriminator alone; the library has them in `ganbook.nn.conditioning`. The fourth takes the one-hot label away from the generator and gives it to its normalisation.


# %%
class NormConditioned(nn.Module):
    """A DCGAN generator that learns of the class from its BatchNorms alone."""

    def __init__(self, **sizes):
        super().__init__()
        self.latent_dim, self.n_classes = sizes["latent_dim"], K
        net = dcgan.Generator(n_classes=0, **sizes).net
        self.layers = nn.ModuleList(ConditionalBatchNorm2d(m.num_features, K) if isinstance(m, nn.BatchNorm2d) else m for m in net)

    def forward(self, z, y=None):
        x = z[:, :, None, None]
        for layer in self.layers:
            x = layer(x, y) if isinstance(layer, ConditionalBatchNorm2d) else layer(x)
        return x


def pair(way):
    """Generator and discriminator of one of the ways."""
    torch.manual_seed(seed)
    plain = {"norm": "spectral", **SIZES}
    generator = NormConditioned(latent_dim=latent_dim, **SIZES) if way == "conditional BatchNorm" else dcgan.Generator(latent_dim=latent_dim, n_classes=K, **SIZES)
    if way == "concatenation":
        return generator, Concatenated(dcgan.Discriminator(**{**plain, "channels": 1 + K}), K)
    if way == "auxiliary classifier":
        return generator, Auxiliary(dcgan.Discriminator(**plain), K, spectral=True)
    return generator, dcgan.Discriminator(n_classes=K, **plain)


WAYS = ("concatenation", "projection", "auxiliary classifier", "conditional BatchNorm")

# %% tags=["hide-output"]
pictures = data.load("mnist", resolution=28)
models, histories, progress = {}, {}, {}
z_watch, y_watch = drawn(100, latent_dim, K, seed=7)
for way in WAYS:
    model = models[way] = GAN(*pair(way), lr_g=lr_g, lr_d=lr_d, betas=(beta1, 0.99), ema_decay=ema_decay, seed=seed, device=DEVICE)
    progress[way] = []

    def watch(history, model=model, way=way):
        model.refresh_batchnorm(batches=2)
        progress[way].append((history.step, target.judge.accuracy(model.sample(z_watch, y_watch), y_watch)))

    histories[way] = train(model, data.Batches(pictures, batch_size, seed=seed, device=DEVICE), steps=steps, log_every=max(1, steps // 4), hooks=[watch])
    model.refresh_batchnorm()

# %% mystnb={"figure": {"caption": "Control during training: the share of samples that the judge reads as the asked digit. Chance is one in ten.", "name": "fig-cond-progress"}, "image": {"alt": "Four curves of the judge's accuracy over training steps, rising from a tenth."}} tags=["hide-input"]
figure, axis = plt.subplots(figsize=(6, 3), layout="constrained")
for (way, points), colour, style in zip(progress.items(), ("#0072b2", "#d55e00", "#007a5e", "#aa4499"), ("-", "--", "-.", ":")):
    axis.plot(*zip(*points), style, color=colour, label=way)
axis.axhline(0.1, color="0.6", linewidth=1)
axis.set(xlabel="generator steps", ylabel="read as asked", ylim=(0, 1))
axis.grid(alpha=0.3)
axis.legend(frameon=False, fontsize=8)
plt.show()

# %% mystnb={"figure": {"caption": "Each way, the same four latents: a class a column, a latent a row, not selected.", "name": "fig-cond-samples"}, "image": {"alt": "Four sheets of four by ten small pictures of digits in columns 0 to 9, of differing legibility."}} tags=["hide-input"]
z = torch.randn(4, latent_dim, generator=torch.Generator().manual_seed(0)).repeat_interleave(K, 0)
sheets = {way: image_sheet(model.sample(z, torch.arange(K).repeat(4)), columns=K) for way, model in models.items()}
figure, axes = plt.subplots(2, 2, figsize=(9, 4), layout="constrained")
for axis, (way, sheet) in zip(axes.flat, sheets.items()):
    axis.imshow(np.asarray(sheet), cmap="gray")
    axis.set_axis_off()
    axis.set_title(way, fontsize=9)
plt.show()

# %% [markdown]
# ## Measured
#
# *Control* is the judge's accuracy. *Variety* is the spread of the judge's features within a class, the data's being 1: a generator that draws one perfect picture a class has all the control and none of the variety. *Hold of the label* is how far the pictures of one latent lie apart for two classes, *hold of the latent* how far those of two latents for one class, both as mean distances in features;
# their ratio, *label over latent* in the table, says which of the two inputs decides more.

# %%
measured = {}
z, y = drawn(n_eval, latent_dim, K, seed=1)
for way, model in models.items():
    fake = model.sample(z, y)
    values = target.measure(fake, y)
    features = target.judge.features(fake)
    other_label = target.judge.features(model.sample(z, (y + 3) % K))
    other_latent = target.judge.features(model.sample(z.roll(K, 0), y))
    holds = [(features - other).norm(dim=1).mean().item() for other in (other_label, other_latent)]
    measured[way] = {
        "control": values["judge_accuracy"],
        "variety": values[f"within_class_spread({target.protocol['extractor']})"],
        FD: values[FD],
        "label over latent": holds[0] / holds[1],
        "seconds": histories[way].seconds,
    }
lines = ["| | " + " | ".join(measured[WAYS[0]]) + " |", "|---" * (len(measured[WAYS[0]]) + 1) + "|"]
lines += [f"| {way} | " + " | ".join(f"{value:.3g}" for value in values.values()) + " |" for way, values in measured.items()]
display(Markdown("\n".join(lines)))

# %% tags=["hide-input"]
most = {name: pick((v[name], way) for way, v in measured.items())[1] for name, pick in (("control", max), ("variety", max), (FD, min))}
display(Markdown(f"After {steps} steps of this one run, control is best under **{most['control']}**, variety is largest under **{most['variety']}** (above 1 that is no merit: digits that were not asked for count as variety, too), and {FD} is lowest under **{most[FD]}**. One seed ranks nothing: the table at the end has several."))

# %% tags=["claim", "keep_output", "nbval-check-output"]
for model in models.values():
    model.discriminator.eval()  # in training, spectral normalisation takes a step of its own with each pass
plain = models["auxiliary classifier"].discriminator
x, x_labels = target.images[:8], target.labels[:8]
print("the auxiliary discriminator's logit does not depend on the label:", torch.equal(plain(x.to(DEVICE), x_labels.to(DEVICE)), plain(x.to(DEVICE), (x_labels + 1).to(DEVICE) % K)))
told = models["projection"].discriminator
difference = told(x.to(DEVICE), torch.full((8,), 3, device=DEVICE)) - told(x.to(DEVICE), torch.full((8,), 5, device=DEVICE))
e = told.project.weight
torch.testing.assert_close(difference, told.hidden(x.to(DEVICE)) @ (e[3] - e[5]), atol=1e-4, rtol=1e-3)
print("under projection, changing the label changes the logit by (e_y' - e_y)·h(x): True")

# %% [markdown]
# ```{prf:remark} What the auxiliary classifier asks for
# :label: rem-cond-auxiliary
#
# Under projection the discriminator's optimum is the ratio $p(x,y)/q(x,y)$, and the game is won by the conditional law. An auxiliary classifier adds a term that rewards samples which are *easy to classify*, whether such samples are frequent in the data or not. It can therefore buy control with variety, and the table's first two columns belong together.
# ```
#
# ## Two label sets at once
#
# An emoji has a subject (nine categories) and an artist (Twemoji or Noto). One could number the eighteen combinations and be done. *Two one-hot labels* instead let the network learn each set once, and in principle combine what it has never seen together. The discriminator's projection becomes a sum,
#
# $$ D(x,c,a)=\bigl(w+e_c+f_a\bigr)^\top h(x). $$ (eq-cond-sum)
#
# To see whether they combine, one combination is left out of the training: animals by Noto.


# %%
class TwoSets(nn.Module):
    """A DCGAN generator that takes the label 9a + c as two one-hot vectors, of c and of a."""

    n_classes = 18

    def __init__(self, latent_dim, **sizes):
        super().__init__()
        self.latent_dim = latent_dim
        self.generator = dcgan.Generator(latent_dim=latent_dim + 11, **sizes)

    def forward(self, z, y=None):
        return self.generator(torch.cat([z, one_hot(y % 9, 9), one_hot(y // 9, 2)], 1))


class TwoProjections(nn.Module):
    """Equation (sum): a discriminator whose two label embeddings add up."""

    def __init__(self, **sizes):
        super().__init__()
        self.discriminator = dcgan.Discriminator(norm="spectral", **sizes)
        self.category, self.artist = nn.Embedding(9, self.discriminator.n_hidden), nn.Embedding(2, self.discriminator.n_hidden)
        for embedding in (self.category, self.artist):
            nn.init.normal_(embedding.weight, 0.0, 0.02)

    def forward(self, x, y=None):
        h = self.discriminator.hidden(x)
        return self.discriminator.head(h).flatten() + ((self.category(y % 9) + self.artist(y // 9)) * h).sum(1)


def both_sets(split):
    """Emoji by both artists with the label 9a + c."""
    parts = data.load("emoji", split=split, resolution=32)
    artist = np.repeat([0, 1], len(parts.labels) // 2)
    return replace(parts, labels=parts.labels + 9 * artist, classes=tuple(f"{c}, {a}" for a in ("Twemoji", "Noto") for c in parts.classes))


LEFT_OUT = 9 + 2  # animals and nature, by Noto
known = both_sets("train")
keep = known.labels != LEFT_OUT
shown = replace(known, images=known.images[keep], labels=known.labels[keep])

# %% tags=["hide-output"]
torch.manual_seed(seed)
emoji_sizes = {"resolution": 32, "channels": 3, "width": width}
double = GAN(TwoSets(latent_dim, **emoji_sizes), TwoProjections(**emoji_sizes), lr_g=lr_g, lr_d=lr_d, betas=(beta1, 0.99), ema_decay=ema_decay, seed=seed, device=DEVICE)
double_history = train(double, data.Batches(shown, batch_size, seed=seed, device=DEVICE), steps=pair_steps, log_every=max(1, pair_steps // 5))
double.refresh_batchnorm()

# %% [markdown]
# The emoji judge reads the category. For the artist a small classifier of the same build is trained here, on real pictures, and tested on held-out emoji.

# %% tags=["hide-output"]
torch.manual_seed(seed + 1)
reader = Judge(channels=3, n_classes=2, width=8)
optimizer = torch.optim.AdamW(reader.parameters(), 3e-3)
real_batches = data.Batches(known, 64, seed=seed + 1)
for _ in range(reader_steps):
    images, labels = next(real_batches)
    loss = cross_entropy(reader(images), labels // 9)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
reader.eval()
emoji_target = Target.of("emoji", 32)
held, held_labels = data.to_tensors(both_sets("test"))


@torch.no_grad()
def read(images, labels):
    """The shares whose category, and whose artist, are read as asked."""
    return emoji_target.judge.accuracy(images, labels % 9), (reader(images).argmax(1) == labels // 9).double().mean().item()


# %% mystnb={"figure": {"caption": "Two label sets: one latent a row. Left nine columns, the categories by Twemoji; right nine, the same by Noto. The third column of the right half, animals by Noto, was left out of the training.", "name": "fig-cond-two"}, "image": {"alt": "Four rows of eighteen small coloured pictures, blurred emoji-like shapes that change from column to column."}} tags=["hide-input"]
z = torch.randn(4, latent_dim, generator=torch.Generator().manual_seed(0)).repeat_interleave(18, 0)
show_sheet(image_sheet(double.sample(z, torch.arange(18).repeat(4)), columns=18), width=8.5)
plt.show()

# %%
z, y = drawn(max(18, n_eval // 18 * 18), latent_dim, 18, seed=1)
fake = double.sample(z, y)
asked = {"real, held out": (held, held_labels), "combinations seen": (fake[y != LEFT_OUT], y[y != LEFT_OUT]), "the one left out": (fake[y == LEFT_OUT], y[y == LEFT_OUT])}
control = {name: read(*pair) for name, pair in asked.items()}
lines = ["| | category read as asked | artist read as asked |", "|---|---|---|"]
lines += [f"| {name} | {category:.0%} | {artist:.0%} |" for name, (category, artist) in control.items()]
display(Markdown("\n".join(lines) + f"\n\nChance: {1 / 9:.0%} and 50%."))

# %% tags=["claim", "keep_output", "nbval-check-output"]
e, f = double.discriminator.category.weight, double.discriminator.artist.weight
print(f"two sets need {len(e) + len(f)} embeddings, their combinations {len(e) * len(f)}")
print("the left-out combination was never shown:", LEFT_OUT not in set(shown.labels.tolist()))

# %% tags=["hide-input"]
seen, unseen = control["combinations seen"], control["the one left out"]
verdict = "the combination that was never shown is obeyed about as well as the others" if min(unseen[0] - seen[0], unseen[1] - seen[1]) > -0.1 else "the combination that was never shown is obeyed less than the others"
display(Markdown(f"In this run {verdict}. With so few steps the category is hard to read in any emoji of this GAN; the longer runs say more."))

# %% tags=["hide-input"]
metrics = {f"{name}, {way}": value for way, values in measured.items() for name, value in values.items()}
metrics |= {f"{what} as asked, {name}": value for name, pair in control.items() for what, value in zip(("category", "artist"), pair)}
write_record(
    OUT,
    parameters=PARAMETERS,
    rows=[{"way": way, **row} for way, history in histories.items() for row in history.rows],
    metrics=metrics | {"protocol": target.protocol | {"n_fake": n_eval, "labels": "each class in turn"}},
    environment=ENVIRONMENT,
    train_seconds=sum(history.seconds for history in histories.values()) + double_history.seconds,
    sheet=sheets["projection"],
)

# %% [markdown]
# ## Over several seeds
#
# Longer runs (`make experiments SCALE=cpu-long ONLY=conditional_gan`), whose records are kept in this repository: means and 95% intervals over the seeds.

# %% tags=["hide-input"]
kept = kept_records("conditional_gan")


def column(name, what):
    """A metric of every record, by the word before the comma and the one behind it."""
    return [value for r in kept for key, value in r.metrics.items() if key.endswith(f", {what}") and key.startswith(name)]


if kept:
    rows = [[way, *(mean_text(column(name, way)) for name in ("control", "variety", "fd", "label over latent"))] for way in WAYS]
    LONG_FD = next(key for key in kept[0].metrics if key.startswith("fd")).split(",")[0]
    head = ["MNIST", "control", "variety", LONG_FD, "label over latent"]
    display(Markdown(f"{len(kept)} seeds, {kept[0].params['steps']:,} steps each:\n\n" + markdown(head, rows)))
    rows = [[name, mean_text(column("category", name)), mean_text(column("artist", name))] for name in control]
    display(Markdown(markdown(["emoji, two label sets", "category as asked", "artist as asked"], rows)))
    named = {way: column("control", way) for way in WAYS}
    best = [max(WAYS, key=lambda way: named[way][i]) for i in range(len(kept))]
    display(Markdown("Control is best under " + ", ".join(f"{way} ({best.count(way)} of {len(best)} seeds)" for way in dict.fromkeys(best)) + "."))
else:
    display(Markdown("The long runs are still *pending*: `make experiments SCALE=cpu-long ONLY=conditional_gan`."))

# %% [markdown]
# ```{admonition} What can go wrong
# :class: warning
# - **A label that is ignored.** Concatenated planes are ten channels among many; if the first convolution gives them little weight, the discriminator does not see a wrong digit, and the generator learns to draw *some* digit. Control near chance with a low Fréchet distance is the sign.
# - **A latent that is ignored.** The opposite: one picture a class. *Label over latent* far above that of the other ways is the sign; control alone would be perfect.
# - **Rare classes.** Conditional BatchNorm and embeddings learn only from their own class's samples. With a few dozen pictures a class they overfit before the rest has learned to draw.
# ```
#
# ```{exercise}
# :label: ex-cond-planes
# Show that for the *first convolution* of the discriminator, away from the border, a constant plane a class is nothing but a bias that depends on the class. Why is this weaker than projection?
# ```
#
# ````{solution} ex-cond-planes
# :class: dropdown
# A convolution is linear, and of a constant plane it is the sum of its weights: a number for each feature map and class, $b_{y}$. The label can thus shift every feature before the first nonlinearity and nothing else; whether features of the *last* layer go with the label has to be learned through all layers in between. Projection compares with the last features at once.
# ````

# %% tags=["hide-cell"]
first = models["concatenation"].discriminator.discriminator.features[0]
with torch.no_grad():
    label = torch.zeros(1, 1 + K, 28, 28, device=DEVICE)
    label[:, 1 + 4] = 1
    shift = first(label) - first(torch.zeros_like(label))
    expected = first.weight[:, 1 + 4].sum((1, 2))
torch.testing.assert_close(shift[0, :, 5, 5], expected, atol=1e-5, rtol=1e-4)

# %% [markdown]
# ## Where this goes
#
# Any run takes `conditioning=projection`, `concat` or `auxiliary`: `ganbook train OUT -p conditioning=auxiliary`. When the condition is a whole picture the task is called [translation](pix2pix_emoji). The seeds of this experiment stand on its [results page](../results/conditional_gan).
