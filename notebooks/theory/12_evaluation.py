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
# # Evaluation: numbers that can be trusted
#
# ```{admonition} In this chapter
# :class: tip
# - the Fréchet distance derived, and what it cannot see;
# - its bias, which falls like $1/n$: proven to first order, measured, and extrapolated away;
# - why the kernel distance has none, and what the Inception Score leaves out;
# - precision against recall, copies of the training data, and intervals;
# - what a resize, a JPEG or a crop does to a score, measured on real pictures.
#
# *Before this:* covariance, eigenvalues, [the divergences](04_divergences), the [Wasserstein distance](05_wasserstein). *Cost:* about half a minute.
# ```
#
# A GAN has no likelihood, so samples are compared with data. Pictures are first turned into vectors by a *feature
# network* $\varphi$, because distances between pixels say little; then two clouds of vectors are compared. Every score
# below therefore depends on $\varphi$, on how the pictures were cropped and resized before it, and on how many there
# were. The distance is called FID only if $\varphi$ is the Inception network {cite:p}`szegedy2016rethinking` with the
# weights of 2015-12-05; in any other space it is a Fréchet distance, $\mathrm{FD}(\varphi)$.
#
# Inception was trained on photographs of a thousand kinds of things. On handwritten digits it has little to say, so
# this chapter looks at MNIST and emoji through their *judges*: small classifiers of this book, whose hidden layer of 64
# features is the space. What needs Inception and photographs was measured once and is read from its record.

# %% tags=["hide-input"]
import io
import json
import math
import time
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Markdown, display
from PIL import Image

import ganbook
from ganbook import data, metrics
from ganbook.data import toy
from ganbook.errors import InputError
from ganbook.evaluation import Protocol, Value, evaluate, get_extractor, table
from ganbook.evaluation.features import SetPictures
from ganbook.metrics import Moments, frechet_distance, frechet_from_moments
from ganbook.plotting import DISCRIMINATOR, FAKE, GENERATOR, REAL, image_sheet, show_sheet

torch.manual_seed(0)
started = time.perf_counter()


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(n, d, seed, dtype=torch.float64):
    return torch.randn(n, d, generator=generator(seed), dtype=dtype)


# %% [markdown]
# ## The Fréchet distance
#
# How far apart are two distributions $p$ and $q$ on $\mathbb R^d$? The
# [2-Wasserstein distance](05_wasserstein) asks for the cheapest way to pair their points:
# $W_2^2(p, q) = \inf \mathbb E\,\|X - Y\|^2$ over all joint laws of $X \sim p$ and $Y \sim q$. For Gaussians the
# answer has a closed form {cite:p}`dowson1982frechet`.
#
# ```{prf:theorem} Fréchet distance of Gaussians
# :label: thm-eval-frechet
#
# For $p = \mathcal N(\mu_1, C_1)$ and $q = \mathcal N(\mu_2, C_2)$,
#
# $$ W_2^2(p, q) = \|\mu_1-\mu_2\|^2 + \operatorname{tr} C_1 + \operatorname{tr} C_2
#    - 2\operatorname{tr}\bigl(C_1^{1/2} C_2\, C_1^{1/2}\bigr)^{1/2}. $$
# ```
#
# ````{prf:proof}
# Let $X, Y$ have these laws and $K = \operatorname{Cov}(X, Y)$. Then
# $\mathbb E\|X-Y\|^2 = \|\mu_1-\mu_2\|^2 + \operatorname{tr} C_1 + \operatorname{tr} C_2 - 2\operatorname{tr} K$, and it
# remains to maximise $\operatorname{tr} K$. Suppose $C_1$ is invertible (else take the limit of $C_1 + \epsilon I$). The
# joint covariance is positive semidefinite, hence (with $A\succeq B$ for "$A-B$ is positive semidefinite") $C_2 - K^\top C_1^{-1} K \succeq 0$. Put $K = C_1^{1/2} R$; then
# $R^\top R \preceq C_2$. So $R = O\, S$ with $S = (R^\top R)^{1/2}$, $O$ orthogonal, and
#
# $$ \operatorname{tr} K = \operatorname{tr}\bigl(C_1^{1/2} O S\bigr) \le \bigl\| S\, C_1^{1/2} \bigr\|_*
#    = \operatorname{tr}\bigl(C_1^{1/2} S^2 C_1^{1/2}\bigr)^{1/2}
#    \le \operatorname{tr}\bigl(C_1^{1/2} C_2\, C_1^{1/2}\bigr)^{1/2}, $$
#
# where $\|A\|_* = \operatorname{tr}(A^\top A)^{1/2} = \max_O \operatorname{tr}(OA)$ is the nuclear norm, and the last
# step holds because $A \mapsto \operatorname{tr} A^{1/2}$ grows with $A$. Equality is reached by the linear map
# $Y = \mu_2 + T(X - \mu_1)$ with $T = C_1^{-1/2}\bigl(C_1^{1/2} C_2\, C_1^{1/2}\bigr)^{1/2} C_1^{-1/2}$: it is symmetric,
# $T C_1 T = C_2$, and $\operatorname{tr} K = \operatorname{tr}(C_1 T)$ is the bound.
# ````
#
# The matrix under the root has the eigenvalues of the product $C_1C_2$, which is not symmetric; that is why the formula
# is usually printed with $(C_1C_2)^{1/2}$ and computed by a general matrix root. With any factor $C_1 = LL^\top$ the
# symmetric matrix $L^\top C_2 L$ has the same eigenvalues, so one symmetric eigenvalue problem does it. From scratch:

# %%
def frechet_from_scratch(mu1, cov1, mu2, cov2):
    factor = torch.linalg.cholesky(cov1)
    eigenvalues = torch.linalg.eigvalsh(factor.T @ cov2 @ factor)
    return (mu1 - mu2).square().sum() + cov1.trace() + cov2.trace() - 2 * eigenvalues.clamp(min=0).sqrt().sum()


d = 6
roots = [normal(d, d, seed) for seed in (1, 2)]
mu = [normal(1, d, seed)[0] for seed in (3, 4)]
cov = [root @ root.T for root in roots]
ours = frechet_from_scratch(mu[0], cov[0], mu[1], cov[1])

# %% [markdown]
# Three checks: the optimal map of the proof transports one Gaussian to the other at exactly this cost; the library
# gives the same number; and so does the usual route with a general matrix root.

# %% tags=["claim", "keep_output", "nbval-check-output"]
from scipy.linalg import sqrtm

values, vectors = torch.linalg.eigh(cov[0])
half, inverse_half = (vectors * values**power @ vectors.T for power in (0.5, -0.5))
inner_values, inner_vectors = torch.linalg.eigh(half @ cov[1] @ half)
transport = inverse_half @ (inner_vectors * inner_values.sqrt() @ inner_vectors.T) @ inverse_half
assert torch.allclose(transport @ cov[0] @ transport, cov[1])
move = torch.eye(d, dtype=torch.float64) - transport
assert torch.isclose((mu[0] - mu[1]).square().sum() + (move @ cov[0] @ move).trace(), ours)
assert math.isclose(frechet_distance(mu[0], cov[0], mu[1], cov[1]), ours, rel_tol=1e-9)
general = np.trace(sqrtm((cov[0] @ cov[1]).numpy())).real
assert math.isclose((mu[0] - mu[1]).square().sum() + cov[0].trace() + cov[1].trace() - 2 * general, ours, rel_tol=1e-6)
print("the optimal map costs what the formula says; library and matrix root agree: yes")

# %% [markdown]
# Two special cases are worth remembering. A shift alone gives $\|\mu_1-\mu_2\|^2$; and if the covariances commute, with
# variances $\sigma_i^2$ and $\tau_i^2$ along common axes, the rest is $\sum_i(\sigma_i - \tau_i)^2$.

# %% tags=["claim", "keep_output", "nbval-check-output"]
sigma, tau = normal(1, d, 5)[0].exp(), normal(1, d, 6)[0].exp()
assert math.isclose(frechet_distance(mu[0], cov[0], mu[1], cov[0]), (mu[0] - mu[1]).square().sum(), rel_tol=1e-8)
parallel = frechet_distance(mu[0], sigma.square().diag(), mu[0], tau.square().diag())
assert math.isclose(parallel, (sigma - tau).square().sum(), rel_tol=1e-9)
print("a shift costs its squared length, parallel axes the squared differences of their widths: yes")

# %% [markdown]
# ### What it cannot see
#
# The score of a set of pictures is this formula with the *sample* means and covariances of their features. Features are
# not Gaussian, so it is a distance between two moments of two clouds and no more: clouds with equal mean and covariance
# are at distance 0, whatever their shapes. Eight clusters on a circle and a round Gaussian, for instance:

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Two distributions with the same mean and the same covariance. Their Fréchet distance is zero up to the noise of sampling; an unbiased kernel distance (MMD² with a Gaussian kernel) tells them apart.", "name": "fig-eval-blind"}, "image": {"alt": "Left a ring of eight small clusters, right a single round Gaussian cloud of the same spread."}}
ring = toy.ring(8, radius=math.sqrt(2 - 2 * 0.05**2), std=0.05)
n = 4000
clusters = ring.sample(n, generator(7)).double()
disc = normal(n, 2, 8)
blind = frechet_from_moments(Moments(2).update(clusters), Moments(2).update(disc))
kernel = metrics.mmd2(clusters[:1000], disc[:1000], kernel=metrics.rbf(0.5))
figure, axes = plt.subplots(1, 2, figsize=(6, 3), sharex=True, sharey=True, layout="constrained")
for axis, points, color, title in zip(axes, (clusters, disc), (REAL, FAKE), ("eight modes", "one mode")):
    axis.scatter(*points[:1500].T, s=3, color=color)
    axis.set(title=title, aspect="equal", xlim=(-4, 4), ylim=(-4, 4))
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
same = metrics.mmd2(disc[:1000], disc[1000:2000], kernel=metrics.rbf(0.5))
assert blind < 0.01 and kernel > 50 * abs(same)
print("the Fréchet distance is below 0.01 where the kernel distance is 50 times its noise: yes")

# %% [markdown]
# ## The sample size is part of the number
#
# Take two samples of size $n$ from *one* distribution. Their distance is not 0, and the smaller $n$, the larger it is: the
# covariance has $d(d+1)/2$ entries, each estimated with noise, and noise only ever adds to a squared distance.
#
# ```{prf:theorem} Bias of the Fréchet distance, to first order
# :label: thm-eval-bias
#
# For two independent samples of size $n$ from $\mathcal N(0, I_d)$ with $n \gg d$,
# $\displaystyle \mathbb E\,\mathrm{FD} \approx \frac1n\Bigl(2d + \frac{d(d+1)}{2}\Bigr).$
# ```
#
# ````{prf:proof}
# The difference of the means is $\mathcal N(0, \tfrac2n I)$, so $\mathbb E\|\hat\mu_1-\hat\mu_2\|^2 = 2d/n$. Write
# $\hat C_i = I + E_i$ with symmetric $E_i$ of order $n^{-1/2}$. Then $\hat C_1\hat C_2 = I + A$ with
# $A = E_1 + E_2 + E_1E_2$, and from $\sqrt{1+a} = 1 + \tfrac12 a - \tfrac18 a^2 + O(a^3)$, summed over eigenvalues,
#
# $$ \operatorname{tr}(\hat C_1\hat C_2)^{1/2} = d + \tfrac12\operatorname{tr}A - \tfrac18\operatorname{tr}A^2 + O(n^{-3/2}). $$
#
# Since $\operatorname{tr}A = \operatorname{tr}E_1 + \operatorname{tr}E_2 + \operatorname{tr}E_1E_2$ and
# $\operatorname{tr}A^2 = \operatorname{tr}(E_1+E_2)^2 + O(n^{-3/2})$, what the covariances add to the distance,
# $2d + \operatorname{tr}E_1 + \operatorname{tr}E_2 - 2\operatorname{tr}(\hat C_1\hat C_2)^{1/2}$, is
# $-\operatorname{tr}E_1E_2 + \tfrac14\operatorname{tr}(E_1+E_2)^2 = \tfrac14\|E_1-E_2\|_F^2$ up to $O(n^{-3/2})$. The entries of
# $E_i$ have variance $1/n$ off the diagonal and $2/n$ on it, so $\mathbb E\|E_i\|_F^2 = (d(d-1) + 2d)/n = d(d+1)/n$; the two
# are independent with mean 0, which gives $\tfrac14\cdot 2\,d(d+1)/n$.
# ````
#
# For Inception's $d = 2048$ the law would ask for millions of samples before the bias is small against a score of 10.
# Real features have few strong directions, so the constant is smaller, but the $1/n$ stays.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Two samples from one distribution. Left: standard normal features; the measured distance (points, mean of repeated draws) follows the law (lines). Right: real test digits in the judge's features, disjoint halves; a line in 1/n again, and its value at 1/n = 0 is close to zero.", "name": "fig-eval-bias"}, "image": {"alt": "Left: log-log plot, Fréchet distance falling like one over n for two dimensions, points on lines. Right: distance against one over n, points on a straight line through the origin."}}
sizes = [400, 800, 1600, 3200]
law = {}
for d, repeats in ((8, 12), (32, 6)):
    law[d] = [
        np.mean(
            [
                frechet_from_moments(*(Moments(d).update(normal(n, d, 1000 * r + 2 * n + side)) for side in (0, 1)))
                for r in range(repeats)
            ]
        )
        for n in sizes
    ]
judge = get_extractor("mnist-judge")
digits = data.load("mnist", split="test")
shuffled = np.random.default_rng(0).permutation(len(digits.images))  # the first half of the file is by tidier writers
digits = replace(digits, images=digits.images[shuffled], labels=digits.labels[shuffled])
digit_features = torch.cat([judge.features(torch.from_numpy(part)) for part in np.array_split(digits.images, 10)])
halves = {}
for n in (400, 600, 1000, 1700, 3000, 5000):
    draws = []
    for r in range(10):
        order = torch.randperm(len(digit_features), generator=generator(r))
        draws.append(
            frechet_from_moments(*(Moments(64).update(digit_features[rows]) for rows in (order[:n], order[5000 : 5000 + n])))
        )
    halves[n] = np.mean(draws)
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
for d, color in ((8, REAL), (32, FAKE)):
    left.loglog(sizes, [metrics.bias_isotropic(d, n) for n in sizes], color=color, label=f"law, d = {d}")
    left.loglog(sizes, law[d], "o", color=color)
left.set(xlabel="n", ylabel="Fréchet distance")
left.legend(frameon=False)
inverse = np.array([1 / n for n in halves])
slope, offset = np.polyfit(inverse, list(halves.values()), 1)
right.plot(inverse, list(halves.values()), "o", color=DISCRIMINATOR)
right.plot([0, inverse.max()], [offset, offset + slope * inverse.max()], color=DISCRIMINATOR)
right.set(xlabel="1/n", ylabel="FD(mnist-judge), real against real", ylim=(0, None))
for axis in (left, right):
    axis.grid(alpha=0.3)
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
for d, measured in law.items():
    for n, value in zip(sizes, measured):
        if n >= 25 * d:
            assert abs(value / metrics.bias_isotropic(d, n) - 1) < 0.2
fitted = [offset + slope / n for n in halves]
r2 = 1 - np.sum((np.array(fitted) - list(halves.values())) ** 2) / np.var(list(halves.values())) / len(halves)
assert r2 > 0.98 and abs(offset) < 0.1 * halves[400]
print("measured within 20% of the law; real digits lie on a line in 1/n that ends near zero: yes")

# %% tags=["hide-input"]
display(
    Markdown(
        f"Real digits are {halves[400]:.1f} from real digits with 400 of each and {halves[5000]:.2f} with 5,000. A generator "
        f"that draws perfect samples would score no better. This *floor* belongs beside every score."
    )
)

# %% [markdown]
# {cite:t}`chong2020effectively` turn the law into a remedy: measure at several $n$, fit the line, report its value at
# $1/n = 0$, $\mathrm{FID}_\infty$. It takes the bias of the fakes away; that of the fixed reference remains.

# %%
noisy = digits.images[5000:].astype(np.float32) + np.random.default_rng(0).normal(0, 12, digits.images[5000:].shape)
noisy_features = torch.cat(
    [judge.features(torch.from_numpy(part)) for part in np.array_split(noisy.round().clip(0, 255).astype(np.uint8), 10)]
)
reference = Moments(64).update(digit_features[:5000])
plain = {}
for n in (500, 1000, 2500, 5000):
    orders = [torch.randperm(5000, generator=generator(r))[:n] for r in range(10)]
    plain[n] = np.mean([frechet_from_moments(reference, Moments(64).update(noisy_features[order])) for order in orders])
limit = metrics.frechet_infinity(
    reference, noisy_features[:2500], sizes=[300, 400, 500, 700, 900, 1200, 1600, 2000, 2500], generator=generator(1)
)

# %% tags=["claim", "keep_output", "nbval-check-output"]
assert plain[500] > plain[1000] > plain[2500] > plain[5000]
assert abs(limit.value - plain[5000]) < abs(plain[500] - plain[5000]) / 2
print("fewer fakes score worse; from 2,500 fakes the line foresees the value of more: yes")

# %% [markdown]
# ```{widget} bias
# :alt: Orange dots that fall with the number of samples along a curve, starting well above zero.
#
# Both samples come from one standard normal law, so the true distance is 0. Dots: one draw at each size; the square is
# yours. The curve: the expected bias to first order. It grows with the square of the dimension.
# ```
#
# ## A distance without bias: KID
#
# Take a kernel $k(x,y)$, a measure of similarity, and compare its means {cite:p}`gretton2012kernel`:
# $\mathrm{MMD}^2(p, q) = \mathbb E\,k(X, X') + \mathbb E\,k(Y, Y') - 2\,\mathbb E\,k(X, Y)$, with independent copies.
#
# ```{prf:theorem} The U-statistic has no bias
# :label: thm-eval-unbiased
#
# For samples $x_1 \dots x_m$ of $p$ and $y_1 \dots y_n$ of $q$ let
# $\displaystyle \widehat{\mathrm{MMD}^2} = \frac{1}{m(m-1)}\sum_{i\ne j} k(x_i, x_j) + \frac{1}{n(n-1)}\sum_{i\ne j}
# k(y_i, y_j) - \frac{2}{mn}\sum_{i,j} k(x_i, y_j).$ Then $\mathbb E\,\widehat{\mathrm{MMD}^2} = \mathrm{MMD}^2(p, q)$ for all
# $m, n \ge 2$.
# ```
#
# ````{prf:proof}
# For $i \ne j$, $x_i$ and $x_j$ are independent, so every term of the first sum has the mean $\mathbb E\,k(X,X')$; likewise
# the others. (With the terms $i = j$ left in, each would add $\mathbb E\,k(X,X) - \mathbb E\,k(X,X') \ge 0$: that is the
# biased version.)
# ````
#
# The kernel inception distance {cite:p}`binkowski2018demystifying` is this with $k(x,y) = (x^\top y/d + 1)^3$ in
# Inception's features. Its mean is 0 when the distributions are equal, so it must often come out negative then.

# %%
draws = {"unbiased": [], "biased": [], "Fréchet": []}
for r in range(60):
    order = torch.randperm(len(digit_features), generator=generator(r))
    x, y = digit_features[order[:100]], digit_features[order[100:200]]
    for name, unbiased in (("unbiased", True), ("biased", False)):
        draws[name].append(metrics.mmd2(x, y, kernel=metrics.polynomial, unbiased=unbiased))
    draws["Fréchet"].append(frechet_from_moments(Moments(64).update(x), Moments(64).update(y)))
draws = {name: np.array(values) for name, values in draws.items()}

# %% tags=["claim", "keep_output", "nbval-check-output"]
error = draws["unbiased"].std() / math.sqrt(60)
assert abs(draws["unbiased"].mean()) < 3 * error and 10 < (draws["unbiased"] < 0).sum() < 50
assert (draws["biased"] > 0).all() and (draws["Fréchet"] > 0).all()
assert draws["biased"].mean() > 10 * error
print("100 real digits against 100: the unbiased estimate averages to zero and is often negative, the others never are: yes")

# %% [markdown]
# ## The Inception Score, and what it leaves out
#
# {cite:t}`salimans2016improved` score samples without looking at data: a classifier should be sure of each sample and
# all $K$ classes should occur. With its class probabilities $p(y\mid x)$ and their mean $p(y)$ over samples,
#
# $$ \mathrm{IS} = \exp\, \mathbb E_x\, \mathrm{KL}\bigl(p(y\mid x)\,\|\,p(y)\bigr) = \exp\bigl(H(y) - H(y\mid x)\bigr),
#    \qquad 1 \le \mathrm{IS} \le K. $$ (eq-inception-score)
#
# $H$ is the entropy, and the exponent is the mutual information of class and sample; $H(y) \le \log K$ and $H(y\mid x) \ge 0$ give the bounds.
# It says nothing about variety *within* a class {cite:p}`barratt2018note`. So take one test digit of each class and
# repeat it: a generator with ten pictures.

# %%
labels = torch.from_numpy(digits.labels)
logits = judge.logits(digit_features)
sure = [int(torch.where(labels == k)[0][logits[labels == k][:, k].argmax()]) for k in range(10)]
ten_pictures = digit_features[sure].repeat(500, 1)
rows = {}
for name, features in (("5,000 real digits", digit_features[5000:]), ("ten pictures, 500 times", ten_pictures)):
    shuffled = features[torch.randperm(len(features), generator=generator())]
    score = metrics.inception_score(judge.logits(shuffled)).mean
    distance = frechet_from_moments(reference, Moments(64).update(shuffled))
    recall = metrics.precision_recall(digit_features[:2000], shuffled[:2000]).recall
    rows[name] = (score, distance, recall)
table_rows = "\n".join(f"| {name} | {s:.2f} | {f:.1f} | {r:.2f} |" for name, (s, f, r) in rows.items())
display(Markdown(f"| samples | Inception Score (judge) | FD(mnist-judge) | recall |\n|---|---|---|---|\n{table_rows}"))
display(Markdown(f"(The real digits' distance is one draw of the two halves; the {halves[5000]:.2f} above is a mean of several.)"))

# %% tags=["claim", "keep_output", "nbval-check-output"]
(real_score, real_distance, real_recall), (ten_score, ten_distance, ten_recall) = rows.values()
assert real_score < ten_score <= 10.001 and ten_score > 9.9
assert ten_distance > 20 * real_distance and ten_recall < 0.01 < real_recall
print("ten pictures beat real digits in the Inception Score; distance and recall are not deceived: yes")

# %% [markdown]
# ## Two ways to be bad: precision and recall
#
# One number cannot say whether samples are poor or few in kind. {cite:t}`kynkaanniemi2019improved` surround every real
# feature by a ball that reaches to its $k$-th neighbour; *precision* is the share of fakes that lie in some ball, and
# *recall* the same with the roles exchanged. An outlier makes a huge ball, so {cite:t}`naeem2020reliable` count instead
# in how many balls a fake lies, divided by $k$ (*density*), and the share of balls that hold any fake (*coverage*). Here $k$ is 3
# for precision and recall, 5 for density and coverage.
#
# Two ways to spoil real digits: drown a share of them in noise, or show only some of the classes.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Real test digits against others, spoilt in two ways. Left: a share of the fakes is noise; precision falls by that share, recall and coverage much less. Right: some classes are missing; precision does not notice, recall and coverage lose class by class.", "name": "fig-eval-precision"}, "image": {"alt": "Two plots of precision, recall and coverage. Left, against the share of noise, precision falls in a straight line while the others stay high. Right, against the number of classes kept, precision is flat and the others rise in a straight line."}}
m = 1200
real_rows, fresh = digit_features[:m], digit_features[5000 : 5000 + m]
pixels = digits.images[6200 : 6200 + m] + np.random.default_rng(1).normal(0, 75, (m, 1, 28, 28))
poor = judge.features(torch.from_numpy(pixels.round().clip(0, 255).astype(np.uint8)))


def four(fakes):
    return (*metrics.precision_recall(real_rows, fakes), *metrics.density_coverage(real_rows, fakes))


measured = {"noise": {}, "classes": {}}
for share in (0.0, 0.2, 0.4, 0.6, 0.8):
    cut = round(share * m)
    measured["noise"][share] = four(torch.cat([fresh[cut:], poor[:cut]]))
for kept in (1, 2, 4, 7, 10):
    chosen = digit_features[5000:][labels[5000:] < kept]
    measured["classes"][kept] = four(chosen[torch.arange(m) % len(chosen)])
figure, axes = plt.subplots(1, 2, figsize=(8, 3), sharey=True, layout="constrained")
for axis, (name, xlabel) in zip(axes, (("noise", "share of noise"), ("classes", "classes kept"))):
    points = np.array(list(measured[name].values()))
    for column, label, color in ((0, "precision", REAL), (1, "recall", FAKE), (3, "coverage", GENERATOR)):
        axis.plot(list(measured[name]), points[:, column], "o-", color=color, label=label)
    axis.set(xlabel=xlabel, ylim=(0, 1))
    axis.grid(alpha=0.3)
axes[1].legend(frameon=False, loc="lower right")
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
clean, half_noise = measured["noise"][0.0], measured["noise"][0.4]
one, all_ = measured["classes"][1], measured["classes"][10]
assert abs(half_noise[0] / clean[0] - 0.6) < 0.1 and half_noise[1] > 0.85 * clean[1]
assert abs(one[0] - all_[0]) < 0.1 and one[1] < 0.3 * all_[1] and one[3] < 0.3 * all_[3]
print("noise costs precision its share and spares recall; keeping one class of ten costs recall and coverage, not precision: yes")

# %% [markdown]
# ```{widget} coverage
# :alt: Eight clusters on a ring in blue dots; orange squares cover five of them and leave three empty.
#
# A ring of eight Gaussians (blue) and a generator (orange). Reach fewer modes: recall falls, precision stays. Spread the
# samples: precision falls. Precision, recall and coverage with five neighbours.
# ```
#
# ## Copies
#
# A generator that repeats the training data has a perfect distance. Held-out data unmask it: fakes that were learnt lie
# as near to the training pictures as fresh pictures do; copies lie nearer {cite:p}`meehan2020non`. Three measures: the
# share of fakes whose nearest neighbour is a training picture rather than a held-out one (with sets of equal size, ½
# without copying), the ratio of the median distances of fakes and of held-out pictures to the training set, and *Meehan et al.*'s $z$, about standard normal without copying and far below 0 with it. The
# judge itself has seen MNIST's training digits and places them a little better than others, so training, held-out and
# fresh digits are all taken from its test digits here.

# %%
train_features, held_out, honest = digit_features[:2500], digit_features[2500:5000], digit_features[5000:6000]
mixed = torch.cat([honest[:500], train_features[:500]])
copies = {
    "other real digits": metrics.memorisation(train_features, held_out, honest),
    "half of them training digits": metrics.memorisation(train_features, held_out, mixed),
}
lines = "\n".join(f"| {name} | {c.share:.2f} | {c.distance_ratio:.2f} | {f'{c.z:.1f}'.replace('-', '−')} |" for name, c in copies.items())
display(Markdown(f"| samples | share nearer to training | distance ratio | z |\n|---|---|---|---|\n{lines}"))

# %% tags=["claim", "keep_output", "nbval-check-output"]
honest_, copied = copies.values()
assert abs(honest_.share - 0.5) < 0.05 and copied.share > 0.7 and copied.z < -10
print("fresh digits are near training and held-out data alike; copies give themselves away: yes")

# %% [markdown]
# ## Why to report intervals
#
# Is 14.2 better than 14.6? Draw the samples again and look. The block jackknife of `ganbook.metrics` leaves out a tenth
# of the fakes at a time and turns the spread of the results into an interval; resampling *with* repetition would not do,
# since repeated samples raise the distance itself. Below, ten draws of 500 noisy digits, no digit in two of them: the
# same "generator" each time.

# %%
intervals = []
pool = noisy_features[torch.randperm(len(noisy_features), generator=generator(2))]
for chosen in pool.split(500):
    blocks = [Moments(64).update(part) for part in chosen.tensor_split(10)]
    value = frechet_from_moments(reference, Moments(64).update(chosen))
    intervals.append((value, *metrics.frechet_interval([reference], blocks)))
intervals = np.array(intervals)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The same generator, measured ten times with 500 fakes: values, their 95% intervals, and the mean. Two of the ten, compared without intervals, would make a better and a worse method of one.", "name": "fig-eval-intervals"}, "image": {"alt": "Ten points with error bars scattered about a horizontal line; nearly all bars cross the line."}}
figure, axis = plt.subplots(figsize=(8, 2.6), layout="constrained")
axis.errorbar(
    range(10), intervals[:, 0], yerr=np.abs(intervals[:, 1:] - intervals[:, :1]).T, fmt="o", color=FAKE, ecolor="#999999"
)
axis.axhline(intervals[:, 0].mean(), color=REAL)
axis.set(xlabel="draw", ylabel="FD(mnist-judge)")
axis.grid(alpha=0.3)
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
mean = intervals[:, 0].mean()
covered = ((intervals[:, 1] < mean) & (mean < intervals[:, 2])).sum()
assert covered >= 8 and intervals[:, 0].std() > 0
print("at least 8 of 10 intervals hold the mean: yes")

# %% [markdown]
# Training seeds usually spread scores more than samples do; an interval over seeds needs several runs.
#
# ## What a resize does
#
# Real pictures against themselves, prepared in two ways: whatever comes out is the price of the preparation
# {cite:p}`parmar2022aliased`. First emoji, here and now: 64 pixels reduced to 32 by four filters, and saved as JPEG.

# %% tags=["hide-input"]
SIDE = 32
originals = data.load("emoji:noto", split="all").images[::6]


def prepared(option):
    out = np.empty((len(originals), 3, SIDE, SIDE), np.uint8)
    for i, pixels in enumerate(originals):
        picture = Image.fromarray(pixels.transpose(1, 2, 0))
        picture = picture.resize((SIDE, SIDE), getattr(Image.Resampling, option[0]))
        if option[1]:
            buffer = io.BytesIO()
            picture.save(buffer, "JPEG", quality=option[1])
            picture = Image.open(buffer)
        out[i] = np.asarray(picture).transpose(2, 0, 1)
    return out


options = {
    "Pillow box (reference)": ("BOX", 0),
    "Pillow bilinear": ("BILINEAR", 0),
    "Pillow bicubic": ("BICUBIC", 0),
    "nearest, not antialiased": ("NEAREST", 0),
    "box, then JPEG 90": ("BOX", 90),
    "box, then JPEG 75": ("BOX", 75),
}
emoji_judge = get_extractor("emoji-judge")
variants = {name: prepared(option) for name, option in options.items()}
features = {name: emoji_judge.features(torch.from_numpy(pixels)) for name, pixels in variants.items()}
base = Moments(64).update(features["Pillow box (reference)"])
scores = {name: frechet_from_moments(base, Moments(64).update(rows)) for name, rows in features.items()}
order = torch.randperm(len(originals), generator=generator())
floor = frechet_from_moments(
    *(Moments(64).update(features["Pillow box (reference)"][rows]) for rows in order.tensor_split(2))
)
lines = "\n".join(f"| {name} | {value:.2f} |" for name, value in scores.items())
display(Markdown(f"| the same {len(originals):,} emoji | FD(emoji-judge) |\n|---|---|\n{lines}"))

# %% tags=["hide-input"] mystnb={"figure": {"caption": "One emoji a column, prepared in six ways (rows in the order of the table). The eye forgives what the distance does not.", "name": "fig-eval-resize"}, "image": {"alt": "Grid of small emoji in six rows; the row of nearest-neighbour reduction has jagged edges, the JPEG rows faint halos."}}
picked = [20, 117, 250, 367, 450, 491, 517, 550, 567, 600]
sheet = np.concatenate([pixels[picked] for pixels in variants.values()])
show_sheet(image_sheet(torch.from_numpy(sheet).float() / 127.5 - 1, columns=len(picked), scale=2), width=7.0)
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
assert scores["Pillow box (reference)"] < 1e-6
assert scores["nearest, not antialiased"] > scores["Pillow bilinear"] > scores["Pillow bicubic"] > 0
assert scores["box, then JPEG 75"] > scores["box, then JPEG 90"] > 0
print("the aliased resize costs more than any antialiased one, and JPEG costs more the harder it compresses: yes")

# %% [markdown]
# Now photographs and Inception. The next table is the record of `benchmarks/protocol_effects.py`, which takes half an hour
# on two cores and is not repeated here.

# %% tags=["hide-input"]
record = json.loads((Path(ganbook.__file__).parent.parent / "book/measurements/celeba10k-protocol.json").read_text())
lines = "\n".join(f"| {name.replace('crop 140', 'crop 140 in place of 178')} | {row['fid']:.2f} |" for name, row in record["variants"].items())
display(
    Markdown(
        f"| the same {record['n']:,} faces of CelebA, 64 px | FID |\n|---|---|\n{lines}\n\n"
        f"*Protocol:* reference {record['preprocessing']}; {record['extractor']} `{record['extractor_sha256'][:8]}`; data "
        f"`{record['data_sha256'][:8]}`; {record['environment']['device']}; {record['date'][:10]}."
    )
)
sizes_ = record["sizes"]
lines = "\n".join(f"| {int(n):,} | {row['fid']:.2f} | {1000 * row['kid']:.2f} ± {1000 * row['kid_std']:.2f} |" for n, row in sizes_.items()).replace("-", "−")
display(Markdown(f"| real faces against other real faces, n of each | FID | KID × 1000 (± over subsets) |\n|---|---|---|\n{lines}"))

# %% tags=["claim", "keep_output", "nbval-check-output"]
fids = {name: row["fid"] for name, row in record["variants"].items()}
bias = [row["fid"] for row in sizes_.values()]
assert fids["nearest, not antialiased"] > 3 * fids["Pillow bilinear"] > 0
assert fids["JPEG, quality 75"] > fids["JPEG, quality 90"] > fids["Pillow bilinear"]
assert fids["crop 140"] > fids["nearest, not antialiased"]
assert bias == sorted(bias, reverse=True) and all(abs(r["kid"]) < 3 * r["kid_std"] for r in sizes_.values())
print("on faces too: aliasing, JPEG and another crop cost more than many methods gain, and KID stays at zero: yes")

# %% [markdown]
# So a number without its protocol cannot be compared with anything. In this book a value *is* an object with its
# protocol, and a table refuses to mix two:

# %% tags=["claim", "keep_output", "nbval-check-output"]
half = data.ImageSet("mnist", "test", digits.images[:2000], None, (), "as stored", digits.sha256)
fake = SetPictures(data.ImageSet("noisy digits", "test", noisy[:2000].round().clip(0, 255).astype(np.uint8), None, (), "", ""))
(value,) = evaluate(fake, half, judge, names=["frechet"], progress=False)
other = Value(value.name, 9.99, "a method from a paper", Protocol(**{**vars(value.protocol), "preprocessing": "padded to 32 px"}))
try:
    table([value, other])
    refused = ""
except InputError as error:
    refused = str(error)
assert "preprocessing" in refused
print(f"{value.name} refused beside another preprocessing: yes")

# %% [markdown]
# ```{admonition} What can go wrong
# :class: warning
# - **Fewer samples than features.** The covariance is singular and libraries return complex numbers, NaN, or an arbitrary number.
#   Here a Fréchet distance of $n \le d$ samples is refused; KID has no such limit.
# - **Another Inception.** Torchvision's weights give other numbers; so do other pooling layers. The hash of the weights is
#   part of every value here.
# - **Samples saved as JPEG, or resized by a deep-learning library's interpolation without antialiasing.** See above.
# - **Training on what the score measures.** A generator can be trained on Inception's features; the score then improves
#   more than the pictures.
# - **Choosing the best checkpoint by the score that is reported.** Choose by another split or another seed.
# ```
#
# ## Exercises
#
# ```{exercise}
# :label: ex-eval-scale
# All features are multiplied by 3. What happens to the Fréchet distance, and what to precision and recall?
# ```
#
# ````{solution} ex-eval-scale
# :class: dropdown
# Means grow by 3 and covariances by 9, so the distance grows by 9: it has units. Distances between neighbours grow
# alike, so precision and recall stay: they have none.
# ````

# %% tags=["hide-cell"]
x, y = digit_features[:600], noisy_features[:600]
plain_distance = frechet_from_moments(Moments(64).update(x), Moments(64).update(y))
assert math.isclose(frechet_from_moments(Moments(64).update(3 * x), Moments(64).update(3 * y)), 9 * plain_distance, rel_tol=1e-6)
for a, b in zip(metrics.precision_recall(x, y), metrics.precision_recall(3 * x, 3 * y)):
    assert abs(a - b) < 0.01

# %% [markdown]
# ```{exercise}
# :label: ex-eval-uniform
# A classifier reads every sample of a generator as one class, with certainty. What is the Inception Score? And if it is
# sure of every sample and all $K$ classes occur equally often?
# ```
#
# ````{solution} ex-eval-uniform
# :class: dropdown
# $p(y\mid x) = p(y)$ gives $\exp 0 = 1$, the least. In the second case $H(y) = \log K$ and $H(y\mid x) = 0$: $K$, the most.
# ````

# %% tags=["hide-cell"]
certain = torch.eye(10, dtype=torch.float64)
assert abs(metrics.inception_score_of_probabilities(certain[[3] * 100], splits=1).mean - 1) < 1e-9
assert abs(metrics.inception_score_of_probabilities(certain.repeat(10, 1), splits=1).mean - 10) < 1e-9

# %% [markdown]
# ```{exercise}
# :label: ex-eval-ceiling
# A perfect sampler draws from a mixture of well separated two-dimensional Gaussians. What share of its samples lies
# within three standard deviations of the nearest mode? Why is 98% of "high quality" samples no praise?
# ```
#
# ````{solution} ex-eval-ceiling
# :class: dropdown
# The squared distance in standard deviations is $\chi^2$ with two degrees of freedom, so the share is $1 - e^{-9/2} \approx
# 98.9\%$: the ceiling. A generator that has lost most modes can reach it, since each sample is only compared with its
# nearest mode. Modes captured and the reverse KL over modes belong beside it.
# ````

# %% tags=["hide-cell"]
grid = toy.grid(5, std=0.05)
perfect = grid.sample(20000, generator(5)).double()
share = metrics.mode_statistics(perfect, grid.means.double(), 0.05).high_quality
assert abs(share - (1 - math.exp(-4.5))) < 0.004
lost = perfect[(perfect[:, 0] - grid.means[0, 0]).abs() < 0.5]
found = metrics.mode_statistics(lost, grid.means.double(), 0.05)
assert found.high_quality > 0.98 and found.captured == 5 and found.reverse_kl > 1

# %% [markdown]
# ```{exercise}
# :label: ex-eval-unequal
# Two papers report FID of the same generator, one with 10,000 fakes and one with 50,000, both against 50,000 real
# pictures: 9.0 and 5.9. Estimate $\mathrm{FID}_\infty$ and say which assumption you need.
# ```
#
# ````{solution} ex-eval-unequal
# :class: dropdown
# With $\mathrm{FID}(n) = a + b/n$: $b = (9.0 - 5.9) / (1/10000 - 1/50000) = 38750$ and $a = 9.0 - 3.875 = 5.125$. It assumes
# the line in $1/n$ for the fakes and the same reference, crop, resize and weights in both papers.
# ````

# %% tags=["hide-cell"]
b = (9.0 - 5.9) / (1 / 10000 - 1 / 50000)
assert math.isclose(b, 38750) and math.isclose(9.0 - b / 10000, 5.125)

# %% [markdown]
# ## Where this is used
#
# `ganbook evaluate RUN --against celeba:64` prints these metrics with their protocol and intervals; the records of the
# experiments, from [digits](../experiments/gan_mnist) to [mode collapse](../experiments/mode_collapse), carry $\mathrm{FD}$ of the judges and the modes captured; [the thesis, revisited](../results/thesis) sets them beside FIDs of another protocol and says so. Code: `ganbook.metrics` and `ganbook.evaluation`.

# %% tags=["hide-input"]
display(Markdown(f"*This chapter ran in {time.perf_counter() - started:.0f} s.*"))
