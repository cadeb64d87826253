"""The networks of pix2pix and CycleGAN: their sizes by the papers' lists of layers, and what they see."""

from itertools import pairwise

import pytest
import torch

from ganbook.errors import InputError
from ganbook.nn.translation import (
    PatchDiscriminator,
    ResNetGenerator,
    UNet,
    blocks_for,
    drop,
    receptive_field,
)


def count(network):
    return sum(p.numel() for p in network.parameters())


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(n=2, channels=3, side=32):
    return torch.rand(n, channels, side, side, generator=rng(9)) * 2 - 1


def test_unet_256_has_the_papers_parameters():
    """C64-C128-C256-C512 × 5 and its mirror image, kernels of side 4, by hand."""
    encoder = [3, 64, 128, 256, 512, 512, 512, 512, 512]
    decoder = [(512, 512), (1024, 512), (1024, 512), (1024, 512), (1024, 256), (512, 128), (256, 64), (128, 3)]
    weights = sum(16 * a * b for a, b in [*pairwise(encoder), *decoder])
    norms = 2 * sum(encoder[2:8]) + 2 * sum(b for _, b in decoder[:-1])  # neither first, nor bottleneck, nor last
    assert count(UNet(resolution=256)) == weights + norms + 3 == 54_413_955


@pytest.mark.parametrize(("blocks", "expected"), [(9, 11_378_179), (6, 7_837_699)])
def test_resnet_has_the_papers_parameters(blocks, expected):
    """c7s1-64, d128, d256, R256 × blocks, u128, u64, c7s1-3, with biases, by hand."""

    def conv(a, b, side):
        return a * b * side**2 + b

    ends = conv(3, 64, 7) + conv(64, 3, 7)
    sides = conv(64, 128, 3) + conv(128, 256, 3) + conv(256, 128, 3) + conv(128, 64, 3)
    assert count(ResNetGenerator(blocks=blocks)) == ends + sides + 2 * blocks * conv(256, 256, 3) == expected


@pytest.mark.parametrize(
    ("condition", "norm", "expected"), [(3, "batch", 2_768_705), (0, "instance", 2_764_737), (0, "batch", 2_765_633)]
)
def test_patchgan_70_has_the_papers_parameters(condition, norm, expected):
    maps = [64, 128, 256, 512]
    weights = 16 * (64 * (3 + condition) + sum(a * b for a, b in pairwise(maps)) + 512)
    each = 2 if norm == "batch" else 1  # scale and shift, or the convolution's bias
    by_hand = weights + 64 + each * sum(maps[1:]) + 1
    assert count(PatchDiscriminator(condition_channels=condition, norm=norm)) == by_hand == expected


def test_blocks_follow_the_resolution():
    assert [blocks_for(side) for side in (32, 128, 256)] == [6, 6, 9]


@pytest.mark.parametrize(("layers", "field"), [(0, 1), (1, 16), (2, 34), (3, 70), (4, 142), (5, 286)])
def test_the_receptive_field_is_the_papers(layers, field):
    assert receptive_field(PatchDiscriminator(layers=layers, width=2)) == field


@pytest.mark.parametrize(("layers", "side"), [(0, 32), (1, 64), (2, 96), (3, 160)])
def test_a_logit_sees_its_patch_and_nothing_else(layers, side):
    """The gradient of the middle logit is zero outside a square of the receptive field's side, and not on its edge."""
    network = PatchDiscriminator(layers=layers, width=2).eval()  # with running statistics, which see no other pixels
    x = pictures(1, side=side).requires_grad_()
    logits = network(x)
    logits[0, logits.shape[1] // 2, logits.shape[2] // 2].backward()
    seen = x.grad.abs().sum((0, 1)) > 0
    for dim in (0, 1):
        places = seen.any(dim).nonzero().flatten()
        assert places[-1] - places[0] + 1 == receptive_field(network)


@pytest.mark.parametrize("resolution", [32, 64, 128, 256])
@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_the_unet_keeps_the_size_and_ends_at_one_pixel(resolution, norm):
    network = UNet(resolution=resolution, channels_in=1, width=2, norm=norm)
    x = pictures(1, 1, resolution)
    made = network(x, rng())  # a batch of one, as in the paper: the bottleneck must not be normalised
    assert made.shape == (1, 3, resolution, resolution) and made.abs().max() <= 1
    for layer in network.down:
        x = layer(x)
    assert x.shape[2:] == (1, 1)


@pytest.mark.parametrize("side", [32, 36])
def test_the_resnet_keeps_the_size(side):
    made = ResNetGenerator(width=2, blocks=2, channels=1)(pictures(side=side))
    assert made.shape == (2, 1, side, side) and made.abs().max() <= 1


def test_the_noise_is_dropout_from_the_callers_stream_in_use_too():
    network, x = UNet(resolution=32, width=4).eval(), pictures()
    torch.manual_seed(0)
    state = torch.get_rng_state()
    assert torch.equal(network(x, rng(1)), network(x, rng(1)))
    assert not torch.equal(network(x, rng(1)), network(x, rng(2)))
    assert torch.equal(network(x), network(x))
    assert torch.equal(torch.get_rng_state(), state)
    calm = UNet(resolution=32, width=4, dropout=0.0).eval()
    assert torch.equal(calm(x, rng(1)), calm(x, rng(2)))


def test_dropout_keeps_the_mean():
    dropped = drop(torch.ones(1, 1, 200, 200), 0.25, rng())
    assert sorted(set(dropped.flatten().tolist())) == pytest.approx([0, 4 / 3])
    assert dropped.mean().item() == pytest.approx(1, abs=0.02)


def test_the_skips_carry_detail_past_the_bottleneck():
    """With the bottleneck cut the picture still reaches the output; a pixel's change moves its own neighbourhood."""
    network, x = UNet(resolution=32, width=4).eval(), pictures(1)
    with torch.no_grad():
        network.down[-1][1].weight.zero_()
    other = x.clone()
    other[:, :, 5, 7] += 1
    changed = (network(x) - network(other)).abs().sum((0, 1)) > 0
    assert changed[5, 7]


def test_the_judgement_depends_on_the_condition():
    network, y, x = PatchDiscriminator(condition_channels=1, layers=1, width=4), pictures(), pictures(channels=1)
    assert network(y, x).shape == (2, 14, 14)
    assert not torch.equal(network(y, x), network(y, -x))


@pytest.mark.parametrize(
    ("network", "arguments", "message"),
    [
        (lambda: UNet(resolution=32, width=2), [pictures(channels=4)], "transparency"),
        (lambda: UNet(resolution=32, width=2), [pictures(channels=1)], "reads 3 channels"),
        (lambda: UNet(resolution=32, width=2), [pictures(side=64)], "resolution=32"),
        (lambda: ResNetGenerator(width=2, blocks=1), [pictures(side=30)], "30 × 30 pixels, which does not divide"),
        (lambda: PatchDiscriminator(width=2), [pictures(side=16)], "leave no patch"),
        (lambda: PatchDiscriminator(width=2), [pictures(), pictures()], "condition is given"),
        (lambda: PatchDiscriminator(width=2, condition_channels=3), [pictures()], "condition is missing"),
        (lambda: PatchDiscriminator(width=2, condition_channels=3), [pictures(3), pictures(2)], "to each picture"),
        (lambda: PatchDiscriminator(width=2, condition_channels=3), [pictures(), pictures(channels=4)], "transparency"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(network, arguments, message):
    with pytest.raises(InputError, match=message):
        network()(*arguments)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: UNet(resolution=48), "32, 64, 128, 256 pixels, got resolution=48"),
        (lambda: UNet(resolution=32, dropout=1.0), "probability below 1"),
        (lambda: UNet(resolution=32, norm="bach"), "Did you mean 'batch'"),
        (lambda: ResNetGenerator(blocks=0), "6 or 9"),
        (lambda: PatchDiscriminator(layers=6), "0 … 5"),
    ],
)
def test_networks_that_do_not_exist_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize("layers", [0, 1, 2, 3])
def test_the_smallest_picture_leaves_one_logit(layers):
    network = PatchDiscriminator(layers=layers, width=2, norm="batch").eval()
    assert network(pictures(side=network.smallest)).numel() == 2
