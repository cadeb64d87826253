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
# # Where to put self-attention, and how often
#
# ```{admonition} In this experiment
# :class: tip
# - the question that the thesis announced and left: attention in the middle or behind the last convolution, one module or several;
# - all placements start as the same network, bit for bit, so that whatever differs at the end was learnt;
# - the maps themselves: where a point of the picture looks.
#
# *Before this:* [self-attention](../theory/09_self_attention), [the ladder](sagan32). *Cost:* about a minute at `cpu` scale.
# ```
#
# {cite:t}`zhang2019self` tried one attention layer at feature maps of 8, 16, 32 and 64 pixels in networks of 128, and found the
# larger maps better: there are more positions to choose from. [The thesis](../results/thesis) that this part of the book revisits puts it at the end, "after the last convolution", and
# reports a minimal effect at 32 pixels. At the end the maps are largest, and so is the price: attention compares all positions with each
# other, and their number grows with the square of the side, the comparisons with its fourth power. And behind the
# last convolution there are three feature maps, red, green and blue, to compare them by.

# %% tags=["hide-input"]
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from IPython.display import Markdown, display
from torch.nn.functional import interpolate

from ganbook.config import notebook_parameters
from ganbook.evaluation.panel import Panel, presentable
from ganbook.experiment import build_gan, choose_device, environment
from ganbook.ladder import (
    Variant,
    chosen,
    configured,
    kept_tables,
    latents,
    markdown,
    play_all,
    show_sheet,
    this_run,
    write,
)
from ganbook.nn.attached import attach_attention, attention_layers
from ganbook.nn.attention import attention_map
from ganbook.plotting import to_uint8
from ganbook.records import folder_for

# %% [markdown]
# ## Parameters
#
# The chapter shows `variant="none,8,16,last"`; the longer runs train all placements, one each. What the columns of the
# tables mean is told in [collapse at 64 pixels](collapse64), under *The instruments first*.

# %% tags=["parameters"]
variant: str = "none"  # placements, separated by commas, or all
dataset: str = "emoji:twemoji"  # emoji:twemoji, emoji:noto, emoji, celeba, lsun_church_outdoor, or folder:PATH
resolution: int = 32  # pixels, 32 or 64
steps: int = 60  # generator steps of each variant
width: int = 8  # feature maps of the generator's last hidden layer and the discriminator's first
latent_dim: int = 64  # length of the latent vector z
batch_size: int = 16  # images per step
lr: float = 1.0e-3  # Adam's learning rate of the generator; the discriminator's is four times that
ema_decay: float = 0.95  # decay of the averaged generator
n_eval: int = 500  # samples that the metrics see
seed: int = 0  # of networks, latents and data order
device: str = "auto"  # auto, cpu or cuda
out: str = ""  # the run's folder; empty: one of its own under runs/adhoc

# %% tags=["hide-input"]
PARAMETERS = notebook_parameters(globals(), set(__annotations__))
OUT, DEVICE = Path(out or folder_for("attention_placement", PARAMETERS)), choose_device(device)

# %% [markdown]
# ## Placements
#
# A number is the side of the feature map behind which attention stands, in both networks; `last` is behind the last
# convolution of the generator, before tanh (the discriminator has no such place).


# %%
def placed(*sides):
    """What puts attention at these sides, spectrally normalised like all else in the discriminator."""
    return lambda generator, discriminator: attach_attention(generator, discriminator, sides, spectral=True)


SAME = {"norm": "spectral", "lr_g": lr, "lr_d": 4 * lr}
LARGE = resolution // 2  # the largest map below the image
PLACES = {"none": (), "8": (8,), "16": (16,), "last": (resolution,), "8+16": (8, 16)}
PLACES |= {"32": (32,), "8+16+32": (8, 16, 32)} if resolution > 32 else {"8+16+last": (8, 16, 32)}
VARIANTS = {name: Variant(name, SAME, placed(*sides) if sides else None) for name, sides in PLACES.items()}
playing = chosen(VARIANTS, variant)

# %% [markdown]
# Each layer's γ is 0 at first, so it adds nothing. The other weights come from the seed, drawn before the layer's own:

# %% tags=["claim", "keep_output", "nbval-check-output"]
first = {}
for name, v in VARIANTS.items():
    gan = build_gan(configured(PARAMETERS, v), channels=3, n_classes=0, device=torch.device("cpu"), adapt=v.adapt)
    first[name] = gan.sample(latents(8, latent_dim))
same = all(torch.allclose(images, first["none"], atol=1e-6) for images in first.values())
print("before training all", len(first), "placements draw the same pictures:", same)

# %% tags=["hide-output"]
machine = environment(DEVICE)
panel = Panel(dataset, resolution, device=DEVICE)
played = play_all(playing, PARAMETERS, panel, OUT, device=DEVICE)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The same twenty latents under each placement, not selected.", "name": "fig-attention-placement-sheet"}, "image": {"alt": "Rows of twenty generated pictures, one row a placement."}}
show_sheet(played, VARIANTS)
plt.show()

# %% tags=["hide-input"]
write(OUT, played, panel, parameters=PARAMETERS, environment=machine)
display(Markdown(f"This run: seed {seed}, {steps:,} steps each.\n\n{this_run(played, VARIANTS)}"))

# %% [markdown]
# ## How far the layers opened
#
# γ says how much of a layer's output is attention. It is comparable within one place only: what it multiplies differs in size.

# %% tags=["hide-input"]
gammas = [
    [name, network, f"{i + 1}", f"{layer.gamma.item():+.3f}"]
    for name, result in played.items()
    for network, module in (("generator", result.gan.ema.module), ("discriminator", result.gan.discriminator))
    for i, layer in enumerate(attention_layers(module))
]
display(Markdown(markdown(["placement", "network", "layer", "γ"], gammas)))

# %% tags=["claim", "keep_output", "nbval-check-output"]
layers = [layer for result in played.values() for layer in attention_layers(result.gan.generator)]
print("no attention layer of a generator stayed shut:", all(layer.gamma.item() != 0 for layer in layers))

# %% [markdown]
# ## Where a point looks
#
# For three points of a picture, the weights $\beta_{ji}$ with which they gather the other positions, in the generator with
# attention at 16×16 (or the first of this run that has any). A uniform map has one colour all over: such a layer adds the mean of all
# positions, no more.


# %%
def look(generator, z):
    """The pictures of some latents and the weights of the generator's first attention layer, `(n, positions, positions)`."""
    kept = []
    layer = attention_layers(generator)[0]
    handle = layer.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    with torch.no_grad():
        images = generator(z.to(DEVICE))
        query, key, _ = layer.attend(kept[0])
        weights = attention_map(query, key)
    handle.remove()
    return images.cpu(), weights.cpu()


shown = next((name for name in ("16", *played) if name in played and PLACES[name]), "")
POINTS = ((0.5, 0.5), (0.3, 0.3), (0.1, 0.9))  # row and column, as shares of the side

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Three generated pictures (left) and, for each of three points (crosses), where it looks: bright is a large weight, each map on its own scale.", "name": "fig-attention-maps"}, "image": {"alt": "Three rows: a generated picture, then three heat maps over it, each with a cross at the point that looks."}}
if shown:
    pictures, weights = look(played[shown].gan.ema.module, latents(3, latent_dim, seed=2))
    side = round(weights.shape[1] ** 0.5)
    figure, panels = plt.subplots(3, 4, figsize=(6.4, 4.8), layout="constrained")
    for row, picture, beta in zip(panels, pictures, weights, strict=True):
        row[0].imshow(to_uint8(presentable(picture[None]))[0], interpolation="nearest")
        for axes, (y, x) in zip(row[1:], POINTS, strict=True):
            i, j = int(y * side), int(x * side)
            heat = interpolate(beta[i * side + j].reshape(1, 1, side, side), size=resolution, mode="nearest")[0, 0]
            axes.imshow(heat, cmap="viridis")
            axes.plot((j + 0.5) * resolution / side, (i + 0.5) * resolution / side, "x", color="white")
        for axes in row:
            axes.set_axis_off()
    plt.show()

# %% tags=["hide-input"]
if shown:
    entropy = -(weights * weights.clamp(min=1e-12).log()).sum(2).mean().item()
    looks_at = torch.tensor(entropy).exp().item()
    display(
        Markdown(
            f"At placement `{shown}`, a point spreads its look over **{looks_at:.0f}** of the {weights.shape[1]} positions (the "
            f"exponential of the entropy, a mean over points): "
            + ("hardly a choice yet, the layer takes a mean." if looks_at > 0.8 * weights.shape[1] else "it does choose.")
        )
    )

# %% [markdown]
# ## Over seeds

# %% tags=["hide-input"]
display(Markdown(kept_tables("attention_placement", VARIANTS)))

# %% [markdown]
# A minute of training decides nothing between placements, and the table of this run should not be read so. The interval over
# seeds is the judge; as long as there is none, the thesis' "minimal effect at 32 pixels" stands neither confirmed nor refuted here.
#
# ```{admonition} What can go wrong
# :class: warning
# - **Attention behind the last convolution has little to see by.** Three maps, one inner channel: positions are told apart by one
#   number made of their colour. It also costs most. The seconds in the table say how much.
# - **Taking γ for importance.** A layer whose output is large needs a small γ. Compare with the layer's output removed.
# - **Reading maps of an untrained layer.** They are smooth and centred on nothing, for its keys are nearly equal. The entropy above says
#   when that is so.
# - **More layers, less room.** At a fixed budget of seconds, each layer is paid for with steps.
# ```
#
# ```{exercise}
# :label: ex-placement-cost
# By what factor do comparisons and memory of the explicit map grow from 16×16 to 64×64? The layer here never stores the map:
# which of the two does that save?
# ```
#
# ```{solution} ex-placement-cost
# :class: dropdown
# Positions grow 16 times, pairs of them $16^2=256$ times. The map has one number for each pair, so both comparisons and memory grow
# 256 times; a fused kernel that sums block by block keeps the memory linear in the positions, and saves no comparison.
# ```

# %% tags=["hide-cell"]
assert (64**2) ** 2 // (16**2) ** 2 == 256

# %% [markdown]
# ```{exercise}
# :label: ex-placement-remove
# After training, set γ to 0 in the averaged generator and draw the same latents. What does the difference say, and what does it not?
# ```
#
# ```{solution} ex-placement-remove
# :class: dropdown
# `for layer in attention_layers(gan.ema.module): layer.gamma.data.zero_()`. It says how much these pictures depend on the layer now.
# It does not say what a network trained without the layer would draw: that one would have learnt otherwise. Only the row `none` tells.
# ```

# %% [markdown]
# ## Where this goes
#
# The runs of this experiment stand on its [results page](../results/attention_placement). The same network at twice the size, and
# what becomes of it there, is [the next experiment](collapse64).
