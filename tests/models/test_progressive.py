"""Growing by a plan: what each step sees, that nothing jumps, and that a resume changes no bit."""

import pytest
import torch
from torch.nn.functional import interpolate
from torch.utils.flop_counter import FlopCounterMode

from ganbook.checkpoint import load_state, save_state
from ganbook.config import Config
from ganbook.errors import InputError
from ganbook.experiment import Run, load_trained
from ganbook.models.gan import GAN
from ganbook.models.progressive import Plan, Progressive, Stage, area, faded, nearest
from ganbook.nn import dcgan, pggan
from ganbook.training import Model, train

PLAN = "4:2,8:4+2,16:3+2"


def small_gan(norm="equalised", lr=1e-3, **options):
    torch.manual_seed(0)
    generator = pggan.Generator(resolution=16, latent_dim=4, width=4, norm=norm, max_maps=8)
    discriminator = pggan.Discriminator(resolution=16, width=4, norm=norm, max_maps=8)
    return GAN(generator, discriminator, lr_g=lr, lr_d=lr, betas=(0.0, 0.99), **options)


def batches(seed=0):
    rng = torch.Generator().manual_seed(seed)
    while True:
        yield torch.rand(4, 3, 16, 16, generator=rng) * 2 - 1, None


def state_of(model):
    """All tensors that training leaves behind, by name."""
    state, flat = model.state_dict(), {}

    def walk(node, path):
        if isinstance(node, torch.Tensor):
            flat[path] = node.clone()
        elif isinstance(node, dict):
            for key, value in node.items():
                walk(value, f"{path}/{key}")

    walk(state, "")
    return flat


def test_a_plan_maps_each_step_to_pixels_and_alpha():
    plan = Plan.parse(PLAN)
    assert plan.stages == (Stage(4, 0, 2), Stage(8, 4, 2), Stage(16, 3, 2))
    assert str(plan) == PLAN and Plan.parse(str(plan)) == plan
    assert plan.steps == 13 and plan.ends == [2, 8, 13]
    eights = [(8, a) for a in (0.0, 0.25, 0.5, 0.75, 1.0, 1.0)]
    sixteens = [(16, a) for a in (0.0, 1 / 3, 2 / 3, 1.0, 1.0)]
    assert [plan.at(step) for step in range(13)] == [(4, 1.0), (4, 1.0), *eights, *sixteens]
    assert plan.at(13) == plan.at(10**9) == (16, 1.0)  # the final stabilisation


def test_growing_plans_spend_more_on_larger_images():
    plan = Plan.growing(32, 1000, ratio=2.0, fade=0.5, round_to=10)
    assert [s.resolution for s in plan.stages] == [4, 8, 16, 32]
    assert abs(plan.steps - 1000) <= 20
    for small, large in zip(plan.stages, plan.stages[1:], strict=False):
        assert large.steps == pytest.approx(2 * small.steps, rel=0.12)
        assert large.fade == pytest.approx(large.hold, abs=10)
    assert all(s.fade % 10 == 0 and s.hold % 10 == 0 for s in plan.stages) and plan.stages[0].fade == 0
    assert Plan.growing(32, 90, first=16, ratio=2.0, fade=0.0) == Plan.parse("16:30,32:60")


def test_shrunk_images_are_means_or_single_pixels_and_fade_in_their_details():
    x = next(batches())[0]
    torch.testing.assert_close(area(x, 4), interpolate(x, 4, mode="area"))
    assert torch.equal(nearest(x, 8), interpolate(x, 8, mode="nearest"))
    assert faded(x, 16, 1.0) is x
    for shrink in (area, nearest):
        eight, four = shrink(x, 8), interpolate(shrink(x, 4), 8, mode="nearest")
        torch.testing.assert_close(faded(x, 8, 0.25, shrink), 0.25 * eight + 0.75 * four)
        torch.testing.assert_close(faded(x, 8, 0.0, shrink), four)
    stripes = torch.ones(1, 1, 8, 8)
    stripes[..., 1::2] = -1.0
    assert area(stripes, 4).abs().max() == 0  # finer than the new grid: grey
    assert nearest(stripes, 4).min() == 1  # … or a false white


def test_each_step_trains_what_the_plan_has_in_use():
    gan = small_gan()
    model, data, plan = Progressive(gan, Plan.parse(PLAN)), batches(), Plan.parse(PLAN)
    assert isinstance(model, Model)
    seen = []
    gan.discriminator.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[2]))
    for step in range(15):
        seen.clear()
        before = {name: p.detach().clone() for name, p in gan.generator.named_parameters()}
        model.discriminator_step(*next(data))
        model.generator_step(*next(data))
        resolution, alpha = plan.at(step)
        assert set(seen) == {resolution} and gan.ema.module.resolution == resolution
        assert gan.sample(torch.randn(2, 4)).shape == (2, 3, resolution, resolution)
        moved = {name.split(".")[1] for name, p in gan.generator.named_parameters() if not torch.equal(p, before[name])}
        assert ("16" in moved) == (resolution == 16 and alpha > 0)
        assert ("8" in moved) == ((resolution == 8 and alpha > 0) or resolution == 16)
        rgb = {
            n.split(".")[1]
            for n in before
            if "to_rgb" in n and not torch.equal(gan.generator.get_parameter(n), before[n])
        }
        assert rgb == {side for side, share in ((str(resolution), alpha), (str(resolution // 2), 1 - alpha)) if share}


@pytest.mark.chapter(name="10_progressive_growing")
def test_nothing_jumps_when_a_block_is_added():
    """The first losses of a new stage, at alpha = 0, are those that the old stage would have had."""
    losses = []
    for plan in ("4:1,8:0+3,16:4+1", "4:1,8:0+9,16:4+1"):  # at step 4 one has grown, the other has not
        gan = small_gan()
        model, data = Progressive(gan, Plan.parse(plan), reset="never"), batches()
        losses.append([(model.discriminator_step(*next(data)), model.generator_step(*next(data))) for _ in range(5)])
    for with_block, without in zip(*losses, strict=True):
        torch.testing.assert_close(with_block, without)


@pytest.mark.parametrize(("norm", "reset"), [("equalised", "stage"), ("spectral", "phase")])
def test_a_resume_in_the_middle_of_a_fade_changes_no_bit(tmp_path, norm, reset):
    options = {"penalty": "r1", "penalty_weight": 1.0, "loss": "rpgan"}
    whole, data = Progressive(small_gan(norm, **options), Plan.parse(PLAN), reset=reset), batches()
    part, part_data = Progressive(small_gan(norm, **options), Plan.parse(PLAN), reset=reset), batches()
    train(whole, data, steps=13, n_dis=2, progress=False)
    for stop in (4, 6, 8):  # in the middle of a fade, at its end, at a stage's end
        history = train(part, part_data, steps=stop - part.step, n_dis=2, progress=False)
        assert history.step > 0 and part.step == stop
        save_state(part.state_dict(), tmp_path / "state")
        part = Progressive(small_gan(norm, **options), Plan.parse(PLAN), reset=reset)
        part.load_state_dict(load_state(tmp_path / "state"))
    train(part, part_data, steps=5, n_dis=2, progress=False)
    expected, got = state_of(whole), state_of(part)
    assert expected.keys() == got.keys()
    for name, value in expected.items():
        assert torch.equal(value, got[name]), name
    z = torch.randn(3, 4)
    assert torch.equal(whole.gan.sample(z), part.gan.sample(z))


def moments(gan):
    return sum(len(o.state) for o in (gan.optimizer_g, gan.optimizer_d))


@pytest.mark.parametrize(("reset", "at"), [("never", []), ("stage", [2, 8]), ("phase", [2, 6, 8, 11])])
def test_optimisers_forget_where_they_are_told_to(reset, at):
    model, data = Progressive(small_gan(), Plan.parse(PLAN), reset=reset), batches()
    forgot = []
    for step in range(13):
        before = moments(model.gan)
        model._prepared(next(data)[0])
        if moments(model.gan) < before:
            forgot.append(step)
        model.discriminator_step(*next(data))
        model.generator_step(*next(data))
    assert forgot == at


@pytest.mark.chapter(name="10_progressive_growing")
def test_the_last_stage_costs_what_the_plain_network_costs():
    """In floating-point operations of both updates, EMA and pyramid included: the fade leaves nothing behind."""

    def flops(model):
        data = batches()
        with FlopCounterMode(display=False) as counter:
            model.discriminator_step(*next(data))
            model.generator_step(*next(data))
        return counter.get_total_flops()

    grown = Progressive(small_gan(), Plan.parse(PLAN))
    train(grown, batches(), steps=11, progress=False)
    assert flops(grown) == flops(small_gan()) > 0
    fading = Progressive(small_gan(), Plan.parse(PLAN))
    train(fading, batches(), steps=9, progress=False)
    assert flops(fading) > flops(small_gan())


def test_a_conditional_gan_with_a_penalty_grows_too():
    torch.manual_seed(0)
    gan = GAN(
        pggan.Generator(resolution=8, latent_dim=4, width=4, n_classes=3, norm="spectral"),
        pggan.Discriminator(resolution=8, width=4, n_classes=3, norm="spectral"),
        loss="wasserstein",
        penalty="wgan_gp",
        penalty_weight=10.0,
    )
    data = ((x[:, :, :8, :8], torch.tensor([0, 1, 2, 0])) for x, _ in batches())
    history = train(Progressive(gan, Plan.parse("4:2,8:2+2"), pyramid="nearest"), data, steps=7, progress=False)
    assert history.step == 7
    gan.refresh_batchnorm(batches=2, batch_size=4)
    assert gan.sample(torch.randn(2, 4), torch.tensor([0, 2])).shape == (2, 3, 8, 8)


def test_it_learns_a_colour_and_keeps_it_while_growing():
    """The reals are of one colour each, close to a red; so are the samples of the grown network."""
    rng = torch.Generator().manual_seed(0)
    red = torch.tensor([0.7, -0.7, -0.2])[:, None, None]

    def toy():
        while True:
            yield (red + 0.1 * torch.randn(8, 3, 1, 1, generator=rng)).expand(8, 3, 16, 16), None

    gan = small_gan(lr=0.01, penalty="r1", penalty_weight=0.5, ema_decay=0.9)
    train(Progressive(gan, Plan.parse("4:60,8:15+15,16:15+15")), toy(), steps=140, progress=False)
    colours = gan.sample(torch.randn(32, 4, generator=rng)).mean((0, 2, 3))
    print(colours)
    assert (colours - red.flatten()).abs().max().item() < 0.35


def test_refusals():
    for text, message in (
        ("4:0", "at least one generator step, got 0 of fading in and 0 of stabilising at 4 pixels"),
        ("4:10,8:0+0", "at 8 pixels"),
        ("4:10,16:5+5", "got 16 behind 4. Continue with 8"),
        ("4:5+5", "nothing to fade from, got 4:5\\+5. Write 4:10"),
        ("6:10", "got resolution=6. Choose 4 times a power of two"),
        ("4:10,8:5+", "got '8:5\\+' in"),
        ("4:10,8:+5", "got '8:\\+5' in"),
        ("4:-10", "got '4:-10' in"),
        ("", "got '' in"),
    ):
        with pytest.raises(InputError, match=message):
            Plan.parse(text)
    with pytest.raises(InputError, match="at least one stage"):
        Plan(())
    with pytest.raises(InputError, match="Steps count from 0"):
        Plan.parse(PLAN).at(-1)
    with pytest.raises(InputError, match="at least one generator step"):
        Plan.growing(32, 2)
    with pytest.raises(InputError, match="got first=5"):
        Plan.growing(32, 200, first=5)
    with pytest.raises(InputError, match="fade=1.5"):
        Plan.growing(32, 200, fade=1.5)
    gan = small_gan()
    with pytest.raises(InputError, match="ends at 8 pixels, the networks at 16"):
        Progressive(gan, Plan.parse("4:10,8:5+5"))
    with pytest.raises(InputError, match="Did you mean 'phase'"):
        Progressive(gan, Plan.parse(PLAN), reset="phases")
    with pytest.raises(InputError, match="Unknown pyramid"):
        Progressive(gan, Plan.parse(PLAN), pyramid="bicubic")
    with pytest.raises(InputError, match=r"16×16 pixels itself, got \(4, 3, 8, 8\)"):
        Progressive(gan, Plan.parse(PLAN)).discriminator_step(torch.zeros(4, 3, 8, 8))
    plain = GAN(
        dcgan.Generator(resolution=32, channels=3, width=2), dcgan.Discriminator(resolution=32, channels=3, width=2)
    )
    with pytest.raises(InputError, match="Only networks of ganbook.nn.pggan grow"):
        Progressive(plain, Plan.parse(PLAN))


def test_a_state_of_another_plan_is_refused_with_the_differences():
    state = Progressive(small_gan(), Plan.parse(PLAN)).state_dict()
    other = Progressive(small_gan(), Plan.parse("4:2,8:4+3,16:3+2"), pyramid="nearest")
    with pytest.raises(InputError, match=r"stage 8:4\+2 there, 8:4\+3 here; pyramid: 'area' there, 'nearest' here"):
        other.load_state_dict(state)
    late = Progressive(small_gan(), Plan.parse("8:4,16:3+2"))
    with pytest.raises(InputError, match=r"stage 4:2 there, 8:4 here; .*stage 16:3\+2 there, none here"):
        late.load_state_dict(state)


def tiny_run(folder, **changes):
    config = {
        "dataset": "emoji:twemoji",
        "conditional": False,
        "resolution": 8,
        "network": "pggan",
        "norm": "spectral",
        "plan": "4:2,8:4+2",
    }
    sizes = {"width_g": 4, "width_d": 4, "latent_dim": 4, "batch_size": 8, "steps": 9}
    return Run(Config.from_mapping({**config, **sizes, **changes}), folder, device="cpu")


def test_a_run_follows_its_plan_and_resumes_within_a_fade(tmp_path):
    whole = tiny_run(tmp_path / "whole")
    whole.train(progress=False)

    def stop(history):
        if history.step == 4:
            part.save_checkpoint()
            raise KeyboardInterrupt

    part = tiny_run(tmp_path / "part")
    with pytest.raises(KeyboardInterrupt):
        part.train(log_every=1, hooks=(stop,), progress=False)
    config, gan = load_trained(tmp_path / "part", device="cpu")
    assert config.plan == "4:2,8:4+2" and gan.ema.module.alpha == 0.25  # a checkpoint samples as it was left
    part = tiny_run(tmp_path / "part")
    assert part.resume() and part.growth.step == 4
    part.train(progress=False)
    assert torch.equal(whole.sample(5)[0], part.sample(5)[0])
    assert whole.sample(5)[0].shape == (5, 3, 8, 8)
    with pytest.raises(InputError, match="plan: '4:2,8:4\\+2' there, '4:3,8:4\\+2' here"):
        tiny_run(tmp_path / "part", plan="4:3,8:4+2").resume()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": "dcgan", "resolution": 32}, "only pggan grows"),
        ({"plan": "4:2,8:0"}, "at least one generator step"),
        ({"plan": "4:2"}, "ends at 4 pixels, but resolution=8"),
        ({"steps": 7}, "takes 8 generator steps, but steps=7"),
        ({"plan_reset": "always"}, "plan_reset must be one of never, stage, phase, got 'always'"),
        ({"pyramid": "bicubic"}, "pyramid must be one of area, nearest, got 'bicubic'"),
        ({"resolution": 12}, "pggan' makes images of 4, 8, 16, .* got resolution=12"),
        ({"norm": "batch"}, "built with equalised or spectral"),
        ({"batch_size": 100_000}, "batch_size must be 1 … .*, the size of"),
    ],
)
def test_a_run_refuses_what_cannot_grow(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        tiny_run(tmp_path, **changes)
