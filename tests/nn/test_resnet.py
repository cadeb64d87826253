"""SNGAN's residual networks and SAGAN: shapes and counts of the papers' tables, places of attention, packing."""

import itertools

import pytest
import torch
from torch import nn

from ganbook.errors import InputError
from ganbook.models.gan import GAN
from ganbook.nn import dcgan, mlp, resnet, sagan
from ganbook.nn.packing import Packed
from ganbook.penalties import PENALTIES

MODULES = {"resnet": (resnet, {}), "sagan": (sagan, {"attention": (16,)})}


def count(network):
    return sum(p.numel() for p in network.parameters())


def conv(a, b, k):
    return a * b * k * k + b


def g_block(a, b):
    """Two BatchNorms, two 3×3 convolutions, a 1×1 shortcut."""
    return 2 * a + 2 * b + conv(a, b, 3) + conv(b, b, 3) + conv(a, b, 1)


def d_block(a, b, shortcut=True):
    return conv(a, b, 3) + conv(b, b, 3) + (conv(a, b, 1) if shortcut else 0)


def test_sngan_32_has_the_parameters_of_table_4():
    """Dense 4×4×256, three blocks of 256; two halving blocks of 128 and two that keep the side, dense 1."""
    expected = 128 * 4096 + 4096 + 3 * g_block(256, 256) + 2 * 256 + conv(256, 3, 3)
    assert count(resnet.Generator(resolution=32)) == expected == 4_276_739
    expected = d_block(3, 128) + d_block(128, 128) + 2 * d_block(128, 128, shortcut=False) + 129
    assert count(resnet.Discriminator(resolution=32)) == expected == 1_053_825


def on_meta(make):
    with torch.device("meta"):
        return make()


@pytest.mark.parametrize("resolution", [64, 128])
def test_larger_networks_have_the_parameters_of_table_6(resolution):
    g = [1024, 1024, 512, 256, 128, 64] if resolution == 128 else [1024, 512, 256, 128, 64]
    expected = 128 * 16384 + 16384 + sum(g_block(a, b) for a, b in itertools.pairwise(g)) + 2 * 64 + conv(64, 3, 3)
    assert count(on_meta(lambda: resnet.Generator(resolution=resolution))) == expected
    d = [3, 64, 128, 256, 512, 1024]
    expected = sum(d_block(a, b) for a, b in itertools.pairwise(d)) + 1025
    expected += d_block(1024, 1024, shortcut=False) if resolution == 128 else 0
    assert count(on_meta(lambda: resnet.Discriminator(resolution=resolution, norm="none"))) == expected


def test_sagan_adds_its_attention_and_nothing_else():
    """Table 6 of SNGAN, and at 32×32 four projections between C and C/8 and one γ (SAGAN, section 3)."""
    plain = on_meta(lambda: resnet.Generator(resolution=128))
    attending = on_meta(lambda: sagan.Generator(resolution=128, norm="none"))
    assert count(attending) - count(plain) == 4 * 256 * 32 + 1  # 32×32 maps of 256
    plain = on_meta(lambda: resnet.Discriminator(resolution=128, norm="none"))
    attending = on_meta(lambda: sagan.Discriminator(resolution=128, norm="none"))
    assert count(attending) - count(plain) == 4 * 128 * 16 + 1  # 32×32 maps of 128


def test_sagan_128_has_the_parameters_of_its_tables():
    """Both networks whole: SNGAN's table 6 with one attention layer at 32×32."""
    g = [1024, 1024, 512, 256, 128, 64]
    expected = 128 * 16384 + 16384 + sum(g_block(a, b) for a, b in itertools.pairwise(g)) + 2 * 64 + conv(64, 3, 3)
    assert count(on_meta(lambda: sagan.Generator(resolution=128, norm="none"))) == expected + 32_769
    d = [3, 64, 128, 256, 512, 1024]
    expected = sum(d_block(a, b) for a, b in itertools.pairwise(d)) + d_block(1024, 1024, shortcut=False) + 1025
    assert count(on_meta(lambda: sagan.Discriminator(resolution=128, norm="none"))) == expected + 8_193


def sides(blocks, feed):
    """(channels, side) behind each block."""
    seen = []
    hooks = [b.register_forward_hook(lambda _, __, out: seen.append((out.shape[1], out.shape[2]))) for b in blocks]
    feed()
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize(
    ("resolution", "g_maps", "d_maps"),
    [
        (32, [(4, 8), (4, 16), (4, 32)], [(2, 16), (2, 8), (2, 8), (2, 8)]),
        (64, [(8, 8), (4, 16), (2, 32), (1, 64)], [(1, 32), (2, 16), (4, 8), (8, 4), (16, 2)]),
        (
            128,
            [(16, 8), (8, 16), (4, 32), (2, 64), (1, 128)],
            [(1, 64), (2, 32), (4, 16), (8, 8), (16, 4), (16, 4)],
        ),
    ],
)
def test_feature_maps_are_the_tables(resolution, g_maps, d_maps):
    """In units of the width: 256 and 128 in table 4 (here 4 and 2), 64 in table 6 (here 1)."""
    widths = (4, 2) if resolution == 32 else (1, 1)
    generator = resnet.Generator(resolution=resolution, width=widths[0])
    discriminator = resnet.Discriminator(resolution=resolution, width=widths[1])
    images = generator(torch.randn(2, 128))
    assert images.shape == (2, 3, resolution, resolution) and images.abs().max() <= 1
    assert sides(generator.blocks, lambda: generator(torch.randn(2, 128))) == g_maps
    assert sides(discriminator.blocks, lambda: discriminator(images)) == d_maps


def test_the_discriminator_sums_over_positions_and_projects_the_label():
    torch.manual_seed(0)
    network = resnet.Discriminator(resolution=32, width=4, n_classes=3, norm="none")
    x, y = torch.rand(4, 3, 32, 32), torch.tensor([0, 2, 1, 1])
    h = x
    for block in network.blocks:
        h = block(h)
    h = torch.relu(h).flatten(2).sum(2)
    expected = h @ network.head.dense.weight[0] + network.head.dense.bias + (network.head.embed.weight[y] * h).sum(1)
    torch.testing.assert_close(network(x, y), expected)


def test_the_blocks_are_the_figures():
    """The paper's order of layers; our cheaper order of shortcut and doubling is equal to it."""
    torch.manual_seed(0)
    block = resnet.GeneratorBlock(3, 5, 0, resnet.constraint("none"))
    x = torch.randn(2, 3, 4, 4)
    relu, up = torch.relu, nn.Upsample(scale_factor=2)
    h = block.conv2(relu(block.norm2(block.conv1(up(relu(block.norm1(x)))))))
    torch.testing.assert_close(block(x, None), h + block.shortcut(up(x)))
    halving = resnet.DiscriminatorBlock(3, 5, resnet.constraint("none"), halve=True, first=False)
    pool = nn.AvgPool2d(2)
    h = pool(halving.conv2(relu(halving.conv1(relu(x)))))
    torch.testing.assert_close(halving(x), h + pool(halving.shortcut(x)))
    first = resnet.DiscriminatorBlock(3, 5, resnet.constraint("none"), halve=True, first=True)
    torch.testing.assert_close(first(x), pool(first.conv2(relu(first.conv1(x)))) + first.shortcut(pool(x)))
    keeping = resnet.DiscriminatorBlock(3, 3, resnet.constraint("none"), halve=False, first=False)
    torch.testing.assert_close(keeping(x), keeping.conv2(relu(keeping.conv1(relu(x)))) + x)


def test_spectral_norm_is_where_the_papers_have_it():
    """SNGAN: every layer of the discriminator. SAGAN: of the generator too, attention included."""

    def free(network):
        layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        return sum(not nn.utils.parametrize.is_parametrized(m) for m in layers), len(layers)

    assert free(resnet.Discriminator(resolution=32, width=2, n_classes=3))[0] == 0
    assert free(sagan.Discriminator(resolution=32, width=2, attention=(8, 16)))[0] == 0
    assert free(sagan.Generator(resolution=32, width=2, attention=(8,)))[0] == 0
    unconstrained, layers = free(resnet.Generator(resolution=32, width=2))
    assert unconstrained == layers


@pytest.mark.parametrize("places", [(), (8,), (16,), (8, 16)])
def test_attention_stands_where_it_was_asked_for_and_starts_as_nothing(places):
    torch.manual_seed(0)
    network = sagan.Discriminator(resolution=32, width=8, attention=places)
    generator = sagan.Generator(resolution=32, width=8, attention=places)
    x, z = torch.rand(2, 3, 32, 32), torch.randn(2, 128)
    for net, feed in ((network, lambda: network(x)), (generator, lambda: generator(z))):
        assert sorted(side for _, side in sides(net.attention.values(), feed)) == list(places)
    torch.manual_seed(0)
    without = resnet.Discriminator(resolution=32, width=8)
    without.load_state_dict({k: v for k, v in network.state_dict().items() if not k.startswith("attention")})
    without.eval()
    network.eval()
    torch.testing.assert_close(network(x), without(x))


@pytest.mark.parametrize("name", MODULES)
def test_labels_change_picture_and_logit(name):
    module, options = MODULES[name]
    torch.manual_seed(0)
    generator = module.Generator(resolution=32, latent_dim=4, width=4, n_classes=3, **options)
    with torch.no_grad():
        generator.blocks[0].norm1.shift.weight[1, ::2] = 2.0  # classes differ from the first step on
    discriminator = module.Discriminator(resolution=32, width=4, n_classes=3, **options)
    z, a, b = torch.randn(4, 4), torch.zeros(4, dtype=torch.int64), torch.ones(4, dtype=torch.int64)
    images = generator(z, a)
    assert (images - generator(z, b)).abs().max() > 1e-4
    discriminator.eval()
    assert not torch.equal(discriminator(images, a), discriminator(images, b))
    with pytest.raises(InputError, match="needs labels"):
        generator(z)
    with pytest.raises(InputError, match="needs labels"):
        discriminator(images)


def test_a_pack_is_judged_as_one_input():
    torch.manual_seed(0)
    inner = mlp.Discriminator(dim=6, width=8)
    packed = Packed(inner, 3)
    x = torch.randn(12, 2)
    expected = torch.stack([inner(torch.cat([x[i], x[i + 1], x[i + 2]])[None])[0] for i in range(0, 12, 3)])
    torch.testing.assert_close(packed(x), expected)
    images = Packed(dcgan.Discriminator(resolution=28, channels=2, width=2, norm="none"), 2)
    assert images(torch.rand(4, 1, 28, 28)).shape == (2,)
    alone = mlp.Discriminator(width=8)
    assert torch.equal(Packed(alone, 1)(x), alone(x))


@pytest.mark.parametrize("penalty", [*PENALTIES, "none"])
def test_a_packed_discriminator_trains_and_pays_for_the_slope_of_whole_packs(penalty):
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.tensor([3.0, 0.0, 0.0, 4.0]))

        def forward(self, x, y=None):
            return x @ self.w

    if penalty != "none":
        expected = {"wgan_gp": 16.0, "wgan_lp": 16.0, "r1": 12.5, "r2": 12.5, "r1_r2": 25.0, "zero_centred": 25.0}
        value = PENALTIES[penalty](Packed(Sum(), 2), torch.randn(6, 2), torch.randn(6, 2))
        torch.testing.assert_close(value, torch.full((3,), expected[penalty]))
    gan = GAN(
        mlp.Generator(width=8),
        Packed(mlp.Discriminator(dim=4, width=8), 2),
        loss="rpgan",
        penalty=penalty,
        penalty_weight=1.0 if penalty != "none" else 0.0,
    )
    assert gan.discriminator_step(torch.randn(8, 2)).isfinite() and gan.generator_step(torch.randn(8, 2)).isfinite()


def test_refusals():
    with pytest.raises(InputError, match="32, 64, 128 pixels, got resolution=28"):
        resnet.Generator(resolution=28)
    with pytest.raises(InputError, match="Did you mean 'spectral'"):
        resnet.Discriminator(resolution=32, norm="spectra")
    with pytest.raises(InputError, match=r"shape \(N, 3, 32, 32\), got \(2, 1, 32, 32\)"):
        resnet.Discriminator(resolution=32, width=2)(torch.rand(2, 1, 32, 32))
    with pytest.raises(InputError, match="no feature map of side 12 to attend to; this network passes the sides 8, 16"):
        sagan.Discriminator(resolution=32, width=2, attention=(12,))
    with pytest.raises(InputError, match="Packs hold 3 samples, got a batch of 4"):
        Packed(mlp.Discriminator(dim=6), 3)(torch.zeros(4, 2))
    with pytest.raises(InputError, match="takes no labels"):
        Packed(mlp.Discriminator(dim=4), 2)(torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64))
    with pytest.raises(InputError, match="at least 1 sample, got m=0"):
        Packed(mlp.Discriminator(), 0)
