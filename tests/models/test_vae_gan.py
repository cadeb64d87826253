"""VAE/GAN: each network receives the gradient of its own line of the algorithm, and of nothing else."""

import pytest
import torch
from torch.nn.functional import logsigmoid

from ganbook.errors import InputError
from ganbook.models.autoencoder_terms import gaussian_kl, reparameterise
from ganbook.models.vae_gan import build_vae_gan, feature_nll, features_at
from ganbook.training import train

SIZES = {"resolution": 28, "channels": 1, "latent_dim": 3, "n_classes": 4, "width": 4}


def batch(n=8):
    x = torch.rand(n, 1, 28, 28, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return x, torch.arange(n) % 4


def gradients(network):
    return [p.grad.clone() for p in network.parameters() if p.grad is not None]


def written_out(model, x, y):
    """L_prior, L_llike and L_GAN of the next step's draws, by the formulas of the module's text."""
    rng = torch.Generator()
    rng.set_state(model.rng.get_state())
    mean, log_var = model.encoder(x, y).unbind(1)
    rebuilt = model.decoder(reparameterise(mean, log_var, rng), y)
    drawn = model.decoder(torch.randn(len(x), 3, generator=rng), y)
    difference = model.discriminator.features[:2](x) - model.discriminator.features[:2](rebuilt)
    llike = 0.5 * difference.square().sum((1, 2, 3)).mean()
    real, fakes = model.discriminator(x, y), [model.discriminator(f, y) for f in (drawn, rebuilt)]
    gan = -logsigmoid(real).mean() - sum(logsigmoid(-f).mean() for f in fakes)
    return gaussian_kl(mean, log_var).mean(), llike, gan


def still(**options):
    """A model without BatchNorm's and spectral normalisation's states that would change between two passes."""
    model = build_vae_gan(norm="none", loss="minimax", lr=1e-9, lr_d=1e-9, **options, **SIZES)
    return model


@pytest.mark.parametrize("weight", [1.0, 4.0])  # 1 in the paper
def test_the_three_rules_are_those_of_the_paper(weight):
    model, (x, y) = still(gamma=0.3, prior_weight=weight), batch()
    prior, llike, gan = written_out(model, x, y)
    expected = {
        "encoder": torch.autograd.grad(weight * prior + llike, model.encoder.parameters(), retain_graph=True),
        "decoder": torch.autograd.grad(0.3 * llike - gan, model.decoder.parameters(), retain_graph=True),
    }
    model.generator_step(x, y)
    for name, wanted in expected.items():
        for ours, theirs in zip(gradients(getattr(model, name)), wanted, strict=True):
            assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-5), name
    assert model.read_terms() == pytest.approx({"prior": prior.item(), "llike": llike.item()}, rel=1e-4)
    *_, gan = written_out(model, x, y)
    wanted = torch.autograd.grad(gan, model.discriminator.parameters())
    assert model.discriminator_step(x, y).item() == pytest.approx(gan.item(), rel=1e-4)
    for ours, theirs in zip(gradients(model.discriminator), wanted, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-5)


def test_the_discriminator_receives_nothing_from_the_likelihood():
    """Its gradient after the others' step is none at all, and its own step does not depend on γ or l."""
    model, (x, y) = still(), batch()
    model.generator_step(x, y)
    assert gradients(model.discriminator) == []
    assert all(p.requires_grad for p in model.discriminator.parameters())
    steps = []
    for gamma, layer in ((0.01, 1), (100.0, 2)):
        model = still(gamma=gamma, layer=layer)
        model.discriminator_step(x, y)
        steps.append(gradients(model.discriminator))
        assert gradients(model.encoder) == [] and gradients(model.decoder) == []
    assert all(torch.equal(a, b) for a, b in zip(*steps, strict=True))


def test_the_encoder_receives_nothing_from_the_game():
    """A head of D that shouts a thousand times louder changes the decoder's gradient and leaves the encoder's."""
    x, y = batch()
    found = []
    for loudness in (1.0, 1000.0):
        model = still()
        with torch.no_grad():
            model.discriminator.head.weight.mul_(loudness)
        model.generator_step(x, y)
        found.append((gradients(model.encoder), gradients(model.decoder)))
    (encoder, decoder), (encoder_loud, decoder_loud) = found
    assert all(torch.equal(a, b) for a, b in zip(encoder, encoder_loud, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(decoder, decoder_loud, strict=True))


@pytest.mark.parametrize("norm", ["batch", "spectral", "none"])
@pytest.mark.parametrize("loss", ["minimax", "nonsaturating"])
def test_it_trains_with_every_norm_and_loss(norm, loss):
    model = build_vae_gan(norm=norm, loss=loss, **SIZES)
    history = train(model, iter(batch, None), steps=3, log_every=1, progress=False)
    assert len(history.rows) == 3
    x, y = batch()
    assert model.sample(model.codes(x, y), (y + 1) % 4).shape == x.shape


def test_repeated_steps_lower_the_feature_distance():
    model, (x, y) = build_vae_gan(norm="none", gamma=100.0, lr=3e-3, **SIZES), batch()
    values = []
    for _ in range(30):
        model.generator_step(x, y)
        values.append(model.read_terms()["llike"])
    assert sum(values[-5:]) < sum(values[:5])


def test_features_are_those_after_a_layers_activation():
    model, (x, _) = still(), batch()
    network = model.discriminator
    assert torch.equal(features_at(network, x, 1), network.features[:2](x))
    assert torch.equal(features_at(network, x, 2).flatten(1), network.features(x))
    assert features_at(network, x, 1).min() < 0  # leaky, after the activation
    assert feature_nll(torch.zeros(2, 1, 1, 2), torch.tensor([[[[3.0, 4.0]]], [[[0.0, 0.0]]]])).tolist() == [12.5, 0]


def test_mistakes_are_told():
    with pytest.raises(InputError, match=r"layer must be 1 … 2, got 3"):
        build_vae_gan(layer=3, **SIZES)
    with pytest.raises(InputError, match="positive, got 0"):
        build_vae_gan(gamma=0.0, **SIZES)
    with pytest.raises(InputError, match=r"prior_weight .* positive, got -1"):
        build_vae_gan(prior_weight=-1.0, **SIZES)
    model = build_vae_gan(**SIZES)
    with pytest.raises(InputError, match=r"\(N, 3\), got \(1, 5\)"):
        model.sample(torch.zeros(1, 5), torch.zeros(1, dtype=torch.int64))
    with pytest.raises(InputError, match="Labels are 0 … 3"):
        model.codes(batch()[0][:1], torch.tensor([4]))


def first_weight(network):
    return next(iter(network.parameters())).detach().clone()


def test_the_averaged_decoder_goes_by_the_rule_and_draws_the_samples():
    model, (x, y) = build_vae_gan(ema_decay=0.5, **SIZES), batch()
    expected = None
    for step in range(3):
        model.generator_step(x, y)
        d = min(0.5, (1 + step) / (10 + step))
        now = first_weight(model.decoder)
        expected = now if expected is None else d * expected + (1 - d) * now  # the first step is taken as it is
    assert torch.allclose(first_weight(model.ema), expected, atol=1e-6)
    with torch.no_grad():
        drawn = model.ema.module.eval()(torch.ones(2, 3), y[:2])
    assert torch.equal(model.sample(torch.ones(2, 3), y[:2]), drawn)


def test_without_averaging_the_decoder_itself_is_sampled():
    model, (x, y) = build_vae_gan(**SIZES), batch()
    for _ in range(3):
        model.generator_step(x, y)
    with torch.no_grad():
        drawn = model.decoder.eval()(torch.ones(2, 3), y[:2])
    assert torch.allclose(model.sample(torch.ones(2, 3), y[:2]), drawn, atol=1e-5)


def test_refreshed_statistics_are_those_of_the_averaged_weights():
    model, (x, y) = build_vae_gan(ema_decay=0.9, **SIZES), batch()
    model.generator_step(x, y)
    state = model.rng.get_state()
    model.refresh_batchnorm(batches=2, batch_size=64)
    rng = torch.Generator().manual_seed(0)
    means = []
    for _ in range(2):
        z, labels = torch.randn(64, 3, generator=rng), torch.randint(4, (64,), generator=rng)
        codes = torch.cat([z, torch.nn.functional.one_hot(labels, 4).float()], 1)
        means.append(model.ema.module.net[0](codes[:, :, None, None]).mean((0, 2, 3)))
    assert torch.allclose(model.ema.module.net[1].running_mean, torch.stack(means).mean(0), atol=1e-5)
    assert torch.equal(model.rng.get_state(), state)  # training goes on as if nothing had been


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_a_decay_out_of_range_is_refused(decay):
    with pytest.raises(InputError, match="ema_decay"):
        build_vae_gan(ema_decay=decay, **SIZES)
