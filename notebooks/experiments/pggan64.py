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
# # Growing a GAN, stage by stage
#
# ```{admonition} In this experiment
# :class: tip
# - a GAN that learns 4×4 pixels first, then 8×8, and so on: PGGAN, with its stages drawn into the loss curves;
# - why adding a block does not disturb what has been learnt: at the moment it is added, it changes nothing;
# - the question behind it: in the same time, is growing better than training the full network from the start?
#
# *Before this:* [a DCGAN that draws emoji](dcgan_emoji). *Cost:* about a minute at `cpu` scale.
# ```
#
# A network that has to invent outline, colour and detail at once often settles for a few pictures that it gets right.
# Progressive growing {cite:p}`karras2018progressive` gives it an order: first where the colours are, on images of 4×4
# pixels, then, by adding a block to each network, what they are made of. It was the way out of the mode collapse that
# larger images brought, and it is cheap, for most steps work on small images. With $h$ the features behind the old
# blocks, the generator of a stage makes
#
# $$ G = (1 - \alpha)\,\mathrm{double}\bigl(\mathrm{rgb}_\text{old}(h)\bigr)
#      + \alpha\,\mathrm{rgb}_\text{new}\bigl(\mathrm{block}(h)\bigr), $$
#
# and $\alpha$ goes from 0 to 1 while the block is **faded in**; then the stage is **stabilised** at $\alpha = 1$. The
# discriminator does the same in reverse, and the real images are blended with their coarser selves by the same share.
# When a stage begins, both optimisers forget their moments: they were estimated for another network.

# %% tags=["hide-input"]
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from IPython.display import Markdown, display
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from ganbook import data
from ganbook.config import Config, notebook_parameters
from ganbook.evaluation import get_extractor, spread
from ganbook.evaluation.extractors import JudgeExtractor
from ganbook.evaluation.protocol import metric_name
from ganbook.evaluation.runs import apart
from ganbook.evaluation.targets import choose_extractor
from ganbook.experiment import Run, default_folder
from ganbook.metrics import Moments, frechet_from_moments, precision_recall
from ganbook.models.progressive import Plan, area
from ganbook.plotting import image_sheet, plot_losses, show_sheet, to_uint8

# %% [markdown]
# ## Parameters
#
# The defaults are the `cpu` scale, at 32 pixels; the longer scales make 64. The two variants of the network are one
# parameter apart: `norm="equalised"` is the paper's, with equalised learning rates and pixel norm, `norm="spectral"` has
# spectral norm in both networks and BatchNorm in the generator, as in the thesis that this book revisits.

# %% tags=["parameters"]
dataset: str = "emoji:twemoji"  # emoji:twemoji, emoji:noto, emoji, celeba, or folder:PATH
resolution: int = 32  # pixels of the last stage: 32, 64 or 128
norm: str = "equalised"  # equalised (the paper's variant) or spectral (the thesis')
loss: str = "nonsaturating"  # nonsaturating, lsgan, hinge, wasserstein (which gets a gradient penalty) or rpgan
real_target: float = 1.0  # one-sided label smoothing: D's targets for real images are drawn from [real_target, 1]
latent_dim: int = 64  # length of the latent vector z
width: int = 8  # feature maps of both networks at the last resolution
batch_size: int = 16  # images per step, a multiple of 4
steps: int = 480  # generator steps of the growing GAN, all stages together
ratio: float = 1.2  # each stage is so many times as long as the one before
fade: float = 0.5  # share of a stage in which its block is faded in
plan_reset: str = "stage"  # the optimisers forget their moments: never, at each stage, or each phase
pyramid: str = "area"  # how real images are shrunk: area (antialiased) or nearest
lr: float = 3.0e-3  # Adam's learning rate, the same for both networks
ema_decay: float = 0.98  # decay of the averaged generator
n_eval: int = 1000  # samples that the metrics see
seed: int = 0  # of networks, latents and data order
device: str = "auto"  # auto, cpu or cuda
out: str = ""  # the run's folder; empty: one of its own under runs/adhoc

# %% tags=["hide-input"]
PARAMETERS = notebook_parameters(globals(), set(__annotations__))
LOG = max(1, steps // 100)  # steps between two rows of the history; stages are multiples of it
plan = Plan.growing(resolution, steps, ratio=ratio, fade=fade, round_to=LOG)
PENALTY = {"penalty": "wgan_gp", "penalty_weight": 10.0} if loss == "wasserstein" else {}
SAME = ("dataset", "resolution", "norm", "loss", "real_target", "latent_dim", "batch_size", "ema_decay", "n_eval", "seed")
config = Config(
    **{name: PARAMETERS[name] for name in SAME},
    **PENALTY,
    conditional=False,
    network="pggan",
    plan=str(plan),
    plan_reset=plan_reset,
    pyramid=pyramid,
    width_g=width,
    width_d=width,
    steps=plan.steps,
    lr_g=lr,
    lr_d=lr,
    beta1=0.0,
    beta2=0.99,
    flip=True,
)
OUT = Path(out or default_folder("pggan64", config))

# %% [markdown]
# ## The plan
#
# The plan says for each generator step how many pixels the networks work with and how far the newest block has been
# faded in. Larger images get longer stages.

# %% tags=["hide-input"]
rows = [f"| {s.resolution}×{s.resolution} | {s.fade} | {s.hold} |" for s in plan.stages]
display(Markdown("\n".join(["| pixels | steps of fading in | of stabilising |", "|--:|--:|--:|", *rows])))

# %% [markdown]
# ## Nothing jumps
#
# At $\alpha = 0$ the grown generator draws exactly what the smaller one drew, each pixel doubled, whatever the new block
# holds. Before any training, so that there is nothing learnt that could hide a difference:

# %%
run = Run(config, OUT, device=device)
generator = run.gan.ema.module
z = torch.randn(4, latent_dim, generator=torch.Generator().manual_seed(3)).to(run.device)
with torch.no_grad():
    generator.grow(resolution // 2)
    small = generator(z)
    generator.grow(resolution, alpha=0.0)
    grown = generator(z)
doubled = small.repeat_interleave(2, 2).repeat_interleave(2, 3)
generator.grow(*plan.at(0))

# %% tags=["claim", "keep_output", "nbval-check-output"]
assert torch.equal(grown, doubled)
print("at alpha = 0 the grown generator draws the doubled images of the old one, bit for bit:", True)

# %% [markdown]
# ## Training

# %% tags=["hide-output"]
z_stage = torch.randn(10, latent_dim, generator=torch.Generator().manual_seed(4))


def keep_samples(history):
    """At a stage's end, ten samples of it in the size of the last one."""
    if history.step in plan.ends:
        run.gan.refresh_batchnorm(batches=4)
        samples = run.gan.sample(z_stage)
        sheet = image_sheet(samples.repeat_interleave(resolution // samples.shape[2], 2).repeat_interleave(
            resolution // samples.shape[3], 3))  # fmt: skip
        sheet.save(OUT / f"stage-{plan.ends.index(history.step)}.png")


run.resume()
run.train(hooks=(run.tensorboard(), keep_samples), log_every=LOG);

# %% mystnb={"figure": {"caption": "The losses over all stages. Lines: a new block; shaded: it is being faded in. Each new resolution gives the discriminator details that no fake has yet.", "name": "fig-pggan-losses"}, "image": {"alt": "Discriminator and generator loss against steps, with vertical lines and shaded bands at 8, 16 and 32 pixels."}}
axes = plot_losses(run.history.rows)
low, high = axes.get_ylim()
for stage, end in zip(plan.stages, plan.ends, strict=True):
    start = end - stage.steps
    axes.axvline(start, color="0.6", linewidth=0.8)
    axes.axvspan(start, start + stage.fade, color="0.93", linewidth=0)
    axes.annotate(f"{stage.resolution} px", (start, high), (3, 3), textcoords="offset points", fontsize=8)
plt.show()

# %% mystnb={"figure": {"caption": "The same ten latents at the end of each stage, from the first to the last, in the size of the last.", "name": "fig-pggan-stages"}, "image": {"alt": "Rows of ten pictures that become finer from row to row: coloured blocks at first, ragged blots on a light ground at last."}}
sheets = [Image.open(file) for file in sorted(OUT.glob("stage-*.png"))]
figure, panels = plt.subplots(len(sheets), 1, figsize=(6, 0.62 * len(sheets)), layout="constrained", squeeze=False)
for panel, sheet in zip(panels[:, 0], sheets, strict=True):
    panel.imshow(sheet, interpolation="nearest")
    panel.set_axis_off()
plt.show()

# %% [markdown]
# ## Against the full network from the start
#
# The same networks, loss and learning rate, whole from the first step, for as many seconds as growing took. Its number
# of steps follows from the time that its first ones take.

# %% tags=["hide-output"]
whole = replace(config, plan="none", steps=max(4, LOG))
plain = Run(whole, OUT / "plain", device=device)
if not plain.resume():
    plain.train(progress=False)
per_step = plain.history.seconds / plain.history.step
plain_steps = max(plain.history.step, round(run.history.seconds / per_step))
plain = Run(replace(whole, steps=plain_steps), OUT / "plain", device=device)
plain.resume()
plain.train(log_every=max(1, plain_steps // 50));


# %% tags=["hide-input"]
extractor = get_extractor(choose_extractor("auto", dataset, 32), device=run.device)
SIDE = extractor.judge.resolution if isinstance(extractor, JudgeExtractor) else resolution  # a judge reads one size


def features(images):
    """Of images in [-1, 1], shrunk to the size that the judge reads."""
    images = area(images, SIDE) if images.shape[2] > SIDE else images
    pixels = torch.from_numpy(to_uint8(images)).permute(0, 3, 1, 2)
    return torch.cat([extractor.features(part).cpu() for part in pixels.split(500)])


def quality(run):
    """Fréchet distance from the held-out images, and the shares of neighbours in common, of one run's samples."""
    run.gan.refresh_batchnorm()
    fake, real = run.sample(n_eval, seed=1)[0], data.to_tensors(held_out)[0]
    f, r = features(fake), features(real)
    n = min(len(f), len(r), 10_000)
    shares = precision_recall(r[:n], f[:n])
    found = {"precision": shares.precision, "recall": shares.recall}
    if min(len(f), len(r)) > f.shape[1]:
        distance = frechet_from_moments(*(Moments(rows.shape[1]).update(rows) for rows in (r, f)))
        found = {metric_name("frechet", n_eval, extractor.name): distance, **found}
    one = torch.zeros(max(len(fake), len(real)), dtype=torch.int64)
    return {**found, "spread": spread(fake, one[: len(fake)]) / spread(real, one[: len(real)])}


def flops(run):
    """Floating-point operations of a discriminator and a generator step at a run's current stage, penalty aside."""
    run.gan.penalty = None  # the counter cannot follow a derivative within the step
    real = torch.zeros(batch_size, run.images.images.shape[1], resolution, resolution, device=run.device)
    with FlopCounterMode(display=False) as counter:
        (run.growth or run.gan).discriminator_step(real)
        (run.growth or run.gan).generator_step(real)
    return counter.get_total_flops()


held_out = apart(dataset, resolution)
ours, theirs = quality(run), quality(plain)

# %% mystnb={"figure": {"caption": "Thirty samples of the grown network, not selected.", "name": "fig-pggan-grown"}, "image": {"alt": "Three rows of ten generated pictures."}}
latents = torch.randn(30, latent_dim, generator=torch.Generator().manual_seed(5))
show_sheet(image_sheet(run.gan.sample(latents)))
plt.show()

# %% mystnb={"figure": {"caption": "Thirty samples of the network that was whole from the start, trained for the same time.", "name": "fig-pggan-plain"}, "image": {"alt": "Three rows of ten generated pictures."}}
show_sheet(image_sheet(plain.gan.sample(latents)))
plt.show()

# %% tags=["hide-input"]
names = {"precision": "precision", "recall": "recall", "spread": "spread of a pixel, of the data's"}
lines = [f"| {names.get(name, name)} | {ours[name]:.3g} | {theirs[name]:.3g} |" for name in ours]
lines += [f"| steps | {run.history.step:,} | {plain.history.step:,} |"]
lines += [f"| seconds | {run.history.seconds:.0f} | {plain.history.seconds:.0f} |"]
display(Markdown("\n".join(["| | growing | whole from the start |", "|:--|--:|--:|", *lines])))

# %% tags=["hide-input"]
distance = next((name for name in ours if name.startswith(("fd", "fid"))), "")


def verdict():
    """Which of the two the numbers favour, in words, of this run only."""
    if not distance:
        return "There are too few samples for a Fréchet distance; this run decides nothing."
    closer, wider = ours[distance] < theirs[distance], ours["recall"] > theirs["recall"]
    gap = abs(ours[distance] - theirs[distance]) / max(ours[distance], theirs[distance])
    words = "is **closer** to the data" if closer else "is **farther** from the data"
    covers = "covers more of them" if wider else "does not cover more of them"
    answer = {
        (True, True): "growing was the better use of the time",
        (False, False): "growing was not worth its trouble",
    }.get((closer, wider), "the two measures disagree")
    small = " A gap this small may change sides with another seed." if gap < 0.1 else ""
    return (
        f"With this seed, the grown network {words} ({distance} {ours[distance]:.0f} against {theirs[distance]:.0f}), and {covers} (recall "
        f"{ours['recall']:.2f} against {theirs['recall']:.2f}): {answer}.{small}"
    )


display(Markdown(verdict()))

# %% tags=["hide-input"]
protocol = {
    "dataset": dataset,
    "split": held_out.split,
    "preprocessing": f"{held_out.preprocessing}, features at {SIDE} px",
    "n_real": len(held_out.images),
    "n_fake": n_eval,
    "extractor": extractor.name,
    "extractor_sha256": extractor.sha256,
}
run.finish(
    {
        **ours,
        **{f"plain_{name}": value for name, value in theirs.items()},
        "plain_steps": plain.history.step,
        "plain_train_seconds": round(plain.history.seconds, 2),
        "protocol": protocol,
    }
)

# %% [markdown]
# Why growing is cheap: what one step costs at the first and at the last stage, in floating-point operations, a penalty left aside. At the last
# one, once the block has been faded in, the old path is skipped, and a step costs what it costs in the plain network.

# %% tags=["claim", "keep_output", "nbval-check-output"]
last, same = flops(run), flops(plain)
first = flops(Run(config, OUT / "first", device="cpu"))
assert abs(last / same - 1) < 0.01 and first < last / 5
print("a step at 4 pixels costs less than a fifth of one at the last resolution:", True)
print("a step of the last stage costs what the plain network's costs:", True)

# %% [markdown]
# ```{admonition} What can go wrong
# :class: warning
# - **A stage that is too short hands its faults on.** The next block is faded in over a picture that is wrong, and the
#   discriminator finds the new details before the generator has them: the sign is a generator's loss that jumps behind a line of
#   {numref}`fig-pggan-losses` and has not come down again before the next.
# - **Wasserstein diverges** where nothing bounds the critic. Here it gets its gradient penalty
#   {cite:p}`gulrajani2017improved` without being asked, which makes its steps dearer.
# - **Equal time is not equal steps.** By its operations the plain network should take fewer, each on full images. On a machine that runs small
#   images badly (a GPU that waits for its launches, a processor busy with bookkeeping) it takes as many or more, and growing gains nothing
#   in time: the table has both.
# - **One seed.** A minute of training decides little: compare seeds on the [results page](../results/pggan64) before believing either side.
# ```
#
# ```{exercise}
# :label: ex-pggan-reset
# Train with `plan_reset="never"`. Adam's second moment then still remembers the old stage's gradients. Which way do
# the first steps of a stage err if those gradients were smaller than the new ones, and which way if they were larger?
# ```
#
# ```{solution} ex-pggan-reset
# :class: dropdown
# Adam divides by the root of the remembered mean square. If that is too small for the new gradients, the first steps are
# too long, for up to about $1 / (1 - \beta_2)$ steps; if it is too large, they are too short, and the stage starts
# slowly. The new block's own weights have no memory in either case.
# ```
#
# ```{exercise}
# :label: ex-pggan-nearest
# `pyramid="nearest"` keeps every k-th pixel of the real images instead of the mean over k×k. What does the 4×4 stage then
# learn about thin outlines, and why would the discriminator of the next stage notice?
# ```
#
# ```{solution} ex-pggan-nearest
# :class: dropdown
# A thin dark line is either missed or becomes a whole dark pixel, by chance of its position: the small images hold
# contrasts that the large ones lack (aliasing). Halving the next stage's images gives their mean, which is smoother
# than what the generator was taught, so what it learnt has to be unlearnt.
# ```

# %% [markdown]
# ## Where this goes
#
# The runs of this experiment stand on its [results page](../results/pggan64). What ten years added to such recipes is
# [the next experiment](modern_baseline).
