"""The update rule: each objective goes down, draws or does not draw, and keeps to its own networks."""

import pytest
import torch

from ganbook.errors import InputError
from ganbook.models.autoencoder import KINDS, Autoencoder, build
from ganbook.models.autoencoder_terms import LIKELIHOODS, gaussian_kl
from ganbook.nn import dcgan
from ganbook.nn.autoencoders import start_from
from ganbook.training import train

SIZES = {"resolution": 28, "channels": 1, "n_classes": 3, "latent_dim": 2, "width": 4}


def batch(n=8):
    """Bars at three heights, the class, and of two widths."""
    x = torch.full((n, 1, 28, 28), -1.0)
    y = torch.arange(n) % 3
    for i in range(n):
        top = 4 + 8 * int(y[i])
        x[i, :, top : top + 4, 4 : 12 + 12 * (i % 2)] = 1.0
    return x, y


def weights(*networks):
    return [p.detach().clone() for network in networks for p in network.parameters()]


def moved(before, *networks):
    after = [p for network in networks for p in network.parameters()]
    return [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_every_kind_lowers_its_reconstruction(kind, likelihood):
    model = build(kind, likelihood=likelihood, lr=3e-3, **SIZES)
    x, y = batch()
    losses = []
    for _ in range(12):
        model.discriminator_step(x, y)
        losses.append(model.generator_step(x, y))
        model_terms = model.read_terms()
    assert torch.stack(losses).isfinite().all() and not losses[0].requires_grad
    assert losses[-1] < losses[0]
    assert model_terms["reconstruction"] < float(losses[0])


@pytest.mark.parametrize("kind", ["wae_gan", "cwae_gan", "vae"])
def test_each_step_moves_its_own_networks_only(kind):
    model = build(kind, **SIZES)
    x, y = batch()
    own = weights(model.encoder, model.decoder)
    model.discriminator_step(x, y)
    assert not any(moved(own, model.encoder, model.decoder))
    if model.critic is not None:
        critic = weights(model.critic)
        model.discriminator_step(x, y)
        assert all(moved(critic, model.critic))
        critic = weights(model.critic)
        model.generator_step(x, y)
        assert not any(moved(critic, model.critic))
        assert all(p.requires_grad for p in model.critic.parameters())
    assert model.generator_step(x, y).isfinite()
    assert any(moved(own, model.encoder, model.decoder))


def test_only_a_vae_learns_a_variance():
    x, y = batch()
    for kind, learns in (("vae", True), ("ae", False), ("wae", False)):
        model = build(kind, **SIZES)
        before = model.encoder.head.weight.detach().clone()
        model.generator_step(x, y)
        changed = (model.encoder.head.weight != before).any(1)
        assert changed[:2].all()
        assert changed[2:].any() == learns, kind


def test_the_weight_is_beta():
    """One step with β: the loss is reconstruction + β·KL of the same draw."""
    x, y = batch()
    losses = {}
    for weight in (1.0, 4.0):
        model = build("vae", weight=weight, **SIZES)
        losses[weight] = model.generator_step(x, y).item()
        terms = model.read_terms()
        assert losses[weight] == pytest.approx(terms["reconstruction"] + weight * terms["regulariser"], rel=1e-5)
    assert losses[4.0] - losses[1.0] == pytest.approx(3 * terms["regulariser"], rel=1e-3)
    assert model.read_terms() == {"reconstruction": 0.0, "regulariser": 0.0}


def test_codes_are_drawn_by_a_vae_and_are_means_elsewhere():
    x, _ = batch()
    for kind, drawn in (("vae", True), ("ae", False), ("wae", False)):
        model = build(kind, **SIZES)
        same = torch.equal(model.codes(x, seed=0), model.codes(x, seed=1))
        assert same != drawn


def test_the_elbo_is_minus_reconstruction_minus_kl_and_training_raises_it():
    x, y = batch()
    model = build("cvae", likelihood="gaussian", lr=3e-3, **SIZES)
    before = model.elbo(x, y).mean()
    mean, log_var = model.posterior(x, y)
    z = model.codes(x, y, seed=0)
    made = model.sample(z, y)
    squares = (x - made).square().flatten(1).sum(1)
    constant = 392 * torch.log(torch.tensor(torch.pi))  # d/2 log 2πσ² at σ² = ½
    assert torch.allclose(model.elbo(x, y, seed=0), -squares - constant - gaussian_kl(mean, log_var), atol=1e-2)
    for _ in range(25):
        model.generator_step(x, y)
    assert model.elbo(x, y).mean() > before + 10


def test_equal_seeds_are_equal_runs_and_leave_the_global_stream_alone():
    x, y = batch()
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, second, other = (build("cvae", seed=seed, **SIZES) for seed in (1, 1, 2))
    losses = [[model.generator_step(x, y).item() for _ in range(2)] for model in (first, second, other)]
    assert torch.equal(torch.rand(1), expected)
    assert losses[0] == losses[1] != losses[2]


def test_the_training_loop_takes_it_and_its_decoder_starts_a_generator():
    model = build("cwae", **SIZES)
    history = train(model, iter(lambda: batch(), None), steps=4, log_every=2, progress=False)
    assert len(history.rows) == 2 and history.rows[0]["d_loss"] == 0
    generator = dcgan.Generator(**SIZES)
    start_from(generator, model.decoder)
    z, y = torch.randn(6, 2), torch.arange(6) % 3
    assert torch.allclose(generator.eval()(z, y), model.sample(z, y), atol=1e-6)


def test_looking_at_a_model_changes_nothing():
    x, y = batch()
    model = build("cvae", **SIZES)
    statistics = [b.clone() for b in model.decoder.buffers()]
    model.sample(torch.randn(4, 2), torch.arange(4) % 3)
    model.codes(x, y)
    assert all(torch.equal(a, b) for a, b in zip(statistics, model.decoder.buffers(), strict=True))
    assert model.decoder.training and model.encoder.training


def test_mistakes_are_told():
    for options, told in (
        ({"kind": "vea"}, "Did you mean 'vae'"),
        ({"kind": "vae", "likelihood": "gausss"}, "Did you mean 'gaussian'"),
        ({"kind": "vae", "weight": 0.0}, "positive number, got 0.0"),
        ({"kind": "cvae", "n_classes": 0}, "Choose vae instead"),
    ):
        with pytest.raises(InputError, match=told):
            build(**{**SIZES, **options})
    model = build("vae", **SIZES)
    with pytest.raises(InputError, match=r"latents of shape \(N, 2\), got \(1, 3\)"):
        model.sample(torch.zeros(1, 3))
    with pytest.raises(InputError, match="Labels are 0 … 2"):
        build("cvae", **SIZES).sample(torch.zeros(1, 2), torch.tensor([3]))
    with pytest.raises(InputError, match="belongs to objective='wae_gan'"):
        Autoencoder(model.encoder, model.decoder, objective="wae_gan")
