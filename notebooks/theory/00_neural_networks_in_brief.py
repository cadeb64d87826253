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
# # Neural networks in brief
#
# ```{admonition} In this chapter
# :class: tip
# - the neuron, what one of them cannot do, and how a stack of them learns: back-propagation, derived and programmed by hand;
# - the losses that the book uses, each with its gradient and with what it makes a network estimate;
# - activations, and why some of them stop a deep network from learning: saturation and centring, proven and measured;
# - overfitting, and five answers to it on 300 real digits: L1, L2, dropout, early stopping, cross-validation;
# - learning with and without a teacher, where a GAN stands between them, and seventy years of history on a line.
#
# *Before this:* derivatives and the chain rule, matrices, expectation, a little PyTorch. *Cost:* about twenty seconds.
# ```

# %% tags=["hide-input"]
import itertools
import math
import time

import matplotlib.pyplot as plt
import torch
from IPython.display import Markdown, display
from scipy.optimize import linprog
from torch import nn
from torch.nn import functional as F

from ganbook import data
from ganbook.losses import LOSSES
from ganbook.plotting import DISCRIMINATOR, FAKE, GENERATOR, REAL

torch.manual_seed(0)
started = time.perf_counter()

# %% [markdown]
# ## One neuron
#
# A *neuron* takes $n$ numbers $x\in\mathbb R^n$ and gives one,
#
# $$ a=\phi(z),\qquad z=w^{\mathsf T}x+b, $$ (eq-nn-neuron)
#
# with *weights* $w\in\mathbb R^n$, a *bias* $b$ and a fixed *activation* $\phi:\mathbb R\to\mathbb R$. The neuron of {cite:t}`mcculloch1943logical`
# fires or does not: $\phi(z)=1$ if $z>0$, else $0$. It cuts space along the plane $w^{\mathsf T}x+b=0$ and says on which side a point lies.
# That is enough for AND, OR and NOT, so networks of such neurons compute every Boolean function. One neuron does not.
#
# ````{prf:proposition} One neuron cannot tell whether two inputs differ
# :label: prop-nn-xor
#
# No neuron with a threshold computes XOR, the function of two bits that is $1$ if they differ. Two layers do:
# $x_1\oplus x_2=\phi\bigl(\phi(x_1+x_2-\tfrac12)-\phi(x_1+x_2-\tfrac32)-\tfrac12\bigr)$.
# ````
#
# ````{prf:proof}
# It would need $b\le0$, $w_1+b>0$, $w_2+b>0$ and $w_1+w_2+b\le0$. The two in the middle add up to $w_1+w_2+2b>0$, the outer two to $w_1+w_2+2b\le0$.
# In the formula the first inner neuron fires if at least one bit is set, the second if both are; their difference is above $\frac12$ only if exactly one is.
# ````
#
# Whether *some* neuron computes a given function is a question of linear inequalities, which a linear programme decides.


# %%
CORNERS = torch.tensor(list(itertools.product((0.0, 1.0), repeat=2)))


def threshold(z):
    return (z > 0).to(z.dtype)


def some_neuron_computes(outputs):
    """Is there (w₁, w₂, b) with z ≥ 1 where the output is 1, and z ≤ -1 where it is 0? (Any gap can be scaled to 1.)"""
    sign = 2 * torch.tensor(outputs) - 1
    rows = -sign[:, None] * torch.cat([CORNERS, torch.ones(4, 1)], 1)
    return linprog([0, 0, 0], A_ub=rows.numpy(), b_ub=-torch.ones(4).numpy(), bounds=(None, None)).status == 0


functions = list(itertools.product((0, 1), repeat=4))  # the value at 00, 01, 10, 11
possible = [outputs for outputs in functions if some_neuron_computes(outputs)]

# %% tags=["claim", "keep_output", "nbval-check-output"]
XOR, XNOR = (0, 1, 1, 0), (1, 0, 0, 1)
assert set(functions) - set(possible) == {XOR, XNOR}
total = CORNERS.sum(1)
two_layers = threshold(threshold(total - 0.5) - threshold(total - 1.5) - 0.5)
assert torch.equal(two_layers, torch.tensor(XOR).float())
print("of the 16 functions of two bits one neuron computes 14, all but XOR and its negation; two layers compute XOR: yes")

# %% [markdown]
# ## How a stack of neurons learns
#
# A *layer* is many neurons that read the same inputs. A network of $L$ layers computes, from $a_0=x$,
#
# $$ z_\ell=W_\ell a_{\ell-1}+b_\ell,\qquad a_\ell=\phi(z_\ell),\qquad \ell=1,\dots,L. $$ (eq-nn-network)
#
# (The last layer often has no activation; its outputs are then $z_L$.) A *loss* $\mathcal L(a_L,y)$ says how bad the output is when $y$ was wanted. Learning means to change all
# parameters $\theta$, weights and biases, against the gradient of $\bar{\mathcal L}(\theta)$, the mean of the loss over the examples: *gradient descent*
#
# $$ \theta\leftarrow\theta-h\,\nabla_\theta\bar{\mathcal L}, $$ (eq-nn-descent)
#
# with a *learning rate* $h>0$. A *minibatch* of a few examples estimates the gradient at a fraction of its cost (*stochastic* gradient descent, SGD). A threshold has the derivative zero wherever it has one, so it must first be made smooth.
# All derivatives then come in one sweep from the last layer to the first.
#
# ````{prf:theorem} Back-propagation
# :label: thm-nn-backprop
#
# ({cite:t}`werbos1974beyond`; {cite:t}`rumelhart1986learning`.) For one example let $\delta_\ell=\partial\mathcal L/\partial z_\ell$, a vector as long as $z_\ell$. Then, with $\odot$ the product entry by entry,
#
# $$ \begin{aligned}
#    \delta_L&=\phi'(z_L)\odot\frac{\partial\mathcal L}{\partial a_L},&
#    \delta_\ell&=\phi'(z_\ell)\odot W_{\ell+1}^{\mathsf T}\delta_{\ell+1},\\
#    \frac{\partial\mathcal L}{\partial W_\ell}&=\delta_\ell\,a_{\ell-1}^{\mathsf T},&
#    \frac{\partial\mathcal L}{\partial b_\ell}&=\delta_\ell.
#    \end{aligned} $$ (eq-nn-backprop)
# ````
#
# ````{prf:proof}
# The loss depends on $z_\ell$ only through $z_{\ell+1}=W_{\ell+1}\phi(z_\ell)+b_{\ell+1}$, whose $i$-th entry has the derivative $(W_{\ell+1})_{ij}\,\phi'((z_\ell)_j)$ with respect to $(z_\ell)_j$. The chain rule sums over $i$:
# $(\delta_\ell)_j=\sum_i(\delta_{\ell+1})_i(W_{\ell+1})_{ij}\,\phi'((z_\ell)_j)$. On $(W_\ell)_{ij}$ it depends only through $(z_\ell)_i$, with derivative $(a_{\ell-1})_j$; on $(b_\ell)_i$ likewise, with derivative $1$.
# ````
#
# In code, for the loss $\|a_L-y\|^2$ and $\phi=\tanh$; PyTorch's automatic differentiation does the same for any network.


# %%
def forward(x, weights, biases):
    """All pre-activations z_1, …, z_L and activations a_0, …, a_L of one example."""
    z, a = [], [x]
    for W, b in zip(weights, biases):
        z.append(W @ a[-1] + b)
        a.append(torch.tanh(z[-1]))
    return z, a


def backward(z, a, y, weights):
    """Gradients of ‖a_L - y‖² with respect to each W and b, by the recursion of the theorem."""
    delta = (1 - torch.tanh(z[-1]) ** 2) * 2 * (a[-1] - y)
    gradients = []
    for layer in range(len(weights) - 1, -1, -1):
        gradients.append((torch.outer(delta, a[layer]), delta))
        if layer:
            delta = (1 - torch.tanh(z[layer - 1]) ** 2) * (weights[layer].T @ delta)
    return gradients[::-1]


sizes = [5, 8, 7, 3]
weights = [torch.randn(m, n, dtype=torch.float64, requires_grad=True) for n, m in itertools.pairwise(sizes)]
biases = [torch.randn(m, dtype=torch.float64, requires_grad=True) for m in sizes[1:]]
x, y = torch.randn(5, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
z, a = forward(x, weights, biases)
by_torch = torch.autograd.grad((a[-1] - y).square().sum(), [*weights, *biases])
by_hand = backward(z, a, y, weights)

# %% tags=["claim", "keep_output", "nbval-check-output"]
for layer, (for_weight, for_bias) in enumerate(by_hand):
    assert torch.allclose(for_weight, by_torch[layer], atol=1e-12)
    assert torch.allclose(for_bias, by_torch[len(weights) + layer], atol=1e-12)
print("every gradient of the hand-written sweep is automatic differentiation's: yes")

# %% [markdown]
# ## Losses and what they make a network estimate
#
# In *regression* the network answers a number $\hat y$. In *classification* it gives a *logit* $t\in\mathbb R$ for "yes", or one logit for each of $K$ classes; the logistic function (the *sigmoid*) and the *softmax* make probabilities of them,
#
# $$ \sigma(t)=\frac1{1+e^{-t}},\qquad \operatorname{softmax}(t)_i=\frac{e^{t_i}}{\sum_{k=1}^Ke^{t_k}}. $$ (eq-nn-squash)
#
# | loss | on one example | gradient | target |
# |---|---|---|---|
# | squared error (MSE) | $(\hat y-y)^2$ | $2(\hat y-y)$ | $y\in\mathbb R$ |
# | squared logarithmic error (MSLE) | $\Delta^2$ with $\Delta=\log\frac{1+\hat y}{1+y}$ | $\dfrac{2\Delta}{1+\hat y}$ | $y>-1$ |
# | binary cross-entropy | $-y\log\sigma(t)-(1-y)\log(1-\sigma(t))$ | $\sigma(t)-y$ | $y\in[0,1]$ |
# | cross-entropy | $-\sum_iy_i\log\operatorname{softmax}(t)_i$ | $\operatorname{softmax}(t)-y$ | one-hot, or probabilities |
# | hinge | $\max(0,1-yt)$ | $-y$ if $yt<1$, else $0$ | $y\in\{-1,1\}$ |
#
# The *mean* over $N$ examples gives the M of MSE and MSLE, and a factor $\frac1N$ to each gradient. *One-hot* means that $y_i=1$ for the right class and $0$ for the others.
#
# ````{prf:theorem} The gradients of the table
# :label: thm-nn-gradients
#
# The third column is the derivative of the second, with respect to $\hat y$ or $t$ (for hinge wherever $yt\ne1$). Binary cross-entropy is cross-entropy with two classes and the logits $(t,0)$.
# ````
#
# ````{prf:proof}
# The first two rows are the chain rule. For the binary cross-entropy, $\sigma'=\sigma(1-\sigma)$, so $\frac{d}{dt}\log\sigma(t)=1-\sigma(t)$ and $\frac{d}{dt}\log(1-\sigma(t))=-\sigma(t)$; together
# $-y(1-\sigma)+(1-y)\sigma=\sigma-y$. For the cross-entropy, $\log\operatorname{softmax}(t)_i=t_i-\log\sum_ke^{t_k}$ has the derivative $[i=j]-\operatorname{softmax}(t)_j$ with respect to $t_j$, where $[i=j]$ is $1$ if $i=j$ and else $0$; multiplied by $-y_i$ and summed, with $\sum_iy_i=1$, that is $\operatorname{softmax}(t)_j-y_j$.
# Hinge is linear on either side of $yt=1$. Finally $\operatorname{softmax}(t,0)_1=e^t/(e^t+1)=\sigma(t)$.
# ````


# %%
def mse(guess, y):
    return (guess - y) ** 2


def msle(guess, y):
    return (torch.log1p(guess) - torch.log1p(y)) ** 2


def binary_cross_entropy(t, y):
    return y * F.softplus(-t) + (1 - y) * F.softplus(t)  # -log σ(t) = softplus(-t): no overflow


def cross_entropy(t, y):
    return -(y * torch.log_softmax(t, -1)).sum(-1)


def hinge(t, y):
    return torch.relu(1 - y * t)


def slope(loss, at, y):
    """The derivative of a loss at each entry, by automatic differentiation."""
    at = at.detach().requires_grad_()
    return torch.autograd.grad(loss(at, y).sum(), at)[0]


t = torch.randn(1000, dtype=torch.float64) * 4
positive, targets = t.abs(), torch.rand(1000, dtype=torch.float64)
signs, many = torch.sign(torch.randn(1000, dtype=torch.float64)), torch.randn(1000, 7, dtype=torch.float64) * 3
one_hot = F.one_hot(torch.randint(7, (1000,)), 7).double()

# %% tags=["claim", "keep_output", "nbval-check-output"]
assert torch.allclose(slope(mse, t, targets), 2 * (t - targets))
formula = 2 * (torch.log1p(positive) - torch.log1p(targets)) / (1 + positive)
assert torch.allclose(slope(msle, positive, targets), formula)
assert torch.allclose(slope(binary_cross_entropy, t, targets), torch.sigmoid(t) - targets)
assert torch.allclose(slope(cross_entropy, many, one_hot), torch.softmax(many, 1) - one_hot)
assert torch.equal(slope(hinge, t, signs), torch.where(signs * t < 1, -signs, 0.0))
pair = torch.stack([t, torch.zeros_like(t)], 1)
assert torch.allclose(
    cross_entropy(pair, torch.stack([targets, 1 - targets], 1)), binary_cross_entropy(t, targets)
)
assert torch.allclose(binary_cross_entropy(t, targets), F.binary_cross_entropy_with_logits(t, targets, reduction="none"))
assert torch.allclose(cross_entropy(many, one_hot), F.cross_entropy(many, one_hot, reduction="none"))
real, fake = t[:500], t[500:]
ones, zeros = torch.ones_like(real), torch.zeros_like(fake)
cross = binary_cross_entropy(real, ones) + binary_cross_entropy(fake, zeros)
assert torch.allclose(LOSSES["minimax"].d(real, fake), cross)
assert torch.allclose(LOSSES["hinge"].d(real, fake), hinge(real, ones) + hinge(fake, -ones))
assert torch.allclose(LOSSES["lsgan"].d(real, fake), (mse(real, ones) + mse(fake, zeros)) / 2)
print("all five gradients are autograd's; the losses are PyTorch's, and, with two labels, the book's GAN losses: yes")

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Losses of one logit when the answer should be yes (left) and their derivatives (right). The squared error of a probability, dotted, is flat where the answer is most wrong.", "name": "fig-nn-losses"}, "image": {"alt": "Left: loss against the logit from minus six to six; cross-entropy and hinge rise in straight lines to the left, the squared error of the logit as a parabola, the squared error of the sigmoid levels off at one. Right: their derivatives; cross-entropy's tends to minus one, hinge's jumps from minus one to zero at one, the sigmoid's squared error returns to zero on the left."}}
line = torch.linspace(-6, 6, 600, dtype=torch.float64)
curves = {
    "binary cross-entropy": (lambda t: binary_cross_entropy(t, 1.0), DISCRIMINATOR, "-"),
    "hinge": (lambda t: hinge(t, 1.0), FAKE, "-"),
    "squared error of t": (lambda t: mse(t, 1.0), REAL, "-"),
    "squared error of σ(t)": (lambda t: mse(torch.sigmoid(t), 1.0), GENERATOR, ":"),
}
figure, (left, right) = plt.subplots(1, 2, figsize=(8.8, 3.1), layout="constrained")
for name, (loss, color, style) in curves.items():
    left.plot(line, loss(line), style, color=color, label=name, linewidth=2)
    right.plot(line, slope(lambda t, _, loss=loss: loss(t), line, None), style, color=color, linewidth=2)
left.set(xlabel="logit t, wanted: yes", ylabel="loss", ylim=(-0.2, 7))
right.set(xlabel="logit t, wanted: yes", ylabel="derivative", ylim=(-2.5, 1.2))
for axis in (left, right):
    axis.grid(alpha=0.3)
right.legend(*left.get_legend_handles_labels(), frameon=False, fontsize=8, loc="lower right")
plt.show()

# %% [markdown]
# Why is the cross-entropy the classifier's loss, and not the squared error of its probability, $(\sigma(t)-y)^2$? The latter has the derivative $2(\sigma(t)-y)\,\sigma'(t)$: a factor $\sigma'(t)$ that vanishes for large $|t|$, even where the answer is
# wrong. The logarithm cancels it. This is the loss that *saturates*, an effect that returns in [the generator's loss](01_minimax_game).
#
# Losses also differ in what they ask for when the same $x$ comes with different answers $y$.
#
# ````{prf:theorem} What each loss estimates
# :label: thm-nn-estimates
#
# For a fixed $x$ let $y$ be random. The expected loss is smallest
#
# 1. for squared error at $\hat y=\mathbb E\,y$; for MSLE at $\hat y=\exp\bigl(\mathbb E\log(1+y)\bigr)-1$;
# 2. for cross-entropy at $\operatorname{softmax}(t)_i=P(\text{class }i)$, for the binary one at $\sigma(t)=P(\text{yes})$, if these are positive and in the binary case less than $1$;
# 3. for hinge, with $P(y=1)=r$ strictly between $0$ and $1$, at $t=1$ if $r>\frac12$, at $t=-1$ if $r<\frac12$.
# ````
#
# ````{prf:proof}
# (1) $\mathbb E(\hat y-y)^2=(\hat y-\mathbb Ey)^2+\operatorname{Var}y$; for MSLE apply this to $\log(1+y)$. (2) The expected loss is $-\sum_iP_i\log\pi_i$ with $\pi=\operatorname{softmax}(t)$, and with $\log u\le u-1$, an equality for $u=1$ alone,
# $\sum_iP_i\log\pi_i-\sum_iP_i\log P_i=\sum_iP_i\log\frac{\pi_i}{P_i}\le\sum_i(\pi_i-P_i)=0$: smallest for $\pi=P$ and no other. (This is Gibbs' inequality, {prf:ref}`thm-div-gibbs`.)
# (3) $r\max(0,1-t)+(1-r)\max(0,1+t)$ has the slope $-r$ for $t<-1$, $1-2r$ for $-1<t<1$, and $1-r$ for $t>1$: it falls, then falls or rises with the sign of $1-2r$, then rises.
# ````
#
# So cross-entropy learns probabilities, hinge only decisions: a GAN's discriminator trained with hinge tells real from fake, but says nothing of *how sure* one may be. And MSLE estimates a kind of geometric mean, hardly moved by a few enormous targets, which is what it is for.

# %% tags=["claim", "keep_output", "nbval-check-output"]
skewed = torch.exp(2 * torch.randn(500, dtype=torch.float64))  # targets over several powers of ten
grid = torch.linspace(0, 20, 20_001, dtype=torch.float64)[:, None]
for loss, best in ((mse, skewed.mean()), (msle, torch.log1p(skewed).mean().exp() - 1)):
    found = grid[loss(grid, skewed).mean(1).argmin(), 0]
    assert abs(found - best) < 1e-3
assert skewed.mean() > 2 * (torch.log1p(skewed).mean().exp() - 1)  # the few large ones pull the mean
logits = torch.linspace(-4, 4, 8001, dtype=torch.float64)
for r in (0.1, 0.3, 0.45, 0.6, 0.9):
    by_entropy = logits[(r * binary_cross_entropy(logits, 1) + (1 - r) * binary_cross_entropy(logits, 0)).argmin()]
    by_hinge = logits[(r * hinge(logits, 1) + (1 - r) * hinge(logits, -1)).argmin()]
    assert abs(torch.sigmoid(by_entropy) - r) < 1e-3
    assert abs(by_hinge - (1 if r > 0.5 else -1)) < 1e-3
print("squared error finds the mean, MSLE its logarithmic kin, cross-entropy the probability, hinge the decision: yes")

# %% [markdown]
# ## Activations
#
# Without $\phi$ a stack of layers would be one matrix. The usual choices:
#
# | | $\phi(z)$ | $\phi'(z)$ | values |
# |---|---|---|---|
# | sigmoid | $1/(1+e^{-z})$ | $\sigma(z)(1-\sigma(z))\le\frac14$ | $(0,1)$ |
# | tanh | $(e^z-e^{-z})/(e^z+e^{-z})=2\sigma(2z)-1$ | $1-\tanh^2z\le1$ | $(-1,1)$ |
# | ReLU | $\max(0,z)$ | $1$ for $z>0$, $0$ for $z<0$ | $[0,\infty)$ |
# | LeakyReLU | $z$ for $z>0$, $\alpha z$ for $z\le0$ | $1$ or $\alpha$ | $\mathbb R$ |
# | softmax | {eq}`eq-nn-squash`, of all neurons of a layer | $\operatorname{diag}(\pi)-\pi\pi^{\mathsf T}$, $\pi=\operatorname{softmax}(z)$ | probabilities |
#
# with a small $\alpha>0$: $0.01$ at first, $0.2$ in GANs. An activation *saturates* where its slope tends to zero; it is *centred* if its values lie around zero. Both matter, for different reasons.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Activations (left) and their slopes (right).", "name": "fig-nn-activations"}, "image": {"alt": "Left: sigmoid rises from zero to one, tanh from minus one to one, ReLU is zero then a straight line, LeakyReLU has a small slope on the left. Right: the sigmoid's slope is a low bump of at most a quarter, tanh's a bump of height one, ReLU's a step from zero to one, LeakyReLU's a step from a fifth to one."}}
ACTIVATIONS = {  # name: function, factor s² in the variance s²/n of its weights, colour
    "sigmoid": (torch.sigmoid, 1.0, GENERATOR),
    "tanh": (torch.tanh, 1.0, REAL),
    "ReLU": (torch.relu, 2.0, FAKE),
    "LeakyReLU": (lambda z: F.leaky_relu(z, 0.2), 2 / (1 + 0.2**2), DISCRIMINATOR),
}
figure, (left, right) = plt.subplots(1, 2, figsize=(8.8, 2.9), layout="constrained")
for name, (phi, _, color) in ACTIVATIONS.items():
    style = "--" if name == "LeakyReLU" else "-"
    left.plot(line, phi(line), style, color=color, label=name)
    right.plot(line, slope(lambda z, _, phi=phi: phi(z), line, None), style, color=color)
left.set(xlabel="z", ylabel="φ(z)", ylim=(-1.5, 3))
right.set(xlabel="z", ylabel="φ′(z)")
for axis in (left, right):
    axis.grid(alpha=0.3)
left.legend(frameon=False)
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
sigmoid, tanh = torch.sigmoid(line), torch.tanh(line)
assert torch.allclose(tanh, 2 * torch.sigmoid(2 * line) - 1)
assert torch.allclose(slope(lambda z, _: torch.sigmoid(z), line, None), sigmoid * (1 - sigmoid))
assert torch.allclose(slope(lambda z, _: torch.tanh(z), line, None), 1 - tanh**2)
assert (sigmoid * (1 - sigmoid)).max() <= 0.25
z = torch.randn(6, dtype=torch.float64)
pi = torch.softmax(z, 0)
jacobian = torch.autograd.functional.jacobian(lambda z: torch.softmax(z, 0), z)
assert torch.allclose(jacobian, torch.diag(pi) - torch.outer(pi, pi))
assert torch.allclose(torch.softmax(z + 100, 0), pi)  # only differences of logits count
print("the slopes of the table hold; the sigmoid's is at most a quarter; softmax does not see a common shift: yes")

# %% [markdown]
# ### Saturation: gradients on their way down
#
# ````{prf:proposition} What a stack leaves of a gradient
# :label: prop-nn-vanish
#
# If $|\phi'|\le c$ everywhere, the gradients of {prf:ref}`thm-nn-backprop` obey $\|\delta_\ell\|\le c\,\|W_{\ell+1}\|\,\|\delta_{\ell+1}\|$, hence
#
# $$ \|\delta_1\|\le c^{L-1}\,\|W_2\|\cdots\|W_L\|\;\|\delta_L\|, $$ (eq-nn-vanish)
#
# where $\|W\|$ is the operator norm, the largest factor by which $W$ stretches a vector. For the sigmoid $c=\frac14$.
# ````
#
# ````{prf:proof}
# $\|\phi'(z_\ell)\odot v\|\le c\|v\|$ for $v=W_{\ell+1}^{\mathsf T}\delta_{\ell+1}$, and $\|W^{\mathsf T}\|=\|W\|$.
# ````
#
# Unless the matrices stretch fourfold, sigmoids shrink the gradient exponentially with depth. For random weights a sharper rule of thumb replaces the bound ({cite:t}`glorot2010understanding`; {cite:t}`he2015delving`). Let the entries of $W_{\ell+1}$, of $n$ rows and columns, be independent with mean $0$
# and variance $s^2/n$, and treat them as independent of $\delta_{\ell+1}$ and $z_\ell$. Then
#
# $$ \mathbb E\|\delta_\ell\|^2\approx s^2\;\mathbb E\,\phi'(z_\ell)^2\;\mathbb E\|\delta_{\ell+1}\|^2. $$ (eq-nn-depth)
#
# ReLU has $\phi'^2=1$ half the time, so that $s^2=2$ keeps the gradient's length: He's initialisation. For LeakyReLU it is $s^2=2/(1+\alpha^2)$, and for tanh near $z=0$ it is $s^2=1$, Glorot's with equal widths.


# %%
def gradients_through(phi, s2, depth=30, width=128, batch=64):
    """‖δ_ℓ‖ for each layer (root mean square over a batch), mean of φ'(z_ℓ)², and the bound's norms ‖W_ℓ‖."""
    rng = torch.Generator().manual_seed(0)
    weights = [torch.randn(width, width, generator=rng) * math.sqrt(s2 / width) for _ in range(depth)]
    a, z = torch.randn(batch, width, generator=rng), []
    for W in weights:
        z.append((a @ W.T).requires_grad_())
        a = phi(z[-1])
    deltas = torch.autograd.grad((a * torch.randn(a.shape, generator=rng)).sum(), z)
    slopes = [slope(lambda z, _: phi(z), zl, None).square().mean() for zl in z]
    norms = torch.stack([torch.linalg.matrix_norm(W, 2) for W in weights])
    return torch.stack([d.square().sum(1).mean().sqrt() for d in deltas]), torch.stack(slopes), norms, deltas


depths = {name: gradients_through(phi, s2) for name, (phi, s2, _) in ACTIVATIONS.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Length of the gradient that reaches each of 30 layers, relative to the last one (dots), and the rule of thumb with the measured mean of $\\phi'^2$ (lines). The sigmoid loses about a factor of four a layer.", "name": "fig-nn-depth"}, "image": {"alt": "Gradient length on a logarithmic axis against the layer, from thirty back to one: flat for ReLU and LeakyReLU, falling gently for tanh, and falling in a steep straight line by some eighteen powers of ten for the sigmoid; dots lie on the predicted lines."}}
figure, axis = plt.subplots(figsize=(6.8, 3.2), layout="constrained")
layers = torch.arange(1, 31)
for name, (_, s2, color) in ACTIVATIONS.items():
    lengths, slopes, _, _ = depths[name]
    rule = torch.cat([(s2 * slopes[:-1]).sqrt().flip(0).cumprod(0).flip(0), torch.ones(1)])
    axis.semilogy(layers, lengths / lengths[-1], ".", color=color, label=name)
    axis.semilogy(layers, rule, color=color, linewidth=1)
axis.set(xlabel="layer (the loss sits behind the last)", ylabel="length of the gradient")
axis.grid(alpha=0.3)
axis.legend(frameon=False)
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
for name, (_, s2, _) in ACTIVATIONS.items():
    lengths, slopes, norms, deltas = depths[name]
    largest = 0.25 if name == "sigmoid" else 1.0
    for layer in range(29):  # the bound, for every sample
        bound = largest * norms[layer + 1] * deltas[layer + 1].norm(dim=1)
        assert (deltas[layer].norm(dim=1) <= bound * (1 + 1e-5)).all()
    measured = (lengths[0] / lengths[-1]).log() / 29  # mean logarithm of the factor a layer
    assert abs(measured - (s2 * slopes[:-1]).log().mean() / 2) < 0.05
assert depths["sigmoid"][0][0] < 1e-12 * depths["sigmoid"][0][-1]
for name in ("ReLU", "LeakyReLU"):
    assert 0.2 < depths[name][0][0] / depths[name][0][-1] < 5
print("through 30 layers the sigmoid's gradient falls below a millionth of a millionth, (Leaky)ReLU's keeps its size: yes")

# %% [markdown]
# ReLU has a price of its own: a neuron whose $z$ is negative for every input has the gradient zero for ever, it is *dead*. LeakyReLU lets a share $\alpha$ of the gradient through, which is why GAN discriminators, on whose gradients the generator lives, are built with it {cite:p}`radford2016unsupervised`.
#
# ### Centring: a step that must go both ways
#
# ````{prf:proposition} Positive inputs tie the signs of the steps
# :label: prop-nn-centring
#
# If all inputs of a neuron are positive, then for every example the gradient of the loss with respect to its weights has entries of one sign only (or is zero).
# ````
#
# ````{prf:proof}
# By {prf:ref}`thm-nn-backprop` it is $\delta\,a$, with a number $\delta$ and the vector $a>0$ of the inputs.
# ````
#
# Sigmoids feed positive inputs to the next layer. If one weight has to rise and its neighbour to fall, they cannot do both in one step on one example: the path is a zigzag {cite:p}`lecun1998efficient`. A neuron with two weights, $a=w_1x_1+w_2x_2$, learns $(1,-1)$, once from inputs
# in $[0,1]$ and once from the same inputs minus $\frac12$.


# %%
def path(shift, steps=400, h=0.4):
    """SGD on single examples from w = 0 towards (1, -1): the weights after each step, (steps + 1, 2)."""
    rng = torch.Generator().manual_seed(0)
    w, wanted, walk = torch.zeros(2), torch.tensor([1.0, -1.0]), [torch.zeros(2)]
    for _ in range(steps):
        x = torch.rand(2, generator=rng) - shift
        w = w - h * 2 * (w @ x - wanted @ x) * x
        walk.append(w)
    return torch.stack(walk)


walks = {"inputs in [0, 1]": path(0.0), "centred inputs": path(0.5)}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The first 40 steps of two weights on their way from the origin to the cross. With positive inputs every step goes up and to the right or down and to the left.", "name": "fig-nn-zigzag"}, "image": {"alt": "Two panels of paths in the plane of two weights. On the left the path from positive inputs jumps up and down along rising lines and makes a long detour; on the right the path from centred inputs goes nearly straight to the target."}}
figure, axes = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained", sharex=True, sharey=True)
for axis, (name, walk), color in zip(axes, walks.items(), (FAKE, DISCRIMINATOR)):
    axis.plot(*walk[:41].T, ".-", color=color, linewidth=0.8, markersize=4)
    axis.plot(1, -1, "x", color="black", markersize=9, markeredgewidth=2)
    axis.set(title=name, xlabel="first weight", ylabel="second weight", aspect="equal")
    axis.grid(alpha=0.3)
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
moves = {name: walk.diff(dim=0) for name, walk in walks.items()}
assert (moves["inputs in [0, 1]"].prod(1) >= 0).all()  # both weights move the same way, at every step
assert (moves["centred inputs"].prod(1) < 0).any()
detour = {name: move[:60].norm(dim=1).sum() / (walks[name][60] - walks[name][0]).norm() for name, move in moves.items()}
assert detour["inputs in [0, 1]"] > 1.3 * detour["centred inputs"]
print("positive inputs move both weights up or both down, at every step, on a longer path: yes")

# %% [markdown]
# So inputs are scaled to $[-1,1]$, and generators of images end in tanh, which is centred and has the same range.
#
# ## With and without a teacher
#
# *Supervised* learning has pairs: an input and the answer that is wanted. *Unsupervised* learning has inputs only, and looks for structure in them: groups, directions, or, as a GAN does, their distribution. Answers cost labour; inputs often cost nothing. Both, on the same 1,000 handwritten digits of 14 × 14 pixels: a classifier
# with labels, and $k$-means {cite:p}`lloyd1982least`, which only groups what looks alike. (A group is named afterwards by the digit that most of its training pictures show.)

# %%
train_set = data.to_tensors(data.load("mnist", split="train", resolution=14))
test_set = data.to_tensors(data.load("mnist", split="test", resolution=14))
digits, labels = train_set[0][:1000].flatten(1), train_set[1][:1000]
test_x, test_y = test_set[0][:2000].flatten(1), test_set[1][:2000]


def k_means(x, k, rounds=25):
    """Centres of k groups: assign to the nearest centre, move each centre to its group's mean, repeat."""
    centres = x[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:k]]
    for _ in range(rounds):
        group = torch.cdist(x, centres).argmin(1)
        centres = torch.stack([x[group == i].mean(0) if (group == i).any() else centres[i] for i in range(k)])
    return centres


def softmax_regression(x, y, *, l2=0.0, steps=150, h=1e-2):
    """One layer with softmax, trained by cross-entropy + l2·‖W‖²: the function that gives the logits."""
    torch.manual_seed(0)
    layer = nn.Linear(x.shape[1], 10)
    optimizer = torch.optim.Adam(layer.parameters(), h)
    for _ in range(steps):
        optimizer.zero_grad()
        (F.cross_entropy(layer(x), y) + l2 * layer.weight.square().sum()).backward()
        optimizer.step()
    return layer


def accuracy(guess, y):
    return (guess == y).float().mean().item()


centres = k_means(digits, 10)
names = torch.stack([labels[torch.cdist(digits, centres).argmin(1) == i].mode().values for i in range(10)])
without_teacher = accuracy(names[torch.cdist(test_x, centres).argmin(1)], test_y)
with_teacher = accuracy(softmax_regression(digits, labels)(test_x).argmax(1), test_y)
display(
    Markdown(
        f"On 2,000 other digits the classifier is right in **{with_teacher:.0%}** of cases, the ten groups in "
        f"**{without_teacher:.0%}**; guessing would be right in about 10%."
    )
)

# %% tags=["claim", "keep_output", "nbval-check-output"]
assert with_teacher > without_teacher + 0.1 and without_teacher > 0.3
print("ten groups found without labels do far better than chance, and worse than a classifier with labels: yes")

# %% [markdown]
# A GAN stands between the two. Its task is unsupervised, its discriminator is an ordinary classifier with teacher, and the labels *real* and *fake* are free, since we know which pictures we made.
#
# ## Overfitting and five answers to it
#
# A network with more parameters than examples can learn the examples by heart, accidents included. What counts is the error on new ones. Here it is made visible: 300 digits for a network with some 26,000 parameters, and a fifth of the labels drawn anew at random, as by a careless annotator. Of the rest of the
# training set, 1,000 digits serve as *validation* set, for choices; the *test* set chooses nothing, it is only reported.
#
# **L2 and L1.** A penalty on the weights, $\lambda\sum w^2$ or $\lambda\sum|w|$, is added to the loss.
#
# ````{prf:proposition} What the two penalties do to one weight
# :label: prop-nn-shrink
#
# For $\lambda>0$ the minimum of $\frac12(w-c)^2+\lambda w^2$ lies at $w=c/(1+2\lambda)$; the minimum of $\frac12(w-c)^2+\lambda|w|$ at $w=\operatorname{sign}(c)\max(0,|c|-\lambda)$.
# ````
#
# ````{prf:proof}
# The first has the derivative $w-c+2\lambda w$. The second is strictly convex; for $w>0$ its derivative is $w-c+\lambda$, zero at $c-\lambda$ if that is positive; for $w<0$ it is $w-c-\lambda$, zero at $c+\lambda$ if that is negative; in between, $|c|\le\lambda$, the slope is at most zero on the left of $w=0$ and at least zero on its right.
# ````
#
# L2 shrinks all weights by one factor, L1 takes the same amount off each and sets small ones to exactly zero {cite:p}`tibshirani1996regression`. (Plain gradient descent on L2 multiplies the weights by $1-2h\lambda$ at each step, hence *weight decay*.)
#
# **Dropout** {cite:p}`srivastava2014dropout` sets each input of a layer to zero with probability $r$, anew for every example and step, and divides the others by $1-r$ so that the mean stays. At test time nothing is dropped. No neuron can then rely on one particular other. For a linear neuron the effect has a closed form.
#
# ````{prf:theorem} Dropout of a linear neuron is a weighted L2 penalty
# :label: thm-nn-dropout
#
# Let $m_j$ be independent, $0$ with probability $r$ and $\frac1{1-r}$ otherwise. Then for every $x$, $y$ and $w$
#
# $$ \mathbb E_m\Bigl(y-\sum_jm_jx_jw_j\Bigr)^2=\Bigl(y-\sum_jx_jw_j\Bigr)^2+\frac r{1-r}\sum_jx_j^2w_j^2. $$ (eq-nn-dropout)
# ````
#
# ````{prf:proof}
# $\mathbb E\,m_j=1$ and $\operatorname{Var}m_j=\frac{1}{1-r}-1=\frac r{1-r}$. The mean of a square is the square of the mean plus the variance, and the variance of a sum of independent terms is the sum of theirs, $x_j^2w_j^2\operatorname{Var}m_j$.
# ````
#
# **Early stopping** trains on one part of the examples, watches the loss on the other, and keeps the network of the step at which that was lowest {cite:p}`prechelt1998early`. It, too, is a cousin of L2.
#
# ````{prf:proposition} Early stopping learns the strong directions first
# :label: prop-nn-early
#
# Gradient descent from $w=0$ on $\frac1{2N}\|Xw-y\|^2$, with $H=\frac1NX^{\mathsf T}X$ of eigenvalues $\kappa_i>0$ and orthonormal eigenvectors $v_i$, has after $n$ steps $v_i^{\mathsf T}w_n=\bigl(1-(1-h\kappa_i)^n\bigr)\,v_i^{\mathsf T}w^*$, where $w^*$ is the minimum. With the penalty $\frac\lambda2\|w\|^2$ the minimum
# has $v_i^{\mathsf T}w=\frac{\kappa_i}{\kappa_i+\lambda}\,v_i^{\mathsf T}w^*$.
# ````
#
# ````{prf:proof}
# The gradient is $H(w-w^*)$, so $w_n-w^*=(I-hH)^n(0-w^*)$: read it along $v_i$. With the penalty, $H(w-w^*)+\lambda w=0$.
# ````
#
# Both leave directions with large $\kappa_i$ nearly as they are and hold back those with small ones, in which the data say little and noise rules: to stop at step $n$ is much like a penalty with $\lambda\approx1/(hn)$. [Progressive growing](10_progressive_growing) meets the same formula again.

# %% tags=["claim", "keep_output", "nbval-check-output"]
fine = torch.linspace(-3, 3, 60_001, dtype=torch.float64)
for c, penalty in itertools.product((-2.0, -0.4, 0.3, 1.5), (0.2, 0.5)):
    assert abs(fine[(0.5 * (fine - c) ** 2 + penalty * fine**2).argmin()] - c / (1 + 2 * penalty)) < 2e-4
    soft = math.copysign(max(0.0, abs(c) - penalty), c)
    assert abs(fine[(0.5 * (fine - c) ** 2 + penalty * fine.abs()).argmin()] - soft) < 2e-4
x, w, y, r = *torch.randn(2, 6, dtype=torch.float64), 0.7, 0.3
expected = 0.0
for kept in itertools.product((0, 1), repeat=6):  # the exact mean over all 64 masks
    kept = torch.tensor(kept).double()
    expected += ((1 - r) ** kept * r ** (1 - kept)).prod() * (y - (kept / (1 - r) * x * w).sum()) ** 2
assert torch.isclose(expected, (y - (x * w).sum()) ** 2 + r / (1 - r) * (x**2 * w**2).sum())
X, Y = torch.randn(40, 5, dtype=torch.float64), torch.randn(40, dtype=torch.float64)
kappa, v = torch.linalg.eigh(X.T @ X / 40)
best, w, h = torch.linalg.lstsq(X, Y[:, None]).solution[:, 0], torch.zeros(5, dtype=torch.float64), 0.3
for step in range(1, 21):
    w = w - h * X.T @ (X @ w - Y) / 40
    assert torch.allclose(v.T @ w, (1 - (1 - h * kappa) ** step) * (v.T @ best))
ridge = torch.linalg.solve(X.T @ X / 40 + 0.1 * torch.eye(5), X.T @ Y / 40)
assert torch.allclose(v.T @ ridge, kappa / (kappa + 0.1) * (v.T @ best))
print("shrinkage, soft threshold, dropout over all masks, descent step by step and ridge are as the formulas say: yes")

# %% [markdown]
# Now the digits. One hidden layer of 128 ReLU neurons, Adam, all 300 examples in each step, three seeds; L2 with $\lambda=0.02$, L1 with $\lambda=0.003$, dropout of the hidden layer with $r=0.8$. Each seed also draws its own wrong labels.

# %%
N_TRAIN = 300
small_x, small_y = digits[:N_TRAIN], labels[:N_TRAIN]
valid_x, valid_y = train_set[0][5000:6000].flatten(1), train_set[1][5000:6000]
METHODS = {"none": {}, "L2": {"l2": 0.02}, "L1": {"l1": 3e-3}, "dropout": {"dropout": 0.8}}


def careless(y, rng, share=0.2):
    """The labels, a share of them drawn anew."""
    return torch.where(torch.rand(len(y), generator=rng) < share, torch.randint(10, (len(y),), generator=rng), y)


def fit(seed, *, l1=0.0, l2=0.0, dropout=0.0, steps=200):
    """Rows (step, training loss, validation loss, test error) of one training."""
    torch.manual_seed(seed)
    y = careless(small_y, torch.Generator().manual_seed(seed))
    network = nn.Sequential(nn.Linear(196, 128), nn.ReLU(), nn.Dropout(dropout), nn.Linear(128, 10))
    matrices = [p for p in network.parameters() if p.ndim == 2]
    optimizer, rows = torch.optim.Adam(network.parameters(), 3e-3, fused=True), []
    for step in range(1, steps + 1):
        network.train()
        loss = F.cross_entropy(network(small_x), y)
        penalty = sum(l1 * W.abs().sum() + l2 * W.square().sum() for W in matrices)
        optimizer.zero_grad()
        (loss + penalty).backward()
        optimizer.step()
        if step % 5 == 0:
            network.eval()
            with torch.no_grad():
                valid = F.cross_entropy(network(valid_x), valid_y).item()
                wrong = 1 - accuracy(network(test_x).argmax(1), test_y)
                rows.append((step, F.cross_entropy(network(small_x), y).item(), valid, wrong))
    return torch.tensor(rows).T


SEEDS = range(3)
fits = {name: torch.stack([fit(seed, **settings) for seed in SEEDS]) for name, settings in METHODS.items()}
plain = fits["none"]
stops = plain[:, 2].argmin(1)  # early stopping: where the validation loss was lowest
errors = {name: runs[:, 3, -1] for name, runs in fits.items()}
errors["early stopping"] = plain[torch.arange(len(stops)), 3, stops]
rows = "\n".join(
    f"| {name} | {100 * e.mean():.1f} ± {100 * e.std():.1f} | {fits[name][:, 1, -1].mean():.2f} |"
    if name in fits
    else f"| {name} (after {', '.join(f'{int(plain[0, 0, s])}' for s in stops)} steps) | {100 * e.mean():.1f} ± {100 * e.std():.1f} | {plain[torch.arange(len(stops)), 1, stops].mean():.2f} |"
    for name, e in errors.items()
)
display(Markdown(f"| | test error, % (± over {len(SEEDS)} seeds) | training loss at the end |\n|---|---|---|\n{rows}"))

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Loss on the training examples (thin, their wrong labels included) and on the validation set (thick), mean of three seeds. Without regularisation the one falls to nothing while the other climbs; the ring marks where early stopping would have stopped.", "name": "fig-nn-overfit"}, "image": {"alt": "Two panels against the step. Training losses fall towards zero without regularisation and stay higher with it. Validation losses first fall; without regularisation the curve then climbs steeply, with L1, L2 and dropout it stays much lower."}}
figure, (left, right) = plt.subplots(1, 2, figsize=(8.8, 3.1), layout="constrained", sharey=True)
for (name, runs), color in zip(fits.items(), ("0.25", REAL, FAKE, DISCRIMINATOR)):
    mean = runs.mean(0)
    left.plot(mean[0], mean[1], color=color, linewidth=1, label=name)
    right.plot(mean[0], mean[2], color=color, linewidth=2, label=name)
mean = plain.mean(0)
right.plot(mean[0, mean[2].argmin()], mean[2].min(), "o", markersize=11, fillstyle="none", color="0.25")
for axis, title in ((left, "training"), (right, "validation")):
    axis.set(xlabel="step", ylabel="cross-entropy", title=title)
    axis.grid(alpha=0.3)
left.legend(frameon=False)
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
assert plain[:, 1, -1].max() < 0.1  # the examples are known by heart, wrong labels included
assert (plain[:, 2, -1] > 1.5 * plain[:, 2].amin(1)).all()  # while the validation loss has risen from its lowest
for name in ("L2", "L1", "dropout", "early stopping"):
    assert errors[name].mean() < errors["none"].mean() - 0.03, (name, errors)
print("unregularised, the network learns wrong labels by heart; each of the four remedies lowers the test error: yes")

# %% [markdown]
# ### Choosing λ: cross-validation
#
# How strong should a penalty be? Not what lowers the training loss (that is none at all), and a validation set costs examples. In *$k$-fold cross-validation* the training set is split into $k$ disjoint parts of equal size; each part serves once as validation set for a model trained on the other $k-1$, and the $k$ results are averaged
# {cite:p}`stone1974cross`. Every example is used for both, never at the same time. Here $k=5$ chooses the L2 weight of softmax regression, on the 300 examples alone.


# %%
def k_fold(n, k, rng):
    """k pairs (indices to train on, indices to validate on)."""
    parts = torch.randperm(n, generator=rng).chunk(k)
    return [(torch.cat([p for j, p in enumerate(parts) if j != i]), part) for i, part in enumerate(parts)]


noisy_y = careless(small_y, torch.Generator().manual_seed(0))
folds = k_fold(N_TRAIN, 5, torch.Generator().manual_seed(0))
WEIGHTS = [0.0, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1]
validated, tested = [], []
with torch.no_grad():
    for l2 in WEIGHTS:
        scores = []
        for train, valid in folds:
            with torch.enable_grad():
                model = softmax_regression(small_x[train], noisy_y[train], l2=l2)
            scores.append(F.cross_entropy(model(small_x[valid]), noisy_y[valid]).item())
        validated.append(scores)
        with torch.enable_grad():
            model = softmax_regression(small_x, noisy_y, l2=l2)
        tested.append(F.cross_entropy(model(test_x), test_y).item())
validated, tested = torch.tensor(validated), torch.tensor(tested)
chosen = validated.mean(1).argmin().item()

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Five-fold cross-validation of the L2 weight: each fold (thin), their mean (thick) and, unknown when the choice is made, the loss on the test set (dashed; lower as a whole, because its labels are right). The ring is the choice.", "name": "fig-nn-folds"}, "image": {"alt": "Cross-entropy against the penalty weight on a logarithmic axis: five thin curves and their thick mean are high for small weights, have a minimum in the middle and rise again; the dashed test curve has its minimum close by."}}
figure, axis = plt.subplots(figsize=(6.4, 3.1), layout="constrained")
places = range(len(WEIGHTS))
axis.plot(places, validated, color=REAL, alpha=0.35, linewidth=1)
axis.plot(places, validated.mean(1), color=REAL, linewidth=2.5, label="mean of the folds")
axis.plot(places, tested, "--", color=FAKE, linewidth=2, label="test set")
axis.plot(chosen, validated.mean(1)[chosen], "o", markersize=11, fillstyle="none", color="black")
axis.set(xlabel="λ", ylabel="cross-entropy", xticks=places, xticklabels=[f"{w:g}" for w in WEIGHTS])
axis.grid(alpha=0.3)
axis.legend(frameon=False)
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
counted = torch.cat([valid for _, valid in folds]).sort().values
assert torch.equal(counted, torch.arange(N_TRAIN))  # each example is validated on exactly once
assert all(not set(train.tolist()) & set(valid.tolist()) for train, valid in folds)
assert 0 < chosen < len(WEIGHTS) - 1  # neither end of the list
assert tested[chosen] < 1.1 * tested.min() and tested[chosen] < 0.9 * tested[0]
print("the folds are disjoint and cover all; the weight they choose is within 10% of the best on the test set: yes")

# %% [markdown]
# ## Seventy years on a line
#
# {cite:t}`mcculloch1943logical` described nerve cells as logic. {cite:t}`hebb1949organization` proposed that learning is the strengthening of connections between cells that are active together, {cite:t}`rosenblatt1958perceptron` built a machine, the *perceptron*, that learned by a rule
# of this kind (the last exercise proves that it does), and {cite:t}`minsky1969perceptrons` set out what one layer cannot do, {prf:ref}`prop-nn-xor` among it. Interest fell. {cite:t}`werbos1974beyond` described back-propagation, almost unnoticed; {cite:t}`rumelhart1986learning`, widely read, trained several layers by it. Convolutional networks read
# handwriting {cite:p}`lecun1998gradient` and, once graphics cards gave them the power, won at photographs {cite:p}`krizhevsky2012imagenet`. In 2014 two networks were set against each other {cite:p}`goodfellow2014generative`; to reverse a classifier's gradient so that another part of the network deceives it was used for adapting
# to new domains by {cite:t}`ganin2015unsupervised` at nearly the same time.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Milestones on the way to adversarial networks, by year of publication.", "name": "fig-nn-history"}, "image": {"alt": "A horizontal time line from 1943 to 2019 with fourteen labelled events, from the McCulloch-Pitts neuron to the self-attention GAN, crowded after 2012, with wide gaps before 1986."}}
HISTORY = [
    (1943, "neuron as logic (McCulloch, Pitts)"),
    (1949, "Hebb's rule"),
    (1958, "perceptron (Rosenblatt)"),
    (1969, "limits of one layer (Minsky, Papert)"),
    (1974, "back-propagation (Werbos)"),
    (1980, "neocognitron (Fukushima)"),
    (1986, "back-propagation, widely (Rumelhart et al.)"),
    (1998, "LeNet-5 and MNIST (LeCun et al.)"),
    (2012, "AlexNet (Krizhevsky et al.)"),
    (2014, "GAN (Goodfellow et al.)"),
    (2016, "DCGAN (Radford et al.)"),
    (2017, "Wasserstein GAN (Arjovsky et al.)"),
    (2018, "spectral norm; progressive growing"),
    (2019, "self-attention GAN (Zhang et al.)"),
]
figure, axis = plt.subplots(figsize=(8.8, 4.3), layout="constrained")
for row, (year, event) in enumerate(HISTORY):
    axis.plot([year, year], [0, -row - 1], color="0.8", linewidth=0.8, zorder=1)
    axis.plot(year, 0, "o", color=GENERATOR if year >= 2014 else REAL, zorder=3)
    left_side = year > 1985
    axis.annotate(
        f"{event} {year}" if left_side else f"{year} {event}",
        (year, -row - 1),
        xytext=(-4 if left_side else 4, 0),
        textcoords="offset points",
        ha="right" if left_side else "left",
        va="center",
        fontsize=9,
    )
axis.axhline(0, color="black", linewidth=1.2, zorder=2)
axis.set(ylim=(-len(HISTORY) - 1, 1), xlim=(1940, 2023), yticks=[])
axis.xaxis.set_ticks_position("top")
for side in ("left", "right", "bottom", "top"):
    axis.spines[side].set_visible(False)
plt.show()

# %% [markdown]
# ```{admonition} What can go wrong
# :class: warning
# - **Softmax or sigmoid twice.** PyTorch's `cross_entropy` and `binary_cross_entropy_with_logits` want logits. Given probabilities they still train, slowly.
# - **`log(sigmoid(t))` typed as it stands.** Below about $t=-88$ single precision gives $-\infty$, and a gradient that is not a number; softplus is the same function and safe.
# - **Hinge with labels 0 and 1.** With $y=0$ the loss is $1$ whatever the network says, and its gradient zero. The labels are $\pm1$.
# - **Dropout left on.** Forgetting `eval()` makes answers random, forgetting `train()` turns the regularisation off.
# - **L2 with Adam.** The gradient of the penalty is rescaled like every other; `AdamW` decays the weights outside of it {cite:p}`loshchilov2019decoupled`.
# - **Choosing on the test set.** The best of many settings on the test set looks better than it is. Choose on folds or a validation set, and keep near-copies of one picture in the same fold.
# ```
#
# ## Exercises
#
# ```{exercise}
# :label: ex-nn-nand
# Find weights and a bias for a threshold neuron that computes NAND (0 only if both bits are 1). Why do networks of NAND neurons compute every Boolean function?
# ```
#
# ````{solution} ex-nn-nand
# :class: dropdown
# $w=(-1,-1)$, $b=\frac32$. NOT $x$ is $x$ NAND $x$, AND is NAND followed by NOT, OR is NAND of the two negations; every Boolean function is an OR of ANDs.
# ````

# %% tags=["hide-cell"]
assert torch.equal(threshold(-CORNERS.sum(1) + 1.5), torch.tensor([1.0, 1.0, 1.0, 0.0]))

# %% [markdown]
# ```{exercise}
# :label: ex-nn-square
# A network says $\sigma(t)$ with $t=-8$ where "yes" was right. Compare the gradients with respect to $t$ of $(\sigma(t)-1)^2$ and of the cross-entropy.
# ```
#
# ````{solution} ex-nn-square
# :class: dropdown
# $2(\sigma-1)\sigma(1-\sigma)\approx-2e^{-8}$ against $\sigma-1\approx-1$: about 1,500 times smaller, at the worst mistake.
# ````

# %% tags=["hide-cell"]
worst = torch.tensor([-8.0], dtype=torch.float64)
weak, strong = slope(lambda t, y: mse(torch.sigmoid(t), y), worst, 1.0), slope(binary_cross_entropy, worst, 1.0)
assert 1400 < (strong / weak).item() < 1600

# %% [markdown]
# ```{exercise}
# :label: ex-nn-median
# What does the absolute error $|\hat y-y|$ make a network estimate? And the asymmetric one, $q\,(y-\hat y)$ for $y>\hat y$, else $(1-q)(\hat y-y)$, with $0<q<1$?
# ```
#
# ````{solution} ex-nn-median
# :class: dropdown
# The derivative of the expected asymmetric loss is $(1-q)P(y<\hat y)-qP(y>\hat y)$, zero where $P(y<\hat y)=q$: the $q$-quantile. For $q=\frac12$ this is half the absolute error, so its minimum is the median.
# ````

# %% tags=["hide-cell"]
sample = torch.randn(2001, dtype=torch.float64)
candidates = torch.linspace(-3, 3, 6001, dtype=torch.float64)[:, None]
for q in (0.1, 0.5, 0.8):
    gap = sample - candidates
    best = candidates[torch.maximum(q * gap, (q - 1) * gap).mean(1).argmin(), 0]
    assert abs(best - sample.quantile(q)) < 0.02

# %% [markdown]
# ```{exercise}
# :label: ex-nn-relu
# Show that a ReLU network without biases satisfies $f(cx)=c\,f(x)$ for $c>0$. What does He's initialisation say about $\mathbb E\|a_\ell\|^2$ from layer to layer?
# ```
#
# ````{solution} ex-nn-relu
# :class: dropdown
# Each layer has the property: $\max(0,cWx)=c\max(0,Wx)$. For a fixed $a_{\ell-1}$ the entries of $z_\ell$ are independent, symmetric, with variance $\frac2n\|a_{\ell-1}\|^2$; ReLU keeps half of the mean square, so $\mathbb E\|a_\ell\|^2=n\cdot\frac12\cdot\frac2n\|a_{\ell-1}\|^2=\|a_{\ell-1}\|^2$.
# ````

# %% tags=["hide-cell"]
draws, start = [], torch.randn(64)
for _ in range(2000):
    draws.append(torch.relu(torch.randn(64, 64) * math.sqrt(2 / 64) @ start).square().sum())
assert abs(torch.stack(draws).mean() / start.square().sum() - 1) < 0.05

# %% [markdown]
# ```{exercise}
# :label: ex-nn-stop
# In {prf:ref}`prop-nn-early`, compare the factors $1-(1-h\kappa)^n$ and $\kappa/(\kappa+\lambda)$ with $\lambda=1/(hn)$, for all $\kappa$ between $0$ and $1/h$. How far apart can they be?
# ```
#
# ````{solution} ex-nn-stop
# :class: dropdown
# With $u=hn\kappa$ they are nearly $1-e^{-u}$ and $u/(1+u)$. Both are $u$ for small $u$ and tend to $1$; since $e^u\ge1+u$, the first is never smaller, and the difference has its maximum of about $0.2$ near $u=2.5$ (where $e^u=(1+u)^2$).
# ````

# %% tags=["hide-cell"]
h, n = 0.1, 200
kappa = torch.linspace(0, 1 / h, 100_001, dtype=torch.float64)[1:]
gap = (1 - (1 - h * kappa) ** n) - kappa / (kappa + 1 / (h * n))
assert gap.min() > -1e-9 and 0.19 < gap.max() < 0.22
assert 2.3 < (h * n * kappa[gap.argmax()]).item() < 2.7

# %% [markdown]
# ```{exercise}
# :label: ex-nn-perceptron
# Rosenblatt's rule goes through examples $(x,y)$ with $y=\pm1$; if $y\,w^{\mathsf T}x\le0$, it sets $w\leftarrow w+yx$. It starts at $w=0$. Let $\|x\|\le R$ for all examples, and let some $u$ with $\|u\|=1$ have $y\,u^{\mathsf T}x\ge\rho>0$ for all. Show that it makes at most $(R/\rho)^2$ mistakes in all.
# ```
#
# ````{solution} ex-nn-perceptron
# :class: dropdown
# Each mistake raises $u^{\mathsf T}w$ by at least $\rho$ and $\|w\|^2$ by $2y\,w^{\mathsf T}x+\|x\|^2\le R^2$. After $M$ mistakes $M\rho\le u^{\mathsf T}w\le\|w\|\le\sqrt M\,R$.
# ````

# %% tags=["hide-cell"]
u = F.normalize(torch.randn(5, dtype=torch.float64), dim=0)
points = torch.randn(400, 5, dtype=torch.float64)
points = points[(points @ u).abs() > 0.2]
answers = torch.sign(points @ u)
R, rho = points.norm(dim=1).max(), (answers * (points @ u)).min()
w, mistakes = torch.zeros(5, dtype=torch.float64), 0
for _ in range(1000):
    before = mistakes
    for point, answer in zip(points, answers):
        if answer * (w @ point) <= 0:
            w, mistakes = w + answer * point, mistakes + 1
    if mistakes == before:
        break
assert mistakes == before and 0 < mistakes <= (R / rho) ** 2

# %% [markdown]
# ## Where this is used
#
# Binary cross-entropy is [the minimax game](01_minimax_game)'s loss, hinge and squared error are two others of `ganbook.losses`. Softmax is the heart of [self-attention](09_self_attention). LeakyReLU, tanh and He's argument shape the networks of [the emoji GAN](../experiments/dcgan_emoji); the classifiers that judge samples in
# [the evaluation](12_evaluation) were trained with the cross-entropy of this chapter, on a training set, and chosen on a validation set.

# %% tags=["hide-input"]
display(Markdown(f"*This chapter ran in {time.perf_counter() - started:.0f} s.*"))
