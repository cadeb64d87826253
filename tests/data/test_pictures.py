"""Folders, zips and LMDBs of pictures, and every kind of file that a user's folder holds."""

import contextlib
import io
import zipfile

import lmdb
import numpy as np
import pytest
from PIL import Image

from ganbook.data.pictures import Folder, Lmdb, Place, Zip, decode, labels_of, leads_outside
from ganbook.errors import DataError

RED = Image.new("RGB", (8, 6), (200, 30, 40))


def content(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def pixel(data: bytes) -> tuple[int, ...]:
    return decode(data).getpixel((0, 0))


def test_folder_lists_pictures_in_order_of_their_names_and_counts_the_rest(tmp_path):
    for name in ("b/2.png", "a/1.PNG", "a/0.jpeg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        RED.save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden.png").write_bytes(content(RED))
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "x.png").write_bytes(b"")
    place = Folder(tmp_path)
    assert isinstance(place, Place)
    assert place.names == ["a/0.jpeg", "a/1.PNG", "b/2.png"]
    assert place.ignored == 3
    assert pixel(place.read(2)) == (200, 30, 40)
    before = place.fingerprint
    Image.new("RGB", (9, 9)).save(tmp_path / "b" / "2.png")
    assert Folder(tmp_path).fingerprint != before


def test_links_that_lead_outside_are_left_alone(tmp_path):
    secret = tmp_path / "secret.png"
    RED.save(secret)
    folder = tmp_path / "set"
    folder.mkdir()
    RED.save(folder / "own.png")
    (folder / "escape.png").symlink_to(secret)
    (folder / "class").symlink_to(secret.parent, target_is_directory=True)
    (folder / "dangling.png").symlink_to(folder / "gone.png")
    place = Folder(folder)
    assert place.names == ["own.png"] and place.ignored == 3


def test_zip_is_read_in_place(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("faces/2.png", content(RED))
        archive.writestr("faces/1.png", content(Image.new("RGB", (3, 3), "blue")))
        archive.writestr("faces/readme.txt", "hello")
    place = Zip(tmp_path / "set.zip")
    assert place.names == ["faces/1.png", "faces/2.png"] and place.ignored == 1
    assert pixel(place.read(0)) == (0, 0, 255)


@pytest.mark.parametrize("name", ["../evil.png", "/etc/evil.png", "a/../../evil.png", "..\\evil.png", "C:\\evil.png"])
def test_zip_slip_is_refused(tmp_path, name):
    assert leads_outside(name)
    path = tmp_path / "slip.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), content(RED))
    if "\\" in name:  # zipfile keeps these as plain names on POSIX, Windows would not
        assert zipfile.ZipFile(path).namelist() == [name]
    with pytest.raises(DataError, match="points outside the archive"):
        Zip(path)


def test_places_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="There is no folder"):
        Folder(tmp_path / "none")
    with pytest.raises(DataError, match="There is no picture in .* \\(0 other files\\)"):
        Folder(tmp_path)
    with pytest.raises(DataError, match="There is no file"):
        Zip(tmp_path / "none.zip")
    (tmp_path / "bad.zip").write_bytes(b"PK no")
    with pytest.raises(DataError, match="not a readable zip"):
        Zip(tmp_path / "bad.zip")
    with pytest.raises(DataError, match=r"no data\.mdb"):
        Lmdb(tmp_path)
    (tmp_path / "data.mdb").write_bytes(b"x" * 10000)
    with pytest.raises(DataError, match="cannot be read"):
        Lmdb(tmp_path)


def test_lmdb_as_lsun_is_published(tmp_path):
    make_lmdb(
        tmp_path / "church", {b"k2": content(RED, "WEBP", lossless=True), b"k1": content(Image.new("RGB", (4, 4)))}
    )
    place = Lmdb(tmp_path / "church")
    assert place.names == ["k1", "k2"]
    assert pixel(place.read(1)) == (200, 30, 40)


def make_lmdb(folder, entries):
    folder.mkdir(parents=True)
    with lmdb.open(str(folder), map_size=1 << 20) as environment, environment.begin(write=True) as transaction:
        for key, value in entries.items():
            transaction.put(key, value)


def test_every_mode_becomes_rgb():
    grey16 = Image.fromarray(np.full((5, 5), 257 * 100, np.uint16))
    transparent = Image.new("RGBA", (5, 5), (255, 0, 0, 0))
    half = Image.new("RGBA", (5, 5), (0, 0, 0, 128))
    assert pixel(content(Image.new("L", (5, 5), 77))) == (77, 77, 77)
    assert pixel(content(grey16)) == (100, 100, 100)
    assert pixel(content(transparent)) == (255, 255, 255)
    assert pixel(content(half)) == (127, 127, 127)
    assert pixel(content(Image.new("LA", (5, 5), (10, 255)))) == (10, 10, 10)
    assert pixel(content(Image.new("CMYK", (5, 5), (0, 0, 0, 0)), "TIFF")) == (255, 255, 255)
    assert pixel(content(RED.convert("P"), "GIF")) == pytest.approx((200, 30, 40), abs=30)
    assert pixel(content(Image.new("1", (5, 5), 1))) == (255, 255, 255)


def test_exif_rotation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side
    wide = Image.new("RGB", (8, 4))
    wide.putpixel((0, 0), (255, 255, 255))
    upright = decode(content(wide, exif=exif))
    assert upright.size == (4, 8)
    assert upright.getpixel((3, 0)) == (255, 255, 255)


@pytest.mark.parametrize(
    "broken",
    [b"", b"not a picture", content(Image.effect_noise((64, 64), 50), "JPEG")[:900], content(RED)[:40]],
    ids=["empty", "text", "truncated JPEG", "truncated PNG"],
)
def test_broken_files_are_one_kind_of_error(broken):
    with pytest.raises(OSError, match=".+"):
        decode(broken)


def test_labels_are_the_folders():
    labels, classes = labels_of(["set/cat/1.png", "set/dog/1.png", "set/cat/2.png"])
    assert labels.tolist() == [0, 1, 0] and classes == ("cat", "dog")
    labels, classes = labels_of(["train/cat/1.png", "train/dog/1.png", "test/cat/2.png"])
    assert labels.tolist() == [0, 1, 0] and classes == ("cat", "dog")
    labels, classes = labels_of(["set/car/train/1.png", "set/ship/1.png"])  # a class may be called train
    assert labels.tolist() == [0, 1] and classes == ("car", "ship")
    assert labels_of(["faces/1.png", "faces/2.png"]) == (None, ())  # one class is none
    assert labels_of(["train/1.png", "test/2.png"]) == (None, ())
    assert labels_of(["1.png", "cat/2.png"]) == (None, ())


def test_damage_inside_a_zip_is_an_unreadable_picture(tmp_path):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("1.png", content(RED))
    path.write_bytes(path.read_bytes().replace(b"IDAT", b"IDAX"))
    with pytest.raises(OSError, match="damaged in the zip"):
        Zip(path).read(0)


def test_damaged_exif_links_in_circles_and_floating_point(tmp_path):
    exif = content(RED, "JPEG", exif=b"Exif\x00\x00M")
    with contextlib.suppress(OSError):  # one kind of error, or a picture
        assert decode(exif).mode == "RGB"
    (tmp_path / "a.png").symlink_to(tmp_path / "b.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "a.png")
    RED.save(tmp_path / "c.png")
    assert Folder(tmp_path).names == ["c.png"]
    dark, bright = (content(Image.fromarray(np.full((2, 2), v, np.uint16))) for v in (255, 65535))
    assert pixel(dark) == (1, 1, 1) and pixel(bright) == (255, 255, 255)
    assert pixel(content(Image.fromarray(np.full((2, 2), 0.5, np.float32)), "TIFF")) == (128, 128, 128)
    with pytest.raises(OSError, match="not finite"):
        decode(content(Image.fromarray(np.full((2, 2), np.nan, np.float32)), "TIFF"))
