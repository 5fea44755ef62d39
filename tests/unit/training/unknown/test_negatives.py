"""Photos of other things, from a folder of any depth."""

from pathlib import Path

import pytest
from PIL import Image

from training.errors import DataError
from training.unknown.negatives import read_negatives


def save(path: Path, colour: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), colour).save(path)
    return path


def test_every_photo_that_can_be_read_is_one(tmp_path: Path) -> None:
    good = {save(tmp_path / "a.jpg", "red"), save(tmp_path / "deep" / "er" / "b.png", "blue")}
    (tmp_path / "deep" / "broken.jpg").write_bytes(b"\xff\xd8\xff no photo")
    (tmp_path / "notes.txt").write_text("no photo")
    photos = read_negatives(tmp_path)
    assert {photo.path for photo in photos} == good
    assert all(len(photo.sha256) == 64 for photo in photos)


@pytest.mark.parametrize("content", [{}, {"notes.txt": b"text"}, {"a.jpg": b"broken"}])
def test_a_folder_without_a_photo_is_one_sentence(tmp_path: Path, content: dict) -> None:
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError) as caught:
        read_negatives(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_not_there_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone"):
        read_negatives(tmp_path / "gone")
