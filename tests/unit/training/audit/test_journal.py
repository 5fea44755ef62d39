"""Moves that are undone: after a kill at any point, with links, on taken names, in folders that cannot be written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.audit.journal import JOURNAL_FOLDER, Move, move_file, open_journal
from training.errors import AuditError

ROOT = Path(__file__).parents[4]
# Ends the process in front of the nth call that changes a file or folder, as a kill would: nothing is cleaned up.
KILLED = """
import os, sys
from pathlib import Path
left = int(sys.argv[2])
def until(function):
    def call(*arguments, **options):
        global left
        if left == 0:
            os._exit(9)
        left -= 1
        return function(*arguments, **options)
    return call
for name in ("link", "symlink", "unlink", "rename", "replace", "mkdir", "rmdir"):
    setattr(os, name, until(getattr(os, name)))
from training.audit.journal import Move, open_journal
with open_journal(Path(sys.argv[1])) as journal:
    if sys.argv[3] == "apply":
        journal.apply([
            Move(source=Path("cat/0.jpg"), target=Path("dog/0-2.jpg")),
            Move(source=Path("cat/link.jpg"), target=Path("bird/link.jpg")),
        ])
    else:
        journal.undo_last()
"""


def folder_of(tmp_path: Path) -> Path:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.jpg").write_text(name)
        (tmp_path / name / "1.jpg").write_text(f"{name} 1")
    (tmp_path / "cat" / "link.jpg").symlink_to("1.jpg")
    return tmp_path


def contents(folder: Path) -> dict[str, str]:
    """Return each file's text by its path, whatever a link leads to."""
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if JOURNAL_FOLDER not in path.parts and not path.is_dir()
    }


def killed_after(folder: Path, calls: int, action: str) -> int:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", KILLED, str(folder), str(calls), action],
        env=environment,
        timeout=60,
    ).returncode


@pytest.mark.parametrize("calls", range(11))
def test_what_a_kill_left_of_apply_is_undone(tmp_path: Path, calls: int) -> None:
    folder = folder_of(tmp_path)
    before = contents(folder)
    is_killed = killed_after(folder, calls, "apply") == 9
    assert is_killed == (calls < 10)
    assert set(before.values()) <= set(contents(folder).values())
    with open_journal(folder) as journal:
        if journal.recover() == 0 and contents(folder) != before:
            journal.undo_last()
    assert contents(folder) == before
    assert not (folder / "bird").exists()
    assert os.readlink(folder / "cat" / "link.jpg") == "1.jpg"


@pytest.mark.parametrize("calls", range(11))
def test_what_a_kill_left_of_undo_is_undone_to_the_end(tmp_path: Path, calls: int) -> None:
    folder = folder_of(tmp_path)
    before = contents(folder)
    assert killed_after(folder, 99, "apply") == 0
    assert contents(folder) != before
    is_killed = killed_after(folder, calls, "undo") == 9
    assert is_killed == (calls < 10)
    assert set(before.values()) <= set(contents(folder).values())
    with open_journal(folder) as journal:
        if journal.recover() == 0 and contents(folder) != before:
            journal.undo_last()
    assert contents(folder) == before


def test_a_move_that_fails_undoes_those_before_it(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    before = contents(folder)
    moves = [
        Move(source=Path("cat/0.jpg"), target=Path("dog/0-2.jpg")),
        Move(source=Path("cat/gone.jpg"), target=Path("dog/gone.jpg")),
    ]
    with open_journal(folder) as journal, pytest.raises(AuditError, match=r"gone.jpg cannot be"):
        journal.apply(moves)
    assert contents(folder) == before


def test_a_file_at_a_former_place_is_not_overwritten(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    with open_journal(folder) as journal:
        journal.apply(
            [
                Move(source=Path("cat/0.jpg"), target=Path("dog/2.jpg")),
                Move(source=Path("cat/1.jpg"), target=Path("dog/3.jpg")),
            ]
        )
        (folder / "cat" / "0.jpg").write_text("new")
        with pytest.raises(AuditError, match=r"1 photos cannot be moved back.*cat/0.jpg"):
            journal.undo_last()
        assert contents(folder)["cat/0.jpg"] == "new"
        assert contents(folder)["cat/1.jpg"] == "cat 1"
        (folder / "cat" / "0.jpg").rename(folder / "cat" / "new.jpg")
        assert journal.undo_last() == 1
    assert contents(folder)["cat/0.jpg"] == "cat"
    with open_journal(folder) as journal, pytest.raises(AuditError, match="no move is left"):
        journal.undo_last()


def test_moves_are_undone_one_apply_at_a_time(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    with open_journal(folder) as journal:
        journal.apply([Move(source=Path("cat/0.jpg"), target=Path("dog/a.jpg"))])
        journal.apply([Move(source=Path("dog/a.jpg"), target=Path("cat/b.jpg"))])
        journal.undo_last()
        assert contents(folder)["dog/a.jpg"] == "cat"
        journal.undo_last()
    assert contents(folder)["cat/0.jpg"] == "cat"


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with (
        open_journal(tmp_path),
        pytest.raises(AuditError, match="another process"),
        open_journal(tmp_path),
    ):
        pass


def test_without_hard_links_files_are_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    folder = folder_of(tmp_path)
    move_file(folder / "cat/0.jpg", folder / "dog/2.jpg")
    assert (folder / "dog/2.jpg").read_text() == "cat"
    with pytest.raises(FileExistsError):
        move_file(folder / "cat/1.jpg", folder / "dog/2.jpg")
    assert (folder / "cat/1.jpg").read_text() == "cat 1"


def test_an_absolute_link_and_one_to_a_folder_above_still_lead_there(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.jpg").write_text("elsewhere")
    folder = tmp_path / "photos"
    folder.mkdir()
    folder_of(folder)
    (folder / "cat" / "far.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    (folder / "cat" / "up.jpg").symlink_to("../../elsewhere.jpg")
    for name in ("far.jpg", "up.jpg"):
        move_file(folder / "cat" / name, folder / "dog" / name)
        assert (folder / "dog" / name).read_text() == "elsewhere"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"state": "moved"}',
        '{"state": "moving", "created_folders": [], "moves": [{"from": "a.jpg"}]}',
        '{"state": "other", "created_folders": [], "moves": []}',
        '{"state": "moving", "created_folders": [], "moves": [{"from": "../a", "to": "b"}]}',
        '{"state": "moving", "created_folders": [], "moves": [{"from": "a", "to": "/etc/b"}]}',
        '{"state": "moving", "created_folders": ["../x"], "moves": []}',
    ],
)
def test_an_undo_list_of_somebody_else_moves_nothing(tmp_path: Path, content: str) -> None:
    folder = tmp_path / "photos"
    (folder / JOURNAL_FOLDER).mkdir(parents=True)
    (folder / JOURNAL_FOLDER / "undo-1.json").write_text(content)
    with open_journal(folder) as journal, pytest.raises(AuditError, match=r"undo-1.json"):
        journal.recover()


@settings(max_examples=200)
@given(
    st.recursive(
        st.none() | st.text() | st.integers(),
        lambda s: (
            st.lists(s)
            | st.dictionaries(
                st.sampled_from(["state", "moves", "created_folders", "from", "to"]), s
            )
        ),
        max_leaves=8,
    )
)
def test_any_json_as_an_undo_list_is_an_error_or_nothing_to_do(tmp_path_factory, content) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path_factory.mktemp("photos")
    (folder / JOURNAL_FOLDER).mkdir()
    (folder / JOURNAL_FOLDER / "undo-1.json").write_text(json.dumps(content))
    with open_journal(folder) as journal, pytest.raises(AuditError):
        journal.recover()
