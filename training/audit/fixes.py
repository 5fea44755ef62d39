"""Labels that the user has looked at, from a table of path and label, and what they change in a photo folder."""

import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from photo_folder.errors import FolderError
from photo_folder.label_file import find_listed
from photo_folder.labelled import LabelledFile, LabelledFiles
from photo_folder.layout import find_labelled
from storage import atomic_write
from training.audit.journal import Move, MoveJournal
from training.audit.tables import write_table
from training.errors import AuditError

NAMED_MAX = 5


@dataclass(frozen=True, kw_only=True)
class Fix:
    file: LabelledFile
    class_name: str
    """The label it should have; not the one it has."""


def apply_to_folders(
    folder: Path, table: Path, journal: MoveJournal, *, unlabeled: Path | None = None
) -> tuple[int, Path | None]:
    """Move photos into the class folders that the table names; return their number and the undo list, if any.

    Raises:
        AuditError: the table is not of this folder, or a photo cannot be moved; nothing has changed then.
    """
    try:
        labelled = find_labelled(folder, unlabeled=unlabeled)
    except FolderError as error:
        raise AuditError(str(error)) from None
    fixes = read_fixes(folder, table, labelled)
    moves = plan_moves(folder, labelled, fixes)
    return len(moves), journal.apply(moves) if moves else None


def apply_to_table(folder: Path, table: Path, labels: Path) -> tuple[int, Path | None]:
    """Write a new file of labels beside `labels`, with those of the table; return their number and the file, if any.

    Raises:
        AuditError: the table is not of these photos, or the new file cannot be written.
    """
    try:
        labelled = find_listed(folder, labels)
    except FolderError as error:
        raise AuditError(str(error)) from None
    fixes = {fix.file.path: fix.class_name for fix in read_fixes(folder, table, labelled)}
    if not fixes:
        return 0, None
    header = ["path", "label", *(["split"] if labelled.splits else [])]
    rows = [
        [
            named_path(file.path, folder),
            fixes.get(file.path, file.class_name),
            *([file.split or ""] if labelled.splits else []),
        ]
        for file in labelled.files
    ]
    target = free_path(labels.with_name(f"{labels.stem}-fixed.csv"))
    try:
        atomic_write(target, write_table([header, *rows]), is_durable=True)
    except OSError as error:
        raise AuditError(
            f"{target} cannot be written: {error.strerror}. Nothing was changed."
        ) from None
    return len(fixes), target


def read_fixes(folder: Path, table: Path, labelled: LabelledFiles) -> list[Fix]:
    """Return the lines of the table whose label is not the one that the photo has.

    Raises:
        AuditError: the table cannot be read, or names a photo or a class that the folder does not have.
    """
    try:
        listed = find_listed(folder, table).files
    except FolderError as error:
        raise AuditError(str(error)) from None
    file_of = {_place(file.path): file for file in labelled.files}
    unknown = [str(file.path) for file in listed if _place(file.path) not in file_of]
    if unknown:
        raise AuditError(
            f"{table} names {len(unknown)} files that are not among the photos of {str(folder)!r}: "
            f"{', '.join(unknown[:NAMED_MAX])}. They have moved or vanished since; remove those lines, or audit again."
        )
    classes = set(labelled.class_names)
    foreign = sorted({file.class_name for file in listed} - classes)
    if foreign:
        raise AuditError(
            f"{table} has labels that are not classes of {str(folder)!r}: {', '.join(map(repr, foreign[:NAMED_MAX]))}. "
            "Correct them, or create the class folder with a photo in it first."
        )
    named = [(file_of[_place(file.path)], file.class_name) for file in listed]
    return [Fix(file=file, class_name=name) for file, name in named if name != file.class_name]


def plan_moves(folder: Path, labelled: LabelledFiles, fixes: Sequence[Fix]) -> list[Move]:
    """Return the moves that give the photos their labels; a name that is taken gets a number.

    Raises:
        AuditError: a photo is not in a folder of its class, or a link leads to a photo that would move.
    """
    _check_links(labelled, fixes)
    taken: set[Path] = set()
    moves = []
    for fix in fixes:
        target = free_path(_target(labelled, fix), taken)
        taken.add(target)
        try:
            moves.append(
                Move(source=fix.file.path.relative_to(folder), target=target.relative_to(folder))
            )
        except ValueError:
            raise AuditError(
                f"{fix.file.path} is not inside {str(folder)!r}; give --labels."
            ) from None
    return moves


def free_path(path: Path, taken: set[Path] | frozenset[Path] = frozenset()) -> Path:
    """Return the path, with a number before its suffix if something has that name already."""
    number, free = 1, path
    while free in taken or os.path.lexists(free):
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free


def named_path(path: Path, folder: Path) -> str:
    """Return how a table names the photo: from the folder, or absolute where it lies elsewhere."""
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path.absolute())


def _place(path: Path) -> Path:
    """Return the path as the file system has it, without following a link that is the photo itself."""
    return Path(os.path.realpath(path.parent)) / path.name


def _target(labelled: LabelledFiles, fix: Fix) -> Path:
    path = fix.file.path
    roots = [root for root in labelled.roots if path.is_relative_to(root)]
    root = max(roots, key=lambda root: len(root.parts), default=path)
    class_folder, *inner = path.relative_to(root).parts or ("",)
    if not inner or _nfc(class_folder) != fix.file.class_name:
        raise AuditError(
            f"{path} is not in a folder called {fix.file.class_name!r}, so that its label cannot be changed by moving "
            "it; give --labels."
        )
    # The folder may be spelled in other bytes: a Mac and a Linux write the same letters differently.
    spelled = next(
        (entry.name for entry in root.iterdir() if _nfc(entry.name) == fix.class_name),
        fix.class_name,
    )
    return root.joinpath(spelled, *inner)


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _check_links(labelled: LabelledFiles, fixes: Sequence[Fix]) -> None:
    """Check that no link leads to a photo that would move: it would lead nowhere afterwards."""
    moved = {os.path.realpath(f.file.path) for f in fixes if not f.file.path.is_symlink()}
    for file in labelled.files:
        if file.path.is_symlink() and os.path.realpath(file.path) in moved:
            raise AuditError(
                f"{file.path} is a link to a photo that would move; replace it by a copy, or remove that line."
            )
