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
# # A DCGAN that draws emoji
#
# ```{admonition} In this experiment
# :class: tip
# - an unconditional DCGAN in colour, 32 pixels, on a set small enough to live in this repository;
# - what a minute of training can do with a few thousand very different pictures, and what it cannot;
# - how to look at the latent space: a straight line between two latents.
#
# *Before this:* [a conditional GAN on MNIST](gan_mnist). *Cost:* about a minute at `cpu` scale.
# ```
#
# The digits of MNIST are ten variations on a theme; emoji are thousands of pictures that share little but a white
# ground and clean outlines. The architecture is DCGAN's {cite:p}`radford2016unsupervised`: strided and transposed
# convolutions, batch normalisation in both networks, ReLU below a tanh. Spectral normalisation of the discriminator
# {cite:p}`miyato2018spectral` is one parameter away (`norm="spectral"`): it is the calmer choice for a long run, and the
# slower one in the first minute.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import torch
from IPython.display import Markdown, display

from ganbook.config import Config, notebook_parameters
from ganbook.evaluation import measure
from ganbook.experiment import Run, default_folder
from ganbook.plotting import image_sheet, plot_losses, show_sheet

# %% [markdown]
# ## Parameters
#
# The defaults are the `cpu` scale.

# %% tags=["parameters"]
dataset: str = "emoji:twemoji"  # emoji (both artists), emoji:twemoji or emoji:noto
loss: str = "nonsaturating"  # minimax, nonsaturating, lsgan, hinge, wasserstein or rpgan
norm: str = "batch"  # normalisation in the discriminator: batch, spectral or none
latent_dim: int = 64  # length of the latent vector z
width_g: int = 32  # feature maps of the generator's last hidden layer
width_d: int = 24  # feature maps of the discriminator's first layer
batch_size: int = 32  # images per step
steps: int = 1000  # generator steps
n_dis: int = 1  # discriminator steps per generator step
lr_g: float = 1.0e-3  # Adam's learning rate, generator
lr_d: float = 1.0e-3  # Adam's learning rate, discriminator
ema_decay: float = 0.99  # decay of the averaged generator
n_eval: int = 2000  # samples that the metrics see
seed: int = 0  # of networks, latents and data order
device: str = "auto"  # auto, cpu or cuda
out: str = ""  # the run's folder; empty: one of its own under runs/adhoc

# %% tags=["hide-input"]
PARAMETERS = notebook_parameters(globals(), set(__annotations__))
OUT, DEVICE = PARAMETERS.pop("out"), PARAMETERS.pop("device")
config = Config.from_mapping({"resolution": 32, "conditional": False, "flip": True, **PARAMETERS})
OUT = OUT or default_folder("dcgan_emoji", config)

# %% [markdown]
# ## The data

# %% mystnb={"figure": {"caption": "Forty real pictures of the training set, reduced to 32 pixels.", "name": "fig-dcgan-emoji-real"}, "image": {"alt": "Four rows of ten emoji on white: faces, animals, flags, objects."}}
run = Run(config, OUT, device=DEVICE)
real = torch.cat([next(run.batches)[0] for _ in range(-(-40 // batch_size))])[:40]
show_sheet(image_sheet(real.cpu()))
plt.show()

# %%
print(f"{len(run.images.images):,} pictures of {', '.join(run.images.classes)}")

# %% [markdown]
# ## Training

# %% tags=["hide-output"]
run.resume()
run.train(hooks=(run.tensorboard(),));

# %% mystnb={"figure": {"caption": "The two losses. A discriminator that could tell nothing apart would sit at log 4, about 1.39.", "name": "fig-dcgan-emoji-losses"}, "image": {"alt": "Line plot of discriminator and generator loss against generator steps."}}
plot_losses(run.history.rows)
plt.show()

# %% [markdown]
# ## What it learned

# %% mystnb={"figure": {"caption": "A hundred samples of the averaged generator, not selected.", "name": "fig-dcgan-emoji-samples"}, "image": {"alt": "Ten by ten sheet of generated small colour pictures on white."}}
run.gan.refresh_batchnorm()
show_sheet(run.sample_sheet())
plt.show()

# %% [markdown]
# A generator that had stored its training pictures would jump from one to the next along a straight line between two
# latents; one that has learned their parts moves through pictures that never existed.

# %% mystnb={"figure": {"caption": "Ten steps on the straight line between two latents, for four pairs.", "name": "fig-dcgan-emoji-interpolation"}, "image": {"alt": "Four rows of ten pictures, each row changing gradually from one generated picture to another."}}
ends = torch.randn(2, 4, 1, latent_dim, generator=torch.Generator().manual_seed(2))
weight = torch.linspace(0, 1, 10)[:, None]
line = torch.lerp(ends[0], ends[1], weight).reshape(-1, latent_dim)
show_sheet(image_sheet(run.gan.sample(line)))
plt.show()

# %%
metrics = measure(run)
run.finish(metrics)
display(
    Markdown(
        f"The spread of a pixel over the samples is **{metrics['within_class_spread']:.2f}** of the held-out pictures'. "
        f"Training took {run.history.seconds:.0f} s on {run.device.type}."
    )
)

# %% tags=["claim", "keep_output", "nbval-check-output"]
corners = run.sample(500)[0][:, :, [0, 0, -1, -1], [0, -1, 0, -1]].mean().item()
print("it learned the white ground (mean corner above 0.8):", corners > 0.8)
print("the samples vary at least half as much as the data:", metrics["within_class_spread"] >= 0.5)

# %% [markdown]
# ```{admonition} What can go wrong
# :class: warning
# A minute is not enough for emoji: the samples have the white ground, the palette and often a silhouette (a head with
# hair, a hand, a flag), and hardly one is an emoji that anybody could name. A few thousand pictures of everything are a
# hard set: a longer run draws sharper ones (the [results page](../results/dcgan_emoji) has those that were made), but the discriminator can
# also learn so few pictures by heart.
# ```
#
# ```{exercise}
# :label: ex-dcgan-emoji-noto
# Train on `emoji:noto` and on both artists together (`dataset="emoji"`). With which set is the discriminator's final
# loss lower, and is that good news for the generator?
# ```
#
# ```{solution} ex-dcgan-emoji-noto
# :class: dropdown
# The larger set is harder to learn by heart, so its discriminator ends with the higher loss. A low discriminator loss
# means that real and fake are easily told apart: bad news for the generator, whose gradient then fades or points at
# details of single training pictures.
# ```

# %% [markdown]
# ## Where this goes
#
# Which pieces of DCGAN's recipe matter is asked [one at a time](dcgan_tips); what came after it, on the same emoji, is
# [a ladder](sagan32).
