"""A folder read once: links, loops, junk, and what may not be read."""

import os
from pathlib import Path

import pytest

from photo_folder.errors import FolderError
from photo_folder.photos import find_photos
from photo_folder.tree import Folder, read_tree
from tests.unit.photo_folder.conftest import Maker, put


def names(root: Path, paths: list[Path] | tuple[Path, ...]) -> list[str]:
    return [str(path.relative_to(root)) for path in paths]


def test_what_is_not_a_photo_is_passed_by_and_counted(photos_in: Maker) -> None:
    root = photos_in("cat", "cat/.ipynb_checkpoints", "cat/@eaDir/0.jpg", "__MACOSX/cat")
    for name in ("Thumbs.db", "a.json", "b.json", "._0.jpg", "notes", "0.cr2"):
        put(root / "cat" / name, b"not a photo")
    tree = read_tree(root)
    assert names(root, tree.root.all_photos) == ["cat/0.jpg", "cat/1.jpg"]
    assert tree.passed.describe() == (
        "passed by 6 files (not photos: 2 .json, 1 .cr2, 1 .db, 1 hidden, 1 notes), "
        "3 folders (hidden or the system's: 1 .ipynb_checkpoints, 1 @eaDir, 1 __MACOSX)"
    )


def test_nothing_is_said_where_nothing_was_passed_by(photos_in: Maker) -> None:
    assert read_tree(photos_in("cat")).passed.describe() is None


def test_of_many_endings_the_most_frequent_are_named(photos_in: Maker) -> None:
    root = photos_in("cat")
    for number in range(12):
        put(root / f"a.x{number:02}", b"x")
    put(root / "b.x11", b"x")
    said = read_tree(root).passed.describe()
    assert said == (
        "passed by 13 files (not photos: 2 .x11, 1 .x00, 1 .x01, 1 .x02, 1 .x03, 1 .x04, 1 .x05, 1 .x06, 4 others)"
    )


def test_linked_folders_are_followed_and_loops_ended(photos_in: Maker, tmp_path: Path) -> None:
    root = photos_in("cat")
    put(tmp_path / "disk" / "more.jpg")
    (tmp_path / "disk" / "back").symlink_to(root)
    (root / "cat" / "disk").symlink_to(tmp_path / "disk")
    (root / "cat" / "loop").symlink_to(root / "cat")
    (root / "cat" / "self.jpg").symlink_to(root / "cat" / "self.jpg")
    tree = read_tree(root)
    assert names(root, tree.root.all_photos) == [
        "cat/0.jpg", "cat/1.jpg", "cat/disk/more.jpg",
    ]  # fmt: skip
    said = tree.passed.describe() or ""
    assert "2 links to folders read already" in said
    assert f"1 link to what does not exist ({root / 'cat' / 'self.jpg'})" in said


def test_a_folder_is_read_at_its_own_place_and_not_through_a_link(photos_in: Maker) -> None:
    root = photos_in("train/cat", "train/dog")
    (root / "train" / "cat" / "all").symlink_to(root / "train" / "dog")
    (root / "a").symlink_to(root / "train")
    assert names(root, read_tree(root).root.all_photos) == [
        f"train/{name}/{number}.jpg" for name in ("cat", "dog") for number in (0, 1)
    ]


def test_a_link_to_a_folder_above_ends(photos_in: Maker, tmp_path: Path) -> None:
    root = photos_in("cat")
    (root / "cat" / "up").symlink_to(tmp_path)
    assert len(read_tree(root).root.all_photos) == 2


def test_a_link_that_leads_nowhere_is_counted(photos_in: Maker) -> None:
    root = photos_in("cat")
    (root / "cat" / "more").symlink_to(root / "nowhere")
    assert read_tree(root).passed.describe() == (
        f"passed by 1 link to what does not exist ({root / 'cat' / 'more'})"
    )


def test_a_pipe_called_as_a_photo_is_passed_by(photos_in: Maker) -> None:
    root = photos_in("cat")
    os.mkfifo(root / "cat" / "live.jpg")
    assert read_tree(root).passed.describe() == (
        "passed by 1 file (not photos: 1 pipes and devices)"
    )


def test_folders_may_be_deeper_than_the_stack_of_python() -> None:
    root = folder = Folder(path=Path("0"))
    for _ in range(3000):
        folder.folders.append(Folder(path=Path("d")))
        (folder,) = folder.folders
    folder.photos.append(Path("0.jpg"))
    assert root.all_photos == [Path("0.jpg")]
    assert root.full == root.folders


def test_a_folder_that_may_not_be_read_is_refused(
    photos_in: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = photos_in("cat", "dog")
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "dog":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr("photo_folder.tree.os.scandir", refuse)
    with pytest.raises(FolderError, match=r"photos/dog' cannot be read \(Permission denied\)"):
        read_tree(root)


def test_what_is_not_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="nowhere' does not exist"):
        read_tree(tmp_path / "nowhere")
    with pytest.raises(FolderError, match=r"a\.jpg' is a file"):
        read_tree(put(tmp_path / "a.jpg"))


def test_a_folder_without_photos_says_what_it_holds(tmp_path: Path) -> None:
    put(tmp_path / "a.pdf", b"%PDF")
    with pytest.raises(FolderError, match=r"holds no photos \(passed by 1 file .*1 \.pdf"):
        find_photos(tmp_path)
