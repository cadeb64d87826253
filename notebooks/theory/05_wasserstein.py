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
# # The Wasserstein distance
#
# ```{admonition} In this chapter
# :class: tip
# - distance as the cheapest way to move one heap of earth onto another, solved as a linear programme;
# - its dual, in which a *critic* with slope at most one measures the same number;
# - two parallel lines, on which KL and JSD are blind and the Wasserstein distance is not;
# - a network that learns the distance, checked against pairs whose distance is known exactly;
# - weight clipping, gradient penalty and spectral normalisation compared as means to bound the slope;
# - the entropic and the sliced distance, two cheaper relatives.
#
# *Before this:* [divergences](04_divergences); what a linear programme is. *Cost:* about half a minute.
# ```
#
# As before, $p$ is the distribution of the data ($p_{\mathrm{data}}$), $q$ that of the generator's samples ($p_g$), and
# $G_\theta(z)$ the generator. Where the discriminator estimates a Wasserstein distance, it is called a *critic* and its
# output is a plain number, no logit. $\|x\|$ is the Euclidean norm.

# %% tags=["hide-input"]
import math
import time
from itertools import pairwise, product

import matplotlib.pyplot as plt
import numpy as np
import ot
import torch
from IPython.display import Markdown, display
from scipy.optimize import linprog
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from ganbook.divergences import gaussian, gaussian_wasserstein2, js, kl, trapezoid_weights, wasserstein_1d
from ganbook.losses import LOSSES
from ganbook.nn.mlp import mlp
from ganbook.penalties import PENALTIES, clip_weights
from ganbook.plotting import DISCRIMINATOR, FAKE, GENERATOR, REAL

torch.manual_seed(0)
started = time.perf_counter()

# %% [markdown]
# ## Moving earth
#
# Heaps of earth of weight $p_i$ lie at points $x_i$; holes of size $q_j$ at points $y_j$; both sum to one. A *plan* says
# how much goes where: $\pi_{ij} \ge 0$ with $\sum_j \pi_{ij} = p_i$ and $\sum_i\pi_{ij} = q_j$. In the language of
# probability, $\pi$ is a joint distribution with marginals $p$ and $q$, a *coupling*. Moving a unit from $x$ to $y$ costs
# $\|x-y\|$. The cheapest plan's cost is the *Wasserstein-1* or *earth mover's* distance
# {cite:p}`kantorovich2006translocation,villani2003topics`:
#
# $$ W_1(p, q) = \min_{\pi\in\Pi(p,q)}\ \sum_{ij} \pi_{ij}\,\|x_i-y_j\|, $$ (eq-was-primal)
#
# where $\Pi(p,q)$ is the set of all couplings; for densities it is the infimum of $\mathbb E_{(x,y)\sim\pi}\|x-y\|$ over
# them. With the cost $\|x-y\|^k$ and a $k$-th root in front it is called $W_k$. For finitely many points {eq}`eq-was-primal`
# is a linear programme, and any solver will do:

# %% tags=["key"]
def transport_primal(p, q, cost):
    """Cheapest plan (n, m) and its cost: minimise Σ π C subject to both marginals."""
    n, m = cost.shape
    rows = np.kron(np.eye(n), np.ones(m))  # Σ_j π_ij = p_i
    columns = np.kron(np.ones(n), np.eye(m))  # Σ_i π_ij = q_j
    result = linprog(cost.ravel(), A_eq=np.vstack([rows, columns]), b_eq=np.concatenate([p, q]))
    return result.x.reshape(n, m), result.fun


def transport_dual(p, q, cost):
    """Largest Σ p φ + Σ q ψ subject to φ_i + ψ_j ≤ C_ij."""
    n, m = cost.shape
    A = np.hstack([np.kron(np.eye(n), np.ones((m, 1))), np.kron(np.ones((n, 1)), np.eye(m))])
    result = linprog(-np.concatenate([p, q]), A_ub=A, b_ub=cost.ravel(), bounds=(None, None))
    return result.x[:n], result.x[n:], -result.fun


def transport_lipschitz(p, q, x, y):
    """Largest Σ p f(x) - Σ q f(y) over functions with |f(a) - f(b)| ≤ ‖a - b‖ on all points."""
    points = np.vstack([x, y])
    i, j = np.triu_indices(len(points), 1)
    difference = np.zeros((len(i), len(points)))
    difference[np.arange(len(i)), i], difference[np.arange(len(i)), j] = 1, -1
    reach = np.linalg.norm(points[i] - points[j], axis=1)
    result = linprog(
        -np.concatenate([p, -q]),
        A_ub=np.vstack([difference, -difference]),
        b_ub=np.concatenate([reach, reach]),
        bounds=(None, None),
    )
    return result.x, -result.fun


rng = np.random.default_rng(1)


def random_problem(n=7, m=6, dim=2):
    p, q = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))
    x, y = rng.normal(size=(n, dim)), rng.normal(size=(m, dim)) + 1.2 * (np.arange(dim) == 0)
    return p, q, x, y, np.linalg.norm(x[:, None] - y[None], axis=-1)


p, q, x, y, cost = random_problem()
plan, w1 = transport_primal(p, q, cost)
potential, _ = transport_lipschitz(p, q, x, y)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: earth (blue discs) is moved into holes (orange rings) along the lines; a line's width is the mass on it. Right: the best function of the dual problem, $f$, at the same points. Along every line of the plan it falls by exactly the line's length.", "name": "fig-was-plan"}, "image": {"alt": "Left: seven blue discs and six orange rings in the plane joined by grey lines of various widths that do not cross. Right: scatter of the distance moved against the fall of f; pairs in the plan lie on the diagonal, all other pairs below it."}}
figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.6), layout="constrained")
for i, j in product(range(7), range(6)):
    if plan[i, j] > 1e-9:
        left.plot(*zip(x[i], y[j]), color="0.5", linewidth=1 + 14 * plan[i, j], solid_capstyle="round", alpha=0.7)
left.scatter(*x.T, s=1600 * p, color=REAL, zorder=3, label="earth, p")
left.scatter(*y.T, s=1600 * q, facecolor="none", edgecolor=FAKE, linewidth=2.5, zorder=3, label="holes, q")
left.set(xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
legend = left.legend(frameon=False, loc="upper left")
for handle in legend.legend_handles:
    handle.set_sizes([60])
left.margins(0.15, 0.2)
fall = potential[:7, None] - potential[None, 7:]
used = plan > 1e-9
right.plot([0, cost.max()], [0, cost.max()], color="0.6", linewidth=1)
right.scatter(cost[~used], fall[~used], color="0.55", s=18, label="not used")
right.scatter(cost[used], fall[used], color=DISCRIMINATOR, s=40, marker="D", label="used by the plan")
right.set(xlabel="distance ‖x − y‖", ylabel="f(x) − f(y)")
right.grid(alpha=0.3)
right.legend(frameon=False)
plt.show()

# %% [markdown]
# ````{prf:theorem} Duality of transport
# :label: thm-was-duality
#
# For finitely many points,
#
# $$ W_1(p,q) = \max_{\varphi,\psi}\Bigl\{\sum_i p_i\varphi_i + \sum_j q_j\psi_j \;:\; \varphi_i+\psi_j\le\|x_i-y_j\|\Bigr\}. $$ (eq-was-dual)
#
# A plan $\pi$ and potentials $\varphi,\psi$ are both optimal if and only if $\varphi_i+\psi_j=\|x_i-y_j\|$ wherever
# $\pi_{ij}>0$.
# ````
#
# ````{prf:proof}
# For a plan and allowed potentials,
#
# $$ \sum_{ij}\pi_{ij}\|x_i-y_j\| - \Bigl(\sum_i p_i\varphi_i+\sum_j q_j\psi_j\Bigr)
#    = \sum_{ij}\pi_{ij}\bigl(\|x_i-y_j\|-\varphi_i-\psi_j\bigr) \ge 0, $$
#
# because the marginals of $\pi$ are $p$ and $q$ and each bracket is non-negative. So no dual value exceeds a primal cost,
# and the two agree if and only if every summand is zero. That they *do* agree at the optimum is the strong duality of
# linear programming: both problems have feasible points (the plan $p_iq_j$; the potentials $0$), so both have optima of
# the same value.
# ````
#
# ````{prf:theorem} Kantorovich–Rubinstein
# :label: thm-was-kr
#
# $$ W_1(p,q) = \max_{\|f\|_L\le1}\ \mathbb E_{x\sim p}f(x)-\mathbb E_{y\sim q}f(y), $$ (eq-was-kr)
#
# where $\|f\|_L\le1$ means $|f(a)-f(b)|\le\|a-b\|$ for all $a,b$: the maximum is over the *1-Lipschitz* functions.
# ````
#
# ````{prf:proof}
# If $f$ is 1-Lipschitz, then $\varphi = f$ and $\psi = -f$ are allowed in {eq}`eq-was-dual`, so the right side is not
# larger. Conversely, take allowed $\varphi,\psi$ and put $f(a) = \min_j\bigl[\|a-y_j\|-\psi_j\bigr]$. As a
# minimum of functions with slope at most one, $f$ is 1-Lipschitz. The constraint says
# $\varphi_i\le\|x_i-y_j\|-\psi_j$ for every $j$, so $f(x_i)\ge\varphi_i$; and choosing $j$ itself in the minimum,
# $f(y_j)\le\|y_j-y_j\|-\psi_j=-\psi_j$. Hence $\mathbb E_pf-\mathbb E_qf\ge\sum_ip_i\varphi_i+\sum_jq_j\psi_j$: the right side
# is not smaller either. (For densities the minimum becomes an infimum; {cite:t}`villani2003topics`, theorem 1.14.)
# ````
#
# This second form is the one that can be *learned*: it needs averages over samples of $p$ and of $q$, and never a
# plan that pairs them.

# %% tags=["claim", "keep_output", "nbval-check-output"]
for trial in range(12):
    problem = random_problem(dim=1 + trial % 3)
    p_, q_, x_, y_, cost_ = problem
    plan_, primal = transport_primal(p_, q_, cost_)
    phi, psi, dual = transport_dual(p_, q_, cost_)
    f, lipschitz = transport_lipschitz(p_, q_, x_, y_)
    assert np.allclose([dual, lipschitz, ot.emd2(p_, q_, cost_)], primal)
    assert np.allclose((phi[:, None] + psi[None])[plan_ > 1e-9], cost_[plan_ > 1e-9])
    assert np.allclose((f[:7, None] - f[None, 7:])[plan_ > 1e-9], cost_[plan_ > 1e-9])
    assert (f[:7, None] - f[None, 7:] <= cost_ + 1e-9).all()
print("plan, potentials, 1-Lipschitz function and POT agree on 12 problems in 1 to 3 dimensions: yes")

# %% [markdown]
# ````{prf:corollary} $W_1$ is a distance
# :label: cor-was-metric
#
# $W_1(p,q)=W_1(q,p)\ge0$, $W_1(p,q)=0$ only for $p=q$, and $W_1(p,r)\le W_1(p,q)+W_1(q,r)$.
# ````
#
# ````{prf:proof}
# With $f$ also $-f$ is 1-Lipschitz: symmetry, and non-negativity with $f = 0$. If $W_1 = 0$, a plan of cost zero moves
# nothing, so $p = q$. For any $f$, $\mathbb E_pf-\mathbb E_rf=(\mathbb E_pf-\mathbb E_qf)+(\mathbb E_qf-\mathbb E_rf)$; take the maximum on the left.
# ````

# %% tags=["claim", "keep_output", "nbval-check-output"]
draw = np.random.default_rng(2)
for _ in range(6):
    points = [draw.normal(size=(6, 2)) for _ in range(3)]
    masses = [draw.dirichlet(np.ones(6)) for _ in range(3)]

    def between(i, j, points=points, masses=masses):
        distances = np.linalg.norm(points[i][:, None] - points[j][None], axis=-1)
        return transport_primal(masses[i], masses[j], distances)[1]

    assert abs(between(0, 1) - between(1, 0)) < 1e-9 and between(0, 1) > 1e-3 and abs(between(2, 2)) < 1e-9
    assert between(0, 2) <= between(0, 1) + between(1, 2) + 1e-9
print("symmetric, positive unless equal, and no detour is shorter: yes")

# %% [markdown]
# ## On a line
#
# In one dimension no programme is needed. Let $F_p(t)$ be the probability that $x\le t$ under $p$, and $F_p^{-1}$ its
# inverse, the quantile function.
#
# ````{prf:theorem} $W$ on a line
# :label: thm-was-line
#
# $$ W_1(p,q)=\int_{-\infty}^{\infty}|F_p(t)-F_q(t)|\,dt=\int_0^1|F_p^{-1}(\alpha)-F_q^{-1}(\alpha)|\,d\alpha, $$
#
# and for two samples of equal size, $W_k^k=\frac1n\sum_i|x_{(i)}-y_{(i)}|^k$ for $k\ge1$, with both sorted.
# ````
#
# ````{prf:proof}
# A 1-Lipschitz $f$ has a derivative almost everywhere, $|f'|\le1$, and integration by parts gives
# $\mathbb E_pf-\mathbb E_qf=-\int f'(t)\,(F_p(t)-F_q(t))\,dt\le\int|F_p-F_q|\,dt$ (the boundary terms vanish when both means are
# finite). Equality holds for $f'=-\mathrm{sign}(F_p-F_q)$, so {prf:ref}`thm-was-kr` gives the first form. The second is
# the same area between two curves, measured along the other axis. For samples: if $x_1\le x_2$ are sent to $y_1 > y_2$,
# (some optimal plan is a permutation: the cost is linear in the plan, and the corners of the set of plans are
# permutations, by Birkhoff's theorem) crossing the pairs back costs no more, since for $k \geq 1$ the convexity of $|\cdot|^k$ gives
# $|x_1-y_2|^k+|x_2-y_1|^k\le|x_1-y_1|^k+|x_2-y_2|^k$. Repeating this sorts the plan.
# ````

# %% tags=["claim", "keep_output", "nbval-check-output"]
for n, m, k in [(8, 8, 1), (8, 8, 2), (6, 9, 1), (6, 9, 2), (5, 7, 3)]:
    a, b = torch.randn(n, dtype=torch.float64), torch.randn(m, dtype=torch.float64) * 2 + 1
    cost_ = (a[:, None] - b[None]).abs().numpy() ** k
    _, cheapest = transport_primal(np.full(n, 1 / n), np.full(m, 1 / m), cost_)
    assert abs(wasserstein_1d(a, b, k) - cheapest ** (1 / k)) < 1e-9
grid = torch.linspace(-30, 30, 60_001, dtype=torch.float64)
weights = trapezoid_weights(grid)
areas = (torch.special.ndtr(grid - 1) - torch.special.ndtr(grid / 2)).abs()  # N(1,1) against N(0,4)
levels = (torch.arange(400_000, dtype=torch.float64) + 0.5) / 400_000
z = torch.special.ndtri(levels)
assert abs((weights * areas).sum() - wasserstein_1d(1 + z, 2 * z)) < 1e-4
one, two = torch.tensor([1.0, 2.0], dtype=torch.float64)
assert abs(wasserstein_1d(1 + z, 2 * z, 2) - gaussian_wasserstein2(one, one, 0 * one, two)) < 1e-4
print("sorting solves the linear programme, and the area between the CDFs is W1: yes")

# %% [markdown]
# ## Two parallel lines
#
# The example of {cite:t}`arjovsky2017wasserstein`. The data are uniform on the segment $\{0\}\times[0,1]$ of the plane,
# the generator's samples uniform on $\{\theta\}\times[0,1]$: one parameter, one line slides towards the other.
#
# ````{prf:proposition} Parallel lines
# :label: prop-was-lines
#
# For $\theta\ne0$: $\mathrm{KL}(p\|q)=\mathrm{KL}(q\|p)=\infty$, $\mathrm{JSD}=\log2$, $\mathrm{TV}=1$. For every
# $\theta$: $W_1=|\theta|$.
# ````
#
# ````{prf:proof}
# For $\theta\ne0$ no point is possible under both, which gives the first three (the bound of {prf:ref}`prop-div-js` is
# attained). Every plan moves every point by at least $|\theta|$, because the first coordinates differ by that; moving each
# point straight across costs exactly $|\theta|$.
# ````
#
# Only $W_1$ tells the generator in which direction to go. Below, the distances are computed on the segments
# themselves (in a histogram with cells as narrow as you please, JSD sees only whether the cells coincide), and JSD once
# more for segments blurred with noise of standard deviation $0.3$.

# %%
heights = np.linspace(0, 1, 50)
offsets = np.linspace(-2, 2, 41)
segment = np.stack([np.zeros(50), heights], 1)
uniform = np.full(50, 1 / 50)


def lines(offset):
    """JSD and W1 of the two segments, each as 50 points."""
    other = segment + np.array([offset, 0])
    cells = torch.zeros(2, 2 if abs(offset) > 1e-9 else 1, 50, dtype=torch.float64)
    cells[0, 0] = cells[1, -1] = 1 / 50  # one column of cells where the lines coincide, two otherwise
    return js(cells[0].flatten(), cells[1].flatten()).item(), ot.emd2(uniform, uniform, ot.dist(segment, other, "euclidean"))


def blurred(offset, noise=0.3):
    """The second coordinate has the same law on both, so only the first one, a Gaussian, counts."""
    return js(gaussian(grid, 0, noise), gaussian(grid, offset, noise), weights).item()


curves = np.array([(*lines(t), blurred(t)) for t in offsets])

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The generator's line at $\\theta$ and the data's line at 0 (left), and three distances between them. KL is infinite and JSD constant except at $\\theta = 0$; $W_1$ is $|\\theta|$. Noise on the samples (dashed) gives JSD a slope, but only within reach of the noise.", "name": "fig-was-lines"}, "image": {"alt": "Four panels: two vertical segments; KL, infinite except for a point at zero; Jensen-Shannon, constant at log 2 with a single point at zero, and a dashed smooth valley; W1, a V shape."}}
figure, axes = plt.subplots(1, 4, figsize=(10, 2.7), layout="constrained")
axes[0].plot([0, 0], [0, 1], color=REAL, linewidth=4, label="p")
axes[0].plot([1.2, 1.2], [0, 1], color=FAKE, linewidth=4, label="q")
axes[0].annotate("", (0.05, 0.5), (1.15, 0.5), arrowprops={"arrowstyle": "<->", "color": "0.3"})
axes[0].text(0.6, 0.56, "θ", ha="center", fontsize=12)
axes[0].set(xlim=(-0.6, 1.8), ylim=(-0.1, 1.5), xlabel="$x_1$", ylabel="$x_2$", title="samples")
axes[0].legend(frameon=False, ncols=2, loc="upper center")
axes[1].plot(0, 0, "o", color=REAL)
axes[1].text(0, 0.65, "∞ for every θ ≠ 0", ha="center")
axes[1].set(title="KL", ylim=(-0.1, 1), xlim=(-2.2, 2.2))
away = np.abs(offsets) > 1e-9
for side in (offsets < -1e-9, offsets > 1e-9):
    axes[2].plot(offsets[side], curves[side, 0], color=DISCRIMINATOR, linewidth=2)
axes[2].plot(0, 0, "o", color=DISCRIMINATOR)
axes[2].plot(offsets, curves[:, 2], "--", color="0.45", label="with noise")
axes[2].set(title="JSD", ylim=(-0.06, 1))
axes[2].legend(frameon=False, loc="upper center")
axes[3].plot(offsets, curves[:, 1], color=GENERATOR, linewidth=2)
axes[3].set(title="$W_1$")
for axis in axes[1:]:
    axis.set(xlabel="θ")
    axis.grid(alpha=0.3)
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
assert np.allclose(curves[:, 1], np.abs(offsets))
assert np.allclose(curves[away, 0], math.log(2)) and np.allclose(curves[~away, 0], 0)
far = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
(slope,) = torch.autograd.grad(js(gaussian(grid, 0, 0.3), gaussian(grid, far, 0.3), weights), far)
assert slope < 0.02
(slope,) = torch.autograd.grad(wasserstein_1d(0.3 * z, far + 0.3 * z), far)
assert abs(slope - 1) < 1e-9
print("lines: W1 = |θ| and JSD = log 2 for θ ≠ 0; with noise, at θ = 2 JSD is nearly flat and W1 has slope 1: yes")

# %% [markdown]
# That a small move of the generator is a small change of distance holds in general:
#
# ````{prf:theorem} Continuity in the generator's parameters
# :label: thm-was-continuity
#
# ({cite:t}`arjovsky2017wasserstein`, theorem 1.) If $q_\theta$ is the law of $G_\theta(z)$, then
# $|W_1(p,q_\theta)-W_1(p,q_{\theta'})|\le\mathbb E_z\|G_\theta(z)-G_{\theta'}(z)\|$.
# ````
#
# ````{prf:proof}
# By the triangle inequality the left side is at most $W_1(q_\theta,q_{\theta'})$. Sending $G_\theta(z)$ to
# $G_{\theta'}(z)$ for the same $z$ is one way to move the earth; the cheapest costs no more.
# ````

# %% tags=["claim", "keep_output", "nbval-check-output"]
with torch.no_grad():
    latents, data = torch.randn(200, 2), torch.randn(200, 2) + 2
    for size in (1e-3, 1e-2, 0.1):
        torch.manual_seed(4)
        generator = mlp([2, 16, 2])
        before = generator(latents)
        for weight in generator.parameters():
            weight += size * torch.randn_like(weight)
        after = generator(latents)
        w_before, w_after = (ot.emd2([], [], ot.dist(data.numpy(), g.numpy(), "euclidean")) for g in (before, after))
        assert abs(w_before - w_after) <= (before - after).norm(dim=1).mean().item() + 1e-6
print("moving a generator's weights changes W1 by no more than its samples move on average: yes")

# %% [markdown]
# ```{widget} lines
# :alt: Two horizontal bars, blue and orange, apart from each other, and two curves against the shift: a V for the Wasserstein distance and a dip with flat sides for the Jensen-Shannon divergence.
#
# The lines with a width: uniform laws on two intervals, $\theta$ apart. Make them narrow, and all that is left of the
# Jensen–Shannon divergence (green, dashed) is a slot at 0, while $W_1$ (in the colour of the text) keeps its slope.
# ```
#
# ## A critic that learns the distance
#
# {prf:ref}`thm-was-kr` turns into a game at once: the critic $D$ maximises $\mathbb E_pD-\mathbb E_qD$ (the library's loss
# `wasserstein` is its negative) over networks with slope at most one, and the generator moves its samples up the critic's
# slope. What the critic must look like at its best is known:
#
# ````{prf:proposition} The best critic's slope is one
# :label: prop-was-slope
#
# (After {cite:t}`gulrajani2017improved`, proposition 1.) Let $f$ be a maximiser in {eq}`eq-was-kr` and let the optimal plan
# move earth from $x$ to $y\ne x$. Then on the segment between them $f$ falls linearly with slope one, and where $f$ is
# differentiable inside it, $\nabla f=\frac{x-y}{\|x-y\|}$.
# ````
#
# ````{prf:proof}
# By {prf:ref}`thm-was-duality`, $f(x)-f(y)=\|x-y\|$. Let $a_t=x+t(y-x)$. Both $f(x)-f(a_t)\le t\|x-y\|$ and
# $f(a_t)-f(y)\le(1-t)\|x-y\|$ hold, and their sum is an equality, so each is. The derivative in the direction
# $\frac{x-y}{\|x-y\|}$ is therefore $1$; the gradient's length is at most $1$, and a vector of length at most $1$
# whose component along a unit vector is $1$ is that unit vector.
# ````
#
# How is a network kept 1-Lipschitz? Three answers:
#
# - **Weight clipping** {cite:p}`arjovsky2017wasserstein`: after each step, force every weight into $[-c,c]$. That bounds the
#   slope by *some* number, which nobody knows.
# - **Gradient penalty** {cite:p}`gulrajani2017improved`: add $\lambda\,\mathbb E_{\hat x}(\|\nabla D(\hat x)\|-1)^2$ at random points
#   $\hat x$ between real and fake samples, as {prf:ref}`prop-was-slope` suggests.
# - **Spectral normalisation** {cite:p}`miyato2018spectral`: divide every weight matrix by its largest singular value, so that
#   each layer, and with it the network, has slope at most one. [The next chapter](06_lipschitz_and_spectral_norm) is about it.
#
# To judge them we need distributions whose distance is known exactly. A *certificate* helps: if a map $T$ carries $q$ to
# $p$ and a 1-Lipschitz $f$ has $f(T(y))-f(y)=\|T(y)-y\|$ for all $y$, then plan and critic have the same value, and by
# duality it is $W_1=\mathbb E\|T(y)-y\|$. With $y\sim\mathcal N(0,I)$ in the plane and $e_1=(1,0)$:
#
# | pair | $T(y)$ | certificate $f$ | $W_1$ |
# |---|---|---|---|
# | shift | $y+v$, $v = (1.5, 1)$ | $\langle x,v\rangle/\lVert v\rVert$ | $\lVert v\rVert$ |
# | scale | $2y$ | $\lVert x\rVert$ | $\mathbb E\lVert y\rVert=\sqrt{\pi/2}$ |
# | split | $y+a\,\mathrm{sign}(y_1)\,e_1$, $a = 1.5$ | $\lvert x_1\rvert$ | $a$ |

# %%
V, A = torch.tensor([1.5, 1.0]), 1.5
PAIRS = {  # name: (map from fake to real, certificate, exact distance)
    "shift": (lambda y: y + V, lambda x: x @ V / V.norm(), V.norm().item()),
    "scale": (lambda y: 2 * y, lambda x: x.norm(dim=1), math.sqrt(math.pi / 2)),
    "split": (lambda y: y + A * torch.sign(y) * torch.tensor([1.0, 0.0]), lambda x: x[:, 0].abs(), A),
}

# %% tags=["claim", "keep_output", "nbval-check-output"]
for move, certificate, exact in PAIRS.values():
    y_ = torch.randn(200_000, 2)
    x_ = move(y_)
    assert torch.allclose(certificate(x_) - certificate(y_), (x_ - y_).norm(dim=1), atol=1e-4)
    assert abs((x_ - y_).norm(dim=1).mean() - exact) < 0.01
    inside = (y_ + torch.rand(len(y_), 1, generator=torch.Generator().manual_seed(0)) * (x_ - y_))[:1000].requires_grad_()  # on the way from y to T(y)
    (slope,) = torch.autograd.grad(certificate(inside).sum(), inside)
    assert torch.allclose(slope, nn.functional.normalize(x_ - y_)[:1000], atol=1e-4)  # one, and along the way
    u, v = torch.randn(2, 10_000, 2) * 3
    assert ((certificate(u) - certificate(v)).abs() <= (u - v).norm(dim=1) + 1e-4).all()
print("each certificate is 1-Lipschitz and rises along T by what T moves: the three distances are exact, yes")

# %% [markdown]
# Now the three critics on the three pairs: the same network (two hidden layers of 64), the same number of steps. Besides
# the value $\mathbb E_pD-\mathbb E_qD$ we record the largest slope found on a dense grid, because a value divided by a slope is what
# {eq}`eq-was-kr` promises to be a lower bound.

# %%
def gradient_norm(critic, x):
    """‖∇D(x)‖ per sample, shape (N,): norm over the whole input of one sample, graph kept so that it can be trained."""
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return gradient.flatten(1).norm(dim=1)


def gradient_penalty(critic, real, fake):
    """(‖∇D(x̂)‖ - 1)² at x̂ uniform on the segment between a real and a fake sample, shape (N,)."""
    share = torch.rand(len(real), 1)
    return (gradient_norm(critic, share * real + (1 - share) * fake) - 1).square()


# %% [markdown]
# Slope, penalty and clipping are the library's:

# %% tags=["claim", "keep_output", "nbval-check-output"]
with torch.random.fork_rng():
    torch.manual_seed(3)
    critic, real, fake = mlp([2, 16, 1], slope=0.2), torch.randn(50, 2) + 1, torch.randn(50, 2)
    torch.manual_seed(4)
    ours = gradient_penalty(critic, real, fake)
logits = lambda x, labels: critic(x).flatten()  # noqa: E731
assert torch.allclose(ours, PENALTIES["wgan_gp"](logits, real, fake, rng=torch.Generator().manual_seed(4)), atol=1e-5)
assert torch.allclose(gradient_norm(critic, real).square() / 2, PENALTIES["r1"](logits, real, fake), atol=1e-5)
clipped = [parameter.clamp(-0.05, 0.05) for parameter in critic.parameters()]
clip_weights(critic, 0.05)
assert all(torch.equal(a, b) for a, b in zip(clipped, critic.parameters()))
print("the gradient penalty, R1 and clipping of this chapter are the library's: yes")



# %%
def train_critic(kind, move, steps=300, batch=256, seed=0, clip=0.05, weight=10.0):
    torch.manual_seed(seed)
    critic = mlp([2, 64, 64, 1])
    if kind == "spectral norm":
        critic = nn.Sequential(*(spectral_norm(m) if isinstance(m, nn.Linear) else m for m in critic))
    optimizer = torch.optim.Adam(critic.parameters(), 5e-3, betas=(0.5, 0.9), fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        real, fake = move(torch.randn(batch, 2)), torch.randn(batch, 2)
        loss = LOSSES["wasserstein"].d(critic(real).flatten(), critic(fake).flatten()).mean()
        if kind == "gradient penalty":
            loss = loss + weight * gradient_penalty(critic, real, fake).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if kind == "clipping":
            with torch.no_grad():
                for parameter in critic.parameters():
                    parameter.clamp_(-clip, clip)
    return critic.eval()


def judge(critic, move, n=20_000):
    """Value E_p D - E_q D on fresh samples, paired to lower its variance, and the largest slope on a grid over both."""
    y = torch.randn(n, 2)
    with torch.no_grad():
        value = (critic(move(y)) - critic(y)).mean().item()
    return value, gradient_norm(critic, square).max().item()


line = torch.linspace(-4, 4, 81)
square = torch.cartesian_prod(line, line)
KINDS = ("clipping", "gradient penalty", "spectral norm")
critics = {(kind, pair): train_critic(kind, PAIRS[pair][0]) for kind in KINDS for pair in PAIRS}
judged = {key: judge(critic, PAIRS[key[1]][0]) for key, critic in critics.items()}

# %% tags=["hide-input"]
rows = "| critic | " + " | ".join(f"{pair}<br>$W_1$\u00a0=\u00a0{PAIRS[pair][2]:.3f}" for pair in PAIRS) + " |\n|---|" + "---|" * 3
for kind in KINDS:
    entries = [f"{v:.3f} / {s:.3f} = **{v / s:.3f}**" for v, s in (judged[kind, pair] for pair in PAIRS)]
    rows += f"\n| {kind} | " + " | ".join(entries) + " |"
display(Markdown("Value / largest slope = lower bound for the distance:\n\n" + rows))

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Level lines of three critics for the pair 'split', whose best critic is $|x_1|$ (far left), and the length of their gradients at the samples (histograms). Real samples (blue) lie in the two blobs, fakes (orange) between them. The clipped critic's scale is arbitrary; the gradient penalty holds the slope near one where the samples are; spectral normalisation never exceeds one and stays below it.", "name": "fig-was-critics"}, "image": {"alt": "Four contour plots: vertical bands for the exact critic and similar valleys for the three trained critics. Below them histograms of gradient lengths: clipping spread around values far from one, gradient penalty concentrated near one, spectral norm below one."}}
figure, axes = plt.subplots(2, 4, figsize=(10, 4.6), layout="constrained", height_ratios=(2, 1))
real_points, fake_points = PAIRS["split"][0](torch.randn(150, 2)), torch.randn(150, 2)
on_data = torch.cat([PAIRS["split"][0](torch.randn(2000, 2)), torch.randn(2000, 2)])
for column, kind in enumerate(("exact", *KINDS)):
    critic = PAIRS["split"][1] if kind == "exact" else critics[kind, "split"]
    with torch.no_grad():
        values = critic(square).reshape(81, 81).T
    top, bottom = axes[:, column]
    top.contour(line, line, values, levels=12, colors=DISCRIMINATOR, linewidths=0.9, linestyles="solid")
    top.scatter(*real_points.T, s=4, color=REAL)
    top.scatter(*fake_points.T, s=4, color=FAKE)
    top.set(title=kind, aspect="equal", xlabel="$x_1$", xlim=(-4, 4), ylim=(-4, 4))
    norms = torch.ones(2000) if kind == "exact" else gradient_norm(critic, on_data).detach()
    bottom.hist(norms, bins=40, range=(0, 1.6), color=DISCRIMINATOR)
    bottom.axvline(1, color="0.2", linewidth=0.8)
    bottom.set(xlabel="‖∇D‖ on samples", yticks=[])
    if norms.max() > 1.6 or kind == "clipping":
        bottom.text(0.97, 0.85, f"median {norms.median():.2g}", transform=bottom.transAxes, ha="right", va="top", fontsize=9)
axes[0, 0].set(ylabel="$x_2$")
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
for pair, (_, _, exact) in PAIRS.items():
    for kind in KINDS:
        value, slope = judged[kind, pair]
        assert value / slope < exact * 1.03, (kind, pair)  # a lower bound, up to the sampling error of two means
    value, slope = judged["gradient penalty", pair]
    assert 0.9 * exact < value < 1.15 * exact, (pair, value)
    value, slope = judged["spectral norm", pair]
    assert slope < 1.02 and 0.4 * exact < value < 1.02 * exact, (pair, value)
    assert abs(judged["clipping", pair][0] / exact - 1) > 0.5  # its scale is not that of W1
print("value/slope never exceeds W1; the penalty's value is within 15%; spectral norm stays below; clipping has no scale: yes")

# %% [markdown]
# Two things in the table deserve an explanation. The gradient penalty's value may lie *above* the distance: the
# constraint is soft.
#
# ````{prf:proposition} The price of a soft constraint
# :label: prop-was-soft
#
# Let $q$ be $p$ shifted by $v$, and let the critics be the linear functions $D(x)=\langle w,x\rangle$. The maximiser of
# $\mathbb E_pD-\mathbb E_qD-\lambda(\|w\|-1)^2$ has slope $1+\frac{W_1}{2\lambda}$ and value
# $W_1+\frac{W_1^2}{2\lambda}$.
# ````
#
# ````{prf:proof}
# $\mathbb E_pD-\mathbb E_qD=-\langle w,v\rangle$, for given length $s=\|w\|$ largest along $-v$, with value $s\|v\|=sW_1$. Then
# $sW_1-\lambda(s-1)^2$ is largest at $s=1+W_1/(2\lambda)$.
# ````
#
# With the usual $\lambda=10$ the error is $5\%$ of $W_1$ for each unit of distance: harmless for training, worth knowing when
# values are read as distances. And the clipped critic's weights run to the ends of the allowed interval, which makes
# very simple functions of them: their slope varies over the data, and so value divided by largest slope is far below $W_1$, even for
# the pair `shift`, whose best critic is linear.

# %% tags=["claim", "keep_output", "nbval-check-output"]
for weight, distance in product((1.0, 10.0), (0.5, 3.0)):
    w = torch.tensor([0.3, 0.1], dtype=torch.float64, requires_grad=True)
    shift = distance * torch.tensor([0.6, 0.8], dtype=torch.float64)
    for _ in range(2000):
        gain = w @ shift - weight * (w.norm() - 1) ** 2
        (ascent,) = torch.autograd.grad(gain, w)
        w.data += 0.02 * ascent
    assert abs(w.norm().item() - (1 + distance / (2 * weight))) < 1e-5
    assert abs((w @ shift).item() - (distance + distance**2 / (2 * weight))) < 1e-5
clipped = torch.cat([w.detach().flatten() for name, w in critics["clipping", "shift"].named_parameters() if "weight" in name])
at_the_ends = (clipped.abs() > 0.0499).float().mean()
assert at_the_ends > 0.5
print("the soft critic's slope is 1 + W/(2λ); more than half of the clipped weights sit at ±c: yes")

# %% [markdown]
# Finally the generator. It follows the critic's slope, and that is the gradient of the distance:
#
# ````{prf:theorem} Gradient of the distance
# :label: thm-was-gradient
#
# ({cite:t}`arjovsky2017wasserstein`, theorem 3.) If $f$ is a maximiser in {eq}`eq-was-kr` for $q_\theta$, and both sides are
# differentiable at $\theta$, then $\nabla_\theta W_1(p,q_\theta)=-\mathbb E_z\nabla_\theta f(G_\theta(z))$.
# ````
#
# ````{prf:proof}
# Let $V(f,\theta)=\mathbb E_pf-\mathbb E_zf(G_\theta(z))$ and keep $f$ at its best for $\theta_0$. Then
# $W_1(p,q_\theta)-V(f,\theta)\ge0$ for all $\theta$, with equality at $\theta_0$: a minimum of a differentiable function. So
# its gradient vanishes there, which is the statement.
# ````

# %% tags=["claim", "keep_output", "nbval-check-output"]
for name, (move, certificate, _) in PAIRS.items():
    y_ = torch.randn(400, 2, dtype=torch.float32)
    real = move(y_)
    offset = torch.zeros(2, requires_grad=True)  # θ: the generator is z ↦ z + θ
    distances = torch.cdist(real, y_ + offset)
    best_plan = torch.from_numpy(ot.emd([], [], distances.detach().double().numpy()))
    (by_plan,) = torch.autograd.grad((best_plan * distances).sum(), offset)  # the plan is fixed to first order
    by_critic = -torch.autograd.grad(certificate(y_ + offset).mean(), offset)[0]
    assert torch.allclose(by_plan.float(), by_critic, atol=0.02), name
print("the gradient through the optimal plan equals the one through the optimal critic on the three pairs: yes")

# %% [markdown]
# ## Cheaper relatives: Sinkhorn and slices
#
# The linear programme costs about $n^3\log n$ operations for $n$ points {cite:p}`peyre2019computational`. Two
# approximations are far cheaper.
#
# **Entropy.** With $C_{ij}=\|x_i-y_j\|$, {cite:t}`cuturi2013sinkhorn` subtracts $\varepsilon$ times the plan's entropy from the cost,
#
# $$ \min_{\pi\in\Pi(p,q)}\ \sum_{ij}\pi_{ij}C_{ij}+\varepsilon\sum_{ij}\pi_{ij}(\log\pi_{ij}-1). $$ (eq-was-entropic)
#
# ````{prf:theorem} Form of the entropic plan
# :label: thm-was-sinkhorn
#
# For positive $p,q$ and $\varepsilon>0$ the minimiser of {eq}`eq-was-entropic` is unique and of the form
# $\pi_{ij}=u_i\,e^{-C_{ij}/\varepsilon}\,v_j$. It is the only coupling of that form.
# ````
#
# ````{prf:proof}
# The objective is strictly convex in $\pi$, because $t\log t$ is, on a compact convex set: there is one minimiser. Its
# entries are positive, for the derivative of $t(\log t-1)$ is $\log t$, which tends to $-\infty$ for $t\to0$: moving a little
# mass into an empty entry would lower the objective. So the only active constraints are the marginals; with multipliers $\alpha_i,\beta_j$ stationarity reads
# $C_{ij}+\varepsilon\log\pi_{ij}-\alpha_i-\beta_j=0$, that is $\pi_{ij}=e^{\alpha_i/\varepsilon}e^{-C_{ij}/\varepsilon}e^{\beta_j/\varepsilon}$.
# Conversely a coupling of that form satisfies these conditions, which for a convex problem suffice.
# ````
#
# *Sinkhorn's algorithm* alternates: choose $u$ such that the rows of the plan sum to $p$, then $v$ such that the columns sum
# to $q$. In logarithms nothing under- or overflows:

# %%
def sinkhorn(p, q, cost, epsilon, iterations=2000):
    """Entropic plan: rows and columns are brought to their sums in turn, in logarithms."""
    log_u, log_v, log_kernel = torch.zeros_like(p), torch.zeros_like(q), -cost / epsilon
    for _ in range(iterations):
        log_u = p.log() - torch.logsumexp(log_kernel + log_v, 1)
        log_v = q.log() - torch.logsumexp(log_kernel + log_u[:, None], 0)
    return torch.exp(log_u[:, None] + log_kernel + log_v)


torch.manual_seed(3)
cloud_p, cloud_q = torch.randn(15, 2, dtype=torch.float64), torch.randn(15, 2, dtype=torch.float64) + torch.tensor([2.0, 0.0])
even = torch.full((15,), 1 / 15, dtype=torch.float64)
cloud_cost = torch.cdist(cloud_p, cloud_q)
exact_cost = ot.emd2(even.numpy(), even.numpy(), cloud_cost.numpy())
epsilons = [3.0, 1.0, 0.3, 0.1, 0.03, 0.01]
plans = {epsilon: sinkhorn(even, even, cloud_cost, epsilon) for epsilon in epsilons}
costs = [(plans[epsilon] * cloud_cost).sum().item() for epsilon in epsilons]

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Entropic plans between two clouds for falling ε, and their costs. A large ε spreads every point's mass over all targets; for a small one the plan becomes the optimal one, and its cost falls to $W_1$ (line).", "name": "fig-was-sinkhorn"}, "image": {"alt": "Three scatter plots of two clouds joined by lines: a dense haze for epsilon 1, fewer lines for 0.1, a matching for 0.01. Fourth panel: cost against epsilon on a logarithmic axis, falling to the horizontal line of the exact distance."}}
figure, axes = plt.subplots(1, 4, figsize=(10, 2.8), layout="constrained")
for axis, epsilon in zip(axes, (1.0, 0.1, 0.01)):
    for i, j in product(range(15), range(15)):
        mass = plans[epsilon][i, j].item() * 15
        if mass > 0.01:
            axis.plot(*zip(cloud_p[i].tolist(), cloud_q[j].tolist()), color="0.3", alpha=min(1, 0.1 + 0.9 * mass), linewidth=1)
    axis.scatter(*cloud_p.T, s=20, color=REAL, zorder=3)
    axis.scatter(*cloud_q.T, s=20, color=FAKE, zorder=3)
    axis.set(title=f"ε = {epsilon:g}", xticks=[], yticks=[])
axes[3].plot(epsilons, costs, "o-", color=GENERATOR)
axes[3].axhline(exact_cost, color="0.5")
axes[3].text(3, exact_cost, "$W_1$ ", va="bottom", ha="right", color="0.25")
axes[3].set(xscale="log", xlabel="ε", title="cost of the plan")
axes[3].grid(alpha=0.3)
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
assert all(later < earlier for earlier, later in pairwise(costs)) and all(c > exact_cost for c in costs)
assert costs[-1] < 1.01 * exact_cost
for epsilon in (1.0, 0.1):
    plan_ = plans[epsilon]
    assert torch.allclose(plan_.sum(1), even, atol=1e-8) and torch.allclose(plan_.sum(0), even, atol=1e-8)
    theirs = ot.sinkhorn(even.numpy(), even.numpy(), cloud_cost.numpy(), epsilon, method="sinkhorn_log", numItermax=5000)
    assert np.allclose(plan_.numpy(), theirs, atol=1e-7)
    logs = plan_.log() + cloud_cost / epsilon  # log u_i + log v_j: an additive table
    assert torch.allclose(logs - logs[:1] - logs[:, :1] + logs[:1, :1], torch.zeros_like(logs), atol=1e-6)
print("our Sinkhorn is POT's, its plan has the theorem's form, and its cost falls to W1 as ε falls: yes")

# %% [markdown]
# **Slices.** On a line sorting suffices, so project: with a unit vector $\omega$ drawn uniformly,
# the *sliced* distance {cite:p}`bonneel2015sliced` is $SW_1(p,q)=\mathbb E_\omega\,W_1(\langle\omega,x\rangle,\langle\omega,y\rangle)$.
#
# ````{prf:proposition} Slices are shorter
# :label: prop-was-sliced
#
# $SW_1\le W_1$; and if $q$ is $p$ shifted by $v\in\mathbb R^d$,
# $SW_1=c_d\,W_1$ with $c_d=\mathbb E|\omega_1|=\dfrac{\Gamma(d/2)}{\sqrt\pi\;\Gamma((d+1)/2)}\approx\sqrt{\dfrac{2}{\pi d}}$ for large $d$.
# ````
#
# ````{prf:proof}
# Projection does not lengthen, $|\langle\omega,x-y\rangle|\le\|x-y\|$, so a plan for the points is a plan for the projections
# that costs no more. A shift by $v$ is a shift by $\langle\omega,v\rangle$ of the projections, at distance
# $|\langle\omega,v\rangle|$; its mean is $\|v\|\,\mathbb E|\omega_1|$ because $\omega$ has no preferred direction. For
# $g\sim\mathcal N(0,I_d)$, $g=\|g\|\,\omega$ with independent factors, so
# $\mathbb E|\omega_1|=\mathbb E|g_1|/\mathbb E\|g\|$, and $\mathbb E|g_1|=\sqrt{2/\pi}$,
# $\mathbb E\|g\|=\sqrt2\,\Gamma(\frac{d+1}2)/\Gamma(\frac d2)$.
# ````

# %%
def sliced_wasserstein(x, y, slices=2000):
    """Mean over random directions of W1 between the projections; samples of one size."""
    directions = nn.functional.normalize(torch.randn(x.shape[1], slices, dtype=x.dtype), dim=0)
    return ((x @ directions).sort(0).values - (y @ directions).sort(0).values).abs().mean()


sizes = [32, 64, 128, 256, 512]


def self_distances(dim, repeats=24):
    """W1 and SW1 between two independent samples of one and the same N(0, I), for each size."""
    rows = []
    for n in sizes:
        pairs = [torch.randn(2, n, dim, dtype=torch.float64) for _ in range(repeats)]
        whole = np.mean([ot.emd2([], [], torch.cdist(a, b).numpy()) for a, b in pairs[:4]])  # the costly one
        rows.append((whole, np.mean([sliced_wasserstein(a, b, 50).item() for a, b in pairs])))
    return np.array(rows)


bias = {dim: self_distances(dim) for dim in (2, 20)}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Distance between two samples of the *same* distribution, which should be zero, against the sample size. In 20 dimensions $W_1$ hardly falls; the sliced distance falls as $n^{-1/2}$ in any dimension.", "name": "fig-was-bias"}, "image": {"alt": "Log-log plot with four falling lines: W1 in 20 dimensions is high and nearly flat, W1 in 2 dimensions falls moderately, both sliced lines fall with slope minus one half."}}
figure, axis = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
for dim, marker in ((2, "o"), (20, "s")):
    axis.loglog(sizes, bias[dim][:, 0], marker + "-", color=GENERATOR, label=f"$W_1$, {dim} dimensions")
    axis.loglog(sizes, bias[dim][:, 1], marker + "--", color=DISCRIMINATOR, label=f"sliced, {dim} dimensions")
axis.set_xticks(sizes, [str(n) for n in sizes])
axis.minorticks_off()
axis.set(xlabel="sample size n", ylabel="distance to itself")
axis.grid(alpha=0.3)
axis.legend(frameon=False, bbox_to_anchor=(1, 0.5), loc="center left")
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
for dim in (2, 3, 10):
    a = torch.randn(64, dim, dtype=torch.float64)
    v = torch.randn(dim, dtype=torch.float64)
    factor = math.gamma(dim / 2) / (math.sqrt(math.pi) * math.gamma((dim + 1) / 2))
    assert abs(sliced_wasserstein(a, a + v, 20_000) / v.norm() - factor) < 0.02 * factor
    b = torch.randn(64, dim, dtype=torch.float64) * 2
    assert sliced_wasserstein(a, b) < ot.emd2([], [], torch.cdist(a, b).numpy())
rate = {(dim, k): np.polyfit(np.log(sizes), np.log(bias[dim][:, k]), 1)[0] for dim in bias for k in (0, 1)}
assert all(abs(rate[dim, 1] + 0.5) < 0.12 for dim in bias)  # slices: n^(-1/2)
assert -0.15 < rate[20, 0] < 0 and rate[2, 0] < -0.3  # W1: near n^(-1/d) in high dimensions
print("SW1 ≤ W1, a shift shows c_d of itself, slices converge as n^(-1/2) and W1 in 20 dimensions hardly at all: yes")

# %% [markdown]
# The slow rate, $n^{-1/d}$ for $d\ge3$ {cite:p}`fournier2015rate`, is a warning: for images no affordable sample gives the true Wasserstein
# distance. A WGAN works nevertheless, because its critic is a *network* and can see only differences that such a network
# can express.
#
# ```{admonition} What can go wrong
# :class: warning
# - **The norm over the wrong axes.** The gradient of one sample is one vector over all channels and pixels. A norm over
#   the channel axis alone penalises something else, and trains.
# - **Batch normalisation in the critic.** A sample's gradient then depends on its batch mates, and "the slope at
#   $\hat x$" means nothing. Layer or no normalisation goes with a gradient penalty.
# - **Reading the critic's loss as a distance.** Only its slope gives it a unit. Under clipping there is none
#   ({numref}`fig-was-critics`), and under the penalty it is too large, by a share of about $W_1/(2\lambda)$.
# - **A critic that lags.** The theorem on the gradient assumes the *best* critic: hence several critic steps for one of
#   the generator.
# - **A distance between two samples taken for one between distributions.** It is biased upwards, by much in many
#   dimensions ({numref}`fig-was-bias`).
# - **Sinkhorn with a small ε** needs many iterations, and without logarithms $e^{-C/\varepsilon}$ underflows.
# ```
#
# ## Exercises
#
# ```{exercise}
# :label: ex-was-dice
# Compute $W_1$ between a fair die and one that always shows 6, by hand, with both formulas of {prf:ref}`thm-was-line`.
# ```
#
# ````{solution} ex-was-dice
# :class: dropdown
# Every face must travel to 6: $\frac16(5+4+3+2+1+0)=2.5$. Or the area between the distribution functions: between $k$ and
# $k+1$ they are $k/6$ and $0$ for $k=1,\dots,5$, and $\frac{1+2+3+4+5}{6}=2.5$.
# ````

# %% tags=["hide-cell"]
assert abs(wasserstein_1d(torch.arange(1.0, 7.0), torch.tensor([6.0])) - 2.5) < 1e-12

# %% [markdown]
# ```{exercise}
# :label: ex-was-shift
# Show that shifting any distribution by $v$ gives $W_k=\|v\|$ for every $k\ge1$ (finite moments assumed). Why does that not
# hold for JSD?
# ```
#
# ````{solution} ex-was-shift
# :class: dropdown
# Moving every point by $v$ is a plan of cost $\|v\|^k$. It is optimal: for any coupling, Jensen gives
# $\mathbb E\|x-y\|^k\ge\|\mathbb E[x-y]\|^k=\|v\|^k$. JSD is bounded by $\log 2$ and knows no lengths.
# ````

# %% tags=["hide-cell"]
a = torch.randn(60, 3, dtype=torch.float64)
v = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
for k in (1, 2, 3):
    assert abs(ot.emd2([], [], torch.cdist(a, a + v).numpy() ** k) ** (1 / k) - v.norm().item()) < 1e-9

# %% [markdown]
# ```{exercise}
# :label: ex-was-order
# Show $W_1\le W_2$. Give two distributions for which they are equal and two for which $W_2$ is ten times $W_1$.
# ```
#
# ````{solution} ex-was-order
# :class: dropdown
# For every plan $\mathbb E\|x-y\|\le\sqrt{\mathbb E\|x-y\|^2}$ (Jensen); minimise both. They are equal if everything moves equally far,
# as in a shift. If a share of $1\%$ moves by one unit and the rest stays, $W_1=0.01$ and $W_2=\sqrt{0.01}=0.1$.
# ````

# %% tags=["hide-cell"]
still, moved = torch.zeros(100), torch.cat([torch.zeros(99), torch.ones(1)])
assert abs(wasserstein_1d(still, moved, 2) / wasserstein_1d(still, moved, 1) - 10) < 1e-9

# %% [markdown]
# ```{exercise}
# :label: ex-was-clip
# Train the clipped critic on the pair "shift" with $c=0.02$ and $c=0.1$ and compare value, largest slope and their quotient.
# How does the slope grow with $c$, and why?
# ```
#
# ````{solution} ex-was-clip
# :class: dropdown
# ```python
# for c in (0.02, 0.05, 0.1):
#     print(c, judge(train_critic("clipping", PAIRS["shift"][0], clip=c), PAIRS["shift"][0]))
# ```
# The network is a product of three weight matrices, so its slope grows about as $c^3$: five times $c$ is a hundred times the
# slope. The quotient changes little: most of what changes is the unit. But it stays at half of $W_1$, so the shape is poor too: with all weights
# at $\pm c$ the critic rises along a diagonal rather than along the shift, and not everywhere alike.
# A learning rate that suits one $c$ is wrong for another.
# ````

# %% tags=["hide-cell"]
small, large = (judge(train_critic("clipping", PAIRS["shift"][0], steps=150, clip=c), PAIRS["shift"][0]) for c in (0.02, 0.1))
assert 50 < large[1] / small[1] < 250
assert all(value / slope < 0.6 * PAIRS["shift"][2] for value, slope in (small, large))
assert abs(large[0] / large[1] / (small[0] / small[1]) - 1) < 0.15

# %% [markdown]
# ```{exercise}
# :label: ex-was-debias
# Let $E_\varepsilon(p,q)=\sum\pi_{ij}C_{ij}+\varepsilon\,\mathrm{KL}(\pi\,\|\,p\otimes q)$ at the entropic plan, where
# $p\otimes q$ is the plan $p_iq_j$. Show that its
# plan is that of {eq}`eq-was-entropic`. Measure $E_\varepsilon$ of a cloud against *itself*, explain it, and see whether
# $S_\varepsilon(p,q)=E_\varepsilon(p,q)-\frac12E_\varepsilon(p,p)-\frac12E_\varepsilon(q,q)$ {cite:p}`feydy2019interpolating` mends it.
# ```
#
# ````{solution} ex-was-debias
# :class: dropdown
# $\mathrm{KL}(\pi\|p\otimes q)=\sum\pi\log\pi-\sum p\log p-\sum q\log q$ for every coupling, so the objectives differ by a
# constant. Entropy spreads each point's mass over its neighbours, and that travel costs. A generator that minimises
# $E_\varepsilon$ is therefore drawn to a cloud that is too narrow. In $S_\varepsilon$ the spread is subtracted, and
# $S_\varepsilon(p,p)=0$ by construction; the cell below shrinks and stretches a cloud and looks for the best scale.
# ````

# %% tags=["hide-cell"]
def entropic(a, b, epsilon=2.0):
    flat_a, flat_b = (torch.full((len(c),), 1 / len(c), dtype=torch.float64) for c in (a, b))
    plan = sinkhorn(flat_a, flat_b, torch.cdist(a, b), epsilon, 300)
    return ((plan * torch.cdist(a, b)).sum() + epsilon * kl(plan.flatten(), torch.outer(flat_a, flat_b).flatten())).item()


assert entropic(cloud_p, cloud_p) > 0.3
candidates = {s: s * cloud_p for s in (0.5, 0.7, 0.85, 1.0, 1.2)}
plain = {s: entropic(cloud_p, c) for s, c in candidates.items()}
debiased = {s: plain[s] - (entropic(cloud_p, cloud_p) + entropic(c, c)) / 2 for s, c in candidates.items()}
assert min(plain, key=plain.get) < 1.0 and min(debiased, key=debiased.get) == 1.0

# %% [markdown]
# ```{exercise}
# :label: ex-was-groupsort
# The spectrally normalised critic stays below $W_1$ although each layer may have slope one. Where does the slope get lost?
# Replace ReLU by an activation that loses none: *GroupSort* {cite:p}`anil2019sorting` sorts its inputs in pairs. Does the
# estimate on the pair "split" rise?
# ```
#
# ````{solution} ex-was-groupsort
# :class: dropdown
# ReLU sets half of the coordinates to zero, and what was there is lost to the gradient; to keep the slope at one the next
# layer would have to make up for it, which normalisation forbids. Sorting only permutes, so the gradient keeps its length.
# ```python
# class PairSort(nn.Module):
#     def forward(self, h):
#         return h.unflatten(-1, (-1, 2)).sort(-1).values.flatten(-2)
# ```
# put in the place of `nn.LeakyReLU` raises the estimate; the cell below compares the two.
# ````

# %% tags=["hide-cell"]
class PairSort(nn.Module):
    def forward(self, h):
        return h.unflatten(-1, (-1, 2)).sort(-1).values.flatten(-2)


torch.manual_seed(0)
critic = nn.Sequential(*(spectral_norm(m) if isinstance(m, nn.Linear) else PairSort() for m in mlp([2, 64, 64, 1])))
optimizer = torch.optim.Adam(critic.parameters(), 5e-3, betas=(0.5, 0.9), fused=True)
for _ in range(300):
    real, fake = PAIRS["split"][0](torch.randn(256, 2)), torch.randn(256, 2)
    loss = LOSSES["wasserstein"].d(critic(real).flatten(), critic(fake).flatten()).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
value, slope = judge(critic.eval(), PAIRS["split"][0])
assert value > judged["spectral norm", "split"][0] and slope < 1.02

# %% [markdown]
# ## Where this is used
#
# The loss is `LOSSES["wasserstein"]` of `ganbook.losses`; distances on a line are `ganbook.divergences.wasserstein_1d`,
# with which [the minimax game](01_minimax_game) measures how far its generator has come. Clipping and gradient penalty train
# digits in [the WGAN experiment](../experiments/wgan). Spectral normalisation has
# [a chapter of its own](06_lipschitz_and_spectral_norm).

# %% tags=["hide-input"]
display(Markdown(f"*This chapter ran in {time.perf_counter() - started:.0f} s.*"))
