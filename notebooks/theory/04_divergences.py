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
# # Divergences
#
# ```{admonition} In this chapter
# :class: tip
# - four ways to say how far two distributions are apart, and what each asks of a generator;
# - the family to which they belong, the $f$-divergences, and why each of them can be learned by a discriminator;
# - the value $C(G) = -\log 4 + 2\,\mathrm{JSD}$ once more, now by computer algebra, and why its minimum is unique;
# - what the non-saturating loss really descends;
# - why one divergence makes a model cover every mode and another makes it settle on one.
#
# *Before this:* [the minimax game](01_minimax_game); convex functions. *Cost:* about a quarter of a minute.
# ```
#
# As before, $p$ is the density of the data (the literature's $p_{\mathrm{data}}$), $q$ that of the generator's samples
# ($p_g$), $\theta$ the generator's parameters, and $D(x)$ a logit. Logarithms are natural, so KL and JSD are in *nats*.
# Sums stand for distributions on finitely many points, integrals for densities; the proofs are the same for both. The
# conventions $0\log 0 = 0$ and $0 \log\frac{0}{0} = 0$ hold throughout.

# %% tags=["hide-input"]
import math
import time
from itertools import pairwise, product

import matplotlib.pyplot as plt
import sympy
import torch
from IPython.display import Markdown, display

from ganbook.divergences import (
    F_DIVERGENCES,
    f_divergence,
    gaussian,
    gaussian_kl,
    js,
    kl,
    reverse_kl,
    total_variation,
    trapezoid_weights,
    variational_bound,
)
from ganbook.losses import LOSSES
from ganbook.nn.mlp import mlp
from ganbook.plotting import DISCRIMINATOR, FAKE, GENERATOR, REAL

torch.manual_seed(0)
started = time.perf_counter()
STYLE = {  # one colour and one dash for one divergence, in every figure
    "kl": (REAL, "-", "KL(p‖q)"),
    "reverse_kl": (FAKE, "--", "KL(q‖p)"),
    "js": (DISCRIMINATOR, "-", "JSD"),
    "total_variation": (GENERATOR, "-.", "TV"),
    "chi2": ("#56b4e9", ":", "χ²"),
    "hellinger": ("0.35", (0, (3, 1, 1, 1, 1, 1)), "Hellinger²"),
}

# %% [markdown]
# ## Four ways to compare two distributions
#
# The *Kullback–Leibler divergence* {cite:p}`kullback1951information` is the mean surprise at meeting $p$ when one
# expected $q$,
#
# $$ \mathrm{KL}(p\,\|\,q) = \int p(x) \log\frac{p(x)}{q(x)}\,dx. $$ (eq-div-kl)
#
# It is not symmetric; $\mathrm{KL}(q\,\|\,p)$ is called the *reverse* one. Mixing both arguments into
# $m = \frac12(p + q)$ first gives the *Jensen–Shannon divergence* {cite:p}`lin1991divergence`, and taking absolute
# differences the *total variation*:
#
# $$ \mathrm{JSD}(p, q) = \tfrac12\mathrm{KL}(p\,\|\,m) + \tfrac12\mathrm{KL}(q\,\|\,m), \qquad
#    \mathrm{TV}(p, q) = \tfrac12 \int |p(x) - q(x)|\,dx. $$ (eq-div-js)
#
# On a die the integrals are sums, and each formula is one line:

# %%
def kl_of_dice(p, q):
    return (p * (p / q).log()).sum()


def js_of_dice(p, q):
    m = (p + q) / 2
    return (kl_of_dice(p, m) + kl_of_dice(q, m)) / 2


def tv_of_dice(p, q):
    return (p - q).abs().sum() / 2


def random_dice(n, faces=6):
    return torch.distributions.Dirichlet(torch.ones(faces, dtype=torch.float64)).sample((n,))


loaded = torch.tensor([0.10, 0.10, 0.10, 0.15, 0.20, 0.35], dtype=torch.float64)
fair = torch.full((6,), 1 / 6, dtype=torch.float64)

# %% tags=["claim", "keep_output", "nbval-check-output"]
for p, q in [(loaded, fair), *zip(random_dice(200), random_dice(200))]:
    assert torch.isclose(kl_of_dice(p, q), kl(p, q))
    assert torch.isclose(kl_of_dice(q, p), reverse_kl(p, q))
    assert torch.isclose(js_of_dice(p, q), js(p, q))
    assert torch.isclose(tv_of_dice(p, q), total_variation(p, q))
assert not torch.isclose(kl(loaded, fair), reverse_kl(loaded, fair))
print("the lines above are the library's functions on 201 pairs of dice, and KL is not symmetric: yes")

# %% [markdown]
# ````{prf:theorem} Gibbs' inequality
# :label: thm-div-gibbs
#
# $\mathrm{KL}(p\,\|\,q) \ge 0$, with equality if and only if $p = q$ almost everywhere.
# ````
#
# ````{prf:proof}
# If $q = 0$ on a set to which $p$ gives mass, the divergence is $+\infty$. Otherwise $-\log$ is strictly convex, so
# Jensen's inequality gives
#
# $$ \mathrm{KL}(p\,\|\,q) = \mathbb E_{x\sim p}\Bigl[-\log\frac{q(x)}{p(x)}\Bigr]
#    \ge -\log \mathbb E_{x\sim p}\Bigl[\frac{q(x)}{p(x)}\Bigr] = -\log \int_{p>0} q\,dx \ge 0. $$
#
# Strict convexity makes the first inequality an equality only if $q/p$ is constant where $p > 0$; the second is one
# only if $q$ has all its mass there. Both together make the constant $1$.
# ````
#
# ````{prf:proposition} The Jensen–Shannon divergence is bounded
# :label: prop-div-js
#
# $0 \le \mathrm{JSD}(p,q) \le \log 2\cdot \mathrm{TV}(p, q) \le \log 2$. It is $0$ if and only if $p = q$, and
# $\log 2$ if and only if no point is possible under both.
# ````
#
# ````{prf:proof}
# The lower bound and its case of equality are {prf:ref}`thm-div-gibbs`, applied twice. For the upper bound put
# $s = p/(p+q)$, so that $p = 2ms$ and $q = 2m(1-s)$. Then
#
# $$ \mathrm{JSD} = \int m\,\bigl[\log 2 - H(s)\bigr]dx, \qquad H(s) = -s\log s - (1-s)\log(1-s), $$
#
# and $\mathrm{TV} = \int m\,|2s - 1|\,dx$. The entropy $H$ is concave with $H(0) = H(1) = 0$ and $H(\frac12) = \log 2$, so
# it lies above its chords: $H(s) \ge \log 2\,(1 - |2s-1|)$. This is $\log 2 - H(s) \le \log 2\,|2s-1|$; integrate. The
# value $\log 2$ requires $H(s) = 0$, that is $s \in \{0, 1\}$, wherever $m > 0$.
# ````

# %% tags=["claim", "keep_output", "nbval-check-output"]
pairs = list(zip(random_dice(500), random_dice(500)))
assert all(kl(p, q) > 0 and js(p, q) > 0 for p, q in pairs)
assert all(kl(p, p) == 0 and js(p, p) == 0 for p, _ in pairs)
assert all(js(p, q) <= math.log(2) * total_variation(p, q) <= math.log(2) for p, q in pairs)
odd, even = (torch.tensor(faces, dtype=torch.float64) / 3 for faces in ([1, 0, 1, 0, 1, 0], [0, 1, 0, 1, 0, 1]))
assert torch.isclose(js(odd, even), torch.tensor(math.log(2), dtype=torch.float64)) and kl(odd, even) == math.inf
print("KL > 0 = KL(p‖p), JSD ≤ log 2 · TV on 500 pairs; disjoint dice: JSD = log 2, KL = ∞: yes")

# %% [markdown]
# The total variation has a meaning that a GAN's reader should know: it is what the best discriminator, used as a plain
# classifier, can achieve.
#
# ````{prf:proposition} Total variation and the best classifier
# :label: prop-div-tv
#
# Let a sample be real or fake with probability ½ each. The largest probability of guessing right is
# $\frac12\bigl(1 + \mathrm{TV}(p,q)\bigr)$, reached by saying "real" where $p(x) > q(x)$.
# ````
#
# ````{prf:proof}
# Let $P(A)$ and $Q(A)$ be the masses that $p$ and $q$ give to a set $A$. A rule that says "real" on $A$ is right with probability $\frac12 P(A) + \frac12(1 - Q(A))
# = \frac12 + \frac12\int_A (p - q)\,dx$. The integral is largest for $A = \{p > q\}$. As $\int (p - q) = 0$, the positive
# and the negative part of $p-q$ have the same integral, half of $\int|p-q|$, which is $\mathrm{TV}$.
# ````
#
# For Gaussians the divergences are integrals over a line, which the trapezoidal rule gives to many digits (its weights
# are `trapezoid_weights`); where a closed form exists, the two are compared.

# %%
grid = torch.linspace(-20, 20, 8001, dtype=torch.float64)
weights = trapezoid_weights(grid)
standard = gaussian(grid)
shifts = torch.linspace(0, 6, 25, dtype=torch.float64)
widths = torch.logspace(-0.8, 0.6, 25, dtype=torch.float64)
named = ("kl", "reverse_kl", "js", "total_variation")
zero, one = torch.tensor([0.0, 1.0], dtype=torch.float64)
by_shift = {name: [f_divergence(standard, gaussian(grid, s), name, weights) for s in shifts] for name in named}
by_width = {name: [f_divergence(standard, gaussian(grid, 0, s), name, weights) for s in widths] for name in named[2:]}
by_width["kl"] = gaussian_kl(zero, one, zero, widths)  # closed form: a narrow Gaussian underflows to 0 in its tails,
by_width["reverse_kl"] = gaussian_kl(zero, widths, zero, one)  # where a quadrature would find an infinite divergence

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Four divergences between $p = \\mathcal N(0,1)$ and a Gaussian $q$ that is moved away (left) or has another width (right). Both KLs coincide on the left and grow without bound; JSD and TV level off. On the right KL punishes a $q$ that is too narrow, and the reverse KL one that is too wide.", "name": "fig-div-gaussians"}, "image": {"alt": "Left: divergence against the shift of q; the KL parabola leaves the picture while Jensen-Shannon and total variation saturate. Right: divergence against the width of q on a logarithmic axis; KL is steep on the narrow side, reverse KL on the wide side."}}
figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.2), layout="constrained", sharey=True)
for name in named:
    color, dash, label = STYLE[name]
    left.plot(shifts, by_shift[name], linestyle=dash, color=color, label=label, linewidth=1.8)
    right.plot(widths, by_width[name], linestyle=dash, color=color, label=label, linewidth=1.8)
left.axhline(math.log(2), color="0.5", linewidth=0.8)
left.text(0.05, math.log(2) + 0.03, "log 2", fontsize=9, color="0.3")
left.set(xlabel="mean of q", ylabel="divergence (nats; TV: no unit)", ylim=(0, 2.2))
right.set(xlabel="standard deviation of q", xscale="log")
right.minorticks_off()
right.set_xticks([0.2, 0.5, 1, 2, 4], ["0.2", "0.5", "1", "2", "4"])
for axis in (left, right):
    axis.grid(alpha=0.3)
right.legend(frameon=False, loc="upper center")
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
for s, forward, backward, tv in zip(shifts, by_shift["kl"], by_shift["reverse_kl"], by_shift["total_variation"]):
    assert abs(forward - s**2 / 2) < 1e-9 and abs(backward - s**2 / 2) < 1e-9
    assert abs(tv - math.erf(s / 2 / math.sqrt(2))) < 1e-4
for s in widths[widths > 0.6]:
    assert torch.isclose(kl(standard, gaussian(grid, 0, s), weights), gaussian_kl(zero, one, zero, s), atol=1e-7)
    assert torch.isclose(reverse_kl(standard, gaussian(grid, 0, s), weights), gaussian_kl(zero, s, zero, one), atol=1e-4)
real_guessed = (torch.randn(200_000) < 0.75).double().mean()  # p = N(0,1) against q = N(1.5,1): p > q left of 0.75
fake_guessed = (1.5 + torch.randn(200_000) >= 0.75).double().mean()
accuracy = (real_guessed + fake_guessed) / 2
assert abs(accuracy - (1 + total_variation(standard, gaussian(grid, 1.5), weights)) / 2) < 5e-3
print("quadrature equals the closed forms, and the best classifier is right with probability (1 + TV)/2: yes")

# %% [markdown]
# ## One family: f-divergences
#
# All four are of one form. Take a convex function $f$ on $[0,\infty)$ with $f(1) = 0$ and put
#
# $$ D_f(p\,\|\,q) = \int q(x)\, f\!\left(\frac{p(x)}{q(x)}\right) dx, $$ (eq-div-f)
#
# where a point with $q = 0 < p$ contributes the limit $p \cdot \lim_{u\to\infty} f(u)/u$.
#
# | $D_f$ | $f(u)$ | $f'(u)$ | conjugate $f^*(t)$ | for |
# |---|---|---|---|---|
# | $\mathrm{KL}(p\,\Vert\,q)$ | $u\log u$ | $1 + \log u$ | $e^{t-1}$ | all $t$ |
# | $\mathrm{KL}(q\,\Vert\,p)$ | $-\log u$ | $-1/u$ | $-1-\log(-t)$ | $t<0$ |
# | $\mathrm{JSD}$ | $\frac u2\log u-\frac{u+1}2\log\frac{u+1}2$ | $\frac12\log\frac{2u}{u+1}$ | $-\frac12\log(2-e^{2t})$ | $t<\frac12\log 2$ |
# | $\mathrm{TV}$ | $\frac12\lvert u-1\rvert$ | $\frac12\mathrm{sign}(u-1)$ | $t$ | $\lvert t\rvert\le\frac12$ |
# | $\chi^2(p\,\Vert\,q)$ | $(u-1)^2$ | $2(u-1)$ | $t + t^2/4$ | $t\ge -2$ |
# | Hellinger² | $\frac12(\sqrt u-1)^2$ | $\frac12(1-1/\sqrt u)$ | $t/(1-2t)$ | $t<\frac12$ |
#
# (The last two columns are used in the next section. The squared Hellinger distance is $\frac12\int(\sqrt p-\sqrt q)^2$.)
#
# ````{prf:theorem} What every f-divergence has in common
# :label: thm-div-f
#
# Let $f$ be convex with $f(1)=0$. Then
#
# 1. $D_f(p\,\|\,q)\ge 0$; if $f$ is strictly convex at $1$, equality holds only for $p = q$;
# 2. $f$ and $f(u) + c\,(u-1)$ define the same divergence, for every number $c$;
# 3. if $x$ is sent through any channel $x \mapsto y$ (a function, or noise), the divergence cannot grow:
#    $D_f(p_y\,\|\,q_y) \le D_f(p_x\,\|\,q_x)$.
# ````
#
# ````{prf:proof}
# (2) The added term is $c\int q\,(p/q - 1) = c\,(1-1) = 0$. (1) By Jensen,
# $\int q\,f(p/q) \ge f\bigl(\int q\cdot p/q\bigr) = f(1) = 0$, and a function that is strictly convex at $1$ allows
# equality only if $p/q = 1$ almost everywhere. (3) Write the joint densities as $p(x)\,k(y|x)$ and
# $q(x)\,k(y|x)$ with the same channel $k$; their ratio is $p(x)/q(x)$, so the divergence of the joints is
# $D_f(p_x\|q_x)$. Given $y$, the mean of the ratio under $q(x|y)$ is
# $\int \frac{p(x)}{q(x)}\frac{q(x)k(y|x)}{q(y)}\,dx = \frac{p(y)}{q(y)}$, so by Jensen within each $y$
#
# $$ D_f(p_x\|q_x) = \int q(y)\,\mathbb E_{q(x|y)} f\Bigl(\frac{p(x)}{q(x)}\Bigr)dy
#    \ge \int q(y)\, f\Bigl(\frac{p(y)}{q(y)}\Bigr)dy = D_f(p_y\|q_y). $$
#
# (Written for $q > 0$; where $q = 0$ the limits in the definition keep the inequality.)
# ````
#
# The third statement, the *data-processing inequality*, is why a divergence between *features* of images never exceeds the one between the images, and
# why noise on the inputs brings two distributions closer. In the cell below, a random channel is a random matrix with
# columns that sum to one.

# %% tags=["claim", "keep_output", "nbval-check-output"]
for name, divergence in F_DIVERGENCES.items():
    for p, q in pairs[:100]:
        value = f_divergence(p, q, name)
        channel = random_dice(6, faces=4).T  # 4 outcomes from 6; column x is the distribution of y given x
        assert f_divergence(channel @ p, channel @ q, name) <= value + 1e-12
        assert value > 0 and f_divergence(p, p, name).abs() < 1e-12
        shifted = (q * (divergence.f(p / q) + 3.7 * (p / q - 1))).sum()
        assert torch.isclose(shifted, value)
print("six divergences: positive, unchanged by c(u - 1), and never larger behind a channel: yes")

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The generating functions, each with $c$ chosen so that it touches zero at $u = 1$. To the right lie points where the model has too little mass ($p > q$), to the left points where it has too much. What a divergence punishes is read off the two arms. JSD and Hellinger almost coincide.", "name": "fig-div-generators"}, "image": {"alt": "Six convex curves against the density ratio u from 0 to 4, all touching zero at one; KL and chi squared rise steeply to the right, reverse KL rises to infinity at zero, Jensen-Shannon, total variation and Hellinger stay low."}}
u = torch.linspace(1e-3, 4, 800, dtype=torch.float64)
figure, axis = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
for name, (color, dash, label) in STYLE.items():
    touching = F_DIVERGENCES[name].f(u) - F_DIVERGENCES[name].slope(torch.ones(1, dtype=torch.float64)) * (u - 1)
    axis.plot(u, touching, linestyle=dash, color=color, label=label, linewidth=1.8)
axis.axvline(1, color="0.6", linewidth=0.8)
axis.set(xlabel="density ratio u = p/q", ylabel="f(u)", ylim=(-0.05, 2.6), xlim=(0, 4))
axis.grid(alpha=0.3)
axis.legend(frameon=False, ncols=2, loc="upper center")
plt.show()

# %% [markdown]
# ## The variational form: a divergence that can be learned
#
# The ratio $p/q$ in {eq}`eq-div-f` is unknown: of both distributions we have only samples. The way out replaces $f$ by
# its *convex conjugate*
#
# $$ f^*(t) = \sup_{u\ge 0}\,\bigl[u\,t - f(u)\bigr]. $$ (eq-div-conjugate)
#
# By definition $f(u) + f^*(t) \ge u\,t$ for all $u, t$ (the *Fenchel–Young inequality*), and for differentiable convex $f$
# the supremum is attained where the derivative of the bracket vanishes, at $t = f'(u)$.
#
# ````{prf:proposition} The conjugates of the table
# :label: prop-div-conjugates
#
# The fourth column of the table is the conjugate of the second, for the $t$ of the fifth.
# ````
#
# ````{prf:proof}
# The bracket is concave in $u$, so its largest value lies where $f'(u)=t$. Row by row that is at $u=e^{t-1}$; $u=-1/t$; $u=\frac{e^{2t}}{2-e^{2t}}$; for $\chi^2$ at
# $u=1+\frac t2$, which is not negative for $t\ge-2$; for Hellinger at $u=(1-2t)^{-2}$. Insert these into $u\,t-f(u)$. For TV the bracket
# $u\,t-\frac12|u-1|$ rises up to $u=1$ and falls behind it as long as $|t|\le\frac12$: its largest value is $t$.
# ````
#
# ````{prf:theorem} Variational bound
# :label: thm-div-variational
#
# ({cite:t}`nguyen2010estimating`; {cite:t}`nowozin2016fgan`, section 2.2.) For every function $T$ (a *critic*),
#
# $$ D_f(p\,\|\,q) \;\ge\; \mathbb E_{x\sim p}\,T(x) - \mathbb E_{x\sim q}\,f^*\bigl(T(x)\bigr), $$ (eq-div-bound)
#
# and the gap between the two sides is exactly
#
# $$ \mathbb E_{x\sim q}\Bigl[f(u) + f^*(T(x)) - u\,T(x)\Bigr]\ \ge 0, \qquad u = \frac{p(x)}{q(x)}. $$ (eq-div-gap)
#
# It vanishes for $T^*(x) = f'\bigl(p(x)/q(x)\bigr)$.
# ````
#
# ````{prf:proof}
# With $\mathbb E_p T = \mathbb E_q[u\,T]$, subtracting the right side of {eq}`eq-div-bound` from
# $D_f = \mathbb E_q f(u)$ gives {eq}`eq-div-gap`; its integrand is non-negative by Fenchel–Young, and zero for
# $T = f'(u)$.
# ````
#
# So a network that maximises the right side, an average over real samples minus an average over fakes, learns the
# divergence *from below*, and on the way it learns the density ratio. That is the whole of the $f$-GAN: the minimax
# game is, up to a factor and a constant, the row of the JSD in the table above.
#
# First the table itself. Computer algebra finds each conjugate from its $f$, and the library's agree:

# %%
t_symbol = sympy.Symbol("t", real=True)
u_symbol = sympy.Symbol("u", positive=True)
symbolic = {
    "kl": u_symbol * sympy.log(u_symbol),
    "reverse_kl": -sympy.log(u_symbol),
    "js": (u_symbol * sympy.log(u_symbol) - (u_symbol + 1) * sympy.log((u_symbol + 1) / 2)) / 2,
    "chi2": (u_symbol - 1) ** 2,
    "hellinger": (sympy.sqrt(u_symbol) - 1) ** 2 / 2,
}
table = {
    "kl": sympy.exp(t_symbol - 1),
    "reverse_kl": -1 - sympy.log(-t_symbol),
    "js": -sympy.log(2 - sympy.exp(2 * t_symbol)) / 2,
    "chi2": t_symbol + t_symbol**2 / 4,
    "hellinger": t_symbol / (1 - 2 * t_symbol),
}

# %% tags=["claim", "keep_output", "nbval-check-output"]
# checks prop-div-conjugates
for name, f in symbolic.items():
    slope = sympy.diff(f, u_symbol)
    assert sympy.simplify(sympy.diff(f, u_symbol, 2)).subs(u_symbol, sympy.Rational(7, 5)) > 0
    assert f.subs(u_symbol, 1) == 0
    # at the best u, where t = f'(u), the supremum u t - f(u) has the table's value
    difference = u_symbol * slope - f - table[name].subs(t_symbol, slope)
    assert sympy.simplify(sympy.expand_log(sympy.simplify(difference), force=True)) == 0, name
    ours = F_DIVERGENCES[name].conjugate(F_DIVERGENCES[name].slope(torch.tensor([0.3, 2.0], dtype=torch.float64)))
    for value, ratio in zip(ours, (0.3, 2.0)):
        assert abs(value.item() - float(table[name].subs(t_symbol, slope.subs(u_symbol, ratio)))) < 1e-12
u = torch.linspace(0, 60, 600_001, dtype=torch.float64)[1:]  # and the supremum itself, TV's included, on a fine grid
for name, at in (("kl", 1.5), ("reverse_kl", -0.4), ("js", 0.2), ("total_variation", 0.3), ("chi2", 1.0), ("hellinger", 0.3)):
    highest = (u * at - F_DIVERGENCES[name].f(u)).max()
    assert abs(highest - F_DIVERGENCES[name].conjugate(torch.tensor(at, dtype=torch.float64))) < 1e-6, name
print("the conjugates of the table follow from their f, by computer algebra, and are the library's: yes")

# %% [markdown]
# Then the theorem, for any critic at all: noise, a sine, the best one. Every value lies below the divergence, and by as
# much as {eq}`eq-div-gap` says.

# %%
real_density = 0.5 * gaussian(grid, -1.5, 0.8) + 0.5 * gaussian(grid, 1.5, 0.8)
fake_density = gaussian(grid, 0, 1.7)
ratio = real_density / fake_density


def gap_by_formula(critic, name):
    divergence = F_DIVERGENCES[name]
    return (weights * fake_density * (divergence.f(ratio) + divergence.conjugate(critic) - ratio * critic)).sum()


# %% tags=["claim", "keep_output", "nbval-check-output"]
for name, divergence in F_DIVERGENCES.items():
    value, best = f_divergence(real_density, fake_density, name, weights), divergence.slope(ratio)
    assert torch.isclose(variational_bound(real_density, fake_density, best, name, weights), value)
    for wrong in (0.9 * best - 0.04, best - 0.1 * torch.sin(3 * grid) ** 2, best - torch.rand_like(best)):
        bound = variational_bound(real_density, fake_density, wrong, name, weights)
        assert bound < value + 1e-12
        assert torch.isclose(value - bound, gap_by_formula(wrong, name), atol=1e-12)
print("no critic exceeds the divergence, the gap is the Fenchel–Young gap, and T* closes it: yes")

# %% [markdown]
# ### How tight is the bound for a critic of limited capacity?
#
# A real critic is no arbitrary function. Let $T = f'(e^{h})$, where the log-ratio $h$ is a polynomial of degree $k$ on
# $[-6, 6]$ (a sum of Chebyshev polynomials, which stay between $-1$ and $1$ there). Maximising {eq}`eq-div-bound` over its coefficients, with exact integrals so that nothing but capacity
# limits the result, gives the share of the divergence that such a critic can see.

# %%
window = grid.abs() <= 6
x6, p6, q6 = grid[window], real_density[window], fake_density[window]
w6 = trapezoid_weights(x6)
p6, q6 = p6 / (w6 * p6).sum(), q6 / (w6 * q6).sum()
chebyshev = torch.stack([torch.cos(k * torch.arccos((x6 / 6).clamp(-1, 1))) for k in range(13)])


def best_bound(name, degree):
    coefficients = torch.zeros(degree + 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([coefficients], max_iter=150, line_search_fn="strong_wolfe", tolerance_change=1e-12)
    slope = F_DIVERGENCES[name].slope

    def loss():
        critic = slope(torch.exp(coefficients @ chebyshev[: degree + 1]))
        return -variational_bound(p6, q6, critic, name, w6)

    def closure():
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(closure)
    with torch.no_grad():
        return -loss().item()


degrees = [0, 1, 2, 4, 6, 8, 10, 12]
tightness = {
    name: [best_bound(name, k) / f_divergence(p6, q6, name, w6).item() for k in degrees]
    for name in ("kl", "reverse_kl", "js", "hellinger")
}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: the data, a generator that has the right mean and width but one mode instead of two, and the log-ratio. Right: the share of the divergence that the best polynomial critic of a given degree reports. A linear or quadratic critic sees nothing.", "name": "fig-div-tightness"}, "image": {"alt": "Left: two-humped data density, single-humped generator density and their log ratio. Right: share against degree; zero up to degree 2, then rising in steps to nearly one at degree 12 for all four divergences."}}
figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.2), layout="constrained")
left.fill_between(x6, p6, color=REAL, alpha=0.3, label="p")
left.plot(x6, q6, color=FAKE, label="q")
left.set(xlabel="x", ylabel="density", ylim=(0, 0.36))
twin = left.twinx()
twin.plot(x6, torch.log(p6 / q6), "--", color=DISCRIMINATOR, label="log p/q (right axis)")
twin.set(ylim=(-6, 2.2), ylabel="log-ratio")
handles = [*left.get_legend_handles_labels()[0], *twin.get_legend_handles_labels()[0]]
left.legend(handles, ["p", "q", "log p/q (right axis)"], frameon=False, fontsize=9, loc="upper center", ncols=3)
for name, shares in tightness.items():
    color, dash, label = STYLE[name]
    right.plot(degrees, shares, linestyle=dash, marker="o", markersize=4, color=color, label=label)
right.set(xlabel="degree of the critic's polynomial", ylabel="bound / divergence", ylim=(-0.05, 1.05))
right.grid(alpha=0.3)
right.legend(frameon=False)
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
for shares in tightness.values():
    assert all(later >= earlier - 1e-6 for earlier, later in pairwise(shares))  # a larger family, a larger bound
    assert abs(shares[2]) < 1e-3 and 0.95 < shares[-1] <= 1 + 1e-9
print("the bound grows with the family, is 0 for a quadratic critic and above 95% at degree 12: yes")

# %% [markdown]
# Training such a critic against samples has a second gap, of the opposite sign. The critic may learn the *samples*
# instead of the distributions, and then the figure that it reports exceeds the divergence. With 32 samples of each
# kind and a small network:

# %%
def draw(n):
    real = 1.5 * (2 * torch.randint(2, (n, 1)) - 1) + 0.8 * torch.randn(n, 1)
    return real, 1.7 * torch.randn(n, 1)


def js_estimate(critic, real, fake):
    """The bound for JSD; with T = f'(e^h) and h a logit it is log 2 minus half the cross-entropy."""
    return math.log(2) - LOSSES["minimax"].d(critic(real).flatten(), critic(fake).flatten()).mean() / 2


torch.manual_seed(1)
train, fresh = draw(32), draw(50_000)
critic = mlp([1, 128, 128, 1], slope=0.2)
optimizer = torch.optim.Adam(critic.parameters(), 3e-3, fused=True)
course = []
for step in range(1501):
    if step % 50 == 0:
        with torch.no_grad():
            course.append((step, js_estimate(critic, *train).item(), js_estimate(critic, *fresh).item()))
    optimizer.zero_grad()
    (-js_estimate(critic, *train)).backward()
    optimizer.step()
true_js = js(real_density, fake_density, weights).item()

# %% tags=["hide-input"] mystnb={"figure": {"caption": "A critic trained on 32 + 32 samples. On its own samples the estimated JSD soon exceeds the true one; on fresh samples the same critic obeys the bound, and is worse than one that says nothing at all (0).", "name": "fig-div-overfit"}, "image": {"alt": "Two curves against training steps: the training estimate climbs far above the grey line of the true divergence, the estimate on fresh samples falls below zero."}}
figure, axis = plt.subplots(figsize=(6.4, 3), layout="constrained")
steps, on_train, on_fresh = zip(*course)
axis.axhline(true_js, color="0.55", linewidth=3, label="true JSD")
axis.plot(steps, on_train, color=DISCRIMINATOR, label="on its own 32 + 32 samples")
axis.plot(steps, on_fresh, "--", color=FAKE, label="on 50,000 fresh pairs")
axis.set(xlabel="training steps of the critic", ylabel="estimate of JSD (nats)")
axis.grid(alpha=0.3)
axis.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, fontsize=9)
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
for logit in (grid / 4, torch.sin(grid), grid**2 / 40 - 3):  # what `js_estimate` averages is the variational bound
    bound = variational_bound(real_density, fake_density, F_DIVERGENCES["js"].slope(torch.exp(logit)), "js", weights)
    parts = real_density * LOSSES["minimax"].d(logit, torch.full_like(logit, -1e9))  # reals alone: a fake at -∞ costs 0
    parts = parts + fake_density * LOSSES["minimax"].d(torch.full_like(logit, 1e9), logit)
    assert torch.isclose(bound, math.log(2) - (weights * parts).sum() / 2)
assert on_train[-1] > 3 * true_js
assert max(on_fresh) < true_js + 0.01 and on_fresh[-1] < 0
print("trained on 32 samples the critic reports more than 3 times the divergence, on fresh ones less than 0: yes")

# %% [markdown]
# ## The GAN's value, by computer algebra
#
# [The first chapter](01_minimax_game) proved $C(G) = -\log 4 + 2\,\mathrm{JSD}(p,q)$ ({prf:ref}`thm-jsd`). Here every
# step is left to `sympy`, with $a = p(x)$, $b = q(x)$ and $s = \sigma(D(x))$ at one point $x$; and the uniqueness of
# the minimum comes out in a second way, from convexity.
#
# ````{prf:theorem} The value at the optimum is strictly convex in the generator's density
# :label: thm-div-convex
#
# Let $p > 0$ on a set $X$. On the densities $q$ on $X$ the function
# $C(q) = \int p\log\frac{p}{p+q} + q\log\frac{q}{p+q}\,dx$ is strictly convex; its derivative at $q = p$ is the
# constant $-\log 2$, so $q = p$ is its one and only minimum, with $C(p) = -\log 4$.
# ````
#
# ````{prf:proof}
# The integrand $c(a,b) = a\log\frac{a}{a+b} + b\log\frac{b}{a+b}$ has $\partial c/\partial b = \log\frac{b}{a+b}$ and
# $\partial^2 c/\partial b^2 = \frac{a}{b(a+b)} > 0$: strictly convex in $b$, hence $C$ in $q$. At $b = a$ the derivative
# is $-\log 2$ at every point, so for any other density $q$ the tangent at $p$ gives
# $C(q) > C(p) - \log 2\int (q - p)\,dx = C(p)$, and $C(p) = \int p\log\frac12 + p\log\frac12 = -2\log 2$.
# ````

# %% tags=["claim", "keep_output", "nbval-check-output"]
a, b, s = sympy.symbols("a b s", positive=True)
value = a * sympy.log(s) + b * sympy.log(1 - s)
(best,) = sympy.solve(sympy.diff(value, s), s)
assert sympy.simplify(best - a / (a + b)) == 0  # s* = p/(p+q)
second = sympy.simplify(sympy.diff(value, s, 2).subs(s, best))
assert sympy.simplify(second + (a + b) ** 3 / (a * b)) == 0  # negative: a maximum

c = value.subs(s, best)
two_js = a * sympy.log(2 * a / (a + b)) + b * sympy.log(2 * b / (a + b))
assert sympy.simplify(sympy.expand_log(c - two_js + (a + b) * sympy.log(2), force=True)) == 0  # ∫(a+b) log 2 = log 4
assert sympy.simplify(sympy.diff(c, b) - sympy.log(b / (a + b))) == 0
assert sympy.simplify(sympy.diff(c, b, 2) - a / (b * (a + b))) == 0  # positive: strictly convex in q
assert sympy.simplify(sympy.diff(c, b).subs(b, a)) == -sympy.log(2)

h = sympy.Symbol("h", real=True)  # the logit: T = log σ(h) turns the variational bound into the game's value
sigma = 1 / (1 + sympy.exp(-h))
f_gan = u_symbol * sympy.log(u_symbol) - (u_symbol + 1) * sympy.log(u_symbol + 1)
slope = sympy.diff(f_gan, u_symbol)  # log(u/(u+1)); the conjugate is -log(1 - e^t):
assert sympy.simplify(sympy.expand_log(u_symbol * slope - f_gan + sympy.log(1 - u_symbol / (u_symbol + 1)), force=True)) == 0
assert sympy.simplify(slope - sympy.log(sigma.subs(h, sympy.log(u_symbol)))) == 0
print("s* = p/(p+q), C = -log 4 + 2 JSD, C'' = p/(q(p+q)) > 0, T* = log σ(D*): by computer algebra, yes")

# %% [markdown]
# The last lines say that the game is the $f$-GAN of $f(u) = u\log u - (u+1)\log(u+1)$, which generates
# $2\,\mathrm{JSD} - \log 4$, with the critic $T = \log\sigma(D)$ and $f^*(T) = -\log(1-\sigma(D))$.
#
# Numerically: gradient descent on $C$ over *all* distributions on twenty points, from ten random starts, ends at $p$.

# %%
torch.manual_seed(0)
p20 = random_dice(1, faces=20)[0]
scores = (2 * torch.randn(10, 20, dtype=torch.float64)).requires_grad_()


def value_of(q):
    return (torch.xlogy(p20, p20 / (p20 + q)) + torch.xlogy(q, q / (p20 + q))).sum(-1)


optimizer = torch.optim.Adam([scores], 0.05)
course = []
for _ in range(1500):
    values = value_of(scores.softmax(-1))
    course.append(values.detach())
    optimizer.zero_grad()
    values.sum().backward()
    optimizer.step()
found = scores.detach().softmax(-1)

# %% tags=["claim", "keep_output", "nbval-check-output"]
assert torch.stack(course).min() > -math.log(4) - 1e-12
assert (value_of(found) + math.log(4)).abs().max() < 1e-6
assert (found - p20).abs().max() < 1e-3
for q in random_dice(200, faces=20):
    assert torch.isclose(value_of(q), -math.log(4) + 2 * js(p20, q)) and value_of(q) > -math.log(4)
print("ten descents end at q = p with C = -log 4, and no distribution lies below: yes")

# %% [markdown]
# ### What the non-saturating loss descends
#
# In practice the generator does not minimise $\mathbb E_q\log(1-\sigma(D))$ but $-\mathbb E_q\log\sigma(D)$. That is no
# longer the Jensen–Shannon divergence.
#
# ````{prf:theorem} Gradient of the non-saturating loss
# :label: thm-div-nonsaturating
#
# ({cite:t}`arjovsky2017towards`, theorem 2.5.) Let $D^* = \log(p/q_{\theta_0})$ be the optimal discriminator of
# $q_{\theta_0}$, held fixed. Then, at $\theta = \theta_0$,
#
# $$ \nabla_\theta\, \mathbb E_{x\sim q_\theta}\bigl[-\log\sigma(D^*(x))\bigr]
#    = \nabla_\theta\bigl[\mathrm{KL}(q_\theta\,\|\,p) - 2\,\mathrm{JSD}(p, q_\theta)\bigr]. $$
# ````
#
# ````{prf:proof}
# For any logit $t$, $-\log\sigma(t) = -t - \log(1-\sigma(t))$, because $t = \log\sigma - \log(1-\sigma)$. So the
# left side is the sum of two gradients. *First*, $\mathbb E_{q_\theta}[-D^*] = \mathbb E_{q_\theta}\log\frac{q_{\theta_0}}{p}
# = \mathrm{KL}(q_\theta\|p) - \mathrm{KL}(q_\theta\|q_{\theta_0})$, and the last term has its minimum, hence gradient
# zero, at $\theta_0$. *Second*, by {prf:ref}`thm-jsd`, $-\log4 + 2\,\mathrm{JSD}(p,q_\theta) = \max_D V(D,\theta)$. At the
# maximiser the derivative of $V$ in the direction of $D$ is zero, so the gradient of the maximum is the partial gradient
# with $D^*$ held fixed: $\nabla\,2\,\mathrm{JSD} = \nabla_\theta\mathbb E_{q_\theta}\log(1-\sigma(D^*))$. Subtract.
# ````
#
# The saturating loss descends $2\,\mathrm{JSD}$; the non-saturating one descends the *reverse* KL and climbs the JSD.
# The fixed point $q = p$ is the same, and near it the two even agree: there $\mathrm{KL}(q\|p) \approx 4\,\mathrm{JSD}$, because to
# second order in $q-p$ the one is $\frac12\int\frac{(q-p)^2}p$ and the other a quarter of that.

# %%
def gradients(mean):
    """d/dθ for q_θ = N(θ, 1) and p = N(0, 1): both generator losses at the fixed D*, and the divergences."""
    theta = torch.tensor(mean, dtype=torch.float64, requires_grad=True)
    p, q = standard, gaussian(grid, theta)
    optimal = (torch.log(p) - torch.log(q)).detach()
    losses = [(weights * q * LOSSES[name].g(optimal, optimal)).sum() for name in ("minimax", "nonsaturating")]
    divergences = [reverse_kl(p, q, weights), 2 * js(p, q, weights)]
    return [torch.autograd.grad(v, theta, retain_graph=True)[0].item() for v in losses + divergences]


means = [0.05, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0]
slopes = [gradients(m) for m in means]

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Force on a Gaussian generator at distance θ from the data, against the optimal discriminator. The gradient of the non-saturating loss is exactly that of the reverse KL minus twice the JSD; it pulls with a force that grows with the distance, while the pull of the saturating loss fades.", "name": "fig-div-forces"}, "image": {"alt": "Gradients against the mean theta: the non-saturating curve rises almost linearly, the saturating curve rises to a maximum near one and a half and falls back towards zero; crosses of the divergences' gradients lie on the curves."}}
figure, axis = plt.subplots(figsize=(6.4, 3), layout="constrained")
minimax, nonsaturating, backward, two_jsd = map(torch.tensor, zip(*slopes))
axis.plot(means, nonsaturating, color=GENERATOR, label="non-saturating loss")
axis.plot(means, minimax, color=DISCRIMINATOR, label="saturating loss")
axis.plot(means, backward - two_jsd, "x", color="0.2", label="d/dθ [KL(q‖p) − 2 JSD]")
axis.plot(means, two_jsd, "+", color="0.2", markersize=9, label="d/dθ 2 JSD")
axis.set(xlabel="θ, distance of the generator's mean", ylabel="gradient")
axis.grid(alpha=0.3)
axis.legend(frameon=False)
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
assert torch.allclose(minimax, two_jsd, atol=1e-6)
assert torch.allclose(nonsaturating, backward - two_jsd, atol=1e-6)
assert abs(nonsaturating[0] / minimax[0] - 1) < 0.02  # near the data KL ≈ 4 JSD, so that KL - 2 JSD ≈ 2 JSD
assert nonsaturating[-1] > 20 * minimax[-1]
print("saturating = ∇ 2 JSD, non-saturating = ∇ [KL(q‖p) - 2 JSD]; equal near the data, far apart far away: yes")

# %% [markdown]
# ## Mode-covering and mode-seeking
#
# A model that can represent $p$ ends at $q = p$ under every divergence. A model that cannot has to give something up,
# and the divergence decides what. The arms of {numref}`fig-div-generators` tell: $\mathrm{KL}(p\|q)$ is infinite
# where $p > 0 = q$, so the model must *cover* everything; $\mathrm{KL}(q\|p)$ is infinite where $q > 0 = p$, so the
# model must *avoid* what is not data, and may forget a mode at finite cost.
#
# ````{prf:proposition} KL matches moments
# :label: prop-div-moments
#
# Among all Gaussians $q$, $\mathrm{KL}(p\,\|\,q)$ is smallest for the one with the mean and the variance of $p$.
# ````
#
# ````{prf:proof}
# $\mathrm{KL}(p\|q) = \mathbb E_p\log p - \mathbb E_p\log q$, and only the second term depends on $q$:
# $-\mathbb E_p \log q = \log s + \frac12\log 2\pi + \frac{1}{2s^2}\mathbb E_p(x-\mu)^2$. For every $s$ it is smallest at
# $\mu = \mathbb E_p x$, where $\mathbb E_p(x-\mu)^2$ is the variance $v$; the derivative $1/s - v/s^3$ in $s$ then vanishes
# only at $s^2 = v$, and changes sign from $-$ to $+$ there.
# ````
#
# The experiment: one Gaussian is fitted to a mixture of two by minimising each divergence, from several starts; the
# best end counts.

# %%
x16 = grid[grid.abs() <= 16]
w16 = trapezoid_weights(x16)


def mixture(separation):
    return 0.65 * gaussian(x16, -separation / 2, 0.7) + 0.35 * gaussian(x16, separation / 2, 0.7)


def mean_and_std(parameters):
    """From two free numbers to a mean in (-4, 4) and a standard deviation in (0.6, 2.8), which the grid can carry."""
    return 4 * torch.tanh(parameters[0]), 0.6 + 2.2 * torch.sigmoid(parameters[1])


def fit(name, target):
    """Mean, standard deviation and divergence of the best Gaussian found, best end first."""
    ends = []
    for mean, width in product((-2.0, 0.0, 2.0), (-2.0, 1.0)):  # narrow and wide
        parameters = torch.tensor([math.atanh(mean / 4), width], dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS([parameters], max_iter=60, line_search_fn="strong_wolfe")

        def closure(parameters=parameters, optimizer=optimizer):
            optimizer.zero_grad()
            value = f_divergence(target, gaussian(x16, *mean_and_std(parameters)), name, w16)
            value.backward()
            return value

        optimizer.step(closure)
        ends.append((closure().item(), *(v.item() for v in mean_and_std(parameters))))
    return [(mean, std, value) for value, mean, std in sorted(ends)]


fits = {(s, name): fit(name, mixture(s)) for s in (4.0, 5.0) for name in ("kl", "hellinger", "js", "reverse_kl")}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The Gaussian that is nearest to a mixture (grey) in four divergences, for modes 4 apart (top) and 5 apart (bottom). KL always covers both modes and puts its peak where there are hardly any data; the reverse KL settles on the heavier mode. JSD and Hellinger lie between: they cover at a distance of 4 and have given up the lighter mode at 5.", "name": "fig-div-modes"}, "image": {"alt": "Two rows of four panels with a two-humped density. The KL fit is one wide bump in both rows, the reverse KL fit a narrow bump over the left, heavier hump in both rows; the Jensen-Shannon and Hellinger fits are wide in the top row and narrow in the bottom row."}}
figure, axes = plt.subplots(2, 4, figsize=(9.6, 4.2), layout="constrained", sharey=True, sharex=True)
for axis, ((separation, name), ends) in zip(axes.flat, fits.items()):
    mean, std, value = ends[0]
    color, _, label = STYLE[name]
    axis.fill_between(x16, mixture(separation), color="0.8")
    axis.plot(x16, gaussian(x16, mean, std), color=color, linewidth=2)
    axis.set(title=f"{label}, {separation:g} apart", xlim=(-6, 6))
for axis in axes[1]:
    axis.set(xlabel="x")
for axis in axes[:, 0]:
    axis.set(ylabel="density")
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
target = mixture(4.0)
mean_p = (w16 * target * x16).sum()
std_p = ((w16 * target * x16**2).sum() - mean_p**2).sqrt()
mean, std, _ = fits[4.0, "kl"][0]
assert abs(mean - mean_p) < 1e-3 and abs(std - std_p) < 1e-3
mean, std, value = fits[4.0, "reverse_kl"][0]
assert abs(mean + 2) < 0.05 and abs(std - 0.7) < 0.05
assert abs(value - math.log(1 / 0.65)) < 0.02  # the price of the forgotten mode is finite: -log of the kept weight
assert fits[4.0, "reverse_kl"][-1][0] > 1.5  # the lighter mode is a second, worse end
for name in ("js", "hellinger"):
    assert fits[4.0, name][0][1] > 1.8 and fits[5.0, name][0][1] < 0.8
print("KL has the mixture's mean and variance; reverse KL sits on one mode and pays log(1/0.65) for it; JSD gives a mode up later: yes")

# %% [markdown]
# The price $\log(1/0.65)$ can be had on the back of an envelope: with $q$ equal to one mode of weight $\pi$ and the
# modes far apart, $p = \pi q$ on its support, so $\mathrm{KL}(q\|p) = \log\frac1\pi$. A generator with the non-saturating
# loss is driven by this divergence and hardly minds a lost mode as long as its samples look real: high quality, low
# diversity. (It is one root of mode collapse; the game's dynamics are another.)
#
# ## Where all of them fail
#
# If no set has mass under both $p$ and $q$, $\mathrm{KL} = \infty$, $\mathrm{JSD} = \log 2$ and $\mathrm{TV} = 1$, *however far
# apart they are*: whoever follows the gradient of a constant goes nowhere. Images fill a thin part of the space of all
# pixel arrays, and so do a generator's samples; two thin parts in general meet, if at all,
# in a set of probability zero {cite:p}`arjovsky2017towards`. A
# distance that knows how far one point is from another is the subject of the next chapter.

# %% tags=["claim", "keep_output", "nbval-check-output"]
cells = torch.arange(60)
left_block = (cells < 10).double() / 10
for gap in (0, 5, 40):
    other = ((cells >= 10 + gap) & (cells < 20 + gap)).double() / 10
    assert kl(left_block, other) == math.inf and total_variation(left_block, other) == 1
    assert torch.isclose(js(left_block, other), torch.tensor(math.log(2), dtype=torch.float64))
print("disjoint blocks at gaps 0, 5 and 40: KL = ∞, JSD = log 2, TV = 1 for each: yes")

# %% [markdown]
# ```{admonition} What can go wrong
# :class: warning
# - **Which KL?** "KL(p‖q)" with data first is maximum likelihood; libraries differ in their argument order
#   (`torch.nn.functional.kl_div(input, target)` takes the *second* one as $p$, and `input` as a logarithm).
# - **A tail that is cut off.** On a grid that is too short, densities do not integrate to one and a "divergence" may
#   even be negative. The library refuses them.
# - **Underflow.** A narrow Gaussian is exactly $0$ in floating point a few dozen standard deviations out, and a finite
#   KL becomes infinite. Work with log-densities or with closed forms there.
# - **An estimate taken for the divergence.** The discriminator's loss on fresh samples gives a *lower* bound, a loose
#   one if it is weak, and on the samples that it has overfitted an *over*-estimate ({numref}`fig-div-overfit`). It compares two models only if the
#   same discriminator was trained equally well on both.
# - **The critic's range.** An $f$-GAN's critic must stay where $f^*$ is finite; hence the activation $T = f'(e^h)$.
# ```
#
# ## Exercises
#
# ```{exercise}
# :label: ex-div-coin
# A coin shows heads with probability ½ under $p$ and with probability 1 under $q$. Compute both KLs, JSD and TV by hand.
# ```
#
# ````{solution} ex-div-coin
# :class: dropdown
# $\mathrm{KL}(p\|q) = \infty$ (tails are possible under $p$ only), $\mathrm{KL}(q\|p) = \log 2$,
# $\mathrm{TV} = \frac12(\frac12+\frac12) = \frac12$. With $m = (\frac34,\frac14)$:
# $\mathrm{JSD} = \frac12\bigl[\frac12\log\frac23 + \frac12\log 2\bigr] + \frac12\log\frac43 = \frac34\log\frac43$.
# ````

# %% tags=["hide-cell"]
coin_p, coin_q = torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0])
assert kl(coin_p, coin_q) == math.inf and abs(reverse_kl(coin_p, coin_q) - math.log(2)) < 1e-12
assert total_variation(coin_p, coin_q) == 0.5 and abs(js(coin_p, coin_q) - 0.75 * math.log(4 / 3)) < 1e-12

# %% [markdown]
# ```{exercise}
# :label: ex-div-pinsker
# *Pinsker's inequality* says $\mathrm{TV} \le \sqrt{\mathrm{KL}/2}$. Prove it: reduce it to two outcomes with
# {prf:ref}`thm-div-f` (3), then show $a\log\frac ab + (1-a)\log\frac{1-a}{1-b} \ge 2(a-b)^2$.
# ```
#
# ````{solution} ex-div-pinsker
# :class: dropdown
# Send $x$ to the bit "is $p(x) > q(x)$?". The bit's total variation is $|a-b|$ with $a = P(p>q)$, $b = Q(p>q)$, which by
# {prf:ref}`prop-div-tv` is the full $\mathrm{TV}$, while KL can only have fallen. For two outcomes let $g(b)$ be the left
# side minus the right: $g(a) = 0$ and $g'(b) = (b-a)\bigl[\frac{1}{b(1-b)} - 4\bigr]$, where the bracket is $\ge 0$
# because $b(1-b) \le \frac14$. So $g$ falls before $a$ and rises behind it, and $g \ge 0$.
# ````

# %% tags=["hide-cell"]
assert all(total_variation(p, q) <= (kl(p, q) / 2).sqrt() for p, q in pairs)
a_, b_ = sympy.symbols("a b", positive=True)
g = a_ * sympy.log(a_ / b_) + (1 - a_) * sympy.log((1 - a_) / (1 - b_)) - 2 * (a_ - b_) ** 2
assert sympy.simplify(sympy.diff(g, b_) - (b_ - a_) * (1 / (b_ * (1 - b_)) - 4)) == 0

# %% [markdown]
# ```{exercise}
# :label: ex-div-lsgan
# {cite:t}`mao2017least` train $D$ on $\frac12\mathbb E_p(D-1)^2 + \frac12\mathbb E_q(D+1)^2$ and $G$ on the same terms
# around $0$, $C = \frac12\mathbb E_p D^2 + \frac12\mathbb E_q D^2$ (the first does not depend on $G$'s parameters when
# $D$ is fixed). Show that with the best $D$, $2C$ is the $\chi^2$ divergence between $p+q$ and $2q$,
# $\int\frac{((p+q)-2q)^2}{p+q}dx$.
# ```
#
# ````{solution} ex-div-lsgan
# :class: dropdown
# Point by point $\frac12 p(D-1)^2+\frac12q(D+1)^2$ is least at $D^* = \frac{p-q}{p+q}$. Then
# $2C = \int (p+q)\frac{(p-q)^2}{(p+q)^2} = \int\frac{(p-q)^2}{p+q}$, and $p - q = (p+q) - 2q$. It is itself
# an $f$-divergence, with $f(u) = (u-1)^2/(u+1)$, and bounded by $2$.
# ````

# %% tags=["hide-cell"]
d = sympy.Symbol("d")
(best_d,) = sympy.solve(sympy.diff(a * (d - 1) ** 2 / 2 + b * (d + 1) ** 2 / 2, d), d)
assert sympy.simplify((a + b) * best_d**2 - (a - b) ** 2 / (a + b)) == 0
assert all(((p - q) ** 2 / (p + q)).sum() <= 2 for p, q in pairs)

# %% [markdown]
# ```{exercise}
# :label: ex-div-hinge
# The hinge discriminator minimises $\mathbb E_p\max(0, 1-D) + \mathbb E_q\max(0,1+D)$ {cite:p}`lim2017geometric`. Show
# that its least value is $2 - 2\,\mathrm{TV}(p,q)$. What does a hinge loss of 2 mean, and one of 0?
# ```
#
# ````{solution} ex-div-hinge
# :class: dropdown
# Outside $[-1,1]$ moving $D$ back to the nearer end does not raise the sum, and inside it the sum is
# $p(1-D)+q(1+D) = p+q-(p-q)D$, linear in $D$: the least value is at an end, $p+q-|p-q| = 2\min(p,q)$. Its integral is
# $2 - 2\,\mathrm{TV}$. A loss of 2 is that of a discriminator that knows nothing ($D = 0$) as well as the optimum for
# $q = p$; 0 means that real and fake are separated with a margin.
# ````

# %% tags=["hide-cell"]
levels = torch.linspace(-3, 3, 6001, dtype=torch.float64)
for p, q in pairs[:20]:
    losses = p[:, None] * torch.relu(1 - levels) + q[:, None] * torch.relu(1 + levels)
    assert torch.isclose(losses.min(1).values.sum(), 2 - 2 * total_variation(p, q))
    only_real = LOSSES["hinge"].d(levels, torch.full_like(levels, -1.0))  # at D = -1 a fake costs nothing
    assert torch.allclose(only_real, torch.relu(1 - levels))

# %% [markdown]
# ```{exercise}
# :label: ex-div-switch
# Bring the two modes of the mixture together, step by step. At which separation does the JSD fit change from one mode
# to both? Is the change sudden? Compare with the reverse KL.
# ```
#
# ````{solution} ex-div-switch
# :class: dropdown
# ```python
# for separation in torch.arange(2.0, 5.1, 0.25):
#     print(separation.item(), fit("js", mixture(separation))[0], fit("reverse_kl", mixture(separation))[0])
# ```
# The fit's standard deviation is the thing to watch: the best fit *jumps*, JSD's at about 4.4, that of the reverse KL already
# at about 3.3. Near the jump two local minima stand beside each other, one covering and one seeking, and the better one
# changes place.
# ````

# %% tags=["hide-cell"]
assert fit("reverse_kl", mixture(3.25))[0][1] > 1.2 and fit("reverse_kl", mixture(3.4))[0][1] < 0.8
assert fit("js", mixture(4.3))[0][1] > 1.8 and fit("js", mixture(4.45))[0][1] < 0.8
ends = sorted(std for _, std, _ in fit("js", mixture(4.0)))
assert ends[0] < 0.8 and ends[-1] > 1.8  # two local minima beside each other

# %% [markdown]
# ```{exercise}
# :label: ex-div-reparametrise
# Show that every $f$-divergence is unchanged if $x$ is replaced by an invertible function of $x$, and check it on
# $p = \mathcal N(1, 1)$, $q = \mathcal N(0, 1)$ and $y = \sinh x$. Is the same true of the distance between the two means?
# ```
#
# ````{solution} ex-div-reparametrise
# :class: dropdown
# By {prf:ref}`thm-div-f` (3) the divergence cannot grow on the way from $x$ to $y$, nor on the way back. Directly: both
# densities are divided by the same Jacobian, so the ratio is the same, and $q\,dx$ is a mass. The means of $\sinh x$ are
# not 1 apart but $\sqrt e\sinh 1$: an $f$-divergence knows nothing of distances.
# ````

# %% tags=["hide-cell"]
y = torch.sinh(grid[grid.abs() < 10])
pulled = [gaussian(torch.asinh(y), m) / torch.sqrt(1 + y**2) for m in (1, 0)]
fine = trapezoid_weights(y)
for name in ("kl", "js", "total_variation"):
    assert abs(f_divergence(*pulled, name, fine) - f_divergence(gaussian(grid, 1), standard, name, weights)) < 1e-3
assert abs((fine * y * (pulled[0] - pulled[1])).sum() - math.sqrt(math.e) * math.sinh(1)) < 1e-2

# %% [markdown]
# ## Where this is used
#
# The divergences are those of `ganbook.divergences`, the losses those of `ganbook.losses`.
# [The minimax game](01_minimax_game) trains the discriminator whose optimum is the JSD;
# [the MNIST experiment](../experiments/gan_mnist) and [the emoji experiment](../experiments/dcgan_emoji) descend the
# non-saturating loss of {prf:ref}`thm-div-nonsaturating`; [the experiment on mode collapse](../experiments/mode_collapse)
# counts what mode-seeking leaves out.

# %% tags=["hide-input"]
display(Markdown(f"*This chapter ran in {time.perf_counter() - started:.0f} s.*"))
