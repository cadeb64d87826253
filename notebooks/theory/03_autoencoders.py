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
# # Autoencoders
#
# ```{admonition} In this chapter
# :class: tip
# - the bound that a variational autoencoder maximises, derived twice, and what is lost by it;
# - why its gradient goes through the random draw, and how much noise that saves;
# - why the codes of a plain autoencoder leave holes, and what the variational and the Wasserstein autoencoder do about it;
# - the maximum mean discrepancy as a test: without bias, and how weak it can be;
# - an autoencoder whose errors a discriminator measures: three networks, three lines, and who receives which gradient.
#
# *Before this:* [neural networks in brief](00_neural_networks_in_brief), and the divergence KL and Gibbs' inequality from [the minimax game](01_minimax_game). What is used of transport and of kernels is said here; [later](05_wasserstein) [chapters](12_evaluation) say more. *Cost:* about a quarter of a minute.
# ```
#
# A *decoder* turns a code $z\in\mathbb R^d$ into a law $p_\theta(x\mid z)$ of pictures. With a prior $p(z)=\mathcal N(0,I)$ it defines a law of pictures without codes,
# $p_\theta(x)=\int p_\theta(x\mid z)\,p(z)\,dz$, and one would like to maximise $\log p_\theta(x)$ over the data. The integral is out of reach: of all codes, hardly any would have drawn the picture $x$, and
# an average over random codes finds none of them. An *encoder* $q_\phi(z\mid x)$, a law of codes for each picture with parameters $\phi$, says where to look.
#
# In this chapter $p$ and $q$ say with which letter they are densities: $p(z)$, $p_\theta(x\mid z)$ and $p_\theta(x)$ belong to the decoder, $q(z\mid x)$ and $q(z)$ to the encoder, and $\mathbb E_x$ is the mean over the data.

# %% tags=["hide-input"]
import math
import time

import matplotlib.pyplot as plt
import ot
import torch
from IPython.display import Markdown, display
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import softplus

from ganbook.metrics import imq, mmd2, rbf
from ganbook.models.autoencoder_terms import gaussian_kl, mmd2_estimate, reparameterise
from ganbook.models.vae_gan import build_vae_gan
from ganbook.nn.mlp import mlp
from ganbook.plotting import DISCRIMINATOR, FAKE, REAL

torch.manual_seed(0)
started = time.perf_counter()

# %% [markdown]
# ## A bound on the evidence
#
# The number $\log p_\theta(x)$ is called the *evidence* of $x$. Write $p_\theta(z\mid x)=p_\theta(x\mid z)\,p(z)/p_\theta(x)$ for the *posterior*, the law of the codes that may have drawn $x$.
#
# ````{prf:theorem} Evidence lower bound
# :label: thm-ae-elbo
#
# For every law $q(z\mid x)$ with a density that is positive only where $p(z)\,p_\theta(x\mid z)$ is,
#
# $$ \begin{aligned}
#    \log p_\theta(x)&=\mathrm{ELBO}(q)+\mathrm{KL}\bigl[q(z\mid x)\,\|\,p_\theta(z\mid x)\bigr],\\
#    \mathrm{ELBO}(q)&=\mathbb E_{q}\log p_\theta(x\mid z)-\mathrm{KL}\bigl[q(z\mid x)\,\|\,p(z)\bigr].
#    \end{aligned} $$ (eq-ae-elbo)
#
# Hence $\mathrm{ELBO}(q)\le\log p_\theta(x)$, with equality if and only if $q$ is the posterior $p_\theta(z\mid x)$.
# ````
#
# ````{prf:proof}
# Bayes' rule reads $\log p_\theta(x)=\log p_\theta(x\mid z)+\log p(z)-\log p_\theta(z\mid x)$ for every $z$. Add and subtract $\log q(z\mid x)$ and take the expectation over $q$; the left side
# does not depend on $z$. The last term is not negative, and zero only for equal laws, by Gibbs' inequality ({prf:ref}`thm-div-gibbs`; the proof of {prf:ref}`thm-jsd` contains it).
# ````
#
# Jensen's inequality gives the bound in one line, $\log\mathbb E_q\frac{p(z)p_\theta(x\mid z)}{q(z\mid x)}\ge\mathbb E_q\log\frac{p(z)p_\theta(x\mid z)}{q(z\mid x)}$, but does not say what is lost. The
# identity does: to raise the ELBO over $\theta$ is to raise the likelihood *or* to make the true posterior more like $q$, and a decoder may be bent to suit a simple encoder.
#
# With one-dimensional Gaussians everything can be computed. Let $x\mid z\sim\mathcal N(az,s^2)$: then $x\sim\mathcal N(0,a^2+s^2)$, and the posterior is $\mathcal N\bigl(\frac{a}{a^2+s^2}x,\frac{s^2}{a^2+s^2}\bigr)$.

# %% tags=["claim", "keep_output", "nbval-check-output"]
a, s, x = 1.7, 0.6, 0.9
evidence = Normal(0.0, math.sqrt(a**2 + s**2)).log_prob(torch.tensor(x)).item()
posterior = Normal(a * x / (a**2 + s**2), s / math.sqrt(a**2 + s**2))


def elbo(m, v):
    """The bound of q = N(m, v): E_q (x - az)² = (x - am)² + a²v."""
    expected = -0.5 * math.log(2 * math.pi * s**2) - ((x - a * m) ** 2 + a**2 * v) / (2 * s**2)
    return expected - gaussian_kl(torch.tensor([[m]]), torch.tensor([[math.log(v)]])).item()


gaps = [evidence - elbo(m, v) - kl_divergence(Normal(m, math.sqrt(v)), posterior).item() for m in (-1.0, 0.0, 0.5) for v in (0.05, 0.3, 2.0)]
at_posterior = evidence - elbo(posterior.mean.item(), posterior.variance.item())
assert max(map(abs, gaps)) < 1e-5 and abs(at_posterior) < 1e-6
print("log p(x) = ELBO + KL to the posterior for nine q:", max(map(abs, gaps)) < 1e-5)
print("the bound is reached at the posterior:", abs(at_posterior) < 1e-6)

# %% [markdown]
# The *variational autoencoder* (VAE) {cite:p}`kingma2014auto,rezende2014stochastic` takes $q_\phi(z\mid x)=\mathcal N\bigl(\mu_\phi(x),\operatorname{diag}\sigma_\phi^2(x)\bigr)$ with two outputs of the encoder network, $\mu_\phi(x)$ and $\sigma_\phi(x)\in\mathbb R^d$, and lets both networks climb the same bound. (With a label $y$ beside each picture everything stays as it stands, given $y$: encoder $q_\phi(z\mid x,y)$, decoder $p_\theta(x\mid z,y)$. That is the *conditional* VAE, CVAE, of {cite:t}`sohn2015learning`.) Its second term has a closed form:
#
# ````{prf:proposition} KL to the prior
# :label: prop-ae-kl
#
# $$ \mathrm{KL}\bigl[\mathcal N(\mu,\operatorname{diag}\sigma^2)\,\|\,\mathcal N(0,I)\bigr]=\tfrac12\sum_{i=1}^{d}\bigl(\mu_i^2+\sigma_i^2-1-\log\sigma_i^2\bigr). $$ (eq-ae-kl)
# ````
#
# ````{prf:proof}
# Both laws are products, so the coordinates add up. In one of them, $\log\frac{q(z)}{p(z)}=-\frac12\log\sigma^2-\frac{(z-\mu)^2}{2\sigma^2}+\frac{z^2}2$, and under $q$ the expectations of $(z-\mu)^2$ and $z^2$ are $\sigma^2$ and $\mu^2+\sigma^2$.
# ````

# %% tags=["claim", "keep_output", "nbval-check-output"]
mean, log_var = torch.randn(2, 6, 3, dtype=torch.float64)
scale = (0.5 * log_var).exp()
by_hand = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(1)
assert torch.allclose(gaussian_kl(mean, log_var), by_hand)
assert torch.allclose(by_hand, kl_divergence(Normal(mean, scale), Normal(0.0, 1.0)).sum(1))
z = reparameterise(mean[:1].expand(100_000, -1), log_var[:1].expand(100_000, -1), torch.Generator().manual_seed(0))
ratio = (Normal(mean[:1], scale[:1]).log_prob(z) - Normal(0.0, 1.0).log_prob(z)).sum(1)
assert abs(ratio.mean() - by_hand[0]) < 4 * ratio.std() / len(ratio) ** 0.5
print("the formula, the library's function, torch's and Monte Carlo agree: yes")

# %% [markdown]
# ## The gradient of a draw
#
# The first term, $\mathbb E_{q_\phi}f(z)$ with $f(z)=\log p_\theta(x\mid z)$, depends on $\phi$ through the law that is drawn from. There are two ways to its gradient. The *score function* {cite:p}`williams1992simple` differentiates the density,
#
# $$ \nabla_\mu\,\mathbb E f(z)=\mathbb E\bigl[f(z)\,\nabla_\mu\log q(z)\bigr]=\mathbb E\Bigl[f(z)\,\frac{z-\mu}{\sigma^2}\Bigr], $$ (eq-ae-score)
#
# since $\nabla q=q\,\nabla\log q$; it needs no derivative of $f$. *Reparameterisation* writes the draw as $z=\mu+\sigma\varepsilon$ with $\varepsilon\sim\mathcal N(0,I)$, moves the randomness out of the way, and differentiates through it,
#
# $$ \nabla_\mu\,\mathbb E f(\mu+\sigma\varepsilon)=\mathbb E\bigl[\nabla f(\mu+\sigma\varepsilon)\bigr]. $$ (eq-ae-path)
#
# Both are unbiased. The difference is in the noise:
#
# ````{prf:proposition} What reparameterisation saves
# :label: prop-ae-variance
#
# Let $f(z)=\frac12\lVert z\rVert^2$ and $z\sim\mathcal N(0,\sigma^2I)$ in $d$ dimensions. Of one draw, each coordinate of the gradient with respect to $\mu$ has variance $\sigma^2$ by {eq}`eq-ae-path` and $\frac14(d+2)(d+4)\,\sigma^2$ by {eq}`eq-ae-score`.
# ````
#
# ````{prf:proof}
# $\nabla f(z)=z=\sigma\varepsilon$ has variance $\sigma^2$ in each coordinate. The other estimate is $\frac12\sigma^2\lVert\varepsilon\rVert^2\cdot\varepsilon_i/\sigma$, with mean $0$ and second moment
# $\frac14\sigma^2\,\mathbb E\lVert\varepsilon\rVert^4\varepsilon_i^2=\frac{\sigma^2}{4d}\,\mathbb E\lVert\varepsilon\rVert^6$, by symmetry among the coordinates; and $\mathbb E\lVert\varepsilon\rVert^6=d(d+2)(d+4)$, the third moment of a $\chi^2$ law.
# ````
#
# It grows with the square of the dimension, for $f$ as a whole enters the gradient of every coordinate. (A constant baseline brings it down to the order of $d$, {ref}`as an exercise shows <ex-ae-variance>`. For a rugged $f$, whose slope is large where its values are not, the order can be reversed.)

# %% tags=["claim", "keep_output", "nbval-check-output"]
DIMS = (1, 2, 4, 8, 16, 32, 64)
sigma, draws = 0.7, 40_000
variances = []
for d in DIMS:
    mu = torch.zeros(d, dtype=torch.float64)
    eps = torch.randn(draws, d, dtype=torch.float64)
    point = (mu + sigma * eps).requires_grad_()
    value = 0.5 * point.square().sum(1)
    (path,) = torch.autograd.grad(value.sum(), point)
    score = value.detach()[:, None] * (point.detach() - mu) / sigma**2
    variances.append((path.var(0).mean().item(), score.var(0).mean().item()))
for d, (path, score) in zip(DIMS, variances):
    assert abs(path / sigma**2 - 1) < 0.05
    assert abs(score / (sigma**2 * (d + 2) * (d + 4) / 4) - 1) < 0.15
print("both variances are the proposition's from 1 to 64 dimensions: yes")

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Variance of one coordinate of the gradient from one draw, measured (dots) and by {prf:ref}`prop-ae-variance` (lines). With a code of 64 numbers, the score function needs about a thousand times as many draws.", "name": "fig-ae-variance"}, "image": {"alt": "Log-log plot over dimension: a flat line for reparameterisation and one that rises with slope two for the score function; dots lie on the lines."}}
figure, axis = plt.subplots(figsize=(6, 3), layout="constrained")
for column, (name, colour) in enumerate((("reparameterisation", DISCRIMINATOR), ("score function", FAKE))):
    axis.loglog(DIMS, [v[column] for v in variances], "o", color=colour, label=name)
axis.loglog(DIMS, [sigma**2] * len(DIMS), color=DISCRIMINATOR)
axis.loglog(DIMS, [sigma**2 * (d + 2) * (d + 4) / 4 for d in DIMS], color=FAKE)
axis.set(xlabel="dimension of the code", ylabel="variance")
axis.grid(alpha=0.3)
axis.legend(frameon=False)
plt.show()

# %% [markdown]
# ## Holes
#
# A plain autoencoder minimises $\mathbb E_x\lVert x-G(e(x))\rVert^2$ over encoder $e$ and decoder $G$. Whether its codes look like anything that one could draw from is not its business:
#
# ````{prf:proposition} The codes' law is free
# :label: prop-ae-free
#
# For every invertible map $T$ of the code space, $T\circ e$ and $G\circ T^{-1}$ have the same loss as $e$ and $G$.
# ````
#
# ````{prf:proof}
# $G\circ T^{-1}\circ T\circ e=G\circ e$.
# ````

# %% tags=["claim", "keep_output", "nbval-check-output"]
encoder, decoder = mlp([2, 16, 2]).double(), mlp([2, 16, 2]).double()
points = torch.randn(500, 2, dtype=torch.float64)
with torch.no_grad():
    codes = encoder(points)
    loss = (points - decoder(codes)).square().sum(1).mean()
    torn = torch.stack([codes[:, 0].sinh() + 5, codes[:, 1] + 3 * codes[:, 0] ** 3], 1)  # T, invertible and wild
    first = (torn[:, 0] - 5).asinh()
    back = torch.stack([first, torn[:, 1] - 3 * first**3], 1)
    assert torch.allclose(loss, (points - decoder(back)).square().sum(1).mean())
assert (torn.mean(0) - codes.mean(0)).norm() > 3 and not torch.allclose(torn.std(0), codes.std(0), rtol=1e-2)
print("codes moved and bent by an invertible map give the same loss, under another law: yes")

# %% [markdown]
# So any law of codes is as good as its image under any $T$: stretched, torn into islands by a strong gradient in between, or moved away from the origin altogether. Networks of limited size and the path of the optimiser choose among them; the prior does not.
# The VAE's KL term does choose, and what it asks for splits in two {cite:p}`hoffman2016elbo`. Write $q(z)=\mathbb E_x\,q(z\mid x)$ for the *aggregate posterior*, the law of the codes of all pictures together.
#
# ````{prf:proposition} What the KL term asks for
# :label: prop-ae-surgery
#
# $$ \mathbb E_x\,\mathrm{KL}\bigl[q(z\mid x)\,\|\,p(z)\bigr]=I_q(x;z)+\mathrm{KL}\bigl[q(z)\,\|\,p(z)\bigr], $$ (eq-ae-surgery)
#
# where $I_q(x;z)=\mathbb E_x\,\mathrm{KL}[q(z\mid x)\,\|\,q(z)]$ is the mutual information of picture and code.
# ````
#
# ````{prf:proof}
# $\log\frac{q(z\mid x)}{p(z)}=\log\frac{q(z\mid x)}{q(z)}+\log\frac{q(z)}{p(z)}$; take expectations over $x$ and $z$. The last term depends on $z$ alone, whose law is then $q(z)$.
# ````
#
# Only the second part is what sampling needs: codes drawn from $p(z)$ should be codes that the decoder has seen. The first part punishes the code for saying anything about the picture, and is one reason why a VAE blurs: what the code does not say, the decoder can only average.

# %% tags=["claim", "keep_output", "nbval-check-output"]
centres, widths = torch.tensor([-1.5, -0.4, 0.3, 2.0], dtype=torch.float64), torch.tensor([0.4, 0.9, 0.3, 0.6], dtype=torch.float64)
line = torch.linspace(-12, 12, 24_001, dtype=torch.float64)
step = line[1] - line[0]
each = Normal(centres[:, None], widths[:, None]).log_prob(line)  # log q(z | x) of four pictures
together = torch.logsumexp(each, 0) - math.log(4)  # log q(z)
prior_density = Normal(torch.zeros((), dtype=torch.float64), 1.0).log_prob(line)
left = gaussian_kl(centres[:, None], 2 * widths.log()[:, None]).mean()
information = (each.exp() * (each - together)).sum(1).mean() * step
mismatch = (together.exp() * (together - prior_density)).sum() * step
assert torch.isclose(left, information + mismatch, atol=1e-6) and 0 < information < math.log(4)
print("the KL term is information plus mismatch:", torch.isclose(left, information + mismatch, atol=1e-6).item())
print("the information is at most log 4, for four pictures:", 0 < information.item() < math.log(4))

# %% [markdown]
# ## The Wasserstein autoencoder
#
# {cite:t}`bousquet2017optimal` and {cite:t}`tolstikhin2018wasserstein` start from the other end, the [optimal-transport distance](05_wasserstein) between the data's law $P_X$ and the law $P_G$ of $G(z)$, $z\sim P_Z$, with a deterministic decoder $G$. A *transport plan* between two laws is a joint law $\pi$ that has them as its marginals: it says how much of the one is moved where to make the other. If moving $x$ to $u$ costs $c(x,u)$, the distance is the cost of the cheapest plan,
#
# $$ W_c(P_X,P_G)=\inf_{\pi}\;\mathbb E_{(x,u)\sim\pi}\,c(x,u). $$ (eq-ae-transport)
#
# ````{prf:theorem} Transport through the code
# :label: thm-ae-wae
#
# $$ W_c(P_X,P_G)=\inf_{Q:\;Q_Z=P_Z}\;\mathbb E_{x\sim P_X}\,\mathbb E_{z\sim Q(z\mid x)}\;c\bigl(x,G(z)\bigr), $$ (eq-ae-wae)
#
# the infimum being over all encoders $Q(z\mid x)$ whose aggregate $Q_Z=\mathbb E_x\,Q(z\mid x)$ is the prior.
# ````
#
# ````{prf:proof}
# *At most.* Such an encoder makes a joint law of $(x,z)$ with marginals $P_X$ and $P_Z$; then $(x,G(z))$ has the marginals $P_X$ and $P_G$ and is a transport plan of the same cost. *At least.* Take a plan $\pi$ of $x$ and $u\sim P_G$. Since $P_G$ is the law of $G(z)$,
# there is a conditional law of $z$ given $G(z)=u$. Draw $(x,u)$ from $\pi$ and then $z$ from that law: $x$ has the law $P_X$, $z$ the law $P_Z$, $G(z)=u$, and $c(x,G(z))$ costs what the plan costs. The law of $z$ given $x$ is the encoder.
# ````
#
# The distance between *pictures* has become a reconstruction error, under a constraint on *codes*, of the aggregate and not of each picture. The WAE relaxes the constraint to a penalty,
#
# $$ \min_{e,G}\;\mathbb E_x\,c\bigl(x,G(e(x))\bigr)+\lambda\,D(Q_Z,P_Z), $$ (eq-ae-waeloss)
#
# with $D$ a kernel distance, the MMD (WAE-MMD; defined below), or a game against a discriminator of codes (WAE-GAN, the adversarial autoencoder of {cite:t}`makhzani2015adversarial`). In terms of {prf:ref}`prop-ae-surgery` it keeps the mismatch and drops the information.
#
# For finitely many pictures and codes both sides of {eq}`eq-ae-wae` are linear programmes. Here several codes share a picture, so that $G$ is not invertible:

# %% tags=["claim", "keep_output", "nbval-check-output"]
rng = torch.Generator().manual_seed(1)
for _ in range(5):
    n_pictures, n_codes, n_made = 7, 9, 4
    p_x, p_z = (torch.rand(n, generator=rng, dtype=torch.float64) for n in (n_pictures, n_codes))
    p_x, p_z = p_x / p_x.sum(), p_z / p_z.sum()
    G = torch.randint(0, n_made, (n_codes,), generator=rng)  # which picture each code decodes to
    cost = torch.rand(n_pictures, n_made, generator=rng, dtype=torch.float64)
    p_g = torch.zeros(n_made, dtype=torch.float64).index_add_(0, G, p_z)
    between_pictures = ot.emd2(p_x.numpy(), p_g.numpy(), cost.numpy())
    over_encoders = ot.emd2(p_x.numpy(), p_z.numpy(), cost[:, G].contiguous().numpy())
    assert abs(between_pictures - over_encoders) < 1e-9
print("the distance between pictures is the best reconstruction by an encoder whose aggregate is the prior: yes")

# %% [markdown]
# ## Three autoencoders in the plane
#
# Eight clusters on a circle, codes of two numbers, so that nothing need be lost: whoever fails here fails by the law of the codes alone. The plain one, a VAE (with variance $0.2^2$ for each coordinate of $x$) and a WAE-MMD, same networks, same number of steps.


# %%
def clusters(n, rng):
    angle = torch.randint(0, 8, (n,), generator=rng) * (math.pi / 4)
    return 2 * torch.stack([angle.cos(), angle.sin()], 1) + 0.2 * torch.randn(n, 2, generator=rng)


def fit(objective, steps=900, batch=128):
    torch.manual_seed(0)
    encoder, decoder = mlp([2, 64, 64, 4]), mlp([2, 64, 64, 2])
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], 4e-3, fused=True)
    rng = torch.Generator().manual_seed(0)
    for _ in range(steps):
        x = clusters(batch, rng)
        mean, log_var = encoder(x).chunk(2, 1)
        z = reparameterise(mean, log_var, rng) if objective == "VAE" else mean
        loss = (x - decoder(z)).square().sum(1).mean() / (2 * 0.2**2)
        if objective == "VAE":
            loss = loss + gaussian_kl(mean, log_var).mean()
        if objective == "WAE":
            loss = loss + 1000 * mmd2_estimate(torch.randn(batch, 2, generator=rng), mean, imq(4.0))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return encoder, decoder


rng = torch.Generator().manual_seed(9)
test, prior = clusters(1500, rng), torch.randn(1500, 2, generator=rng)
codes, made = {}, {}
for objective in ("AE", "VAE", "WAE"):
    encoder, decoder = fit(objective)
    with torch.no_grad():
        mean, log_var = encoder(test).chunk(2, 1)
        codes[objective] = reparameterise(mean, log_var, rng) if objective == "VAE" else mean
        made[objective] = decoder(prior)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Top: codes of the data (blue) and draws from the prior (grey). Bottom: the data (grey) and what the decoders make of draws from the prior (orange). The plain autoencoder's codes are islands, and its prior draws land between the clusters. The VAE spreads its codes over most of the prior; the WAE's lie in streaks through it, whose gaps a batch's MMD hardly sees. Both pay with bridges, which a continuous decoder must draw between clusters.", "name": "fig-ae-plane"}, "image": {"alt": "Two rows of three scatter plots. AE: codes in islands around the prior, samples in the middle of the ring of clusters. VAE and WAE: codes over the prior's disc, samples mostly on the ring, with bridges between the clusters."}}
figure, axes = plt.subplots(2, 3, figsize=(8.4, 5.4), layout="constrained")
for column, objective in enumerate(codes):
    top, bottom = axes[:, column]
    top.scatter(*prior.T, s=2, color="0.75", linewidths=0)
    top.scatter(*codes[objective].T, s=3, color=REAL, linewidths=0)
    top.set_title(objective)
    bottom.scatter(*test.T, s=8, color="0.75", linewidths=0)
    bottom.scatter(*made[objective].T, s=3, color=FAKE, linewidths=0)
    reach = 1.05 * max(z.abs().max().item() for z in (prior, *codes.values()))
    top.set(xlim=(-reach, reach), ylim=(-reach, reach))
    bottom.set(xlim=(-4, 4), ylim=(-4, 4))
for axis in axes.flat:
    axis.set(aspect="equal", xticks=[], yticks=[])
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
modes = 2 * torch.stack([torch.arange(8).mul(math.pi / 4).cos(), torch.arange(8).mul(math.pi / 4).sin()], 1)
near = {name: (torch.cdist(points, modes).amin(1) < 0.6).double().mean().item() for name, points in made.items()}
apart = {name: mmd2(prior, z, kernel=imq(4.0)) for name, z in codes.items()}
assert apart["AE"] > 5 * max(apart["VAE"], apart["WAE"]) and min(near["VAE"], near["WAE"]) > near["AE"]
print("the AE's codes have at least 5 times the MMD² to the prior that the others' have:", apart["AE"] > 5 * max(apart["VAE"], apart["WAE"]))
print("of prior draws, VAE and WAE send a larger share to the clusters than the AE:", min(near["VAE"], near["WAE"]) > near["AE"])

# %% tags=["hide-input"]
rows = "\n".join(f"| {name} | {apart[name]:.3f} | {near[name]:.0%} |" for name in codes)
display(Markdown(f"| | MMD² of codes and prior | samples within 0.6 of a cluster |\n|---|---|---|\n{rows}"))

# %% [markdown]
# ## MMD as a test
#
# A *kernel* $k(z,z')$ says how alike two codes are: the Gaussian one (RBF) $e^{-\lVert z-z'\rVert^2/2\sigma^2}$, or the inverse multiquadric (IMQ) $C/(C+\lVert z-z'\rVert^2)$ with its heavier tails, in which the WAE's authors take $C=2d$, the mean squared distance of two draws from the prior. The squared *maximum mean discrepancy* of two laws $Q$ and $P$ is
#
# $$ \mathrm{MMD}^2(Q,P)=\mathbb E\,k(z_1,z_2)+\mathbb E\,k(z'_1,z'_2)-2\,\mathbb E\,k(z_1,z'_1) $$ (eq-ae-mmd-law)
#
# with independent $z_1,z_2\sim Q$ and $z'_1,z'_2\sim P$. For these two kernels it is zero only if $Q=P$ {cite:p}`gretton2012kernel`. The estimate that the WAE minimises leaves out the pairs of a draw with itself:
#
# $$ \widehat{\mathrm{MMD}}{}^2=\frac1{n(n-1)}\sum_{i\ne j}\bigl[k(z_i,z_j)+k(z'_i,z'_j)\bigr]-\frac2{n^2}\sum_{i,j}k(z_i,z'_j). $$ (eq-ae-mmd)
#
# Its expectation is $\mathrm{MMD}^2$ ([a later chapter](12_evaluation) proves it, {prf:ref}`thm-eval-unbiased`), zero for equal laws, and so it is negative about half the time there; the form with $i=j$ is never negative and has a bias of order $1/n$, which a penalty would push against for ever.
# How good is it at *seeing* a mismatch, on a batch? Call it seen if the estimate is larger than 95% of the values it takes when all $2n$ draws are relabelled at random, again and again, as if both samples were of one law. The share of trials in which a mismatch is seen is the test's *power*.


# %%
def seen(x, y, kernel, rng, relabellings=200):
    """Whether the permutation test at 5% tells the two samples apart."""
    n = len(x)
    both = torch.cat([x, y])
    matrix = kernel(both, both).fill_diagonal_(0)
    places = torch.rand(relabellings + 1, 2 * n, generator=rng).argsort(1)  # a random order in each row
    places[0] = torch.arange(2 * n)  # the first keeps the labels
    signs = 1.0 - 2.0 * (places >= n)
    # Σ s_i s_j k_ij differs from the estimate by a constant and the weights 1/n² and 1/n(n - 1), the same in every row
    values = ((signs @ matrix) * signs).sum(1)
    return bool((values[1:] >= values[0]).double().mean() < 0.05)


def power(change, d, kernel, n=64, trials=40):
    rng = torch.Generator().manual_seed(0)
    draws = torch.randn(trials, 2, n, d, generator=rng)
    return sum(seen(x, change(y), kernel, rng) for x, y in draws) / trials


SHIFTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
KERNELS = {"IMQ, C = 2d": lambda d: imq(2.0 * d), "RBF, σ² = d": lambda d: rbf(math.sqrt(d)), "RBF, σ = 1": lambda d: rbf(1.0)}


def shifted(z, by):
    """The codes, moved along the first coordinate."""
    return z + by * torch.eye(z.shape[1])[0]


powers = {(d, name): [power(lambda z, by=by: shifted(z, by), d, kernel(d)) for by in SHIFTS] for d in (2, 16) for name, kernel in KERNELS.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Power of the MMD test with two samples of 64, against codes whose mean is shifted in one coordinate. Without a shift it should be 5% (grey). The same shift is harder to see among 16 coordinates, and hardest for the kernel whose width does not grow with the dimension: to it all draws are far apart. The curves of the other two nearly coincide.", "name": "fig-ae-power"}, "image": {"alt": "Two panels, 2 and 16 dimensions. Share of mismatches seen against the shift, for three kernels: it rises from one in twenty to certainty, later in 16 dimensions, and last for the narrow kernel."}}
figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained", sharey=True)
for axis, d in zip(axes, (2, 16)):
    for name, style in zip(KERNELS, ("-o", "--s", ":^")):
        axis.plot(SHIFTS, powers[d, name], style, label=name, markersize=4)
    axis.axhline(0.05, color="0.6", linewidth=0.8)
    axis.set(title=f"{d} dimensions", xlabel="shift of the mean, standard deviations")
    axis.grid(alpha=0.3)
axes[0].set_ylabel("power")
axes[0].legend(frameon=False)
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
rng = torch.Generator().manual_seed(0)
equal = torch.randn(500, 2, 64, 2, generator=rng, dtype=torch.float64)
values = torch.stack([mmd2_estimate(p, q, imq(4.0)) for p, q in equal])
biased = torch.tensor([mmd2(p, q, kernel=imq(4.0), unbiased=False) for p, q in equal])
assert abs(values.mean()) < 2 * values.std() / 500**0.5 and 0.4 < (values < 0).double().mean() < 0.75 and (biased > 0).all()
assert max(p[0] for p in powers.values()) <= 0.2 and min(p[-1] for (d, _), p in powers.items() if d == 2) == 1
assert sum(powers[16, "RBF, σ = 1"]) < min(sum(powers[16, name]) for name in ("IMQ, C = 2d", "RBF, σ² = d"))
print("of equal laws the unbiased estimate is 0 within two standard errors:", bool(abs(values.mean()) < 2 * values.std() / 500**0.5))
print("it is negative about half the time, the biased one never:", 0.4 < (values < 0).double().mean().item() < 0.75 and bool((biased > 0).all()))
print("equal laws are told apart in at most 20% of trials:", max(p[0] for p in powers.values()) <= 0.2)
print("a shift by two standard deviations is always seen in 2 dimensions:", min(p[-1] for (d, _), p in powers.items() if d == 2) == 1)
print("over all shifts, the kernel that is too narrow has the least power in 16 dimensions:", sum(powers[16, "RBF, σ = 1"]) < min(sum(powers[16, name]) for name in ("IMQ, C = 2d", "RBF, σ² = d")))

# %% [markdown]
# ## A discriminator that measures the error
#
# The autoencoders above compare $x$ with its reconstruction coordinate by coordinate; on pictures, a stroke that is moved by one pixel is then as wrong as one that is missing. {cite:t}`larsen2016autoencoding` compare in the features $D_l$ of a GAN's discriminator, after its $l$-th layer, and let the decoder be the GAN's generator.
# With $z\sim q(z\mid x)$, $z_p\sim p(z)$ and $D$ the logit, let
#
# $$ \begin{aligned}
# L_{\text{prior}}&=\mathrm{KL}\bigl[q(z\mid x)\,\|\,p(z)\bigr],\qquad L_{\text{llike}}=\tfrac12\bigl\lVert D_l(x)-D_l(G(z))\bigr\rVert^2,\\
# L_{\text{GAN}}&=-\log\sigma(D(x))-\log\bigl(1-\sigma(D(G(z_p)))\bigr)-\log\bigl(1-\sigma(D(G(z)))\bigr).
# \end{aligned} $$ (eq-ae-vaegan)
#
# ```{prf:algorithm} Who descends what in VAE/GAN
# :label: alg-ae-vaegan
#
# The discriminator descends $L_{\text{GAN}}$, the encoder $L_{\text{prior}}+L_{\text{llike}}$, and the decoder $\gamma L_{\text{llike}}-L_{\text{GAN}}$. Each network receives the gradient of its own line and of nothing else.
# ```
#
# $\gamma$ trades content, what is on the picture, for style, how real it looks. If the discriminator also descended
# $L_{\text{llike}}$, it would do so best by having no features, $D_l$ constant, and the reconstruction would be "perfect" whatever the decoder draws. Written down as it stands, with a small network for pictures of 28 pixels, the step is the library's:

# %% tags=["claim", "keep_output", "nbval-check-output"]
# checks alg-ae-vaegan
GAMMA = 0.3
model = build_vae_gan(resolution=28, channels=1, latent_dim=3, width=4, norm="none", gamma=GAMMA, loss="minimax")
E, decoder, D = model.encoder, model.decoder, model.discriminator
x = torch.rand(6, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1
own = torch.Generator()  # a copy of the model's stream, so that both draw the same codes
own.set_state(model.rng.get_state())
mean, log_var = E(x, None).unbind(1)
rebuilt = decoder(mean + (0.5 * log_var).exp() * torch.randn(mean.shape, generator=own), None)
drawn = decoder(torch.randn(mean.shape, generator=own), None)
first_layer = torch.nn.Sequential(*list(D.features)[:2])  # one convolution and its LeakyReLU
llike = 0.5 * (first_layer(x) - first_layer(rebuilt)).square().flatten(1).sum(1).mean()
prior = 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(1).mean()
l_gan = (softplus(-D(x, None)) + softplus(D(drawn, None)) + softplus(D(rebuilt, None))).mean()
lines = ((E, prior + llike), (decoder, GAMMA * llike - l_gan), (D, l_gan))
by_hand = [torch.autograd.grad(line, list(network.parameters()), retain_graph=True) for network, line in lines]
model.generator_step(x)
assert all(p.grad is None for p in D.parameters())  # the discriminator hears nothing of the other two lines
for network, gradients in zip((E, decoder), by_hand):
    for parameter, gradient in zip(network.parameters(), gradients):
        assert torch.allclose(parameter.grad, gradient, rtol=1e-3, atol=1e-5)
again = build_vae_gan(resolution=28, channels=1, latent_dim=3, width=4, norm="none", gamma=GAMMA, loss="minimax")
again.discriminator_step(x)
for parameter, gradient in zip(again.discriminator.parameters(), by_hand[2]):
    assert torch.allclose(parameter.grad, gradient, rtol=1e-3, atol=1e-5)
assert all(p.grad is None for network in (again.encoder, again.decoder) for p in network.parameters())
print("encoder, decoder and discriminator each receive the gradient of their own line, and it is the library's step: yes")

# %% [markdown]
# ```{admonition} What can go wrong
# :class: warning
# - **A sum taken as a mean.** $-\log p(x\mid z)$ is a *sum* over pixels. Averaged over them instead, the KL term is multiplied, in effect, by the number of pixels, and the code is ignored.
# - **A likelihood compared with another.** A Bernoulli's nats are log-probabilities, a Gaussian's are log-densities, which change with the unit of the pixels: ELBOs of the two cannot be compared. Those of Gaussians with a fixed and with a learned variance {cite:p}`rybkin2021simple` can, if the constant of the fixed one was kept for each pixel.
# - **A good mean of the codes' law, and a bad law.** MMD on a batch sees a gross mismatch and misses a fine one: look at the codes.
# - **A conditional model with a marginal penalty.** That all codes together fill the prior does not mean that those of each class do, and a conditional decoder is sampled class by class. The CWAE of this book compares the joint law of code and label.
# ```
#
# ## Exercises
#
# ```{exercise}
# :label: ex-ae-collapse
# Let the decoder ignore the code. Which encoder maximises the ELBO, and what is its KL term?
# ```
#
# ````{solution} ex-ae-collapse
# :class: dropdown
# The first term does not depend on $q$, so the best $q(z\mid x)$ is the prior and the KL term is 0. This is *posterior collapse*, a stationary point that training can fall into: $\mu=0$, $\sigma=1$ has no gradient towards saying anything while the decoder does not listen.
# ````

# %% tags=["hide-cell"]
flat = torch.zeros(1, 4, requires_grad=True)
assert torch.equal(torch.autograd.grad(gaussian_kl(flat, flat).sum(), flat)[0], torch.zeros(1, 4))

# %% [markdown]
# ```{exercise}
# :label: ex-ae-beta
# The β-VAE {cite:p}`higgins2017beta` multiplies the KL term by $\beta$. Show that with a Gaussian likelihood of variance $s^2$ this is the VAE of another variance, up to a factor and a constant. Which?
# ```
#
# ````{solution} ex-ae-beta
# :class: dropdown
# The loss is $\frac{1}{2s^2}\lVert x-\hat x\rVert^2+\beta\,\mathrm{KL}+\text{const}=\beta\bigl(\frac{1}{2\beta s^2}\lVert x-\hat x\rVert^2+\mathrm{KL}\bigr)+\text{const}$: the VAE whose pixels have variance $\beta s^2$. $\beta$ says how exact a reconstruction has to be.
# ````

# %% tags=["hide-cell"]
for beta, variance in ((4.0, 0.5), (0.1, 0.03)):
    loss = [e / (2 * variance) + beta * k for e, k in ((1.0, 2.0), (3.0, 0.5))]
    other = [beta * (e / (2 * beta * variance) + k) for e, k in ((1.0, 2.0), (3.0, 0.5))]
    assert torch.allclose(torch.tensor(loss), torch.tensor(other))

# %% [markdown]
# ```{exercise}
# :label: ex-ae-variance
# Repeat {prf:ref}`prop-ae-variance` with $f(z)=\frac12\lVert z\rVert^2+b$ for a constant $b$. Which $b$ makes the score function's variance smallest, and what is it then?
# ```
#
# ````{solution} ex-ae-variance
# :class: dropdown
# The estimate is $\bigl(\frac12\sigma^2\lVert\varepsilon\rVert^2+b\bigr)\varepsilon_i/\sigma$. Its second moment is $\frac14\sigma^2(d+2)(d+4)+b(d+2)+b^2/\sigma^2$, smallest at $b=-\frac12\sigma^2(d+2)$, where it is $\frac14\sigma^2(d+2)(d+4-d-2)=\frac12\sigma^2(d+2)$. A baseline turns the square of the dimension into the dimension; reparameterisation does not grow with it at all.
# ````

# %% tags=["hide-cell"]
d = 16
eps = torch.randn(200_000, d, dtype=torch.float64)
with_baseline = (0.5 * sigma**2 * eps.square().sum(1) - 0.5 * sigma**2 * (d + 2))[:, None] * eps / sigma
assert abs(with_baseline.var(0).mean() / (0.5 * sigma**2 * (d + 2)) - 1) < 0.05

# %% [markdown]
# ```{exercise}
# :label: ex-ae-bias
# Show that the biased estimate (with the pairs $i=j$) of two samples of size $n$ from one law has expectation $\frac2n\bigl(k_0-\mathbb E\,k(z,z')\bigr)$ when $k(z,z)=k_0$ for all $z$.
# ```
#
# ````{solution} ex-ae-bias
# :class: dropdown
# Each within-sample mean over all $n^2$ pairs has $n$ pairs of value $k_0$ and $n^2-n$ of expectation $\kappa=\mathbb E\,k(z,z')$: together, with the pairs between the samples, $2\bigl(\frac{k_0}n+\frac{n-1}n\kappa\bigr)-2\kappa=\frac2n(k_0-\kappa)$.
# ````

# %% tags=["hide-cell"]
one, two = torch.randn(2, 4000, 2, dtype=torch.float64)
expected = 2 / 64 * (1 - imq(4.0)(one, two).mean())
assert abs(biased.mean() / expected - 1) < 0.05

# %% [markdown]
# ```{exercise}
# :label: ex-ae-sphere
# In high dimensions, the draws of a normal law all lie near the sphere of radius $\sqrt d$. What does the *average* of two codes then look like to a decoder, and what path between two codes would you choose for an interpolation?
# ```
#
# ````{solution} ex-ae-sphere
# :class: dropdown
# The average of two independent draws has length about $\sqrt{d/2}$: a place where hardly any code is. A path that keeps the length, an arc between the two, stays where codes are.
# ````

# %% tags=["hide-cell"]
first, second = torch.randn(2, 1000, 256)
assert abs(((first + second) / 2).norm(dim=1).mean() / 128**0.5 - 1) < 0.02 and abs(first.norm(dim=1).mean() / 16 - 1) < 0.02

# %% [markdown]
# ## Where this is used
#
# The terms of this chapter are `ganbook.models.autoencoder_terms`, and `ganbook.models.autoencoder` makes the update rule of them. [Autoencoders on MNIST](../experiments/autoencoders_mnist) draws their codes and what they make of random ones, [the accelerated GAN](../experiments/accelerated_gan) starts a generator from a trained decoder, and [three conditional generators](../experiments/cvae_cgan_cvaegan) put a VAE and a GAN together.

# %% tags=["hide-input"]
display(Markdown(f"*This chapter ran in {time.perf_counter() - started:.0f} s.*"))
