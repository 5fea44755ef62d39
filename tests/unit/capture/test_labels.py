"""Labels of captured photos: listed and linked, taken back, and whole whatever is killed in between."""

import csv
import json
import os
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.answers import read_captured
from capture.errors import CaptureError
from capture.labels import LabelBook, check_class_name
from capture.order import to_review, write_suggested


def fill(folder: Path, *confidences: float, outcome: str = "known") -> list[str]:
    """Write photos with these confidences as the server would, and return their hashes."""
    (folder / "photos").mkdir(exist_ok=True)
    hashes = []
    with (folder / "answers.jsonl").open("a") as file:
        for confidence in confidences:
            data = f"{folder}{confidence}{outcome}".encode()
            hashes.append(sha256(data).hexdigest())
            (folder / "photos" / f"{hashes[-1]}.jpg").write_bytes(data)
            answer = {
                "time": "2026-11-29T00:00:00Z",
                "photo": f"{hashes[-1]}.jpg",
                "sent_sha256": hashes[-1],
                "model": "clothing",
                "version": "1.0",
                "reasons": ["below"],
                "predictions": [{"label": "hat", "index": 0, "probability": confidence}],
                "outcome": outcome,
                "unknown_score": None,
            }
            file.write(json.dumps(answer) + "\n")
    return hashes


def test_the_unknown_and_the_unsure_come_first_and_the_suggested_before_them(
    tmp_path: Path,
) -> None:
    sure, unsure = fill(tmp_path, 0.9, 0.3)
    (unknown,) = fill(tmp_path, 0.8, outcome="unknown")
    assert [photo.sha256 for photo in to_review(tmp_path)] == [unknown, unsure, sure]
    write_suggested(tmp_path, [sure])
    assert [photo.sha256 for photo in to_review(tmp_path)] == [sure, unknown, unsure]


def test_a_label_is_listed_linked_and_no_longer_reviewed(tmp_path: Path) -> None:
    first, second = fill(tmp_path, 0.1, 0.2)
    book = LabelBook(tmp_path)
    photos = to_review(tmp_path)
    book.write(photos[0], "t-shirt, long")
    book.write(photos[1], None)
    with (tmp_path / "labels.csv").open() as file:
        assert list(csv.reader(file)) == [
            ["path", "label"],
            [f"labelled/t-shirt, long/{first}.jpg", "t-shirt, long"],
            [f"none_of_these/{second}.jpg", "none of these"],
        ]
    link = tmp_path / f"labelled/t-shirt, long/{first}.jpg"
    assert link.samefile(tmp_path / f"photos/{first}.jpg")
    assert to_review(tmp_path) == []


def test_another_label_takes_the_place_of_the_first_even_when_the_photo_has_been_evicted(
    tmp_path: Path,
) -> None:
    (name,) = fill(tmp_path, 0.1)
    (photo,) = to_review(tmp_path)
    book = LabelBook(tmp_path)
    book.write(photo, "hat")
    photo.path.unlink()
    book.write(photo, "dress")
    assert [path.parent.name for path in tmp_path.glob("labelled/*/*")] == ["dress"]
    assert book.read()[name].class_name == "dress"


def test_undo_takes_back_the_last_label_and_its_link(tmp_path: Path) -> None:
    fill(tmp_path, 0.1, 0.2)
    book = LabelBook(tmp_path)
    first, second = to_review(tmp_path)
    book.write(first, "hat")
    book.write(second, "dress")
    undone = book.undo()
    assert undone is not None
    assert undone.sha256 == second.sha256
    assert [path.parent.name for path in tmp_path.glob("labelled/*")] == ["labelled"]
    assert to_review(tmp_path) == [second]
    assert book.remove(first.sha256) is not None
    assert book.undo() is None


def test_where_no_link_can_be_made_the_photo_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    fill(tmp_path, 0.1)
    (photo,) = to_review(tmp_path)
    label = LabelBook(tmp_path).write(photo, "hat")
    assert (tmp_path / label.path).read_bytes() == photo.path.read_bytes()


@pytest.mark.parametrize("killed_at", ["link", "atomic_write", "after"])
def test_a_kill_between_link_and_list_loses_no_label_that_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: str
) -> None:
    fill(tmp_path, 0.1, 0.2, 0.3)
    book = LabelBook(tmp_path)
    first, second, third = to_review(tmp_path)
    book.write(first, "hat")
    with monkeypatch.context() as patch:

        def kill(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        if killed_at == "link":
            patch.setattr(os, "link", kill)
        elif killed_at == "atomic_write":
            patch.setattr("capture.labels.atomic_write", kill)
        else:
            patch.setattr(LabelBook, "_remove_unlisted", kill)
        with pytest.raises(KeyboardInterrupt):
            book.write(second, "dress")
    book.write(third, "pants")
    listed = {label.path for label in book.read().values()}
    expected = {"hat", "pants"} | ({"dress"} if killed_at == "after" else set())
    assert {path.parent.name for path in listed} == expected
    # What is linked is what is listed: a half-given label leaves no photo in a class folder.
    assert {path.relative_to(tmp_path) for path in tmp_path.glob("labelled/*/*")} == listed


def test_a_photo_that_a_person_added_by_hand_stays(tmp_path: Path) -> None:
    fill(tmp_path, 0.1)
    own = tmp_path / "labelled/hat/mine.jpg"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"mine")
    (photo,) = to_review(tmp_path)
    LabelBook(tmp_path).write(photo, "hat")
    LabelBook(tmp_path).undo()
    assert own.read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["", " hat", "..", "a/b", ".hidden", "a\nb", "x" * 256, "\udcff"])
def test_a_name_that_cannot_be_a_folder_is_refused_and_nothing_is_written(
    tmp_path: Path, name: str
) -> None:
    fill(tmp_path, 0.1)
    (photo,) = to_review(tmp_path)
    with pytest.raises(CaptureError, match="cannot be the name of a class folder"):
        LabelBook(tmp_path).write(photo, name)
    assert not (tmp_path / "labels.csv").exists()


@settings(max_examples=25, deadline=None)
@given(name=st.text(max_size=300))
def test_every_allowed_name_is_read_back_as_the_same_class(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    try:
        check_class_name(name)
    except CaptureError:
        return
    folder = tmp_path_factory.mktemp("capture")
    (sha,) = fill(folder, 0.1)
    LabelBook(folder).write(to_review(folder)[0], name)
    assert LabelBook(folder).read()[sha].class_name == name


@pytest.mark.parametrize(
    "text", ["", "photo;label\n", "path,label\nlabelled/hat/a.jpg,dress\n", "path,label\n../a,b\n"]
)
def test_a_damaged_list_is_refused_rather_than_overwritten(tmp_path: Path, text: str) -> None:
    fill(tmp_path, 0.1)
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(CaptureError, match=r"labels\.csv"):
        LabelBook(tmp_path).write(read_captured(tmp_path)[0], "hat")
    assert (tmp_path / "labels.csv").read_text() == text


@settings(max_examples=25, deadline=None)
@given(line=st.binary(max_size=200))
def test_a_damaged_line_of_the_answers_is_passed_by(
    line: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("capture")
    fill(folder, 0.5)
    with (folder / "answers.jsonl").open("ab") as file:
        file.write(line + b"\n")
    fill(folder, 0.6)
    assert [photo.confidence for photo in read_captured(folder)] == [0.5, 0.6]


def test_a_folder_without_answers_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=r"has no answers\.jsonl"):
        read_captured(tmp_path)
