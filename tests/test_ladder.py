"""Variants of one GAN: what they share, what a run of them records, and the tables over seeds."""

import json
import math
from pathlib import Path

import pytest
import torch

from ganbook import data, ladder
from ganbook.errors import InputError
from ganbook.evaluation.panel import Panel, evenly
from ganbook.experiment import environment
from ganbook.ladder import (
    Variant,
    chosen,
    climbing,
    configured,
    differs,
    kept_tables,
    over_seeds,
    play,
    play_all,
    records_of,
    show_sheet,
    this_run,
    write,
)
from ganbook.nn.attached import attach_head
from ganbook.results import Record, read_record

CPU = torch.device("cpu")
PARAMETERS = {
    "variant": "all",
    "dataset": "emoji:twemoji",
    "resolution": 32,
    "steps": 4,
    "width": 2,
    "latent_dim": 4,
    "batch_size": 4,
    "lr": 1e-3,
    "n_eval": 40,
    "n_looks": 2,
    "seed": 0,
    "device": "cpu",
    "out": "",
}
VARIANTS = {
    "plain": Variant("DCGAN"),
    "seen": Variant("sees the batch", {"norm": "spectral"}, adapt=lambda g, d: attach_head(d, "stddev")),
}


@pytest.fixture(scope="module")
def panel():
    return Panel("emoji:twemoji", 32, device=CPU)


@pytest.fixture(scope="module")
def played(panel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return play_all(VARIANTS, PARAMETERS, panel, folder, device=CPU, n_looks=2)


def test_a_panel_compares_with_held_out_pictures_or_with_those_of_training(panel):
    other = Panel("emoji:twemoji", 32, device=CPU, against="train")
    assert (panel.protocol(5)["split"], other.protocol(5)["split"]) == ("test", "train")
    training = data.load("emoji:twemoji", resolution=32).images
    assert other.protocol(5)["n_real"] == len(training) == len(other.real) > len(panel.real)
    same = evenly(data.to_tensors(data.load("emoji:twemoji", resolution=32))[0], 400)
    name = panel.distance(400)
    assert other.judged(same)[name] < panel.judged(same)[name]  # pictures of the training set lie nearer to it
    with pytest.raises(InputError, match="Unknown comparison 'trains'. Did you mean 'train'"):
        Panel("emoji:twemoji", 32, device=CPU, against="trains")


def test_precision_and_recall_see_all_of_the_real_pictures(panel):
    """Real pictures lie class by class in many sets: the first few are not like the others."""
    first = panel.images[:100]
    assert torch.equal(evenly(torch.arange(10), 4), torch.tensor([0, 3, 6, 9]))
    assert torch.equal(evenly(torch.arange(3), 4), torch.arange(3))
    assert panel.look(first)["recall"] < panel.look(evenly(panel.images, 100))["recall"]


def test_a_ladder_adds_up():
    adapt = lambda g, d: None  # noqa: E731
    rungs = {
        "a": Variant("A", {"lr_d": 1e-3}),
        "b": Variant("B", {"norm": "none"}, adapt),
        "c": Variant("C", {"flip": True}),
    }
    climbed = climbing(rungs)
    assert climbed["c"].changes == {"lr_d": 1e-3, "norm": "none", "flip": True} and climbed["c"].adapt is adapt
    assert climbed["a"] == rungs["a"] and climbed["b"].changes == {"lr_d": 1e-3, "norm": "none"}


def test_variants_are_chosen_by_name():
    assert list(chosen(VARIANTS, "all")) == ["plain", "seen"] and list(chosen(VARIANTS, " seen ")) == ["seen"]
    with pytest.raises(InputError, match="Did you mean 'plain'"):
        chosen(VARIANTS, "plane")


def test_the_configuration_is_the_parameters_with_the_variant_s_changes():
    config = configured(PARAMETERS, Variant("", {"lr_d": 4e-3}))
    assert (config.width_g, config.width_d, config.lr_g, config.lr_d) == (2, 2, 1e-3, 4e-3)
    assert not config.conditional and config.steps == 4
    with pytest.raises(InputError, match="Unknown parameter 'stepps'"):
        configured({"stepps": 1}, VARIANTS["plain"])


def test_the_panel_knows_a_copy_from_a_collapse(panel):
    real = panel.judged(panel.images)
    one = panel.judged(panel.images[:1].repeat(len(panel.images), 1, 1, 1))
    distance = panel.distance(len(panel.images))
    assert real["recall"] == real["precision"] == 1 and real[distance] == pytest.approx(0, abs=1e-3)
    assert one["recall"] < 0.05 and one["ms_ssim"] == pytest.approx(1) and one[distance] > 1
    assert one["mode_score"] < 1.5 < real["mode_score"] and real["ms_ssim"] == panel.real_similarity < 0.5


def test_pictures_larger_than_the_judge_reads_are_shrunk(panel):
    large = panel.images[:40].repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.allclose(panel.features(large), panel.real[:40], atol=1e-3)


def test_samples_that_are_no_numbers_are_judged_as_black(panel):
    assert panel.look(torch.full((8, 3, 32, 32), math.nan))["ms_ssim"] == pytest.approx(1)


def test_looks_are_rows_of_the_history(played):
    rows = played["plain"].rows
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert [row["step"] for row in rows if "recall" in row] == [2, 4]
    assert played["plain"].pictures.shape == (20, 3, 32, 32) and played["plain"].seconds > 0


def test_the_variants_are_different_games(played):
    assert not torch.equal(played["plain"].pictures, played["seen"].pictures)


def test_a_record_of_several_variants_names_them_and_of_one_does_not(played, panel, tmp_path):
    several, single = tmp_path / "cpu" / "x" / "all", tmp_path / "cpu" / "x" / "plain"
    environ = environment(CPU)
    write(several, played, panel, parameters=PARAMETERS, environment=environ)
    write(single, {"plain": played["plain"]}, panel, parameters={**PARAMETERS, "variant": "plain"}, environment=environ)
    of_all, of_one = read_record(several), read_record(single)
    assert {"recall@plain", "recall@seen", "ms_ssim@seen", "real_ms_ssim"} <= of_all.metrics.keys()
    assert {"recall", "precision", "ms_ssim", "mode_score"} <= of_one.metrics.keys()
    assert of_one.metrics["recall"] == of_all.metrics["recall@plain"]
    assert "out" not in of_all.params and of_all.params["width"] == 2
    assert list(of_all.history()["variant"].unique()) == ["plain", "seen"] and "variant" not in of_one.history()
    assert of_one.protocol["n_fake"] == 40 and of_one.protocol["extractor"] == "emoji-judge"


def test_an_interrupted_training_goes_on_and_changes_nothing(panel, played, tmp_path, monkeypatch):
    monkeypatch.setattr(ladder, "SAVE_EVERY", 0.0)
    variant = VARIANTS["plain"]
    config = configured(PARAMETERS, variant)
    calls = []

    def stop(text):
        calls.append(text)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        play(variant, config, panel, tmp_path, device=CPU, n_looks=2, say=stop)
    assert "DCGAN: about" in calls[0]
    again = play(variant, config, panel, tmp_path, device=CPU, n_looks=2)
    assert torch.equal(again.pictures, played["plain"].pictures)


def test_divergence_is_kept_as_a_result(panel, tmp_path):
    variant = Variant("blows up", {"lr_g": 1e30, "lr_d": 1e30, "loss": "lsgan", "norm": "none"})
    result = play(variant, configured({**PARAMETERS, "steps": 8}, variant), panel, tmp_path, device=CPU)
    assert "NaN" in result.diverged or "inf" in result.diverged
    assert math.isfinite(result.metrics["ms_ssim"])
    assert "diverged" in this_run({"x": result}, {"x": variant})


def record(variant, seed, **metrics):
    return Record("gpu", "x", f"{variant}-{seed}", Path("nowhere"), {"variant": variant, "seed": seed}, metrics, {}, {})


def test_tables_over_seeds_have_means_intervals_and_what_is_pending():
    found = {"plain": [record("plain", seed, recall=value) for seed, value in enumerate((0.1, 0.2, 0.3))]}
    lines = over_seeds(found, VARIANTS).splitlines()
    assert lines[0] == "| variant | recall | seeds |"
    assert lines[2] == "| DCGAN | 0.20 ± 0.25 | 3 |" and lines[3] == "| sees the batch | – | *pending* |"


def test_a_difference_is_over_common_seeds():
    ours = [record("a", seed, fid=value) for seed, value in ((0, 3.0), (1, 5.0), (7, 100.0))]
    theirs = [record("b", seed, fid=value) for seed, value in ((1, 1.0), (0, 1.0))]
    mean, half, n = differs(ours, theirs, "fid")
    assert (mean, n) == (3.0, 2) and half == pytest.approx(12.706, abs=1e-3)
    assert math.isnan(differs(ours, [], "fid")[0])


def test_committed_records_are_found_by_scale_and_variant(tmp_path):
    for scale, variant in (("gpu", "plain"), ("cpu-long", "plain"), ("cpu", "plain"), ("gpu", "seen")):
        folder = tmp_path / scale / "x" / f"variant-{variant}"
        folder.mkdir(parents=True)
        (folder / "params.json").write_text(json.dumps({"variant": variant, "seed": 0}))
        (folder / "metrics.json").write_text(json.dumps({"recall": 0.5}))
        (folder / "environment.json").write_text("{}")
    found = records_of("x", root=tmp_path)
    assert {scale: sorted(by) for scale, by in found.items()} == {"gpu": ["plain", "seen"], "cpu-long": ["plain"]}
    assert records_of("y", root=tmp_path) == {}
    assert kept_tables("y", VARIANTS, root=tmp_path).startswith("*The longer runs have not been made yet")


def test_the_tables_of_each_scale_say_what_was_run_on_what(tmp_path):
    folder = tmp_path / "gpu" / "x" / "variant-plain"
    folder.mkdir(parents=True)
    params = {"variant": "plain", "seed": 0, "dataset": "celeba", "resolution": 64, "steps": 20000}
    (folder / "params.json").write_text(json.dumps(params))
    (folder / "metrics.json").write_text(json.dumps({"recall": 0.5}))
    (folder / "environment.json").write_text(json.dumps({"device": "a fast one"}))
    text = kept_tables("x", VARIANTS, root=tmp_path)
    assert text.startswith("**gpu**: `celeba` at 64 pixels, 20,000 steps; a fast one.")
    assert "| DCGAN | 0.5 | 1 |" in text and "*pending*" in text


def test_a_sheet_has_a_row_a_variant(played):
    axes = show_sheet(played, VARIANTS).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["DCGAN", "sees the batch"]
    assert axes.get_images()[0].get_array().shape == (2 * 33 + 1, 20 * 33 + 1, 3)
