"""Cropping, resizing and the cache: exact pixels, and nothing half done is ever served."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from ganbook.data import prepare as module
from ganbook.data.pictures import Folder, decode
from ganbook.data.prepare import Preset, halve, prepare, pyramid
from ganbook.errors import DataError, InputError


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GANBOOK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "pictures"
    path.mkdir()
    rng = np.random.default_rng(0)
    for i in range(7):
        Image.fromarray(rng.integers(0, 256, (218, 178, 3), dtype=np.uint8)).save(path / f"{i}.png")
    return path


@pytest.mark.parametrize(
    ("crop", "box"),
    [
        ("178", (0, 20, 178, 198)),
        ("160", (9, 29, 169, 189)),
        ("140", (19, 39, 159, 179)),
        ("128", (25, 45, 153, 173)),
        ("108", (35, 55, 143, 163)),
        ("center", (0, 20, 178, 198)),
        ("none", (0, 0, 178, 218)),
    ],
)
def test_crops_of_aligned_celeba(crop, box):
    assert Preset(64, crop).box(178, 218) == box


def test_halves_of_two_pictures_side_by_side():
    assert Preset(64, "left").box(512, 256) == (0, 0, 256, 256)
    assert Preset(64, "right").box(512, 256) == (256, 0, 512, 256)
    for size in ((511, 256), (256, 256)):
        with pytest.raises(OSError, match="side by side are wide and of even width"):
            Preset(64, "left").box(*size)


def test_crops_follow_the_scale_of_the_halved_set():
    assert Preset(64, "178").box(89, 109) == (0, 10, 89, 99)
    assert Preset(64, "140").box(89, 109) == (9, 19, 79, 89)
    with pytest.raises(OSError, match=r"aligned CelebA .* this is 100 x 100"):
        Preset(64, "178").box(100, 100)


def test_pixels_equal_pillows_own_crop_and_antialiased_resize(cache, folder):
    made = prepare("set", Folder(folder), Preset(64, "140"), progress=False)
    picture = Image.open(folder / "3.png").convert("RGB")
    expected = np.asarray(picture.crop((19, 39, 159, 179)).resize((64, 64), Image.Resampling.BICUBIC))
    assert np.array_equal(made.images[3].transpose(1, 2, 0), expected)
    assert made.images.dtype == np.uint8 and made.images.shape == (7, 3, 64, 64)
    assert made.names[3] == "3.png"
    aliased = prepare("set", Folder(folder), Preset(64, "140", "nearest"), progress=False)
    assert aliased.images.std() > 2 * made.images.std()  # noise survives where nothing averages it


def test_the_second_time_nothing_is_decoded(cache, folder, monkeypatch):
    place = Folder(folder)
    first = prepare("set", place, Preset(16), progress=False)
    monkeypatch.setattr(module, "decode", lambda content: pytest.fail("decoded again"))
    again = prepare("set", place, Preset(16), progress=False)
    assert np.array_equal(first.images, again.images) and first.card == again.card
    assert isinstance(again.images.base, np.memmap)


def test_another_source_crop_filter_or_resolution_is_another_array(cache, folder):
    place = Folder(folder)
    presets = [Preset(16), Preset(8), Preset(16, "none"), Preset(16, filter="box")]
    folders = {prepare("set", place, preset, progress=False).folder for preset in presets}
    Image.new("RGB", (178, 218)).save(folder / "8.png")
    folders.add(prepare("set", Folder(folder), Preset(16), progress=False).folder)
    assert len(folders) == 5


def test_workers_make_no_difference(cache, folder, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 2)
    one = prepare("one", Folder(folder), Preset(16), progress=False, workers=1)
    four = prepare("four", Folder(folder), Preset(16), progress=False, workers=4)
    assert one.card["sha256"] == four.card["sha256"]


def test_unreadable_pictures_are_left_out_and_listed_or_refused(cache, folder):
    (folder / "2.png").write_bytes(b"broken")
    (folder / "5x.png").write_bytes(b"")
    (folder / "readme.txt").write_text("x")
    Image.open(folder / "0.png").save(folder / "6b.png")  # a duplicate
    made = prepare("set", Folder(folder), Preset(16), progress=False)
    assert made.card["count"] == len(made.images) == 7
    assert set(made.card["skipped"]) == {"2.png", "5x.png"}
    assert made.card["ignored"] == 1 and made.card["duplicates"] == 1
    assert made.names == ("0.png", "1.png", "3.png", "4.png", "5.png", "6.png", "6b.png")
    assert np.array_equal(made.images[0], made.images[6]) and not np.array_equal(made.images[1], made.images[2])
    with pytest.raises(DataError, match=r"The picture 2\.png cannot be used"):
        prepare("set", Folder(folder), Preset(16), progress=False, on_error="refuse")


def test_labels_follow_their_pictures_when_some_are_left_out(cache, tmp_path):
    for name, colour in (("a/1", "red"), ("a/2", "blue"), ("b/1", "green")):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9), colour).save(tmp_path / "set" / f"{name}.png")
    (tmp_path / "set" / "a" / "0.png").write_bytes(b"broken")
    made = prepare("set", Folder(tmp_path / "set"), Preset(4), progress=False)
    assert made.labels.tolist() == [0, 0, 1] and made.classes == ("a", "b")


def test_mixed_sizes_and_grey_pictures_share_an_array(cache, tmp_path):
    for i, picture in enumerate(
        (Image.new("L", (30, 70), 9), Image.new("RGB", (5, 5), "red"), Image.new("RGBA", (9, 8)))
    ):
        picture.save(tmp_path / f"{i}.png")
    made = prepare("set", Folder(tmp_path), Preset(8), progress=False)
    assert made.images.shape == (3, 3, 8, 8) and made.images[0].max() == 9


def test_nothing_usable_says_so_and_leaves_nothing_behind(cache, tmp_path):
    (tmp_path / "1.png").write_bytes(b"broken")
    with pytest.raises(DataError, match="None of the 1 pictures"):
        prepare("set", Folder(tmp_path), Preset(8), progress=False)
    assert not [p for p in (cache / "prepared").iterdir() if p.is_dir()]


def test_a_full_disk_is_one_paragraph(cache, folder, monkeypatch):
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: type("usage", (), {"free": 1000}))
    with pytest.raises(DataError, match="free. Free some space, or set GANBOOK_CACHE"):
        prepare("set", Folder(folder), Preset(64), progress=False)


def test_a_damaged_array_is_noticed(cache, folder):
    made = prepare("set", Folder(folder), Preset(8), progress=False)
    (made.folder / "images.npy").write_bytes(b"x")
    with pytest.raises(DataError, match="Delete that folder"):
        prepare("set", Folder(folder), Preset(8), progress=False)


def test_an_interrupted_build_goes_on_where_it_stopped(cache, folder, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 2)
    real, seen = module.decode, []

    def fails_at_the_fifth(content):
        seen.append(content)
        if len(seen) == 5:
            raise KeyboardInterrupt
        return real(content)

    monkeypatch.setattr(module, "decode", fails_at_the_fifth)
    with pytest.raises(KeyboardInterrupt):
        prepare("set", Folder(folder), Preset(8), progress=False, workers=1)
    (partial,) = (p for p in (cache / "prepared").iterdir() if p.is_dir())
    assert partial.name.endswith(".partial")
    assert sorted(json.loads((partial / "progress.json").read_text())["done"]) == ["0", "1"]
    before = len(seen)
    made = prepare("set", Folder(folder), Preset(8), progress=False, workers=1)
    assert len(seen) == before + 3  # only what was missing
    monkeypatch.setattr(module, "decode", real)
    whole = prepare("other", Folder(folder), Preset(8), progress=False)
    assert made.card["sha256"] == whole.card["sha256"]


SLOW = """
import sys, time
from pathlib import Path
from ganbook.data import prepare as module
from ganbook.data.pictures import Folder, decode
real = module.decode
def slow(content):
    time.sleep(0.15)
    return real(content)
module.decode, module.BLOCK = slow, 1
module.prepare("set", Folder(Path(sys.argv[1])), module.Preset(8), progress=False, workers=1)
"""


def test_kill_minus_nine_then_success(cache, folder, monkeypatch):
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(folder)], env={**os.environ, "GANBOOK_CACHE": str(cache)}
    )
    try:
        deadline = time.monotonic() + 60
        while not list(cache.glob("prepared/*.partial/progress.json")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not list(cache.glob("prepared/*/card.json"))
    monkeypatch.setattr(module, "BLOCK", 1)  # as in the process that was killed
    read = []
    monkeypatch.setattr(module, "decode", lambda content: read.append(1) or decode(content))
    made = prepare("set", Folder(folder), Preset(8), progress=False)
    assert len(read) < 7  # something was kept
    monkeypatch.setattr(module, "BLOCK", 256)
    other = prepare("other", Folder(folder), Preset(8), progress=False)
    assert made.card["sha256"] == other.card["sha256"]


def test_pyramid_levels_are_means_of_the_level_above():
    images = np.random.default_rng(1).integers(0, 256, (3, 3, 32, 32), dtype=np.uint8)
    levels = pyramid(images)
    assert sorted(levels) == [4, 8, 16, 32]
    blocks = levels[16].reshape(3, 3, 8, 2, 8, 2).astype(float).mean((3, 5))
    assert np.abs(levels[8] - blocks).max() <= 0.5
    assert halve(np.array([[[[1, 2], [2, 2]]]], np.uint8)).item() == 2  # 1.75 up
    assert halve(np.array([[[[1, 1], [2, 2]]]], np.uint8)).item() == 2  # a half goes up
    with pytest.raises(InputError, match="48 px"):
        pyramid(np.zeros((1, 3, 48, 48), np.uint8))


def test_presets_name_what_they_do_and_refuse_what_they_do_not_know():
    assert str(Preset(64, "178")) == "crop 178, Pillow bicubic to 64 px"
    assert str(Preset(32, "none", "box")) == "squeezed to a square, Pillow box to 32 px"
    with pytest.raises(InputError, match="Unknown crop '187'. Did you mean '178'"):
        Preset(64, "187")
    with pytest.raises(InputError, match="Unknown resize filter"):
        Preset(64, filter="cubic")
    with pytest.raises(InputError, match="resolution must be"):
        Preset(0)
