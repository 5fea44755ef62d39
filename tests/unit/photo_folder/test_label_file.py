"""Labels in a CSV file: its columns, its paths, its splits, and what is wrong with a line."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from photo_folder.errors import FolderError
from photo_folder.label_file import find_listed, tables_in
from tests.unit.photo_folder.conftest import Maker, put


def listed(root: Path, text: str, *, encoding: str = "utf-8") -> list[tuple[str, str, str | None]]:
    table = put(root / "labels.csv", text.encode(encoding))
    files = find_listed(root, table).files
    return [(str(f.path.relative_to(root)), f.class_name, f.split) for f in files]


TWO = [("images/1.jpg", "cat", None), ("images/0.jpg", "dog", None)]


@pytest.mark.parametrize(
    "text",
    [
        "images/0.jpg,dog\nimages/1.jpg,cat\n",
        "path,label\nimages/0.jpg,dog\nimages/1.jpg,cat\n",
        "label,filename\ndog,images/0.jpg\ncat,images/1.jpg\n",
        "file;class\r\nimages/0.jpg;dog\r\n\r\nimages/1.jpg; cat\r\n",
        "image\tlabel\nimages\\0.jpg\tdog\nimages\\1.jpg\tcat\n",
        "file,label\n0.jpg,dog\n1.jpg,cat\n",
        "id,breed\n0,dog\n1,cat\n",
        'id,file,"label",other\n7,0.jpg,"dog",x\n8,1.jpg,"cat",y\n',
        "0.jpg,dog\n0.jpg,dog\n1.jpg,cat\n",
        "\ufefffile,label\n0.jpg,dog\n1.jpg,cat",
    ],
)
def test_a_table_is_read(photos_in: Maker, text: str) -> None:
    assert listed(photos_in("images"), text) == TWO


def test_a_third_column_is_the_split(photos_in: Maker) -> None:
    text = "file,label,split\n0.jpg,cat,Training\n1.jpg,cat,test\n"
    assert listed(photos_in("images"), text) == [
        ("images/1.jpg", "cat", "test"),
        ("images/0.jpg", "cat", "train"),
    ]


def test_paths_may_start_at_the_table(photos_in: Maker, tmp_path: Path) -> None:
    root = photos_in("images")
    table = put(tmp_path / "labels.csv", b"photos/images/0.jpg,cat\n")
    assert [file.path for file in find_listed(root, table).files] == [
        tmp_path / "photos/images/0.jpg"
    ]


def test_a_path_without_a_file_is_kept_for_the_reader_to_report(photos_in: Maker) -> None:
    assert listed(photos_in("images"), "gone.jpg,cat\n") == [("gone.jpg", "cat", None)]


def test_photos_that_are_not_listed_are_named(photos_in: Maker) -> None:
    root = photos_in("images")
    table = put(root / "labels.csv", b"0.jpg,cat\n")
    assert find_listed(root, table).notes == (
        f"1 photo not listed in {table}, not used: {root / 'images' / '1.jpg'}",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("path,label\n", "lists no photo"),
        ("0.jpg\n", "line 1: '0.jpg' has no label"),
        ("0.jpg,cat\n,dog\n", "line 2: ',dog' has no path"),
        ("0.jpg,cat\n0.jpg,dog\n", "line 2 labels '0.jpg' as 'dog', line 1 as 'cat'"),
        ("0.jpg,cat,train\n1.jpg,cat,other\n", "line 2: the split is 'other', line 1 is of 'train'"),
        ("0.jpg,cat,train\n1.jpg,cat\n", "line 2: the split is ''"),
        ("0.jpg,cat\n1.jpg,cat,test\n", "line 2: the split is 'test'; give every line"),
        (f"{'a' * 300}.jpg,cat\n", r"line 1: 'aaa.*' is not a path"),
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_used_is_named(photos_in: Maker, text: str, said: str) -> None:
    with pytest.raises(FolderError, match=said):
        listed(photos_in("images"), text)


def test_a_path_that_may_be_two_photos_is_refused(photos_in: Maker) -> None:
    with pytest.raises(FolderError, match=r"'0\.jpg' may be .*a/0\.jpg or .*b/0\.jpg"):
        listed(photos_in("a", "b"), "0.jpg,cat\n")


def test_a_table_in_another_encoding_is_refused(photos_in: Maker) -> None:
    with pytest.raises(FolderError, match="is not UTF-8"):
        listed(photos_in("images"), "0.jpg,café\n", encoding="latin-1")


def test_a_table_that_is_not_there_is_refused(photos_in: Maker) -> None:
    root = photos_in("images")
    with pytest.raises(FolderError, match="cannot be read: No such file"):
        find_listed(root, root / "absent.csv")


def test_tables_beside_the_photos_are_listed(photos_in: Maker) -> None:
    root = photos_in("images")
    put(root / "Labels.CSV", b"")
    put(root / "notes.txt", b"")
    assert tables_in(root) == [root / "Labels.CSV"]


@given(data=st.binary(max_size=80))
@settings(
    max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_any_bytes_are_a_table_or_are_refused(photos_in: Maker, data: bytes) -> None:
    root = photos_in("images")
    table = put(root / "labels.csv", data)
    with suppress(FolderError):
        assert find_listed(root, table).files
