"""Labels in a table: of any class, all of them or none."""

from pathlib import Path

import pytest

from capture.answers import read_captured
from capture.errors import CaptureError
from capture.label_table import label_listed
from capture.labels import LabelBook
from tests.unit.capture.test_labels import fill


@pytest.fixture
def names(tmp_path: Path) -> list[str]:
    """Return the names of three captured photos."""
    fill(tmp_path, 0.1, 0.2, 0.3)
    return [photo.path.name for photo in read_captured(tmp_path)]


def write(folder: Path, text: str, *, encoding: str = "utf-8") -> Path:
    (folder / "next.csv").write_text(text, encoding=encoding)
    return folder / "next.csv"


def labels(folder: Path) -> dict[str, str | None]:
    return {label.path.name: label.class_name for label in LabelBook(folder).read().values()}


def test_photos_get_the_labels_of_the_table_and_empty_ones_none(
    tmp_path: Path, names: list[str]
) -> None:
    table = write(
        tmp_path,
        f"path,label,predicted\n/elsewhere/{names[0]},a new class,hat\n{names[1]},,hat\n{names[2]},none of these,\n",
    )
    assert label_listed(tmp_path, read_captured(tmp_path), table) == 2
    assert labels(tmp_path) == {names[0]: "a new class", names[2]: None}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_is_read_as_spreadsheets_save_it(
    tmp_path: Path, names: list[str], delimiter: str, encoding: str
) -> None:
    lines = [("path", "label"), (names[0], "hat, old"), (names[1], "h\u00fct")]
    text = "\r\n".join(delimiter.join(f'"{cell}"' for cell in line) for line in lines)
    label_listed(tmp_path, read_captured(tmp_path), write(tmp_path, text, encoding=encoding))
    assert labels(tmp_path) == {names[0]: "hat, old", names[1]: "h\u00fct"}


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ("other.jpg,hat", "line 3: 'other.jpg' is not a photo in"),
        ("{name},a/b", "cannot be the name of a class folder"),
        ("{name},..", "cannot be the name of a class folder"),
    ],
)
def test_where_a_row_cannot_be_nothing_is_labelled(
    tmp_path: Path, names: list[str], second: str, message: str
) -> None:
    table = write(tmp_path, f"path,label\n{names[0]},hat\n{second.format(name=names[1])}\n")
    with pytest.raises(CaptureError, match=message):
        label_listed(tmp_path, read_captured(tmp_path), table)
    assert labels(tmp_path) == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "lacks the column label and path"),
        (b"path,class\nx,hat\n", "lacks the column label;"),
        (b"path,label\n\xff\xfe\x00", "cannot be read"),
    ],
)
def test_another_table_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    table = tmp_path / "next.csv"
    table.write_bytes(content)
    with pytest.raises(CaptureError, match=message):
        label_listed(tmp_path, [], table)
    with pytest.raises(CaptureError, match="No such file"):
        label_listed(tmp_path, [], tmp_path / "nowhere.csv")
