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
# # Self-attention
#
# ```{admonition} In this chapter
# :class: tip
# - how far a stack of convolutions can see, how far it sees in effect, and both measured by gradients;
# - self-attention, a layer that sees everything at once, derived and written in six lines;
# - what its softmax, its missing biases and its scalar $\gamma$ are for;
# - what it cannot see (where anything is), and what it costs;
# - a small network that learns to make two distant parts of a picture agree, and what its maps do and do not show.
#
# *Before this:* [convolutions](02_convolution_and_scattering), [the softmax](00_neural_networks_in_brief), [Gibbs' inequality](04_divergences). *Cost:* about a quarter of a minute.
# ```
#
# A *feature map* $x$ has $C$ channels at $N=H\cdot W$ *positions*; $x_i\in\mathbb R^C$ is its vector at position $i$, and as a matrix
# $x\in\mathbb R^{C\times N}$ has these as columns. A $1\times1$ convolution without bias is a matrix $W$ applied to every column: $x\mapsto Wx$.

# %% tags=["hide-input"]
import math
import time

import matplotlib.pyplot as plt
import torch
from IPython.display import Markdown, display
from torch import nn
from torch.nn.functional import conv2d, scaled_dot_product_attention
from torch.utils.flop_counter import FlopCounterMode

from ganbook.nn.attention import SelfAttention2d, attention_map
from ganbook.plotting import DISCRIMINATOR, FAKE, REAL

torch.manual_seed(0)
started = time.perf_counter()

# %% [markdown]
# ## How far convolutions see
#
# The *receptive field* of an output is the set of input pixels on which it depends. Let layer $\ell=1,\dots,L$ of a stack have kernels of
# side $k_\ell$ and stride $s_\ell$.
#
# ````{prf:theorem} Receptive field of stacked convolutions
# :label: thm-att-field
#
# One output of the stack depends on at most $r_L\times r_L$ pixels, with
#
# $$ r_L=1+\sum_{\ell=1}^{L}(k_\ell-1)\,j_{\ell-1},\qquad j_\ell=s_1s_2\cdots s_\ell,\quad j_0=1, $$ (eq-att-field)
#
# and the windows of two neighbouring outputs lie $j_L$ pixels apart. If all kernels are positive and no stride exceeds its kernel, it depends on every one
# of them.
# ````
#
# ````{prf:proof}
# It is enough to look at one direction. By induction the windows of layer $\ell-1$ have length $r_{\ell-1}$ and start $j_{\ell-1}$ apart. An output of layer
# $\ell$ reads $k_\ell$ neighbours in layer $\ell-1$: from the start of the first window to the end of the last there are $(k_\ell-1)\,j_{\ell-1}+r_{\ell-1}=r_\ell$
# pixels. The next output begins $s_\ell$ neighbours later, $s_\ell\,j_{\ell-1}=j_\ell$ pixels. The windows leave no gap if $j_{\ell-1}\le r_{\ell-1}$, which is
# true of $\ell=1$ and goes on, since $r_\ell\ge j_{\ell-1}+(k_\ell-1)j_{\ell-1}=k_\ell\,j_{\ell-1}\ge j_\ell$. With positive kernels the derivative with respect to each
# pixel is a sum of positive products.
# ````
#
# {cite:t}`araujo2019computing` compute it for many networks. An activation between the layers changes nothing in the bound. Rather than trust
# the arithmetic, one can ask the network: the pixels at which the gradient of one output is not zero lie in its receptive field, and with positive kernels they fill it.


# %%
def receptive_field(layers):
    """Side r of the window and distance j of neighbouring windows, for layers [(k, s), …]."""
    r, j = 1, 1
    for k, s in layers:
        r, j = r + (k - 1) * j, j * s
    return r, j


def influence(layers, kernels, size, output):
    """Gradient of one output, at the place (output, output) of channel 0, with respect to the input of this size."""
    x = torch.zeros(1, kernels[0].shape[1], size, size, dtype=torch.float64, requires_grad=True)
    y = x
    for (_, s), kernel in zip(layers, kernels):
        y = conv2d(y, kernel, stride=s)
    (gradient,) = torch.autograd.grad(y[0, 0, output, output], x)
    return gradient[0]


STACKS = {
    "ten 3×3": [(3, 1)] * 10,
    "three 4×4, stride 2": [(4, 2)] * 3,
    "five 4×4, stride 2": [(4, 2)] * 5,
    "7×7, then 3×3 stride 2, twice": [(7, 1), (3, 2), (3, 2)],
    "1×1 between 5×5": [(5, 1), (1, 1), (5, 2)],
}

# %% tags=["claim", "keep_output", "nbval-check-output"]
for layers in STACKS.values():
    r, j = receptive_field(layers)
    positive = [torch.rand(1, 1, k, k, dtype=torch.float64) + 0.1 for k, _ in layers]
    signed = [torch.randn(1, 1, k, k, dtype=torch.float64) for k, _ in layers]
    for output in (0, 1):
        seen = influence(layers, positive, r + j, output)[0] != 0
        window = torch.zeros_like(seen)
        window[output * j : output * j + r, output * j : output * j + r] = True
        assert torch.equal(seen, window)  # every pixel of the window and no other
        assert not (influence(layers, signed, r + j, output)[0] != 0)[~window].any()
print("the gradient of an output is non-zero exactly in the window of the theorem, for", len(STACKS), "stacks: yes")

# %% [markdown]
# Layers of stride one widen the view by $k-1$ pixels each: for one output to see both sides of an image 32 pixels wide takes sixteen layers of $3\times3$ convolutions. Strides widen it
# exponentially, but by throwing resolution away. And the window is only what a network *may* see.
#
# ````{prf:theorem} Effective receptive field
# :label: thm-att-effective
#
# ({cite:t}`luo2016understanding`.) Let $L$ linear layers of stride one and kernel side $k$ have independent weights with mean zero and equal variance within each layer. The
# expected squared gradient of an output, as a share of its total over all pixels, is at each pixel the probability that a sum of $L$ independent offsets, each uniform on the
# $k\times k$ kernel, points there. In each direction it has the standard deviation
#
# $$ \sqrt{L\,\frac{k^2-1}{12}}, $$ (eq-att-effective)
#
# and its shape tends to a Gaussian: the view grows like $\sqrt L$, while the window grows like $L$.
# ````
#
# ````{prf:proof}
# The gradient at a pixel is a sum over paths: choose one offset (and one channel) in each layer such that the offsets add up to the pixel; each path contributes
# the product of its weights. Two different paths differ in the weight of some layer, which occurs in no other factor, so their product has mean zero; each path's square has the same mean,
# the product of the variances. The expected square is therefore proportional to the number of paths, that is to the probability of the statement. A uniform
# offset on $k$ consecutive numbers has variance $(k^2-1)/12$, variances of independent offsets add, and the shape is the central limit theorem's.
# ````


# %%
def effective_field(depth, draws=200, channels=4, k=3):
    """Mean squared gradient over random linear networks, as shares of the total, (r, r)."""
    layers = [(k, 1)] * depth
    r, _ = receptive_field(layers)
    total = torch.zeros(r, r, dtype=torch.float64)
    for _ in range(draws):
        kernels = [torch.randn(channels, channels, k, k, dtype=torch.float64) for _ in layers]
        total += influence(layers, [kernel / kernel.norm() for kernel in kernels], r, 0).square().sum(0)
    return total / total.sum()


def spread(shares):
    """Standard deviation of the column under these shares."""
    column = torch.arange(shares.shape[1], dtype=torch.float64)
    marginal = shares.sum(0)
    return ((marginal * column**2).sum() - (marginal * column).sum() ** 2).sqrt()


DEPTHS = (2, 5, 10, 20)
fields = {depth: effective_field(depth) for depth in DEPTHS}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: the squared gradient of one output of 20 random 3×3 layers, by column (bars: rows added up, mean over 200 networks), the Gaussian of the theorem (line) and the window that the output may see (shaded). Right: the window and the effective view (two standard deviations to either side) as the stack grows.", "name": "fig-att-field"}, "image": {"alt": "Left: bell-shaped bars around the centre, matched by a Gaussian curve and far narrower than the shaded window. Right: the window's side rises in a straight line with the depth, the effective width like a square root, dots on the predicted curve."}}
figure, (left, right) = plt.subplots(1, 2, figsize=(8.8, 3), layout="constrained")
offsets = torch.arange(41) - 20
deviation = math.sqrt(20 * 8 / 12)
left.axvspan(-20.5, 20.5, color="0.9")
left.bar(offsets, fields[20].sum(0), color=DISCRIMINATOR, alpha=0.6)
left.plot(offsets, torch.exp(-(offsets**2) / (2 * deviation**2)) / (deviation * math.sqrt(2 * math.pi)), color=FAKE)
left.set(xlabel="pixels from the centre", ylabel="share of the squared gradient", xlim=(-24, 24))
depths = torch.arange(1, 41)
right.plot(depths, 1 + 2 * depths, color="0.4", label="window")
right.plot(depths, 4 * (depths * 8 / 12).sqrt(), color=FAKE, label="effective, theorem")
right.plot(DEPTHS, [4 * spread(fields[d]) for d in DEPTHS], "o", color=DISCRIMINATOR, label="effective, measured")
right.set(xlabel="layers of 3×3", ylabel="pixels")
right.grid(alpha=0.3)
right.legend(frameon=False)
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
for depth, shares in fields.items():
    assert abs(spread(shares) / math.sqrt(depth * 8 / 12) - 1) < 0.1
exact = torch.ones(1, dtype=torch.float64)
for _ in range(20):  # the distribution of 20 uniform offsets on {-1, 0, 1}
    exact = torch.nn.functional.conv1d(exact[None, None], torch.full((1, 1, 3), 1 / 3, dtype=torch.float64), padding=2)[
        0, 0
    ]
assert (fields[20].sum(0) - exact).abs().max() < 0.02
central = fields[20][13:28, 13:28].sum()  # 15 of the 41 pixels of the window in each direction
assert central > 0.8
print("the view has the theorem's width; 15×15 pixels of a 41×41 window hold over 80% of the squared gradient: yes")

# %% [markdown]
# ```{note}
# A generator's pixels are not strangers to each other: all come from the same $z$, which may tell both eyes of a face to be blue. What a convolutional generator
# cannot do is *adjust* one part to what another part has become, once the map has grown wide. A discriminator with strides does see the whole image, but only
# at the end, where the map is coarse.
# ```
#
# ## Attention
#
# Let position $j$ ask all positions. It sends a *query* $g(x_j)=W_gx_j$, each position $i$ answers with a *key* $f(x_i)=W_fx_i$ and offers a *value* $h(x_i)=W_hx_i$. The
# agreement of query and key is a number,
#
# $$ s_{ij}=f(x_i)^{\mathsf T}g(x_j), $$ (eq-att-score)
#
# and $j$ takes a weighted mean of the values, $o_j=\sum_i\beta_{ji}\,h(x_i)$, with positive weights that sum to one. How should weights follow from scores? Two
# wishes pull against one another: high scores should weigh more, and the choice should not be hasty. Measured by the entropy $H(\beta)=-\sum_i\beta_i\log\beta_i$, this is a problem with one solution.
#
# ````{prf:theorem} The softmax
# :label: thm-att-softmax
#
# Among all $\beta_i\ge0$ with $\sum_i\beta_i=1$, the sum $\sum_i\beta_is_i+H(\beta)$ is largest for
#
# $$ \beta_i=\frac{e^{s_i}}{\sum_me^{s_m}}, $$ (eq-att-softmax)
#
# and for no other; its value there is $\log\sum_me^{s_m}$.
# ````
#
# ````{prf:proof}
# Call the right-hand side of {eq}`eq-att-softmax` $\pi_i$, so that $s_i=\log\pi_i+\log\sum_me^{s_m}$. Then
# $\sum_i\beta_is_i+H(\beta)=\log\sum_me^{s_m}-\sum_i\beta_i\log\frac{\beta_i}{\pi_i}=\log\sum_me^{s_m}-\mathrm{KL}(\beta\,\|\,\pi)$, and by {prf:ref}`thm-div-gibbs` the
# divergence is zero only for $\beta=\pi$, and positive otherwise.
# ````
#
# Larger scores outweigh the entropy, so the *length* of queries and keys sets how sharply the layer chooses; it learns that too. The last matrix $W_v$ brings the
# mean value back to $C$ channels. Altogether the layer of {cite:t}`zhang2019self` is
#
# $$ y_j=\gamma\,o_j+x_j,\qquad o_j=W_v\sum_{i=1}^N\beta_{ji}\,W_hx_i,\qquad\beta_{ji}=\frac{\exp(s_{ij})}{\sum_{m=1}^N\exp(s_{mj})}, $$ (eq-att-layer)
#
# with $W_f,W_g,W_h\in\mathbb R^{c\times C}$, $W_v\in\mathbb R^{C\times c}$, $c=C/k$, $k=8$, and a learned number $\gamma$ that starts at $0$. (Attention came from translation {cite:p}`bahdanau2015neural`, *self*-attention from reading
# {cite:p}`cheng2016long`, and into vision as the *non-local block* {cite:p}`wang2018nonlocal`.) As matrices, $s=(W_fx)^{\mathsf T}W_gx$, and the softmax runs over its rows' index $i$: every *column* of
# weights sums to one.


# %%
def attention(x, W_f, W_g, W_h, W_v, gamma):
    """The layer on x of shape (n, C, N), and its weights: beta[:, i, j] says how much j looks at i."""
    f, g, h = W_f @ x, W_g @ x, W_h @ x  # (n, c, N)
    s = f.transpose(1, 2) @ g  # (n, N, N)
    beta = torch.softmax(s, dim=1)
    o = W_v @ (h @ beta)
    return gamma * o + x, beta


def attention_by_position(x, W_f, W_g, W_h, W_v, gamma):
    """The formulas as they stand, for one map (C, N): a loop over j and a loop over i."""
    y = torch.empty_like(x)
    for j in range(x.shape[1]):
        scores = [torch.dot(W_f @ x[:, i], W_g @ x[:, j]) for i in range(x.shape[1])]
        total = sum(torch.exp(s) for s in scores)
        mean = sum(torch.exp(s) / total * (W_h @ x[:, i]) for i, s in enumerate(scores))
        y[:, j] = gamma * (W_v @ mean) + x[:, j]
    return y


def matrices_of(layer):
    """W_f, W_g, W_h, W_v and γ of the library's layer."""
    return *(m.weight[:, :, 0, 0] for m in (layer.f, layer.g, layer.h, layer.v)), layer.gamma


torch.manual_seed(0)
layer = SelfAttention2d(16, k=4).double()
nn.init.constant_(layer.gamma, 0.7)
x = torch.randn(3, 16, 5, 6, dtype=torch.float64)
with torch.no_grad():
    ours, beta = attention(x.flatten(2), *matrices_of(layer))
    theirs = layer(x)
    query, key, value = layer.attend(x)
    fused = scaled_dot_product_attention(query, key, value, scale=1.0)

# %% tags=["claim", "keep_output", "nbval-check-output"]
with torch.no_grad():
    assert torch.allclose(ours.reshape(x.shape), theirs, atol=1e-12)
    assert torch.allclose(beta.transpose(1, 2), attention_map(query, key), atol=1e-12)
    W_f, W_g, W_h, W_v, gamma = matrices_of(layer)
    assert torch.allclose(fused.transpose(1, 2), (W_h @ x.flatten(2)) @ beta, atol=1e-12)
    for sample in range(3):
        assert torch.allclose(
            attention_by_position(x[sample].flatten(1), *matrices_of(layer)), ours[sample], atol=1e-12
        )
    assert torch.allclose(beta.sum(1), torch.ones(3, 30, dtype=torch.float64))
    scores = torch.randn(30, dtype=torch.float64)
    best = torch.logsumexp(scores, 0)
    for other in torch.distributions.Dirichlet(torch.ones(30, dtype=torch.float64)).sample((2000,)):
        assert (other * scores).sum() - torch.xlogy(other, other).sum() < best
    pi = torch.softmax(scores, 0)
    assert torch.isclose((pi * scores).sum() - (pi * pi.log()).sum(), best)
print("loops = matrices = the library's layer = the fused kernel; no weights beat the softmax's: yes")

# %% [markdown]
# The fused kernel of PyTorch divides scores by $\sqrt c$ unless it is told not to (`scale=1.0`). {cite:t}`vaswani2017attention` introduced that factor because for independent entries of variance one a
# score is a sum of $c$ terms and has variance $c$: with long vectors the softmax would begin almost as a hard choice, whose gradient is near zero. SAGAN goes without it; with $c=C/8$ the
# vectors are short, and the weights can adapt.
#
# ### With one matrix, with two, with biases
#
# In other implementations the same layer looks different: the value is one matrix $W_{\mathrm{o}}\in\mathbb R^{C\times C}$ in place of the two, $W_vW_h$; the $1\times1$ convolutions have biases; the names $f$ and $g$ change
# places. What of it matters?
#
# ````{prf:proposition} Variants of the layer
# :label: prop-att-variants
#
# 1. A bias of the *keys* changes nothing. A bias $b$ of the *queries* adds $f(x_i)^{\mathsf T}b$ to the scores, the same for all $j$: a liking for certain contents whoever asks.
# 2. A bias of the *values* adds one constant vector to all $o_j$.
# 3. The layer with one matrix $W_{\mathrm o}$ is the layer {eq}`eq-att-layer` if and only if $\operatorname{rank}W_{\mathrm o}\le c$; it has $C^2(1+2/k)$ parameters in place of $4C^2/k$.
# 4. Which of $f$ and $g$ is called the query is only a name, as long as the softmax runs over the positions whose values are averaged. With the softmax over the other index it is a different
#    layer, whose weights for one $j$ need not sum to one.
# ````
#
# ````{prf:proof}
# (1) A bias $a$ of the keys adds $a^{\mathsf T}g(x_j)$ to all $s_{ij}$ of one $j$, a common factor of numerator and denominator. With $b$, $s_{ij}=f(x_i)^{\mathsf T}(W_gx_j+b)$. (2) $\sum_i\beta_{ji}(h(x_i)+b)=\sum_i\beta_{ji}h(x_i)+b$. (3) A product
# $W_vW_h$ has rank at most $c$; conversely the singular value decomposition writes a matrix of rank at most $c$ as such a product. The parameters are $2cC+C^2$ against $4cC$. (4) Two matrices of one shape may exchange their
# names; the sum over the softmax's index, and no other, is one.
# ````


# %%
def one_matrix_attention(x, key, query, out, gamma):
    """The variant with biases and a full value matrix; key, query and out are (weight, bias)."""
    k, q, v = (weight @ x + bias[:, None] for weight, bias in (key, query, out))
    beta = torch.softmax(q.transpose(1, 2) @ k, dim=2)  # rows j, the softmax over the last index
    return gamma * v @ beta.transpose(1, 2) + x


none, c_bias = torch.zeros(16, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
flat = x.flatten(2)
W_f, W_g, W_h, W_v, gamma = (m.detach() for m in matrices_of(layer))
plain = one_matrix_attention(flat, (W_f, none[:4]), (W_g, none[:4]), (W_v @ W_h, none), gamma)

# %% tags=["claim", "keep_output", "nbval-check-output"]
assert torch.allclose(plain, ours, atol=1e-12)
with_key_bias = one_matrix_attention(flat, (W_f, c_bias), (W_g, none[:4]), (W_v @ W_h, none), gamma)
with_query_bias = one_matrix_attention(flat, (W_f, none[:4]), (W_g, c_bias), (W_v @ W_h, none), gamma)
with_value_bias = one_matrix_attention(flat, (W_f, none[:4]), (W_g, none[:4]), (W_v @ W_h, none + 2), gamma)
assert torch.allclose(with_key_bias, plain, atol=1e-12) and not torch.allclose(with_query_bias, plain, atol=1e-3)
assert torch.allclose(with_value_bias, plain + 2 * gamma, atol=1e-12)
full = torch.randn(16, 16, dtype=torch.float64)
u, sigma, vt = torch.linalg.svd(full)
low = u[:, :4] * sigma[:4] @ vt[:4]  # the nearest matrix of rank 4
two, _ = attention(flat, W_f, W_g, vt[:4], u[:, :4] * sigma[:4], gamma)
one = one_matrix_attention(flat, (W_f, none[:4]), (W_g, none[:4]), (low, none), gamma)
assert torch.allclose(two, one, atol=1e-12) and torch.linalg.matrix_rank(W_v @ W_h) == 4
assert sum(p.numel() for p in SelfAttention2d(64).parameters()) == 4 * 64**2 // 8 + 1
across = torch.softmax((W_f @ flat).transpose(1, 2) @ (W_g @ flat), dim=2)
assert not torch.allclose(across.sum(1), torch.ones(3, 30, dtype=torch.float64), atol=1e-2)
print("a key's bias is idle, a value's bias a constant, one matrix of rank c is two: yes")

# %% [markdown]
# ## Why γ starts at zero
#
# ````{prf:proposition} The layer at γ = 0
# :label: prop-att-gamma
#
# At $\gamma=0$ the layer is the identity, $y=x$, with Jacobian $I$; the gradients of any loss $\mathcal L(y)$ with respect to $W_f,W_g,W_h,W_v$ are zero, while
# $\partial\mathcal L/\partial\gamma=\sum_j\langle o_j,\partial\mathcal L/\partial y_j\rangle$.
# ````
#
# ````{prf:proof}
# In $y=\gamma\,o(x;W)+x$ the derivative with respect to $x$ is $\gamma\,\partial o/\partial x+I$, with respect to the matrices $\gamma\,\partial o/\partial W$, and with respect to $\gamma$ it is $o$. Put $\gamma=0$ and use the chain rule.
# ````
#
# So a network into which the layer is inserted computes at first what it computed without; it begins with what convolutions see, the near neighbourhood of each pixel, which is the easier task, and the first thing to move is the one number $\gamma$, in the direction in which the
# (still random) averages help. Only then do the matrices receive gradients, in proportion to $\gamma$. The sign of $\gamma$ means nothing, since $(\gamma,W_v)$ and $(-\gamma,-W_v)$ are the same layer. With $\gamma=0$ *and* $W_v=0$ nothing
# would ever move.

# %% tags=["claim", "keep_output", "nbval-check-output"]
torch.manual_seed(0)
fresh = SelfAttention2d(16, k=4).double()
weights = torch.randn(x.shape, dtype=torch.float64)


def gradients(layer):
    return dict(
        zip(dict(layer.named_parameters()), torch.autograd.grad((layer(x).tanh() * weights).sum(), layer.parameters()))
    )


assert torch.equal(fresh(x), x)
jacobian = torch.autograd.functional.jacobian(lambda t: fresh(t.reshape(1, 16, 5, 6)).flatten(), x[:1].flatten())
assert torch.equal(jacobian, torch.eye(480, dtype=torch.float64))
at_zero = gradients(fresh)
assert all((g == 0).all() for name, g in at_zero.items() if name != "gamma") and at_zero["gamma"].abs() > 1e-3
with torch.no_grad():
    query, key, value = fresh.attend(x)
    o = fresh.v((attention_map(query, key) @ value).transpose(1, 2).reshape(3, 4, 5, 6))
assert torch.isclose(at_zero["gamma"], (o * (1 - x.tanh() ** 2) * weights).sum())
with torch.no_grad():
    fresh.gamma -= 0.1 * at_zero["gamma"].sign()
assert all((g != 0).any() for g in gradients(fresh).values())
print("at γ = 0: the identity, zero gradients for all matrices and <o, ∂l/∂y> for γ; one step later all move: yes")

# %% [markdown]
# ## What attention cannot see
#
# ````{prf:theorem} Permutation equivariance
# :label: thm-att-permutation
#
# Let $A$ be the layer {eq}`eq-att-layer` and $P$ a permutation matrix of the $N$ positions. Then $A(xP)=A(x)\,P$ for all $x$.
# ````
#
# ````{prf:proof}
# $W(xP)=(Wx)P$ for each of the four matrices, so the scores become $P^{\mathsf T}sP$: rows and columns are permuted alike. A softmax over the rows' index commutes with both, so $\beta$, as the matrix with entry $(i,j)$, becomes $P^{\mathsf T}\beta P$. Then
# $W_vW_hx\,P\,P^{\mathsf T}\beta P=(W_vW_hx\,\beta)P$, because $PP^{\mathsf T}=I$.
# ````
#
# Shuffle the pixels of a picture, and the layer returns the same result, shuffled: it works on a *set* of positions. It sees neither neighbourhood nor distance nor direction. In a GAN that
# knowledge must already be in the features: convolutions put it there, and their zero padding tells them where the border is. Convolutions, in turn, commute with shifts (away from the border), not with other permutations. The two layers complement each other.

# %% tags=["claim", "keep_output", "nbval-check-output"]
kernel = torch.randn(16, 16, 3, 3, dtype=torch.float64)


def convolution(maps):
    return conv2d(nn.functional.pad(maps, (1, 1, 1, 1), mode="circular"), kernel)


def shuffled(maps, order):
    return maps.flatten(2)[:, :, order].reshape(maps.shape)


with torch.no_grad():
    for _ in range(20):
        order = torch.randperm(30)
        assert torch.allclose(layer(shuffled(x, order)), shuffled(layer(x), order), atol=1e-12)
        assert not torch.allclose(convolution(shuffled(x, order)), shuffled(convolution(x), order), atol=1e-3)
    assert torch.allclose(convolution(x.roll(2, dims=3)), convolution(x).roll(2, dims=3), atol=1e-12)
    assert torch.allclose(layer(x.flip(3)), layer(x).flip(3), atol=1e-12)
    constant = layer(torch.ones_like(x) * x[:, :, :1, :1])  # equal contents stay equal
    assert torch.allclose(constant, constant[:, :, :1, :1].expand_as(x), atol=1e-12)
print("attention commutes with 20 random shuffles of the positions, convolution with none but with shifts: yes")

# %% [markdown]
# ## What it costs
#
# ````{prf:proposition} Multiply–adds
# :label: prop-att-cost
#
# For one map the layer takes $4NCc$ multiply–adds in its four $1\times1$ convolutions and $2N^2c$ in scores and averages; the weights $\beta$ are $N^2$ numbers. A $3\times3$ convolution with $C$ maps takes $9NC^2$. With $c=C/k$, attention is the cheaper of the two
# if and only if $N<\frac12(9k-4)\,C$; for $k=8$, if $N<34\,C$.
# ````
#
# ````{prf:proof}
# Each of the four maps $N$ columns by a matrix of $cC$ entries. Each of the $N^2$ scores is a product of $c$-vectors; $h\beta$ has $cN$ entries of $N$ terms each. Then $4NC^2/k+2N^2C/k<9NC^2$ is, divided by $2NC/k$, $2C+N<\frac92kC$.
# ````
#
# The cost in $N^2=(HW)^2$ means: twice the side, sixteen times the scores. PyTorch's counter counts what is really executed:


# %%
def counted(function, *arguments):
    """Multiply–adds that PyTorch counts (it counts two operations for each)."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        function(*arguments)
    return counter.get_total_flops() // 2


CHANNELS, SIDES = 64, (4, 8, 16, 32, 64)
costs = {}
for side in SIDES:
    N, c = side**2, CHANNELS // 8
    thin = [torch.zeros(c, CHANNELS)] * 3
    maps = torch.zeros(1, CHANNELS, N)
    costs[side] = (
        counted(attention, maps, *thin, torch.zeros(CHANNELS, c), 0.0),
        counted(conv2d, maps.reshape(1, CHANNELS, side, side), torch.zeros(CHANNELS, CHANNELS, 3, 3), None, 1, 1),
    )

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Multiply–adds of one self-attention layer and of one 3×3 convolution, both with 64 channels, as counted (marks) and by the proposition (lines), and the memory of β in single precision. The vertical line is where both cost the same.", "name": "fig-att-cost"}, "image": {"alt": "Two log-log plots against the side of the feature map. Left: the convolution's cost rises with the square of the side, attention's from below it with the fourth power, crossing near side 47. Right: memory of the weights, rising with the fourth power to 64 MiB at side 64 and 1 GiB at side 128."}}
figure, (left, right) = plt.subplots(1, 2, figsize=(8.8, 3.1), layout="constrained")
sides = torch.logspace(2, 7, 60, base=2, dtype=torch.float64)
n = sides**2
left.loglog(sides, 4 * n * CHANNELS**2 / 8 + 2 * n**2 * CHANNELS / 8, color=FAKE, label="attention")
left.loglog(sides, 9 * n * CHANNELS**2, "--", color=REAL, label="convolution 3×3")
left.loglog(SIDES, [costs[s][0] for s in SIDES], "o", color=FAKE)
left.loglog(SIDES, [costs[s][1] for s in SIDES], "s", color=REAL)
left.axvline(math.sqrt(34 * CHANNELS), color="0.6", linewidth=0.8)
left.set(ylabel="multiply–adds")
right.loglog(sides, 4 * n**2 / 2**20, color=FAKE)
right.set(ylabel="β of one sample, MiB")
for axis in (left, right):
    axis.minorticks_off()
    axis.set_xticks([4, 8, 16, 32, 64, 128], ["4", "8", "16", "32", "64", "128"])
    axis.set(xlabel="side of the feature map")
    axis.grid(alpha=0.3)
left.legend(frameon=False)
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
for side, (by_attention, by_convolution) in costs.items():
    N, C, c = side**2, CHANNELS, CHANNELS // 8
    assert by_attention == 4 * N * C * c + 2 * N**2 * c
    assert by_convolution == 9 * N * C**2
    assert (by_attention < by_convolution) == (34 * C > N)
assert costs[32][0] < costs[32][1] and costs[64][0] > costs[64][1]
print(
    "every count is the proposition's; with 64 channels attention is cheaper than a 3×3 layer up to side 32, dearer at 64: yes"
)

# %% [markdown]
# The memory is the harder limit: stored for the backward pass, $\beta$ takes $4N^2$ bytes a sample. Fused kernels compute it block by block and never store it, which is why the library's layer calls one; the multiplications remain. Hence the usual place: one
# layer in the middle of the network, where the map is large enough to have something to relate and small enough to pay for. {cite:t}`zhang2019self` compared sides 8 to 64 for images of 128 pixels and found 32 best by FID. On 32-pixel images, where a few strided
# convolutions see everything, there is less to gain.
#
# ## Seeing it work
#
# The task needs a long look and nothing else. A picture of $12\times12$ pixels holds two coloured glyphs on the left, a cross and a ring, each in its own random colour, and the same two in grey on the right, all at random heights. The
# network is to give each grey glyph the colour of its partner. (Trained by a plain squared error: the question is what the layer can do, not what a game makes of it.)
#
# The network is a $3\times3$ convolution, a $1\times1$, the attention layer, and a $3\times3$: without attention its window is five pixels wide and
# reaches two to either side, while at least four columns lie between a grey glyph and its partner.
#
# ````{prf:proposition} What the blind network can reach
# :label: prop-att-blind
#
# If an output does not depend on any pixel that carries the wanted colour, and the colour is independent of everything else, its expected squared error is at least the colour's variance.
# ````
#
# ````{prf:proof}
# The output $u$ and the colour $t$ are independent, so $\mathbb E(u-t)^2=\mathbb E(u-\mathbb Et)^2+\operatorname{Var}t\ge\operatorname{Var}t$.
# ````

# %%
SIDE = 12
CROSS = torch.tensor([[0, 1, 0], [1, 1, 1], [0, 1, 0]]).float()
RING = torch.tensor([[1, 1, 1], [1, 0, 1], [1, 1, 1]]).float()
HEIGHTS = (1, 4, 7, 10)  # rows of the centres; two glyphs of one side never overlap


def pictures(n, rng):
    """Pictures (n, 3, 12, 12), targets of the same shape, mask of the grey pixels, centres (n, 2, 2, 2): side, glyph, (row, column)."""
    x, target = torch.zeros(2, n, 3, SIDE, SIDE)
    mask = torch.zeros(n, 1, SIDE, SIDE)
    colours = torch.randint(0, 2, (n, 2, 3), generator=rng) * 2.0 - 1  # each channel ±1: mean 0, variance 1
    rows = torch.stack([torch.stack([torch.randperm(4, generator=rng)[:2] for _ in range(2)]) for _ in range(n)])
    columns = torch.randint(0, 2, (n, 2, 2), generator=rng) + torch.tensor([1, 9])[:, None]
    centres = torch.stack([torch.tensor(HEIGHTS)[rows], columns], -1)
    for i in range(n):
        for glyph, ink in enumerate((CROSS, RING)):
            (r, c), (rr, cc) = centres[i, :, glyph].tolist()
            x[i, :, r - 1 : r + 2, c - 1 : c + 2] += colours[i, glyph][:, None, None] * ink
            x[i, :, rr - 1 : rr + 2, cc - 1 : cc + 2] += 0.6 * ink
            target[i, :, rr - 1 : rr + 2, cc - 1 : cc + 2] += colours[i, glyph][:, None, None] * ink
            mask[i, 0, rr - 1 : rr + 2, cc - 1 : cc + 2] += ink
    return x, target, mask, centres


class Painter(nn.Module):
    """A small network with or without one attention layer."""

    def __init__(self, attend):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 1), nn.ReLU())
        self.attention = SelfAttention2d(32, k=2) if attend else nn.Identity()
        self.paint = nn.Conv2d(32, 3, 3, padding=1)

    def forward(self, x):
        return self.paint(self.attention(self.features(x)))


def error(network, x, target, mask):
    """Mean squared error over the pixels of the grey glyphs."""
    return ((network(x) - target).square() * mask).sum() / (3 * mask.sum())


def train(attend, data, steps=550, batch=16):
    torch.manual_seed(0)
    network = Painter(attend)
    optimizer = torch.optim.Adam(network.parameters(), 5e-3, fused=True)
    rows = []
    for step in range(steps):
        chosen = torch.randint(0, len(data[0]), (batch,))
        loss = error(network, *(part[chosen] for part in data[:3]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        gamma = network.attention.gamma.item() if attend else 0.0
        rows.append((step, loss.item(), gamma))
    return network.eval(), torch.tensor(rows).T


rng = torch.Generator().manual_seed(0)
training, test = pictures(2000, rng), pictures(200, rng)
painters = {name: train(attend, training) for name, attend in (("with attention", True), ("without", False))}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Training with and without the attention layer. The grey line is the variance of the colour, below which no blind network can come; the batches scatter around it. Dashed: |γ|, which starts at zero.", "name": "fig-att-training"}, "image": {"alt": "Squared error against the step: without attention it stays at one, with attention it stays there at first and then falls close to zero while the size of gamma rises."}}
figure, axis = plt.subplots(figsize=(6.8, 3), layout="constrained")
for (name, (_, (steps, losses, _))), color in zip(painters.items(), (DISCRIMINATOR, FAKE)):
    axis.plot(steps, losses, color=color, label=name, linewidth=1)
axis.plot(painters["with attention"][1][0], painters["with attention"][1][2].abs(), "--", color="0.25", label="|γ|")
axis.axhline(1, color="0.5", linewidth=0.8)
axis.set(xlabel="step", ylabel="squared error")
axis.grid(alpha=0.3)
axis.legend(frameon=False)
plt.show()

# %% tags=["hide-input"] mystnb={"figure": {"caption": "A picture that the network has not seen, its answers (on the grey glyphs only) without and with attention, and two rows of $\\beta$: where the marked pixel (circle) of the cross and of the ring looks. Bright is much, each map on its own scale. The answer is right, yet little of the weight lies on the partner.", "name": "fig-att-maps"}, "image": {"alt": "Five square panels. A picture with two coloured glyphs on the left and two grey ones on the right; a blank answer without attention; an answer with both glyphs in their partners' colours; two maps of weights that are spread over the empty background and a few pixels of the grey glyphs and are dark around the coloured ones."}}
sighted, blind = painters["with attention"][0], painters["without"][0]
x, target, mask, centres = test
with torch.no_grad():
    answer, guess = sighted(x) * mask, blind(x) * mask
    query, key, _ = sighted.attention.attend(sighted.features(x))
    maps = attention_map(query, key).reshape(len(x), SIDE, SIDE, SIDE, SIDE)  # row and column of j, then of i
figure, axes = plt.subplots(1, 5, figsize=(10.4, 2.4), layout="constrained")
for axis, picture, title in zip(axes, (x[0], guess[0], answer[0]), ("picture", "without", "with attention")):
    axis.imshow((picture.clamp(-1, 1) + 1).permute(1, 2, 0) / 2)
    axis.set_title(title)
for axis, glyph, title in zip(axes[3:], (0, 1), ("β of the cross", "β of the ring")):
    row, column = (centres[0, 1, glyph] + torch.tensor([-1, 0])).tolist()  # the upper pixel, inked in both glyphs
    axis.imshow(maps[0, row, column], cmap="cividis")
    axis.plot(column, row, "o", markersize=9, markerfacecolor="none", markeredgecolor="white", markeredgewidth=1.8)
    axis.set_title(title)
for axis in axes:
    axis.set(xticks=[], yticks=[])
plt.show()

# %% tags=["claim", "keep_output", "nbval-check-output"]
with torch.no_grad():
    errors = {name: error(network, *test[:3]).item() for name, (network, _) in painters.items()}
assert errors["without"] > 0.9 and errors["with attention"] < 0.1
swapped = []
for glyph in (0, 1):  # repaint one coloured glyph in the opposite colour: only its partner's answer may follow
    repainted = x.clone()
    for i in range(len(x)):
        r, c = centres[i, 0, glyph].tolist()
        repainted[i, :, r - 1 : r + 2, c - 1 : c + 2] *= -1
    with torch.no_grad():
        moved = (sighted(repainted) * mask - answer).abs().sum(1)
    for which in (glyph, 1 - glyph):
        r, c = centres[:, 1, which].T
        swapped.append(moved[torch.arange(len(x)), r - 1, c].mean())  # the upper pixel, inked in both glyphs
assert swapped[0] > 5 * swapped[1] and swapped[2] > 5 * swapped[3]
on_partner = []
for i in range(len(x)):
    (row, column), (r, c) = (centres[i, 1, 0] + torch.tensor([-1, 0])).tolist(), centres[i, 0, 0].tolist()
    on_partner.append(maps[i, row, column, r - 1 : r + 2, c - 1 : c + 2].sum())
assert torch.stack(on_partner).mean() < 0.5  # and yet most of the weight lies elsewhere
picture = x[:1].clone().requires_grad_()
row, column = centres[0, 1, 0].tolist()
r, c = centres[0, 0, 0].tolist()
for network, sees in ((sighted, True), (blind, False)):
    (gradient,) = torch.autograd.grad(network(picture)[0, :, row, column].sum(), picture)
    assert (gradient[0, :, r, c] != 0).any() == sees
print(
    "without attention the partner's gradient is exactly zero and nothing is learned; with it, each answer follows its partner alone: yes"
)

# %% [markdown]
# ```{admonition} What can go wrong
# :class: warning
# - **The softmax over the wrong index.** The layer still trains, only worse. Assert that the weights of one $j$ sum to one.
# - **A hidden $1/\sqrt c$.** Fused kernels scale by default; SAGAN does not. Weights moved between two implementations then give other pictures.
# - **A softmax that has become hard.** Scores that grow give $\beta$ of nearly 0 and 1, and no gradient reaches the queries. Watch the entropy of $\beta$.
# - **No finite slope.** Self-attention has no Lipschitz constant {cite:p}`kim2021lipschitz`, however small the norms of its matrices, unless one is zero; an exercise shows why.
# - **$\beta$ read as an explanation.** {numref}`fig-att-maps` computes the right answer with most of the weight elsewhere. Repaint a place and watch the answer instead; and $\gamma$ may be near zero.
# - **Too large a map.** Memory grows with the fourth power of the side.
# ```
#
# ## Exercises
#
# ```{exercise}
# :label: ex-att-dcgan
# A discriminator has four convolutions with $4\times4$ kernels and stride 2, then one with $4\times4$ and stride 1. Compute its receptive field by hand.
# ```
#
# ````{solution} ex-att-dcgan
# :class: dropdown
# $j=1,2,4,8,16$; $r=1+3(1+2+4+8+16)=94$: larger than the 64 pixels of its images.
# ````

# %% tags=["hide-cell"]
assert receptive_field([(4, 2)] * 4 + [(4, 1)])[0] == 94

# %% [markdown]
# ```{exercise}
# :label: ex-att-mean
# What does the layer compute if $W_f=0$? Which familiar layer is it?
# ```
#
# ````{solution} ex-att-mean
# :class: dropdown
# All scores are $0$, so $\beta_{ji}=1/N$ and $o_j=W_v W_h\bar x$ with the mean $\bar x$: global average pooling, sent back to every position.
# ````

# %% tags=["hide-cell"]
maps_in = torch.randn(2, 16, 30, dtype=torch.float64)
pooled, _ = attention(maps_in, 0 * W_f, W_g, W_h, W_v, 1.0)
assert torch.allclose(pooled - maps_in, (W_v @ W_h @ maps_in.mean(2, keepdim=True)).expand_as(maps_in), atol=1e-12)

# %% [markdown]
# ```{exercise}
# :label: ex-att-pooled
# Some implementations let every position attend to keys and values pooled over $2\times2$ positions. By what factor does the $N^2$ part of the cost fall? Is the layer still permutation equivariant?
# ```
#
# ````{solution} ex-att-pooled
# :class: dropdown
# There are $N/4$ keys for $N$ queries: $\frac12N^2c$, a quarter. Not any more: which positions are pooled together depends on where they are.
# ````

# %% tags=["hide-cell"]
queries, few = torch.zeros(1, 256, 8), torch.zeros(1, 64, 8)
assert 4 * counted(attention_map, queries, few) == counted(attention_map, queries, queries)

# %% [markdown]
# ```{exercise}
# :label: ex-att-scale
# Let the entries of $f(x_i)$ and $g(x_j)$ be independent with mean 0 and variance 1. Show that a score has variance $c$, and check that $1/\sqrt c$ keeps the entropy of $\beta$ the same for all $c$.
# ```
#
# ````{solution} ex-att-scale
# :class: dropdown
# A score is the sum of $c$ independent products with mean $0$ and variance $1\cdot1$. Scaled, it has variance 1 for every $c$ and is nearly Gaussian.
# ````

# %% tags=["hide-cell"]
entropies = {}
for c in (4, 16, 64):
    f, g = torch.randn(2, 400, c, generator=torch.Generator().manual_seed(0))
    s = f @ g.T
    assert abs(s.var() / c - 1) < 0.15
    for scale in (1.0, c**-0.5):
        beta = torch.softmax(scale * s, 0)
        entropies[c, scale] = -torch.xlogy(beta, beta).sum(0).mean()
assert abs(entropies[64, 1 / 8] - entropies[4, 0.5]) < 0.15 and entropies[64, 1.0] < entropies[4, 0.5] - 2

# %% [markdown]
# ```{exercise}
# :label: ex-att-slope
# Let $C=c=1$ and all four matrices be $1$. Show that at $x_1=0$ the derivative of $o_1$ with respect to $x_1$ is $\operatorname{Var}(x)+1/N$, where $\operatorname{Var}(x)=\frac1N\sum_i(x_i-\bar x)^2$. What follows for the Lipschitz constant?
# ```
#
# ````{solution} ex-att-slope
# :class: dropdown
# $o_1=\sum_i\beta_ix_i$ with scores $s_i=x_ix_1$, all $0$ at $x_1=0$, so $\beta_i=1/N$. There $ds_i=x_i\,dx_1$ for every $i$ ($ds_1=2x_1dx_1=0=x_1dx_1$), and $d\beta_i=\beta_i(ds_i-\sum_m\beta_mds_m)$. So
# $do_1=\frac1N\sum_i(x_i-\bar x)x_i\,dx_1+\beta_1dx_1$. Multiply the other $x_i$ by $t$: the slope grows like $t^2$, so there is no Lipschitz constant.
# ````

# %% tags=["hide-cell"]
one = torch.ones(1, 1, dtype=torch.float64)
for t in (1.0, 10.0, 100.0):
    values = t * torch.tensor([0.0, 1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    line = values.clone().requires_grad_()
    out, _ = attention(line[None, None], one, one, one, one, 1.0)
    slope = torch.autograd.grad(out[0, 0, 0], line)[0][0] - 1  # without the + x
    assert torch.isclose(slope, values.var(correction=0) + 1 / 5)

# %% [markdown]
# ## Where this is used
#
# `ganbook.nn.attention.SelfAttention2d` is the layer of this chapter, and `ganbook.nn.sagan` puts it into a generator and a discriminator at feature maps of the sides that one names; [an experiment](../experiments/sagan32) trains them, and [another](../experiments/attention_placement) moves the layer about. The slopes of its matrices are bounded by the spectral
# normalisation of [the chapter on slopes](06_lipschitz_and_spectral_norm), and the two learning rates that go with it are those of [the training dynamics](07_training_dynamics).

# %% tags=["hide-input"]
display(Markdown(f"*This chapter ran in {time.perf_counter() - started:.0f} s.*"))
