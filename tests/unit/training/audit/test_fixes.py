"""Corrected labels: which photos move where, and the new file of labels."""

import csv
import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headswap.cli import main
from photo_folder.label_file import find_listed
from photo_folder.layout import find_labelled
from training.audit.fixes import apply_to_table, read_fixes
from training.errors import AuditError


def photo(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    grid = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(grid).resize((24, 24)).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    photos = tmp_path / "photos"
    for number in range(3):
        for name in ("cat", "dog"):
            photo(photos / name / f"{number}.jpg", seed=2 * number + (name == "dog"))
    return photos


def table_of(folder: Path, *lines: str, encoding: str = "utf-8", delimiter: str = ",") -> Path:
    table = folder.parent / "fixed.csv"
    table.write_text(
        "\n".join(("path,label", *lines)).replace(",", delimiter) + "\n", encoding=encoding
    )
    return table


def paths_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*.jpg")}


@pytest.mark.parametrize(
    ("encoding", "delimiter"), [("utf-8", ","), ("utf-8-sig", ";"), ("utf-16", "\t")]
)
def test_apply_moves_and_undo_moves_back(
    folder: Path, encoding: str, delimiter: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: (folder / path).read_bytes() for path in paths_in(folder)}
    # 0.jpg is in both classes; 1.jpg keeps its label.
    table = table_of(
        folder, "cat/0.jpg,dog", "dog/1.jpg,dog", encoding=encoding, delimiter=delimiter
    )
    assert main(["data", "audit", str(folder), "--apply", str(table)]) == 0
    assert "1 photos moved" in capsys.readouterr().out
    assert paths_in(folder) == set(before) - {"cat/0.jpg"} | {"dog/0-2.jpg"}
    assert (folder / "dog" / "0-2.jpg").read_bytes() == before["cat/0.jpg"]
    assert (folder / "dog" / "0.jpg").read_bytes() == before["dog/0.jpg"]
    assert main(["data", "audit", str(folder), "--undo"]) == 0
    assert {path: (folder / path).read_bytes() for path in paths_in(folder)} == before
    assert main(["data", "audit", str(folder), "--undo"]) == 2
    assert "no move is left to undo" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("train/cat/0.jpg", "train/dog/0.jpg"),
        ("train/cat/film/4/0.jpg", "train/dog/film/4/0.jpg"),
        ("cat/train/0.jpg", "dog/train/0.jpg"),
        ("unpacked/cat/0.jpg", "unpacked/dog/0.jpg"),
    ],
)
def test_a_photo_keeps_its_split_and_the_folders_inside_its_class(
    tmp_path: Path, source: str, target: str
) -> None:
    folder = tmp_path / "photos"
    for number, path in enumerate((source, source.replace("0.jpg", "9.jpg"), target)):
        photo(folder / path.replace("0.jpg", f"{number}.jpg"), seed=number)
    photo(folder / source, seed=9)
    table = table_of(folder, f"{source},dog")
    assert main(["data", "audit", str(folder), "--apply", str(table)]) == 0
    assert (folder / target).exists()
    assert not (folder / source).exists()


def test_a_class_that_a_split_has_no_folder_of_gets_one(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    for path in ("train/cat/1.jpg", "train/dog/2.jpg", "test/cat/3.jpg", "test/cat/4.jpg"):
        photo(folder / path, seed=len(path) + int(path[-5]))
    table = table_of(folder, "test/cat/3.jpg,dog")
    assert main(["data", "audit", str(folder), "--apply", str(table)]) == 0
    assert (folder / "test/dog/3.jpg").exists()
    assert main(["data", "audit", str(folder), "--undo"]) == 0
    assert not (folder / "test/dog").exists()


def test_a_folder_spelled_in_other_bytes_is_the_same_class(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    decomposed = unicodedata.normalize("NFD", "Mütze")
    photo(folder / decomposed / "1.jpg", seed=1)
    photo(folder / "hat & <b>" / "2.jpg", seed=2)
    table = table_of(folder, "hat & <b>/2.jpg," + unicodedata.normalize("NFC", "Mütze"))
    assert main(["data", "audit", str(folder), "--apply", str(table)]) == 0
    assert paths_in(folder) == {f"{decomposed}/1.jpg", f"{decomposed}/2.jpg"}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["cat/9.jpg,dog"], "are not among the photos"),
        (["cat/0.jpg,bird"], "not classes of .*: 'bird'"),
        (["cat/0.jpg,dog", "cat/0.jpg,cat"], "remove one of them"),
        (["cat/0.jpg,"], "has no label"),
        (["../outside.jpg,dog"], "are not among the photos"),
    ],
)
def test_a_table_that_does_not_fit_changes_nothing(
    folder: Path, lines: list[str], message: str
) -> None:
    photo(folder.parent / "outside.jpg")
    before = paths_in(folder)
    with pytest.raises(AuditError, match=message):
        read_fixes(folder, table_of(folder, *lines), find_labelled(folder))
    assert main(["data", "audit", str(folder), "--apply", str(table_of(folder, *lines))]) == 2
    assert paths_in(folder) == before


def test_a_table_that_is_missing_or_in_latin_1_is_an_error(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "audit", str(folder), "--apply", str(folder / "no.csv")]) == 2
    assert "cannot be read" in capsys.readouterr().err
    table = table_of(folder, "cat/0.jpg,Mütze", encoding="latin-1")
    assert main(["data", "audit", str(folder), "--apply", str(table)]) == 2
    assert "not UTF-8" in capsys.readouterr().err


def test_a_link_to_a_photo_that_would_move_is_refused(folder: Path) -> None:
    (folder / "dog" / "link.jpg").symlink_to("../cat/0.jpg")
    before = paths_in(folder)
    table = table_of(folder, "cat/0.jpg,dog")
    assert main(["data", "audit", str(folder), "--apply", str(table)]) == 2
    assert paths_in(folder) == before


def test_a_folder_that_cannot_be_written_is_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # As root, permissions bind nobody: the file system's own answer stands in for them.
    real_link = os.link

    def read_only(source: str, target: Path, **options: bool) -> None:
        if Path(target).parent.name == "dog":
            raise OSError(30, "Read-only file system", str(source), None, str(target))
        real_link(source, target, **options)

    monkeypatch.setattr(os, "link", read_only)
    before = paths_in(folder)
    table = table_of(folder, "cat/0.jpg,dog")
    assert main(["data", "audit", str(folder), "--apply", str(table)]) == 2
    assert "Read-only file system. Nothing was changed" in capsys.readouterr().err
    assert paths_in(folder) == before


def test_a_new_file_of_labels_is_written_beside_the_old_one(folder: Path) -> None:
    labels = folder.parent / "labels.csv"
    lines = ["file;kind;set", *(f"cat/{n}.jpg;cat;train" for n in range(3)), "dog/0.jpg;dog;test"]
    labels.write_text("\n".join(lines).replace("kind", "label"))
    before = labels.read_bytes()
    table = table_of(folder, "cat/0.jpg,dog", "cat/1.jpg,cat")
    names = []
    for _ in range(2):
        count, written = apply_to_table(folder, table, labels)
        assert count == 1
        assert written is not None
        names.append(written.name)
    assert names == ["labels-fixed.csv", "labels-fixed-2.csv"]
    assert labels.read_bytes() == before
    with (folder.parent / "labels-fixed.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["path", "label", "split"]
    assert ["cat/0.jpg", "dog", "train"] in rows
    assert len(find_listed(folder, folder.parent / "labels-fixed.csv").files) == 4
    assert main(["data", "audit", str(folder), "--labels", str(labels), "--undo"]) == 2
