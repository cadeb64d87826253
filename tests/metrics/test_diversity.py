"""MS-SSIM against an independent implementation and a case by hand; variety of sets."""

import pytest
import torch

from ganbook.errors import InputError
from ganbook.metrics import ms_ssim, ms_ssim_scales, pairwise_ms_ssim
from ganbook.metrics.diversity import WEIGHTS


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(n, channels, height, width, *, seed=0):
    """Smooth random pictures in [-1, 1]."""
    coarse = torch.rand(n, channels, 8, 8, generator=rng(seed), dtype=torch.float64) * 2 - 1
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")


def noisy(images, amount, *, seed=1):
    return (images + amount * torch.randn(images.shape, generator=rng(seed), dtype=torch.float64)).clamp(-1, 1)


@pytest.mark.parametrize(("channels", "height", "width"), [(1, 176, 176), (3, 176, 192)])
@pytest.mark.parametrize("scales", [5, 3, 1])
def test_equals_pytorch_msssim(channels, height, width, scales):
    """To 1e-5 with its own window, which is in single precision; to 1e-12 with the same window in double."""
    from pytorch_msssim import ms_ssim as reference

    a = pictures(2, channels, height, width)
    b = noisy(a, 0.2)
    weights = None if scales == 5 else [weight / sum(WEIGHTS[:scales]) for weight in WEIGHTS[:scales]]
    window = torch.exp(-(torch.arange(-5, 6, dtype=torch.float64) ** 2) / 4.5)
    window = (window / window.sum()).expand(channels, 1, 1, 11)
    for win, tolerance in ((None, 1e-5), (window, 1e-12)):
        theirs = reference((a + 1) / 2, (b + 1) / 2, data_range=1.0, size_average=False, weights=weights, win=win)
        torch.testing.assert_close(ms_ssim(a, b, scales=scales), theirs, rtol=0, atol=tolerance)
    assert scales < 5 or torch.equal(ms_ssim(a, b), ms_ssim(a, b, scales=5))


def test_one_scale_of_a_small_image_is_the_reference_ssim():
    from pytorch_msssim import ssim

    a = pictures(3, 3, 13, 20)
    b = noisy(a, 0.2)
    theirs = ssim((a + 1) / 2, (b + 1) / 2, data_range=1.0, size_average=False)
    torch.testing.assert_close(ms_ssim(a, b), theirs, rtol=0, atol=1e-5)


def test_flat_images_compare_by_luminance_alone():
    """Constant pixels p and q in [0, 1]: (2pq + 0.01²) / (p² + q² + 0.01²), to the coarsest scale's power."""
    p, q = 0.8, 0.3
    a, b = (torch.full((1, 1, 44, 44), 2 * v - 1, dtype=torch.float64) for v in (p, q))
    luminance = (2 * p * q + 1e-4) / (p * p + q * q + 1e-4)
    assert ms_ssim(a, b).item() == pytest.approx(luminance ** (WEIGHTS[2] / sum(WEIGHTS[:3])))
    assert ms_ssim(a, b, scales=1).item() == pytest.approx(luminance)


@pytest.mark.parametrize(
    ("side", "scales"),
    [(11, 1), (21, 1), (22, 2), (28, 2), (32, 2), (43, 2), (44, 3), (64, 3), (87, 3), (88, 4), (175, 4), (176, 5)],
)
def test_scales_that_fit(side, scales):
    assert ms_ssim_scales(side, 2000) == ms_ssim_scales(2000, side) == scales
    if side < 100:
        a = pictures(1, 1, side, side)
        assert torch.equal(ms_ssim(a, -a), ms_ssim(a, -a, scales=scales))


def test_is_one_for_equal_images_symmetric_and_falls_with_noise():
    a = pictures(4, 3, 64, 64)
    assert ms_ssim(a, a).tolist() == pytest.approx([1] * 4)
    values = [ms_ssim(a, noisy(a, amount)) for amount in (0.05, 0.2, 0.8)]
    assert (values[0] > values[1]).all() and (values[1] > values[2]).all() and (values[2] > 0).all()
    torch.testing.assert_close(ms_ssim(noisy(a, 0.2), a), values[1])


def test_opposite_structure_counts_as_zero_not_nan():
    a = noisy(pictures(1, 1, 64, 64) * 0, 0.5)
    assert ms_ssim(a, -a).item() == 0


def test_each_pair_for_itself():
    a, b = pictures(3, 3, 32, 32), pictures(3, 3, 32, 32, seed=1)
    alone = torch.cat([ms_ssim(a[i : i + 1], b[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(ms_ssim(a, b), alone)


# sets


def test_copies_are_all_alike_and_different_pictures_are_not():
    varied = pictures(20, 1, 32, 32)
    alike = noisy(varied[:1].repeat(20, 1, 1, 1), 0.02)
    assert pairwise_ms_ssim(alike, pairs=50, generator=rng()).mean > 0.9
    assert pairwise_ms_ssim(varied, pairs=50, generator=rng()).mean < 0.5
    same = pairwise_ms_ssim(varied[:1].repeat(5, 1, 1, 1), pairs=10, generator=rng())
    assert same == pytest.approx((1, 0, 2))


def test_no_image_is_paired_with_itself_and_all_pairs_occur():
    """Of three pictures, 1/3 of the ordered pairs are each unordered pair: the mean is that of the three values."""
    images = pictures(3, 1, 22, 22)
    expected = ms_ssim(images, images.roll(1, 0))
    got = pairwise_ms_ssim(images, pairs=3000, generator=rng())
    error = expected.std(correction=0).item() / 3000**0.5
    assert got.mean == pytest.approx(expected.mean().item(), abs=4 * error)
    assert got.std == pytest.approx(expected.std(correction=0).item(), rel=0.1)
    assert pairwise_ms_ssim(images, pairs=70, generator=rng(1)) == pairwise_ms_ssim(images, pairs=70, generator=rng(1))


def test_refusals():
    a = pictures(2, 1, 32, 32)
    with pytest.raises(InputError, match="10 × 40 do not hold"):
        ms_ssim(a[..., :10, :1].repeat(1, 1, 1, 40), a[..., :10, :1].repeat(1, 1, 1, 40))
    with pytest.raises(InputError, match=r"values from .* to 255\. .*images / 127.5 - 1"):
        ms_ssim(a.clamp(min=-1), torch.full_like(a, 255))
    for scales in (0, 3):
        with pytest.raises(InputError, match=f"1 to 2 scales of MS-SSIM, got {scales}"):
            ms_ssim(a, a, scales=scales)
    with pytest.raises(InputError, match="NaN or infinite"):
        ms_ssim(a, a * torch.nan)
    with pytest.raises(InputError, match=r"in pairs, got shapes \(2, 1, 32, 32\) and \(1, 1, 32, 32\)"):
        ms_ssim(a, a[:1])
    with pytest.raises(InputError, match=r"shape \(1, 32, 32\); expected 4 dimensions"):
        ms_ssim(a[0], a[0])
    with pytest.raises(InputError, match="empty shape"):
        ms_ssim(a[:0], a[:0])
    for images, pairs in ((a[:1], 5), (a, 0), (a[0], 5)):
        with pytest.raises(InputError, match="at least two images"):
            pairwise_ms_ssim(images, pairs=pairs, generator=rng())


def test_two_images_make_one_pair_and_fewer_make_none():
    two = pictures(2, 1, 16, 16)
    (expected,) = ms_ssim(two[:1], two[1:]).tolist()
    assert pairwise_ms_ssim(two, pairs=1, generator=rng()).mean == pytest.approx(expected)
    assert pairwise_ms_ssim(two, pairs=3, generator=rng()).std == pytest.approx(0, abs=1e-12)
    for images, pairs in ((two[:1], 1), (two, 0)):
        with pytest.raises(InputError, match="at least two images"):
            pairwise_ms_ssim(images, pairs=pairs, generator=rng())


def test_the_spread_is_that_of_the_population_of_pairs():
    images, pairs = pictures(5, 1, 16, 16), 7
    generator = rng(3)
    first = torch.randint(5, (pairs,), generator=generator)
    second = (first + torch.randint(1, 5, (pairs,), generator=generator)) % 5
    values = ms_ssim(images[first], images[second])
    found = pairwise_ms_ssim(images, pairs=pairs, generator=rng(3))
    assert (found.mean, found.std) == pytest.approx((values.mean().item(), values.std(correction=0).item()))


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_values_may_leave_the_range_by_rounding_only(side):
    image = pictures(1, 1, 16, 16) / 2
    image[0, 0, 3, 4] = side * 1.0005
    assert ms_ssim(image, image).item() == pytest.approx(1)
    image[0, 0, 3, 4] = side * 1.0015
    with pytest.raises(InputError, match=r"images in \[-1, 1\]"):
        ms_ssim(image, image)
