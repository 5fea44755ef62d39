"""Moves of files that can be undone, and that a kill at any point leaves undoable.

The list of moves is written, durably, before the first of them. Which ones have been made is read from the files
themselves: a file is linked under its new name before the old one goes, so there is no moment at which it has none.
An unfinished list is undone by the next command that opens the folder's journal.
"""

import errno
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from storage import atomic_write
from storage.lock import try_lock
from training.errors import AuditError

# Inside the photo folder, so that it moves along; hidden, so that it is not read as a class.
JOURNAL_FOLDER = ".headswap-audit"
# File systems without hard links (FAT, some network shares), and other owners' files under protected_hardlinks.
WITHOUT_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES}
NAMED_MAX = 5

State = Literal["moving", "moved", "undoing", "undone"]


@dataclass(frozen=True, kw_only=True)
class Move:
    """Both paths are relative to the photo folder."""

    source: Path
    target: Path


class MoveJournal:
    """The undo lists of a photo folder; held by one process at a time (`open_journal`)."""

    def __init__(self, folder: Path) -> None:
        self._photos = folder
        self._folder = folder / JOURNAL_FOLDER

    def apply(self, moves: Sequence[Move]) -> Path:
        """Make all moves, or none, and return the undo list.

        Raises:
            AuditError: one of them cannot be made; those before it have been undone.
        """
        undo_list = self._next_list()
        created = _missing_folders(self._photos, moves)
        content = {
            "state": "moving",
            "created_folders": [str(path) for path in created],
            "moves": [{"from": str(move.source), "to": str(move.target)} for move in moves],
        }
        _write(undo_list, content)
        try:
            for path in created:
                (self._photos / path).mkdir()
            for move in moves:
                move_file(self._photos / move.source, self._photos / move.target)
        except OSError as error:
            self._undo(undo_list)
            raise AuditError(
                f"{_file_of(error)} cannot be moved: {error.strerror}. Nothing was changed; mend that and try again."
            ) from None
        _write(undo_list, content | {"state": "moved"})
        return undo_list

    def undo_last(self) -> int:
        """Undo the last moves that are not undone yet, and return how many files are back.

        Raises:
            AuditError: there are none, or a former place is taken by another file; the others are back then.
        """
        done = [path for path in self._lists() if _read(path)["state"] != "undone"]
        if not done:
            raise AuditError(
                f"no move is left to undo in {str(self._photos)!r}: none was made, or all are undone."
            )
        return self._undo(done[-1])

    def recover(self) -> int:
        """Undo what a killed command left half done, and return how many files are back. Raises as `undo_last`."""
        unfinished = [p for p in self._lists() if _read(p)["state"] in ("moving", "undoing")]
        return sum(self._undo(path) for path in reversed(unfinished))

    def _undo(self, undo_list: Path) -> int:
        content = _read(undo_list)
        _write(undo_list, content | {"state": "undoing"})
        count, taken = 0, []
        for entry in reversed(content["moves"]):
            source, target = self._photos / entry["from"], self._photos / entry["to"]
            try:
                count += _move_back(source, target)
            except FileExistsError:
                taken.append(str(source))
            except OSError as error:
                raise AuditError(
                    f"{target} cannot be moved back: {error.strerror}. The list is {undo_list}; mend that and undo "
                    "again."
                ) from None
        if taken:
            raise AuditError(
                f"{len(taken)} photos cannot be moved back, since other files have their place now: "
                f"{', '.join(taken[:NAMED_MAX])}. Rename those and undo again."
            )
        for path in reversed(content["created_folders"]):
            with suppress(OSError):
                (self._photos / path).rmdir()
        _write(undo_list, content | {"state": "undone"})
        return count

    def _lists(self) -> list[Path]:
        numbered = [path for path in self._folder.glob("undo-*.json") if _number(path) is not None]
        return sorted(numbered, key=lambda path: _number(path) or 0)

    def _next_list(self) -> Path:
        last = max((_number(path) or 0 for path in self._lists()), default=0)
        return self._folder / f"undo-{last + 1}.json"


@contextmanager
def open_journal(folder: Path) -> Iterator[MoveJournal]:
    """Yield the folder's journal while no other process has it.

    Raises:
        AuditError: another process has it, or the folder cannot be written to.
    """
    place = folder / JOURNAL_FOLDER
    try:
        place.mkdir(exist_ok=True)
        lock = os.open(place / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise AuditError(
            f"{str(place)!r}, where the undo list goes, cannot be written: {error.strerror}. Nothing was changed."
        ) from None
    try:
        if not try_lock(lock):
            raise AuditError(
                f"another process is moving photos in {str(folder)!r}; wait until it has ended."
            )
        yield MoveJournal(folder)
    finally:
        os.close(lock)


def move_file(source: Path, target: Path) -> None:
    """Move a file, or a link, which then leads where it led. Raises OSError, also where the target exists."""
    if source.is_symlink():
        os.symlink(_link_text(source, target), target)
        source.unlink()
        return
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in WITHOUT_LINKS:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        source.rename(target)
        return
    source.unlink()


def _move_back(source: Path, target: Path) -> bool:
    """Return whether the file is back at `source` by this call; False if it was there, or is gone altogether.

    Raises:
        FileExistsError: another file is at `source`. OSError: it cannot be moved.
    """
    if not os.path.lexists(target):
        return False
    if not os.path.lexists(source):
        move_file(target, source)
        return True
    if not _is_same_file(source, target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(source))
    target.unlink()
    return True


def _is_same_file(source: Path, target: Path) -> bool:
    """Return whether both are one file, or links of one meaning: a move that was killed between its two steps."""
    if source.is_symlink() and target.is_symlink():
        return _link_text(source, target) == os.readlink(target)
    return os.path.samestat(source.lstat(), target.lstat())


def _link_text(link: Path, moved: Path) -> str:
    text = os.readlink(link)
    if os.path.isabs(text):
        return text
    leads_to = os.path.join(os.path.realpath(link.parent), text)
    return os.path.relpath(leads_to, os.path.realpath(moved.parent))


def _missing_folders(photos: Path, moves: Sequence[Move]) -> list[Path]:
    """Return the folders to create, relative to that of the photos, each after the one that holds it."""
    needed = {folder for move in moves for folder in move.target.parents}
    return sorted(folder for folder in needed if not (photos / folder).exists())


def _file_of(error: OSError) -> str:
    return str(error.filename or error.filename2 or "a photo")


def _write(path: Path, content: dict[str, Any]) -> None:
    try:
        atomic_write(path, json.dumps(content, indent=1), is_durable=True)
    except OSError as error:
        raise AuditError(f"the undo list {path} cannot be written: {error.strerror}.") from None


def _read(path: Path) -> dict[str, Any]:
    """Return the list. Raises AuditError also where it would move files outside the photo folder."""
    try:
        content = json.loads(path.read_text())
        moves = [(move["from"], move["to"]) for move in content["moves"]]
        paths = [Path(text) for text in (*itertools.chain(*moves), *content["created_folders"])]
        known = content["state"] in get_args(State)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise AuditError(
            f"the undo list {path} cannot be read: {error}. Restore it, or remove it to undo nothing."
        ) from None
    if not known or any(inner.is_absolute() or ".." in inner.parts for inner in paths):
        raise AuditError(
            f"the undo list {path} was not written by headswap: it has an unknown state, or paths outside the photo "
            "folder. Remove it."
        )
    return dict(content)


def _number(path: Path) -> int | None:
    digits = path.stem.removeprefix("undo-")
    return int(digits) if digits.isascii() and digits.isdigit() else None
