"""States survive the round trip, and a failing write loses nothing."""

import errno
import os
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save

from ganbook import checkpoint
from ganbook.errors import DataError

MODEL = "m.safetensors"


def test_round_trip_of_nested_state(tmp_path):
    state = {
        "net": {"w": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last), "n": torch.tensor(3)},
        "optimizer": {"state": {0: {"step": torch.tensor(2.0)}, 1: {}}, "groups": [{"lr": 0.1, "betas": [0.5, 0.9]}]},
        "text": "é",
        "none": None,
    }
    checkpoint.save_state(state, tmp_path / "a" / "model.safetensors")
    back = checkpoint.load_state(tmp_path / "a" / "model.safetensors")
    assert torch.equal(back["net"]["w"], state["net"]["w"]) and back["net"]["n"].item() == 3
    assert list(back["optimizer"]["state"]) == [0, 1]
    assert back["optimizer"]["groups"] == [{"lr": 0.1, "betas": [0.5, 0.9]}]
    assert back["text"] == "é" and back["none"] is None
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["model.safetensors"]


def test_missing_and_damaged_files_are_one_clear_sentence(tmp_path):
    with pytest.raises(DataError, match="There is no checkpoint at"):
        checkpoint.load_state(tmp_path / "none")
    path = tmp_path / "m.safetensors"
    checkpoint.save_state({"w": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match="not a readable checkpoint"):
        checkpoint.load_state(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="not a readable checkpoint"):
        checkpoint.load_state(path)


def test_a_changed_bit_is_seen(tmp_path):
    path = tmp_path / "m.safetensors"
    checkpoint.save_state({"w": torch.ones(1000), "on": torch.tensor(True), "b": torch.ones(3).bfloat16()}, path)
    assert checkpoint.load_state(path)["on"]
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a readable checkpoint .its checksum does not match"):
        checkpoint.load_state(path)


def test_a_file_from_before_there_were_checksums_is_read(tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(save({"/w": torch.ones(2)}, metadata={"tree": '{"dict": [["w", {"tensor": "/w"}]]}'}))
    assert torch.equal(checkpoint.load_state(path)["w"], torch.ones(2))


def test_a_safetensors_file_of_another_program_is_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(save({"w": torch.ones(2)}))
    with pytest.raises(DataError, match="not a readable checkpoint .'tree'"):
        checkpoint.load_state(path)


def numbers(folder):
    files = [folder / "m.safetensors", *sorted((folder / "earlier").glob("*"))]
    return [checkpoint.load_state(file)["n"] for file in files if file.exists()]


def test_the_last_k_are_kept_the_youngest_first(tmp_path):
    for n in range(5):
        checkpoint.save_state({"n": n}, tmp_path / "m.safetensors", keep=3)
    assert numbers(tmp_path) == [4, 3, 2]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["1.safetensors", "2.safetensors", "earlier", MODEL]


@pytest.mark.parametrize("call", range(1, 4))
def test_killed_between_any_two_moves_the_newest_that_was_complete_is_found(tmp_path, monkeypatch, call):
    """With three kept a save is three renamings; the process dies before each of them in turn."""
    for n in range(3):
        checkpoint.save_state({"n": n}, tmp_path / MODEL, keep=3)
    real_replace, calls = os.replace, []

    def dies(source, target):
        calls.append(target)
        if len(calls) == call:
            raise KeyboardInterrupt
        real_replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", dies)
        with pytest.raises(KeyboardInterrupt):
            checkpoint.save_state({"n": 3}, tmp_path / MODEL, keep=3)
    assert checkpoint.load_newest(tmp_path / MODEL)[0]["n"] == 2
    (tmp_path / f".{MODEL}.99999.part").write_bytes(b"half")
    checkpoint.sweep(tmp_path / MODEL)
    checkpoint.save_state({"n": 3}, tmp_path / MODEL, keep=3)
    assert checkpoint.load_newest(tmp_path / MODEL)[0]["n"] == 3 and numbers(tmp_path)[:2] == [3, 2]
    assert not list(tmp_path.glob("*.part"))


def test_a_damaged_newest_gives_way_to_the_one_before_with_a_warning(tmp_path):
    for n in range(3):
        checkpoint.save_state({"n": n}, tmp_path / MODEL, keep=3)
    (tmp_path / MODEL).write_bytes(b"torn")
    with pytest.warns(UserWarning, match="m.safetensors is not a readable.*Going on from an earlier one, .*1.safet"):
        state, path = checkpoint.load_newest(tmp_path / MODEL)
    assert state["n"] == 1 and path == tmp_path / "earlier" / "1.safetensors"
    for file in (tmp_path / "earlier").iterdir():
        file.write_bytes(b"")
    with pytest.raises(DataError, match="m.safetensors is not a readable checkpoint"):
        checkpoint.load_newest(tmp_path / MODEL)
    with pytest.raises(DataError, match="There is no checkpoint at"):
        checkpoint.load_newest(tmp_path / "elsewhere" / MODEL)


def test_a_full_disk_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "f"
    checkpoint.write_atomically(path, b"old")

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="no space left on device. Nothing old was lost. Free some space"):
        checkpoint.write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


SMALL_DISK = """
import sys
from pathlib import Path
import torch
from ganbook import checkpoint
from ganbook.errors import DataError

path = Path(sys.argv[1], "m.safetensors")
ballast = Path(sys.argv[1], "ballast")
for n in range(2):
    checkpoint.save_state({"n": n, "w": torch.zeros(10_000)}, path, keep=2)
ballast.write_bytes(bytes(380_000))
try:
    checkpoint.save_state({"n": 2, "w": torch.zeros(10_000)}, path, keep=2)
except DataError as error:
    print(error)
print(checkpoint.load_newest(path)[0]["n"], len(checkpoint.kept(path)), *Path(sys.argv[1]).glob(".*.part"))
ballast.unlink()
checkpoint.save_state({"n": 2, "w": torch.zeros(10_000)}, path, keep=2)
print(checkpoint.load_newest(path)[0]["n"], len(checkpoint.kept(path)))
"""


def test_a_disk_that_really_fills_during_a_checkpoint_costs_nothing(tmp_path):
    """A file system of half a megabyte, mounted in a namespace of the test's own: no privilege is needed for it."""
    namespace = [shutil.which("unshare") or "unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    mount = f"mount -t tmpfs -o size=480k none {tmp_path}"
    try:
        subprocess.run([*namespace, mount], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system of one's own can be mounted here: {error}")
    script = f'{mount} && exec "$0" -c "$1" {tmp_path}'
    done = subprocess.run([*namespace, script, sys.executable, SMALL_DISK], capture_output=True, text=True)
    told, kept, after = done.stdout.splitlines() or ["", "", done.stderr]
    assert "no space left on device. Nothing old was lost. Free some space" in told
    assert kept == "1 2" and after == "2 2"
