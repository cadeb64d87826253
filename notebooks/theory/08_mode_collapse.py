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
# # Mode collapse
#
# ```{admonition} In this chapter
# :class: tip
# - the generator's best reply to any fixed discriminator is a single point; variety is enforced by the *next* discriminator only;
# - what the order of the two players' moves changes, and what it does not;
# - why samples that crowd on one mode get no word from the best discriminator about the others, and do from a Wasserstein critic;
# - three cures, derived: minibatch discrimination, unrolling, packing;
# - the same cures measured on a ring and a grid of Gaussians.
#
# *Before this:* [the minimax game](01_minimax_game), [divergences](04_divergences), [the Wasserstein distance](05_wasserstein); for the last exercise [the training dynamics](07_training_dynamics). *Cost:* about half a minute.
# ```
#
# Data often come in *modes*: regions of high density with little between them, such as the ten digits. A generator suffers *mode collapse* when it serves
# some of them and leaves out others, each of its samples being perhaps beyond reproach. $p$ is the law of the data, $q$ that of the generated samples, $D(x)$ the
# discriminator's logit. For a while the samples come from a finite set of $n$ points, its modes, so that $p$ and $q$ are vectors and all means are exact:
# $V(D,q)=\sum_ip_i\log\sigma(D_i)+\sum_iq_i\log(1-\sigma(D_i))$ with all $p_i>0$.

# %% tags=["hide-input"]
import math
import time
from dataclasses import replace
from functools import partial

import matplotlib.pyplot as plt
import torch
from IPython.display import Markdown, display
from torch import nn
from torch.func import functional_call

from ganbook.losses import LOSSES
from ganbook.models.coverage import METHODS, TARGETS, batches, build, covered, sample, set_rates
from ganbook.models.toy import dirac_gan, step_eigenvalues, unrolled
from ganbook.models.unrolled import foreseen
from ganbook.nn.layers import MinibatchDiscrimination
from ganbook.nn.mlp import Discriminator
from ganbook.nn.packing import Packed
from ganbook.plotting import DISCRIMINATOR, FAKE, GENERATOR, REAL

torch.manual_seed(0)
started = time.perf_counter()
f64 = torch.float64

# %% [markdown]
# ## The best reply is a point
#
# ````{prf:theorem} The best reply to a fixed discriminator
# :label: thm-mc-reply
#
# Let $g(\text{real logit},\text{fake logit})$ be the generator's loss and $D$ a fixed discriminator, and let
# $\varphi(x)=\mathbb E_{x'\sim p}\,g(D(x'),D(x))$ have a minimum over $x$. Then the generator's loss $\mathcal L_G(q)=\mathbb E_q\varphi$ satisfies
#
# $$ \mathcal L_G(q)\ge\min_x\varphi(x), $$ (eq-mc-reply)
#
# with equality if and only if $q$ lives on $\arg\min\varphi$. The point mass on any minimiser is a best reply; if there is one minimiser only, it is the only one.
# For every loss of this book but LSGAN, $\arg\min\varphi=\arg\max D$.
# ````
#
# ````{prf:proof}
# $\mathcal L_G(q)-\min\varphi=\mathbb E_q(\varphi-\min\varphi)$ is the mean of something that is nowhere negative; it vanishes if and only if that is zero with probability one. The losses other than LSGAN
# are strictly decreasing in the fake logit, whatever the real one, so $\varphi$ is a strictly decreasing function of $D(x)$.
# ````
#
# The loss is *linear* in $q$: it adds up the samples' merits and never asks how they get on together. No loss function changes that as long as $D$ judges samples one by one, and neither do penalties and
# norms, which change only which $D$ one meets. In the check, the generator is any distribution on 12 points, and learns against a $D$ that stays as it is.


# %%
def reply(D, loss, p, steps=400, rate=100.0):
    """A distribution q = softmax(a), descended along the gradient in q, against a discriminator that does not answer."""
    a = torch.zeros(len(D), dtype=f64)
    merit = (LOSSES[loss].g(D[:, None].expand(-1, len(D)), D.expand(len(D), -1)) * p[:, None]).sum(0)  # φ(x)
    for _ in range(steps):
        q = torch.softmax(a, 0).requires_grad_()
        (gradient,) = torch.autograd.grad((q * merit).sum(), q)
        a -= rate * gradient
    return torch.softmax(a, 0), merit


# %% tags=["claim", "keep_output", "nbval-check-output"]
p12 = torch.softmax(torch.randn(12, dtype=f64), 0)
for loss in LOSSES:
    for _ in range(3):
        D = torch.randn(12, dtype=f64)
        q, merit = reply(D, loss, p12)
        others = torch.distributions.Dirichlet(torch.ones(12, dtype=f64)).sample((1000,))
        assert (others @ merit >= merit.min()).all()
        assert q.max() > 0.99 and q.argmax() == merit.argmin()
        assert q.argmax() == ((D - 1).abs().argmin() if loss == "lsgan" else D.argmax())
print("against a fixed discriminator the generator collapses to one point, for", len(LOSSES), "losses: yes")

# %% [markdown]
# ## Who moves first
#
# {prf:ref}`thm-jsd` speaks of $\min_q\max_DV$: the discriminator moves *second* and answers each $q$. Training lets the players alternate, and a generator that learns fast plays $\max_D\min_qV$ just as well as $\min_q\max_DV$.
#
# ````{prf:theorem} The order of the moves
# :label: thm-mc-order
#
# 1. $\min_q\sup_DV(D,q)=-\log4$, attained by $q=p$ alone.
# 2. $\sup_D\min_qV(D,q)=-\log4$ too, attained by $D=0$ alone, and to $D=0$ *every* $q$ is a best reply.
# 3. If the generator can make point masses only, $\min_x\sup_DV(D,\delta_x)=-\log4+2\min_x\mathrm{JSD}(p,\delta_x)$, which for $n\ge2$ is larger than
#    $\sup_D\min_xV(D,\delta_x)=-\log4$.
# ````
#
# ````{prf:proof}
# (1) is {prf:ref}`thm-jsd`. (2) By {prf:ref}`thm-mc-reply` the minimum over $q$ puts all mass where $D$ has its maximum $M$:
# $\min_qV=\mathbb E_p\log\sigma(D)+\log\sigma(-M)\le\log\sigma(M)+\log\sigma(-M)\le-\log4$. As all $p_i>0$, the first is an equality only if $D$ is the constant $M$, the second only if $M=0$. And $V(0,q)=-\log4$
# whatever $q$. (3) The left side is {prf:ref}`thm-jsd` for $q=\delta_x$, and $\mathrm{JSD}(p,\delta_x)>0$ as $p\ne\delta_x$. The right side is that of (2), whose minima are attained by point masses.
# ````
#
# So for a generator that can make every distribution the order does not change the *value*; it is often said that it does. What it changes is who is told to spread: in (1) the solution is $q=p$, in (2) the discriminator says nothing and the generator may
# be anything. Part (3) is the generator that ignores its latent: with the discriminator moving second it pays $2\,\mathrm{JSD}(p,\delta_x)$ for its collapse, moving first it pays nothing. Everything that
# lets the generator feel the discriminator's *answer* works against collapse.


# %%
def value(D, q, p):
    """V(D, q), exactly."""
    return (p * nn.functional.logsigmoid(D) + q * nn.functional.logsigmoid(-D)).sum(-1)


def jsd(p, q):
    """Jensen–Shannon divergence in nats, with 0 log 0 = 0."""
    m = (p + q) / 2
    return 0.5 * (torch.xlogy(p, p / m) + torch.xlogy(q, q / m)).sum(-1)


# %% tags=["claim", "keep_output", "nbval-check-output"]
replies = torch.distributions.Dirichlet(torch.ones(12, dtype=f64)).sample((500,))
best = value((p12 / replies).log(), replies, p12)
assert torch.allclose(best, -math.log(4) + 2 * jsd(p12, replies)) and (best > -math.log(4)).all()
points = torch.eye(12, dtype=f64)
D = torch.zeros(12, dtype=f64, requires_grad=True)
assert torch.allclose(value(D, replies, p12), torch.tensor(-math.log(4), dtype=f64))
for size in (0.1, 1.0, 5.0):
    others = size * torch.randn(500, 12, dtype=f64)
    assert (value(others[:, None], points, p12).min(1).values < -math.log(4)).all()
silent = -math.log(4) + 2 * jsd(p12, points)
assert torch.allclose(value((p12 / (points + 1e-14)).log().clamp(max=40), points, p12), silent, atol=1e-6)
assert silent.min() > -math.log(4) + 0.1
print("both orders have the value -log 4 over all q; over point masses they differ by 2 JSD: yes")

# %% [markdown]
# Now let them alternate on eight equally likely modes with the non-saturating loss: $D$ takes gradient steps, $q=\operatorname{softmax}(a)$ follows its gradient as above, and all means are exact. Both runs begin with a collapse onto one mode; nothing differs between them but the learning rates.


# %%
def alternate(lr_g, lr_d, steps=400, n=8):
    """q after each of the alternating steps of the game on n modes, (steps, n)."""
    rng = torch.Generator().manual_seed(0)
    p = torch.full((n,), 1 / n, dtype=f64)
    D, a = 0.1 * torch.randn(2, n, generator=rng, dtype=f64)
    a[0] += 5  # a collapsed generator to begin with
    path = []
    for _ in range(steps):
        q = torch.softmax(a, 0)
        D = D + lr_d * (p * torch.sigmoid(-D) - q * torch.sigmoid(D))  # the gradient of V
        a = a - lr_g * nn.functional.softplus(-D)
        path.append(torch.softmax(a, 0))
    return torch.stack(path)


hopping, settling = alternate(lr_g=100.0, lr_d=0.02), alternate(lr_g=0.2, lr_d=2.0)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "What the generator makes in each step, eight modes from top to bottom (dark: much). Left: it learns fast against a slow discriminator and hops from one mode to the next. Right: the discriminator is the fast one, and all modes are soon served alike.", "name": "fig-mc-hopping"}, "image": {"alt": "Two heat maps of mode against step. Left: one dark bar at a time, jumping between rows. Right: a short unrest, then an even grey over all eight rows."}}
figure, axes = plt.subplots(1, 2, figsize=(9, 2.4), layout="constrained", sharey=True)
for axis, path, title in zip(axes, (hopping, settling), ("fast generator", "fast discriminator")):
    picture = axis.imshow(path.T, aspect="auto", cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
    axis.set(title=title, xlabel="step")
axes[0].set(ylabel="mode")
figure.colorbar(picture, ax=axes, label="q")
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
served = hopping[hopping.max(1).values > 0.8].argmax(1)
assert len(served) > 0.7 * len(hopping) and len(served.unique()) == 8  # nearly all on one mode, each in its turn
assert (served.diff() != 0).sum() > 16  # and again
assert (settling[-1] - 1 / 8).abs().max() < 0.01
print("a fast generator hops from mode to mode; against a fast discriminator it serves all eight: yes")

# %% [markdown]
# ## What a collapsed sample is told
#
# On the line, let the data have two modes, $p=\frac12\mathcal N(-a,s^2)+\frac12\mathcal N(a,s^2)$, and let all samples sit on the right one, $q=\mathcal N(a,s^2)$. A fast discriminator is the best one. What does it say?
#
# ````{prf:proposition} The best discriminator is silent where the samples are
# :label: prop-mc-silent
#
# $D^*(x)=\mathrm{softplus}(-2ax/s^2)-\log2$, with the slope
#
# $$ D^{*\prime}(x)=-\frac{2a}{s^2}\,\sigma\!\left(-\frac{2ax}{s^2}\right),\qquad |D^{*\prime}(x)|\le\frac{2a}{s^2}e^{-2ax/s^2}, $$ (eq-mc-silent)
#
# which at the samples, $x\approx a$, is exponentially small in $(a/s)^2$. The best Wasserstein critic of the same pair has the slope $-1$ at every $x$.
# ````
#
# ````{prf:proof}
# $D^*=\log\frac pq$ ({prf:ref}`thm-optimal-discriminator`), and the ratio of the two normal densities is $e^{-2ax/s^2}$: $\frac pq=\frac12(1+e^{-2ax/s^2})$. Differentiate, and use $\sigma(-t)\le e^{-t}$. For the critic,
# $\mathbb E_pf-\mathbb E_qf=\int f'(x)\,(F_q(x)-F_p(x))\,dx$ with the distribution functions $F$, as in {prf:ref}`thm-was-line`, and with $\Phi$ the one of $\mathcal N(0,1)$, $F_p-F_q=\frac12\bigl[\Phi(\frac{x+a}s)-\Phi(\frac{x-a}s)\bigr]>0$ everywhere: of all slopes between $-1$ and $1$, $f'=-1$ is best.
# ````
#
# $D^*$ knows all about the missing mode: its logit there is huge. But a sample hears $D$ only through the slope at its own place, and there $D^*$ is flat. Both ways of training fail, then: with a slow discriminator the generator hops, with a perfect one it stays.
# The Wasserstein critic calls all samples to the left, with full strength.

# %%
def log_normal(x, mean, s):
    return -0.5 * ((x - mean) / s) ** 2 - math.log(s) - 0.5 * math.log(2 * math.pi)


def best_logit(x, a, s):
    """log p/q for the two modes against the right one."""
    both = torch.logaddexp(log_normal(x, -a, s), log_normal(x, a, s)) - math.log(2)
    return both - log_normal(x, a, s)


line = torch.linspace(-3, 3, 601, dtype=f64, requires_grad=True)
slopes = {s: torch.autograd.grad(best_logit(line, 1.0, s).sum(), line)[0] for s in (0.25, 0.5, 1.0)}
x = line.detach()

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Two modes at ±1, all samples on the right one. Left: densities for s = 0.25. Right: size of the best discriminator's slope for three widths s (solid, dashed, dotted) and of the Wasserstein critic's (grey). At the samples, x = 1, the slope of the best discriminator is the closer to nothing the narrower the modes are.", "name": "fig-mc-silent"}, "image": {"alt": "Left: two humps of the data and one of the samples on the right. Right, on a log scale: slopes that fall exponentially to the right of zero, the faster the narrower the modes, against a horizontal line at one."}}
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
left.plot(x, torch.logaddexp(log_normal(x, -1, 0.25), log_normal(x, 1, 0.25)).exp() / 2, color=REAL, label="data p")
left.plot(x, log_normal(x, 1, 0.25).exp(), color=FAKE, label="samples q")
for (s, slope), dash in zip(slopes.items(), ("-", "--", ":")):
    right.semilogy(x, slope.abs(), dash, color=DISCRIMINATOR, label=f"best D, s = {s:g}")
right.axhline(1, color="0.6", label="critic")
right.set(xlabel="x", ylabel="|slope|", ylim=(1e-16, 1e3), xlim=(-2, 2))
left.set(xlabel="x", ylabel="density")
for axis in (left, right):
    axis.grid(alpha=0.3)
    axis.legend(frameon=False, fontsize=9)
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
for s, slope in slopes.items():
    assert torch.allclose(best_logit(x, 1.0, s), nn.functional.softplus(-2 * x / s**2) - math.log(2), atol=1e-9)
    formula = 2 / s**2 * torch.sigmoid(-2 * x / s**2)
    assert torch.allclose(-slope, formula, atol=1e-9) and (formula <= 2 / s**2 * torch.exp(-2 * x / s**2) * (1 + 1e-9)).all()
normal = torch.distributions.Normal(torch.tensor(0.0, dtype=f64), 1.0).cdf
for s in (0.25, 0.5, 1.0):
    ahead = 0.5 * (normal((x + 1) / s) + normal((x - 1) / s)) - normal((x - 1) / s)  # F_p - F_q
    assert (ahead > 0).all()
    wide = torch.linspace(-9, 9, 20001, dtype=f64)
    gap = 0.5 * (normal((wide + 1) / s) - normal((wide - 1) / s))
    assert abs(torch.trapezoid(gap, wide).item() - 1.0) < 1e-6  # W1 = a, which the critic -x attains: 0 - (-a)
at_samples = [slope[(x - 1).abs().argmin()].abs().item() for slope in slopes.values()]
assert at_samples[0] < 1e-10 and at_samples[2] > 0.1
print("the best discriminator's slope at the samples vanishes with narrow modes, the best critic's is one everywhere: yes")

# %% [markdown]
# ## Judging samples in company: minibatch discrimination
#
# The first cure makes the loss non-linear in $q$: let $D$ see a sample together with the others of its batch. {cite:t}`salimans2016improved` project each sample's features
# $f(x_i)$ to $B$ vectors $M_{ib}$ and append to them, for each $b$, how close the batch is to it (itself included),
#
# $$ o_b(x_i)=\sum_{j}c_b(x_i,x_j),\qquad c_b(x_i,x_j)=e^{-\lVert M_{ib}-M_{jb}\rVert_1}. $$ (eq-mc-closeness)
#
# ````{prf:proposition} Company rewards variety
# :label: prop-mc-company
#
# 1. If a loss judges pairs, $\mathcal L_G(q)=\mathbb E_{x,x'\sim q}\,\varphi(x,x')$, it is quadratic in $q$. For $\varphi=c$ with $c(x,x')=1$ if $x=x'$ and $0$ otherwise, on $n$ points, it is $\sum_iq_i^2$: the uniform $q$ is its only minimiser, and the point masses are its maximisers.
# 2. With this $c$, the closeness $o$ of a sample in a batch of $N$ has the mean $1+(N-1)\sum_iq_i^2$: about $1+(N-1)/n$ for $n$ equal modes, and $N$ after a collapse.
# ````
#
# ````{prf:proof}
# (1) $\sum_iq_i^2=\frac1n+\sum_i(q_i-\frac1n)^2$, and $\sum_iq_i^2\le\sum_iq_i=1$ with equality if and only if all $q_i\in\{0,1\}$. (2) A sample is as close as can be to itself, and to each other one with probability $\sum_iq_i^2$.
# ````
#
# A discriminator that only compares $o$ with a threshold now sees a collapse at once, and its slope with respect to $o$ pushes the samples of a batch *apart*. With real data the kernels are smooth and learned; the effect is the same.

# %%
def closeness(features, T, B):
    """o_b(x_i) of Salimans et al., (N, A) to (N, B)."""
    M = (features @ T).reshape(len(features), B, -1)
    return torch.exp(-(M[:, None] - M[None]).abs().sum(-1)).sum(1)


# %% tags=["claim", "keep_output", "nbval-check-output"]
layer, features = MinibatchDiscrimination(6, kernels=4, dim=3), torch.randn(10, 6)
assert torch.allclose(layer(features)[:, 6:], closeness(features, layer.T.weight.T, 4))  # the library's layer
a = torch.randn(8, dtype=f64, requires_grad=True)
optimizer = torch.optim.Adam([a], 0.1)
for _ in range(400):
    optimizer.zero_grad()
    torch.softmax(a, 0).square().sum().backward()
    optimizer.step()
assert torch.allclose(torch.softmax(a, 0), torch.full((8,), 1 / 8, dtype=f64), atol=1e-6)
ring, rng = TARGETS["ring"].mixture(), torch.Generator().manual_seed(0)
far = 100 * torch.eye(2)  # kernels narrow against the distance of two modes, wide against none
batch = ring.means[torch.randint(8, (4000, 64), generator=rng)]
seen = torch.stack([closeness(points, far, 1).mean() for points in batch[:400]]).mean()
assert abs(seen - (1 + 63 / 8)) < 0.1 and closeness(batch[0, :1].expand(64, -1), far, 1).eq(64).all()
print("closeness is the library's layer; alone it makes the generator uniform; eight modes and one mode give it away: yes")

# %% [markdown]
# ## Feeling the answer: unrolling
#
# The second cure lets the generator move *first* and feel the reply. {cite:t}`metz2017unrolled` replace the discriminator's parameters $\psi$ in the generator's loss by those after $k$ steps of the discriminator:
#
# $$ \psi_0=\psi,\qquad\psi_{i+1}=\psi_i-\eta\,\nabla_\psi\mathcal L_D(\theta,\psi_i),\qquad f_k(\theta)=\mathcal L_G(\theta,\psi_k(\theta)), $$ (eq-mc-unroll)
#
# and the gradient of $f_k$ goes through all the steps. The discriminator itself learns as ever.
#
# ````{prf:theorem} One step of unrolling
# :label: thm-mc-unroll
#
# 1. With all derivatives of $\mathcal L_D$ taken at $(\theta,\psi)$ and those of $\mathcal L_G$ at $(\theta,\psi_1)$,
#
# $$ \nabla f_1=\nabla_\theta\mathcal L_G-\eta\,\bigl(\nabla_\theta\nabla_\psi\mathcal L_D\bigr)^{\top}\nabla_\psi\mathcal L_G. $$ (eq-mc-one)
#
# 2. In the minimax game, $\mathcal L_D=-\mathcal L_G=-V$: $f_1(\theta)=V(\theta,\psi)+\eta\,\lVert\nabla_\psi V(\theta,\psi)\rVert^2+O(\eta^2).$
# 3. For the game on $n$ modes with the undecided discriminator $D=0$: $f_0=-\log4$ for every $q$, but $f_1=-\log4+\frac\eta4\sum_i(p_i-q_i)^2+O(\eta^2)$; and for $0<\eta\le2$, $f_k$ grows with $k$ to $-\log4+2\,\mathrm{JSD}(p,q)$.
# ````
#
# ````{prf:proof}
# (1) is the chain rule: $\psi_1$ depends on $\theta$ with the derivative $-\eta\,\nabla_\theta\nabla_\psi\mathcal L_D$. (2) is Taylor's formula for $V(\theta,\psi+\eta\nabla_\psi V)$. (3) $\partial V/\partial D_i=p_i\sigma(-D_i)-q_i\sigma(D_i)$, which at $D=0$ is $\frac12(p_i-q_i)$; insert it in (2).
# $V$ is concave in $D$ with second derivatives $-(p_i+q_i)\sigma'(D_i)$ of size at most $\frac12$, as $p_i+q_i\le2$ and $\sigma'\le\frac14$: gradient ascent with $\eta\le1/\frac12$ never falls and tends to the supremum, which is {prf:ref}`thm-jsd`.
# ````
#
# Part (2) is what unrolling does: the generator also avoids places where the discriminator would learn *much* by one step. Where the plain generator is free to be anything (part 2 of {prf:ref}`thm-mc-order`), one foreseen step already singles out $q=p$. The price is $k$ more
# passes, forth and back, for each step of the generator.


# %%
def look_ahead(D, real, fake, eta):
    """The parameters of D after one plain step against these samples, still a function of the fakes."""
    weights = dict(D.named_parameters())
    call = lambda x: functional_call(D, weights, (x,))  # noqa: E731
    loss = LOSSES["minimax"].d(call(real), call(fake)).mean()
    gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
    return {name: w - eta * g for (name, w), g in zip(weights.items(), gradients)}


def foresee(D, q, p, k, eta):
    """f_k(q) on n modes: V after k steps of gradient ascent in D."""
    for _ in range(k):
        D = D + eta * (p * torch.sigmoid(-D) - q * torch.sigmoid(D))
    return value(D, q, p)


# %% tags=["claim", "keep_output", "nbval-check-output"]
D, real, z = Discriminator(width=6, depth=2).double(), torch.randn(16, 2, dtype=f64), torch.randn(16, 2, dtype=f64)
theta = torch.tensor([0.3, -0.2], dtype=f64, requires_grad=True)  # the generator z + θ
eta = 0.5
ahead = look_ahead(D, real, z + theta, eta)
loss = LOSSES["minimax"].g(None, functional_call(D, ahead, (z + theta,))).mean()
(through,) = torch.autograd.grad(loss, theta)
judge = foreseen(D, real, fake := z + theta, None, d_loss=LOSSES["minimax"].d, steps=1, lr=eta)
(library,) = torch.autograd.grad(LOSSES["minimax"].g(judge(fake, None), judge(fake, None)).mean(), theta)
assert torch.allclose(through, library)

names, shapes = list(ahead), [w.shape for w in ahead.values()]
flat = torch.cat([w.detach().flatten() for w in D.parameters()])


def call(vector, x):
    parts = vector.split([s.numel() for s in shapes])
    return functional_call(D, {n: part.view(s) for n, part, s in zip(names, parts, shapes)}, (x,))


def loss_d(theta, psi):
    return LOSSES["minimax"].d(call(psi, real), call(psi, z + theta)).mean()


def loss_g(theta, psi):
    return LOSSES["minimax"].g(None, call(psi, z + theta)).mean()


start = theta.detach()
mixed = torch.func.jacfwd(torch.func.grad(loss_d, 1), 0)(start, flat)  # ∂/∂θ of ∇ψ L_D
later = flat - eta * torch.func.grad(loss_d, 1)(start, flat)
formula = torch.func.grad(loss_g, 0)(start, later) - eta * mixed.T @ torch.func.grad(loss_g, 1)(start, later)
assert torch.allclose(formula, through) and not torch.allclose(through, torch.func.grad(loss_g, 0)(start, flat), rtol=1e-3)
p8, undecided = torch.full((8,), 1 / 8, dtype=f64), torch.zeros(8, dtype=f64)
for q in torch.distributions.Dirichlet(torch.ones(8, dtype=f64)).sample((5,)):
    small = foresee(undecided, q, p8, 1, 1e-3) + math.log(4)
    assert torch.isclose(small, 1e-3 / 4 * (p8 - q).square().sum(), rtol=1e-2)
    steps = torch.stack([foresee(undecided, q, p8, k, 2.0) for k in (0, 1, 5, 20, 100, 3000)])
    assert (steps.diff() > 0).all() and abs(steps[-1] + math.log(4) - 2 * jsd(p8, q)) < 0.01
print("one foreseen step is the chain rule, the library's gradient, and pulls q to p; many give 2 JSD - log 4: yes")

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Two equally likely modes; the discriminator prefers the second one a little. What the generator would pay for putting the share t on the first mode, if it foresees k steps of the discriminator. With k = 0 a line whose minimum is at the collapse t = 0; every foreseen step bends it towards the divergence, whose minimum is at one half.", "name": "fig-mc-unroll"}, "image": {"alt": "Curves over t from 0 to 1: a rising line for k equal 0, then curves that bend more and more, up to a bowl with its bottom at one half."}}
shares = torch.linspace(0.001, 0.999, 200, dtype=f64)
two, prefers = torch.full((2,), 0.5, dtype=f64), torch.tensor([-0.6, 0.6], dtype=f64)
figure, axis = plt.subplots(figsize=(6.4, 3), layout="constrained")
for k, shade in zip((0, 1, 5, 20), (0.75, 0.55, 0.3, 0.0)):
    losses = torch.stack([foresee(prefers, torch.stack([t, 1 - t]), two, k, 1.0) for t in shares])
    axis.plot(shares, losses, color=str(shade), label=f"k = {k}")
bound = torch.stack([2 * jsd(two, torch.stack([t, 1 - t])) for t in shares]) - math.log(4)
axis.plot(shares, bound, "--", color=GENERATOR, label="2 JSD − log 4")
axis.set(xlabel="share t of the first mode", ylabel="generator's loss")
axis.grid(alpha=0.3)
axis.legend(frameon=False, fontsize=9)
plt.show()

# %% [markdown]
# ## Judging packs: PacGAN
#
# The third cure changes nothing but the input. {cite:t}`lin2018pacgan` show the discriminator $m$ samples at once, all real or all generated, concatenated. It then plays the game of $p^m$ against $q^m$, the laws of $m$ independent samples, and these differ the more, the
# more collapsed $q$ is. The measure is the total variation $\mathrm{TV}(p,q)=\max_S\,(p(S)-q(S))$ ({prf:ref}`prop-div-tv` compares it with JSD). They say that $q$ has *$(\varepsilon,\delta)$-mode collapse*, $0\le\varepsilon<\delta\le1$, if some set
# $S$ has $p(S)\ge\delta$ but $q(S)\le\varepsilon$.
#
# ````{prf:theorem} What a pack reveals
# :label: thm-mc-pack
#
# Let $\tau=\mathrm{TV}(p,q)$.
#
# 1. $\mathrm{TV}(p^m,q^m)\le1-(1-\tau)^m$. If the samples are data with some modes left out, that is if $p(S)=\tau$ and $q(S)=0$ for some $S$, equality holds.
# 2. If $q$ has $(\varepsilon,\delta)$-mode collapse, $\mathrm{TV}(p^m,q^m)\ge(1-\varepsilon)^m-(1-\delta)^m$.
# 3. If $p$ and $q$ disagree evenly instead, on two points with $p=\frac12(1+\tau,1-\tau)$ and $q=\frac12(1-\tau,1+\tau)$, then $\mathrm{TV}(p^2,q^2)=\tau$, and
#    $\mathrm{TV}(p^m,q^m)\le\sqrt{\frac m2\,\tau\log\frac{1+\tau}{1-\tau}}$, which is about $\tau\sqrt m$.
# ````
#
# ````{prf:proof}
# (2) Take the event "at least one of the $m$ samples lies in $S$": its probability is at least $1-(1-\delta)^m$ under $p^m$ and at most $1-(1-\varepsilon)^m$ under $q^m$. (1) One can draw pairs $(x_i,y_i)$ with $x_i\sim p$, $y_i\sim q$ and $P(x_i\ne y_i)=\tau$: with probability $1-\tau$ draw both from the common part $\min(p,q)$ as one point, else
# separately from the two rests. Of $m$ independent pairs all agree with probability $(1-\tau)^m$, and for any event $A$, $p^m(A)-q^m(A)\le P(x\ne y)\le1-(1-\tau)^m$. Equality is (2) with $\varepsilon=0$, $\delta=\tau$. (3) For $m=2$ the four pairs have the differences $\frac14\bigl((1+\tau)^2-(1-\tau)^2\bigr)=\tau$, $0$, $0$, $-\tau$, half of whose absolute sum is $\tau$.
# The bound is Pinsker's inequality, $\mathrm{TV}\le\sqrt{\mathrm{KL}/2}$ (proven in an exercise of [the chapter on divergences](04_divergences)), since $\mathrm{KL}(p^m\Vert q^m)=m\,\mathrm{KL}(p\Vert q)$ and $\mathrm{KL}(p\Vert q)=\tau\log\frac{1+\tau}{1-\tau}$.
# ````
#
# A single sample cannot tell the collapsed pair from the even one: both have the same $\tau$. A pack of two can: for a small $\tau$ the collapsed generator is seen twice as well, the even one no better than before. *Lin et al.* work out the whole range of $\mathrm{TV}(p^m,q^m)$ for all pairs with given $\tau$,
# with and without collapse; the first part is its upper end, and for $m=2$ the even pair is its lower one.

# %%
def total_variation(p, q, m=1):
    """TV(p^m, q^m) by going through all n^m packs."""
    packs_p, packs_q = p, q
    for _ in range(m - 1):
        packs_p, packs_q = torch.outer(packs_p, p).flatten(), torch.outer(packs_q, q).flatten()
    return 0.5 * (packs_p - packs_q).abs().sum()


def pack(x, m):
    """PacGAN's whole code: (N, C) to (N / m, m C)."""
    return x.reshape(len(x) // m, m * x.shape[1])


tau = 0.3
collapsed = torch.tensor([1 - tau, tau], dtype=f64), torch.tensor([1.0, 0.0], dtype=f64)
even = torch.tensor([1 + tau, 1 - tau], dtype=f64) / 2, torch.tensor([1 - tau, 1 + tau], dtype=f64) / 2

# %% tags=["hide-input"] mystnb={"figure": {"caption": "How well packs of m samples can be told apart, for two pairs that are equally far apart as single samples. Marks: all packs enumerated. Lines: the theorem, an equality for the collapsed pair and an upper bound for the even one.", "name": "fig-mc-pack"}, "image": {"alt": "Total variation against the size of the pack from 1 to 12: the collapsed pair's dots rise steeply along their line towards one; the even pair's stay at the first value for two, then rise in steps below a square-root curve."}}
sizes = range(1, 13)
figure, axis = plt.subplots(figsize=(6.4, 3), layout="constrained")
for pair, color, marker, name in ((collapsed, GENERATOR, "o", "a mode is missing"), (even, REAL, "s", "even disagreement")):
    axis.plot(sizes, [total_variation(*pair, m) for m in sizes], marker, color=color, label=name)
m_line = torch.linspace(1, 12, 100)
axis.plot(m_line, 1 - (1 - tau) ** m_line, color=GENERATOR, linewidth=1)
axis.plot(m_line, (m_line / 2 * tau * math.log((1 + tau) / (1 - tau))).sqrt(), color=REAL, linewidth=1)
axis.set(xlabel="samples in a pack, m", ylabel="total variation", ylim=(0, 1.05))
axis.grid(alpha=0.3)
axis.legend(frameon=False, loc="lower right")
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
for m in range(1, 8):
    for share in (0.05, 0.3, 0.7):
        missing = torch.tensor([0.4 * (1 - share), 0.6 * (1 - share), share], dtype=f64)  # the last mode is left out
        kept = torch.tensor([0.4, 0.6, 0.0], dtype=f64)
        assert torch.isclose(total_variation(missing, kept, m), torch.tensor(1 - (1 - share) ** m, dtype=f64))
        balanced = torch.tensor([1 + share, 1 - share], dtype=f64) / 2
        spread = total_variation(balanced, balanced.flip(0), m)
        assert spread <= math.sqrt(m / 2 * share * math.log((1 + share) / (1 - share))) + 1e-12
        if m <= 2:
            assert torch.isclose(spread, torch.tensor(share, dtype=f64))
    for p, q in torch.distributions.Dirichlet(torch.ones(4, dtype=f64)).sample((20, 2)):
        distance = total_variation(p, q)
        assert total_variation(p, q, m) <= 1 - (1 - distance) ** m + 1e-12
        for subset in range(1, 15):
            inside = torch.tensor([subset >> i & 1 for i in range(4)], dtype=f64)
            delta, epsilon = (p * inside).sum(), (q * inside).sum()
            assert delta <= epsilon or total_variation(p, q, m) >= (1 - epsilon) ** m - (1 - delta) ** m - 1e-12
inner, x = Discriminator(dim=6, width=5), torch.randn(12, 2)
assert torch.equal(Packed(inner, 3)(x), inner(pack(x, 3)))  # the library's wrapper
print("packs: equality for missing modes, both bounds, and the pair that two samples cannot tell better than one: yes")

# %% [markdown]
# Note what the cure is not: a pack sees a mode of share $\delta$ missing only with probability $1-(1-\delta)^m$, about $m\delta$. For a thousand modes, two samples at once show the loss of *one* mode with probability 0.002 instead of 0.001: twice as well, and still hardly at all; what they show is a collapse of a large share.
#
# ## On the ring and the grid
#
# The plain game and the three cures with small networks: eight Gaussians on a ring and 25 on a grid (`ganbook.data.toy`), with the same data, networks, steps and learning rates, one seed, two hundred steps. To provoke a collapse, the generator is made the fast player, as in
# {numref}`fig-mc-hopping`: it learns ten times as fast as the discriminator. A sample is of *high quality* within three standard deviations of a mode, and a mode is *captured* if it is the nearest of such a sample ([evaluation](12_evaluation)); the reverse KL is
# $\mathrm{KL}(q\,\Vert\,p)$ between the frequencies of the modes among the samples of high quality, and rough where these are few.

# %%
GAMES = {
    "plain": METHODS["vanilla"],
    "minibatch discrimination": METHODS["minibatch"],
    "unrolled, 3 steps": replace(METHODS["unrolled"], unroll=3),
    "packs of two": METHODS["pacgan"],
}


def play(method, target, steps):
    """Train one method; what its 2500 samples cover, and the samples."""
    gan, data = build(method, target, seed=0), batches(target, seed=0)
    for step in range(steps):
        set_rates(gan, target, step=step, steps=steps)
        gan.optimizer_d.param_groups[0]["lr"] /= 10  # the generator is the fast player
        real, _ = next(data)
        gan.discriminator_step(real)
        gan.generator_step(real)
    points = sample(gan, 2500)
    return covered(target.mixture(), points), points


small = {"batch_size": 64, "width_g": 64, "width_d": 64, "unroll_lr": 0.1}  # long foresight against a fast generator
results = {
    (where, name): play(method, replace(TARGETS[where], **small), 200)
    for where in ("ring", "grid")
    for name, method in GAMES.items()
}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "2500 samples after a short training (orange) and the modes (blue circles), with the modes captured.", "name": "fig-mc-measured"}, "image": {"alt": "Two rows of four scatter plots, ring above and grid below, one column for each method."}}
figure, axes = plt.subplots(2, len(GAMES), figsize=(9.6, 5), layout="constrained", sharex="row", sharey="row")
for axis, ((where, name), (found, points)) in zip(axes.flat, results.items()):
    mixture = TARGETS[where].mixture()
    axis.plot(*points.T, ".", color=FAKE, markersize=1.5, alpha=0.5, rasterized=True)
    axis.plot(*mixture.means.T, "o", markersize=8, markerfacecolor="none", markeredgecolor=REAL)
    reach = 1.8 * mixture.means.abs().max().item()
    axis.set(xticks=[], yticks=[], xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axis.set_title(f"{name}: {found.captured} of {found.n_modes}", fontsize=9)
plt.show()

# %% tags=["hide-input"]
rows = [
    f"| {where} | {name} | {found.captured} of {found.n_modes} | {found.high_quality:.1%} | {'–' if math.isnan(found.reverse_kl) else format(found.reverse_kl, '.2f')} |"
    for (where, name), (found, _) in results.items()
]
display(Markdown("\n".join(["| data | method | modes captured | high quality | reverse KL |", "|---|---|---|---|---|", *rows])))

# %% tags=["claim", "keep_output", "nbval-check-output"]
for where in ("ring", "grid"):
    plain, *cured = (results[where, name][0].captured for name in GAMES)
    assert plain <= 0.4 * len(TARGETS[where].mixture().means) and min(cured) >= plain + 2
print("where the plain generator collapses, each of the three cures captures more modes, on ring and grid: yes")

# %% [markdown]
# The plain generator runs after the discriminator with all its samples in one heap, so that when the training ends it is caught near one mode or has left them all behind. The cures spread the samples. Few of them are of high quality, for the training is short and the discriminator slow:
# covering the modes and hitting them are two things, and the cures see to the first. [The experiment](../experiments/mode_collapse) trains for longer, with equal learning rates and several seeds, and compares more methods.

# %% [markdown]
# ```{admonition} What can go wrong
# :class: warning
# - **Trusting the eye.** A sheet of good pictures says nothing about the modes that are missing. Count modes where they are known, and measure recall or coverage where they are not ([evaluation](12_evaluation)).
# - **Quality alone.** The share of samples of high quality can be at its highest after a collapse onto one mode. Give it together with the modes and the divergence over them.
# - **A batch for a pack.** A packed discriminator reads $m$ *independent* samples. A batch sorted by class, or the same latent repeated, makes packs that no data set contains.
# - **Real and fake in one batch.** Minibatch discrimination must be shown the two apart. Together, each fake is also compared with the real samples, and the closeness says little.
# - **Unrolling with another optimiser.** The foreseen steps are plain descent with a rate of their own. At Adam's usual rate they hardly move the discriminator, and nothing is foreseen; the long ones that help here, where the generator is the fast player, overshoot where both are equally fast.
# - **A silent discriminator.** A collapsed generator against a perfect discriminator shows steady losses. That is no convergence.
# ```
#
# ## Exercises
#
# ```{exercise}
# :label: ex-mc-uniform
# The data are uniform on $K$ modes, the samples uniform on $k$ of them. Compute $\mathrm{KL}(q\Vert p)$, which mode tables print, and show that $\mathrm{JSD}(p,q)$ grows towards $\log2$ only when almost all modes are gone.
# ```
#
# ````{solution} ex-mc-uniform
# :class: dropdown
# $\mathrm{KL}(q\Vert p)=\log\frac Kk$. With $r=k/K$, on the served modes $m=\frac12(\frac1K+\frac1k)$, so $\mathrm{JSD}=\frac12\bigl[r\log\frac{2r}{1+r}+(1-r)\log2+\log\frac2{1+r}\bigr]$. At $r=\frac12$ this is about $0.31\log2$; only at $r\to0$ is it $\log2$.
# ````

# %% tags=["hide-cell"]
for K, k in ((8, 1), (8, 4), (25, 24), (1000, 10)):
    p, q, r = torch.full((K,), 1 / K, dtype=f64), torch.zeros(K, dtype=f64), k / K
    q[:k] = 1 / k
    assert math.isclose(torch.xlogy(q, q / p).sum().item(), math.log(K / k))
    formula = 0.5 * (r * math.log(2 * r / (1 + r)) + (1 - r) * math.log(2) + math.log(2 / (1 + r)))
    assert math.isclose(jsd(p, q).item(), formula)
    assert k != 4 or abs(formula / math.log(2) - 0.31) < 0.005

# %% [markdown]
# ```{exercise}
# :label: ex-mc-envelope
# Two modes far apart, $p=(\frac12,\frac12)$ and $q=(t,1-t)$. Show that against the best discriminator the derivative of the generator's loss $V$ with respect to $t$ is $\log\frac t{t+1/2}-\log\frac{1-t}{3/2-t}$, which is $-\infty$ at the collapse $t=0$. Why does that not contradict {prf:ref}`prop-mc-silent`?
# ```
#
# ````{solution} ex-mc-envelope
# :class: dropdown
# At the best $D$ the derivative of $V$ with respect to $D$ is zero, so only the explicit dependence on $t$ counts: $\log(1-\sigma(D_1))-\log(1-\sigma(D_2))$ with $1-\sigma(D_i)=q_i/(p_i+q_i)$. The *divergence* rewards moving mass without bound. But a network moves samples along $\nabla D$ at the places where they are, and between the modes there is no way that begins downhill.
# ````

# %% tags=["hide-cell"]
t = torch.tensor([0.01, 0.2, 0.5, 0.9], dtype=f64, requires_grad=True)
q = torch.stack([t, 1 - t], 1)
(slope,) = torch.autograd.grad(2 * jsd(torch.full((2,), 0.5, dtype=f64), q).sum(), t)
assert torch.allclose(slope, (t / (t + 0.5)).log() - ((1 - t) / (1.5 - t)).log())

# %% [markdown]
# ```{exercise}
# :label: ex-mc-birthday
# {cite:t}`arora2018gans` estimate how many different samples a generator has by the birthday paradox. Show that among $n$ samples uniform on $N$ points there are two equal ones with probability at least $\frac12$ once $n\ge\frac12+\sqrt{\frac14+2N\log2}$.
# ```
#
# ````{solution} ex-mc-birthday
# :class: dropdown
# The probability that all differ is $\prod_{i<n}(1-\frac iN)\le e^{-n(n-1)/(2N)}$, which is at most $\frac12$ if $n(n-1)\ge2N\log2$; solve the quadratic equation.
# ````

# %% tags=["hide-cell"]
for N in (50, 1000, 10**6):
    n = math.ceil(0.5 + math.sqrt(0.25 + 2 * N * math.log(2)))
    different = math.exp(sum(math.log1p(-i / N) for i in range(n)))
    assert different <= 0.5 < math.exp(sum(math.log1p(-i / N) for i in range(n - 2)))

# %% [markdown]
# ```{exercise}
# :label: ex-mc-pack-size
# A generator misses one of $K$ equally likely modes and serves the others evenly. How large must packs be for the total variation to reach $\frac12$? Evaluate it for the ring, the grid and a thousand modes.
# ```
#
# ````{solution} ex-mc-pack-size
# :class: dropdown
# By {prf:ref}`thm-mc-pack` it is $1-(1-\frac1K)^m$, so $m\ge\log2/\log\frac K{K-1}\approx K\log2$: 6, 17 and 693. Packs of two to four cannot show the loss of a single mode among many.
# ````

# %% tags=["hide-cell"]
needed = {K: math.ceil(math.log(2) / math.log(K / (K - 1))) for K in (8, 25, 1000)}
assert list(needed.values()) == [6, 17, 693]
assert all(1 - (1 - 1 / K) ** m >= 0.5 > 1 - (1 - 1 / K) ** (m - 1) for K, m in needed.items())

# %% [markdown]
# ```{exercise}
# :label: ex-mc-dirac
# In the Dirac-GAN of [the training dynamics](07_training_dynamics) with the Wasserstein loss, $\mathcal L_D=\psi\theta$ and $\mathcal L_G=-\psi\theta$. Write down $f_k$ and show that unrolling damps: simultaneous steps of size $h$ on $(\theta,\psi)$, with $\eta=h$, have two multipliers $\lambda$ (the eigenvalues of the matrix of one step) whose product is $1-2kh^2+h^2$. When does that beat the plain game?
# ```
#
# ````{solution} ex-mc-dirac
# :class: dropdown
# $\psi_k=\psi-k\eta\theta$, so $f_k=-\psi\theta+k\eta\theta^2$: a spring that pulls $\theta$ to the data. The step $\theta\leftarrow\theta+h(\psi-2k\eta\theta)$, $\psi\leftarrow\psi-h\theta$ has the matrix $\begin{pmatrix}1-2kh\eta&h\\-h&1\end{pmatrix}$ with determinant $1-2kh\eta+h^2$. For complex multipliers this is $|\lambda|^2$: below one as soon as $k\ge1$, while $k=0$ gives $1+h^2$.
# ````

# %% tags=["hide-cell"]
rest, h = torch.zeros(2, dtype=f64), 0.1
for k in (0, 1, 3):
    moduli = step_eigenvalues(dirac_gan("wasserstein"), rest, h, step=partial(unrolled, k=k)).abs()
    assert torch.allclose(moduli.square(), torch.full((2,), 1 - 2 * k * h**2 + h**2, dtype=f64))
    assert (moduli < 1).all() == (k >= 1)

# %% [markdown]
# ## Where this is used
#
# [The experiment on mode collapse](../experiments/mode_collapse) runs these cures, and three more, on ring, grid and stacked MNIST over several seeds, beside the published numbers. The parts are `ganbook.nn.packing`, `ganbook.nn.layers.MinibatchDiscrimination`, `ganbook.models.unrolled` and, to count,
# `ganbook.metrics.modes`. Gradient penalties and spectral norms, which act by keeping $D$'s slope alive between the modes, have [their](05_wasserstein) [chapters](06_lipschitz_and_spectral_norm).

# %% tags=["hide-input"]
display(Markdown(f"*This chapter ran in {time.perf_counter() - started:.0f} s.*"))
