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
# # Lipschitz constants and spectral normalisation
#
# ```{admonition} In this chapter
# :class: tip
# - how steep a layer and a network can be, and how far the usual bound lies from the truth;
# - power iteration, which finds the steepest direction, with its rate proven and measured;
# - the norm of a convolution, which is not that of its reshaped kernel;
# - what normalising the weights does to the gradients of the discriminator and of its weights.
#
# *Before this:* singular values, the discrete Fourier transform, [the Wasserstein distance](05_wasserstein).
# *Cost:* about half a minute.
# ```
#
# As before, $D$ is the discriminator with logit $D(x)$, $p$ the data's distribution and $q$ the generator's. $W$ is a weight
# matrix with singular values $\sigma_1\ge\sigma_2\ge\dots\ge0$; $\|x\|$ is the Euclidean norm of a vector and
# $\|W\|=\sigma_1$ the operator norm of a matrix. (The logistic function $\sigma(t)$ has no index.)

# %% tags=["hide-input"]
import math
import time
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Markdown, display
from torch import nn
from torch.nn.functional import conv2d, conv_transpose2d, pad
from torch.nn.utils.parametrizations import spectral_norm

from ganbook.losses import LOSSES
from ganbook.nn.mlp import mlp
from ganbook.plotting import DISCRIMINATOR, FAKE, REAL

torch.manual_seed(0)
started = time.perf_counter()

# %% [markdown]
# ## How steep is a network?
#
# A function $f:\mathbb R^n\to\mathbb R^m$ has the *Lipschitz constant* $L$ if $\|f(x)-f(y)\|\le L\|x-y\|$ for all $x,y$; the
# smallest such number is written $\|f\|_L$. The *Jacobian* $J_f(x)$ is the $m\times n$ matrix of partial derivatives at $x$.
#
# ````{prf:theorem} The Lipschitz constant is the largest slope
# :label: thm-lip-slope
#
# Let $f$ be continuous, and continuously differentiable except on finitely many pieces of hyperplanes. (A network with smooth activations is so everywhere; one with ReLU-like
# activations is affine on finitely many pieces, whose borders lie on hyperplanes.) Then $\|f\|_L=\sup_x\|J_f(x)\|$, the supremum of the operator norm of the Jacobian where it exists. In particular
# $\|x\mapsto Wx+b\|_L=\sigma_1(W)$, and for a discriminator $\|D\|_L=\sup_x\|\nabla D(x)\|$.
# ````
#
# ````{prf:proof}
# *At most.* On a segment from $y$ to $x$ that lies in none of the hyperplanes, $f$ is piecewise differentiable with finitely many
# breaks, so $f(x)-f(y)=\int_0^1J_f(y+t(x-y))\,(x-y)\,dt$, whose length is at most $\sup\|J_f\|\,\|x-y\|$; other segments
# are limits of such ones, and $f$ is continuous. *At least.* At a point with Jacobian $J$ take the unit vector $v$ with
# $\|Jv\|=\|J\|$; then $\|f(x+hv)-f(x)\|/h\to\|J\|$ for $h\to0$. For a linear map $J=W$, and for a scalar function $J$ is the
# gradient as a row, whose norm is its length.
# ````
#
# ````{prf:proposition} Composition
# :label: prop-lip-chain
#
# $\|f\circ g\|_L\le\|f\|_L\,\|g\|_L$. So a network of weight matrices $W_1,\dots,W_K$ with activations of slope at most one
# has $\|D\|_L\le\prod_k\sigma_1(W_k)$.
# ````
#
# ````{prf:proof}
# $\|f(g(x))-f(g(y))\|\le\|f\|_L\|g(x)-g(y)\|\le\|f\|_L\|g\|_L\|x-y\|$. An activation is applied to each coordinate, so
# $\|\phi(a)-\phi(b)\|^2=\sum_i|\phi(a_i)-\phi(b_i)|^2\le\|a-b\|^2$.
# ````
#
# | activation | ReLU | LeakyReLU (slope ≤ 1) | tanh | sigmoid | softplus |
# |---|---|---|---|---|---|
# | largest slope | 1 | 1 | 1 | ¼ | 1 |
#
# The product is a bound, not the truth: the direction that one layer stretches most need not be the one that the next layer
# stretches most, and an activation may have closed the way between them. How large is the gap? On random networks of growing
# depth, with two inputs so that a fine grid finds the steepest place:

# %%
def slopes(network, x):
    """‖∇D(x)‖ per sample, shape (N,)."""
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(network(x).sum(), x)
    return gradient.flatten(1).norm(dim=1)


def product_bound(network):
    return math.prod(torch.linalg.matrix_norm(m.weight, 2).item() for m in network if isinstance(m, nn.Linear))


line = torch.linspace(-3, 3, 121)
square = torch.cartesian_prod(line, line)
depths = [1, 2, 3, 4, 6, 8]
steepest, bounds = (torch.zeros(len(depths), 5) for _ in range(2))
for i, depth in enumerate(depths):
    for seed in range(5):
        torch.manual_seed(seed)
        network = mlp([2, *[64] * depth, 1], slope=0.2)
        for layer in network:
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight, a=0.2)
                nn.init.normal_(layer.bias, std=0.5)
        steepest[i, seed], bounds[i, seed] = slopes(network, square).max(), product_bound(network)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The steepest slope found on a grid and the product of the layers' norms, for random networks of growing depth. The bound is never violated and becomes useless exponentially fast.", "name": "fig-lip-gap"}, "image": {"alt": "Semi-logarithmic plot against the number of hidden layers: the product bound rises exponentially, the measured largest slope stays nearly constant."}}
figure, axis = plt.subplots(figsize=(6.4, 3), layout="constrained")
for values, color, marker, label in (
    (bounds, FAKE, "s", "product of the norms"),
    (steepest, DISCRIMINATOR, "o", "largest slope found"),
):
    axis.semilogy(depths, values.mean(1), marker + "-", color=color, label=label)
    axis.fill_between(depths, values.min(1).values, values.max(1).values, color=color, alpha=0.2)
axis.set(xlabel="hidden layers", ylabel="slope")
axis.grid(alpha=0.3)
axis.legend(frameon=False)
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
assert (steepest <= bounds).all()
ratios = (bounds / steepest).mean(1)
assert all(later > earlier for earlier, later in pairwise(ratios)) and ratios[-1] > 30 * ratios[0]
x, y = 3 * torch.randn(2, 5000, 2)
with torch.no_grad():
    difference = (network(x) - network(y)).flatten().abs()
assert (difference <= product_bound(network) * (x - y).norm(dim=1)).all()
place = square[slopes(network, square).argmax()]
with torch.no_grad():  # the largest slope is approached by quotients of values, and by none exceeded
    ahead = place + 1e-3 * nn.functional.normalize(torch.randn(2000, 2), dim=1)
    quotients = (network(ahead) - network(place)).flatten().abs() / 1e-3
    x, y = 6 * torch.rand(2, 5000, 2) - 3
    longer = (network(x) - network(y)).flatten().abs() / (x - y).norm(dim=1)
assert 0.9 < quotients.max() / steepest[-1, -1] < 1.1 and longer.max() < 1.1 * steepest[-1, -1]
W = torch.randn(7, 5, dtype=torch.float64)
directions = nn.functional.normalize(torch.randn(100_000, 5, dtype=torch.float64), dim=1)
stretched = (directions @ W.T).norm(dim=1).max()
assert 0.97 * torch.linalg.matrix_norm(W, 2) < stretched <= torch.linalg.matrix_norm(W, 2)
print("no slope exceeds the product of the norms, and the gap grows with every layer: yes")

# %% [markdown]
# Finding $\|D\|_L$ exactly is NP-hard in general {cite:p}`virmaux2018lipschitz`. *Spectral normalisation*
# {cite:p}`miyato2018spectral` is content with the bound: it replaces every $W$ by
#
# $$ \bar W=\frac{W}{\sigma_1(W)}, $$ (eq-lip-sn)
#
# so that each layer, and by {prf:ref}`prop-lip-chain` the network, has slope at most one. For that it needs $\sigma_1$ at
# every step of training, and cheaply.
#
# ## Power iteration
#
# Start from a random unit vector $v_0$ and repeat
#
# $$ u_{k+1}=\frac{Wv_k}{\|Wv_k\|},\qquad v_{k+1}=\frac{W^{\mathsf T}u_{k+1}}{\|W^{\mathsf T}u_{k+1}\|},\qquad
#    \hat\sigma_k=u_{k+1}^{\mathsf T}Wv_k=\|Wv_k\|. $$ (eq-lip-power)
#
# ````{prf:theorem} Rate of power iteration
# :label: thm-lip-power
#
# Let $\sigma_1>\sigma_2$, and let $\varphi_k$ be the angle between $v_k$ and the first right singular vector, $\varphi_0<90°$.
# With $r=\sigma_2/\sigma_1$,
#
# 1. $\tan\varphi_k\le r^{2k}\tan\varphi_0$: the *vector* converges at the rate $r^2$;
# 2. $0\le1-\hat\sigma_k^2/\sigma_1^2\le\sin^2\varphi_k\le r^{4k}\tan^2\varphi_0$: the *estimate* is never too large and
#    converges at the rate $r^4$.
#
# If $v_0$ has a component along the second singular vector, both rates are attained in the limit.
# ````
#
# ````{prf:proof}
# Let $v^{(i)}$ be the right singular vectors and $v_0=\sum_ic_iv^{(i)}$, $c_1\ne0$. Two half-steps multiply by $W^{\mathsf T}W$ and
# normalise, so $v_k$ is a multiple of $\sum_ic_i\sigma_i^{2k}v^{(i)}$ and
#
# $$ \tan^2\varphi_k=\frac{\sum_{i\ge2}c_i^2\sigma_i^{4k}}{c_1^2\sigma_1^{4k}}\le r^{4k}\,\frac{\sum_{i\ge2}c_i^2}{c_1^2}=r^{4k}\tan^2\varphi_0, $$
#
# with equality in the limit if $c_2\ne0$ (the $i=2$ term dominates). For the estimate write
# $v_k=\cos\varphi_k\,v^{(1)}+\sin\varphi_k\,w$ with a unit vector $w\perp v^{(1)}$. As $Wv^{(1)}$ and $Ww$ are orthogonal,
# $\hat\sigma_k^2=\|Wv_k\|^2=\sigma_1^2\cos^2\varphi_k+\|Ww\|^2\sin^2\varphi_k$, hence
#
# $$ 1-\frac{\hat\sigma_k^2}{\sigma_1^2}=\sin^2\varphi_k\Bigl(1-\frac{\|Ww\|^2}{\sigma_1^2}\Bigr), $$
#
# where the bracket lies between $1-r^2$ and $1$. Finally $\sin\le\tan$.
# ````

# %%
def power_iteration(W, v, steps):
    """Estimates σ̂_0 … σ̂_steps and the vectors v_0 … v_steps."""
    estimates, vectors = [], []
    for _ in range(steps + 1):
        stretched = W @ v
        estimates.append(stretched.norm())
        vectors.append(v)
        u = stretched / stretched.norm()
        v = nn.functional.normalize(W.T @ u, dim=0)
    return torch.stack(estimates), torch.stack(vectors)


def matrix_with(singular_values, n=20):
    """A random matrix with given singular values, and its right singular vectors as columns."""
    left, _ = torch.linalg.qr(torch.randn(n, n, dtype=torch.float64))
    right, _ = torch.linalg.qr(torch.randn(n, n, dtype=torch.float64))
    return left @ torch.diag(singular_values) @ right.T, right


torch.manual_seed(0)
runs = {}
for r in (0.5, 0.8, 0.95):
    spectrum = torch.cat([torch.tensor([1.0]), torch.tensor([r]), r * torch.linspace(0.7, 0.1, 18)]).double()
    W, right = matrix_with(spectrum)
    first = right[:, 0]
    estimates, vectors = power_iteration(W, nn.functional.normalize(right.sum(1), dim=0), 60)  # all parts equal
    sine = (vectors - (vectors @ first)[:, None] * first).norm(dim=1)
    runs[r] = (1 - estimates.square(), sine)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Error of the estimate, $1-\\hat\\sigma^2/\\sigma_1^2$ (solid), and of the vector, the sine of its angle to $v_1$ (dashed), in power iteration for three ratios r of the first two singular values. Dotted grey lines have the slopes of the theorem, $r^4$ and $r^2$ per iteration.", "name": "fig-lip-power"}, "image": {"alt": "Semi-logarithmic plot against the iteration: straight falling lines, the estimate's error twice as steep as the vector's, both parallel to dotted reference lines; a ratio of 0.95 falls slowest."}}
figure, axis = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
steps = torch.arange(61)
for (r, (error, sine)), color in zip(runs.items(), (REAL, DISCRIMINATOR, FAKE)):
    shown = error > 1e-14
    axis.semilogy(steps[shown], error[shown], color=color, label=f"estimate, r = {r:g}")
    left = sine > 1e-14
    axis.semilogy(steps[left], sine[left], "--", color=color, label=f"vector, r = {r:g}")
    for values, power in ((error, 4), (sine, 2)):
        axis.semilogy(steps, 2 * values[7] * float(r) ** (power * (steps.double() - 7)), ":", color="0.5", linewidth=1)
axis.set(xlabel="iteration k", ylabel="relative error", ylim=(1e-14, 3))
axis.grid(alpha=0.3)
axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
for r, (error, sine) in runs.items():
    assert (error > -1e-12).all()  # a lower bound, always
    tangent = sine / (1 - sine**2).sqrt()
    assert (tangent[1:] <= tangent[:-1] * r**2 + 1e-9).all()  # never slower than r² in any single step
    assert (error <= sine**2 + 1e-12).all()
for r, k in ((0.5, 7), (0.8, 20), (0.95, 55)):
    error, sine = runs[r]
    assert abs(error[k + 1] / error[k] / r**4 - 1) < 0.03 and abs(sine[k + 1] / sine[k] / r**2 - 1) < 0.03
print("the estimate never exceeds σ1; per iteration its error shrinks by (σ2/σ1)⁴ and the vector's by (σ2/σ1)²: yes")

# %% [markdown]
# Training does one iteration per step and keeps $u$ and $v$ between steps: the weights change little, so yesterday's vector is
# a good start for today. The estimate then follows a moving target. That is PyTorch's `spectral_norm` (after fifteen iterations at
# the start); a few lines reproduce it exactly, and a random walk of the weights measures how far it lags.

# %%
torch.manual_seed(1)
layer = nn.Linear(12, 8, bias=False)
raw = layer.weight.detach().clone()
normalised = spectral_norm(layer).train()
parametrisation = normalised.parametrizations.weight[0]
v = parametrisation._v.clone()
u = nn.functional.normalize(raw @ v, dim=0)  # one iteration, as the library does at each step of training
v = nn.functional.normalize(raw.T @ u, dim=0)
ours = raw / (u @ raw @ v)
theirs = normalised.weight  # reading the weight in training mode is the step


def lag(speed, steps=300, n=64):
    """Relative error of σ̂ with one iteration per step while W takes a random walk that keeps its size."""
    W = torch.randn(n, n, dtype=torch.float64) / math.sqrt(n)
    v = nn.functional.normalize(torch.randn(n, dtype=torch.float64), dim=0)
    errors = []
    for _ in range(steps):
        W = math.sqrt(1 - speed**2) * W + speed * torch.randn(n, n, dtype=torch.float64) / math.sqrt(n)
        u = nn.functional.normalize(W @ v, dim=0)
        v = nn.functional.normalize(W.T @ u, dim=0)
        errors.append((1 - (u @ W @ v) / torch.linalg.matrix_norm(W, 2)).item())
    return errors


lags = {speed: lag(speed) for speed in (0.0, 1e-3, 0.05, 0.3)}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "By how much the estimate with one iteration per step lies below $\\sigma_1$ while the weights take a random walk, from a random start. For weights at rest the error falls on, out of the picture; for weights that change by a thousandth of their size per step it stays near a millionth, for those that change by a third at several per cent.", "name": "fig-lip-lag"}, "image": {"alt": "Semi-logarithmic plot of relative error against step for four speeds; at rest and at the slow speed it falls by orders of magnitude, at the fastest it stays around several percent."}}
figure, axis = plt.subplots(figsize=(6.4, 3), layout="constrained")
for (speed, errors), color, dash in zip(lags.items(), ("0.4", REAL, DISCRIMINATOR, FAKE), (":", "-", "--", "-")):
    axis.semilogy(errors, dash, color=color, label=f"change per step {speed:g}")
axis.set(xlabel="step", ylabel=r"$1-\hat\sigma/\sigma_1$", ylim=(1e-7, 1))
axis.grid(alpha=0.3)
axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
assert torch.allclose(ours, theirs, atol=1e-6)
assert abs(torch.linalg.matrix_norm(theirs, 2) - 1) < 0.02
assert np.mean(lags[1e-3][100:]) < 0.001 and np.mean(lags[0.3][100:]) > 0.02
assert all(min(errors) > -1e-12 for errors in lags.values())
print("our step is PyTorch's; one iteration per step follows slow weights within 0.1% and lags behind fast ones: yes")

# %% [markdown]
# Random matrices have $\sigma_2$ very close to $\sigma_1$, so the vector converges slowly; but then the second direction
# stretches as much as the first, and the *estimate* is good all the same: in the proof the bracket
# $1-\|Ww\|^2/\sigma_1^2$ is small.
#
# ```{widget} power
# :alt: A dotted unit circle, its image, a tilted ellipse, a green start vector and an orange arrow that lies along the ellipse's long axis.
#
# Power iteration on a $2\times2$ matrix. The ellipse is the image of the unit circle, its longest half axis is $\sigma_1$.
# Green: the start $v_0$, an input. Grey: the outputs $u_1,u_2,\dots$, orange the last of them. The closer $\sigma_2/\sigma_1$ is to 1, the longer the direction takes; the estimate minds less.
# ```
#
# ## The norm of a convolution
#
# A convolutional layer is linear too, but its matrix is huge: a kernel $K$ of shape
# $(c_{\mathrm{out}},c_{\mathrm{in}},k,k)$ acts on images of $c_{\mathrm{in}}\times n\times n$ numbers. The usual implementation
# *reshapes the kernel* to a $c_{\mathrm{out}}\times c_{\mathrm{in}}k^2$ matrix $\tilde K$ and takes that matrix's norm. What is the true one?
#
# ````{prf:theorem} Singular values of a convolution
# :label: thm-lip-conv
#
# ({cite:t}`sedghi2019singular`.) For circular padding and stride one, the singular values of the layer are those of the $n^2$ small matrices
#
# $$ \hat K(\omega)_{ab}=\sum_{s\in\{0,\dots,k-1\}^2}K_{ab}(s)\,e^{-2\pi\mathrm i\langle\omega,s\rangle/n},\qquad\omega\in\{0,\dots,n-1\}^2, $$
#
# taken together: its norm is $\max_\omega\|\hat K(\omega)\|$.
# ````
#
# ````{prf:proof}
# The layer computes $y_a(t)=\sum_b\sum_sK_{ab}(s)\,x_b(t+s)$. Apply the two-dimensional discrete Fourier transform
# $\hat y(\omega)=\frac1n\sum_ty(t)e^{-2\pi\mathrm i\langle\omega,t\rangle/n}$; a shift by $s$ becomes a factor, so
# $\hat y_a(\omega)=\sum_b\overline{\hat K(\omega)_{ab}}\,\hat x_b(\omega)$, the conjugate because $K$ is real and the shift is forward.
# The transform (with the factor $\frac1n$) is unitary and keeps all norms and singular values, and in these coordinates the layer acts on
# each frequency separately, by the matrix $\overline{\hat K(\omega)}$. The singular values of a block-diagonal matrix are those of its
# blocks, and conjugation changes none.
# ````
#
# ````{prf:theorem} Reshaped kernel and operator
# :label: thm-lip-reshaped
#
# Let $\|K{*}\|$ be the norm of the layer $x\mapsto K*x$ with stride one, zero or circular padding, on images with $n\ge2k$. Then
#
# $$ \|\tilde K\|\le\|K{*}\|\le k\,\|\tilde K\|, $$ (eq-lip-conv)
#
# and neither factor can be improved. With stride $s$ (a divisor of $n$ if the padding is circular) the upper factor is $\lceil k/s\rceil$.
# ````
#
# ````{prf:proof}
# The layer is $\tilde K$ applied to every patch: $\mathrm{patch}_t(x)$ holds the $c_{\mathrm{in}}k^2$ numbers of $x$ under the kernel at the place $t$. *Upper bound:* $\|K*x\|^2=\sum_t\|\tilde K\,\mathrm{patch}_t(x)\|^2\le\|\tilde K\|^2\sum_t\|\mathrm{patch}_t(x)\|^2$, and
# a pixel lies in at most $k^2$ patches (in at most $\lceil k/s\rceil^2$ with stride $s$), so the sum is at most $k^2\|x\|^2$.
# *Lower bound:* let $x$ be zero but for one patch in the interior, where it is the first right singular vector of $\tilde K$. Then the output at that position alone has length
# $\|\tilde K\|\|x\|$. *Sharpness:* a kernel with a single non-zero entry attains the lower one; with circular padding the kernel of all ones has
# $\|\tilde K\|=k$ and, on a constant image, $\|K{*}\|=k^2$.
# ````
#
# So a "spectrally normalised" convolution by the reshaped kernel may still have slope $k$: for $3\times3$ kernels a network of ten
# layers is bounded by $3^{10}$, not by $1$.

# %%
def reshaped_norm(kernel):
    return torch.linalg.matrix_norm(kernel.flatten(1), 2)


def fourier_norms(kernel, n):
    """Largest singular value at each of the n × n frequencies."""
    transfer = torch.fft.fft2(kernel, (n, n)).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(transfer, 2)


def layer_matrix(apply, channels, n):
    """The layer as a dense matrix, column by column."""
    basis = torch.eye(channels * n * n, dtype=torch.float64).reshape(-1, channels, n, n)
    return apply(basis).flatten(1).T


def circular(kernel):
    k = kernel.shape[-1]
    return lambda x: conv2d(pad(x, (0, k - 1, 0, k - 1), mode="circular"), kernel)


def zero_padded(kernel, stride=1):
    return lambda x: conv2d(x, kernel, padding=kernel.shape[-1] // 2, stride=stride)


torch.manual_seed(0)
small = torch.randn(3, 2, 3, 3, dtype=torch.float64)
dense = layer_matrix(circular(small), 2, 8)

# %% tags=["claim", "keep_output", "nbval-check-output"]
transfer = torch.fft.fft2(small, (8, 8)).permute(2, 3, 0, 1)
by_fourier = torch.linalg.svdvals(transfer).flatten().sort(descending=True).values
by_matrix = torch.linalg.svdvals(dense)
assert torch.allclose(by_fourier, by_matrix[: len(by_fourier)], atol=1e-10)
assert (by_matrix[len(by_fourier) :] < 1e-10).all()
for _ in range(10):
    kernel = torch.randn(3, 2, 3, 3, dtype=torch.float64)
    low = reshaped_norm(kernel)
    norms = [torch.linalg.matrix_norm(layer_matrix(f, 2, 8), 2) for f in (circular(kernel), zero_padded(kernel))]
    strided = torch.linalg.matrix_norm(layer_matrix(zero_padded(kernel, 2), 2, 8), 2)
    assert all(low - 1e-9 <= norm <= 3 * low for norm in norms) and low - 1e-9 <= strided <= 2 * low
ones, single = torch.ones(1, 1, 3, 3, dtype=torch.float64), torch.zeros(1, 1, 3, 3, dtype=torch.float64)
single[0, 0, 1, 1] = 1
assert torch.isclose(fourier_norms(ones, 8).max() / reshaped_norm(ones), torch.tensor(3.0, dtype=torch.float64))
assert torch.isclose(fourier_norms(single, 8).max() / reshaped_norm(single), torch.tensor(1.0, dtype=torch.float64))
print("all singular values come from the Fourier blocks; reshaped norm ≤ true norm ≤ k times it, both attained: yes")

# %% [markdown]
# With zero padding, as in practice, there is no closed form, but power iteration works without any matrix: $Wv$ is the layer
# and $W^{\mathsf T}u$ is its *transposed convolution* {cite:p}`gouk2021regularisation`. How large is the factor for kernels that
# networks really start from, and for smooth ones?

# %%
def operator_norm(kernel, n, stride=1, iterations=60):
    """‖K*‖ with zero padding by power iteration through the layer and its transpose."""
    k = kernel.shape[-1]
    v = torch.randn(1, kernel.shape[1], n, n, dtype=kernel.dtype)
    output_padding = (n + 2 * (k // 2) - k) % stride
    for _ in range(iterations):
        v = v / v.norm()
        u = conv2d(v, kernel, padding=k // 2, stride=stride)
        norm = u.norm()
        v = conv_transpose2d(u / norm, kernel, padding=k // 2, stride=stride, output_padding=output_padding)
    return norm


torch.manual_seed(0)
blur = torch.outer(torch.tensor([1.0, 2, 1]), torch.tensor([1.0, 2, 1])).double()
edge = torch.outer(torch.tensor([1.0, 2, 1]), torch.tensor([-1.0, 0, 1])).double()
examples = {"single pixel": single, "blur": blur[None, None], "edges": edge[None, None], "random, 8 → 8": torch.randn(8, 8, 3, 3).double()}
examples = {name: kernel / reshaped_norm(kernel) for name, kernel in examples.items()}
true_norms = {name: operator_norm(kernel, 24).item() for name, kernel in examples.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "How much four 3×3 kernels stretch each frequency of an image (zero frequency in the middle), after division by the norm of the reshaped kernel. The number above is the norm of the layer with zero padding. A value above 1 is slope that the usual spectral normalisation does not see: smooth kernels hide most.", "name": "fig-lip-frequencies"}, "image": {"alt": "Four square heat maps on one colour scale from 0 to 3: a flat one for the single pixel, a bright centre for the blur, two bright lobes for the edge kernel, a mottled one for the random kernel."}}
figure, axes = plt.subplots(1, 4, figsize=(9.6, 2.8), layout="constrained")
for axis, (name, kernel) in zip(axes, examples.items()):
    picture = axis.imshow(torch.fft.fftshift(fourier_norms(kernel, 32)), vmin=0, vmax=3, cmap="cividis")
    axis.set(title=f"{name}: {true_norms[name]:.2f}", xticks=[], yticks=[], xlabel="frequency")
figure.colorbar(picture, ax=axes, shrink=0.8, label="stretch")
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
for kernel in (small, torch.randn(4, 2, 3, 3, dtype=torch.float64)):
    for stride in (1, 2):
        exact = torch.linalg.matrix_norm(layer_matrix(zero_padded(kernel, stride), 2, 8), 2)
        assert abs(operator_norm(kernel, 8, stride, 2000) / exact - 1) < 1e-3
for name, kernel in examples.items():  # zero padding is circular padding on a larger image, seen through a window
    assert true_norms[name] <= fourier_norms(kernel, 26).max() + 1e-6
assert abs(true_norms["single pixel"] - 1) < 1e-9 and true_norms["blur"] > 2.5 and 1.3 < true_norms["random, 8 → 8"] < 2.5
print("power iteration through the transposed layer finds the true norm; a blur exceeds its reshaped norm 2.5 times: yes")

# %% [markdown]
# Why is the practical version used nevertheless? The factor lies between $1$ and $k$ for every kernel, so the reshaped norm
# does control the slope, up to a constant per layer, and it costs next to nothing. A GAN needs a slope that does not *run away*; the unit
# is absorbed by the learning rate and the loss. Where the bound itself matters (a certified critic, {prf:ref}`thm-was-kr`), the true
# norm has to be used.
#
# ## What it does to the gradients
#
# ### Gradients of the weights
#
# ````{prf:theorem} Gradient through the normalisation
# :label: thm-lip-gradient
#
# ({cite:t}`miyato2018spectral`, in their analysis of the gradient.) Let a loss depend on $W$ through $\bar W=W/\sigma_1(W)$, with gradient $H$ with respect to
# $\bar W$, and let $\sigma_1>\sigma_2$, with $u,v$ the first singular vectors and $\langle A,B\rangle=\sum_{ij}A_{ij}B_{ij}$. Then
#
# $$ \nabla_W=\frac1{\sigma_1}\bigl(H-\langle H,\bar W\rangle\,uv^{\mathsf T}\bigr),\qquad\langle\nabla_W,W\rangle=0. $$
# ````
#
# ````{prf:proof}
# A simple singular value is differentiable, with $d\sigma_1=u^{\mathsf T}\,dW\,v=\langle uv^{\mathsf T},dW\rangle$. So
# $d\bar W=\frac{dW}{\sigma_1}-\frac{W}{\sigma_1^2}\langle uv^{\mathsf T},dW\rangle$, and the loss changes by
# $\langle H,d\bar W\rangle=\frac1{\sigma_1}\bigl\langle H-\langle H,\bar W\rangle uv^{\mathsf T},dW\bigr\rangle$, which names the gradient.
# With $\langle uv^{\mathsf T},W\rangle=\sigma_1$: $\langle\nabla_W,W\rangle=\frac1{\sigma_1}(\sigma_1\langle H,\bar W\rangle-\langle H,\bar W\rangle\sigma_1)=0$.
# ````
#
# The second term takes away exactly what would only scale $W$, which does not change $\bar W$. And as
# the gradient is orthogonal to $W$, a step of length $h$ gives $\|W-h\nabla_W\|_F^2=\|W\|_F^2+h^2\|\nabla_W\|_F^2$: plain gradient descent can only make
# $\|W\|_F$ grow. As a rule $\sigma_1$, by which the next gradients are divided, grows with it, and the effective learning rate of a normalised layer falls by itself.

# %% tags=["claim", "keep_output", "nbval-check-output"]
torch.manual_seed(0)
W = torch.randn(5, 7, dtype=torch.float64, requires_grad=True)
target, inputs = torch.randn(30, 5, dtype=torch.float64), torch.randn(30, 7, dtype=torch.float64)


def loss_of(matrix):
    return (inputs @ matrix.T - target).tanh().square().mean()


(full,) = torch.autograd.grad(loss_of(W / torch.linalg.matrix_norm(W, 2)), W)
u_all, s_all, vt_all = torch.linalg.svd(W.detach())
bar = (W.detach() / s_all[0]).requires_grad_()
(H,) = torch.autograd.grad(loss_of(bar), bar)
formula = (H - (H * bar).sum() * torch.outer(u_all[:, 0], vt_all[0])) / s_all[0]
assert torch.allclose(full, formula, atol=1e-12)
assert abs((full * W).sum()) < 1e-12
sizes = []
for _ in range(50):
    sizes.append(W.norm().item())
    (step,) = torch.autograd.grad(loss_of(W / torch.linalg.matrix_norm(W, 2)), W)
    W.data -= 5.0 * step
assert all(later > earlier for earlier, later in pairwise(sizes))
print("the gradient is the formula's, orthogonal to W, and plain descent makes W grow at every step: yes")

# %% [markdown]
# ### Gradients for the generator
#
# The generator learns from $\nabla_xD$ at its own samples. Take data and fakes that do not overlap, the normal state early in training, and train
# the discriminator for long. Without a bound its logits grow without end: the saturating loss dies, and the slope between
# the two sets explodes. With slope at most one, $|D(x)-D(y)|\le\|x-y\|$ whatever the training: two logits differ by no more than the
# distance of their points. We measure the logits, the slope, and the *force* on a fake $x$: the length of the gradient of the generator's loss with
# respect to $x$.

# %%
def overtrain(normalise, steps=1500, seed=0):
    """D between two separate blobs; slope at the fakes, largest slope and mean logit of the fakes, by step."""
    torch.manual_seed(seed)
    network = mlp([2, 64, 64, 1], slope=0.2)
    if normalise:
        network = nn.Sequential(*(spectral_norm(m) if isinstance(m, nn.Linear) else m for m in network))
    optimizer = torch.optim.Adam(network.parameters(), 2e-3, fused=True)
    rows = []
    for step in range(steps + 1):
        real, fake = 0.4 * torch.randn(128, 2) + torch.tensor([1.5, 0]), 0.4 * torch.randn(128, 2) - torch.tensor([1.5, 0])
        if step % 25 == 0:
            points = fake.clone().requires_grad_()
            logits = network(points).flatten()
            forces = [torch.autograd.grad(LOSSES[n].g(logits, logits).sum(), points, retain_graph=True)[0] for n in ("minimax", "nonsaturating")]
            rows.append([step, logits.mean().item(), slopes(network, square).max().item(), *(f.norm(dim=1).mean().item() for f in forces)])
        loss = LOSSES["minimax"].d(network(real).flatten(), network(fake).flatten()).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval(), torch.tensor(rows).T


outcome = {name: overtrain(normalise) for name, normalise in (("plain", False), ("spectral norm", True))}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "A discriminator between two separate blobs, trained for long, without and with spectral normalisation. From left: logit along the line through both blobs; mean logit of the fakes; the largest slope; the force on the fakes under the saturating (solid) and the non-saturating loss (dashed).", "name": "fig-lip-overtrained"}, "image": {"alt": "Four panels. The plain discriminator's logit is a steep ramp to plus and minus ten and more, the normalised one a ramp of slope below one. Against training steps, the plain logits and slopes keep growing and its saturating force falls by orders of magnitude; the normalised ones level off."}}
figure, axes = plt.subplots(1, 4, figsize=(10.4, 2.9), layout="constrained")
across = torch.stack([line, torch.zeros(121)], 1)
for (name, (network, rows)), color in zip(outcome.items(), (FAKE, DISCRIMINATOR)):
    steps, logit, slope, saturating, nonsaturating = rows
    with torch.no_grad():
        axes[0].plot(line, network(across).flatten(), color=color, label=name)
    axes[1].plot(steps, logit, color=color)
    axes[2].semilogy(steps, slope, color=color)
    axes[3].semilogy(steps, saturating, color=color)
    axes[3].semilogy(steps, nonsaturating, "--", color=color)
axes[0].axvspan(-2.3, -0.7, color=FAKE, alpha=0.12)
axes[0].axvspan(0.7, 2.3, color=REAL, alpha=0.12)
axes[0].set(title="logit", xlabel="$x_1$")
axes[1].set(title="mean logit of fakes", xlabel="steps of D")
axes[2].set(title="largest slope", xlabel="steps of D")
axes[3].set(title="force on the fakes", xlabel="steps of D")
for axis in axes:
    axis.grid(alpha=0.3)
axes[0].legend(frameon=False, fontsize=9, loc="upper left")
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
plain, normed = (outcome[name][1][:, -20:].median(dim=1).values for name in ("plain", "spectral norm"))
assert outcome["spectral norm"][1][2].max() < 1.1  # a slope of at most one, up to the lag of power iteration
assert plain[2] > 3 and plain[1] < -6 and normed[1] > -3
assert normed[3] > 50 * plain[3]  # the saturating loss still pulls
x, y = 3 * torch.randn(2, 5000, 2)
with torch.no_grad():
    network = outcome["spectral norm"][0]
    assert ((network(x) - network(y)).flatten().abs() <= 1.01 * (x - y).norm(dim=1)).all()
print("normalised: slope ≤ 1, logits within the blobs' distance, 50 times the saturating force of the plain D: yes")

# %% [markdown]
# ```{admonition} What can go wrong
# :class: warning
# - **Batch normalisation behind spectral normalisation.** It divides by the batch's standard deviation, so its own slope is
#   $|\gamma|/\mathrm{std}$, with the learned scale $\gamma$ of the layer, and has no bound; one exercise measures it.
# - **A multiplication by a free scale** after the layer (a learned gain, a conditional $\gamma$) undoes the normalisation.
# - **`eval()` and the iteration.** PyTorch iterates only in training mode, at *each reading* of the weight; two forward passes per step
#   are two iterations. A checkpoint must hold the vectors $u, v$, or the first steps after a resume differ.
# - **The estimate is a lower bound**: after a large step of the optimiser $\bar W$ has norm *above* one for a while.
# - **"1-Lipschitz" convolutions** by the reshaped kernel may have slope up to $k$ each.
# - **Self-attention** with dot products has no finite Lipschitz constant at all {cite:p}`kim2021lipschitz`; normalising its
#   $1\times1$ convolutions helps, but proves nothing.
# ```
#
# ## Exercises
#
# ```{exercise}
# :label: ex-lip-frobenius
# Show $\sigma_1\le\|W\|_F\le\sqrt{\operatorname{rank}W}\,\sigma_1$, where $\|W\|_F^2=\sum_{ij}W_{ij}^2$. Which of the two would one rather normalise
# by, and what would it do to the other singular values?
# ```
#
# ````{solution} ex-lip-frobenius
# :class: dropdown
# $\|W\|_F^2=\operatorname{tr}W^{\mathsf T}W=\sum_i\sigma_i^2$, a sum of at most $\operatorname{rank}W$ positive terms, each at most
# $\sigma_1^2$. Division by $\|W\|_F$ also keeps the slope at most one, but a matrix with many equal singular values is then scaled down to
# $1/\sqrt{\text{rank}}$ each: few large directions are preferred, and the discriminator uses few features. So by $\sigma_1$.
# ````

# %% tags=["hide-cell"]
for shape in ((5, 9), (9, 5), (6, 6)):
    W = torch.randn(*shape, dtype=torch.float64)
    assert torch.linalg.matrix_norm(W, 2) <= W.norm() <= math.sqrt(min(shape)) * torch.linalg.matrix_norm(W, 2)

# %% [markdown]
# ```{exercise}
# :label: ex-lip-residual
# A residual block computes $x+f(x)$ with $\|f\|_L\le1$. Bound its Lipschitz constant, and give an $f$ for which the bound is reached and one
# for which the block is constant.
# ```
#
# ````{solution} ex-lip-residual
# :class: dropdown
# $\|x+f(x)-y-f(y)\|\le2\|x-y\|$; $f(x)=x$ reaches $2$, and $f(x)=-x$ gives $0$. A residual discriminator of $K$ blocks is bounded by $2^K$, not
# by $1$, even with every layer normalised.
# ````

# %% tags=["hide-cell"]
torch.manual_seed(0)
W = torch.randn(6, 6, dtype=torch.float64)
W = W / torch.linalg.matrix_norm(W, 2)
assert torch.linalg.matrix_norm(torch.eye(6, dtype=torch.float64) + W, 2) <= 2

# %% [markdown]
# ```{exercise}
# :label: ex-lip-iterations
# How many power iterations are needed to bring the relative error of $\hat\sigma$ below $1\%$ if $\sigma_2/\sigma_1=0.9$ and $\tan\varphi_0=8$ (a
# typical value for 64 dimensions)? Use the theorem, then check.
# ```
#
# ````{solution} ex-lip-iterations
# :class: dropdown
# $1-\hat\sigma^2/\sigma_1^2\approx2(1-\hat\sigma/\sigma_1)$, so $r^{4k}\cdot64\le0.02$ suffices:
# $k\ge\log(64/0.02)/(-4\log0.9)\approx19.2$, that is 20. The bound is generous, because it puts 1 in the place of the bracket, which tends to $1-r^2$: 15 are
# enough.
# ````

# %% tags=["hide-cell"]
needed = math.ceil(math.log(64 / 0.02) / (-4 * math.log(0.9)))
W, right = matrix_with(torch.cat([torch.ones(1), 0.9 * torch.ones(63)]).double(), 64)
estimates, _ = power_iteration(W, nn.functional.normalize(right[:, 0] + 8 * right[:, 1], dim=0), needed)
assert needed == 20 and 1 - estimates[15] < 0.01 < 1 - estimates[14]

# %% [markdown]
# ```{exercise}
# :label: ex-lip-batchnorm
# Measure the slope of a batch-normalisation layer (batch of 64, one feature, $\gamma=1$) with respect to its input batch, for batches with standard
# deviation 1, 0.1 and 0.01. What does it mean for a discriminator that has both normalisations?
# ```
#
# ````{solution} ex-lip-batchnorm
# :class: dropdown
# With $n$ numbers in the batch, their standard deviation $s$, the normalised batch $\hat x$ and the vector of ones $\mathbf1$, the
# layer's Jacobian is $\frac1s\bigl(I-\frac1n\mathbf1\mathbf1^{\mathsf T}-\frac1n\hat x\hat x^{\mathsf T}\bigr)$, a projection divided by
# $s$: its norm is $1/s$ (up to the small constant that is added to the variance). The narrower the batch, the steeper: whatever spectral normalisation
# has scaled down is scaled up again.
# ````

# %% tags=["hide-cell"]
for std in (1.0, 0.1, 0.01):
    batch = std * torch.randn(64, 1, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(
        lambda b: nn.functional.batch_norm(b, None, None, training=True, eps=1e-12), batch
    ).reshape(64, 64)
    assert abs(torch.linalg.matrix_norm(jacobian, 2) * batch.std(correction=0) - 1) < 1e-6

# %% [markdown]
# ```{exercise}
# :label: ex-lip-stride
# DCGAN's discriminator uses $4\times4$ kernels with stride 2. What do {prf:ref}`thm-lip-reshaped` and a kernel of your choice say about the factor between
# reshaped and true norm? (Padding 1; the transposed layer of `torch` is its adjoint.)
# ```
#
# ````{solution} ex-lip-stride
# :class: dropdown
# $\lceil4/2\rceil=2$: between $1$ and $2$. A kernel of all ones nearly reaches $2$ on a large constant image: $\|\tilde K\|=4$, an interior output is $16$, and
# there is one output for four pixels, so $\|K*x\|\approx16\cdot\frac12\|x\|$. Four such layers are bounded by $2^4=16$ instead of $1$.
# ````

# %% tags=["hide-cell"]
def strided_norm(kernel, n=32, iterations=60):
    v = torch.rand(1, kernel.shape[1], n, n, dtype=kernel.dtype)
    for _ in range(iterations):
        u = conv2d(v / v.norm(), kernel, padding=1, stride=2)
        v = conv_transpose2d(u, kernel, padding=1, stride=2)
    return u.norm()


fours = torch.ones(1, 1, 4, 4, dtype=torch.float64)
assert 1.95 < strided_norm(fours) / reshaped_norm(fours) <= 2
spread = torch.randn(16, 8, 4, 4, dtype=torch.float64)
assert 1 <= strided_norm(spread) / reshaped_norm(spread) <= 2

# %% [markdown]
# ```{exercise}
# :label: ex-lip-certify
# Divide each convolution of a small ReLU network by its *true* norm instead. Write the normalisation with {prf:ref}`thm-lip-conv`, and show on random pairs
# of images that the network is 1-Lipschitz, while the one with reshaped norms need not be.
# ```
#
# ````{solution} ex-lip-certify
# :class: dropdown
# Divide by `fourier_norms(kernel, n).max()` for circular padding. To see the other one fail, choose the pair well: smooth kernels and two constant images.
# ````

# %% tags=["hide-cell"]
def network_of(kernels, norm):
    def forward(x):
        for kernel in kernels:
            x = torch.relu(circular(kernel / norm(kernel))(x))
        return x

    return forward


smooth = [torch.rand(4, c, 3, 3, dtype=torch.float64) for c in (1, 4, 4)]
certified = network_of(smooth, lambda kernel: fourier_norms(kernel, 12).max())
usual = network_of(smooth, reshaped_norm)
a, b = torch.rand(2, 200, 1, 12, 12, dtype=torch.float64)
assert ((certified(a) - certified(b)).flatten(1).norm(dim=1) <= (a - b).flatten(1).norm(dim=1)).all()
bright, dark = torch.ones(1, 1, 12, 12, dtype=torch.float64), torch.zeros(1, 1, 12, 12, dtype=torch.float64)
assert (usual(bright) - usual(dark)).norm() > 5 * (bright - dark).norm()

# %% [markdown]
# ## Where this is used
#
# Spectral normalisation is one of the three bounds on a critic's slope compared in [the Wasserstein chapter](05_wasserstein); [an experiment](../experiments/spectral_norm) trains a discriminator of pictures
# with and without it, and [the self-attention GAN](../experiments/sagan32) has it in both networks. The gradients that it keeps alive are those whose fading was derived in [the minimax game](01_minimax_game).

# %% tags=["hide-input"]
display(Markdown(f"*This chapter ran in {time.perf_counter() - started:.0f} s.*"))
