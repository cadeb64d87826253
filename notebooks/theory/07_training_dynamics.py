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
# # Training dynamics
#
# ```{admonition} In this chapter
# :class: tip
# - training as motion in a vector field that is no gradient, and so may turn for ever;
# - the smallest GAN in which this happens, for every loss and penalty, with eigenvalues from automatic differentiation;
# - what finite steps do to it: simultaneous steps spiral out, alternating ones stand, extrapolated ones spiral in;
# - why R1 and noise damp the motion and the Wasserstein penalty does not;
# - two time scales and momentum, each with what it can and cannot mend.
#
# *Before this:* [the minimax game](01_minimax_game), eigenvalues, linear differential equations. *Cost:* about half a minute.
# ```
#
# The generator's parameters are $\theta_G$, the discriminator's $\theta_D$. In the two-parameter game of most of this chapter each is a
# single number, and they are called $\theta$ and $\psi$. $\mathcal L_G$ and $\mathcal L_D$ are the losses that the two players minimise, $h$ is the
# learning rate, $\mathrm i^2=-1$.

# %% tags=["hide-input"]
import math
import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import HTML, Markdown, display

from ganbook.losses import LOSSES
from ganbook.models import toy
from ganbook.plotting import DISCRIMINATOR, FAKE, GENERATOR, REAL

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
started = time.perf_counter()

# %% [markdown]
# ## A field that is no gradient
#
# One step of training moves both players along
#
# $$ v(\theta_G,\theta_D)=\begin{pmatrix}-\nabla_{\theta_G}\mathcal L_G(\theta_G,\theta_D)\\-\nabla_{\theta_D}\mathcal L_D(\theta_G,\theta_D)\end{pmatrix}. $$ (eq-dyn-field)
#
# If both minimised *one* function, $v$ would be its negative gradient, its Jacobian symmetric and all eigenvalues real: descent can
# only go down. Here each component is a gradient with respect to its own player only. In the minimax game
# $\mathcal L_D=-\mathcal L_G=-V$, the Jacobian at an equilibrium is
#
# $$ J=\begin{pmatrix}-\nabla^2_{\theta_G\theta_G}V&-\nabla^2_{\theta_G\theta_D}V\\\phantom{-}\nabla^2_{\theta_D\theta_G}V&\phantom{-}\nabla^2_{\theta_D\theta_D}V\end{pmatrix}, $$ (eq-dyn-jacobian)
#
# and its off-diagonal blocks are *antisymmetric* to one another: a rotation. Four ways of following $v$ will be compared:
# the *gradient flow* $\dot x=v(x)$, which is training with infinitely small steps; *simultaneous* steps $x\leftarrow x+h\,v(x)$;
# *alternating* steps, in which the second player already sees the first one's move, as in {prf:ref}`alg-gan`; and *extragradient* steps, $x\leftarrow x+h\,v(x+h\,v(x))$, which look ahead (more of them under *Momentum*).
#
# ````{prf:theorem} Eigenvalues decide
# :label: thm-dyn-eigenvalues
#
# Let $v(x^*)=0$ with Jacobian $J$, whose eigenvalues are $\mu_1,\dots,\mu_n$.
#
# 1. The flow converges to $x^*$ from every start close enough if all $\operatorname{Re}\mu_i<0$; if some $\operatorname{Re}\mu_i>0$ it does not.
# 2. Simultaneous steps of size $h$ converge locally if all $|1+h\mu_i|<1$, that is if every $\operatorname{Re}\mu_i<0$ and
#
# $$ h<\frac{-2\operatorname{Re}\mu_i}{|\mu_i|^2}\quad\text{for all }i. $$ (eq-dyn-step)
#
# If some $|1+h\mu_i|>1$ they do not. With a purely imaginary $\mu_i\ne0$ that is the case for *every* $h>0$.
# ````
#
# ````{prf:proof}
# Near $x^*$, $v(x)=J(x-x^*)+o(\|x-x^*\|)$. (1) The solutions of the linear equation are combinations of $e^{\mu_it}$ (times powers of $t$),
# whose modulus is $e^{t\operatorname{Re}\mu_i}$; that the remainder changes neither statement is the theorem of Lyapunov on linearisation. (2) The map $x\mapsto x+hv(x)$ has the
# Jacobian $I+hJ$ with eigenvalues $1+h\mu_i$; an iteration contracts locally if their moduli are below one (Ostrowski's theorem) and has a direction
# of escape if one is above. Finally $|1+h\mu|^2=1+2h\operatorname{Re}\mu+h^2|\mu|^2<1$ is {eq}`eq-dyn-step`, and for $\mu=\mathrm i\omega$ it
# is $1+h^2\omega^2>1$.
# ````
#
# Fields in three dimensions with random linear parts and a quadratic remainder show both: 0.9 of the largest step of {eq}`eq-dyn-step` converges, 1.1 of it does not.

# %% tags=["claim", "keep_output", "nbval-check-output"]
settles = []
for trial in range(6):
    rng = torch.Generator().manual_seed(trial)
    A, c = torch.randn(3, 3, generator=rng), torch.randn(3, generator=rng)
    A = A - (torch.linalg.eigvals(A).real.max() + 0.5) * torch.eye(3)  # all real parts at most -1/2
    mu = torch.linalg.eigvals(A)
    largest = (-2 * mu.real / mu.abs() ** 2).min().item()
    for shift, share in ((0.0, 0.05), (0.0, 0.9), (0.0, 1.1), (1.0, 0.05)):  # the last: some real parts are positive
        x = torch.full((3,), 1e-6)
        for _ in range(1500):
            x = x + share * largest * (A @ x + shift * x + x.square().sum() * c)
            if x.norm() > 1e-3:
                break
        settles.append(x.norm().item() < 1e-7)
assert settles == [True, True, False, False] * 6
print("small steps and steps below the bound converge, steps above it and fields with a positive real part do not: yes")

# %% [markdown]
# ## The Dirac-GAN
#
# {cite:t}`mescheder2018which` found the smallest game that shows everything. The data are the single point $0$; the generator
# produces the single point $\theta$; the discriminator is linear, $D(x)=\psi x+t^*$. The constant $t^*$ is the logit that the loss itself calls balanced: $0$
# for all losses of this book but LSGAN, whose targets $0$ and $1$ are balanced at $\frac12$. The equilibrium is $\theta=\psi=0$: the generator on
# the data, the discriminator flat.
#
# The losses are the library's, and the field comes from automatic differentiation, so that it cannot disagree with what trains images.

# %% tags=["key"]
REST = {"lsgan": 0.5}  # the balanced logit t*; zero for the others
NODES, NODE_WEIGHTS = (torch.from_numpy(a) for a in np.polynomial.hermite_e.hermegauss(16))
NODE_WEIGHTS = NODE_WEIGHTS / NODE_WEIGHTS.sum()  # E f(ε) for ε ~ N(0,1) is Σ w f(node)
PAIRS, PAIR_WEIGHTS = torch.cartesian_prod(NODES, NODES).T, torch.outer(NODE_WEIGHTS, NODE_WEIGHTS).flatten()  # two ε
STILL, ONE = torch.zeros(2, 1), torch.ones(1)


def r1(gamma):
    """γ/2 ‖∇D‖² at the data; here ∇D = ψ everywhere, so that R2, the same at the fakes, is the same function."""
    return lambda theta, psi: gamma / 2 * psi**2


def wgan_gp(weight):
    """λ (‖∇D‖ - 1)²."""
    return lambda theta, psi: weight * (psi.abs() - 1) ** 2


def field(state, loss, penalty=None, noise=0.0, create_graph=True):
    """v at each state: (N, 2) to (N, 2). With noise, both samples are blurred and the losses averaged over the noise."""
    theta, psi = state[..., 0], state[..., 1]
    rest = REST.get(loss, 0.0)
    (real_blur, fake_blur), weights = (noise * PAIRS, PAIR_WEIGHTS) if noise else (STILL, ONE)
    real = rest + psi[..., None] * real_blur
    fake = rest + psi[..., None] * (theta[..., None] + fake_blur)
    g_loss = (LOSSES[loss].g(real, fake) * weights).sum(-1)
    d_loss = (LOSSES[loss].d(real, fake) * weights).sum(-1)
    if penalty is not None:
        d_loss = d_loss + penalty(theta, psi)
    (g_gradient,) = torch.autograd.grad(g_loss.sum(), theta, create_graph=create_graph, retain_graph=True)
    (d_gradient,) = torch.autograd.grad(d_loss.sum(), psi, create_graph=create_graph)
    return torch.stack([-g_gradient, -d_gradient], -1)


def jacobian(motion, at=(0.0, 0.0)):
    """J of a field at a point, and its eigenvalues (the larger imaginary part first)."""
    J = torch.autograd.functional.jacobian(lambda s: motion(s[None])[0], torch.tensor(at))
    values = torch.linalg.eigvals(J)
    return J, values[values.imag.argsort(descending=True)]


def velocity(state, *arguments, **options):
    return field(state.detach().requires_grad_(), *arguments, create_graph=False, **options)


# %% [markdown]
# ````{prf:theorem} Dirac-GAN without a penalty
# :label: thm-dyn-dirac
#
# (After {cite:t}`mescheder2018which`, section 2.) Write the generator's loss as a function $g(t)$ of a fake's logit and the discriminator's as $d$, a function of the real and the fake logit,
# with derivatives $d'_{\mathrm{real}}$ and $d'_{\mathrm{fake}}$. Let $a=-g'(t^*)>0$ and $b=d'_{\mathrm{fake}}(t^*)>0$. Then
#
# $$ J=\begin{pmatrix}0&a\\-b&0\end{pmatrix},\qquad\mu=\pm\mathrm i\sqrt{ab}, $$
#
# so no $h$ makes simultaneous steps converge.
# ````
#
# ````{prf:proof}
# The real logit is $t^*$ for every $\psi$; the fake one is $t=t^*+\psi\theta$. By the chain rule $\dot\theta=-g'(t)\,\psi$ and
# $\dot\psi=-d'_{\mathrm{fake}}(t)\,\theta$. At $\theta=\psi=0$ the derivatives of the first factors are multiplied by zero, which leaves $J$ as stated; $\mu^2=-ab$.
# (The relativistic loss, `rpgan`, compares the logits of a real and a fake sample: the softplus of their difference. The same derivation holds.)
# ````

# %%
COEFFICIENTS = {  # a and b, from the formulas of the losses
    "minimax": (0.5, 0.5),  # σ(0)
    "nonsaturating": (0.5, 0.5),
    "lsgan": (0.5, 0.5),  # 1 - t* and t*
    "hinge": (1.0, 1.0),
    "wasserstein": (1.0, 1.0),
    "rpgan": (0.5, 0.5),
}
table = "| loss | $a=b$ | no penalty | R1, $\\gamma = 0.3$ | R1, $\\gamma = 2\\sqrt{ab}$ | noise 0.7 |\n|---|---|---|---|---|---|\n"


def shown(values):
    first, second = values.tolist()
    if abs(first.imag) < 1e-6:
        text = f"{min(first.real, second.real):.2f}, {max(first.real, second.real):.2f}"
    else:
        text = f"{round(first.real, 2) + 0.0:.2f} ± {abs(first.imag):.2f} i"
    return text.replace("-", "−").replace(" ", "\u00a0")


for loss, (a, b) in COEFFICIENTS.items():
    assert a == b
    options = [{}, {"penalty": r1(0.3)}, {"penalty": r1(2 * math.sqrt(a * b))}, {"noise": 0.7}]
    cells = [shown(jacobian(lambda s, loss=loss, o=o: field(s, loss, **o))[1]) for o in options]
    table += f"| `{loss}` | {a:g} | " + " | ".join(cells) + " |\n"
display(Markdown("Eigenvalues at the equilibrium, by automatic differentiation:\n\n" + table))

# %% tags=["claim", "keep_output", "nbval-check-output"]
assert set(COEFFICIENTS) == set(LOSSES)
for loss, (a, b) in COEFFICIENTS.items():
    J, values = jacobian(lambda s, loss=loss: field(s, loss))
    assert torch.allclose(J, torch.tensor([[0.0, a], [-b, 0.0]]), atol=1e-12)
    assert torch.allclose(values, torch.tensor([1j, -1j]) * math.sqrt(a * b), atol=1e-12)
    assert torch.allclose(velocity(torch.zeros(1, 2), loss), torch.zeros(1, 2))
print("all six losses: the origin is at rest, and its eigenvalues are ± i √(ab), purely imaginary: yes")

# %% [markdown]
# ### Flow, simultaneous, alternating
#
# ````{prf:proposition} Two exact laws of the flow
# :label: prop-dyn-flow
#
# Let $r^2=\theta^2+\psi^2$. Under the minimax loss the gradient flow keeps $r$ constant. Under the non-saturating loss $r$ never grows, and
# falls whenever $\theta\psi\ne0$.
# ````
#
# ````{prf:proof}
# With $s=\sigma(\psi\theta)$, minimax has $\dot\theta=s\psi$ and $\dot\psi=-s\theta$, so $\frac12\frac{d}{dt}r^2=\theta\dot\theta+\psi\dot\psi=0$.
# The non-saturating loss has $\dot\theta=(1-s)\psi$ instead: $\frac12\frac{d}{dt}r^2=\theta\psi\,(1-2s)$. The logistic function is above $\frac12$ exactly for
# positive arguments, so $\theta\psi$ and $1-2s$ have opposite signs.
# ````
#
# ````{prf:theorem} Alternating steps
# :label: thm-dyn-alternating
#
# In the linearised Dirac-GAN, simultaneous steps have multipliers of modulus $\sqrt{1+h^2ab}>1$. Alternating steps have multipliers of
# modulus exactly $1$ for $h<2/\sqrt{ab}$.
# ````
#
# ````{prf:proof}
# Simultaneous: $|1\pm\mathrm ih\sqrt{ab}|$. Alternating: the discriminator's step is $\begin{pmatrix}1&0\\-hb&1\end{pmatrix}$ and the generator's
# $\begin{pmatrix}1&ha\\0&1\end{pmatrix}$, both of determinant one. Their product $M$ has determinant $1$ and trace $2-h^2ab$. For a trace between $-2$ and
# $2$ the eigenvalues are a complex pair $e^{\pm\mathrm i\alpha}$, of modulus $\sqrt{\det M}=1$.
# ````

# %%
def simulate(motion, start, h, steps, scheme="simultaneous"):
    """The path (steps + 1, N, 2) of a batch of states; `motion` maps states to velocities."""
    state = torch.as_tensor(start).reshape(-1, 2).clone()
    path = [state]
    for _ in range(steps):
        if scheme == "simultaneous":
            state = state + h * motion(state)
        elif scheme == "alternating":  # first D, then G, which sees the new D
            after_d = state + h * motion(state) * torch.tensor([0.0, 1.0])
            state = after_d + h * motion(after_d) * torch.tensor([1.0, 0.0])
        elif scheme == "extragradient":  # step from here with the velocity of the point one step ahead
            state = state + h * motion(state + h * motion(state))
        elif scheme == "flow":  # Runge-Kutta of order four: close to infinitely small steps
            k1 = motion(state)
            k2 = motion(state + h / 2 * k1)
            k3 = motion(state + h / 2 * k2)
            state = state + h / 6 * (k1 + 2 * k2 + 2 * k3 + motion(state + h * k3))
        path.append(state)
    return torch.stack(path)


START = (1.0, -1.0)
SCHEMES = ("flow", "simultaneous", "alternating", "extragradient")
paths = {
    (loss, scheme): simulate(lambda s, loss=loss: velocity(s, loss), START, 0.2, 500, scheme)[:, 0]
    for loss in ("minimax", "nonsaturating")
    for scheme in SCHEMES
}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "500 steps from θ = 1, ψ = −1 with h = 0.2. Left: the paths under the minimax loss. Right: distance from the equilibrium for the minimax loss (solid) and the non-saturating loss (dashed). Alternating steps and the flow nearly coincide.", "name": "fig-dyn-schemes"}, "image": {"alt": "Left: a circle for flow and alternating steps, an outward spiral for simultaneous steps, an inward spiral for extragradient. Right: radius against step; simultaneous minimax grows, non-saturating simultaneous settles at a constant radius, alternating and flow fall slowly under the non-saturating loss, extragradient falls fast."}}
COLORS = {"flow": "0.45", "simultaneous": FAKE, "alternating": REAL, "extragradient": DISCRIMINATOR}
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained", width_ratios=(1, 1.4))
for scheme in ("simultaneous", "extragradient", "alternating", "flow"):
    left.plot(*paths["minimax", scheme].T, "--" if scheme == "flow" else "-", color=COLORS[scheme], linewidth=0.9, label=scheme)
    right.plot(paths["minimax", scheme].norm(dim=1), color=COLORS[scheme], label=f"{scheme}")
    right.plot(paths["nonsaturating", scheme].norm(dim=1), "--", color=COLORS[scheme])
left.plot(0, 0, "k+", markersize=9)
left.set(xlabel="θ", ylabel="ψ", aspect="equal")
right.set(xlabel="step", ylabel="distance from equilibrium", yscale="log", ylim=(1e-2, 5))
right.grid(alpha=0.3)
right.legend(frameon=False, loc="lower left")
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
for loss, (a, b) in COEFFICIENTS.items():
    J, _ = jacobian(lambda s, loss=loss: field(s, loss))
    for h in (0.05, 0.2, 1.0):
        moduli = torch.linalg.eigvals(torch.eye(2) + h * J).abs()
        assert torch.allclose(moduli, torch.full((2,), math.sqrt(1 + h**2 * a * b)))
        d_step, g_step = torch.eye(2) + h * torch.diag(torch.tensor([0.0, 1.0])) @ J, torch.eye(2) + h * torch.diag(torch.tensor([1.0, 0.0])) @ J
        assert torch.allclose(torch.linalg.eigvals(g_step @ d_step).abs(), torch.ones(2))
radius = {key: path.norm(dim=1) for key, path in paths.items()}
assert (radius["minimax", "flow"] - math.sqrt(2)).abs().max() < 1e-4  # constant
assert (radius["nonsaturating", "flow"].diff() < 1e-9).all() and radius["nonsaturating", "flow"][-1] < 0.4
assert radius["minimax", "simultaneous"][-1] > 2 * math.sqrt(2)
assert (radius["minimax", "alternating"] / math.sqrt(2)).log().abs().max() < 0.2  # neither in nor out
assert radius["minimax", "extragradient"][-1] < 0.2
print("multipliers √(1 + h²ab) and 1; the flow keeps r, simultaneous steps double it, alternating ones stand: yes")

# %% [markdown]
# The library has the same game in `ganbook.models.toy`, built from the losses and penalties that train images. Field, penalties, noise and steps agree:

# %% tags=["claim", "keep_output", "nbval-check-output"]
OPTIONS = [({}, {}), ({"penalty": r1(0.3)}, {"penalty": "r1", "penalty_weight": 0.3})]
OPTIONS += [({"penalty": wgan_gp(0.35)}, {"penalty": "wgan_gp", "penalty_weight": 0.35})]
STEPS = {"simultaneous": toy.simultaneous, "alternating": toy.alternating}
states = torch.tensor([[1.0, -1.0], [0.3, 0.7], [-0.5, -1.2]])
for loss in LOSSES:
    for ours, theirs in OPTIONS:
        game = toy.dirac_gan(loss, **theirs)
        motion = lambda s, loss=loss, ours=ours: velocity(s, loss, **ours)  # noqa: E731
        for state in states:
            assert torch.allclose(toy.vector_field(game, state), motion(state[None])[0], atol=1e-12)
            for scheme, step in STEPS.items():
                expected = simulate(motion, state, 0.2, 1, scheme)[1, 0]
                assert torch.allclose(step(game, state, 0.2), expected, atol=1e-12)
noisy = toy.dirac_gan("minimax", noise_std=0.7, points=16)
assert torch.allclose(toy.vector_field(noisy, states[0]), velocity(states[:1], "minimax", noise=0.7)[0], atol=1e-12)
print("the chapter's game, its penalties, noise and steps are the library's: yes")

# %% [markdown]
# The dashed lines of {numref}`fig-dyn-schemes` warn against a hasty "simultaneous steps diverge". The non-saturating loss has a weak inward pull of its own
# ({prf:ref}`prop-dyn-flow`), and it wins as long as $r^2>2h$.
#
# ````{prf:proposition} The non-saturating loss, to leading order
# :label: prop-dyn-ns
#
# For small $r$ and $h$, simultaneous steps end on a cycle of radius $\sqrt{2h}$, and after $n$ alternating steps $r\approx\sqrt{8/(hn)}$.
# ````
#
# ````{prf:proof}
# (By averaging over a turn; the neglected terms are of higher order in $r$ and $h$.) For small $t=\theta\psi$, $1-2\sigma(t)\approx-t/2$, so the flow has $\frac{d}{dt}r^2=2\theta\psi(1-2s)\approx-(\theta\psi)^2$. On a nearly
# circular orbit $\theta\psi=\frac12r^2\sin2\alpha$, whose square has the mean $\frac18r^4$: $\frac{d}{dt}r^2=-\frac18r^4$. Alternating steps follow this, as their
# multipliers have modulus one: $\frac1{r^2}=\frac1{r_0^2}+\frac{hn}8$, hence $r\to\sqrt{8/(hn)}$. Simultaneous steps multiply $r^2$ by $1+\frac{h^2}4$ in time $h$,
# which adds $\frac h4r^2$; the sum $\frac h4r^2-\frac18r^4$ vanishes at $r^2=2h$.
# ````

# %%
rates = torch.tensor([0.1, 0.2, 0.4])[:, None]
ns = lambda s: velocity(s, "nonsaturating")  # noqa: E731
cycles = simulate(ns, [START] * 3, rates, 2000)[-400:].norm(dim=2)
slowly = simulate(ns, [START] * 3, rates, 2000, "alternating").norm(dim=2)

# %% tags=["claim", "keep_output", "nbval-check-output"]
assert torch.allclose(cycles.mean(0), (2 * rates[:, 0]).sqrt(), rtol=0.04)
assert ((cycles.max(0).values - cycles.min(0).values) < 0.35 * cycles.mean(0)).all()  # a cycle: no further growth or decay
law = (8 / (rates[:, 0] * 2000)).sqrt()
assert torch.allclose(slowly[-1], law, rtol=0.1)
print("non-saturating: simultaneous steps end on the radius √(2h), alternating ones follow √(8/(hn)): yes")

# %% [markdown]
# ```{widget} dirac
# :alt: A field of small arrows that turn around the origin, and an orange path that starts at the right and circles the origin.
#
# The Dirac-GAN, 300 steps in orange, from the plain dot to the orange one; the equilibrium is blue. Under `minimax` take
# simultaneous steps, and it spirals outwards; alternate, and it circles. What the weight of R1 does is the subject of the next section.
# ```
#
# ## What damps
#
# ````{prf:theorem} R1 damps
# :label: thm-dyn-r1
#
# ({cite:t}`mescheder2018which`.) With the penalty $\frac\gamma2\mathbb E_p\|\nabla D\|^2=\frac\gamma2\psi^2$ on the discriminator,
#
# $$ \mu=-\frac\gamma2\pm\sqrt{\frac{\gamma^2}4-ab}. $$ (eq-dyn-r1)
#
# Both real parts are negative for every $\gamma>0$; the motion spirals for $\gamma<2\sqrt{ab}$ and creeps along the slower of two real eigenvalues
# for larger $\gamma$. Convergence is fastest at $\gamma=2\sqrt{ab}$.
# ````
#
# ````{prf:proof}
# $J=\begin{pmatrix}0&a\\-b&-\gamma\end{pmatrix}$ has $\mu^2+\gamma\mu+ab=0$. For a complex pair the real part is $-\gamma/2$, for real roots the
# sum is $-\gamma$ and the product $ab>0$, so both are negative. The larger real part, $-\frac\gamma2$ below the critical $\gamma$ and
# $-\frac\gamma2+\sqrt{\gamma^2/4-ab}$ above, falls up to it and rises behind it (the derivative of the latter is
# $-\frac12+\frac{\gamma/4}{\sqrt{\gamma^2/4-ab}}>0$).
# ````
#
# ````{prf:proposition} Noise is a penalty
# :label: prop-dyn-noise
#
# (The Dirac-GAN's case of {cite:t}`roth2017stabilizing`.) If noise $\mathcal N(0,s^2)$ is added to real and fake samples, the minimax, the non-saturating and the relativistic game have the eigenvalues
# {eq}`eq-dyn-r1` with $\gamma=s^2/2$, LSGAN with $\gamma=2s^2$. The hinge and the Wasserstein loss gain nothing.
# ````
#
# ````{prf:proof}
# Now $\mathcal L_D=\mathbb E\,d(t^*+\psi\varepsilon,\;t^*+\psi(\theta+\varepsilon'))$, with $\varepsilon,\varepsilon'$ the independent noises. Its second derivative in $\psi$ at
# the origin is $(d''_{\mathrm{real}}+d''_{\mathrm{fake}})\,s^2$ (the mixed one comes with $\mathbb E\varepsilon\varepsilon'=0$), which stands in the place of $\gamma$. For the cross-entropies both are
# $\sigma'(0)=\frac14$, which gives $s^2/2$; for LSGAN both are $1$; the other two losses are linear near the balanced logit. The other entries of $J$ are unchanged, as $\mathbb E\varepsilon'=0$.
# ````
#
# The gradient penalty of WGAN-GP pulls towards slope *one*, also at the equilibrium, where the slope should be zero: $\psi$ is driven away from the
# point where both players would rest, and the motion goes on for ever. Weight clipping likewise bounds the speed of the turning and does not damp it.

# %%
VARIANTS = {
    "minimax": ("minimax", {}),
    "non-saturating": ("nonsaturating", {}),
    "Wasserstein": ("wasserstein", {}),
    "Wasserstein + GP": ("wasserstein", {"penalty": wgan_gp(0.35)}),
    "minimax + noise 1": ("minimax", {"noise": 1.0}),
    "minimax + R1, γ = 0.3": ("minimax", {"penalty": r1(0.3)}),
    "minimax + R1, γ = 1": ("minimax", {"penalty": r1(1.0)}),
    "hinge + R1, γ = 1": ("hinge", {"penalty": r1(1.0)}),
}
axis_points = torch.linspace(-2, 2, 21)
mesh = torch.stack(torch.meshgrid(axis_points, axis_points, indexing="xy"), -1)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Phase portraits of the Dirac-GAN: the field $v$ (grey; the generator's θ to the right, the discriminator's ψ upwards) and 300 alternating steps of size 0.2 from θ = 1, ψ = −1. Only the last four arrive at the equilibrium (cross); the non-saturating path creeps in, the first and the third circle, and the one with gradient penalty never rests.", "name": "fig-dyn-portraits"}, "image": {"alt": "Eight panels with stream lines. Minimax, non-saturating and Wasserstein paths circle the origin; the one with gradient penalty circles without reaching it; noise and R1 with gamma 0.3 spiral into the origin, R1 with gamma 1 goes in almost straight."}}
figure, axes = plt.subplots(2, 4, figsize=(10, 5.2), layout="constrained", sharex=True, sharey=True)
for axis, (name, (loss, options)) in zip(axes.flat, VARIANTS.items()):
    arrows = velocity(mesh.reshape(-1, 2), loss, **options).reshape(21, 21, 2)
    axis.streamplot(axis_points.numpy(), axis_points.numpy(), arrows[..., 0].numpy(), arrows[..., 1].numpy(), color="0.72", linewidth=0.7, density=0.8, arrowsize=0.7)
    path = simulate(lambda s, loss=loss, options=options: velocity(s, loss, **options), START, 0.2, 300, "alternating")[:, 0]
    axis.plot(*path.T, color=GENERATOR, linewidth=1.2)
    axis.plot(*START, "o", color=GENERATOR, markersize=4)
    axis.plot(0, 0, "k+", markersize=10, markeredgewidth=1.6)
    axis.set(title=name, xlim=(-2, 2), ylim=(-2, 2), aspect="equal")
    axis.title.set_fontsize(10)
for axis in axes[1]:
    axis.set(xlabel="θ")
for axis in axes[:, 0]:
    axis.set(ylabel="ψ")
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
for loss, (a, b) in COEFFICIENTS.items():
    for gamma in (0.1, 0.3, 1.0, 3.0):
        _, values = jacobian(lambda s, loss=loss, gamma=gamma: field(s, loss, r1(gamma)))
        root = torch.sqrt(torch.tensor(gamma**2 / 4 - a * b, dtype=torch.complex128))
        expected = torch.stack([-gamma / 2 + root, -gamma / 2 - root])
        gaps = (values[:, None] - expected[None]).abs()
        assert gaps.min(0).values.max() < 1e-6 and values.real.max() < 0
for s in (0.3, 1.0):
    for loss, gamma in (("minimax", s**2 / 2), ("nonsaturating", s**2 / 2), ("rpgan", s**2 / 2), ("lsgan", 2 * s**2), ("hinge", 0.0), ("wasserstein", 0.0)):
        noisy, _ = jacobian(lambda x, loss=loss, s=s: field(x, loss, noise=s))
        damped, _ = jacobian(lambda x, loss=loss, gamma=gamma: field(x, loss, r1(gamma)))
        assert torch.allclose(noisy, damped, atol=1e-9)
end = {}
for name in ("minimax", "Wasserstein + GP", "minimax + noise 1", "minimax + R1, γ = 0.3", "minimax + R1, γ = 1"):
    loss, options = VARIANTS[name]
    path = simulate(lambda x, loss=loss, options=options: velocity(x, loss, **options), START, 0.2, 500)[:, 0]
    end[name] = path[-100:].norm(dim=1)
assert end["minimax + R1, γ = 0.3"].max() < 1e-4 and end["minimax + R1, γ = 1"].max() < 1e-12
assert end["Wasserstein + GP"].min() > 0.5  # still on its way after 400 steps
clipped = torch.tensor([START])
for step in range(500):
    clipped = clipped + 0.2 * velocity(clipped, "wasserstein")
    clipped[:, 1].clamp_(-1, 1)
    assert step < 400 or clipped.norm() > 0.5  # nor does clipping end it
assert end["minimax"].min() > math.sqrt(2) and end["minimax + noise 1"].max() < 0.01
print("R1: the formula's eigenvalues for all losses, and convergence; noise is R1 of that γ; WGAN-GP never rests: yes")

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Eigenvalues of the Dirac-GAN with R1 as γ grows from 0 to 2: from $\\pm\\mathrm i/2$ along a circle to the real axis, where they meet at γ = 1 and part. Simultaneous steps converge for eigenvalues inside the disc of radius $1/h$ round $-1/h$; the discs for three learning rates are drawn.", "name": "fig-dyn-locus"}, "image": {"alt": "Complex plane: a half circle of eigenvalues from plus and minus i over two to minus one half, then two branches on the real axis; arcs of three discs that touch the imaginary axis at zero, larger for smaller learning rates."}}
figure, axis = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
gammas = torch.linspace(0, 2, 81)
locus = torch.stack([jacobian(lambda s, g=g: field(s, "minimax", r1(g)))[1] for g in gammas])
points = axis.scatter(locus.real, locus.imag, c=gammas[:, None].expand(-1, 2), cmap="viridis", s=14, zorder=3)
turn = np.linspace(0, 2 * np.pi, 400)
for h, dash in ((0.5, "-"), (1.0, "--"), (2.0, ":")):
    axis.plot(-1 / h + np.cos(turn) / h, np.sin(turn) / h, dash, color="0.4", linewidth=1.2, label=f"h = {h:g}")
axis.axvline(0, color="0.6", linewidth=0.8)
axis.axhline(0, color="0.6", linewidth=0.8)
axis.set(xlabel="real part", ylabel="imaginary part", xlim=(-2.1, 0.3), ylim=(-0.8, 0.8), aspect="equal")
figure.colorbar(points, label="γ", shrink=0.8)
axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1.25, 0.5), fontsize=9)
plt.show()

# %% [markdown]
# ### Is the Dirac-GAN too pessimistic?
#
# Its data are one point. Let them have a width: $p=\mathcal N(0,w^2)$, the generator $G(z)=m+we^sz$ and the discriminator
# $D(x)=\psi_1x+\psi_2(x^2-w^2)+t^*$, four parameters with the equilibrium $0$.
#
# ````{prf:proposition} Data of some width damp by themselves
# :label: prop-dyn-width
#
# In this game the block of $m$ and $\psi_1$ has the eigenvalues {eq}`eq-dyn-r1` with $\gamma=(d''_{\mathrm{real}}+d''_{\mathrm{fake}})\,w^2$: for the cross-entropy $\gamma=w^2/2$,
# for LSGAN $\gamma=2w^2$, for the hinge and the Wasserstein loss $\gamma=0$.
# ````
#
# ````{prf:proof}
# At the equilibrium real and fake have the same law. The second derivative of $\mathcal L_D$ in $\psi_1$ is $(d''_{\mathrm{real}}+d''_{\mathrm{fake}})\,\mathbb E x^2$, as with noise; the derivative in $\psi_1$ and $\psi_2$ contains $\mathbb E x(x^2-w^2)=0$, so the block
# stands alone. Its other entries are those of {prf:ref}`thm-dyn-dirac`, because $\partial\mathcal L_G/\partial m=\mathbb E[g'(D)\,(\psi_1+2\psi_2x)]$.
# ````
#
# This is the local stability that {cite:t}`nagarajan2017gradient` prove for general GANs, and its limit: with the width the damping vanishes, as $w^2$. Data on thin
# sets, such as images, are near the Dirac-GAN; and a loss without curvature is never damped, whatever the data.

# %%
def gaussian_field(state, loss, width):
    """v for G(z) = m + w e^s z and D(x) = ψ1 x + ψ2 (x² - w²) + t*: (4,) to (4,)."""
    mean, log_scale, psi1, psi2 = state
    rest, x = REST.get(loss, 0.0), width * NODES
    samples = mean + width * torch.exp(log_scale) * NODES
    real, fake = (rest + psi1 * points + psi2 * (points**2 - width**2) for points in (x, samples))
    g_loss, d_loss = ((function(real, fake) * NODE_WEIGHTS).sum() for function in (LOSSES[loss].g, LOSSES[loss].d))
    g_gradients = torch.autograd.grad(g_loss, (mean, log_scale), create_graph=True)
    d_gradients = torch.autograd.grad(d_loss, (psi1, psi2), create_graph=True)
    return -torch.stack([*g_gradients, *d_gradients])


WIDTH_DAMPING = {"minimax": 0.5, "nonsaturating": 0.5, "lsgan": 2.0, "hinge": 0.0, "wasserstein": 0.0}
widths = torch.logspace(-1.5, 0.3, 41)
slowest = {}
for loss in WIDTH_DAMPING:
    jacobians = [torch.autograd.functional.jacobian(lambda s, loss=loss, w=w: gaussian_field(s, loss, w.item()), torch.zeros(4)) for w in widths]
    slowest[loss] = (jacobians, torch.stack([torch.linalg.eigvals(J[[0, 2]][:, [0, 2]]).real.max() for J in jacobians]))

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Damping of the generator's mean (minus the largest real part of the block's eigenvalues) against the width of the data. It vanishes with the width, as $w^2$; for losses without curvature it is zero throughout. Beyond the peak the two eigenvalues are real, as with an R1 penalty whose $\\gamma$ exceeds $2\\sqrt{ab}$.", "name": "fig-dyn-width"}, "image": {"alt": "Log-log plot: straight lines of slope two for LSGAN and for the cross-entropy losses, bending over at larger widths; a text says that hinge and Wasserstein are at zero."}}
figure, axis = plt.subplots(figsize=(6.4, 3), layout="constrained")
for loss, color, dash in (("lsgan", REAL, "-"), ("minimax", GENERATOR, "-"), ("nonsaturating", DISCRIMINATOR, "--")):
    axis.loglog(widths, -slowest[loss][1], dash, color=color, label=loss)
axis.text(0.55, 2.5e-4, "hinge, wasserstein: 0", fontsize=10)
axis.set(xlabel="width w of the data", ylabel="damping")
axis.grid(alpha=0.3)
axis.legend(frameon=False)
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
for loss, factor in WIDTH_DAMPING.items():
    a, b = COEFFICIENTS[loss]
    for J, w in zip(slowest[loss][0], widths):
        block = torch.tensor([[0.0, a], [-b, -factor * w**2]])
        assert torch.allclose(J[[0, 2]][:, [0, 2]], block, atol=1e-9)
        assert J[[0, 2]][:, [1, 3]].abs().max() < 1e-9  # the block stands alone
    if factor:
        everything = torch.stack([torch.linalg.eigvals(J).real.max() for J in slowest[loss][0]])
        assert (everything < 0).all()
print("data of width w damp like R1 with γ = w²/2 (LSGAN: 2w²), the losses without curvature not at all: yes")

# %% [markdown]
# ## Two time scales
#
# Let the discriminator learn $\tau$ times as fast as the generator, the *two time-scale update rule* (TTUR) {cite:p}`heusel2017gans`.
#
# ````{prf:proposition} TTUR in the Dirac-GAN
# :label: prop-dyn-ttur
#
# With rates $h$ and $\tau h$ and the R1 penalty, $\mu=-\frac{\tau\gamma}2\pm\sqrt{\frac{\tau^2\gamma^2}4-\tau ab}$. Spirals become straight approaches at
# $\tau\ge4ab/\gamma^2$. For $\tau\to\infty$ the fast eigenvalue is $-\tau\gamma$ up to terms that stay bounded, and the slow one tends to $-ab/\gamma$: the
# rate of the generator against a discriminator that is always at its best. Without a penalty $\mu=\pm\mathrm i\sqrt{\tau ab}$: nothing is damped.
# ````
#
# ````{prf:proof}
# The second row of $J$ is multiplied by $\tau$: $\mu^2+\tau\gamma\mu+\tau ab=0$. The roots are real if the discriminant $\tau^2\gamma^2-4\tau ab$ is
# not negative. Their product is $\tau ab$ and their sum $-\tau\gamma$, so the slow root is
# $\frac{-2ab}{\gamma+\sqrt{\gamma^2-4ab/\tau}}\to-\frac{ab}\gamma$. The best discriminator of the linearised game solves
# $-b\theta-\gamma\psi=0$, that is $\psi=-\frac b\gamma\theta$, against which $\dot\theta=a\psi=-\frac{ab}\gamma\theta$.
# ````
#
# This is what "two time scales" means: the fast player is at rest for each position of the slow one, and the game has become
# a descent. It takes something that gives the discriminator a best answer; a larger learning rate alone gives none.

# %%
ratios = (1, 11.1, 40)
speeds = torch.tensor([[1.0, tau] for tau in ratios])  # three games side by side
together = simulate(lambda s: velocity(s, "minimax", r1(0.3)) * speeds, [(1.2, 1.0)] * 3, 0.03, 1500)
scaled = {tau: together[:, i] for i, tau in enumerate(ratios)}
taus = torch.logspace(0, 3, 100)


def ttur_values(tau, gamma):
    return jacobian(lambda s: field(s, "minimax", r1(gamma)) * torch.tensor([1.0, tau]))[1]


# %% tags=["hide-input"] mystnb={"figure": {"caption": "R1 with γ = 0.3 and a discriminator that learns τ times as fast. Left: paths; at τ = 40 the discriminator first jumps to its best answer (dotted) and the two then slide along it. Right: the real parts of both eigenvalues; the slower one settles at $-ab/\\gamma$.", "name": "fig-dyn-ttur"}, "image": {"alt": "Left: a spiral for ratio 1, a bend without turning for ratio 11, and for ratio 40 a vertical jump followed by a straight slide to the origin. Right: negative real parts against the ratio, equal up to 11, then splitting into one that levels off and one that keeps growing."}}
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for tau, color in zip(ratios, (FAKE, REAL, DISCRIMINATOR)):
    left.plot(*scaled[tau].T, color=color, label=f"τ = {tau:g}")
t = -torch.logspace(-4, 0.5, 200)  # the best answer solves σ(ψθ)θ + γψ = 0; with t = ψθ it is θ² = -γt/σ(t)
best = torch.sqrt(-0.3 * t / torch.sigmoid(t))
for side in (best, -best):
    left.plot(side, t / side, ":", color="0.2", linewidth=1.5)
left.plot(0, 0, "k+", markersize=10)
left.set(xlabel="θ", ylabel="ψ", ylim=(-1.3, 1.3), xlim=(-1, 1.9))
left.legend(frameon=False, loc="lower left")
real_parts = torch.stack([ttur_values(tau.item(), 0.3).real.sort().values for tau in taus])
right.loglog(taus, -real_parts[:, 1], color=GENERATOR, label="slow")
right.loglog(taus, -real_parts[:, 0], "--", color=DISCRIMINATOR, label="fast")
right.axhline(0.25 / 0.3, color="0.6", linewidth=1)
right.text(1.1, 0.25 / 0.3 * 1.12, "ab/γ", color="0.3")
right.set(xlabel="ratio τ of the learning rates", ylabel="− real part")
right.grid(alpha=0.3)
right.legend(frameon=False)
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
critical = 4 * 0.25 / 0.3**2
assert ttur_values(0.99 * critical, 0.3).imag[0] > 0.01 and ttur_values(1.01 * critical, 0.3).imag.abs().max() < 1e-9
slow, fast = ttur_values(1e5, 0.3).real.sort(descending=True).values
assert abs(slow + 0.25 / 0.3) < 1e-3 and abs(fast / (-1e5 * 0.3) - 1) < 1e-3
for tau in (1.0, 10.0, 100.0):
    values = ttur_values(tau, 0.0)
    assert values.real.abs().max() < 1e-9 and abs(values.imag[0] - math.sqrt(tau) / 2) < 1e-9
assert (scaled[40][400:, 0] > 0).all() and (scaled[1][:, 0] < -0.1).any()  # a slide on one side against a spiral
print("TTUR: straight from τ = 4ab/γ² on, slow rate ab/γ; without a penalty no ratio damps anything: yes")

# %% [markdown]
# ## Momentum
#
# Momentum $\beta$ adds a share of the last step: $x_{k+1}=x_k+hv(x_k)+\beta(x_k-x_{k-1})$. In a descent it speeds up; in a rotation it pushes outwards.
#
# ````{prf:theorem} No momentum saves simultaneous steps
# :label: thm-dyn-momentum
#
# (Cf. {cite:t}`gidel2019negative`.) For a purely imaginary $\mu=\mathrm i\omega\ne0$ and every $\beta\in(-1,1)$, $h>0$, simultaneous steps with momentum have a multiplier of
# modulus greater than one.
# ````
#
# ````{prf:proof}
# On the eigenvector, $x_{k+1}=(1+\beta+\mathrm iw)x_k-\beta x_{k-1}$ with $w=h\omega$: the multipliers solve $\lambda^2+c_1\lambda+\beta=0$, $c_1=-(1+\beta+\mathrm iw)$.
# By the criterion of Schur and Cohn both lie inside the unit circle if and only if $|\beta|<1$ and
# $|c_1-\beta\bar c_1|<1-\beta^2$. Here $c_1-\beta\bar c_1=-(1+\beta)\bigl[(1-\beta)+\mathrm iw\bigr]$, of modulus
# $(1+\beta)\sqrt{(1-\beta)^2+w^2}>1-\beta^2$. So not both are inside; and equality, a multiplier *on* the circle with the other inside it,
# is excluded because the criterion fails strictly.
# ````
#
# Alternating steps stand on the edge, $|\lambda|=1$, and there the sign of $\beta$ decides: positive momentum pushes out, *negative* momentum, if it is not too large, pulls in
# {cite:p}`gidel2019negative`. It is a reason for the common choice $\beta_1=0$ or a small $\beta_1$ in Adam for GANs. *Extragradient*
# {cite:p}`gidel2019variational` needs no choice of sign: it steps with the velocity of a point ahead.
#
# ````{prf:proposition} Looking ahead
# :label: prop-dyn-extragradient
#
# The extragradient step $x\leftarrow x+hv(x+hv(x))$ has the multipliers $1+h\mu+h^2\mu^2$. For $\mu=\mathrm i\omega$ their modulus is
# $\sqrt{1-h^2\omega^2+h^4\omega^4}<1$ whenever $h\omega<1$.
# ````
#
# ````{prf:proof}
# Insert $v(x)=\mu x$. With $w=h\omega$: $|1-w^2+\mathrm iw|^2=1-2w^2+w^4+w^2$.
# ````

# %%
def multipliers(J, h, beta, scheme):
    """Moduli of the multipliers of steps with momentum on a linear field, state (x_k, x_{k-1})."""
    n, eye, zero = len(J), torch.eye(len(J)), torch.zeros_like(J)
    if scheme == "simultaneous":
        step = torch.cat([torch.cat([(1 + beta) * eye + h * J, -beta * eye], 1), torch.cat([eye, zero], 1)])
        return torch.linalg.eigvals(step).abs()
    d, g = torch.diag(torch.tensor([0.0, 1.0])), torch.diag(torch.tensor([1.0, 0.0]))
    full = torch.eye(2 * n)
    for player in (d, g):  # only this player's coordinates move; its own last move is what momentum remembers
        move = torch.cat([eye + player @ (beta * eye + h * J), -beta * player], 1)
        memory = torch.cat([player, eye - player], 1)
        full = torch.cat([move, memory]) @ full
    return torch.linalg.eigvals(full).abs()


J, _ = jacobian(lambda s: field(s, "minimax"))
betas = torch.linspace(-0.9, 0.9, 73)
largest = {
    (scheme, h): torch.stack([multipliers(J, h, beta.item(), scheme).max() for beta in betas])
    for scheme in ("simultaneous", "alternating")
    for h in (0.2, 1.0)
}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Largest multiplier of the undamped game against the momentum β. Below one (line) the steps converge: alternating steps do for moderately negative β (with h = 0.2 by too little to be seen), simultaneous ones for none.", "name": "fig-dyn-momentum"}, "image": {"alt": "Four curves against beta from minus 0.9 to 0.9. Both simultaneous curves stay above one and rise to the right; both alternating curves are below one for moderately negative beta, cross one at zero, and rise above for positive beta."}}
figure, axis = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
for (scheme, h), values in largest.items():
    axis.plot(betas, values, "-" if h == 1.0 else "--", color=COLORS[scheme], label=f"{scheme}, h = {h:g}")
axis.axhline(1, color="0.3", linewidth=0.8)
axis.set(xlabel="momentum β", ylabel="largest |λ|", ylim=(0.93, 1.3))
axis.grid(alpha=0.3)
axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
for h in (0.2, 1.0):
    assert (largest["simultaneous", h] > 1 + 1e-9).all()
    alternating = largest["alternating", h]
    inward = (betas < -0.01) & (betas > -0.7)
    assert (alternating[inward] < 1).all() and (alternating[betas > 0.01] > 1).all()
    assert torch.allclose(multipliers(J, h, 0.0, "alternating").sort().values[-2:], torch.ones(2))
    w = h / 2
    ahead = torch.linalg.eigvals(torch.eye(2) + h * J @ (torch.eye(2) + h * J)).abs()
    assert torch.allclose(ahead, torch.full((2,), math.sqrt(1 - w**2 + w**4)))
memory = torch.tensor([[*START]])
state, last = memory.clone(), memory.clone()
for _ in range(300):  # the real, non-linear game with alternating steps and β = -0.5
    for player in (torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0])):
        new = state + player * (1.0 * velocity(state, "minimax") - 0.5 * (state - last))
        last = torch.where(player.bool(), state, last)
        state = new
assert state.norm() < 1e-3
print("simultaneous steps diverge for every β; alternating ones converge for β between -0.7 and 0 and diverge for positive: yes")

# %% [markdown]
# Move the slider to uncover the paths of five ways of training the minimax game. (It works in the book and in a trusted notebook.)

# %% tags=["hide-input"]
START_AT = 48  # the step at which the slider stands first


def slider(paths, steps=160, size=360, reach=2.2):
    """Paths as SVG, uncovered by a slider; no library and no network needed."""

    def points(path):
        return " ".join(f"{size * (0.5 + x / 2 / reach):.1f},{size * (0.5 - y / 2 / reach):.1f}" for x, y in path.tolist())

    lines = "".join(
        f'<polyline points="{points(path[: START_AT + 1])}" data-points="{points(path)}" fill="none" stroke="{color}" stroke-width="2" class="dyn-path"/>'
        for path, color in paths.values()
    )
    names = "".join(
        f'<text x="{size + 12}" y="{40 + 20 * i}" font-size="14" fill="{color}">{name}</text>' for i, (name, (_, color)) in enumerate(paths.items())
    )
    half = size / 2
    return (
        f'<div style="max-width:{size + 150}px"><svg viewBox="0 0 {size + 150} {size}" role="img" aria-label="Paths of five training methods in the plane of theta and psi">'
        f'<rect width="{size + 150}" height="{size}" rx="6" fill="white"/>'
        f'<path d="M0 {half}H{size}M{half} 0V{size}" stroke="#999"/>{lines}{names}'
        f'<text x="{size - 16}" y="{half - 6}" font-size="13" fill="#333">θ</text><text x="{half + 6}" y="14" font-size="13" fill="#333">ψ</text></svg>'
        f'<label style="display:block">step <output>{START_AT}</output> of {steps} <input type="range" min="1" max="{steps}" value="{START_AT}" style="width:100%" '
        "oninput=\"const k = Number(this.value); this.closest('label').querySelector('output').value = k; "
        "this.closest('div').querySelectorAll('.dyn-path').forEach("
        "p => p.setAttribute('points', p.dataset.points.split(' ').slice(0, k + 1).join(' ')))\"></label></div>"
    )


shown_paths = {
    **{scheme: (paths["minimax", scheme][:161], COLORS[scheme]) for scheme in ("simultaneous", "alternating", "extragradient")},
    "with R1, γ = 0.3": (simulate(lambda s: velocity(s, "minimax", r1(0.3)), START, 0.2, 160)[:, 0], GENERATOR),
    "with R1, γ = 1": (simulate(lambda s: velocity(s, "minimax", r1(1.0)), START, 0.2, 160)[:, 0], "#444444"),
}
display(HTML(slider(shown_paths)))

# %% [markdown]
# ```{admonition} What can go wrong
# :class: warning
# - **"GANs diverge."** Which loss, which steps, which penalty, which data? The minimax game with simultaneous steps diverges, the non-saturating one
#   ends on a small cycle, alternating steps circle, and data of some width damp.
# - **Reading a cycle as convergence.** Losses that have stopped changing in the mean may belong to an orbit. Averages of the weights (as in
#   [the first chapter](01_minimax_game)) go to its centre.
# - **The wrong order of detach and step.** If the generator's step uses logits computed *before* the discriminator's step, the scheme is the simultaneous one.
# - **The momentum of the textbook.** $\beta_1=0.9$ is the right choice for a descent and the wrong one for a rotation.
# - **More γ.** Beyond the critical value R1 makes the generator *slower*, at the rate $ab/\gamma$.
# - **TTUR without a discriminator that has a best answer** only turns faster.
# ```
#
# ## Exercises
#
# ```{exercise}
# :label: ex-dyn-lsgan
# Why is $\frac12$ LSGAN's balanced logit? Compute $a$ and $b$ there, and $d''_{\mathrm{real}}+d''_{\mathrm{fake}}$. What would go wrong in the Dirac-GAN with $t^*=0$?
# ```
#
# ````{solution} ex-dyn-lsgan
# :class: dropdown
# With equal samples the discriminator minimises $\frac12(t-1)^2+\frac12t^2$, least at $t=\frac12$. $d'_{\mathrm{fake}}=t=\frac12=b$,
# $-g'=1-t=\frac12=a$, and both second derivatives are $1$. With $t^*=0$ the discriminator could not reach its optimum at the data, as $D(0)=t^*$ whatever $\psi$ is; then $b=0$,
# and the linearisation says nothing.
# ````

# %% tags=["hide-cell"]
t = torch.tensor([0.5], requires_grad=True)
both = LOSSES["lsgan"].d(t, t).sum()
(first,) = torch.autograd.grad(both, t, create_graph=True)
assert first.item() == 0 and torch.autograd.grad(first, t)[0].item() == 2

# %% [markdown]
# ```{exercise}
# :label: ex-dyn-step
# With R1 and $\gamma<2\sqrt{ab}$, what is the largest learning rate for which simultaneous steps converge? Check it for $\gamma=0.3$ and the minimax loss.
# ```
#
# ````{solution} ex-dyn-step
# :class: dropdown
# $\operatorname{Re}\mu=-\gamma/2$ and $|\mu|^2=\mu\bar\mu=ab$, so {eq}`eq-dyn-step` gives $h<\gamma/(ab)$: $1.2$ here. Little damping forces small steps.
# ````

# %% tags=["hide-cell"]
for h, inside in ((1.1, True), (1.3, False)):
    path = simulate(lambda s: velocity(s, "minimax", r1(0.3)), (0.01, 0.0), h, 400)[:, 0]
    assert (path[-1].norm() < path[0].norm()) == inside

# %% [markdown]
# ```{exercise}
# :label: ex-dyn-consensus
# *Consensus optimisation* {cite:p}`mescheder2017numerics` follows $v-\gamma\nabla\frac12\|v\|^2$. Compute the eigenvalues at the Dirac-GAN's equilibrium, and say why the method
# may be attracted to points that are no equilibrium of the game.
# ```
#
# ````{solution} ex-dyn-consensus
# :class: dropdown
# Where $v=0$, $\nabla\frac12\|v\|^2$ has the Jacobian $J^{\mathsf T}J$, here $\operatorname{diag}(b^2,a^2)$. With $a=b$: $\mu=-\gamma a^2\pm\mathrm ia$. The added term descends $\|v\|^2$, which is zero at *every* stationary
# point, also at a maximum of a player's loss.
# ````

# %% tags=["hide-cell"]
def consensus(state, gamma=0.8):
    v = field(state, "minimax")
    (pull,) = torch.autograd.grad(0.5 * (v**2).sum(), state, create_graph=True)
    return v - gamma * pull


J_consensus, _ = jacobian(lambda s: consensus(s))
values = torch.linalg.eigvals(J_consensus)
assert torch.allclose(values.real, torch.full((2,), -0.2)) and torch.allclose(values.imag.abs(), torch.full((2,), 0.5))

# %% [markdown]
# ```{exercise}
# :label: ex-dyn-optimism
# Extragradient needs two gradients per step. *Optimism* {cite:p}`daskalakis2018training` recalls the last one instead: $x_{k+1}=x_k+2hv(x_k)-hv(x_{k-1})$. Write the multipliers for
# $\mu=\mathrm i\omega$ as roots of a quadratic, and find numerically up to which $h\omega$ they lie inside the unit circle.
# ```
#
# ````{solution} ex-dyn-optimism
# :class: dropdown
# $\lambda^2-(1+2\mathrm iw)\lambda+\mathrm iw=0$ with $w=h\omega$. For small $w$ the larger root is $1+\mathrm iw-w^2+\dots$, of modulus $1-\frac12w^2$: inside. The
# cell below finds the limit $w=1/\sqrt3$, where a root leaves the circle.
# ````

# %% tags=["hide-cell"]
def optimistic(w):
    return np.abs(np.roots([1, -(1 + 2j * w), 1j * w])).max()


assert all(optimistic(w) < 1 for w in np.linspace(0.01, 0.57, 40))
assert optimistic(0.58) > 1 and abs(optimistic(1 / math.sqrt(3)) - 1) < 1e-9

# %% [markdown]
# ```{exercise}
# :label: ex-dyn-many-steps
# Instead of a larger learning rate, give the discriminator $k$ steps for each of the generator. Show that with R1 and $k\to\infty$ the generator's multiplier in the linearised game is $1-h\,ab/\gamma$, as with TTUR.
# ```
#
# ````{solution} ex-dyn-many-steps
# :class: dropdown
# With $\theta$ fixed each step contracts $\psi+\frac b\gamma\theta$ by $1-h\gamma$; for $h\gamma<2$ and many steps $\psi=-\frac b\gamma\theta$. Then $\theta\leftarrow\theta+ha\psi=(1-h\frac{ab}\gamma)\theta$.
# ````

# %% tags=["hide-cell"]
h, gamma = 0.2, 0.3
J, _ = jacobian(lambda s: field(s, "minimax", r1(gamma)))
d_step = torch.eye(2) + h * torch.diag(torch.tensor([0.0, 1.0])) @ J
g_step = torch.eye(2) + h * torch.diag(torch.tensor([1.0, 0.0])) @ J
for k, tolerance in ((10, 1.0), (50, 0.05), (400, 1e-9)):
    largest_modulus = torch.linalg.eigvals(g_step @ torch.linalg.matrix_power(d_step, k)).abs().max()
    assert abs(largest_modulus - (1 - h * 0.25 / gamma)) < tolerance

# %% [markdown]
# ```{exercise}
# :label: ex-dyn-average
# The minimax game with alternating steps circles for ever. Show numerically that the *average* of the weights over a run nevertheless goes to the
# equilibrium, and at which rate. Does averaging help simultaneous steps of the Wasserstein game?
# ```
#
# ````{solution} ex-dyn-average
# :class: dropdown
# On a closed orbit the sum over each turn is nearly zero, so the sum over $n$ steps stays bounded and the average falls as $1/n$. An outward spiral grows
# by a factor in each turn, and its average grows with it. A moving average of a GAN's weights makes use of the same cancellation.
# ````

# %% tags=["hide-cell"]
circle = simulate(lambda s: velocity(s, "minimax"), START, 0.2, 1000, "alternating")[:, 0]
sums = circle.cumsum(0).norm(dim=1)  # n times the average over n steps
assert circle.norm(dim=1).min() > 1  # the game itself never comes near the equilibrium
assert sums.max() < 50 and sums[500:].max() < 1.2 * sums[:500].max()  # bounded, so that the average falls as 1/n
outward = simulate(lambda s: velocity(s, "wasserstein"), START, 0.2, 500)[:, 0]
assert outward.mean(0).norm() > 10

# %% [markdown]
# ## Where this is used
#
# [The minimax game](01_minimax_game) trains with R1, alternating steps, $\beta_1=0$ and averaged weights: four remedies of this chapter at once. The losses are those of
# `ganbook.losses`, and the alternating steps those of `ganbook.models.gan`, which train [digits](../experiments/gan_mnist) and [emoji](../experiments/dcgan_emoji). Two learning rates are tried in [the self-attention GAN](../experiments/sagan32) and swept in [an experiment of their own](../experiments/learning_rate).

# %% tags=["hide-input"]
display(Markdown(f"*This chapter ran in {time.perf_counter() - started:.0f} s.*"))
