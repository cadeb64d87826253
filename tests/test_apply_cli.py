"""The commands that use a trained run, and their one-paragraph errors."""

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from ganbook.cli import app
from ganbook.errors import GanbookError
from ganbook.nn.autoencoders import Encoder
from ganbook.nn.dcgan import Generator
from ganbook.pretrained import dcgan_networks, save_networks

SIZES = {"resolution": 28, "channels": 1, "latent_dim": 5, "width": 4}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder with a conditional and an unconditional autoencoder and a GAN without encoder."""
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    for name, n_classes, reads in [("cvae", 10, True), ("gan", 10, False), ("vae", 0, True)]:
        sizes = SIZES | {"n_classes": n_classes}
        encoder = Encoder(**sizes) if reads else None
        trained = dcgan_networks(name, Generator(**sizes), encoder=encoder, dataset="mnist", **sizes)
        save_networks(folder / "models" / f"{name}.safetensors", trained)
    return folder


@pytest.fixture
def picture(tmp_path):
    Image.new("RGB", (50, 40), "black").save(tmp_path / "mine.jpg")
    return tmp_path / "mine.jpg"


def call(*arguments):
    """The result of `ganbook ARGUMENTS`; an error that the user can mend is its text."""
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception is None or isinstance(result.exception, SystemExit):
        return result.exit_code, result.output
    if isinstance(result.exception, GanbookError):
        return 2, str(result.exception)
    raise result.exception


def test_sample_from_a_model_of_a_run_and_from_a_shipped_generator(run, tmp_path):
    code, out = call("sample", run, "--model", "cvae", "-n", 4, "--columns", 2, "--scale", 1, "-o", tmp_path / "s.png")
    assert code == 0 and "4 samples of cvae" in out and Image.open(tmp_path / "s.png").size == (59, 59)
    np.save(tmp_path / "z.npy", np.zeros((3, 64)))
    code, out = call("sample", "shipped:mnist", "--latents", tmp_path / "z.npy", "--label", 7, "-o", tmp_path / "t.png")
    pixels = np.asarray(Image.open(tmp_path / "t.png"))
    assert code == 0 and (pixels[:, :57] == pixels[:, 57:114]).all()  # the same latent and label: the same picture


def test_reconstruct_and_restyle_say_how_pictures_were_converted(run, picture, tmp_path):
    code, out = call("reconstruct", run, picture, picture, "--labels", "7,3", "--scale", 1, "-o", tmp_path / "r.png")
    assert code == 0 and "crop center" in out and "grey" in out and "--invert" not in out
    assert Image.open(tmp_path / "r.png").size == (2 * 29 + 1, 2 * 29 + 1)
    code, out = call("restyle", run, picture, "--labels", 7, "--to", "1,2,3", "--scale", 1, "-o", tmp_path / "t.png")
    assert code == 0 and "1 pictures in 3 classes" in out
    assert Image.open(tmp_path / "t.png").size == (4 * 29 + 1, 29 + 1)
    Image.new("L", (28, 28), 255).save(picture)
    assert "Try --invert" in call("reconstruct", run, picture, "--labels", 7, "-o", tmp_path / "r.png")[1]
    assert "Try" not in call("reconstruct", run, picture, "--labels", 7, "--invert", "-o", tmp_path / "r.png")[1]


def test_interpolate_between_latents_and_between_pictures(run, picture, tmp_path):
    options = ["--steps", 3, "--scale", 1, "-o", tmp_path / "i.png"]
    code, out = call("interpolate", run, "--rows", 2, "--way", "linear", *options)
    assert code == 0 and "2 linear ways of 3 pictures" in out
    assert Image.open(tmp_path / "i.png").size == (3 * 29 + 1, 2 * 29 + 1)
    code, out = call("interpolate", run, "--model", "vae", "--picture", picture, "--picture", picture, *options)
    assert code == 0 and "1 spherical ways" in out and "crop center" in out
    np.savetxt(tmp_path / "z.txt", np.eye(5)[:4])
    code, out = call("interpolate", run, "--latents", tmp_path / "z.txt", *options)
    assert code == 0 and "2 spherical" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sample", "RUN", "--model", "cvae", "--label", 10], "Labels are 0 … 9"),
        (["sample", "RUN", "--model", "vae", "--label", 1], "without labels"),
        (["sample", "TMP"], "not the folder of a finished run"),
        (["sample", "RUN", "--latents", "TMP/z.npy"], "takes latents of 5"),
        (["sample", "RUN", "-n", 1001], "up to 1000"),
        (["reconstruct", "RUN", "TMP/mine.jpg"], "--labels 7"),
        (["reconstruct", "RUN", "TMP/mine.jpg", "--model", "gan"], "without an encoder"),
        (["reconstruct", "shipped:mnist", "TMP/mine.jpg"], "without an encoder"),
        (["reconstruct", "RUN", "TMP/mine.jpg", "--labels", "1,2"], "1 pictures and 2 labels"),
        (["reconstruct", "RUN", "TMP/mine.jpg", "--labels", "ten"], "separated by commas"),
        (["reconstruct", "RUN", "TMP/absent.jpg", "--labels", "1"], "cannot be read as a picture"),
        (["restyle", "RUN", "TMP/mine.jpg", "--labels", "1", "--to", "3,12"], "Labels are 0 … 9"),
        (["restyle", "RUN", "TMP/mine.jpg", "--labels", "0", "--model", "vae"], "without labels"),
        (["interpolate", "RUN", "--way", "around"], "Unknown way"),
        (["interpolate", "RUN", "--steps", 1], "at least two"),
        (["interpolate", "RUN", "--model", "vae", "--picture", "TMP/mine.jpg"], "only if there are two"),
        (["interpolate", "RUN", "--picture", "TMP/mine.jpg"], "Say which: --label 7"),
    ],
)
def test_mendable_errors(run, picture, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "z.npy", np.zeros((2, 64)))
    places = {"RUN": str(run), "TMP": str(tmp_path)}
    filled = [str(a).replace("RUN", places["RUN"]).replace("TMP", places["TMP"]) for a in arguments]
    code, out = call(*filled)
    assert code == 2 and message in out and "\n" not in out.strip()
    assert not list(tmp_path.glob("*.png"))
