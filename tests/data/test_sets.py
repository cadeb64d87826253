"""Sets in the formats in which they are published, made small here; and pictures of one's own."""

import gzip
import hashlib
import io
import struct
import tarfile
import zipfile
from dataclasses import replace

import lmdb
import numpy as np
import pytest
from PIL import Image

from ganbook import data
from ganbook.data import catalog, embedded, fetch, sets
from ganbook.data.catalog import CATALOG
from ganbook.errors import DataError, InputError


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    monkeypatch.setenv("GANBOOK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GANBOOK_DATA", str(tmp_path / "root"))
    monkeypatch.setattr(sets, "verify_once", lambda file, path: path)  # the files made here have other contents


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


def idx(array):
    return gzip.compress(struct.pack(f">HBB{array.ndim}i", 0, 8, array.ndim, *array.shape) + array.tobytes())


def picture(colour, size=(178, 218), kind="JPEG"):
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, kind)
    return buffer.getvalue()


def test_every_entry_is_complete_and_its_counts_are_those_of_the_embedded_files():
    for entry in CATALOG.values():
        assert entry.care and entry.licence and entry.home.startswith("https://") and entry.cite
        assert entry.kind == "embedded" or entry.files
        for file in entry.files:
            assert len(file.sha256) == 64 and file.size > 1000 and file.urls
    for name in ("mnist", "emoji"):
        for split, count in CATALOG[name].splits.items():
            assert len(data.load(name, split=split).images) == count
    assert CATALOG["celeba"].count == 202599
    assert sets.CELEBA_ENDS["test"][1] == CATALOG["celeba"].count
    assert {s: b - a for s, (a, b) in sets.CELEBA_ENDS.items()} == dict(CATALOG["celeba"].splits)


def test_fashion_mnist(root):
    folder = root / "fashion_mnist"
    folder.mkdir(parents=True)
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    for prefix, n in (("train", 5), ("t10k", 2)):
        (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(idx(images[:n]))
        (folder / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(idx(np.arange(n, dtype=np.uint8)))
    train, both = data.load("fashion_mnist"), data.load("fashion_mnist", split="all", resolution=14)
    assert np.array_equal(train.images[:, 0], images) and train.labels.tolist() == [0, 1, 2, 3, 4]
    assert both.images.shape == (7, 1, 14, 14) and train.classes[9] == "ankle boot"


def test_emnist_is_turned_upright_and_letters_count_from_zero(root):
    folder = root / "emnist"
    folder.mkdir(parents=True)
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 3, 20] = 255  # as published: row and column exchanged
    with zipfile.ZipFile(folder / "gzip.zip", "w") as archive:
        for variant, label in (("letters", 26), ("balanced", 46)):
            archive.writestr(f"gzip/emnist-{variant}-train-images-idx3-ubyte.gz", idx(image))
            archive.writestr(f"gzip/emnist-{variant}-train-labels-idx1-ubyte.gz", idx(np.array([label], np.uint8)))
    letters = data.load("emnist:letters")
    assert letters.images[0, 0, 20, 3] == 255 and letters.images.sum() == 255
    assert letters.classes[letters.labels[0]] == "z"
    balanced = data.load("emnist")
    assert balanced.classes[balanced.labels[0]] == "t" and len(balanced.classes) == 47
    with pytest.raises(DataError, match="damaged"):
        data.load("emnist", split="test")
    with pytest.raises(InputError, match="Unknown data set 'emnist:letter'"):
        data.load("emnist:letter")


def test_cifar10_binary_records(root):
    folder = root / "cifar10"
    folder.mkdir(parents=True)
    records = np.random.default_rng(0).integers(0, 256, (2, 3073), dtype=np.uint8)
    records[:, 0] = (3, 8)
    with tarfile.open(folder / "cifar-10-binary.tar.gz", "w:gz") as archive:
        for name in [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]:
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = records.nbytes
            archive.addfile(info, io.BytesIO(records.tobytes()))
    train, test = data.load("cifar10"), data.load("cifar10", split="test")
    assert train.images.shape == (10, 3, 32, 32) and len(test.images) == 2
    assert np.array_equal(test.images[1].reshape(-1), records[1, 1:])
    assert [test.classes[i] for i in test.labels] == ["cat", "ship"]
    (folder / "cifar-10-binary.tar.gz").write_bytes(b"half")
    with pytest.raises(DataError, match="is damaged"):
        data.load("cifar10")


@pytest.fixture
def small_celeba(monkeypatch):
    """CelebA with seven faces: four train, one valid, two test."""
    small = {"train": 4, "valid": 1, "test": 2}
    monkeypatch.setitem(catalog.CATALOG, "celeba", replace(CATALOG["celeba"], splits=small))
    monkeypatch.setattr(sets, "CELEBA_ENDS", {"train": (0, 4), "valid": (4, 5), "test": (5, 7)})


@pytest.mark.parametrize("layout", ["zip", "folder", "bare folder"])
def test_celeba_from_the_official_zip_or_an_unpacked_folder(root, small_celeba, layout):
    faces = {f"{i + 1:06}.jpg": picture((30 * i, 0, 0)) for i in range(7)}
    folder = root / "celeba"
    folder.mkdir(parents=True)
    if layout == "zip":
        with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
            for name, content in faces.items():
                archive.writestr(f"img_align_celeba/{name}", content)
    else:
        inner = folder / "img_align_celeba" if layout == "folder" else folder
        inner.mkdir(exist_ok=True)
        for name, content in faces.items():
            (inner / name).write_bytes(content)
    test = data.load("celeba", split="test")
    assert test.images.shape == (2, 3, 64, 64) and test.labels is None
    assert [round(image[0].mean() / 30) for image in test.images] == [5, 6]
    assert test.preprocessing == "crop 178, Pillow bicubic to 64 px"
    assert data.load("celeba", split="all", resolution=32, crop="140").images.shape == (7, 3, 32, 32)
    assert len(data.load("celeba").images) == 4
    assert isinstance(data.load("celeba").images.base, np.memmap)  # a range is a view, not a copy


def test_a_half_unpacked_celeba_is_refused(root, small_celeba):
    folder = root / "celeba" / "img_align_celeba"
    folder.mkdir(parents=True)
    (folder / "000001.jpg").write_bytes(picture("red"))
    with pytest.raises(DataError, match="holds 1 of CelebA's 7 pictures"):
        data.load("celeba")


@pytest.mark.parametrize("unpacked", [False, True])
def test_lsun_from_its_zip_or_unpacked(root, tmp_path, unpacked):
    folder = root / "lsun_church_outdoor"
    for part, n in (("train", 3), ("val", 2)):
        name = f"church_outdoor_{part}_lmdb"
        place = (folder if unpacked else tmp_path) / name
        place.mkdir(parents=True)
        with lmdb.open(str(place), map_size=1 << 20) as environment, environment.begin(write=True) as transaction:
            for i in range(n):
                transaction.put(f"{i:040}".encode(), picture((0, 60 * i, 0), (80, 64), "WEBP"))
        if not unpacked:
            folder.mkdir(parents=True, exist_ok=True)
            with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
                for file in ("data.mdb", "lock.mdb"):
                    archive.write(place / file, f"{name}/{file}")
    assert data.load("lsun_church_outdoor", resolution=32).images.shape == (3, 3, 32, 32)
    both = data.load("lsun_church_outdoor", split="all", resolution=32)
    assert len(both.images) == 5 and both.images[2, 1].mean() == pytest.approx(120, abs=4)
    with pytest.raises(InputError, match="has the splits train, valid and all"):
        data.load("lsun_church_outdoor", split="test")


def test_a_set_that_is_not_here_says_how_to_get_it(root):
    for name, file in (
        ("celeba", "img_align_celeba.zip"),
        ("cifar10", "cifar-10-binary.tar.gz"),
        ("lsun_church_outdoor", "church_outdoor_train_lmdb.zip"),
        ("emnist", "gzip.zip"),
        ("fashion_mnist", "train-images-idx3-ubyte.gz"),
    ):
        with pytest.raises(DataError) as caught:
            data.load(name)
        text = str(caught.value)
        assert f"ganbook data fetch {name}" in text and file in text and str(root / name) in text


def own(tmp_path, *names):
    for i, name in enumerate(names):
        path = tmp_path / "own" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture((i, 0, 0), (40, 40), "PNG"))
    return f"folder:{tmp_path / 'own'}"


def test_own_pictures_with_classes_and_split_folders(tmp_path):
    name = own(tmp_path, "train/cat/1.png", "train/dog/1.png", "test/cat/2.png")
    train, test = data.load(name, resolution=8), data.load(name, split="test", resolution=8)
    assert train.labels.tolist() == [0, 1] and train.classes == ("cat", "dog")
    assert test.labels.tolist() == [0] and test.name == "folder:own"
    with pytest.raises(InputError, match="no pictures in its valid split; it has train, test and all"):
        data.load(name, split="valid", resolution=8)


def test_own_pictures_without_split_folders_hold_a_tenth_out(tmp_path):
    name = own(tmp_path, *(f"{i}.png" for i in range(120)))
    train, test = data.load(name, resolution=4), data.load(name, split="test", resolution=4)
    assert len(train.images) + len(test.images) == 120 and 3 <= len(test.images) <= 25
    values = {int(image[0, 0, 0]) for image in train.images} | {int(image[0, 0, 0]) for image in test.images}
    assert values == set(range(120))
    assert train.labels is None


def test_a_zip_of_own_pictures(tmp_path):
    with zipfile.ZipFile(tmp_path / "faces.zip", "w") as archive:
        archive.writestr("a.png", picture("red", (20, 20), "PNG"))
    found = data.load(f"zip:{tmp_path / 'faces.zip'}", split="all", resolution=8)
    assert found.images.shape == (1, 3, 8, 8) and found.name == "zip:faces"
    with pytest.raises(InputError, match="Name your pictures as folder:PATH"):
        data.load("zip:")


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("celeba:64", data.Spec("celeba", resolution=64)),
        ("celeba:crop140:32:test", data.Spec("celeba", "140", 32, "test")),
        ("emoji:noto:32", data.Spec("emoji:noto", resolution=32)),
        ("zip:/a/b.zip:all", data.Spec("zip:/a/b.zip", split="all")),
        ("folder:C:/pictures:64", data.Spec("folder:C:/pictures", resolution=64)),
        ("mnist", data.Spec("mnist")),
    ],
)
def test_specs(text, spec):
    assert data.Spec.parse(text) == spec


def test_specs_with_unknown_crops_and_sets_that_are_not_cropped():
    with pytest.raises(InputError, match="Unknown crop '141'"):
        data.Spec.parse("celeba:crop141:64")
    with pytest.raises(InputError, match="is not cropped"):
        data.load("mnist", crop="178")
    assert data.Spec.parse("emoji:noto:32:test").load().images.shape[1:] == (3, 32, 32)
    with pytest.raises(InputError, match="two domains"):
        data.load("horse2zebra")


def test_an_unreadable_face_shifts_no_split(root, small_celeba):
    folder = root / "celeba"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
        for i in range(7):
            archive.writestr(f"img_align_celeba/{i + 1:06}.jpg", b"" if i == 1 else picture((30 * i, 0, 0)))
    found = {split: data.load("celeba", split=split).images for split in ("train", "valid", "test")}
    red = {split: [round(image[0].mean() / 30) for image in images] for split, images in found.items()}
    assert red == {"train": [0, 2, 3], "valid": [4], "test": [5, 6]}


def test_files_put_there_by_hand_are_checked_on_first_use(root, monkeypatch):
    monkeypatch.setattr(sets, "verify_once", fetch.verify_once)
    folder = root / "fashion_mnist"
    folder.mkdir(parents=True)
    for name in ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"):  # MNIST's files have these names too
        (folder / name).write_bytes((embedded.EMBEDDED / "mnist" / name).read_bytes())
    with pytest.raises(DataError, match="damaged or another file"):
        data.load("fashion_mnist")


def test_a_checked_file_is_not_read_again_until_it_changes(tmp_path, monkeypatch):
    path = tmp_path / "set.bin"
    path.write_bytes(b"content")
    file = fetch.RemoteFile("set.bin", (), hashlib.sha256(b"content").hexdigest(), 7)
    assert fetch.verify_once(file, path) == path
    monkeypatch.setattr(fetch, "sha256_of", lambda path: pytest.fail("read again"))
    fetch.verify_once(file, path)
    monkeypatch.undo()
    path.write_bytes(b"changed")
    with pytest.raises(DataError, match="damaged or another file"):
        fetch.verify_once(file, path)


def test_a_split_in_the_name_is_no_split():
    with pytest.raises(InputError, match="split='test'"):
        data.load("mnist:test")
    with pytest.raises(InputError, match="got resolution=0"):
        data.load("mnist:0")
    assert data.Spec.parse("folder:train") == data.Spec("folder:train")
    assert data.Spec.parse("folder:cropped") == data.Spec("folder:cropped")
    assert data.Spec.parse("celeba:²").name == "celeba:²"


def test_a_data_root_does_not_hide_the_embedded_sets(root):
    assert len(data.Spec("mnist", split="test").load(root=root).images) == 10000


def test_own_pictures_stay_memory_mapped_in_every_split(tmp_path):
    name = own(tmp_path, *(f"{i}/photo.png" for i in range(60)))  # one name in every folder
    train, test = data.load(name, resolution=4), data.load(name, split="test", resolution=4)
    assert len(train.images) + len(test.images) == 60 and len(test.images) > 0
    for part in (train, test):
        assert isinstance(part.images.base, np.memmap)
        assert [int(image[0, 0, 0]) for image in part.images] == [int(part.classes[i]) for i in part.labels]
