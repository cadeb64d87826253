"""`ganbook data` as a user types it."""

import subprocess
import sys
import zipfile

import pytest
from PIL import Image

from ganbook import cli
from ganbook.data.catalog import CATALOG


@pytest.fixture
def ganbook(tmp_path, monkeypatch, capsys):
    """`ganbook data ARGUMENTS` with a cache of its own."""
    monkeypatch.setenv("GANBOOK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("GANBOOK_DATA", raising=False)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["ganbook", "data", *map(str, arguments)])
        with pytest.raises(SystemExit) as leave:
            cli.main()
        out, err = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, leave.value.code or 0, out, err)

    return run


def test_list_shows_every_set_and_what_is_here(ganbook):
    result = ganbook("list")
    assert result.returncode == 0
    lines = {line.split()[0]: line for line in result.stdout.splitlines() if line.strip()}
    assert set(CATALOG) <= set(lines)
    assert lines["mnist"].endswith("embedded") and lines["celeba"].endswith("no")


def test_info_fetch_verify_and_path(ganbook, tmp_path):
    info = ganbook("info", "celeba").stdout
    assert "non-commercial" in info and "202" not in info.splitlines()[0] and "train 162,770" in info
    assert "nothing to download" in ganbook("fetch", "mnist").stdout
    assert "4 files are as published" in ganbook("verify", "mnist").stdout
    assert ganbook("path", "celeba").stdout.strip() == str(tmp_path / "cache" / "data" / "celeba")
    assert ganbook("path", "celeba", "--root", "/somewhere").stdout.strip() == "/somewhere/celeba"
    missing = ganbook("verify", "celeba")
    assert missing.returncode == 2 and "ganbook data fetch" in missing.stderr and "Traceback" not in missing.stderr
    misspelt = ganbook("info", "celba")
    assert misspelt.returncode == 2 and "Did you mean 'celeba'" in misspelt.stderr


def test_prepare_tells_what_it_left_out(ganbook, tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for i in range(3):
            Image.new("RGB", (20, 20), (i, 0, 0)).save(tmp_path / "x.png")
            archive.write(tmp_path / "x.png", f"{i}.png")
        archive.writestr("broken.png", b"no")
        archive.writestr("notes.txt", "no")
    done = ganbook("prepare", f"zip:{tmp_path / 'set.zip'}:16")
    assert done.returncode == 0, done.stderr
    assert "3 pictures (3, 16, 16)" in done.stdout and "1 unreadable left out, 1 other files" in done.stdout
    assert "left out: broken.png" in done.stdout
    assert ganbook("prepare", "zip:~/set.zip:16").stdout.startswith("zip:set")
    assert "1 prepared arrays" in ganbook("verify").stdout  # the same file by another name is prepared once
    (array,) = (tmp_path / "cache" / "prepared").glob("*/images.npy")
    content = bytearray(array.read_bytes())
    content[-5] ^= 1
    array.write_bytes(content)
    damaged = ganbook("verify")
    assert damaged.returncode == 2 and "is not what was written there" in damaged.stderr
    refused = ganbook("prepare", f"zip:{tmp_path / 'set.zip'}:16", "--on-error", "refuse")
    assert refused.returncode == 2 and "broken.png cannot be used" in refused.stderr
    assert "Traceback" not in refused.stderr
