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
# # Progressive growing
#
# ```{admonition} In this chapter
# :class: tip
# - how two networks grow from side 4 to any size, and what that saves;
# - why a new block that is faded in disturbs nothing at the moment it arrives;
# - the equalised learning rate as a change of coordinates, exact for SGD and for Adam;
# - pixel norm and minibatch standard deviation, each with what it guarantees;
# - why coarse comes before fine: gradient descent learns low frequencies first, proven in a linear generator and measured in a convolutional one.
#
# *Before this:* [neural networks in brief](00_neural_networks_in_brief), [the minimax game](01_minimax_game), eigenvalues. *Cost:* about twenty seconds.
# ```
#
# The method is that of {cite:t}`karras2018progressive`. A picture has the side $R$; $U$ doubles the side by repeating each pixel in a $2\times2$ block (*nearest-neighbour* upsampling), $M$ halves it by the mean of each $2\times2$ block.

# %% tags=["hide-input"]
import copy
import math
import time
from itertools import pairwise

import matplotlib.pyplot as plt
import torch
from IPython.display import Markdown, display
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from ganbook import data
from ganbook.nn.layers import equalised, minibatch_stddev, pixel_norm
from ganbook.plotting import FAKE, REAL

torch.manual_seed(0)
started = time.perf_counter()


def up(x):
    return F.interpolate(x, scale_factor=2, mode="nearest")


def down(x):
    return F.avg_pool2d(x, 2)


# %% [markdown]
# ## Growing
#
# Training begins with pictures of side 4. When generator and discriminator have settled there, each gets a block of layers for side 8, and so on to the wanted side. A *stage* has two phases: in the first the new block is *faded in*, with a weight $\alpha$ that rises from $0$ to $1$ over a given number of pictures; in the second it *stabilises* at $\alpha=1$.
# The real pictures are shrunk to the side of the stage.
#
# The generator's block works on feature maps $a$; a $1\times1$ convolution "to RGB", here $\mathrm{rgb}$, makes a picture of them. With $a'=B(Ua)$ the new block's maps, the grown generator gives
#
# $$ y_\alpha=(1-\alpha)\,U\,\mathrm{rgb}(a)+\alpha\,\mathrm{rgb}'(a'). $$ (eq-pg-fade)
#
# The discriminator is its mirror: with $\mathrm{in}$ and $\mathrm{in}'$ the layers that read a picture, and $B'$ the new block, the old part receives
#
# $$ (1-\alpha)\,\mathrm{in}(Mx)+\alpha\,M\,B'(\mathrm{in}'(x)). $$ (eq-pg-fade-d)


# %% tags=["key"]
def conv(n_in, n_out, k=3):
    return nn.Sequential(nn.Conv2d(n_in, n_out, k, padding=k // 2), nn.LeakyReLU(0.2))


class Generator(nn.Module):
    """Latents (N, 8) to pictures; `alpha` fades in the last block."""

    def __init__(self, width=16):
        super().__init__()
        self.width, self.alpha = width, 1.0
        self.first = nn.Sequential(nn.Linear(8, width * 16), nn.LeakyReLU(0.2), nn.Unflatten(1, (width, 4, 4)))
        self.blocks, self.rgbs = nn.ModuleList(), nn.ModuleList([nn.Conv2d(width, 3, 1)])

    def grow(self):
        self.blocks.append(nn.Sequential(conv(self.width, self.width), conv(self.width, self.width)))
        self.rgbs.append(nn.Conv2d(self.width, 3, 1))
        self.alpha = 0.0
        return self

    def forward(self, z):
        a = self.first(z)
        for block in self.blocks:
            before, a = a, block(up(a))
        new = self.rgbs[-1](a)
        if self.alpha == 1 or not self.blocks:
            return new
        return (1 - self.alpha) * up(self.rgbs[-2](before)) + self.alpha * new


class Discriminator(nn.Module):
    """Pictures to logits (N,), the generator's mirror."""

    def __init__(self, width=16):
        super().__init__()
        self.width, self.alpha = width, 1.0
        self.last = nn.Sequential(conv(width, width), nn.Flatten(), nn.Linear(width * 16, 1))
        self.blocks, self.readers = nn.ModuleList(), nn.ModuleList([conv(3, width, 1)])

    def grow(self):
        self.blocks.append(nn.Sequential(conv(self.width, self.width), conv(self.width, self.width)))
        self.readers.append(conv(3, self.width, 1))
        self.alpha = 0.0
        return self

    def forward(self, x):
        a = self.readers[-1](x)
        for level in range(len(self.blocks) - 1, -1, -1):
            a = down(self.blocks[level](a))
            if level == len(self.blocks) - 1 and self.alpha < 1:
                a = (1 - self.alpha) * self.readers[-2](down(x)) + self.alpha * a
        return self.last(a).flatten()


# %% [markdown]
# ````{prf:lemma} Doubling and halving
# :label: lem-pg-updown
#
# $MU$ is the identity. $UM$ is the orthogonal projection onto the pictures that are constant on $2\times2$ blocks.
# ````
#
# ````{prf:proof}
# The mean of four equal pixels is that pixel. So $(UM)^2=U(MU)M=UM$, and as a matrix $UM$ has $\frac14$ for two pixels of one block and $0$ otherwise, which is symmetric: an orthogonal projection, onto the image of $U$.
# ````
#
# ````{prf:theorem} Growth without a jolt
# :label: thm-pg-fade
#
# Let $G$, $D$ be networks at side $R$ and $G_\alpha$, $D_\alpha$ the grown ones at side $2R$. At $\alpha=0$, for all $z$ and all pictures $x$ of side $2R$,
#
# $$ G_0(z)=U\,G(z),\qquad D_0(x)=D(Mx),\qquad D_0(G_0(z))=D(G(z)). $$ (eq-pg-jolt)
#
# At $\alpha=0$ the gradients of any loss of these logits with respect to the old parameters are those before the growth, and with respect to the new ones zero.
# ````
#
# ````{prf:proof}
# The first two equations are {eq}`eq-pg-fade` and {eq}`eq-pg-fade-d` with $\alpha=0$: the second summand, with everything new in it, has the factor $0$, and so has every derivative with respect to a new parameter. The third follows from $MU=I$. The logits on fakes, and on reals that were shrunk by $M$, are thus the same functions of the old parameters as before.
# ````
#
# So the losses are continuous across a growth, *if the data of the smaller stage are the larger ones shrunk by the same* $M$. Pictures shrunk by picking every second pixel are not, and the discriminator meets data it has never seen.
#
# This holds for losses of the logits. A gradient penalty does jump: $\nabla_xD_0=M^{\mathsf T}\nabla D$ with $M^{\mathsf T}=\frac14U$ is half as long as $\nabla D$, so that a critic of slope one has slope one half at the moment it has grown, and WGAN-GP pulls it up again.

# %%
torch.manual_seed(0)
old_g, old_d = Generator().grow(), Discriminator().grow()  # side 8
old_g.alpha = old_d.alpha = 1.0
new_g, new_d = copy.deepcopy(old_g).grow(), copy.deepcopy(old_d).grow()  # side 16, α = 0
z, x = torch.randn(5, 8), torch.randn(5, 3, 16, 16)


def gradients(g, d, pictures):
    """Gradient of the sum of the non-saturating loss on fakes and softplus(-D) on pictures, by parameter name."""
    for network in (g, d):
        network.zero_grad()
    (F.softplus(-d(g(z))) + F.softplus(-d(pictures))).sum().backward()
    named = [(f"{part}.{name}", p.grad) for part, net in (("g", g), ("d", d)) for name, p in net.named_parameters()]
    return {name: gradient for name, gradient in named if gradient is not None}  # layers of earlier sides are idle


def slopes(network, pictures):
    """Lengths of the gradient of the logit with respect to each picture."""
    pictures = pictures.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(network(pictures).sum(), pictures)
    return gradient.flatten(1).norm(dim=1)


before, after = gradients(old_g, old_d, down(x)), gradients(new_g, new_d, x)
pictures = data.to_tensors(data.load("emoji:twemoji", resolution=32))[0][:64]
smaller = data.to_tensors(data.load("emoji:twemoji", resolution=16))[0][:64]

# %% tags=["claim", "keep_output", "nbval-check-output"]
assert torch.allclose(down(up(x)), x, atol=1e-6)
assert torch.allclose(up(down(up(down(x)))), up(down(x)), atol=1e-6)
assert torch.allclose((up(down(x)) * (x - up(down(x)))).sum(), torch.tensor(0.0), atol=1e-3)
with torch.no_grad():
    assert torch.allclose(new_g(z), up(old_g(z)), atol=1e-6)
    assert torch.allclose(new_d(x), old_d(down(x)), atol=1e-6)
    assert torch.allclose(new_d(new_g(z)), old_d(old_g(z)), atol=1e-6)
assert torch.allclose(slopes(new_d, x), slopes(old_d, down(x)) / 2, rtol=1e-4)
for name, gradient in after.items():
    expected = before.get(name)
    fresh = expected is None
    assert torch.allclose(gradient, torch.zeros_like(gradient) if fresh else expected, atol=1e-5), name
new_g.alpha = 1.0
with torch.no_grad():
    assert (new_g(z) - up(old_g(z))).abs().mean() > 0.01
new_g.alpha = 0.0
assert (down(pictures) - smaller).abs().max() < 3 / 255  # the library shrinks by M, up to rounding to bytes
assert (pictures[:, :, ::2, ::2] - smaller).abs().max() > 0.5
print("at α = 0 pictures, logits and gradients are the old ones; with α = 1 at once, or data that skip pixels, not: yes")

# %% [markdown]
# The method is also known for being cheap. Let every stage take the same number of steps, and let a step at side $R$ cost as much as its pixels: then all stages together cost less than $\frac43$ of the last one, since $1+\frac14+\frac1{16}+\dots=\frac43$. (In practice later stages are given more steps, and the narrow layers at large sides
# make the ratio less favourable.) Counted for the two networks above, with equal widths:

# %%
costs, g, d = [], Generator(), Discriminator()
for side in (4, 8, 16, 32, 64):
    if side > 4:
        g, d = g.grow(), d.grow()
        g.alpha = d.alpha = 1.0
    counter = FlopCounterMode(display=False)
    with counter:
        d(g(z))
    costs.append(counter.get_total_flops())
rows = "\n".join(f"| {4 * 2**i} | {c / 1e6:.1f} | {sum(costs[: i + 1]) / c:.2f} |" for i, c in enumerate(costs))
display(
    Markdown(
        f"| side | million operations for 5 pictures | all stages so far / this stage |\n|---|---|---|\n{rows}\n\n"
        f"Five stages of equal length cost {sum(costs) / (5 * costs[-1]):.0%} of the same number of steps at side 64."
    )
)

# %% tags=["claim", "keep_output", "nbval-check-output"]
assert sum(costs) / costs[-1] < 4 / 3 + 0.05
assert sum(costs) < 0.3 * 5 * costs[-1]
print("all stages together cost about a third more than the last one, less than a third of training at full size: yes")

# %% [markdown]
# One of [the sources](../sources) of this book, a thesis, reset the optimisers at each phase, gave higher resolutions more steps and saw the losses jump at each new side. By {prf:ref}`thm-pg-fade` a jump of a loss of the logits is not the growth's; a gradient penalty, new data, a reset optimiser and a rising $\alpha$ remain as causes.
#
# ## The equalised learning rate
#
# He's initialisation ([the chapter on networks](00_neural_networks_in_brief)) draws the weights of a layer with $n$ inputs with the standard deviation $c=\sqrt{2/n}$. The equalised layer stores $v\sim\mathcal N(0,1)$ and computes with $w=cv$ at run time. At the first step nothing differs. What differs is how it learns.
#
# ````{prf:theorem} Scaled weights are a preconditioner
# :label: thm-pg-equalised
#
# Let $w=cv$ and train $v$ with learning rate $h$. The weights $w$ then move exactly as if they themselves were trained
#
# 1. by gradient descent with the learning rate $c^2h$;
# 2. by Adam with the learning rate $ch$ and with $\varepsilon/c$ in place of $\varepsilon$.
# ````
#
# ````{prf:proof}
# The chain rule gives $\nabla_v=c\,\nabla_w$. (1) $v\leftarrow v-hc\nabla_w$, times $c$: $w\leftarrow w-c^2h\nabla_w$. (2) Adam {cite:p}`kingma2015adam` keeps running means $\hat m$ of the gradients and $\hat s$ of their squares, both linear in what they average, so they are $c\,\hat m$ and $c^2\hat s$ in terms of those for $w$. The step
# $h\,c\hat m/(\sqrt{c^2\hat s}+\varepsilon)=h\,\hat m/(\sqrt{\hat s}+\varepsilon/c)$, times $c$, is the claim.
# ````
#
# Adam's steps have about the length $h$ an entry, whatever the gradient. In a plain layer that is a change relative to its weights of $h/c\propto h\sqrt n$: wide layers are shaken, narrow ones hardly stirred. With $w=cv$ it is $ch/c=h$ for *every* layer: hence the name, and hence one learning rate for all layers of both networks. What is left for two different rates for
# $D$ and $G$ ([TTUR](07_training_dynamics)) is the balance of the players; the thesis found them harmful in its progressive GAN.


# %%
class EqualisedLinear(nn.Module):
    """v ~ N(0, 1) is stored; c·v with c = gain / √n is used."""

    def __init__(self, n, m, gain=2**0.5):
        super().__init__()
        self.v, self.bias, self.c = nn.Parameter(torch.randn(m, n)), nn.Parameter(torch.zeros(m)), gain / math.sqrt(n)

    def forward(self, x):
        return x @ (self.c * self.v).T + self.bias


def trained(kind, scaled, c, h, eps, steps=20):
    """Weights w after some steps on one fixed regression, stored as w or as v = w / c."""
    rng = torch.Generator().manual_seed(1)
    x, y, start = (torch.randn(s, generator=rng, dtype=torch.float64) for s in ((50, 6), (50, 3), (3, 6)))
    p = ((start / c) if scaled else start).clone().requires_grad_()
    optimizer = torch.optim.SGD([p], h) if kind == "SGD" else torch.optim.Adam([p], h, eps=eps)
    for _ in range(steps):
        optimizer.zero_grad()
        w = c * p if scaled else p
        (x @ w.T - y).square().mean().backward()
        optimizer.step()
    return (c * p if scaled else p).detach()


# %% tags=["claim", "keep_output", "nbval-check-output"]
for c in (0.05, 0.7, 3.0):
    assert torch.allclose(trained("SGD", True, c, 0.02, 0), trained("SGD", False, c, c**2 * 0.02, 0), atol=1e-12)
    ours = trained("Adam", True, c, 0.01, 1e-4)
    assert torch.allclose(ours, trained("Adam", False, c, c * 0.01, 1e-4 / c), atol=1e-12)
    assert not torch.allclose(ours, trained("Adam", False, c, 0.01, 1e-4), atol=1e-3)
ours, theirs = EqualisedLinear(30, 4), equalised(nn.Linear(30, 4))
with torch.no_grad():
    theirs.parametrizations.weight.original.copy_(ours.v)
x = torch.randn(7, 30)
assert torch.allclose(ours(x), theirs(x), atol=1e-6)
print("training c·v is training w with c²h (SGD) or with ch and ε/c (Adam); the layer is the library's: yes")

# %% [markdown]
# In a network whose layers have between 8 and 512 inputs, one step of Adam at $h=0.01$:


# %%
WIDTHS = (8, 512, 32, 128, 512, 8)


def network(kind):
    """ReLU layers of the given widths, with He's standard deviation stored in the weights or applied at run time."""
    torch.manual_seed(0)
    layers = []
    for n, m in pairwise(WIDTHS):
        layer = nn.Linear(n, m)
        if kind == "equalised":
            equalised(layer)
        else:
            nn.init.normal_(layer.weight, std=math.sqrt(2 / n))
            nn.init.zeros_(layer.bias)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers)


def relative_steps(kind):
    """‖Δw‖ / ‖w‖ of each layer after one step of Adam, and the mean square of each layer's output before it."""
    net = network(kind)
    linear = [layer for layer in net if isinstance(layer, nn.Linear)]
    x, squares = torch.randn(512, WIDTHS[0], generator=torch.Generator().manual_seed(1)), []
    a = x
    for layer in net:
        a = layer(a)
        if isinstance(layer, nn.ReLU):
            squares.append(a.square().mean().item())
    old = [layer.weight.detach().clone() for layer in linear]
    (a - 1).square().mean().backward()
    torch.optim.Adam(net.parameters(), 0.01).step()
    return [((layer.weight - w).norm() / w.norm()).item() for layer, w in zip(linear, old)], squares


(plain, plain_squares), (equal, equal_squares) = relative_steps("plain"), relative_steps("equalised")
rows = "\n".join(
    f"| {n} | {p:.3f} | {e:.3f} | {q:.2f} |" for n, p, e, q in zip(WIDTHS, plain, equal, equal_squares)
)
display(
    Markdown(
        "| inputs of the layer | relative step, plain | relative step, equalised | mean square of its output |\n"
        f"|---|---|---|---|\n{rows}"
    )
)

# %% tags=["claim", "keep_output", "nbval-check-output"]
assert max(plain) > 5 * min(plain) and max(equal) < 1.2 * min(equal)
assert all(abs(e / 0.01 - 1) < 0.2 for e in equal)
assert all(0.4 < q < 2.5 for q in equal_squares)
print("plain layers move at speeds more than five times apart, equalised ones all by h; outputs stay within a factor of 2.5 of one: yes")

# %% [markdown]
# ## Pixel norm
#
# In the generator, after each convolution, the vector $a\in\mathbb R^C$ of the channels at each position is divided by its root mean square:
#
# $$ P(a)=\frac a{\sqrt{\frac1C\sum_ia_i^2+\varepsilon}},\qquad\varepsilon=10^{-8}. $$ (eq-pg-pixel)
#
# ````{prf:proposition} What pixel norm guarantees
# :label: prop-pg-pixel
#
# With $\varepsilon=0$ and $r$ the root mean square of $a\neq0$: $P(a)$ has mean square $1$, $P(ta)=P(a)$ for $t>0$, and its Jacobian is $J=\frac1r\bigl(I-\frac{aa^{\mathsf T}}{\|a\|^2}\bigr)$. A gradient that passes through has no component along $a$.
# ````
#
# ````{prf:proof}
# The first two are read off. With $\|a\|=r\sqrt C$, $P(a)=\sqrt C\,a/\|a\|$, and $\partial_j(a_i/\|a\|)=[i=j]/\|a\|-a_ia_j/\|a\|^3$, with $[i=j]=1$ if $i=j$ and else $0$. $J$ is symmetric and $Ja=0$, so $a^{\mathsf T}J^{\mathsf T}v=0$ for every incoming gradient $v$.
# ````
#
# So signals cannot escalate when the two players drive each other's layers up: their size is fixed, and no gradient tries to change it. It has no parameters, and, unlike BatchNorm, makes no sample depend on others. (The thesis replaced it by [spectral normalisation](06_lipschitz_and_spectral_norm), which bounds the *map* instead of the signal.)


# %%
def our_pixel_norm(x, eps=1e-8):
    return x / (x.square().mean(dim=1, keepdim=True) + eps).sqrt()


a = torch.randn(4, 6, 3, 3, dtype=torch.float64)
point = torch.randn(6, dtype=torch.float64)
jacobian = torch.autograd.functional.jacobian(lambda v: our_pixel_norm(v[None], 0.0)[0], point)

# %% tags=["claim", "keep_output", "nbval-check-output"]
assert torch.allclose(our_pixel_norm(a), pixel_norm(a), atol=1e-12)
assert torch.allclose(our_pixel_norm(a).square().mean(1), torch.ones(4, 3, 3, dtype=torch.float64))
assert torch.allclose(our_pixel_norm(1000 * a), our_pixel_norm(a), atol=1e-6)
r = point.square().mean().sqrt()
formula = (torch.eye(6) - torch.outer(point, point) / point.square().sum()) / r
assert torch.allclose(jacobian, formula, atol=1e-12) and torch.allclose(jacobian @ point, 0 * point, atol=1e-12)
print("mean square one, blind to scale, a Jacobian that removes the radial part, the library's layer: yes")

# %% [markdown]
# ## Minibatch standard deviation
#
# Near the discriminator's end one more feature map is appended, filled with a single number for each group of samples: the standard deviation over the group of every feature at every position, averaged over features and positions. It is a parameter-free heir of *minibatch discrimination* {cite:p}`salimans2016improved`. Why should a discriminator look at more than one sample?
#
# ````{prf:proposition} A discriminator of single samples is blind to copies
# :label: prop-pg-copies
#
# Let $D$ judge each sample by itself, and let $x$ have density $q$. The expected mean of any loss $\frac1n\sum_i\ell(D(x_i))$ over a batch is the same for $n$ independent samples and for $n$ copies of one.
# ````
#
# ````{prf:proof}
# Expectation is linear, and each $x_i$ has density $q$ in both cases: the mean is $\mathbb E_q\,\ell(D(x))$.
# ````
#
# A generator that answers a whole batch with one picture, another one for the next batch, is not found out. The standard deviation finds it at once: for copies it is zero.


# %%
def our_stddev(x, group=4, eps=1e-8):
    """x (N, C, H, W) with one more map."""
    n, c, h, w = x.shape
    groups = x.reshape(n // group, group, c, h, w)
    deviation = (groups - groups.mean(1, keepdim=True)).square().mean(1).add(eps).sqrt()  # (N / group, C, H, W)
    number = deviation.mean((1, 2, 3))  # one for each group
    return torch.cat([x, number.repeat_interleave(group).reshape(n, 1, 1, 1).expand(n, 1, h, w)], dim=1)


rng = torch.Generator().manual_seed(0)
varied = torch.randn(8, 5, 4, 4, generator=rng)
copies = varied[[0, 0, 0, 0, 4, 4, 4, 4]]
shuffled = varied[[2, 0, 3, 1, 4, 5, 6, 7]]
judge = nn.Sequential(nn.Flatten(), nn.Linear(80, 20), nn.LeakyReLU(0.2), nn.Linear(20, 1))
batches = torch.randn(4000, 4, 5, 4, 4, generator=rng)
with torch.no_grad():
    apart = F.softplus(judge(batches.flatten(0, 1))).reshape(4000, 4).mean(1)
    alike = F.softplus(judge(batches[:, :1].expand(-1, 4, -1, -1, -1).flatten(0, 1))).reshape(4000, 4).mean(1)

# %% tags=["claim", "keep_output", "nbval-check-output"]
assert torch.allclose(our_stddev(varied), minibatch_stddev(varied), atol=1e-6)
assert (our_stddev(copies)[:, -1] < 2e-4).all() and (our_stddev(varied)[:, -1] > 0.5).all()
assert torch.allclose(our_stddev(shuffled)[:, -1], our_stddev(varied)[:, -1], atol=1e-6)
error = (apart.var() / 4000 + alike.var() / 4000).sqrt()
assert (apart.mean() - alike.mean()).abs() < 4 * error and alike.std() > 1.5 * apart.std()
print("copies give zero, order within a group does not count, the library's layer; single samples tell nothing: yes")

# %% [markdown]
# ## Why coarse comes first
#
# Two facts make it natural to learn large shapes before details. The first is about pictures: most of their power lies at low frequencies {cite:p}`field1987relations`. The second is about gradient descent: it learns low frequencies faster, *even when all have the same power*. This "spectral bias" {cite:p}`rahaman2019spectral` can be computed in full for a generator that is linear.
#
# Let a picture be a sum of maps of all sizes, each enlarged by repeating pixels: $g(\theta)=\sum_{k=0}^KU^k\theta_k$, with $\theta_k$ of side $R/2^k$. (That is a progressive generator whose blocks do nothing but to RGB.) A *detail of level $j<K$* is a picture that is constant on blocks of side $2^j$ and has mean zero on each block of side $2^{j+1}$; level $K$ holds all pictures that are constant on blocks of side $2^K$.
#
# ````{prf:theorem} Each coarser level is learned at least four times as fast
# :label: thm-pg-haar
#
# Gradient descent on $\frac12\|g(\theta)-y\|^2$ with learning rate $h$ multiplies the part of the error $g(\theta)-y$ at level $j$, at each step, by
#
# $$ 1-h\kappa_j,\qquad\kappa_j=1+4+\dots+4^j=\frac{4^{j+1}-1}3. $$ (eq-pg-haar)
#
# Every picture is the sum of its details, which are orthogonal to each other.
# ````
#
# ````{prf:proof}
# The error $e$ obeys $e\leftarrow e-h\sum_kU^kU^{k\mathsf T}e$. As $U^{\mathsf T}=4M$, $U^kU^{k\mathsf T}=4^kU^kM^k=4^kP_k$, where $P_k$ is the orthogonal projection onto the pictures constant on blocks of side $2^k$ ({prf:ref}`lem-pg-updown`, applied to blocks). These spaces lie in each other, the coarser in the finer. A detail of level $j$ is in that of $P_j$, hence of all $P_k$ with $k\le j$, and
# orthogonal to that of $P_{j+1}$, hence of all $P_k$ with $k>j$. So $\sum_k4^kP_k$ multiplies it by $\sum_{k\le j}4^k$. Finally $I=P_K+\sum_{j<K}(P_j-P_{j+1})$ splits every picture.
# ````
#
# This is {prf:ref}`prop-nn-early` again, with eigenvalues that are known: errors of large eigenvalue, here the coarse ones, go first (none overshoots if $h\le1/\kappa_K$). A stage of progressive growing starts with the coarse levels done, at a fraction of the cost.

# %%
SIDE, LEVELS = 16, 3


def projection(x, k):
    """P_k: means over blocks of side 2^k."""
    for _ in range(k):
        x = down(x)
    for _ in range(k):
        x = up(x)
    return x


def detail(x, j):
    """The part of level j."""
    return projection(x, j) - projection(x, j + 1) if j < LEVELS else projection(x, j)


target = torch.randn(1, 1, SIDE, SIDE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
maps = [
    torch.zeros(1, 1, SIDE >> k, SIDE >> k, dtype=torch.float64, requires_grad=True) for k in range(LEVELS + 1)
]


def linear_generator(maps):
    total = torch.zeros_like(target)
    for k, theta in enumerate(maps):
        for _ in range(k):
            theta = up(theta)
        total = total + theta
    return total


h = 0.01
errors = [-target]
for _ in range(60):
    gradient = torch.autograd.grad(0.5 * (linear_generator(maps) - target).square().sum(), maps)
    maps = [(theta - h * g).detach().requires_grad_() for theta, g in zip(maps, gradient)]
    errors.append((linear_generator(maps) - target).detach())

# %% tags=["claim", "keep_output", "nbval-check-output"]
kappa = [(4 ** (j + 1) - 1) / 3 for j in range(LEVELS + 1)]
for step, e in enumerate(errors):
    for j in range(LEVELS + 1):
        assert torch.allclose(detail(e, j), (1 - h * kappa[j]) ** step * detail(-target, j), atol=1e-12)
parts = [detail(target, j) for j in range(LEVELS + 1)]
assert torch.allclose(sum(parts), target)
assert all((parts[i] * parts[j]).sum().abs() < 1e-9 for i in range(LEVELS + 1) for j in range(i))
print("each level of detail decays by the theorem's factor at every step, and the levels make up the picture: yes")

# %% [markdown]
# A real generator has convolutions and nonlinearities. So we measure: a small one learns to reproduce 16 given pictures, each from a fixed random code, by plain squared error {cite:p}`bojanowski2018optimizing`. (No discriminator: the question is what the *generator* finds easy.) At several moments the power of its error is taken at each spatial frequency $f$, in cycles per picture, and averaged over
# directions: the *radial power spectrum*. Once with emoji, and once with white noise, which has the same power at every frequency, so that only the network's own preference remains.


# %%
def radial_spectrum(x):
    """Mean power at frequencies 1, …, R/2 - 1 of pictures (N, 1, R, R), rounded to whole cycles per picture."""
    side = x.shape[-1]
    f = torch.fft.fftfreq(side) * side
    radius = (f[:, None] ** 2 + f[None] ** 2).sqrt().round()
    power = torch.fft.fft2(x[:, 0]).abs().square().mean(0) / side**2
    return torch.stack([power[radius == r].mean() for r in range(1, side // 2)])


class Painter(nn.Module):
    """Codes (N, 32) to grey pictures (N, 1, 32, 32): a dense layer to 4 × 4, then three times up and convolve."""

    def __init__(self, widths=(48, 32, 24, 16)):
        super().__init__()
        blocks = [nn.Linear(32, widths[0] * 16), nn.Unflatten(1, (widths[0], 4, 4)), nn.ReLU()]
        for n, m in pairwise(widths):
            blocks += [nn.Upsample(scale_factor=2), nn.Conv2d(n, m, 3, padding=1), nn.ReLU()]
        self.net = nn.Sequential(*blocks, nn.Conv2d(widths[-1], 1, 3, padding=1))

    def forward(self, z):
        return self.net(z)


MOMENTS = (0, 20, 50, 100, 200)


def spectra_of_error(target):
    """Spectrum of the error at each moment, relative to the target's own, (moments, frequencies)."""
    torch.manual_seed(0)
    painter, z = Painter(), torch.randn(len(target), 32)
    optimizer, found = torch.optim.Adam(painter.parameters(), 2e-3, fused=True), []
    for step in range(MOMENTS[-1] + 1):
        error = painter(z) - target
        if step in MOMENTS:
            found.append(radial_spectrum(error.detach()) / radial_spectrum(target))
        optimizer.zero_grad()
        error.square().mean().backward()
        optimizer.step()
    return torch.stack(found)


grey = pictures[:16].mean(1, keepdim=True)
grey = (grey - grey.mean((1, 2, 3), keepdim=True)) / grey.std()
noise = torch.randn(16, 1, 32, 32, generator=torch.Generator().manual_seed(0))
learned = {"emoji": spectra_of_error(grey), "white noise": spectra_of_error(noise)}
frequencies = torch.arange(1, 16)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: power of 64 emoji at each frequency, and of white noise. Middle and right: the generator's error relative to its target, at several steps (dark is late). One means nothing learned, zero all, above one worse than a blank.", "name": "fig-pg-spectrum"}, "image": {"alt": "Three panels against the spatial frequency. Left: the emoji's power falls steeply from frequency one on, the noise's is flat. Middle and right: curves of relative error that start near one everywhere; with every step the low frequencies sink first, and the front moves to the right, alike for emoji and for noise."}}
figure, axes = plt.subplots(1, 3, figsize=(10.4, 3.2), layout="constrained")
axes[0].loglog(frequencies, radial_spectrum(pictures.mean(1, keepdim=True)), "o-", color=REAL, label="emoji")
axes[0].loglog(frequencies, radial_spectrum(noise), "s--", color=FAKE, label="white noise")
axes[0].set(xlabel="cycles per picture", ylabel="power", title="data")
axes[0].legend(frameon=False)
for axis, (name, rows), color in zip(axes[1:], learned.items(), (REAL, FAKE)):
    for i, (moment, row) in enumerate(zip(MOMENTS, rows)):
        axis.plot(frequencies, row, color=color, alpha=0.2 + 0.8 * i / (len(MOMENTS) - 1), label=f"step {moment}")
    axis.set(xlabel="cycles per picture", ylabel="relative error", title=name, ylim=(0, 1.25))
axes[2].legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
for axis in axes:
    axis.grid(alpha=0.3)
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
BANDS = {"low": slice(0, 3), "middle": slice(3, 7), "high": slice(7, 15)}  # 1 to 3, 4 to 7, 8 to 15 cycles
for rows in learned.values():
    low, middle, high = (rows[:, band].mean(1) for band in BANDS.values())
    at = MOMENTS.index(50)
    assert low[at] + 0.1 < middle[at] < high[at] - 0.1
    assert high[at + 1] > 3 * low[at + 1]  # still so at step 100
power = radial_spectrum(pictures.mean(1, keepdim=True))
low, middle, high = (power[band].mean() for band in BANDS.values())
assert low > 5 * middle > 25 * high
print("emoji have most power at low frequencies; lower bands are learned sooner, in white noise as well: yes")

# %% [markdown]
# Both causes point the same way. Training at full size from the start therefore spends its first steps, at full price, on what a picture of side 4 or 8 would have shown as well. And a discriminator at full size can tell real from fake by details long before the generator can make any, which [leaves the generator little to learn from](01_minimax_game); at side 4 there are none.
#
# ```{admonition} What can go wrong
# :class: warning
# - **Fading only the generator.** The discriminator then meets full pictures with an untrained first block: its logits jump.
# - **Another filter for the data.** $\alpha=0$ continues the old game only if the real pictures were shrunk by $M$. Nearest-neighbour data, as in the thesis, or a bicubic filter change the data at each growth.
# - **$\alpha$ in steps or in pictures.** Batches shrink as pictures grow; count pictures.
# - **New layers that the optimiser does not know.** Make a new one at each growth or add the new parameters. The moving average of the generator has to grow too.
# - **Batches that are no multiple of the group.** Minibatch standard deviation then has a group left over.
# - **Equalised layers and weight decay or clipping on $v$.** Both act on $v$, whose scale is 1, not on $w$.
# - **Comparing losses across stages.** Each stage is another game. Compare pictures, or a distance at the final side.
# ```
#
# ## Exercises
#
# ```{exercise}
# :label: ex-pg-stages
# How many stages lead from side 4 to side 1024? If each has the same number of steps and the cost of a step is proportional to the pixels, what share of the cost falls to the last two?
# ```
#
# ````{solution} ex-pg-stages
# :class: dropdown
# $1+\log_2(1024/4)=9$. The last two cost $1+\frac14$ of a total of nearly $\frac43$: 94%.
# ````

# %% tags=["hide-cell"]
prices = [4.0**k for k in range(9)]
assert 4 * 2 ** (len(prices) - 1) == 1024 and round(sum(prices[-2:]) / sum(prices), 2) == 0.94

# %% [markdown]
# ```{exercise}
# :label: ex-pg-bilinear
# Does {prf:ref}`thm-pg-fade` hold with bilinear upsampling in place of $U$, and the same $M$? Which of its three equations fails?
# ```
#
# ````{solution} ex-pg-bilinear
# :class: dropdown
# $M$ after bilinear doubling is not the identity: it blurs. The first two equations hold as they stand, with the new $U$; $D_0(G_0(z))=D(M\,U\,G(z))$ is not $D(G(z))$.
# ````

# %% tags=["hide-cell"]
picture = torch.randn(1, 1, 8, 8)
assert not torch.allclose(
    down(F.interpolate(picture, scale_factor=2, mode="bilinear", align_corners=False)), picture, atol=0.05
)

# %% [markdown]
# ```{exercise}
# :label: ex-pg-detail
# Write $y_\alpha$ of {eq}`eq-pg-fade` as a coarse picture plus $\alpha$ times a correction. What is $M y_\alpha$? Can the fade change the coarse picture?
# ```
#
# ````{solution} ex-pg-detail
# :class: dropdown
# $y_\alpha=U\mathrm{rgb}(a)+\alpha\,(\mathrm{rgb}'(a')-U\mathrm{rgb}(a))$, so $My_\alpha=\mathrm{rgb}(a)+\alpha\,(M\mathrm{rgb}'(a')-\mathrm{rgb}(a))$: linear in $\alpha$, and yes, unless the new block keeps $M\mathrm{rgb}'(a')=\mathrm{rgb}(a)$. Nothing forces it to.
# ````

# %% tags=["hide-cell"]
coarse = {}
for alpha in (0.0, 0.5, 1.0):
    new_g.alpha = alpha
    coarse[alpha] = down(new_g(z)).detach()
assert torch.allclose(coarse[0.5], (coarse[0.0] + coarse[1.0]) / 2, atol=1e-6)
assert not torch.allclose(coarse[0.0], coarse[1.0], atol=1e-3)

# %% [markdown]
# ```{exercise}
# :label: ex-pg-relative
# A plain layer with He's initialisation has $n$ inputs. By {prf:ref}`thm-pg-equalised`, which learning rate must Adam have on its weights to move them as an equalised layer with rate $h$ does? Compare $n=8$ with $n=4608$ (a $3\times3$ convolution of 512 channels).
# ```
#
# ````{solution} ex-pg-relative
# :class: dropdown
# $h\sqrt{2/n}$: $0.5\,h$ and about $0.021\,h$, 24 times less.
# ````

# %% tags=["hide-cell"]
assert math.isclose(math.sqrt(2 / 8), 0.5) and round(math.sqrt(2 / 4608), 3) == 0.021
assert math.isclose(math.sqrt(4608 / 8), 24)

# %% [markdown]
# ```{exercise}
# :label: ex-pg-levels
# Replace $\theta_k$ by $2^{-k}v_k$ in the linear generator, so that every column of the enlarged maps has length one. What are the eigenvalues $\kappa_j$ now, and the ratio of the largest to the smallest?
# ```
#
# ````{solution} ex-pg-levels
# :class: dropdown
# Each term $4^kP_k$ becomes $P_k$, so $\kappa_j=j+1$: the ratio is $K+1$ in place of $(4^{K+1}-1)/3$. Coarse still comes first, but no longer keeps the fine waiting.
# ````

# %% tags=["hide-cell"]
identity = torch.eye(SIDE**2, dtype=torch.float64).reshape(-1, 1, SIDE, SIDE)
for scale, expected in ((4, kappa), (1, [1, 2, 3, 4])):
    operator = sum(scale**k * projection(identity, k) for k in range(LEVELS + 1)).reshape(SIDE**2, -1)
    values = torch.linalg.eigvalsh(operator)
    assert all((values - e).abs().min() < 1e-9 for e in expected)
    assert all(min(abs(v - e) for e in expected) < 1e-9 for v in values.tolist())

# %% [markdown]
# ```{exercise}
# :label: ex-pg-normal
# The *variance* of $m$ independent standard normal numbers, computed with $\frac1m$ and not $\frac1{m-1}$, has the mean $(m-1)/m$. Is the mean standard deviation its root, larger or smaller? What does the discriminator see if the generator is as varied as the data but the group is only two samples?
# ```
#
# ````{solution} ex-pg-normal
# :class: dropdown
# Smaller: the square root is concave (Jensen). For $m=2$ it is $\mathbb E|x_1-x_2|/2=1/\sqrt\pi\approx0.56$ against $\sqrt{1/2}\approx0.71$. Real and generated groups are biased alike, so the comparison is fair; it is only noisier.
# ````

# %% tags=["hide-cell"]
pairs = torch.randn(200_000, 2, dtype=torch.float64)
assert abs(pairs.std(1, correction=0).mean() - 1 / math.sqrt(math.pi)) < 0.01

# %% [markdown]
# ## Where this is used
#
# [An experiment](../experiments/pggan64) grows a GAN to 64 pixels, with the thesis's settings beside others. The layers are `ganbook.nn.layers`: `equalised`, `pixel_norm`, `minibatch_stddev`. The dynamics of the game that grows are those of [the training dynamics](07_training_dynamics); spectral normalisation, the thesis's replacement for pixel norm, is in [the chapter on slopes](06_lipschitz_and_spectral_norm); how samples of different sides may
# be compared at all is a question for [the evaluation](12_evaluation).

# %% tags=["hide-input"]
display(Markdown(f"*This chapter ran in {time.perf_counter() - started:.0f} s.*"))
