"""Which files are meant as photos, by name and first bytes."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photo_folder.kinds import ending, is_hidden, is_photo

JPEG = b"\xff\xd8\xff\xe0" + bytes(40)
TIFF = b"II*\x00" + bytes(40)
BMP = b"BM" + bytes(12) + (40).to_bytes(4, "little") + bytes(20)
HEIC = b"\x00\x00\x00\x18ftypheic" + bytes(40)
VIDEO = b"\x00\x00\x00\x18ftypqt  " + bytes(40)


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("a.jpg", b"no photo at all", True),
        ("a.JFIF", b"", True),
        ("a.jpe", b"", True),
        ("a.HEIC", b"", True),
        ("a.jxl", b"", True),
        ("a", JPEG, True),
        ("a.jpg.1", JPEG, True),
        ("a.dat", BMP, True),
        ("a", HEIC, True),
        ("a", b"text", False),
        ("a.txt", b"BMW and Audi are makers of cars, which is text", False),
        ("a.json", b"{}", False),
        ("a.xmp", b"<x:xmpmeta/>", False),
        ("Thumbs.db", b"\xd0\xcf\x11\xe0", False),
        ("a.zip", b"PK\x03\x04", False),
        ("a.mov", VIDEO, False),
        ("a.NEF", TIFF, False),
        ("a.dng", TIFF, False),
        ("a.jpg_original", JPEG, False),
        ("a.crdownload", JPEG, False),
        ("a.jpg~", JPEG, False),
        ("a.tif.ovr", TIFF, False),
        ("a.GPR", TIFF, False),
    ],
)
def test_a_photo_is_known_by_its_name_or_its_first_bytes(
    tmp_path: Path, name: str, data: bytes, expected: bool
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    assert is_photo(path) is expected


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert not is_photo(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("._a.jpg", True),
        (".DS_Store", True),
        ("@eaDir", True),
        ("__MACOSX", True),
        ("$RECYCLE.BIN", True),
        ("__macaw", False),
        ("@home", False),
    ],
)
def test_hidden_names(name: str, expected: bool) -> None:
    assert is_hidden(name) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.JSON", ".json"),
        ("README", "README"),
        ("a.tar.GZ", ".gz"),
        (".a.jpg", "hidden"),
        (".a.HEIC.icloud", ".icloud, not downloaded"),
    ],
)
def test_files_are_counted_by_their_suffix(name: str, expected: str) -> None:
    assert ending(name) == expected


@given(
    st.binary(min_size=1, max_size=40).filter(lambda name: b"/" not in name and b"\0" not in name)
)
def test_any_name_of_a_file_can_be_printed(name: bytes) -> None:
    assert ending(os.fsdecode(name)).encode()
