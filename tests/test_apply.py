"""Trained models on the reader's own pictures: conversion, sheets, and every refusal."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from ganbook import apply
from ganbook.config import Config
from ganbook.errors import DataError, InputError
from ganbook.experiment import Run
from ganbook.nn.autoencoders import Encoder
from ganbook.nn.dcgan import Generator
from ganbook.pretrained import dcgan_networks, load_generator, load_networks, save_networks

SIZES = {"resolution": 28, "channels": 1, "latent_dim": 5, "n_classes": 10, "width": 4}


def networks(name="cvae", *, encoder=True, dataset="mnist", **sizes):
    torch.manual_seed(0)
    sizes = SIZES | sizes
    return dcgan_networks(
        name, Generator(**sizes).eval(), encoder=Encoder(**sizes).eval() if encoder else None, dataset=dataset, **sizes
    )


@pytest.fixture(scope="module")
def gan_run(tmp_path_factory):
    """A GAN's run folder after two steps."""
    tiny = {"steps": 2, "batch_size": 4, "width_g": 4, "width_d": 4, "latent_dim": 6, "n_eval": 100}
    run = Run(Config(**tiny), tmp_path_factory.mktemp("gan"), device="cpu")
    run.train(progress=False)
    return run


def test_networks_survive_the_file(tmp_path):
    trained, path = networks(), tmp_path / "models" / "cvae.safetensors"
    save_networks(path, trained)
    again = load_networks(path)
    z, y = trained.latents(4), torch.tensor([0, 3, 9, 9])
    torch.testing.assert_close(again.sample(z, y), trained.sample(z, y))
    torch.testing.assert_close(again.encode(again.sample(z, y), y), trained.encode(trained.sample(z, y), y))
    assert (again.sizes, again.dataset, again.encoder_width) == (trained.sizes, "mnist", 4)
    save_networks(path, trained, half=True)
    assert load_networks(path).sample(z, y).sub(trained.sample(z, y)).abs().max() < 0.01


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "models" / "a.safetensors"
    save_networks(path, networks("a"))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="cannot be read"):
        load_networks(path)
    with pytest.raises(DataError, match="no networks at"):
        load_networks(tmp_path / "b.safetensors")


def test_a_gan_run_is_applied_as_the_run_samples(gan_run):
    trained = apply.load_applicable(gan_run.folder)
    gan_run.gan.refresh_batchnorm()
    fake, labels = gan_run.sample(7, seed=3)
    torch.testing.assert_close(trained.sample(trained.latents(7, seed=3), trained.labels(None, 7)), fake)
    assert labels.tolist() == trained.labels(None, 7).tolist()
    assert trained.sizes.channels == 1 and trained.sizes.n_classes == 10


def test_models_of_a_folder_are_chosen_by_name_and_need(tmp_path):
    for trained in (networks("cgan", encoder=False), networks("cvae")):
        save_networks(tmp_path / "models" / f"{trained.name}.safetensors", trained)
    assert list(apply.models_in(tmp_path)) == ["cgan", "cvae"]
    assert apply.load_applicable(tmp_path).name == "cgan"
    assert apply.load_applicable(tmp_path, encoder=True).name == "cvae"
    assert apply.load_applicable(tmp_path, "cvae").name == "cvae"
    with pytest.raises(InputError, match="Unknown model 'cave'. Did you mean 'cvae'"):
        apply.load_applicable(tmp_path, "cave")
    with pytest.raises(InputError, match="without an encoder"):
        apply.load_applicable(tmp_path, "cgan", encoder=True)


def test_refused_folders_and_models(tmp_path, gan_run):
    with pytest.raises(DataError, match="not the folder of a finished run"):
        apply.load_applicable(tmp_path)
    with pytest.raises(InputError, match="without an encoder"):
        apply.load_applicable(gan_run.folder, encoder=True)
    with pytest.raises(InputError, match="Unknown generator 'minst'. Did you mean 'mnist'"):
        apply.load_applicable("shipped:minst")


def test_a_picture_of_any_kind_becomes_what_the_model_knows(tmp_path):
    how = apply.Preprocessing.of(networks())
    files = []
    for mode, size, ending in [
        ("RGB", (90, 60), "jpg"),
        ("L", (28, 28), "png"),
        ("RGBA", (7, 300), "webp"),
        ("P", (56, 56), "gif"),
    ]:
        files.append(tmp_path / f"{mode}.{ending}")
        Image.new(mode, size, 0).save(files[-1])
    x = apply.read_pictures(files, how)
    assert x.shape == (4, 1, 28, 28) and x.dtype == torch.float32
    assert x[1].unique().tolist() == [-1.0] and x[2].unique().tolist() == [1.0]  # nothing opaque on white
    colour = apply.read_pictures(files[:2], replace(how, channels=3, resolution=16))
    assert colour.shape == (2, 3, 16, 16)


def test_a_training_picture_comes_back_as_it_is(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "digit.png")
    how = apply.Preprocessing.of(networks())
    expected = torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1)[None, None]
    torch.testing.assert_close(apply.read_pictures([tmp_path / "digit.png"], how), expected, atol=1e-5, rtol=0)
    inverted = apply.read_pictures([tmp_path / "digit.png"], replace(how, invert=True))
    torch.testing.assert_close(inverted, -expected, atol=1e-5, rtol=0)
    bordered = apply.Preprocessing.of(networks(resolution=32))
    assert "2 px of black" in str(bordered)
    found = apply.read_pictures([tmp_path / "digit.png"], bordered)
    torch.testing.assert_close(found[..., 2:-2, 2:-2], expected, atol=1e-5, rtol=0)
    assert (found[..., :2, :] == -1).all()


def test_the_preprocessing_is_that_of_the_data_set():
    assert "crop center" in str(apply.Preprocessing.of(networks(dataset="celeba:crop140", channels=3, resolution=32)))
    assert "squeezed" in str(apply.Preprocessing.of(networks(dataset="folder:x:cropnone")))
    emoji = apply.Preprocessing.of(networks(dataset="emoji:twemoji", channels=3, resolution=32))
    assert (emoji.filter, emoji.border) == ("box", 0)


def test_an_unreadable_picture_is_named(tmp_path):
    (tmp_path / "notes.png").write_text("no picture")
    for name in ("notes.png", "absent.png"):
        with pytest.raises(DataError, match=f"{name} cannot be read as a picture"):
            apply.read_pictures([tmp_path / name], apply.Preprocessing.of(networks()))


def test_dark_ink_on_paper_is_noticed():
    paper = torch.ones(1, 1, 28, 28)
    paper[..., 10:18, 12:16] = -1
    assert apply.reads_dark_on_light(paper) and not apply.reads_dark_on_light(-paper)
    assert not apply.reads_dark_on_light(paper.expand(-1, 3, -1, -1))


def test_sheets_hold_originals_and_versions_where_they_are_said_to_be():
    trained, y = networks(), torch.tensor([3, 8])
    x = trained.sample(trained.latents(2), y)
    sheet = apply.reconstruction_sheet(trained, x, y)
    torch.testing.assert_close(sheet[2:], trained.sample(trained.encode(x, y), y))
    rows = apply.restyled(trained, x, y, [5, 0, 9])
    assert rows.shape == (8, 1, 28, 28)
    torch.testing.assert_close(rows[[0, 4]], x)
    code = trained.encode(x, y)[1:]
    torch.testing.assert_close(rows[6:7], trained.sample(code, torch.tensor([0])))


def test_interpolations_start_and_end_at_the_given_latents():
    trained, y = networks(), torch.tensor([1, 2, 3])
    a, b = trained.latents(3), trained.latents(3, seed=1)
    for way in ("linear", "spherical"):
        images = apply.interpolations(trained, a, b, steps=4, way=way, labels=y)
        assert len(images) == 12
        torch.testing.assert_close(images[[0, 4, 8]], trained.sample(a, y), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(images[[3, 7, 11]], trained.sample(b, y), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.sample(torch.zeros(2, 4)), r"latents of shape \(N, 5\), got \(2, 4\)"),
        (lambda t: t.sample(torch.zeros(2, 5), torch.tensor([0, 10])), "Labels are 0 … 9"),
        (lambda t: t.labels(-1, 2), "Labels are 0 … 9"),
        (
            lambda t: t.encode(torch.zeros(2, 3, 28, 28), torch.tensor([0, 1])),
            r"reads images of shape \(N, 1, 28, 28\)",
        ),
        (lambda t: t.encode(torch.zeros(2, 1, 28, 28)), "needs labels"),
        (lambda t: apply.restyled(t, torch.zeros(1, 1, 28, 28), torch.tensor([0]), [11]), "Labels are 0 … 9"),
        (lambda t: apply.interpolations(t, torch.zeros(1, 5), torch.zeros(1, 7), steps=3), "same generator"),
        (lambda t: apply.interpolations(t, torch.ones(1, 5), torch.ones(1, 5), steps=1), "at least two"),
        (lambda t: apply.interpolations(t, torch.ones(1, 5), torch.ones(1, 5), steps=3, way="sphercal"), "'spherical'"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call(networks())


def test_a_model_without_classes_has_no_other_class():
    trained = networks(n_classes=0)
    assert trained.labels(None, 3) is None
    with pytest.raises(InputError, match="without labels, got label 3"):
        trained.labels(3, 1)
    with pytest.raises(InputError, match="no other class"):
        apply.restyled(trained, torch.zeros(1, 1, 28, 28), torch.tensor([0]), [1])


def test_latents_from_files(tmp_path):
    trained, z = networks(), np.arange(10, dtype=np.float64).reshape(2, 5)
    np.save(tmp_path / "z.npy", z)
    np.savetxt(tmp_path / "z.csv", z, delimiter=",")
    np.savetxt(tmp_path / "z.txt", z)
    for name in ("z.npy", "z.csv", "z.txt"):
        assert apply.read_latents(tmp_path / name, trained).tolist() == z.tolist()
    np.save(tmp_path / "z.npy", z[:, :3])
    with pytest.raises(InputError, match=r"5 finite numbers.*\(2, 3\)"):
        apply.read_latents(tmp_path / "z.npy", trained)
    (tmp_path / "z.txt").write_text("one two")
    for name in ("z.txt", "absent.npy"):
        with pytest.raises(DataError, match="cannot be read as latents"):
            apply.read_latents(tmp_path / name, trained)


def test_a_sheet_is_written_whole_or_not_at_all(tmp_path):
    images = torch.zeros(4, 1, 28, 28)
    apply.write_sheet(images, tmp_path / "deep" / "sheet.png", columns=2, scale=1)
    assert Image.open(tmp_path / "deep" / "sheet.png").size == (59, 59)
    with pytest.raises(InputError, match="ends in .png"):
        apply.write_sheet(images, tmp_path / "sheet.xyz", columns=2)
    with pytest.raises(InputError, match="up to 1000"):
        apply.write_sheet(images.repeat(300, 1, 1, 1), tmp_path / "sheet.png", columns=2)
    with pytest.raises(DataError, match="Cannot write"):
        apply.write_sheet(images, tmp_path / "deep" / "sheet.png" / "in_a_file.png", columns=2)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["sheet.png"]


def test_the_shipped_generators_load_by_name():
    trained = load_generator("mnist")
    assert trained.sample(trained.latents(3)).shape == (3, 1, 28, 28)
