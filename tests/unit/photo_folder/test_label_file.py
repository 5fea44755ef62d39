"""Labels in a CSV file: its columns, its paths, its splits, and what is wrong with a line."""

import re
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
        "Image,Kind\n0.jpg,dog\n1.jpg,cat\n",
        "kind,image\ndog,0\ncat,1\n",
        "fname,kind\n0.jpg,dog\n1.jpg,cat\n",
        "0.jpg,dog\n1.jpg,cat\n",
        "0.JPG,dog\nIMAGES/1.jpg,cat\n",
        "/home/ann/data/images/0.jpg,dog\nC:\\data\\images\\1.jpg,cat\n",
        "image_id,dx,dataset\n0,dog,hospital\n1,cat,clinic\n",
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


def test_a_table_of_excel_in_utf_16_is_read(photos_in: Maker) -> None:
    text = "file\tlabel\n0.jpg\tdög\n1.jpg\tcat\n"
    assert listed(photos_in("images"), text, encoding="utf-16") == [
        TWO[0],
        ("images/0.jpg", "dög", None),
    ]


def test_names_in_two_spellings_of_unicode_are_equal(photos_in: Maker) -> None:
    root = photos_in("images")
    put(root / "images" / "cafe\u0301.jpg")
    assert listed(root, "caf\u00e9.jpg,cat\n") == [("images/cafe\u0301.jpg", "cat", None)]


def test_what_is_spelled_alike_comes_before_other_capitals(photos_in: Maker) -> None:
    root = photos_in("images")
    put(root / "images" / "A.jpg")
    put(root / "images" / "a.jpg")
    assert listed(root, "A.jpg,cat\n") == [("images/A.jpg", "cat", None)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fname,kind\n0.jpg,dog\n1.jpg,cat\n", "line 1 of .* names no photo, so 'fname' and 'kind' are read as"),
        ("image,dx,dataset\n0,dog,x\n1,cat,y\n", "the column 'dataset' of .* holds no split"),
    ],
)  # fmt: skip
def test_how_a_table_was_read_is_said(photos_in: Maker, text: str, said: str) -> None:
    root = photos_in("images")
    (note,) = find_listed(root, put(root / "labels.csv", text.encode())).notes
    assert re.search(said, note)


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
        ("image,MEL,NV,BCC\n0,1.0,0.0,0.0\n", "which of the columns 'image', 'MEL', 'NV', 'BCC' is the label"),
        ("id,kind,split\n0,dog,train\n", "columns 'id', 'kind', 'split' is the label"),
        ("file,label,split\n0.jpg,cat,a\n1.jpg,dog,b\n", "line 2: the split is 'a'"),
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
