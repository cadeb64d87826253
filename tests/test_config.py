"""Parameters are checked before anything trains."""

import types

import pytest

from ganbook.config import Config, notebook_parameters
from ganbook.errors import InputError


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"losss": "hinge"}, "Unknown parameter 'losss'. Did you mean 'loss'"),
        ({"loss": "hinges"}, "Unknown loss 'hinges'. Did you mean 'hinge'"),
        ({"lr_g": "2e-4"}, "lr_g is a number, got '2e-4' .*write 2.0e-4"),
        ({"steps": 10.0}, "steps is a whole number, got 10.0"),
        ({"steps": True}, "steps is a whole number, got True"),
        ({"seed": "3"}, "seed is a whole number, got '3'"),
        ({"lr_d": float("nan")}, "lr_d is a finite number"),
        ({"lr_d": 0.0}, "lr_d must be above 0"),
        ({"batch_size": 1}, "batch_size must be at least 2"),
        ({"ema_decay": 1.0}, r"ema_decay must be in \[0, 1\)"),
        ({"resolution": 30}, "28, 32, 64 pixels, got resolution=30"),
        ({"network": "resnett"}, "Unknown network 'resnett'. Did you mean 'resnet'"),
        ({"network": "resnet", "resolution": 32}, "network='resnet' and norm='batch' are incompatible"),
        ({"network": "resnet", "norm": "none"}, "network='resnet' makes images of 32, 64, 128 pixels, got .*=28"),
        ({"attention": "16", "resolution": 32}, "only sagan has self-attention"),
        ({"network": "sagan", "norm": "spectral", "resolution": 32, "attention": "32"}, "got '32'.* have 8, 16 at"),
        ({"network": "sagan", "norm": "spectral", "resolution": 32, "attention": "8,8"}, "each once"),
        ({"network": "sagan", "norm": "spectral", "resolution": 32, "attention": "big"}, "got 'big'"),
        ({"norm": "bach"}, "Did you mean 'batch'"),
        ({"conditional": 1}, "conditional is True or False, got 1"),
        ({"penalty": "r3", "penalty_weight": 1.0}, "Unknown penalty 'r3'. Did you mean"),
        ({"penalty": "r1", "norm": "none"}, "penalty='r1' and penalty_weight=0.0 do not go together"),
        ({"penalty_weight": 1.0}, "penalty='none' and penalty_weight=1.0 do not go together"),
        ({"penalty": "r1", "penalty_weight": -1.0, "norm": "none"}, "penalty_weight=-1.0 do not go together"),
        ({"penalty": "wgan_gp", "penalty_weight": 10.0}, "penalty='wgan_gp' and norm='batch' are incompatible"),
        ({"clip": 0.01, "norm": "spectral"}, "clip=0.01 and norm='spectral' are incompatible"),
        ({"clip": -0.01}, "clip must be 0"),
        ({"real_target": 0.5}, "real_target must be above 0.5"),
        ({"real_target": 1.1}, "real_target must be above 0.5 and at most 1"),
        ({"real_target": 0.8, "loss": "hinge"}, "Loss 'hinge' has no targets .* minimax, nonsaturating, lsgan"),
        ({"ada_target": 0.6}, "got augment='none'"),
        (
            {"ada_target": 0.6, "augment": "color", "loss": "wasserstein"},
            "nothing under loss='wasserstein'.* choose minimax",
        ),
        ({"ada_target": 1.0, "augment": "color"}, r"ada_target must be in \[0, 1\)"),
        ({"instance_noise": -1.0}, "instance_noise must be 0"),
    ],
)
def test_a_bad_value_is_refused_with_a_hint(values, message):
    with pytest.raises(InputError, match=message):
        Config.from_mapping(values)


def test_whole_numbers_pass_as_floats():
    lr = Config.from_mapping({"lr_g": 1}).lr_g
    assert lr == 1.0 and isinstance(lr, float)


def test_regularisers_that_go_together_are_accepted():
    config = Config(loss="wasserstein", norm="none", penalty="wgan_gp", penalty_weight=10.0, instance_noise=0.1)
    assert (config.penalty, config.penalty_weight) == ("wgan_gp", 10.0)
    assert Config(loss="wasserstein", norm="none", clip=0.01).clip == 0.01
    assert Config(loss="lsgan", real_target=0.8).real_target == 0.8
    assert Config(loss="fgan_kl").loss == "fgan_kl"
    assert Config(network="sagan", norm="spectral", resolution=64, attention="16,32").attention == "16,32"


def test_a_notebooks_namespace_yields_its_parameters_and_refuses_injected_strangers():
    namespace = {"np": types, "f": len, "C": Config, "_i": 1, "In": [], "Out": {}, "loss": "hinge", "seed": 3}
    assert notebook_parameters(namespace, {"loss", "seed"}) == {"loss": "hinge", "seed": 3}
    with pytest.raises(InputError, match="Unknown parameter 'sed'. Did you mean 'seed'"):
        notebook_parameters({**namespace, "sed": 4}, {"loss", "seed"})
