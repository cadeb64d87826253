"""The embedded sets are what their cards say, and damage is noticed."""

import hashlib
import shutil

import numpy as np
import pytest

from ganbook import data
from ganbook.data import embedded
from ganbook.data.idx import parse_idx
from ganbook.errors import DataError, InputError


@pytest.mark.parametrize("name", embedded.SHA256)
def test_files_have_the_checksums_of_the_card(name):
    found = hashlib.sha256((embedded.EMBEDDED / name).read_bytes()).hexdigest()
    assert found == embedded.SHA256[name]
    assert found in (embedded.EMBEDDED / name).with_name("README.md").read_text()


def test_mnist_counts_and_first_labels():
    train, test = data.load("mnist"), data.load("mnist", split="test")
    assert train.images.shape == (60000, 1, 28, 28) and test.images.shape == (10000, 1, 28, 28)
    assert train.images.dtype == np.uint8 and train.labels.dtype == np.int64
    assert train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert np.bincount(train.labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert train.images.mean() / 255 == pytest.approx(0.1307, abs=1e-4)  # the field's normalisation constant


def test_emoji_counts_classes_and_pairs():
    both, pairs = data.load("emoji", split="all"), data.load_pairs(split="all")
    assert both.images.shape == (2 * 3786, 3, 64, 64)
    assert len(pairs.a.images) == len(pairs.b.images) == 3786
    assert np.array_equal(both.images[:3786], pairs.a.images) and np.array_equal(both.images[3786:], pairs.b.images)
    assert set(both.labels) == set(range(9)) and len(both.classes) == 9
    assert not np.array_equal(pairs.a.images[0], pairs.b.images[0])
    corners = both.images[:, :, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert np.median(corners) == 255  # composited on white


def test_emoji_splits_share_no_base_emoji_and_cover_everything():
    rows, held_out = embedded.emoji_index(), embedded.emoji_in_test()
    train = {row["base"] for row, test in zip(rows, held_out, strict=True) if not test}
    test = {row["base"] for row, test in zip(rows, held_out, strict=True) if test}
    assert not train & test
    assert 0.08 < len(test) / len(train | test) < 0.12
    sizes = [len(data.load("emoji:noto", split=split).images) for split in ("train", "test", "all")]
    assert sizes[0] + sizes[1] == sizes[2] == 3786
    assert any(row["skin_tone"] for row in rows)


def test_resizing_is_exact_averaging():
    full, half = data.load("emoji:noto", split="test"), data.load("emoji:noto", split="test", resolution=32)
    blocks = np.asarray(full.images[:5], np.float64).reshape(5, 3, 32, 2, 32, 2).mean((3, 5))
    assert np.abs(half.images[:5] - blocks).max() <= 0.5
    assert half.preprocessing == "64 to 32 px by area averaging"
    padded = data.load("mnist", split="test", resolution=32)
    assert np.array_equal(padded.images[:, :, 2:-2, 2:-2], data.load("mnist", split="test").images)
    assert padded.images[:, :, :2].max() == 0


def test_unknown_names_and_sizes_are_refused():
    with pytest.raises(InputError, match="Unknown data set 'mnits'. Did you mean 'mnist'"):
        data.load("mnits")
    with pytest.raises(InputError, match="Unknown split 'tets'. Did you mean 'test'"):
        data.load("mnist", split="tets")
    with pytest.raises(InputError, match="1, 2, 4, 8, 16, 32, 64 px, got resolution=48"):
        data.load("emoji", split="test", resolution=48)
    with pytest.raises(InputError, match="Unknown set of pairs 'mnist'"):
        data.load_pairs("mnist")


def test_damage_names_file_hashes_and_remedy(tmp_path):
    (tmp_path / "mnist").mkdir()
    for name in embedded.SHA256:
        if name.startswith("mnist/t10k"):
            shutil.copy(embedded.EMBEDDED / name, tmp_path / name)
    assert len(data.load("mnist", split="test", root=tmp_path).images) == 10000
    path = tmp_path / "mnist/t10k-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(
        DataError, match="t10k-labels.* is damaged: expected sha256 b91679.*, found .*data/build.py mnist"
    ):
        data.load("mnist", split="test", root=tmp_path)
    path.unlink()
    with pytest.raises(DataError, match="t10k-labels.* cannot be read: No such file.*git checkout"):
        data.load("mnist", split="test", root=tmp_path)
    with pytest.raises(DataError, match="not a readable gzipped idx file"):
        parse_idx(b"no gzip", name="x")


def test_a_damaged_cache_is_made_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("GANBOOK_CACHE", str(tmp_path))
    first = np.array(embedded.read_emoji("noto"))
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:1000])
    assert np.array_equal(embedded.read_emoji("noto"), first)
    assert isinstance(embedded.read_emoji("noto"), np.memmap)
