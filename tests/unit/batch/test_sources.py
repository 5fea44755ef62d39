"""Photos found lazily: in order, each folder once, in object stores by address; a sentence where there are none."""

import os
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.errors import SourceError
from batch.listing import write_listing
from batch.sources import Entry, list_photos
from photo_folder.photos import find_photos
from photo_folder.tree import FolderWalk
from tests.unit.photo_folder.conftest import JPEG, Maker, put


def names(*sources: str | Path) -> list[str]:
    return [entry.name for entry in list_photos([str(source) for source in sources], print)]


paths = st.lists(
    st.lists(st.text(string.ascii_lowercase + " %#'\n", min_size=1, max_size=4), min_size=1, max_size=4),
    min_size=1, max_size=12,
)  # fmt: skip


@given(files=paths)
def test_a_folder_is_listed_as_training_finds_it(
    files: list[list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("tree")
    for parts in files:
        put(root.joinpath(*parts[:-1]) / f"{parts[-1]}.jpg")
    assert names(root) == [str(path) for path in find_photos(root).paths]


def test_links_are_followed_once(photos_in: Maker, tmp_path: Path) -> None:
    root = photos_in("cat")
    put(tmp_path / "disk" / "more.jpg")
    (tmp_path / "disk" / "back").symlink_to(root)
    (root / "cat" / "disk").symlink_to(tmp_path / "disk")
    (root / "cat" / "loop").symlink_to(root / "cat")
    found = [str(Path(name).relative_to(root)) for name in names(root)]
    assert found == ["cat/0.jpg", "cat/1.jpg", "cat/disk/more.jpg"]


def test_sources_that_overlap_give_each_photo_once(photos_in: Maker) -> None:
    root = photos_in("cat", "dog")
    file = root / "dog" / "1.jpg"
    found = names(root / "cat", file, root)
    assert found == [*names(root / "cat"), str(file), str(root / "dog" / "0.jpg")]


def test_a_walk_holds_no_photos_of_the_folders_it_has_left(photos_in: Maker) -> None:
    root = photos_in("a", "b")
    walk = FolderWalk().stream(root)
    first = next(walk)
    assert first.path == root
    assert not any(folder.photos for folder in first.folders)
    assert [folder.name for folder in walk] == ["a", "b"]


def test_what_was_passed_by_is_said_once(
    photos_in: Maker, capsys: pytest.CaptureFixture[str]
) -> None:
    root = photos_in("cat", "dog")
    put(root / "cat" / "a.json", b"{}")
    put(root / "dog" / "b.json", b"{}")
    names(root / "cat", root / "dog")
    assert capsys.readouterr().out == "passed by 2 files (not photos: 2 .json)\n"


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        ([], "no photos given"),
        (["absent"], "'absent' does not exist"),
        (["full", "full"], "named twice"),
        (["empty"], "the folder 'empty' holds no photos .*1 .json"),
        (["ftp://host/x"], "ftp:// is not known; allowed are .*s3://"),
        (["file:///absent/x"], "'file:///absent/x' does not exist"),
    ],
)
def test_what_cannot_be_listed_is_one_sentence(
    sources: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "full" / "a.jpg")
    put(tmp_path / "empty" / "a.json", b"{}")
    with pytest.raises(SourceError, match=said):
        names(*sources)


def test_an_object_store_is_listed_by_names(tmp_path: Path) -> None:
    for name in ("b/x %41.jpg", "b/c/#1?.PNG", "a.jpeg", ".hidden/a.jpg", "b/notes.txt"):
        put(tmp_path / name)
    found = names(f"file://{tmp_path}")
    inside = ("a.jpeg", "b/x %41.jpg", "b/c/#1?.PNG")
    assert found == [f"file://{tmp_path}/{name}" for name in inside]
    assert names(f"file://{tmp_path}/a.jpeg") == [f"file://{tmp_path}/a.jpeg"]


def test_an_object_store_without_photos_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "notes.txt", JPEG)
    with pytest.raises(SourceError, match="holds no photos; in an object store"):
        names(f"file://{tmp_path}")


@given(
    names=st.lists(st.binary(min_size=1, max_size=8).filter(lambda b: b"/" not in b and 0 not in b))
)
def test_a_listing_keeps_every_name(
    names: list[bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("odd")
    files = {os.fsencode(folder) + b"/" + b"n" + name + b".jpg" for name in names} | {
        os.fsencode(folder) + b"/a.jpg"
    }
    for file in files:
        Path(os.fsdecode(file)).write_bytes(JPEG)
    listing = write_listing(folder / "listing", [str(folder)], print)
    assert listing.count == len(files)
    assert {os.fsencode(entry.name) for entry in listing} == files
    assert all(isinstance(entry, Entry) and entry.source == 0 for entry in listing)
    chunks = list(listing.chunks(3))
    assert [entry for chunk in chunks for entry in chunk] == list(listing)
    assert {len(chunk) for chunk in chunks[:-1]} <= {3}
