"""DiffAugment: its ranges, its zeros, its gradients, and that both players see it."""

import pytest
import torch

from ganbook.config import Config
from ganbook.errors import InputError
from ganbook.models.gan import GAN
from ganbook.nn import dcgan
from ganbook.nn.augment import AUGMENTATIONS, adapted, augment, color, cutout, policy, translation


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def images(n=64, channels=3, side=16):
    return torch.rand(n, channels, side, side, generator=rng(9)) * 2 - 1


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_each_sample_draws_its_own_change_from_the_callers_generator(name, channels):
    x = images(1, channels).repeat(32, 1, 1, 1)
    y = AUGMENTATIONS[name](x, rng(1))
    assert y.shape == x.shape and y.isfinite().all()
    assert torch.equal(y, AUGMENTATIONS[name](x, rng(1)))
    assert not torch.equal(y, AUGMENTATIONS[name](x, rng(2)))
    assert len({tuple(sample.flatten().tolist()) for sample in y}) > 10


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_gradients_pass_as_finite_differences_say(name):
    x = images(3, 3, 8).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: AUGMENTATIONS[name](z, rng(4)), (x,))


def test_color_is_three_affine_changes_within_their_ranges():
    x = images(2000, 3, 4)
    y = color(x, rng())
    shift = (y - x).mean((1, 2, 3))  # saturation and contrast keep the mean
    assert shift.abs().max() <= 0.5 and shift.std().item() == pytest.approx(12**-0.5, rel=0.05)
    grey_ratio = (y.mean(1) - y.mean((1, 2, 3))[:, None, None]) / (x.mean(1) - x.mean((1, 2, 3))[:, None, None])
    contrast = grey_ratio.flatten(1).median(1).values  # saturation keeps the grey
    assert contrast.min() >= 0.499 and contrast.max() <= 1.501 and contrast.std().item() > 0.25
    colour = (y - y.mean(1, keepdim=True)).flatten(1).norm(dim=1) / (x - x.mean(1, keepdim=True)).flatten(1).norm(dim=1)
    saturation = colour / contrast
    assert (
        saturation.max() <= 2.01 and saturation.min() < 0.1 and saturation.mean().item() == pytest.approx(1, abs=0.05)
    )


def test_translation_moves_by_whole_pixels_up_to_an_eighth_and_fills_with_zeros():
    x = torch.zeros(500, 1, 16, 16)
    x[:, :, 8, 8] = 1
    y = translation(x, rng())
    assert (y.flatten(1).sum(1) == 1).all()
    places = {(int(i) // 16 - 8, int(i) % 16 - 8) for i in y.flatten(1).argmax(1)}
    assert places == {(a, b) for a in range(-2, 3) for b in range(-2, 3)}
    moved = translation(torch.ones(200, 1, 16, 16), rng())
    assert {0.0, 1.0} == set(moved.unique().tolist())
    assert moved.mean((1, 2, 3)).min().item() == pytest.approx((14 / 16) ** 2)


def test_cutout_takes_a_square_of_half_the_side_about_any_centre():
    y = cutout(torch.ones(2000, 2, 16, 16), rng())
    assert torch.equal(y[:, 0], y[:, 1])
    lost = (y[:, 0] == 0).flatten(1).sum(1)
    assert lost.max().item() == 64 and lost.min().item() == 16  # half the side, a quarter of the square at a corner
    hit = (y[:, 0] == 0).float().mean(0)
    assert (hit > 0.04).all()  # every pixel, the corners least
    torch.testing.assert_close(hit[4:12, 4:12], torch.full((8, 8), 0.25), atol=0.04, rtol=0)


def test_the_policy_is_a_list_of_names():
    assert policy("none") == []
    assert policy("color, cutout") == [color, cutout]
    x = images()
    assert augment(x, [], rng()) is x
    expected = cutout(translation(x, state := rng(3)), state)
    assert torch.equal(augment(x, policy("translation,cutout"), rng(3)), expected)
    with pytest.raises(InputError, match="Unknown augmentation 'colour'. Did you mean 'color'"):
        policy("colour")
    with pytest.raises(InputError, match="Did you mean 'cutout'"):
        Config(augment="cutut")


def test_each_change_happens_with_its_probability_for_each_sample():
    x = torch.ones(4000, 1, 8, 8)
    changed = (augment(x, [cutout], rng(), torch.tensor(0.3)) != x).flatten(1).any(1).float()
    assert changed.mean().item() == pytest.approx(0.3, abs=0.03)
    assert torch.equal(augment(x, [cutout], rng(), torch.tensor(0.0)), x)
    assert (augment(x, [cutout], rng(), torch.tensor(1.0)) != x).flatten(1).any(1).all()


def test_the_probability_follows_the_sign_of_the_reals_logits():
    """Overfitting: +batch/images a step; underfitting: the same down; never out of [0, 1]."""
    p, sure, unsure = torch.tensor(0.5), torch.ones(50), torch.tensor([1.0] * 35 + [-1.0] * 15)  # r = 1 and 0.4
    assert adapted(p, sure, target=0.6, images=1000).item() == pytest.approx(0.55)
    assert adapted(p, unsure, target=0.6, images=1000).item() == pytest.approx(0.45)
    assert adapted(torch.tensor(0.0), unsure, target=0.6).item() == 0.0
    assert adapted(torch.tensor(1.0), sure, target=0.6).item() == 1.0
    assert adapted(torch.tensor(0.0), sure, target=0.6).item() == pytest.approx(50 / 500_000)


def test_a_discriminator_that_learns_by_heart_is_given_more_and_the_state_is_kept():
    def small():
        torch.manual_seed(0)
        return GAN(
            dcgan.Generator(resolution=28, channels=1, latent_dim=4, width=2),
            dcgan.Discriminator(resolution=28, channels=1, width=4, norm="none"),
            augment="translation",
            ada_target=0.6,
            lr_d=1e-2,
        )

    gan, real = small(), images(8, 1, 28)
    for _ in range(30):
        gan.discriminator_step(real)
    assert 0 < gan.augment_p.item() <= 30 * 8 / 500_000
    other = small()
    other.load_state_dict(gan.state_dict())
    assert torch.equal(other.augment_p, gan.augment_p)
    values = [g.discriminator_step(real) for g in (gan, other)]
    assert torch.equal(*values)


def test_both_players_see_augmented_images_and_the_generator_still_learns():
    torch.manual_seed(0)
    gan = GAN(
        dcgan.Generator(resolution=28, channels=1, latent_dim=4, width=2),
        dcgan.Discriminator(resolution=28, channels=1, width=2, norm="none"),
        augment="cutout",
        loss="rpgan",
    )
    seen = []
    hook = gan.discriminator.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))
    real = torch.ones(8, 1, 28, 28)
    before = [p.detach().clone() for p in gan.generator.parameters()]
    gan.discriminator_step(real)
    gan.generator_step(real)
    hook.remove()
    assert len(seen) == 4
    for x in seen:
        assert ((x == 0).flatten(1).sum(1) >= 49).all()  # a corner's quarter at least
    assert all(not torch.equal(a, b) for a, b in zip(before, gan.generator.parameters(), strict=True))
