"""The photos that arguments name: any file by its name, and of a folder those that every command reads there."""

from pathlib import Path

import pytest

from headswap.errors import ArgumentError
from headswap.photo_paths import explanation_path, find_photos

JPEG = b"\xff\xd8\xff\xe0" + bytes(40)


def test_a_folder_is_read_as_training_reads_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cat").mkdir()
    for name in ("a.jpg", "b.JFIF", "c.jpe", "d", "e.heic"):
        (tmp_path / "cat" / name).write_bytes(JPEG)
    for name in ("._a.jpg", "Thumbs.db", "a.jpg.json"):
        (tmp_path / "cat" / name).write_bytes(b"not a photo")
    photos = find_photos([str(tmp_path)])
    assert [Path(photo.name).name for photo in photos] == [
        "a.jpg",
        "b.JFIF",
        "c.jpe",
        "d",
        "e.heic",
    ]
    assert capsys.readouterr().err == (
        f"headswap: {tmp_path}: passed by 3 files (not photos: 1 .db, 1 .json, 1 hidden)\n"
    )


def test_a_file_given_by_name_is_sent_whatever_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("text")
    (photo,) = find_photos([str(path)])
    assert photo.read() == b"text"


@pytest.mark.parametrize(
    ("name", "said"), [("", "holds no photos"), ("absent", "'.*absent' does not exist")]
)
def test_a_folder_without_photos_is_refused(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        find_photos([str(tmp_path / name)])


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("a/photo.jpg", "000001-photo.png"),
        ("-", "000001--.png"),
        ("s3://bucket/a/50% #1?.jpeg", "000001-50% #1?.png"),
    ],
)
def test_an_explanation_is_named_after_its_photo(tmp_path: Path, name: str, file: str) -> None:
    assert explanation_path(tmp_path, 1, name) == tmp_path / file


@pytest.mark.parametrize("letter", ["x", "\u00e4", "\u732b"])
def test_the_longest_name_of_a_photo_still_has_an_explanation(tmp_path: Path, letter: str) -> None:
    name = letter * (251 // len(letter.encode())) + ".jpg"
    (tmp_path / name).write_bytes(JPEG)
    explanation_path(tmp_path, 1_234_567, name).write_bytes(b"")
