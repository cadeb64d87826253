"""The widgets' mathematics in the browser agrees with the library's, function by function."""

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

from book.tools import latent_sheet
from book.tools.build import BOOK
from ganbook import divergences, losses
from ganbook.metrics.frechet import bias_isotropic, frechet_distance
from ganbook.metrics.manifold import density_coverage, precision_recall
from ganbook.metrics.modes import mode_statistics
from ganbook.models import toy
from ganbook.nn.resnet import double
from ganbook.nn.spectral import power_iteration, sigma
from ganbook.pretrained import load_generator

SCRIPTS = BOOK / "_assets" / "widgets"
DOUBLE = torch.float64


@pytest.fixture(scope="module")
def js(browser):
    """Calls one of the widgets' pure functions with JSON arguments."""
    page = browser.new_page()
    page.add_script_tag(path=SCRIPTS / "maths.js")
    yield lambda name, *args: page.evaluate(f"GanMaths.{name}(...{json.dumps(args)})")
    page.close()


def points(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


@pytest.mark.parametrize(("mean", "std"), [(1.5, 0.7), (-3.0, 2.0), (0.0, 1.0)])
def test_divergences_of_two_densities(js, mean, std):
    grid = torch.linspace(-12, 12, 2401, dtype=DOUBLE)
    p, q = divergences.gaussian(grid), divergences.gaussian(grid, mean, std)
    weights = divergences.trapezoid_weights(grid)
    assert js("gaussian", 0.3, mean, std) == pytest.approx(
        divergences.gaussian(torch.tensor(0.3, dtype=DOUBLE), mean, std).item()
    )
    assert js("trapezoidWeights", grid.tolist()) == pytest.approx(weights.tolist())
    assert js("js", p.tolist(), q.tolist(), weights.tolist()) == pytest.approx(
        divergences.js(p, q, weights).item(), abs=1e-12
    )
    assert js("kl", q.tolist(), p.tolist(), weights.tolist()) == pytest.approx(
        divergences.kl(q, p, weights).item(), abs=1e-9
    )
    best = js("optimalDiscriminator", p.tolist(), q.tolist())
    assert best[1250] == pytest.approx((p / (p + q))[1250].item())
    levels = (torch.arange(20_000, dtype=DOUBLE) + 0.5) / 20_000
    quantiles = torch.special.ndtri(levels)
    exact = divergences.wasserstein_1d(quantiles, mean + std * quantiles).item()
    assert js("wassersteinOnGrid", p.tolist(), q.tolist(), grid.tolist()) == pytest.approx(exact, abs=2e-3)


def test_wasserstein_of_samples(js):
    x, y = points(50, 1, 0)[:, 0], 1 + 2 * points(50, 1, 1)[:, 0]
    assert js("wasserstein1d", x.tolist(), y.tolist()) == pytest.approx(divergences.wasserstein_1d(x, y).item())


@pytest.mark.parametrize("cells", [0, 3, 10, 25])
def test_shifted_intervals(js, cells):
    """Uniform laws on ten cells of width 0.1, the second some cells further on."""
    p, q = torch.zeros(40, dtype=DOUBLE), torch.zeros(40, dtype=DOUBLE)
    p[:10], q[cells : cells + 10] = 0.1, 0.1
    found = js("shiftedIntervals", 0.1 * cells, 1.0)
    assert found["js"] == pytest.approx(divergences.js(p, q).item(), abs=1e-12)
    places = 0.1 * torch.arange(10, dtype=DOUBLE)
    assert found["w1"] == pytest.approx(divergences.wasserstein_1d(places, places + 0.1 * cells).item())
    assert found["kl"] == divergences.kl(p, q).item()


@pytest.mark.parametrize("name", list(losses.LOSSES))
def test_losses_and_their_slopes(js, name):
    for r, f in [(0.0, -3.0), (1.5, 0.4), (-2.0, 5.0)]:
        real, fake = torch.tensor([r], requires_grad=True), torch.tensor([f], requires_grad=True)
        pair = losses.LOSSES[name]
        d, g = pair.d(real, fake), pair.g(real, fake)
        assert js(f"losses.{name}.d", r, f) == pytest.approx(d.item(), abs=1e-5)
        assert js(f"losses.{name}.g", r, f) == pytest.approx(g.item(), abs=1e-5)
        d_real, d_fake = torch.autograd.grad(d.sum(), [real, fake])
        (g_fake,) = torch.autograd.grad(g.sum(), [fake])
        assert js(f"losses.{name}.dReal", r, f) == pytest.approx(d_real.item(), abs=1e-5)
        assert js(f"losses.{name}.dFake", r, f) == pytest.approx(d_fake.item(), abs=1e-5)
        assert js(f"losses.{name}.gFake", r, f) == pytest.approx(g_fake.item(), abs=1e-5)


@pytest.mark.parametrize("order", ["simultaneous", "alternating"])
@pytest.mark.parametrize(
    ("loss", "gamma"), [("minimax", 0.0), ("nonsaturating", 0.8), ("wasserstein", 0.3), ("lsgan", 0.0)]
)
def test_the_dirac_gan_moves_alike(js, loss, gamma, order):
    game = toy.dirac_gan(loss, penalty="r1" if gamma else "none", penalty_weight=gamma)
    state = torch.tensor([1.0, 0.2], dtype=DOUBLE)
    step = {"simultaneous": toy.simultaneous, "alternating": toy.alternating}[order]
    expected = [state]
    for _ in range(12):
        expected.append(step(game, expected[-1], 0.3).detach())
    found = js("diracTrajectory", state.tolist(), 0.3, 12, {"loss": loss, "gamma": gamma, "order": order})
    torch.testing.assert_close(torch.tensor(found, dtype=DOUBLE), torch.stack(expected))


def test_power_iteration(js):
    w = points(2, 2, 3)
    v = torch.tensor([0.6, 0.8], dtype=DOUBLE)
    for steps, found in enumerate(js("powerIteration", w.tolist(), v.tolist(), 4), start=1):
        u, right = power_iteration(w, v, steps)
        assert found["u"] == pytest.approx(u.tolist())
        assert found["v"] == pytest.approx(right.tolist())
        assert found["sigma"] == pytest.approx(sigma(w, u, right).item())
    assert js("singularValues", w.tolist()) == pytest.approx(torch.linalg.svdvals(w).tolist())


@pytest.mark.parametrize("d", [1, 2, 7])
def test_frechet_distance_and_its_bias(js, d):
    x, y = points(40, d, 0), 0.5 + 1.3 * points(30, d, 1)
    moments = [m for s in (x, y) for m in (s.mean(0), torch.cov(s.T).reshape(d, d))]
    expected = frechet_distance(*moments)
    assert js("frechet", x.tolist(), y.tolist()) == pytest.approx(expected, rel=1e-8)
    assert js("frechetBias", d, 300) == pytest.approx(bias_isotropic(d, 300))


def test_fidelity_and_diversity(js):
    real, fake = points(60, 2, 0), 0.7 * points(60, 2, 1) + 0.5
    found, expected = js("precisionRecall", real.tolist(), fake.tolist(), 3), precision_recall(real, fake, k=3)
    assert 0 < expected.recall < 1
    assert (found["precision"], found["recall"]) == pytest.approx(tuple(expected))
    assert js("coverage", real.tolist(), fake.tolist(), 5) == pytest.approx(density_coverage(real, fake).coverage)
    means = torch.tensor([[0.0, 0.0], [2.0, 0.0], [9.0, 9.0]], dtype=DOUBLE)
    modes, statistics = js("modeStatistics", fake.tolist(), means.tolist(), 0.3, 3), mode_statistics(fake, means, 0.3)
    assert (modes["captured"], modes["highQuality"]) == (statistics.captured, pytest.approx(statistics.high_quality))
    assert statistics.captured < 3


def test_a_block_fades_in(js):
    new = points(8, 8, 0)
    old = torch.nn.functional.avg_pool2d(new[None, None], 2)
    torch.testing.assert_close(torch.tensor(js("halve", new.tolist()), dtype=DOUBLE), old[0, 0])
    expected = torch.lerp(double(old)[0, 0], new, 0.3)
    found = js("fade", old[0, 0].tolist(), new.tolist(), 0.3)
    torch.testing.assert_close(torch.tensor(found, dtype=DOUBLE), expected)


def test_the_latent_sheet_is_what_the_shipped_generator_draws(js):
    trained = load_generator("mnist")
    along = latent_sheet.directions(trained)
    z = latent_sheet.start(trained, along) + 3 * along[0] - 2 * along[1]
    assert js("latentLength", 64, -2, 3) == pytest.approx(z.norm().item(), abs=1e-3)
    with Image.open(latent_sheet.SHEET) as picture:
        pixels = np.asarray(picture.convert("L"), np.float64)
    assert pixels.shape == (90 * 28, 9 * 28) and latent_sheet.SHEET.stat().st_size <= 300_000
    x, y = js("latentTile", 5, 2, 7, {"steps": latent_sheet.STEPS, "side": latent_sheet.SIDE})
    drawn = (trained.sample(z[None], torch.tensor([5]))[0, 0].double().numpy() + 1) * 127.5
    assert np.abs(pixels[y : y + 28, x : x + 28] - drawn).mean() < 5  # sixteen greys: 4 on average
    assert (x, y) == latent_sheet.place(5, 2, 7)


def test_the_same_chance_on_every_machine(js, browser):
    page = browser.new_page()
    page.add_script_tag(path=SCRIPTS / "maths.js")
    draws = page.evaluate("() => { const n = GanMaths.normals(7); return Array.from({length: 4000}, n); }")
    page.close()
    assert abs(sum(draws)) / len(draws) < 4 / math.sqrt(len(draws))
    assert torch.tensor(draws).var().item() == pytest.approx(1, abs=0.1)
