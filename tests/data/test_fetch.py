"""Downloads from a server of our own: mirrors, resuming, wrong bytes, quota pages, kill -9, archives that mean harm."""

import contextlib
import hashlib
import http.server
import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from dataclasses import dataclass, field

import pytest

from ganbook.data.fetch import RemoteFile, data_root, extract, fetch, verify
from ganbook.errors import DataError

CONTENT = bytes(range(256)) * 4000


@dataclass
class Server:
    """What the loopback server does, by path, and which requests it got."""

    url: str = ""
    ranges: list[str | None] = field(default_factory=list)
    mended: bool = False


@pytest.fixture
def server():
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            wanted = self.headers.get("Range")
            state.ranges.append(wanted)
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
            kind = self.path.strip("/")
            if kind == "missing":
                return self.send_error(404)
            body = {"quota": b"<html>too many users</html>", "wrong": CONTENT[::-1]}.get(kind, CONTENT)
            if kind == "norange":
                start = 0
            self.send_response(206 if start else 200)
            self.send_header("Content-Type", "text/html" if kind == "quota" else "application/octet-stream")
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            if kind == "broken" and not state.mended:
                self.wfile.write(body[start : start + 300_000])
                self.wfile.flush()
                self.connection.close()
            elif kind == "slow" and not state.mended:
                for i in range(start, len(body), 50_000):
                    self.wfile.write(body[i : i + 50_000])
                    self.wfile.flush()
                    time.sleep(0.3)
            else:
                self.wfile.write(body[start:])

        def log_message(self, *args):
            pass

        def handle(self):
            with contextlib.suppress(BrokenPipeError, ConnectionResetError, ValueError):
                super().handle()

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    state.url = f"http://127.0.0.1:{httpd.server_address[1]}"
    yield state
    httpd.shutdown()
    httpd.server_close()


def remote(server, *paths):
    urls = tuple(f"{server.url}/{path}" for path in paths)
    return RemoteFile("set.bin", urls, hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


def test_a_file_comes_once(server, tmp_path):
    file = remote(server, "good")
    path = fetch(file, tmp_path / "set", progress=False)
    assert path.read_bytes() == CONTENT
    fetch(file, tmp_path / "set", progress=False)
    assert len(server.ranges) == 1
    assert [p.name for p in (tmp_path / "set").iterdir()] == ["set.bin"]
    verify(file, path)


@pytest.mark.parametrize("first", ["missing", "quota", "wrong"])
def test_the_next_mirror_is_tried(server, tmp_path, first):
    path = fetch(remote(server, first, "good"), tmp_path, progress=False)
    assert path.read_bytes() == CONTENT


def test_a_broken_download_is_continued_not_begun_again(server, tmp_path):
    with pytest.raises(DataError, match="could not be downloaded"):
        fetch(remote(server, "broken"), tmp_path, progress=False)
    assert not (tmp_path / "set.bin").exists()
    (part,) = tmp_path.glob("*.part")
    have = part.stat().st_size
    assert 0 < have < len(CONTENT)
    server.mended = True
    assert fetch(remote(server, "broken"), tmp_path, progress=False).read_bytes() == CONTENT
    assert server.ranges[-1] == f"bytes={have}-" and not list(tmp_path.glob("*.part"))


def test_what_one_mirror_sent_is_not_continued_from_another(server, tmp_path):
    assert fetch(remote(server, "broken", "good"), tmp_path, progress=False).read_bytes() == CONTENT
    assert server.ranges == [None, None]


def test_a_server_without_ranges_sends_all_of_it_again(server, tmp_path):
    with pytest.raises(DataError):
        fetch(remote(server, "broken"), tmp_path, progress=False)
    (part,) = tmp_path.glob("*.part")
    mirror = hashlib.sha256(f"{server.url}/norange".encode()).hexdigest()[:8]
    part.rename(tmp_path / f"set.bin.{mirror}.part")
    assert fetch(remote(server, "norange"), tmp_path, progress=False).read_bytes() == CONTENT


def test_when_all_fail_the_error_says_what_to_do_by_hand(server, tmp_path):
    with pytest.raises(DataError) as caught:
        fetch(remote(server, "missing", "quota", "wrong"), tmp_path, progress=False)
    text = str(caught.value)
    assert "the server answered 404" in text and "quota or login" in text and "other bytes than published" in text
    assert f"put it at {tmp_path / 'set.bin'}" in text and hashlib.sha256(CONTENT).hexdigest() in text
    assert not (tmp_path / "set.bin").exists()


def test_no_connection_is_said_in_two_words(tmp_path):
    file = RemoteFile("set.bin", ("http://127.0.0.1:9/none",), "0" * 64, 10)
    with pytest.raises(DataError, match="no connection"):
        fetch(file, tmp_path, progress=False)


FETCH = """
import sys
from pathlib import Path
from ganbook.data.fetch import RemoteFile, fetch
fetch(RemoteFile("set.bin", (sys.argv[1],), sys.argv[2], int(sys.argv[3])), Path(sys.argv[4]), progress=False)
"""


def test_kill_minus_nine_while_downloading_then_success(server, tmp_path, monkeypatch):
    file = remote(server, "slow")
    arguments = [file.urls[0], file.sha256, str(file.size), str(tmp_path)]
    program = FETCH.replace("import sys\n", "import sys\nimport ganbook.data.fetch as f; f.CHUNK = 50_000\n", 1)
    process = subprocess.Popen([sys.executable, "-c", program, *arguments])
    deadline = time.monotonic() + 60
    try:
        while not any(part.stat().st_size for part in tmp_path.glob("*.part")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    (part,) = tmp_path.glob("*.part")
    assert not (tmp_path / "set.bin").exists() and part.stat().st_size < len(CONTENT)
    server.mended = True
    assert fetch(file, tmp_path, progress=False).read_bytes() == CONTENT
    assert server.ranges[-1] is not None


def test_a_changed_file_is_noticed(server, tmp_path):
    file = remote(server, "good")
    with pytest.raises(DataError, match=r"There is no .*set\.bin"):
        verify(file, tmp_path / "set.bin")
    (tmp_path / "set.bin").write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(DataError, match="damaged or another file"):
        verify(file, tmp_path / "set.bin")


def test_archives_unpack_whole_or_not_at_all(tmp_path):
    with zipfile.ZipFile(tmp_path / "good.zip", "w") as archive:
        archive.writestr("a/b.txt", "hello")
    assert (extract(tmp_path / "good.zip", tmp_path / "good") / "a" / "b.txt").read_text() == "hello"
    whole = (tmp_path / "good.zip").read_bytes()
    (tmp_path / "bad.zip").write_bytes(whole.replace(b"hello", b"hellO"))
    with pytest.raises(DataError, match="cannot be unpacked"):
        extract(tmp_path / "bad.zip", tmp_path / "bad")
    assert not (tmp_path / "bad").exists()


def test_archives_that_mean_harm_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "slip.zip", "w") as archive:
        archive.writestr("../evil.txt", "x")
    with tarfile.open(tmp_path / "slip.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("../evil.txt"), io.BytesIO())
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(tmp_path / "link.tar", "w") as archive:
        archive.addfile(link)
    for name in ("slip.zip", "slip.tar", "link.tar"):
        with pytest.raises(DataError, match="points outside|cannot be unpacked"):
            extract(tmp_path / name, tmp_path / "out" / name.replace(".", "-"))
    assert not list(tmp_path.rglob("evil.txt")) and not list((tmp_path / "out").rglob("link"))


def test_data_root(tmp_path, monkeypatch):
    monkeypatch.setenv("GANBOOK_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GANBOOK_DATA", raising=False)
    assert data_root() == tmp_path / "cache" / "data"
    monkeypatch.setenv("GANBOOK_DATA", str(tmp_path / "named"))
    assert data_root() == tmp_path / "named"
    assert data_root(tmp_path) == tmp_path
    assert os.fspath(data_root("x")) == "x"
