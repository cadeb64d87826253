"""Streaming, choosing, caching: statistics do not depend on batches, and nothing grows with the number of pictures."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from ganbook.data import ImageSet
from ganbook.data.pictures import Folder
from ganbook.errors import DataError, InputError
from ganbook.evaluation import features as module
from ganbook.evaluation.features import (
    FilePictures,
    SetPictures,
    class_shares,
    drawn_labels,
    reference_statistics,
    statistics,
    to_bytes,
)


class Corners:
    """Four pixels as features: a network that needs no weights."""

    name, sha256, dim = "corners", "0" * 64, 4
    calls = 0

    def features(self, images):
        type(self).calls += 1
        return images[:, 0, ::3, ::3].flatten(1).float()

    def logits(self, features):
        return features


def images(n=57, side=4, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (n, 3, side, side), dtype=np.uint8)
    return ImageSet(f"random{seed}", "all", pixels, None, (), "as stored", f"{seed}" * 64)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GANBOOK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Corners, "calls", 0)
    return tmp_path / "cache"


def test_batches_and_blocks_make_no_difference():
    expected = torch.from_numpy(images().images)[:, 0, ::3, ::3].flatten(1).double()
    for batch_size, blocks in ((1, 1), (10, 4), (100, 10)):
        found = statistics(SetPictures(images()), Corners(), batch_size=batch_size, blocks=blocks, progress=False)
        assert found.n == 57 and len(found.blocks) == blocks
        torch.testing.assert_close(found.moments.mean, expected.mean(0))
        torch.testing.assert_close(found.moments.covariance, torch.cov(expected.T))
        assert sorted(part.n for part in found.blocks)[0] >= 57 // blocks
        assert sorted(map(tuple, found.rows.tolist())) == sorted(map(tuple, expected.tolist()))


def test_kept_rows_are_a_seeded_choice_without_repetition(monkeypatch):
    whole = statistics(SetPictures(images()), Corners(), progress=False)
    kept = statistics(SetPictures(images()), Corners(), keep=20, batch_size=7, progress=False)
    assert torch.equal(kept.rows, whole.rows[:20]) and kept.n == 57


MEMORY = """
import resource, sys, torch
from ganbook.evaluation.features import statistics

class Corners:
    name, sha256, dim = "corners", "", 4
    def features(self, images):
        return images[:, 0, ::63, ::63].flatten(1).float()

class Drawn:
    name, n, labels = "drawn", int(sys.argv[1]), ""
    def batches(self, size):
        for start in range(0, self.n, size):
            yield torch.full((min(size, self.n - start), 3, 64, 64), start % 251, dtype=torch.uint8)

assert statistics(Drawn(), Corners(), keep=100, blocks=10, progress=False).n == Drawn.n
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.long
def test_peak_memory_does_not_grow_with_the_number_of_pictures():
    peaks = []
    for n in (1000, 41000):  # the second set is 490 MB larger
        done = subprocess.run([sys.executable, "-c", MEMORY, str(n)], capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout) / 1024)
    assert peaks[1] - peaks[0] < 60  # MB


def test_a_limit_chooses_by_seed():
    one, two = SetPictures(images(), 20), SetPictures(images(), 20, seed=1)
    first = torch.cat(list(one.batches(7)))
    assert len(first) == one.n == 20
    assert torch.equal(first, torch.cat(list(one.batches(20))))
    assert not torch.equal(first, torch.cat(list(two.batches(20))))
    assert len(np.unique(first.numpy(), axis=0)) == 20


def test_reference_statistics_are_computed_once_per_protocol(cache):
    first = reference_statistics(SetPictures(images()), Corners(), progress=False)
    calls = Corners.calls
    again = reference_statistics(SetPictures(images()), Corners(), progress=False)
    assert Corners.calls == calls
    assert torch.equal(first.moments.covariance, again.moments.covariance) and torch.equal(first.rows, again.rows)
    reference_statistics(SetPictures(images(), 30), Corners(), progress=False)
    reference_statistics(SetPictures(images(seed=1)), Corners(), progress=False)
    assert len(list((cache / "references").iterdir())) == 3


def test_the_cache_sees_the_pixels_and_not_the_name():
    first = reference_statistics(SetPictures(images()), Corners(), progress=False)
    renamed = replace(images(seed=1), name="random0", sha256="0" * 64)
    assert not torch.equal(first.rows, reference_statistics(SetPictures(renamed), Corners(), progress=False).rows)


def test_a_cache_with_too_few_rows_is_made_anew(cache):
    first = reference_statistics(SetPictures(images()), Corners(), progress=False)
    (path,) = (cache / "references").iterdir()
    tensors = load_file(path)
    save_file({**tensors, "rows": tensors["rows"][:5].clone()}, path)
    assert reference_statistics(SetPictures(images()), Corners(), progress=False).rows.shape == first.rows.shape


def test_labels_are_drawn_as_often_as_in_the_data():
    labelled = replace(images(100), labels=np.array([0] * 90 + [1] * 10), classes=("a", "b", "c"))
    shares = class_shares(labelled)
    assert shares.tolist() == pytest.approx([0.9, 0.1, 0.0])
    drawn = torch.bincount(drawn_labels(shares, 10000, seed=1), minlength=3) / 10000
    assert drawn.tolist() == pytest.approx([0.9, 0.1, 0.0], abs=0.02)
    assert class_shares(images()) is None


def test_a_damaged_cache_is_made_anew(cache):
    first = reference_statistics(SetPictures(images()), Corners(), progress=False)
    (path,) = (cache / "references").iterdir()
    path.write_bytes(path.read_bytes()[:100])
    again = reference_statistics(SetPictures(images()), Corners(), progress=False)
    assert torch.equal(first.moments.mean, again.moments.mean)


def test_picture_files_are_taken_as_they_are(tmp_path):
    for i in range(5):
        Image.new("RGB", (6, 6), (i, 0, 0)).save(tmp_path / f"{i}.png")
    Image.new("L", (6, 6), 9).save(tmp_path / "5.png")
    pictures = FilePictures("set", Folder(tmp_path))
    batch = torch.cat(list(pictures.batches(4)))
    assert batch.shape == (6, 3, 6, 6) and batch[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 9]
    assert pictures.lossy == 0 and FilePictures("set", Folder(tmp_path), 3).n == 3
    some = torch.cat(list(FilePictures("set", Folder(tmp_path), 3).batches(2)))[:, 0, 0, 0].tolist()
    assert len(set(some)) == 3 and some != [0, 1, 2]
    Image.new("RGB", (7, 6)).save(tmp_path / "6.png")
    with pytest.raises(DataError, match=r"6\.png is 7 x 6 pixels, the first 6 x 6"):
        list(FilePictures("set", Folder(tmp_path)).batches(4))
    (tmp_path / "6.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"6\.png of set cannot be read: the file is empty"):
        list(FilePictures("set", Folder(tmp_path)).batches(4))


def test_bytes_are_rounded_and_nan_is_refused():
    values = torch.tensor([[-1.0, 0.0, 1.0, 1.2, 0.0039]]).reshape(1, 1, 1, 5)
    assert to_bytes(values, "x").flatten().tolist() == [0, 128, 255, 255, 128]
    with pytest.raises(InputError, match="not finite"):
        to_bytes(values * float("nan"), "run")


def test_one_picture_is_no_distribution():
    with pytest.raises(InputError, match="at least 2"):
        statistics(SetPictures(images(1)), Corners(), progress=False)
    assert module.KEPT >= 10_000
