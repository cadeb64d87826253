"""Two domains: folders trainA and trainB, side by side in one picture, and the embedded pairs."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from ganbook import data
from ganbook.data import sets
from ganbook.errors import DataError, InputError


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    monkeypatch.setenv("GANBOOK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GANBOOK_DATA", str(tmp_path / "root"))
    monkeypatch.setattr(sets, "verify_once", lambda file, path: path)


def png(colour, size=(20, 20)):
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def write(path, entries):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


def test_unpaired_domains_may_differ_in_size(tmp_path):
    entries = {f"horse2zebra/trainA/h{i}.png": png((i, 0, 0)) for i in range(3)}
    entries |= {f"horse2zebra/trainB/z{i}.png": png((0, i, 0)) for i in range(2)}
    entries |= {"horse2zebra/testA/h9.png": png("red"), "horse2zebra/testB/z9.png": png("blue")}
    write(tmp_path / "root" / "horse2zebra" / "horse2zebra.zip", entries)
    pairs = data.load_pairs("horse2zebra", resolution=8)
    assert len(pairs.a.images) == 3 and len(pairs.b.images) == 2 and not pairs.aligned
    assert pairs.a.images[2, 0].max() == 2 and pairs.b.images[1, 1].max() == 1
    assert len(data.load_pairs("horse2zebra", split="all", resolution=8).a.images) == 4
    with pytest.raises(InputError, match="no validA and validB"):
        data.load_pairs("horse2zebra", split="valid", resolution=8)


def test_facades_are_aligned_by_name(tmp_path):
    entries = {f"facades/trainA/{i}_A.png": png((i, 0, 0)) for i in (1, 2, 10)}
    entries |= {f"facades/trainB/{i}_B.png": png((0, i, 0)) for i in (1, 2, 10)}
    write(tmp_path / "root" / "facades" / "facades.zip", entries)
    pairs = data.load_pairs("facades", resolution=8)
    assert pairs.aligned
    assert np.array_equal(pairs.a.images[:, 0].max((1, 2)), pairs.b.images[:, 1].max((1, 2)))


def test_side_by_side_pictures_are_cut_in_the_middle(tmp_path):
    for name in ("train/1.png", "train/2.png", "test/3.png"):
        both = Image.new("RGB", (32, 16), "red")
        both.paste("blue", (16, 0, 32, 16))
        (tmp_path / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        both.save(tmp_path / "own" / name)
    pairs = data.load_pairs(f"folder:{tmp_path / 'own'}", resolution=8)
    assert pairs.aligned and len(pairs.a.images) == len(pairs.b.images) == 2
    assert (pairs.a.images[:, 0] == 255).all() and (pairs.a.images[:, 2] == 0).all()
    assert (pairs.b.images[:, 2] == 255).all() and (pairs.b.images[:, 0] == 0).all()
    assert len(data.load_pairs(f"folder:{tmp_path / 'own'}", split="all", resolution=8).b.images) == 3
    with pytest.raises(InputError, match="valid split"):
        data.load_pairs(f"folder:{tmp_path / 'own'}", split="valid", resolution=8)


def test_sets_that_have_no_pairs():
    with pytest.raises(InputError, match="Unknown set of pairs 'cifar10'"):
        data.load_pairs("cifar10")
    with pytest.raises(DataError, match="ganbook data fetch facades"):
        data.load_pairs("facades")
    assert data.load_pairs("emoji", split="test").aligned


def test_half_a_pair_is_refused_and_narrow_pictures_are_not_two(tmp_path):
    entries = {f"trainA/{i}.png": png("red") for i in range(3)} | {f"trainB/{i}.png": png("blue") for i in range(3)}
    write(tmp_path / "pairs.zip", entries | {"trainA/1.png": b""})
    with pytest.raises(DataError, match=r"pairs would shift: trainA/1\.png"):
        data.load_pairs(f"zip:{tmp_path / 'pairs.zip'}", resolution=8)
    write(tmp_path / "square.zip", {f"train/{i}.png": png("red") for i in range(3)})
    with pytest.raises(DataError, match="two pictures side by side are wide"):
        data.load_pairs(f"zip:{tmp_path / 'square.zip'}", resolution=8)
