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
# # The minimax game
#
# ```{admonition} In this chapter
# :class: tip
# - the game between generator and discriminator, and the algorithm that plays it;
# - why the generator's own loss fades when it is needed most, and what replaces it;
# - the optimal discriminator and the value $-\log 4$, both proven and then measured;
# - two densities on a line that meet, while the discriminator falls silent at ½.
#
# *Before this:* [neural networks in brief](00_neural_networks_in_brief), or expectation, the logistic function, gradient descent and a
# little PyTorch from elsewhere. *Cost:* about half a minute.
# ```
#
# Throughout, $p$ is the density of the data, $q$ the density of the generator's samples, and
# $\sigma(t) = 1/(1+e^{-t})$. The discriminator of this book returns a *logit* $t = D(x)$, large on real; the
# probability that it gives to "real" is $\sigma(D(x))$.

# %% tags=["hide-input"]
import copy
import math
import time

import matplotlib.pyplot as plt
import torch
from IPython.display import Markdown, display
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid, softplus

from ganbook.losses import LOSSES
from ganbook.nn.mlp import mlp
from ganbook.plotting import DISCRIMINATOR, FAKE, GENERATOR, REAL

torch.manual_seed(0)
started = time.perf_counter()

# %% [markdown]
# ## Two players
#
# A *generator* $G$ turns noise $z \sim \mathcal N(0, I)$ into a sample $G(z)$. A *discriminator* $D$ sees a sample and
# says how real it looks. They play one game with opposite aims {cite:p}`goodfellow2014generative`:
#
# $$ \min_G \max_D\; V(D, G), \qquad
#    V(D, G) = \mathbb E_{x \sim p}\, \log \sigma(D(x)) + \mathbb E_{z}\, \log\bigl(1 - \sigma(D(G(z)))\bigr). $$ (eq-value)
#
# The second term is a mean over $q$ as well, $\mathbb E_z\,f(G(z)) = \mathbb E_{x\sim q}\,f(x)$ for every function $f$: that is
# what it means for $q$ to be the law of $G(z)$. Nothing in the game asks $G$ to resemble any particular picture: all that $G$ ever learns about the data comes through $D$.
#
# ### The discriminator's loss is a cross-entropy
#
# Label real samples $y = 1$ and fakes $y = 0$. For one sample the binary cross-entropy is
# $-y\log \sigma(t) - (1-y)\log(1-\sigma(t))$, so the discriminator's loss is minus the value of the game. In practice
# it is computed from two batches, one of fakes with label 0 and one of reals with label 1, whose two losses (or
# gradients) are averaged; that halves the loss and changes nothing else. With
# $-\log\sigma(t) = \log(1+e^{-t}) = \mathrm{softplus}(-t)$ it is two lines of code, safe for any logit:

# %%
def discriminator_loss(real_logits, fake_logits):
    return softplus(-real_logits) + softplus(fake_logits)


real_logits, fake_logits = torch.randn(2, 1000) * 5
from_labels = binary_cross_entropy_with_logits(real_logits, torch.ones(1000))
from_labels = (from_labels + binary_cross_entropy_with_logits(fake_logits, torch.zeros(1000))) / 2
ours = discriminator_loss(real_logits, fake_logits).mean()

# %% tags=["claim", "keep_output", "nbval-check-output"]
assert torch.allclose(ours, 2 * from_labels)
assert torch.equal(discriminator_loss(real_logits, fake_logits), LOSSES["minimax"].d(real_logits, fake_logits))
extreme = torch.tensor([1e4, -1e4])
assert discriminator_loss(extreme, -extreme).isfinite().all()
print("the loss is twice the averaged cross-entropy, is the library's, and is finite for any logit: yes")

# %% [markdown]
# ### The algorithm
#
# ```{prf:algorithm} Minibatch training of a GAN
# :label: alg-gan
#
# After {cite:t}`goodfellow2014generative`. **Repeat**
#
# 1. $k$ times: draw $n$ latents $z_i$ and $n$ data points $x_i$; take one descent step on
#    $\theta_D \mapsto \frac1n\sum_i \bigl[-\log \sigma(D(x_i)) - \log(1-\sigma(D(G(z_i))))\bigr]$, with $G$ fixed.
# 2. Draw $n$ fresh latents; take one descent step on the generator's loss in $\theta_G$, with $D$ fixed.
# ```
#
# Here $\theta_D$ and $\theta_G$ are the two networks' parameters. In the paper's letters, where $D$ is the *probability*, $X$ and
# $Z$ are the batches and $\eta$ is the learning rate, step 1 is an ascent,
# $\theta_D \leftarrow \theta_D + \eta\nabla[\log D(X) + \log(1 - D(G(Z)))]$; texts that print a minus sign there have
# already turned the value into a loss. The cell checks three readings of step 1 (descent on the loss, ascent on the value, and
# two gradients, one of the batch labelled 0 and one of the batch labelled 1, that are averaged) and, of step 2, that descent
# on $-\log\sigma(D(G(z)))$ is what one gets by training $G$ through a fixed $D$ towards the label 1.

# %% tags=["claim", "keep_output", "nbval-check-output"]
# checks alg-gan
with torch.random.fork_rng():
    torch.manual_seed(5)
    G, D = mlp([2, 16, 2], slope=0.2), mlp([2, 16, 1], slope=0.2)
    x, z = torch.randn(64, 2) + 1, torch.randn(64, 2)
theta_g, theta_d = tuple(G.parameters()), tuple(D.parameters())
descent = torch.autograd.grad(discriminator_loss(D(x), D(G(z).detach())).mean(), theta_d)
value = (logsigmoid(D(x)) + logsigmoid(-D(G(z)))).mean()  # V; log(1 - σ(t)) = log σ(-t)
ascent = torch.autograd.grad(value, theta_d, retain_graph=True)
fakes, reals = (
    torch.autograd.grad(binary_cross_entropy_with_logits(D(batch), torch.full((64, 1), label)), theta_d)
    for batch, label in ((G(z).detach(), 0.0), (x, 1.0))
)
for down, up, fake, real in zip(descent, ascent, fakes, reals):
    assert torch.allclose(down, -up, atol=1e-6) and torch.allclose((fake + real) / 2, down / 2, atol=1e-6)
towards_real = torch.autograd.grad(binary_cross_entropy_with_logits(D(G(z)), torch.ones(64, 1)), theta_g)
ours = torch.autograd.grad(LOSSES["nonsaturating"].g(D(x), D(G(z))).mean(), theta_g)
saturating = torch.autograd.grad(value, theta_g)
assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(towards_real, ours))
assert not any(torch.allclose(a, b, rtol=1e-2) for a, b in zip(saturating, ours))  # G's own side of V is another loss
print("descent on the loss is ascent on V and twice two averaged batches; G learns towards the label 1: yes")

# %% [markdown]
# ## Why the generator's own loss saturates
#
# The game hands the generator the loss $\log(1-\sigma(t))$ at its samples' logits $t$. Its derivative is
#
# $$ \frac{d}{dt}\log(1-\sigma(t)) = -\sigma(t), $$ (eq-saturating)
#
# which vanishes for $t \to -\infty$: exactly when the discriminator is sure that a sample is fake, as it is early in
# training, the generator learns nothing. {cite:t}`goodfellow2014generative` therefore let it minimise $-\log\sigma(t)$,
# whose derivative $-(1-\sigma(t))$ is near $-1$ there. Both push the logit up; they differ in which samples matter.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The generator's two losses (left) and their gradients (right) at a sample's logit. Where the discriminator is sure of a fake, on the left side, the saturating loss is flat.", "name": "fig-minimax-saturation"}, "image": {"alt": "Two plots against the logit: loss curves and their derivatives; the saturating derivative is zero for very negative logits, the non-saturating one is minus one."}}
t = torch.linspace(-8, 8, 400, requires_grad=True)
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
slopes = {}
for name, label, color in (("minimax", "saturating", DISCRIMINATOR), ("nonsaturating", "non-saturating", GENERATOR)):
    values = LOSSES[name].g(t, t)  # the first argument, the real logits, is ignored by both
    (slopes[name],) = torch.autograd.grad(values.sum(), t)
    left.plot(t.detach(), values.detach(), color=color, label=label)
    right.plot(t.detach(), slopes[name], color=color, label=label)
left.set(xlabel="logit of a fake", ylabel="generator loss")
right.set(xlabel="logit of a fake", ylabel="derivative")
for axis in (left, right):
    axis.grid(alpha=0.3)
    axis.legend(frameon=False)
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
logits = t.detach()
assert torch.allclose(slopes["minimax"], -torch.sigmoid(logits), atol=1e-6)
assert torch.allclose(slopes["nonsaturating"], -torch.sigmoid(-logits), atol=1e-6)
assert (slopes["minimax"] < 0).all() and (slopes["nonsaturating"] < 0).all()
ratio = (slopes["nonsaturating"] / slopes["minimax"])[0]
assert abs(ratio.log() - 8) < 1e-3  # the ratio is exp(-t)
print("derivatives are -σ(t) and -(1 - σ(t)); at t = -8 the second is", f"{ratio:.0f}", "times the first")

# %% [markdown]
# The same on a real pair of networks: a discriminator that was trained against an untrained generator, and the length
# of the gradient that reaches the generator's weights under each loss.

# %%
generator, discriminator = mlp([1, 32, 32, 1], slope=0.2), mlp([1, 32, 32, 1], slope=0.2)
optimizer = torch.optim.Adam(discriminator.parameters(), 1e-2, fused=True)
for _ in range(300):
    x, fake = 3 + 0.7 * torch.randn(256, 1), generator(torch.randn(256, 1)).detach()
    optimizer.zero_grad()
    discriminator_loss(discriminator(x), discriminator(fake)).mean().backward()
    optimizer.step()

gradient = {}
for name in ("minimax", "nonsaturating"):
    logits = discriminator(generator(torch.randn(4096, 1))).flatten()
    grads = torch.autograd.grad(LOSSES[name].g(logits, logits).mean(), tuple(generator.parameters()))
    gradient[name] = torch.cat([g.flatten() for g in grads]).norm().item()
median = f"{logits.median().item():.1f}".replace("-", "−")
display(
    Markdown(
        f"The discriminator gives the fakes a median logit of {median}. The gradient at the generator's "
        f"weights has length {gradient['minimax']:.2g} under the saturating loss and {gradient['nonsaturating']:.2g} under the "
        f"non-saturating one: {gradient['nonsaturating'] / gradient['minimax']:,.0f} times as long."
    )
)

# %% tags=["claim", "keep_output", "nbval-check-output"]
assert gradient["nonsaturating"] > 20 * gradient["minimax"]
print("against a sure discriminator the non-saturating gradient is more than 20 times as long: yes")

# %% [markdown]
# ```{widget} losses
# :alt: Two curves against the logit of a fake sample, the generator's loss in orange, nearly flat on the left, and the discriminator's in the colour of the text.
#
# Move the logit to the left, where the discriminator is sure, and compare the generator's slope under `minimax` and under
# `nonsaturating`. The generator's loss is orange, the discriminator's has the colour of the text; the real sample's logit is held at 0.
# ```
#
# ## The best discriminator
#
# ````{prf:theorem} Optimal discriminator
# :label: thm-optimal-discriminator
#
# ({cite:t}`goodfellow2014generative`, proposition 1.) For a fixed generator with density $q$, the value {eq}`eq-value` is largest for
#
# $$ \sigma(D^*(x)) = \frac{p(x)}{p(x) + q(x)}, \qquad\text{that is}\qquad D^*(x) = \log\frac{p(x)}{q(x)}, $$ (eq-dstar)
#
# and $D^*$ is unique wherever $p + q > 0$.
# ````
#
# ````{prf:proof}
# With the second term as a mean over $q$, the value is an integral over $x$,
# $V = \int p(x)\log s(x) + q(x)\log(1-s(x))\,dx$ with $s = \sigma \circ D$. For numbers $a, b \ge 0$, not both zero,
# $f(s) = a\log s + b\log(1-s)$ has $f'(s) = a/s - b/(1-s)$, which is zero only at $s^* = a/(a+b)$, and
# $f''(s) = -a/s^2 - b/(1-s)^2 < 0$: the maximum is there and only there. (If $a$ or $b$ is 0, $f$ is monotone, the maximum is
# at the end $s = 0$ or $1$, which is $a/(a+b)$ again, and the logit is infinite.) Nothing ties $s(x)$ at one point to $s$ at
# another, so maximising the integrand point by point maximises the integral. Taking the logit of $s^*$ gives
# $\log\frac{p}{q}$.
# ````
#
# A discriminator that is trained to the end is thus an estimator of the log density ratio. For $p = \mathcal N(\mu, 1)$
# and $q = \mathcal N(0, 1)$ the logit is the straight line $D^*(x) = \mu x - \mu^2/2$, a formula that a network can be
# checked against.

# %%
mu = 1.5
discriminator = mlp([1, 64, 64, 1], slope=0.2)
optimizer = torch.optim.Adam(discriminator.parameters(), 5e-3, fused=True)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 800)
for _ in range(800):
    x, fake = mu + torch.randn(2048, 1), torch.randn(2048, 1)
    optimizer.zero_grad()
    discriminator_loss(discriminator(x), discriminator(fake)).mean().backward()
    optimizer.step()
    schedule.step()

# %% tags=["hide-input"] mystnb={"figure": {"caption": "A discriminator trained on two known Gaussians finds the logit that the theorem names, where it has seen data.", "name": "fig-minimax-dstar"}, "image": {"alt": "The learned logit follows the straight line of the optimal logit between minus two and three and a half."}}
x = torch.linspace(-2, mu + 2, 200)[:, None]
with torch.no_grad():
    learned = discriminator(x).flatten()
optimal = mu * x.flatten() - mu**2 / 2
figure, axis = plt.subplots(figsize=(6, 3), layout="constrained")
axis.plot(x, optimal, color="0.6", linewidth=4, label=r"$D^*(x) = \mu x - \mu^2/2$")
axis.plot(x, learned, color=DISCRIMINATOR, label="learned")
axis.set(xlabel="x", ylabel="logit")
axis.grid(alpha=0.3)
axis.legend(frameon=False)
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
error = (torch.sigmoid(learned) - torch.sigmoid(optimal)).abs().max().item()
assert error < 0.05, error
print("the learned probability is within 0.05 of p/(p+q) everywhere between the means ± 2: yes")

# %% [markdown]
# ### Smoothed labels
#
# A discriminator that is *sure* has the logits $\pm\infty$ and no slope. {cite:t}`salimans2016improved` give it targets that are less sure.
#
# ````{prf:proposition} What smoothed labels ask for
# :label: prop-minimax-smooth
#
# Let real samples have targets with mean $a$ and fakes targets with mean $b$, where $0\le b<a\le1$ and each target is independent of its sample. The cross-entropy is then least for
#
# $$ \sigma(D^*(x))=\frac{a\,p(x)+b\,q(x)}{p(x)+q(x)}. $$ (eq-smooth)
# ````
#
# ````{prf:proof}
# The cross-entropy $-y\log s-(1-y)\log(1-s)$ is linear in $y$, so only the means count: the integrand is $-(ap+bq)\log s-((1-a)p+(1-b)q)\log(1-s)$, and by the proof above it is least at $s=\frac{ap+bq}{p+q}$.
# ````
#
# *One-sided* smoothing has $b=0$, for instance targets for real samples drawn from $[0.8,1]$, so that $a=0.9$. The answer is scaled by $a$, no logit is asked to exceed $\log\frac a{1-a}$, and where there are fakes only, $D^*$ remains as sure as before. With $b>0$ the generator's own density enters the numerator: where $q$ is large
# and $p$ small, $\sigma(D^*)$ is near $b$ instead of $0$, and bad samples are told that they are not so bad.

# %% tags=["claim", "keep_output", "nbval-check-output"]
levels = torch.linspace(-6, 6, 12_001, dtype=torch.float64)
targets = 0.8 + 0.2 * torch.rand(200_000, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
for p_x, q_x in ((0.4, 0.1), (0.1, 0.4), (0.3, 0.0)):
    for a, b in ((0.9, 0.0), (0.9, 0.1), (1.0, 0.0)):
        cross = p_x * (a * softplus(-levels) + (1 - a) * softplus(levels))
        cross = cross + q_x * (b * softplus(-levels) + (1 - b) * softplus(levels))
        best = (a * p_x + b * q_x) / (p_x + q_x)
        assert best == 1 or abs(torch.sigmoid(levels[cross.argmin()]).item() - best) < 1e-3
some = torch.tensor([-2.0, 0.0, 1.0, 3.0], dtype=torch.float64)
drawn = LOSSES["minimax"].smooth_d(some.expand(200_000, 4), some.expand(200_000, 4), targets).mean(0)
assert torch.allclose(drawn, 0.9 * softplus(-some) + 0.1 * softplus(some) + softplus(some), atol=5e-3)  # only the mean counts
print("smoothed labels move the best answer to (a p + b q)/(p + q), and of random targets only the mean counts: yes")

# %% [markdown]
# ## What the generator then minimises
#
# ````{prf:theorem} Value at the optimum
# :label: thm-jsd
#
# ({cite:t}`goodfellow2014generative`, theorem 1.) With the optimal discriminator the generator minimises
#
# $$ C(G) = V(D^*, G) = -\log 4 + 2\,\mathrm{JSD}(p, q), $$ (eq-jsd)
#
# where $\mathrm{JSD}(p,q) = \frac12\mathrm{KL}(p\,\|\,m) + \frac12\mathrm{KL}(q\,\|\,m)$, $m = \frac12(p+q)$, is the
# Jensen–Shannon divergence, made of Kullback–Leibler divergences $\mathrm{KL}(p\,\|\,m) = \mathbb E_p\log\frac pm$. Its
# minimum is $-\log 4$, reached if and only if $q = p$, and there $\sigma(D^*) = \frac12$ everywhere.
# ````
#
# ````{prf:proof}
# Insert {eq}`eq-dstar` into {eq}`eq-value` and write $p + q = 2m$:
#
# $$ \begin{aligned}
# C(G) &= \int p\log\frac{p}{2m} + q\log\frac{q}{2m}\,dx \\
#      &= -2\log 2 + \mathrm{KL}(p\,\|\,m) + \mathrm{KL}(q\,\|\,m) = -\log 4 + 2\,\mathrm{JSD}(p, q).
# \end{aligned} $$
#
# By Jensen's inequality $\mathrm{KL}(p\,\|\,m) = -\mathbb E_p \log\frac{m}{p} \ge -\log\int m = 0$, with equality if and
# only if $m = p$ almost everywhere, because $-\log$ is strictly convex. So $\mathrm{JSD} \ge 0$ with equality if and
# only if $p = m = q$, and then $p/(p+q) = \frac12$.
# ````
#
# For two Gaussians of variance one both sides of {eq}`eq-jsd` are integrals over a line; the trapezoidal rule gives them to
# many digits.

# %%
grid = torch.linspace(-20, 30, 200_001, dtype=torch.float64)


def gaussian(x, mean, std=1.0):
    return torch.exp(-0.5 * ((x - mean) / std) ** 2) / (std * math.sqrt(2 * math.pi))


def integral(values):
    return torch.trapezoid(torch.nan_to_num(values), grid).item()  # 0·log 0 = 0


def value_at_optimum(p, q):
    return integral(p * torch.log(p / (p + q))) + integral(q * torch.log(q / (p + q)))


def jsd(p, q):
    middle = (p + q) / 2
    return (integral(p * torch.log(p / middle)) + integral(q * torch.log(q / middle))) / 2


shifts = [0.0, 0.5, 1.0, 2.0, 4.0, 8.0]
rows = [(value_at_optimum(gaussian(grid, s), gaussian(grid, 0)), jsd(gaussian(grid, s), gaussian(grid, 0))) for s in shifts]
table = "| distance of the means | $C(G)$ | $-\\log 4 + 2\\,$JSD | JSD / $\\log 2$ |\n|---|---|---|---|\n"
table += "\n".join(
    f"| {s:g} | {c:.6f} | {-math.log(4) + 2 * j:.6f} | {j / math.log(2):.4f} |" for s, (c, j) in zip(shifts, rows)
).replace("-", "−")
display(Markdown(table))

# %% tags=["claim", "keep_output", "nbval-check-output"]
assert all(abs(c - (-math.log(4) + 2 * j)) < 1e-9 for c, j in rows)
assert abs(rows[0][0] + math.log(4)) < 1e-9 and all(c > -math.log(4) + 1e-3 for c, _ in rows[1:])
assert 0.05 < (rows[-1][1] - rows[-2][1]) / math.log(2) < 0.15 and rows[-1][1] > 0.999 * math.log(2)
print("C(G) = -log 4 + 2 JSD at every distance; it is -log 4 only where the densities agree: yes")

# %% [markdown]
# The last column already shows the weakness that the Wasserstein distance will mend: from a distance of four to one of
# eight the Jensen–Shannon divergence changes by less than a tenth of its range, and then no more: its gradient says almost nothing
# about *where* the data are.
#
# ## Two densities meet
#
# Now the whole game on a line. The data are $\mathcal N(3, 0.7^2)$; the generator, a small network, starts near zero.
# The loop is {prf:ref}`alg-gan` with $k = 1$ and the non-saturating loss. One ingredient is added: the penalty
# $\frac\gamma2\,\mathbb E_p\,\|D'(x)\|^2$ (R1, {cite:p}`mescheder2018which`) on the discriminator's slope at the
# data. It damps the circling of the two players round their equilibrium; the last exercise measures what it buys.

# %%
def play(gamma=0.1, steps=900, seed=0, snapshots=()):
    torch.manual_seed(seed)
    generator, discriminator = mlp([1, 32, 32, 1], slope=0.2), mlp([1, 32, 32, 1], slope=0.2)
    average_g, average_d = copy.deepcopy(generator), copy.deepcopy(discriminator)  # moving averages of the weights
    step_g = torch.optim.Adam(generator.parameters(), 2e-3, betas=(0.0, 0.99))
    step_d = torch.optim.Adam(discriminator.parameters(), 4e-3, betas=(0.0, 0.99))
    states = {}
    for step in range(steps + 1):
        if step in snapshots:
            states[step] = copy.deepcopy((generator, discriminator))
        fade = min(1.0, 2 * (1 - step / (steps + 1)))  # learning rates fall to zero over the second half
        step_g.param_groups[0]["lr"], step_d.param_groups[0]["lr"] = 2e-3 * fade, 4e-3 * fade

        x = (3 + 0.7 * torch.randn(256, 1)).requires_grad_()
        real_logits, fake_logits = discriminator(x), discriminator(generator(torch.randn(256, 1)).detach())
        (slope,) = torch.autograd.grad(real_logits.sum(), x, create_graph=True)
        d_loss = discriminator_loss(real_logits, fake_logits).mean() + gamma / 2 * slope.square().mean()
        step_d.zero_grad()
        d_loss.backward()
        step_d.step()

        g_loss = softplus(-discriminator(generator(torch.randn(256, 1)))).mean()
        step_g.zero_grad()
        g_loss.backward()
        step_g.step()
        with torch.no_grad():
            for average, network in ((average_g, generator), (average_d, discriminator)):
                for a, b in zip(average.parameters(), network.parameters()):
                    a.lerp_(b, 0.01)
    return average_g, average_d, states


moments = (0, 60, 150, 300, 600)
average_g, average_d, states = play(snapshots=moments)
states["end"] = (average_g, average_d)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The data's density (filled), the generator's samples (line) and the discriminator's probability of real (dashed) at six moments. At the end the densities nearly coincide and the discriminator says about one half wherever there are data. The generator's first peaks are cut off.", "name": "fig-minimax-meet"}, "image": {"alt": "Six panels: the generator's histogram starts as a narrow peak near zero, moves right and becomes the data's bell curve, while the dashed discriminator curve flattens at one half."}}
x = torch.linspace(-1.5, 6, 300)[:, None]
figure, axes = plt.subplots(2, 3, figsize=(9, 4.6), layout="constrained", sharex=True, sharey=True)
with torch.no_grad():
    for axis, (step, (g, d)) in zip(axes.flat, states.items()):
        samples = g(torch.randn(20_000, 1)).flatten()
        axis.fill_between(x[:, 0], gaussian(x[:, 0], 3, 0.7), color=REAL, alpha=0.3, label="data")
        axis.hist(samples, bins=80, range=(-1.5, 6), density=True, histtype="step", color=FAKE, label="generator")
        axis.plot(x, torch.sigmoid(d(x)), "--", color=DISCRIMINATOR, label="σ(D)")
        axis.set(title="end (averaged)" if step == "end" else f"step {step}", ylim=(0, 1.05))
axes[0, 0].legend(frameon=False, loc="upper right", fontsize=8)
figure.supxlabel("x", fontsize=9)
figure.supylabel("density; σ(D)", fontsize=9)
plt.show()

# %%
def distances(generator, discriminator, n=100_000):
    """W1 between data and samples (sorted samples against exact quantiles), and max |σ(D) - ½| on 99% of the data."""
    levels = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    quantiles = (3 + 0.7 * torch.special.ndtri(levels)).float()
    with torch.no_grad():
        samples = generator(torch.special.ndtri(levels).float()[:, None]).flatten().sort().values
        support = quantiles[n // 200 : -n // 200 : 100, None]
        doubt = (torch.sigmoid(discriminator(support)) - 0.5).abs().max().item()
    return (samples - quantiles).abs().mean().item(), doubt


(start_w1, _), (end_w1, end_doubt) = distances(*states[0]), distances(average_g, average_d)
display(
    Markdown(
        f"The Wasserstein-1 distance, the mean distance between sorted samples and the data's quantiles ([a later chapter](05_wasserstein) is about it), fell from **{start_w1:.2f}** to **{end_w1:.3f}**. On the "
        f"central 99% of the data the discriminator's probability stays within **{end_doubt:.3f}** of ½."
    )
)

# %% tags=["claim", "keep_output", "nbval-check-output"]
assert end_w1 < start_w1 / 20, (start_w1, end_w1)
assert end_doubt < 0.05, end_doubt
print("the distance fell to less than a twentieth, and D is within 0.05 of 1/2 on the data: yes")

# %% [markdown]
# ```{admonition} What can go wrong
# :class: warning
# - **Sigmoid twice.** A discriminator that ends in a sigmoid *and* is given a loss on logits still trains, badly. Here
#   $D$ returns logits, always.
# - **`log(1 - sigmoid(t))` typed as it stands** is $-\infty$ in single precision for logits of twenty, and its gradient
#   not a number; softplus is the same function and safe.
# - **"Minimax" that is not.** Many libraries offer a loss of that name whose generator is the non-saturating one.
#   The derivative at a very negative logit tells them apart ({numref}`fig-minimax-saturation`): zero or minus one.
# - **Reading the losses as progress.** At the optimum the discriminator's loss is $\log 4 \approx 1.386$, and a loss far
#   below says only that $D$ is ahead.
# ```
#
# ```{widget} densities
# :alt: Two bell curves, the data in blue and the narrower generator in orange to its right, and below them a curve that falls from one to zero where the generator takes over.
#
# The data are $\mathcal N(0,1)$; the generator's normal law is yours to move. Below: the best discriminator. Where the two
# meet it is flat at one half, and the value of the game is $-\log4$.
# ```
#
# ## Exercises
#
# ```{exercise}
# :label: ex-minimax-half
# With $D \equiv 0$, what are the discriminator's loss, the saturating and the non-saturating generator loss? Which of
# the three values can be read off a training log as a sign of equilibrium?
# ```
#
# ```{solution} ex-minimax-half
# :class: dropdown
# $\mathrm{softplus}(0) = \log 2$, so they are $2\log 2 = \log 4$, $-\log 2$ and $\log 2$. Each is necessary at the
# equilibrium, none is sufficient: a discriminator that has learned nothing shows the same numbers.
# ```

# %% tags=["hide-cell"]
silent = torch.zeros(3)
assert torch.allclose(discriminator_loss(silent, silent), torch.tensor(math.log(4)))
assert torch.allclose(LOSSES["minimax"].g(silent, silent), torch.tensor(-math.log(2)))
assert torch.allclose(LOSSES["nonsaturating"].g(silent, silent), torch.tensor(math.log(2)))

# %% [markdown]
# ```{exercise}
# :label: ex-minimax-line
# Derive $D^*$ for $p = \mathcal N(\mu, s^2)$ and $q = \mathcal N(0, 1)$. For which $s$ is it not monotone, and what does
# that mean for a generator that climbs it?
# ```
#
# ````{solution} ex-minimax-line
# :class: dropdown
# $D^*(x) = \log\frac pq = -\log s - \frac{(x-\mu)^2}{2s^2} + \frac{x^2}{2}$, a parabola for every $s \ne 1$. For $s < 1$
# it opens downwards with its top at $x = \mu/(1-s^2)$, beyond the data's mean: the gradient first pulls samples past $\mu$.
# For $s > 1$ it opens upwards, and a sample on the far side of its bottom, $x = -\mu/(s^2-1)$, is pushed away from the mean
# into the tail, where the wide $p$ is above $q$ as well. The extra cell below checks the formula.
# ````

# %% tags=["hide-cell"]
s = 0.7
points = torch.linspace(-2, 8, 1001, dtype=torch.float64)
formula = -math.log(s) - (points - 3) ** 2 / (2 * s**2) + points**2 / 2
assert torch.allclose(formula, torch.log(gaussian(points, 3, s) / gaussian(points, 0)))
assert abs(points[formula.argmax()].item() - 3 / (1 - s**2)) < 0.01
points, s = points - 8, 2.0
formula = -math.log(s) - (points - 3) ** 2 / (2 * s**2) + points**2 / 2
assert abs(points[formula.argmin()].item() + 3 / (s**2 - 1)) < 0.01

# %% [markdown]
# ```{exercise}
# :label: ex-minimax-swap
# Let $G$ be able to make every distribution. Is $\max_D \min_G V$ the same number as $\min_G \max_D V$, and is it the same
# *game*? Say what the generator does against a fixed $D$.
# ```
#
# ```{solution} ex-minimax-swap
# :class: dropdown
# The number is the same, $-\log 4$: whoever moves second has the advantage, so $\max\min\le\min\max=-\log4$, and $D\equiv0$
# already secures $-\log4$ against every $G$. The game is not: against a fixed $D$ the best generator puts all its samples on
# the point where $D$ is largest, a collapse to one sample, whatever the data are. Training in turns contains a little of
# both orders; that is one root of [mode collapse](08_mode_collapse).
# ```

# %% tags=["hide-cell"]
points = torch.linspace(-3, 3, 601, dtype=torch.float64)
fixed = torch.sin(2 * points) - points**2 / 8  # some D that does not move
generator_part = -softplus(fixed)  # log(1 - σ(D)) at each point
for spread in (0.01, 0.1, 1.0):  # distributions over the points, from nearly collapsed to wide
    mass = torch.softmax(torch.randn(601, dtype=torch.float64) / spread, 0)
    assert (mass * generator_part).sum() >= generator_part.min()
assert generator_part.argmin() == fixed.argmax()  # all mass on the point that D likes best
data = torch.softmax(-(points**2), 0)
assert (data * -softplus(-fixed)).sum() + generator_part.min() < -math.log(4)  # for D = 0 it would be -log 4

# %% [markdown]
# ```{exercise}
# :label: ex-minimax-r1
# Run `play(gamma=0.0)` and `play(gamma=3.0)` for a few seeds and compare `distances` of the averaged networks with those
# for `gamma=0.1`. What does the penalty buy? Does much more of it hurt here?
# ```
#
# ````{solution} ex-minimax-r1
# :class: dropdown
# ```python
# for gamma in (0.0, 0.1, 3.0):
#     print(gamma, [distances(*play(gamma, seed=seed)[:2]) for seed in range(10)])
# ```
# Look at the second number, how far the discriminator ends from one half. Without the penalty it is small for most seeds and
# large for some; the cell below shows two of these. With $\gamma=3$ it is small for every seed we tried, and for $\gamma=0.1$
# it lies between. The first number hardly changes: the learning rate that falls to zero and the averages have done most of the
# damping already, and what distance is left depends on the seed more than on $\gamma$. So thirty times as much does no harm
# here. That is a property of two bell curves, not of the penalty: on images its weight has to be chosen with care.
# ````

# %% tags=["claim", "keep_output", "nbval-check-output", "hide-input"]
doubts = {gamma: max(distances(*play(gamma, seed=seed)[:2])[1] for seed in (18, 19)) for gamma in (0.0, 3.0)}
assert doubts[3.0] < 0.03 and doubts[0.0] > 3 * doubts[3.0], doubts
print("seeds 18 and 19: with the penalty D ends within 0.03 of 1/2, without it one is more than three times as far: yes")

# %% [markdown]
# ## Where this is used
#
# The same two updates, with convolutions and labels, train [a conditional GAN on MNIST](../experiments/gan_mnist) and
# [a DCGAN that draws emoji](../experiments/dcgan_emoji). The losses are those of `ganbook.losses`, the steps those of
# `ganbook.models.gan`.

# %% tags=["hide-input"]
display(Markdown(f"*This chapter ran in {time.perf_counter() - started:.0f} s.*"))
